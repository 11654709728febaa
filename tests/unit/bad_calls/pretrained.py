"""Bad calls of pretrained."""

import tempfile
from pathlib import Path

from torch import nn

from fewstep import checkpoints, preconditioning
from fewstep.networks import UNet
from fewstep.preconditioning import Denoiser
from fewstep.pretrained import load_denoiser, save_denoiser

FOLDER = tempfile.TemporaryDirectory()
NEW, OTHER = Path(FOLDER.name) / "new.safetensors", Path(FOLDER.name) / "other.safetensors"
NET = UNet(1, 8, (1,), 1)
D = Denoiser(NET, preconditioning.edm(0.5))


def changed(**metadata):
    """A file with this metadata, loaded."""
    checkpoints.save_weights(OTHER, nn.Linear(2, 2), metadata)
    return load_denoiser(OTHER)


EDM = {"name": "edm", "settings": {"sigma_data": 0.5}}

BAD = {
    "pretrained.save_denoiser": [
        (lambda: save_denoiser(None, D), "path = None: must be a path that ends in .safetensors"),
        (lambda: save_denoiser(3, D), "path = 3: must be a path that ends in .safetensors"),
        (lambda: save_denoiser("", D), "path = '': must be a path that ends in .safetensors"),
        (lambda: save_denoiser("d.pt", D), "path = 'd.pt': must be a path that ends in .safetens"),
        (lambda: save_denoiser(D, NEW), "denoiser = 'PosixPath': must be a preconditioning.Deno"),
        (lambda: save_denoiser(NEW, None), "denoiser = 'NoneType': must be a preconditioning.Deno"),
        (lambda: save_denoiser(NEW, NET), "denoiser = 'UNet': must be a preconditioning.Denoiser"),
        (lambda: save_denoiser(NEW, Denoiser), "must be a preconditioning.Denoiser with a UNet"),
        (
            lambda: save_denoiser(NEW, Denoiser(nn.Conv2d(1, 1, 3), D.preconditioning)),
            "denoiser = 'Denoiser': must be a preconditioning.Denoiser with a UNet",
        ),
        (lambda: save_denoiser(NEW, D, [1]), "metadata = [1]: must be a dict that JSON can hold"),
        (lambda: save_denoiser(NEW, D, "mine"), "metadata = 'mine': must be a dict that JSON can"),
        (
            lambda: save_denoiser(NEW, D, {"f": print}),
            "metadata: must be a dict that JSON can hold",
        ),
        (
            lambda: save_denoiser(NEW, D, {"network": "mine"}),
            "metadata = {'network': 'mine'}: must be a dict that JSON can hold, without network",
        ),
    ],
    "pretrained.load_denoiser": [
        (lambda: load_denoiser(None), "name = None: must be a recorded name or the path of a file"),
        (lambda: load_denoiser(3), "name = 3: must be a recorded name or the path of a file"),
        (lambda: load_denoiser(D), "must be a recorded name or the path of a file"),
        (lambda: load_denoiser(""), "name = '': must be lower-case words and numbers joined by"),
        (lambda: load_denoiser("Digits"), "name = 'Digits': must be lower-case words and numbers"),
        (lambda: load_denoiser("d.pt"), "name = 'd.pt': must be lower-case words and numbers"),
        (lambda: load_denoiser(NEW, "toaster"), "device = 'toaster': must be a device of this"),
        (lambda: load_denoiser(NEW, 3.5), "device = 3.5: must be a device of this machine"),
        (lambda: load_denoiser(NEW, "cuda:99"), "device = 'cuda:99': must be a device of this"),
        (
            lambda: changed(),
            "other.safetensors: not the weights of a denoiser (KeyError('network'))",
        ),
        (lambda: changed(network=3, preconditioning=EDM), "not the weights of a denoiser"),
        (lambda: changed(network={"width": 3}, preconditioning=EDM), "not the weights of a denoi"),
        (lambda: changed(network=NET.settings), "not the weights of a denoiser (KeyError('precon"),
        (
            lambda: changed(network=NET.settings, preconditioning=[]),
            "not the weights of a denoiser",
        ),
        (lambda: changed(network=NET.settings, preconditioning=EDM), "weights of another network"),
        (lambda: changed(network={"image_channels": 0}, preconditioning=EDM), "image_channels = 0"),
    ],
}
