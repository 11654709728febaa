"""Checks of arguments and the one broadcasting rule, shared by every module."""

from operator import index

import torch


def require(condition: bool, argument: str, value, allowed: str) -> None:
    """Raise ``ValueError`` naming the argument, what came and what is allowed, unless ``condition`` holds."""
    if not condition:
        raise ValueError(f"{argument} = {value!r}: must be {allowed}")


def as_float64(argument: str, value, allowed: str = "finite numbers") -> torch.Tensor:
    """``value`` as a float64 tensor with no NaN or infinity in it."""
    try:
        tensor = torch.as_tensor(value, dtype=torch.float64)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ValueError(f"{argument} = {value!r}: must be {allowed}") from error
    require(bool(torch.isfinite(tensor).all()), argument, value, allowed)
    return tensor


def as_number(argument: str, value, allowed: str = "a finite number") -> float:
    """``value`` as one finite float."""
    number = as_float64(argument, value, allowed)
    require(number.ndim == 0, argument, value, allowed)
    return float(number)


def as_count(argument: str, value, allowed: str = "an integer >= 1") -> int:
    """``value`` as an integer of at least 1; NumPy's integers count, floats do not."""
    try:
        count = index(value)
    except TypeError as error:
        raise ValueError(f"{argument} = {value!r}: must be {allowed}") from error
    require(count >= 1, argument, value, allowed)
    return count


def check_state(argument: str, x: torch.Tensor) -> None:
    """A state is a floating-point tensor of shape (B, ...) without NaN."""
    require(isinstance(x, torch.Tensor), argument, type(x).__name__, "a torch.Tensor")
    require(x.is_floating_point(), f"{argument}.dtype", x.dtype, "a floating-point type such as torch.float32")
    require(x.ndim >= 2, f"{argument}.shape", tuple(x.shape), "(batch, ...): at least two dimensions")
    require(bool(torch.isfinite(x).all()), argument, "NaN or infinity", "finite everywhere")


def per_sample(coefficient, x: torch.Tensor) -> torch.Tensor:
    """A scalar or (B,) coefficient in the type of ``x``, shaped to multiply ``x`` of shape (B, ...)."""
    coefficient = torch.as_tensor(coefficient).to(device=x.device, dtype=x.dtype)
    if coefficient.ndim == 0 or coefficient.numel() == 1:
        return coefficient.reshape(())
    require(coefficient.shape == x.shape[:1], "per-sample coefficient's shape", tuple(coefficient.shape),
            f"() or ({x.shape[0]},), one value for each of the {x.shape[0]} samples")
    return coefficient.reshape(-1, *[1] * (x.ndim - 1))
