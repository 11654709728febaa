"""Solvers against exact solutions: closed forms, orders of convergence, variances without Monte
Carlo error, and counts.
"""

import math
from functools import partial

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp
from torch import nn

from fewstep import grids, preconditioning, schedules
from fewstep.denoisers import DataSet, Gaussian, Mixture, given, score
from fewstep.preconditioning import Denoiser
from fewstep.processes import EDM, VE, VP, FromSDE
from fewstep.solvers import (
    Churn,
    Flow,
    ancestral,
    ddim,
    dpmpp_2m,
    euler,
    euler_maruyama,
    heun,
    learned,
    rk2,
    sample,
)

PROCESSES = {"edm": EDM(), "ve": VE(), "vp": VP()}
every_process = pytest.mark.parametrize("process", PROCESSES.values(), ids=PROCESSES)

DETERMINISTIC = {
    "euler": (euler, 1),
    "heun": (heun, 2),
    "midpoint": (partial(rk2, alpha=1 / 2), 2),
    "ralston": (partial(rk2, alpha=2 / 3), 2),
    "rk2 with alpha = 1": (partial(rk2, alpha=1.0), 2),
    "ddim": (ddim, 1),
    "2m": (dpmpp_2m, 2),
}
every_deterministic = pytest.mark.parametrize(
    "step, order", DETERMINISTIC.values(), ids=DETERMINISTIC
)

STOCHASTIC = {
    "ddim with eta = 0.5": partial(ddim, eta=0.5),
    "ddim with eta = 1": partial(ddim, eta=1.0),
    "ancestral": ancestral,
    "euler-maruyama": euler_maruyama,
}
every_stochastic = pytest.mark.parametrize("step", STOCHASTIC.values(), ids=STOCHASTIC)
ALL_STEPS = {name: step for name, (step, _) in DETERMINISTIC.items()} | STOCHASTIC
every_step = pytest.mark.parametrize("step", ALL_STEPS.values(), ids=ALL_STEPS)

GAUSSIAN = Gaussian(torch.tensor([1.0, -1.0]), torch.tensor([[1.0, 0.5], [0.5, 0.6]]))
MIXTURE = Mixture(
    torch.tensor([[-1.0, 0.0], [0.8, 0.6]]), torch.tensor([0.5, 0.3]), torch.tensor([0.4, 0.6])
)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def randn(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=generator(seed))


def max_abs(a, b):
    return float((a - b).abs().max())


def start(data, sigma, n=64):
    """n noisy data x̂ = x_0 + σ ε: states of every process, up to its scale s."""
    return data.sample(n, generator(1)) + sigma * randn(n, 2, seed=2)


def scale(process, sigma):
    return process.s(process.sigma_inv(sigma))


def solve(data, x_hat, sigmas, step, process):
    """``sample`` in the scaled variable of ``process``; in and out is x̂ = x/s."""
    x = scale(process, sigmas[0]) * x_hat
    return sample(data, x, sigmas, step, process).x / scale(process, sigmas[-1])


# --- the differential equation


@every_process
def test_velocity_is_the_probability_flow(process):
    """dx/dt = f x − ½ g² ∇log p_t(x), with the score of the scaled variable, ∇log p_t(x) =
    score(x/s)/s.
    """
    t = process.sigma_inv(0.7)
    x = randn(8, 2)
    gradient = score(MIXTURE, x / process.s(t), 0.7) / process.s(t)
    expected = process.f(t) * x - 0.5 * process.g(t) ** 2 * gradient
    assert max_abs(Flow(MIXTURE, process).velocity(x, process.at(t)), expected) < 1e-10


@every_process
@every_deterministic
def test_gaussian_data_in_closed_form(process, step, order):
    """From σ = 80 to 0 in 64 steps; the exact solution is x̂ ↦ mean + √(cov/(cov + σ²)) (x̂ −
    mean).
    """
    x, sigmas = start(GAUSSIAN, 80.0), grids.edm(64)
    error = (
        (solve(GAUSSIAN, x, sigmas, step, process) - GAUSSIAN.flow(x, 80.0, 0.0))
        .square()
        .mean()
        .sqrt()
    )
    assert float(error) < {1: 0.25, 2: 0.025}[order]


