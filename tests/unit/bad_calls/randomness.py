"""Bad calls of randomness."""

import torch

from fewstep.randomness import batch_rows, normal, seed_modules, uniform

ROWS = range(4)


def of_draws(f):
    """What both kinds of draws must refuse."""
    return [
        (lambda: f(-1, 0, "u", ROWS), "seed = -1: must be an integer ≥ 0"),
        (lambda: f(0.5, 0, "u", ROWS), "seed = 0.5: must be an integer ≥ 0"),
        (lambda: f(None, 0, "u", ROWS), "seed = None: must be an integer ≥ 0"),
        (lambda: f(2**64, 0, "u", ROWS), "seed = 18446744073709551616: must be an integer ≥ 0"),
        (lambda: f(0, -1, "u", ROWS), "step = -1: must be an integer ≥ 0"),
        (lambda: f(0, 1.0, "u", ROWS), "step = 1.0: must be an integer ≥ 0"),
        (lambda: f(0, "1", "u", ROWS), "step = '1': must be an integer ≥ 0"),
        (lambda: f(0, 0, 8, ROWS), "name = 8: must be a word"),
        (lambda: f(0, 0, None, ROWS), "name = None: must be a word"),
        (lambda: f(0, 0, "", ROWS), "name = '': must be a word"),
        (lambda: f(0, 0, "u", 4), "rows = 4: must be a range of rows ≥ 0 without gaps"),
        (lambda: f(0, 0, "u", None), "rows = None: must be a range of rows ≥ 0 without gaps"),
        (lambda: f(0, 0, "u", [0, 1]), "rows = [0, 1]: must be a range of rows ≥ 0 without gaps"),
        (lambda: f(0, 0, "u", range(0, 8, 2)), "rows = range(0, 8, 2): must be a range of rows"),
        (lambda: f(0, 0, "u", range(3, 0, -1)), "rows = range(3, 0, -1): must be a range of rows"),
        (lambda: f(0, 0, "u", range(-2, 2)), "rows = range(-2, 2): must be a range of rows ≥ 0"),
        (lambda: f(0, 0, "u", ROWS, (1, 8)), "shape = (1, 8): must be an integer ≥ 1"),
        (lambda: f(0, 0, "u", ROWS, 1, 8.0), "shape = 8.0: must be an integer ≥ 1"),
        (lambda: f(0, 0, "u", ROWS, -1), "shape = -1: must be an integer ≥ 1"),
        (lambda: f(0, 0, "u", ROWS, 0), "shape = 0: must be an integer ≥ 1"),
        (lambda: f(0, 0, "u", ROWS, None), "shape = None: must be an integer ≥ 1"),
        (lambda: f(0, 0, "u", ROWS, device="toaster"), "device = 'toaster': must be a device of"),
        (lambda: f(0, 0, "u", ROWS, device=3.5), "device = 3.5: must be a device of this machine"),
    ]


BAD = {
    "randomness.normal": of_draws(normal),
    "randomness.uniform": of_draws(uniform),
    "randomness.batch_rows": [
        (lambda: batch_rows(0, 4, 0, 0), "n = 0: must be an integer ≥ 1"),
        (lambda: batch_rows(-5, 4, 0, 0), "n = -5: must be an integer ≥ 1"),
        (lambda: batch_rows(torch.zeros(5), 4, 0, 0), "must be an integer ≥ 1"),
        (lambda: batch_rows(None, 4, 0, 0), "n = None: must be an integer ≥ 1"),
        (lambda: batch_rows(5, 0, 0, 0), "batch_size = 0: must be an integer ≥ 1"),
        (lambda: batch_rows(5, 2.5, 0, 0), "batch_size = 2.5: must be an integer ≥ 1"),
        (lambda: batch_rows(5, None, 0, 0), "batch_size = None: must be an integer ≥ 1"),
        (lambda: batch_rows(5, 4, -1, 0), "step = -1: must be an integer ≥ 0"),
        (lambda: batch_rows(5, 4, 0.5, 0), "step = 0.5: must be an integer ≥ 0"),
        (lambda: batch_rows(5, 4, None, 0), "step = None: must be an integer ≥ 0"),
        (lambda: batch_rows(5, 4, 0, -1), "seed = -1: must be an integer ≥ 0"),
        (lambda: batch_rows(5, 4, 0, "x"), "seed = 'x': must be an integer ≥ 0"),
        (lambda: batch_rows(5, 4, 0, None), "seed = None: must be an integer ≥ 0"),
    ],
    "randomness.seed_modules": [
        (lambda: seed_modules(-1, 0, 0, "cpu"), "seed = -1: must be an integer ≥ 0"),
        (lambda: seed_modules(None, 0, 0, "cpu"), "seed = None: must be an integer ≥ 0"),
        (lambda: seed_modules(0, -1, 0, "cpu"), "step = -1: must be an integer ≥ 0"),
        (lambda: seed_modules(0, 0.5, 0, "cpu"), "step = 0.5: must be an integer ≥ 0"),
        (lambda: seed_modules(0, 0, -1, "cpu"), "rank = -1: must be an integer ≥ 0"),
        (lambda: seed_modules(0, 0, "first", "cpu"), "rank = 'first': must be an integer ≥ 0"),
        (lambda: seed_modules(0, 0, 0, "toaster"), "device = 'toaster': must be a device of this"),
        (lambda: seed_modules(0, 0, 0, 3.5), "device = 3.5: must be a device of this machine"),
    ],
}
