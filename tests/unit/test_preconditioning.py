"""Preconditioning: the formulas of the four papers, and what EDM's are for, measured on real
pictures.
"""

import json
import math
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from fewstep import preconditioning, schedules
from fewstep.denoisers import Gaussian
from fewstep.preconditioning import Denoiser
from fewstep.processes import VP
from fewstep.schedules import iddpm_levels

ALL = {
    "edm": preconditioning.edm(0.5),
    "vp": preconditioning.vp(),
    "ve": preconditioning.ve(),
    "iddpm": preconditioning.iddpm(),
}
every = pytest.mark.parametrize("p", ALL.values(), ids=ALL)
SIGMAS = torch.tensor([0.002, 0.02, 0.5, 3.0, 80.0], dtype=torch.float64)


def max_abs(a, b):
    return float((a - b).abs().max())


def digits():
    from sklearn.datasets import load_digits

    return torch.from_numpy(load_digits().data) / 8 - 1  # (1797, 64) in [−1, 1]


def fashion_mnist():
    raw = (
        Path(os.environ.get("FEWSTEP_DATA", "")) / "FashionMNIST" / "raw" / "t10k-images-idx3-ubyte"
    )
    if "FEWSTEP_DATA" not in os.environ or not raw.exists():
        pytest.skip("FEWSTEP_DATA names no folder with FashionMNIST/raw/t10k-images-idx3-ubyte")
    pixels = np.frombuffer(raw.read_bytes(), dtype=np.uint8, offset=16).reshape(10_000, 784)[:2000]
    return torch.from_numpy(pixels.copy()).double() / 127.5 - 1


# --- what EDM's coefficients are for


@pytest.mark.parametrize("data", [digits, fashion_mnist])
@pytest.mark.parametrize("sigma", [0.002, 0.1, 0.5, 2.0, 80.0])
def test_edm_inputs_and_targets_have_unit_variance_on_real_data(data, sigma):
    """With σ_data the measured standard deviation of the pixels, both what the network sees and
    what it must return vary by 1.
    """
    x0, sigma = data(), torch.tensor(sigma, dtype=torch.float64)
    p = preconditioning.edm(float(x0.std()))
    x = x0 + sigma * torch.randn(
        x0.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0)
    )
    network_input = p.c_in(sigma) * x
    target = (x0 - p.c_skip(sigma) * x) / p.c_out(sigma)  # what F must be for D to be x0
    assert float(network_input.var()) == pytest.approx(1, abs=0.02)
    assert float(target.var()) == pytest.approx(1, abs=0.02)


