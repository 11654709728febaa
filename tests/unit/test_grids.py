"""Grids of noise levels: float64, strictly decreasing, with the terminal 0 written out."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fewstep import grids, schedules
from fewstep.processes import VP

GRIDS = {
    "edm": grids.edm,
    "vp": grids.vp,
    "ve": grids.ve,
    "iddpm": grids.iddpm,
    "respaced": lambda n: grids.respaced(n, schedules.linear(1000)),
}
every_grid = pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS)


def max_abs(a, b):
    return float((a - b).abs().max())


def assert_is_a_grid(sigmas, n):
    assert sigmas.dtype == torch.float64 and sigmas.shape == (n + 1,)
    assert sigmas[-1] == 0 and bool((sigmas.diff() < 0).all())


@every_grid
@pytest.mark.parametrize("n", [1, 2, 3, 18, 500])
def test_every_grid_is_a_grid(grid, n):
    assert_is_a_grid(grid(n), n)


@every_grid
def test_one_step_goes_from_the_highest_level_to_zero(grid):
    assert float(grid(1)[0]) == float(grid(2)[0]) == float(grid(50)[0])


@every_grid
def test_numpy_counts_are_counts(grid):
    assert max_abs(grid(np.int64(5)), grid(5)) == 0


# --- each by its formula


def test_edm_by_hand():
    n, rho = 18, 7
    high, low = 80 ** (1 / rho), 0.002 ** (1 / rho)
    by_hand = [(high + i / (n - 1) * (low - high)) ** rho for i in range(n)] + [0.0]
    assert (
        max_abs(grids.edm(n) / torch.tensor(by_hand).double().clamp(min=1e-9), grids.edm(n).sign())
        < 1e-6
    )
    assert float(grids.edm(n)[0]) == pytest.approx(80, rel=1e-12)
    assert float(grids.edm(n)[-2]) == pytest.approx(0.002, rel=1e-12)


def test_edm_with_rho_1_is_uniform():
    steps = grids.edm(10, 1.0, 10.0, rho=1)[:-1].diff()
    assert max_abs(steps, torch.full((9,), -1.0)) < 1e-12


def test_ve_is_geometric():
    sigmas = grids.ve(11, 0.01, 100)[:-1]
    assert max_abs(sigmas, 10 ** torch.linspace(2, -2, 11, dtype=torch.float64)) < 1e-11


def test_vp_is_uniform_in_time():
    sigmas = grids.vp(1000)
    assert (
        max_abs(VP().sigma_inv(sigmas[:-1]), torch.linspace(1, 1e-3, 1000, dtype=torch.float64))
        < 1e-12
    )


def test_iddpm_levels_by_independent_code():
    """The recursion again, in plain Python; and at every level that C_1 does not clip, the closed
    form of the cosine schedule.

    Where nothing is clipped, (u_{j−1}² + 1)/(u_j² + 1) = ᾱ_j/ᾱ_{j−1} in the paper's ᾱ, so u² + 1 is
    ᾱ_M/ᾱ_j.
    """
    M, C1, C2 = 1000, 0.001, 0.008
    alpha_bar = [math.sin(math.pi / 2 * j / (M * (C2 + 1))) ** 2 for j in range(M + 1)]
    u = [0.0] * (M + 1)
    for j in range(M, 0, -1):
        u[j - 1] = math.sqrt((u[j] ** 2 + 1) / max(alpha_bar[j - 1] / alpha_bar[j], C1) - 1)
    levels = schedules.iddpm_levels()
    assert levels.dtype == torch.float64 and levels.shape == (1001,) and levels[-1] == 0
    assert max_abs(levels[:-1] / torch.tensor(u, dtype=torch.float64)[:-1], torch.ones(1000)) < 1e-9
    closed = torch.tensor(
        [math.sqrt(alpha_bar[M] / a - 1) for a in alpha_bar[1:M]], dtype=torch.float64
    )
    assert max_abs(levels[1:-1] / closed, torch.ones(999)) < 1e-9
    ends = [
        float(levels[j]) for j in (0, 1, 8, 999)
    ]  # u_0 is where C_1 clips; u_8 is why j_0 = 8: close to EDM's 80
    assert ends == pytest.approx([20291.17, 641.662, 80.2037, 0.0064254], rel=1e-4)


def test_iddpm_takes_levels_from_the_list():
    levels = schedules.iddpm_levels()
    full, few = grids.iddpm(992), grids.iddpm(20)
    assert max_abs(full, levels[8:]) == 0
    assert float(few[0]) == float(levels[8]) and float(few[-2]) == float(levels[999])
    index = [int(8 + i * 991 / 19 + 0.5) for i in range(20)]
    assert max_abs(few[:-1], levels[index]) == 0


def test_respaced_takes_levels_from_the_chain():
    chain = schedules.cosine(100)
    assert max_abs(grids.respaced(100, chain), chain.sigmas.flip(0)) == 0
    few = grids.respaced(7, chain)
    assert float(few[0]) == float(chain.sigmas[100]) and float(few[-2]) == float(chain.sigmas[1])
    assert all(level in chain.sigmas for level in few)


# --- rounding to a network's own levels


def test_round_to_moves_each_level_to_the_nearest_and_keeps_zero():
    levels = schedules.iddpm_levels()
    sigmas = grids.edm(10)
    rounded = grids.round_to(sigmas, levels)
    assert_is_a_grid(
        rounded, 10
    )  # 0.002 is nearer to u_M = 0 than to u_{M−1}, but only 0 itself may become 0
    for sigma, moved in zip(sigmas[:-1], rounded[:-1]):
        assert moved in levels[:-1]
        assert abs(moved - sigma) == (levels[:-1] - sigma).abs().min()
    assert max_abs(grids.round_to(rounded, levels), rounded) == 0


# --- any parameters


@settings(max_examples=60, deadline=None)
@given(
    n=st.integers(1, 200),
    low=st.floats(1e-4, 1),
    factor=st.floats(1.5, 1e5),
    rho=st.floats(0.5, 20),
)
def test_edm_and_ve_with_any_parameters(n, low, factor, rho):
    high = low * factor
    for sigmas in (grids.edm(n, low, high, rho), grids.ve(n, low, high)):
        assert_is_a_grid(sigmas, n)
        assert float(sigmas[0]) == pytest.approx(high, rel=1e-9)
        if n > 1:
            assert float(sigmas[-2]) == pytest.approx(low, rel=1e-6)


@settings(max_examples=40, deadline=None)
@given(
    n=st.integers(1, 200),
    beta_d=st.floats(0, 30),
    beta_min=st.floats(0.01, 5),
    t_min=st.floats(1e-5, 0.5),
)
def test_vp_with_any_parameters(n, beta_d, beta_min, t_min):
    sigmas = grids.vp(n, VP(beta_d, beta_min), t_min)
    assert_is_a_grid(sigmas, n)
    assert float(sigmas[0]) == pytest.approx(VP(beta_d, beta_min).sigma_max, rel=1e-12)


@settings(max_examples=40, deadline=None)
@given(M=st.integers(10, 400), data=st.data())
def test_iddpm_and_respaced_with_any_parameters(M, data):
    j0 = data.draw(st.integers(0, M - 1))
    n = data.draw(st.integers(1, M - j0))
    assert_is_a_grid(grids.iddpm(n, M, j0), n)
    assert_is_a_grid(grids.respaced(n, schedules.cosine(M)), n)


@settings(max_examples=40, deadline=None)
@given(sigmas=st.lists(st.floats(0, 1e4), min_size=2, max_size=10))
def test_check_takes_exactly_the_decreasing_lists(sigmas):
    decreasing = all(a > b for a, b in zip(sigmas, sigmas[1:]))
    if decreasing:
        assert grids.check(sigmas).tolist() == sigmas
    else:
        with pytest.raises(ValueError, match="^sigmas = .*strictly decreasing"):
            grids.check(sigmas)
