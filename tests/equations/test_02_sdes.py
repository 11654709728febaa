"""Chapter 02: exact chains, Wiener integrals, linear SDEs and their transition kernels, small
steps that are not exact.

Noise comes as steps of ±√Δt wherever normal increments would make the outcome normal whatever the
equation says. The gap of 0.0051 below (Kolmogorov's statistic of 200,000 draws) is passed by
chance once in 16,000: 4 standard deviations. For 100,000 draws the same is 0.0072.
"""

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.stats import kstest

from fewstep.processes import EDM, VE, VP, Instant, Process, SubVP

LEVELS = np.array([32, 64, 128, 256])  # numbers of steps T at which orders are measured


def drift(t):
    return 2 * np.cos(7 * t) - 0.5


def diffusion(t):
    return 1 + 0.8 * np.sin(11 * t)


def increments(steps, paths, seed=0):
    """Independent N(0, 1/steps) increments of Wiener paths on [0, 1]: (steps, paths)."""
    return np.random.default_rng(seed).standard_normal((steps, paths)) / np.sqrt(steps)


def coins(steps, paths, seed=0):
    """The same with increments that are ±1/√steps, by the toss of a coin."""
    signs = np.random.default_rng(seed).integers(0, 2, (steps, paths), dtype=np.int8)
    return (2 * signs - 1) / np.sqrt(steps)


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


def euler_maruyama_step(f, g, x, t, dt, dw):
    return x + f(x, t) * dt + g(x, t) * dw


def euler_maruyama(f, g, x, dw):
    for k, dw_k in enumerate(dw):
        x = euler_maruyama_step(f, g, x, k / len(dw), 1 / len(dw), dw_k)
    return x


@pytest.mark.equation(
    "exact-chain",
    tolerance=2e-4,
    unit="of the characteristic function",
    wrong=r"$\beta_k = B(t_k) - B(t_{k-1})$",
)
def test_chain_of_three_long_steps(tolerance, wrong):
    """Cuts each of three long steps into 10,000 of Euler and Maruyama's with noise ±√Δt, whose
    characteristic function is a product of cosines, and compares it with the chain's.
    """
    beta, times, n = (lambda t: 0.3 + 4 * t), (0, 0.35, 0.5, 1), 10_000
    for u, t in zip(times, times[1:]):
        dt = (t - u) / n
        now = u + dt * np.arange(n)
        factors = 1 - 0.5 * beta(now) * dt
        later = np.append(np.cumprod(factors[::-1])[-2::-1], 1)  # of all steps after this one
        weights = later * np.sqrt(beta(now) * dt)
        spent = quad(beta, u, t)[0]
        beta_k = spent if wrong else 1 - np.exp(-spent)
        for y in (0.5, 1.0, 2.0):  # E exp(i y x_k), given x_{k−1} = 0.8
            x = 0.8
            walk = np.exp(1j * y * x * np.prod(factors)) * np.prod(np.cos(y * weights))
            step = np.exp(1j * y * x * np.sqrt(1 - beta_k + 0j) - y**2 * beta_k / 2)
            assert abs(walk - step) < tolerance


@pytest.mark.equation(
    "chain-to-sde",
    tolerance=0.1,
    unit="in the exponent",
    wrong=r"$dx = -\beta(t)\,x\,dt + \sqrt{\beta(t)}\,dw$",
)
def test_chain_tends_to_the_sde_with_order_one(tolerance, wrong):
    """Drives VP chains of 32 to 256 steps and a simulation of the SDE in 4096 steps (no closed
    form) by the same noise; the exponent of the path error must be 1.
    """
    beta = lambda t: 0.3 + 4 * t
    dw, half = increments(4096, 1000), 1.0 if wrong else 0.5
    x = np.full(1000, 1.5)
    for k, dw_k in enumerate(dw):  # Heun for the drift, the midpoint for the noise
        t, dt = k / 4096, 1 / 4096
        noise = np.sqrt(beta(t + dt / 2)) * dw_k
        guess = x - half * beta(t) * x * dt + noise
        x = x - half * (beta(t) * x + beta(t + dt) * guess) / 2 * dt + noise
    errors = []
    for steps in LEVELS:
        y = np.full(1000, 1.5)
        for k, dw_k in enumerate(coarsen(dw, steps)):
            beta_k = beta(k / steps) / steps
            y = np.sqrt(1 - beta_k) * y + np.sqrt(beta_k) * dw_k * np.sqrt(steps)
        errors.append(rms(y - x))
    assert abs(slope(errors) - 1) < tolerance
    assert errors[-1] < 0.03


