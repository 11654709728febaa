"""Bad calls of grids."""

import torch

from fewstep import grids, schedules
from fewstep.processes import VP, FromSDE

NAN, INF = float("nan"), float("inf")
CHAIN = schedules.cosine(100)
SHORT = FromSDE(lambda t: -t, lambda t: 1 + t, t_max=0.5)


def of_steps(f):
    """What every grid must refuse as its number of steps."""
    return [
        (lambda: f(0), "n = 0: must be an integer"),
        (lambda: f(-3), "n = -3: must be an integer"),
        (lambda: f(2.5), "n = 2.5: must be an integer"),
        (lambda: f("18"), "n = '18': must be an integer"),
        (lambda: f(None), "n = None: must be an integer"),
        (lambda: f(True), "n = True: must be an integer"),
    ]


BAD = {
    "grids.check": [
        (lambda: grids.check([1.0, 2.0, 0.0]), "sigmas = [1.0, 2.0, 0.0]: must be strictly decr"),
        (lambda: grids.check([1.0, 1.0, 0.0]), "sigmas = [1.0, 1.0, 0.0]: must be strictly decr"),
        (lambda: grids.check([1.0, 0.0, -1.0]), "sigmas = [1.0, 0.0, -1.0]: must be non-negative"),
        (lambda: grids.check([1.0, NAN, 0.0]), "sigmas = [1.0, nan, 0.0]: must be finite numbers"),
        (lambda: grids.check([INF, 1.0, 0.0]), "sigmas = [inf, 1.0, 0.0]: must be finite numbers"),
        (lambda: grids.check([1.0]), "sigmas.shape = (1,): must be (n + 1,)"),
        (lambda: grids.check([]), "sigmas.shape = (0,): must be (n + 1,)"),
        (lambda: grids.check([[1.0, 0.0]]), "sigmas.shape = (1, 2): must be (n + 1,)"),
        (lambda: grids.check(80.0), "sigmas.shape = (): must be (n + 1,)"),
        (lambda: grids.check("edm"), "sigmas = 'edm': must be finite numbers"),
        (lambda: grids.check(None), "sigmas = None: must be finite numbers"),
        (lambda: grids.check(grids.edm), "must be finite numbers"),
        (lambda: grids.check(["80", "0"]), "sigmas = ['80', '0']: must be finite numbers"),
        (lambda: grids.check([True, False]), "sigmas = [True, False]: must be finite numbers"),
        (lambda: grids.check(torch.tensor([1j, 0])), "must be finite numbers"),
    ],
    "grids.edm": [
        *of_steps(grids.edm),
        (lambda: grids.edm(5, 1.0, 1.0), "sigma_max = 1.0: must be a finite number > 1"),
        (lambda: grids.edm(5, NAN), "sigma_min = nan: must be a finite number > 0"),
        (lambda: grids.edm(5, None), "sigma_min = None: must be a finite number > 0"),
        (lambda: grids.edm(5, sigma_max=INF), "sigma_max = inf: must be a finite number"),
        (lambda: grids.edm(5, sigma_max="80"), "sigma_max = '80': must be a finite number"),
        (lambda: grids.edm(5, rho=1e-3), "rho = 0.001: must be so large that"),
        (lambda: grids.edm(5, sigma_max=1e60, rho=0.1), "rho = 0.1: must be so large that"),
        (lambda: grids.edm(5, rho=1e9), "rho = 1000000000.0: must be a finite number"),
        (lambda: grids.edm(5, rho=0), "rho = 0: must be a finite number > 0"),
        (lambda: grids.edm(5, rho=NAN), "rho = nan: must be a finite number > 0"),
        (lambda: grids.edm(5, rho="7"), "rho = '7': must be a finite number > 0"),
    ],
    "grids.vp": [
        *of_steps(grids.vp),
        (lambda: grids.vp(5, t_min=1.0), "t_min = 1.0: must be a finite number > 0 and < 1"),
        (lambda: grids.vp(5, t_min=0), "t_min = 0: must be a finite number > 0 and < 1"),
        (lambda: grids.vp(5, t_min=None), "t_min = None: must be a finite number"),
        (lambda: grids.vp(5, None), "process = None: must be a Process"),
        (lambda: grids.vp(5, "vp"), "process = 'vp': must be a Process"),
        (lambda: grids.vp(5, VP), "must be a Process, such as VP()"),
        (lambda: grids.vp(5, SHORT), "must be within the domain of the process"),
    ],
    "grids.ve": [
        *of_steps(grids.ve),
        (lambda: grids.ve(5, 2.0, 1.0), "sigma_max = 1.0: must be a finite number > 2"),
        (lambda: grids.ve(5, 0.0, 1.0), "sigma_min = 0.0: must be a finite number > 0"),
        (lambda: grids.ve(5, "low"), "sigma_min = 'low': must be a finite number > 0"),
        (lambda: grids.ve(5, 0.02, None), "sigma_max = None: must be a finite number"),
    ],
    "grids.iddpm": [
        *of_steps(grids.iddpm),
        (lambda: grids.iddpm(993), "n = 993: must be an integer in 1 … 992"),
        (lambda: grids.iddpm(5, j0=1.5), "j0 = 1.5: must be an integer in 0 … 999"),
        (lambda: grids.iddpm(5, j0=-1), "j0 = -1: must be an integer in 0 … 999"),
        (lambda: grids.iddpm(1, M=10, j0=10), "j0 = 10: must be an integer in 0 … 9"),
        (lambda: grids.iddpm(5, M=0), "M = 0: must be an integer ≥ 1"),
        (lambda: grids.iddpm(5, M=None), "M = None: must be an integer ≥ 1"),
    ],
    "grids.respaced": [
        *of_steps(lambda n: grids.respaced(n, CHAIN)),
        (lambda: grids.respaced(101, CHAIN), "n = 101: must be an integer in 1 … 100"),
        (lambda: grids.respaced(5, None), "chain = None: must be a Chain"),
        (lambda: grids.respaced(5, CHAIN.betas), "must be a Chain"),
    ],
    "grids.round_to": [
        (lambda: grids.round_to(None, [1.0]), "sigmas = None: must be finite numbers"),
        (lambda: grids.round_to([0.0, 1.0], [1.0]), "sigmas = [0.0, 1.0]: must be strictly decr"),
        (lambda: grids.round_to(grids.edm(18), None), "levels = None: must be finite numbers"),
        (lambda: grids.round_to(grids.edm(18), "all"), "levels = 'all': must be finite numbers"),
        (lambda: grids.round_to(grids.edm(18), [1.0, 80.0]), "must be apart after rounding"),
        (lambda: grids.round_to(grids.edm(18), torch.zeros(3)), "levels = [0.0, 0.0, 0.0]: must"),
        (lambda: grids.round_to(grids.edm(18), [1.0, NAN]), "levels = [1.0, nan]: must be finite"),
        (lambda: grids.round_to(grids.edm(18), 1.0), "levels = 1.0: must be a list (M,)"),
        (lambda: grids.round_to(grids.edm(18), []), "levels = []: must be a list (M,)"),
    ],
}
