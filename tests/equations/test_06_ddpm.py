"""The key equations of chapter 06, each against Bayes' rule on a grid, the algebra of joint
Gaussians, quadrature, brute force or simulation.
"""

import numpy as np
import pytest
import torch
from scipy.integrate import quad, solve_ivp
from scipy.stats import norm

from fewstep import denoisers, schedules

CHAIN = schedules.linear(40)


@pytest.mark.equation(
    "ddpm-posterior",
    tolerance=1e-6,
    wrong=r"the precisions $1/\beta_t$ and $1/(1-\bar\alpha_{t-1})$, without the factor $\alpha_t$",
)
@pytest.mark.parametrize("t", [2, 20, 40])
def test_ddpm_posterior(tolerance, wrong, t):
    """Multiplies the densities of the step before and the step back on a fine grid, and compares
    mean and variance with the formulas; the library's agree.
    """
    x0, x_t = 0.7, -0.4
    a, beta = CHAIN.alpha_bars.numpy(), float(CHAIN.betas[t - 1])
    y = np.linspace(-8, 8, 400_001)
    weight = norm.pdf(y, a[t - 1] ** 0.5 * x0, (1 - a[t - 1]) ** 0.5)
    weight *= norm.pdf(x_t, (1 - beta) ** 0.5 * y, beta**0.5)
    weight /= weight.sum()
    mean = weight @ y
    variance = weight @ (y - mean) ** 2
    seen = 1 if wrong else 1 - beta
    by_formula = 1 / (seen / beta + 1 / (1 - a[t - 1]))
    to_x0, to_x_t = a[t - 1] ** 0.5 / (1 - a[t - 1]), (1 - beta) ** 0.5 / beta
    assert abs(variance - by_formula) < tolerance
    assert abs(mean - by_formula * (to_x0 * x0 + to_x_t * x_t)) < tolerance
    found = CHAIN.posterior(
        torch.tensor([[x_t]], dtype=torch.float64), torch.tensor([[x0]], dtype=torch.float64), t
    )
    assert abs(found[0].item() - mean) < tolerance and abs(float(found[1]) - variance) < tolerance


def gaussian_kl(mean, cov, other_mean, other_cov):
    """KL of two Gaussians, means (d,), covariances (d, d)."""
    inverse, shift = np.linalg.inv(other_cov), other_mean - mean
    logs = np.linalg.slogdet(other_cov)[1] - np.linalg.slogdet(cov)[1]
    return (np.trace(inverse @ cov) + shift @ inverse @ shift - len(mean) + logs) / 2


@pytest.mark.equation(
    "elbo",
    tolerance=1e-9,
    wrong=r"$q(x_{t-1}\mid x_0)$ in place of $q(x_{t-1}\mid x_t, x_0)$ in the terms of the sum",
)
@pytest.mark.parametrize("seed", [0, 1])
def test_elbo(tolerance, wrong, seed):
    """A chain of three steps back on one pixel, each linear with random numbers: log p(x₀) and the
    distance of the two distributions of (x₁, x₂, x₃) from the joint Gaussians, against the bound's
    terms.
    """
    rng, T, x0 = np.random.default_rng(seed), 3, 0.6
    betas = rng.uniform(0.2, 0.7, T)
    a = np.concatenate([[1.0], np.cumprod(1 - betas)])
    slope, offset, noise = rng.normal(size=T), rng.normal(size=T), rng.uniform(0.2, 1, T)
    # q(x₁, x₂, x₃ | x₀), and the model's joint of (x₀ … x₃), as x₃ and three noises
    q_mean = np.sqrt(a[1:]) * x0
    t = np.arange(1, T + 1)
    low = np.minimum(t[:, None], t)
    q_cov = np.sqrt(np.outer(a[1:], a[1:])) * (1 / a[low] - 1)
    rows, mean = np.zeros((T + 1, T + 1)), np.zeros(T + 1)
    rows[T, T] = 1
    for k in range(T, 0, -1):
        rows[k - 1] = slope[k - 1] * rows[k]
        rows[k - 1, k - 1] = noise[k - 1] ** 0.5
        mean[k - 1] = slope[k - 1] * mean[k] + offset[k - 1]
    joint = rows @ rows.T
    log_p = norm.logpdf(x0, mean[0], joint[0, 0] ** 0.5)
    gain = joint[1:, 0] / joint[0, 0]
    p_mean, p_cov = mean[1:] + gain * (x0 - mean[0]), joint[1:, 1:] - np.outer(gain, joint[0, 1:])
    gap = gaussian_kl(q_mean, q_cov, p_mean, p_cov)
    # the terms: L_T, the sum and L_0, each a mean over q(x_t | x₀)
    bound = gaussian_kl(*(np.atleast_1d(v) for v in (q_mean[-1],)), q_cov[-1:, -1:], [0], [[1]])
    for k in range(2, T + 1):
        if wrong:
            to_x_t, at_zero, variance = 0.0, q_mean[k - 2], 1 - a[k - 1]
        else:
            variance = betas[k - 1] * (1 - a[k - 1]) / (1 - a[k])
            to_x_t = np.sqrt(1 - betas[k - 1]) * (1 - a[k - 1]) / (1 - a[k])
            at_zero = np.sqrt(a[k - 1]) * betas[k - 1] / (1 - a[k]) * x0
        # difference of the means, at_zero + to_x_t x_t − slope x_t − offset, squared and averaged
        apart = at_zero - offset[k - 1] + (to_x_t - slope[k - 1]) * q_mean[k - 1]
        squared = apart**2 + (to_x_t - slope[k - 1]) ** 2 * (1 - a[k])
        ratio = variance / noise[k - 1]
        bound += squared / (2 * noise[k - 1]) + (ratio - 1 - np.log(ratio)) / 2
    apart = x0 - offset[0] - slope[0] * q_mean[0]
    squared = apart**2 + slope[0] ** 2 * (1 - a[1])
    bound += squared / (2 * noise[0]) + np.log(2 * np.pi * noise[0]) / 2
    assert abs(bound - (gap - log_p)) < tolerance


