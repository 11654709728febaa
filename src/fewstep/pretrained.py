"""Trained denoisers in files: network, preconditioning and where they come from, all or nothing.

A file holds numbers and JSON only (see ``checkpoints``); the network is built anew from its
settings, and every name and shape must agree.
"""

from pathlib import Path
from typing import Any

from . import checkpoints, preconditioning, results, scale
from ._checks import require, safetensors_file, usable_device
from .networks import UNet
from .preconditioning import Denoiser


def save_denoiser(
    path: str | Path, denoiser: Denoiser, metadata: dict[str, Any] | None = None
) -> None:
    """Write a denoiser with the course's U-Net to one .safetensors file, whole or not at all.

    path: of the file.  metadata: anything JSON can hold, kept beside it.
    Raises ValueError for another network, OSError when there is no room; an old file then stays.
    """
    ours = isinstance(denoiser, Denoiser) and isinstance(denoiser.network, UNet)
    require(ours, "denoiser", type(denoiser).__name__, "a preconditioning.Denoiser with a UNet")
    safetensors_file("path", path)
    free = metadata is None or (
        isinstance(metadata, dict) and not metadata.keys() & {"network", "preconditioning"}
    )
    form = "a dict that JSON can hold, without network and preconditioning, or None"
    require(free, "metadata", metadata, form)
    kind = denoiser.preconditioning
    made = {
        "network": denoiser.network.settings,
        "preconditioning": {"name": kind.name, "settings": kind.settings},
    }
    checkpoints.save_weights(path, denoiser, {**(metadata or {}), **made})


def load_denoiser(name: str | Path, device: Any = None) -> Denoiser:
    """A trained denoiser, in eval mode, without gradients.

    name: of a recorded one, such as "digits-denoiser", or a path ending in .safetensors.
    device: by default that of the current scale.
    Raises FileNotFoundError, and ValueError for a file that is damaged or no denoiser's.
    """
    require(isinstance(name, (str, Path)), "name", name, "a recorded name or the path of a file")
    device = usable_device("device", scale.device() if device is None else device)
    path = Path(name) if str(name).endswith(".safetensors") else results.weights(str(name))
    metadata = checkpoints.read_metadata(path)
    try:
        network = UNet(**metadata["network"])
        kind = preconditioning.rebuild(**metadata["preconditioning"])
    except (KeyError, TypeError) as error:
        raise ValueError(f"{path}: not the weights of a denoiser ({error!r})") from error
    denoiser = checkpoints.load_weights(path, Denoiser(network, kind))
    return denoiser.to(device).eval().requires_grad_(False)
