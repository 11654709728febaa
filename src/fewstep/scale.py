"""Three sizes of the same experiment: ``smoke`` for tests, ``cpu`` for the site, ``gpu`` in full.

The environment variable ``FEWSTEP_SCALE`` chooses one. A notebook keeps all its sizes in one call
of :func:`settings`; its other cells are the same at every scale.
"""

import os
import platform
from types import SimpleNamespace

import torch

SCALES = ("smoke", "cpu", "gpu")


def current():
    """The scale in force: ``FEWSTEP_SCALE``, or ``gpu`` where CUDA is there and ``cpu`` elsewhere.

    Raises ValueError when the variable holds another word.
    """
    name = os.environ.get("FEWSTEP_SCALE", "")
    if not name:
        return "gpu" if torch.cuda.is_available() else "cpu"
    if name not in SCALES:
        raise ValueError(f"FEWSTEP_SCALE={name!r}: allowed are {', '.join(SCALES)}")
    return name


def settings(*, smoke, cpu, gpu):
    """The settings of the current scale, as a namespace: ``s = settings(smoke={...}, ...)``,
    ``s.steps``.

    Each argument is a dict; all three must have the same keys, so that no cell fails at one scale
    only.
    Raises ValueError when the keys differ.
    """
    choices = {"smoke": smoke, "cpu": cpu, "gpu": gpu}
    for name, choice in choices.items():
        differ = set(choice) ^ set(cpu)
        if differ:
            raise ValueError(
                f"{name} and cpu must have the same keys; only one of them has {sorted(differ)}"
            )
    return SimpleNamespace(**choices[current()])


def device():
    """The device the current scale runs on: CUDA at ``gpu`` scale where there is a GPU, else the
    CPU.
    """
    return torch.device("cuda" if current() == "gpu" and torch.cuda.is_available() else "cpu")


def device_name(on=None):
    """The hardware's name, for instance ``NVIDIA A100`` or ``CPU (x86_64, 2 threads)``; no host
    name.

    on: a torch.device; the current scale's when None.
    """
    on = torch.device(on) if on is not None else device()
    if on.type == "cuda":
        return torch.cuda.get_device_name(on)
    return f"{on.type.upper()} ({platform.machine()}, {torch.get_num_threads()} threads)"


def versions():
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
