"""Exercises of chapter 04: score and denoiser, posterior weights, x0 from v."""

import torch

from . import Exercise, Wrong


def _normal(rng, *shape):
    return torch.from_numpy(rng.normal(size=shape))


score_from_denoiser = Exercise(
    name="score_from_denoiser",
    arguments=lambda rng: (_normal(rng, 4), _normal(rng, 4), rng.uniform(0.1, 3)),
    edges=[
        (torch.tensor([1.0, -2.0]), torch.tensor([0.5, 1.0]), 0.5),
        (torch.tensor([1.0]), torch.tensor([1.0]), 2.0),
    ],
    solution=lambda x, D, sigma: (D - x) / sigma**2,
    wrong=[
        Wrong(
            lambda x, D, sigma: (x - D) / sigma**2,
            "The sign: the score points from x to the denoised picture, uphill in density.",
        ),
        Wrong(
            lambda x, D, sigma: (D - x) / sigma,
            "σ instead of σ²: (D − x)/σ is −ε̂, the negated noise. "
            "One more division gives the score.",
        ),
        Wrong(
            lambda x, D, sigma: (D - x) / (2 * sigma**2),
            "A factor ½ too many: it stands in the exponent −‖x − x0‖²/2σ², "
            "and the derivative of the square cancels it.",
        ),
        Wrong(
            lambda x, D, sigma: D - x,
            "The step from x to D is σ² times the score: divide by the variance of the noise.",
        ),
    ],
)

gaussian_denoiser = Exercise(
    name="gaussian_denoiser",
    arguments=lambda rng: (_normal(rng, 5), rng.normal(), rng.uniform(0.2, 3), rng.uniform(0.1, 3)),
    edges=[
        (torch.tensor([2.0]), 0.0, 4.0, 1.0),
        (torch.tensor([2.0]), 1.0, 4.0, 0.0),
        (torch.tensor([3.0]), 1.0, 0.0, 1.0),
    ],
    solution=lambda x, mean, variance, sigma: mean + variance / (variance + sigma**2) * (x - mean),
    wrong=[
        Wrong(
            lambda x, mean, variance, sigma: mean + sigma**2 / (variance + sigma**2) * (x - mean),
            "The shares are exchanged: with little noise, x must be left as it is.",
        ),
        Wrong(
            lambda x, mean, variance, sigma: mean + variance / (variance + sigma) * (x - mean),
            "σ is a standard deviation. It is variances that add: variance + σ².",
        ),
        Wrong(
            lambda x, mean, variance, sigma: (
                mean + variance**0.5 / (variance**0.5 + sigma) * (x - mean)
            ),
            "Standard deviations do not add. Use the variances: variance/(variance + σ²).",
        ),
        Wrong(
            lambda x, mean, variance, sigma: variance / (variance + sigma**2) * x,
            "This shrinks towards 0. With much noise the best guess is the mean of the data: "
            "shrink towards the mean.",
        ),
        Wrong(
            lambda x, mean, variance, sigma: x - (x - mean) / (variance + sigma**2),
            "Tweedie: D = x + σ² · score. The factor σ² is missing.",
        ),
    ],
)

posterior_weights = Exercise(
    name="posterior_weights",
    arguments=lambda rng: (_normal(rng, 3), _normal(rng, 6, 3), rng.uniform(0.3, 2)),
    edges=[
        (torch.tensor([0.5, 0.0]), torch.tensor([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0]]), 0.002),
        (torch.zeros(2), torch.tensor([[1.0, 0.0], [0.0, 2.0]]), 1.0),
    ],
    solution=lambda x, points, sigma: torch.softmax(
        -(points - x).square().sum(1) / (2 * sigma**2), 0
    ),
    wrong=[
        Wrong(
            lambda x, points, sigma: torch.softmax(-(points - x).square().sum(1) / sigma**2, 0),
            "A factor ½ is missing: the exponent of a Gaussian is −‖x − y‖²/2σ².",
        ),
        Wrong(
            lambda x, points, sigma: torch.softmax(-(points - x).square().sum(1) / (2 * sigma), 0),
            "σ instead of σ²: the squared distance is divided by the variance.",
        ),
        Wrong(
            lambda x, points, sigma: torch.softmax(-(points - x).norm(dim=1) / (2 * sigma**2), 0),
            "The distance must be squared.",
        ),
        Wrong(
            lambda x, points, sigma: torch.softmax(
                (points - x).square().sum(1) / (2 * sigma**2), 0
            ),
            "The sign: near points must weigh more than far ones.",
        ),
        Wrong(
            lambda x, points, sigma: (
                (w := torch.exp(-(points - x).square().sum(1) / (2 * sigma**2))) / w.sum()
            ),
            "Right on paper, 0/0 at σ = 0.002: every exponential underflows. "
            "Subtract the largest exponent first, as torch.softmax does.",
        ),
        Wrong(
            lambda x, points, sigma: torch.exp(-(points - x).square().sum(1) / (2 * sigma**2)),
            "These are not normalised: posterior weights sum to one.",
        ),
    ],
)

denoised_from_v = Exercise(
    name="denoised_from_v",
    arguments=lambda rng: (_normal(rng, 4), _normal(rng, 4), rng.uniform(0.05, 0.95)),
    edges=[
        (torch.tensor([1.0, -1.0]), torch.tensor([2.0, 0.5]), 1.0),
        (torch.tensor([1.0, -1.0]), torch.tensor([2.0, 0.5]), 0.0),
    ],
    solution=lambda x_t, v, alpha_bar: alpha_bar**0.5 * x_t - (1 - alpha_bar) ** 0.5 * v,
    wrong=[
        Wrong(
            lambda x_t, v, alpha_bar: alpha_bar**0.5 * x_t + (1 - alpha_bar) ** 0.5 * v,
            "The sign: v = √ᾱ ε − √(1−ᾱ) x0 holds x0 with a minus.",
        ),
        Wrong(
            lambda x_t, v, alpha_bar: alpha_bar * x_t - (1 - alpha_bar) * v,
            "Square roots are missing: ᾱ is the share of the variance.",
        ),
        Wrong(
            lambda x_t, v, alpha_bar: (1 - alpha_bar) ** 0.5 * x_t + alpha_bar**0.5 * v,
            "This is the noise ε. The picture is the other coordinate of the rotation.",
        ),
        Wrong(
            lambda x_t, v, alpha_bar: (x_t - (1 - alpha_bar) ** 0.5 * v) / alpha_bar**0.5,
            "This is the conversion of ε. Put v = √ᾱ ε − √(1−ᾱ) x0 and x_t = √ᾱ x0 + √(1−ᾱ) ε "
            "together and eliminate ε.",
        ),
    ],
)
