"""Chapter 02: the limit of chains, Wiener integrals, linear SDEs and their transition kernels,
Euler–Maruyama.
"""

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.stats import kstest

from fewstep.processes import EDM, VE, VP, Instant, Process, SubVP

# The gap of 0.0051 below (Kolmogorov's statistic of 200,000 draws) is passed by chance once in
# 16,000: 4 standard deviations.
LEVELS = np.array([32, 64, 128, 256])  # numbers of steps T at which orders are measured


def drift(t):
    return 2 * np.cos(7 * t) - 0.5


def diffusion(t):
    return 1 + 0.8 * np.sin(11 * t)


def increments(steps, paths, seed=0):
    """Independent N(0, 1/steps) increments of Wiener paths on [0, 1]: (steps, paths)."""
    return np.random.default_rng(seed).standard_normal((steps, paths)) / np.sqrt(steps)


def coarsen(dw, steps):
    return dw.reshape(steps, -1, dw.shape[1]).sum(1)


def midpoints(steps):
    return (np.arange(steps) + 0.5) / steps


def scale(f, t):
    return np.exp(quad(f, 0, t)[0])


def level(f, g, t):
    """σ(t) = √∫ g²/s², by quadrature inside quadrature."""
    return np.sqrt(quad(lambda u: (g(u) / scale(f, u)) ** 2, 0, t)[0])


def slope(errors):
    """The p of errors ≈ C Δt^p."""
    return -np.polyfit(np.log(LEVELS), np.log(errors), 1)[0]


def rms(x):
    return np.sqrt(np.mean(x**2))


@pytest.mark.equation("chain-to-sde", tolerance=0.1, unit="in the exponent")
def test_chain_tends_to_the_sde_with_order_one(tolerance):
    """Drives VP chains of 32 to 256 steps and a simulation of the SDE in 4096 steps (no closed
    form) by the same noise; the exponent of the path error must be 1.
    """
    beta = lambda t: 0.3 + 4 * t
    dw = increments(4096, 1000)
    x = np.full(1000, 1.5)
    for k, dw_k in enumerate(dw):  # Heun for the drift, the midpoint for the noise
        t, dt = k / 4096, 1 / 4096
        noise = np.sqrt(beta(t + dt / 2)) * dw_k
        guess = x - 0.5 * beta(t) * x * dt + noise
        x = x - 0.25 * (beta(t) * x + beta(t + dt) * guess) * dt + noise
    errors = []
    for steps in LEVELS:
        y = np.full(1000, 1.5)
        for k, dw_k in enumerate(coarsen(dw, steps)):
            beta_k = beta(k / steps) / steps
            y = np.sqrt(1 - beta_k) * y + np.sqrt(beta_k) * dw_k * np.sqrt(steps)
        errors.append(rms(y - x))
    assert errors[-1] < 0.03
    assert abs(slope(errors) - 1) < tolerance


@pytest.mark.equation("ito-isometry", tolerance=5, unit="standard errors")
def test_isometry(tolerance):
    """Draws 200,000 pairs of Wiener integrals of two oscillating functions as Riemann sums and
    compares their mean product with the integral of the product of the functions.
    """
    h, k = lambda t: np.cos(9 * t), lambda t: np.where(t < 0.5, 1.0, -0.5) + t
    steps = 128
    weights = np.stack([h(midpoints(steps)), k(midpoints(steps))])
    products = [np.prod(weights @ increments(steps, 20_000, seed), axis=0) for seed in range(10)]
    expected = quad(lambda t: h(t) * k(t), 0, 1, points=[0.5])[0]
    error = np.std(products) / 200_000**0.5
    assert abs(expected) > 20 * error
    assert abs(np.mean(products) - expected) < tolerance * error


@pytest.mark.equation(
    "wiener-integral-gaussian", tolerance=0.0051, unit="largest gap of two distribution functions"
)
def test_wiener_integral_is_gaussian(tolerance):
    """Draws 200,000 Wiener integrals of a function that oscillates and jumps, as Riemann sums, and
    compares their distribution with the normal one.
    """
    h = lambda t: (1 + 2 * t) * np.cos(25 * t) * np.sign(0.6 - t)
    steps = 256
    integrals = np.concatenate(
        [h(midpoints(steps)) @ increments(steps, 20_000, seed) for seed in range(10)]
    )
    variance = quad(lambda t: h(t) ** 2, 0, 1, points=[0.6], limit=200)[0]
    assert kstest(integrals / np.sqrt(variance), "norm").statistic < tolerance


