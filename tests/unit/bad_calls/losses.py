"""Bad calls of losses."""

from functools import partial

import torch
from torch import nn

from fewstep import losses, preconditioning, schedules
from fewstep.denoisers import Gaussian
from fewstep.preconditioning import Denoiser
from fewstep.processes import EDM, VP

NAN = float("nan")
X0, U = torch.zeros(5, 1, 4, 4), torch.full((5,), 0.5)
NOISE, LABELS = torch.ones_like(X0), torch.arange(5)


class Forbidden(nn.Module):
    def forward(self, *arguments):
        raise AssertionError("the network was called before the arguments were checked")


D = Denoiser(Forbidden(), preconditioning.edm(0.5))
EXACT = Gaussian(torch.zeros(2), torch.eye(2))
loss = lambda labels=None, **others: losses.denoising(D, X0, U, NOISE, labels, **others)


def of_u(f):
    """What every distribution of noise levels must refuse."""
    return [
        (lambda: f(None), "u = None: must be a torch.Tensor"),
        (lambda: f(0.5), "u = 0.5: must be a torch.Tensor"),
        (lambda: f([0.5, 0.6]), "u = [0.5, 0.6]: must be a torch.Tensor"),
        (lambda: f(LABELS), "u.dtype = torch.int64: must be floating"),
        (lambda: f(U > 0), "u.dtype = torch.bool: must be floating"),
        (lambda: f(1j * U), "u.dtype = torch.complex64: must be floating"),
    ]


DENOISING = [
    (lambda: loss(error="mean"), "error = 'mean': must be one of"),
    (lambda: losses.edm(D, X0, U[:3], NOISE), "u.shape = (3,): must be (5,)"),
    (lambda: losses.edm(D, X0, U[:, None], NOISE), "u.shape = (5, 1): must be (5,)"),
    (lambda: losses.edm(D, X0, U, NOISE[:, :, :2]), "noise.shape = (5, 1, 2, 4): must be (5, 1"),
    (lambda: losses.edm(D, X0, U, None), "noise = None: must be a tensor, shaped as x0"),
    (lambda: losses.edm(D, X0, U, NOISE.long()), "noise.dtype = torch.int64: must be floating"),
    (lambda: losses.edm(D, X0.to(torch.uint8), U, NOISE), "x0.dtype = torch.uint8: must be"),
    (lambda: losses.edm(D, None, U, NOISE), "x0 = None: must be a torch.Tensor"),
    (lambda: losses.edm(D, X0[0, 0, 0], U, NOISE), "x0.shape = (4,): must be (B, ...)"),
    *of_u(lambda u: losses.edm(D, X0, u, NOISE)),
    (lambda: losses.edm(None, X0, U, NOISE), "denoiser = None: must be a preconditioning.Denoiser"),
    (lambda: losses.edm("D", X0, U, NOISE), "denoiser = 'D': must be a preconditioning.Denoiser"),
    (lambda: losses.edm(EXACT, X0, U, NOISE), "must be a preconditioning.Denoiser"),
    (lambda: loss(LABELS[:3]), "labels.shape = (3,): must be (5,)"),
    (lambda: loss(LABELS[:, None]), "labels.shape = (5, 1): must be (5,)"),
    (lambda: loss(LABELS.float()), "labels.dtype = torch.float32: must be integer"),
    (lambda: loss([0, 1, 2, 3, 4]), "labels = [0, 1, 2, 3, 4]: must be a tensor (B,), or None"),
    (lambda: loss("shirt"), "labels = 'shirt': must be a tensor (B,), or None"),
    (lambda: loss(levels=None), "levels = None: must be a function u -> σ"),
    (lambda: loss(levels=0.5), "levels = 0.5: must be a function u -> σ"),
    (lambda: loss(levels=lambda u: 0.5), "levels(u) = 0.5: must be a tensor, shaped as u"),
    (lambda: loss(levels=lambda u: u[:3]), "levels(u).shape = (3,): must be (5,), as u"),
    (lambda: loss(levels=partial(losses.lognormal, std=0)), "std = 0: must be a finite number > 0"),
]

CHAIN = schedules.cosine(10)
LEVELS = CHAIN.sigmas.flip(0)[:-1]
ON_CHAIN = Denoiser(Forbidden(), preconditioning.chain(CHAIN))
LEARNED = Denoiser(Forbidden(), preconditioning.chain(CHAIN))
LEARNED.extra_channels = 1


