"""A denoiser comes back from its file as it was saved."""

import pytest
import torch

from fewstep import checkpoints, networks, preconditioning, schedules
from fewstep.preconditioning import Denoiser
from fewstep.pretrained import load_denoiser, save_denoiser

KINDS = {
    "edm": preconditioning.edm(0.7),
    "vp": preconditioning.vp(M=500),
    "ve": preconditioning.ve(0.1, 50.0),
    "iddpm": preconditioning.iddpm(100),
    "chain": preconditioning.chain(schedules.cosine(40)),
}


def denoiser(kind, **settings):
    torch.manual_seed(0)
    network = networks.UNet(1, 8, (1, 2), blocks=1, **settings)
    for p in network.parameters():
        torch.nn.init.normal_(p, std=0.2)
    return Denoiser(network, kind)


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_a_denoiser_comes_back(tmp_path, kind):
    D = denoiser(kind, classes=3, extra_channels=1, dropout=0.1).eval()
    save_denoiser(tmp_path / "d.safetensors", D, {"trained on": "noise"})
    back = load_denoiser(tmp_path / "d.safetensors")
    x, sigma, labels = (
        torch.randn(3, 1, 8, 8),
        torch.tensor([0.2, 1.0, 7.0]),
        torch.tensor([0, -1, 2]),
    )
    for a, b in zip(D(x, sigma, labels, extra=True), back(x, sigma, labels, extra=True)):
        assert torch.equal(a, b)
    assert (back.sigma_min, back.sigma_max) == (D.sigma_min, D.sigma_max)
    assert (back.levels is None) == (D.levels is None)
    assert D.levels is None or torch.equal(back.levels, D.levels)
    assert not back.training and not any(p.requires_grad for p in back.parameters())
    assert checkpoints.read_metadata(tmp_path / "d.safetensors")["trained on"] == "noise"


def test_an_absent_file_is_not_found(tmp_path):
    with pytest.raises(FileNotFoundError):
        load_denoiser(tmp_path / "absent.safetensors")
