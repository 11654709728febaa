"""Bad calls of preconditioning."""

import torch
from torch import nn

from fewstep import preconditioning, schedules
from fewstep.preconditioning import Denoiser, Preconditioning, rebuild
from fewstep.processes import EDM, VP

NAN, INF = float("nan"), float("inf")
X = torch.zeros(2, 3)
EDM_P = preconditioning.edm(0.5)
ones = torch.ones_like


class Forbidden(nn.Module):
    def forward(self, *arguments):
        raise AssertionError("the network was called before its input was checked")


class Returns(nn.Module):
    """A network that answers with whatever it is given."""

    def __init__(self, answer, extra_channels=0):
        super().__init__()
        self.answer, self.extra_channels = answer, extra_channels

    def forward(self, x, c_noise, labels=None):
        return self.answer(x)


D = Denoiser(Forbidden(), EDM_P)
answers = lambda f, extra=0: Denoiser(Returns(f, extra), EDM_P)(X, 1.0)
made = lambda *functions, **limits: Preconditioning("mine", {}, *functions, **limits)

BAD = {
    "preconditioning.Preconditioning": [
        (lambda: made(None, ones, ones, ones, ones), "c_skip = None: must be a function"),
        (lambda: made(ones, ones, ones, ones, 1.0), "weight = 1.0: must be a function"),
        (lambda: made(*[ones] * 5, sigma_min=-1), "sigma_min = -1: must be a finite number ≥ 0"),
        (lambda: made(*[ones] * 5, sigma_min=2, sigma_max=1), "sigma_max = 1: must be a finite"),
        (lambda: made(*[ones] * 5, sigma_max=X), "must be a finite number ≥ 0"),
        (lambda: made(*[ones] * 5, sigma_max=NAN), "sigma_max = nan: must be a finite number"),
    ],
    "preconditioning.edm": [
        (lambda: preconditioning.edm(0.0), "sigma_data = 0.0: must be a finite number ≥"),
        (lambda: preconditioning.edm(-0.5), "sigma_data = -0.5: must be a finite number ≥"),
        (lambda: preconditioning.edm(NAN), "sigma_data = nan: must be a finite number ≥"),
        (lambda: preconditioning.edm(1e-200), "sigma_data = 1e-200: must be a finite number ≥"),
        (lambda: preconditioning.edm(1e200), "sigma_data = 1e+200: must be a finite number ≥"),
        (lambda: preconditioning.edm("digits"), "sigma_data = 'digits': must be a finite number"),
        (lambda: preconditioning.edm(None), "sigma_data = None: must be a finite number"),
        (lambda: preconditioning.edm([0.5, 0.5]), "sigma_data = [0.5, 0.5]: must be a finite"),
    ],
    "preconditioning.vp": [
        (lambda: preconditioning.vp(None), "process = None: must be a VP"),
        (lambda: preconditioning.vp(EDM()), "process = EDM(): must be a VP"),
        (lambda: preconditioning.vp(M=0.5), "M = 0.5: must be an integer ≥ 1"),
        (lambda: preconditioning.vp(M=0), "M = 0: must be an integer ≥ 1"),
        (lambda: preconditioning.vp(M=None), "M = None: must be an integer ≥ 1"),
        (lambda: preconditioning.vp(t_min=0), "t_min = 0: must be a finite number > 0"),
        (lambda: preconditioning.vp(t_min=1.0), "t_min = 1.0: must be a finite number > 0"),
        (lambda: preconditioning.vp(t_min="small"), "t_min = 'small': must be a finite number"),
        (
            lambda: preconditioning.vp(VP.with_levels(0.002, 80)),
            "t_min = 1e-05: must be a finite number > 0 and ≥ 0.000543847",
        ),
    ],
    "preconditioning.ve": [
        (lambda: preconditioning.ve(0.0), "sigma_min = 0.0: must be a finite number > 0"),
        (lambda: preconditioning.ve(2.0, 1.0), "sigma_max = 1.0: must be a finite number > 2"),
        (lambda: preconditioning.ve(None), "sigma_min = None: must be a finite number > 0"),
        (lambda: preconditioning.ve(0.02, INF), "sigma_max = inf: must be a finite number"),
        (lambda: preconditioning.ve(0.02, "100"), "sigma_max = '100': must be a finite number"),
    ],
    "preconditioning.iddpm": [
        (lambda: preconditioning.iddpm(0), "M = 0: must be an integer ≥ 1"),
        (lambda: preconditioning.iddpm(10.0), "M = 10.0: must be an integer ≥ 1"),
        (lambda: preconditioning.iddpm("1000"), "M = '1000': must be an integer ≥ 1"),
    ],
    "preconditioning.chain": [
        (lambda: preconditioning.chain(None), "chain = None: must be a Chain"),
        (lambda: preconditioning.chain([0.1, 0.2]), "chain = [0.1, 0.2]: must be a Chain"),
        (lambda: preconditioning.chain(schedules.linear), "must be a Chain, such as"),
    ],
    "preconditioning.rebuild": [
        (lambda: rebuild("ddpm", {}), "name = 'ddpm': must be one of 'edm', 'vp', 've'"),
        (lambda: rebuild(None, {}), "name = None: must be one of 'edm', 'vp', 've'"),
        (lambda: rebuild(["edm"], {}), "name = ['edm']: must be one of 'edm', 'vp', 've'"),
        (lambda: rebuild("edm", None), "settings = None: must be those of edm"),
        (lambda: rebuild("edm", "half"), "settings = 'half': must be those of edm"),
        (lambda: rebuild("edm", [0.5]), "settings = [0.5]: must be those of edm"),
        (lambda: rebuild("edm", {}), "settings = {}: must be all of edm's"),
        (lambda: rebuild("edm", {"M": 10}), "settings = {'M': 10}: must be those of edm"),
        (lambda: rebuild("edm", {1: 0.5}), "settings = {1: 0.5}: must be those of edm"),
        (lambda: rebuild("edm", {"sigma_data": "x"}), "sigma_data = 'x': must be a finite number"),
        (lambda: rebuild("vp", {"beta_d": 19.9}), "settings = {'beta_d': 19.9}: must be those of"),
        (lambda: rebuild("ve", {"sigma_min": 0.02}), "must be all of ve's"),
        (lambda: rebuild("iddpm", {"M": 1.5}), "M = 1.5: must be an integer ≥ 1"),
        (lambda: rebuild("chain", {}), "settings = {}: must be those of chain"),
        (lambda: rebuild("chain", {"betas": "x"}), "betas = 'x': must be finite numbers"),
        (lambda: rebuild("chain", {"betas": [0.1, 2]}), "betas = [0.1, 2.0]: must be all inside"),
        (lambda: rebuild("chain", {"betas": [0.1, [1]]}), "betas = [0.1, [1]]: must be finite"),
    ],
    "preconditioning.Denoiser": [
        (lambda: Denoiser(None, EDM_P), "network = None: must be a torch.nn.Module"),
        (lambda: Denoiser(lambda x, c, y: x, EDM_P), "must be a torch.nn.Module"),
        (lambda: Denoiser(Forbidden, EDM_P), "must be a torch.nn.Module"),
        (lambda: Denoiser(Forbidden(), "edm"), "preconditioning = 'edm': must be a Precondition"),
        (lambda: Denoiser(Forbidden(), None), "preconditioning = None: must be a Precondition"),
        (lambda: Denoiser(Forbidden(), preconditioning.edm), "must be a Preconditioning, such as"),
        (lambda: Denoiser(Returns(ones, -1), EDM_P), "network.extra_channels = -1: must be"),
        (lambda: Denoiser(Returns(ones, "C"), EDM_P), "network.extra_channels = 'C': must be"),
        (lambda: Denoiser(Returns(ones, 1.5), EDM_P), "network.extra_channels = 1.5: must be"),
    ],
    "preconditioning.Denoiser.forward": [
        (lambda: D(None, 1.0), "x = None: must be a torch.Tensor"),
        (lambda: D([[0.0]], 1.0), "x = [[0.0]]: must be a torch.Tensor"),
        (lambda: D(X.to(torch.uint8), 1.0), "x.dtype = torch.uint8: must be floating"),
        (lambda: D(1j * X, 1.0), "x.dtype = torch.complex64: must be floating"),
        (lambda: D(X[0], 1.0), "x.shape = (3,): must be (B, ...)"),
        (lambda: D(X, 0.0), "sigma = 0.0: must be a finite number > 0"),
        (lambda: D(X, NAN), "sigma = nan: must be a finite number > 0"),
        (lambda: D(X, False), "sigma = False: must be a finite number > 0"),
        (lambda: D(X, None), "sigma = None: must be a number ≥ 0 or a real tensor (B,)"),
        (lambda: D(X, "low"), "sigma = 'low': must be a number ≥ 0 or a real tensor (B,)"),
        (lambda: D(X, [1.0, 2.0]), "sigma = [1.0, 2.0]: must be a number ≥ 0 or a real tensor"),
        (lambda: D(X, 1j), "sigma = 1j: must be a number ≥ 0 or a real tensor (B,)"),
        (lambda: D(X, torch.ones(2) > 0), "sigma = [True, True]: must be a number ≥ 0 or a real"),
        (lambda: D(X, torch.ones(3)), "sigma.shape = (3,): must be () or (2,)"),
        (lambda: D(X, 1.0, [1, 2]), "labels = [1, 2]: must be a tensor (B,), or None"),
        (lambda: D(X, 1.0, 3), "labels = 3: must be a tensor (B,), or None"),
        (lambda: D(X, 1.0, torch.tensor(3)), "labels.shape = (): must be (2,)"),
        (lambda: D(X, 1.0, torch.arange(3)), "labels.shape = (3,): must be (2,)"),
        (lambda: D(X, 1.0, torch.ones(2)), "labels.dtype = torch.float32: must be integer"),
        (lambda: D(X, 1.0, torch.ones(2) > 0), "labels.dtype = torch.bool: must be integer"),
        (lambda: answers(lambda x: x[:1]), "network(x).shape = (1, 3): must be (2, 3)"),
        (lambda: answers(lambda x: torch.cat([x, x], 1)), "network(x).shape = (2, 6): must be (2"),
        (lambda: answers(lambda x: x, 3), "network(x).shape = (2, 3): must be (2, 6)"),
        (lambda: answers(lambda x: None), "network(x) = None: must be a tensor (2, 3)"),
        (lambda: answers(lambda x: (x, x)), "must be a tensor (2, 3)"),
        (lambda: answers(lambda x: x.numpy()), "must be a tensor (2, 3)"),
    ],
}
