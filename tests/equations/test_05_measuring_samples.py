"""The key equations of chapter 05, each against brute force, enumeration, quadrature or
simulation.
"""

from itertools import product

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.linalg import sqrtm
from scipy.stats import norm

from fewstep import metrics

# Three values on the line with uneven probabilities, as data small enough to try all samples of it.
POINTS, SHARES = np.array([-1.0, 0.5, 2.0]), np.array([0.5, 0.2, 0.3])
OTHERS, OTHER_SHARES = np.array([-0.5, 1.0, 1.5]), np.array([0.3, 0.4, 0.3])


def covariance(seed, d):
    """A full covariance without any symmetry; two of them do not commute."""
    a = np.random.default_rng(seed).normal(size=(d, d)) / np.sqrt(d)
    return a @ a.T + 0.1 * np.eye(d)


def every_sample(points, shares, n):
    """All samples (m, n) of n independent draws, and the probability of each."""
    rows = np.array(list(product(range(len(points)), repeat=n)))
    return points[rows], shares[rows].prod(1)


def with_moments(mean, matrix, n, seed):
    """n rows whose mean and (unbiased) covariance are exactly these."""
    z = np.random.default_rng(seed).normal(size=(n, len(mean)))
    z -= z.mean(0)
    z = z @ np.linalg.inv(np.linalg.cholesky(np.cov(z.T))).T
    return z @ np.linalg.cholesky(matrix).T + mean


@pytest.mark.equation(
    "frechet-gaussians",
    tolerance=1e-6,
    wrong=r"$\operatorname{tr}\,\Sigma_1^{1/2}\Sigma_2^{1/2}$ in place of "
    r"$\operatorname{tr}\,(\Sigma_1\Sigma_2)^{1/2}$",
)
@pytest.mark.parametrize("seeds", [(0, 1), (2, 3), (4, 5)])
def test_frechet_gaussians(tolerance, wrong, seeds):
    """Tries all linear couplings Y = B X of two Gaussians in the plane and compares the least mean
    squared distance with the formula. The library's value for sets with these moments is the same.
    """
    first, second = (covariance(seed, 2) for seed in seeds)
    means = np.array([[0.3, -0.2], [1.0, 0.4]])
    root, other = sqrtm(first), sqrtm(second)
    # B must carry the one covariance to the other: B = Σ₂^½ R Σ₁^-½, R any rotation or reflection
    angles = np.linspace(0, 2 * np.pi, 100_001)
    cos, sin = np.cos(angles), np.sin(angles)
    turns = np.array([[[cos, -sin], [sin, cos]], [[cos, sin], [sin, -cos]]])
    between = np.einsum("ij,kjla,lm->kaim", other, turns, root)  # E (Y - μ₂)(X - μ₁)ᵀ
    cost = np.trace(first + second) - 2 * np.trace(between, axis1=2, axis2=3)
    least = ((means[0] - means[1]) ** 2).sum() + cost.min()
    overlap = np.trace(root @ other) if wrong else np.trace(sqrtm(first @ second)).real
    formula = ((means[0] - means[1]) ** 2).sum() + np.trace(first + second) - 2 * overlap
    assert abs(least - formula) < tolerance
    sets = [with_moments(m, c, 50, 0) for m, c in zip(means, (first, second))]
    assert abs(metrics.fd(*map(torch.tensor, sets), None) - least) < 10 * tolerance  # float32


@pytest.mark.equation(
    "mean-bias",
    tolerance=1e-12,
    wrong=r"$\operatorname{tr}(\Sigma_1 + \Sigma_2)/(n_1 + n_2)$ for the bias",
)
@pytest.mark.parametrize("n1, n2", [(2, 4), (3, 3)])
def test_mean_bias(tolerance, wrong, n1, n2):
    """Averages the squared distance of two sample means over all samples of two three-valued
    variables, each with its probability.
    """
    x, p = every_sample(POINTS, SHARES, n1)
    y, q = every_sample(OTHERS, OTHER_SHARES, n2)
    measured = ((x.mean(1)[:, None] - y.mean(1)) ** 2 * p[:, None] * q).sum()
    mean, other = SHARES @ POINTS, OTHER_SHARES @ OTHERS
    spread = SHARES @ (POINTS - mean) ** 2
    second = OTHER_SHARES @ (OTHERS - other) ** 2
    bias = (spread + second) / (n1 + n2) if wrong else spread / n1 + second / n2
    assert abs(measured - (mean - other) ** 2 - bias) < tolerance


def wisharts(matrix, n, draws, generator):
    """Sample covariances of n Gaussian vectors, (draws, d, d), by Bartlett's decomposition."""
    d = len(matrix)
    a = torch.randn(draws, d, d, generator=generator, dtype=torch.float64).tril(-1)
    for i in range(d):
        half = torch.full((draws,), (n - 1 - i) / 2, dtype=torch.float64)
        a[:, i, i] = (2 * torch._standard_gamma(half, generator=generator)).sqrt()
    a = torch.linalg.cholesky(torch.tensor(matrix)) @ a
    return a @ a.mT / (n - 1)


