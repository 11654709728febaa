"""Chapter 03: the average velocity of the lines, Fokker–Planck, the probability-flow ODE, the
reverse SDE and the family between them, the likelihood.
"""

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp
from scipy.optimize import minimize_scalar
from scipy.special import log_ndtr, logsumexp
from scipy.stats import norm

from fewstep import denoisers, processes, schedules, solvers

# A mixture on the line, with formulas of its own: nothing below asks the library for a score.
W, M, V = np.array([0.3, 0.5, 0.2]), np.array([-1.5, 0.4, 1.8]), np.array([0.1, 0.05, 0.3])
# And one in the plane, for torch's derivatives.
W2, M2, V2 = (
    torch.tensor(a, dtype=torch.float64)
    for a in ([0.4, 0.6], [[-1.0, 0.5], [0.8, -0.3]], [0.2, 0.4])
)


# One scale and noise level that no named process has, and their coefficients f = ṡ/s and g² = s²
# d(σ²)/dt by hand.
def scale(t):
    return 1 / (1 + t) + 0.2 * t**2


def dscale(t):
    return -1 / (1 + t) ** 2 + 0.4 * t


def level(t):
    return t + 0.5 * t**3


def dlevel(t):
    return 1 + 1.5 * t**2


def f(t):
    return dscale(t) / scale(t)


def g2(t):
    return 2 * scale(t) ** 2 * level(t) * dlevel(t)


def log_p(x, t):
    """log density of x_t = s (x_0 + σ ε) for the mixture on the line, at an array of states."""
    var = scale(t) ** 2 * (V + level(t) ** 2)
    return logsumexp(
        np.log(W) - 0.5 * ((x[..., None] - scale(t) * M) ** 2 / var + np.log(2 * np.pi * var)),
        axis=-1,
    )


def score(x, t, h=1e-4):
    """Its slope, by a difference of fourth order."""
    return (
        8 * (log_p(x + h, t) - log_p(x - h, t)) - (log_p(x + 2 * h, t) - log_p(x - 2 * h, t))
    ) / (12 * h)


def logit(x, t):
    """log F/(1 − F) of the distribution function F of x_t: how many of the points lie to the left,
    readable in both tails.
    """
    z = (x[..., None] - scale(t) * M) / (scale(t) * np.sqrt(V + level(t) ** 2))
    return logsumexp(np.log(W) + log_ndtr(z), axis=-1) - logsumexp(
        np.log(W) + log_ndtr(-z), axis=-1
    )


def log_p_plane(x, t):
    """log density of x_t in the plane, differentiable in x (B, 2) and t, a number or (B, 1)."""
    t = torch.as_tensor(t, dtype=torch.float64).reshape(-1, 1)
    var = scale(t) ** 2 * (V2 + level(t) ** 2)
    distance = ((x[:, None] - scale(t)[..., None] * M2) ** 2).sum(-1)
    return torch.logsumexp(torch.log(W2) - 0.5 * distance / var - torch.log(2 * torch.pi * var), 1)


def gradient(values, x):
    return torch.autograd.grad(values.sum(), x, create_graph=True)[0]


def divergence(field, x):
    return sum(gradient(field[:, i], x)[:, i] for i in range(x.shape[1]))


