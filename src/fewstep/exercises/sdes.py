"""Exercises of chapter 02: Wiener integrals, drift and diffusion, three steppers, finding g."""

import numpy as np

from . import Exercise, Wrong

integral_variance = Exercise(
    name="integral_variance",
    arguments=lambda rng: (rng.normal(), rng.normal(), rng.uniform(0.2, 3)),
    edges=[(2.0, 0.0, 1.0), (0.0, 1.0, 2.0), (1.0, 1.0, 0.0)],
    solution=lambda a, b, t: a**2 * t + a * b * t**2 + b**2 * t**3 / 3,
    wrong=[
        Wrong(
            lambda a, b, t: a * t + b * t**2 / 2,
            "This is ∫(a + bu) du. The isometry integrates the square of the integrand: "
            "E[(∫h dw)²] = ∫h² du.",
        ),
        Wrong(
            lambda a, b, t: (a * t + b * t**2 / 2) ** 2,
            "This is (∫h du)²: the square stands outside the integral. "
            "The isometry has it inside: ∫h² du.",
        ),
        Wrong(
            lambda a, b, t: np.sqrt(a**2 * t + a * b * t**2 + b**2 * t**3 / 3),
            "This is the standard deviation; the variance is asked for.",
        ),
        Wrong(
            lambda a, b, t: a**2 * t + b**2 * t**3 / 3,
            "The mixed term of (a + bu)² = a² + 2abu + b²u² is missing.",
        ),
        Wrong(
            lambda a, b, t: (a + b * t) ** 2 * t,
            "The integrand was frozen at its value at u = t. "
            "Integrate (a + bu)² over u from 0 to t.",
        ),
    ],
)

drift_diffusion = Exercise(
    name="drift_diffusion",
    arguments=lambda rng: (
        rng.uniform(0.1, 2),
        rng.normal(),
        rng.uniform(0.1, 3),
        rng.uniform(0.1, 3),
    ),
    edges=[(1.0, 0.0, 2.0, 1.0), (0.5, -1.0, 3.0, 0.0)],
    solution=lambda s, ds, sigma, dsigma: (ds / s, s * np.sqrt(2 * dsigma * sigma)),
    wrong=[
        Wrong(
            lambda s, ds, sigma, dsigma: (ds / s, np.sqrt(2 * dsigma * sigma)),
            "g lacks the factor s: noise added at time t is seen at the scale of x_t, "
            "not of x_t/s.",
        ),
        Wrong(
            lambda s, ds, sigma, dsigma: (ds / s, s * np.sqrt(dsigma * sigma)),
            "g lacks a factor √2: the derivative of σ² is 2 σ̇ σ.",
        ),
        Wrong(
            lambda s, ds, sigma, dsigma: (ds / s, 2 * s**2 * dsigma * sigma),
            "The second entry is g²; g is asked for.",
        ),
        Wrong(
            lambda s, ds, sigma, dsigma: (ds, s * np.sqrt(2 * dsigma * sigma)),
            "f is the derivative of ln s, which is ṡ/s, not ṡ.",
        ),
        Wrong(
            lambda s, ds, sigma, dsigma: (-ds / s, s * np.sqrt(2 * dsigma * sigma)),
            "f has the wrong sign: s = exp ∫f, so f = +ṡ/s.",
        ),
        Wrong(
            lambda s, ds, sigma, dsigma: (ds / s, s * dsigma),
            "g = s σ̇ would make standard deviations add up. Variances add up: g² = s² dσ²/dt.",
        ),
    ],
)


def _probe_exact_step(rng):
    s_u, sigma_u = rng.uniform(0.2, 1.5), rng.uniform(0.1, 2)
    s_t, sigma_t = s_u * rng.uniform(0.3, 1.5), sigma_u + rng.uniform(0.1, 2)
    return rng.normal(), s_u, sigma_u, s_t, sigma_t, rng.normal()


exact_step = Exercise(
    name="exact_step",
    arguments=_probe_exact_step,
    edges=[
        (2.0, 1.0, 0.0, 0.5, 1.0, 1.0),
        (1.0, 1.0, 3.0, 1.0, 5.0, -1.0),
        (1.0, 0.5, 2.0, 0.5, 2.0, 1.0),
    ],
    solution=lambda x_u, s_u, sigma_u, s_t, sigma_t, noise: (
        s_t / s_u * x_u + s_t * np.sqrt(sigma_t**2 - sigma_u**2) * noise
    ),
    wrong=[
        Wrong(
            lambda x_u, s_u, sigma_u, s_t, sigma_t, noise: (
                s_t / s_u * x_u + s_t * (sigma_t - sigma_u) * noise
            ),
            "The standard deviations were subtracted. "
            "Variances of independent noise add, so σ_t² − σ_u² comes first and the root last.",
        ),
        Wrong(
            lambda x_u, s_u, sigma_u, s_t, sigma_t, noise: (
                s_t / s_u * x_u + s_t**2 * (sigma_t**2 - sigma_u**2) * noise
            ),
            "The noise is multiplied by its variance; it takes the standard deviation.",
        ),
        Wrong(
            lambda x_u, s_u, sigma_u, s_t, sigma_t, noise: (
                s_t * x_u + s_t * np.sqrt(sigma_t**2 - sigma_u**2) * noise
            ),
            "The mean treats x_u as if it were x_0. "
            "x_u already carries the factor s_u: divide by it.",
        ),
        Wrong(
            lambda x_u, s_u, sigma_u, s_t, sigma_t, noise: s_t / s_u * x_u + s_t * sigma_t * noise,
            "This is the noise since time 0. Part of it, up to time u, is already in x_u.",
        ),
        Wrong(
            lambda x_u, s_u, sigma_u, s_t, sigma_t, noise: (
                s_t / s_u * x_u + np.sqrt(sigma_t**2 - sigma_u**2) * noise
            ),
            "The noise lacks the factor s_t: σ measures the noise of x/s, not of x.",
        ),
        Wrong(
            lambda x_u, s_u, sigma_u, s_t, sigma_t, noise: (
                s_t / s_u * (x_u + np.sqrt(sigma_t**2 - sigma_u**2) * noise)
            ),
            "The noise has the factor s_t, not s_t/s_u: ∫(g/s) dw is already in units of x/s.",
        ),
    ],
)

