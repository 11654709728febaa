"""Bad calls of training: refused before the first step, and before anything is written."""

from pathlib import Path

import torch
from torch import nn

from fewstep import learners, training
from fewstep.hooks import Every
from fewstep.networks import UNet

NAN, INF = float("nan"), float("inf")
X, LABELS = torch.zeros(10, 1, 8, 8), torch.zeros(10, dtype=torch.int64)
NET = nn.Linear(2, 2)
ADAM = torch.optim.Adam(NET.parameters(), 1e-3)


class Forbidden(nn.Module):
    def __init__(self):
        super().__init__()
        self.network = nn.Linear(2, 2)

    def forward(self, *arguments):
        raise AssertionError("the network was called before the arguments were checked")


def forbidden(*arguments):
    raise AssertionError("the loss was called before the arguments were checked")


def train(denoiser="ours", data=X, loss=forbidden, **changes):
    options = {"steps": 2, "batch_size": 4, "learning_rate": 1e-3, "progress": False, **changes}
    denoiser = Forbidden() if denoiser == "ours" else denoiser
    return training.train(denoiser, data, loss, **options)


def run(learner=None, data=X, **changes):
    if learner is None:
        learner = learners.DenoisingLearner(NET, forbidden, {"a": ADAM}, 100)
    options = {"steps": 2, "batch_size": 4, "progress": False, **changes}
    return training.run(learner, data, **options)


def stepping(step):
    """One step of a learner that does this."""
    bad = type("Bad", (learners.Learner,), {"step": step})({"a": NET}, {"a": ADAM})
    return run(bad, torch.zeros(8, 2), steps=1)


def of_both(f):
    """What ``train`` and ``run`` must refuse alike."""
    return [
        (lambda: f(steps=0), "steps = 0: must be an integer ≥ 1"),
        (lambda: f(steps=2.5), "steps = 2.5: must be an integer ≥ 1"),
        (lambda: f(steps="10"), "steps = '10': must be an integer ≥ 1"),
        (lambda: f(steps=None), "steps = None: must be an integer ≥ 1"),
        (lambda: f(batch_size=0), "batch_size = 0: must be an integer ≥ 1"),
        (lambda: f(batch_size=True), "batch_size = True: must be an integer ≥ 1"),
        (lambda: f(batch_size=None), "batch_size = None: must be an integer ≥ 1"),
        (lambda: f(data=torch.full((10, 2), NAN)), "data = 'NaN or infinity': must be finite"),
        (lambda: f(data=torch.full((10, 2), INF)), "data = 'NaN or infinity': must be finite"),
        (lambda: f(data=X[:, 0, 0, 0]), "data.shape = (10,): must be (N, ...), not empty"),
        (lambda: f(data=X[:0]), "data.shape = (0, 1, 8, 8): must be (N, ...), not empty"),
        (lambda: f(data=X[:, :0]), "data.shape = (10, 0, 8, 8): must be (N, ...), not empty"),
        (lambda: f(data=X.long()), "data.dtype = torch.int64: must be torch.uint8 or a floating"),
        (lambda: f(data=X > 0), "data.dtype = torch.bool: must be torch.uint8 or a floating"),
        (lambda: f(data=1j * X), "data.dtype = torch.complex64: must be torch.uint8 or a floating"),
        (lambda: f(data=X.numpy()), "must be data.Images or a tensor (N, ...)"),
        (lambda: f(data=None), "data = None: must be data.Images or a tensor (N, ...)"),
        (lambda: f(data="digits"), "data = 'digits': must be data.Images or a tensor (N, ...)"),
        (lambda: f(labels=LABELS[:5]), "labels = '(5,) torch.int64': must be (10,) torch.int64"),
        (lambda: f(labels=LABELS[:, None]), "labels = '(10, 1) torch.int64': must be (10,)"),
        (lambda: f(labels=LABELS.float()), "labels = '(10,) torch.float32': must be (10,)"),
        (lambda: f(labels=LABELS - 2), "labels = -2: must be 0 or more, or -1 for no class"),
        (lambda: f(labels=[0] * 10), "must be (10,) torch.int64, or None"),
        (lambda: f(labels="digits"), "labels = 'digits': must be (10,) torch.int64, or None"),
        (lambda: f(seed=-1), "seed = -1: must be an integer ≥ 0"),
        (lambda: f(seed=0.5), "seed = 0.5: must be an integer ≥ 0"),
        (lambda: f(seed=None), "seed = None: must be an integer ≥ 0"),
        (lambda: f(drop_labels=0.1), "drop_labels = 0.1: must be 0 without labels"),
        (lambda: f(drop_labels=1.1, labels=LABELS), "drop_labels = 1.1: must be a finite number"),
        (lambda: f(drop_labels=NAN, labels=LABELS), "drop_labels = nan: must be a finite number"),
        (lambda: f(drop_labels="0.1", labels=LABELS), "drop_labels = '0.1': must be a finite"),
        (lambda: f(drop_labels=None), "drop_labels = None: must be a finite number"),
        (lambda: f(mixed_precision="fp8"), "mixed_precision = 'fp8': must be one of 'no', 'bf16'"),
        (lambda: f(mixed_precision=None), "mixed_precision = None: must be one of 'no', 'bf16'"),
        (lambda: f(mixed_precision=torch.bfloat16), "must be one of 'no', 'bf16', 'fp16'"),
        (lambda: f(checkpoint="run.pt"), "checkpoint = 'run.pt': must be a path that ends in"),
        (lambda: f(checkpoint=""), "checkpoint = '': must be a path that ends in .safetensors"),
        (lambda: f(checkpoint=3), "checkpoint = 3: must be a path that ends in .safetensors"),
        (lambda: f(checkpoint=True), "checkpoint = True: must be a path that ends in .safetensors"),
        (lambda: f(checkpoint="/proc/none/x.safetensors"), "x.safetensors': cannot be written"),
        (lambda: f(checkpoint_every=5), "checkpoint_every = 5: must be None without a checkpoint"),
        (lambda: f(checkpoint_every=0), "checkpoint_every = 0: must be an integer ≥ 1"),
        (lambda: f(checkpoint_every="5"), "checkpoint_every = '5': must be an integer ≥ 1"),
        (lambda: f(log_dir=3), "log_dir = 3: must be a folder"),
        (lambda: f(log_dir=""), "log_dir = '': must be a folder"),
        (lambda: f(log_dir="/proc/none"), "log_dir = '/proc/none': cannot be written there"),
        (lambda: f(log_dir=__file__), "cannot be written there"),
        (lambda: f(log_dir=Path(__file__) / "log"), "cannot be written there"),
        (lambda: f(hooks=print), "must be a list of hooks.Every"),
        (lambda: f(hooks=[print]), "must be a list of hooks.Every"),
        (lambda: f(hooks=Every(2, print)), "must be a list of hooks.Every"),
        (lambda: f(hooks=None), "hooks = None: must be a list of hooks.Every"),
        (lambda: f(hooks=[Every]), "must be a list of hooks.Every"),
        (lambda: f(progress=None), "progress = None: must be True or False"),
        (lambda: f(progress="no"), "progress = 'no': must be True or False"),
    ]