@pytest.mark.equation("linear-sde-solution", tolerance=5e-4, unit="root mean square")
def test_solution_satisfies_the_integral_equation(tolerance):
    """Puts the closed form on 400 Wiener paths into x(t) − x_0 − ∫f x du − ∫g dw at 8 times; the
    root mean square of what remains must be small.
    """
    steps = 8192
    dw, t = increments(steps, 400), np.arange(steps + 1) / steps
    s = np.exp(2 * np.sin(7 * t) / 7 - 0.5 * t)  # exp ∫f
    x_0 = np.random.default_rng(1).standard_normal(400)
    inner = (diffusion(t[:-1]) / s[:-1])[:, None] * dw
    x = s[:, None] * (x_0 + np.concatenate([np.zeros((1, 400)), np.cumsum(inner, 0)]))
    integrand = drift(t)[:, None] * x
    drift_part = np.cumsum(0.5 * (integrand[1:] + integrand[:-1]), 0) / steps
    noise_part = np.cumsum(diffusion(t[:-1])[:, None] * dw, 0)
    residual = x[1:] - x_0 - drift_part - noise_part
    assert rms(x[-1] - x_0) > 0.5
    assert max(rms(residual[k]) for k in range(1023, steps, 1024)) < tolerance


@pytest.mark.equation(
    "transition-kernel", tolerance=0.0051, unit="largest gap of two distribution functions"
)
def test_transition_kernel(tolerance):
    """Simulates 200,000 particles of an SDE whose drift changes sign and compares the distribution
    of x_t given x_0 at four times with N(s x_0, s²σ²), s and σ by quadrature.
    """
    steps, x_0 = 200, 0.7
    rng, x, dt = np.random.default_rng(3), np.full(200_000, x_0), 1 / steps
    for k in range(steps):
        t = (k + 0.5) * dt
        x = x * np.exp(drift(t) * dt / 2)  # half the drift, the noise, half the drift: error Δt²
        x = (x + diffusion(t) * np.sqrt(dt) * rng.standard_normal(200_000)) * np.exp(
            drift(t) * dt / 2
        )
        if (k + 1) % 50 == 0:
            t = (k + 1) * dt
            s, sigma = scale(drift, t), level(drift, diffusion, t)
            assert kstest((x - s * x_0) / (s * sigma), "norm").statistic < tolerance


class Invented(Process):
    """A process of no paper: s = 1/(1 + t²), σ = sinh 2t."""

    def _at(self, t):
        s, ds = 1 / (1 + t**2), -2 * t / (1 + t**2) ** 2
        return Instant.of(t, torch.sinh(2 * t), s, 2 * torch.cosh(2 * t), ds)


@pytest.mark.equation("drift-diffusion-from-s-sigma", tolerance=1e-11)
def test_drift_and_diffusion_lead_back_to_s_and_sigma(tolerance):
    """Takes an invented s and σ, lets the library form f and g from them, and recovers s and σ
    from f and g by quadrature at four times.
    """
    process = Invented()
    f, g = (lambda t: float(process.f(t))), (lambda t: float(process.g(t)))
    for t in (0.1, 0.4, 0.8, 1.3):
        assert abs(scale(f, t) - 1 / (1 + t**2)) < tolerance
        assert abs(level(f, g, t) - np.sinh(2 * t)) < tolerance


def relative_error(process, f, g, times=(0.03, 0.2, 0.6, 1.0)):
    """The largest relative difference between the library's closed forms of s, σ and quadrature of
    f, g.
    """
    return max(
        max(
            abs(float(process.s(t)) / scale(f, t) - 1),
            abs(float(process.sigma(t)) / level(f, g, t) - 1),
        )
        for t in times
    )


