"""Toy distributions in one and two dimensions, within about [-1, 1].

Each function takes a number of samples and a seed and returns float32 (n, 1) or (n, 2). Every
picture of them can be drawn whole.
"""

import math

import torch

from ._checks import choice, count, number

TWO_DELTAS = torch.tensor([[-1.0], [1.0]])
GRID25_MEANS = torch.cartesian_prod(*[torch.linspace(-1, 1, 5)] * 2)
GRID25_STD = 0.03


def two_deltas(n: int, seed: int = 0) -> torch.Tensor:
    """½ δ(x − 1) + ½ δ(x + 1): the course's first data set, (n, 1)."""
    return TWO_DELTAS[torch.randint(2, (n,), generator=_generator(n, seed))]


def grid25(n: int, seed: int = 0) -> torch.Tensor:
    """25 Gaussians of std 0.03 around a 5 × 5 grid on [-1, 1]², (n, 2)."""
    g = _generator(n, seed)
    mean = GRID25_MEANS[torch.randint(25, (n,), generator=g)]
    return mean + GRID25_STD * torch.randn(n, 2, generator=g)


def moons(n: int, seed: int = 0, noise: float = 0.03) -> torch.Tensor:
    """Two interleaved half circles, with Gaussian noise of this std, (n, 2)."""
    g, noise = _generator(n, seed), number("noise", noise, at_least=0)
    angle = math.pi * torch.rand(n, generator=g)
    upper = torch.rand(n, generator=g) < 0.5
    x = torch.where(upper, angle.cos() - 0.5, 0.5 - angle.cos()) / 1.5
    y = torch.where(upper, angle.sin() - 0.25, 0.25 - angle.sin()) / 1.5
    return torch.stack([x, y], 1) + noise * torch.randn(n, 2, generator=g)


def spiral(n: int, seed: int = 0, turns: float = 2.0, noise: float = 0.015) -> torch.Tensor:
    """An Archimedean spiral, evenly filled along its length, with Gaussian noise, (n, 2).

    turns: from the centre outwards.  noise: its std.
    """
    g, noise, turns = (
        _generator(n, seed),
        number("noise", noise, at_least=0),
        number("turns", turns),
    )
    radius = torch.rand(n, generator=g).sqrt()
    angle = 2 * math.pi * turns * radius
    x = (radius * torch.stack([angle.cos(), angle.sin()])).T
    return x + noise * torch.randn(n, 2, generator=g)


def checkerboard(n: int, seed: int = 0) -> torch.Tensor:
    """Uniform on the dark squares of a 4 × 4 board on [-1, 1]², (n, 2)."""
    g = _generator(n, seed)
    column = torch.randint(4, (n,), generator=g)
    row = 2 * torch.randint(2, (n,), generator=g) + column % 2
    corner = torch.stack([column, row], 1)
    return (corner + torch.rand(n, 2, generator=g)) / 2 - 1


TOYS = {f.__name__: f for f in (two_deltas, grid25, moons, spiral, checkerboard)}


def toy(name: str, n: int, seed: int = 0) -> torch.Tensor:
    """Samples of the toy distribution with this name, one of ``TOYS``."""
    return TOYS[choice("name", name, list(TOYS))](n, seed)


def _generator(n: int, seed: int) -> torch.Generator:
    count("n", n)
    return torch.Generator().manual_seed(count("seed", seed, at_least=0, at_most=2**63 - 1))
