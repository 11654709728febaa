"""Bad calls of toys."""

from fewstep import toys


def of(f):
    """What every toy must refuse."""
    return [
        (lambda: f(0), "n = 0"),
        (lambda: f(2.5), "n = 2.5"),
        (lambda: f(None), "n = None"),
        (lambda: f(True), "n = True"),
        (lambda: f(5, "one"), "seed = 'one'"),
        (lambda: f(5, -1), "seed = -1"),
        (lambda: f(5, 0.5), "seed = 0.5"),
        (lambda: f(5, 2**64), "seed = 18446744073709551616"),
    ]


BAD = {
    "toys.two_deltas": of(toys.two_deltas),
    "toys.grid25": of(toys.grid25),
    "toys.moons": [
        *of(toys.moons),
        (lambda: toys.moons(5, noise=-1), "noise = -1"),
        (lambda: toys.moons(5, noise="much"), "noise = 'much'"),
        (lambda: toys.moons(5, noise=None), "noise = None"),
    ],
    "toys.spiral": [
        *of(toys.spiral),
        (lambda: toys.spiral(5, noise=-1), "noise = -1"),
        (lambda: toys.spiral(5, turns=None), "turns = None"),
        (lambda: toys.spiral(5, turns=float("inf")), "turns = inf"),
    ],
    "toys.checkerboard": of(toys.checkerboard),
    "toys.toy": [
        (lambda: toys.toy("swirl", 10), "name = 'swirl': must be one of 'two_deltas', 'grid25'"),
        (lambda: toys.toy(None, 10), "name = None"),
        (lambda: toys.toy(["moons"], 10), "name = ['moons']"),
        (lambda: toys.toy("moons", 0), "n = 0"),
    ],
}
