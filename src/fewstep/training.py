"""The loop that trains every learner: batches, checkpoints, exact resume, logs, hooks.

    result = train(denoiser, images, loss, steps=2000, batch_size=128, learning_rate=2e-3)

is the usual case, one denoiser under one loss; ``run(learner, data, …)`` trains any
``learners.Learner``. The batch and all random numbers of step i depend on (seed, i) and a name,
nothing else (``randomness``): so a run that was killed goes on exactly as if it had not been, and
two processes give the result of one.
"""

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from . import checkpoints, scale
from ._checks import (
    choice,
    count,
    describe,
    finite,
    listed,
    no_room,
    number,
    require,
    safetensors_file,
)
from ._files import check_room
from ._logs import Log
from ._state import State
from .hooks import Every, call
from .learners import DECAYS, Batch, DenoisingLearner, Learner, rate_factor
from .randomness import batch_rows, seed_modules, uniform

GATHER = 50  # steps between two looks at the losses, for which a GPU has to be waited for


@dataclass(frozen=True)
class History:
    """What ``run`` returns.

    losses: name -> (steps,) float32, over all processes; NaN in steps that did not give this one.
    seconds: of training, including before a resume.
    """

    losses: dict[str, torch.Tensor]
    seconds: float


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
    denoiser: nn.Module,
    data: Any,
    loss: Callable[..., torch.Tensor],
    *,
    steps: int,
    batch_size: int,
    learning_rate: float | None = None,
    optimizers: Mapping[str, torch.optim.Optimizer] | None = None,
    labels: torch.Tensor | None = None,
    seed: int = 0,
    drop_labels: float = 0.0,
    ema_half_life: float | None = None,
    warmup: int = 0,
    decay: str = "none",
    clip_norm: float | None = None,
    mixed_precision: str = "no",
    checkpoint: str | Path | None = None,
    checkpoint_every: int | None = None,
    log_dir: str | Path | None = None,
    hooks: Sequence[Every] = (),
    progress: bool = True,
) -> TrainingResult:
    """Train a denoiser; return it with the average of its weights.

    denoiser: an nn.Module, called as ``denoiser(x, sigma, labels)``.
    loss: ``loss(denoiser, x0, u, noise, labels) -> (B,)``, which draws nothing itself (see
    ``learners.DenoisingLearner``).
    learning_rate: of Adam; or, instead of it, optimizers: name -> optimizer over the denoiser's
    parameters, such as ``optimizers.muon(denoiser)``.
    warmup: steps of linear rise.  decay: of the learning rates after it, "none", "linear" or
    "cosine", down to 0 at the end.
    clip_norm: largest gradient norm, or None.
    ema_half_life: in images, by default a twentieth of the whole training.
    All others: see ``run``.
    Raises what ``run`` raises.
    """
    require(isinstance(denoiser, nn.Module), "denoiser", denoiser, "an nn.Module")
    trainable = [p for p in denoiser.parameters() if p.requires_grad]
    kind = type(denoiser).__name__
    require(trainable, "denoiser", kind, "a module with parameters to train")
    steps, batch_size = count("steps", steps), count("batch_size", batch_size)
    decay = choice("decay", decay, DECAYS)
    if optimizers is None:
        rate = number("learning_rate", learning_rate, above=0)
        optimizers = {"adam": torch.optim.Adam(trainable, rate, fused=True)}
    else:
        require(learning_rate is None, "learning_rate", learning_rate, "None beside optimizers")
    if ema_half_life is None:
        ema_half_life = steps * batch_size / 20
    schedule = functools.partial(
        rate_factor,
        warmup=count("warmup", warmup, 0),
        decay=decay,
        steps=1 if decay == "none" else steps,  # else it may go on for longer than first said
    )
    learner = DenoisingLearner(
        denoiser,
        loss,
        optimizers,
        number("ema_half_life", ema_half_life, above=0),
        schedule=schedule,
        clip_norm=clip_norm,
    )
    history = run(
        learner,
        data,
        steps=steps,
        batch_size=batch_size,
        labels=labels,
        seed=seed,
        drop_labels=drop_labels,
        mixed_precision=mixed_precision,
        checkpoint=checkpoint,
        checkpoint_every=checkpoint_every,
        log_dir=log_dir,
        hooks=hooks,
        progress=progress,
    )
    ema = learner.averages["denoiser"]
    return TrainingResult(denoiser, ema, history.losses["loss"], history.seconds)


