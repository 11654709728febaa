"""Chapter 01: the two chains, their marginals, the common axis, the distance of their ends from
noise, the cosine schedule, chains of one curve.
"""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.special import logsumexp
from scipy.stats import kstest

from fewstep import processes, schedules

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


@pytest.mark.equation(
    "vp-step-composition", tolerance=1e-13, wrong=r"the variance $\sum_{i=j+1}^t \beta_i$"
)
def test_vp_step_composition(tolerance, wrong):
    """Applies the steps from j to t one by one, keeping the weight of each noise, and compares
    scale and variance for all j < t.
    """
    betas = random_betas(0)
    alpha_bars = np.concatenate([[1], np.cumprod(1 - betas)])
    for j in range(len(betas)):
        w = vp_weights(betas[j:])
        ratio = alpha_bars[j:] / alpha_bars[j]
        variance = np.concatenate([[0], betas[j:].cumsum()]) if wrong else 1 - ratio
        assert np.abs(w[:, 0] - np.sqrt(ratio)).max() <= tolerance
        assert np.abs((w[:, 1:] ** 2).sum(1) - variance).max() <= tolerance


@pytest.mark.equation(
    "vp-marginal",
    tolerance=0.0051,
    unit="largest gap of two distribution functions",
    wrong=r"$x_t = \sqrt{\bar\alpha_t}\,x_0 + (1-\bar\alpha_t)\,\varepsilon$",
)
def test_vp_marginal(tolerance, wrong):
    """Simulates 200,000 paths of a chain step by step and compares the distribution of x_t with
    the closed form.
    """
    betas, rng, x0 = random_betas(1, 20), np.random.default_rng(2), 1.7
    x, chain = np.full(200_000, x0), schedules.Chain(betas)
    for t, beta in enumerate(betas, start=1):
        x = np.sqrt(1 - beta) * x + np.sqrt(beta) * rng.standard_normal(len(x))
        if t % 5 == 0:
            alpha_bar = np.prod(1 - betas[:t])
            spread = 1 - alpha_bar if wrong else np.sqrt(1 - alpha_bar)
            assert kstest((x - np.sqrt(alpha_bar) * x0) / spread, "norm").statistic <= tolerance
            assert abs(chain.alpha_bars[t] - alpha_bar) <= 1e-14


@pytest.mark.equation(
    "ve-marginal",
    tolerance=0.0051,
    unit="largest gap of two distribution functions",
    wrong=r"$x_t \sim \mathcal N(x_0, \sigma_t I)$",
)
def test_ve_marginal(tolerance, wrong):
    """Simulates 200,000 paths of a chain step by step and compares the distribution of x_t with
    the closed form.
    """
    sigmas, rng, x0 = random_levels(3, 20), np.random.default_rng(4), 1.7
    x = np.full(200_000, x0)
    for t in range(1, len(sigmas)):
        x = x + np.sqrt(sigmas[t] ** 2 - sigmas[t - 1] ** 2) * rng.standard_normal(len(x))
        if t % 5 == 0:
            spread = np.sqrt(sigmas[t]) if wrong else sigmas[t]
            assert kstest((x - x0) / spread, "norm").statistic <= tolerance


@pytest.mark.equation(
    "snr", tolerance=1e-11, unit="relative", wrong=r"$\sigma_t = \sqrt{1-\bar\alpha_t}$"
)
def test_snr(tolerance, wrong):
    """Divides the squared weight of x_0 by the summed squared weights of all noises, for a VP
    chain and the VE chain of its levels.
    """
    betas = random_betas(5)
    alpha_bars = np.cumprod(1 - betas)
    sigmas = np.sqrt((1 - alpha_bars) / (1 if wrong else alpha_bars))
    for w in vp_weights(betas)[1:], ve_weights(np.concatenate([[0], sigmas]))[1:]:
        snr = w[:, 0] ** 2 / (w[:, 1:] ** 2).sum(1)
        for closed in alpha_bars / (1 - alpha_bars), 1 / sigmas**2:
            assert np.abs(snr / closed - 1).max() <= tolerance
    assert np.abs(schedules.Chain(betas).sigmas[1:].numpy() / sigmas - 1).max() <= tolerance
    assert np.abs(1 / (1 + sigmas**2) / alpha_bars - 1).max() <= tolerance


