"""Discrete chains: their marginals, their posterior, and the schedules by name."""

import math

import pytest
import torch

from fewstep import schedules
from fewstep.processes import VP

CHAINS = {
    "linear": schedules.linear(100),
    "linear-1000": schedules.linear(1000),
    "quadratic": schedules.quadratic(100),
    "sigmoid-beta": schedules.sigmoid_beta(100),
    "sigmoid-alpha-bar": schedules.sigmoid_alpha_bar(100),
    "cosine": schedules.cosine(100),
    "from-vp": schedules.from_process(VP(), 100),
    "one-step": schedules.cosine(1),
}
every_chain = pytest.mark.parametrize("chain", CHAINS.values(), ids=CHAINS)


def max_abs(a, b):
    return float((torch.as_tensor(a) - b).abs().max())


# --- what every chain is


@every_chain
def test_marginals_by_composing_the_steps(chain):
    """x_t = √(1 − β_t) x_{t−1} + √β_t ε, one step after the other: the mean is √ᾱ_t x_0, the
    variance 1 − ᾱ_t.
    """
    mean, variance = 1.0, 0.0
    for t, beta in enumerate(chain.betas.tolist(), start=1):
        mean, variance = math.sqrt(1 - beta) * mean, (1 - beta) * variance + beta
        alpha_bar = float(chain.alpha_bars[t])
        assert mean == pytest.approx(math.sqrt(alpha_bar), rel=1e-9)
        assert variance == pytest.approx(1 - alpha_bar, rel=1e-9)
        assert float(chain.sigmas[t]) == pytest.approx(math.sqrt(variance) / mean, rel=1e-9)


@every_chain
def test_arrays_are_float64_and_start_at_the_data(chain):
    assert len(chain.betas) == chain.T and len(chain.alpha_bars) == len(chain.sigmas) == chain.T + 1
    assert chain.betas.dtype == chain.alpha_bars.dtype == chain.sigmas.dtype == torch.float64
    assert chain.alpha_bars[0] == 1 and chain.sigmas[0] == 0
    assert bool((chain.alpha_bars.diff() < 0).all()) and bool((chain.sigmas.diff() > 0).all())


def test_perturb_draws_from_the_marginal():
    chain, n = CHAINS["cosine"], 40_000
    noise = torch.randn(n, 1, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    x0 = torch.full((n, 1), 3.0, dtype=torch.float64)
    for t in (1, 50, 100):
        x = chain.perturb(x0, t, noise)
        assert float(x.mean()) == pytest.approx(3 * float(chain.alpha_bars[t].sqrt()), abs=0.03)
        assert float(x.var()) == pytest.approx(1 - float(chain.alpha_bars[t]), rel=0.03)
    assert max_abs(chain.perturb(x0, 0, noise), x0) == 0


def test_perturb_and_posterior_take_one_step_number_per_sample():
    chain, t = CHAINS["linear"], torch.tensor([1, 40, 100])
    x0, noise = torch.randn(3, 1, 2, 2), torch.randn(3, 1, 2, 2)
    x_t = chain.perturb(x0, t, noise)
    mean, variance = chain.posterior(x_t, x0, t)
    assert x_t.dtype == mean.dtype == torch.float32 and variance.shape == (3,)
    for i in range(3):
        row = slice(i, i + 1)
        assert max_abs(chain.perturb(x0[row], int(t[i]), noise[row]), x_t[row]) < 1e-6
        one_mean, one_variance = chain.posterior(x_t[row], x0[row], int(t[i]))
        assert max_abs(one_mean, mean[row]) < 1e-6 and max_abs(one_variance, variance[i]) < 1e-15


# --- the posterior


@pytest.mark.parametrize("t", [2, 10, 60, 100])
def test_posterior_is_bayes_rule(t):
    """q(x_{t−1} | x_t, x_0) ∝ q(x_t | x_{t−1}) q(x_{t−1} | x_0): multiplied out on a grid, in one
    dimension.
    """
    chain, x0, x_t = CHAINS["linear"], 0.7, -0.4
    beta, before = chain.betas[t - 1], chain.alpha_bars[t - 1]
    x = torch.linspace(-8, 8, 400_001, dtype=torch.float64)
    log_density = -((x_t - (1 - beta).sqrt() * x) ** 2) / (2 * beta) - (
        x - before.sqrt() * x0
    ) ** 2 / (2 * (1 - before))
    weights = torch.softmax(log_density, dim=0)
    mean = (weights * x).sum()
    variance = (weights * (x - mean) ** 2).sum()
    tensor = lambda value: torch.full((1, 1), value, dtype=torch.float64)
    formula_mean, formula_variance = chain.posterior(tensor(x_t), tensor(x0), t)
    assert float(formula_mean) == pytest.approx(float(mean), abs=1e-8)
    assert float(formula_variance) == pytest.approx(float(variance), rel=1e-6)


@every_chain
def test_posterior_of_the_first_step_is_the_data(chain):
    """At t = 1 the variance is exactly 0 and the mean is x_0: the last sampling step adds no
    noise.
    """
    x0, x1 = torch.randn(4, 2, dtype=torch.float64), torch.randn(4, 2, dtype=torch.float64)
    mean, variance = chain.posterior(x1, x0, 1)
    assert float(variance) == 0 and max_abs(mean, x0) < 1e-12


# --- the schedules by name


def test_linear_scales_with_T():
    """Ho et al. 2020 at T = 1000; at other T the chain ends at about the same ᾱ_T."""
    assert (
        max_abs(CHAINS["linear-1000"].betas, torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64))
        == 0
    )
    assert float(CHAINS["linear-1000"].alpha_bars[-1]) == pytest.approx(4.036e-5, rel=1e-3)
    ends = [float(schedules.linear(T).alpha_bars[-1].log()) for T in (250, 500, 1000, 4000)]
    assert max(ends) - min(ends) < 0.4
    assert (
        max_abs(
            schedules.linear(10, 0.1, 0.2).betas, torch.linspace(0.1, 0.2, 10, dtype=torch.float64)
        )
        == 0
    )