@pytest.mark.equation(
    "vlb-eps-weight",
    tolerance=1e-7,
    wrong=r"$\frac12\bigl(1 - \sigma_{t-1}^2/\sigma_t^2\bigr)$: over the later level",
)
@pytest.mark.parametrize("t", [2, 15, 40])
def test_vlb_eps_weight(tolerance, wrong, t):
    """Integrates the divergence between the step back that knows x₀ and the one that puts in a
    guess, and divides by the squared errors of x₀ and of the noise.
    """
    x0, guess, x_t = 0.7, -0.2, 0.4
    state = torch.tensor([[x_t]], dtype=torch.float64)
    mean, variance = CHAIN.posterior(state, torch.full_like(state, x0), t)
    other, _ = CHAIN.posterior(state, torch.full_like(state, guess), t)
    p, q = norm(mean.item(), float(variance) ** 0.5), norm(other.item(), float(variance) ** 0.5)
    ends = p.mean() - 12 * p.std(), p.mean() + 12 * p.std()
    kl = quad(lambda y: p.pdf(y) * (p.logpdf(y) - q.logpdf(y)), *ends)[0]
    sigma, before = float(CHAIN.sigmas[t]), float(CHAIN.sigmas[t - 1])
    error = (x0 - guess) ** 2
    assert abs(kl - (1 / before**2 - 1 / sigma**2) / 2 * error) < tolerance * kl
    weight = (1 - before**2 / sigma**2) / 2 if wrong else (sigma**2 / before**2 - 1) / 2
    assert abs(kl - weight * error / sigma**2) < tolerance * kl
    beta, a = float(CHAIN.betas[t - 1]), float(CHAIN.alpha_bars[t])
    ho = beta**2 / (2 * float(variance) * (1 - beta) * (1 - a))
    assert abs(kl - ho * error / sigma**2) < tolerance * kl


@pytest.mark.equation(
    "loss-per-snr",
    tolerance=4,
    unit="standard errors",
    wrong=r"one value for all schedules: the mean of $e$ over equal steps of $\ln\sigma$",
)
@pytest.mark.parametrize("make", [schedules.linear, schedules.cosine, schedules.sigmoid_beta])
def test_loss_per_snr(tolerance, wrong, make):
    """Draws steps, data and noise for the exact denoiser of Gaussian data and averages the squared
    error of the noise.
    """
    generator = torch.Generator().manual_seed(0)
    chain, v, n = make(1000), 0.29, 400_000
    D = denoisers.Gaussian([0.0], [[v]])
    t = torch.randint(1, 1001, (n,), generator=generator)
    x0, noise = torch.randn(2, n, 1, generator=generator, dtype=torch.float64)
    x0, sigma = x0 * v**0.5, chain.sigmas[t]
    x = x0 + sigma[:, None] * noise
    errors = (noise - (x - D(x, sigma)) / sigma[:, None]).square()[:, 0]
    levels = chain.sigmas[1:]
    if wrong:
        levels = torch.logspace(-2, 2, 1000, dtype=torch.float64)
    expected = (v / (v + levels**2)).mean()
    assert abs(errors.mean() - expected) < tolerance * errors.std() / n**0.5