def test_a_wrong_sigma_data_is_seen():
    """With σ_data half as large again, inputs are too small where noise is low, and targets where
    it is high.
    """
    x0 = digits()
    p = preconditioning.edm(1.5 * float(x0.std()))
    noise = torch.randn(x0.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    low, high = torch.tensor(0.02).double(), torch.tensor(20.0).double()
    assert float((p.c_in(low) * (x0 + low * noise)).var()) == pytest.approx(1 / 1.5**2, abs=0.02)
    target = (x0 - p.c_skip(high) * (x0 + high * noise)) / p.c_out(high)
    assert float(target.var()) == pytest.approx(1 / 1.5**2, abs=0.02)


@pytest.mark.parametrize("sigma", [0.02, 0.3, 0.5, 1.0, 20.0])
def test_edm_skip_amplifies_errors_least(sigma):
    """For any c_skip, unit-variance targets need c_out² = Var[x0 − c_skip x], by which D
    multiplies the network's error.

    EDM's c_skip is where that is smallest, found here by trying all c_skip on a grid, on the
    digits.
    """
    x0 = digits()
    x0 = x0 - x0.mean()
    noise = torch.randn(x0.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    p, sigma = preconditioning.edm(float(x0.std())), torch.tensor(sigma, dtype=torch.float64)
    c_skip = torch.linspace(0, 1, 201, dtype=torch.float64)
    amplification = torch.stack(
        [((1 - c) * x0 - c * sigma * noise).square().mean() for c in c_skip]
    )
    assert float(c_skip[amplification.argmin()]) == pytest.approx(float(p.c_skip(sigma)), abs=0.01)
    assert float(amplification.min()) == pytest.approx(float(p.c_out(sigma)) ** 2, rel=0.02)


# --- the formulas


def test_edm_by_hand():
    p, v = ALL["edm"], 0.25
    for sigma in SIGMAS.tolist():
        s = torch.tensor(sigma, dtype=torch.float64)
        assert float(p.c_skip(s)) == pytest.approx(v / (sigma**2 + v))
        assert float(p.c_out(s)) == pytest.approx(sigma * 0.5 / math.sqrt(sigma**2 + v))
        assert float(p.c_in(s)) == pytest.approx(1 / math.sqrt(sigma**2 + v))
        assert float(p.c_noise(s)) == pytest.approx(math.log(sigma) / 4)
        assert float(p.weight(s)) == pytest.approx((sigma**2 + v) / (sigma * 0.5) ** 2)


@pytest.mark.parametrize(
    "name, out, scale", [("vp", -1, True), ("iddpm", -1, True), ("ve", 1, False)]
)
def test_the_others_by_hand(name, out, scale):
    p = ALL[name]
    assert max_abs(p.c_skip(SIGMAS), torch.ones(5)) == 0
    assert max_abs(p.c_out(SIGMAS), out * SIGMAS) == 0
    assert max_abs(p.c_in(SIGMAS), 1 / (SIGMAS**2 + 1).sqrt() if scale else torch.ones(5)) < 1e-15


def test_c_noise_is_what_each_network_was_trained_with():
    t = torch.linspace(0.001, 1, 50, dtype=torch.float64)
    assert max_abs(ALL["vp"].c_noise(VP().sigma(t)), 999 * t) < 1e-9
    assert max_abs(ALL["ve"].c_noise(SIGMAS), torch.log(SIGMAS / 2)) < 1e-15
    assert max_abs(ALL["edm"].c_noise(SIGMAS), torch.log(SIGMAS) / 4) < 1e-15
    levels = iddpm_levels()
    j = torch.tensor([0, 8, 500, 999])
    assert max_abs(ALL["iddpm"].c_noise(levels[j]), 999 - j) == 0
    between = 0.6 * levels[500] + 0.4 * levels[501]  # nearer to u_500
    assert float(ALL["iddpm"].c_noise(between)) == 999 - 500


@every
def test_weight_cancels_the_output_scale(p):
    """λ c_out² = 1: at every noise level the loss is the plain squared error of the network's own
    output.
    """
    assert max_abs(p.weight(SIGMAS) * p.c_out(SIGMAS) ** 2, torch.ones(5)) < 1e-12


@settings(max_examples=50, deadline=None)
@given(sigma=st.floats(1e-3, 1e3), sigma_data=st.floats(0.01, 10))
def test_edm_identities_for_any_parameters(sigma, sigma_data):
    """Input variance c_in² (σ_data² + σ²), target variance [(1 − c_skip)² σ_data² + c_skip²
    σ²]/c_out² and λ c_out²: all 1.
    """
    p, s = preconditioning.edm(sigma_data), torch.tensor(sigma, dtype=torch.float64)
    c_skip, c_out, c_in = float(p.c_skip(s)), float(p.c_out(s)), float(p.c_in(s))
    assert c_in**2 * (sigma_data**2 + sigma**2) == pytest.approx(1)
    assert ((1 - c_skip) ** 2 * sigma_data**2 + c_skip**2 * sigma**2) / c_out**2 == pytest.approx(1)
    assert float(p.weight(s)) * c_out**2 == pytest.approx(1)


# --- the wrapper


class Recorder(nn.Module):
    """A network that keeps what it was given and returns a fixed function of it."""

    def forward(self, x, c_noise, labels=None):
        self.seen = x, c_noise, labels
        return 0.5 * x + c_noise.reshape(-1, *[1] * (x.ndim - 1))


@every
def test_denoiser_is_skip_plus_network(p):
    """D = c_skip x + c_out F(c_in x; c_noise), written out sample by sample."""
    network = Recorder()
    x, labels = torch.randn(5, 1, 4, 4, dtype=torch.float64), torch.arange(5)
    D = Denoiser(network, p)(x, SIGMAS, labels)
    network_input, c_noise, labels_seen = network.seen
    assert network_input.dtype == c_noise.dtype == torch.float32 and c_noise.shape == (5,)
    assert labels_seen is labels
    for i, sigma in enumerate(SIGMAS):
        F = 0.5 * p.c_in(sigma) * x[i] + p.c_noise(sigma)
        expected = p.c_skip(sigma) * x[i] + p.c_out(sigma) * F
        assert max_abs(D[i], expected) < 1e-5 * float(expected.abs().max())


@every
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_denoiser_returns_the_type_and_shape_of_x(p, dtype):
    denoiser = Denoiser(Recorder(), p)
    for shape in ((3, 1, 8, 8), (3, 2)):
        x = torch.randn(shape, dtype=dtype)
        one = denoiser(x, 0.7)
        assert one.shape == x.shape and one.dtype == dtype
        for sigma in (
            torch.tensor(0.7),
            torch.tensor([0.7]),
            torch.full((3,), 0.7, dtype=torch.float64),
        ):
            assert max_abs(denoiser(x, sigma), one) < 1e-6 * float(one.abs().max())


@every
@pytest.mark.parametrize("batch", [1, 3])
def test_only_the_network_runs_in_half_precision(p, batch):
    """Whatever the type of F, c_skip x + c_out F is formed in the type of x."""

    class Half(Recorder):
        def forward(self, x, c_noise, labels=None):
            return torch.sin(x).bfloat16()

    x, sigma = torch.randn(batch, 2), torch.tensor(0.7, dtype=torch.float64)
    F = torch.sin(p.c_in(sigma).float() * x).bfloat16().double()
    D = Denoiser(Half(), p)(x, sigma)
    assert D.dtype == torch.float32
    assert max_abs(D, p.c_skip(sigma) * x.double() + p.c_out(sigma) * F) < 1e-6


def test_the_perfect_network_gives_the_exact_denoiser():
    """F = (D* − c_skip x)/c_out for Gaussian data, as a network in its own variables, wrapped: D*
    comes back.
    """
    data, p = Gaussian(torch.zeros(2), torch.tensor([[0.3, 0.1], [0.1, 0.2]])), ALL["edm"]

    class Perfect(nn.Module):
        def forward(self, x, c_noise, labels=None):
            sigma = torch.exp(4 * c_noise.double())
            column = sigma[:, None]
            x = x.double() / p.c_in(column)
            return (data(x, sigma) - p.c_skip(column) * x) / p.c_out(column)

    x = torch.randn(5, 2, dtype=torch.float64) * SIGMAS[:, None]
    error = (Denoiser(Perfect(), p)(x, SIGMAS) - data(x, SIGMAS)).abs()
    assert float(error.max()) < 1e-5


# --- extra channels


class Twice(nn.Module):
    """A network with as many channels again, for a learned variance; it may not say so."""

    def __init__(self, extra_channels=None):
        super().__init__()
        if extra_channels is not None:
            self.extra_channels = extra_channels

    def forward(self, x, c_noise, labels=None):
        return torch.cat([torch.sin(x), 1000 + x], 1)


class Once(nn.Module):
    def forward(self, x, c_noise, labels=None):
        return torch.sin(x)


@every
@pytest.mark.parametrize("shape", [(4, 3, 5, 5), (4, 3)])
def test_extra_channels_stand_beside_the_mean_and_not_in_it(p, shape):
    x, sigma = torch.randn(shape), torch.tensor([0.1, 0.5, 2.0, 40.0]).double()
    D = Denoiser(Twice(3), p)
    assert D.extra_channels == 3
    plain = D(x, sigma)
    mean, more = D(x, sigma, extra=True)
    assert plain.shape == mean.shape == more.shape == x.shape
    assert max_abs(plain, Denoiser(Once(), p)(x, sigma)) == max_abs(mean, plain) == 0
    seen = (p.c_in(sigma).float().reshape(-1, *[1] * (x.ndim - 1)) * x).float()
    assert max_abs(more, 1000 + seen) < 1e-3


@every
def test_without_extra_channels_there_are_none(p):
    mean, more = Denoiser(Once(), p)(torch.ones(2, 3, 4), 0.5, extra=True)
    assert mean.shape == (2, 3, 4) and more.shape == (2, 0, 4)


@pytest.mark.parametrize("said", [None, 0, 1, 6])
def test_channels_that_were_not_declared_are_refused(said):
    """Else 2C channels would be broadcast, or taken for a mean."""
    for extra in (False, True):
        with pytest.raises(ValueError, match="network.x..shape = .2, 6, 4.: must be"):
            Denoiser(Twice(said), ALL["edm"])(torch.ones(2, 3, 4), 0.5, extra=extra)


# --- what travels with a network


CHAINS = {
    "linear": schedules.linear(100),
    "cosine": schedules.cosine(50),
    "one step": schedules.Chain([0.5]),
}
every_chain = pytest.mark.parametrize("chain", CHAINS.values(), ids=CHAINS)


def test_range_and_levels_of_each():
    u, chain = iddpm_levels(), CHAINS["linear"]
    ends = {
        "edm": (0.0, math.inf),
        "vp": (float(VP().sigma(1e-5)), float(VP().sigma(1))),
        "ve": (0.02, 100.0),
        "iddpm": (float(u[-2]), float(u[0])),
        "chain": (float(chain.sigmas[1]), float(chain.sigmas[100])),
    }
    lists = {"iddpm": u[:-1], "chain": chain.sigmas[1:].flip(0)}
    for name, p in (ALL | {"chain": preconditioning.chain(chain)}).items():
        D = Denoiser(Once(), p)
        assert (D.sigma_min, D.sigma_max) == ends[name]
        if name in lists:
            assert torch.equal(D.levels, lists[name]) and bool((D.levels.diff() < 0).all())
        else:
            assert D.levels is None


@every_chain
def test_the_chain_is_asked_for_its_own_t(chain):
    t = torch.arange(1, chain.T + 1)
    assert torch.equal(preconditioning.chain(chain).c_noise(chain.sigmas[t]), t.double())


def test_a_level_between_two_of_the_chain_takes_the_nearer():
    chain = CHAINS["linear"]
    p, (low, high) = preconditioning.chain(chain), chain.sigmas[40:42].tolist()
    between = torch.tensor([0.6 * low + 0.4 * high, 0.4 * low + 0.6 * high, 1e9, 1e-9])
    assert p.c_noise(between.double()).tolist() == [40, 41, 100, 1]


@every_chain
def test_the_chain_denoises_as_its_formula_says(chain):
    """A network that answers ε(x_t, t): D(x_t/√ᾱ_t, σ_t) is (x_t − √(1−ᾱ_t) ε)/√ᾱ_t at every t."""
    eps = lambda x_t, t: torch.sin(3 * x_t) + t.reshape(-1, 1) / 50

    class Epsilon(nn.Module):
        def forward(self, x, c_noise, labels=None):
            return eps(x, c_noise)

    t = torch.arange(1, chain.T + 1)
    a = chain.alpha_bars[t][:, None]
    x_t = torch.randn(chain.T, 2, generator=torch.Generator().manual_seed(0)).double()
    D = Denoiser(Epsilon(), preconditioning.chain(chain))(x_t / a.sqrt(), chain.sigmas[t])
    expected = (x_t - (1 - a).sqrt() * eps(x_t, t)) / a.sqrt()
    assert max_abs(D * a.sqrt(), expected * a.sqrt()) < 1e-5  # float32 in the network


NOT_DEFAULT = {
    "edm": preconditioning.edm(0.7),
    "vp": preconditioning.vp(VP(10.0, 0.3), M=500, t_min=1e-3),
    "ve": preconditioning.ve(0.05, 50.0),
    "iddpm": preconditioning.iddpm(np.int64(300)),
    "chain": preconditioning.chain(schedules.sigmoid_beta(30)),
}


@pytest.mark.parametrize("name", NOT_DEFAULT)
def test_rebuilt_from_json_it_is_the_same(name):
    p = NOT_DEFAULT[name]
    again = preconditioning.rebuild(p.name, json.loads(json.dumps(p.settings)))
    for function in ("c_skip", "c_out", "c_in", "c_noise", "weight"):
        assert max_abs(getattr(again, function)(SIGMAS), getattr(p, function)(SIGMAS)) == 0
    assert (again.name, again.settings) == (p.name, p.settings) and p.name == name
    assert (again.sigma_min, again.sigma_max) == (p.sigma_min, p.sigma_max)
    assert p.levels is again.levels is None or torch.equal(again.levels, p.levels)


# --- compiled, differentiated, vectorised


class Layer(nn.Module):
    def forward(self, x, c_noise, labels=None):
        shift = c_noise if labels is None else c_noise + labels
        return torch.sin(x) + shift.reshape(-1, 1)


@pytest.mark.parametrize("p", (ALL | NOT_DEFAULT).values(), ids=ALL | NOT_DEFAULT)
def test_compiles_whole_and_differentiates(p):
    """In one graph, with no break where a value would be looked at."""
    torch.compiler.reset()
    D, x, labels = Denoiser(Layer(), p), torch.randn(5, 2), torch.arange(5)
    compiled = torch.compile(D, fullgraph=True, backend="eager")
    for sigma in (SIGMAS, 0.7):
        assert max_abs(compiled(x, sigma, labels), D(x, sigma, labels)) < 1e-5
    value, slope = torch.func.jvp(lambda x: D(x, 0.7), (x,), (x,))
    assert max_abs(value, D(x, 0.7)) < 1e-6 and slope.shape == x.shape
    assert max_abs(torch.func.vmap(lambda x: D(x, 0.7))(x[None]), D(x, 0.7)) < 1e-6
