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


@pytest.mark.equation(
    "mmse-denoiser",
    tolerance=1e-9,
    wrong=r"$\mathbb E\|D(x)-x_0\|^2 = \mathbb E\|D(x)-\mathbb E[x_0\mid x]\|^2"
    r" + \operatorname{tr}\operatorname{Cov}[x_0]$",
)
@pytest.mark.parametrize("sigma", [0.3, 1.0])
def test_mmse_denoiser(tolerance, wrong, sigma):
    """Integrates the squared error of three denoisers over (x0, x) on a grid and compares with
    distance to the conditional mean plus the floor.
    """
    x0, x, cell = joint(sigma)
    marginal = cell.sum(0, keepdims=True)
    mean = (x0 * cell).sum(0, keepdims=True) / marginal
    floor = ((x0 - ((x0 * cell).sum() if wrong else mean)) ** 2 * cell).sum()
    assert np.abs(mean - on_line(library_line(), x, sigma))[marginal > 1e-12].max() < 1e-8
    for D in (np.sin(x), x, mean + 0.1 * x**2):
        assert (
            abs(((D - x0) ** 2 * cell).sum() - ((D - mean) ** 2 * marginal).sum() - floor)
            < tolerance
        )
        assert ((D - x0) ** 2 * cell).sum() > floor


@pytest.mark.equation(
    "score-conditional-expectation",
    tolerance=1e-7,
    wrong=r"$\nabla\log p_t(x_t) = -\mathbb E[\varepsilon\mid x_t]/\sigma$",
)
@pytest.mark.parametrize("s, sigma", [(0.9, 0.4), (0.6, 1.3)])
def test_score_conditional_expectation(tolerance, wrong, s, sigma):
    """Differentiates log p_t numerically (central differences, p_t by quadrature) and compares
    with the posterior mean of the kernel's score, and of the noise.
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
    noise = (posterior * (x[:, None] / s - x0) / sigma).sum(1)
    assert np.abs(by_differences + noise / (sigma if wrong else s * sigma)).max() < tolerance


@pytest.mark.equation(
    "tweedie", tolerance=0.02, wrong=r"$D(x;\sigma) = x + \sigma\,\nabla\log p(x;\sigma)$"
)
def test_tweedie(tolerance, wrong):
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
    step = (sigma if wrong else sigma**2) * score
    assert np.abs(means - (centre + step)).max() < tolerance


@pytest.mark.equation(
    "tweedie-covariance",
    tolerance=1e-7,
    wrong=r"$\operatorname{Cov}[x_0\mid x] = \sigma^2 I + \sigma^2\,\nabla^2\log p(x;\sigma)$",
)
@pytest.mark.parametrize("sigma", [0.4, 1.5])
def test_tweedie_covariance(tolerance, wrong, sigma):
    """Sums the posterior covariance of thirty points and compares it with σ² ∂D/∂x and with
    σ² I + σ⁴ ∇² log p, both by fourth-order differences.
    """
    rng = np.random.default_rng(5)
    points, x, d = rng.standard_normal((30, 3)), rng.standard_normal(3), 3
    weights = np.exp(-((points - x) ** 2).sum(1) / (2 * sigma**2))
    covariance = np.cov(points.T, aweights=weights, ddof=0)
    D = denoisers.DataSet(torch.tensor(points))

    def derivative(f, at, h, axis):
        e = h * np.eye(d)[axis]
        return (8 * (f(at + e) - f(at - e)) - f(at + 2 * e) + f(at - 2 * e)) / (12 * h)

    def denoise(at):
        return D(torch.tensor(at)[None], sigma)[0].numpy()

    jacobian = np.stack([derivative(denoise, x, 1e-3, j) for j in range(d)], 1)
    assert np.abs(sigma**2 * jacobian - covariance).max() < tolerance

    def log_p(at):  # up to a constant, without the library
        return np.log(np.exp(-((points - at) ** 2).sum(1) / (2 * sigma**2)).sum())

    def slopes(at):
        return np.array([derivative(log_p, at, 2e-3, j) for j in range(d)])

    hessian = np.stack([derivative(slopes, x, 2e-3, k) for k in range(d)])
    by_hessian = sigma**2 * np.eye(d) + sigma ** (2 if wrong else 4) * hessian
    assert np.abs(by_hessian - covariance).max() < tolerance


@pytest.mark.equation(
    "dsm-equals-sm",
    tolerance=1e-8,
    wrong=r"$J_{\mathrm{DSM}}(S) = J_{\mathrm{SM}}(S) + \tfrac12\,d/\sigma^2$",
)
@pytest.mark.parametrize("sigma", [0.3, 1.0])
def test_dsm_equals_sm(tolerance, wrong, sigma):
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
    constant = 0.5 * (1 / sigma**2 - (0 if wrong else (true**2 * marginal).sum()))
    for model in (-x, np.tanh(x), true + np.cos(3 * x)):
        denoising = 0.5 * ((model - (x0 - x) / sigma**2) ** 2 * cell).sum()
        explicit = 0.5 * ((model - true) ** 2 * marginal).sum()
        assert abs(denoising - explicit - constant) < tolerance


@pytest.mark.equation(
    "prediction-conversions",
    tolerance=1e-12,
    wrong=r"$\hat v = (\sqrt{\bar\alpha}\,x_t - D)/\sigma$",
)
@pytest.mark.parametrize("sigma", [0.05, 1.0, 20.0])
def test_prediction_conversions(tolerance, wrong, sigma):
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
            lambda D: (a * x_t - D) / (sigma if wrong else b),
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


@pytest.mark.equation(
    "gaussian-denoiser",
    tolerance=1e-10,
    wrong=r"$D(x;\sigma) = \mu + \Sigma\,(\Sigma + \sigma I)^{-1}(x-\mu)$",
)
@pytest.mark.parametrize("sigma", [0.3, 2.0])
def test_gaussian_denoiser(tolerance, wrong, sigma):
    """Integrates the posterior mean of a correlated Gaussian over a grid in the plane and compares
    with the matrix formula and with the library.
    """
    mean, cov = np.array([0.5, -1.0]), np.array([[1.0, 0.6], [0.6, 0.8]])
    precision, x = np.linalg.inv(cov), np.array([1.2, 0.7])
    by_grid = posterior_mean_on_a_square(
        lambda y: np.exp(-0.5 * np.einsum("...i,ij,...j", y - mean, precision, y - mean)), x, sigma
    )
    noise = sigma if wrong else sigma**2
    formula = mean + cov @ np.linalg.solve(cov + noise * np.eye(2), x - mean)
    library = denoisers.Gaussian(torch.tensor(mean), torch.tensor(cov))(
        torch.tensor(x)[None], sigma
    )[0].numpy()
    assert np.abs(formula - by_grid).max() < tolerance
    assert np.abs(library - by_grid).max() < tolerance


@pytest.mark.equation(
    "mixture-denoiser",
    tolerance=1e-10,
    wrong=r"$w_k(x) \propto q_k\,\mathcal N(x;\mu_k, c_k I)$, without $\sigma^2$",
)
@pytest.mark.parametrize("sigma", [0.3, 2.0])
def test_mixture_denoiser(tolerance, wrong, sigma):
    """Integrates the posterior mean of a mixture of three Gaussians over a grid in the plane and
    compares with the formula and with the library.
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
    spread = variances if wrong else variances + sigma**2
    share = weights * np.exp(-((x - means) ** 2).sum(1) / (2 * spread)) / spread
    shrunk = means + (variances / (variances + sigma**2))[:, None] * (x - means)
    assert np.abs(share / share.sum() @ shrunk - by_grid).max() < tolerance
    library = denoisers.Mixture(torch.tensor(means), torch.tensor(variances), torch.tensor(weights))
    assert np.abs(library(torch.tensor(x)[None], sigma)[0].numpy() - by_grid).max() < tolerance


