"""Bad calls of processes."""

import numpy as np
import torch

from fewstep.processes import EDM, VE, VP, FromSDE, Process, SubVP

NAN, INF = float("nan"), float("inf")
X = torch.zeros(2, 3)
GIVEN = FromSDE(lambda t: -t, lambda t: 1 + t, t_max=2.0)
LATE = VP.with_levels(0.002, 80)  # does not exist just above t = 0
grow = lambda t: 1 + t

TIMES = [
    (lambda: EDM().at(None), "t = None: must be finite numbers"),
    (lambda: EDM().at("late"), "t = 'late': must be finite numbers"),
    (lambda: EDM().at(True), "t = True: must be finite numbers"),
    (lambda: EDM().at(1j), "t = 1j: must be finite numbers"),
    (lambda: EDM().at(torch.tensor([1j])), "t = [1j]: must be finite numbers"),
    (lambda: EDM().at([True, False]), "t = [True, False]: must be finite numbers"),
    (lambda: EDM().at(10**400), "t = 1000000000"),
    (lambda: EDM().at({"t": 1}), "t = {'t': 1}: must be finite numbers"),
    (lambda: EDM().at(INF), "t = inf: must be finite numbers"),
    (lambda: VE().at(-0.1), "must be within the domain of the process"),
    (lambda: VP().at([0.5, 1.1]), "must be within the domain of the process"),
    (lambda: GIVEN.at(2.1), "must be within the domain of the process"),
    (lambda: LATE.at(3e-4), "must be 0, or at least −2 β_min/β_d"),
]
QUANTITIES = ("sigma", "s", "dsigma", "ds", "f", "g")


def of_time(name):
    """What every quantity of time must refuse."""
    return [
        (lambda: getattr(VP(), name)(None), "t = None: must be finite numbers"),
        (lambda: getattr(VP(), name)(NAN), "t = nan: must be finite numbers"),
        (lambda: getattr(VP(), name)(1.1), "t = 1.1: must be within the domain"),
    ]


