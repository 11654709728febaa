"""Exercises of chapter 06: the step back, given the picture; the bound's weights; a weighted
median, DDPM's sampler, an average of weights.
"""

import torch

from . import Exercise, Wrong


def _normal(rng, *shape):
    return torch.from_numpy(rng.normal(size=shape))


def _posterior(x_t, x0, a_before, beta):
    a = a_before * (1 - beta)
    mean = a_before**0.5 * beta * x0 + (1 - beta) ** 0.5 * (1 - a_before) * x_t
    return mean / (1 - a), beta * (1 - a_before) / (1 - a)


def _posterior_without_roots(x_t, x0, a_before, beta):
    a = a_before * (1 - beta)
    mean = a_before * beta * x0 + (1 - beta) * (1 - a_before) * x_t
    return mean / (1 - a), beta * (1 - a_before) / (1 - a)


posterior_step = Exercise(
    name="posterior_step",
    arguments=lambda rng: (
        _normal(rng, 3),
        _normal(rng, 3),
        rng.uniform(0.1, 0.9),
        rng.uniform(0.05, 0.6),
    ),
    edges=[(torch.tensor([1.0]), torch.tensor([-1.0]), 0.8, 0.25)],
    solution=_posterior,
    wrong=[
        Wrong(
            _posterior_without_roots,
            "The variances are right. In the mean, ᾱ and α are shares of variances: a picture is "
            "scaled by their roots.",
        ),
        Wrong(
            lambda x_t, x0, a_before, beta: (_posterior(x_t, x0, a_before, beta)[0], beta),
            "The mean is right. The variance β is that of a step without knowing x0; with x0 known "
            "it is smaller.",
        ),
        Wrong(
            lambda x_t, x0, a_before, beta: (
                _posterior(x_t, x0, a_before, beta)[0],
                _posterior(x_t, x0, a_before, beta)[1] ** 0.5,
            ),
            "The mean is right. The second value is asked as a variance, not its root.",
        ),
        Wrong(
            lambda x_t, x0, a_before, beta: _posterior(x0, x_t, a_before, beta),
            "x_t and x0 are exchanged: for a tiny β the mean must be next to x_t.",
        ),
        Wrong(
            lambda x_t, x0, a_before, beta: (a_before**0.5 * x0, 1 - a_before),
            "This is q(x_{t−1} | x0). Now weigh in what x_t says.",
        ),
    ],
)

bound_weight = Exercise(
    name="bound_weight",
    arguments=lambda rng: ((s := rng.uniform(0.05, 5)) * rng.uniform(1.05, 2), s),
    edges=[(2.0, 1.0)],
    solution=lambda sigma, sigma_before: 0.5 * (sigma**2 / sigma_before**2 - 1),
    wrong=[
        Wrong(
            lambda sigma, sigma_before: sigma**2 / sigma_before**2 - 1,
            "A factor ½ is missing: it stands in the exponent of the Gaussian.",
        ),
        Wrong(
            lambda sigma, sigma_before: 0.5 * (sigma / sigma_before - 1),
            "σ for σ²: the SNR is one over the variance.",
        ),
        Wrong(
            lambda sigma, sigma_before: 0.5 * (1 - sigma_before**2 / sigma**2),
            "Divided by the wrong level: in units of ε the SNR after the step, at t, becomes 1.",
        ),
        Wrong(
            lambda sigma, sigma_before: 0.5 * (1 / sigma_before**2 - 1 / sigma**2),
            "This is the weight of ‖x0 − D‖². The error of x0 is σ times that of ε: "
            "what does the square of it become?",
        ),
    ],
)


def _weighted_median(values, weights):
    order = values.argsort()
    mass = weights[order].cumsum(0) / weights.sum()
    return values[order][(mass < 0.5).sum()]


weighted_median = Exercise(
    name="weighted_median",
    arguments=lambda rng: (_normal(rng, 9), torch.from_numpy(rng.dirichlet([0.7] * 9))),
    edges=[
        (torch.tensor([1.0, -1.0, 0.0]), torch.tensor([0.3, 0.6, 0.1])),
        (torch.tensor([2.0, -1.0, 0.0, 1.0]), torch.tensor([0.3, 0.25, 0.24, 0.21])),
    ],
    solution=_weighted_median,
    wrong=[
        Wrong(
            lambda values, weights: (values * weights).sum(),
            "This is the mean. The median asks how much weight lies to the left, not how far away.",
        ),
        Wrong(
            lambda values, weights: values.median(),
            "The middle one of the values, as if all counted alike. Add up weights instead.",
        ),
        Wrong(
            lambda values, weights: values[weights.argmax()],
            "The most likely value, the mode. Half of the weight must lie on either side.",
        ),
        Wrong(
            lambda values, weights: values[(weights.cumsum(0) / weights.sum() < 0.5).sum()],
            "The weights are added in the order given. Sort by the values first.",
        ),
        Wrong(
            lambda values, weights: values.sort().values[
                (weights.cumsum(0) / weights.sum() < 0.5).sum()
            ],
            "Sorting the values must take the weights along: weights[order].",
        ),
    ],
)