@pytest.mark.equation(
    "vp-ve-equivalence",
    tolerance=1e-11,
    unit="relative",
    wrong=r"$\beta_t = (\sigma_t^2 - \sigma_{t-1}^2)/(1 + \sigma_{t-1}^2)$",
)
def test_vp_ve_equivalence(tolerance, wrong):
    """Runs a VE chain and the VP chain of the stated betas with the same noises and compares them
    at every step, up to the scale.
    """
    # in the wrong variant levels that double at once would make β > 1 and no chain at all
    sigmas, rng = np.linspace(0, 9, 61), np.random.default_rng(7)
    ve = vp = rng.standard_normal(1000)
    alpha_bar = 1.0
    for before, sigma in zip(sigmas, sigmas[1:]):
        noise = rng.standard_normal(1000)
        beta = (sigma**2 - before**2) / (1 + (before if wrong else sigma) ** 2)
        ve = ve + np.sqrt(sigma**2 - before**2) * noise
        vp = np.sqrt(1 - beta) * vp + np.sqrt(beta) * noise
        alpha_bar *= 1 - beta
        assert np.abs(vp / np.sqrt(alpha_bar) - ve).max() <= tolerance * np.abs(ve).max()
        assert abs(np.sqrt((1 - alpha_bar) / alpha_bar) / sigma - 1) <= tolerance


@pytest.mark.equation(
    "alpha-bar-bounds",
    tolerance=1e-9,
    wrong=r"$\frac12 S_T$ in both exponents, which bounds $\sqrt{\bar\alpha_T}$",
)
def test_alpha_bar_bounds(tolerance, wrong):
    """Multiplies out 500 random schedules, checks both bounds, and that they close in on each
    other as the betas shrink.
    """
    rng, factor = np.random.default_rng(8), 0.5 if wrong else 1.0
    for _ in range(500):
        betas = rng.uniform(0, rng.choice([1e-8, 1e-3, 0.1, 0.999]), rng.integers(1, 200))
        rate = -np.log1p(-betas).sum() / betas.sum()  # −ln ᾱ_T as a multiple of Σβ
        assert factor - tolerance <= rate <= factor / (1 - betas.max()) + tolerance
    assert abs(-np.log1p(-np.full(100, 1e-10)).sum() / 1e-8 - factor) <= tolerance


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


@pytest.mark.equation(
    "gaussian-kl-limit",
    tolerance=1e-10,
    wrong=r"$\sqrt{\bar\alpha_t}\,|\mu|^2$ for $\bar\alpha_t\,|\mu|^2$",
)
def test_gaussian_kl_limit(tolerance, wrong):
    """Integrates p ln(p/q) over the plane for correlated Gaussian data off the origin, noised to
    six levels.
    """
    mean, cov = np.array([0.8, -0.5]), np.array([[1.9, 0.7], [0.7, 0.4]])
    x, cell = plane()
    for alpha_bar in (1.0, 0.9, 0.5, 0.1, 1e-2, 1e-4):
        log_p = log_gaussian(
            x, np.sqrt(alpha_bar) * mean, alpha_bar * cov + (1 - alpha_bar) * np.eye(2)
        )
        z = alpha_bar * (np.linalg.eigvalsh(cov) - 1)
        kept = np.sqrt(alpha_bar) if wrong else alpha_bar
        closed = 0.5 * (kept * mean @ mean + (z - np.log1p(z)).sum())
        assert (
            abs(divergence(log_p, log_gaussian(x, np.zeros(2), np.eye(2)), cell) - closed)
            <= tolerance
        )


@pytest.mark.equation("tv-bound", tolerance=1e-4, wrong=r"$\frac12\sqrt{\mathrm{KL}}$")
def test_tv_bound(tolerance, wrong):
    """Sums both sides for 2000 random pairs of distributions on up to 50 points, and finds
    equality for nearly fair coins up to the tolerance.
    """
    rng = np.random.default_rng(9)

    def ratio(p, q):
        kl = (p * np.log(p / q)).sum()
        return 0.5 * np.abs(p - q).sum() / (0.5 * np.sqrt(kl) if wrong else np.sqrt(0.5 * kl))

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