@pytest.mark.equation(
    "mae-median", tolerance=1e-9, wrong=r"$\int_a^b F(u)\,du$: only one side of the error counted"
)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_mae_median(tolerance, wrong, seed):
    """Five values with random probabilities: the mean absolute error on a fine grid, its least
    place against the median, and its differences against the integral.
    """
    rng = np.random.default_rng(seed)
    values, shares = np.sort(rng.normal(size=5)), rng.dirichlet(np.ones(5))
    grid = np.sort(np.concatenate([np.linspace(-4, 4, 2001), values]))
    error = np.abs(values[:, None] - grid).T @ shares
    best = grid[error.argmin()]
    assert shares[values < best - 1e-12].sum() <= 0.5 <= shares[values <= best + 1e-12].sum()
    below = (values <= grid[:, None]) @ shares  # F is constant between two points of the grid
    steps = (below if wrong else 2 * below - 1)[:-1] * np.diff(grid)
    assert np.abs(np.diff(error) - steps).max() < tolerance


@pytest.mark.equation("median-sampler", tolerance=1e-3, wrong=r"$\sqrt L$ in place of $\sqrt{2L}$")
@pytest.mark.parametrize("p", [0.6, 0.7, 0.9])
def test_median_sampler(tolerance, wrong, p):
    """Carries quantiles of the noise down four thousand levels with the median of two points, and
    counts how many end at the rarer one.
    """
    top, L = 40.0, np.log(p / (1 - p))
    sigmas = np.geomspace(top, 1e-3, 4000)
    x = top * norm.ppf((np.arange(4000) + 0.5) / 4000)
    for now, then in zip(sigmas, sigmas[1:]):
        D = np.sign(2 * x / now**2 + L)
        x = D + then / now * (x - D)
    expected = norm.cdf(1 / top - np.sqrt((1 if wrong else 2) * L))
    assert abs((x < 0).mean() - expected) < tolerance


@pytest.mark.equation(
    "level-shift",
    tolerance=2e-3,
    unit="of the shift",
    wrong=r"without the factor 2: the ancestral sampler's step taken for the ODE's",
)
def test_level_shift(tolerance, wrong):
    """Puts an error into the noise predicted for Gaussian data, and another one into the start: the
    ODE solved numerically, and the mean of the ancestral sampler over a chain of ten thousand
    steps, each with and without them.
    """
    v, mean = 1.7, 0.8

    def delta(sigma):
        return 0.05 * np.exp(-(np.log(sigma / 3) ** 2))

    chain = schedules.linear(10_000)
    sigmas, a = chain.sigmas.numpy(), chain.alpha_bars.numpy()
    top = sigmas[-1]

    def ode(error, start=2.0):
        def slope(sigma, x):
            return sigma * (x - mean) / (v + sigma**2) + error * delta(sigma)

        return solve_ivp(slope, (top, sigmas[1]), [start], rtol=1e-10, atol=1e-12).y[0, -1]

    def ancestral(error, start=2.0):
        x = start * a[-1] ** 0.5
        for t in range(chain.T, 0, -1):
            scaled, sigma = x / a[t] ** 0.5, sigmas[t]
            noise = sigma * (scaled - mean) / (v + sigma**2) + error * delta(sigma)
            # of the mean: the posterior's, which is linear
            beta = 1 - a[t] / a[t - 1]
            x = (x - beta / (1 - a[t]) ** 0.5 * noise) / (1 - beta) ** 0.5
        return x

    def integral(power):
        def inside(log_sigma):
            sigma = np.exp(log_sigma)
            return delta(sigma) * sigma * (v / (v + sigma**2)) ** power

        return quad(inside, np.log(sigmas[1]), np.log(top), limit=200)[0]

    shift, expected = ode(1) - ode(0), -integral(0.5)
    assert abs(shift - expected) < tolerance * abs(expected)
    shift, expected = ancestral(1) - ancestral(0), -(1 if wrong else 2) * integral(1)
    assert abs(shift - expected) < tolerance * abs(expected)
    kept = (v / (v + top**2)) ** 0.5
    assert abs(ode(0, 12.0) - ode(0) - 10 * kept) < tolerance * 10 * kept
    assert abs(ancestral(0, 12.0) - ancestral(0) - 10 * kept**2) < tolerance * 10 * kept**2
