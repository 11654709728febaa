r"""How a network F becomes a denoiser: :math:`D(x; \sigma) = c_{skip}\,x + c_{out}\,F(c_{in}\,x;\,
c_{noise})` (Karras et al. 2022, table 1).

Each function returns the coefficients of one paper as functions of a float64 tensor σ > 0;
``weight`` is λ(σ) of the training loss.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from ._checks import count, number, numbers, per_sample, require, state
from .grids import iddpm_levels
from .processes import VP


@dataclass(frozen=True)
class Preconditioning:
    """The five functions of σ (float64 tensor in, same shape out) that wrap a network into a
    denoiser.
    """

    name: str
    c_skip: Callable
    c_out: Callable
    c_in: Callable
    c_noise: Callable
    weight: Callable


def edm(sigma_data: float = 0.5) -> Preconditioning:
    """Unit-variance inputs and targets, least amplification of errors, for data of standard
    deviation ``sigma_data``.
    """
    require(number("sigma_data", sigma_data) > 0, "sigma_data", sigma_data, "positive")
    v = sigma_data**2
    return Preconditioning(
        "edm",
        c_skip=lambda sigma: v / (sigma**2 + v),
        c_out=lambda sigma: sigma * sigma_data / (sigma**2 + v).sqrt(),
        c_in=lambda sigma: 1 / (sigma**2 + v).sqrt(),
        c_noise=lambda sigma: sigma.log() / 4,
        weight=lambda sigma: (sigma**2 + v) / (sigma * sigma_data) ** 2,
    )


def vp(process: VP = VP(), M: int = 1000) -> Preconditioning:
    """The network predicts ε from the VP variable and the step number c_noise = (M − 1) t (Song et
    al. 2021).
    """
    count("M", M)
    return Preconditioning(
        "vp",
        c_skip=torch.ones_like,
        c_out=lambda sigma: -sigma,
        c_in=lambda sigma: 1 / (sigma**2 + 1).sqrt(),
        c_noise=lambda sigma: (M - 1) * process.sigma_inv(sigma),
        weight=lambda sigma: 1 / sigma**2,
    )


def ve() -> Preconditioning:
    """The network predicts the negated noise from x itself and c_noise = ln(σ/2) (Song et al.

    2021).
    """
    return Preconditioning(
        "ve",
        c_skip=torch.ones_like,
        c_out=lambda sigma: sigma,
        c_in=torch.ones_like,
        c_noise=lambda sigma: (sigma / 2).log(),
        weight=lambda sigma: 1 / sigma**2,
    )


def iddpm(M: int = 1000) -> Preconditioning:
    """As VP, with c_noise = M − 1 − j of the nearest level u_j of improved DDPM (Nichol & Dhariwal
    2021).
    """
    levels = iddpm_levels(M)[:-1]

    def c_noise(sigma):
        nearest = (sigma.reshape(-1, 1) - levels.to(sigma.device)).abs().argmin(1)
        return (M - 1 - nearest).reshape(sigma.shape).double()

    return Preconditioning(
        "iddpm",
        c_skip=torch.ones_like,
        c_out=lambda sigma: -sigma,
        c_in=lambda sigma: 1 / (sigma**2 + 1).sqrt(),
        c_noise=c_noise,
        weight=lambda sigma: 1 / sigma**2,
    )


class Denoiser(nn.Module):
    """A network wrapped by a preconditioning: ``D(x, sigma, labels) -> E[x0 | x]``, x: (B, ...), σ
    > 0: scalar or (B,).

    The network is called as ``network(c_in x, c_noise, labels)`` in float32, whatever the type of
    x; the result has the type of x.
    Raises ``ValueError`` for a state that is not finite and floating point, or a σ that is not
    positive.
    """

    def __init__(self, network: nn.Module, preconditioning: Preconditioning):
        super().__init__()
        self.network, self.preconditioning = network, preconditioning

    def forward(self, x, sigma, labels=None):
        state("x", x)
        sigma = numbers("sigma", sigma)
        require(bool((sigma > 0).all()), "sigma", sigma.tolist(), "positive")
        require(
            sigma.numel() == 1 or sigma.shape == x.shape[:1],
            "sigma.shape",
            tuple(sigma.shape),
            f"() or ({len(x)},)",
        )
        p, sigma = self.preconditioning, sigma.reshape(-1).expand(len(x))
        F = self.network(
            per_sample(p.c_in(sigma), x).float() * x.float(),
            p.c_noise(sigma).float().to(x.device),
            labels,
        )
        return per_sample(p.c_skip(sigma), x) * x + per_sample(p.c_out(sigma), x) * F.to(x.dtype)
