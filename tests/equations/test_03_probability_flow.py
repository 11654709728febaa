"""Chapter 03: Fokker–Planck, the probability-flow ODE, the reverse SDE and the family between
them, the likelihood.
"""

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp
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


@pytest.mark.equation("fokker-planck", tolerance=1e-6)
def test_fokker_planck(tolerance):
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
    assert np.abs(measured - (-flow + 0.5 * g**2 * spread)).max() < tolerance


@pytest.mark.equation("probability-flow-ode", tolerance=1e-7)
def test_probability_flow_ode(tolerance):
    """Moves points of a mixture on the line by the ODE and checks that each keeps its rank: the
    share of probability on its left stays the same.
    """
    x = np.linspace(-2.5, 2.5, 41)
    moved = solve_ivp(
        lambda t, y: f(t) * y - 0.5 * g2(t) * score(y, t), (0.0, 1.5), x, rtol=1e-10, atol=1e-12
    ).y[:, -1]
    assert np.abs(logit(moved, 1.5) - logit(x, 0.0)).max() < tolerance


@pytest.mark.equation("pf-ode-sigma-s", tolerance=1e-7)
def test_pf_ode_in_sigma_and_s(tolerance):
    """Integrates the form in σ(t) and s(t) for an unusual scale and level, and checks that points
    keep their rank, that x/s follows the curve of dx̂/dσ = −σ ∇log p, and that the library has
    the same velocity.
    """

    def hat_score(x, sigma):  # of p(x̂; σ), by differences
        def value(y):
            return logsumexp(
                np.log(W) - 0.5 * ((y[:, None] - M) ** 2 / (V + sigma**2) + np.log(V + sigma**2)),
                axis=1,
            )

        h = 1e-4
        return (8 * (value(x + h) - value(x - h)) - (value(x + 2 * h) - value(x - 2 * h))) / (
            12 * h
        )

    def velocity(t, x):
        return f(t) * x - scale(t) ** 2 * dlevel(t) * level(t) * hat_score(
            x / scale(t), level(t)
        ) / scale(t)

    x = np.linspace(-2.5, 2.5, 21)
    precise = dict(rtol=1e-10, atol=1e-12)
    moved = solve_ivp(velocity, (0, 1.5), x, **precise).y[:, -1]
    curve = solve_ivp(
        lambda sigma, y: -sigma * hat_score(y, sigma), (0, level(1.5)), x, **precise
    ).y[:, -1]
    assert np.abs(logit(moved, 1.5) - logit(x, 0.0)).max() < tolerance
    assert np.abs(moved / scale(1.5) - curve).max() < tolerance
    process = processes.FromSDE(f, lambda t: np.sqrt(g2(t)), t_max=1.5)
    flow = solvers.Flow(denoisers.Mixture(M[:, None], V, W), process)
    assert (
        np.abs(
            flow.velocity(torch.from_numpy(x)[:, None], process.at(0.7))[:, 0].numpy()
            - velocity(0.7, x)
        ).max()
        < tolerance
    )


@pytest.mark.equation("reverse-sde", tolerance=1e-7)
def test_reverse_sde(tolerance):
    """Computes by Bayes' rule and quadrature the mean and the variance of the step from t back to
    t − h, given x_t, and compares them with the drift and the noise of the reverse SDE as h →
    0.
    """
    t, x = 0.8, np.linspace(-2.0, 2.0, 9)

    def moments(h):  # of (x_{t−h} − x_t)/h given x_t = x: posterior ∝ p(x_t | x_{t−h}) p(x_{t−h})
        ratio = scale(t) / scale(t - h)
        std = scale(t) * np.sqrt(level(t) ** 2 - level(t - h) ** 2)
        y = x[:, None] / ratio + std * np.linspace(-9, 9, 4001)
        weight = norm.pdf(x[:, None], ratio * y, std) * np.exp(log_p(y, t - h))
        weight /= weight.sum(1, keepdims=True)
        mean = (weight * (y - x[:, None])).sum(1)
        return np.array([mean / h, (weight * (y - x[:, None] - mean[:, None]) ** 2).sum(1) / h])

    h = 1e-3
    drift, variance = (
        8 * moments(h / 4) - 6 * moments(h / 2) + moments(h)
    ) / 3  # two extrapolations to h = 0
    assert np.abs(drift - -(f(t) * x - g2(t) * score(x, t))).max() < tolerance
    assert np.abs(variance - g2(t)).max() < tolerance


