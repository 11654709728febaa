r"""Training losses and the distributions of the noise level.

A loss returns one number per sample, (B,), and draws nothing itself: ``u`` (B,) in (0, 1) becomes
the noise level, and ``noise``, like x0, is standard normal. So a loss is a plain function that a
test can hold against a formula.
"""

from collections.abc import Callable
from functools import partial
from math import log, log1p
from typing import Any

import torch

from ._checks import (
    choice,
    count,
    describe,
    function,
    number,
    per_sample,
    require,
    same_shape,
    state,
)
from .preconditioning import Preconditioning
from .processes import VP
from .schedules import reverse_variances


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
    place = _place(u, levels)
    return levels.to(u.device)[place]


def _place(u: Any, levels: Any) -> torch.Tensor:
    """Which of the levels each u stands for, (B,) int64; looks at no value."""
    if not isinstance(levels, torch.Tensor) or levels.ndim != 1 or levels.dtype != torch.float64:
        raise ValueError(f"levels = {describe(levels)}: must be a tensor (T,) of torch.float64")
    return (_float64(u) * len(levels)).long().clamp(max=len(levels) - 1)


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
    p = _check(denoiser, x0, u, noise).preconditioning
    function("levels", levels, "u -> σ, such as losses.lognormal")
    sigma = levels(u)
    same_shape("levels(u)", sigma, "u", u)
    D = denoiser(x0 + per_sample(sigma, x0) * noise, sigma, labels)
    weight = p.weight(sigma)
    if error == "absolute":
        return weight.sqrt().to(x0.dtype) * (D - x0).abs().flatten(1).mean(1)
    return weight.to(x0.dtype) * (D - x0).square().flatten(1).mean(1)


edm = partial(denoising, levels=lognormal)


def _check(denoiser: Any, x0: Any, u: Any, noise: Any, learned: bool = False) -> Any:
    """The denoiser without the wrapper of training in several processes.

    learned: one whose network gives variances.
    """
    inner = getattr(denoiser, "module", denoiser)
    p: Any = getattr(inner, "preconditioning", None)
    require(isinstance(p, Preconditioning), "denoiser", denoiser, "a preconditioning.Denoiser")
    state("x0", x0)
    same_shape("noise", noise, "x0", x0)
    if _float64(u).shape != x0.shape[:1]:
        raise ValueError(f"u.shape = {tuple(u.shape)}: must be ({len(x0)},), one for each sample")
    if learned and inner.extra_channels != x0.shape[1]:
        allowed = f"{x0.shape[1]}, one for each channel of x0"
        raise ValueError(f"denoiser.extra_channels = {inner.extra_channels}: must be {allowed}")
    return inner


def hybrid(
    denoiser: Callable,
    x0: torch.Tensor,
    u: torch.Tensor,
    noise: torch.Tensor,
    labels: torch.Tensor | None = None,
    *,
    levels: torch.Tensor,
    weight: float = 1e-3,
    values: int = 256,
) -> torch.Tensor:
    """``denoising`` + weight · T · ``vlb`` with D held fixed in the latter, so that it trains the
    variance alone (Nichol & Dhariwal 2021, eq. 16).

    denoiser: with one extra channel for each of x0.  levels: (T,) float64, decreasing, its chain's.
    All others: see ``denoising`` and ``vlb``.  Returns (B,).
    """
    number("weight", weight, at_least=0)
    inner = _check(denoiser, x0, u, noise, learned=True)
    place = _place(u, levels)
    sigma = levels[place]
    D, extra = denoiser(x0 + per_sample(sigma, x0) * noise, sigma, labels, extra=True)
    mse = (D - x0).square().flatten(1).mean(1)
    simple = inner.preconditioning.weight(sigma).to(x0.dtype) * mse
    bound = _term(x0, D.detach(), _share(extra), place, levels, values)
    return simple + weight * len(levels) * bound


