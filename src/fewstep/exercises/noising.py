"""Exercises of chapter 01: noise levels, steps of a chain, the distance from noise."""

from math import log, sqrt

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
