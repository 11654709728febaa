"""The training loop: Accelerate, an average of the weights, exact resume.

    result = train(denoiser, images, loss, steps=2000, batch_size=128, learning_rate=2e-3)

What the loop calls ------------------- ``denoiser(x, sigma, labels=None)``: an nn.Module; x (B, C,
H, W) or (B, D), sigma (B,), labels (B,) int64 or None. ``loss(denoiser, x0, u, noise,
labels=None)`` returns one loss per sample, (B,). It draws nothing itself:
    x0     (B, ...)  clean data, float32
    u      (B,)      uniform on the open interval (0, 1): the loss makes its noise level from it,
                     for instance ln σ = P_mean + P_std·Φ⁻¹(u) (``torch.special.ndtri``) or t =
                     ⌊T·u⌋
    noise  like x0   standard normal

Randomness without state ------------------------ The batch, u and noise of step i depend on (seed,
i) and nothing else. They are drawn for the whole batch; each process takes its rows. So a run that
was killed goes on exactly as if it had not been, and two processes give the result of one. A loss
is then a plain function of its arguments, easy to test and to plot.
"""

import functools
import math
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from . import checkpoints, scale
from ._checks import require
from ._files import check_room
from .checkpoints import load_weights, save_weights
from .randomness import batch_rows, draws, seed_modules

__all__ = [
    "TrainingResult",
    "train",
    "draws",
    "batch_rows",
    "ema_decay",
    "learning_rate_at",
    "save_weights",
    "load_weights",
]

PRECISIONS = ("no", "bf16", "fp16")


@dataclass(frozen=True)
class TrainingResult:
    """What ``train`` returns.

    denoiser: the trained network, in eval mode.  ema: its averaged copy, in eval mode; sample with
    this one.
    losses: (steps,) float32, the mean loss of every step.  seconds: of training, including before a
    resume.
    """

    denoiser: nn.Module
    ema: nn.Module
    losses: torch.Tensor
    seconds: float


