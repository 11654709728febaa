"""Denoisers under ``torch.compile``, ``jvp`` and ``vmap``: no Python branch looks at a value."""

import pytest
import torch
from torch.func import jvp, vmap

from fewstep import losses, networks, preconditioning, schedules
from fewstep.denoisers import DataSet, Gaussian, Mixture, given
from fewstep.preconditioning import Denoiser

PRECONDITIONINGS = {
    "edm": preconditioning.edm(0.6),
    "vp": preconditioning.vp(),
    "ve": preconditioning.ve(),
    "iddpm": preconditioning.iddpm(),
    "chain": preconditioning.chain(schedules.cosine(50)),
}


def shaken(**settings):
    """A small U-Net with random weights in every layer: a fresh one answers 0."""
    torch.manual_seed(0)
    network = networks.UNet(1, 8, (1, 2), blocks=1, classes=3, **settings)
    for p in network.parameters():
        torch.nn.init.normal_(p, std=0.2)
    return network.eval()


def trained(name="edm"):
    return Denoiser(shaken(), PRECONDITIONINGS[name])


def randn(*shape, seed=0, dtype=torch.float64):
    return torch.randn(*shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))


EXACT = {
    "gaussian": Gaussian(torch.tensor([0.3, -0.2]), torch.tensor([[1.0, 0.5], [0.5, 0.6]])),
    "singular gaussian": Gaussian(torch.zeros(2), torch.tensor([[1.0, 1.0], [1.0, 1.0]])),
    "mixture": Mixture(randn(3, 2), torch.tensor([0.0, 0.1, 0.3]), torch.ones(3) / 3),
    "data set": DataSet(randn(20, 2, seed=1), chunk=7),
}
every_exact = pytest.mark.parametrize("D", EXACT.values(), ids=EXACT)
SIGMA = torch.tensor([0.3, 0.5, 1.0, 4.0], dtype=torch.float64)


def max_abs(a, b):
    return float((a - b).abs().max())


@pytest.fixture(autouse=True)
def fresh_compiler():
    torch._dynamo.reset()


def compiled(function):
    return torch.compile(function, fullgraph=True, backend="aot_eager")


# --- torch.compile, without a break in the graph


@pytest.mark.parametrize("name", PRECONDITIONINGS)
def test_a_compiled_network_denoises_like_the_plain_one(name):
    D, x = trained(name), randn(4, 1, 8, 8, dtype=torch.float32)
    labels = torch.tensor([0, 2, -1, 1])
    fast = compiled(D)
    with torch.no_grad():
        assert max_abs(fast(x, SIGMA, labels), D(x, SIGMA, labels)) < 1e-5
        assert max_abs(fast(x, SIGMA[1]), D(x, SIGMA[1])) < 1e-5


def test_one_compilation_serves_every_level():
    """σ goes in as a tensor: a new level is no new graph."""
    D, x = trained(), randn(4, 1, 8, 8, dtype=torch.float32)
    fast = compiled(D)
    with torch.no_grad(), torch._dynamo.config.patch(error_on_recompile=True):
        for sigma in SIGMA:
            assert max_abs(fast(x, sigma), D(x, sigma)) < 1e-5


def test_the_loss_compiles():
    D, x0, noise = trained(), randn(4, 1, 8, 8).float(), randn(4, 1, 8, 8, seed=1).float()
    u = torch.tensor([0.1, 0.4, 0.6, 0.9])
    loss = lambda x0, u, noise: losses.edm(D, x0, u, noise)
    assert max_abs(compiled(loss)(x0, u, noise), loss(x0, u, noise)) < 1e-5


@every_exact
def test_exact_denoisers_compile(D):
    x = randn(4, 2)
    assert max_abs(compiled(lambda x, sigma: D(x, sigma))(x, SIGMA), D(x, SIGMA)) < 1e-12


def test_guidance_compiles():
    D, x = trained(), randn(4, 1, 8, 8, dtype=torch.float32)
    bound = given(D, torch.tensor([0, 1, 2, 0]), 3.0)
    with torch.no_grad():
        assert max_abs(compiled(lambda x, s: bound(x, s))(x, SIGMA), bound(x, SIGMA)) < 1e-4


# --- directional derivatives


def slope(function, x, v, h):
    return (function(x + h * v) - function(x - h * v)) / (2 * h)


@every_exact
def test_jvp_of_exact_denoisers(D):
    """In x and in σ, against central differences."""
    x, v = randn(4, 2), randn(4, 2, seed=2)
    assert (
        max_abs(jvp(lambda x: D(x, SIGMA), (x,), (v,))[1], slope(lambda x: D(x, SIGMA), x, v, 1e-5))
        < 1e-6
    )
    one = torch.ones_like(SIGMA)
    in_sigma = jvp(lambda s: D(x, s), (SIGMA,), (one,))[1]
    assert max_abs(in_sigma, slope(lambda s: D(x, s), SIGMA, one, 1e-5)) < 1e-6


def test_jvp_of_a_network():
    """In float32, so to a per cent or so of the largest entry."""
    D, x, v = trained(), randn(4, 1, 8, 8).float(), randn(4, 1, 8, 8, seed=2).float()
    D.requires_grad_(False)
    ours = jvp(lambda x: D(x, SIGMA), (x,), (v,))[1]
    assert max_abs(ours, slope(lambda x: D(x, SIGMA), x, v, 1e-2)) < 0.02 * float(ours.abs().max())
    one = torch.ones_like(SIGMA)
    in_sigma = jvp(lambda s: D(x, s), (SIGMA,), (one,))[1]
    expected = slope(lambda s: D(x, s), SIGMA, one, 1e-3)
    assert max_abs(in_sigma, expected) < 0.02 * float(expected.abs().max())


# --- vmap


@every_exact
def test_vmap_of_exact_denoisers(D):
    """Over states and levels at once: each row as if alone."""
    x = randn(3, 4, 2)
    levels = torch.stack([SIGMA, 2 * SIGMA, 3 * SIGMA])
    rows = torch.stack([D(a, b) for a, b in zip(x, levels)])
    assert max_abs(vmap(D)(x, levels), rows) < 1e-10
    assert (
        max_abs(
            vmap(lambda x, s: D(x, s))(x, levels[:, 0]),
            torch.stack([D(a, b) for a, b in zip(x, levels[:, 0])]),
        )
        < 1e-10
    )


def test_vmap_of_a_network():
    D, x = trained().requires_grad_(False), randn(3, 2, 1, 8, 8).float()
    levels = torch.tensor([0.3, 1.0, 5.0], dtype=torch.float64)
    rows = torch.stack([D(a, b) for a, b in zip(x, levels)])
    assert max_abs(vmap(D)(x, levels), rows) < 1e-5
