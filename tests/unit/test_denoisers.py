"""Exact denoisers against brute force: integrals on a line, differences formed one by one,
derivatives of the log-density.
"""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fewstep import denoisers, grids
from fewstep.denoisers import DataSet, Gaussian, Mixture, score
from fewstep.solvers import euler, heun, sample

LEVELS = [0.05, 0.5, 3.0, 40.0]


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def randn(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=generator(seed))


def max_abs(a, b):
    return float((a - b).abs().max())


GAUSSIAN = Gaussian(
    torch.tensor([1.0, -2.0, 0.5]),
    torch.tensor([[2.0, 0.6, 0.1], [0.6, 1.0, -0.3], [0.1, -0.3, 0.25]]),
)
MIXTURE = Mixture(
    torch.tensor([[-2.0, 0.0, 1.0], [1.0, 1.0, 0.0]]),
    torch.tensor([0.09, 0.5]),
    torch.tensor([0.3, 0.7]),
)
DATA_SET = DataSet(randn(50, 3, seed=1))
EXACT = {"gaussian": GAUSSIAN, "mixture": MIXTURE, "data set": DATA_SET}
every_denoiser = pytest.mark.parametrize("denoiser", EXACT.values(), ids=EXACT)


# --- D is the posterior mean


def normal(x, mean, variance):
    return torch.exp(-((x - mean) ** 2) / (2 * variance)) / math.sqrt(2 * math.pi * variance)


def posterior_mean_and_density(prior, x, sigma):
    """E[x0 | x] and p(x; σ) in one dimension, by the trapezoidal rule over x0.

    ``prior``: a function of x0.
    """
    x0 = torch.linspace(-12, 12, 400_001, dtype=torch.float64)
    joint = prior(x0) * normal(x, x0, sigma**2)
    density = torch.trapezoid(joint, x0)
    return torch.trapezoid(joint * x0, x0) / density, density


@pytest.mark.parametrize("sigma", [0.05, 0.5, 3.0])
@pytest.mark.parametrize("x", [-1.3, 0.2, 2.0])
def test_posterior_mean_by_integration(x, sigma):
    one = lambda *values: torch.tensor(values, dtype=torch.float64)
    gaussian = Gaussian(one(0.3), one(0.8)[None])
    mixture = Mixture(one(-1.0, 1.5)[:, None], one(0.04, 0.3), one(0.6, 0.4))
    priors = [
        (gaussian, lambda x0: normal(x0, 0.3, 0.8)),
        (mixture, lambda x0: 0.6 * normal(x0, -1.0, 0.04) + 0.4 * normal(x0, 1.5, 0.3)),
    ]
    for denoiser, prior in priors:
        mean, density = posterior_mean_and_density(prior, x, sigma)
        assert float(denoiser(one(x)[None], sigma)) == pytest.approx(float(mean), abs=1e-8)
        assert float(denoiser.log_density(one(x)[None], sigma)) == pytest.approx(
            float(density.log()), abs=1e-7
        )


@pytest.mark.parametrize("sigma", LEVELS)
def test_data_set_is_the_mixture_of_its_points(sigma):
    points, x = DATA_SET.points, 2 * randn(20, 3)
    mixture = Mixture(points, 0.0, torch.full((50,), 1 / 50))
    assert max_abs(DATA_SET(x, sigma), mixture(x, sigma)) < 1e-10
    assert max_abs(DATA_SET.log_density(x, sigma), mixture.log_density(x, sigma)) < 1e-8


@every_denoiser
def test_limits_of_the_noise_level(denoiser):
    """Without noise the best guess is x itself, or the nearest point; under overwhelming noise it
    is the mean of the data.
    """
    draws = denoiser.sample(200_000, generator())
    far = denoiser(randn(5, 3), 1e5)
    assert max_abs(far, draws.mean(0)) < 0.02
    x = draws[:5]
    assert max_abs(denoiser(x, 1e-5), x) < 1e-4


# --- Tweedie


@every_denoiser
@pytest.mark.parametrize("sigma", LEVELS)
def test_score_is_the_gradient_of_the_log_density(denoiser, sigma):
    x = (denoiser.sample(20, generator()) + sigma * randn(20, 3)).requires_grad_()
    (gradient,) = torch.autograd.grad(denoiser.log_density(x, sigma).sum(), x)
    assert max_abs(score(denoiser, x.detach(), sigma) * sigma, gradient * sigma) < 1e-7


