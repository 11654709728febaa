"""The key equations of chapter 07, against quadrature, enumeration, covariances carried through
the chain, autograd and numerical minimisation.
"""

from itertools import product

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.optimize import minimize, minimize_scalar
from scipy.stats import norm

from fewstep import denoisers, grids, losses, preconditioning, schedules, solvers

CHAIN = schedules.cosine(8)
NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(80)
WEIGHTS = WEIGHTS / WEIGHTS.sum()


def coefficient(chain, t):
    """How much of x_0 the posterior's mean contains."""
    a, before = chain.alpha_bars[t].item(), chain.alpha_bars[t - 1].item()
    return before**0.5 * (1 - a / before) / (1 - a)


def posterior_mean(chain, x_t, D, t):
    """The chain's posterior mean at many states, of one coordinate each."""
    x_t, D = (torch.as_tensor(v).reshape(-1, 1) for v in (x_t, D))
    return chain.posterior(x_t, D, t)[0][:, 0].numpy()


def two_points(t, chain=CHAIN, wrong_by=1.0):
    """Forward through the chain from x_0 = ±1: all x_0, x_{t−1}, x_t, their probabilities, and an
    answer D to each x_t, the exact one times `wrong_by`.
    """
    a, before = chain.alpha_bars[t].item(), chain.alpha_bars[t - 1].item()
    x0, e, f = (v.ravel() for v in np.meshgrid([-1.0, 1.0], NODES, NODES, indexing="ij"))
    p = np.einsum("i,j,k->ijk", [0.5, 0.5], WEIGHTS, WEIGHTS).ravel()
    x_before = before**0.5 * x0 + (1 - before) ** 0.5 * e
    x_t = (a / before) ** 0.5 * x_before + (1 - a / before) ** 0.5 * f
    return x0, x_before, x_t, p, wrong_by * np.tanh(a**0.5 * x_t / (1 - a))


@pytest.mark.equation(
    "optimal-reverse-variance",
    tolerance=1e-6,
    wrong=r"the coefficient of $x_0$ in $\tilde\mu_t$ not squared",
)
@pytest.mark.parametrize("t, wrong_by", [(2, 1.0), (5, 1.0), (5, 0.7)])
def test_optimal_reverse_variance(tolerance, wrong, t, wrong_by):
    """Carries two points through the chain, minimises the mean of −log p(x_{t−1} | x_t) over the
    variance numerically, and compares. The denoiser is the exact one or a wrong one.
    """
    x0, x_before, x_t, p, D = two_points(t, wrong_by=wrong_by)
    away = x_before - posterior_mean(CHAIN, x_t, D, t)

    def loss(log_variance):
        return -p @ norm.logpdf(away, scale=np.exp(log_variance / 2))

    least = np.exp(minimize_scalar(loss, bounds=(-12, 2), options={"xatol": 1e-9}).x)
    share = coefficient(CHAIN, t)
    low = CHAIN.posterior(torch.zeros(1, 1), torch.zeros(1, 1), t)[1].item()
    formula = low + share ** (1 if wrong else 2) * (p @ (x0 - D) ** 2)
    assert abs(least / formula - 1) < tolerance


@pytest.mark.equation(
    "variance-cost",
    tolerance=1e-9,
    wrong=r"$r/r_*$ in place of $r_*/r$: the divergence the other way round",
)
@pytest.mark.parametrize("factor", [0.5, 1.3, 4.0])
def test_variance_cost(tolerance, wrong, factor):
    """Averages log p(x_{t−1} | x_t) with the best variance and with another one over two points
    carried through the chain.
    """
    x0, x_before, x_t, p, D = two_points(4)
    away = x_before - posterior_mean(CHAIN, x_t, D, 4)
    low = CHAIN.posterior(torch.zeros(1, 1), torch.zeros(1, 1), 4)[1].item()
    best = low + coefficient(CHAIN, 4) ** 2 * (p @ (x0 - D) ** 2)
    logs = [norm.logpdf(away, scale=np.sqrt(v)) for v in (best, factor * best)]
    lost = p @ (logs[0] - logs[1])
    ratio = factor if wrong else 1 / factor
    assert abs(lost - 0.5 * (np.log(factor) + ratio - 1)) < tolerance


