r"""Training losses and the distributions of the noise level.

A loss returns one number per sample, (B,), and draws nothing itself: ``u`` (B,) in (0, 1) becomes
the noise level, and ``noise``, like x0, is standard normal. So a loss is a plain function that a
test can hold against a formula.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch

from ._checks import choice, describe, function, number, per_sample, require, same_shape, state
from .preconditioning import Preconditioning
from .processes import VP


def _float64(u: Any) -> torch.Tensor:
    """u in float64; looks at no value."""
    if not isinstance(u, torch.Tensor):
        raise ValueError(f"u = {describe(u)}: must be a torch.Tensor of numbers in (0, 1)")
    if not u.is_floating_point():
        raise ValueError(f"u.dtype = {u.dtype}: must be floating, such as torch.float32")
    return u.double()


def lognormal(u: torch.Tensor, mean: float = -1.2, std: float = 1.2) -> torch.Tensor:
    """σ with ln σ ~ N(mean, std²) (Karras et al. 2022).

    u: (B,), uniform in (0, 1).  Returns (B,) float64.
    """
    number("std", std, above=0)
    return torch.exp(number("mean", mean) + std * torch.special.ndtri(_float64(u)))


def log_uniform(u: torch.Tensor, sigma_min: float = 0.02, sigma_max: float = 100.0) -> torch.Tensor:
    """σ with ln σ uniform on [ln σ_min, ln σ_max]: VE training (Song et al. 2021).

    u: (B,), uniform in (0, 1).  Returns (B,) float64.
    """
    number("sigma_max", sigma_max, above=number("sigma_min", sigma_min, above=0))
    return sigma_min * (sigma_max / sigma_min) ** _float64(u)


def uniform_in_time(u: torch.Tensor, process: VP = VP(), t_min: float = 1e-5) -> torch.Tensor:
    """σ(t) with t uniform on [t_min, 1]: VP training (Song et al. 2021).

    u: (B,), uniform in (0, 1).  Returns (B,) float64.
    """
    require(isinstance(process, VP), "process", process, "a VP, such as VP()")
    number("t_min", t_min, above=0, at_least=process._start, below=1)
    return process._at(t_min + (1 - t_min) * _float64(u)).sigma


def from_levels(u: torch.Tensor, levels: torch.Tensor) -> torch.Tensor:
    """One of a list of noise levels, all equally likely: training on a chain (Ho et al. 2020).

    u: (B,), uniform in (0, 1).  levels: (T,) float64, a chain's σ_t.  Returns (B,) float64.
    """
    if not isinstance(levels, torch.Tensor) or levels.ndim != 1 or levels.dtype != torch.float64:
        raise ValueError(f"levels = {describe(levels)}: must be a tensor (T,) of torch.float64")
    place = (_float64(u) * len(levels)).long().clamp(max=len(levels) - 1)
    return levels.to(u.device)[place]


def denoising(
    denoiser: Callable,
    x0: torch.Tensor,
    u: torch.Tensor,
    noise: torch.Tensor,
    labels: torch.Tensor | None = None,
    levels: Callable[[torch.Tensor], torch.Tensor] = lognormal,
    error: str = "squared",
) -> torch.Tensor:
    """λ(σ) ‖D(x0 + σ noise; σ) − x0‖² / dim: the EDM loss (Karras et al. 2022, eq. 8).

    denoiser: a ``preconditioning.Denoiser``, whose weight λ is.  x0, noise: (B, ...).  u: (B,).
    labels: (B,) or None.  levels: u -> σ.
    error: "squared"; or "absolute" for √λ ‖D − x0‖₁ / dim. Where the network predicts ε, as on a
    chain, these are the mean squared and the mean absolute error of its ε.
    Returns (B,).
    """
    choice("error", error, ("squared", "absolute"))
    # training in several processes wraps the denoiser
    inner = getattr(denoiser, "module", denoiser)
    p: Any = getattr(inner, "preconditioning", None)
    require(isinstance(p, Preconditioning), "denoiser", denoiser, "a preconditioning.Denoiser")
    function("levels", levels, "u -> σ, such as losses.lognormal")
    state("x0", x0)
    same_shape("noise", noise, "x0", x0)
    if _float64(u).shape != x0.shape[:1]:
        raise ValueError(f"u.shape = {tuple(u.shape)}: must be ({len(x0)},), one for each sample")
    sigma = levels(u)
    same_shape("levels(u)", sigma, "u", u)
    D = denoiser(x0 + per_sample(sigma, x0) * noise, sigma, labels)
    weight = p.weight(sigma)
    if error == "absolute":
        return weight.sqrt().to(x0.dtype) * (D - x0).abs().flatten(1).mean(1)
    return weight.to(x0.dtype) * (D - x0).square().flatten(1).mean(1)


edm = partial(denoising, levels=lognormal)