# --- orders of convergence

HIGH, LOW, NS = 10.0, 0.1, [48, 96, 192]
DATA = {"gaussian": GAUSSIAN, "mixture": MIXTURE}
GRIDS = {
    "uniform in λ": lambda n: torch.linspace(
        math.log(HIGH), math.log(LOW), n + 1, dtype=torch.float64
    ).exp(),
    "edm": lambda n: grids.edm(n + 1, LOW, HIGH)[:-1],
}


@pytest.fixture(scope="module")
def references():
    """The solution of dx̂/dσ = (x̂ − D)/σ at σ = LOW, by scipy's Runge–Kutta method of order 8."""

    def solution(data):
        x = start(data, HIGH)
        slope = lambda sigma, y: (
            (
                (
                    torch.from_numpy(y).reshape(-1, 2)
                    - data(torch.from_numpy(y).reshape(-1, 2), sigma)
                )
                / sigma
            )
            .numpy()
            .ravel()
        )
        solved = solve_ivp(
            slope, (HIGH, LOW), x.numpy().ravel(), method="DOP853", rtol=1e-11, atol=1e-12
        )
        return torch.from_numpy(solved.y[:, -1]).reshape(-1, 2)

    return {name: solution(data) for name, data in DATA.items()}


def fitted_order(ns, errors):
    """The slope of log error against log n, negated."""
    return -np.polyfit(np.log(ns), np.log(errors), 1)[0]


def test_the_reference_is_the_closed_form(references):
    assert max_abs(references["gaussian"], GAUSSIAN.flow(start(GAUSSIAN, HIGH), HIGH, LOW)) < 1e-9


@pytest.mark.parametrize("data", DATA)
@every_process
@every_deterministic
def test_order_of_convergence(references, data, process, step, order):
    """Error at σ = LOW over n = 48 … 192 steps.

    The midpoint rule may do better than 2: on a Gaussian its third-order term cancels.
    """
    name = "edm" if process == EDM() else "uniform in λ"
    errors = []
    for n in NS:
        x = solve(DATA[data], start(DATA[data], HIGH), GRIDS[name](n), step, process)
        errors.append(float((x - references[data]).square().mean().sqrt()))
    measured = fitted_order(NS, errors)
    better = data == "gaussian" and step is DETERMINISTIC["midpoint"][0]
    assert order - 0.25 < measured < (3.2 if better else order + 0.25), errors


# --- solvers that are the same thing


@pytest.mark.parametrize(
    "data",
    [GAUSSIAN, MIXTURE, DataSet(randn(100, 2, seed=3))],
    ids=["gaussian", "mixture", "data set"],
)
def test_ddim_is_euler_in_sigma(data):
    x, sigmas = start(data, 80.0), grids.edm(20)
    assert max_abs(sample(data, x, sigmas, ddim).x, sample(data, x, sigmas, euler).x) < 1e-6


@every_process
@pytest.mark.parametrize("step", [ddim, dpmpp_2m])
def test_exponential_integrators_do_not_see_the_scale(process, step):
    """DDIM and 2M work in x̂ = x/s: after the change of variables every process gives the steps of
    EDM; DDIM those of Euler in σ.
    """
    x, sigmas = start(MIXTURE, 80.0), grids.edm(20)
    result = solve(MIXTURE, x, sigmas, step, process)
    assert max_abs(result, solve(MIXTURE, x, sigmas, step, EDM())) < 1e-6
    if step is ddim:
        assert max_abs(result, solve(MIXTURE, x, sigmas, euler, EDM())) < 1e-6


def test_rk2_with_alpha_1_is_heun():
    x, sigmas = start(MIXTURE, 80.0), grids.edm(10)
    assert max_abs(sample(MIXTURE, x, sigmas, rk2).x, sample(MIXTURE, x, sigmas, heun).x) < 1e-12


