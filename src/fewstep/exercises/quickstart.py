"""Exercises of the quickstart: a Heun step, the noise level after churn, network calls."""

import math

import torch

from . import Exercise, Wrong


def two_points(x: torch.Tensor, sigma: float) -> torch.Tensor:
    """The exact denoiser of data that are −1 or +1, each with probability one half."""
    return torch.tanh(x / sigma**2)


def _states(rng):
    sigma = rng.uniform(0.5, 2.0)
    return (
        two_points,
        torch.as_tensor(rng.normal(0, 1 + sigma, size=(3, 2))),
        sigma,
        sigma * rng.uniform(0.3, 0.8),
    )


def _heun(second):
    """A step of which ``second(D, x, x_next, d, sigma, sigma_next)`` gives the slope."""

    def step(D, x, sigma, sigma_next):
        d = (x - D(x, sigma)) / sigma
        x_next = x + (sigma_next - sigma) * d
        if sigma_next == 0:
            return x_next
        return x + (sigma_next - sigma) * second(D, x, x_next, d, sigma, sigma_next)

    return step


def _heun_without_end(D, x, sigma, sigma_next):
    d = (x - D(x, sigma)) / sigma
    x_next = x + (sigma_next - sigma) * d
    d_next = (x_next - D(x_next, sigma_next)) / torch.as_tensor(sigma_next)
    return x + (sigma_next - sigma) * (d + d_next) / 2


_right_heun = _heun(
    lambda D, x, x_next, d, sigma, sigma_next: (
        (d + (x_next - D(x_next, sigma_next)) / sigma_next) / 2
    )
)

heun_step = Exercise(
    name="heun_step",
    arguments=_states,
    edges=[
        (two_points, torch.tensor([[0.5], [-1.5]], dtype=torch.float64), 1.0, 0.5),
        (two_points, torch.tensor([[0.5], [-1.5]], dtype=torch.float64), 0.5, 0.0),
    ],
    solution=_right_heun,
    wrong=[
        Wrong(
            _heun_without_end,
            "At sigma_next = 0 the slope is (x − D)/σ = 0/0. "
            "Return Euler's step there, before the second slope is computed.",
        ),
        Wrong(
            _heun(lambda D, x, x_next, d, sigma, sigma_next: d),
            "This is Euler's step. Heun goes on: compute the slope at the end of Euler's step too, "
            "and step again from x with the mean of the two.",
        ),
        Wrong(
            lambda D, x, sigma, sigma_next: _right_heun(
                lambda y, s: 2 * y - D(y, s), x, sigma, sigma_next
            ),
            "A sign is turned round: the slope is (x − D)/σ, "
            "and the step sigma_next − sigma is negative.",
        ),
        Wrong(
            _heun(
                lambda D, x, x_next, d, sigma, sigma_next: (
                    (d + (x - D(x, sigma_next)) / sigma_next) / 2
                )
            ),
            "The second slope is taken at x. It belongs to the point where Euler's step ends.",
        ),
        Wrong(
            _heun(
                lambda D, x, x_next, d, sigma, sigma_next: (
                    (d + (x_next - D(x_next, sigma)) / sigma) / 2
                )
            ),
            "The second slope uses sigma. At the end of the step the noise level is sigma_next, "
            "in D and in the division.",
        ),
        Wrong(
            _heun(
                lambda D, x, x_next, d, sigma, sigma_next: (
                    (d + (x_next - D(x_next, sigma)) / sigma_next) / 2
                )
            ),
            "The denoiser in the second slope is still told sigma. "
            "At the end of the step the noise level is sigma_next.",
        ),
        Wrong(
            _heun(
                lambda D, x, x_next, d, sigma, sigma_next: (
                    d + (x_next - D(x_next, sigma_next)) / sigma_next
                )
            ),
            "The two slopes are added: that makes two Euler steps of full length in a row. "
            "Take their mean, with a factor ½.",
        ),
    ],
)


def _gamma(sigma, n, S_churn, S_tmin, S_tmax):
    return min(S_churn / n, math.sqrt(2) - 1) if S_tmin <= sigma <= S_tmax else 0.0


def _churn_arguments(rng):
    S_tmin, S_tmax = float(rng.uniform(0.05, 0.5)), float(rng.uniform(5, 50))
    return (
        float(rng.uniform(S_tmin, S_tmax)),
        int(rng.integers(10, 60)),
        float(rng.uniform(1, 40)),
        S_tmin,
        S_tmax,
    )


