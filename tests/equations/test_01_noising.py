"""Chapter 01: the two chains, their marginals, the common axis, the distance of their ends from
noise, the cosine schedule.
"""

import re
from pathlib import Path

import numpy as np
import pytest
from scipy.special import logsumexp
from scipy.stats import kstest

from fewstep import schedules

# The gap of 0.0051 below (Kolmogorov's statistic of 200,000 draws) is passed by chance once in
# 16,000: 4 standard deviations.
PAGE = Path(__file__).resolve().parents[2] / "book/01-noising.md"
SCHEDULES = {
    "linear": schedules.linear,
    "quadratic": schedules.quadratic,
    "sigmoid β": schedules.sigmoid_beta,
    "cosine": schedules.cosine,
    "sigmoid ᾱ": schedules.sigmoid_alpha_bar,
}


def vp_weights(betas):
    """x_t = Σ_i w_i y_i for y = (x_0, ε_1, …, ε_T): the weights after each step, by applying the
    steps one by one.
    """
    w = np.zeros((len(betas) + 1, len(betas) + 1))
    w[0, 0] = 1
    for t, beta in enumerate(betas, start=1):
        w[t] = np.sqrt(1 - beta) * w[t - 1]
        w[t, t] += np.sqrt(beta)
    return w


def ve_weights(sigmas):
    w = np.zeros((len(sigmas), len(sigmas)))
    w[0, 0] = 1
    for t in range(1, len(sigmas)):
        w[t] = w[t - 1]
        w[t, t] += np.sqrt(sigmas[t] ** 2 - sigmas[t - 1] ** 2)
    return w


def random_betas(seed, n=60):
    return np.random.default_rng(seed).uniform(1e-4, 0.3, n)


def random_levels(seed, n=60):
    return np.concatenate([[0.0], np.random.default_rng(seed).uniform(0.01, 2, n).cumsum()])


@pytest.mark.equation("vp-step-composition", tolerance=1e-13)
def test_vp_step_composition(tolerance):
    """Applies the steps from s to t one by one, keeping the weight of each noise, and compares
    scale and variance for all s < t.
    """
    betas = random_betas(0)
    alpha_bars = np.concatenate([[1], np.cumprod(1 - betas)])
    for s in range(len(betas)):
        w = vp_weights(betas[s:])
        ratio = alpha_bars[s:] / alpha_bars[s]
        assert np.abs(w[:, 0] - np.sqrt(ratio)).max() <= tolerance
        assert np.abs((w[:, 1:] ** 2).sum(1) - (1 - ratio)).max() <= tolerance


@pytest.mark.equation(
    "vp-marginal", tolerance=0.0051, unit="largest gap of two distribution functions"
)
def test_vp_marginal(tolerance):
    """Simulates 200,000 paths of a chain step by step and compares the distribution of x_t with
    the closed form.
    """
    betas, rng, x0 = random_betas(1, 20), np.random.default_rng(2), 1.7
    x, chain = np.full(200_000, x0), schedules.Chain(betas)
    for t, beta in enumerate(betas, start=1):
        x = np.sqrt(1 - beta) * x + np.sqrt(beta) * rng.standard_normal(len(x))
        if t % 5 == 0:
            alpha_bar = np.prod(1 - betas[:t])
            assert (
                kstest((x - np.sqrt(alpha_bar) * x0) / np.sqrt(1 - alpha_bar), "norm").statistic
                <= tolerance
            )
            assert abs(chain.alpha_bars[t] - alpha_bar) <= 1e-14


@pytest.mark.equation(
    "ve-marginal", tolerance=0.0051, unit="largest gap of two distribution functions"
)
def test_ve_marginal(tolerance):
    """Simulates 200,000 paths of a chain step by step and compares the distribution of x_t with
    the closed form.
    """
    sigmas, rng, x0 = random_levels(3, 20), np.random.default_rng(4), 1.7
    x = np.full(200_000, x0)
    for t in range(1, len(sigmas)):
        x = x + np.sqrt(sigmas[t] ** 2 - sigmas[t - 1] ** 2) * rng.standard_normal(len(x))
        if t % 5 == 0:
            assert kstest((x - x0) / sigmas[t], "norm").statistic <= tolerance


@pytest.mark.equation("snr", tolerance=1e-11, unit="relative")
def test_snr(tolerance):
    """Divides the squared weight of x_0 by the summed squared weights of all noises, for a VP
    chain and the VE chain of its levels.
    """
    betas = random_betas(5)
    alpha_bars = np.cumprod(1 - betas)
    sigmas = np.sqrt((1 - alpha_bars) / alpha_bars)
    for w in vp_weights(betas)[1:], ve_weights(np.concatenate([[0], sigmas]))[1:]:
        snr = w[:, 0] ** 2 / (w[:, 1:] ** 2).sum(1)
        for closed in alpha_bars / (1 - alpha_bars), 1 / sigmas**2:
            assert np.abs(snr / closed - 1).max() <= tolerance
    assert np.abs(schedules.Chain(betas).sigmas[1:].numpy() / sigmas - 1).max() <= tolerance
    assert np.abs(1 / (1 + sigmas**2) / alpha_bars - 1).max() <= tolerance