def test_a_process_given_by_its_sde_samples_alike():
    beta = lambda t: 0.1 + 19.9 * t
    process = FromSDE(lambda t: -beta(t) / 2, lambda t: np.sqrt(beta(t)))
    x, sigmas = start(MIXTURE, 80.0), grids.edm(10)
    assert (
        max_abs(solve(MIXTURE, x, sigmas, heun, process), solve(MIXTURE, x, sigmas, heun, VP()))
        < 1e-6
    )


def test_ddim_and_2m_are_exact_when_the_denoiser_is_constant():
    """With D = d everywhere the solution is d + σ_next/σ (x̂ − d), whatever the step size."""
    d, x = torch.tensor([[0.3, -0.8]]).double(), start(GAUSSIAN, 80.0)
    for step in (ddim, dpmpp_2m):
        result = sample(lambda x, sigma: d.expand_as(x), x, [80.0, 3.0, 0.5], step).x
        assert max_abs(result, d + 0.5 / 80 * (x - d)) < 1e-12


def test_2m_takes_the_denoiser_from_the_middle_of_the_step():
    """With D linear in λ = −ln σ, the line through the last two values is D itself, and 2M uses it
    at λ + h/2, for any two step sizes.
    """
    a, b, lam = (
        torch.tensor([0.3, -0.8]).double(),
        torch.tensor([0.2, 0.1]).double(),
        [-1.0, -0.7, 0.4],
    )
    sigmas = [math.exp(-value) for value in lam]
    line = lambda lam: a + b * lam
    states = sample(
        lambda x, sigma: line(-torch.log(sigma)).expand_as(x),
        randn(5, 2),
        sigmas,
        dpmpp_2m,
        trajectory=True,
    ).trajectory
    ratio = sigmas[2] / sigmas[1]
    assert max_abs(states[2], ratio * states[1] + (1 - ratio) * line((lam[1] + lam[2]) / 2)) < 1e-12


# --- stochastic samplers: one step


class GivenNoise(Flow):
    """A flow whose noise is given, not drawn."""

    def __init__(self, denoiser, process, noise):
        super().__init__(denoiser, process)
        self.given = noise

    def noise(self, x):
        return self.given


def mean_and_std(step, denoiser, process, x, t, t_next):
    """What a step x ↦ mean + std z does, from z = 0 and z = 1."""
    now, then = process.at([t, t_next]).unbind()
    mean = step(GivenNoise(denoiser, process, torch.zeros_like(x)), x, now, then)
    return mean, step(GivenNoise(denoiser, process, torch.ones_like(x)), x, now, then) - mean


@pytest.mark.parametrize(
    "step", [partial(ddim, eta=1.0), ancestral], ids=["ddim with eta = 1", "ancestral"]
)
@pytest.mark.parametrize("t", [2, 3, 25, 50])
def test_ddim_with_eta_1_and_ancestral_draw_from_the_ddpm_posterior(step, t):
    """The mean and variance of q(x_{t−1} | x_t, x_0), by the chain's own formula, with D in the
    place of x_0.
    """
    chain, process = schedules.from_process(VP(), 50), VP()
    x0, x_t = randn(4, 3), randn(4, 3, seed=1)
    mean, std = mean_and_std(step, lambda x, sigma: x0, process, x_t, t / 50, (t - 1) / 50)
    expected, variance = chain.posterior(x_t, x0, t)
    assert max_abs(mean, expected) < 1e-6
    assert max_abs(std**2, variance.expand_as(std)) < 1e-6 * float(variance)


@pytest.mark.parametrize(
    "step", [partial(ddim, eta=1.0), ancestral], ids=["ddim with eta = 1", "ancestral"]
)
def test_a_step_over_several_steps_of_a_chain_is_the_posterior_of_the_shorter_chain(step):
    long = schedules.from_process(VP(), 50)
    short = schedules.from_alpha_bars(long.alpha_bars[[0, 20, 35, 50]])
    x0, x_t = randn(4, 3), randn(4, 3, seed=1)
    mean, std = mean_and_std(step, lambda x, sigma: x0, VP(), x_t, 35 / 50, 20 / 50)
    expected, variance = short.posterior(x_t, x0, 2)
    assert max_abs(mean, expected) < 1e-6 and max_abs(std**2, variance.expand_as(std)) < 1e-6