churned = Exercise(
    name="churned",
    arguments=_churn_arguments,
    edges=[
        (2.0, 20, 5.0, 0.05, 50.0),
        (2.0, 10, 80.0, 0.05, 50.0),
        (0.01, 20, 5.0, 0.05, 50.0),
        (80.0, 20, 5.0, 0.05, 50.0),
        (0.05, 20, 5.0, 0.05, 50.0),
        (50.0, 20, 5.0, 0.05, 50.0),
        (2.0, 20, 0.0, 0.05, 50.0),
    ],
    solution=lambda sigma, n, S_churn, S_tmin, S_tmax: (
        (1 + _gamma(sigma, n, S_churn, S_tmin, S_tmax)) * sigma
    ),
    wrong=[
        Wrong(
            lambda sigma, n, S_churn, S_tmin, S_tmax: (
                (1 + (S_churn / n if S_tmin <= sigma <= S_tmax else 0.0)) * sigma
            ),
            "γ has an upper limit, √2 − 1: no more new noise is added than there is already.",
        ),
        Wrong(
            lambda sigma, n, S_churn, S_tmin, S_tmax: (
                (1 + min(S_churn / n, math.sqrt(2) - 1)) * sigma
            ),
            "There is churn only where S_tmin ≤ σ ≤ S_tmax. Elsewhere γ = 0, and σ̂ = σ.",
        ),
        Wrong(
            lambda sigma, n, S_churn, S_tmin, S_tmax: (
                (1 + (min(S_churn / n, math.sqrt(2) - 1) if S_tmin < sigma < S_tmax else 0.0))
                * sigma
            ),
            "The ends belong to the range: S_tmin ≤ σ ≤ S_tmax, with ≤ and not <.",
        ),
        Wrong(
            lambda sigma, n, S_churn, S_tmin, S_tmax: (
                (1 + (min(S_churn, math.sqrt(2) - 1) if S_tmin <= sigma <= S_tmax else 0.0)) * sigma
            ),
            "S_churn is the budget of the whole run: each of the n steps gets S_churn/n.",
        ),
        Wrong(_gamma, "This is γ. Asked is the noise level that it leads to, σ̂ = (1 + γ) σ."),
        Wrong(
            lambda sigma, *rest: sigma + _gamma(sigma, *rest),
            "γ is relative: σ̂ = (1 + γ) σ, not σ + γ.",
        ),
        Wrong(
            lambda sigma, *rest: math.sqrt(1 + _gamma(sigma, *rest)) * sigma,
            "γ multiplies the standard deviation, not the variance: σ̂ = (1 + γ) σ, without a root.",
        ),
        Wrong(
            lambda sigma, *rest: math.sqrt((1 + _gamma(sigma, *rest)) ** 2 - 1) * sigma,
            "This is the standard deviation of the noise to be added, √(σ̂² − σ²). "
            "Asked is the level after it, σ̂.",
        ),
    ],
)

_CALLS = {"euler": lambda n: n, "dpmpp_2m": lambda n: n, "heun": lambda n: 2 * n - 1}

nfe = Exercise(
    name="nfe",
    arguments=lambda rng: (int(rng.integers(2, 100)), list(_CALLS)[rng.integers(len(_CALLS))]),
    edges=[(18, "heun"), (1, "heun"), (1, "euler"), (18, "euler"), (18, "dpmpp_2m")],
    solution=lambda n, solver: _CALLS[solver](n),
    wrong=[
        Wrong(
            lambda n, solver: 2 * n if solver == "heun" else n,
            "Heun's last step goes to σ = 0, where the second slope is not computed: "
            "it costs one call, not two.",
        ),
        Wrong(
            lambda n, solver: n,
            "This counts steps. Heun calls the network twice in a step, except in the last.",
        ),
        Wrong(
            lambda n, solver: 2 * n - 1,
            "Only Heun evaluates two slopes in a step. "
            "Euler and DPM-Solver++(2M) call the network once.",
        ),
        Wrong(
            lambda n, solver: n if solver == "euler" else 2 * n - 1,
            "DPM-Solver++(2M) is of second order with one call a step: "
            "it uses the denoised picture of the step before again.",
        ),
        Wrong(
            lambda n, solver: 2 * n + 1 if solver == "heun" else n,
            "The last step of Heun saves a call, it does not cost one more. "
            "Try n = 1: a single Euler step.",
        ),
        Wrong(
            lambda n, solver: 2 * (n - 1) if solver == "heun" else n,
            "The last step of Heun has one call, not none. Try n = 1: a single Euler step.",
        ),
    ],
)
