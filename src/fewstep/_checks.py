"""Checks of arguments and the one broadcasting rule, shared by every module.

A check of *values* stands where data enters, once. What runs in a loop over steps checks shapes
and types only, so that a GPU never waits and ``torch.compile``, ``vmap`` and ``jvp`` pass through.
Messages are built when a check fails, never before.
"""

from collections.abc import Sequence
from math import inf, isfinite, nan
from operator import index
from pathlib import Path
from typing import Any

import torch


def require(condition: object, argument: str, value: object, allowed: str) -> None:
    """Raise ``ValueError`` naming the argument, what came and what is allowed, unless it holds."""
    if not condition:
        raise ValueError(f"{argument} = {describe(value)}: must be {allowed}")


def describe(value: object) -> str:
    """A short text for a message: numbers and words as they are, a large tensor by its shape."""
    plain = isinstance(value, torch.Tensor) and has_values(value)
    if isinstance(value, torch.Tensor) and (value.numel() > 6 or not plain):
        text = f"a tensor {tuple(value.shape)} of {value.dtype}"
        if plain and value.dtype != torch.bool and not value.is_complex():
            text += f" from {value.min().item():g} to {value.max().item():g}"
        return text
    text = repr(value.tolist() if isinstance(value, torch.Tensor) else value)
    return text if len(text) <= 200 else f"{text[:190]}…"


def has_values(tensor: torch.Tensor) -> bool:
    """Not sparse, and not a mere shape on the device "meta"."""
    return tensor.layout == torch.strided and not tensor.is_meta


def number(
    argument: str,
    value: Any,
    *,
    above: float = -inf,
    at_least: float = -inf,
    below: float = inf,
    at_most: float = inf,
) -> float:
    """``value`` as one finite float within these bounds; words and booleans are no numbers."""
    try:
        result = nan if isinstance(value, (str, bytes)) or _boolean(value) else float(value)
    except (TypeError, ValueError, RuntimeError, OverflowError):
        result = nan
    if isfinite(result) and above < result < below and at_least <= result <= at_most:
        return result
    words = [f"> {above:g}"] * (above > -inf) + [f"≥ {at_least:g}"] * (at_least > -inf)
    words += [f"< {below:g}"] * (below < inf) + [f"≤ {at_most:g}"] * (at_most < inf)
    allowed = f"a finite number {' and '.join(words)}".strip()
    raise ValueError(f"{argument} = {describe(value)}: must be {allowed}")


def count(argument: str, value: Any, at_least: int = 1, at_most: float = inf) -> int:
    """``value`` as an integer within these bounds; NumPy's integers count, floats do not."""
    try:
        result = at_least - 1 if _boolean(value) else index(value)
    except TypeError:
        result = at_least - 1
    if at_least <= result <= min(at_most, 2**64 - 1):  # beyond, no machine word holds it
        return result
    bounds = f"≥ {at_least}" if at_most == inf else f"in {at_least} … {at_most}"
    raise ValueError(f"{argument} = {describe(value)}: must be an integer {bounds}")


def _boolean(value: Any) -> bool:
    """Also of NumPy and torch, whose booleans pass for 0 and 1."""
    return isinstance(value, bool) or str(getattr(value, "dtype", "")) in ("bool", "torch.bool")


def numbers(argument: str, value: Any, allowed: str = "finite numbers") -> torch.Tensor:
    """``value`` as a float64 tensor with no NaN or infinity in it; booleans are no numbers."""
    kind = _tensor(argument, value, allowed).dtype
    require(not kind.is_complex and kind != torch.bool, argument, value, allowed)
    tensor = torch.as_tensor(value, dtype=torch.float64)  # anew: lists would pass through float32
    require(torch.isfinite(tensor).all(), argument, value, allowed)
    return tensor


def integers(argument: str, value: Any, allowed: str) -> torch.Tensor:
    """``value`` as an int64 tensor; floats and booleans are no integers."""
    tensor = _tensor(argument, value, allowed)
    kind = tensor.dtype
    whole = not (kind.is_floating_point or kind.is_complex or kind == torch.bool)
    require(whole, argument, value, allowed)
    return tensor.long()


def _tensor(argument: str, value: Any, allowed: str) -> torch.Tensor:
    try:
        return torch.as_tensor(value)
    except (TypeError, ValueError, RuntimeError, OverflowError) as error:
        raise ValueError(f"{argument} = {describe(value)}: must be {allowed}") from error


def choice(argument: str, value: Any, allowed: Sequence[str]) -> str:
    """``value``, one of these words."""
    known = isinstance(value, str) and value in allowed
    require(known, argument, value, f"one of {', '.join(map(repr, allowed))}")
    return value


def function(argument: str, value: Any, form: str) -> None:
    """``value`` can be called; ``form`` says how, for instance "D(x, sigma)". A class is none."""
    called = callable(value) and not isinstance(value, type)
    require(called, argument, value, f"a function {form}")


