"""What is trained, apart from the loop that trains it (``training.run``).

A *learner* owns modules, optimizers and averages of weights, and makes one step. A GAN:

    class GAN(Learner):
        def step(self, batch):
            G, D = self.modules["generator"], self.modules["critic"]
            fake = G(batch.normal("latent", 8))
            critic = (softplus(-D(batch.x)) + softplus(D(fake.detach()))).mean()
            self.update("critic", critic)
            generator = softplus(-D(fake)).mean()
            self.update("generator", generator)
            return {"critic": critic, "generator": generator}

Random numbers come from ``batch.normal`` and ``batch.uniform`` only, each under a name, and what
must be remembered from step to step is a buffer of a module: then a killed run goes on exactly as
if it had not been, and two processes train as one.
"""

import copy
import math
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from . import randomness
from ._checks import choice, count, function, number, require
from ._identity import Description, checksum, describe


@dataclass(frozen=True)
class Batch:
    """What one step receives: this process's rows of the whole batch, and random numbers for them.

    x: (b, ...) float32.  labels: (b,) int64, -1 for "no class", or None.
    step: number of steps before this one.  size: rows of the whole batch, over all processes.
    """

    x: torch.Tensor
    labels: torch.Tensor | None
    step: int
    size: int
    seed: int
    rows: range

    def normal(self, name: str, *shape: int) -> torch.Tensor:
        """Standard normal numbers, (b, *shape) float32; one name in one step, one draw."""
        return randomness.normal(
            self.seed, self.step, name, self.rows, *shape, device=self.x.device
        )

    def uniform(self, name: str, *shape: int) -> torch.Tensor:
        """Uniform numbers inside (0, 1), (b, *shape) float32."""
        return randomness.uniform(
            self.seed, self.step, name, self.rows, *shape, device=self.x.device
        )


def constant(step: int) -> float:
    """The schedule that leaves every learning rate as it is."""
    return 1.0