def plane():
    """States x (B, 2) and their time, ready for derivatives."""
    x = 1.5 * torch.randn(40, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    t = torch.full((40, 1), 0.7, dtype=torch.float64)
    return x.requires_grad_(), t.requires_grad_()


@pytest.mark.equation(
    "mean-velocity",
    tolerance=1e-6,
    wrong=r"$\frac{dx}{d\sigma} = -\tfrac12\,\sigma\,\nabla\log p(x;\sigma)$",
)
def test_mean_velocity(tolerance, wrong):
    """Averages the slopes of the lines through a point, for data spread evenly over two intervals,
    compares the average with a difference of log p, and checks that points moved by it keep their
    rank.
    """
    nodes, weights = np.polynomial.legendre.leggauss(80)
    x0 = np.concatenate([-1 + 0.6 * nodes, 0.9 + 0.3 * nodes])
    share = np.concatenate([0.35 * weights, 0.15 * weights])  # 70 % and 30 %

    def p(x, sigma):
        return norm.pdf(x[:, None], x0, sigma) @ share

    def slope(sigma, x):  # E[ε | x], ε = (x − x_0)/σ
        lines = norm.pdf(x[:, None], x0, sigma) * share
        return (lines * (x[:, None] - x0) / sigma).sum(1) / lines.sum(1)

    def difference(x, sigma, d):
        return (np.log(p(x + d, sigma)) - np.log(p(x - d, sigma))) / (2 * d)

    x, factor = np.linspace(-2.0, 2.0, 21), 0.5 if wrong else 1.0
    for sigma in (0.3, 0.8, 2.0):
        score = (4 * difference(x, sigma, 5e-4) - difference(x, sigma, 1e-3)) / 3
        assert np.abs(slope(sigma, x) + factor * sigma * score).max() < tolerance
    moved = solve_ivp(slope, (0.3, 2.0), x, rtol=1e-10, atol=1e-12).y[:, -1]
    before, after = norm.cdf(x[:, None], x0, 0.3) @ share, norm.cdf(moved[:, None], x0, 2.0) @ share
    assert np.abs(after - before).max() < tolerance


@pytest.mark.equation(
    "fokker-planck",
    tolerance=1e-6,
    wrong=r"$\frac{\partial p}{\partial t} = -\nabla\cdot(b\,p) + g^2\,\Delta p$",
)
def test_fokker_planck(tolerance, wrong):
    """Carries a two-peaked density over short times under a non-linear drift, by integrating over
    all small Gaussian moves, and compares its rate of change with the equation's right-hand
    side.
    """

    def b(x):
        return x - x**3 + 0.5

    def p(x):
        return 0.4 * norm.pdf(x, -0.8, 0.4) + 0.6 * norm.pdf(x, 0.7, 0.5)

    g, y = 0.8, np.linspace(-5, 5, 40001)
    x = np.linspace(-1.5, 1.5, 25)

    def rate(h):  # (p(x, h) − p(x, 0))/h, where x = y + b(y) h + g √h z
        return (
            np.trapezoid(norm.pdf(x[:, None], y + b(y) * h, g * np.sqrt(h)) * p(y), y, axis=1)
            - p(x)
        ) / h

    h = 2e-4
    # two extrapolations to h = 0
    measured = (8 * rate(h / 4) - 6 * rate(h / 2) + rate(h)) / 3
    d = 2e-4
    flow = (b(x + d) * p(x + d) - b(x - d) * p(x - d)) / (2 * d)
    spread = (p(x + d) - 2 * p(x) + p(x - d)) / d**2
    half = 1.0 if wrong else 0.5
    assert np.abs(measured - (-flow + half * g**2 * spread)).max() < tolerance


@pytest.mark.equation(
    "probability-flow-ode", tolerance=1e-7, wrong=r"$\frac{dx}{dt} = f\,x - g^2\,\nabla\log p$"
)
def test_probability_flow_ode(tolerance, wrong):
    """Moves points of a mixture on the line by the ODE and checks that each keeps its rank: the
    share of probability on its left stays the same.
    """
    x, half = np.linspace(-2.5, 2.5, 41), 1.0 if wrong else 0.5
    moved = solve_ivp(
        lambda t, y: f(t) * y - half * g2(t) * score(y, t), (0.0, 1.5), x, rtol=1e-10, atol=1e-12
    ).y[:, -1]
    assert np.abs(logit(moved, 1.5) - logit(x, 0.0)).max() < tolerance


@pytest.mark.equation(
    "pf-ode-sigma-s",
    tolerance=1e-7,
    wrong=r"$\frac{dx}{dt} = \frac{\dot s}{s}\,x - s^2\,\dot\sigma\,\sigma\,"
    r"\nabla\log p(\hat x;\sigma)$",
)
def test_pf_ode_in_sigma_and_s(tolerance, wrong):
    """Integrates both lines for an unusual scale and level, with the gradients taken by differences
    of log p(x/s; σ) in x and of log p in its argument, and checks that points keep their rank, that
    x/s follows the curve of dx̂/dσ = −σ ∇log p, and that the library has the same velocity.
    """

    def log_hat(y, sigma):  # log p(x̂; σ) up to a constant
        return logsumexp(
            np.log(W) - 0.5 * ((y[:, None] - M) ** 2 / (V + sigma**2) + np.log(V + sigma**2)),
            axis=1,
        )

    def slope(value, x, h=1e-4):
        near, far = value(x + h) - value(x - h), value(x + 2 * h) - value(x - 2 * h)
        return (8 * near - far) / (12 * h)

    def first(t, x):
        gradient_in_x = slope(lambda x: log_hat(x / scale(t), level(t)), x)
        return f(t) * x - scale(t) ** 2 * dlevel(t) * level(t) * gradient_in_x

    def second(t, x):
        hat_score = slope(lambda y: log_hat(y, level(t)), x / scale(t))
        return f(t) * x - scale(t) ** (2 if wrong else 1) * dlevel(t) * level(t) * hat_score

    x = np.linspace(-2.5, 2.5, 21)
    precise = dict(rtol=1e-10, atol=1e-12)
    curve = solve_ivp(
        lambda sigma, y: -sigma * slope(lambda y: log_hat(y, sigma), y), (0, level(1.5)), x,
        **precise,
    ).y[:, -1]  # fmt: skip
    process = processes.FromSDE(f, lambda t: np.sqrt(g2(t)), t_max=1.5)
    flow = solvers.Flow(denoisers.Mixture(M[:, None], V, W), process)
    library = flow.velocity(torch.from_numpy(x)[:, None], process.at(0.7))[:, 0].numpy()
    for velocity in (first, second):
        moved = solve_ivp(velocity, (0, 1.5), x, **precise).y[:, -1]
        assert np.abs(logit(moved, 1.5) - logit(x, 0.0)).max() < tolerance
        assert np.abs(moved / scale(1.5) - curve).max() < tolerance
        assert np.abs(library - velocity(0.7, x)).max() < tolerance


def back(x, t, h):
    """Mean and variance of (x_{t−h} − x_t)/h given x_t = x, by Bayes' rule and quadrature."""
    ratio = scale(t) / scale(t - h)
    std = scale(t) * np.sqrt(level(t) ** 2 - level(t - h) ** 2)
    y = x[:, None] / ratio + std * np.linspace(-9, 9, 4001)
    weight = norm.pdf(x[:, None], ratio * y, std) * np.exp(log_p(y, t - h))
    weight /= weight.sum(1, keepdims=True)
    mean = (weight * (y - x[:, None])).sum(1)
    return np.array([mean / h, (weight * (y - x[:, None] - mean[:, None]) ** 2).sum(1) / h])


def to_zero(quotient, h=1e-3):
    """The limit of a difference quotient for h → 0, by two extrapolations."""
    return (8 * quotient(h / 4) - 6 * quotient(h / 2) + quotient(h)) / 3


@pytest.mark.equation(
    "reverse-sde",
    tolerance=1e-7,
    wrong=r"$dx = \bigl[ f\,x - \tfrac12\,g^2\,\nabla\log p \bigr]\,dt + g\,d\bar w$",
)
def test_reverse_sde(tolerance, wrong):
    """Computes by Bayes' rule and quadrature the mean and the variance of the step from t back to
    t − h, given x_t, and compares them with the drift and the noise of the reverse SDE as h →
    0.
    """
    t, x = 0.8, np.linspace(-2.0, 2.0, 9)
    drift, variance = to_zero(lambda h: back(x, t, h))
    factor = 0.5 if wrong else 1.0
    assert np.abs(drift - -(f(t) * x - factor * g2(t) * score(x, t))).max() < tolerance
    assert np.abs(variance - g2(t)).max() < tolerance


@pytest.mark.equation("mean-of-drifts", tolerance=1e-6, wrong=r"$u = \tfrac12\,(b_+ - b_-)$")
def test_mean_of_drifts(tolerance, wrong):
    """Computes both mean drifts by quadrature over the moves ahead and, by Bayes' rule, back, and
    compares their mean with the velocity that keeps every rank, −(∂F/∂t)/p by differences of the
    distribution function F.
    """
    t, x = 0.8, np.linspace(-2.0, 2.0, 9)

    def ahead(h):  # E[x_{t+h} − x_t | x_t = x]/h
        ratio = scale(t + h) / scale(t)
        std = scale(t + h) * np.sqrt(level(t + h) ** 2 - level(t) ** 2)
        y = ratio * x[:, None] + std * np.linspace(-9, 9, 4001)
        weight = norm.pdf(y, ratio * x[:, None], std)
        return (weight * (y - x[:, None])).sum(1) / weight.sum(1) / h

    def rank(t):
        return norm.cdf(x[:, None], scale(t) * M, scale(t) * np.sqrt(V + level(t) ** 2)) @ W

    d = 1e-3
    slope = (8 * (rank(t + d) - rank(t - d)) - (rank(t + 2 * d) - rank(t - 2 * d))) / (12 * d)
    u = -slope / np.exp(log_p(x, t))
    b_plus, b_minus = to_zero(ahead), -to_zero(lambda h: back(x, t, h))[0]
    assert np.abs((b_plus - b_minus if wrong else b_plus + b_minus) / 2 - u).max() < tolerance
    assert np.abs(f(t) * x - 0.5 * g2(t) * score(x, t) - u).max() < tolerance
    assert np.abs(b_plus - f(t) * x).max() < tolerance


@pytest.mark.equation(
    "sde-family",
    tolerance=1e-10,
    wrong=r"$dx_\pm = \bigl[ u \mp \tfrac12\kappa\,g^2\,\nabla\log p \bigr]\,dt"
    r" + \sqrt\kappa\,g\,dw$",
)
@pytest.mark.parametrize("sign", [+1, -1])
@pytest.mark.parametrize("kappa", [0.3, 1.0, 5.0])
def test_sde_family(kappa, sign, tolerance, wrong):
    """Puts a mixture in the plane into the Fokker–Planck equation of the family's member, forward
    and reversed, for three amounts of noise, with exact derivatives.
    """
    x, t = plane()
    log_density = log_p_plane(x, t)
    p = log_density.exp()[:, None]
    pull = 0.5 * g2(t) * gradient(log_density, x)
    u = f(t) * x - pull
    drift = u - sign * kappa * pull if wrong else u + sign * kappa * pull
    spread = 0.5 * (kappa**0.5 * g2(t) ** 0.5)[:, 0] ** 2 * divergence(gradient(p, x), x)
    residual = gradient(p, t)[:, 0] + divergence(drift * p, x) - sign * spread
    assert float(residual.abs().max().detach()) < tolerance
    assert float(gradient(p, t).abs().max().detach()) > 0.01


@pytest.mark.equation(
    "change-of-variables",
    tolerance=1e-7,
    wrong=r"$\log p(x_{t_0}, t_0) = \log p(x_{t_1}, t_1) - \int \nabla\cdot u\,dt$",
)
def test_change_of_variables(tolerance, wrong):
    """Integrates the velocity's divergence along the ODE in the plane and compares the
    log-likelihood so obtained with the mixture's own.
    """
    start, _ = plane()
    end = 1.5

    def rhs(t, state):
        x = torch.from_numpy(state.reshape(-1, 3)[:, :2].copy()).requires_grad_()
        v = f(t) * x - 0.5 * g2(t) * gradient(log_p_plane(x, t), x)
        return torch.cat([v, divergence(v, x)[:, None]], 1).detach().numpy().ravel()

    state = np.hstack([start.detach().numpy(), np.zeros((len(start), 1))]).ravel()
    final = torch.from_numpy(
        solve_ivp(rhs, (0, end), state, rtol=1e-9, atol=1e-11).y[:, -1].reshape(-1, 3)
    )
    likelihood = log_p_plane(final[:, :2], end) + (-1 if wrong else 1) * final[:, 2]
    assert float((likelihood - log_p_plane(start, 0.0)).detach().abs().max()) < tolerance


@pytest.mark.equation(
    "linear-sde-unique", tolerance=1e-6, wrong=r"$x_0 \sim \mathcal N(\mu, V I)$ with any $\mu$"
)
def test_linear_sde_unique(tolerance, wrong):
    """Searches, for other scales s', the noise level σ' whose marginal is nearest to the given one:
    a centred isotropic Gaussian has one with the same marginal, at the stated σ'; data off the
    centre, with two variances, or of two bumps come no nearer than 1000 tolerances.
    """
    s, sigma, x = 0.6, 0.9, np.linspace(-9, 9, 6001)
    mu = 0.2 if wrong else 0.0

    def distance(axes, r, other):  # largest difference of densities, over the coordinates
        gaps = [
            norm.pdf(x[:, None], s * m, s * np.sqrt(v + sigma**2)) @ w
            - norm.pdf(x[:, None], r * s * m, r * s * np.sqrt(v + other**2)) @ w
            for w, m, v in axes
        ]
        return max(np.abs(gap).max() for gap in gaps)

    def nearest(axes, r):
        search = minimize_scalar(
            lambda other: distance(axes, r, other), bounds=(0.3, 2.0), method="bounded",
            options=dict(xatol=1e-10),
        )  # fmt: skip
        return search.x, search.fun

    def gaussian(m, v):
        return np.array([1.0]), np.array([m]), np.array([v])

    two_bumps = (np.array([0.5, 0.5]), np.array([-1.0, 1.0]), np.array([0.2, 0.2]))
    for r in (0.8, 0.9, 1.05, 1.15):
        other, gap = nearest([gaussian(mu, 1.2), gaussian(0.0, 1.2)], r)
        assert gap < tolerance
        assert abs((r * s) ** 2 * (1.2 + other**2) - s**2 * (1.2 + sigma**2)) < tolerance
        for axes in (
            [gaussian(0.2, 1.2), gaussian(0.0, 1.2)],
            [gaussian(0.0, 1.2), gaussian(0.0, 0.7)],
            [two_bumps],
        ):
            assert nearest(axes, r)[1] > 1000 * tolerance


@pytest.mark.equation(
    "ddpm-as-reverse-sde", tolerance=2e-3, wrong=r"$m + \beta_k^2\,(\tfrac18\,x_k + \tfrac12\,S)$"
)
def test_ddpm_as_reverse_sde(tolerance, wrong):
    """Computes DDPM's step from several states by multiplying its two Gaussians on a grid, with the
    exact posterior mean for x_0, and reads off by least squares the coefficients of x_k and S with
    which its mean differs from Euler–Maruyama's, and its variance (relative errors).
    """

    def step(k, chain, x):
        """β, ᾱ_{k−1}, ᾱ_k, the score, and DDPM's mean and variance from states x."""
        beta, before, a = (float(v) for v in (chain.betas[k - 1], *chain.alpha_bars[k - 1 : k + 1]))
        var = a * V + 1 - a
        parts = W * norm.pdf(x[:, None], np.sqrt(a) * M, np.sqrt(var))
        parts /= parts.sum(1, keepdims=True)
        S = (parts * (np.sqrt(a) * M - x[:, None]) / var).sum(1)
        means = M + V * np.sqrt(a) / var * (x[:, None] - np.sqrt(a) * M)
        x0 = (parts * means).sum(1)  # E[x_0 | x_k], from the components' own
        y = x[:, None] + np.sqrt(beta) * np.linspace(-12, 12, 6001)
        weight = norm.pdf(x[:, None], np.sqrt(1 - beta) * y, np.sqrt(beta))
        weight *= norm.pdf(y, np.sqrt(before) * x0[:, None], np.sqrt(1 - before))
        weight /= weight.sum(1, keepdims=True)
        move = (weight * (y - x[:, None])).sum(1)
        spread = (weight * (y - x[:, None] - move[:, None]) ** 2).sum(1)
        return beta, before, a, S, move, spread

    x = np.linspace(-2, 2, 9)
    beta, _, _, S, move, _ = step(10000, schedules.from_process(processes.VP(), 20000), x)
    gap = (move - (0.5 * beta * x + beta * S)) / beta**2
    found = np.linalg.lstsq(np.stack([x, S], 1), gap, rcond=None)[0]
    assert np.abs(found / [1 / 8 if wrong else 3 / 8, 1 / 2] - 1).max() < tolerance
    for T, k in ((20000, 10000), (50, 10)):  # the variance is exact for long steps too
        beta, before, a, _, _, spread = step(k, schedules.from_process(processes.VP(), T), x)
        stated = beta - beta**2 * before / (1 - a)
        assert np.abs((beta - spread) / (beta - stated) - 1).max() < tolerance