@pytest.mark.equation("vp-ve-equivalence", tolerance=1e-11, unit="relative")
def test_vp_ve_equivalence(tolerance):
    """Runs a VE chain and the VP chain of the stated betas with the same noises and compares them
    at every step, up to the scale.
    """
    sigmas, rng = random_levels(6), np.random.default_rng(7)
    ve = vp = rng.standard_normal(1000)
    alpha_bar = 1.0
    for before, sigma in zip(sigmas, sigmas[1:]):
        noise = rng.standard_normal(1000)
        beta = (sigma**2 - before**2) / (1 + sigma**2)
        ve = ve + np.sqrt(sigma**2 - before**2) * noise
        vp = np.sqrt(1 - beta) * vp + np.sqrt(beta) * noise
        alpha_bar *= 1 - beta
        assert np.abs(vp / np.sqrt(alpha_bar) - ve).max() <= tolerance * np.abs(ve).max()
        assert abs(np.sqrt((1 - alpha_bar) / alpha_bar) / sigma - 1) <= tolerance


@pytest.mark.equation("alpha-bar-bounds", tolerance=1e-9)
def test_alpha_bar_bounds(tolerance):
    """Multiplies out 500 random schedules, checks both bounds, and that they close in on each
    other as the betas shrink.
    """
    rng = np.random.default_rng(8)
    for _ in range(500):
        betas = rng.uniform(0, rng.choice([1e-8, 1e-3, 0.1, 0.999]), rng.integers(1, 200))
        rate = -np.log1p(-betas).sum() / betas.sum()  # −ln ᾱ_T as a multiple of Σβ
        assert 1 - tolerance <= rate <= 1 / (1 - betas.max()) + tolerance
    assert abs(-np.log1p(-np.full(100, 1e-10)).sum() / 1e-8 - 1) <= tolerance


def plane(half=13.0, n=521):
    """Points (n², 2) of a square grid and the area of a cell; sums over it converge faster than
    any power for smooth densities.
    """
    axis = np.linspace(-half, half, n)
    return np.stack(np.meshgrid(axis, axis), -1).reshape(-1, 2), (axis[1] - axis[0]) ** 2


def log_gaussian(x, mean, cov):
    d = x - mean
    return -0.5 * ((d @ np.linalg.inv(cov)) * d).sum(1) - 0.5 * np.log(
        np.linalg.det(2 * np.pi * cov)
    )


def divergence(log_p, log_q, cell):
    return (np.exp(log_p) * (log_p - log_q)).sum() * cell


@pytest.mark.equation("gaussian-kl-limit", tolerance=1e-10)
def test_gaussian_kl_limit(tolerance):
    """Integrates p ln(p/q) over the plane for correlated Gaussian data off the origin, noised to
    six levels.
    """
    mean, cov = np.array([0.8, -0.5]), np.array([[1.9, 0.7], [0.7, 0.4]])
    x, cell = plane()
    for alpha_bar in (1.0, 0.9, 0.5, 0.1, 1e-2, 1e-4):
        log_p = log_gaussian(
            x, np.sqrt(alpha_bar) * mean, alpha_bar * cov + (1 - alpha_bar) * np.eye(2)
        )
        u = alpha_bar * (np.linalg.eigvalsh(cov) - 1)
        closed = 0.5 * (alpha_bar * mean @ mean + (u - np.log1p(u)).sum())
        assert (
            abs(divergence(log_p, log_gaussian(x, np.zeros(2), np.eye(2)), cell) - closed)
            <= tolerance
        )


@pytest.mark.equation("tv-bound", tolerance=1e-4)
def test_tv_bound(tolerance):
    """Sums both sides for 2000 random pairs of distributions on up to 50 points, and finds
    equality for nearly fair coins up to the tolerance.
    """
    rng = np.random.default_rng(9)

    def ratio(p, q):
        return 0.5 * np.abs(p - q).sum() / np.sqrt(0.5 * (p * np.log(p / q)).sum())

    for _ in range(2000):
        n, spread = rng.integers(2, 51), rng.choice([0.1, 1.0, 4.0])
        p, q = np.exp(spread * rng.standard_normal((2, n)))
        assert ratio(p / p.sum(), q / q.sum()) <= 1 + tolerance
    assert ratio(np.array([0.505, 0.495]), np.array([0.5, 0.5])) >= 1 - tolerance


