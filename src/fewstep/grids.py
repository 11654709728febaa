r"""Noise levels at which a sampler stops: float64, strictly decreasing, the last 0 written out.

``n`` is the number of steps, so a grid has n + 1 entries: σ_0 = σ_max, …, σ_{n−1} = σ_min, σ_n = 0.
With n = 1 it is [σ_max, 0].
"""

from math import log
from typing import Any

import torch

from ._checks import count, number, numbers, require
from .processes import VP, Process
from .schedules import Chain, iddpm_levels


def check(sigmas: Any) -> torch.Tensor:
    """``sigmas`` as a float64 grid.

    sigmas: at least two finite levels, strictly decreasing, none negative; else ValueError.
    """
    grid = numbers("sigmas", sigmas).cpu()
    require(grid.ndim == 1 and len(grid) >= 2, "sigmas.shape", tuple(grid.shape), "(n + 1,), n ≥ 1")
    require((grid >= 0).all(), "sigmas", sigmas, "non-negative")
    require((grid.diff() < 0).all(), "sigmas", sigmas, "strictly decreasing")
    return grid


def _between(n: int, sigma_max: float, sigma_min: float) -> torch.Tensor:
    """n values at equal distances, from σ_max to σ_min on the caller's own scale."""
    return torch.linspace(sigma_max, sigma_min, n, dtype=torch.float64)


def _with_zero(sigmas: torch.Tensor) -> torch.Tensor:
    return check(torch.cat([sigmas, torch.zeros(1, dtype=torch.float64)]))


def _range(n: int, sigma_min: float, sigma_max: float) -> tuple[float, float]:
    count("n", n)
    low = number("sigma_min", sigma_min, above=0)
    return low, number("sigma_max", sigma_max, above=low)


def edm(
    n: int, sigma_min: float = 0.002, sigma_max: float = 80.0, rho: float = 7.0
) -> torch.Tensor:
    """σ_i = (σ_max^{1/ρ} + i/(n−1) (σ_min^{1/ρ} − σ_max^{1/ρ}))^ρ (Karras et al. 2022, eq. 5).

    n: steps.  sigma_min, sigma_max: ends, in data units.  rho: > 0; larger means shorter steps at
    low noise.  Returns (n + 1,), ends in 0.
    """
    low, high = _range(n, sigma_min, sigma_max)
    number("rho", rho, above=0, at_most=1000)
    largest = max(abs(log(low)), abs(log(high))) / rho
    require(largest < 700, "rho", rho, "so large that σ^{1/ρ} stays within float64")
    return _with_zero(_between(n, high ** (1 / rho), low ** (1 / rho)) ** rho)


def vp(n: int, process: VP = VP(), t_min: float = 1e-3) -> torch.Tensor:
    """σ(t) of a VP process at n equal times from 1 down to ``t_min``, then 0 (Song et al. 2021).

    n: steps.  t_min: in (0, 1).  Returns (n + 1,).
    """
    require(isinstance(process, Process), "process", process, "a Process, such as VP()")
    low = number("t_min", t_min, above=0, below=1)
    return _with_zero(process.sigma(_between(count("n", n), 1.0, low)))


def ve(n: int, sigma_min: float = 0.02, sigma_max: float = 100.0) -> torch.Tensor:
    """n levels in geometric progression from σ_max to σ_min, then 0 (Song et al. 2021).

    n: steps.  sigma_min, sigma_max: ends, in data units.  Returns (n + 1,).
    """
    low, high = _range(n, sigma_min, sigma_max)
    return _with_zero(_between(n, log(high), log(low)).exp())


def iddpm(n: int, M: int = 1000, j0: int = 8) -> torch.Tensor:
    """n of the levels u_{j0} … u_{M−1}, equally spaced in j, then 0 (Karras et al. 2022, table 1).

    n: steps, at most M − j0.  M: levels of the network.  j0: first of them.  Returns (n + 1,).
    """
    count("j0", j0, 0, count("M", M) - 1)
    count("n", n, 1, M - j0)
    j = j0 + torch.arange(n, dtype=torch.float64) * (M - 1 - j0) / max(n - 1, 1)
    return _with_zero(iddpm_levels(M)[(j + 0.5).floor().long()])


def respaced(n: int, chain: Chain) -> torch.Tensor:
    """σ_t of a chain at n steps t equally spaced from T down to 1, rounded, then 0: DDIM's usual
    grid.

    n: steps, at most T.  Returns (n + 1,).
    """
    require(isinstance(chain, Chain), "chain", chain, "a Chain, such as schedules.linear(1000)")
    t = _between(count("n", n, 1, chain.T), chain.T, 1)
    return _with_zero(chain.sigmas[t.round().long()])


def round_to(sigmas: Any, levels: Any) -> torch.Tensor:
    """Each positive level of a grid moved to the nearest one of ``levels``; 0 stays.

    sigmas: a grid.  levels: (M,), of a network that was trained on a list, as ``D.levels``.
    Round the grid first and churn after: a rounded σ̂ would undo the churn.
    Raises ValueError where two levels fall together.
    """
    grid, levels = check(sigmas), numbers("levels", levels)
    listed = levels.ndim == 1 and (levels > 0).any()
    require(listed, "levels", levels, "a list (M,) with a positive level in it")
    levels = levels[levels > 0]
    rounded = torch.where(grid == 0, 0.0, levels[(grid[:, None] - levels).abs().argmin(1)])
    apart = (rounded.diff() < 0).all()
    allowed = f"apart after rounding to levels from {levels.min():g} to {levels.max():g}"
    require(apart, "sigmas", sigmas, f"{allowed}: take fewer steps or a higher sigma_min")
    return rounded
