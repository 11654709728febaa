import errno
import json
import os
import shutil
import zlib
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import nn
from training_run import perceptron

from fewstep import _files, checkpoints, results
from fewstep.checkpoints import load_weights, read_metadata, save_weights


def equal(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def network(width=8, seed=0):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(nn.Linear(3, width), nn.BatchNorm1d(width), nn.Linear(width, 3))


@pytest.fixture
def path(tmp_path):
    save_weights(tmp_path / "w.safetensors", network(seed=1), {"from": "a test", "n": 3})
    return tmp_path / "w.safetensors"


def header_of(path):
    """The JSON header of a safetensors file, and where its numbers begin."""
    content = path.read_bytes()
    start = 8 + int.from_bytes(content[:8], "little")
    return json.loads(content[8:start]), content[start:]


def write_raw(path, header, numbers):
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + numbers)


def test_weights_go_to_a_file_and_back(path):
    other = network(seed=2)
    assert load_weights(path, other) is other
    assert equal(network(seed=1).state_dict(), other.state_dict())
    assert read_metadata(path) == {"from": "a test", "n": 3}
    assert load_file(path)["0.weight"].shape == (8, 3)
    tied = nn.ModuleList([nn.Linear(3, 3), nn.Linear(3, 3)])
    tied[1].weight = tied[0].weight
    save_weights(path, tied)


def test_weights_of_another_network_are_refused(path):
    with pytest.raises(ValueError, match=r"another network.*0.weight: \[8, 3\] .*\[9, 3\] in this"):
        load_weights(path, network(9))
    with pytest.raises(ValueError, match="another network.*0.weight: float32 .*float64 in this"):
        load_weights(path, network().double())
    with pytest.raises(ValueError, match="another network.*0.0.weight: not in the file"):
        load_weights(path, nn.Sequential(network()))
    with pytest.raises(ValueError, match="another network.*2.bias: not in this network"):
        load_weights(path, network()[:2])
    with pytest.raises(FileNotFoundError, match="no such file"):
        load_weights(path.with_name("none.safetensors"), network())


def test_the_recorded_files_of_the_first_format_are_read():
    recorded = results.weights("digits-classifier")
    with safe_open(recorded, "pt") as file:
        assert file.metadata()["format"] == "fewstep-weights-1"
    tensors, metadata = checkpoints.read(recorded, checkpoints.WEIGHTS)
    assert tensors and metadata["test_accuracy"] > 0.98


def test_every_flipped_bit_is_found(path):
    whole = path.read_bytes()
    text, numbers = header_of(path)
    start = len(whole) - len(numbers)
    places = [*range(start, len(whole), 7), *range(8, start, 11)]
    for place in places:
        content = bytearray(whole)
        content[place] ^= 4
        path.write_bytes(content)
        with pytest.raises(ValueError, match="w.safetensors: ") as caught:
            load_weights(path, network())
        if place >= start:
            assert "damaged: tensor" in str(caught.value) and "CRC-32" in str(caught.value)


def test_damage_to_the_table_of_tensors_is_found(path):
    header, numbers = header_of(path)

    def refused(message, **changes):
        write_raw(path, {k: v for k, v in {**header, **changes}.items() if v is not None}, numbers)
        with pytest.raises(ValueError, match=message) as caught:
            load_weights(path, network())
        assert str(path) in str(caught.value)

    a, b = header["1.weight"], header["1.bias"]  # the same shape
    refused("damaged: tensor 1.(weight|bias) is .*written was", **{"1.weight": b, "1.bias": a})
    a, b = header["0.weight"], header["2.weight"]  # as many numbers
    refused("damaged: tensor 0.weight is", **{"0.weight": {**a, "shape": b["shape"]}})
    refused("damaged: tensor 0.weight is", **{"0.weight": {**a, "dtype": "I32"}})
    refused("damaged: tensor 0.weight is missing", **{"0.weight": None, "other": a})
    meta = header["__metadata__"]
    refused("metadata is not as written", __metadata__={**meta, "metadata": "{}"})
    refused("metadata is not as written", __metadata__={**meta, "crc32": "x"})
    refused("format None", __metadata__={})
    for text, message in [("[1]", r"metadata is \[1\], not"), ("{", "not JSON"), ("", "not JSON")]:
        crc = str(zlib.crc32((text + meta["tensors"]).encode()))
        refused(message, __metadata__={**meta, "metadata": text, "crc32": crc})


def test_files_that_are_cut_short_or_foreign_are_refused(path):
    whole = path.read_bytes()
    for content in (*(whole[:n] for n in (0, 7, 200, len(whole) - 1)), b"\x80\x04\x95" + bytes(99)):
        path.write_bytes(content)  # the last: a pickle's first bytes
        with pytest.raises(ValueError, match="cut short or not a safetensors file"):
            load_weights(path, network())
    save_file({"a": torch.zeros(1)}, path)
    with pytest.raises(ValueError, match="format None.*fewstep-weights-2"):
        load_weights(path, network())
    checkpoints.write(path, {}, checkpoints.CHECKPOINT, {})
    with pytest.raises(ValueError, match="format 'fewstep-checkpoint-2'"):
        load_weights(path, network())