@pytest.mark.equation(
    "reverse-variance-bounds",
    tolerance=1e-9,
    wrong=r"$\beta_t/\alpha_t$ for the upper end: the variance of a VE step, scaled",
)
@pytest.mark.parametrize("t", [1, 3, 8])
def test_reverse_variance_bounds(tolerance, wrong, t):
    """Computes the best variance for Gaussian data from the joint covariance of the chain, and for
    mixtures by quadrature: the first attain the upper end, the second stay between the ends.
    """
    a, before = CHAIN.alpha_bars[t].item(), CHAIN.alpha_bars[t - 1].item()
    beta, share = 1 - a / before, coefficient(CHAIN, t)
    low = beta * (1 - before) / (1 - a)

    def upper(c):
        mse = c * (1 - a) / (c * a + 1 - a)
        return low + share**2 * mse

    top = beta / (1 - beta) if wrong else beta
    for c in (1e-9, 0.3, 1.0):
        # of x_{t−1} given x_t, from Var x_{t−1}, Var x_t and their covariance
        spread, later = c * before + 1 - before, c * a + 1 - a
        exact = spread - (1 - beta) * spread**2 / later
        assert abs(exact - upper(c)) < tolerance
    assert abs(exact - top) < tolerance  # c = 1
    assert abs(upper(0) - low) < tolerance
    rng = np.random.default_rng(t)
    sigma = CHAIN.sigmas[t].item()
    for _ in range(20):
        means = rng.uniform(-0.9, 0.9, 3)
        data = denoisers.Mixture(means[:, None], rng.uniform(0, 0.1, 3), rng.dirichlet(np.ones(3)))
        x = torch.linspace(-2 - 9 * sigma, 2 + 9 * sigma, 4001, dtype=torch.float64)[:, None]
        p = data.log_density(x, sigma).exp().numpy() * (x[1] - x[0]).item()
        w = data.weights.numpy()
        second = w @ (means**2 + data.variances.numpy())
        mse = second - p @ data(x, sigma)[:, 0].numpy() ** 2
        best, c = low + share**2 * mse, second - (w @ means) ** 2
        assert low - tolerance < best < upper(c) + 1e-6 and upper(c) < top + tolerance


@pytest.mark.equation(
    "best-v", tolerance=1e-6, wrong=r"$v_* = (r_* - \tilde\beta_t)/(\beta_t - \tilde\beta_t)$"
)
@pytest.mark.parametrize("t", [3, 6])
def test_best_v(tolerance, wrong, t):
    """Minimises the mean of −log p(x_{t−1} | x_t) over v for two points carried through the
    chain.
    """
    x0, x_before, x_t, p, D = two_points(t)
    away = x_before - posterior_mean(CHAIN, x_t, D, t)
    beta = CHAIN.betas[t - 1].item()
    low = CHAIN.posterior(torch.zeros(1, 1), torch.zeros(1, 1), t)[1].item()

    def loss(v):
        return -p @ norm.logpdf(away, scale=np.sqrt(beta**v * low ** (1 - v)))

    found = minimize_scalar(loss, bounds=(-1, 2), options={"xatol": 1e-9}).x
    best = low + coefficient(CHAIN, t) ** 2 * (p @ (x0 - D) ** 2)
    formula = (best - low) / (beta - low) if wrong else np.log(best / low) / np.log(beta / low)
    assert abs(found - formula) < tolerance and 0 < found < 1


VALUES = np.linspace(-1, 1, 17)


def masses(mean, std, open_ends=True):
    """What N(mean, std²) puts on the bin around each of the values, (…, 17)."""
    edges = (VALUES[1:] + VALUES[:-1]) / 2
    half = (VALUES[1] - VALUES[0]) / 2
    ends = (-np.inf, np.inf) if open_ends else (-1 - half, 1 + half)
    cdf = norm.cdf((np.array([ends[0], *edges, ends[1]]) - np.expand_dims(mean, -1)) / std)
    return np.diff(cdf)


@pytest.mark.equation(
    "discretized-likelihood",
    tolerance=1e-9,
    wrong="the first and the last bin as wide as the others",
)
@pytest.mark.parametrize("mean, std", [(-0.95, 0.1), (1.4, 0.3)])
def test_discretized_likelihood(tolerance, wrong, mean, std):
    """Integrates the Gaussian density over the bin of each of 17 values; the probabilities add up
    to 1. The library's are the same.
    """
    half = (VALUES[1] - VALUES[0]) / 2
    bins = [[x - half, x + half] for x in VALUES]
    if not wrong:
        bins[0][0], bins[-1][1] = mean - 12, mean + 12
    exact = [
        quad(norm(mean, std).pdf, low, high, points=[np.clip(mean, low, high)], epsabs=1e-12)[0]
        for low, high in bins
    ]
    assert abs(np.array(exact) - masses(mean, std)).max() < tolerance
    values = torch.tensor(VALUES)[:, None]
    found = losses.discretized_log_likelihood(
        values, torch.full_like(values, mean), torch.full_like(values, 2 * np.log(std)), values=17
    )
    assert abs(np.array(exact) - found[:, 0].exp().numpy()).max() < tolerance
    assert abs(sum(exact) - 1) < tolerance


