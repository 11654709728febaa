"""Random choices without state: those of training step i are a function of (seed, i) and nothing
else.

So a run that was killed repeats exactly what it would have done, and several processes draw the
same numbers.
"""

import functools

import numpy as np
import torch


def draws(x, batch_size, step, seed, device="cpu"):
    """The random choices of one step, for the whole batch: rows (B,), u (B,) in (0, 1), noise (B,
    ...).

    A function of ``seed`` and ``step`` (and of the kind of device) only.  x: the data, (N, ...).
    """
    rows = batch_rows(len(x), batch_size, step, seed)
    generator = torch.Generator(device).manual_seed(_seed(seed, step, 1))
    # odd multiples of 2⁻²⁴: exact in float32, never 0 or 1, so that Φ⁻¹(u) is finite
    u = (torch.randint(2**23, (batch_size,), generator=generator, device=device) + 0.5) / 2**23
    noise = torch.randn(batch_size, *x.shape[1:], generator=generator, device=device)
    return rows, u, noise


def batch_rows(n, batch_size, step, seed):
    """Rows of batch number ``step``: n samples are shuffled anew for every pass, and passes follow
    each other.
    """
    first = step * batch_size
    parts = []
    while batch_size > 0:
        epoch, start = divmod(first, n)
        parts.append(_shuffled(n, epoch, seed)[start : start + batch_size])
        first, batch_size = first + len(parts[-1]), batch_size - len(parts[-1])
    return torch.cat(parts)


@functools.lru_cache(maxsize=4)
def _shuffled(n, epoch, seed):
    return torch.randperm(n, generator=torch.Generator().manual_seed(_seed(seed, epoch, 0)))


def _seed(*numbers):
    """One well-mixed seed from several numbers."""
    return int(np.random.SeedSequence(numbers).generate_state(1)[0])


def seed_modules(seed, step, rank, device):
    """Seed the random state that dropout uses; each process (``rank``) its own."""
    number = _seed(seed, step, 2, rank)
    torch.default_generator.manual_seed(
        number
    )  # torch.manual_seed asks every kind of device: a millisecond a step
    if device.type == "cuda":
        torch.cuda.manual_seed(number)