euler_maruyama_step = Exercise(
    name="euler_maruyama_step",
    arguments=lambda rng: (
        rng.normal(),
        rng.normal(),
        rng.uniform(0.1, 3),
        rng.uniform(0.01, 0.5),
        rng.normal(),
    ),
    edges=[(1.0, -0.5, 1.0, 0.0, 1.0), (2.0, 0.0, 3.0, 0.25, -1.0), (2.0, -1.0, 0.0, 0.5, 1.0)],
    solution=lambda x, f, g, h, noise: x + f * x * h + g * np.sqrt(h) * noise,
    wrong=[
        Wrong(
            lambda x, f, g, h, noise: x + f * x * h + g * h * noise,
            "The noise is scaled with h. An increment of the Wiener process has variance h, "
            "so standard deviation √h.",
        ),
        Wrong(
            lambda x, f, g, h, noise: x + f * x * h + g**2 * np.sqrt(h) * noise,
            "g multiplies dw as it is; g² is the rate at which variance grows.",
        ),
        Wrong(
            lambda x, f, g, h, noise: x + f * h + g * np.sqrt(h) * noise,
            "The drift is f·x, not f: the equation is linear in x.",
        ),
        Wrong(
            lambda x, f, g, h, noise: x - f * x * h + g * np.sqrt(h) * noise,
            "The drift has the wrong sign: + f x h, whatever the sign of f.",
        ),
        Wrong(
            lambda x, f, g, h, noise: f * x * h + g * np.sqrt(h) * noise,
            "This is the change of x in the step; the new x is the old x plus it.",
        ),
    ],
)

milstein_step = Exercise(
    name="milstein_step",
    arguments=lambda rng: (
        rng.normal(),
        rng.normal(),
        rng.uniform(0.5, 3),
        rng.normal(),
        rng.uniform(0.01, 0.5),
        rng.normal(),
    ),
    edges=[(1.0, -0.5, 2.0, 0.0, 0.25, 0.5), (1.0, 0.0, 1.0, 1.0, 0.25, 0.0)],
    solution=lambda x, drift, g, dg, h, dw: x + drift * h + g * dw + g * dg * (dw**2 - h) / 2,
    wrong=[
        Wrong(
            lambda x, drift, g, dg, h, dw: x + drift * h + g * dw,
            "This is Euler–Maruyama. The term with g g′ is missing.",
        ),
        Wrong(
            lambda x, drift, g, dg, h, dw: x + drift * h + g * dw + g * dg * (dw**2 - h),
            "The additional term lacks its factor ½.",
        ),
        Wrong(
            lambda x, drift, g, dg, h, dw: x + drift * h + g * dw + g * dg * dw**2 / 2,
            "The additional term has mean ½ g g′ h. Subtract h from (Δw)², which makes it 0.",
        ),
        Wrong(
            lambda x, drift, g, dg, h, dw: x + drift * h + g * dw + dg * (dw**2 - h) / 2,
            "The additional term has g g′ in front, not g′ alone: "
            "within the step x moves by about g Δw, and g by g′ times that.",
        ),
        Wrong(
            lambda x, drift, g, dg, h, dw: (
                x + drift * h + g * np.sqrt(h) * dw + g * dg * h * (dw**2 - 1) / 2
            ),
            "dw is the increment itself, with variance h already: no further √h.",
        ),
    ],
)


def _squares(x, windows):
    return (np.diff(x) ** 2).reshape(windows, -1)


estimate_g_squared = Exercise(
    name="estimate_g_squared",
    arguments=lambda rng: (np.cumsum(rng.normal(size=25)), rng.uniform(0.01, 0.5), 4),
    edges=[(np.array([0.0, 1.0, 0.0, 2.0, 4.0]), 0.5, 2), (np.array([0.0, 1.0, 3.0]), 0.1, 1)],
    solution=lambda x, dt, windows: _squares(x, windows).mean(1) / dt,
    wrong=[
        Wrong(
            lambda x, dt, windows: _squares(x, windows).sum(1) / dt,
            "The squares of a window add up to about g² times its duration. "
            "Divide by the duration, not by one step.",
        ),
        Wrong(
            lambda x, dt, windows: np.sqrt(_squares(x, windows).mean(1) / dt),
            "This is g; g² is asked for.",
        ),
        Wrong(
            lambda x, dt, windows: _squares(x, windows).mean(1) / dt**2,
            "(Δx)² is of size g² Δt, not (g Δt)².",
        ),
        Wrong(
            lambda x, dt, windows: _squares(x, windows).mean(1),
            "This is the mean of (Δx)², which is about g² Δt: divide by dt.",
        ),
        Wrong(
            lambda x, dt, windows: np.diff(x).reshape(windows, -1).var(1) / dt,
            "The mean increment was subtracted. No harm with many steps, but "
            "quadratic variation is the sum of (Δx)² as it stands.",
        ),
    ],
)
