"""Bad calls of learners."""

import torch
from torch import nn

from fewstep.learners import (
    Batch,
    DenoisingLearner,
    Learner,
    ema_decay,
    rate_factor,
    update_average,
)

NAN, INF = float("nan"), float("inf")
NET, OTHER = nn.Linear(2, 2), nn.Linear(2, 3)
ADAM = torch.optim.Adam(NET.parameters(), 1e-3)
A = {"a": ADAM}
GAN = Learner({"a": NET}, {"a": ADAM})
BATCH = Batch(torch.zeros(4, 2), None, 0, 4, 0, range(4))
LOSS = NET(torch.ones(1, 2)).sum()


def learner(*arguments, **options):
    return Learner(*(arguments or ({"a": NET}, {"a": ADAM})), **options)


def denoising(denoiser=NET, loss=print, optimizers=A, half_life=100, **options):
    return DenoisingLearner(denoiser, loss, optimizers, half_life, **options)


def given(losses):
    """A step under a loss that gives this."""
    return denoising(loss=lambda *_: losses).step(BATCH)


def of_draws(draw):
    return [
        (lambda: draw(8), "name = 8: must be a word"),
        (lambda: draw(None), "name = None: must be a word"),
        (lambda: draw(""), "name = '': must be a word"),
        (lambda: draw("a", (1, 8)), "shape = (1, 8): must be an integer ≥ 1"),
        (lambda: draw("a", -1), "shape = -1: must be an integer ≥ 1"),
        (lambda: draw("a", 2.0), "shape = 2.0: must be an integer ≥ 1"),
    ]


