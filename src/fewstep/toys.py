"""Toy distributions in one and two dimensions, within about [-1, 1]: every picture of them can be
drawn whole.

Each function takes a number of samples and a seed and returns float32 (n, 1) or (n, 2).
"""

import math

import torch

from ._checks import require

TWO_DELTAS = torch.tensor([[-1.0], [1.0]])
GRID25_MEANS = torch.cartesian_prod(*[torch.linspace(-1, 1, 5)] * 2)
GRID25_STD = 0.03


def two_deltas(n, seed=0):
    """½ δ(x − 1) + ½ δ(x + 1): the course's first data set, (n, 1)."""
    return TWO_DELTAS[torch.randint(2, (n,), generator=_generator(n, seed))]


def grid25(n, seed=0):
    """25 Gaussians of std ``GRID25_STD`` around ``GRID25_MEANS``, a 5 × 5 grid on [-1, 1]², (n,
    2).
    """
    g = _generator(n, seed)
    return GRID25_MEANS[torch.randint(25, (n,), generator=g)] + GRID25_STD * torch.randn(
        n, 2, generator=g
    )


def moons(n, seed=0, noise=0.03):
    """Two interleaved half circles, with Gaussian noise of this std, (n, 2)."""
    g = _generator(n, seed)
    angle = math.pi * torch.rand(n, generator=g)
    upper = torch.rand(n, generator=g) < 0.5
    x = torch.where(upper, angle.cos() - 0.5, 0.5 - angle.cos()) / 1.5
    y = torch.where(upper, angle.sin() - 0.25, 0.25 - angle.sin()) / 1.5
    return torch.stack([x, y], 1) + noise * torch.randn(n, 2, generator=g)


def spiral(n, seed=0, turns=2.0, noise=0.015):
    """An Archimedean spiral from the centre outwards, evenly filled along its length, with
    Gaussian noise, (n, 2).
    """
    g = _generator(n, seed)
    radius = torch.rand(n, generator=g).sqrt()
    angle = 2 * math.pi * turns * radius
    return (radius * torch.stack([angle.cos(), angle.sin()])).T + noise * torch.randn(
        n, 2, generator=g
    )


def checkerboard(n, seed=0):
    """Uniform on the dark squares of a 4 × 4 board on [-1, 1]², (n, 2)."""
    g = _generator(n, seed)
    column = torch.randint(4, (n,), generator=g)
    row = 2 * torch.randint(2, (n,), generator=g) + column % 2
    corner = torch.stack([column, row], 1)
    return (corner + torch.rand(n, 2, generator=g)) / 2 - 1


TOYS = {f.__name__: f for f in (two_deltas, grid25, moons, spiral, checkerboard)}


def toy(name, n, seed=0):
    """Samples of the toy distribution with this name, one of ``TOYS``."""
    require(name in TOYS, "name", name, f"one of {', '.join(TOYS)}")
    return TOYS[name](n, seed)


def _generator(n, seed):
    require(isinstance(n, int) and n >= 1, "n", n, "an integer ≥ 1")
    return torch.Generator().manual_seed(seed)
