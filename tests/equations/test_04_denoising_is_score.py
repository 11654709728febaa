"""The key equations of chapter 04, each against quadrature, finite differences, brute force or
simulation.
"""

from decimal import Decimal, localcontext

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp
from scipy.stats import chi2, norm

from fewstep import denoisers

# Three Gaussians on the line, uneven on purpose: no symmetry can hide a wrong sign.
MEANS, STDS, WEIGHTS = (
    np.array([-1.5, 0.4, 2.0]),
    np.array([0.3, 0.5, 0.2]),
    np.array([0.5, 0.2, 0.3]),
)


def line(low, high, n):
    """Points and the trapezoidal weight of an equally spaced rule: exact to rounding for smooth
    functions that vanish at both ends.
    """
    points = np.linspace(low, high, n)
    return points, points[1] - points[0]


def joint(sigma, n=1501, reach=8.0):
    """x0 (n, 1), x (1, m), and the probability p_data(x0) N(x; x0, σ²) of each grid cell, for the
    three Gaussians.
    """
    x0, dx0 = line(-7.0, 7.0, n)
    x, dx = line(-4.0 - reach * sigma, 4.0 + reach * sigma, n)
    data = (WEIGHTS * norm.pdf(x0[:, None], MEANS, STDS)).sum(1)
    return x0[:, None], x[None], data[:, None] * norm.pdf(x[None], x0[:, None], sigma) * dx0 * dx


def library_line():
    return denoisers.Mixture(
        torch.tensor(MEANS)[:, None], torch.tensor(STDS**2), torch.tensor(WEIGHTS)
    )


def on_line(denoiser, x, sigma):
    return denoiser(torch.tensor(x.reshape(-1, 1)), sigma).numpy().reshape(x.shape)


@pytest.mark.equation("mmse-denoiser", tolerance=1e-9)
@pytest.mark.parametrize("sigma", [0.3, 1.0])
def test_mmse_denoiser(tolerance, sigma):
    """Integrates the squared error of three denoisers over (x0, x) on a grid and compares with
    distance to the conditional mean plus the floor.
    """
    x0, x, cell = joint(sigma)
    marginal = cell.sum(0, keepdims=True)
    mean = (x0 * cell).sum(0, keepdims=True) / marginal
    floor = ((x0 - mean) ** 2 * cell).sum()
    assert np.abs(mean - on_line(library_line(), x, sigma))[marginal > 1e-12].max() < 1e-8
    for D in (np.sin(x), x, mean + 0.1 * x**2):
        assert (
            abs(((D - x0) ** 2 * cell).sum() - ((D - mean) ** 2 * marginal).sum() - floor)
            < tolerance
        )
        assert ((D - x0) ** 2 * cell).sum() > floor


@pytest.mark.equation("score-conditional-expectation", tolerance=1e-7)
@pytest.mark.parametrize("s, sigma", [(1.0, 0.4), (0.6, 1.3)])
def test_score_conditional_expectation(tolerance, s, sigma):
    """Differentiates log p_t numerically (central differences, p_t by quadrature) and compares
    with the posterior mean of the kernel's score.
    """
    x0, dx0 = line(-4.0, 4.0, 4001)
    data = (WEIGHTS * norm.pdf(x0[:, None], MEANS, STDS)).sum(1)

    def density(x):
        return (data * norm.pdf(x[:, None], s * x0, s * sigma)).sum(1) * dx0

    x, h = np.linspace(-2, 2, 41), 1e-4
    # fourth-order central difference of log p
    by_differences = (
        8 * np.log(density(x + h) / density(x - h))
        - np.log(density(x + 2 * h) / density(x - 2 * h))
    ) / (12 * h)
    posterior = data * norm.pdf(x[:, None], s * x0, s * sigma) * dx0 / density(x)[:, None]
    conditional = (posterior * (s * x0 - x[:, None]) / (s * sigma) ** 2).sum(1)
    assert np.abs(by_differences - conditional).max() < tolerance