@every_process
@pytest.mark.parametrize(
    "step",
    [partial(ddim, eta=1.0), ancestral, euler_maruyama],
    ids=["ddim", "ancestral", "euler-maruyama"],
)
def test_the_step_to_zero_denoises_and_draws_nothing(process, step):
    """At σ_next = 0 there is nothing after the step that would take noise away again.

    The result is D itself.
    """
    x, D = randn(4, 2), randn(4, 2, seed=1)
    t = float(process.sigma_inv(0.5))
    mean, std = mean_and_std(step, lambda x, sigma: D, process, x, t, 0.0)
    assert max_abs(mean, D) < 1e-12 and max_abs(std, 0 * std) == 0


# --- stochastic samplers: the distribution they arrive at


def final_variance(step, sigmas, process, variance=0.5, churn=None):
    """The variance of x̂ after the whole sampler, for N(0, variance) data: exact, without a single
    random number.

    On Gaussian data around 0 a step is linear, x_next = a x + c z, so the variance becomes a² Var +
    c².
    """
    data = Gaussian(torch.zeros(1), torch.tensor([[variance]]))
    n, level = len(sigmas) - 1, torch.as_tensor(sigmas, dtype=torch.float64)
    gammas = [churn.gamma(sigma, n) if churn else 0.0 for sigma in level.tolist()]
    instants = process.at(process.sigma_inv(level)).unbind()
    ups = process.at(process.sigma_inv(level * (1 + torch.tensor(gammas)))).unbind()
    one, zero = torch.ones(1, 1).double(), torch.zeros(1, 1).double()
    state = scale(process, sigmas[0]) ** 2 * (variance + sigmas[0] ** 2)
    for now, up, then in zip(instants[:-1], ups, instants[1:]):

        def response(x, z, now=now, up=up, then=then):
            flow = GivenNoise(data, process, z)
            if up.sigma > now.sigma:
                x, now = churn(flow, x, now, up), up
            return step(flow, x, now, then)

        state = response(one, zero) ** 2 * state + response(zero, one) ** 2
    return float(state) / float(scale(process, sigmas[-1])) ** 2


@every_process
@every_stochastic
def test_variance_converges_with_order_1(process, step):
    """To the variance of the data plus LOW², as 1/n: the weak order of all these samplers."""
    ns, grid = [50, 100, 200], GRIDS["uniform in λ"]
    errors = [abs(final_variance(step, grid(n), process) - (0.5 + LOW**2)) for n in ns]
    assert fitted_order(ns, errors) == pytest.approx(1, abs=0.15), errors
    assert errors[-1] < 0.05


@every_process
def test_churn_keeps_the_variance_to_second_order(process):
    """Noise of S_noise = 1 up to σ̂ and a Heun step down from σ̂: each moves the exact marginal to
    the exact marginal.

    So the error is Heun's, of order 2. A denoiser called at σ instead of σ̂ leaves an error that
    does not vanish at all.
    """
    ns, grid = [50, 100, 200], GRIDS["uniform in λ"]
    errors = [
        abs(
            final_variance(heun, grid(n), process, churn=Churn(S_churn=10, S_tmax=5.0))
            - (0.5 + LOW**2)
        )
        for n in ns
    ]
    assert fitted_order(ns, errors) == pytest.approx(2, abs=0.25), errors


def test_strong_order_of_euler_maruyama_is_1():
    """Paths driven by the same Brownian motion, coarse and fine.

    The order is 1, not ½: the noise is additive, g depends on t only.
    """
    fine, ns, paths = 1024, [8, 16, 32, 64], 500
    data = Gaussian(torch.zeros(1), torch.tensor([[0.5]]))
    increments = randn(fine, paths, 1) * math.sqrt(0.8 / fine)
    x_start = start(GAUSSIAN, 1.0, paths)[:, :1]

    def solution(n):
        h, x = 0.8 / n, x_start
        times = EDM().at(torch.linspace(1.0, 0.2, n + 1, dtype=torch.float64)).unbind()
        for i, dw in enumerate(increments.reshape(n, -1, paths, 1).sum(1)):
            x = euler_maruyama(
                GivenNoise(data, EDM(), dw / math.sqrt(h)), x, times[i], times[i + 1]
            )
        return x

    exact = solution(fine)
    errors = [float((solution(n) - exact).square().mean().sqrt()) for n in ns]
    assert fitted_order(ns, errors) == pytest.approx(1, abs=0.15), errors


