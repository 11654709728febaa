"""Exercises of chapter 04: score and denoiser, posterior weights, x0 from v; a score by least
squares, a sampler for a data set, a denoiser from noisy numbers alone.
"""

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


def _least_squares(features, target):
    return torch.linalg.lstsq(features, target[:, None]).solution[:, 0]


fit_score = Exercise(
    name="fit_score",
    arguments=lambda rng: (_normal(rng, 40, 3), _normal(rng, 40), rng.uniform(0.2, 3)),
    edges=[(torch.ones(3, 1), torch.tensor([1.0, 2.0, 6.0]), 0.5)],
    solution=lambda features, eps, sigma: _least_squares(features, -eps / sigma),
    wrong=[
        Wrong(
            lambda features, eps, sigma: _least_squares(features, eps / sigma),
            "The sign: x − x0 = σε points away from the clean number, the score of the kernel "
            "points back to it.",
        ),
        Wrong(
            lambda features, eps, sigma: _least_squares(features, -eps),
            "With this target the model learns the negated noise. What must it be divided by to "
            "be (x0 − x)/σ²?",
        ),
        Wrong(
            lambda features, eps, sigma: _least_squares(features, -eps / sigma**2),
            "One σ too many: x0 − x is −σε, and that is what is divided by σ².",
        ),
        Wrong(
            lambda features, eps, sigma: _least_squares(features, -sigma * eps),
            "This is x0 − x, the step to the clean number. The score is that over σ².",
        ),
        Wrong(
            lambda features, eps, sigma: features.T @ (-eps / sigma) / len(eps),
            "The right target, but these are its correlations with the features. Solve the "
            "least-squares problem: features overlap.",
        ),
        Wrong(
            lambda features, eps, sigma: _least_squares(features, -eps / (2 * sigma)),
            "A factor ½ too many: it stands before the whole loss and does not move its minimum.",
        ),
    ],
)


def _euler(slope, points, x, sigmas):
    """Euler steps with the data set's denoiser; slope(x, D, sigma)."""
    for sigma, sigma_next in zip(sigmas[:-1], sigmas[1:]):
        D = torch.softmax(-(x[:, None] - points).square().sum(2) / (2 * sigma**2), dim=1) @ points
        x = x + (sigma_next - sigma) * slope(x, D, sigma)
    return x


def _euler_with_next_level(points, x, sigmas):
    for sigma, sigma_next in zip(sigmas[:-1], sigmas[1:]):
        squares = (x[:, None] - points).square().sum(2)
        D = torch.softmax(-squares / (2 * sigma_next**2), dim=1) @ points
        x = x + (sigma_next - sigma) * (x - D) / sigma
    return x


def _some_levels(rng):
    return torch.tensor([3.0, 1.2, 0.5, 0.2, 0.0], dtype=torch.float64) * rng.uniform(0.8, 1.5)


euler_sampler = Exercise(
    name="euler_sampler",
    arguments=lambda rng: (_normal(rng, 5, 2), 3 * _normal(rng, 4, 2), _some_levels(rng)),
    edges=[
        (torch.tensor([[-1.0], [1.0]]), torch.tensor([[0.5]]), torch.tensor([1.0, 0.0])),
        (
            torch.tensor([[-1.0], [1.0]]),
            torch.tensor([[2.0], [-0.5]]),
            torch.tensor([2.0, 1.0, 0.0]),
        ),
    ],
    solution=lambda points, x, sigmas: _euler(lambda x, D, s: (x - D) / s, points, x, sigmas),
    wrong=[
        Wrong(
            lambda points, x, sigmas: _euler(lambda x, D, s: (D - x) / s, points, x, sigmas),
            "The sign: this runs away from the data. The slope is (x − D)/σ, and the step "
            "σ_next − σ is negative.",
        ),
        Wrong(
            lambda points, x, sigmas: _euler(lambda x, D, s: x - D, points, x, sigmas),
            "The slope x − D still has to be divided by σ: only then does the last step, to σ = 0, "
            "end on D.",
        ),
        Wrong(
            lambda points, x, sigmas: _euler(lambda x, D, s: (x - D) / s**2, points, x, sigmas),
            "(x − D)/σ² is the negated score. The slope dx/dσ is −σ times the score.",
        ),
        Wrong(
            lambda points, x, sigmas: _euler(lambda x, D, s: (x - D) / (2 * s), points, x, sigmas),
            "A factor ½ too many: it belongs to ODEs in the variance σ², this one is in σ.",
        ),
        Wrong(
            _euler_with_next_level,
            "The denoiser is asked at the level that x has now, σ, not at the one it goes to.",
        ),
        Wrong(
            lambda points, x, sigmas: _euler(lambda x, D, s: (x - D) / s, points, x, sigmas[:-1]),
            "The last step is missing: the levels end in 0, and the step to 0 counts.",
        ),
    ],
)


def _from_samples(x, samples, width, factor):
    """x plus factor times the mean step to the samples, weighted by hills of that width."""
    steps = samples - x[:, None]
    weights = torch.softmax(-steps.square() / (2 * width**2), dim=1)
    return x + factor * (weights * steps).sum(1)


denoise_from_samples = Exercise(
    name="denoise_from_samples",
    arguments=lambda rng: (
        _normal(rng, 4),
        2 * _normal(rng, 30),
        rng.uniform(0.5, 2),
        rng.uniform(0.2, 0.45),
    ),
    edges=[(torch.tensor([0.0]), torch.tensor([-1.0, 0.5, 1.0]), 2.0, 0.5)],
    solution=lambda x, samples, sigma, h: _from_samples(x, samples, h, sigma**2 / h**2),
    wrong=[
        Wrong(
            lambda x, samples, sigma, h: _from_samples(x, samples, h, -(sigma**2) / h**2),
            "The sign: the slope of log p points to where more samples are, and D with it.",
        ),
        Wrong(
            lambda x, samples, sigma, h: _from_samples(x, samples, h, sigma / h**2),
            "σ instead of σ²: Tweedie's step is the variance of the noise times the score.",
        ),
        Wrong(
            lambda x, samples, sigma, h: _from_samples(x, samples, h, sigma**2 / h),
            "h instead of h²: the derivative of the exponent −(x − sample)²/2h² has h².",
        ),
        Wrong(
            lambda x, samples, sigma, h: _from_samples(x, samples, h, 1.0),
            "This is the mean of the noisy neighbours. It denoises what the hills added; to undo "
            "the noise of the samples, take σ² times the slope of the estimate's logarithm.",
        ),
        Wrong(
            lambda x, samples, sigma, h: _from_samples(x, samples, sigma, 1.0),
            "These hills have width σ, but the samples are noisy already: their density is the "
            "one to be estimated, with hills of width h, and σ² is the factor of the score.",
        ),
        Wrong(
            lambda x, samples, sigma, h: _from_samples(x, samples, h, sigma**2 / (2 * h**2)),
            "A factor ½ too many: the derivative of the square cancels it.",
        ),
    ],
)