def of_bound(f):
    """What the bound and the hybrid loss must refuse."""
    call = partial(f, levels=LEVELS)
    return [
        *of_u(lambda u: call(LEARNED, X0, u, NOISE)),
        (lambda: call(LEARNED, X0, U[:3], NOISE), "u.shape = (3,): must be (5,)"),
        (lambda: call(LEARNED, X0, U, NOISE[:3]), "noise.shape = (3, 1, 4, 4): must be (5, 1"),
        (lambda: call(LEARNED, None, U, NOISE), "x0 = None: must be a torch.Tensor"),
        (lambda: call(EXACT, X0, U, NOISE), "must be a preconditioning.Denoiser"),
        (lambda: call(ON_CHAIN, X0, U, NOISE), "denoiser.extra_channels = 0: must be 1, one for"),
        (lambda: f(LEARNED, X0, U, NOISE, levels=LEVELS.float()), "of torch.float64"),
        (lambda: f(LEARNED, X0, U, NOISE, levels=[1.0]), "levels = [1.0]: must be a tensor (T,)"),
    ]


BAD = {
    "losses.hybrid": [
        *of_bound(losses.hybrid),
        (
            lambda: losses.hybrid(LEARNED, X0, U, NOISE, levels=LEVELS, weight=-1),
            "weight = -1: must be a finite number ≥ 0",
        ),
    ],
    "losses.vlb": [
        *of_bound(losses.vlb),
        (
            lambda: losses.vlb(ON_CHAIN, X0, U, NOISE, levels=LEVELS, v=1.5),
            "v = 1.5: must be a finite number ≥ 0 and ≤ 1",
        ),
    ],
    "losses.prior": [
        (lambda: losses.prior(None, 1.0), "x0 = None: must be a torch.Tensor"),
        (lambda: losses.prior(X0, 0.0), "sigma_max = 0.0: must be a finite number > 0"),
    ],
    "losses.discretized_log_likelihood": [
        (lambda: losses.discretized_log_likelihood(None, X0, X0), "x0 = None: must be"),
        (lambda: losses.discretized_log_likelihood(X0, X0[:3], X0), "mean.shape = (3, 1, 4, 4)"),
        (lambda: losses.discretized_log_likelihood(X0, X0, 0.0), "log_variance = 0.0: must be a"),
        (lambda: losses.discretized_log_likelihood(X0, X0, X0, 1), "values = 1: must be an int"),
    ],
    "losses.lognormal": [
        *of_u(losses.lognormal),
        (lambda: losses.lognormal(U, std=0.0), "std = 0.0: must be a finite number > 0"),
        (lambda: losses.lognormal(U, std=None), "std = None: must be a finite number > 0"),
        (lambda: losses.lognormal(U, mean=NAN), "mean = nan: must be a finite number"),
        (lambda: losses.lognormal(U, "low"), "mean = 'low': must be a finite number"),
    ],
    "losses.log_uniform": [
        *of_u(losses.log_uniform),
        (lambda: losses.log_uniform(U, 100.0, 0.02), "sigma_max = 0.02: must be a finite number >"),
        (lambda: losses.log_uniform(U, 0.0), "sigma_min = 0.0: must be a finite number > 0"),
        (lambda: losses.log_uniform(U, None), "sigma_min = None: must be a finite number > 0"),
        (lambda: losses.log_uniform(U, 0.02, "100"), "sigma_max = '100': must be a finite number"),
    ],
    "losses.uniform_in_time": [
        *of_u(losses.uniform_in_time),
        (lambda: losses.uniform_in_time(U, t_min=1.0), "t_min = 1.0: must be a finite number > 0"),
        (lambda: losses.uniform_in_time(U, t_min=None), "t_min = None: must be a finite number"),
        (lambda: losses.uniform_in_time(U, None), "process = None: must be a VP"),
        (lambda: losses.uniform_in_time(U, EDM()), "process = EDM(): must be a VP"),
        (
            lambda: losses.uniform_in_time(U, VP.with_levels(0.002, 80), t_min=3e-4),
            "t_min = 0.0003: must be a finite number > 0 and ≥ 0.000543847",
        ),
    ],
    "losses.denoising": DENOISING,
    "losses.edm": DENOISING[:2],
    "losses.from_levels": [
        *of_u(lambda u: losses.from_levels(u, torch.ones(3, dtype=torch.float64))),
        (lambda: losses.from_levels(U, [1.0, 2.0]), "levels = [1.0, 2.0]: must be a tensor (T,)"),
        (lambda: losses.from_levels(U, torch.ones(3)), "must be a tensor (T,) of torch.float64"),
    ],
}
