"""Exercises of chapter 08: coefficients, wrappers around networks, where the loss can fall."""

import numpy as np

from . import Exercise, Wrong


def _answers(x, c_noise=None):
    """A stand-in for a network: bends its input, and looks at the noise level."""
    return np.tanh(1.7 * x) + 0.3 * (0.0 if c_noise is None else c_noise)


def _edm(sigma, sigma_d):
    total = sigma**2 + sigma_d**2
    return sigma_d**2 / total, sigma * sigma_d / total**0.5, 1 / total**0.5


target_of_F = Exercise(
    name="target_of_F",
    arguments=lambda rng: (rng.normal(size=4), rng.normal(size=4), *rng.uniform(0.1, 3, 2)),
    edges=[(np.array([1.0]), np.array([0.0]), 1.0, 1.0)],
    solution=lambda x0, eps, sigma, sigma_d: (
        (sigma / sigma_d * x0 - sigma_d * eps) / (sigma**2 + sigma_d**2) ** 0.5
    ),
    wrong=[
        Wrong(
            lambda x0, eps, sigma, sigma_d: (
                (sigma / sigma_d * x0 + sigma_d * eps) / (sigma**2 + sigma_d**2) ** 0.5
            ),
            "The sign of the noise: at small σ the network has to take noise away.",
        ),
        Wrong(
            lambda x0, eps, sigma, sigma_d: (
                (sigma * x0 - sigma_d * eps) / (sigma**2 + sigma_d**2) ** 0.5
            ),
            "x0 has the size σ_d; in the rotated pair it counts in units of σ_d.",
        ),
        Wrong(
            lambda x0, eps, sigma, sigma_d: x0 - _edm(sigma, sigma_d)[0] * (x0 + sigma * eps),
            "That is c_out F. What is left to do for F itself?",
        ),
        Wrong(
            lambda x0, eps, sigma, sigma_d: (
                (x0 - _edm(sigma, sigma_d)[0] * x0) / _edm(sigma, sigma_d)[1]
            ),
            "c_skip multiplies the noisy x = x0 + σ ε, not x0.",
        ),
    ],
)

v_coefficients = Exercise(
    name="v_coefficients",
    arguments=lambda rng: (float(np.exp(rng.normal())),),
    edges=[(1.0,), (0.01,), (80.0,)],
    solution=lambda sigma: (
        1 / (1 + sigma**2),
        -sigma / (1 + sigma**2) ** 0.5,
        1 / (1 + sigma**2) ** 0.5,
    ),
    wrong=[
        Wrong(
            lambda sigma: (
                1 / (1 + sigma**2),
                sigma / (1 + sigma**2) ** 0.5,
                1 / (1 + sigma**2) ** 0.5,
            ),
            "These are the coefficients for −v. At small σ, v is nearly ε, and noise is taken off.",
        ),
        Wrong(
            lambda sigma: (
                1 / (1 + sigma**2) ** 0.5,
                -sigma / (1 + sigma**2) ** 0.5,
                1 / (1 + sigma**2) ** 0.5,
            ),
            "√ᾱ multiplies x_t, which is itself √ᾱ x.",
        ),
        Wrong(
            lambda sigma: (1.0, -sigma, 1 / (1 + sigma**2) ** 0.5),
            "These are the coefficients of a network that predicts ε.",
        ),
        Wrong(
            lambda sigma: (1 / (1 + sigma**2), -sigma / (1 + sigma**2) ** 0.5, 1.0),
            "The network was trained on x_t, not on x: c_in has to turn one into the other.",
        ),
    ],
)

denoiser_from_eps = Exercise(
    name="denoiser_from_eps",
    arguments=lambda rng: (_answers, rng.normal(size=5), float(np.exp(rng.normal()))),
    edges=[(_answers, np.array([1.0, -2.0]), 1.0)],
    solution=lambda network, x, sigma: x - sigma * network(x / (1 + sigma**2) ** 0.5),
    wrong=[
        Wrong(
            lambda network, x, sigma: x - sigma * network(x),
            "The network knows the VP variable x_t, which is x times √ᾱ. Find √ᾱ from σ.",
        ),
        Wrong(
            lambda network, x, sigma: x + sigma * network(x / (1 + sigma**2) ** 0.5),
            "x is the clean picture plus σ ε: to get back, subtract.",
        ),
        Wrong(
            lambda network, x, sigma: (
                x / (1 + sigma**2) ** 0.5
                - sigma / (1 + sigma**2) ** 0.5 * network(x / (1 + sigma**2) ** 0.5)
            ),
            "That is √ᾱ times the clean picture: x_t minus its noise still has the scale s.",
        ),
        Wrong(
            lambda network, x, sigma: x - sigma * network(x / (1 + sigma**2)),
            "ᾱ is 1/(1 + σ²), and x_t is √ᾱ x.",
        ),
    ],
)

