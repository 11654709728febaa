"""Exercises of chapter 01: noise levels, steps of a chain, the distance from noise, schedules made
to order.
"""

from math import log, sqrt

import numpy as np

from . import Exercise, Wrong

two_in_one = Exercise(
    name="two_in_one",
    arguments=lambda rng: tuple(rng.uniform(0.01, 0.6, 2)),
    edges=[(0.1, 0.1), (0.5, 0.5)],
    solution=lambda beta_1, beta_2: 1 - (1 - beta_1) * (1 - beta_2),
    wrong=[
        Wrong(
            lambda beta_1, beta_2: beta_1 + beta_2,
            "The variances of the two noises add, "
            "but the second step has shrunk the first noise by then.",
        ),
        Wrong(
            lambda beta_1, beta_2: (1 - beta_1) * (1 - beta_2),
            "That is the share of the variance that is kept, ᾱ. "
            "Asked is the share that the noise has.",
        ),
        Wrong(
            lambda beta_1, beta_2: sqrt(1 - (1 - beta_1) * (1 - beta_2)),
            "That is the standard deviation of the noise. β is its variance.",
        ),
        Wrong(
            lambda beta_1, beta_2: 1 - sqrt((1 - beta_1) * (1 - beta_2)),
            "√(1 − β) multiplies x in each step. "
            "So 1 − β, and not its root, is the product of the two.",
        ),
    ],
)

alpha_bar_at = Exercise(
    name="alpha_bar_at",
    arguments=lambda rng: (float(rng.uniform(0.05, 8)),),
    edges=[(0.0,), (1.0,), (80.0,)],
    solution=lambda sigma: 1 / (1 + sigma**2),
    wrong=[
        Wrong(
            lambda sigma: 1 / (1 + sigma),
            "SNR = 1/σ² is a ratio of variances: σ must enter squared.",
        ),
        Wrong(
            lambda sigma: sigma**2 / (1 + sigma**2),
            "That is 1 − ᾱ, the share of the noise. At σ = 0 nothing is noise and ᾱ = 1.",
        ),
        Wrong(
            lambda sigma: 1 / sqrt(1 + sigma**2),
            "That is √ᾱ, the number that multiplies x_0. ᾱ is its square.",
        ),
        Wrong(
            lambda sigma: 1 / sigma**2,
            "That is the SNR, signal against noise. ᾱ is signal against signal and noise together.",
        ),
    ],
)

ve_step = Exercise(
    name="ve_step",
    arguments=lambda rng: (float(low := rng.uniform(0, 3)), float(low + rng.uniform(0.1, 3))),
    edges=[(0.0, 1.0), (3.0, 5.0)],
    solution=lambda sigma_before, sigma: sqrt(sigma**2 - sigma_before**2),
    wrong=[
        Wrong(
            lambda sigma_before, sigma: sigma - sigma_before,
            "Standard deviations do not add: a step of 2 after one of 3 does not make 5. "
            "Variances do.",
        ),
        Wrong(
            lambda sigma_before, sigma: sigma**2 - sigma_before**2,
            "That is the variance of the step's noise. "
            "What multiplies ε is its standard deviation.",
        ),
        Wrong(
            lambda sigma_before, sigma: sqrt(sigma**2 + sigma_before**2),
            "Sign: that is where a noise of σ on top of σ_before would lead. "
            "Asked is what is missing to reach σ.",
        ),
        Wrong(
            lambda sigma_before, sigma: sigma,
            "The noise that is already there counts: "
            "with another σ on top the variance would be σ_before² + σ².",
        ),
    ],
)

kl_to_noise = Exercise(
    name="kl_to_noise",
    arguments=lambda rng: (float(rng.normal()), float(rng.uniform(0.2, 3))),
    edges=[(0.0, 1.0), (1.0, 1.0), (0.0, 4.0)],
    solution=lambda mean, variance: 0.5 * (mean**2 + variance - 1 - log(variance)),
    wrong=[
        Wrong(
            lambda mean, variance: mean**2 + variance - 1 - log(variance),
            "Twice too large: the factor ½ of the exponent of a Gaussian is missing.",
        ),
        Wrong(
            lambda mean, variance: 0.5 * (mean**2 + variance - 1 + log(variance)),
            "The sign of the logarithm: ln p has −½ ln v in it, and a KL can never be negative.",
        ),
        Wrong(
            lambda mean, variance: 0.5 * (mean**2 + variance**2 - 1 - 2 * log(variance)),
            "You took the second argument for the standard deviation. It is the variance.",
        ),
        Wrong(
            lambda mean, variance: 0.5 * ((mean**2 + 1) / variance - 1 + log(variance)),
            "That is KL(N(0, 1) ‖ N(m, v)), the other direction. "
            "The mean is to be taken over N(m, v).",
        ),
        Wrong(
            lambda mean, variance: 0.5 * (mean + variance - 1 - log(variance)),
            "The mean enters squared: E x² = m² + v.",
        ),
    ],
)


