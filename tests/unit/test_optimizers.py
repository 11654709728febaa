"""Muon against its definition."""

import pytest
import torch
from torch import nn

from fewstep import networks, preconditioning
from fewstep.optimizers import Muon, muon, orthogonalized

torch.manual_seed(0)
WIDE, TALL = torch.randn(3, 20, 40), torch.randn(3, 40, 20)


@pytest.mark.parametrize("M", [WIDE, TALL, 1e-3 * TALL, WIDE[0]])
def test_orthogonalized_keeps_directions_and_evens_out_sizes(M):
    X = orthogonalized(M)
    U, _, Vh = torch.linalg.svd(M, full_matrices=False)
    inside = U.mT @ X @ Vh.mT  # diagonal if the singular vectors are M's
    assert (U @ inside @ Vh - X).abs().max() < 1e-4
    values = inside.diagonal(dim1=-2, dim2=-1)
    assert (inside - torch.diag_embed(values)).abs().max() < 1e-4
    assert values.min() > 0.6 and values.max() < 1.3


@pytest.mark.parametrize("shape", [(6, 4), (6, 2, 2), (4, 6), (4, 3, 1, 2)])
def test_two_steps_by_hand(shape):
    weight = nn.Parameter(torch.randn(shape))
    start, gradients = weight.detach().clone(), torch.randn(2, *shape)
    optimizer = Muon([weight], learning_rate=0.1, momentum=0.9)
    average, expected = torch.zeros(shape), start
    for gradient in gradients:
        weight.grad = gradient.clone()
        optimizer.step()
        average = 0.9 * average + 0.1 * gradient
        ahead = (0.1 * gradient + 0.9 * average).reshape(shape[0], -1)
        size = max(1, ahead.shape[0] / ahead.shape[1]) ** 0.5
        expected = expected - 0.1 * size * orthogonalized(ahead).reshape(shape)
        assert (weight.grad - gradient).abs().max() == 0, "the gradient was written over"
    assert (weight - expected).abs().max() < 1e-6


def test_weights_of_one_shape_do_not_mix():
    together = [nn.Parameter(w.clone()) for w in WIDE]
    alone = [nn.Parameter(w.clone()) for w in WIDE]
    for many, one in zip(together, alone):
        many.grad = torch.randn_like(many)
        one.grad = many.grad.clone()
        Muon([one]).step()
    Muon(together).step()
    assert max((a - b).abs().max() for a, b in zip(together, alone)) < 1e-6


def test_a_network_is_shared_out_between_muon_and_adam():
    network = networks.UNet(1, 8, (1, 2), blocks=1)
    denoiser = preconditioning.Denoiser(network, preconditioning.edm())
    found = muon(denoiser, 0.03, adam=1e-3)
    names = {id(p): name for name, p in network.named_parameters()}
    mine, theirs = (
        {names[id(p)] for group in found[k].param_groups for p in group["params"]}
        for k in ("muon", "adam")
    )
    assert mine | theirs == set(names.values()) and not mine & theirs
    assert {"down.0.conv1.weight", "middle.modulate.weight", "up.0.skip.weight"} <= mine
    assert {"first.weight", "last.2.weight", "embed_noise.0.weight", "down.0.conv1.bias"} <= theirs
    assert [found[k].param_groups[0]["lr"] for k in ("muon", "adam")] == [0.03, 1e-3]