@pytest.mark.equation(
    "ito-isometry",
    tolerance=5,
    unit="standard errors",
    wrong=r"$\mathbb E\bigl[\int h_1\,dw\int h_2\,dw\bigr] = \int h_1\,du \int h_2\,du$",
)
def test_isometry(tolerance, wrong):
    """Draws 200,000 pairs of Wiener integrals of two oscillating functions as Riemann sums over
    noise ±√Δt and compares their mean product with the integral of the product of the functions.
    """
    h, k = lambda t: np.cos(9 * t), lambda t: np.where(t < 0.5, 1.0, -0.5) + t
    steps = 128
    weights = np.stack([h(midpoints(steps)), k(midpoints(steps))])
    products = [np.prod(weights @ coins(steps, 20_000, seed), axis=0) for seed in range(10)]
    expected = quad(lambda t: h(t) * k(t), 0, 1, points=[0.5])[0]
    if wrong:
        expected = quad(h, 0, 1)[0] * quad(k, 0, 1, points=[0.5])[0]
    error = np.std(products) / 200_000**0.5
    assert abs(np.mean(products) - expected) < tolerance * error
    assert abs(expected) > 20 * error


@pytest.mark.equation(
    "wiener-integral-gaussian",
    tolerance=0.0051,
    unit="largest gap of two distribution functions",
    wrong=r"$\int_0^t h\,dw \sim \mathcal N\bigl(0, (\int_0^t h^2\,du)^2\bigr)$",
)
def test_wiener_integral_is_gaussian(tolerance, wrong):
    """Draws 200,000 Wiener integrals of a function that oscillates and jumps, as Riemann sums over
    noise ±√Δt, and compares their distribution with the normal one.
    """
    h = lambda t: (1 + 2 * t) * np.cos(25 * t) * np.sign(0.6 - t)
    steps = 512
    integrals = np.concatenate([h(midpoints(steps)) @ coins(steps, 20_000, j) for j in range(10)])
    variance = quad(lambda t: h(t) ** 2, 0, 1, points=[0.6], limit=200)[0]
    std = variance if wrong else np.sqrt(variance)
    assert kstest(integrals / std, "norm").statistic < tolerance


@pytest.mark.equation(
    "linear-sde-solution",
    tolerance=5e-4,
    unit="root mean square",
    wrong=r"$x(t) = s(t)\,\bigl(x_0 + \int_0^t g\,dw\bigr)$",
)
def test_solution_satisfies_the_integral_equation(tolerance, wrong):
    """Puts the closed form on 400 Wiener paths into x(t) − x_0 − ∫f x du − ∫g dw at 8 times; the
    root mean square of what remains must be small.
    """
    steps = 8192
    dw, t = increments(steps, 400), np.arange(steps + 1) / steps
    s = np.exp(2 * np.sin(7 * t) / 7 - 0.5 * t)  # exp ∫f
    x_0 = np.random.default_rng(1).standard_normal(400)
    inner = (diffusion(t[:-1]) / (1 if wrong else s[:-1]))[:, None] * dw
    x = s[:, None] * (x_0 + np.concatenate([np.zeros((1, 400)), np.cumsum(inner, 0)]))
    integrand = drift(t)[:, None] * x
    drift_part = np.cumsum(0.5 * (integrand[1:] + integrand[:-1]), 0) / steps
    noise_part = np.cumsum(diffusion(t[:-1])[:, None] * dw, 0)
    residual = x[1:] - x_0 - drift_part - noise_part
    assert max(rms(residual[k]) for k in range(1023, steps, 1024)) < tolerance
    assert rms(x[-1] - x_0) > 0.5


@pytest.mark.equation(
    "transition-kernel",
    tolerance=0.0072,
    unit="largest gap of two distribution functions",
    wrong=r"$\sigma(t)^2 = \int_0^t g(u)^2\,du$",
)
def test_transition_kernel(tolerance, wrong):
    """Simulates 100,000 particles of an SDE whose drift changes sign, with noise ±√Δt, and compares
    the distribution of x_t given x_0 at four times with N(s x_0, s²σ²), s and σ by quadrature.
    """
    steps, x_0 = 400, 0.7
    x, dt = np.full(100_000, x_0), 1 / steps
    for k, signs in enumerate(coins(steps, 100_000, seed=3)):
        t = (k + 0.5) * dt  # the midpoint rule, of weak order 2 where the noise is additive
        noise = diffusion(t) * signs
        x = x + drift(t) * (x + drift(t) * x * dt / 2 + noise / 2) * dt + noise
        if (k + 1) % 100 == 0:
            t = (k + 1) * dt
            s, inner = scale(drift, t), (lambda u: 0.0) if wrong else drift
            sigma = level(inner, diffusion, t)
            assert kstest((x - s * x_0) / (s * sigma), "norm").statistic < tolerance


