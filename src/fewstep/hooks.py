"""Evaluations and pictures in the course of training: hooks that change nothing of it."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from ._checks import count, describe, function, listed, require
from .learners import Learner

TAKEN = {"step", "seconds"}  # what a line of the log holds besides losses and findings


@dataclass(frozen=True)
class Every:
    """A hook: ``function(learner, step)`` after each ``steps`` steps of a run, and not otherwise.

    It is called in every process, in eval mode and without gradients, and changes nothing of the
    training. It may return a dict of named numbers and of pictures (B, C, H, W) in [-1, 1], which
    are logged.
    """

    steps: int
    function: Callable[[Learner, int], dict[str, Any] | None]

    def __post_init__(self) -> None:
        count("steps", self.steps)
        function("function", self.function, "(learner, step) -> dict or None")


def call(
    hooks: Sequence[Every], learner: Learner, step: int, losses: Collection[str] = ()
) -> dict[str, float | torch.Tensor]:
    """What these hooks return together; modes and torch's random state are put back afterwards.

    losses: names that are taken.
    Raises ValueError for anything but numbers and pictures under names of their own.
    """
    listed("hooks", hooks, Every, "hooks.Every")
    require(isinstance(learner, Learner), "learner", learner, "a learners.Learner")
    count("step", step, 0)
    named = isinstance(losses, Collection) and not isinstance(losses, str)
    named = named and all(isinstance(name, str) for name in losses)
    require(named, "losses", losses, "names of losses")
    found: dict[str, float | torch.Tensor] = {}
    parts = [part for module in learner.all_modules() for part in module.modules()]
    modes = [part.training for part in parts]
    devices = {p.device for part in parts for p in part.parameters() if p.is_cuda}
    try:
        for part in parts:
            part.training = False
        for hook in hooks:
            with torch.no_grad(), torch.random.fork_rng(list(devices)):
                found |= _checked(hook.function(learner, step), {*TAKEN, *losses, *found})
    finally:
        for part, mode in zip(parts, modes):
            part.training = mode
    return found


def _checked(found: Any, taken: set[str]) -> dict[str, float | torch.Tensor]:
    """Numbers as floats, pictures as they are."""
    require(found is None or isinstance(found, dict), "a hook's result", found, "a dict or None")
    checked: dict[str, float | torch.Tensor] = {}
    for name, value in (found or {}).items():
        free = isinstance(name, str) and name not in taken
        require(free, "a hook's result", name, f"named otherwise than {', '.join(sorted(taken))}")
        if isinstance(value, torch.Tensor) and value.ndim == 4:
            good = value.is_floating_point() and value.shape[1] in (1, 3) and value.numel() > 0
            given = f"{tuple(value.shape)} {value.dtype}"
            require(good, f"a hook's {name}", given, "floating pictures (B, 1 or 3, H, W)")
            checked[name] = value
            continue
        try:
            checked[name] = float(value)
        except (TypeError, ValueError, RuntimeError) as error:
            form = "a number or pictures (B, C, H, W)"
            raise ValueError(f"a hook's {name} = {describe(value)}: must be {form}") from error
    return checked
