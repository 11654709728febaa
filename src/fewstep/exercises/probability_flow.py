"""Exercises of chapter 03: the ODE's velocity, a sampler with any amount of noise, the likelihood,
Hutchinson's estimate of a divergence, a factor of the score found from samples.
"""

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

kappa_step = Exercise(
    name="kappa_step",
    arguments=lambda rng: (
        *_state(rng),
        rng.uniform(0.2, 2.5),
        rng.uniform(0.01, 0.2),
        rng.normal(size=5),
    ),
    edges=[
        (np.array([1.0, -2.0]), np.array([0.5, 1.0]), -1.0, 2.0, 0.0, 0.1, np.ones(2)),
        (np.array([1.0, -2.0]), np.array([0.5, 1.0]), -1.0, 2.0, 1.0, 0.1, np.ones(2)),
    ],
    solution=lambda x, score, f, g, kappa, h, z: (
        x - h * (f * x - 0.5 * (1 + kappa) * g**2 * score) + np.sqrt(kappa * h) * g * z
    ),
    wrong=[
        Wrong(
            lambda x, score, f, g, kappa, h, z: (
                x - h * (f * x - 0.5 * (1 - kappa) * g**2 * score) + np.sqrt(kappa * h) * g * z
            ),
            "This is the drift of the forward member of the family. "
            "Run backwards in time, the score has to pull against the added noise: 1 + κ.",
        ),
        Wrong(
            lambda x, score, f, g, kappa, h, z: (
                x + h * (f * x - 0.5 * (1 + kappa) * g**2 * score) + np.sqrt(kappa * h) * g * z
            ),
            "Time runs down: the drift of the equation counts with dt = −h.",
        ),
        Wrong(
            lambda x, score, f, g, kappa, h, z: (
                x - h * (f * x - 0.5 * (1 + kappa) * g**2 * score) + np.sqrt(kappa) * h * g * z
            ),
            "Noise over a time h has the variance c² h: its standard deviation grows with √h.",
        ),
        Wrong(
            lambda x, score, f, g, kappa, h, z: (
                x - h * (f * x - 0.5 * (1 + kappa) * g**2 * score) + kappa * np.sqrt(h) * g * z
            ),
            "κ is a ratio of variances, c² = κ g². The noise's standard deviation has √κ.",
        ),
        Wrong(
            lambda x, score, f, g, kappa, h, z: (
                x - h * (f * x - (1 + kappa) * g**2 * score) + np.sqrt(kappa * h) * g * z
            ),
            "A factor ½ is missing: with κ = 0 the drift must be the velocity of the ODE, "
            "f x − ½ g² ∇log p.",
        ),
        Wrong(
            lambda x, score, f, g, kappa, h, z: (
                x - h * (f * x - g**2 * score) + np.sqrt(kappa * h) * g * z
            ),
            "The drift has to change with κ. You kept the one of κ = 1.",
        ),
        Wrong(
            lambda x, score, f, g, kappa, h, z: (
                x - h * (f * x - 0.5 * g**2 * score) + np.sqrt(kappa * h) * g * z
            ),
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


def _probes(rng):
    """Six probes z of variance 1, and what a Jacobian makes of them."""
    z = rng.normal(size=(6, 3))
    return z, z @ rng.normal(size=(3, 3)).T


hutchinson = Exercise(
    name="hutchinson",
    arguments=_probes,
    edges=[
        (np.ones((1, 2)), np.array([[3.0, 4.0]])),
        (np.array([[1.0], [-1.0]]), np.array([[2.0], [-2.0]])),
    ],
    solution=lambda z, Jz: (z * Jz).sum(-1).mean(0),
    wrong=[
        Wrong(
            lambda z, Jz: (z * Jz).mean(),
            "Averaged over coordinates too. A trace is a sum over them; "
            "the mean is taken over the probes only.",
        ),
        Wrong(
            lambda z, Jz: (z * Jz).sum(),
            "Summed over the probes too. Each of them is an estimate: take their mean.",
        ),
        Wrong(
            lambda z, Jz: Jz.sum(-1).mean(0),
            "This adds up J z alone. Multiply by z first: the products with the other "
            "coordinates then average out.",
        ),
        Wrong(
            lambda z, Jz: ((z * Jz).sum(-1) / (z**2).sum(-1)).mean(0),
            "Divided by |z|². With 𝔼 zzᵀ = I the mean of zᵀ J z is the trace as it stands.",
        ),
    ],
)


def _samples(rng):
    """Samples in the plane and a score at each."""
    x = rng.normal(size=(8, 2))
    return x, -rng.uniform(0.3, 2) * x + 0.1 * rng.normal(size=(8, 2))


score_factor = Exercise(
    name="score_factor",
    arguments=_samples,
    edges=[
        (np.array([[1.0], [-1.0]]), np.array([[-1.0], [1.0]])),
        (np.array([[2.0, 0.0], [0.0, 1.0]]), np.array([[-1.0, 0.0], [1.0, -2.0]])),
    ],
    solution=lambda x, score: -(x * score).sum(-1).mean() / x.shape[-1],
    wrong=[
        Wrong(
            lambda x, score: (x * score).sum(-1).mean() / x.shape[-1],
            "The sign: 𝔼[x · ∇log p] = −d, and the factor of a right score is to be +1.",
        ),
        Wrong(
            lambda x, score: -(x * score).sum(-1).mean(),
            "Divide by the dimension d: the right score gives −d, one for each coordinate.",
        ),
        Wrong(
            lambda x, score: -(x * score).sum() / x.shape[-1],
            "Average over the samples; this adds them up.",
        ),
        Wrong(
            lambda x, score: -(x * score).sum() / (x**2).sum(),
            "This is the slope of a straight line through the scores. It is 1 only for a "
            "Gaussian of variance 1; the identity on x · ∇log p holds for every density.",
        ),
    ],
)
