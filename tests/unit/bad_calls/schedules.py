"""Bad calls of schedules."""

import torch

from fewstep import schedules
from fewstep.processes import EDM, VE, VP, FromSDE
from fewstep.schedules import Chain

NAN = float("nan")
X = torch.zeros(2, 3)
CHAIN = schedules.linear(100)
SHORT = FromSDE(lambda t: -t, lambda t: 1 + t, t_max=0.5)


def of_steps(f):
    """What every schedule must refuse as its number of steps."""
    return [
        (lambda: f(0), "T = 0: must be an integer ≥ 1"),
        (lambda: f(-5), "T = -5: must be an integer ≥ 1"),
        (lambda: f(10.5), "T = 10.5: must be an integer ≥ 1"),
        (lambda: f("100"), "T = '100': must be an integer ≥ 1"),
        (lambda: f(None), "T = None: must be an integer ≥ 1"),
        (lambda: f(True), "T = True: must be an integer ≥ 1"),
        (lambda: f(torch.tensor(True)), "T = True: must be an integer ≥ 1"),
        (lambda: f(10**400), "T = 1000000000"),
    ]


BAD = {
    "schedules.Chain": [
        (lambda: Chain(None), "betas = None: must be finite numbers"),
        (lambda: Chain("linear"), "betas = 'linear': must be finite numbers"),
        (lambda: Chain(torch.tensor([0.5, 1.0])), "betas = [0.5, 1.0]: must be all inside (0, 1)"),
        (lambda: Chain(torch.tensor([0.0, 0.5])), "betas = [0.0, 0.5]: must be all inside (0, 1)"),
        (lambda: Chain([0.1, NAN]), "betas = [0.1, nan]: must be finite numbers"),
        (lambda: Chain([0.1, [0.2]]), "betas = [0.1, [0.2]]: must be finite numbers"),
        (lambda: Chain([True, True]), "betas = [True, True]: must be finite numbers"),
        (lambda: Chain(torch.tensor(0.1)), "betas.shape = (): must be (T,)"),
        (lambda: Chain(torch.zeros(0)), "betas.shape = (0,): must be (T,)"),
        (lambda: Chain(torch.full((2, 2), 0.1)), "betas.shape = (2, 2): must be (T,)"),
    ],
    "schedules.Chain.perturb": [
        (lambda: CHAIN.perturb(X, 101, X), "t = 101: must be integers in 0 … 100"),
        (lambda: CHAIN.perturb(X, -1, X), "t = -1: must be integers in 0 … 100"),
        (lambda: CHAIN.perturb(X, torch.tensor([5, -1]), X), "t = [5, -1]: must be integers in 0"),
        (lambda: CHAIN.perturb(X, torch.tensor([5, 101]), X), "t = [5, 101]: must be integers"),
        (lambda: CHAIN.perturb(X, 0.5, X), "t = 0.5: must be integers in 0 … 100"),
        (lambda: CHAIN.perturb(X, torch.tensor([0.5, 1]), X), "t = [0.5, 1.0]: must be integers"),
        (lambda: CHAIN.perturb(X, torch.tensor([True, True]), X), "t = [True, True]: must be"),
        (lambda: CHAIN.perturb(X, None, X), "t = None: must be integers in 0 … 100"),
        (lambda: CHAIN.perturb(X, "last", X), "t = 'last': must be integers in 0 … 100"),
        (lambda: CHAIN.perturb(X, torch.tensor([1, 2, 3]), X), "t.shape = (3,): must be () or (2,"),
        (lambda: CHAIN.perturb(X, 1, X[:1]), "noise.shape = (1, 3): must be (2, 3), as x0"),
        (lambda: CHAIN.perturb(X, 1, None), "noise = None: must be a tensor, shaped as x0"),
        (lambda: CHAIN.perturb(X, 1, X.long()), "noise.dtype = torch.int64: must be floating"),
        (lambda: CHAIN.perturb(X, 1, X / 0), "noise = 'NaN or infinity': must be finite"),
        (lambda: CHAIN.perturb(X / 0, 1, X), "x0 = 'NaN or infinity': must be finite"),
        (lambda: CHAIN.perturb([[0.0]], 1, X), "x0 = [[0.0]]: must be a torch.Tensor"),
        (lambda: CHAIN.perturb(X[0], 1, X[0]), "x0.shape = (3,): must be (B, ...)"),
    ],
    "schedules.Chain.posterior": [
        (lambda: CHAIN.posterior(X, X, 0), "t = 0: must be integers in 1 … 100"),
        (lambda: CHAIN.posterior(X, X, torch.tensor([0, 5])), "t = [0, 5]: must be integers in 1"),
        (lambda: CHAIN.posterior(X, X, 101), "t = 101: must be integers in 1 … 100"),
        (lambda: CHAIN.posterior(X, X, None), "t = None: must be integers in 1 … 100"),
        (lambda: CHAIN.posterior(X, X, [1, 2, 3]), "t.shape = (3,): must be () or (2,)"),
        (lambda: CHAIN.posterior(X, X[:1], 1), "x0.shape = (1, 3): must be (2, 3), as x_t"),
        (lambda: CHAIN.posterior(X, None, 1), "x0 = None: must be a tensor, shaped as x_t"),
        (lambda: CHAIN.posterior(None, X, 1), "x_t = None: must be a torch.Tensor"),
    ],
    "schedules.linear": [
        *of_steps(schedules.linear),
        *of_steps(lambda T: schedules.linear(T, 1e-4, 0.02)),
        (lambda: schedules.linear(20), "must be 0 < beta_start <= beta_end < 1; the defaults"),
        (lambda: schedules.linear(100, NAN), "beta_start = nan: must be a finite number"),
        (lambda: schedules.linear(100, 0.1, "x"), "beta_end = 'x': must be a finite number"),
        (lambda: schedules.linear(100, 0.2, 0.1), "beta_start, beta_end = (0.2, 0.1): must be 0 <"),
    ],
    "schedules.quadratic": [
        *of_steps(schedules.quadratic),
        (lambda: schedules.quadratic(10, 0.02, 1e-4), "beta_start, beta_end = (0.02, 0.0001)"),
        (lambda: schedules.quadratic(10, -0.1), "beta_start, beta_end = (-0.1, 0.02): must be 0 <"),
        (lambda: schedules.quadratic(10, None), "beta_start = None: must be a finite number"),
    ],
    "schedules.sigmoid_beta": [
        *of_steps(schedules.sigmoid_beta),
        (lambda: schedules.sigmoid_beta(10, 0.1, 1.0), "beta_start, beta_end = (0.1, 1.0): must"),
        (lambda: schedules.sigmoid_beta(10, width=-6), "width = -6: must be a finite number > 0"),
        (lambda: schedules.sigmoid_beta(10, width=0), "width = 0: must be a finite number > 0"),
        (lambda: schedules.sigmoid_beta(10, width="6"), "width = '6': must be a finite number > 0"),
    ],
    "schedules.from_alpha_bars": [
        (lambda: schedules.from_alpha_bars([1.0, 0.5, 0.6]), "alpha_bars = [1.0, 0.5, 0.6"),
        (lambda: schedules.from_alpha_bars([0.9, 0.5]), "must be 1 at the start and strictly"),
        (lambda: schedules.from_alpha_bars([1.0, -0.5]), "must be 1 at the start and strictly"),
        (lambda: schedules.from_alpha_bars([1.0]), "alpha_bars.shape = (1,): must be (T + 1,)"),
        (lambda: schedules.from_alpha_bars(None), "alpha_bars = None: must be finite numbers"),
        (lambda: schedules.from_alpha_bars("cosine"), "alpha_bars = 'cosine': must be finite"),
        (lambda: schedules.from_alpha_bars([1, 0.5], 1.0), "beta_max = 1.0: must be a finite"),
        (lambda: schedules.from_alpha_bars([1, 0.5], None), "beta_max = None: must be a finite"),
    ],
    "schedules.cosine": [
        *of_steps(schedules.cosine),
        (lambda: schedules.cosine(10, offset=-0.1), "offset = -0.1: must be a finite number ≥ 0"),
        (lambda: schedules.cosine(10, offset=None), "offset = None: must be a finite number ≥ 0"),
    ],
    "schedules.sigmoid_alpha_bar": [
        *of_steps(schedules.sigmoid_alpha_bar),
        (lambda: schedules.sigmoid_alpha_bar(10, temperature=0), "temperature = 0: must be"),
        (lambda: schedules.sigmoid_alpha_bar(10, 3, -3), "end = -3: must be a finite number > 3"),
        (lambda: schedules.sigmoid_alpha_bar(10, None), "start = None: must be a finite number"),
        (lambda: schedules.sigmoid_alpha_bar(10, end="3"), "end = '3': must be a finite number"),
    ],
    "schedules.from_process": [
        (lambda: schedules.from_process(EDM(), 10), "process = EDM(): must be variance preserving"),
        (lambda: schedules.from_process(VE(), 10), "process = VE(): must be variance preserving"),
        (lambda: schedules.from_process(None, 10), "process = None: must be a Process"),
        (lambda: schedules.from_process(VP, 10), "must be a Process, such as VP()"),
        (lambda: schedules.from_process(SHORT, 10), "must be within the domain of the process"),
        *of_steps(lambda T: schedules.from_process(VP(), T)),
    ],
    "schedules.reverse_variances": [
        (lambda: schedules.reverse_variances("x", 1.0), "sigma = 'x': must be a finite number ≥ 0"),
        (lambda: schedules.reverse_variances(1.0, -1.0), "sigma_next = -1.0: must be a finite"),
        (lambda: schedules.reverse_variances(X, X), "sigma.dtype = torch.float32: must be torch.f"),
    ],
    "schedules.iddpm_levels": [
        (lambda: schedules.iddpm_levels(0), "M = 0: must be an integer ≥ 1"),
        (lambda: schedules.iddpm_levels(None), "M = None: must be an integer ≥ 1"),
        (lambda: schedules.iddpm_levels(10, c1=-1.0), "c1 = -1.0: must be a finite number > 0"),
        (lambda: schedules.iddpm_levels(10, c1=2.0), "c1 = 2.0: must be a finite number > 0 and <"),
        (lambda: schedules.iddpm_levels(10, c2=0), "c2 = 0: must be a finite number > 0"),
        (lambda: schedules.iddpm_levels(10, c2="s"), "c2 = 's': must be a finite number > 0"),
    ],
}
