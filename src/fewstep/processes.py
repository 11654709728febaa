r"""Continuous noising processes in one frame: :math:`x_t = s(t)\,(x_0 + \sigma(t)\,\varepsilon)`,
:math:`\varepsilon \sim N(0, I)`.

A process is given by its noise level σ(t), its scale s(t) and their time derivatives. Everything
else follows (Karras et al. 2022, appendix B): it is the linear SDE :math:`dx = f(t)\,x\,dt +
g(t)\,dw` with

.. math:: f = \dot s / s, \qquad g = s \sqrt{2 \dot\sigma \sigma}.

All functions of time take a number or a tensor and return float64 tensors of the same shape.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from ._checks import number, numbers, per_sample, require, state


@dataclass(frozen=True)
class Process:
    """Base of all processes: what follows from σ(t) and s(t).

    Subclasses define σ, its inverse, s and the derivatives.
    """

    def _time(self, t) -> torch.Tensor:
        t = numbers("t", t)
        low, high = self.domain
        require(
            bool(((t >= low) & (t <= high * (1 + 1e-12))).all()),
            "t",
            t.tolist(),
            f"in [{low:g}, {high:g}]",
        )
        return t

    def _level(self, sigma) -> torch.Tensor:
        sigma = numbers("sigma", sigma)
        require(bool((sigma >= 0).all()), "sigma", sigma.tolist(), "non-negative")
        return sigma

    @property
    def domain(self) -> tuple[float, float]:
        """Smallest and largest time at which the process is defined."""
        return 0.0, float("inf")

    @property
    def sigma_max(self) -> float:
        """The highest noise level of the process: σ at the end of its domain."""
        return float(self.sigma(self.domain[1])) if np.isfinite(self.domain[1]) else float("inf")

    def f(self, t) -> torch.Tensor:
        """Drift coefficient f(t) = ṡ/s of dx = f x dt + g dw, in 1/time."""
        return self.ds(t) / self.s(t)

    def g(self, t) -> torch.Tensor:
        """Diffusion coefficient g(t) = s √(2 σ̇ σ) of dx = f x dt + g dw, in data units / √time."""
        return self.s(t) * torch.sqrt(2 * self.dsigma(t) * self.sigma(t))

    def perturb(self, x0: torch.Tensor, t, noise: torch.Tensor) -> torch.Tensor:
        """A sample of p(x_t | x_0): s(t) (x_0 + σ(t) noise).

        ``x0``, ``noise``: (B, ...); ``t``: scalar or (B,).
        """
        state("x0", x0)
        state("noise", noise)
        require(
            noise.shape == x0.shape,
            "noise.shape",
            tuple(noise.shape),
            f"x0's shape {tuple(x0.shape)}",
        )
        return per_sample(self.s(t), x0) * (x0 + per_sample(self.sigma(t), x0) * noise)


@dataclass(frozen=True)
class EDM(Process):
    """Karras et al. 2022: σ(t) = t, s(t) = 1. Time is the noise level itself."""

    def sigma(self, t):
        return self._time(t)

    def sigma_inv(self, sigma):
        return self._level(sigma)

    def dsigma(self, t):
        return torch.ones_like(self._time(t))

    def s(self, t):
        return torch.ones_like(self._time(t))

    def ds(self, t):
        return torch.zeros_like(self._time(t))


@dataclass(frozen=True)
class VE(Process):
    """Variance exploding (Song et al. 2021, in the form of Karras et al.

    2022): σ(t) = √t, s(t) = 1, so g = 1.
    """

    def sigma(self, t):
        return torch.sqrt(self._time(t))

    def sigma_inv(self, sigma):
        return self._level(sigma) ** 2

    def dsigma(self, t):
        return 0.5 / torch.sqrt(self._time(t))

    def s(self, t):
        return torch.ones_like(self._time(t))

    def ds(self, t):
        return torch.zeros_like(self._time(t))

    def g(self, t):  # where σ̇ is infinite, at t = 0, the general formula is 0 · ∞
        return torch.ones_like(self._time(t))


@dataclass(frozen=True)
class VP(Process):
    """Variance preserving (Song et al. 2021): β(t) = β_min + β_d t on t ∈ [0, 1], f = −β/2, g = √β.

    With B(t) = ∫₀ᵗ β = β_min t + ½ β_d t²: s = e^{−B/2} and σ = √(e^B − 1), so that s²(1 + σ²) = 1.
    """

    beta_d: float = 19.9
    beta_min: float = 0.1

    def __post_init__(self):
        for name in ("beta_d", "beta_min"):
            value = number(name, getattr(self, name))
            require(value >= 0, name, value, "non-negative")
        require(self.beta_d + self.beta_min > 0, "beta_d + beta_min", 0, "positive")

    @classmethod
    def with_levels(cls, sigma_min: float, sigma_max: float, t_min: float = 1e-3) -> "VP":
        """The VP process with σ(t_min) = sigma_min and σ(1) = sigma_max.

        It is another schedule, not a cut of the default one.
        """
        low, high = number("sigma_min", sigma_min), number("sigma_max", sigma_max)
        require(0 < low < high, "sigma_min, sigma_max", (low, high), "0 < sigma_min < sigma_max")
        require(0 < number("t_min", t_min) < 1, "t_min", t_min, "in (0, 1)")
        b_low, b_high = np.log1p(low**2), np.log1p(high**2)
        require(
            t_min**2 * b_high <= b_low <= t_min * b_high,
            "sigma_min, sigma_max, t_min",
            (low, high, t_min),
            "such that β(t) >= 0 on [0, 1]: t_min² ln(1 + σ_max²) <= ln(1 + σ_min²) <= t_min ln(1 + σ_max²)",
        )
        beta_d = 2 * (b_low / t_min - b_high) / (t_min - 1)
        return cls(
            beta_d=max(beta_d, 0.0), beta_min=max(b_high - beta_d / 2, 0.0)
        )  # rounding may leave −1e-16

    @property
    def domain(self):
        return 0.0, 1.0

    def beta(self, t):
        """β(t) = β_min + β_d t, in 1/time."""
        return self.beta_min + self.beta_d * self._time(t)

    def _log_growth(self, t):  # B(t); s and σ depend on time only through it
        t = self._time(t)
        return self.beta_min * t + 0.5 * self.beta_d * t**2

    def sigma(self, t):
        return torch.sqrt(torch.expm1(self._log_growth(t)))

    def _time_of(
        self, growth
    ):  # the positive root of ½ β_d t² + β_min t = B, in the form that cancels nothing when B is small
        return (
            2 * growth / (self.beta_min + torch.sqrt(self.beta_min**2 + 2 * self.beta_d * growth))
        )

    def sigma_inv(self, sigma):
        return self._time_of(torch.log1p(self._level(sigma) ** 2))

    def dsigma(self, t):
        sigma = self.sigma(t)
        return 0.5 * self.beta(t) * (sigma + 1 / sigma)

    def s(self, t):
        return torch.exp(-0.5 * self._log_growth(t))

    def ds(self, t):
        return -0.5 * self.beta(t) * self.s(t)

    def g(self, t):  # where σ̇ is infinite, at t = 0, the general formula is 0 · ∞
        return torch.sqrt(self.beta(t))


@dataclass(frozen=True)
class SubVP(Process):
    """Sub-VP (Song et al.

    2021): β(t) and f = −β/2 as in ``vp``, but g = √(β (1 − e^{−2B})), so s = e^{−B/2} and σ = 2
    sinh(B/2).

    The noise in x_t has variance s²σ² = (1 − e^{−B})², below the 1 − e^{−B} of VP.
    """

    vp: VP = VP()

    @property
    def domain(self):
        return self.vp.domain

    def sigma(self, t):
        return 2 * torch.sinh(0.5 * self.vp._log_growth(t))

    def sigma_inv(self, sigma):
        return self.vp._time_of(2 * torch.asinh(0.5 * self._level(sigma)))

    def dsigma(self, t):
        return self.vp.beta(t) * torch.cosh(0.5 * self.vp._log_growth(t))

    def s(self, t):
        return self.vp.s(t)

    def ds(self, t):
        return self.vp.ds(t)


@dataclass(frozen=True)
class FromSDE(Process):
    """The process of any linear SDE dx = f(t) x dt + g(t) dw on [0, t_max], by quadrature.

    ``drift`` and ``diffusion`` map a NumPy array of times to arrays (f in 1/time, g in data units /
    √time). Uses s = exp ∫f and σ² = ∫ g²/s², integrated to a relative 1e-12. Raises ``ValueError``
    where f or g is not finite or g < 0.
    """

    drift: Callable
    diffusion: Callable
    t_max: float = 1.0

    def __post_init__(self):
        require(number("t_max", self.t_max) > 0, "t_max", self.t_max, "a positive, finite time")
        times = np.linspace(0, self.t_max, 1001)
        f, g = self._coefficients(times)
        require(
            bool(np.isfinite(f).all()),
            "drift",
            f"not finite at t = {times[~np.isfinite(f)][:1]}",
            "finite on [0, t_max]",
        )
        require(
            bool(np.isfinite(g).all()),
            "diffusion",
            f"not finite at t = {times[~np.isfinite(g)][:1]}",
            "finite on [0, t_max]",
        )
        require(
            bool((g >= 0).all()),
            "diffusion",
            f"{g.min():g} at t = {times[g.argmin()]:g}",
            "non-negative on [0, t_max]",
        )

    def _coefficients(self, t):
        return tuple(
            np.broadcast_to(np.asarray(c(t), dtype=np.float64), np.shape(t))
            for c in (self.drift, self.diffusion)
        )

    @property
    def domain(self):
        return 0.0, self.t_max

    @cached_property
    def _solution(self):  # t -> (log s, σ²)
        from scipy.integrate import solve_ivp

        def rhs(t, y):
            f, g = self._coefficients(np.asarray(t))
            return [float(f), float(g) ** 2 * np.exp(-2 * y[0])]

        solved = solve_ivp(
            rhs,
            (0, self.t_max),
            [0.0, 0.0],
            method="DOP853",
            rtol=1e-12,
            atol=1e-14,
            max_step=self.t_max / 200,
            dense_output=True,
        )
        require(solved.success, "drift, diffusion", solved.message, "integrable on [0, t_max]")
        return solved.sol

    def _at(self, t):
        t = self._time(t)
        values = self._solution(t.clamp(max=self.t_max).reshape(-1).numpy())
        return [torch.from_numpy(np.ascontiguousarray(v)).reshape(t.shape) for v in values]

    def sigma(self, t):
        return torch.sqrt(self._at(t)[1].clamp(min=0))

    def sigma_inv(self, sigma):
        from scipy.optimize import brentq

        sigma, top = self._level(sigma), self.sigma_max
        require(
            bool((sigma <= top * (1 + 1e-12)).all()),
            "sigma",
            sigma.tolist(),
            f"at most σ(t_max) = {top:g}",
        )
        roots = [
            0.0
            if v == 0
            else self.t_max
            if v >= top
            else brentq(lambda t: float(self.sigma(t)) - v, 0, self.t_max, xtol=1e-14, rtol=1e-13)
            for v in sigma.reshape(-1).tolist()
        ]
        return torch.tensor(roots, dtype=torch.float64).reshape(sigma.shape)

    def dsigma(self, t):
        return self.g(t) ** 2 / (2 * self.s(t) ** 2 * self.sigma(t))

    def s(self, t):
        return torch.exp(self._at(t)[0])

    def ds(self, t):
        return self.f(t) * self.s(t)

    def f(self, t):
        return torch.from_numpy(self._coefficients(self._time(t).numpy())[0].copy())

    def g(self, t):
        return torch.from_numpy(self._coefficients(self._time(t).numpy())[1].copy())
