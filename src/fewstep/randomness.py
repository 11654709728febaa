"""Random numbers without state: a function of (seed, step, name, row) and of nothing else.

So a run that was killed repeats exactly what it would have done, a learner may ask for as many
draws as it likes, each under a name of its own, and every process draws its own rows only: the
rows of the whole batch are cut into blocks of 16, and each block has its own generator.
"""

import functools
from collections.abc import Callable
from hashlib import blake2b

import torch

from ._checks import count, require, usable_device

BLOCK = 16


def normal(
    seed: int, step: int, name: str, rows: range, *shape: int, device: str | torch.device = "cpu"
) -> torch.Tensor:
    """Standard normal numbers (len(rows), *shape), float32, for these rows of the whole batch.

    On a GPU other numbers than on a CPU.
    """

    def fill(block: torch.Tensor, generator: torch.Generator) -> None:
        block.normal_(generator=generator)

    return _draw("normal", fill, torch.float32, seed, step, name, rows, shape, device)


def uniform(
    seed: int, step: int, name: str, rows: range, *shape: int, device: str | torch.device = "cpu"
) -> torch.Tensor:
    """Uniform numbers (len(rows), *shape), float32, for these rows of the whole batch.

    Odd multiples of 2⁻²⁴: exact in float32, never 0 or 1, so that Φ⁻¹(u) is finite.
    """

    def fill(block: torch.Tensor, generator: torch.Generator) -> None:
        block.random_(0, 2**23, generator=generator)

    whole = _draw("uniform", fill, torch.int64, seed, step, name, rows, shape, device)
    return (whole + 0.5) / 2**23


def _draw(
    kind: str,
    fill: Callable[[torch.Tensor, torch.Generator], None],
    dtype: torch.dtype,
    seed: int,
    step: int,
    name: str,
    rows: range,
    shape: tuple[int, ...],
    device: str | torch.device,
) -> torch.Tensor:
    """The blocks that hold these rows, each filled by its own generator, cut to the rows."""
    seed, step = count("seed", seed, 0), count("step", step, 0)
    require(isinstance(name, str) and name, "name", name, "a word, the same in no other draw")
    whole = isinstance(rows, range) and rows.step == 1 and rows.start >= 0
    require(whole, "rows", rows, "a range of rows ≥ 0 without gaps")
    shape, device = tuple(count("shape", n) for n in shape), usable_device("device", device)
    first, end = rows.start // BLOCK, -(-rows.stop // BLOCK)
    numbers = torch.empty((end - first) * BLOCK, *shape, dtype=dtype, device=device)
    generator = torch.Generator(device)
    for block in range(first, end):
        generator.manual_seed(_seed(kind, seed, step, name, block))
        start = (block - first) * BLOCK
        fill(numbers[start : start + BLOCK], generator)
    offset = rows.start - first * BLOCK
    return numbers[offset : offset + len(rows)]


def batch_rows(n: int, batch_size: int, step: int, seed: int) -> torch.Tensor:
    """Rows of the data, (batch_size,) int64, of the batch that follows ``step`` others.

    n samples are shuffled anew for every pass, and passes follow each other.
    """
    n, batch_size = count("n", n), count("batch_size", batch_size)
    first, seed = count("step", step, 0) * batch_size, count("seed", seed, 0)
    parts = []
    while batch_size > 0:
        epoch, start = divmod(first, n)
        parts.append(_shuffled(n, epoch, seed)[start : start + batch_size])
        first, batch_size = first + len(parts[-1]), batch_size - len(parts[-1])
    return torch.cat(parts)


@functools.lru_cache(maxsize=4)
def _shuffled(n: int, epoch: int, seed: int) -> torch.Tensor:
    return torch.randperm(n, generator=torch.Generator().manual_seed(_seed("order", seed, epoch)))


def seed_modules(seed: int, step: int, rank: int, device: torch.device) -> None:
    """Seed the random state that dropout uses; each process (``rank``) its own."""
    seed, step, rank = count("seed", seed, 0), count("step", step, 0), count("rank", rank, 0)
    device = usable_device("device", device)
    number = _seed("modules", seed, step, rank)
    # torch.manual_seed asks every kind of device: a millisecond a step
    torch.default_generator.manual_seed(number)
    if device.type == "cuda":
        torch.cuda.manual_seed(number)


def _seed(*parts: int | str) -> int:
    """One well-mixed seed of 64 bits from several numbers and words."""
    return int.from_bytes(blake2b(repr(parts).encode(), digest_size=8).digest())