@pytest.mark.equation(
    "general-kl-bound",
    tolerance=1e-10,
    wrong=r"the divergence alone on the left, without $\mathrm{MI}(x_0; x_t)$",
)
def test_general_kl_bound(tolerance, wrong):
    """Integrates the divergence and the mutual information of three-point data over the plane,
    noised to five levels, and checks that the bound's last term is exact up to a factor 1 − ᾱ.
    """
    power = WEIGHTS @ (POINTS**2).sum(1)
    for alpha_bar in (0.95, 0.7, 0.3, 0.05, 1e-3):
        kl, information = kl_and_information(np.sqrt(alpha_bar), 1 - alpha_bar)
        exact = 0.5 * (alpha_bar * power - 2 * (alpha_bar + np.log1p(-alpha_bar)))
        assert abs(kl + (0 if wrong else information) - exact) <= tolerance
        assert min(kl, information) >= 0
        last = 2 * alpha_bar**2 / (4 * (1 - alpha_bar))
        rest = exact - 0.5 * alpha_bar * power
        assert (1 - alpha_bar) * last - tolerance <= rest <= last + tolerance


@pytest.mark.equation(
    "general-kl-bound",
    tolerance=1e-3,
    unit="relative",
    wrong=r"$d\,\bar\alpha_t^2/8$ in the last term, for $d\,\bar\alpha_t^2/4$",
)
def test_last_term_of_the_general_bound(tolerance, wrong):
    """Divides the exact −d [ᾱ + ln(1 − ᾱ)]/2 by the bound's last term at small ᾱ, where the two
    must agree.
    """
    for d, alpha_bar in ((1, 1e-3), (2, 1e-4), (3072, 4e-5)):
        exact = -0.5 * d * (alpha_bar + np.log1p(-alpha_bar))
        last = d * alpha_bar**2 / ((8 if wrong else 4) * (1 - alpha_bar))
        assert 1 - tolerance <= exact / last <= 1


@pytest.mark.equation(
    "ve-limit", tolerance=1e-10, wrong=r"$\mathbb E|x_0|^2/\sigma_T^2$ on the right"
)
def test_ve_limit(tolerance, wrong):
    """Integrates the divergence and the mutual information of three-point data over the plane, at
    four noise levels.
    """
    power = WEIGHTS @ (POINTS**2).sum(1)
    for sigma in (0.7, 1.0, 5.0, 80.0):
        kl, information = kl_and_information(1 / sigma, 1.0)
        right = power / ((1 if wrong else 2) * sigma**2)
        assert abs(kl + information - right) <= tolerance
        assert min(kl, information) >= 0


@pytest.mark.equation(
    "cosine-beta",
    tolerance=1e-11,
    wrong=r"$\cos\theta_{t-1}$ for $\cos^2\theta_{t-1}$ in the denominator",
)
def test_cosine_beta(tolerance, wrong):
    """Compares the product of sines with the ratio of squared cosines and with the library's
    schedule, at every step of chains of 1, 7 and 100 steps.
    """
    for T in (1, 7, 100):
        theta = np.pi / 2 * (np.arange(T + 1) / T + 0.008) / 1.008
        cos = np.cos(theta)
        below = cos[:-1] if wrong else cos[:-1] ** 2
        identity = np.sin(np.diff(theta)) * np.sin(theta[1:] + theta[:-1]) / below
        assert np.abs(identity - (1 - cos[1:] ** 2 / cos[:-1] ** 2)).max() <= tolerance
        theirs = schedules.cosine(T).betas.numpy()
        assert np.abs(identity.clip(max=0.999) - theirs).max() <= tolerance


@pytest.mark.equation("cosine-beta", tolerance=1e-7, wrong=r"the limit $1 - k/(k+1)$")
def test_limit_of_the_cosine_betas(tolerance, wrong):
    """Compares the last betas of a chain of 100,000 steps with the limit."""
    k = np.arange(1, 8)
    limit = 1 - (k / (k + 1)) ** (1 if wrong else 2)
    last = schedules.cosine(100_000).betas.flip(0)[1:8].numpy()
    assert np.abs(last - limit).max() <= tolerance


