r"""Samplers: one short step function each, one driver loop.

A step maps the state from time t to t_next < t: ``step(flow, x, t, t_next) -> x_next``, where
``flow`` knows the denoiser and the process and counts the network calls (NFE). With x = s(t) x̂,
the probability-flow ODE is

.. math:: \frac{dx}{dt} = \Big(\frac{\dot\sigma}{\sigma} + \frac{\dot s}{s}\Big) x -
\frac{\dot\sigma s}{\sigma} D(x/s; \sigma).

Steps with parameters are bound with ``functools.partial``: ``partial(rk2, alpha=0.5)``,
``partial(ddim, eta=1.0)``.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import sqrt

import torch
from tqdm.auto import tqdm

from . import grids
from ._checks import number, require, state
from .processes import EDM, Process


class Flow:
    """A denoiser at work on a process: evaluates, counts network calls, and remembers the last one
    for multistep solvers.
    """

    def __init__(
        self, denoiser: Callable, process: Process = EDM(), generator: torch.Generator | None = None
    ):
        self.denoiser, self.process, self.generator = denoiser, process, generator
        self.nfe, self.last = 0, None  # last: (t, D) of the latest evaluation

    def denoise(self, x, t):
        """D(x/s; σ) at time t: one network call."""
        self.nfe += 1
        D = self.denoiser(x / self.process.s(t), self.process.sigma(t))
        self.last = t, D
        return D

    def velocity(self, x, t):
        """dx/dt of the probability-flow ODE: one network call."""
        p = self.process
        s, sigma, ds, dsigma = p.s(t), p.sigma(t), p.ds(t), p.dsigma(t)
        return (dsigma / sigma + ds / s) * x - (dsigma * s / sigma) * self.denoise(x, t)

    def noise(self, x):
        """Standard normal noise like x."""
        return torch.randn(x.shape, dtype=x.dtype, device=x.device, generator=self.generator)


def euler(flow, x, t, t_next):
    """x + h dx/dt: order 1, one call a step."""
    return x + (t_next - t) * flow.velocity(x, t)


def heun(flow, x, t, t_next):
    """The trapezoidal rule with an Euler predictor: order 2, two calls a step, one for the last to
    σ = 0 (EDM, algorithm 1).
    """
    h = t_next - t
    d = flow.velocity(x, t)
    x_next = x + h * d
    if flow.process.sigma(t_next) == 0:  # the slope at σ = 0 is 0/0
        return x_next
    return x + h * (d + flow.velocity(x_next, t_next)) / 2


def rk2(flow, x, t, t_next, alpha=1.0):
    """The family of second-order Runge–Kutta steps, 0 < α ≤ 1: α = 1 Heun, ½ midpoint, ⅔ Ralston
    (EDM, algorithm 3).
    """
    require(0 < number("alpha", alpha) <= 1, "alpha", alpha, "in (0, 1]")
    h = t_next - t
    d = flow.velocity(x, t)
    t_mid = t + alpha * h
    if flow.process.sigma(t_mid) == 0:
        return x + h * d
    d_mid = flow.velocity(x + alpha * h * d, t_mid)
    return x + h * ((1 - 1 / (2 * alpha)) * d + 1 / (2 * alpha) * d_mid)


def ddim(flow, x, t, t_next, eta=0.0):
    """Denoise, then noise again to σ_next with a share of fresh noise: η = 0 none, η = 1 the DDPM
    posterior (Song et al. 2021).

    With x̂ = x/s and ε̂ = (x̂ − D)/σ: x̂_next = D + √(σ_next² − σ_η²) ε̂ + σ_η z, σ_η = η σ_next
    √(1 − σ_next²/σ²).
    """
    require(0 <= number("eta", eta) <= 1, "eta", eta, "in [0, 1]")
    p = flow.process
    sigma, sigma_next = p.sigma(t), p.sigma(t_next)
    D = flow.denoise(x, t)
    eps = (x / p.s(t) - D) / sigma
    sigma_eta = eta * sigma_next * torch.sqrt(1 - (sigma_next / sigma) ** 2)
    x_next = D + torch.sqrt(sigma_next**2 - sigma_eta**2) * eps
    return p.s(t_next) * (x_next + sigma_eta * flow.noise(x) if sigma_eta > 0 else x_next)


def dpmpp_2m(flow, x, t, t_next):
    """DPM-Solver++(2M): order 2 in λ = −ln σ, one call a step; the last denoiser output is used
    again (Lu et al. 2022, algorithm 2).
    """
    p, before = flow.process, flow.last
    D = flow.denoise(x, t)
    ratio = p.sigma(t_next) / p.sigma(t)  # e^{-h}, h = λ_next − λ
    if (
        before is not None and ratio > 0
    ):  # first step, and the last to σ = 0 (h = ∞), are of order 1
        t_before, D_before = before
        r = torch.log(p.sigma(t_before) / p.sigma(t)) / -torch.log(ratio)
        D = D + (D - D_before) / (2 * r)
    return p.s(t_next) * (ratio * x / p.s(t) + (1 - ratio) * D)


def euler_maruyama(flow, x, t, t_next):
    """One step of the reverse SDE dx = (f x − g² ∇log p) dt + g dw̄: the plainest stochastic
    sampler, one call a step.

    Order 1, also the strong one (in general ½), as g depends on t only. The step to σ = 0 only
    denoises: noise added there would stay, and the score, which grows as 1/σ, is too steep for a
    plain step.
    """
    p, h = flow.process, t_next - t
    sigma, s, g = p.sigma(t), p.s(t), p.g(t)
    D = flow.denoise(x, t)
    if p.sigma(t_next) == 0:
        return p.s(t_next) * D
    score = (D - x / s) / (s * sigma**2)
    return x + h * (p.f(t) * x - g**2 * score) + g * torch.sqrt(-h) * flow.noise(x)


def ancestral(flow, x, t, t_next):
    """DDPM's sampler: a draw from q(x_next | x, x_0) with D in the place of x_0 (Ho et al.

    2020, algorithm 2).
    """
    p = flow.process
    keep = (p.sigma(t_next) / p.sigma(t)) ** 2
    D = flow.denoise(x, t)
    mean = D + keep * (x / p.s(t) - D)
    return p.s(t_next) * (
        mean + p.sigma(t_next) * torch.sqrt(1 - keep) * flow.noise(x) if keep > 0 else mean
    )


@dataclass(frozen=True)
class Churn:
    """The stochastic pre-step of EDM's algorithm 2: before a step, add noise up to σ̂ = (1 + γ) σ,
    then step down from there.

    γ = min(S_churn/n, √2 − 1) where S_tmin ≤ σ ≤ S_tmax and 0 elsewhere; the noise has standard
    deviation S_noise √(σ̂² − σ²).
    """

    S_churn: float
    S_tmin: float = 0.0
    S_tmax: float = float("inf")
    S_noise: float = 1.0

    def __post_init__(self):
        require(number("S_churn", self.S_churn) >= 0, "S_churn", self.S_churn, "finite and >= 0")
        top = self.S_tmax if self.S_tmax == float("inf") else number("S_tmax", self.S_tmax)
        require(
            0 <= number("S_tmin", self.S_tmin) <= top,
            "S_tmin, S_tmax",
            (self.S_tmin, self.S_tmax),
            "0 <= S_tmin <= S_tmax",
        )
        require(number("S_noise", self.S_noise) > 0, "S_noise", self.S_noise, "finite and > 0")

    def gamma(self, sigma, n) -> float:
        """γ at noise level ``sigma`` of a grid of ``n`` steps."""
        return min(self.S_churn / n, sqrt(2) - 1) if self.S_tmin <= sigma <= self.S_tmax else 0.0

    def __call__(self, flow, x, t, n):
        """The noised state and its time t̂; ``n`` is the number of steps of the whole grid."""
        p, sigma = flow.process, flow.process.sigma(t)
        gamma = self.gamma(sigma, n)
        if gamma == 0:
            return x, t
        flow.last = None  # a multistep solver must not extrapolate across fresh noise
        sigma_hat = (1 + gamma) * sigma
        t_hat = p.sigma_inv(sigma_hat)
        added = self.S_noise * torch.sqrt(sigma_hat**2 - sigma**2) * flow.noise(x)
        return p.s(t_hat) * (x / p.s(t) + added), t_hat


@dataclass(frozen=True, eq=False)
class Samples:
    """What ``sample`` returns: final states ``x`` (B, ...), network calls ``nfe``, and the states
    on the way if asked for, (n + 1, B, ...).
    """

    x: torch.Tensor
    nfe: int
    trajectory: torch.Tensor | None = None


@torch.no_grad()
def sample(
    denoiser: Callable,
    x: torch.Tensor,
    sigmas,
    step: Callable = heun,
    process: Process = EDM(),
    *,
    churn: Churn | None = None,
    generator: torch.Generator | None = None,
    trajectory: bool = False,
    progress: bool = False,
) -> Samples:
    """Carry ``x`` (B, ...), a state of the process at noise level sigmas[0], down the grid
    ``sigmas`` (n + 1,) with ``step``.

    ``denoiser(x, sigma) -> E[x0 | x]``; pure noise is ``process.s(t) * sigmas[0] * noise``, which
    for EDM is sigmas[0] * noise.
    Raises ``ValueError`` for a bad grid, a state with NaN, or a grid or churn that would leave the
    domain of the process.
    """
    state("x", x)
    sigmas, highest = grids.check(sigmas), process.sigma_max * (1 + 1e-12)
    n = len(sigmas) - 1
    require(
        float(sigmas[0]) <= highest,
        "sigmas[0]",
        float(sigmas[0]),
        f"at most the process's highest level {highest:g}",
    )
    if churn is not None:
        top = max(float(sigma) * (1 + churn.gamma(sigma, n)) for sigma in sigmas[:-1])
        require(
            top <= highest,
            "churn",
            churn,
            f"such that σ̂ = {top:g} stays below the process's highest level {highest:g}",
        )
    times, flow, states = process.sigma_inv(sigmas), Flow(denoiser, process, generator), [x]
    for t, t_next in tqdm(
        zip(times[:-1], times[1:]), total=n, desc="sampling", disable=not progress, leave=False
    ):
        if churn is not None:
            x, t = churn(flow, x, t, n)
        x = step(flow, x, t, t_next)
        if trajectory:
            states.append(x)
    return Samples(x, flow.nfe, torch.stack(states) if trajectory else None)
