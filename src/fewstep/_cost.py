"""What training and sampling cost: operations and memory, counted, and the times they make."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch

# Peaks in TFLOP/s of float32, float64 and half precision from the makers' data sheets; small
# networks reach a fraction. The share is an assumption, on the safe side, until a run on a GPU is
# recorded.
DEVICES = {"T4": (8.1, 0.25, 65.0), "A100": (19.5, 9.7, 312.0)}
SHARE = 0.25


def minutes(device: str, single: float = 0.0, double: float = 0.0, half: float = 0.0) -> float:
    """Computed time of so many operations in each precision, at a share of the peak."""
    peaks = zip((single, double, half), DEVICES[device])
    return sum(operations / peak for operations, peak in peaks) / (1e12 * SHARE) / 60


@contextmanager
def counted() -> Iterator[list[float]]:
    """Operations inside the block, written into the list when it ends."""
    from torch.utils.flop_counter import FlopCounterMode

    found = [0.0]
    with FlopCounterMode(display=False) as counter:
        yield found
    found[0] = float(counter.get_total_flops())


@contextmanager
def kept(weights: Iterable[torch.Tensor]) -> Iterator[list[float]]:
    """Largest number of bytes that autograd keeps for the backward pass at one moment, without
    the weights. On the meta device, where tensors have no storage, each tensor counts as one.
    """

    def place(x: torch.Tensor) -> int:
        return id(x.untyped_storage()) if x.is_meta else x.untyped_storage().data_ptr()

    not_counted = {place(w) for w in weights}
    alive: dict[int, list[int]] = {}
    peak = [0.0]

    def pack(x: torch.Tensor) -> torch.Tensor:
        where = place(x)
        if where not in not_counted:
            alive.setdefault(where, [0, x.untyped_storage().nbytes()])[0] += 1
            peak[0] = max(peak[0], sum(size for _, size in alive.values()))
        return x

    def unpack(x: torch.Tensor) -> torch.Tensor:
        where = place(x)
        if where in alive:
            alive[where][0] -= 1
            if alive[where][0] == 0:
                del alive[where]
        return x

    with torch.autograd.graph.saved_tensors_hooks(pack, unpack):
        yield peak
