"""Exercises of chapter 02: Wiener integrals, drift and diffusion, Euler–Maruyama."""

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


def _probe_transition(rng):
    s_u, sigma_u = rng.uniform(0.2, 1.5), rng.uniform(0.1, 2)
    return rng.normal(), s_u, sigma_u, s_u * rng.uniform(0.3, 1.5), sigma_u + rng.uniform(0.1, 2)


transition = Exercise(
    name="transition",
    arguments=_probe_transition,
    edges=[(2.0, 1.0, 0.0, 0.5, 1.0), (1.0, 1.0, 3.0, 1.0, 5.0), (1.0, 0.5, 2.0, 0.5, 2.0)],
    solution=lambda x_u, s_u, sigma_u, s_t, sigma_t: (
        s_t / s_u * x_u,
        s_t * np.sqrt(sigma_t**2 - sigma_u**2),
    ),
    wrong=[
        Wrong(
            lambda x_u, s_u, sigma_u, s_t, sigma_t: (s_t / s_u * x_u, s_t * (sigma_t - sigma_u)),
            "The standard deviations were subtracted. "
            "Variances of independent noise add, so σ_t² − σ_u² comes first and the root last.",
        ),
        Wrong(
            lambda x_u, s_u, sigma_u, s_t, sigma_t: (
                s_t / s_u * x_u,
                s_t**2 * (sigma_t**2 - sigma_u**2),
            ),
            "The second entry is the variance; the standard deviation is asked for.",
        ),
        Wrong(
            lambda x_u, s_u, sigma_u, s_t, sigma_t: (
                s_t * x_u,
                s_t * np.sqrt(sigma_t**2 - sigma_u**2),
            ),
            "The mean treats x_u as if it were x_0. "
            "x_u already carries the factor s_u: divide by it.",
        ),
        Wrong(
            lambda x_u, s_u, sigma_u, s_t, sigma_t: (s_t / s_u * x_u, s_t * sigma_t),
            "This is the noise since time 0. Part of it, up to time u, is already in x_u.",
        ),
        Wrong(
            lambda x_u, s_u, sigma_u, s_t, sigma_t: (
                s_t / s_u * x_u,
                np.sqrt(sigma_t**2 - sigma_u**2),
            ),
            "The noise lacks the factor s_t: σ measures the noise of x/s, not of x.",
        ),
        Wrong(
            lambda x_u, s_u, sigma_u, s_t, sigma_t: (
                s_t / s_u * x_u,
                s_t / s_u * np.sqrt(sigma_t**2 - sigma_u**2),
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