MONTE_CARLO = {name: (step, None) for name, step in STOCHASTIC.items()} | {
    "heun with churn": (heun, Churn(S_churn=40, S_tmin=0.05, S_tmax=50, S_noise=1.0)),
    "2m with churn": (dpmpp_2m, Churn(S_churn=10)),
}


@every_process
@pytest.mark.parametrize("step, churn", MONTE_CARLO.values(), ids=MONTE_CARLO)
def test_mean_and_covariance_of_samples(process, step, churn):
    """10,000 samples of two-dimensional Gaussian data from pure noise in 200 steps; the bias is
    some per cent, the spread 1.4 %.
    """
    sigmas = grids.edm(200, 0.01, 50.0)
    x = scale(process, 50.0) * 50.0 * randn(10_000, 2)
    x0 = sample(GAUSSIAN, x, sigmas, step, process, churn=churn, generator=generator(5)).x
    assert max_abs(x0.mean(0), GAUSSIAN.mean) < 0.05
    assert max_abs(torch.cov(x0.T), GAUSSIAN.cov) < 0.08


# --- churn


class Recorder:
    """A denoiser that keeps the states and levels at which it was called."""

    def __init__(self, denoiser):
        self.denoiser, self.x, self.sigmas = denoiser, [], []

    def __call__(self, x, sigma):
        self.x.append(x)
        self.sigmas.append(float(sigma))
        return self.denoiser(x, sigma)


@every_process
def test_churn_evaluates_the_denoiser_at_the_raised_level(process):
    """σ̂ = (1 + γ) σ with γ = S_churn/n between S_tmin and S_tmax, ends included, and γ = 0
    outside.
    """
    sigmas = torch.tensor([16.0, 8.0, 4.0, 2.0, 1.0, 0.5, 0.0]).double()
    recorder = Recorder(GAUSSIAN)
    x = scale(process, 16.0) * start(GAUSSIAN, 16.0)
    sample(
        recorder,
        x,
        sigmas,
        euler,
        process,
        churn=Churn(S_churn=1.2, S_tmin=1.0, S_tmax=8.0),
        generator=generator(),
    )
    assert recorder.sigmas == pytest.approx([16.0, 1.2 * 8, 1.2 * 4, 1.2 * 2, 1.2 * 1, 0.5])


def test_churn_is_capped():
    recorder = Recorder(GAUSSIAN)
    sample(recorder, start(GAUSSIAN, 4.0), [4.0, 1.0, 0.0], euler, churn=Churn(S_churn=1000))
    assert recorder.sigmas == pytest.approx([4 * math.sqrt(2), math.sqrt(2)])


@every_process
@pytest.mark.parametrize("S_noise", [1.0, 1.007])
def test_churn_adds_what_is_missing_to_the_raised_level(process, S_noise):
    """The state at σ̂ is x̂ + S_noise √(σ̂² − σ²) z, with γ = S_churn/n."""
    flow, x_hat, z = Flow(GAUSSIAN, process), randn(8, 2), randn(8, 2, seed=3)
    flow.noise = lambda x: z
    churn, sigma_hat = Churn(S_churn=2, S_noise=S_noise), 3.0 * 1.2
    assert (1 + churn.gamma(3.0, 10)) * 3.0 == pytest.approx(sigma_hat)
    now, up = process.at(process.sigma_inv([3.0, sigma_hat])).unbind()
    churned = churn(flow, scale(process, 3.0) * x_hat, now, up) / scale(process, sigma_hat)
    assert max_abs(churned, x_hat + S_noise * math.sqrt(sigma_hat**2 - 9) * z) < 1e-10