BAD = {
    "training.train": [
        *of_both(train),
        (lambda: train(lambda x, sigma: x), "must be an nn.Module"),
        (lambda: train("unet"), "denoiser = 'unet': must be an nn.Module"),
        (lambda: train(None), "denoiser = None: must be an nn.Module"),
        (lambda: train(UNet), "must be an nn.Module"),
        (lambda: train(nn.Identity()), "denoiser = 'Identity': must be a module with parameters"),
        (lambda: train(UNet(1, 8).requires_grad_(False)), "must be a module with parameters"),
        (lambda: train(loss=3), "loss = 3: must be a function (denoiser, x0, u, noise, labels)"),
        (lambda: train(loss=None), "loss = None: must be a function (denoiser, x0, u, noise"),
        (lambda: train(loss=nn.MSELoss), "must be a function (denoiser, x0, u, noise, labels)"),
        (lambda: train(learning_rate=0.0), "learning_rate = 0.0: must be a finite number > 0"),
        (lambda: train(learning_rate=-1e-3), "learning_rate = -0.001: must be a finite number > 0"),
        (lambda: train(learning_rate=NAN), "learning_rate = nan: must be a finite number > 0"),
        (lambda: train(learning_rate=INF), "learning_rate = inf: must be a finite number > 0"),
        (lambda: train(learning_rate="1e-3"), "learning_rate = '1e-3': must be a finite number"),
        (lambda: train(learning_rate=None), "learning_rate = None: must be a finite number > 0"),
        (lambda: train(learning_rate=True), "learning_rate = True: must be a finite number > 0"),
        (lambda: train(ema_half_life=-1), "ema_half_life = -1: must be a finite number > 0"),
        (lambda: train(ema_half_life=0), "ema_half_life = 0: must be a finite number > 0"),
        (lambda: train(ema_half_life=INF), "ema_half_life = inf: must be a finite number > 0"),
        (lambda: train(ema_half_life="5"), "ema_half_life = '5': must be a finite number > 0"),
        (lambda: train(clip_norm=0), "clip_norm = 0: must be a finite number > 0"),
        (lambda: train(clip_norm=NAN), "clip_norm = nan: must be a finite number > 0"),
        (lambda: train(clip_norm="1"), "clip_norm = '1': must be a finite number > 0"),
        (lambda: train(warmup=-1), "warmup = -1: must be an integer ≥ 0"),
        (lambda: train(warmup=1.5), "warmup = 1.5: must be an integer ≥ 0"),
        (lambda: train(warmup=None), "warmup = None: must be an integer ≥ 0"),
        (lambda: train(decay="exp"), "decay = 'exp': must be one of 'none', 'linear', 'cosine'"),
        (lambda: train(decay=None), "decay = None: must be one of 'none', 'linear', 'cosine'"),
        (lambda: train(optimizers={}), "learning_rate = 0.001: must be None beside optimizers"),
        (lambda: train(learning_rate=None, optimizers={}), "optimizers = {}: must be a dict of"),
        (
            lambda: train(learning_rate=None, optimizers=print),
            "must be a dict of names and objects",
        ),
    ],
    "training.run": [
        *of_both(run),
        (lambda: run(3), "learner = 3: must be a learners.Learner"),
        (lambda: run(NET), "must be a learners.Learner"),
        (lambda: run(learners.Learner), "must be a learners.Learner"),
        (lambda: stepping(lambda self, batch: None), "Bad.step(batch) = None: must be a dict"),
        (lambda: stepping(lambda self, batch: {}), "step(batch) = {}: must be a dict of named"),
        (lambda: stepping(lambda self, batch: {"a": 1.0}), "must be a dict of named losses, each"),
        (lambda: stepping(lambda self, batch: {"a": batch.x}), "must be a dict of named losses"),
        (lambda: stepping(lambda self, batch: {3: batch.x.sum()}), "[3]: must be losses named by"),
        (
            lambda: stepping(lambda self, batch: {"step": batch.x.sum()}),
            "Bad.step(batch) = ['step']: must be losses named by words other than seconds, step",
        ),
    ],
}