class Invented(Process):
    """A process of no paper: s = 1/(1 + t²), σ = sinh 2t."""

    def _at(self, t):
        s, ds = 1 / (1 + t**2), -2 * t / (1 + t**2) ** 2
        return Instant.of(t, torch.sinh(2 * t), s, 2 * torch.cosh(2 * t), ds)


@pytest.mark.equation(
    "drift-diffusion-from-s-sigma", tolerance=1e-11, wrong=r"$g(t) = \sqrt{2\,\dot\sigma\,\sigma}$"
)
def test_drift_and_diffusion_lead_back_to_s_and_sigma(tolerance, wrong):
    """Takes an invented s and σ, lets the library form f and g from them, and recovers s and σ
    from f and g by quadrature at four times.
    """
    process = Invented()
    f = lambda t: float(process.f(t))
    g = lambda t: float(process.g(t) / (process.s(t) if wrong else 1))
    for t in (0.1, 0.4, 0.8, 1.3):
        assert abs(scale(f, t) - 1 / (1 + t**2)) < tolerance
        assert abs(level(f, g, t) - np.sinh(2 * t)) < tolerance


def relative_error(s, sigma, f, g, times=(0.03, 0.2, 0.6, 1.0)):
    """The largest relative difference between closed forms of s, σ and quadrature of f, g."""
    return max(
        max(abs(float(s(t)) / scale(f, t) - 1), abs(float(sigma(t)) / level(f, g, t) - 1))
        for t in times
    )


SCHEDULES = pytest.mark.parametrize("beta_d, beta_min", [(19.9, 0.1), (0.0, 2.0), (7.0, 0.01)])


@pytest.mark.equation(
    "vp-s-sigma", tolerance=1e-11, unit="relative", wrong=r"$\sigma(t)^2 = 1 - e^{-B(t)}$"
)
@SCHEDULES
def test_vp(tolerance, wrong, beta_d, beta_min):
    """Integrates f = −β/2 and g²/s² = β/s² of the VP process numerically and compares with the
    library's closed forms at four times, for three schedules.
    """
    beta, p = lambda t: beta_min + beta_d * t, VP(beta_d, beta_min)
    sigma = (lambda t: p.s(t) * p.sigma(t)) if wrong else p.sigma
    error = relative_error(p.s, sigma, lambda t: -beta(t) / 2, lambda t: np.sqrt(beta(t)))
    assert error < tolerance


@pytest.mark.equation(
    "subvp-s-sigma", tolerance=1e-11, unit="relative", wrong=r"$\sigma(t) = \sinh\tfrac{B(t)}{2}$"
)
@SCHEDULES
def test_sub_vp(tolerance, wrong, beta_d, beta_min):
    """Integrates f = −β/2 and g²/s² of the sub-VP process, g as Song et al. state it, and compares
    with the library's closed forms at four times, for three schedules.
    """
    beta, spent = lambda t: beta_min + beta_d * t, lambda t: beta_min * t + beta_d * t**2 / 2
    g = lambda t: np.sqrt(beta(t) * -np.expm1(-2 * spent(t)))
    p = SubVP(VP(beta_d, beta_min))
    sigma = (lambda t: p.sigma(t) / 2) if wrong else p.sigma
    assert relative_error(p.s, sigma, lambda t: -beta(t) / 2, g) < tolerance


@pytest.mark.equation(
    "ve-s-sigma", tolerance=1e-11, unit="relative", wrong=r"$\sigma(t) = \sigma_{\mathrm{VE}}(t)$"
)
def test_ve(tolerance, wrong):
    """Integrates g² of three VE processes (Song et al.'s geometric one, √t, EDM) and compares with
    the difference of σ² at the two ends.
    """
    low, high, nothing = 0.01, 50.0, lambda t: 0.0
    geometric = lambda t: low * (high / low) ** t
    g = lambda t: geometric(t) * np.sqrt(2 * np.log(high / low))
    sigma = geometric if wrong else lambda t: np.sqrt(geometric(t) ** 2 - low**2)
    assert relative_error(lambda t: 1.0, sigma, nothing, g) < tolerance
    assert relative_error(VE().s, VE().sigma, nothing, lambda t: 1.0) < tolerance
    assert relative_error(EDM().s, EDM().sigma, nothing, lambda t: np.sqrt(2 * t)) < tolerance


