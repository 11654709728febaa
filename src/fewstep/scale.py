"""Three sizes of the same experiment: ``smoke`` for tests, ``cpu`` for the site, ``gpu`` in full.

The environment variable ``FEWSTEP_SCALE`` chooses one. A notebook keeps all its sizes in one call
of :func:`settings`; its other cells are the same at every scale.
"""

import os
import platform
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import torch

from ._checks import require

SCALES = ("smoke", "cpu", "gpu")


def current() -> str:
    """The scale in force: ``FEWSTEP_SCALE``, or "gpu" where CUDA is there and "cpu" elsewhere.

    Raises ValueError when the variable holds another word.
    """
    name = os.environ.get("FEWSTEP_SCALE", "")
    if not name:
        return "gpu" if torch.cuda.is_available() else "cpu"
    if name not in SCALES:
        raise ValueError(f"FEWSTEP_SCALE={name!r}: allowed are {', '.join(SCALES)}")
    return name


def settings(
    *, smoke: Mapping[str, Any], cpu: Mapping[str, Any], gpu: Mapping[str, Any]
) -> SimpleNamespace:
    """The settings of the current scale: after ``s = settings(smoke={"steps": 2}, ...)``, s.steps.

    smoke, cpu, gpu: the same names in all three, so that no cell fails at one scale only.
    Raises ValueError for other things than dicts, and when the names differ.

    At smoke and cpu scale PyTorch is given one thread. On 8×8 pictures a training step is a
    thousand operations of some microseconds, and two threads wait for each other after each: on
    two idle cores they are a fifth faster than one, beside a single busy program five times slower.
    """
    choices = {"smoke": smoke, "cpu": cpu, "gpu": gpu}
    for name, choice in choices.items():
        named = isinstance(choice, Mapping) and all(
            isinstance(key, str) and key.isidentifier() for key in choice
        )
        require(named, name, choice, 'a dict from names to values, such as {"steps": 2}')
    for name, choice in choices.items():
        differ = set(choice) ^ set(cpu)
        if differ:
            raise ValueError(
                f"{name} and cpu must have the same keys; only one of them has {sorted(differ)}"
            )
    if current() != "gpu":
        torch.set_num_threads(1)
    return SimpleNamespace(**choices[current()])


def device() -> torch.device:
    """The device the current scale runs on: CUDA for "gpu" where there is a GPU, else the CPU."""
    return torch.device("cuda" if current() == "gpu" and torch.cuda.is_available() else "cpu")


def device_name(on: torch.device | str | None = None) -> str:
    """The hardware, such as "NVIDIA A100" or "CPU (x86_64, 2 threads)"; never a host's name.

    on: a device; None for the current scale's.
    """
    try:
        on = device() if on is None else torch.device(on)
    except (RuntimeError, TypeError) as error:
        raise ValueError(f"on = {on!r}: must be a device, such as 'cpu' or 'cuda'") from error
    if on.type == "cuda":
        return torch.cuda.get_device_name(on)
    return f"{on.type.upper()} ({platform.machine()}, {torch.get_num_threads()} threads)"


def versions() -> str:
    """One line for the top of a notebook: Python, torch, fewstep, scale and device."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        fewstep = version("fewstep")
    except PackageNotFoundError:
        fewstep = "(not installed)"
    return (
        f"Python {platform.python_version()} · torch {torch.__version__} · fewstep {fewstep} · "
        f"scale {current()} · {device_name()}"
    )