def test_no_churn_is_no_churn():
    x, sigmas = start(MIXTURE, 80.0), grids.edm(10)
    for churn in (Churn(0.0), Churn(50.0, S_tmin=100.0)):
        assert (
            max_abs(
                sample(MIXTURE, x, sigmas, heun, churn=churn).x, sample(MIXTURE, x, sigmas, heun).x
            )
            == 0
        )


def test_2m_does_not_extrapolate_across_fresh_noise():
    x, sigmas, churn = start(MIXTURE, 80.0), grids.edm(10), Churn(4.0)
    with_history, without = (
        sample(MIXTURE, x, sigmas, step, churn=churn, generator=generator()).x
        for step in (dpmpp_2m, ddim)
    )
    assert max_abs(with_history, without) < 1e-10


# --- the driver


@every_process
@every_step
@pytest.mark.parametrize("n", [1, 2, 5])
def test_any_number_of_steps_down_to_zero(process, step, n):
    """Also one: from pure noise in a single step, the result is what the denoiser says, the mean
    of the data.
    """
    x = scale(process, 80.0) * 80.0 * randn(6, 2)
    result = sample(GAUSSIAN, x, grids.edm(n), step, process, generator=generator())
    assert bool(torch.isfinite(result.x).all()) and result.x.shape == x.shape
    if (
        n == 1
        and process == EDM()
        and step is not DETERMINISTIC["midpoint"][0]
        and step is not DETERMINISTIC["ralston"][0]
    ):
        assert max_abs(result.x, GAUSSIAN(x, 80.0)) < 1e-10


CALLS = {
    "heun": lambda n: 2 * n - 1,
    "rk2 with alpha = 1": lambda n: 2 * n - 1,
    "midpoint": lambda n: 2 * n,
    "ralston": lambda n: 2 * n,
}


@pytest.mark.parametrize("name", ALL_STEPS)
@pytest.mark.parametrize("n", [1, 2, 7])
@pytest.mark.parametrize("churn", [None, Churn(1.0)])
def test_nfe_is_the_number_of_network_calls(name, n, churn):
    """One call a step for the one-stage solvers; Heun 2N − 1, as the step to σ = 0 is Euler's; RK2
    with α < 1 2N.
    """
    recorder = Recorder(GAUSSIAN)
    result = sample(
        recorder,
        start(GAUSSIAN, 80.0),
        grids.edm(n),
        ALL_STEPS[name],
        churn=churn,
        generator=generator(),
    )
    assert result.nfe == len(recorder.sigmas) == CALLS.get(name, lambda n: n)(n)


def test_no_level_is_zero_when_the_denoiser_is_called():
    for step in ALL_STEPS.values():
        recorder = Recorder(GAUSSIAN)
        sample(recorder, start(GAUSSIAN, 80.0), grids.edm(5), step)
        assert min(recorder.sigmas) > 0


@every_step
def test_trajectory(step):
    x, sigmas = start(GAUSSIAN, 80.0), grids.edm(6)
    result = sample(GAUSSIAN, x, sigmas, step, trajectory=True, generator=generator())
    assert result.trajectory.shape == (7, 64, 2)
    assert max_abs(result.trajectory[0], x) == 0 and max_abs(result.trajectory[-1], result.x) == 0
    without = sample(GAUSSIAN, x, sigmas, step, generator=generator())
    assert without.trajectory is None and max_abs(without.x, result.x) == 0


def test_trajectory_follows_the_flow():
    x, sigmas = start(GAUSSIAN, 80.0), grids.edm(100)
    states = sample(GAUSSIAN, x, sigmas, heun, trajectory=True).trajectory
    for i in (20, 50, 80):
        assert max_abs(states[i], GAUSSIAN.flow(x, 80.0, sigmas[i])) < 0.02


@pytest.mark.parametrize("name", [*STOCHASTIC, "heun"])
def test_the_generator_decides(name):
    run = lambda seed: (
        sample(
            GAUSSIAN,
            start(GAUSSIAN, 80.0),
            grids.edm(5),
            ALL_STEPS[name],
            churn=Churn(2.0),
            generator=generator(seed),
        ).x
    )
    assert max_abs(run(1), run(1)) == 0
    assert max_abs(run(1), run(2)) > 1e-3


