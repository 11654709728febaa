"""What a learner is, in words that JSON can hold, so that no run resumes from another's checkpoint.

Two things with one description train alike. Functions of this package and of installed ones are
told by name, all others by their code as well; what they hold and use is described in turn. What
cannot be described is refused.
"""

import copyreg
import dis
import functools
import math
import sys
import types
import zlib
from collections.abc import Iterable, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

Description = Any  # None, a number, a text, or a list or dict of descriptions

_OF_EVERY_MODULE = {*vars(nn.Module()), "forward"}


def describe(value: object, where: str = "") -> Description:
    """A description of ``value`` that stays the same from run to run.

    where: the name it has in messages.
    Raises ValueError for what cannot be told from others of its kind.
    """
    try:
        return _describe(value, where, {})
    except RecursionError as error:
        raise ValueError(f"{where}: contains itself, so that it cannot be described") from error


def differences(there: Description, here: Description, where: str = "") -> list[str]:
    """Where two descriptions differ, one text each: "name: value there, value here"."""
    if there == here:
        return []
    if isinstance(there, list) and isinstance(here, list) and len(there) == len(here):
        there, here = dict(enumerate(there)), dict(enumerate(here))
    if isinstance(there, dict) and isinstance(here, dict):
        found = []
        for name in {**there, **here}:
            pair = there.get(name, "absent"), here.get(name, "absent")
            found += differences(*pair, f"{where}.{name}" if where else str(name))
        return found
    short = [text if len(text) <= 80 else f"{text[:75]}…" for text in (repr(there), repr(here))]
    return [f"{where}: {short[0]} there, {short[1]} here"]


def checksum(tensor: torch.Tensor, start: int = 0) -> int:
    """CRC-32 of a tensor's numbers, going on from ``start``."""
    flat = tensor.detach().cpu().contiguous().reshape(-1)
    return zlib.crc32(flat.view(torch.uint8).numpy().data, start) if flat.numel() else start


def _describe(value: Any, where: str, known: dict[int, object]) -> Description:
    """As ``describe``; known: the functions, classes and objects that were described before."""

    def part(name: object, item: object) -> Description:
        return _describe(item, f"{where}.{name}" if where else str(name), known)

    def parts(items: Mapping[Any, object]) -> dict[str, Description]:
        return {str(name): part(name, item) for name, item in items.items()}

    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else repr(value)
    if isinstance(value, (complex, bytes, Path, torch.dtype, torch.device, type(Ellipsis))):
        return repr(value)
    if isinstance(value, torch.Tensor):
        return f"tensor {tuple(value.shape)} {value.dtype} {checksum(value):08x}"
    if isinstance(value, (np.ndarray, np.generic)) and value.dtype != object:
        bits = zlib.crc32(np.ascontiguousarray(value).tobytes())
        return f"array {value.shape} {value.dtype} {bits:08x}"
    if isinstance(value, types.ModuleType):
        return f"module {value.__name__}"
    if type(value) in (dict, types.MappingProxyType):
        return parts(value)
    if type(value) in (list, tuple):
        return [part(i, item) for i, item in enumerate(value)]
    if type(value) in (set, frozenset):
        return sorted((part("element", item) for item in value), key=repr)
    if isinstance(value, types.CodeType):  # neither its place in the file nor its comments
        constants = [part("constant", constant) for constant in value.co_consts]
        names = value.co_names, value.co_varnames, value.co_freevars
        return f"{zlib.crc32(repr((value.co_code, names, constants)).encode()):08x}"
    if isinstance(value, types.MethodType):
        return {"of": part("of", value.__self__), "method": part("method", value.__func__)}
    if isinstance(value, functools.partial):
        bound: dict[Any, object] = {**dict(enumerate(value.args)), **value.keywords}
        return {"function": part("function", value.func), **parts(bound)}

    home = getattr(value, "__module__", None)
    name = f"{home}.{getattr(value, '__qualname__', type(value).__qualname__)}"
    if _built_in(value):
        return f"{home}.{value.__name__}"
    if isinstance(value, type) and _installed(value.__module__):
        return name
    if id(value) in known:
        return f"{name} (see above)"
    known[id(value)] = value  # and keeps it alive, so that no other gets its id
    if isinstance(value, types.FunctionType):
        return _function(value, name, parts)
    if isinstance(value, type):
        own = {k: v for k, v in vars(value).items() if _of_a_class(k, v)}
        bases = [base for base in value.__bases__ if base is not object]
        return {"class": name, **parts(own), **({"bases": part("bases", bases)} if bases else {})}
    if isinstance(value, (staticmethod, classmethod)):
        return part("function", value.__func__)
    if isinstance(value, property):
        return [part("property", f) for f in (value.fget, value.fset, value.fdel)]
    if isinstance(value, nn.Module):
        return {"class": part("class", type(value)), **parts(_attributes(value))}
    return {"class": part("class", type(value)), **parts(_contents(value, where))}


