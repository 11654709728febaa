"""The key equations of chapter 08, each against a search, a simulation or a full list of cases."""

from functools import partial

import numpy as np
import pytest
import torch
from scipy.optimize import minimize, minimize_scalar
from torch import nn

from fewstep import denoisers, losses, preconditioning

# Two uneven values with a mean, and noise ±1: neither Gaussian nor centred, and all four cases
# of a pair can be listed, so that means are exact.
VALUES, SHARES = np.array([-0.7, 0.4]), np.array([0.3, 0.7])
SIGMA_D = float(np.sqrt((SHARES * VALUES**2).sum()))
LEVELS = [0.1, 0.5, 3.0]


def cases():
    """x0, ε and the probability of each of the four pairs."""
    x0, eps = (v.ravel() for v in np.meshgrid(VALUES, [-1.0, 1.0], indexing="ij"))
    return x0, eps, np.repeat(SHARES / 2, 2)


def coefficients(sigma):
    """c_skip, c_out, c_in and λ of the library, as numbers."""
    p, at = preconditioning.edm(SIGMA_D), torch.tensor(sigma, dtype=torch.float64)
    return [float(c(at)) for c in (p.c_skip, p.c_out, p.c_in, p.weight)]


class Constant(nn.Module):
    """A network that answers one number."""

    def __init__(self, value):
        super().__init__()
        self.value = value

    def forward(self, x, c_noise, labels=None):
        return torch.full_like(x, self.value)


def note(seen, module, inputs):
    """A hook that writes down what the network is shown."""
    seen.append(float(inputs[0]))


@pytest.mark.equation(
    "preconditioning",
    tolerance=1e-6,
    wrong=r"$c_{\mathrm{out}} = \sigma\,\sigma_d/(\sigma+\sigma_d)$",
)
@pytest.mark.parametrize("sigma", LEVELS)
def test_preconditioning(tolerance, wrong, sigma):
    """Minimises the mean of (x0 − c x)² over c by golden-section search, on data of two values with
    noise ±1, and compares place and height of the minimum, and the size of x, with the formulas.
    """
    x0, eps, share = cases()
    x = x0 + sigma * eps
    found = minimize_scalar(lambda c: (share * (x0 - c * x) ** 2).sum(), tol=1e-12)
    total = sigma**2 + SIGMA_D**2
    c_out = sigma * SIGMA_D / ((sigma + SIGMA_D) if wrong else np.sqrt(total))
    by_hand = SIGMA_D**2 / total, c_out, 1 / np.sqrt(total)
    searched = found.x, np.sqrt(found.fun), 1 / np.sqrt((share * x**2).sum())
    assert np.abs(np.subtract(by_hand, searched)).max() < tolerance
    assert np.abs(np.subtract(by_hand, coefficients(sigma)[:3])).max() < tolerance


@pytest.mark.equation(
    "amplification",
    tolerance=1e-9,
    wrong=r"$\dfrac1{c_{\mathrm{out}}} = \dfrac1\sigma + \dfrac1{\sigma_d}$",
)
@pytest.mark.parametrize("sigma", LEVELS)
def test_amplification(tolerance, wrong, sigma):
    """Regresses x0 on x by least squares, takes the residual's size for c_out, and compares it with
    the sum of the two precisions and with the bounds.
    """
    x0, eps, share = cases()
    rows = np.sqrt(share)
    x = x0 + sigma * eps
    slope = np.linalg.lstsq((rows * x)[:, None], rows * x0, rcond=None)[0]
    c_out = np.linalg.norm(rows * (x0 - slope * x))
    power = 1 if wrong else 2
    assert abs(c_out**-power - sigma**-power - SIGMA_D**-power) < tolerance * c_out**-power
    smaller = min(sigma, SIGMA_D)
    assert smaller / np.sqrt(2) <= c_out * (1 + 1e-12) and c_out <= smaller