@every_step
def test_deterministic_solvers_draw_nothing_and_x_is_left_alone(step):
    x, state = start(GAUSSIAN, 80.0), torch.get_rng_state()
    copy = x.clone()
    sample(GAUSSIAN, x, grids.edm(5), step, generator=generator())
    assert torch.equal(torch.get_rng_state(), state) and max_abs(x, copy) == 0


@every_process
@every_step
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_state_keeps_its_type(process, step, dtype):
    x = (scale(process, 80.0) * start(GAUSSIAN, 80.0)).to(dtype)
    for churn in (None, Churn(2.0)):
        result = sample(
            GAUSSIAN,
            x,
            grids.edm(5),
            step,
            process,
            churn=churn,
            trajectory=True,
            generator=generator(),
        )
        assert result.x.dtype == result.trajectory.dtype == dtype


@every_process
def test_float32_is_as_good_as_float64(process):
    x, sigmas = start(MIXTURE, 80.0), grids.edm(18)
    double, single = (
        solve(MIXTURE, x, sigmas, heun, process),
        solve(MIXTURE, x.float(), sigmas, heun, process),
    )
    assert max_abs(single.double(), double) < 1e-4


def test_a_network_samples_like_any_denoiser():
    """Images through ``preconditioning.Denoiser``: F = 0 makes D = c_skip x, the exact denoiser of
    N(0, σ_data²).
    """

    class Nothing(nn.Module):
        def forward(self, x, c_noise, labels=None):
            return torch.zeros_like(x)

    denoiser = Denoiser(Nothing(), preconditioning.edm(0.5))
    x = 80 * torch.randn(4, 1, 8, 8, generator=generator())
    exact = x * math.sqrt(0.25 / (80**2 + 0.25))
    assert max_abs(sample(denoiser, x, grids.edm(100)).x, exact) < 0.005 * float(exact.abs().max())


def test_no_gradients_are_kept():
    denoiser = lambda x, sigma: torch.ones(2, requires_grad=True).double() * x
    assert not sample(denoiser, start(GAUSSIAN, 80.0), grids.edm(3)).x.requires_grad


def test_progress_bar_is_off_by_default(capsys):
    sample(GAUSSIAN, start(GAUSSIAN, 80.0), grids.edm(3))
    assert capsys.readouterr() == ("", "")
    sample(GAUSSIAN, start(GAUSSIAN, 80.0), grids.edm(3), progress=True)
    assert "sampling" in capsys.readouterr().err


def test_churn_below_the_top_of_the_process_is_allowed():
    """Only levels that are churned count: the first, near the top of VP, is not."""
    x = scale(VP(), 150.0) * start(GAUSSIAN, 150.0)
    result = sample(GAUSSIAN, x, [150.0, 1.0, 0.0], heun, VP(), churn=Churn(1.0, S_tmax=10.0))
    assert bool(torch.isfinite(result.x).all())


@pytest.mark.parametrize("step", [euler, heun, ddim, ancestral])
def test_clipping_keeps_every_estimate_where_pictures_lie(step):
    """Of a denoiser that is far off at high noise, samples end in [-1, 1]; without, outside."""

    def far_off(x, sigma):
        return torch.full_like(x, 5.0)

    noise = randn(4, 3)
    ended = [sample(far_off, 80 * noise, grids.edm(6), step, clip=clip).x for clip in (True, False)]
    assert max_abs(ended[0], torch.ones(4, 3)) < 1e-6
    assert max_abs(ended[1], torch.full((4, 3), 5.0)) < 1e-6


class Varying:
    """The exact denoiser of data N(0, s²), with extra channels 2v − 1."""

    def __init__(self, v, s=1.0):
        self.v, self.s, self.extra_channels = v, s, 2

    def __call__(self, x, sigma, extra=False):
        D = x * self.s**2 / (self.s**2 + sigma**2)
        return (D, torch.full_like(x, 2 * self.v - 1).float()) if extra else D