def _ancestral(D, x, sigmas, noise, keep=None, add=None):
    """Steps of DDPM's sampler; keep and add of (σ, σ_next)."""
    keep = keep or (lambda s, then: (then / s) ** 2)
    add = add or (lambda s, then: then * (1 - (then / s) ** 2) ** 0.5)
    for z, s, then in zip(noise, sigmas[:-1], sigmas[1:]):
        guess = D(x, s)
        x = guess + keep(s, then) * (x - guess) + add(s, then) * z
    return x


def _two_points(x, sigma):
    return torch.tanh(x / sigma**2 + 0.4)


def _levels(rng):
    return torch.tensor([3.0, 1.2, 0.5, 0.2, 0.0], dtype=torch.float64) * rng.uniform(0.8, 1.5)


ddpm_sampler = Exercise(
    name="ddpm_sampler",
    arguments=lambda rng: (_two_points, 3 * _normal(rng, 5), _levels(rng), _normal(rng, 4, 5)),
    edges=[
        (
            _two_points,
            torch.tensor([2.0, -0.5]),
            torch.tensor([2.0, 1.0, 0.0]),
            torch.tensor([[1.0, -1.0], [0.5, 2.0]]),
        )
    ],
    solution=_ancestral,
    wrong=[
        Wrong(
            lambda D, x, sigmas, noise: _ancestral(
                D, x, sigmas, noise, lambda s, then: then / s, lambda s, then: 0
            ),
            "Without fresh noise this is DDIM, an Euler step of the ODE. DDPM keeps less of the "
            "old noise and adds new.",
        ),
        Wrong(
            lambda D, x, sigmas, noise: _ancestral(D, x, sigmas, noise, lambda s, then: then / s),
            "Too much of the old noise is kept. The weights of two sources are one over their "
            "variances, so the ratio of levels is squared.",
        ),
        Wrong(
            lambda D, x, sigmas, noise: _ancestral(
                D, x, sigmas, noise, add=lambda s, then: then * (1 - (then / s) ** 2)
            ),
            "The last factor is a variance. Noise is added with a standard deviation.",
        ),
        Wrong(
            lambda D, x, sigmas, noise: _ancestral(
                D, x, sigmas, noise, add=lambda s, then: (s**2 - then**2) ** 0.5
            ),
            "This is the noise of a step up, from σ_next to σ. Going down, knowing D, the variance "
            "is smaller by the factor σ_next²/σ².",
        ),
        Wrong(
            lambda D, x, sigmas, noise: _ancestral(D, x, sigmas, noise, add=lambda s, then: then),
            "Fresh noise of level σ_next on top of the kept one is too much: their variances must "
            "add up to σ_next².",
        ),
        Wrong(
            lambda D, x, sigmas, noise: _ancestral(D, x, sigmas[:-1], noise),
            "The last step is missing: the levels end in 0.",
        ),
    ],
)


def _average(weights, decay, start=None):
    averages = [weights[0] if start is None else start]
    for w in weights[1:]:
        averages.append(decay * averages[-1] + (1 - decay) * w)
    return torch.stack(averages)


moving_average = Exercise(
    name="moving_average",
    arguments=lambda rng: (_normal(rng, 12), rng.uniform(1.5, 6)),
    edges=[(torch.tensor([0.0, 1.0, 1.0, 1.0]), 1.0)],
    solution=lambda weights, half_life: _average(weights, 0.5 ** (1 / half_life)),
    wrong=[
        Wrong(
            lambda weights, half_life: _average(weights, 0.5**half_life),
            "The exponent is upside down: after half_life steps, not after one, the old value "
            "counts half.",
        ),
        Wrong(
            lambda weights, half_life: _average(weights, torch.e ** (-1 / half_life)),
            "This falls to 1/e in that time. A half-life is the time to ½.",
        ),
        Wrong(
            lambda weights, half_life: _average(weights, 1 - 0.5 ** (1 / half_life)),
            "Old and new are exchanged: the average moves a little of the way to the new weight.",
        ),
        Wrong(
            lambda weights, half_life: _average(
                weights, 0.5 ** (1 / half_life), torch.zeros_like(weights[0])
            ),
            "It starts from 0. The first average is the first weight.",
        ),
    ],
)
