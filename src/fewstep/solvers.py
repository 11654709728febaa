r"""Samplers: one short step function each, one driver loop.

A step carries the state from one time to an earlier one: ``step(flow, x, now, then) -> x_then``.
``now`` and ``then`` are instants of the process, with t, σ, s, … as plain numbers; ``flow`` knows
the denoiser and the process and counts the network calls (NFE). With x = s(t) x̂, the
probability-flow ODE is

.. math:: \frac{dx}{dt} = \Big(\frac{\dot\sigma}{\sigma} + \frac{\dot s}{s}\Big) x
   - \frac{\dot\sigma s}{\sigma} D(x/s; \sigma).

Steps with parameters are bound with ``functools.partial``: ``partial(rk2, alpha=0.5)``,
``partial(ddim, eta=1.0)``.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import wraps
from math import inf, log, sqrt
from typing import Any, TypeVar, cast

import torch
from tqdm.auto import tqdm

from . import _checks, grids
from ._checks import count, describe, finite, function, number, require, same_shape, state
from .processes import EDM, Instant, Process
from .schedules import reverse_variances

Step = TypeVar("Step", bound=Callable[..., torch.Tensor])
Generators = torch.Generator | Sequence[torch.Generator] | None


class Flow:
    """A denoiser at work on a process: evaluates it, counts its calls, and remembers the last one.

    denoiser: D(x, sigma).  process: of the state.
    generator: of the noise; with a list, one for each sample.  clip: D to [-1, 1], see ``sample``.
    """

    def __init__(
        self,
        denoiser: Callable,
        process: Process = EDM(),
        generator: Generators = None,
        clip: bool = False,
    ):
        function("denoiser", denoiser, "D(x, sigma)")
        require(isinstance(clip, bool), "clip", clip, "True or False")
        require(isinstance(process, Process), "process", process, "a Process, such as EDM()")
        for g in generator if isinstance(generator, (list, tuple)) else [generator]:
            _checks.generator("generator", g)
        self.denoiser, self.process, self.generator = denoiser, process, generator
        self.clip = clip
        self.calls = getattr(denoiser, "calls", 1)
        self.nfe = 0
        self.last: tuple[Instant, torch.Tensor] | None = None  # for multistep solvers

    def at(self, t: float) -> Instant:
        """The instant of a time between those of the grid."""
        return self.process.at(number("t", t)).unbind()[0]

    def denoise(self, x: torch.Tensor, now: Instant) -> torch.Tensor:
        """D(x/s; σ): one network call (two with guidance)."""
        _called(self, x, now=now)
        return self._remember(self.denoiser(x / now.s, _level(now)), x, now)

    def denoise_extra(self, x: torch.Tensor, now: Instant) -> tuple[torch.Tensor, torch.Tensor]:
        """D, and the network's extra channels beside it, one for each of x: one network call."""
        _called(self, x, now=now)
        extra = getattr(self.denoiser, "extra_channels", 0)
        if extra != x.shape[1]:
            allowed = f"{x.shape[1]}, one for each channel of x: of a network with learned variance"
            raise ValueError(f"denoiser.extra_channels = {extra}: must be {allowed}")
        D, more = self.denoiser(x / now.s, _level(now), extra=True)
        return self._remember(D, x, now), more.to(x.dtype)

    def _remember(self, D: Any, x: torch.Tensor, now: Instant) -> torch.Tensor:
        same_shape("denoiser(x, sigma)", D, "x", x)
        self.nfe += self.calls
        D = D.clamp(-1, 1) if self.clip else D
        self.last = now, D
        return D

    def velocity(self, x: torch.Tensor, now: Instant) -> torch.Tensor:
        """dx/dt of the probability-flow ODE: one network call."""
        D = self.denoise(x, now)
        pull = now.dsigma / now.sigma
        return (pull + now.ds / now.s) * x - pull * now.s * D

    def noise(self, x: torch.Tensor) -> torch.Tensor:
        """Standard normal noise like x; with one generator a sample, each draws its own row."""
        state("x", x)
        if self.generator is None or isinstance(self.generator, torch.Generator):
            g = self.generator
            return torch.randn(x.shape, dtype=x.dtype, device=x.device, generator=g)
        if len(self.generator) != len(x):
            allowed = f"one for all, or one for each of {len(x)} samples"
            raise ValueError(f"generator = {len(self.generator)}: must be {allowed}")
        rows = [torch.randn(x.shape[1:], dtype=x.dtype, generator=g) for g in self.generator]
        return torch.stack(rows).to(x.device)