POINTS, WEIGHTS = np.array([[-1.0, 0.4], [1.2, 0.0], [0.3, -1.5]]), np.array([0.5, 0.3, 0.2])


def kl_and_information(scale, variance):
    """KL(q(x_t) ‖ N(0, I)) and I(x_0; x_t) of the three-point data with x_t ~ N(scale · x_0,
    variance I), by summing over the plane.
    """
    x, cell = plane()
    given = np.stack([log_gaussian(x, scale * point, variance * np.eye(2)) for point in POINTS])
    log_q = logsumexp(given, axis=0, b=WEIGHTS[:, None])
    information = sum(w * divergence(g, log_q, cell) for w, g in zip(WEIGHTS, given))
    return divergence(log_q, log_gaussian(x, np.zeros(2), np.eye(2)), cell), information


@pytest.mark.equation("general-kl-bound", tolerance=1e-10)
def test_general_kl_bound(tolerance):
    """Integrates the divergence and the mutual information of three-point data over the plane,
    noised to five levels.
    """
    power = WEIGHTS @ (POINTS**2).sum(1)
    for alpha_bar in (0.95, 0.7, 0.3, 0.05, 1e-3):
        kl, information = kl_and_information(np.sqrt(alpha_bar), 1 - alpha_bar)
        exact = 0.5 * (alpha_bar * power - 2 * (alpha_bar + np.log1p(-alpha_bar)))
        assert abs(kl + information - exact) <= tolerance
        assert min(kl, information) >= 0
        assert (
            exact <= 0.5 * alpha_bar * power + 2 * alpha_bar**2 / (4 * (1 - alpha_bar)) + tolerance
        )


@pytest.mark.equation("ve-limit", tolerance=1e-10)
def test_ve_limit(tolerance):
    """Integrates the divergence and the mutual information of three-point data over the plane, at
    four noise levels.
    """
    power = WEIGHTS @ (POINTS**2).sum(1)
    for sigma in (0.7, 1.0, 5.0, 80.0):
        kl, information = kl_and_information(1 / sigma, 1.0)
        assert abs(kl + information - power / (2 * sigma**2)) <= tolerance
        assert min(kl, information) >= 0


@pytest.mark.equation("cosine-beta", tolerance=1e-7)
def test_cosine_beta(tolerance):
    """Compares the identity with the ratio of squared cosines at every step, and the last betas of
    a chain of 100,000 steps with the limit.
    """
    for T in (1, 7, 100):
        theta = np.pi / 2 * (np.arange(T + 1) / T + 0.008) / 1.008
        identity = np.sin(np.diff(theta)) * np.sin(theta[1:] + theta[:-1]) / np.cos(theta[:-1]) ** 2
        assert (
            np.abs(identity - (1 - np.cos(theta[1:]) ** 2 / np.cos(theta[:-1]) ** 2)).max()
            <= tolerance
        )
        assert (
            np.abs(identity.clip(max=0.999) - schedules.cosine(T).betas.numpy()).max() <= tolerance
        )
    k = np.arange(1, 8)
    assert (
        np.abs(
            schedules.cosine(100_000).betas.flip(0)[1:8].numpy() - (1 - (k / (k + 1)) ** 2)
        ).max()
        <= tolerance
    )


def test_the_table_of_schedules_on_the_page():
    """Each number in the page's table of schedules is the one that the library gives, to the
    digits printed.
    """
    page = PAGE.read_text(encoding="utf-8")
    for name, make in SCHEDULES.items():
        sigmas, alpha_bars = make(1000).sigmas, make(1000).alpha_bars
        row = re.search(rf"^\| {name} \|([^$\n]+)\|$", page, re.M).group(1)
        expected = [
            sigmas[1],
            sigmas[-2],
            sigmas[-1],
            alpha_bars[-1],
            ((sigmas[1:] >= 0.1) & (sigmas[1:] < 10)).sum(),
        ]
        for cell, value in zip(row.split("|"), expected, strict=True):
            digits = len(re.sub(r"e.*|\D", "", cell).lstrip("0"))
            assert float(cell) == pytest.approx(float(f"{float(value):.{digits}g}"), rel=1e-9), (
                name,
                cell,
                float(value),
            )


def test_the_top_levels_of_the_quadratic_chain_on_the_page():
    levels = [
        round(float(schedules.quadratic(T).sigmas[-1]), digits)
        for T, digits in ((50, 2), (200, 1), (500, 1), (1000, 1))
    ]
    assert "$\\sigma_T = {}$, ${}$, ${}$ and ${}$ at $T = 50$, $200$, $500$, $1000$".format(
        *levels
    ) in PAGE.read_text(encoding="utf-8")