@pytest.mark.equation(
    "target-rotation",
    tolerance=1e-6,
    wrong=r"$F^\star = \sin\varphi\;x_0/\sigma_d + \cos\varphi\;\varepsilon$",
)
@pytest.mark.parametrize("sigma", LEVELS)
def test_target_rotation(tolerance, wrong, sigma):
    """Finds by root search the network output with which the library's denoiser answers x0, and
    compares it and the network's input with the rotated pair.
    """
    phi = np.arctan2(sigma, SIGMA_D)
    cos = -np.cos(phi) if wrong else np.cos(phi)
    for x0, eps, _ in zip(*cases()):
        network = Constant(0.0)
        seen: list[float] = []
        network.register_forward_pre_hook(partial(note, seen))
        D = preconditioning.Denoiser(network, preconditioning.edm(SIGMA_D))
        x = torch.tensor([[x0 + sigma * eps]])
        low = float(D(x, sigma))
        network.value = 1.0
        target = (x0 - low) / (float(D(x, sigma)) - low)  # D is affine in F
        assert abs(target - (np.sin(phi) * x0 / SIGMA_D - cos * eps)) < tolerance
        assert abs(seen[0] - (np.cos(phi) * x0 / SIGMA_D + np.sin(phi) * eps)) < tolerance


@pytest.mark.equation(
    "loss-weight",
    tolerance=1e-5,
    wrong=r"$\lambda(\sigma) = (\sigma^2+\sigma_d^2)/(\sigma\,\sigma_d)$",
)
@pytest.mark.parametrize("sigma", LEVELS)
def test_loss_weight(tolerance, wrong, sigma):
    """Evaluates the library's denoiser with networks that answer a constant, weighs its error by λ,
    and compares with the squared error of F; for F = 0 with 1.
    """
    x0, eps, share = cases()
    c_skip, c_out, _, weight = coefficients(sigma)
    lam = (sigma**2 + SIGMA_D**2) / (sigma * SIGMA_D) ** (1 if wrong else 2)
    x = torch.tensor(x0 + sigma * eps)[:, None]
    target = (x0 - c_skip * x[:, 0].numpy()) / c_out
    for value in (0.0, 0.8):
        D = preconditioning.Denoiser(Constant(value), preconditioning.edm(SIGMA_D))
        error = (D(x, sigma)[:, 0].numpy() - x0) ** 2
        of_F = (share * (value - target) ** 2).sum()
        assert abs(lam * (share * error).sum() - of_F) < tolerance * of_F
        if value == 0:
            assert abs(of_F - 1) < tolerance
    assert abs(lam - weight) < tolerance * weight


@pytest.mark.equation(
    "start-with-mean", tolerance=1e-5, wrong=r"$\ell_0(\sigma) = 1 + m^2/(\sigma^2 + \sigma_d^2)$"
)
@pytest.mark.parametrize("sigma", LEVELS)
def test_start_with_mean(tolerance, wrong, sigma):
    """Takes the library's loss of a network that answers 0, with σ_d the standard deviation of data
    that have a mean, over all pairs of value and noise.
    """
    x0, eps, share = cases()
    mean = (share * x0).sum()
    v = (share * (x0 - mean) ** 2).sum()
    D = preconditioning.Denoiser(Constant(0.0), preconditioning.edm(float(np.sqrt(v))))
    each = losses.denoising(
        D,
        torch.tensor(x0)[:, None],
        torch.full((4,), 0.5),
        torch.tensor(eps)[:, None],
        levels=lambda u: torch.full_like(u, sigma, dtype=torch.float64),
    )
    extra = mean**2 / (sigma**2 + v) * (1 if wrong else sigma**2 / v)
    assert abs((torch.tensor(share) * each).sum() - 1 - extra) < tolerance