@pytest.mark.equation(
    "bits-per-dim", tolerance=1e-8, wrong=r"$L_{t-1}$ with the larger $\beta_t$ for $q$'s variance"
)
@pytest.mark.parametrize("place", [0, 5, 16])
def test_bits_per_dim(tolerance, wrong, place):
    """Sums the closed forms of the terms for a chain of two steps, a model with a wrong denoiser
    and one pixel of 17 values; compares with the mean of −log₂ of p(x_0, x_1, x_2) over
    q(x_1, x_2 | x_0) by quadrature, and finds it above −log₂ of the pixel's probability.
    """
    chain, x0 = schedules.Chain([0.3, 0.7]), VALUES[place]
    a1, a2 = chain.alpha_bars[1:].tolist()
    e, f = (v.ravel() for v in np.meshgrid(NODES, NODES, indexing="ij"))
    p = np.outer(WEIGHTS, WEIGHTS).ravel()
    x1 = a1**0.5 * x0 + (1 - a1) ** 0.5 * e
    x2 = 0.3**0.5 * x1 + 0.7**0.5 * f
    v1, v2 = 0.1, 0.4  # the model's variances

    def D(x):
        return 0.6 * np.tanh(x)

    joint = (
        np.log(masses(D(x1), v1**0.5)[:, place])
        + norm.logpdf(x1, posterior_mean(chain, x2, D(x2), 2), v2**0.5)
        + norm.logpdf(x2)
    )
    path = norm.logpdf(x1, a1**0.5 * x0, (1 - a1) ** 0.5) + norm.logpdf(x2, 0.3**0.5 * x1, 0.7**0.5)
    direct = -p @ (joint - path) / np.log(2)

    prior = 0.5 * (a2 * x0**2 + (1 - a2) - 1 - np.log(1 - a2))
    low = 0.7 * (1 - a1) / (1 - a2)
    low = 0.7 if wrong else low
    at2 = a2**0.5 * x0 + (1 - a2) ** 0.5 * NODES
    gap = coefficient(chain, 2) * (x0 - D(at2))
    middle = 0.5 * (np.log(v2 / low) + (low + WEIGHTS @ gap**2) / v2 - 1)
    at1 = a1**0.5 * x0 + (1 - a1) ** 0.5 * NODES
    last = -WEIGHTS @ np.log(masses(D(at1), v1**0.5)[:, place])
    assert abs(direct - (prior + middle + last) / np.log(2)) < tolerance

    x = np.linspace(-9, 9, 1201)
    kernel = norm.pdf(x[:, None], posterior_mean(chain, x, D(x), 2), v2**0.5)
    density = kernel @ norm.pdf(x) * (x[1] - x[0])
    probability = density @ masses(D(x), v1**0.5)[:, place] * (x[1] - x[0])
    assert direct > -np.log2(probability)


class Outputs(torch.nn.Module):
    """A network whose mean and variance share no parameter."""

    extra_channels = 1

    def __init__(self, mean, share):
        super().__init__()
        self.mean = torch.nn.Parameter(torch.tensor(mean, dtype=torch.float64))
        self.share = torch.nn.Parameter(torch.tensor(share, dtype=torch.float64))

    def forward(self, x, noise, labels=None):
        return torch.cat([self.mean * x, self.share + 0 * x], 1)


