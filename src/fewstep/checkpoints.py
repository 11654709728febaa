"""Weights and training state in safetensors files: nothing is unpickled, a write is all or nothing.

A safetensors file is a JSON header (names, types, shapes, a table of strings) and raw numbers, so
reading one executes nothing: https://github.com/huggingface/safetensors . The table of strings
holds our metadata and the type, shape and CRC-32 of every tensor, and reading checks them all.
"""

import copy
import json
import zlib
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import nn

from ._checks import choice, has_values, require, safetensors_file
from ._files import replacing
from ._identity import checksum

Module = TypeVar("Module", bound=nn.Module)
WEIGHTS = "fewstep-weights-2"
CHECKPOINT = "fewstep-checkpoint-2"
OLD_WEIGHTS = "fewstep-weights-1"  # no checksums yet


def save_weights(path: str | Path, module: nn.Module, metadata: dict | None = None) -> None:
    """Write a module's parameters and buffers to one .safetensors file, whole or not at all.

    metadata: a dict that JSON can hold (where the weights come from); ``read_metadata`` gives it
    back.
    Raises OSError when there is no room; the old file then stays.
    """
    _check_module(module)
    write(path, dict(module.state_dict()), WEIGHTS, {} if metadata is None else metadata)


def load_weights(path: str | Path, module: Module) -> Module:
    """Fill a module with weights that ``save_weights`` wrote, and return it.

    Raises FileNotFoundError, and ValueError when the file is damaged, not ours or from another
    network: every name, shape and type must agree.
    """
    _check_module(module)
    tensors, _ = read(path, WEIGHTS)
    fill(module, tensors, path)
    return module


def read_metadata(path: str | Path) -> dict:
    """The metadata of a file that this module wrote, without reading its tensors."""
    with _open(path) as file:
        return _header(path, file, WEIGHTS, CHECKPOINT)[0]


def write(path: str | Path, tensors: dict[str, torch.Tensor], kind: str, metadata: dict) -> None:
    """Write named tensors and metadata to one file of this kind (``WEIGHTS`` or ``CHECKPOINT``)."""
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    safetensors_file("path", path)
    _check_tensors(tensors)
    choice("kind", kind, (WEIGHTS, CHECKPOINT))
    require(isinstance(metadata, dict), "metadata", metadata, "a dict that JSON can hold")
    try:
        text = json.dumps(metadata)
    except (TypeError, ValueError) as error:
        raise ValueError(f"metadata: must be a dict that JSON can hold ({error})") from error
    # clones, so that tensors that share memory (tied weights) may stand in one file
    tensors = {name: t.detach().to("cpu").contiguous().clone() for name, t in tensors.items()}
    table = json.dumps({name: [*_form(t), checksum(t)] for name, t in tensors.items()})
    crc = zlib.crc32((text + table).encode())
    header = {"format": kind, "metadata": text, "tensors": table, "crc32": str(crc)}
    size = sum(t.nbytes + 200 for t in tensors.values()) + sum(map(len, header.values())) + 4096
    with replacing(path, size) as part:
        try:
            save_file(tensors, part, header)
        except SafetensorError as error:
            raise OSError(
                f"{path}: could not be written ({error}); the file there was left as it was"
            ) from error


def read(path: str | Path, kind: str) -> tuple[dict[str, torch.Tensor], dict]:
    """Named tensors and metadata of a file of this kind, every tensor as it was written.

    Raises FileNotFoundError and ValueError.
    """
    choice("kind", kind, (WEIGHTS, CHECKPOINT))
    with _open(path) as file:
        metadata, table = _header(path, file, kind)
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    if table is None:
        return tensors, metadata
    for name in {**table, **tensors}:
        if name not in tensors or name not in table:
            what = "is missing" if name not in tensors else "was not there when it was written"
            raise ValueError(f"{path}: damaged: tensor {name} {what}")
        now = [*_form(tensors[name]), checksum(tensors[name])]
        if now != table[name]:
            raise ValueError(
                f"{path}: damaged: tensor {name} is {now} (type, shape, CRC-32), written was "
                f"{table[name]}"
            )
    return tensors, metadata


def fill(
    module: nn.Module, tensors: dict[str, torch.Tensor], path: str | Path, prefix: str = ""
) -> None:
    """Copy ``tensors`` into a module whose names, shapes and types must be the same.

    Raises ValueError with the differences.
    """
    _check_module(module)
    _check_tensors(tensors, prefix)
    own = module.state_dict()
    given = {name[len(prefix) :]: t for name, t in tensors.items() if name.startswith(prefix)}
    wrong = [f"{prefix}{name}: not in the file" for name in own if name not in given]
    wrong += [f"{prefix}{name}: not in this network" for name in given if name not in own]
    for name in [name for name in own if name in given]:
        there, here = _form(given[name]), _form(own[name])
        if there != here:
            i = 1 if there[1] != here[1] else 0
            wrong.append(f"{prefix}{name}: {there[i]} in the file, {here[i]} in this network")
    if wrong:
        more = f" and {len(wrong) - 3} more" if len(wrong) > 3 else ""
        raise ValueError(f"{path}: weights of another network ({'; '.join(wrong[:3])}{more})")
    module.load_state_dict(given)


def optimizer_tensors(optimizer: torch.optim.Optimizer, prefix: str) -> dict[str, torch.Tensor]:
    """An optimizer's state (Adam: exp_avg, exp_avg_sq, step of each parameter) as named tensors.

    Raises ValueError when it holds anything but tensors.
    """
    _check_optimizer(optimizer, prefix)
    found = {}
    for i, entry in optimizer.state_dict()["state"].items():
        for key, value in entry.items():
            if isinstance(value, torch.Tensor):
                found[f"{prefix}{i}.{key}"] = value
            elif value is not None:
                kind = type(optimizer).__name__
                raise ValueError(f"{kind} keeps {key} = {value!r:.80}: only tensors can be stored")
    return found


