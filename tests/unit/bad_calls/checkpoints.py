"""Bad calls of checkpoints: refused before a file is read or written."""

import tempfile
from pathlib import Path

import torch
from torch import nn

from fewstep import checkpoints
from fewstep.checkpoints import CHECKPOINT, WEIGHTS, fingerprint, load_weights, save_weights

FOLDER = tempfile.TemporaryDirectory()
FILE, ABSENT = Path(FOLDER.name) / "w.safetensors", Path(FOLDER.name) / "absent.safetensors"
NET = nn.Linear(2, 2)
ADAM = torch.optim.Adam(NET.parameters(), 1e-3)
X, LABELS = torch.zeros(4, 2), torch.arange(4)
save_weights(FILE, NET)


class Holds(nn.Module):
    def __init__(self, tensor):
        super().__init__()
        self.register_buffer("held", tensor)


def write(path=ABSENT, tensors=None, kind=WEIGHTS, metadata=None):
    given = {"a": X} if tensors is None else tensors
    return checkpoints.write(path, given, kind, {} if metadata is None else metadata)


def fill(module=NET, tensors=None, path=FILE, prefix=""):
    return checkpoints.fill(module, {"a": X} if tensors is None else tensors, path, prefix)


def fill_optimizer(optimizer=ADAM, tensors=None, path=FILE, prefix="o."):
    given = {"o.0.step": X} if tensors is None else tensors
    return checkpoints.fill_optimizer(optimizer, given, path, prefix)


def of_paths(f):
    """What is no path of a .safetensors file."""
    return [
        (lambda: f(None), "path = None: must be a path that ends in .safetensors"),
        (lambda: f(3), "path = 3: must be a path that ends in .safetensors"),
        (lambda: f(""), "path = '': must be a path that ends in .safetensors"),
        (lambda: f("weights.pt"), "path = 'weights.pt': must be a path that ends in .safetensors"),
        (lambda: f(b"w.safetensors"), "path = b'w.safetensors': must be a path that ends in"),
        (lambda: f(Path(FOLDER.name)), "must be a path that ends in .safetensors"),
        (lambda: f([FILE]), "must be a path that ends in .safetensors"),
    ]


def of_kinds(f):
    return [
        (lambda: f("weights"), "kind = 'weights': must be one of 'fewstep-weights-2'"),
        (lambda: f(checkpoints.OLD_WEIGHTS), "kind = 'fewstep-weights-1': must be one of"),
        (lambda: f(None), "kind = None: must be one of 'fewstep-weights-2'"),
    ]


def of_modules(f):
    return [
        (lambda: f(None), "module = None: must be an nn.Module"),
        (lambda: f(NET.state_dict()), "must be an nn.Module"),
        (lambda: f(nn.Linear), "must be an nn.Module"),
        (lambda: f(str(FILE)), "must be an nn.Module"),
    ]


def of_tensors(f):
    return [
        (lambda: f(NET), "tensors = 'Linear': must be a dict of named tensors"),
        (lambda: f([X]), "tensors = 'list': must be a dict of named tensors"),
        (lambda: f({3: X}), "tensors = 3: must be named by words"),
        (lambda: f({"a": None}), "tensors['a'] = None: must be a dense tensor with values"),
        (lambda: f({"a": [0.0]}), "tensors['a'] = [0.0]: must be a dense tensor with values"),
        (lambda: f({"a": X.numpy()}), "must be a dense tensor with values"),
        (lambda: f({"a": X.to_sparse()}), "must be a dense tensor with values"),
        (lambda: f({"a": X.to("meta")}), "must be a dense tensor with values"),
        (
            lambda: f({"a": X.to(torch.complex128)}),
            "must be a dense tensor with values, not comple",
        ),
    ]


def of_metadata(f):
    return [
        (lambda: f([1]), "metadata = [1]: must be a dict that JSON can hold"),
        (lambda: f([]), "metadata = []: must be a dict that JSON can hold"),
        (lambda: f("word"), "metadata = 'word': must be a dict that JSON can hold"),
        (lambda: f({"f": print}), "metadata: must be a dict that JSON can hold"),
        (lambda: f({"a": {1, 2}}), "metadata: must be a dict that JSON can hold"),
        (lambda: f({(1, 2): 3}), "metadata: must be a dict that JSON can hold"),
    ]


def of_optimizers(f):
    return [
        (lambda: f(None), "optimizer = None: must be a torch.optim.Optimizer"),
        (lambda: f(NET), "must be a torch.optim.Optimizer"),
        (lambda: f(torch.optim.Adam), "must be a torch.optim.Optimizer"),
        (lambda: f(ADAM.state_dict()), "must be a torch.optim.Optimizer"),
    ]


def of_prefixes(f):
    return [
        (lambda: f(None), "prefix = None: must be the beginning of names"),
        (lambda: f(0), "prefix = 0: must be the beginning of names"),
    ]


BAD = {
    "checkpoints.save_weights": [
        *of_paths(lambda path: save_weights(path, NET)),
        *of_modules(lambda module: save_weights(ABSENT, module)),
        *of_metadata(lambda metadata: save_weights(ABSENT, NET, metadata)),
        (lambda: save_weights(ABSENT, Holds(X.to("meta"))), "tensors['held'] = "),
        (lambda: save_weights(ABSENT, Holds(X.to_sparse())), "tensors['held'] = "),
    ],
    "checkpoints.load_weights": [
        *of_paths(lambda path: load_weights(path, NET)),
        *of_modules(lambda module: load_weights(FILE, module)),
    ],
    "checkpoints.read_metadata": of_paths(checkpoints.read_metadata),
    "checkpoints.write": [
        *of_paths(write),
        *of_tensors(lambda tensors: write(tensors=tensors)),
        *of_kinds(lambda kind: write(kind=kind)),
        *of_metadata(lambda metadata: write(metadata=metadata)),
    ],
    "checkpoints.read": [
        *of_paths(lambda path: checkpoints.read(path, WEIGHTS)),
        *of_kinds(lambda kind: checkpoints.read(FILE, kind)),
        (lambda: checkpoints.read(FILE, CHECKPOINT), "format 'fewstep-weights-2'"),
    ],
    "checkpoints.fill": [
        *of_modules(fill),
        *of_tensors(lambda tensors: fill(tensors=tensors)),
        *of_prefixes(lambda prefix: fill(prefix=prefix)),
        (lambda: fill(), "w.safetensors: weights of another network"),
        (lambda: fill(tensors={}), "weights of another network (weight: not in the file"),
    ],
    "checkpoints.optimizer_tensors": [
        *of_optimizers(lambda optimizer: checkpoints.optimizer_tensors(optimizer, "o.")),
        *of_prefixes(lambda prefix: checkpoints.optimizer_tensors(ADAM, prefix)),
    ],
    "checkpoints.fill_optimizer": [
        *of_optimizers(fill_optimizer),
        *of_tensors(lambda tensors: fill_optimizer(tensors=tensors)),
        *of_prefixes(lambda prefix: fill_optimizer(prefix=prefix)),
        (lambda: fill_optimizer(), "w.safetensors: o.0.step: "),
    ],
    "checkpoints.fingerprint": [
        (lambda: fingerprint(None), "x = None: must be a tensor"),
        (lambda: fingerprint([0.0, 1.0]), "x = [0.0, 1.0]: must be a tensor"),
        (lambda: fingerprint(X.numpy()), "must be a tensor"),
        (lambda: fingerprint(X, [0, 1]), "labels = [0, 1]: must be a tensor"),
        (lambda: fingerprint(X, "shirt"), "labels = 'shirt': must be a tensor"),
    ],
}