@pytest.mark.equation(
    "frechet-bias",
    tolerance=0.02,
    unit="of the bias",
    wrong=r"without $\tfrac14\sum_i r_i$: the variance of a sample variance taken as "
    r"$\Sigma_{ii}^2/n$ in place of $2\,\Sigma_{ii}^2/n$",
)
@pytest.mark.parametrize("case", ["equal", "different"])
def test_frechet_bias(tolerance, wrong, case):
    """Draws the means and covariances of sets of 300 and 600 Gaussian vectors, a hundred thousand
    times, and compares the mean distance with the true one plus the bias.
    """
    d, n1, n2, draws = 3, 300, 600, 100_000
    generator = torch.Generator().manual_seed(0)
    first = covariance(0, d)
    second, shift = (first, 0.0) if case == "equal" else (covariance(1, d), 0.5)
    means = [
        torch.randn(draws, d, generator=generator, dtype=torch.float64)
        @ torch.linalg.cholesky(torch.tensor(c / n)).T
        for c, n in ((first, n1), (second, n2))
    ]
    covariances = [wisharts(c, n, draws, generator) for c, n in ((first, n1), (second, n2))]
    roots = torch.linalg.eigvals(covariances[0] @ covariances[1]).real.sqrt().sum(1)
    traces = sum(c.diagonal(dim1=1, dim2=2).sum(1) for c in covariances)
    distances = (means[0] - means[1] + shift).square().sum(1) + traces - 2 * roots
    # What is linear in the errors of the moments is zero on average: without it, less noise.
    errors = [*means] + [
        (c - torch.tensor(truth))[:, *np.tril_indices(d)]
        for c, truth in zip(covariances, (first, second))
    ]
    columns = torch.cat([torch.ones(draws, 1), *errors], 1)
    measured = torch.linalg.lstsq(columns, distances[:, None]).solution[0, 0].item()
    r = np.sqrt(np.linalg.eigvals(first @ second).real)
    truth = d * shift**2 + np.trace(first + second) - 2 * r.sum()
    pairs = (np.outer(r, r) / (r[:, None] + r)).sum() / 2
    shared = pairs + (0 if wrong else r.sum() / 4)
    bias = np.trace(first) / n1 + np.trace(second) / n2 + (1 / n1 + 1 / n2) * shared
    assert abs(measured - truth - bias) < tolerance * bias


@pytest.mark.equation(
    "least-of-several",
    tolerance=1e-9,
    wrong=r"$3/\sqrt\pi$ for three: the whole range, not half of it",
)
def test_least_of_several(tolerance, wrong):
    """Integrates the density of the least of two and of three standard normals."""

    def least(k):
        return quad(lambda z: z * k * norm.pdf(z) * norm.sf(z) ** (k - 1), -12, 12)[0]

    assert abs(least(2) + 1 / np.sqrt(np.pi)) < tolerance
    assert abs(least(3) + (3 if wrong else 1.5) / np.sqrt(np.pi)) < tolerance


def kernel(x, y):
    return (x @ y.T / x.shape[1] + 1) ** 3


@pytest.mark.equation(
    "kid-moments", tolerance=1e-12, wrong=r"without the binomial factors 3, 3 and 1"
)
def test_kid_moments(tolerance, wrong):
    """Averages the kernel over all pairs of two small sets in three dimensions and compares with
    the differences of their moments of order one to three.
    """
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(5, 3)), rng.normal(size=(7, 3)) + 0.5
    mmd = kernel(x, x).mean() + kernel(y, y).mean() - 2 * kernel(x, y).mean()
    forms = ["ni->i", "ni,nj->ij", "ni,nj,nk->ijk"]
    moments = [
        np.einsum(form, *[x] * j) / len(x) - np.einsum(form, *[y] * j) / len(y)
        for j, form in enumerate(forms, 1)
    ]
    binomial = (1, 1, 1) if wrong else (3, 3, 1)
    formula = sum(b * (m**2).sum() / 3**j for j, (b, m) in enumerate(zip(binomial, moments), 1))
    assert abs(mmd - formula) < tolerance


@pytest.mark.equation(
    "kid-unbiased", tolerance=1e-12, wrong=r"the mean over all pairs, each picture with itself too"
)
@pytest.mark.parametrize("n", [2, 4])
def test_kid_unbiased(tolerance, wrong, n):
    """Averages the estimate over all samples of two three-valued variables, each with its
    probability, and compares with the kernel distance of the two distributions.
    """

    def k(x, y):
        return (x * y + 1) ** 3

    def within(x):
        """The mean of the kernel over the pairs of each row."""
        all_pairs = k(x[:, :, None], x[:, None]).sum((1, 2))
        if wrong:
            return all_pairs / n**2
        return (all_pairs - k(x, x).sum(1)) / (n * (n - 1))

    x, p = every_sample(POINTS, SHARES, n)
    y, q = every_sample(OTHERS, OTHER_SHARES, n)
    across = p @ k(x[:, None, :, None], y[None, :, None]).mean((2, 3)) @ q
    measured = p @ within(x) + q @ within(y) - 2 * across
    weights = np.concatenate([SHARES, -OTHER_SHARES])
    both = np.concatenate([POINTS, OTHERS])
    assert abs(measured - weights @ k(both[:, None], both) @ weights) < tolerance


@pytest.mark.equation(
    "balls",
    tolerance=4,
    unit="standard errors",
    wrong=r"$k\,n/(n-1)$ balls: the centre left out of the count",
)
@pytest.mark.parametrize("d, k", [(1, 1), (2, 3), (20, 3)])
def test_balls(tolerance, wrong, d, k):
    """Draws ten points and one more, twenty thousand times, and counts the balls to the k-th
    nearest neighbour that hold the one.
    """
    n, draws = 10, 20_000
    generator = torch.Generator().manual_seed(d)
    x = torch.randn(draws, n, d, generator=generator) ** 3  # no Gaussian: it does not matter
    fresh = torch.randn(draws, 1, d, generator=generator) ** 3
    radius = torch.cdist(x, x).kthvalue(k + 1).values  # the nearest of all is the centre itself
    held = (torch.cdist(fresh, x)[:, 0] <= radius).sum(1).double()
    expected = k * n / (n - 1) if wrong else k
    assert abs(held.mean() - expected) < tolerance * held.std() / draws**0.5