def _level(now: Instant) -> torch.Tensor:
    return torch.as_tensor(now.sigma, dtype=torch.float64)


def _called(flow: Any, x: Any, **instants: Any) -> None:
    """A step gets a flow, a state and two instants. Looks at no value."""
    state("x", x)
    if not isinstance(flow, Flow):
        raise ValueError(f"flow = {describe(flow)}: must be a solvers.Flow; sample makes one")
    for name, instant in instants.items():
        if not isinstance(instant, Instant):
            raise ValueError(f"{name} = {describe(instant)}: must be an Instant, as flow.at(t)")


def _step(step: Step) -> Step:
    """Checks the kinds of a step's arguments, so that the step itself is the algorithm alone."""

    @wraps(step)
    def checked(flow: Flow, x: torch.Tensor, now: Instant, then: Instant, **options: Any) -> Any:
        _called(flow, x, now=now, then=then)
        return step(flow, x, now, then, **options)

    return cast(Step, checked)


@_step
def euler(flow: Flow, x: torch.Tensor, now: Instant, then: Instant) -> torch.Tensor:
    """x + h dx/dt: order 1, one call a step."""
    return x + (then.t - now.t) * flow.velocity(x, now)


@_step
def heun(flow: Flow, x: torch.Tensor, now: Instant, then: Instant) -> torch.Tensor:
    """The trapezoidal rule with an Euler predictor (Karras et al. 2022, algorithm 1).

    Order 2, two calls a step; one for the last to σ = 0, where the slope is 0/0.
    """
    h = then.t - now.t
    d = flow.velocity(x, now)
    x_then = x + h * d
    if then.sigma == 0:
        return x_then
    return x + h * (d + flow.velocity(x_then, then)) / 2


@_step
def rk2(
    flow: Flow, x: torch.Tensor, now: Instant, then: Instant, alpha: float = 1.0
) -> torch.Tensor:
    """The family of second-order Runge–Kutta steps (Karras et al. 2022, algorithm 3).

    alpha: in (0, 1]: 1 Heun, ½ midpoint, ⅔ Ralston.
    """
    number("alpha", alpha, above=0, at_most=1)
    h = then.t - now.t
    d = flow.velocity(x, now)
    middle = then if alpha == 1 else flow.at(now.t + alpha * h)
    if middle.sigma == 0:
        return x + h * d
    d_middle = flow.velocity(x + alpha * h * d, middle)
    return x + h * ((1 - 1 / (2 * alpha)) * d + 1 / (2 * alpha) * d_middle)


@_step
def ddim(
    flow: Flow, x: torch.Tensor, now: Instant, then: Instant, eta: float = 0.0
) -> torch.Tensor:
    """Denoise, then noise again to σ_next with a share of fresh noise (Song et al. 2021).

    With x̂ = x/s and ε̂ = (x̂ − D)/σ: x̂_next = D + √(σ_next² − σ_η²) ε̂ + σ_η z, where
    σ_η = η σ_next √(1 − σ_next²/σ²).

    eta: 0 none, 1 as much as the posterior of DDPM.
    """
    number("eta", eta, at_least=0, at_most=1)
    D = flow.denoise(x, now)
    eps = (x / now.s - D) / now.sigma
    sigma_eta = eta * then.sigma * sqrt(1 - (then.sigma / now.sigma) ** 2)
    x_then = D + sqrt(then.sigma**2 - sigma_eta**2) * eps
    return then.s * (x_then + sigma_eta * flow.noise(x) if sigma_eta > 0 else x_then)


