"""Weights and training state in safetensors files: nothing is unpickled, and a write is all or
nothing.

A safetensors file is a JSON header (names, shapes, one table of strings) and raw numbers, so
reading one
cannot execute anything: https://github.com/huggingface/safetensors
"""

import json
import zlib
from pathlib import Path

from ._files import replacing

WEIGHTS = "fewstep-weights-1"
CHECKPOINT = "fewstep-checkpoint-1"


def save_weights(path, module, metadata=None):
    """Write a module's parameters and buffers to one .safetensors file, whole or not at all.

    metadata: anything JSON can hold (where the weights come from); ``read_metadata`` gives it back.
    Raises OSError when there is no room; the old file then stays.
    """
    write(path, dict(module.state_dict()), WEIGHTS, metadata or {})


def load_weights(path, module):
    """Fill a module with weights that ``save_weights`` wrote, and return it.

    Every name and shape must agree.

    Raises FileNotFoundError, and ValueError when the file is cut short, not ours or from another
    network.
    """
    tensors, _ = read(path, WEIGHTS)
    fill(module, tensors, path)
    return module


def read_metadata(path):
    """The metadata of a file that this module wrote, without reading its tensors."""
    with _open(path) as file:
        return _metadata(path, file, (WEIGHTS, CHECKPOINT))


def write(path, tensors, kind, metadata):
    """Write named tensors and JSON metadata to one file of this kind (``WEIGHTS`` or
    ``CHECKPOINT``).
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    # clones, so that tensors that share memory (tied weights) may stand in one file
    tensors = {name: t.detach().to("cpu").contiguous().clone() for name, t in tensors.items()}
    size = sum(t.numel() * t.element_size() for t in tensors.values()) + 200 * len(tensors) + 4096
    header = {"format": kind, "metadata": json.dumps(metadata)}
    with replacing(path, size) as part:
        try:
            save_file(tensors, part, header)
        except SafetensorError as error:
            raise OSError(
                f"{path}: could not be written ({error}); the file there was left as it was"
            ) from error


def read(path, kind):
    """Named tensors and metadata of a file of this kind.

    Raises FileNotFoundError and ValueError.
    """
    with _open(path) as file:
        metadata = _metadata(path, file, (kind,))
        return {name: file.get_tensor(name) for name in file.keys()}, metadata


def fill(module, tensors, path, prefix=""):
    """Copy ``tensors`` into a module whose names and shapes must be the same.

    Raises ValueError with the differences.
    """
    own = module.state_dict()
    given = {name[len(prefix) :]: t for name, t in tensors.items() if name.startswith(prefix)}
    wrong = [f"{name}: not in the file" for name in own if name not in given]
    wrong += [f"{name}: not in this network" for name in given if name not in own]
    wrong += [
        f"{name}: {tuple(given[name].shape)} in the file, {tuple(own[name].shape)} in this network"
        for name in own
        if name in given and given[name].shape != own[name].shape
    ]
    if wrong:
        more = f" and {len(wrong) - 3} more" if len(wrong) > 3 else ""
        raise ValueError(f"{path}: weights of another network ({'; '.join(wrong[:3])}{more})")
    module.load_state_dict(given)


def _open(path):
    from safetensors import SafetensorError, safe_open

    if not Path(path).is_file():
        raise FileNotFoundError(f"{path}: no such file")
    try:
        return safe_open(path, framework="pt", device="cpu")
    except SafetensorError as error:
        raise ValueError(f"{path}: cut short or not a safetensors file ({error})") from error


def _metadata(path, file, kinds):
    header = file.metadata() or {}
    if header.get("format") not in kinds:
        raise ValueError(
            f"{path}: format {header.get('format')!r}; allowed is {' or '.join(kinds)}"
        )
    return json.loads(header["metadata"])


def optimizer_tensors(optimizer, prefix="optimizer."):
    """An optimizer's state (Adam: exp_avg, exp_avg_sq, step of each parameter) as named tensors."""
    state = optimizer.state_dict()["state"]
    return {
        f"{prefix}{i}.{key}": value for i, entry in state.items() for key, value in entry.items()
    }


def fill_optimizer(optimizer, tensors, prefix="optimizer."):
    """Put back what ``optimizer_tensors`` gave."""
    state = {}
    for name, value in tensors.items():
        if name.startswith(prefix):
            i, key = name[len(prefix) :].split(".")
            state.setdefault(int(i), {})[key] = value
    optimizer.load_state_dict({**optimizer.state_dict(), "state": state})


def fingerprint(x, labels=None):
    """A short text that tells one data set from another: shape, type and a checksum of some of its
    rows.
    """
    checksum = 0
    for tensor in (x, labels):
        if tensor is not None:
            rows = tensor[:: max(1, len(tensor) // 1000)].contiguous().cpu()
            checksum = zlib.crc32(rows.numpy().tobytes(), checksum)
    return (
        f"{tuple(x.shape)} {x.dtype}{' with labels' if labels is not None else ''} {checksum:08x}"
    )