class Learner:
    """Modules and how one step trains them; a subclass writes ``step``.

    modules: name -> nn.Module.  One that no optimizer trains is frozen: eval mode, no gradients.
    optimizers: name -> torch.optim.Optimizer over parameters of these modules.
    averages: name of a module -> half-life in images of the average of its weights.
    schedule: step -> factor of every learning rate.  clip_norm: largest gradient norm of one
    optimizer's parameters, or None.
    After the constructor ``self.averages`` holds the averaged modules, in eval mode.
    Raises ValueError for bad arguments.
    """

    _OURS = {"modules", "optimizers", "frozen", "averages", "_trained", "_names", "_accelerator"}
    _OURS |= {"_rates", "_steppers", "_step"}

    def __init__(
        self,
        modules: Mapping[str, nn.Module],
        optimizers: Mapping[str, torch.optim.Optimizer],
        averages: Mapping[str, float] | None = None,
        *,
        schedule: Callable[[int], float] = constant,
        clip_norm: float | None = None,
    ):
        averages = {} if averages is None else averages
        _check_kinds("modules", modules, nn.Module)
        _check_kinds("optimizers", optimizers, torch.optim.Optimizer)
        named = isinstance(averages, Mapping)
        require(named, "averages", averages, "a dict of names of modules and half-lives, or None")
        function("schedule", schedule, "step -> factor")
        number("schedule(0)", schedule(0), at_least=0)
        self.modules, self.optimizers = dict(modules), dict(optimizers)
        self.schedule = schedule
        self.clip_norm = None if clip_norm is None else number("clip_norm", clip_norm, above=0)
        self._trained = {
            name: [p for group in optimizer.param_groups for p in group["params"]]
            for name, optimizer in self.optimizers.items()
        }
        trained = {id(p) for parameters in self._trained.values() for p in parameters}
        names = list(self.optimizers)
        known = {id(p): f"{k}.{n}" for k, m in modules.items() for n, p in m.named_parameters()}
        require(trained <= known.keys(), "optimizers", names, "over parameters of the modules")
        self.frozen = {
            name: module
            for name, module in self.modules.items()
            if not any(id(p) in trained for p in module.parameters())
        }
        for module in self.frozen.values():
            module.eval().requires_grad_(False)
        for name, half_life in averages.items():
            require(name in modules, "averages", name, f"names of modules: {', '.join(modules)}")
            require(name not in self.frozen, "averages", name, "names of modules that are trained")
            number(f"averages[{name!r}]", half_life, above=0)
        self.half_lives = dict(averages)
        self.averages = {
            name: copy.deepcopy(self.modules[name]).eval().requires_grad_(False)
            for name in averages
        }
        self._names = known
        self._accelerator: Any = None

    def step(self, batch: Batch) -> dict[str, torch.Tensor]:
        """Train on one batch; returns named losses, each a tensor (), and waits for nothing.

        No ``.item()``, no ``if`` on a tensor's value: a GPU would have to be waited for.
        """
        raise NotImplementedError(f"{type(self).__name__} must define step(batch)")

    def noise_levels(self, batch: Batch) -> torch.Tensor | None:
        """The noise levels of a batch, to be named where its loss is not finite; None: unknown."""
        return None

    def update(self, names: str | Sequence[str], loss: torch.Tensor) -> None:
        """One step of an optimizer, or of several over one loss, down its gradient.

        names: of the optimizers.  loss: a tensor ().
        Gradients start from zero, are averaged over processes and clipped.
        The averages of the weights follow at the end of the whole step.
        """
        named: list[Any] = list(names) if isinstance(names, (list, tuple)) and names else [names]
        for name in named:
            choice("names", name, list(self.optimizers))
        if not isinstance(loss, torch.Tensor) or loss.ndim or not loss.is_floating_point():
            given = loss if not isinstance(loss, torch.Tensor) else (tuple(loss.shape), loss.dtype)
            raise ValueError(f"loss = {given!r:.200}: must be a floating-point tensor ()")
        if not loss.requires_grad:
            raise ValueError(f"loss.requires_grad = False: must depend on what {names!r} trains")
        if self._accelerator is None:
            raise RuntimeError("update works inside of training.run, which calls step")
        for name in named:
            self.optimizers[name].zero_grad()
        self._accelerator.backward(loss)
        factor = self.schedule(self._step)
        for name in named:
            optimizer, parameters = self.optimizers[name], self._trained[name]
            if self._accelerator.num_processes > 1:
                _average_gradients(parameters, self._accelerator)
            if self.clip_norm is not None:
                if self._accelerator.scaler is not None:
                    self._accelerator.scaler.unscale_(optimizer)
                nn.utils.clip_grad_norm_(parameters, self.clip_norm)
            for group, rate in zip(optimizer.param_groups, self._rates[name]):
                group["lr"] = rate * factor
            self._steppers[name].step()

    def describe(self) -> dict[str, Description]:
        """All that tells this learner from another, for checkpoints.

        Raises ValueError for what cannot be told apart.
        """
        own = {name: value for name, value in vars(self).items() if name not in self._OURS}
        return {
            "class": describe(type(self), "learner"),
            "modules": {name: describe(module, name) for name, module in self.modules.items()},
            "frozen": {name: _weights(module) for name, module in self.frozen.items()},
            "optimizers": {name: self._describe(o) for name, o in self.optimizers.items()},
            **{name: describe(value, name) for name, value in own.items()},
        }

    def _describe(self, optimizer: torch.optim.Optimizer) -> dict[str, Description]:
        found = {"class": describe(type(optimizer), "optimizer")}
        for i, group in enumerate(optimizer.param_groups):
            names = [self._names[id(p)] for p in group["params"]]
            crc = zlib.crc32(repr(names).encode())
            options = {k: v for k, v in group.items() if k != "params"}
            options["parameters"] = f"{len(names)} from {names[0]} to {names[-1]}, {crc:08x}"
            found[f"group {i}"] = describe(options, "optimizer")
        return found

    def _begin(self, accelerator: Any) -> None:
        """To the device and under mixed precision; the same weights in every process."""
        self._accelerator, self._step = accelerator, 0
        self._rates = {k: [g["lr"] for g in o.param_groups] for k, o in self.optimizers.items()}
        for name, average in self.averages.items():
            average.load_state_dict(self.modules[name].state_dict())
        for module in self.all_modules():
            module.to(accelerator.device)
            _from_the_first(module.state_dict().values(), accelerator)
        for name, module in self.modules.items():
            module.train(name not in self.frozen)
        # Gradients are averaged in update, not by a wrapper (DistributedDataParallel) that
        # expects one backward pass a module: a GAN passes through its critic again and again.
        for module in self.all_modules():
            accelerator.prepare_model(module, evaluation_mode=True)
        self._steppers = {k: accelerator.prepare_optimizer(o) for k, o in self.optimizers.items()}
        if accelerator.scaler is None:  # Accelerate's step takes 0.3 ms only to look for a package
            self._steppers = self.optimizers

    def _finish_step(self, size: int) -> None:
        """Average the weights; without a wrapper, buffers of the first process go to the others."""
        if self._accelerator.num_processes > 1:
            for name in self.modules.keys() - self.frozen.keys():
                _from_the_first(self.modules[name].buffers(), self._accelerator)
        for name, average in self.averages.items():
            decay = ema_decay(self._step * size, size, self.half_lives[name])
            update_average(average, self.modules[name], decay)
        self._step += 1

    def _end(self) -> None:
        """Eval mode, autocast off the modules again, learning rates as they were given."""
        for module in self.all_modules():
            self._accelerator.unwrap_model(module.eval(), keep_fp32_wrapper=False)
        for name, rates in self._rates.items():
            for group, rate in zip(self.optimizers[name].param_groups, rates):
                group["lr"] = rate
        self._accelerator = None

    def all_modules(self) -> list[nn.Module]:
        """Modules and averages."""
        return [*self.modules.values(), *self.averages.values()]