@_step
def dpmpp_2m(flow: Flow, x: torch.Tensor, now: Instant, then: Instant) -> torch.Tensor:
    """DPM-Solver++(2M): order 2 in λ = −ln σ, one call a step (Lu et al. 2022, algorithm 2).

    Extrapolates from the last denoiser output. The first step, and that to σ = 0, where
    h = λ_next − λ is infinite, are of order 1.
    """
    before = flow.last
    D = flow.denoise(x, now)
    ratio = then.sigma / now.sigma  # e^{-h}
    if before is not None and ratio > 0:
        last, D_last = before
        r = log(last.sigma / now.sigma) / -log(ratio)
        D = D + (D - D_last) / (2 * r)
    return then.s * (ratio * x / now.s + (1 - ratio) * D)


@_step
def euler_maruyama(flow: Flow, x: torch.Tensor, now: Instant, then: Instant) -> torch.Tensor:
    """One step of the reverse SDE dx = (f x − g² ∇log p) dt + g dw̄ (Song et al. 2021).

    Order 1, also the strong one (in general ½), as g depends on t only; one call a step. The step
    to σ = 0 only denoises: noise added there would stay, and the score, which grows as 1/σ, is too
    steep for a plain step.
    """
    D = flow.denoise(x, now)
    if then.sigma == 0:
        return then.s * D
    h = then.t - now.t
    score = (D - x / now.s) / (now.s * now.sigma**2)
    return x + h * (now.f * x - now.g**2 * score) + now.g * sqrt(-h) * flow.noise(x)


@_step
def ancestral(
    flow: Flow, x: torch.Tensor, now: Instant, then: Instant, v: float = 0.0
) -> torch.Tensor:
    """DDPM's sampler: a draw from q(x_next | x, x_0) with D for x_0 (Ho et al. 2020, algorithm 2).

    One call a step.

    v: of the noise's variance β^v β̃^{1−v}: 0 that of q, 1 the larger β of the same paper.
    """
    number("v", v, at_least=0, at_most=1)
    D = flow.denoise(x, now)
    x_then = D + (then.sigma / now.sigma) ** 2 * (x / now.s - D)
    if then.sigma > 0:
        x_then = x_then + _deviation(now, then, v) * flow.noise(x)
    return then.s * x_then


@_step
def learned(flow: Flow, x: torch.Tensor, now: Instant, then: Instant) -> torch.Tensor:
    """``ancestral`` with the variance β^v β̃^{1−v} that the network gives, at every coordinate its
    own (Nichol & Dhariwal 2021, eq. 15). Its extra channels are 2v − 1.

    β and β̃ are of this very step, however long: of strided sampling the new ones. One call a step.
    """
    D, extra = flow.denoise_extra(x, now)
    x_then = D + (then.sigma / now.sigma) ** 2 * (x / now.s - D)
    if then.sigma > 0:
        x_then = x_then + _deviation(now, then, (extra + 1) / 2) * flow.noise(x)
    return then.s * x_then


def _deviation(now: Instant, then: Instant, v: Any) -> Any:
    """√(β^v β̃^{1−v}) of a step."""
    lower, upper = reverse_variances(now.sigma, then.sigma)
    return sqrt(lower) * (upper / lower) ** (v / 2)


@dataclass(frozen=True)
class Churn:
    """The stochastic pre-step of EDM (Karras et al. 2022, algorithm 2): add noise up to
    σ̂ = (1 + γ) σ, then step down from there.

    γ = min(S_churn/n, √2 − 1) where S_tmin ≤ σ ≤ S_tmax, and 0 elsewhere. The added noise has
    standard deviation S_noise √(σ̂² − σ²).
    """

    S_churn: float
    S_tmin: float = 0.0
    S_tmax: float = inf
    S_noise: float = 1.0

    def __post_init__(self) -> None:
        number("S_churn", self.S_churn, at_least=0)
        low = number("S_tmin", self.S_tmin, at_least=0)
        if not (isinstance(self.S_tmax, float) and self.S_tmax == inf):
            number("S_tmax", self.S_tmax, at_least=low)
        number("S_noise", self.S_noise, above=0)

    def gamma(self, sigma: float, n: int) -> float:
        """γ at noise level ``sigma`` of a grid of ``n`` steps."""
        inside = self.S_tmin <= number("sigma", sigma, at_least=0) <= self.S_tmax
        return min(self.S_churn / count("n", n), sqrt(2) - 1) if inside else 0.0

    def __call__(self, flow: Flow, x: torch.Tensor, now: Instant, up: Instant) -> torch.Tensor:
        """The state at ``now`` with noise added up to the instant ``up``, where σ = σ̂."""
        _called(flow, x, now=now, up=up)
        require(up.sigma >= now.sigma, "up.sigma", up.sigma, "at least now.sigma")
        flow.last = None  # a multistep solver must not extrapolate across fresh noise
        added = self.S_noise * sqrt(up.sigma**2 - now.sigma**2)
        return up.s * (x / now.s + added * flow.noise(x))