def _variances(levels: np.ndarray, first: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """σ_t² and σ_{t−1}² for t = 1 … T."""
    variances = np.square(levels)
    return variances, np.concatenate([[first], variances[:-1]])


def _betas_of(levels: np.ndarray) -> np.ndarray:
    after, before = _variances(levels)
    return (after - before) / (1 + after)


betas_from_levels = Exercise(
    name="betas_from_levels",
    arguments=lambda rng: (np.cumsum(rng.uniform(0.05, 1.5, 5)),),
    edges=[(np.array([1.0]),), (np.array([0.75, 1.2]),), (np.array([0.002, 1.0, 80.0]),)],
    solution=lambda levels: _betas_of(levels),
    wrong=[
        Wrong(
            lambda levels: (
                (_variances(levels)[0] - _variances(levels)[1]) / (1 + _variances(levels)[1])
            ),
            "The denominator has the level before the step. The state whose variance is kept "
            "is the one after it.",
        ),
        Wrong(
            lambda levels: _variances(levels)[0] - _variances(levels)[1],
            "That is the variance which the VE chain adds. The VP chain is the same in other "
            "units: by which scale is its step t divided?",
        ),
        Wrong(
            lambda levels: np.diff(levels, prepend=0.0) ** 2 / (1 + np.square(levels)),
            "You took the square of a difference. What a step adds is a difference of squares: "
            "variances add.",
        ),
        Wrong(
            lambda levels: np.sqrt(_betas_of(levels)),
            "That multiplies ε in the step. β is its square, the variance.",
        ),
        Wrong(
            lambda levels: _variances(levels)[0] / (1 + _variances(levels)[0]),
            "That is 1 − ᾱ_t, the share of all noise up to step t. β_t is what step t alone adds.",
        ),
        Wrong(
            lambda levels: (
                (_variances(levels)[0] - _variances(levels, float(levels[0] ** 2))[1])
                / (1 + _variances(levels)[0])
            ),
            "Your first β is 0. The chain starts at the clean picture, with σ_0 = 0.",
        ),
    ],
)

equal_log_snr = Exercise(
    name="equal_log_snr",
    arguments=lambda rng: (
        int(rng.integers(3, 9)),
        float(rng.uniform(0.01, 0.5)),
        float(rng.uniform(2, 50)),
    ),
    edges=[(2, 0.1, 10.0), (3, 0.1, 10.0)],
    solution=lambda T, sigma_first, sigma_last: (
        1 / (1 + np.geomspace(sigma_first, sigma_last, T) ** 2)
    ),
    wrong=[
        Wrong(
            lambda T, sigma_first, sigma_last: (
                1 / (1 + np.linspace(sigma_first, sigma_last, T) ** 2)
            ),
            "These are equal steps of σ. Equal steps of ln SNR multiply σ by the same factor.",
        ),
        Wrong(
            lambda T, sigma_first, sigma_last: (
                1 / (1 + 1 / np.linspace(sigma_first**-2, sigma_last**-2, T))
            ),
            "These are equal steps of the SNR itself. Take its logarithm before you cut.",
        ),
        Wrong(
            lambda T, sigma_first, sigma_last: np.geomspace(sigma_first, sigma_last, T) ** -2.0,
            "That is the SNR. ᾱ is the signal against signal and noise together.",
        ),
        Wrong(
            lambda T, sigma_first, sigma_last: 1 / (1 + np.geomspace(sigma_first, sigma_last, T)),
            "A factor of 2: ln SNR is −2 ln σ, because the SNR is a ratio of variances.",
        ),
        Wrong(
            lambda T, sigma_first, sigma_last: (
                1 / (1 + np.geomspace(sigma_first, sigma_last, T) ** -2.0)
            ),
            "Your ᾱ grows with t: that is 1 − ᾱ. A sign is the wrong way round.",
        ),
    ],
)

jump = Exercise(
    name="jump",
    arguments=lambda rng: (
        rng.normal(size=3),
        float(rng.uniform(0.5, 0.95)),
        float(rng.uniform(0.05, 0.45)),
        rng.normal(size=3),
    ),
    edges=[
        (np.array([1.0, -2.0]), 1.0, 0.25, np.array([1.0, 0.0])),
        (np.array([1.0, -2.0]), 0.5, 0.5, np.array([1.0, 1.0])),
    ],
    solution=lambda x, alpha_bar_j, alpha_bar_t, noise: (
        sqrt(alpha_bar_t / alpha_bar_j) * x + sqrt(1 - alpha_bar_t / alpha_bar_j) * noise
    ),
    wrong=[
        Wrong(
            lambda x, alpha_bar_j, alpha_bar_t, noise: (
                sqrt(alpha_bar_t) * x + sqrt(1 - alpha_bar_t) * noise
            ),
            "That is the jump from the clean picture. x has been shrunk j times already, "
            "and has noise in it.",
        ),
        Wrong(
            lambda x, alpha_bar_j, alpha_bar_t, noise: (
                sqrt(alpha_bar_t / alpha_bar_j) * x + sqrt(1 - alpha_bar_t) * noise
            ),
            "The factor of x is right. The noise up to step j is already in x: "
            "add what the steps after j add.",
        ),
        Wrong(
            lambda x, alpha_bar_j, alpha_bar_t, noise: (
                sqrt(alpha_bar_t / alpha_bar_j) * x + (1 - alpha_bar_t / alpha_bar_j) * noise
            ),
            "That multiplies the noise by its variance. It takes the standard deviation.",
        ),
        Wrong(
            lambda x, alpha_bar_j, alpha_bar_t, noise: (
                alpha_bar_t / alpha_bar_j * x + sqrt(1 - alpha_bar_t / alpha_bar_j) * noise
            ),
            "The noise is right. ᾱ is a share of variance: x itself is multiplied by a root.",
        ),
        Wrong(
            lambda x, alpha_bar_j, alpha_bar_t, noise: (
                sqrt(alpha_bar_t / alpha_bar_j) * x + sqrt(alpha_bar_j - alpha_bar_t) * noise
            ),
            "The two variances must make 1 where x has variance 1. A difference of the two ᾱ "
            "does not, because the noise in x shrinks too.",
        ),
    ],
)
