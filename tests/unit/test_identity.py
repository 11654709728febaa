import abc
import functools
import json
import subprocess
import sys
import threading
import types
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from fewstep import losses, preconditioning
from fewstep._identity import describe, differences
from fewstep.networks import UNet

SCALE = 1.0
SETTINGS = types.SimpleNamespace(width=3, steps=10)


def changed(make, *arguments):
    """What differs between things made by one function from two arguments."""
    there, here = (json.loads(json.dumps(describe(make(a), "it"))) for a in arguments)
    return differences(there, here)


def closure(a):
    return lambda x: a * x


def nested(a):
    def outer(x):
        return [a * y for y in x]

    return lambda x: outer(x) + 1


@dataclass
class Weight:
    power: float

    def __call__(self, u):
        return u**self.power

    def method(self, u):
        return u + self.power


class Abstract(abc.ABC):
    @abc.abstractmethod
    def level(self): ...


class Concrete(Abstract):
    def __init__(self, a):
        self.a = a

    def level(self):
        return self.a


class Slots:
    __slots__ = ("a",)

    def __init__(self, a):
        self.a = a


class Dropping(nn.Module):
    """Dropout that leaves no trace in shapes nor in the printed tree."""

    def __init__(self, p):
        super().__init__()
        self.linear, self.p = nn.Linear(2, 2), p

    def forward(self, x):
        return nn.functional.dropout(self.linear(x), self.p)


def hooked(a):
    module = nn.Linear(2, 2)
    module.register_forward_pre_hook(functools.partial(print, a))
    return module


def table(a):
    module = nn.Linear(2, 2)
    module.register_buffer("levels", torch.tensor([1.0, a]), persistent=False)
    return module


KINDS = {
    "number": float,
    "closure": closure,
    "closure in a closure": nested,
    "partial": lambda a: functools.partial(losses.denoising, levels=closure(a)),
    "partial of words": lambda a: functools.partial(print, sep=str(a)),
    "dataclass": Weight,
    "abstract class": lambda a: Concrete(a),
    "bound method": lambda a: Weight(a).method,
    "slots": Slots,
    "default": lambda a: eval(f"lambda x, a={a}: x"),
    "constant": lambda a: eval(f"lambda x: {a} * x"),
    "operation": lambda a: eval("lambda x: x + 2" if a == 0.5 else "lambda x: x - 2"),
    "keyword default": lambda a: eval(f"lambda x, *, a={a}: x"),
    "tensor": lambda a: torch.tensor([1, a]),
    "shape": lambda a: torch.zeros(int(10 * a)),
    "array": lambda a: np.array([1, a]),
    "generator's state": lambda a: np.random.default_rng(int(10 * a)),
    "set": lambda a: {"x", str(a)},
    "dropout that leaves no trace": Dropping,
    "dropout in attention": lambda a: nn.MultiheadAttention(4, 2, dropout=a),
    "setting of the U-Net": lambda a: UNet(1, 8, (1,), 1, dropout=a),
    "preconditioning": lambda a: preconditioning.Denoiser(Dropping(0), preconditioning.edm(a)),
    "hook of a module": hooked,
    "buffer that no checkpoint holds": table,
    "cached function": lambda a: functools.lru_cache(closure(a)),
    "list": lambda a: [1, [2, {"a": a}]],
}


@pytest.mark.parametrize("kind", KINDS)
def test_things_are_told_apart_by_what_they_hold(kind):
    assert changed(KINDS[kind], 0.5, 0.5) == []
    assert changed(KINDS[kind], 0.5, 0.7)


def test_the_difference_is_named():
    assert changed(lambda a: {"loss": closure(a)}, 1, 2) == ["loss.a: 1 there, 2 here"]
    found = changed(KINDS["setting of the U-Net"], 0.1, 0.2)
    assert "settings.dropout: 0.1 there, 0.2 here" in found


def test_globals_that_a_function_reads_count(monkeypatch):
    function = lambda x: SCALE * x + SETTINGS.width
    before = describe(function)
    monkeypatch.setattr(SETTINGS, "steps", 20)  # not read
    assert describe(function) == before
    monkeypatch.setattr(SETTINGS, "width", 4)
    assert differences(before, describe(function)) == ["SETTINGS.width: 3 there, 4 here"]
    monkeypatch.undo()
    monkeypatch.setattr(sys.modules[__name__], "SCALE", 2.0)
    assert differences(before, describe(function)) == ["SCALE: 1.0 there, 2.0 here"]


def test_a_class_is_told_by_its_methods():
    def make(body):
        names = {"__name__": "elsewhere"}
        exec(f"class A:\n    def step(self, x):\n        return {body}", names)
        return names["A"]

    assert changed(make, "x + 1", "x + 1") == [] != changed(make, "x + 1", "x - 1")


def test_comments_and_places_do_not_count():
    def make(text):
        names = {"__name__": "elsewhere"}
        exec(text, names)
        return names["f"]

    assert changed(make, "def f(x): return x", "\n\ndef f(x):\n    # why\n    return x") == []


def test_the_description_is_the_same_in_another_process():
    """Also where Python hashes words otherwise."""
    code = (
        "import json; from test_identity import KINDS; from fewstep._identity import describe; "
        "print(json.dumps({k: describe(make(0.5)) for k, make in KINDS.items()}))"
    )
    command = [sys.executable, "-c", code]
    result = subprocess.run(command, capture_output=True, cwd=Path(__file__).parent, check=True)
    there = json.loads(result.stdout)
    here = json.loads(json.dumps({k: describe(make(0.5)) for k, make in KINDS.items()}))
    assert differences(there, here) == []


def test_what_cannot_be_told_apart_is_refused():
    loop = []
    loop.append(loop)
    for value in (open(__file__), (i for i in range(3)), threading.Lock()):  # noqa: SIM115
        with pytest.raises(ValueError, match=r"loss\.a = .*cannot be told.*without a checkpoint"):
            describe(closure(value), "loss")
    with pytest.raises(ValueError, match="contains itself"):
        describe(loop, "loss")
    own = types.SimpleNamespace()
    own.own = own  # an object may hold itself
    assert describe(own)["own"]