mended = Exercise(
    name="mended",
    arguments=lambda rng: (_answers, rng.normal(size=4), *rng.uniform(0.1, 3, 2).tolist()),
    edges=[(_answers, np.array([1.0]), 1.0, 1.0)],
    solution=lambda F, x, sigma, sigma_d: (
        _edm(sigma, sigma_d)[0] * x
        + _edm(sigma, sigma_d)[1] * F(_edm(sigma, sigma_d)[2] * x, np.log(sigma) / 4)
    ),
    wrong=[
        Wrong(
            lambda F, x, sigma, sigma_d: (
                _edm(sigma, sigma_d)[0] * x + _edm(sigma, sigma_d)[1] * F(x, np.log(sigma) / 4)
            ),
            "Nothing has changed. Print the size of what F is given, at σ = 0.1 and at σ = 10.",
        ),
        Wrong(
            lambda F, x, sigma, sigma_d: (
                (_edm(sigma, sigma_d)[2] * _edm(sigma, sigma_d)[0]) * x
                + _edm(sigma, sigma_d)[1] * F(_edm(sigma, sigma_d)[2] * x, np.log(sigma) / 4)
            ),
            "c_in is for the network only. The skip takes x as it is.",
        ),
        Wrong(
            lambda F, x, sigma, sigma_d: (
                _edm(sigma, sigma_d)[0] * x
                + _edm(sigma, sigma_d)[1] * F(x / sigma, np.log(sigma) / 4)
            ),
            "x/σ has size 1 at large σ. What size has it at small σ?",
        ),
        Wrong(
            lambda F, x, sigma, sigma_d: (
                _edm(sigma, sigma_d)[0] * x
                + _edm(sigma, sigma_d)[1] * F(x / (sigma**2 + sigma_d**2), np.log(sigma) / 4)
            ),
            "Divided by the variance of x. To give it size 1, divide by its standard deviation.",
        ),
    ],
)


def _curve(rng):
    """A hump over ln σ, on a grid."""
    u = np.linspace(-5.0, 4.0, 31)
    return u, np.exp(-((u - rng.normal()) ** 2) / rng.uniform(1, 4)) * rng.uniform(0.2, 2)


def _moments(u, gain, power=1.0):
    p = gain**power / (gain**power).sum()
    mean = (p * u).sum()
    return mean, (p * (u - mean) ** 2).sum()


levels_from_gain = Exercise(
    name="levels_from_gain",
    arguments=_curve,
    edges=[(np.array([-1.0, 0.0, 1.0]), np.array([0.0, 1.0, 1.0]))],
    solution=lambda log_sigma, gain: (
        _moments(log_sigma, gain)[0],
        _moments(log_sigma, gain)[1] ** 0.5,
    ),
    wrong=[
        Wrong(
            lambda log_sigma, gain: _moments(log_sigma, gain),
            "The second number is the variance; P_std is its root.",
        ),
        Wrong(
            lambda log_sigma, gain: (log_sigma.mean(), log_sigma.std()),
            "These are mean and spread of the grid: the gain is to weigh it.",
        ),
        Wrong(
            lambda log_sigma, gain: (
                (gain * log_sigma).sum(),
                ((gain * log_sigma**2).sum() - (gain * log_sigma).sum() ** 2 + 0j).real,
            ),
            "The gain is no distribution yet: divide it by its sum first.",
        ),
        Wrong(
            lambda log_sigma, gain: (
                _moments(log_sigma, gain)[0],
                ((gain * log_sigma**2).sum() / gain.sum()) ** 0.5,
            ),
            "The spread is to be about the mean, not about ln σ = 0.",
        ),
    ],
)
