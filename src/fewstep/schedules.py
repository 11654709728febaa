r"""Discrete variance-preserving chains :math:`x_t = \sqrt{1-\beta_t}\,x_{t-1} +
\sqrt{\beta_t}\,\varepsilon_t`, :math:`t = 1 \dots T`.

A chain is its list of β. Arrays that also have a value at t = 0 (the data: ᾱ_0 = 1, σ_0 = 0) have
length T + 1, so that ``chain.alpha_bars[t]`` is ᾱ_t. Everything is float64.
"""

from dataclasses import dataclass

import torch

from ._checks import count, number, numbers, per_sample, require, state
from .processes import Process


@dataclass(frozen=True, eq=False)
class Chain:
    """A variance-preserving chain of T steps.

    ``betas``: (T,) with entries in (0, 1); ``betas[t - 1]`` is β_t.
    """

    betas: torch.Tensor

    def __post_init__(self):
        betas = numbers("betas", self.betas)
        require(
            betas.ndim == 1 and len(betas) >= 1,
            "betas.shape",
            tuple(betas.shape),
            "(T,) with T >= 1",
        )
        require(
            bool(((betas > 0) & (betas < 1)).all()),
            "betas",
            f"[{betas.min():g}, {betas.max():g}]",
            "all inside (0, 1)",
        )
        object.__setattr__(self, "betas", betas)

    @property
    def T(self) -> int:
        """Number of noising steps."""
        return len(self.betas)

    @property
    def alpha_bars(self) -> torch.Tensor:
        """ᾱ_0 … ᾱ_T, ᾱ_t = Π_{i ≤ t} (1 − β_i): the share of the data's variance left at step t.

        Shape (T + 1,).
        """
        return torch.cat([torch.ones(1, dtype=torch.float64), torch.cumprod(1 - self.betas, 0)])

    @property
    def sigmas(self) -> torch.Tensor:
        """σ_t = √((1 − ᾱ_t)/ᾱ_t): the noise level of x_t/√ᾱ_t.

        Shape (T + 1,), increasing from σ_0 = 0.
        """
        return torch.sqrt((1 - self.alpha_bars) / self.alpha_bars)

    def perturb(self, x0: torch.Tensor, t, noise: torch.Tensor) -> torch.Tensor:
        """A sample of q(x_t | x_0): √ᾱ_t x_0 + √(1 − ᾱ_t) noise.

        ``t``: an integer or (B,) integers in 0 … T.
        """
        self._check_pair("noise", noise, "x0", x0)
        alpha_bar = self.alpha_bars[self._index(t, 0)]
        return (
            per_sample(alpha_bar.sqrt(), x0) * x0 + per_sample((1 - alpha_bar).sqrt(), x0) * noise
        )

    def posterior(
        self, x_t: torch.Tensor, x0: torch.Tensor, t
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean (B, ...) and variance (scalar or (B,)) of q(x_{t−1} | x_t, x_0), t in 1 … T (Ho et
        al. 2020, eq. 6–7).

        The variance is 0 at t = 1: the last step adds no noise.
        """
        self._check_pair("x0", x0, "x_t", x_t)
        t = self._index(t, 1)
        beta, a, a_before = self.betas[t - 1], self.alpha_bars[t], self.alpha_bars[t - 1]
        to_x0 = a_before.sqrt() * beta / (1 - a)
        to_x_t = (1 - beta).sqrt() * (1 - a_before) / (1 - a)
        return per_sample(to_x0, x0) * x0 + per_sample(to_x_t, x_t) * x_t, beta * (1 - a_before) / (
            1 - a
        )

    def _check_pair(self, name, x, name_of_other, other):
        state(name, x)
        state(name_of_other, other)
        require(
            x.shape == other.shape,
            f"{name}.shape",
            tuple(x.shape),
            f"{name_of_other}'s shape {tuple(other.shape)}",
        )

    def _index(self, t, low):
        t = torch.as_tensor(t).cpu()
        require(
            not t.is_floating_point() and bool(((t >= low) & (t <= self.T)).all()),
            "t",
            t.tolist(),
            f"integers in {low} … {self.T}",
        )
        return t


def _check_betas(start, end, advice=""):
    start, end = number("beta_start", start), number("beta_end", end)
    require(
        0 < start <= end < 1,
        "beta_start, beta_end",
        (start, end),
        "0 < beta_start <= beta_end < 1" + advice,
    )


def linear(T: int, beta_start: float | None = None, beta_end: float | None = None) -> Chain:
    """β from ``beta_start`` to ``beta_end`` in equal steps (Ho et al.

    2020: 1e-4 to 0.02 at T = 1000).

    The defaults scale with 1000/T so that ᾱ_T stays about the same; β_end = 20/T then reaches 1 at
    T = 20, and such a T is refused.
    """
    scale = 1000 / count("T", T)
    start = 1e-4 * scale if beta_start is None else beta_start
    end = 0.02 * scale if beta_end is None else beta_end
    _check_betas(start, end, "; the scaled defaults 0.1/T, 20/T allow only T > 20")
    return Chain(torch.linspace(start, end, T, dtype=torch.float64))


def quadratic(T: int, beta_start: float = 1e-4, beta_end: float = 0.02) -> Chain:
    """√β in equal steps, so β grows quadratically (also called "scaled linear")."""
    _check_betas(beta_start, beta_end)
    return Chain(
        torch.linspace(beta_start**0.5, beta_end**0.5, count("T", T), dtype=torch.float64) ** 2
    )


def sigmoid_beta(
    T: int, beta_start: float = 1e-4, beta_end: float = 0.02, width: float = 6.0
) -> Chain:
    """β rises along a sigmoid over [−width, width].

    One of two things called "sigmoid schedule"; see ``sigmoid_alpha_bar``.
    """
    _check_betas(beta_start, beta_end)
    ramp = torch.sigmoid(torch.linspace(-width, width, count("T", T), dtype=torch.float64))
    return Chain(beta_start + (beta_end - beta_start) * ramp)


def from_alpha_bars(alpha_bars, beta_max: float = 0.999) -> Chain:
    """The chain with the given ᾱ_0 … ᾱ_T (decreasing, ᾱ_0 = 1); β = 1 − ᾱ_t/ᾱ_{t−1} is clipped at
    ``beta_max``.
    """
    alpha_bars = numbers("alpha_bars", alpha_bars)
    require(
        alpha_bars.ndim == 1 and len(alpha_bars) >= 2,
        "alpha_bars.shape",
        tuple(alpha_bars.shape),
        "(T + 1,) with T >= 1",
    )
    require(
        abs(float(alpha_bars[0]) - 1) < 1e-12
        and bool((alpha_bars.diff() < 0).all())
        and float(alpha_bars[-1]) >= 0,
        "alpha_bars",
        alpha_bars.tolist()[:3],
        "1 at the start and strictly decreasing, never negative",
    )
    return Chain((1 - alpha_bars[1:] / alpha_bars[:-1]).clamp(max=beta_max))


def cosine(T: int, offset: float = 0.008) -> Chain:
    """ᾱ_t ∝ cos²(π/2 · (t/T + offset)/(1 + offset)), β clipped at 0.999 (Nichol & Dhariwal 2021,
    eq. 17).
    """
    require(number("offset", offset) >= 0, "offset", offset, "non-negative")
    t = torch.arange(count("T", T) + 1, dtype=torch.float64) / T
    alpha_bars = torch.cos(0.5 * torch.pi * (t + offset) / (1 + offset)) ** 2
    return from_alpha_bars(alpha_bars / alpha_bars[0])


def sigmoid_alpha_bar(
    T: int, start: float = -3.0, end: float = 3.0, temperature: float = 1.0
) -> Chain:
    """ᾱ falls along a sigmoid from ``start`` to ``end``, rescaled to run from 1 to 0 (Jabri et al.

    2022; Chen 2023).
    """
    require(number("start", start) < number("end", end), "start, end", (start, end), "start < end")
    require(number("temperature", temperature) > 0, "temperature", temperature, "positive")
    t = torch.arange(count("T", T) + 1, dtype=torch.float64) / T
    curve = torch.sigmoid(-(start + t * (end - start)) / temperature)
    return from_alpha_bars((curve - curve[-1]) / (curve[0] - curve[-1]))


def from_process(process: Process, T: int) -> Chain:
    """The chain that a variance-preserving process makes when observed at T equal times up to t =
    1: ᾱ_t = s(t/T)².
    """
    times = torch.arange(count("T", T) + 1, dtype=torch.float64) / T
    s, sigma = process.s(times), process.sigma(times)
    require(
        torch.allclose(s**2 * (1 + sigma**2), torch.ones_like(s)),
        "process",
        process,
        "variance preserving: s² (1 + σ²) = 1",
    )
    return from_alpha_bars(s**2)
