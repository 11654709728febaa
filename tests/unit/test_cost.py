"""What is counted is what is done."""

import pytest
import torch

from fewstep import _cost, experiments, networks, recipes


def test_without_storage_as_much_is_counted():
    """The meta device gives the operations and the bytes of the CPU."""
    found = []
    for device in ("cpu", "meta"):
        with torch.device(device):
            network = networks.UNet(3, 16, (1, 2), 2, [False, True])
            x, c_noise = torch.zeros(3, 3, 16, 16), torch.zeros(3)
        with _cost.counted() as operations, _cost.kept(network.parameters()) as kept:
            network(x, c_noise).sum().backward()
        found.append((operations[0], kept[0]))
    assert found[0] == found[1] and min(found[0]) > 0


def test_a_convolution_by_hand():
    conv = torch.nn.Conv2d(3, 5, 3, padding=1, bias=False)
    x = torch.zeros(2, 3, 8, 8)
    with _cost.counted() as operations, _cost.kept(conv.parameters()) as kept:
        conv(x)
    assert operations[0] == 2 * 2 * 5 * 3 * 9 * 64 and kept[0] == x.nbytes


def test_cost_grows_with_steps_and_falls_with_half_precision():
    one, two = (experiments.cost("digits", [f"training.steps={n}"]) for n in (100, 200))
    assert two["PFLOP"] == pytest.approx(2 * one["PFLOP"]) and two["GiB"] == one["GiB"]
    half = experiments.cost("digits", ["training.steps=100", "training.mixed_precision=fp16"])
    assert half["hours on a T4"] == pytest.approx(one["hours on a T4"] * 8.1 / 65)
    count = sum(p.numel() for p in networks.UNet(1, 16, (1, 2), 1).parameters())
    assert one["parameters"] == count and recipes.shape(recipes.load("digits")) == (1, 8, 8)