@pytest.mark.equation(
    "dataset-denoiser", tolerance=1e-7, wrong=r"$w_i(x) \propto \exp(-\|x-y_i\|^2/\sigma^2)$"
)
@pytest.mark.parametrize("sigma", [0.002, 0.5])
def test_dataset_denoiser(tolerance, wrong, sigma):
    """Differentiates the log density of forty points in 80-digit arithmetic, half-way between two
    of them, and compares x + σ² times it with the weighted mean and with the library.
    """
    rng = np.random.default_rng(7)
    points = np.float32(rng.uniform(-1, 1, (40, 16))).astype(float)
    distances = ((points[1:] - points[0]) ** 2).sum(1)
    near = points[1 + distances.argmin()]
    # both have a share in the mean, even at σ = 0.002
    x = (points[0] + near) / 2 + 1e-7 * (near - points[0])
    with localcontext(prec=80):
        exact_points, exact_x = [[Decimal(v) for v in p] for p in points], [Decimal(v) for v in x]
        variance, h = Decimal(sigma) ** 2, Decimal("1e-25")

        def log_p(at):
            return sum(
                (-sum((u - v) ** 2 for u, v in zip(p, at)) / (2 * variance)).exp()
                for p in exact_points
            ).ln()

        def moved(k, by):
            return [v + by * (j == k) for j, v in enumerate(exact_x)]

        slopes = [(log_p(moved(k, h)) - log_p(moved(k, -h))) / (2 * h) for k in range(16)]
        exact = [float(v + variance * slope) for v, slope in zip(exact_x, slopes)]
    exponents = -((x - points) ** 2).sum(1) / ((1 if wrong else 2) * sigma**2)
    weights = np.exp(exponents - exponents.max())
    assert np.abs(weights @ points / weights.sum() - exact).max() < tolerance
    library = denoisers.DataSet(torch.tensor(points), chunk=7)(torch.tensor(x)[None], sigma)
    assert np.abs(library[0].numpy() - exact).max() < tolerance
    assert np.abs(exact - points[0]).max() > 0.01 and np.abs(exact - near).max() > 0.01