def run(
    learner: Learner,
    data: Any,
    *,
    steps: int,
    batch_size: int,
    labels: torch.Tensor | None = None,
    seed: int = 0,
    drop_labels: float = 0.0,
    mixed_precision: str = "no",
    checkpoint: str | Path | None = None,
    checkpoint_every: int | None = None,
    log_dir: str | Path | None = None,
    hooks: Sequence[Every] = (),
    progress: bool = True,
) -> History:
    """Train a learner until ``steps`` steps are done; resumes if ``checkpoint`` exists.

    data: ``data.Images`` or a tensor (N, ...), uint8 0..255 or floating.
    batch_size: of all processes together, which must divide it.
    labels: (N,) int64, -1 for "no class"; None for none.
    drop_labels: probability with which a label becomes -1, for classifier-free guidance.
    mixed_precision: "no", "bf16" or "fp16", inside of modules only.
    checkpoint: path of one .safetensors file, written every ``checkpoint_every`` steps (default: a
    tenth of all) and at the end.
    log_dir: folder for ``log.jsonl`` (a line every 50 steps and after hooks) and TensorBoard.
    progress: a bar, if training takes more than two seconds.
    The device is that of the current scale (``scale.device``) or of ``accelerate launch``; modules
    are moved there, and end in eval mode.
    Raises ValueError for bad arguments and for a checkpoint of another run, FloatingPointError
    when a loss or a weight is no longer finite, MemoryError when a step does not fit into memory,
    OSError when there is no room for the checkpoint.
    """
    require(isinstance(learner, Learner), "learner", learner, "a learners.Learner")
    x = _check_data(data, labels)
    steps, batch_size = count("steps", steps), count("batch_size", batch_size)
    drop_labels = number("drop_labels", drop_labels, at_least=0, at_most=1)
    require(not drop_labels or labels is not None, "drop_labels", drop_labels, "0 without labels")
    every = max(1, steps // 10)
    if checkpoint_every is not None:
        every = count("checkpoint_every", checkpoint_every)
        stored = checkpoint is not None
        require(stored, "checkpoint_every", checkpoint_every, "None without a checkpoint")
    listed("hooks", hooks, Every, "hooks.Every")
    require(isinstance(progress, bool), "progress", progress, "True or False")
    settings: dict[str, Any] = {
        "batch_size": batch_size,
        "seed": count("seed", seed, 0),
        "drop_labels": drop_labels,
        "mixed_precision": choice("mixed_precision", mixed_precision, ("no", "bf16", "fp16")),
    }
    _check_places(checkpoint, log_dir)
    if checkpoint is not None:
        settings |= {"data": checkpoints.fingerprint(x, labels), "learner": learner.describe()}
    with _accelerator(mixed_precision) as accelerator:
        n = accelerator.num_processes
        require(batch_size % n == 0, "batch_size", batch_size, f"a multiple of the {n} processes")
        learner._begin(accelerator)
        log = None
        try:
            state = State(learner, accelerator, settings)
            if checkpoint is not None:
                state.resume(checkpoint, steps)
            log = Log(log_dir, state.step) if log_dir and accelerator.is_main_process else None
            _loop(state, x, labels, steps, checkpoint, every, log, hooks, progress)
        finally:
            learner._end()
            if log is not None:
                log.close()
    return History(state.losses, state.seconds)


def _loop(
    state: State,
    x: torch.Tensor,
    labels: torch.Tensor | None,
    steps: int,
    checkpoint: str | Path | None,
    every: int,
    log: Log | None,
    hooks: Sequence[Every],
    progress: bool,
) -> None:
    """Steps ``state.step`` to ``steps - 1``: the loop of all training in this course."""
    from tqdm.auto import tqdm

    learner, device = state.learner, state.accelerator.device
    size, seed, drop = (state.settings[k] for k in ("batch_size", "seed", "drop_labels"))
    rank, share = state.accelerator.process_index, size // state.accelerator.num_processes
    mine = range(rank * share, (rank + 1) * share)  # this process's rows of every batch
    if device.type == "cuda" and x.nbytes < torch.cuda.mem_get_info(device)[0] / 4:
        x, labels = x.to(device), None if labels is None else labels.to(device)
    hidden = not (progress and state.accelerator.is_main_process)

    def take(step: int, part: range) -> Batch:
        rows = batch_rows(len(x), size, step, seed)[part.start : part.stop]
        y = None if labels is None else _take(labels, rows, device)
        if y is not None and drop:
            dropped = uniform(seed, step, "drop_labels", part, device=device) < drop
            y = y.masked_fill(dropped, -1)
        return Batch(_to_float(_take(x, rows, device)), y, step, size, seed, part)

    with tqdm(
        total=steps, initial=state.step, disable=hidden, delay=2, desc="training", unit="step"
    ) as bar:
        while state.step < steps:
            seed_modules(seed, state.step, rank, device)  # for dropout
            try:
                state.record(learner.step(take(state.step, mine)))
            except (RuntimeError, MemoryError) as error:
                if not no_room(error):
                    raise
                raise MemoryError(_too_large(state, share, x.shape[1:])) from error
            learner._finish_step(size)
            due = [hook for hook in hooks if state.step % hook.steps == 0]
            last = state.step == steps
            save = checkpoint is not None and (last or state.step % every == 0)
            line = due or last or state.step % GATHER == 0
            if line or save:
                bad = state.gather()
                if bad is not None:
                    raise FloatingPointError(_not_finite(state, *bad, take(bad[1], range(size))))
                shown = {k: f"{float(v[-1]):.4f}" for k, v in state.losses.items()}
                bar.set_postfix(shown, refresh=False)
            if line:
                found = call(due, learner, state.step, state.losses)
                if log is not None:
                    log.line(state.step, state.seconds, state.losses, found)
            if save and checkpoint is not None:
                state.save(checkpoint)
            bar.update()


def _not_finite(state: State, name: str, step: int, value: float, batch: Batch) -> str:
    """What to say of a loss: its batch is made again, for it depends on the step alone."""
    levels = state.learner.noise_levels(batch)
    where = ""
    if levels is not None:
        low, middle, high = (float(q) for q in (levels.min(), levels.median(), levels.max()))
        where = f", at noise levels σ from {low:.3g} to {high:.3g}, their median {middle:.3g}"
    return (
        f"{name!r} of step {step} is {value}{where}: lower the learning rate, set clip_norm or "
        f"look for a fault in the loss; {state.kept}"
    )


def _too_large(state: State, share: int, shape: Sequence[int]) -> str:
    """What to say where a step does not fit into memory."""
    modules, settings = state.learner.modules.values(), state.settings
    weights = sum(p.numel() for module in modules for p in module.parameters())
    half = settings["mixed_precision"] == "no"
    return (
        f"out of memory on {state.accelerator.device} in step {state.step}, with {share} samples "
        f"{tuple(shape)} of a batch of {settings['batch_size']} and {weights:,} weights: lower "
        "batch_size (in a recipe training.batch_size, or the network's network.channels)"
        + (', set mixed_precision to "bf16"' if half else "")
        + f", or let more processes share the batch; {state.kept}"
    )


@contextmanager
def _accelerator(mixed_precision: str) -> Iterator[Any]:
    """An Accelerator for one run.

    Afterwards its process-wide settings and torch's random state are as before.
    """
    from accelerate import Accelerator
    from accelerate.state import AcceleratorState

    ours = not AcceleratorState._shared_state  # else the caller has made one: use its settings
    accelerator = Accelerator(cpu=scale.device().type == "cpu", mixed_precision=mixed_precision)
    cuda = [accelerator.device] if accelerator.device.type == "cuda" else []
    try:
        with torch.random.fork_rng(cuda):
            yield accelerator
    finally:
        if ours:  # a later run may want another precision or device
            AcceleratorState._reset_state(reset_partial_state=accelerator.num_processes == 1)


def _take(x: torch.Tensor, rows: torch.Tensor, device: torch.device) -> torch.Tensor:
    """Rows of the data on the device; from pinned memory, so that nobody waits for the copy."""
    if x.device.type == "cpu":
        x = x[rows]
        return x if device.type == "cpu" else x.pin_memory().to(device, non_blocking=True)
    return x[rows.pin_memory().to(device, non_blocking=True)]


def _to_float(x: torch.Tensor) -> torch.Tensor:
    return x.float().div_(127.5).sub_(1) if x.dtype == torch.uint8 else x.float()


def _check_data(data: Any, labels: Any) -> torch.Tensor:
    """The tensor that ``data`` is or holds, after a look at every value."""
    x = data if isinstance(data, torch.Tensor) else getattr(data, "x", None)
    if not isinstance(x, torch.Tensor):
        raise ValueError(f"data = {describe(data)}: must be data.Images or a tensor (N, ...)")
    require(x.ndim >= 2 and x.numel(), "data.shape", tuple(x.shape), "(N, ...), not empty")
    known = x.dtype == torch.uint8 or x.is_floating_point()
    require(known, "data.dtype", x.dtype, "torch.uint8 or a floating type")
    if x.dtype != torch.uint8:
        finite("data", x)
    if labels is not None:
        form = f"({len(x)},) torch.int64, or None"
        require(isinstance(labels, torch.Tensor), "labels", labels, form)
        good = labels.shape == (len(x),) and labels.dtype == torch.int64
        require(good, "labels", f"{tuple(labels.shape)} {labels.dtype}", form)
        require(labels.min() >= -1, "labels", int(labels.min()), "0 or more, or -1 for no class")
    return x


def _check_places(checkpoint: Any, log_dir: Any) -> None:
    """Whether the checkpoint and the log can be written."""
    if log_dir is not None:
        require(isinstance(log_dir, (str, Path)) and log_dir, "log_dir", log_dir, "a folder")
    if checkpoint is not None:
        safetensors_file("checkpoint", checkpoint)
        _check_room("checkpoint", checkpoint, Path(checkpoint))
    if log_dir is not None:
        _check_room("log_dir", log_dir, Path(log_dir) / "log.jsonl")


def _check_room(argument: str, value: Any, file: Path) -> None:
    try:
        check_room(file, 0)
    except OSError as error:
        raise ValueError(
            f"{argument} = {str(value)!r}: cannot be written there ({error})"
        ) from error