@pytest.mark.equation(
    "chain-of-a-curve",
    tolerance=4,
    unit="standard errors",
    wrong=r"$\beta_t = B(\tau_t) - B(\tau_{t-1})$, the first order of $1 - e^{-\Delta B}$",
)
@pytest.mark.parametrize("T", [3, 10, 30])
def test_chain_of_a_curve(T, tolerance, wrong):
    """Simulates 200,000 paths of T steps, at times drawn at random, and compares mean and variance
    at each step with the curve.
    """
    rng, x0, paths = np.random.default_rng(T), 1.7, 200_000
    tau = np.concatenate([[0], np.sort(rng.uniform(0.05, 1, T - 1)), [1]])
    B = 0.3 * tau + 1.2 * tau**2
    x = np.full(paths, x0)
    for dB, b in zip(np.diff(B), B[1:]):
        beta = dB if wrong else 1 - np.exp(-dB)
        x = np.sqrt(1 - beta) * x + np.sqrt(beta) * rng.standard_normal(paths)
        variance = 1 - np.exp(-b)
        off = (x.mean() - np.exp(-b / 2) * x0) / np.sqrt(variance / paths)
        assert abs(off) <= tolerance
        off = (((x - np.exp(-b / 2) * x0) ** 2).mean() / variance - 1) / np.sqrt(2 / paths)
        assert abs(off) <= tolerance


def test_the_finer_chain_seen_at_the_coarser_times_is_the_coarser_chain():
    """Two chains of one curve: the coarse one's steps are the fine one's, composed."""
    fine = schedules.from_process(processes.VP(), 1000)
    for T in (500, 100, 8):
        coarse, every = schedules.from_process(processes.VP(), T), 1000 // T
        kept = torch.prod((1 - fine.betas).reshape(T, every), 1)
        assert (kept - (1 - coarse.betas)).abs().max() <= 1e-14


def test_a_sigmoid_of_beta_is_geometric_only_with_the_right_amplitude():
    """With the height 1 − e^−δ the levels grow by the same factor in each step; the height of the
    schedule on the page is 1.67 times that, and its levels grow unevenly, as the page says.
    """
    w = np.linspace(-6, 6, 1000)
    step = w[1] - w[0]
    matched = 1 - np.exp(-step)

    def growth(height):
        """of ln σ_t, from a level with σ² = e^w on, where the sigmoid has its argument w."""
        alpha_bars = np.cumprod(1 - height / (1 + np.exp(-w[1:]))) / (1 + np.exp(w[0]))
        return np.diff(0.5 * np.log(1 / alpha_bars - 1), prepend=w[0] / 2)

    assert np.abs(growth(matched) / (step / 2) - 1).max() <= 1e-9
    assert np.ptp(growth(0.0199)) > 0.3 * step
    page, theirs = PAGE.read_text(encoding="utf-8"), schedules.sigmoid_beta(1000).sigmas
    assert f"larger by a factor of {0.0199 / matched:.2f}." in page
    grows = 100 * (theirs[2:] / theirs[1:-1] - 1)
    for said in (grows.min(), grows[-1]):
        assert f"${said:.2f}\\,\\%$" in page


def test_the_clip_sets_the_end_of_two_schedules_on_the_page():
    """σ_T of sigmoid ᾱ and of cosine under three clips, as the page has them."""
    page = PAGE.read_text(encoding="utf-8")
    for name in ("cosine", "sigmoid ᾱ"):
        chain = SCHEDULES[name](1000)
        assert (chain.betas[:-1] < 0.9).all() and chain.betas[-1] == 0.999
        before = float(chain.alpha_bars[-2])
        ends = [(1 / (before * (1 - clip)) - 1) ** 0.5 for clip in (0.99, 0.999, 0.9999)]
        assert abs(ends[1] / float(chain.sigmas[-1]) - 1) < 1e-9
        row = re.search(rf"^\| {name}, .*\|$", page, re.M).group()
        assert [int(cell) for cell in re.findall(r"\| (\d+) ", row)] == [round(e) for e in ends]


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