@pytest.mark.equation("tweedie", tolerance=0.02)
def test_tweedie(tolerance):
    """Draws four million pairs (x0, x) with x0 uniform on [-1, 1], averages x0 in narrow bins of
    x, and compares with x + σ² d/dx log p in closed form.
    """
    sigma, n = 0.5, 4_000_000
    rng = np.random.default_rng(4)
    x0 = rng.uniform(-1, 1, n)
    x = x0 + sigma * rng.standard_normal(n)
    edges = np.linspace(-1.6, 1.6, 65)
    counts = np.histogram(x, edges)[0]
    means = np.histogram(x, edges, weights=x0)[0] / counts
    # So the standard error of a mean is below 0.45/√10000 = 0.0045; 0.02 is above four of them.
    assert counts.min() > 10_000
    centre = (edges[1:] + edges[:-1]) / 2
    up, down = (centre + 1) / sigma, (centre - 1) / sigma
    score = (norm.pdf(up) - norm.pdf(down)) / sigma / (norm.cdf(up) - norm.cdf(down))
    assert np.abs(means - (centre + sigma**2 * score)).max() < tolerance


@pytest.mark.equation("tweedie-covariance", tolerance=1e-7)
@pytest.mark.parametrize("sigma", [0.4, 1.5])
def test_tweedie_covariance(tolerance, sigma):
    """Differentiates the data-set denoiser by central differences and compares σ² ∂D/∂x with the
    posterior covariance summed point by point.
    """
    rng = np.random.default_rng(5)
    points, x, h = rng.standard_normal((30, 3)), rng.standard_normal(3), 1e-4
    D = denoisers.DataSet(torch.tensor(points))
    steps = torch.tensor(x + h * np.eye(3)), torch.tensor(x - h * np.eye(3))
    jacobian = (D(steps[0], sigma) - D(steps[1], sigma)).numpy().T / (
        2 * h
    )  # column j: derivative with respect to x_j
    weights = np.exp(-((points - x) ** 2).sum(1) / (2 * sigma**2))
    covariance = np.cov(points.T, aweights=weights, ddof=0)
    assert np.abs(sigma**2 * jacobian - covariance).max() < tolerance


@pytest.mark.equation("dsm-equals-sm", tolerance=1e-8)
@pytest.mark.parametrize("sigma", [0.3, 1.0])
def test_dsm_equals_sm(tolerance, sigma):
    """Integrates both losses on a grid for three models of the score, with the true score by
    finite differences, and compares their gap with the constant.
    """
    x0, x, cell = joint(sigma)
    marginal = cell.sum(0, keepdims=True)
    log_p, h = (
        (
            lambda at: np.log(
                (WEIGHTS * norm.pdf(at[..., None], MEANS, np.sqrt(STDS**2 + sigma**2))).sum(-1)
            )
        ),
        1e-3,
    )
    true = (8 * (log_p(x + h) - log_p(x - h)) - log_p(x + 2 * h) + log_p(x - 2 * h)) / (12 * h)
    constant = 0.5 * (1 / sigma**2 - (true**2 * marginal).sum())
    for model in (-x, np.tanh(x), true + np.cos(3 * x)):
        denoising = 0.5 * ((model - (x0 - x) / sigma**2) ** 2 * cell).sum()
        explicit = 0.5 * ((model - true) ** 2 * marginal).sum()
        assert abs(denoising - explicit - constant) < tolerance


@pytest.mark.equation("prediction-conversions", tolerance=1e-12)
@pytest.mark.parametrize("sigma", [0.05, 1.0, 20.0])
def test_prediction_conversions(tolerance, sigma):
    """Averages ε, v and the kernel's score over the posterior of a small data set, point by point,
    and compares with each row of both tables and its weight.
    """
    rng = np.random.default_rng(6)
    points = rng.standard_normal((20, 4))
    x = points[3] + sigma * rng.standard_normal(4)
    log_weights = -((points - x) ** 2).sum(1) / (2 * sigma**2)
    weights = np.exp(log_weights - log_weights.max())
    weights /= weights.sum()
    alpha_bar = 1 / (1 + sigma**2)
    a, b = np.sqrt(alpha_bar), np.sqrt(1 - alpha_bar)
    x_t = a * x
    eps = (x - points) / sigma  # the noise, had the data been points[i]
    # the quantity for each i; as a function of D (ours, VP); D from it (both); weight (both)
    quantities = {
        "eps": (
            eps,
            lambda D: (x - D) / sigma,
            lambda D: (x_t - a * D) / b,
            lambda y: x - sigma * y,
            lambda y: (x_t - b * y) / a,
            sigma**-2,
            alpha_bar / (1 - alpha_bar),
        ),
        "v": (
            a * eps - b * points,
            lambda D: (x - (1 + sigma**2) * D) / (sigma * np.sqrt(1 + sigma**2)),
            lambda D: (a * x_t - D) / b,
            lambda y: x / (1 + sigma**2) - sigma * y / np.sqrt(1 + sigma**2),
            lambda y: a * x_t - b * y,
            (1 + sigma**2) / sigma**2,
            1 / (1 - alpha_bar),
        ),
        "score": (
            (points - x) / sigma**2,
            lambda D: (D - x) / sigma**2,
            None,
            lambda y: x + sigma**2 * y,
            None,
            sigma**-4,
            None,
        ),
        "score_t": (
            (a * points - x_t) / b**2,
            None,
            lambda D: (a * D - x_t) / (1 - alpha_bar),
            None,
            lambda y: (x_t + (1 - alpha_bar) * y) / a,
            None,
            alpha_bar / (1 - alpha_bar) ** 2,
        ),
    }
    D, guess = weights @ points, rng.standard_normal(4)
    loss_D = weights @ ((guess - points) ** 2).sum(1)
    for y, ours, vp, back, back_vp, weight, weight_vp in quantities.values():
        expected, size = weights @ y, np.abs(y).max()
        for forward in filter(None, (ours, vp)):
            assert np.abs(forward(D) - expected).max() < tolerance * size
            for w in filter(None, (weight, weight_vp)):
                loss = weights @ ((forward(guess) - y) ** 2).sum(1)
                assert abs(loss - w * loss_D) < tolerance * loss
        for inverse in filter(None, (back, back_vp)):
            assert np.abs(inverse(expected) - D).max() < tolerance * size * max(1, sigma**2)