def train(
    denoiser,
    data,
    loss,
    *,
    steps,
    batch_size,
    learning_rate,
    labels=None,
    seed=0,
    ema_half_life=None,
    warmup=0,
    cosine=False,
    clip_norm=None,
    mixed_precision="no",
    checkpoint=None,
    checkpoint_every=None,
    log_dir=None,
    progress=True,
):
    """Train a denoiser with Adam and return it with the average of its weights; resumes if
    ``checkpoint`` exists.

    denoiser, loss: see the top of this module.  data: ``data.Images`` or a tensor (N, ...), uint8
    0..255 or float.
    labels: (N,) int64, given to the loss; None trains unconditionally.
    batch_size: of all processes together, which must divide it.  learning_rate: after ``warmup``
    steps of linear rise; with ``cosine`` it falls to 0 at the last step.  clip_norm: largest
    gradient norm, or None.
    ema_half_life: in images, by default a twentieth of the whole training (see ``ema_decay``).
    mixed_precision: "no", "bf16" or "fp16", for the network only.
    checkpoint: path of one .safetensors file, written every ``checkpoint_every`` steps (default: a
    tenth of all) and at the end.  log_dir: folder for TensorBoard.  progress: a bar, if training
    takes more than two seconds. The device is that of the current scale (``scale.device``) or of
    ``accelerate launch``; the denoiser is moved there.

    Raises ValueError for bad arguments and for a checkpoint of other settings, FloatingPointError
    when the loss is no longer finite, OSError when there is no room for the checkpoint.
    """
    x = data if isinstance(data, torch.Tensor) else data.x
    require(isinstance(seed, int) and seed >= 0, "seed", seed, "an integer ≥ 0")
    _check(
        denoiser,
        x,
        loss,
        steps,
        batch_size,
        learning_rate,
        labels,
        ema_half_life,
        warmup,
        clip_norm,
        mixed_precision,
        checkpoint,
        checkpoint_every,
    )
    if ema_half_life is None:
        ema_half_life = steps * batch_size / 20
    settings = {
        "loss": _describe(loss),
        "batch_size": batch_size,
        "learning_rate": learning_rate,
        "seed": seed,
        "ema_half_life": ema_half_life,
        "warmup": warmup,
        "cosine": steps if cosine else False,
        "clip_norm": clip_norm,
        "mixed_precision": mixed_precision,
    }
    with _accelerator(mixed_precision, log_dir, settings) as accelerator:
        require(
            batch_size % accelerator.num_processes == 0,
            "batch_size",
            batch_size,
            f"a multiple of the {accelerator.num_processes} processes",
        )
        run = _Run(accelerator, denoiser, settings)
        if checkpoint is not None:
            settings["data"] = checkpoints.fingerprint(x, labels)
            run.resume(checkpoint, steps)
        _loop(
            run,
            x,
            labels,
            loss,
            steps,
            checkpoint,
            checkpoint_every or max(1, steps // 10),
            bool(log_dir),
            progress,
        )
        return run.result()


def _loop(run, x, labels, loss, steps, checkpoint, checkpoint_every, log, progress):
    """Steps ``run.step`` to ``steps - 1``, with a checkpoint now and then."""
    from tqdm.auto import tqdm

    accelerator, settings = run.accelerator, run.settings
    batch_size, seed, rank = settings["batch_size"], settings["seed"], accelerator.process_index
    share = batch_size // accelerator.num_processes
    mine = slice(rank * share, (rank + 1) * share)  # this process's part of every batch
    if _fits(x, accelerator.device):
        x = x.to(accelerator.device)
    hidden = not (progress and accelerator.is_main_process)
    shown = time.perf_counter()
    with tqdm(
        total=steps, initial=run.step, disable=hidden, delay=2, desc="training", unit="step"
    ) as bar:
        while run.step < steps:
            rows, u, noise = draws(x, batch_size, run.step, seed, accelerator.device)
            x0 = _to_float(_rows(x, rows[mine], accelerator.device))
            y = None if labels is None else _rows(labels, rows[mine], accelerator.device)
            seed_modules(seed, run.step, rank, accelerator.device)  # for dropout
            run.update(loss(run.model, x0, u[mine], noise[mine], y))
            save = checkpoint and (run.step % checkpoint_every == 0 or run.step == steps)
            if save or run.step % 50 == 0:
                run.gather(log)
            if save:
                run.save(checkpoint)
            if time.perf_counter() - shown > 1 and not hidden:
                shown = time.perf_counter()
                bar.set_postfix(loss=f"{float(run.last):.4f}", refresh=False)
            bar.update()


class _Run:
    """What changes during training: network, its average, optimizer, losses, number of steps done."""

    def __init__(self, accelerator, denoiser, settings):
        self.accelerator, self.settings = accelerator, settings
        self.denoiser = denoiser.to(accelerator.device).train()
        self.average = AveragedModel(denoiser).requires_grad_(
            False
        )  # copied before Accelerate wraps the network
        adam = torch.optim.Adam(denoiser.parameters(), settings["learning_rate"], fused=True)
        self.model, self.optimizer = accelerator.prepare(denoiser, adam)
        self.losses = torch.zeros(0)  # of all processes together, up to the last gather
        self.recent, self.last = [], math.nan  # of this process since then
        self.step, self.earlier, self.started = 0, 0.0, time.perf_counter()

    def update(self, losses):
        """One step of Adam on the mean of the per-sample losses, then of the average of the
        weights.
        """
        require(
            losses.ndim == 1, "loss(...).shape", tuple(losses.shape), "(B,): one number per sample"
        )
        s, mean = self.settings, losses.mean()
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate_at(self.step, s["learning_rate"], s["warmup"], s["cosine"])
        self.accelerator.backward(mean)
        if s["clip_norm"] is not None:
            self.accelerator.clip_grad_norm_(self.model.parameters(), s["clip_norm"])
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        decay = ema_decay(self.step * s["batch_size"], s["batch_size"], s["ema_half_life"])
        self.average.multi_avg_fn = get_ema_multi_avg_fn(decay)
        self.average.update_parameters(self.denoiser)
        self.last = mean.detach()  # no .item(): the GPU need not wait
        self.recent.append(self.last)
        self.step += 1

    def gather(self, log=False):
        """Bring the recent losses together (the mean over processes); stop if one is not finite."""
        if not self.recent:
            return
        recent = self.accelerator.reduce(torch.stack(self.recent), "mean").float().cpu()
        bad = (~torch.isfinite(recent)).nonzero()
        if len(bad):
            i = int(bad[0])
            raise FloatingPointError(
                f"the loss of step {len(self.losses) + i} is {float(recent[i])}: "
                "lower learning_rate, set clip_norm or look for a fault in the loss"
            )
        self.losses, self.recent = torch.cat([self.losses, recent]), []
        if log:
            self.accelerator.log({"loss": float(recent.mean())}, step=self.step)

    @property
    def seconds(self):
        return self.earlier + time.perf_counter() - self.started

    def save(self, path):
        if not self.accelerator.is_main_process:
            return
        tensors = {f"network.{k}": v for k, v in self.denoiser.state_dict().items()}
        tensors |= {f"ema.{k}": v for k, v in self.average.module.state_dict().items()}
        tensors |= checkpoints.optimizer_tensors(self.optimizer.optimizer)
        tensors["losses"] = self.losses
        scaler = self.accelerator.scaler.state_dict() if self.accelerator.scaler else None
        metadata = {
            "step": self.step,
            "seconds": self.seconds,
            "settings": self.settings,
            "scaler": scaler,
        }
        checkpoints.write(path, tensors, checkpoints.CHECKPOINT, metadata)

    def resume(self, path, steps):
        """Go on from a checkpoint if there is one; its settings must be these."""
        check_room(
            path, 4 * sum(p.nbytes for p in self.denoiser.parameters())
        )  # now, not after hours of training
        if not Path(path).exists():
            return
        tensors, metadata = checkpoints.read(path, checkpoints.CHECKPOINT)
        old, new = metadata["settings"], self.settings
        differ = [
            f"{k}: {old.get(k)!r} there, {new.get(k)!r} here"
            for k in {**old, **new}
            if old.get(k) != new.get(k)
        ]
        if differ:
            raise ValueError(
                f"checkpoint {path}: written with other settings ({'; '.join(differ)})"
            )
        require(
            metadata["step"] <= steps,
            "steps",
            steps,
            f"{metadata['step']} or more: so many are done in {path}",
        )
        checkpoints.fill(self.denoiser, tensors, path, "network.")
        checkpoints.fill(self.average.module, tensors, path, "ema.")
        checkpoints.fill_optimizer(self.optimizer.optimizer, tensors)
        if metadata["scaler"] is not None:
            self.accelerator.scaler.load_state_dict(metadata["scaler"])
        self.step, self.earlier, self.losses = (
            metadata["step"],
            metadata["seconds"],
            tensors["losses"],
        )
        self.average.n_averaged.fill_(self.step)

    def result(self):
        self.gather()
        self.accelerator.unwrap_model(
            self.model, keep_fp32_wrapper=False
        )  # takes autocast off forward again
        return TrainingResult(
            self.denoiser.eval(), self.average.module.eval(), self.losses, self.seconds
        )


def ema_decay(images, batch_size, half_life, ramp_up=0.05):
    """Decay β of the weights' average after ``images`` images: β = 2^(−B/h), h = min(half_life,
    ramp_up·images).

    All in images; ``batch_size`` B.  The ramp lets the average forget its start early on; β = 0 at
    the first step, which copies (Karras et al. 2022, ``training_loop.py``).
    """
    h = min(half_life, ramp_up * images)
    return 0.5 ** (batch_size / h) if h > 0 else 0.0


def learning_rate_at(step, learning_rate, warmup=0, cosine=False):
    """Learning rate of a step: linear rise over ``warmup`` steps, then constant or, with
    ``cosine`` = the number
    of all steps, a half cosine down to 0.
    """
    rise = min(1.0, (step + 1) / warmup) if warmup else 1.0
    return learning_rate * rise * (0.5 * (1 + math.cos(math.pi * step / cosine)) if cosine else 1.0)


@contextmanager
def _accelerator(mixed_precision, log_dir, settings):
    """An Accelerator for one run.

    Afterwards its process-wide settings and torch's random state are as before.
    """
    from accelerate import Accelerator
    from accelerate.state import AcceleratorState

    ours = not AcceleratorState._shared_state  # else the caller has made one: use its settings
    accelerator = Accelerator(
        cpu=scale.device().type == "cpu",
        mixed_precision=mixed_precision,
        log_with="tensorboard" if log_dir else None,
        project_dir=log_dir,
    )
    cuda = [accelerator.device] if accelerator.device.type == "cuda" else []
    try:
        with torch.random.fork_rng(cuda):
            if log_dir:
                accelerator.init_trackers("", {k: v for k, v in settings.items() if v is not None})
            yield accelerator
    finally:
        if log_dir:
            accelerator.end_training()
        if ours:  # a later run may want another precision or device
            AcceleratorState._reset_state(reset_partial_state=accelerator.num_processes == 1)


def _fits(x, device):
    return device.type == "cuda" and x.nbytes < torch.cuda.mem_get_info(device)[0] / 4


def _rows(x, rows, device):
    return x[rows.to(x.device)].to(device)


def _to_float(x):
    return x.float().div_(127.5).sub_(1) if x.dtype == torch.uint8 else x.float()


def _describe(loss):
    """A name for the loss that stays the same from run to run: module, name and bound keywords."""
    if isinstance(loss, functools.partial):
        bound = [repr(a) for a in loss.args] + [
            f"{k}={v!r}" for k, v in sorted(loss.keywords.items())
        ]
        return f"{_describe(loss.func)}({', '.join(bound)})"
    return getattr(loss, "__qualname__", type(loss).__qualname__)


def _check(
    denoiser,
    x,
    loss,
    steps,
    batch_size,
    learning_rate,
    labels,
    ema_half_life,
    warmup,
    clip_norm,
    mixed_precision,
    checkpoint,
    checkpoint_every,
):
    require(isinstance(denoiser, nn.Module), "denoiser", type(denoiser).__name__, "an nn.Module")
    require(
        any(p.requires_grad for p in denoiser.parameters()),
        "denoiser",
        type(denoiser).__name__,
        "a module with parameters to train",
    )
    require(x.ndim >= 2 and len(x) > 0, "data.shape", tuple(x.shape), "(N, ...) with N > 0")
    require(
        x.dtype == torch.uint8 or x.is_floating_point(),
        "data.dtype",
        x.dtype,
        "torch.uint8 or a floating type",
    )
    require(
        x.dtype == torch.uint8 or bool(torch.isfinite(x).all()),
        "data",
        "NaN or infinity",
        "finite everywhere",
    )
    require(callable(loss), "loss", loss, "a function (denoiser, x0, u, noise, labels) -> (B,)")
    for name, value in {
        "steps": steps,
        "batch_size": batch_size,
        "checkpoint_every": checkpoint_every,
    }.items():
        optional = name == "checkpoint_every" and value is None
        require(optional or (isinstance(value, int) and value >= 1), name, value, "an integer ≥ 1")
    require(isinstance(warmup, int) and warmup >= 0, "warmup", warmup, "an integer ≥ 0")
    for name, value in {
        "learning_rate": learning_rate,
        "ema_half_life": ema_half_life,
        "clip_norm": clip_norm,
    }.items():
        optional = name != "learning_rate" and value is None
        require(optional or 0 < value < math.inf, name, value, "a positive finite number")
    require(
        mixed_precision in PRECISIONS,
        "mixed_precision",
        mixed_precision,
        f"one of {', '.join(PRECISIONS)}",
    )
    if labels is not None:
        require(
            labels.shape == (len(x),) and labels.dtype == torch.int64,
            "labels",
            f"{tuple(labels.shape)} {labels.dtype}",
            f"({len(x)},) torch.int64, or None",
        )
        require(int(labels.min()) >= 0, "labels", int(labels.min()), "0 or more")
    require(
        checkpoint is None or Path(checkpoint).suffix == ".safetensors",
        "checkpoint",
        str(checkpoint),
        "a path that ends in .safetensors",
    )