def fill_optimizer(
    optimizer: torch.optim.Optimizer,
    tensors: dict[str, torch.Tensor],
    path: str | Path,
    prefix: str,
) -> None:
    """Put back what ``optimizer_tensors`` gave.

    Raises ValueError unless each parameter gets what this optimizer keeps for it, in name, shape
    and type: a wrong shape would write outside of the memory.
    """
    _check_optimizer(optimizer, prefix)
    _check_tensors(tensors, prefix)
    state: dict[str, dict[str, torch.Tensor]] = defaultdict(dict)
    for name, value in tensors.items():
        if name.startswith(prefix):
            i, _, key = name[len(prefix) :].partition(".")
            state[i][key] = value
    kept = {str(i): forms for i, forms in enumerate(_kept(optimizer))}
    for i, entry in state.items():
        there, here = {k: _form(v) for k, v in entry.items()}, kept.get(i, {})
        for key in {**here, **there}:
            if there.get(key) != here.get(key):
                raise ValueError(
                    f"{path}: {prefix}{i}.{key}: {there.get(key, 'absent')} in the file, "
                    f"{here.get(key, 'absent')} in this {type(optimizer).__name__}"
                )
    optimizer.load_state_dict(
        {**optimizer.state_dict(), "state": {int(i): entry for i, entry in state.items()}}
    )


def fingerprint(x: torch.Tensor, labels: torch.Tensor | None = None) -> str:
    """A short text that tells one data set from another: shape, type and a checksum."""
    for argument, value in {"x": x, "labels": x if labels is None else labels}.items():
        require(isinstance(value, torch.Tensor), argument, value, "a tensor")
    crc = checksum(x) if labels is None else checksum(labels, checksum(x))
    return f"{tuple(x.shape)} {x.dtype}{' with labels' if labels is not None else ''} {crc:08x}"


def _check_module(module: Any) -> None:
    require(isinstance(module, nn.Module), "module", module, "an nn.Module")


def _check_optimizer(optimizer: Any, prefix: Any) -> None:
    known = isinstance(optimizer, torch.optim.Optimizer)
    require(known, "optimizer", optimizer, "a torch.optim.Optimizer")
    require(isinstance(prefix, str), "prefix", prefix, "the beginning of names")


def _check_tensors(tensors: Any, prefix: Any = "") -> None:
    """Named tensors of kinds that safetensors has."""
    require(isinstance(tensors, dict), "tensors", type(tensors).__name__, "a dict of named tensors")
    for name, t in tensors.items():
        require(isinstance(name, str), "tensors", name, "named by words")
        known = isinstance(t, torch.Tensor) and has_values(t) and t.dtype != torch.complex128
        require(known, f"tensors[{name!r}]", t, "a dense tensor with values, not complex128")
    require(isinstance(prefix, str), "prefix", prefix, "the beginning of names")


def _kept(optimizer: torch.optim.Optimizer) -> list[dict[str, list]]:
    """Type and shape of what an optimizer keeps for each parameter: seen in one step of a copy."""
    probe, forms = copy.copy(optimizer), []
    probe.state = defaultdict(dict)
    for group in optimizer.param_groups:
        zeros = [nn.Parameter(torch.zeros_like(p)) for p in group["params"]]
        for zero in zeros:
            zero.grad = torch.zeros_like(zero)
        probe.param_groups = [{**group, "params": zeros}]
        probe.step()
        for zero in zeros:
            forms.append({k: _form(v) for k, v in probe.state[zero].items() if v is not None})
    return forms


def _form(tensor: torch.Tensor) -> list:
    """Type and shape, as JSON holds them."""
    return [str(tensor.dtype).removeprefix("torch."), list(tensor.shape)]


@contextmanager
def _open(path: str | Path) -> Iterator[Any]:
    from safetensors import SafetensorError, safe_open

    safetensors_file("path", path)
    if not Path(path).is_file():
        raise FileNotFoundError(f"{path}: no such file")
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            yield file
    except SafetensorError as error:
        raise ValueError(f"{path}: cut short or not a safetensors file ({error})") from error


def _header(path: str | Path, file: Any, *kinds: str) -> tuple[dict, dict | None]:
    """Metadata, and the table of tensors (None in a file from before there was one)."""
    header = file.metadata() or {}
    kind = header.get("format")
    if kind not in kinds and not (kind == OLD_WEIGHTS and WEIGHTS in kinds):
        raise ValueError(f"{path}: format {kind!r}; allowed is {' or '.join(kinds)}")
    texts = [header.get("metadata", ""), header.get("tensors", "")]
    if kind != OLD_WEIGHTS and header.get("crc32") != str(zlib.crc32("".join(texts).encode())):
        raise ValueError(f"{path}: damaged: its metadata is not as written")
    metadata = _parsed(path, "metadata", texts[0])
    return metadata, None if kind == OLD_WEIGHTS else _parsed(path, "table of tensors", texts[1])


def _parsed(path: str | Path, name: str, text: str) -> dict:
    try:
        value = json.loads(text)
    except ValueError as error:
        raise ValueError(f"{path}: damaged: the {name} is not JSON ({error})") from error
    if not isinstance(value, dict):
        raise ValueError(f"{path}: damaged: the {name} is {value!r:.80}, not a JSON object")
    return value