def posterior_mean_on_a_square(density, x, sigma, half=9.0, n=1201):
    """∫ y p_data(y) N(x; y, σ²I) dy / ∫ p_data(y) N(x; y, σ²I) dy on a grid in the plane."""
    axis, _ = line(-half, half, n)
    y = np.stack(np.meshgrid(axis, axis, indexing="ij"), -1)
    weight = density(y) * np.exp(-((y - x) ** 2).sum(-1) / (2 * sigma**2))
    return (y * weight[..., None]).sum((0, 1)) / weight.sum()


@pytest.mark.equation("gaussian-denoiser", tolerance=1e-10)
@pytest.mark.parametrize("sigma", [0.3, 2.0])
def test_gaussian_denoiser(tolerance, sigma):
    """Integrates the posterior mean of a correlated Gaussian over a grid in the plane and compares
    with the matrix formula and with the library.
    """
    mean, cov = np.array([0.5, -1.0]), np.array([[1.0, 0.6], [0.6, 0.8]])
    precision, x = np.linalg.inv(cov), np.array([1.2, 0.7])
    by_grid = posterior_mean_on_a_square(
        lambda y: np.exp(-0.5 * np.einsum("...i,ij,...j", y - mean, precision, y - mean)), x, sigma
    )
    formula = mean + cov @ np.linalg.solve(cov + sigma**2 * np.eye(2), x - mean)
    library = denoisers.Gaussian(torch.tensor(mean), torch.tensor(cov))(
        torch.tensor(x)[None], sigma
    )[0].numpy()
    assert np.abs(formula - by_grid).max() < tolerance
    assert np.abs(library - by_grid).max() < tolerance


@pytest.mark.equation("mixture-denoiser", tolerance=1e-10)
@pytest.mark.parametrize("sigma", [0.3, 2.0])
def test_mixture_denoiser(tolerance, sigma):
    """Integrates the posterior mean of a mixture of three Gaussians over a grid in the plane and
    compares with the closed form of the library.
    """
    means = np.array([[-1.0, 0.5], [1.0, 1.0], [0.2, -1.5]])
    variances, weights, x = (
        np.array([0.3, 0.15, 0.6]),
        np.array([0.2, 0.5, 0.3]),
        np.array([0.3, 0.2]),
    )

    def density(y):
        return sum(
            w * np.exp(-((y - m) ** 2).sum(-1) / (2 * v)) / v
            for m, v, w in zip(means, variances, weights)
        )

    by_grid = posterior_mean_on_a_square(density, x, sigma)
    library = denoisers.Mixture(torch.tensor(means), torch.tensor(variances), torch.tensor(weights))
    assert np.abs(library(torch.tensor(x)[None], sigma)[0].numpy() - by_grid).max() < tolerance