def _of_a_class(name: str, value: object) -> bool:
    """Methods and constants of a class; no slots, and nothing that Python adds by itself."""
    if isinstance(value, (types.MemberDescriptorType, types.GetSetDescriptorType)):
        return False
    special = name.startswith("__") or name == "_abc_impl"
    return not special or isinstance(value, types.FunctionType)


def _function(value: types.FunctionType, name: str, parts: Any) -> Description:
    """Its name, what it holds (closure), and unless it is installed its code, defaults, globals."""
    code = value.__code__
    found: dict[str, object] = {}
    for variable, cell in zip(code.co_freevars, value.__closure__ or ()):
        try:
            found[variable] = cell.cell_contents
        except ValueError:  # not filled yet
            found[variable] = None
    installed = _installed(value.__module__ or "", code.co_filename)
    if not installed or "<lambda>" in name:  # lambdas of one function share their name
        found |= {"code": code, "defaults": value.__defaults__, "keywords": value.__kwdefaults__}
    if not installed:
        found |= _globals(code, value.__globals__)
    found = {key: item for key, item in found.items() if key == "code" or item is not None}
    return {"function": name, **parts(found)} if found else name


def _globals(code: types.CodeType, names: Mapping[str, object]) -> dict[str, object]:
    """Globals that the code reads; of ``settings.width`` only that attribute."""
    used: dict[str, object] = {}
    for here, after in pairwise(dis.get_instructions(code)):
        if here.opname in ("LOAD_GLOBAL", "LOAD_NAME") and here.argval in names:
            name, value = here.argval, names[here.argval]
            if after.opname in ("LOAD_ATTR", "LOAD_METHOD") and hasattr(value, after.argval):
                name, value = f"{name}.{after.argval}", getattr(value, after.argval)
            used[name] = value
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            used |= _globals(constant, names)
    return used


def _attributes(module: nn.Module) -> dict[str, object]:
    """What a module holds besides the parameters and buffers that a checkpoint stores."""
    found = {k: v for k, v in vars(module).items() if k not in _OF_EVERY_MODULE}
    found |= {name: module._buffers[name] for name in sorted(module._non_persistent_buffers_set)}
    hooks: Iterable[object] = (*module._forward_pre_hooks.values(), *module._forward_hooks.values())
    found |= {f"hook {i}": hook for i, hook in enumerate(hooks)}
    return {**found, **module._modules}


def _contents(value: object, where: str) -> dict[str, object]:
    """What pickle would write of any other object."""
    try:
        reduced = value.__reduce_ex__(4)
    except Exception as error:
        raise ValueError(
            f"{where} = {value!r:.200}: cannot be told from another {type(value).__qualname__}, so "
            "that a checkpoint might be resumed with a different one; use numbers, words, tensors, "
            "functions or dataclasses instead, or train without a checkpoint"
        ) from error
    if isinstance(reduced, str):
        return {"name": reduced, "wrapped": getattr(value, "__wrapped__", None)}
    make, arguments, state, items, pairs = (*reduced, None, None, None)[:5]
    found = {} if make is copyreg.__newobj__ else {"made by": make}  # type: ignore[attr-defined]
    own = arguments[1:] if make is copyreg.__newobj__ else arguments  # type: ignore[attr-defined]
    rest = {"arguments": own, "items": items and list(items), "pairs": pairs and list(pairs)}
    found |= state if isinstance(state, dict) else {"state": state}
    return {k: v for k, v in {**found, **rest}.items() if v is not None and v != ()}


def _built_in(value: Any) -> bool:
    """A function that is not written in Python, and no method that is bound to some object."""
    python = isinstance(value, (types.FunctionType, type, staticmethod, classmethod))
    if python or not callable(value) or "__name__" in getattr(value, "__dict__", {}):
        return False
    owner = getattr(value, "__self__", None)
    return hasattr(value, "__name__") and isinstance(
        owner, (types.NoneType, types.ModuleType, type)
    )


def _installed(module: str, file: str = "") -> bool:
    """Of this package, of Python or of an installed package: told by name."""
    root = module.partition(".")[0]
    if not file:
        file = getattr(sys.modules.get(module), "__file__", None) or ""
    places = {"site-packages", "dist-packages"} & set(Path(file).parts)
    return root == "fewstep" or root in sys.stdlib_module_names or bool(places)