@every_denoiser
def test_score_by_finite_differences(denoiser):
    x, sigma, h = randn(10, 3), 0.7, 1e-5
    for axis in range(3):
        e = h * torch.eye(3, dtype=torch.float64)[axis]
        slope = (denoiser.log_density(x + e, sigma) - denoiser.log_density(x - e, sigma)) / (2 * h)
        assert max_abs(score(denoiser, x, sigma)[:, axis], slope) < 1e-6


@every_denoiser
def test_density_integrates_to_one(denoiser):
    """Importance sampling from a broad normal: Σ p/q over draws of q is 1."""
    x = 5 * randn(200_000, 3)
    log_q = -0.5 * (x / 5).square().sum(1) - 3 * math.log(5 * math.sqrt(2 * math.pi))
    assert float((denoiser.log_density(x, 1.5) - log_q).exp().mean()) == pytest.approx(1, abs=0.03)


# --- the exact flow of a Gaussian


def test_gaussian_flow_solves_the_ode():
    """dx/dσ = (x − D)/σ by finite differences along the flow, and the flow composes."""
    x, sigma, h = randn(10, 3) * 4, 2.0, 1e-5
    slope = (GAUSSIAN.flow(x, sigma, sigma + h) - GAUSSIAN.flow(x, sigma, sigma - h)) / (2 * h)
    assert max_abs(slope, (x - GAUSSIAN(x, sigma)) / sigma) < 1e-8
    assert (
        max_abs(GAUSSIAN.flow(GAUSSIAN.flow(x, 2.0, 0.7), 0.7, 0.1), GAUSSIAN.flow(x, 2.0, 0.1))
        < 1e-12
    )
    assert max_abs(GAUSSIAN.flow(x, 2.0, 2.0), x) < 1e-12


def test_gaussian_flow_carries_noisy_data_to_data():
    x = GAUSSIAN.sample(200_000, generator()) + 10 * randn(200_000, 3, seed=2)
    x0 = GAUSSIAN.flow(x, 10.0, 0.0)
    assert max_abs(x0.mean(0), GAUSSIAN.mean) < 0.02
    assert max_abs(torch.cov(x0.T), GAUSSIAN.cov) < 0.03


def test_gaussian_with_a_singular_covariance():
    flat = Gaussian(
        torch.zeros(2), torch.tensor([[1.0, 1.0], [1.0, 1.0]])
    )  # all data on the diagonal
    D = flat(randn(5, 2), 0.3)
    assert max_abs(D[:, 0], D[:, 1]) < 1e-12
    assert max_abs(flat.flow(randn(5, 2), 0.3, 0.0).diff(dim=1), torch.zeros(5, 1)) < 1e-7


# --- draws


@every_denoiser
def test_draws_have_the_moments_of_the_data(denoiser):
    """The mean and covariance of 200,000 draws, against the denoiser itself: D at large σ, and cov
    = lim σ² ∂D/∂x.
    """
    draws, sigma = denoiser.sample(200_000, generator()), 1e3
    jacobian = (
        torch.stack(
            [
                (denoiser(e[None], sigma) - denoiser(-e[None], sigma))[0] / 2
                for e in torch.eye(3).double() * 10
            ],
            1,
        )
        / 10
    )
    assert draws.dtype == torch.float64 and draws.shape == (200_000, 3)
    assert max_abs(draws.mean(0), denoiser(torch.zeros(1, 3).double(), sigma)[0]) < 0.02
    assert max_abs(torch.cov(draws.T), jacobian * sigma**2) < 0.03
    assert max_abs(denoiser.sample(10, generator(5)), denoiser.sample(10, generator(5))) == 0


# --- numerics of the empirical denoiser


def test_data_set_is_exact_at_small_noise():
    """σ = 0.002 on 10,000 points of 784 numbers, float32 in: against float64 differences formed
    one by one.

    In float32 the expansion ‖x‖² − 2 x·y + ‖y‖² is off by about 1e-4 here, and σ² is 4e-6: it would
    be noise. Pairs of points closer than σ make the softmax choose between neighbours, where such
    an error shows.
    """
    sigma = 0.002
    points = torch.rand(10_000, 784, generator=generator()) * 2 - 1
    points[5_000:] = points[:5_000] + 0.2 * sigma * torch.randn(5_000, 784, generator=generator(1))
    x = points[:8] + sigma * torch.randn(8, 784, generator=generator(2))
    exact, naive = points.double(), []
    for row in x.double():
        distances = (row - exact).square().sum(1)
        naive.append(torch.softmax(-distances / (2 * sigma**2), 0) @ exact)
    D = DataSet(points)(x, sigma)
    assert D.dtype == torch.float32
    assert max_abs(D.double(), torch.stack(naive)) < 1e-7  # the rounding of float32 itself