def usable_device(argument: str, value: Any) -> torch.device:
    """``value`` as a device that this machine has."""
    try:
        return torch.zeros(0, device=value).device
    except (RuntimeError, TypeError, ValueError, AssertionError) as error:
        allowed = "a device of this machine, such as 'cpu' or 'cuda'"
        raise ValueError(f"{argument} = {describe(value)}: must be {allowed}") from error


def safetensors_file(argument: str, value: Any) -> None:
    """``value`` is the path of a .safetensors file, there or not."""
    file = isinstance(value, (str, Path)) and Path(value).suffix == ".safetensors"
    require(file, argument, value, "a path that ends in .safetensors")


def listed(argument: str, value: Any, kind: type, form: str) -> None:
    """``value`` is a list or tuple of objects of this class; ``form`` says what they are."""
    good = isinstance(value, Sequence) and all(isinstance(item, kind) for item in value)
    require(good, argument, value, f"a list of {form}")


def generator(argument: str, value: Any) -> None:
    """``value`` is a source of random numbers, or None for torch's own."""
    known = value is None or isinstance(value, torch.Generator)
    require(known, argument, value, "a torch.Generator, or None")


def state(argument: str, x: Any) -> None:
    """A state is a floating-point tensor of shape (B, ...). Looks at no value."""
    if not isinstance(x, torch.Tensor):
        raise ValueError(f"{argument} = {describe(x)}: must be a torch.Tensor of shape (B, ...)")
    if not x.is_floating_point():
        raise ValueError(f"{argument}.dtype = {x.dtype}: must be floating, such as torch.float32")
    if x.ndim < 2:
        raise ValueError(f"{argument}.shape = {tuple(x.shape)}: must be (B, ...), two or more")


def finite(argument: str, x: torch.Tensor) -> None:
    """No NaN or infinity in ``x``. Looks at every value: for doors, not for loops."""
    require(torch.isfinite(x).all(), argument, "NaN or infinity", "finite everywhere")


def same_shape(argument: str, x: torch.Tensor, other: str, y: torch.Tensor) -> None:
    """``x`` is a floating-point tensor of the shape of ``y``. Looks at no value."""
    if not isinstance(x, torch.Tensor):
        raise ValueError(f"{argument} = {describe(x)}: must be a tensor, shaped as {other}")
    if not x.is_floating_point():
        raise ValueError(f"{argument}.dtype = {x.dtype}: must be floating, such as torch.float32")
    if x.shape != y.shape:
        raise ValueError(
            f"{argument}.shape = {tuple(x.shape)}: must be {tuple(y.shape)}, as {other}"
        )


def levels(
    sigma: Any, x: torch.Tensor, positive: bool = False, argument: str = "sigma"
) -> torch.Tensor:
    """σ as a float64 tensor () or (B,). A plain number is checked, a tensor by its shape only."""
    if isinstance(sigma, (int, float)):
        if not torch.compiler.is_compiling():  # there a number has no value yet
            number(argument, sigma, **{"above" if positive else "at_least": 0})
    elif not isinstance(sigma, torch.Tensor) or sigma.is_complex() or sigma.dtype == torch.bool:
        raise ValueError(
            f"{argument} = {describe(sigma)}: must be a number ≥ 0 or a real tensor (B,)"
        )
    sigma = torch.as_tensor(sigma, dtype=torch.float64)
    if sigma.ndim > 1 or (sigma.ndim == 1 and len(sigma) not in (1, len(x))):
        raise ValueError(f"{argument}.shape = {tuple(sigma.shape)}: must be () or ({len(x)},)")
    return sigma


def classes(argument: str, labels: Any, x: torch.Tensor) -> None:
    """Labels are integers (B,), or None. Looks at no value."""
    if labels is None:
        return
    if not isinstance(labels, torch.Tensor):
        raise ValueError(f"{argument} = {describe(labels)}: must be a tensor (B,), or None")
    kind = labels.dtype
    if kind.is_floating_point or kind.is_complex or kind == torch.bool:
        raise ValueError(f"{argument}.dtype = {kind}: must be integer, such as torch.int64")
    if labels.shape != x.shape[:1]:
        raise ValueError(f"{argument}.shape = {tuple(labels.shape)}: must be ({len(x)},)")


def per_sample(
    coefficient: Any, x: torch.Tensor, argument: str = "per-sample coefficients"
) -> torch.Tensor:
    """A scalar or (B,) coefficient in the type of ``x``, shaped to multiply ``x`` (B, ...)."""
    coefficient = torch.as_tensor(coefficient).to(device=x.device, dtype=x.dtype)
    if coefficient.ndim == 0 or coefficient.numel() == 1:
        return coefficient.reshape(())
    if coefficient.shape != x.shape[:1]:
        raise ValueError(
            f"{argument}.shape = {tuple(coefficient.shape)}: must be () or ({len(x)},)"
        )
    return coefficient.reshape(-1, *[1] * (x.ndim - 1))


def no_room(error: BaseException) -> bool:
    """Whether memory was missing: CUDA has a type for it, the CPU's allocator only words."""
    missing = isinstance(error, (torch.OutOfMemoryError, MemoryError))
    return missing or "can't allocate memory" in str(error)