@pytest.mark.equation(
    "hybrid-gradient", tolerance=1e-12, wrong=r"without $\operatorname{sg}$: $D$ is trained by both"
)
def test_hybrid_gradient(tolerance, wrong):
    """Differentiates both losses by what the network puts out, at random pixels, with autograd; the
    library's by the parameter of a network's mean.
    """
    g = torch.Generator().manual_seed(0)
    x0, x_t, D, v = torch.randn(4, 50, generator=g, dtype=torch.float64)
    D.requires_grad_(), v.requires_grad_()
    a, before = CHAIN.alpha_bars[5], CHAIN.alpha_bars[4]
    beta = 1 - a / before
    low = beta * (1 - before) / (1 - a)
    simple = (a / (1 - a)) * (x0 - D) ** 2  # ‖ε − ε̂‖²

    held = D if wrong else D.detach()
    truth = CHAIN.posterior(x_t[:, None], x0[:, None], 5)[0][:, 0]
    mean = CHAIN.posterior(x_t[:, None], held[:, None], 5)[0][:, 0]
    variance = torch.exp(v * beta.log() + (1 - v) * low.log())
    bound = 0.5 * (torch.log(variance / low) - 1 + (low + (truth - mean) ** 2) / variance)
    hybrid = simple + 1e-3 * CHAIN.T * bound

    (expected,) = torch.autograd.grad(simple.sum(), D, retain_graph=True)
    found, by_v = torch.autograd.grad(hybrid.sum(), (D, v))
    assert (found - expected).abs().max() < tolerance
    # v goes up where the squared error asks for more variance, and down elsewhere
    asked = low + coefficient(CHAIN, 5) ** 2 * (x0 - D.detach()) ** 2
    slope = 0.5e-3 * CHAIN.T * (1 - asked / variance) * torch.log(beta / low)
    assert (by_v - slope).abs().max() < tolerance

    net = Outputs(0.3, 0.7)
    denoiser = preconditioning.Denoiser(net, preconditioning.chain(CHAIN))
    pictures = x0.reshape(-1, 1, 1, 1)
    draws = torch.rand(50, generator=g, dtype=torch.float64), x_t.reshape(-1, 1, 1, 1)
    levels = CHAIN.sigmas[1:].flip(0)
    both = losses.hybrid(denoiser, pictures, *draws, levels=levels)
    plain = losses.denoising(
        denoiser, pictures, *draws, levels=lambda u: losses.from_levels(u, levels)
    )
    found, expected = (torch.autograd.grad(v.sum(), net.mean)[0] for v in (both, plain))
    assert abs(found - expected) < 1e6 * tolerance * abs(expected)  # float32


@pytest.mark.equation(
    "importance-sampling-t",
    tolerance=1e-6,
    wrong=r"$p_t \propto \mathbb E[L_t]$: the spread of $L_t$ at one $t$ ignored",
)
def test_importance_sampling(tolerance, wrong):
    """Five terms of two values each: the estimate's mean and variance over all cases, and the least
    variance that a numerical minimiser finds.
    """
    rng = np.random.default_rng(0)
    values = rng.exponential(size=(5, 2)) * np.array([[8.0, 2.0, 1.0, 0.3, 0.05]]).T
    shares = np.full((5, 2), 0.5)
    total = (values * shares).sum()

    def moments(p):
        estimate = values / p[:, None]
        return (p[:, None] * shares * estimate ** np.array([[[1]], [[2]]])).sum((1, 2))

    roots = np.sqrt((values**2 * shares).sum(1))
    optimal = (values * shares).sum(1) if wrong else roots
    mean, second = moments(optimal / optimal.sum())
    assert abs(mean - total) < tolerance
    found = minimize(lambda u: moments(np.exp(u) / np.exp(u).sum())[1], np.zeros(5), tol=1e-12)
    assert abs(second - found.fun) < tolerance * second
    assert abs(found.fun - roots.sum() ** 2) < tolerance * found.fun


TWO = denoisers.Mixture([[-1.0], [1.0]], [0.1, 0.3], [0.7, 0.3])
ONE = denoisers.Mixture([[1.0]], [0.3], [1.0])


def of_class(both, one):
    """D(x, σ, labels) from the exact denoisers of all data and of one class; -1: no class."""

    def D(x, sigma, labels=None):
        if labels is None:
            return both(x, sigma)
        return torch.where((labels < 0)[:, None], both(x, sigma), one(x, sigma))

    return D


@pytest.mark.equation(
    "guidance", tolerance=1e-7, wrong=r"$p(c \mid x;\sigma)^{1+w}$: another paper's $w$"
)
@pytest.mark.parametrize("w", [0.0, 0.5, 1.0, 3.0])
def test_guidance(tolerance, wrong, w):
    """Takes finite differences of log p(x; σ) + w log p(c | x; σ) for a mixture of two classes;
    compares the library's guided denoiser with it.
    """
    x, sigma, h = torch.linspace(-2, 2, 9, dtype=torch.float64)[:, None], 0.6, 1e-5

    def log_tilted(x):
        joint = np.log(0.3) + ONE.log_density(x, sigma)
        given = joint - TWO.log_density(x, sigma)
        return TWO.log_density(x, sigma) + (w + 1 if wrong else w) * given

    slope = (log_tilted(x + h) - log_tilted(x - h)) / (2 * h)
    guided = denoisers.given(of_class(TWO, ONE), 1, guidance=w)
    assert (guided(x, sigma)[:, 0] - x[:, 0] - sigma**2 * slope).abs().max() < tolerance


