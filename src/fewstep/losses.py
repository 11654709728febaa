r"""Training losses and the distributions of the noise level.

A loss returns one number per sample, (B,), and draws nothing itself: ``u`` (B,) in (0, 1) becomes
the noise level and ``noise``, like x0, is standard normal. So a loss is a plain function that a
test can hold against a formula.
"""

from functools import partial

import torch

from ._checks import number, per_sample, require, state
from .processes import VP


def _uniform(u) -> torch.Tensor:
    require(
        bool(((u > 0) & (u < 1)).all()),
        "u",
        f"{float(u.min()):g} … {float(u.max()):g}",
        "inside (0, 1)",
    )
    return u.double()


def lognormal(u: torch.Tensor, mean: float = -1.2, std: float = 1.2) -> torch.Tensor:
    """σ with ln σ ~ N(mean, std²), from uniform ``u`` (Karras et al. 2022)."""
    require(number("std", std) > 0, "std", std, "positive")
    return torch.exp(number("mean", mean) + std * torch.special.ndtri(_uniform(u)))


def log_uniform(u: torch.Tensor, sigma_min: float = 0.02, sigma_max: float = 100.0) -> torch.Tensor:
    """σ with ln σ uniform on [ln σ_min, ln σ_max]: VE training (Song et al. 2021)."""
    require(
        0 < number("sigma_min", sigma_min) < number("sigma_max", sigma_max),
        "sigma_min, sigma_max",
        (sigma_min, sigma_max),
        "0 < sigma_min < sigma_max",
    )
    return sigma_min * (sigma_max / sigma_min) ** _uniform(u)


def uniform_in_time(u: torch.Tensor, process: VP = VP(), t_min: float = 1e-5) -> torch.Tensor:
    """σ(t) with t uniform on [t_min, 1]: VP training (Song et al. 2021)."""
    require(0 < number("t_min", t_min) < 1, "t_min", t_min, "in (0, 1)")
    return process.sigma((t_min + (1 - t_min) * _uniform(u)).cpu()).to(u.device)


def denoising(denoiser, x0, u, noise, labels=None, levels=lognormal):
    """λ(σ) ‖D(x0 + σ noise; σ) − x0‖² / dim: the EDM loss with ``levels=lognormal`` (Karras et al.

    2022, eq. 8).

    ``x0``, ``noise``: (B, ...); ``u``: (B,); ``levels(u) -> σ``; λ is the weight of the denoiser's
    preconditioning. Returns (B,).
    """
    state("x0", x0)
    require(
        noise.shape == x0.shape, "noise.shape", tuple(noise.shape), f"x0's shape {tuple(x0.shape)}"
    )
    require(
        u.shape == x0.shape[:1],
        "u.shape",
        tuple(u.shape),
        f"({len(x0)},), one value for each sample",
    )
    sigma = levels(u)
    D = denoiser(x0 + per_sample(sigma, x0) * noise, sigma, labels)
    weight = getattr(
        denoiser, "module", denoiser
    ).preconditioning.weight  # training in several processes wraps the denoiser
    return weight(sigma).to(x0.dtype) * (D - x0).square().flatten(1).mean(1)


edm = partial(denoising, levels=lognormal)
