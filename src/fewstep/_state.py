"""What changes in a run of training, and how it goes to a checkpoint and comes back."""

import json
import math
import time
from pathlib import Path
from typing import Any

import torch
from torch import nn

from . import checkpoints
from ._checks import require
from ._files import check_room
from ._identity import differences
from .hooks import TAKEN
from .learners import Learner

_METADATA: dict[str, type | tuple[type, ...]] = {
    "step": int,
    "seconds": (int, float),
    "settings": dict,
    "optimizers": dict,
    "scaler": (dict, type(None)),
}


class State:
    """What changes in a run: the learner, the number of steps done, their losses, the time."""

    def __init__(self, learner: Learner, accelerator: Any, settings: dict[str, Any]):
        self.learner, self.accelerator, self.settings = learner, accelerator, settings
        self.losses: dict[str, torch.Tensor] = {}  # of all processes, up to the last gather
        self.recent: list[dict[str, torch.Tensor]] = []  # of this process since then
        self.step, self.earlier, self.started = 0, 0.0, time.perf_counter()
        self.kept = "no checkpoint was written yet"

    @property
    def seconds(self) -> float:
        return self.earlier + time.perf_counter() - self.started

    def record(self, losses: dict[str, torch.Tensor]) -> None:
        """Keep the losses of one step where they are: a GPU need not be waited for."""
        good = isinstance(losses, dict) and losses
        if not good or any(not isinstance(v, torch.Tensor) or v.ndim for v in losses.values()):
            raise ValueError(
                f"{type(self.learner).__name__}.step(batch) = {losses!r:.200}: must be a dict of "
                "named losses, each a tensor ()"
            )
        if not all(isinstance(name, str) for name in losses) or losses.keys() & TAKEN:
            raise ValueError(
                f"{type(self.learner).__name__}.step(batch) = {list(losses)!r:.200}: must be "
                f"losses named by words other than {', '.join(sorted(TAKEN))}"
            )
        self.recent.append({name: value.detach().float() for name, value in losses.items()})
        self.step += 1

    def gather(self) -> tuple[str, int, float] | None:
        """Bring the recent losses together (the mean over processes).

        Returns the first that is not finite, its name, step and value; these losses are not kept.
        """
        if not self.recent:
            return None
        recent, self.recent = self.recent, []
        done = self.step - len(recent)
        flat = torch.stack([value for losses in recent for value in losses.values()])
        flat = self.accelerator.reduce(flat, "mean").cpu()
        places = [(i, name) for i, losses in enumerate(recent) for name in losses]
        for (i, name), value in zip(places, flat.tolist()):
            if not math.isfinite(value):
                return name, done + i, value
        for name in {**self.losses, **{name: None for _, name in places}}:
            values = torch.full((self.step,), math.nan)
            values[: len(self.losses.get(name, ()))] = self.losses.get(name, torch.zeros(0))
            at = [k for k, place in enumerate(places) if place[1] == name]
            values[[done + places[k][0] for k in at]] = flat[at]
            self.losses[name] = values
        return None

    def save(self, path: str | Path) -> None:
        if not self.accelerator.is_main_process:
            return
        tensors = {f"losses.{name}": values for name, values in self.losses.items()}
        for prefix, module in self._stored():
            tensors |= {f"{prefix}{name}": t for name, t in module.state_dict().items()}
        bad = [
            prefix + name
            for prefix, module in self._stored()
            for name, weight in module.named_parameters()
            if not torch.isfinite(weight).all()
        ]
        if bad:
            raise FloatingPointError(
                f"{bad[0]} is no longer finite after step {self.step - 1}, and is not saved: lower "
                f"the learning rate or set clip_norm; {self.kept}"
            )
        kept = {}
        for name, optimizer in self.learner.optimizers.items():
            tensors |= checkpoints.optimizer_tensors(optimizer, f"optimizers.{name}.")
            kept[name] = len(optimizer.state_dict()["state"])
        scaler = self.accelerator.scaler
        metadata = {
            "step": self.step,
            "seconds": self.seconds,
            "settings": self.settings,
            "optimizers": kept,
            "scaler": scaler.state_dict() if scaler else None,
        }
        checkpoints.write(path, tensors, checkpoints.CHECKPOINT, metadata)
        self._keep(path)

    def _keep(self, path: str | Path) -> None:
        self.kept = f"the last good checkpoint, of {self.step} steps, is {path}"

    def resume(self, path: str | Path, steps: int) -> None:
        """Go on from a checkpoint if there is one, which must be of this very run."""
        sizes = [t.nbytes for _, module in self._stored() for t in module.state_dict().values()]
        check_room(path, 2 * sum(sizes))  # now, not after hours of training
        if not Path(path).exists():
            return
        tensors, metadata = checkpoints.read(path, checkpoints.CHECKPOINT)
        for key, kind in _METADATA.items():
            value = metadata.get(key)
            sound = isinstance(value, kind) and not isinstance(value, bool)
            if not sound or (isinstance(value, int) and value < 0):
                raise ValueError(f"{path}: damaged: {key} is {value!r:.80} in its metadata")
        step, kept = metadata["step"], metadata["optimizers"]
        differ = differences(metadata["settings"], json.loads(json.dumps(self.settings)))
        if differ:
            more = f"; and {len(differ) - 5} more" if len(differ) > 5 else ""
            raise ValueError(
                f"checkpoint {path}: written with other settings ({'; '.join(differ[:5])}{more})"
            )
        require(step <= steps, "steps", steps, f"{step} or more: so many are done in {path}")
        prefixes = ["losses.", *(prefix for prefix, _ in self._stored())]
        prefixes += [f"optimizers.{name}." for name in self.learner.optimizers]
        for name, values in tensors.items():
            if not name.startswith(tuple(prefixes)):
                raise ValueError(f"{path}: damaged: tensor {name} belongs to nothing")
            if name.startswith("losses."):
                if values.shape != (step,) or values.dtype != torch.float32:
                    raise ValueError(
                        f"{path}: {name} is {values.dtype} {tuple(values.shape)}: must be "
                        f"torch.float32 ({step},), one number per step"
                    )
                self.losses[name.removeprefix("losses.")] = values
        if step > 0 and not self.losses:
            raise ValueError(f"{path}: damaged: no losses of its {step} steps")
        for prefix, module in self._stored():
            checkpoints.fill(module, tensors, path, prefix)
        for name, optimizer in self.learner.optimizers.items():
            prefix = f"optimizers.{name}."
            checkpoints.fill_optimizer(optimizer, tensors, path, prefix)
            found = len(optimizer.state_dict()["state"])
            if found != kept.get(name):
                raise ValueError(
                    f"{path}: {prefix}*: state of {found} parameters, written for {kept.get(name)}"
                )
        scaler = self.accelerator.scaler  # None on a CPU
        if metadata["scaler"] and scaler is not None:
            if metadata["scaler"].keys() != scaler.state_dict().keys():
                raise ValueError(f"{path}: damaged: scaler is {metadata['scaler']}")
            scaler.load_state_dict(metadata["scaler"])
        self.step, self.earlier, self.learner._step = step, metadata["seconds"], step
        self._keep(path)

    def _stored(self) -> list[tuple[str, nn.Module]]:
        """What a checkpoint holds: modules that are trained, and averages."""
        learner = self.learner
        trained = [name for name in learner.modules if name not in learner.frozen]
        return [(f"modules.{name}.", learner.modules[name]) for name in trained] + [
            (f"averages.{name}.", average) for name, average in learner.averages.items()
        ]