@pytest.mark.equation("sde-family", tolerance=1e-10)
@pytest.mark.parametrize("sign", [+1, -1])
@pytest.mark.parametrize("beta", [0.0, 0.4, dlevel(0.7) / level(0.7), 5.0])
def test_sde_family(beta, sign, tolerance):
    """Puts a mixture in the plane into the Fokker–Planck equation of the family's member, forward
    and reversed, for four amounts of noise, with exact derivatives.
    """
    x, t = plane()
    log_density = log_p_plane(x, t)
    p = log_density.exp()[:, None]
    sigma, s = level(t), scale(t)
    drift = f(t) * x - s**2 * (dlevel(t) * sigma - sign * beta * sigma**2) * gradient(
        log_density, x
    )
    variance_rate = (s * np.sqrt(2 * beta) * sigma)[:, 0] ** 2
    spread = 0.5 * variance_rate * divergence(gradient(p, x), x)
    residual = gradient(p, t)[:, 0] + divergence(drift * p, x) - sign * spread
    assert (
        float(gradient(p, t).abs().max().detach()) > 0.01
        and float(residual.abs().max().detach()) < tolerance
    )


@pytest.mark.equation("change-of-variables", tolerance=1e-7)
def test_change_of_variables(tolerance):
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
    likelihood = log_p_plane(final[:, :2], end) + final[:, 2]
    assert float((likelihood - log_p_plane(start, 0.0)).detach().abs().max()) < tolerance


@pytest.mark.equation("linear-sde-unique", tolerance=1e-9)
def test_linear_sde_unique(tolerance):
    """Searches all other linear SDEs for one with the marginal of the given one: for a centred
    Gaussian a whole curve of them has it, for a mixture with the same mean and variance none
    comes near.
    """
    w, m, v = np.array([0.5, 0.5]), np.array([-1.0, 1.0]), 0.2
    s, sigma, variance = 0.6, 0.9, m @ (w * m) + v
    x = np.linspace(-8, 8, 4001)

    def mixture(s, sigma):
        return norm.pdf(x[:, None], s * m, s * np.sqrt(v + sigma**2)) @ w

    for r in (0.8, 0.95, 1.05, 1.1):
        # Equal marginals have equal variances, which leaves one candidate σ' for each
        # scale s' = r s.
        other = np.sqrt((variance + sigma**2) / r**2 - variance)
        gauss = norm.pdf(x, 0, s * np.sqrt(variance + sigma**2)) - norm.pdf(
            x, 0, r * s * np.sqrt(variance + other**2)
        )
        assert np.abs(gauss).max() < tolerance
        assert np.abs(mixture(s, sigma) - mixture(r * s, other)).max() > 0.01 * abs(r - 1)
    # Equal laws would need φ(k) = φ(rk) exp(−a k²/2) for the characteristic function φ of the
    # data: it holds on the curve only.
    k, a = np.linspace(0, 6, 50), variance * (1 - 0.8**2)
    assert (
        np.abs(
            np.exp(-variance * k**2 / 2) - np.exp(-variance * (0.8 * k) ** 2 / 2 - a * k**2 / 2)
        ).max()
        < tolerance
    )


@pytest.mark.equation("ddpm-as-reverse-sde", tolerance=2e-3)
def test_ddpm_as_reverse_sde(tolerance):
    """Takes DDPM's step with the exact posterior mean and the Euler–Maruyama step of the reverse
    SDE from the same states, and checks that mean and variance differ by β² times the stated
    coefficients (relative error).
    """
    data = denoisers.Mixture(M[:, None], V, W)
    x = torch.linspace(-2, 2, 9, dtype=torch.float64)[:, None]
    chain = schedules.from_process(processes.VP(), 20000)
    t = 10000
    beta, a = chain.betas[t - 1], chain.alpha_bars[t]
    x0 = data(x / a.sqrt(), ((1 - a) / a).sqrt())
    mean, _ = chain.posterior(x, x0, t)
    var = (a * torch.from_numpy(V) + 1 - a)[None]
    responsibility = torch.softmax(
        torch.log(torch.from_numpy(W))
        - 0.5 * ((x - a.sqrt() * torch.from_numpy(M)) ** 2 / var + var.log()),
        1,
    )
    S = (responsibility * (a.sqrt() * torch.from_numpy(M) - x) / var).sum(1, keepdim=True)
    euler_mean = x + 0.5 * beta * x + beta * S
    second = 0.375 * x + 0.5 * S
    assert float(second.abs().min()) > 0.01
    assert float((((mean - euler_mean) / beta**2 - second) / second).abs().max()) < tolerance
    long_steps = schedules.from_process(processes.VP(), 50)  # the variance is exact there too
    for c, k in ((chain, t), (long_steps, 10)):
        beta, a, before = c.betas[k - 1], c.alpha_bars[k], c.alpha_bars[k - 1]
        variance = c.posterior(x, x, k)[1]
        assert abs(float((beta - variance) / beta**2 / (before / (1 - a))) - 1) < tolerance