@pytest.mark.parametrize("chunk", [1, 7, 50, 10_000])
@pytest.mark.parametrize("sigma", [0.002, 1.0, 80.0])
def test_chunks_change_nothing(chunk, sigma):
    x = DATA_SET.points[:9] + sigma * randn(9, 3)
    whole, parts = DATA_SET, DataSet(DATA_SET.points, chunk=chunk)
    assert max_abs(parts(x, sigma), whole(x, sigma)) < 1e-10
    assert max_abs(parts.log_density(x, sigma) / whole.log_density(x, sigma), torch.ones(9)) < 1e-9


def test_far_points_do_not_overflow():
    D = DATA_SET(1e3 * randn(4, 3), 0.002)
    assert bool(torch.isfinite(D).all())
    assert bool(
        ((D[:, None] - DATA_SET.points).abs().sum(-1).amin(1) < 1e-9).all()
    )  # each the nearest point itself


# --- shapes and types


@every_denoiser
def test_one_level_per_sample(denoiser):
    x, sigma = randn(3, 3), torch.tensor([0.1, 1.0, 10.0])
    for function in (denoiser, denoiser.log_density, lambda x, sigma: score(denoiser, x, sigma)):
        rows = torch.cat([function(x[i : i + 1], float(sigma[i])) for i in range(3)])
        assert max_abs(function(x, sigma), rows) < 1e-6 * rows.abs().max()
    assert max_abs(GAUSSIAN.flow(x, sigma, sigma / 2)[1:2], GAUSSIAN.flow(x[1:2], 1.0, 0.5)) < 1e-12


@every_denoiser
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_type_of_x_comes_back(denoiser, dtype):
    x = randn(4, 3).to(dtype)
    assert denoiser(x, 0.5).dtype == score(denoiser, x, 0.5).dtype == dtype
    assert max_abs(denoiser(x, 0.5).double(), denoiser(x.double(), 0.5)) < 1e-6
    assert denoiser.log_density(x, 0.5).dtype == torch.float64


def test_data_set_of_images():
    images = torch.rand(30, 1, 4, 4)
    x = images[:5] + 0.3 * torch.randn(5, 1, 4, 4)
    D = DataSet(images)(x, 0.3)
    assert D.shape == x.shape
    assert max_abs(D, DataSet(images.flatten(1))(x.flatten(1), 0.3).reshape(5, 1, 4, 4)) == 0


@settings(max_examples=30, deadline=None)
@given(sigma=st.floats(1e-3, 1e3), scale=st.floats(0.1, 100), seed=st.integers(0, 10))
def test_d_lies_among_the_points(sigma, scale, seed):
    """A posterior mean over points lies inside their bounding box."""
    D = DATA_SET(scale * randn(5, 3, seed=seed), sigma)
    assert bool((DATA_SET.points.amin(0) - 1e-9 <= D).all()) and bool(
        (DATA_SET.points.amax(0) + 1e-9 >= D).all()
    )


# --- labels and guidance

PARTS = {-1: MIXTURE, 0: GAUSSIAN, 1: Gaussian(torch.ones(3), 0.5 * torch.eye(3))}


class Classes:
    """One exact denoiser a class, -1 or none for no class; counts the rows it is asked for."""

    sigma_min, sigma_max, levels = 0.1, 50.0, torch.tensor([50.0, 0.1])

    def __init__(self):
        self.rows = 0

    def __call__(self, x, sigma, labels=None):
        self.rows += len(x)
        labels = [-1] * len(x) if labels is None else labels.tolist()
        sigma = torch.as_tensor(sigma, dtype=torch.float64).expand(len(x))
        assert len(labels) == len(x)
        return torch.cat([PARTS[c](x[i : i + 1], float(sigma[i])) for i, c in enumerate(labels)])


