"""Noising processes: noise level, scale and SDE are one thing seen from three sides."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fewstep.processes import EDM, VE, VP, FromSDE, SubVP


def beta(t):
    return 0.1 + 19.9 * t


def growth(t):
    """B(t) = ∫₀ᵗ β."""
    return 0.1 * t + 0.5 * 19.9 * t**2


SUB_VP = FromSDE(lambda t: -beta(t) / 2, lambda t: np.sqrt(beta(t) * -np.expm1(-2 * growth(t))))
PROCESSES = {
    "edm": EDM(),
    "ve": VE(),
    "vp": VP(),
    "vp-levels": VP.with_levels(0.02, 100),
    "vp-from-sde": FromSDE(lambda t: -beta(t) / 2, lambda t: np.sqrt(beta(t))),
    "sub-vp": SubVP(),
    "sub-vp-from-sde": SUB_VP,
}
every_process = pytest.mark.parametrize("process", PROCESSES.values(), ids=PROCESSES)


def times(process, n=50):
    """Times inside the domain, away from t = 0, where σ̇ of some processes is infinite."""
    return torch.linspace(0.01, min(process.domain[1], 5.0) - 0.01, n, dtype=torch.float64)


def max_abs(a, b):
    return float((a - b).abs().max())


# --- σ, s and their derivatives


@every_process
def test_sigma_inv_undoes_sigma(process):
    t = torch.cat([torch.zeros(1, dtype=torch.float64), times(process)])
    assert max_abs(process.sigma_inv(process.sigma(t)), t) < 1e-9


@every_process
def test_derivatives_agree_with_finite_differences(process):
    t, h = times(process), 1e-5
    dsigma = (process.sigma(t + h) - process.sigma(t - h)) / (2 * h)
    ds = (process.s(t + h) - process.s(t - h)) / (2 * h)
    assert max_abs(process.dsigma(t) / dsigma, torch.ones_like(t)) < 1e-5
    assert max_abs(process.ds(t), ds) < 1e-6


@every_process
def test_levels_rise_from_zero_and_scales_start_at_one(process):
    t = torch.linspace(0, min(process.domain[1], 5.0), 200, dtype=torch.float64)
    sigma = process.sigma(t)
    assert sigma[0] == 0 and process.s(0.0) == 1
    assert bool((sigma.diff() > 0).all())


@every_process
def test_highest_level_is_sigma_at_the_end_of_the_domain(process):
    end = process.domain[1]
    assert process.sigma_max == (float(process.sigma(end)) if end < np.inf else np.inf)


@every_process
def test_float64_out_in_the_shape_of_t(process):
    for t in (0.5, torch.tensor(0.5, dtype=torch.float32), torch.full((3, 2), 0.5)):
        for function in (
            process.sigma,
            process.dsigma,
            process.s,
            process.ds,
            process.f,
            process.g,
            process.sigma_inv,
        ):
            result = function(t)
            assert result.dtype == torch.float64 and result.shape == torch.as_tensor(t).shape


# --- the SDE


@every_process
def test_drift_and_diffusion_follow_from_s_and_sigma(process):
    t = times(process)
    assert max_abs(process.f(t), process.ds(t) / process.s(t)) < 1e-9
    assert (
        max_abs(process.g(t), process.s(t) * (2 * process.dsigma(t) * process.sigma(t)).sqrt())
        < 1e-9
    )


def test_drift_and_diffusion_by_hand():
    t = torch.linspace(0, 1, 11, dtype=torch.float64)  # t = 0 included: g must not be 0 · ∞ there
    assert max_abs(VP().f(t), -beta(t) / 2) < 1e-12 and max_abs(VP().g(t) ** 2, beta(t)) < 1e-12
    assert max_abs(VE().f(t), 0 * t) == 0 and max_abs(VE().g(t), torch.ones_like(t)) == 0
    assert max_abs(EDM().f(t), 0 * t) == 0 and max_abs(EDM().g(t) ** 2, 2 * t) < 1e-12
    for process in (SubVP(), SUB_VP):
        assert max_abs(process.g(t) ** 2, beta(t) * -torch.expm1(-2 * growth(t))) < 1e-12


def test_from_sde_finds_vp():
    t = torch.linspace(0, 1, 101, dtype=torch.float64)
    process = PROCESSES["vp-from-sde"]
    assert max_abs(process.s(t), VP().s(t)) < 1e-10
    assert max_abs(process.sigma(t)[1:] / VP().sigma(t)[1:], torch.ones(100)) < 1e-9


def test_from_sde_finds_sub_vp():
    """σ = 2 sinh(B/2) (Song et al. 2021, eq. 29).

    There x_t has mean e^{−B/2} x_0 and standard deviation 1 − e^{−B}.
    """
    t = torch.linspace(0.001, 1, 101, dtype=torch.float64)
    assert max_abs(SUB_VP.s(t), torch.exp(-growth(t) / 2)) < 1e-10
    assert max_abs(SUB_VP.sigma(t) / (2 * torch.sinh(growth(t) / 2)), torch.ones(101)) < 1e-6
    assert max_abs(SubVP().s(t) * SubVP().sigma(t), -torch.expm1(-growth(t))) < 1e-12


@every_process
def test_marginals_of_the_sde(process):
    """The mean and variance of Euler–Maruyama's forward paths from x_0 = 1, by their exact
    recursion, tend to s and s²σ².
    """
    end, n = min(process.domain[1], 2.0), 20_000
    h, mean, variance = end / n, 1.0, 0.0
    t = torch.arange(n, dtype=torch.float64) * h
    for f, g in zip(process.f(t).tolist(), process.g(t).tolist()):
        mean, variance = mean * (1 + f * h), variance * (1 + f * h) ** 2 + g**2 * h
    assert mean == pytest.approx(float(process.s(end)), rel=2e-3)
    assert variance == pytest.approx(float(process.s(end) * process.sigma(end)) ** 2, rel=2e-3)


@every_process
def test_simulated_paths_and_perturb_have_the_same_marginals(process):
    """20,000 paths of dx = f x dt + g dw from x_0 = 2, and as many draws of ``perturb``: standard
    errors are about 0.7 %.
    """
    end, steps, n = min(process.domain[1], 1.0) * 0.5, 400, 20_000
    generator = torch.Generator().manual_seed(0)
    noise = lambda: torch.randn(n, 1, dtype=torch.float64, generator=generator)
    h, t = end / steps, torch.arange(steps, dtype=torch.float64) * end / steps
    x = x0 = torch.full((n, 1), 2.0, dtype=torch.float64)
    for f, g in zip(process.f(t), process.g(t)):
        x = x + f * x * h + g * h**0.5 * noise()
    s, sigma = process.s(end), process.sigma(end)
    for draws in (x, process.perturb(x0, end, noise())):
        assert abs(draws.mean() - 2 * s) < 0.04 * s * sigma
        assert draws.std() == pytest.approx(float(s * sigma), rel=0.04)


def test_perturb_takes_one_time_per_sample():
    x0, noise, t = torch.randn(3, 1, 4, 4), torch.randn(3, 1, 4, 4), torch.tensor([0.1, 0.5, 1.0])
    rows = [VP().perturb(x0[i : i + 1], t[i], noise[i : i + 1]) for i in range(3)]
    result = VP().perturb(x0, t, noise)
    assert max_abs(result, torch.cat(rows)) < 1e-6 and result.dtype == torch.float32


# --- VP in particular


def test_vp_keeps_unit_variance():
    t = torch.linspace(0, 1, 101, dtype=torch.float64)
    for process in (VP(), VP(5.0, 0.5), VP.with_levels(0.01, 50)):
        assert max_abs(process.s(t) ** 2 * (1 + process.sigma(t) ** 2), torch.ones(101)) < 1e-12


@pytest.mark.parametrize(
    "low, high, t_min", [(0.02, 100, 1e-3), (0.01, 80, 1e-3), (0.002, 80, 1e-5), (0.1, 10, 0.01)]
)
def test_vp_with_levels_hits_them(low, high, t_min):
    process = VP.with_levels(low, high, t_min)
    assert float(process.sigma(t_min)) == pytest.approx(low, rel=1e-9)
    assert float(process.sigma(1.0)) == pytest.approx(high, rel=1e-9)


def test_vp_with_default_levels_is_the_default_schedule():
    """Solving for the levels that the default schedule has gives the default schedule back; other
    levels give another one.
    """
    same = VP.with_levels(float(VP().sigma(1e-3)), float(VP().sigma(1.0)))
    assert same.beta_d == pytest.approx(19.9, rel=1e-6) and same.beta_min == pytest.approx(
        0.1, rel=1e-6
    )
    assert VP.with_levels(0.02, 80).beta_d != pytest.approx(19.9, rel=0.01)


def test_edm_s_own_levels_make_beta_negative_near_zero():
    """Karras et al.'s VP row with σ from 0.002 to 80 has β_min < 0: the process is there at t = 0
    and from −2 β_min/β_d on, which lies below their smallest time, 1e-3; in between it is not.
    """
    process = VP.with_levels(0.002, 80)
    assert process.beta_min < 0 < process.beta(1e-3)
    start = -2 * process.beta_min / process.beta_d
    t = torch.linspace(start, 1, 1001, dtype=torch.float64)
    assert start < 1e-3 and bool((process.sigma(t).diff() > 0).all())
    assert max_abs(process.sigma_inv(process.sigma(t[1:])), t[1:]) < 1e-9
    assert process.sigma_inv(0.0) == 0 and process.sigma(0.0) == 0


# --- SDEs given by their coefficients


def test_from_sde_resolves_peaks_and_jumps():
    """A Gaussian peak of g of width 1e-5, and a jump: σ² in closed form."""
    peak = FromSDE(lambda t: 0 * t, lambda t: np.exp(-(((t - 0.3) / 1e-5) ** 2)), points=[0.3])
    assert float(peak.sigma(1.0)) ** 2 == pytest.approx(1e-5 * np.sqrt(np.pi / 2), rel=1e-9)
    jump = FromSDE(lambda t: 0 * t, lambda t: 1.0 + (t > 1 / 3))
    assert float(jump.sigma(1.0)) ** 2 == pytest.approx(1 / 3 + 4 * 2 / 3, rel=1e-8)


def test_sigma_inv_where_the_diffusion_rests():
    """Where g = 0 the level stays; its time is found all the same, at an end of the pause."""
    process = FromSDE(lambda t: 0 * t, lambda t: (t < 0.3) | (t > 0.6), points=[0.3, 0.6])
    t = torch.tensor([0.1, 0.29, 0.61, 1.0], dtype=torch.float64)
    assert max_abs(process.sigma_inv(process.sigma(t)), t) < 1e-9


@pytest.mark.parametrize(
    "drift, diffusion",
    [
        (lambda t: -t, lambda t: np.sqrt(np.abs(np.sin(1e6 * t)))),
        (lambda t: -1 / (t + 1e-12) ** 2, lambda t: 1 + t),
    ],
    ids=["too fast", "singular"],
)
def test_from_sde_gives_up_in_bounded_time(drift, diffusion):
    with pytest.raises(ValueError, match="rough near t = .* 20,000 panels|within float64"):
        FromSDE(drift, diffusion).sigma(0.5)


# --- any parameters

vps = st.builds(VP, beta_d=st.floats(0, 40), beta_min=st.floats(0.01, 5))
inner_times = st.floats(1e-4, 1)


@settings(max_examples=50, deadline=None)
@given(process=vps, t=inner_times)
def test_vp_round_trip(process, t):
    assert float(process.sigma_inv(process.sigma(t))) == pytest.approx(t, rel=1e-9)


@settings(max_examples=50, deadline=None)
@given(
    process=vps | st.sampled_from([EDM(), VE()]),
    t=st.lists(inner_times, min_size=2, max_size=5, unique=True),
)
def test_sigma_is_increasing(process, t):
    t = torch.tensor(sorted(t), dtype=torch.float64)
    assert bool((process.sigma(t).diff() >= 0).all())
    assert bool((process.s(t).diff() <= 0).all())


@settings(max_examples=20, deadline=None)
@given(process=vps, t=inner_times)
def test_from_sde_agrees_with_any_vp(process, t):
    other = FromSDE(
        lambda t: -(process.beta_min + process.beta_d * t) / 2,
        lambda t: np.sqrt(process.beta_min + process.beta_d * t),
    )
    assert float(other.s(t)) == pytest.approx(float(process.s(t)), rel=1e-8)
    assert float(other.sigma(t)) == pytest.approx(float(process.sigma(t)), rel=1e-6)
