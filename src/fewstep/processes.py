r"""Continuous noising in one frame: :math:`x_t = s(t)\,(x_0 + \sigma(t)\,\varepsilon)`.

A process is given by its noise level σ(t), its scale s(t) and their time derivatives. Everything
else follows (Karras et al. 2022, appendix B): it is the linear SDE
:math:`dx = f(t)\,x\,dt + g(t)\,dw` with

.. math:: f = \dot s / s, \qquad g = s \sqrt{2 \dot\sigma \sigma}.

All functions of time take a number or a tensor and return float64 tensors of the same shape.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from math import inf, isfinite
from typing import Any

import numpy as np
import torch

from ._checks import (
    describe,
    finite,
    function,
    number,
    numbers,
    per_sample,
    require,
    same_shape,
    state,
)


@dataclass(frozen=True)
class Instant:
    """A time t of a process and all that depends on it: σ, s, σ̇, ṡ, and f, g of the SDE.

    Its entries are float64 tensors of the shape of t, or plain floats (see ``unbind``).
    """

    t: Any
    sigma: Any
    s: Any
    dsigma: Any
    ds: Any
    f: Any
    g: Any

    @classmethod
    def of(cls, t: Any, sigma: Any, s: Any, dsigma: Any, ds: Any) -> "Instant":
        """With f = ṡ/s and g = s √(2 σ̇ σ), where these are no 0 · ∞."""
        return cls(t, sigma, s, dsigma, ds, f=ds / s, g=s * (2 * dsigma * sigma) ** 0.5)

    def unbind(self) -> list["Instant"]:
        """One instant of plain floats for each time: what the loop of a sampler walks through."""
        columns = [getattr(self, field.name).reshape(-1).tolist() for field in fields(self)]
        return [Instant(*row) for row in zip(*columns)]


@dataclass(frozen=True)
class Process:
    """Base of all processes. A subclass says what holds ``_at`` a time and how σ is inverted."""

    def _at(self, t: torch.Tensor) -> Instant:
        raise NotImplementedError

    def _time_of(self, sigma: torch.Tensor) -> torch.Tensor:
        raise NotImplementedError

    @property
    def domain(self) -> tuple[float, float]:
        """Smallest and largest time at which the process is defined."""
        return 0.0, inf

    @cached_property
    def sigma_max(self) -> float:
        """The highest noise level of the process: σ at the end of its domain."""
        return float(self.sigma(self.domain[1])) if isfinite(self.domain[1]) else inf

    def at(self, t: Any) -> Instant:
        """All quantities at the times ``t``, each computed once.

        t: number or tensor of any shape, within ``domain``.  Raises ValueError outside.
        """
        t = numbers("t", t)
        low, high = self.domain
        inside = ((t >= low) & (t <= high * (1 + 1e-12))).all()
        require(inside, "t", t, "within the domain of the process, see its attribute domain")
        return self._at(t)

    def sigma(self, t: Any) -> torch.Tensor:
        """Noise level σ(t) of x/s, in data units."""
        return self.at(t).sigma

    def s(self, t: Any) -> torch.Tensor:
        """Scale s(t), without unit; s(0) = 1."""
        return self.at(t).s

    def dsigma(self, t: Any) -> torch.Tensor:
        """Time derivative σ̇(t), in data units / time; infinite at t = 0 where σ starts as √t."""
        return self.at(t).dsigma

    def ds(self, t: Any) -> torch.Tensor:
        """Time derivative ṡ(t), in 1/time."""
        return self.at(t).ds

    def f(self, t: Any) -> torch.Tensor:
        """Drift coefficient f(t) = ṡ/s of dx = f x dt + g dw, in 1/time."""
        return self.at(t).f

    def g(self, t: Any) -> torch.Tensor:
        """Diffusion coefficient g(t) = s √(2 σ̇ σ) of dx = f x dt + g dw, in data units / √time."""
        return self.at(t).g

    def sigma_inv(self, sigma: Any) -> torch.Tensor:
        """The time at which the noise level is ``sigma``.

        sigma: number or tensor of any shape, from 0 to ``sigma_max``.  Raises ValueError outside.
        """
        sigma = numbers("sigma", sigma)
        require((sigma >= 0).all(), "sigma", sigma, "non-negative")
        if isfinite(top := self.sigma_max):
            within = (sigma <= top * (1 + 1e-12)).all()
            require(within, "sigma", sigma, f"at most the highest level of the process, {top:g}")
        t = self._time_of(sigma)
        require(torch.isfinite(t).all(), "sigma", sigma, "such that its time stays within float64")
        return t

    def perturb(self, x0: torch.Tensor, t: Any, noise: torch.Tensor) -> torch.Tensor:
        """A sample of p(x_t | x_0): s(t) (x_0 + σ(t) noise).

        x0, noise: (B, ...), finite.  t: number or (B,).  Raises ValueError for anything else.
        """
        for name, x in (("x0", x0), ("noise", noise)):
            state(name, x)
            finite(name, x)
        same_shape("noise", noise, "x0", x0)
        now = self.at(t)
        return per_sample(now.s, x0, "t") * (x0 + per_sample(now.sigma, x0, "t") * noise)


@dataclass(frozen=True)
class EDM(Process):
    """Karras et al. 2022: σ(t) = t, s(t) = 1. Time is the noise level itself."""

    def _at(self, t: torch.Tensor) -> Instant:
        one, zero = torch.ones_like(t), torch.zeros_like(t)
        return Instant.of(t, sigma=t, s=one, dsigma=one, ds=zero)

    def _time_of(self, sigma: torch.Tensor) -> torch.Tensor:
        return sigma


@dataclass(frozen=True)
class VE(Process):
    """Variance exploding: σ(t) = √t, s(t) = 1, so g = 1 (Song et al. 2021; Karras et al. 2022)."""

    def _at(self, t: torch.Tensor) -> Instant:
        sigma, one, zero = torch.sqrt(t), torch.ones_like(t), torch.zeros_like(t)
        return Instant(t, sigma, s=one, dsigma=0.5 / sigma, ds=zero, f=zero, g=one)

    def _time_of(self, sigma: torch.Tensor) -> torch.Tensor:
        return sigma**2


@dataclass(frozen=True)
class VP(Process):
    """Variance preserving (Song et al. 2021): β(t) = β_min + β_d t on [0, 1], f = −β/2, g = √β.

    With B(t) = ∫₀ᵗ β = β_min t + ½ β_d t²: s = e^{−B/2} and σ = √(e^B − 1), so s² (1 + σ²) = 1.

    beta_d: ≥ 0.  beta_min: may be slightly negative, as levels given to ``with_levels`` can ask
    for: then B < 0 for 0 < t < −2 β_min/β_d. There the process does not exist; it starts at t = 0
    and goes on beyond. Raises ValueError where σ would overflow or never rise.
    """

    beta_d: float = 19.9
    beta_min: float = 0.1

    def __post_init__(self) -> None:
        beta_d = number("beta_d", self.beta_d, at_least=0)
        growth = number("beta_min", self.beta_min) + beta_d / 2  # B(1)
        require(0 < growth <= 700, "beta_min + beta_d/2", growth, "in (0, 700]: σ(1) = √(e^B − 1)")

    @classmethod
    def with_levels(cls, sigma_min: float, sigma_max: float, t_min: float = 1e-3) -> "VP":
        """The VP process with σ(t_min) = sigma_min and σ(1) = sigma_max: another schedule, not a
        cut of the default one.

        Raises ValueError for levels that no β(t) ≥ 0 on [t_min, 1] connects.
        """
        low, t_min = number("sigma_min", sigma_min), number("t_min", t_min, above=0, below=1)
        high = number("sigma_max", sigma_max, at_most=1e150)
        require(0 < low < high, "sigma_min, sigma_max", (low, high), "0 < sigma_min < sigma_max")
        b_low, b_high = np.log1p(low**2), np.log1p(high**2)
        beta_d = 2 * (b_low / t_min - b_high) / (t_min - 1)
        allowed = "such that ln(1 + σ_min²) ≤ t_min ln(1 + σ_max²): β must not fall"
        rising = beta_d > -1e-9 * b_high
        require(rising, "sigma_min, sigma_max, t_min", (low, high, t_min), allowed)
        return cls(beta_d=max(float(beta_d), 0.0), beta_min=float(b_high - beta_d / 2))

    @property
    def domain(self) -> tuple[float, float]:
        return 0.0, 1.0

    def beta(self, t: Any) -> torch.Tensor:
        """β(t) = β_min + β_d t, in 1/time; t as for every quantity, also where B < 0."""
        t = numbers("t", t)
        require(((t >= 0) & (t <= 1 + 1e-12)).all(), "t", t, "within the domain, 0 to 1")
        return self.beta_min + self.beta_d * t

    def at(self, t: Any) -> Instant:
        """As for every process; for β_min < 0 not inside 0 < t < −2 β_min/β_d."""
        if self.beta_min < 0:
            start, times = self._start, numbers("t", t)
            there = ((times == 0) | (times >= start * (1 - 1e-12))).all()
            require(there, "t", t, f"0, or at least −2 β_min/β_d = {start:g}")
        return super().at(t)

    @property
    def _start(self) -> float:
        """The first time from which the process exists on to the end: 0, but for β_min < 0."""
        return max(0.0, -2 * self.beta_min / self.beta_d) if self.beta_min < 0 else 0.0

    def _growth(self, t: torch.Tensor) -> torch.Tensor:
        """B(t) ≥ 0: s and σ depend on time only through it."""
        return (self.beta_min * t + 0.5 * self.beta_d * t**2).clamp(min=0)

    def _at(self, t: torch.Tensor) -> Instant:
        beta, growth = self.beta_min + self.beta_d * t, self._growth(t)
        sigma, s = torch.sqrt(torch.expm1(growth)), torch.exp(-0.5 * growth)
        dsigma = 0.5 * beta * (sigma + 1 / sigma)
        # not s √(2 σ̇ σ), which is 0 · ∞ at t = 0
        return Instant(t, sigma, s, dsigma, -0.5 * beta * s, f=-0.5 * beta, g=beta.sqrt())

    def _time_of(self, sigma: torch.Tensor) -> torch.Tensor:
        return self._time_of_growth(torch.log1p(sigma**2))

    def _time_of_growth(self, growth: torch.Tensor) -> torch.Tensor:
        """The positive root of ½ β_d t² + β_min t = B, in the form that cancels nothing."""
        root = torch.sqrt(self.beta_min**2 + 2 * self.beta_d * growth)
        if self.beta_min >= 0:
            return 2 * growth / (self.beta_min + root)
        return torch.where(growth == 0, 0.0, (root - self.beta_min) / self.beta_d)


@dataclass(frozen=True)
class SubVP(Process):
    """Sub-VP (Song et al. 2021): β(t) and f = −β/2 as in ``vp``, but g = √(β (1 − e^{−2B})).

    So s = e^{−B/2} and σ = 2 sinh(B/2). The noise in x_t has variance s²σ² = (1 − e^{−B})², below
    the 1 − e^{−B} of VP.
    """

    vp: VP = VP()

    def __post_init__(self) -> None:
        require(isinstance(self.vp, VP), "vp", self.vp, "a VP")
        number("vp.beta_min", self.vp.beta_min, at_least=0)

    @property
    def domain(self) -> tuple[float, float]:
        return self.vp.domain

    def _at(self, t: torch.Tensor) -> Instant:
        base, growth = self.vp._at(t), self.vp._growth(t)
        sigma, dsigma = 2 * torch.sinh(0.5 * growth), -2 * base.f * torch.cosh(0.5 * growth)
        return Instant.of(t, sigma, base.s, dsigma, base.ds)

    def _time_of(self, sigma: torch.Tensor) -> torch.Tensor:
        return self.vp._time_of_growth(2 * torch.asinh(0.5 * sigma))


@dataclass(frozen=True)
class FromSDE(Process):
    """The process of any linear SDE dx = f(t) x dt + g(t) dw on [0, t_max], by quadrature.

    Integrates ln s = ∫f and σ² = ∫g²/s² to a relative 1e-10, panel by panel: the coefficients are
    seen at some 8,000 times, and more closely where they ask for it. What lies between unseen, a
    peak narrower than t_max/1000 say, is only found if ``points`` names its place.

    drift, diffusion: map a NumPy array of times to arrays, f in 1/time, g ≥ 0 in data units/√time.
    points: times of jumps, kinks and narrow peaks.
    Raises ValueError where f or g is not finite or g < 0, and for coefficients that 20,000 panels
    do not resolve (a singularity, or oscillations too fast).
    """

    drift: Callable
    diffusion: Callable
    t_max: float = 1.0
    points: Sequence[float] = ()

    def __post_init__(self) -> None:
        function("drift", self.drift, "f(t) of a NumPy array of times")
        function("diffusion", self.diffusion, "g(t) of a NumPy array of times")
        number("t_max", self.t_max, above=0)
        points = numbers("points", self.points, "times, numbers")
        within = points.ndim == 1 and ((points >= 0) & (points <= self.t_max)).all()
        require(within, "points", self.points, f"times in 0 … {self.t_max:g}")
        self._coefficients(np.linspace(0, self.t_max, 1001))

    def _coefficients(self, t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """f(t) and g(t), checked."""
        values = []
        for name, coefficient in (("drift", self.drift), ("diffusion", self.diffusion)):
            try:
                with np.errstate(all="ignore"):
                    v = np.asarray(coefficient(t)).astype(np.float64, casting="same_kind")
                    v = np.broadcast_to(v, t.shape)
            except (TypeError, ValueError) as error:
                raise ValueError(
                    f"{name} = {describe(coefficient)}: must be a function of an array of times "
                    f"that returns numbers of its shape ({error})"
                ) from error
            bad = ~np.isfinite(v) if name == "drift" else ~(np.isfinite(v) & (v >= 0))
            where = f"{v[bad][:1]} at t = {t[bad][:1]}" if bad.any() else ""
            allowed = "finite" if name == "drift" else "finite and non-negative"
            require(not where, name, where, f"{allowed} on [0, t_max]")
            values.append(v)
        return values[0], values[1]

    @property
    def domain(self) -> tuple[float, float]:
        return 0.0, float(self.t_max)

    @cached_property
    def _table(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Edges of the panels, and ln s and σ² at them."""
        edges = np.union1d(np.linspace(0, self.t_max, 257), np.asarray(self.points, dtype=float))
        while True:
            whole = self._over(edges[:-1], edges[1:])
            middle = 0.5 * (edges[:-1] + edges[1:])
            left, right = self._over(edges[:-1], middle), self._over(middle, edges[1:])
            with np.errstate(all="ignore"):  # what overflows is refused below
                scale = np.exp(-2 * left[0])  # 1/s² at the middle, relative to the panel's start
                halves = left[0] + right[0], left[1] + scale * right[1]
                error = [np.abs(a - b) for a, b in zip(whole, halves)]
            rough = (error[0] > 1e-11) | (error[1] > 1e-11 * np.abs(halves[1]) + 1e-300)
            if not rough.any():
                break
            edges = np.union1d(edges, middle[rough])
            words = "resolved by 20,000 panels; name the places of jumps and peaks in points"
            narrow = edges[:-1][rough.argmax()]
            require(len(edges) < 20_000, "drift, diffusion", f"rough near t = {narrow:g}", words)
        log_s = np.concatenate([[0.0], np.cumsum(halves[0])])
        with np.errstate(all="ignore"):
            variance = np.concatenate([[0.0], np.cumsum(halves[1] * np.exp(-2 * log_s[:-1]))])
        end = f"s = exp({log_s[-1]:g}), σ² = {variance[-1]:g} at t_max"
        within = np.abs(log_s).max() < 700 and np.isfinite(variance[-1])
        require(within, "drift, diffusion", end, "such that s and σ stay within float64")
        return edges, log_s, variance

    def _over(self, a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """∫f and ∫g²/s² from a to b with s(a) = 1, elementwise, by Gauss and Legendre's rule."""
        h = (b - a)[..., None]
        t = a[..., None] + h * _NODES
        f, g = self._coefficients(t)
        with np.errstate(all="ignore"):
            inverse = np.exp(-2 * h * (f @ _TO_NODES.T))  # 1/s² at each node, s(a) = 1
            return h[..., 0] * (f @ _WEIGHTS), h[..., 0] * ((g**2 * inverse) @ _WEIGHTS)

    def _integrals(self, t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """ln s and σ² at the times ``t``."""
        edges, log_s, variance = self._table
        i = np.clip(np.searchsorted(edges, t, side="right") - 1, 0, len(edges) - 2)
        rest = self._over(edges[i], t)
        return log_s[i] + rest[0], variance[i] + np.exp(-2 * log_s[i]) * rest[1]

    def _at(self, t: torch.Tensor) -> Instant:
        times = np.minimum(t.numpy(), self.t_max)
        f, g = (torch.from_numpy(c.copy()) for c in self._coefficients(times))
        log_s, variance = (torch.from_numpy(np.asarray(v)) for v in self._integrals(times))
        s, sigma = torch.exp(log_s), torch.sqrt(variance.clamp(min=0))
        return Instant(t, sigma, s, g**2 / (2 * s**2 * sigma), f * s, f, g)

    def _time_of(self, sigma: torch.Tensor) -> torch.Tensor:
        edges, _, variance = self._table
        wanted = np.minimum(sigma.numpy() ** 2, variance[-1])
        i = np.clip(np.searchsorted(variance, wanted, side="right") - 1, 0, len(edges) - 2)
        low, high = edges[i], edges[i + 1]
        rise = np.maximum(variance[i + 1] - variance[i], 1e-300)
        t = low + (high - low) * np.clip((wanted - variance[i]) / rise, 0, 1)
        for _ in range(60):  # Newton's steps, kept inside a bracket that shrinks
            log_s, reached = self._integrals(t)
            low, high = np.where(reached < wanted, t, low), np.where(reached < wanted, high, t)
            with np.errstate(divide="ignore", invalid="ignore"):
                rate = self._coefficients(t)[1] ** 2 * np.exp(-2 * log_s)
                newton = t - (reached - wanted) / rate
            inside = (low <= newton) & (newton <= high)
            before, t = t, np.where(inside, newton, 0.5 * (low + high))
            if (np.abs(t - before) <= 1e-14 * self.t_max).all():
                break
        return torch.from_numpy(t)


def _gauss_legendre(n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Nodes and weights on [0, 1], and the matrix that takes values at the nodes to the integrals
    from 0 to each node.
    """
    x, w = np.polynomial.legendre.leggauss(n)
    nodes, weights = 0.5 * (x + 1), 0.5 * w
    powers = np.arange(n)
    to_coefficients = np.linalg.inv(np.vander(x, n, increasing=True))
    integrals = (x[:, None] ** (powers + 1) - (-1.0) ** (powers + 1)) / (powers + 1)
    return nodes, weights, 0.5 * integrals @ to_coefficients


_NODES, _WEIGHTS, _TO_NODES = _gauss_legendre(10)