@pytest.mark.equation("dataset-denoiser", tolerance=1e-7)
@pytest.mark.parametrize("sigma", [0.002, 0.5])
def test_dataset_denoiser(tolerance, sigma):
    """Evaluates the weighted mean of forty points in 60-digit arithmetic, half-way between two of
    them, and compares with the library.
    """
    rng = np.random.default_rng(7)
    points = np.float32(rng.uniform(-1, 1, (40, 64))).astype(float)
    distances = ((points[1:] - points[0]) ** 2).sum(1)
    near = points[1 + distances.argmin()]
    x = (points[0] + near) / 2 + 1e-7 * (
        near - points[0]
    )  # both have a share in the mean, even at σ = 0.002
    with localcontext(prec=60):
        exact_points, exact_x = [[Decimal(v) for v in p] for p in points], [Decimal(v) for v in x]
        log_weights = [
            -sum((u - v) ** 2 for u, v in zip(p, exact_x)) / (2 * Decimal(sigma) ** 2)
            for p in exact_points
        ]
        weights = [(w - max(log_weights)).exp() for w in log_weights]
        exact = [
            float(sum(w * p[k] for w, p in zip(weights, exact_points)) / sum(weights))
            for k in range(64)
        ]
    library = denoisers.DataSet(torch.tensor(points), chunk=7)(torch.tensor(x)[None], sigma)[
        0
    ].numpy()
    assert np.abs(library - exact).max() < tolerance
    assert np.abs(library - points[0]).max() > 0.01 and np.abs(library - near).max() > 0.01


@pytest.mark.equation("nearest-point-limit", tolerance=1e-12)
def test_nearest_point_limit(tolerance):
    """Draws two thousand states and noise levels and checks that the denoiser is never farther
    from the nearest point than the bound, which vanishes.
    """
    rng = np.random.default_rng(8)
    points, x = rng.standard_normal((12, 3)), 1.5 * rng.standard_normal((2000, 3))
    sigma = np.exp(rng.uniform(np.log(0.02), np.log(2.0), 2000))
    D = denoisers.DataSet(torch.tensor(points))(torch.tensor(x), torch.tensor(sigma)).numpy()
    distances = np.linalg.norm(x[:, None] - points, axis=2)
    nearest = distances.argmin(1)
    gaps = distances**2 - distances.min(1, keepdims=True) ** 2
    apart = np.linalg.norm(points[nearest][:, None] - points, axis=2)  # 0 for the nearest itself
    bound = (apart * np.exp(-gaps / (2 * sigma[:, None] ** 2))).sum(1)
    away = np.linalg.norm(D - points[nearest], axis=1)
    assert (away <= bound + tolerance).all()
    assert np.quantile(bound[sigma < 0.05], 0.9) < 1e-6  # it vanishes
    assert (
        np.quantile(away[sigma > 0.5] / bound[sigma > 0.5], 0.5) > 0.1
    )  # and it is not an empty statement


@pytest.mark.equation("path-to-the-data", tolerance=0.01)
def test_path_to_the_data(tolerance):
    """Follows 600 paths of the ODE from p(x; 3) down to σ = 0.001: each must end at one of five
    points, each point equally often, and be on average within σ√d of it before.
    """
    points = np.array([[-1.0, 0.2], [-0.4, -0.9], [0.5, 0.8], [1.1, -0.3], [0.2, 0.1]])
    rng = np.random.default_rng(9)
    n, top, end = 600, 3.0, 1e-3
    start = points[rng.integers(5, size=n)] + top * rng.standard_normal((n, 2))

    def slope(log_sigma, flat):  # dx/d ln σ = x − D
        x = flat.reshape(n, 2)
        logits = -((x[:, None] - points) ** 2).sum(2) / (2 * np.exp(2 * log_sigma))
        weights = np.exp(logits - logits.max(1, keepdims=True))
        return (x - weights @ points / weights.sum(1, keepdims=True)).ravel()

    levels = np.array([top, 1.0, 0.3, 0.1, end])
    path = solve_ivp(
        slope,
        (np.log(top), np.log(end)),
        start.ravel(),
        t_eval=np.log(levels),
        rtol=1e-7,
        atol=1e-9,
    )
    states = path.y.T.reshape(len(levels), n, 2)
    to_points = np.linalg.norm(states[-1][:, None] - points, axis=2)
    assert to_points.min(1).max() < tolerance
    away = np.linalg.norm(states[:-1] - points[to_points.argmin(1)], axis=2).mean(1)
    assert (away <= levels[:-1] * np.sqrt(2)).all()
    counts = np.bincount(to_points.argmin(1), minlength=5)
    assert ((counts - n / 5) ** 2 / (n / 5)).sum() < chi2.isf(
        6e-5, 4
    )  # as rare as four standard errors