class DenoisingLearner(Learner):
    """A denoiser trained on the mean of ``loss(denoiser, x0, u, noise, labels) -> (b,)``.

    x0: (b, ...) clean data.  u: (b,) uniform inside (0, 1): the loss makes its noise level from it.
    noise: like x0, standard normal.  labels: (b,) or None.
    optimizers: name -> optimizer over parameters of the denoiser, as ``optimizers.muon`` gives.
    half_life: of the average, in images.
    """

    def __init__(
        self,
        denoiser: nn.Module,
        loss: Callable[..., torch.Tensor],
        optimizers: Mapping[str, torch.optim.Optimizer],
        half_life: float,
        *,
        schedule: Callable[[int], float] = constant,
        clip_norm: float | None = None,
    ):
        function("loss", loss, "(denoiser, x0, u, noise, labels) -> (b,)")
        super().__init__(
            {"denoiser": denoiser},
            optimizers,
            {"denoiser": half_life},
            schedule=schedule,
            clip_norm=clip_norm,
        )
        self.loss = loss

    def step(self, batch: Batch) -> dict[str, torch.Tensor]:
        """One step of the optimizers on the mean of the per-sample losses."""
        u, noise = batch.uniform("u"), batch.normal("noise", *batch.x.shape[1:])
        losses = self.loss(self.modules["denoiser"], batch.x, u, noise, batch.labels)
        if not isinstance(losses, torch.Tensor) or losses.shape != u.shape:
            shape = getattr(losses, "shape", type(losses).__name__)
            raise ValueError(
                f"loss(...).shape = {shape if isinstance(shape, str) else tuple(shape)}: must be "
                f"({len(u)},), one number per sample"
            )
        if not losses.is_floating_point():
            raise ValueError(f"loss(...).dtype = {losses.dtype}: must be floating")
        mean = losses.mean()
        self.update(list(self.optimizers), mean)
        return {"loss": mean}

    def noise_levels(self, batch: Batch) -> torch.Tensor | None:
        """σ (b,): those at which the loss first asks the denoiser, whose answer is not awaited."""
        u, noise = batch.uniform("u"), batch.normal("noise", *batch.x.shape[1:])
        denoiser = self.modules["denoiser"]

        def caught(_: nn.Module, x: Any, sigma: Any = None, *rest: Any, **named: Any) -> None:
            raise _Asked(sigma)

        hook = denoiser.register_forward_pre_hook(
            lambda module, inputs, named: caught(module, *inputs, **named), with_kwargs=True
        )
        try:
            self.loss(denoiser, batch.x, u, noise, batch.labels)
        except _Asked as asked:
            sigma = asked.args[0]
            return sigma if isinstance(sigma, torch.Tensor) and sigma.shape == u.shape else None
        finally:
            hook.remove()
        return None