@pytest.mark.equation(
    "target-covariance", tolerance=1e-9, wrong=r"$\mathbb E[F_i^{\star2}] = v_i/\sigma_d^2$"
)
@pytest.mark.parametrize("sigma", LEVELS)
def test_target_covariance(tolerance, wrong, sigma):
    """Lists all 64 cases of data ±√v and noise ±1 in three directions, and compares the target's
    mean square and its product with the network's input, direction by direction.
    """
    v = np.array([1.2, 0.3, 0.0])
    v_d = v.mean()
    signs = np.array(np.meshgrid(*[[-1.0, 1.0]] * 6)).reshape(6, -1)
    x0, eps = np.sqrt(v)[:, None] * signs[:3], signs[3:]
    x, total = x0 + sigma * eps, sigma**2 + v_d
    target = (x0 - v_d / total * x) / (sigma * np.sqrt(v_d / total))
    square = v / v_d if wrong else (sigma**2 * v / v_d + v_d) / total
    assert np.abs((target**2).mean(1) - square).max() < tolerance
    product = sigma * (v - v_d) / (np.sqrt(v_d) * total)
    assert np.abs((target * x / np.sqrt(total)).mean(1) - product).max() < tolerance
    assert abs((target**2).mean() - 1) < tolerance


@pytest.mark.equation(
    "noise-distribution",
    tolerance=1e-4,
    wrong=r"$p_{\mathrm{train}}(\sigma) \propto h(\sigma)\,M(\sigma)$",
)
@pytest.mark.parametrize("seed", [0, 1])
def test_noise_distribution(tolerance, wrong, seed):
    """Minimises the mean square of the weighted gradient over all distributions on five levels, by
    a quasi-Newton search from equal shares, and compares with the formula.
    """
    rng = np.random.default_rng(seed)
    h, M = rng.uniform(0.2, 2, 5), rng.uniform(0.2, 4, 5)

    def mean_square(logits):
        p = np.exp(logits) / np.exp(logits).sum()
        return (p * (h / p) ** 2 * M).sum()

    found = np.exp(minimize(mean_square, np.zeros(5), tol=1e-12).x)
    p = h * (M if wrong else np.sqrt(M))
    assert np.abs(found / found.sum() - p / p.sum()).max() < tolerance


@pytest.mark.equation(
    "non-leaky",
    tolerance=4,
    unit="standard errors",
    wrong=r"$\mathbb E[T_a x_0 \mid T_a x_0 + \sigma\varepsilon = x] = D(x;\sigma)$",
)
def test_non_leaky(tolerance, wrong):
    """Draws a million augmented pairs from three points, half of them mirrored, averages the clean
    points in bins of x, with and without the condition, and compares with exact denoisers.
    """
    points = torch.tensor([[-0.2], [0.5], [1.0]], dtype=torch.float64)
    rng, sigma, n = np.random.default_rng(8), 0.6, 1_000_000
    mirrored = rng.random(n) < 0.5
    x0 = points[:, 0].numpy()[rng.integers(3, size=n)] * np.where(mirrored, -1, 1)
    x = x0 + sigma * rng.standard_normal(n)
    edges = np.linspace(-1.5, 1.5, 61)
    centre = torch.tensor((edges[1:] + edges[:-1]) / 2)[:, None]
    plain = denoisers.DataSet(points)
    both = denoisers.DataSet(torch.cat([points, -points]))
    kept = np.ones(n, bool) if wrong else ~mirrored  # the mistake: the condition forgotten
    for chosen, exact in ((kept, plain), (np.ones(n, bool), both)):
        bins = np.digitize(x[chosen], edges) - 1
        inside = (bins >= 0) & (bins < 60)
        counts = np.bincount(bins[inside], minlength=60)
        means = np.bincount(bins[inside], x0[chosen][inside], minlength=60) / counts
        # a clean point scatters by less than 0.75; a bin's width moves its mean by less than 0.002
        allowed = tolerance * 0.75 / np.sqrt(counts) + 0.002
        assert (np.abs(means - exact(centre, sigma)[:, 0].numpy()) < allowed).all()
