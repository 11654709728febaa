"""A run's log: ``log.jsonl``, one JSON object a line, and TensorBoard's files beside it."""

import json
import math
from pathlib import Path

import torch

from ._files import write


class Log:
    """The log of a run that has done ``step`` steps; lines beyond those are dropped.

    folder: is made.  So a run that starts anew starts its log anew.
    ``since`` is the step of the last line.
    """

    def __init__(self, folder: str | Path, step: int):
        from torch.utils.tensorboard import SummaryWriter

        self.path, self.since = Path(folder) / "log.jsonl", 0
        kept = []
        for line in self.path.read_bytes().splitlines(True) if self.path.exists() else []:
            try:
                done = json.loads(line)["step"]
            except (ValueError, KeyError, TypeError):
                break  # torn by a kill
            if done > step:
                break
            kept.append(line)
            self.since = done
        write(self.path, b"".join(kept))
        self.board = SummaryWriter(str(folder), purge_step=step + 1)

    def line(
        self,
        step: int,
        seconds: float,
        losses: dict[str, torch.Tensor],
        found: dict[str, float | torch.Tensor],
    ) -> None:
        """Write the mean losses since the last line, and what hooks found: numbers and pictures.

        losses: name -> (steps,), NaN where there was none.  found: a number, or pictures (B, C, H,
        W) in [-1, 1], which go to TensorBoard.
        """
        recent = {name: values[self.since :] for name, values in losses.items()}
        means = {k: float(v.nanmean()) for k, v in recent.items() if not v.isnan().all()}
        numbers = means | {k: v for k, v in found.items() if isinstance(v, float)}
        for name, number in numbers.items():
            self.board.add_scalar(name, number, step)
        for name, value in found.items():
            if isinstance(value, torch.Tensor):
                self.board.add_images(name, (value.float().cpu().clamp(-1, 1) + 1) / 2, step)
        self.board.flush()
        valid = {k: v if math.isfinite(v) else None for k, v in numbers.items()}  # JSON has no NaN
        entry = json.dumps({"step": step, "seconds": round(seconds, 3), **valid})
        with open(self.path, "a", encoding="utf-8") as file:
            file.write(entry + "\n")
        self.since = step

    def close(self) -> None:
        """Close TensorBoard's files."""
        self.board.close()