@pytest.mark.equation("vp-s-sigma", tolerance=1e-11, unit="relative")
@pytest.mark.parametrize("beta_d, beta_min", [(19.9, 0.1), (0.0, 2.0), (7.0, 0.01)])
def test_vp(tolerance, beta_d, beta_min):
    """Integrates f = −β/2 and g²/s² = β/s² of the VP process numerically and compares with the
    closed forms at four times, for three schedules.
    """
    beta = lambda t: beta_min + beta_d * t
    assert (
        relative_error(VP(beta_d, beta_min), lambda t: -beta(t) / 2, lambda t: np.sqrt(beta(t)))
        < tolerance
    )


@pytest.mark.equation("subvp-s-sigma", tolerance=1e-11, unit="relative")
@pytest.mark.parametrize("beta_d, beta_min", [(19.9, 0.1), (0.0, 2.0), (7.0, 0.01)])
def test_sub_vp(tolerance, beta_d, beta_min):
    """Integrates f = −β/2 and g²/s² of the sub-VP process, g as Song et al. state it, and compares
    with the closed forms at four times, for three schedules.
    """
    beta, growth = lambda t: beta_min + beta_d * t, lambda t: beta_min * t + beta_d * t**2 / 2
    g = lambda t: np.sqrt(beta(t) * -np.expm1(-2 * growth(t)))
    assert relative_error(SubVP(VP(beta_d, beta_min)), lambda t: -beta(t) / 2, g) < tolerance


@pytest.mark.equation("ve-s-sigma", tolerance=1e-11, unit="relative")
def test_ve(tolerance):
    """Integrates g² of three VE processes (Song et al.'s geometric one, √t, EDM) and compares with
    the difference of σ² at the two ends.
    """
    low, high = 0.01, 50.0
    geometric = lambda t: low * (high / low) ** t
    g = lambda t: geometric(t) * np.sqrt(2 * np.log(high / low))
    for t in (0.03, 0.2, 0.6, 1.0):
        assert abs(level(lambda u: 0.0, g, t) / np.sqrt(geometric(t) ** 2 - low**2) - 1) < tolerance
    assert relative_error(VE(), lambda t: 0.0, lambda t: 1.0) < tolerance
    assert relative_error(EDM(), lambda t: 0.0, lambda t: np.sqrt(2 * t)) < tolerance


def euler_maruyama(f, g, x, dw):
    for k, dw_k in enumerate(dw):
        t = k / len(dw)
        x = x + f(x, t) / len(dw) + g(x, t) * dw_k
    return x


@pytest.mark.equation("euler-maruyama-order", tolerance=0.1, unit="in the exponents")
@pytest.mark.parametrize("noise", ["additive", "multiplicative"])
def test_orders_of_euler_maruyama(tolerance, noise):
    """Fits the exponents of the strong error (2000 paths) and of the weak error (exact moments of
    the scheme) over 32 to 256 steps: 1 and 1 with additive noise, ½ and 1 with multiplicative
    noise, where the constant must fit too.
    """
    dw, one, nu = increments(4096, 2000), np.ones(2000), 0.8
    if noise == "additive":
        f, g = lambda x, t: drift(t) * x, lambda x, t: diffusion(t)
        integral = (diffusion(midpoints(4096)) / [scale(drift, t) for t in midpoints(4096)]) @ dw
        s, sigma = scale(drift, 1), level(drift, diffusion, 1)
        exact, order, square = s * (1 + integral), 1.0, s**2 * (1 + sigma**2)
    else:
        f, g = lambda x, t: 0 * x, lambda x, t: nu * x
        exact, order, square = np.exp(nu * dw.sum(0) - nu**2 / 2), 0.5, np.exp(nu**2)
    strong = np.array(
        [rms(euler_maruyama(f, g, one, coarsen(dw, steps)) - exact) for steps in LEVELS]
    )
    weak = []
    for steps in LEVELS:
        moment = 1.0  # E x_k², by the recursion of the scheme
        for t in np.arange(steps) / steps:
            moment = (
                (moment * (1 + drift(t) / steps) ** 2 + diffusion(t) ** 2 / steps)
                if noise == "additive"
                else moment * (1 + nu**2 / steps)
            )
        weak.append(abs(moment - square))
    assert abs(slope(strong) - order) < tolerance
    assert abs(slope(weak) - 1) < tolerance
    if noise == "multiplicative":
        assert (
            np.abs(strong * np.sqrt(2 * LEVELS) / (nu**2 * np.exp(nu**2 / 2)) - 1).max()
            < 2 * tolerance
        )