def vlb(
    denoiser: Callable,
    x0: torch.Tensor,
    u: torch.Tensor,
    noise: torch.Tensor,
    labels: torch.Tensor | None = None,
    *,
    levels: torch.Tensor,
    v: float | None = None,
    values: int = 256,
) -> torch.Tensor:
    """One term of the variational bound on −log p(x0), in bits per dimension: L_{t−1} at the level
    that u stands for, L_0 at the lowest (Ho et al. 2020, eq. 5; Nichol & Dhariwal 2021).

    T times its mean over u and noise is the bound but for L_T (``prior``).

    denoiser: a ``preconditioning.Denoiser``.  x0, noise: (B, ...).  u: (B,).  labels: (B,) or None.
    levels: (T,) float64, decreasing: all of a chain's, or some for a respaced one.
    v: of the reverse variance β^v β̃^{1−v}; None: the network's own, from one extra channel each.
    values: that a coordinate of x0 takes, equally spaced on [-1, 1].
    Returns (B,).
    """
    _check(denoiser, x0, u, noise, learned=v is None)
    place = _place(u, levels)
    sigma = levels[place]
    x = x0 + per_sample(sigma, x0) * noise
    if v is None:
        D, extra = denoiser(x, sigma, labels, extra=True)
        return _term(x0, D, _share(extra), place, levels, values)
    number("v", v, at_least=0, at_most=1)
    return _term(x0, denoiser(x, sigma, labels), v, place, levels, values)


def prior(x0: torch.Tensor, sigma_max: float) -> torch.Tensor:
    """L_T = KL(q(x_T | x0) ‖ N(0, I)) of a VP chain, in bits per dimension.

    x0: (B, ...).  sigma_max: σ_T, the chain's highest level.  Returns (B,).
    """
    state("x0", x0)
    variance = number("sigma_max", sigma_max, above=0) ** 2
    kept = 1 / (1 + variance)  # ᾱ_T
    nats = 0.5 * (kept * (x0.double().square() - 1) + log1p(1 / variance))
    return (nats.flatten(1).mean(1) / log(2)).to(x0.dtype)


def discretized_log_likelihood(
    x0: torch.Tensor, mean: torch.Tensor, log_variance: torch.Tensor, values: int = 256
) -> torch.Tensor:
    """log of the mass that N(mean, variance) puts on the bin around each x0, the first and the last
    bin open, so that all bins together have mass 1 (Ho et al. 2020, eq. 13).

    x0: on [-1, 1], of so many equally spaced values.  mean, log_variance: like x0.
    Returns like x0, float64, in nats. Stays finite far out in the tails, where differences of Φ
    would be 0.
    """
    state("x0", x0)
    same_shape("mean", mean, "x0", x0)
    same_shape("log_variance", log_variance, "x0", x0)
    half = 1 / (count("values", values, 2) - 1)
    x, away = x0.double(), x0.double() - mean
    scale = (-0.5 * log_variance.double()).exp()
    below, above = scale * (away - half), scale * (away + half)
    flip = below + above > 0  # to the lower tail, where log Φ is exact
    low = torch.special.log_ndtr(torch.where(flip, -above, below))
    high = torch.special.log_ndtr(torch.where(flip, -below, above))
    first, last = x < -1 + half, x > 1 - half
    # an open end has no gradient to give: keep what is not chosen finite
    gap = torch.where(first | last, -1.0, low - high)
    inside = high + torch.log(-torch.expm1(gap))
    ends = torch.special.log_ndtr(torch.where(first, above, -below))
    return torch.where(first | last, ends, inside)


def _share(extra: torch.Tensor) -> torch.Tensor:
    """v from the network's extra channels."""
    return (extra.double() + 1) / 2


def _term(
    x0: torch.Tensor,
    D: torch.Tensor,
    v: torch.Tensor | float,
    place: torch.Tensor,
    levels: torch.Tensor,
    values: int,
) -> torch.Tensor:
    """``vlb`` from what the network answered."""
    below = torch.cat([levels[1:], levels.new_zeros(1)])
    lower, upper = reverse_variances(levels, below)
    # β̃_1 = 0 has no logarithm: β̃_2 instead, as in the paper's code
    second = lower[-2:-1] / (1 + levels[-1:] ** 2) if len(levels) > 1 else upper
    table = torch.stack([torch.cat([lower[:-1], second]).log(), upper.log(), (below / levels) ** 2])
    wide = x0.double()
    low, high, keep = (per_sample(row, wide) for row in table[:, place])
    log_variance = (low + v * (high - low)).expand(x0.shape)
    gap = (1 - keep) * (wide - D)
    kl = 0.5 * (log_variance - low - 1 + (low - log_variance).exp())
    kl = kl + 0.5 * gap.square() * (-log_variance).exp()
    end = per_sample(place == len(levels) - 1, wide) > 0
    # elsewhere harmless numbers, for the gradient of what is not chosen must be finite
    decoded = discretized_log_likelihood(
        x0, torch.where(end, D, x0), torch.where(end, log_variance, 0.0), values
    )
    nats = torch.where(end, -decoded, kl)
    return (nats.flatten(1).mean(1) / log(2)).to(x0.dtype)