BAD = {
    "learners.Batch.normal": of_draws(BATCH.normal),
    "learners.Batch.uniform": of_draws(BATCH.uniform),
    "learners.Learner": [
        (lambda: learner({}, {"a": ADAM}), "modules = {}: must be a dict of names"),
        (lambda: learner(None, {"a": ADAM}), "modules = 'NoneType': must be a dict of names"),
        (lambda: learner(NET, {"a": ADAM}), "modules = 'Linear': must be a dict of names"),
        (lambda: learner([NET], {"a": ADAM}), "modules = 'list': must be a dict of names"),
        (lambda: learner({"a": ADAM}, {"a": ADAM}), "modules['a'] = 'Adam': must be of class Mod"),
        (lambda: learner({"a.b": NET}, {"a": ADAM}), "modules = 'a.b': must be named by words"),
        (lambda: learner({3: NET}, {"a": ADAM}), "modules = 3: must be named by words"),
        (lambda: learner({"a": NET}, {}), "optimizers = {}: must be a dict of names"),
        (lambda: learner({"a": NET}, ADAM), "optimizers = 'Adam': must be a dict of names"),
        (lambda: learner({"a": NET}, None), "optimizers = 'NoneType': must be a dict of names"),
        (lambda: learner({"a": NET}, {"a": NET}), "optimizers['a'] = 'Linear': must be of class"),
        (lambda: learner({"a": NET}, {"a b": ADAM}), "optimizers = 'a b': must be named by words"),
        (lambda: learner({"a": OTHER}, {"a": ADAM}), "optimizers = ['a']: must be over parameters"),
        (lambda: learner({"a": NET}, {"a": ADAM}, {"b": 10}), "averages = 'b': must be names of"),
        (lambda: learner({"a": NET}, {"a": ADAM}, ["a"]), "averages = ['a']: must be a dict of"),
        (lambda: learner({"a": NET}, {"a": ADAM}, 1000), "averages = 1000: must be a dict of"),
        (lambda: learner({"a": NET}, {"a": ADAM}, 0), "averages = 0: must be a dict of names"),
        (lambda: learner({"a": NET}, {"a": ADAM}, {"a": 0}), "averages['a'] = 0: must be a finite"),
        (lambda: learner({"a": NET}, {"a": ADAM}, {"a": NAN}), "averages['a'] = nan: must be a"),
        (lambda: learner({"a": NET}, {"a": ADAM}, {"a": "10"}), "averages['a'] = '10': must be a"),
        (
            lambda: learner({"a": NET, "b": nn.Linear(1, 1)}, {"a": ADAM}, {"b": 10}),
            "averages = 'b': must be names of modules that are trained",
        ),
        (lambda: learner(schedule=3), "schedule = 3: must be a function step -> factor"),
        (lambda: learner(schedule=None), "schedule = None: must be a function step -> factor"),
        (
            lambda: learner(schedule=lambda step: None),
            "schedule(0) = None: must be a finite number",
        ),
        (
            lambda: learner(schedule=lambda step: -1.0),
            "schedule(0) = -1.0: must be a finite number",
        ),
        (lambda: learner(schedule=lambda step: NAN), "schedule(0) = nan: must be a finite number"),
        (lambda: learner(clip_norm=0), "clip_norm = 0: must be a finite number > 0"),
        (lambda: learner(clip_norm=-1.0), "clip_norm = -1.0: must be a finite number > 0"),
        (lambda: learner(clip_norm=INF), "clip_norm = inf: must be a finite number > 0"),
        (lambda: learner(clip_norm="1"), "clip_norm = '1': must be a finite number > 0"),
    ],
    "learners.Learner.update": [
        (lambda: GAN.update("b", LOSS), "names = 'b': must be one of 'a'"),
        (lambda: GAN.update(None, LOSS), "names = None: must be one of 'a'"),
        (lambda: GAN.update(["a", "b"], LOSS), "names = 'b': must be one of 'a'"),
        (lambda: GAN.update([], LOSS), "names = []: must be one of 'a'"),
        (lambda: GAN.update("a", 1.0), "loss = 1.0: must be a floating-point tensor ()"),
        (lambda: GAN.update("a", None), "loss = None: must be a floating-point tensor ()"),
        (lambda: GAN.update("a", LOSS[None]), "loss = ((1,), torch.float32): must be a floating"),
        (lambda: GAN.update("a", LOSS.long()), "loss = ((), torch.int64): must be a floating"),
        (lambda: GAN.update("a", LOSS.detach()), "loss.requires_grad = False: must depend on what"),
    ],
    "learners.DenoisingLearner": [
        (lambda: denoising(None), "modules['denoiser'] = 'NoneType': must be of class Module"),
        (lambda: denoising(print), "must be of class Module"),
        (
            lambda: denoising(loss=3),
            "loss = 3: must be a function (denoiser, x0, u, noise, labels)",
        ),
        (lambda: denoising(loss=None), "loss = None: must be a function (denoiser, x0, u, noise"),
        (lambda: denoising(optimizers=1e-3), "optimizers = 'float': must be a dict of names"),
        (lambda: denoising(optimizers=ADAM), "optimizers = 'Adam': must be a dict of names"),
        (lambda: denoising(optimizers=None), "optimizers = 'NoneType': must be a dict of names"),
        (lambda: denoising(OTHER), "optimizers = ['a']: must be over parameters of the modules"),
        (lambda: denoising(half_life=0), "averages['denoiser'] = 0: must be a finite number > 0"),
        (lambda: denoising(half_life=None), "averages['denoiser'] = None: must be a finite number"),
        (lambda: denoising(schedule=1e-3), "schedule = 0.001: must be a function step -> factor"),
        (lambda: denoising(clip_norm=0), "clip_norm = 0: must be a finite number > 0"),
    ],
    "learners.DenoisingLearner.step": [
        (lambda: given(LOSS), "loss(...).shape = (): must be (4,), one number per sample"),
        (lambda: given(torch.ones(3)), "loss(...).shape = (3,): must be (4,), one number per"),
        (lambda: given(torch.ones(4, 2)), "loss(...).shape = (4, 2): must be (4,), one number per"),
        (lambda: given(0.5), "loss(...).shape = float: must be (4,), one number per sample"),
        (lambda: given(None), "loss(...).shape = NoneType: must be (4,), one number per sample"),
        (lambda: given(torch.ones(4)), "loss.requires_grad = False: must depend on what"),
        (lambda: given(torch.arange(4)), "loss(...).dtype = torch.int64: must be floating"),
    ],
    "learners.ema_decay": [
        (lambda: ema_decay(-1, 4, 100), "images = -1: must be a finite number ≥ 0"),
        (lambda: ema_decay(NAN, 4, 100), "images = nan: must be a finite number ≥ 0"),
        (lambda: ema_decay(None, 4, 100), "images = None: must be a finite number ≥ 0"),
        (lambda: ema_decay(0, 0, 100), "batch_size = 0: must be a finite number > 0"),
        (lambda: ema_decay(0, "4", 100), "batch_size = '4': must be a finite number > 0"),
        (lambda: ema_decay(0, 4, 0), "half_life = 0: must be a finite number > 0"),
        (lambda: ema_decay(0, 4, -100), "half_life = -100: must be a finite number > 0"),
        (lambda: ema_decay(0, 4, None), "half_life = None: must be a finite number > 0"),
        (lambda: ema_decay(0, 4, 100, 0), "ramp_up = 0: must be a finite number > 0"),
        (lambda: ema_decay(0, 4, 100, None), "ramp_up = None: must be a finite number > 0"),
    ],
    "learners.update_average": [
        (lambda: update_average(None, NET, 0.9), "average = None: must be an nn.Module"),
        (lambda: update_average(NET.state_dict(), NET, 0.9), "must be an nn.Module"),
        (lambda: update_average(NET, None, 0.9), "module = None: must be an nn.Module"),
        (lambda: update_average(OTHER, NET, 0.9), "average = 'Linear': must be a copy of module"),
        (lambda: update_average(nn.Identity(), NET, 0.9), "average = 'Identity': must be a copy"),
        (lambda: update_average(nn.BatchNorm1d(2), NET, 0.9), "must be a copy of module"),
        (lambda: update_average(NET, NET, 1.5), "decay = 1.5: must be a finite number ≥ 0 and ≤ 1"),
        (lambda: update_average(NET, NET, -0.1), "decay = -0.1: must be a finite number ≥ 0 and"),
        (lambda: update_average(NET, NET, NAN), "decay = nan: must be a finite number ≥ 0 and ≤ 1"),
        (lambda: update_average(NET, NET, None), "decay = None: must be a finite number ≥ 0 and"),
    ],
    "learners.rate_factor": [
        (lambda: rate_factor(-1), "step = -1: must be an integer ≥ 0"),
        (lambda: rate_factor(0.5), "step = 0.5: must be an integer ≥ 0"),
        (lambda: rate_factor(None), "step = None: must be an integer ≥ 0"),
        (lambda: rate_factor(0, -1), "warmup = -1: must be an integer ≥ 0"),
        (lambda: rate_factor(0, 0.1), "warmup = 0.1: must be an integer ≥ 0"),
        (lambda: rate_factor(0, None), "warmup = None: must be an integer ≥ 0"),
        (lambda: rate_factor(0, 0, "exp"), "decay = 'exp': must be one of 'none', 'linear', 'cos"),
        (
            lambda: rate_factor(0, 0, True),
            "decay = True: must be one of 'none', 'linear', 'cosine'",
        ),
        (lambda: rate_factor(0, 0, "linear", 0), "steps = 0: must be an integer ≥ 1"),
        (lambda: rate_factor(0, 0, "linear", None), "steps = None: must be an integer ≥ 1"),
    ],
}
