"""Bad calls of sampling: refused before any network call."""

import itertools
from functools import partial

import torch

from fewstep.processes import VP
from fewstep.sampling import from_seeds
from fewstep.solvers import Churn

SHAPE, GRID = (3,), [1.0, 0.5, 0.0]


def forbidden(*arguments):
    raise AssertionError("the denoiser was called before the arguments were checked")


of_seeds = lambda seeds: from_seeds(forbidden, seeds, SHAPE, GRID)
of_shape = lambda shape: from_seeds(forbidden, [1, 2], shape, GRID)
run = partial(from_seeds, forbidden, [1, 2], SHAPE, GRID, progress=False)

BAD = {
    "sampling.from_seeds": [
        (lambda: from_seeds(None, [1], SHAPE, GRID), "denoiser = None: must be a function"),
        (lambda: from_seeds("D", [1], SHAPE, GRID), "denoiser = 'D': must be a function"),
        (lambda: of_seeds(None), "seeds = None: must be one or more integers ≥ 0"),
        (lambda: of_seeds(3), "seeds = 3: must be one or more integers ≥ 0"),
        (lambda: of_seeds([]), "seeds = []: must be one or more integers ≥ 0"),
        (lambda: of_seeds(torch.zeros(0).long()), "seeds = []: must be one or more integers ≥ 0"),
        (lambda: of_seeds(range(0)), "seeds = range(0, 0): must be one or more integers ≥ 0"),
        (lambda: of_seeds([-1, 2]), "seeds = [-1, 2]: must be one or more integers ≥ 0"),
        (lambda: of_seeds([0.5, 1]), "seeds = [0.5, 1]: must be one or more integers ≥ 0"),
        (lambda: of_seeds([True, False]), "seeds = [True, False]: must be one or more integers"),
        (lambda: of_seeds([None]), "seeds = [None]: must be one or more integers ≥ 0"),
        (lambda: of_seeds("12"), "seeds = '12': must be one or more integers ≥ 0"),
        (lambda: of_seeds([[1], [2]]), "seeds = [[1], [2]]: must be one or more integers ≥ 0"),
        (lambda: of_seeds([2**70]), "seeds = [1180591620717411303424]: must be one or more"),
        (lambda: of_seeds(torch.tensor(3)), "seeds = 3: must be one or more integers ≥ 0"),
        (lambda: of_seeds(itertools.count()), "seeds = count(0): must be one or more integers"),
        (lambda: of_shape(8), "shape = 8: must be such as (1, 8, 8)"),
        (lambda: of_shape(()), "shape = (): must be such as (1, 8, 8)"),
        (lambda: of_shape(None), "shape = None: must be such as (1, 8, 8)"),
        (lambda: of_shape("888"), "shape = '888': must be such as (1, 8, 8)"),
        (lambda: of_shape((1, 0)), "shape = 0: must be an integer ≥ 1"),
        (lambda: of_shape((1, 8.0)), "shape = 8.0: must be an integer ≥ 1"),
        (lambda: of_shape((1, None)), "shape = None: must be an integer ≥ 1"),
        (lambda: from_seeds(forbidden, [1], SHAPE, None), "sigmas = None: must be finite numbers"),
        (lambda: from_seeds(forbidden, [1], SHAPE, [0, 1]), "sigmas = [0, 1]: must be strictly"),
        (lambda: run("heun"), "step = 'heun': must be a function step(flow, x, now, then)"),
        (lambda: run(None), "step = None: must be a function step(flow, x, now, then)"),
        (lambda: run(process=None), "process = None: must be a Process"),
        (lambda: from_seeds(forbidden, [1], SHAPE, [200, 0], process=VP()), "sigma = 200"),
        (lambda: run(churn=1.0), "churn = 1.0: must be a Churn, or None"),
        (lambda: run(churn=Churn), "must be a Churn, or None"),
        (lambda: run(labels=[1, 2, 3]), "labels = [1, 2, 3]: must be one integer, or one for each"),
        (lambda: run(labels="shirt"), "labels = 'shirt': must be an integer, or integers (B,)"),
        (lambda: run(labels=1.5), "labels = 1.5: must be an integer, or integers (B,)"),
        (lambda: run(labels=[]), "labels = []: must be an integer, or integers (B,)"),
        (lambda: run(guidance=2.0), "guidance = 2.0: must be 0 or 1 where there are no labels"),
        (lambda: run(labels=1, guidance="x"), "guidance = 'x': must be a finite number"),
        (lambda: run(batch_size=0), "batch_size = 0: must be an integer ≥ 1"),
        (lambda: run(batch_size=2.5), "batch_size = 2.5: must be an integer ≥ 1"),
        (lambda: run(batch_size=None), "batch_size = None: must be an integer ≥ 1"),
        (lambda: run(device="toaster"), "device = 'toaster': must be a device of this machine"),
        (lambda: run(device=10**400), "device = 1000000000"),
        (lambda: run(device=3.5), "device = 3.5: must be a device of this machine"),
        (lambda: run(device="cuda:99"), "device = 'cuda:99': must be a device of this machine"),
    ]
}
