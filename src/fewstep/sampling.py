"""Pictures from seeds: one seed a picture, whatever the batch and the number of processes.

The start of a picture and every later noise come from a generator of its own, on the CPU. So
picture 17 is picture 17 in any batch, on any machine, in any number of processes, up to the
rounding of a network that sees batches of another size.
"""

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import torch
from tqdm.auto import tqdm

from . import grids, scale
from ._checks import count, function, integers, no_room, require, usable_device
from .denoisers import given
from .processes import EDM, Process
from .solvers import Churn, Samples, heun, sample


def from_seeds(
    denoiser: Callable,
    seeds: Sequence[int],
    shape: tuple[int, ...],
    sigmas: Any,
    step: Callable = heun,
    process: Process = EDM(),
    *,
    labels: Any = None,
    guidance: float = 1.0,
    churn: Churn | None = None,
    clip: bool = False,
    batch_size: int = 256,
    device: Any = None,
    progress: bool = True,
) -> Samples:
    """One sample for each seed, in their order; started by ``accelerate launch``, every process
    draws its share and returns all.

    denoiser: D(x, sigma), and D(x, sigma, labels) where there are labels.
    seeds: integers ≥ 0.  shape: of one sample, (C, H, W) or (d,).
    sigmas, step, process, churn, clip: as in ``solvers.sample``.
    labels: None, one integer for all, or one for each seed.  guidance: see ``denoisers.given``.
    batch_size: of one process; a batch that does not fit into memory is halved, with a warning.
    device: of the states; by default that of the denoiser's parameters.
    Returns x (N, *shape) on the CPU.  Raises ValueError for bad arguments.
    """
    function("denoiser", denoiser, "D(x, sigma)")
    allowed = "one or more integers ≥ 0, listed"
    listed = integers("seeds", seeds, allowed)
    fit = listed.ndim == 1 and len(listed) > 0 and (listed >= 0).all()
    require(fit, "seeds", seeds, allowed)
    numbered = listed.tolist()
    require(
        isinstance(shape, (tuple, list)) and len(shape) > 0, "shape", shape, "such as (1, 8, 8)"
    )
    size = tuple(count("shape", side) for side in shape)
    classes = given(denoiser, labels, guidance).labels
    one_each = classes is None or classes.ndim == 0 or len(classes) == len(numbered)
    require(one_each, "labels", labels, f"one integer, or one for each of {len(numbered)} seeds")
    count("batch_size", batch_size)
    grid = grids.check(sigmas)
    require(isinstance(process, Process), "process", process, "a Process, such as EDM()")
    start = float(process.s(process.sigma_inv(grid[0])) * grid[0])
    device = _device(denoiser) if device is None else usable_device("device", device)
    rank, processes = _processes()

    def draw(rows: list[int]) -> Samples:
        generators = [torch.Generator().manual_seed(numbered[row]) for row in rows]
        noise = torch.stack([torch.randn(size, generator=g) for g in generators])
        bound = denoiser
        if classes is not None:
            bound = given(denoiser, classes if classes.ndim == 0 else classes[rows], guidance)
        x = start * noise.to(device)
        return sample(bound, x, grid, step, process, churn=churn, generator=generators, clip=clip)

    mine = list(range(rank, len(numbered), processes))
    hidden = not progress or rank > 0
    with tqdm(
        total=len(mine), desc="sampling", unit="samples", delay=2, leave=False, disable=hidden
    ) as bar:
        made = _in_batches(draw, mine, batch_size, bar)
    x = torch.cat([part.x.cpu() for part in made]) if made else torch.empty(0, *size)
    return _gathered(x, made[0].nfe if made else 0, len(numbered))


def _in_batches(
    draw: Callable[[list[int]], Samples], rows: list[int], batch_size: int, bar: tqdm
) -> list[Samples]:
    """All rows, a batch at a time; where memory runs out the batch is halved and tried again."""
    made: list[Samples] = []
    while rows:
        try:
            made.append(draw(rows[:batch_size]))
        except (MemoryError, RuntimeError) as error:
            if not no_room(error) or min(batch_size, len(rows)) == 1:
                raise
            batch_size = min(batch_size, len(rows)) // 2
            warnings.warn(f"not enough memory: batches of {batch_size} from here on", stacklevel=3)
            continue
        bar.update(min(batch_size, len(rows)))
        rows = rows[batch_size:]
    return made


def _device(denoiser: Callable) -> torch.device:
    """Where the denoiser's parameters are; also of one with labels bound to it."""
    network = getattr(denoiser, "denoiser", denoiser)
    if isinstance(network, torch.nn.Module):
        return next((p.device for p in network.parameters()), torch.device("cpu"))
    return scale.device()


def _processes() -> tuple[int, int]:
    """This process's number, and how many there are."""
    together = torch.distributed.is_available() and torch.distributed.is_initialized()
    if not together:
        return 0, 1
    return torch.distributed.get_rank(), torch.distributed.get_world_size()


def _gathered(x: torch.Tensor, nfe: int, n: int) -> Samples:
    """All processes' samples in the order of the seeds; of P, process r has r, r + P, r + 2P …"""
    _, processes = _processes()
    if processes == 1:
        return Samples(x, nfe)
    parts: list[Any] = [None] * processes
    torch.distributed.all_gather_object(parts, (x, nfe))
    whole = torch.empty(n, *x.shape[1:])
    for r, (part, _) in enumerate(parts):
        whole[r::processes] = part
    return Samples(whole, max(calls for _, calls in parts))