@dataclass(frozen=True, eq=False)
class Samples:
    """What ``sample`` returns.

    x: (B, ...), final states.  nfe: network calls a sample.
    trajectory: (n + 1, B, ...), the states on the way from the start on, if asked for.
    """

    x: torch.Tensor
    nfe: int
    trajectory: torch.Tensor | None = None


@torch.no_grad()
def sample(
    denoiser: Callable,
    x: torch.Tensor,
    sigmas: Any,
    step: Callable = heun,
    process: Process = EDM(),
    *,
    churn: Churn | None = None,
    generator: Generators = None,
    clip: bool = False,
    trajectory: bool = False,
    progress: bool = False,
) -> Samples:
    """Carry x, a state of the process at noise level sigmas[0], down the grid with ``step``.

    denoiser: D(x, sigma) -> E[x0 | x].
    x: (B, ...); pure noise is ``process.s(t) * sigmas[0] * noise``, for EDM sigmas[0] * noise.
    sigmas: (n + 1,), a grid.  step: one of this module, or of its form.
    generator: of all noise on the way; with a list, one for each sample.
    clip: every D to [-1, 1], where pictures lie (Ho et al. 2020, code). A network that predicts ε
    needs it on chains that begin at a huge σ: there D = x − σ F, and σ times F's error is far out.
    Raises ValueError for a bad grid or state, one that would leave the domain of the process, and
    a denoiser that returns another shape, NaN or infinity.
    """
    state("x", x)
    finite("x", x)
    flow = Flow(denoiser, process, generator, clip)
    function("step", step, "step(flow, x, now, then), such as solvers.heun")
    require(churn is None or isinstance(churn, Churn), "churn", churn, "a Churn, or None")
    one_each = not isinstance(generator, (list, tuple)) or len(generator) == len(x)
    require(one_each, "generator", generator, f"one for all, or one for each of {len(x)} samples")
    grid = grids.check(sigmas)
    n, highest = len(grid) - 1, process.sigma_max * (1 + 1e-12)
    within = float(grid[0]) <= highest
    require(within, "sigmas[0]", float(grid[0]), f"at most σ_max = {highest:g} of the process")
    raised = grid.clone()
    if churn is not None:
        gammas = [churn.gamma(sigma, n) for sigma in grid.tolist()]
        raised = grid * (1 + torch.tensor(gammas, dtype=torch.float64))
        within = float(raised.max()) <= highest
        require(within, "churn", churn, f"such that σ̂ stays below σ_max = {highest:g}")
    instants = process.at(process.sigma_inv(grid)).unbind()
    ups = process.at(process.sigma_inv(raised)).unbind() if churn is not None else instants
    states = [x]
    bar = tqdm(range(n), desc="sampling", disable=not progress, leave=False)
    for i in bar:
        now, then, up = instants[i], instants[i + 1], ups[i]
        if churn is not None and up.sigma > now.sigma:
            x, now = churn(flow, x, now, up), up
        x_then = step(flow, x, now, then)
        same_shape("step(flow, x, now, then)", x_then, "x", x)
        x = x_then
        if trajectory:
            states.append(x)
    finite("denoiser(x, sigma)", x)
    return Samples(x, flow.nfe, torch.stack(states) if trajectory else None)
