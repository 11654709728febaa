r"""Discrete variance-preserving chains.

.. math:: x_t = \sqrt{1-\beta_t}\,x_{t-1} + \sqrt{\beta_t}\,\varepsilon_t, \qquad t = 1 \dots T.

A chain is its list of β. Arrays that also have a value at t = 0 (the data: ᾱ_0 = 1, σ_0 = 0) have
length T + 1, so that ``chain.alpha_bars[t]`` is ᾱ_t. Everything is float64.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch

from ._checks import (
    count,
    finite,
    integers,
    number,
    numbers,
    per_sample,
    require,
    same_shape,
    state,
)
from .processes import Process


@dataclass(frozen=True, eq=False)
class Chain:
    """A variance-preserving chain of T steps.

    betas: (T,), all inside (0, 1); ``betas[t - 1]`` is β_t.  Raises ValueError for others.
    """

    betas: torch.Tensor

    def __post_init__(self) -> None:
        betas = numbers("betas", self.betas)
        require(
            betas.ndim == 1 and len(betas) > 0, "betas.shape", tuple(betas.shape), "(T,), T ≥ 1"
        )
        require(((betas > 0) & (betas < 1)).all(), "betas", betas, "all inside (0, 1)")
        object.__setattr__(self, "betas", betas)

    @property
    def T(self) -> int:
        """Number of noising steps."""
        return len(self.betas)

    @cached_property
    def alpha_bars(self) -> torch.Tensor:
        """ᾱ_0 … ᾱ_T, (T + 1,): ᾱ_t = Π_{i ≤ t} (1 − β_i), the share of the data's variance left."""
        return torch.cat([torch.ones(1, dtype=torch.float64), torch.cumprod(1 - self.betas, 0)])

    @cached_property
    def sigmas(self) -> torch.Tensor:
        """σ_0 … σ_T, (T + 1,): σ_t = √((1 − ᾱ_t)/ᾱ_t), the noise level of x_t/√ᾱ_t."""
        return torch.sqrt((1 - self.alpha_bars) / self.alpha_bars)

    def perturb(self, x0: torch.Tensor, t: Any, noise: torch.Tensor) -> torch.Tensor:
        """A sample of q(x_t | x_0): √ᾱ_t x_0 + √(1 − ᾱ_t) noise.

        x0, noise: (B, ...), finite.  t: an integer in 0 … T or integers (B,).
        Raises ValueError for anything else.
        """
        state("x0", x0)
        same_shape("noise", noise, "x0", x0)
        finite("x0", x0)
        finite("noise", noise)
        t = self._steps(t, 0)
        alpha_bar = self.alpha_bars.to(t.device)[t]
        mean = per_sample(alpha_bar.sqrt(), x0, "t") * x0
        return mean + per_sample((1 - alpha_bar).sqrt(), x0, "t") * noise

    def posterior(
        self, x_t: torch.Tensor, x0: torch.Tensor, t: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean and variance of q(x_{t−1} | x_t, x_0) (Ho et al. 2020, eq. 6 and 7).

        x_t, x0: (B, ...).  t: an integer in 1 … T or integers (B,).
        Returns the mean (B, ...) and the variance, float64 () or (B,); at t = 1 it is 0.
        Raises ValueError for other t, shapes or types.
        """
        state("x_t", x_t)
        same_shape("x0", x0, "x_t", x_t)
        t = self._steps(t, 1)
        alpha_bars, betas = self.alpha_bars.to(t.device), self.betas.to(t.device)
        a, a_before, beta = alpha_bars[t], alpha_bars[t - 1], betas[t - 1]
        to_x0 = a_before.sqrt() * beta / (1 - a)
        to_x_t = (1 - beta).sqrt() * (1 - a_before) / (1 - a)
        mean = per_sample(to_x0, x0, "t") * x0 + per_sample(to_x_t, x_t, "t") * x_t
        return mean, beta * (1 - a_before) / (1 - a)

    def _steps(self, t: Any, low: int) -> torch.Tensor:
        """t as integers within the chain; a negative one would pick an entry from its end."""
        allowed = f"integers in {low} … {self.T}"
        steps = integers("t", t, allowed)
        require(((steps >= low) & (steps <= self.T)).all(), "t", t, allowed)
        return steps


def _ends(beta_start: float, beta_end: float, advice: str = "") -> tuple[float, float]:
    start, end = number("beta_start", beta_start), number("beta_end", beta_end)
    allowed = f"0 < beta_start <= beta_end < 1{advice}"
    require(0 < start <= end < 1, "beta_start, beta_end", (start, end), allowed)
    return start, end


def linear(T: int, beta_start: float | None = None, beta_end: float | None = None) -> Chain:
    """β from ``beta_start`` to ``beta_end`` in equal steps (Ho et al. 2020, at T = 1000).

    T: number of steps.  beta_start, beta_end: by default 0.1/T and 20/T, so that ᾱ_T stays about
    the same; 20/T reaches 1 at T = 20, and such a T is refused.
    """
    T = count("T", T)
    start = 0.1 / T if beta_start is None else beta_start
    end = 20 / T if beta_end is None else beta_end
    ends = _ends(start, end, "; the defaults 0.1/T, 20/T allow only T > 20")
    return Chain(torch.linspace(*ends, T, dtype=torch.float64))


def quadratic(T: int, beta_start: float = 1e-4, beta_end: float = 0.02) -> Chain:
    """√β in equal steps, so β grows quadratically (also called "scaled linear").

    T: number of steps.  beta_start, beta_end: first and last β.
    """
    start, end = _ends(beta_start, beta_end)
    return Chain(torch.linspace(start**0.5, end**0.5, count("T", T), dtype=torch.float64) ** 2)


def sigmoid_beta(
    T: int, beta_start: float = 1e-4, beta_end: float = 0.02, width: float = 6.0
) -> Chain:
    """β rises along a sigmoid over [−width, width]. The other "sigmoid schedule" is of ᾱ.

    T: number of steps.  beta_start, beta_end: the sigmoid's asymptotes.  width: > 0.
    """
    start, end = _ends(beta_start, beta_end)
    width = number("width", width, above=0)
    ramp = torch.sigmoid(torch.linspace(-width, width, count("T", T), dtype=torch.float64))
    return Chain(start + (end - start) * ramp)


def from_alpha_bars(alpha_bars: Any, beta_max: float = 0.999) -> Chain:
    """The chain with given ᾱ; β = 1 − ᾱ_t/ᾱ_{t−1} is clipped at ``beta_max``.

    alpha_bars: ᾱ_0 = 1, … ᾱ_T, strictly decreasing.  beta_max: in (0, 1).
    """
    a = numbers("alpha_bars", alpha_bars)
    require(a.ndim == 1 and len(a) >= 2, "alpha_bars.shape", tuple(a.shape), "(T + 1,), T ≥ 1")
    falls = abs(float(a[0]) - 1) < 1e-12 and (a.diff() < 0).all() and a[-1] >= 0
    require(falls, "alpha_bars", a, "1 at the start and strictly decreasing, never negative")
    return Chain((1 - a[1:] / a[:-1]).clamp(max=number("beta_max", beta_max, above=0, below=1)))


def cosine(T: int, offset: float = 0.008) -> Chain:
    """ᾱ_t ∝ cos²(π/2 · (t/T + offset)/(1 + offset)) (Nichol & Dhariwal 2021, eq. 17).

    T: number of steps.  offset: ≥ 0.  β is clipped at 0.999.
    """
    number("offset", offset, at_least=0)
    t = torch.arange(count("T", T) + 1, dtype=torch.float64) / T
    alpha_bars = torch.cos(0.5 * torch.pi * (t + offset) / (1 + offset)) ** 2
    return from_alpha_bars(alpha_bars / alpha_bars[0])


def sigmoid_alpha_bar(
    T: int, start: float = -3.0, end: float = 3.0, temperature: float = 1.0
) -> Chain:
    """ᾱ falls along a sigmoid, rescaled to run from 1 to 0 (Jabri et al. 2022; Chen 2023).

    T: number of steps.  start, end: of the sigmoid's argument, times 1/temperature.
    """
    number("end", end, above=number("start", start))
    number("temperature", temperature, above=0)
    t = torch.arange(count("T", T) + 1, dtype=torch.float64) / T
    curve = torch.sigmoid(-(start + t * (end - start)) / temperature)
    return from_alpha_bars((curve - curve[-1]) / (curve[0] - curve[-1]))


def from_process(process: Process, T: int) -> Chain:
    """The chain that a variance-preserving process makes at T equal times up to t = 1.

    process: with s² (1 + σ²) = 1, such as VP.  T: number of steps.  ᾱ_t = s(t/T)².
    """
    require(isinstance(process, Process), "process", process, "a Process, such as VP()")
    now = process.at(torch.arange(count("T", T) + 1, dtype=torch.float64) / T)
    kept = torch.allclose(now.s**2 * (1 + now.sigma**2), torch.ones_like(now.s))
    require(kept, "process", process, "variance preserving: s² (1 + σ²) = 1")
    return from_alpha_bars(now.s**2)


def reverse_variances(sigma: Any, sigma_next: Any) -> tuple[Any, Any]:
    """The variances β̃ and β between which a reverse step's lies (Nichol & Dhariwal 2021, eq. 15).

    Of x/s at σ_next: β̃ = σ_next² (1 − σ_next²/σ²), that of the posterior given x_0, is right where
    the data are a point; β = (σ² − σ_next²)(1 + σ_next²)/(1 + σ²) where they are N(0, I). Times
    1/(1 + σ_next²) they are a VP chain's β̃_t and β_t, of neighbours or of any two of its levels.

    sigma > sigma_next ≥ 0: two numbers, or two float64 tensors of one shape; looks at no value.
    """
    for name, value in (("sigma", sigma), ("sigma_next", sigma_next)):
        if not isinstance(value, torch.Tensor):
            number(name, value, at_least=0)
        elif value.dtype != torch.float64:
            raise ValueError(f"{name}.dtype = {value.dtype}: must be torch.float64")
    fallen = sigma**2 - sigma_next**2
    return sigma_next**2 * fallen / sigma**2, fallen * (1 + sigma_next**2) / (1 + sigma**2)


def iddpm_levels(M: int = 1000, c1: float = 0.001, c2: float = 0.008) -> torch.Tensor:
    """The levels u_0 > … > u_M = 0 of improved DDPM, by recursion (Karras et al. 2022, table 1).

    u_{j−1} = √((u_j² + 1)/max(ᾱ_{j−1}/ᾱ_j, c1) − 1) with ᾱ_j = sin²(π/2 · j/(M (c2 + 1))).

    M: number of steps.  c1: in (0, 1).  c2: > 0.  Returns (M + 1,) float64.
    """
    number("c1", c1, above=0, below=1)
    number("c2", c2, above=0)
    j = torch.arange(count("M", M) + 1, dtype=torch.float64)
    alpha_bars = torch.sin(0.5 * torch.pi * j / (M * (c2 + 1))) ** 2
    ratios = (alpha_bars[:-1] / alpha_bars[1:]).clamp(min=c1).tolist()
    levels = [0.0]
    for ratio in reversed(ratios):
        levels.append(((levels[-1] ** 2 + 1) / ratio - 1) ** 0.5)
    return torch.tensor(levels[::-1], dtype=torch.float64)