@pytest.mark.equation(
    "one-wiener-path",
    tolerance=5e-3,
    unit="relative",
    wrong=r"$x(t) = s(t)\,\bigl(x_0 + W(\sigma(t))\bigr)$",
)
@pytest.mark.parametrize("process", [VP(3.0, 0.5), SubVP(VP(3.0, 0.5)), VE(), EDM()])
def test_covariances_are_those_of_a_wiener_process(tolerance, wrong, process):
    """Sends the impulse of each of 2000 increments through Euler and Maruyama's scheme, forms the
    covariances of x/s at four times, and compares with those of a Wiener process at the times σ².
    """
    steps = 2000
    impulses, x, seen = np.eye(steps) / np.sqrt(steps), np.zeros(steps), []
    for k, impulse in enumerate(impulses):
        t = (k + 0.5) / steps
        x = x + float(process.f(t)) * x / steps + float(process.g(t)) * impulse
        if (k + 1) % 500 == 0:
            seen.append(x / float(process.s((k + 1) / steps)))
    covariance = np.array(seen) @ np.array(seen).T
    clock = process.sigma(np.array([0.25, 0.5, 0.75, 1])).numpy() ** (1 if wrong else 2)
    assert np.abs(covariance / np.minimum.outer(clock, clock) - 1).max() < tolerance


def mean_square(f, g, steps):
    """E x_T² of Euler and Maruyama's scheme from x_0 = 1, to rounding: backwards from ψ(x) = x².

    Each step maps quadratic functions to quadratic ones, and the mean over Δw = ±√Δt is that over
    normal increments, as both have the same mean and variance.
    """
    dt, nodes, psi = 1 / steps, np.array([-1.0, 0.0, 1.0]), np.array([1.0, 0.0, 0.0])
    for k in reversed(range(steps)):
        ends = [euler_maruyama_step(f, g, nodes, k / steps, dt, sign * dt**0.5) for sign in (-1, 1)]
        psi = np.polyfit(nodes, np.polyval(psi, ends).mean(0), 2)
    return np.polyval(psi, 1.0)


@pytest.mark.equation(
    "euler-maruyama-order",
    tolerance=0.1,
    unit="in the exponents",
    wrong=r"$\lVert x_T - x(1) \rVert_2 = C\,\Delta t^{1/2}$ for additive noise",
)
def test_orders_with_additive_noise(tolerance, wrong):
    """Fits the exponents of the strong error (2000 paths) and of the weak error for x² (the scheme
    on functions) over 32 to 256 steps: 1 and 1.
    """
    f, g = lambda x, t: drift(t) * x, lambda x, t: diffusion(t)
    dw, one = increments(4096, 2000), np.ones(2000)
    integral = (diffusion(midpoints(4096)) / [scale(drift, t) for t in midpoints(4096)]) @ dw
    s, sigma = scale(drift, 1), level(drift, diffusion, 1)
    exact = s * (1 + integral)
    strong = [rms(euler_maruyama(f, g, one, coarsen(dw, T)) - exact) for T in LEVELS]
    weak = [abs(mean_square(f, g, T) - s**2 * (1 + sigma**2)) for T in LEVELS]
    assert abs(slope(strong) - (0.5 if wrong else 1)) < tolerance
    assert abs(slope(weak) - 1) < tolerance


@pytest.mark.equation(
    "euler-maruyama-order",
    tolerance=0.05,
    unit="relative, and in the exponent",
    wrong=r"$\lVert x_T - x(1) \rVert_2 \approx \nu^2 e^{\nu^2/2}\,\Delta t^{1/2}$",
)
def test_orders_with_multiplicative_noise(tolerance, wrong):
    """Measures the strong error of dx = νx dw on 40,000 paths of 64 and 256 steps against the
    leading term, and fits the exponent of the weak error for x² (the scheme on functions): 1.
    """
    nu, one = 0.6, np.ones(40_000)
    f, g = lambda x, t: 0 * x, lambda x, t: nu * x
    dw = increments(256, 40_000)
    exact = np.exp(nu * dw.sum(0) - nu**2 / 2)
    for T in (64, 256):
        strong = rms(euler_maruyama(f, g, one, coarsen(dw, T)) - exact)
        leading = nu**2 * np.exp(nu**2 / 2) * np.sqrt(1 / T if wrong else 1 / (2 * T))
        assert abs(strong / leading - 1) < tolerance
    weak = [abs(mean_square(f, g, T) - np.exp(nu**2)) for T in LEVELS]
    assert abs(slope(weak) - 1) < tolerance
