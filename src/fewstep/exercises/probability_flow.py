"""Exercises of chapter 03: the ODE's velocity, the free noise, the likelihood."""

import numpy as np

from . import Exercise, Wrong


def _state(rng):
    """Five states with a score each, and f, g of one time."""
    return rng.normal(size=5), rng.normal(size=5), -rng.uniform(0.2, 3), rng.uniform(0.3, 3)


ode_velocity = Exercise(
    name="ode_velocity",
    arguments=_state,
    edges=[
        (np.array([1.0, 2.0]), np.array([3.0, -1.0]), -0.5, 0.0),
        (np.array([1.0]), np.array([1.0]), 0.0, 2.0),
    ],
    solution=lambda x, score, f, g: f * x - 0.5 * g**2 * score,
    wrong=[
        Wrong(
            lambda x, score, f, g: f * x - g**2 * score,
            "A factor ½ is missing. With g² in full this is the drift of the reverse SDE, "
            "whose noise undoes the other half.",
        ),
        Wrong(
            lambda x, score, f, g: f * x + 0.5 * g**2 * score,
            "The sign of the score term: noise moves density from high to low, "
            "so the velocity points down the gradient of log p.",
        ),
        Wrong(
            lambda x, score, f, g: f * x - 0.5 * g * score,
            "The Fokker–Planck equation holds the variance rate g², "
            "not the standard deviation rate g.",
        ),
        Wrong(
            lambda x, score, f, g: f - 0.5 * g**2 * score,
            "The drift of the linear SDE is f(t) x, not f(t).",
        ),
    ],
)

scaled_score = Exercise(
    name="scaled_score",
    arguments=lambda rng: (
        rng.normal(size=5),
        rng.uniform(0.2, 0.9),
        rng.uniform(0.3, 3),
        rng.uniform(0.1, 2),
    ),
    edges=[(np.array([2.0, -1.0]), 1.0, 0.0, 0.5), (np.array([1.0]), 0.5, 3.0, 0.0)],
    solution=lambda x, s, sigma, V: -x / (s**2 * (V + sigma**2)),
    wrong=[
        Wrong(
            lambda x, s, sigma, V: -x / (V + sigma**2),
            "This ignores the scale: the variance of x_t = s (x_0 + σ ε) is s² (V + σ²).",
        ),
        Wrong(
            lambda x, s, sigma, V: -x / (s * (V + sigma**2)),
            "This is the score of x/s, evaluated at x/s. "
            "The gradient with respect to x has one more factor 1/s, by the chain rule.",
        ),
        Wrong(
            lambda x, s, sigma, V: -x / (s * np.sqrt(V + sigma**2)),
            "The score of a Gaussian divides by the variance, not by the standard deviation.",
        ),
        Wrong(
            lambda x, s, sigma, V: x / (s**2 * (V + sigma**2)),
            "The sign: log p falls away from the mean, so the score points back to it.",
        ),
        Wrong(
            lambda x, s, sigma, V: -x / (s**2 * (V + sigma)), "Variances add: V + σ², not V + σ."
        ),
    ],
)

free_noise = Exercise(
    name="free_noise",
    arguments=lambda rng: (*_state(rng), rng.uniform(0.2, 2.5)),
    edges=[
        (np.array([1.0, -2.0]), np.array([0.5, 1.0]), -1.0, 2.0, 0.0),
        (np.array([1.0, -2.0]), np.array([0.5, 1.0]), -1.0, 2.0, 1.0),
    ],
    solution=lambda x, score, f, g, kappa: (
        f * x - 0.5 * (1 + kappa) * g**2 * score,
        np.sqrt(kappa) * g,
    ),
    wrong=[
        Wrong(
            lambda x, score, f, g, kappa: (
                f * x - 0.5 * (1 - kappa) * g**2 * score,
                np.sqrt(kappa) * g,
            ),
            "This is the forward member of the family. "
            "Run backwards in time, the score has to pull against the added noise: 1 + κ.",
        ),
        Wrong(
            lambda x, score, f, g, kappa: (f * x - 0.5 * (1 + kappa) * g**2 * score, kappa * g),
            "κ is a ratio of variances, c² = κ g². The standard deviation rate is √κ g.",
        ),
        Wrong(
            lambda x, score, f, g, kappa: (f * x - (1 + kappa) * g**2 * score, np.sqrt(kappa) * g),
            "A factor ½ is missing: with κ = 0 the drift must be the velocity of the ODE, "
            "f x − ½ g² ∇log p.",
        ),
        Wrong(
            lambda x, score, f, g, kappa: (f * x - g**2 * score, np.sqrt(kappa) * g),
            "The drift has to change with κ. You kept the one of κ = 1.",
        ),
        Wrong(
            lambda x, score, f, g, kappa: (f * x - 0.5 * g**2 * score, np.sqrt(kappa) * g),
            "Noise was added and nothing balances it: the density would spread. "
            "The drift has to change with κ.",
        ),
    ],
)

path_likelihood = Exercise(
    name="path_likelihood",
    arguments=lambda rng: (rng.normal(), rng.normal(size=20), rng.uniform(0.01, 0.1)),
    edges=[(-1.5, np.array([2.0]), 0.5), (-1.5, np.zeros(4), 0.1)],
    solution=lambda log_p_end, divergence, h: log_p_end + h * np.sum(divergence),
    wrong=[
        Wrong(
            lambda log_p_end, divergence, h: log_p_end - h * np.sum(divergence),
            "The sign: along a solution log p falls at the rate div u, "
            "so the start has log p of the end plus the integral.",
        ),
        Wrong(
            lambda log_p_end, divergence, h: log_p_end + np.sum(divergence),
            "An integral over time: each divergence counts h.",
        ),
        Wrong(
            lambda log_p_end, divergence, h: log_p_end + np.mean(divergence),
            "An integral, not an average: the sum of the divergences times h.",
        ),
        Wrong(
            lambda log_p_end, divergence, h: np.exp(log_p_end) + h * np.sum(divergence),
            "Stay with the logarithm: log p is asked for, not p.",
        ),
        Wrong(
            lambda log_p_end, divergence, h: h * np.sum(divergence),
            "This is only the change. Add log p at the end of the path.",
        ),
    ],
)