@pytest.mark.parametrize("sigma", [0.7, torch.tensor([0.1, 1.0, 3.0, 10.0]).double()])
def test_labels_for_all_or_one_a_sample(sigma):
    x, D = randn(4, 3), Classes()
    for label in (-1, 0, 1):
        for labels in (label, [label] * 4, torch.tensor(label), torch.tensor([label] * 4)):
            assert max_abs(denoisers.given(D, labels)(x, sigma), PARTS[label](x, sigma)) < 1e-12
    mixed = denoisers.given(D, [0, 1, -1, 1])(x, sigma)
    for i, label in enumerate([0, 1, -1, 1]):
        assert max_abs(mixed[i], PARTS[label](x, sigma)[i]) < 1e-12


@settings(max_examples=30, deadline=None)
@given(
    w=st.floats(-3, 10),
    labels=st.one_of(st.integers(0, 1), st.lists(st.integers(-1, 1), min_size=4, max_size=4)),
    each=st.booleans(),
)
def test_guidance_is_the_formula_on_two_calls(w, labels, each):
    """D(∅) + w (D(c) − D(∅)), the two formed by hand; also where w makes one of them enough."""
    x, sigma = randn(4, 3), torch.tensor([0.1, 1.0, 3.0, 10.0]).double() if each else 0.7
    D = Classes()
    without, within = D(x, sigma), denoisers.given(D, labels)(x, sigma)
    guided = denoisers.given(D, labels, w)(x, sigma)
    assert max_abs(guided, without + w * (within - without)) < 1e-10


@pytest.mark.parametrize("w, calls", [(0.0, 1), (1.0, 1), (2.0, 2), (0.5, 2), (-1.0, 2)])
@pytest.mark.parametrize("step, steps", [(euler, 5), (heun, 9)])
def test_nfe_counts_the_calls_of_guidance(w, calls, step, steps):
    """What ``sample`` reports is what the denoiser was asked for, row by row."""
    x, D = 80 * randn(4, 3), Classes()
    made = sample(denoisers.given(D, [0, 1, 0, 1], w), x, grids.edm(5), step)
    assert made.nfe == calls * steps == D.rows / len(x)


@pytest.mark.parametrize("w", [0.0, 1.0, 2.0])
def test_range_and_levels_are_passed_on(w):
    bound = denoisers.given(Classes(), 1, w)
    assert (bound.sigma_min, bound.sigma_max) == (0.1, 50.0)
    assert bound.levels is Classes.levels
    exact = denoisers.given(GAUSSIAN, None)
    assert (exact.sigma_min, exact.sigma_max, exact.levels) == (0.0, math.inf, None)


@every_denoiser
@pytest.mark.parametrize("w", [0.0, 1.0])
def test_no_labels_bind_any_denoiser(denoiser, w):
    """One that knows no labels, D(x, sigma), too; and no class is guidance 0 of any class."""
    x, bound = randn(4, 3), denoisers.given(denoiser, None, w)
    assert max_abs(bound(x, 0.7), denoiser(x, 0.7)) == 0 and bound.calls == 1
    assert max_abs(denoisers.given(Classes(), 1, 0.0)(x, 0.7), MIXTURE(x, 0.7)) < 1e-12


# --- compiled, differentiated, vectorised


BOUND = {"bound": denoisers.given(lambda x, sigma, labels=None: MIXTURE(x, sigma), [0, 1], 2.0)}


@pytest.mark.parametrize("denoiser", (EXACT | BOUND).values(), ids=EXACT | BOUND)
@pytest.mark.parametrize("sigma", [0.7, torch.tensor([0.7, 2.0])], ids=["number", "each"])
def test_compiles_whole(denoiser, sigma):
    """In one graph, with no break where a value would be looked at."""
    torch.compiler.reset()
    compiled = torch.compile(denoiser.__call__, fullgraph=True, backend="eager")
    x = randn(2, 3)
    assert max_abs(compiled(x, sigma), denoiser(x, sigma)) < 1e-12


@every_denoiser
def test_forward_derivatives_and_vmap(denoiser):
    x, v, h = randn(6, 4, 3), randn(6, 4, 3, seed=1), 1e-5
    D = lambda x: denoiser(x, 0.7)
    rows = torch.stack([D(row) for row in x])
    assert max_abs(torch.func.vmap(D)(x), rows) < 1e-12
    value, slope = torch.func.jvp(D, (x[0],), (v[0],))
    assert max_abs(value, rows[0]) < 1e-12
    assert max_abs(slope, (D(x[0] + h * v[0]) - D(x[0] - h * v[0])) / (2 * h)) < 1e-7
