"""Exercises of chapter 07: the best reverse variance, its share, respaced chains, draws of t."""

import torch

from . import Exercise, Wrong


def _best(sigma, sigma_next, error):
    keep = (sigma_next / sigma) ** 2
    return sigma_next**2 * (1 - keep) + (1 - keep) ** 2 * error


def _step(rng):
    sigma = rng.uniform(0.5, 3.0)
    return sigma, sigma * rng.uniform(0.2, 0.9), rng.uniform(0.05, 0.5)


best_variance = Exercise(
    name="best_variance",
    arguments=_step,
    edges=[(2.0, 1.0, 0.0), (2.0, 0.0, 0.3)],
    solution=_best,
    wrong=[
        Wrong(
            lambda sigma, sigma_next, error: sigma_next**2 * (1 - (sigma_next / sigma) ** 2),
            "This is the posterior's variance, right for a perfect guess. D's error adds to it.",
        ),
        Wrong(
            lambda sigma, sigma_next, error: (
                sigma_next**2 * (1 - (k := (sigma_next / sigma) ** 2)) + (1 - k) * error
            ),
            "The factor before x0 − D belongs to the mean. In a variance it is squared.",
        ),
        Wrong(
            lambda sigma, sigma_next, error: (
                sigma_next**2 * (1 - (k := sigma_next / sigma)) + (1 - k) ** 2 * error
            ),
            "The share that stays is one of variances: σ_next²/σ², not σ_next/σ.",
        ),
        Wrong(
            lambda sigma, sigma_next, error: (
                sigma_next**2 * (1 - (k := (sigma_next / sigma) ** 2)) + k**2 * error
            ),
            "x0 enters the mean D + κ (x̂ − D) with the factor 1 − κ.",
        ),
        Wrong(
            lambda sigma, sigma_next, error: _best(sigma, sigma_next, error) ** 0.5,
            "This is the standard deviation.",
        ),
    ],
)


def _range(rng):
    lower = rng.uniform(0.01, 0.1)
    return lower, lower * rng.uniform(2, 20), rng.uniform(0.05, 0.95)


deviation = Exercise(
    name="deviation",
    arguments=_range,
    edges=[(0.01, 0.04, 0.0), (0.01, 0.04, 1.0), (0.01, 0.04, 0.5)],
    solution=lambda lower, upper, v: (upper**v * lower ** (1 - v)) ** 0.5,
    wrong=[
        Wrong(
            lambda lower, upper, v: upper**v * lower ** (1 - v),
            "This is the variance. The noise is multiplied by the standard deviation.",
        ),
        Wrong(
            lambda lower, upper, v: (v * upper + (1 - v) * lower) ** 0.5,
            "A mean of the variances. It is their logarithms that v mixes.",
        ),
        Wrong(
            lambda lower, upper, v: (upper ** (1 - v) * lower**v) ** 0.5,
            "The ends are exchanged: v = 1 is the larger variance.",
        ),
    ],
)


def _abars(rng):
    betas = torch.from_numpy(rng.uniform(0.05, 0.3, 8))
    return torch.cat([torch.ones(1).double(), torch.cumprod(1 - betas, 0)]), [2, 3, 6, 8]


def _kept(alpha_bars, kept):
    a = alpha_bars[[0, *kept]]
    return a[1:] / a[:-1]


def _product_of_betas(alpha_bars, kept):
    betas = 1 - alpha_bars[1:] / alpha_bars[:-1]
    ends = zip([0, *kept[:-1]], kept)
    return torch.stack([betas[i:j].sum() for i, j in ends])


respaced = Exercise(
    name="respaced",
    arguments=_abars,
    edges=[(torch.tensor([1.0, 0.8, 0.5, 0.1], dtype=torch.float64), [1, 2, 3])],
    solution=lambda alpha_bars, kept: 1 - _kept(alpha_bars, kept),
    wrong=[
        Wrong(lambda alpha_bars, kept: _kept(alpha_bars, kept), "These are the new α. β = 1 − α."),
        Wrong(
            lambda alpha_bars, kept: (1 - alpha_bars[1:] / alpha_bars[:-1])[
                torch.as_tensor(kept) - 1
            ],
            "These are the old β at the kept steps. What was left out between them is lost.",
        ),
        Wrong(
            _product_of_betas,
            "The β of the steps between do not add up: it is the α that multiply.",
        ),
        Wrong(
            lambda alpha_bars, kept: 1 - _kept(alpha_bars, kept) ** 0.5,
            "ᾱ is a share of variance already: no root.",
        ),
    ],
)


def _shares(weight):
    """From terms (n, T) of which ``weight`` makes (T,) to probabilities."""

    def shares(terms):
        w = weight(terms)
        return w / w.sum()

    return shares


draw_times = Exercise(
    name="draw_times",
    arguments=lambda rng: (torch.from_numpy(rng.gamma(0.7, size=(6, 4))),),
    edges=[(torch.tensor([[4.0, 0.0], [4.0, 8.0]], dtype=torch.float64),)],
    solution=_shares(lambda terms: terms.square().mean(0).sqrt()),
    wrong=[
        Wrong(
            _shares(lambda terms: terms.mean(0)),
            "By the mean. A time whose term scatters over pictures deserves more: the second "
            "moment counts.",
        ),
        Wrong(
            _shares(lambda terms: terms.square().mean(0)),
            "The root of the second moment is missing.",
        ),
        Wrong(lambda terms: terms.square().mean(0).sqrt(), "Probabilities add up to 1."),
        Wrong(
            _shares(lambda terms: terms.std(0, correction=0)),
            "The standard deviation. A large term that is always the same must be drawn too.",
        ),
    ],
)