@pytest.mark.equation(
    "nearest-point-limit",
    tolerance=1e-12,
    wrong=r"$\|D - y_i\| \le \sum_{j\ne i} \|y_j-y_i\|\,e^{-g_{ij}/\sigma^2}$",
)
def test_nearest_point_limit(tolerance, wrong):
    """Checks at two thousand states and noise levels that the denoiser is never farther from any
    point than the bound, which vanishes for the nearest, and that it ends in the middle of ties.
    """
    rng = np.random.default_rng(8)
    points, x = rng.standard_normal((12, 3)), 1.5 * rng.standard_normal((2000, 3))
    sigma = np.exp(rng.uniform(np.log(0.02), np.log(2.0), 2000))
    ideal = denoisers.DataSet(torch.tensor(points))
    D = ideal(torch.tensor(x), torch.tensor(sigma)).numpy()
    squares = ((x[:, None] - points) ** 2).sum(2)
    gaps = squares[:, None] - squares[:, :, None]  # [x, i, j]: of y_j over y_i
    apart = np.linalg.norm(points - points[:, None], axis=2)  # 0 for j = i
    with np.errstate(over="ignore", invalid="ignore"):  # far points: their bound is infinite
        terms = np.exp(-gaps / ((1 if wrong else 2) * sigma[:, None, None] ** 2))
        bound = np.nansum(apart * terms, axis=2)
    away = np.linalg.norm(D[:, None] - points, axis=2)
    assert (away <= bound + tolerance).all()
    nearest = np.arange(2000), squares.argmin(1)
    tight = away[nearest][sigma > 0.5] / bound[nearest][sigma > 0.5]
    assert np.quantile(tight, 0.5) > 0.1  # and it is not an empty statement
    assert np.quantile(bound[nearest][sigma < 0.05], 0.9) < 1e-6  # it vanishes
    # Ties: the corners of a triangle and of a square around x, and the others farther away.
    for corners in (3, 4):
        angle = 2 * np.pi * np.arange(corners) / corners
        tied = np.stack([np.cos(angle), np.sin(angle), 0 * angle], 1) + [0, 0, 0.3]
        others = rng.standard_normal((5, 3))
        others *= 1.5 / np.linalg.norm(others, axis=1, keepdims=True)
        D = denoisers.DataSet(torch.tensor(np.concatenate([others, tied])))
        answer = D(torch.zeros(1, 3, dtype=torch.float64), 0.1)[0].numpy()
        assert np.abs(answer - tied.mean(0)).max() < tolerance


@pytest.mark.equation(
    "path-to-the-data",
    tolerance=0.04,
    wrong=r"$\mathbb E\|x(\sigma)-x(0)\| \le \tfrac12\,\sigma\sqrt d$",
)
def test_path_to_the_data(tolerance, wrong):
    """Follows 800 paths of the ODE from p(x; 6) down to σ = 0.001 in eight dimensions: each must
    end at one of five points, each point equally often, and be on average within σ√d of it before,
    a bound that they come near to at small σ.
    """
    rng = np.random.default_rng(9)
    n, d, top, end = 800, 8, 6.0, 1e-3
    points = rng.standard_normal((5, d))
    start = points[rng.integers(5, size=n)] + top * rng.standard_normal((n, d))

    def slope(log_sigma, flat):  # dx/d ln σ = x − D
        x = flat.reshape(n, d)
        logits = (x @ points.T - (points**2).sum(1) / 2) / np.exp(2 * log_sigma)
        weights = np.exp(logits - logits.max(1, keepdims=True))
        return (x - weights @ points / weights.sum(1, keepdims=True)).ravel()

    levels = np.array([top, 2.0, 1.0, 0.3, 0.1, end])
    ends = np.log(top), np.log(end)
    path = solve_ivp(slope, ends, start.ravel(), t_eval=np.log(levels), rtol=1e-6, atol=1e-8)
    states = path.y.T.reshape(len(levels), n, d)
    to_points = np.linalg.norm(states[-1][:, None] - points, axis=2)
    assert to_points.min(1).max() < 0.01
    away = np.linalg.norm(states[:-1] - points[to_points.argmin(1)], axis=2).mean(1)
    bound = levels[:-1] * np.sqrt(d) / (2 if wrong else 1)
    assert (away <= bound).all()
    # E‖ε‖ = 0.97 √d at d = 8: where one point has all the weight, no smaller bound would do
    assert (away[-2:] >= (1 - tolerance) * bound[-2:]).all()
    counts = np.bincount(to_points.argmin(1), minlength=5)
    as_rare_as_four_standard_errors = chi2.isf(6e-5, 4)
    assert ((counts - n / 5) ** 2 / (n / 5)).sum() < as_rare_as_four_standard_errors
