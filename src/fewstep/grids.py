r"""Noise levels at which a sampler stops: float64, strictly decreasing, with the terminal 0 written
out.

``n`` is the number of steps, so a grid has n + 1 entries: σ_0 = σ_max, …, σ_{n−1} = σ_min, σ_n = 0.
With n = 1 it is [σ_max, 0].
"""

import torch

from ._checks import count, number, numbers, require
from .processes import VP
from .schedules import Chain


def check(sigmas) -> torch.Tensor:
    """``sigmas`` as a float64 grid: at least two finite levels, strictly decreasing, none
    negative. Else ``ValueError``.
    """
    sigmas = numbers("sigmas", sigmas).cpu()
    require(
        sigmas.ndim == 1 and len(sigmas) >= 2,
        "sigmas.shape",
        tuple(sigmas.shape),
        "(n + 1,) with n >= 1 steps",
    )
    require(bool((sigmas >= 0).all()), "sigmas", f"smallest {sigmas.min():g}", "non-negative")
    require(bool((sigmas.diff() < 0).all()), "sigmas", sigmas.tolist(), "strictly decreasing")
    return sigmas


def _check_range(n, low, high, names):
    count("n", n)
    low, high = (number(name, value) for name, value in zip(names, (low, high)))
    require(0 < low < high, ", ".join(names), (low, high), f"0 < {names[0]} < {names[1]}")


def _with_zero(sigmas) -> torch.Tensor:
    return check(torch.cat([sigmas, torch.zeros(1, dtype=torch.float64)]))


def edm(
    n: int, sigma_min: float = 0.002, sigma_max: float = 80.0, rho: float = 7.0
) -> torch.Tensor:
    """σ_i = (σ_max^{1/ρ} + i/(n−1) (σ_min^{1/ρ} − σ_max^{1/ρ}))^ρ, i < n; σ_n = 0 (Karras et al.

    2022, eq. 5).
    """
    _check_range(n, sigma_min, sigma_max, ("sigma_min", "sigma_max"))
    require(number("rho", rho) > 0, "rho", rho, "positive")
    ends = [sigma_max ** (1 / rho), sigma_min ** (1 / rho)]
    return _with_zero(torch.linspace(*ends, n, dtype=torch.float64) ** rho)


def vp(n: int, process: VP = VP(), t_min: float = 1e-3) -> torch.Tensor:
    """σ(t) of a VP process at n equal times from 1 down to ``t_min``, then 0 (Song et al. 2021)."""
    _check_range(n, t_min, 1.0, ("t_min", "t_max"))
    return _with_zero(process.sigma(torch.linspace(1, t_min, n, dtype=torch.float64)))


def ve(n: int, sigma_min: float = 0.02, sigma_max: float = 100.0) -> torch.Tensor:
    """n levels in geometric progression from σ_max to σ_min, then 0 (Song et al. 2021)."""
    _check_range(n, sigma_min, sigma_max, ("sigma_min", "sigma_max"))
    ends = [torch.tensor(v, dtype=torch.float64).log() for v in (sigma_max, sigma_min)]
    return _with_zero(torch.linspace(*ends, n, dtype=torch.float64).exp())


def iddpm_levels(M: int = 1000, c1: float = 0.001, c2: float = 0.008) -> torch.Tensor:
    """The M + 1 noise levels u_0 > … > u_M = 0 of improved DDPM, by recursion (Karras et al.

    2022, table 1).

    u_{j−1} = √((u_j² + 1)/max(ᾱ_{j−1}/ᾱ_j, c1) − 1) with ᾱ_j = sin²(π/2 · j/(M (c2 + 1))).
    """
    count("M", M)
    require(number("c1", c1) > 0 and number("c2", c2) > 0, "c1, c2", (c1, c2), "positive")
    alpha_bars = (
        torch.sin(0.5 * torch.pi * torch.arange(M + 1, dtype=torch.float64) / (M * (c2 + 1))) ** 2
    )
    levels = torch.zeros(M + 1, dtype=torch.float64)
    for j in range(M, 0, -1):
        levels[j - 1] = torch.sqrt(
            (levels[j] ** 2 + 1) / (alpha_bars[j - 1] / alpha_bars[j]).clamp(min=c1) - 1
        )
    return levels


def iddpm(n: int, M: int = 1000, j0: int = 8) -> torch.Tensor:
    """n of the levels u_{j0} … u_{M−1}, equally spaced in j, then 0 (Karras et al.

    2022, table 1).
    """
    levels = iddpm_levels(M)
    require(0 <= j0 < M, "j0", j0, f"in 0 … {M - 1}")
    require(count("n", n) <= M - j0, "n", n, f"an integer in 1 … M - j0 = {M - j0}")
    index = (
        (j0 + torch.arange(n, dtype=torch.float64) * (M - 1 - j0) / max(n - 1, 1) + 0.5)
        .floor()
        .long()
    )
    return _with_zero(levels[index])


def respaced(n: int, chain: Chain) -> torch.Tensor:
    """σ_t of a discrete chain at n steps t equally spaced from T down to 1 (rounded), then 0:
    DDIM's usual grid.
    """
    require(count("n", n) <= chain.T, "n", n, f"an integer in 1 … T = {chain.T}")
    t = torch.linspace(chain.T, 1, n, dtype=torch.float64).round().long()
    return _with_zero(chain.sigmas[t])


def round_to(sigmas: torch.Tensor, levels: torch.Tensor) -> torch.Tensor:
    """Each positive level of a grid moved to the nearest positive one of ``levels``; 0 stays.

    For networks trained on a list of σ.

    Round the grid first and churn after: a rounded σ̂ would undo the churn. Two levels that fall
    together raise ``ValueError``.
    """
    sigmas, levels = check(sigmas), numbers("levels", levels)
    require(
        levels.ndim == 1 and bool((levels > 0).any()),
        "levels",
        levels.tolist(),
        "a list (M,) with a positive level in it",
    )
    levels = levels[levels > 0]
    rounded = torch.where(sigmas == 0, 0.0, levels[(sigmas[:, None] - levels).abs().argmin(1)])
    require(
        bool((rounded.diff() < 0).all()),
        "sigmas",
        sigmas.tolist(),
        f"apart after rounding to levels from {levels.min():g} to {levels.max():g}: take fewer steps or a higher sigma_min",
    )
    return rounded