BAD = {
    "processes.Process": [(lambda: Process().at(None), "t = None: must be finite numbers")],
    "processes.EDM": [(lambda: EDM().at(-1.0), "t = -1.0: must be within the domain")],
    "processes.VE": [(lambda: VE().at(-1.0), "t = -1.0: must be within the domain")],
    "processes.Process.at": TIMES,
    **{f"processes.Process.{name}": of_time(name) for name in QUANTITIES},
    "processes.Process.sigma_inv": [
        (lambda: VP().sigma_inv(-1.0), "sigma = -1.0: must be non-negative"),
        (lambda: EDM().sigma_inv(NAN), "sigma = nan: must be finite numbers"),
        (lambda: EDM().sigma_inv("high"), "sigma = 'high': must be finite numbers"),
        (lambda: EDM().sigma_inv(None), "sigma = None: must be finite numbers"),
        (lambda: VP().sigma_inv(1e6), "sigma = 1000000.0: must be at most the highest level"),
        (lambda: VP().sigma_inv([1.0, 1e6]), "must be at most the highest level of the process"),
        (lambda: SubVP().sigma_inv(1e6), "must be at most the highest level of the process"),
        (lambda: GIVEN.sigma_inv(1e6), "must be at most the highest level of the process"),
        (lambda: VE().sigma_inv(1e200), "sigma = 1e+200: must be such that its time stays within"),
    ],
    "processes.Process.perturb": [
        (lambda: VP().perturb(X / 0, 0.5, X), "x0 = 'NaN or infinity': must be finite"),
        (lambda: VP().perturb(X.long(), 0.5, X), "x0.dtype = torch.int64: must be floating"),
        (lambda: VP().perturb(X[0], 0.5, X[0]), "x0.shape = (3,): must be (B, ...)"),
        (lambda: VP().perturb(None, 0.5, X), "x0 = None: must be a torch.Tensor"),
        (lambda: VP().perturb(X.numpy(), 0.5, X), "must be a torch.Tensor of shape (B, ...)"),
        (lambda: VP().perturb(X, 0.5, X / 0), "noise = 'NaN or infinity': must be finite"),
        (lambda: VP().perturb(X, 0.5, X[:1]), "noise.shape = (1, 3): must be (2, 3), as x0"),
        (lambda: VP().perturb(X, 0.5, 1.0), "noise = 1.0: must be a torch.Tensor"),
        (lambda: VP().perturb(X, None, X), "t = None: must be finite numbers"),
        (lambda: VP().perturb(X, 2.0, X), "t = 2.0: must be within the domain"),
        (lambda: VP().perturb(X, [0.1, 0.2, 0.3], X), "t.shape = (3,): must be () or (2,)"),
    ],
    "processes.VP": [
        (lambda: VP(beta_d=-1.0), "beta_d = -1.0: must be a finite number ≥ 0"),
        (lambda: VP(beta_d=5000.0), "beta_min + beta_d/2 = 2500.1: must be in (0, 700]"),
        (lambda: VP(beta_min=NAN), "beta_min = nan: must be a finite number"),
        (lambda: VP(0.0, 0.0), "beta_min + beta_d/2 = 0.0: must be in (0, 700]"),
        (lambda: VP("fast"), "beta_d = 'fast': must be a finite number"),
        (lambda: VP(None), "beta_d = None: must be a finite number"),
        (lambda: VP(True), "beta_d = True: must be a finite number"),
        (lambda: VP(torch.tensor(True)), "beta_d = True: must be a finite number"),
        (lambda: VP(np.bool_(True)), "must be a finite number"),
        (lambda: VP(10**400), "beta_d = 1000000000"),
        (lambda: VP(19.9, [0.1, 0.2]), "beta_min = [0.1, 0.2]: must be a finite number"),
    ],
    "processes.VP.with_levels": [
        (lambda: VP.with_levels(80, 0.002), "sigma_min, sigma_max = (80.0, 0.002): must be 0 <"),
        (lambda: VP.with_levels(0.0, 80), "sigma_min, sigma_max = (0.0, 80.0): must be 0 <"),
        (lambda: VP.with_levels(0.02, NAN), "sigma_max = nan: must be a finite number"),
        (lambda: VP.with_levels(0.02, 1e200), "sigma_max = 1e+200: must be a finite number ≤ 1e"),
        (lambda: VP.with_levels(None, 80), "sigma_min = None: must be a finite number"),
        (lambda: VP.with_levels(0.02, "80"), "sigma_max = '80': must be a finite number"),
        (lambda: VP.with_levels(0.02, 80, t_min=0.0), "t_min = 0.0: must be a finite number > 0"),
        (lambda: VP.with_levels(0.02, 80, t_min=1.0), "t_min = 1.0: must be a finite number > 0"),
        (lambda: VP.with_levels(0.5, 10), "sigma_min, sigma_max, t_min = (0.5, 10.0, 0.001)"),
    ],
    "processes.VP.at": TIMES[-1:],
    "processes.VP.beta": [
        (lambda: VP().beta("late"), "t = 'late': must be finite numbers"),
        (lambda: VP().beta(2.0), "t = 2.0: must be within the domain, 0 to 1"),
        (lambda: VP().beta(None), "t = None: must be finite numbers"),
    ],
    "processes.SubVP": [
        (lambda: SubVP(None), "vp = None: must be a VP"),
        (lambda: SubVP(EDM()), "vp = EDM(): must be a VP"),
        (lambda: SubVP(VP), "must be a VP"),
        (lambda: SubVP(LATE), "vp.beta_min = -"),
    ],
    "processes.FromSDE": [
        (lambda: FromSDE(None, grow), "drift = None: must be a function f(t)"),
        (lambda: FromSDE(-1.0, grow), "drift = -1.0: must be a function f(t)"),
        (lambda: FromSDE(grow, "g"), "diffusion = 'g': must be a function g(t)"),
        (lambda: FromSDE(lambda t: t * NAN, grow), "drift = "),
        (lambda: FromSDE(lambda t: "word", grow), "must be a function of an array of times"),
        (lambda: FromSDE(grow, lambda t: None), "must be a function of an array of times"),
        (lambda: FromSDE(lambda t: t[:3], grow), "must be a function of an array of times"),
        (lambda: FromSDE(lambda t: {}, grow), "must be a function of an array of times"),
        (lambda: FromSDE(lambda t: 1j * t, grow), "must be a function of an array of times"),
        (lambda: FromSDE(lambda: 0.0, grow), "must be a function of an array of times"),
        (lambda: FromSDE(grow, lambda t: t - 0.5), "must be finite and non-negative on [0, t_max]"),
        (lambda: FromSDE(grow, grow, t_max=INF), "t_max = inf: must be a finite number > 0"),
        (lambda: FromSDE(grow, grow, t_max=0), "t_max = 0: must be a finite number > 0"),
        (lambda: FromSDE(grow, grow, t_max="1"), "t_max = '1': must be a finite number > 0"),
        (lambda: FromSDE(grow, grow, points=None), "points = None: must be times"),
        (lambda: FromSDE(grow, grow, points="ab"), "points = 'ab': must be times"),
        (lambda: FromSDE(grow, grow, points=0.5), "points = 0.5: must be times in 0 … 1"),
        (lambda: FromSDE(grow, grow, points=[0.5, 2]), "points = [0.5, 2]: must be times in 0 … 1"),
        (
            lambda: FromSDE(grow, lambda t: 1 / np.sqrt(np.abs(t - 0.3) + 1e-300)).sigma(1.0),
            "drift, diffusion = 'rough near t = 0.3': must be resolved by 20,000 panels",
        ),
        (
            lambda: FromSDE(lambda t: -1000 + 0 * t, grow).s(1.0),
            "must be such that s and σ stay within float64",
        ),
    ],
}