def test_reverse_variances_are_those_of_a_chain_and_of_every_part_of_it():
    """β̃ and β of the VP variable, at neighbours; of a pair of levels, β = 1 − ᾱ_t/ᾱ_s."""
    chain = schedules.cosine(50)
    t, s = torch.tensor([1, 2, 10, 50, 50, 30]), torch.tensor([0, 1, 9, 49, 10, 1])
    lower, upper = schedules.reverse_variances(chain.sigmas[t], chain.sigmas[s])
    scale = 1 / (1 + chain.sigmas[s] ** 2)
    beta = 1 - chain.alpha_bars[t] / chain.alpha_bars[s]
    small = beta * (1 - chain.alpha_bars[s]) / (1 - chain.alpha_bars[t])
    assert max_abs(scale * upper, beta) < 1e-12 and max_abs(scale * lower, small) < 1e-12
    assert max_abs(beta[:4], chain.betas[t[:4] - 1]) < 1e-12
    one = schedules.reverse_variances(float(chain.sigmas[10]), float(chain.sigmas[9]))
    assert one == pytest.approx((float(lower[2]), float(upper[2])), rel=1e-12)


@pytest.mark.parametrize("s, v", [(1.0, 1.0), (1e-6, 0.0)])
def test_steps_with_the_right_end_of_the_range_keep_the_exact_variance(s, v):
    """White data under β, a point under β̃: no step, however long, changes the marginal."""
    denoiser, g = Varying(v, s), torch.Generator().manual_seed(0)
    sigma, then = 5.0, 0.7
    x = (s**2 + sigma**2) ** 0.5 * torch.randn(200_000, 2, dtype=torch.float64, generator=g)
    now, after = EDM().at(torch.tensor([sigma, then])).unbind()
    for step in (learned, partial(ancestral, v=v)):
        made = step(Flow(denoiser, generator=g), x, now, after)
        error = float(made.var()) / (s**2 + then**2) - 1
        assert abs(error) < 4 * (2 / made.numel()) ** 0.5


@pytest.mark.parametrize("v", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("process", [EDM(), VP(25.0)], ids=["edm", "vp"])
def test_a_learned_variance_that_is_constant_is_ancestral_with_it(v, process):
    grid = grids.respaced(7, schedules.linear(100))
    x = randn(6, 2) * float(process.s(process.sigma_inv(grid[0])) * grid[0])
    a, b = (
        sample(Varying(v), x, grid, step, process, generator=torch.Generator().manual_seed(1))
        for step in (learned, partial(ancestral, v=v))
    )
    assert max_abs(a.x, b.x) < 1e-6 and a.nfe == b.nfe == 7


def test_learned_variance_in_a_chain_of_a_thousand_steps_keeps_white_data_white():
    grid = grids.respaced(1000, schedules.cosine(1000))
    x = float(grid[0]) * randn(4000, 2)
    made = sample(Varying(1.0), x, grid, learned, generator=torch.Generator().manual_seed(1)).x
    # the last step only denoises: of the variance 1, σ_1²/(1 + σ_1²) is left out
    exact = 1 / (1 + float(grid[-2]) ** 2)
    assert abs(float(made.var()) / exact - 1) < 4 * (2 / made.numel()) ** 0.5


def test_guidance_takes_the_variance_of_the_class():
    class Classes(Varying):
        def __call__(self, x, sigma, labels=None, extra=False):
            D, more = super().__call__(x, 0.5, True)
            labels = torch.full((len(x),), -1) if labels is None else labels
            return (D + labels[:, None], more + labels[:, None]) if extra else D + labels[:, None]

    x, sigma = randn(3, 2), torch.tensor(0.5, dtype=torch.float64)
    for w, cls in ((0.0, -1), (1.0, 4), (2.0, 4)):
        D, more = given(Classes(0.5), 4, w)(x, sigma, extra=True)
        assert max_abs(D, x / 1.25 - 1 + w * 5) < 1e-12
        assert max_abs(more, torch.full((3, 2), float(cls))) < 1e-6
        assert given(Classes(0.5), 4, w).extra_channels == 2