class _Asked(Exception):
    """Leaves a loss with the noise levels that it asked for."""


def ema_decay(images: int, batch_size: int, half_life: float, ramp_up: float = 0.05) -> float:
    """Decay β of the average of weights: β = 2^(−B/h), h = min(half_life, ramp_up·images).

    images: seen so far.  batch_size: B.  half_life, h: in images.
    The ramp lets the average forget its start early on; β = 0 at the first step, which copies
    (Karras et al. 2022, ``training_loop.py``).
    """
    number("images", images, at_least=0)
    number("batch_size", batch_size, above=0)
    number("ramp_up", ramp_up, above=0)
    h = min(number("half_life", half_life, above=0), ramp_up * images)
    return 0.5 ** (batch_size / h) if h > 0 else 0.0


@torch.no_grad()
def update_average(average: nn.Module, module: nn.Module, decay: float) -> None:
    """average ← β average + (1 − β) module for parameters; buffers are copied.

    Written out because ``AveragedModel`` asks the GPU for its counter in every step.
    """
    number("decay", decay, at_least=0, at_most=1)
    forms = []
    for argument, value in (("average", average), ("module", module)):
        require(isinstance(value, nn.Module), argument, value, "an nn.Module")
        forms.append([t.shape for t in (*value.parameters(), *value.buffers())])
    require(forms[0] == forms[1], "average", type(average).__name__, "a copy of module")
    get_ema_multi_avg_fn(decay)(list(average.parameters()), list(module.parameters()), 0)
    for ours, theirs in zip(average.buffers(), module.buffers()):
        ours.copy_(theirs)


DECAYS = ("none", "linear", "cosine")


def rate_factor(step: int, warmup: int = 0, decay: str = "none", steps: int = 1) -> float:
    """Factor of the learning rate at a step: a linear rise over ``warmup`` steps, then a fall.

    decay: "none", "linear", or "cosine" (half of one), down to 0 after so many steps.
    """
    step, warmup = count("step", step, 0), count("warmup", warmup, 0)
    choice("decay", decay, DECAYS)
    count("steps", steps)
    rise = min(1.0, (step + 1) / warmup) if warmup else 1.0
    left = 1 - step / steps
    fall = {"none": 1.0, "linear": left, "cosine": 0.5 - 0.5 * math.cos(math.pi * left)}
    return rise * fall[decay]


def _average_gradients(parameters: list[nn.Parameter], accelerator: Any) -> None:
    """The mean over processes, in one message."""
    gradients = [p.grad for p in parameters if p.grad is not None]
    flat = accelerator.reduce(torch.cat([g.flatten() for g in gradients]), "mean")
    for gradient, mean in zip(gradients, flat.split([g.numel() for g in gradients])):
        gradient.copy_(mean.view_as(gradient))


def _from_the_first(tensors: Any, accelerator: Any) -> None:
    """Copy these tensors from the first process to all others."""
    from accelerate.utils import broadcast

    if accelerator.num_processes > 1:
        for tensor in tensors:
            tensor.detach().copy_(broadcast(tensor.detach().contiguous()))


def _weights(module: nn.Module) -> str:
    crc = 0
    for tensor in module.state_dict().values():
        crc = checksum(tensor, crc)
    return f"{crc:08x}"


def _check_kinds(argument: str, named: Any, kind: type) -> None:
    form = f"a dict of names and objects of class {kind.__name__}, not empty"
    filled = isinstance(named, Mapping) and named
    require(filled, argument, named if isinstance(named, dict) else type(named).__name__, form)
    for name, value in named.items():
        simple = isinstance(name, str) and name.isidentifier()
        require(simple, argument, name, "named by words of letters, digits and _")
        given = type(value).__name__
        require(
            isinstance(value, kind), f"{argument}[{name!r}]", given, f"of class {kind.__name__}"
        )