def test_a_bad_call_leaves_the_old_file(path):
    old = path.read_bytes()
    with pytest.raises(ValueError, match="metadata.*a dict that JSON can hold"):
        save_weights(path, network(), {"f": print})
    assert path.read_bytes() == old and list(path.parent.iterdir()) == [path]


# --- optimizers -----------------------------------------------------------------------------------

OPTIMIZERS = {
    "Adam": lambda p: torch.optim.Adam(p, 1e-3, fused=True, amsgrad=True),
    "AdamW": lambda p: torch.optim.AdamW(p, 1e-3),
    "SGD": lambda p: torch.optim.SGD(p, 1e-3, momentum=0.9),
    "plain SGD": lambda p: torch.optim.SGD(p, 1e-3),
    "RMSprop": lambda p: torch.optim.RMSprop(p, 1e-3, centered=True),
    "RAdam": lambda p: torch.optim.RAdam(p, 1e-3),
    "Adafactor": lambda p: torch.optim.Adafactor(p, 1e-3),
}


def stepped(make):
    """A network and its optimizer after two steps."""
    net = perceptron(3, 5, 3)
    optimizer = make(net.parameters())
    for _ in range(2):
        net(torch.ones(4, 3)).square().mean().backward()
        optimizer.step()
    return net, optimizer


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizers_go_to_tensors_and_back(name):
    net, optimizer = stepped(OPTIMIZERS[name])
    tensors = checkpoints.optimizer_tensors(optimizer, "o.")
    other = OPTIMIZERS[name](net.parameters())
    checkpoints.fill_optimizer(other, tensors, "file", "o.")
    assert equal(checkpoints.optimizer_tensors(other, "o."), tensors)


@pytest.mark.parametrize(
    "name, value",
    [
        ("0.exp_avg", torch.zeros(3)),
        ("0.exp_avg", torch.zeros(())),  # a scalar for a matrix: fused Adam would read on
        ("0.exp_avg", torch.zeros(5, 3, dtype=torch.float64)),
        ("0.exp_avg", torch.zeros(5, 3, dtype=torch.int64)),
        ("0.step", torch.zeros(5, 3)),
        ("0.step", torch.zeros((), dtype=torch.int64)),
        ("1.exp_avg_sq", None),
        ("1.other", torch.zeros(())),
        ("9.step", torch.zeros(())),
        ("x.step", torch.zeros(())),
        ("0", torch.zeros(())),
    ],
)
def test_an_optimizer_takes_only_what_it_keeps(name, value):
    """In name, shape and type; before anything is loaded."""
    net, optimizer = stepped(OPTIMIZERS["Adam"])
    tensors = checkpoints.optimizer_tensors(optimizer, "o.") | {f"o.{name}": value}
    tensors = {k: v for k, v in tensors.items() if v is not None}
    other = OPTIMIZERS["Adam"](net.parameters())
    with pytest.raises(ValueError, match=rf"file: o\.{name}.* in the file, .* in this Adam"):
        checkpoints.fill_optimizer(other, tensors, "file", "o.")
    assert not other.state


def test_state_that_is_no_tensor_is_refused():
    _, optimizer = stepped(OPTIMIZERS["Adam"])
    next(iter(optimizer.state.values()))["step"] = 2
    with pytest.raises(ValueError, match="Adam keeps step = 2: only tensors"):
        checkpoints.optimizer_tensors(optimizer, "o.")


# --- writing --------------------------------------------------------------------------------------


def test_a_write_that_fails_leaves_the_old_file(path, monkeypatch):
    old = path.read_bytes()

    def fails_half_way(tensors, file, metadata):
        Path(file).write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr("safetensors.torch.save_file", fails_half_way)
    with pytest.raises(KeyboardInterrupt):
        save_weights(path, network(seed=2))
    monkeypatch.undo()
    monkeypatch.setattr(os, "replace", lambda *a: (_ for _ in ()).throw(OSError("killed here")))
    with pytest.raises(OSError, match="killed here"):
        save_weights(path, network(seed=2))
    assert path.read_bytes() == old and [p.name for p in path.parent.iterdir()] == [path.name]


def test_without_room_on_the_disk_nothing_is_touched(path, monkeypatch):
    old, usage = path.read_bytes(), shutil.disk_usage(path.parent)
    monkeypatch.setattr(_files.shutil, "disk_usage", lambda p: usage._replace(free=1000))
    with pytest.raises(OSError, match="needs .* bytes, free are 1,000") as caught:
        save_weights(path, network())
    assert caught.value.errno == errno.ENOSPC
    assert path.read_bytes() == old and [p.name for p in path.parent.iterdir()] == [path.name]


def test_a_disk_that_fills_up_during_the_write_leaves_the_old_file(path):
    """The check passed, but the system refuses to write on after 1000 bytes."""
    resource = pytest.importorskip("resource", reason="no limits on file sizes here")
    old, limits = path.read_bytes(), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(OSError, match="could not be written.*left as it was"):
            save_weights(path, network(seed=2))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert len(old) > 1000 and path.read_bytes() == old
    assert [p.name for p in path.parent.iterdir()] == [path.name]