def test_linear_refuses_chains_so_short_that_beta_reaches_one():
    with pytest.raises(ValueError, match=r"beta_start, beta_end = \(0.005, 1.0\).*only T > 20"):
        schedules.linear(20)
    assert schedules.linear(21).T == 21


def test_cosine_follows_its_curve_until_it_is_clipped():
    chain = schedules.cosine(1000)
    t = torch.arange(1001, dtype=torch.float64) / 1000
    curve = torch.cos(math.pi / 2 * (t + 0.008) / 1.008) ** 2
    assert max_abs(chain.alpha_bars[:-1] / (curve / curve[0])[:-1], torch.ones(1000)) < 1e-9
    assert (
        chain.betas.max() == chain.betas[-1] == 0.999
    )  # unclipped it would be 1: ᾱ_T = 0 and σ_T = ∞
    assert chain.alpha_bars[-1] > 0


def test_the_two_sigmoid_schedules_are_two():
    """Sigmoid β: β itself runs along a sigmoid.

    Sigmoid ᾱ: the share of the data's variance does.
    """
    beta, alpha_bar = schedules.sigmoid_beta(1000), schedules.sigmoid_alpha_bar(1000)
    u = torch.linspace(0, 1, 1000, dtype=torch.float64)
    by_hand = 1e-4 + (0.02 - 1e-4) / (1 + torch.exp(6 - 12 * u))
    assert max_abs(beta.betas, by_hand) < 1e-15
    curve = 1 / (1 + torch.exp(-3 + 6 * torch.arange(1001, dtype=torch.float64) / 1000))
    by_hand = (curve - curve[-1]) / (curve[0] - curve[-1])
    assert max_abs(alpha_bar.alpha_bars[:-1], by_hand[:-1]) < 1e-12 and alpha_bar.betas[-1] == 0.999
    assert (
        float(alpha_bar.alpha_bars[500]) == pytest.approx(0.5) and float(beta.alpha_bars[500]) < 0.4
    )


def test_quadratic_has_equal_steps_in_the_root_of_beta():
    chain = schedules.quadratic(200, 1e-4, 0.02)
    steps = chain.betas.sqrt().diff()
    assert max_abs(steps, steps[0]) < 1e-14
    assert float(chain.betas[0]) == pytest.approx(1e-4) and float(chain.betas[-1]) == pytest.approx(
        0.02
    )


@pytest.mark.parametrize("T", [1, 10, 1000])
def test_chain_of_a_process_has_its_levels(T):
    times = torch.arange(T + 1, dtype=torch.float64) / T
    chain = schedules.from_process(VP(4.0, 0.1), T)  # so mild that no β is clipped, even for T = 1
    assert max_abs(chain.sigmas, VP(4.0, 0.1).sigma(times)) < 1e-9