@pytest.mark.equation(
    "guided-variance",
    tolerance=2e-3,
    wrong=r"$\nu_c/(\nu_c + w(1-\nu_c))$, the variance of $p(x_0)\,p(c \mid x_0)^w$",
)
@pytest.mark.parametrize("w", [0.5, 2.0, 3.0])
def test_guided_variance(tolerance, wrong, w):
    """Solves the guided ODE numerically from two starts; it is affine, so their distance is that of
    all.
    """
    v, m = 0.25, 0.75
    data = denoisers.Gaussian([0.0], [[1.0]])
    one = denoisers.Gaussian([m], [[v]])
    guided = denoisers.given(of_class(data, one), 1, guidance=w)
    grid = grids.edm(400, 1e-3, 200.0)
    start = grid[0] * torch.tensor([[-1.0], [1.0]], dtype=torch.float64)
    ends = solvers.sample(guided, start, grid, solvers.heun).x
    deviation = (ends[1] - ends[0]).item() / 2
    formula = v / (v + w * (1 - v)) if wrong else v**w
    assert abs(deviation**2 / formula - 1) < tolerance


@pytest.mark.equation(
    "respaced-chain", tolerance=1e-12, wrong=r"the sum of the skipped $\beta$ for the new $\beta$"
)
def test_respaced_chain(tolerance, wrong):
    """Carries the covariance of all states of a chain of eight steps along, given x_0; reads the
    step between two kept states and its posterior off the covariance. The library has the same.
    """
    T, kept = CHAIN.T, [2, 3, 7]
    steps = np.eye(T) - np.diag((1 - CHAIN.betas[1:].numpy()) ** 0.5, -1)
    inverse = np.linalg.inv(steps)
    covariance = inverse @ np.diag(CHAIN.betas.numpy()) @ inverse.T  # given x_0
    for before, t in zip(kept, kept[1:]):
        i, j = before - 1, t - 1
        ratio = covariance[i, j] / covariance[i, i]  # x_t is ratio · x_before and noise
        fresh = covariance[j, j] - ratio * covariance[i, j]
        a, a_before = CHAIN.alpha_bars[t].item(), CHAIN.alpha_bars[before].item()
        beta = CHAIN.betas[before:t].sum().item() if wrong else 1 - a / a_before
        assert abs(fresh - beta) < tolerance and abs(ratio**2 - (1 - beta)) < tolerance
        back = covariance[i, i] - covariance[i, j] ** 2 / covariance[j, j]
        assert abs(back - beta * (1 - a_before) / (1 - a)) < tolerance
        low, high = schedules.reverse_variances(*CHAIN.sigmas[[t, before]].tolist())
        assert abs(back - a_before * low) < tolerance and abs(fresh - a_before * high) < tolerance


@pytest.mark.equation(
    "balanced-bias",
    tolerance=1e-12,
    wrong=r"$\operatorname{tr}\Sigma/n$: as if the classes were drawn, too",
)
def test_balanced_bias(tolerance, wrong):
    """Averages the squared error of the mean over all balanced sets of two classes of three values
    each, two pictures of a class, and over all sets whose classes are drawn.
    """
    values = np.array([[0.0, 1.0, 4.0], [7.0, 8.0, 8.5]])
    chances = np.array([[0.2, 0.5, 0.3], [0.6, 0.1, 0.3]])
    means = (values * chances).sum(1)
    within = ((values - means[:, None]) ** 2 * chances).sum() / 2
    between = means.var()

    def squared_error(classes):
        total = 0
        for picks in product(range(3), repeat=4):
            x = np.mean([values[c, k] for c, k in zip(classes, picks)])
            total += (
                np.prod([chances[c, k] for c, k in zip(classes, picks)]) * (x - means.mean()) ** 2
            )
        return total

    balanced = squared_error((0, 0, 1, 1))
    assert abs(balanced - (within + (between if wrong else 0)) / 4) < tolerance
    drawn = np.mean([squared_error(c) for c in product(range(2), repeat=4)])
    assert abs(drawn - (within + between) / 4) < tolerance
