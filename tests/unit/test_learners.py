import copy
import math

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from training_run import gan, perceptron

from fewstep import toys, training
from fewstep.learners import Learner, ema_decay, rate_factor, update_average


def trained(learner, steps=20, **options):
    options = {"batch_size": 32, "progress": False, **options}
    return training.run(learner, toys.moons(500), steps=steps, **options)


def equal(a, b):
    a, b = a.state_dict(), b.state_dict()
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


class Fit(Learner):
    """The mean of the square of what the network gives."""

    def step(self, batch):
        loss = self.modules["network"](batch.x).square().mean()
        self.update("network", loss)
        return {"loss": loss}


def fit(optimizer=torch.optim.SGD, rate=0.1, averages=None, module=None, **options):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = module or perceptron(2, 8, 1)
    return Fit(
        {"network": module}, {"network": optimizer(module.parameters(), rate)}, averages, **options
    )


# --- learners that are more than one network under one loss ---------------------------------------


def test_a_gan_learns_the_plane():
    """Samples come close to the data, and the data are all near to some sample."""
    learner, data = gan(), toys.moons(2000)
    latent = torch.randn(1000, 8, generator=torch.Generator().manual_seed(0))

    def distances():
        with torch.no_grad():
            apart = torch.cdist(learner.averages["generator"](latent), data)
        return apart.min(1).values.mean(), apart.min(0).values.mean()

    before = distances()
    history = trained(learner, 1000, batch_size=64)
    after = distances()
    assert before[0] > 0.15 and after[0] < 0.1 and before[1] > 0.4 and after[1] < 0.06
    assert set(history.losses) == {"critic", "generator"}
    assert all(values.shape == (1000,) for values in history.losses.values())


class Consistent(Learner):
    """f(x) close to what the average of f gives at a noisier x, as in consistency training."""

    def step(self, batch):
        noise = batch.normal("noise", 2)
        with torch.no_grad():
            target = self.averages["network"](batch.x + 0.1 * noise)
        loss = (self.modules["network"](batch.x + 0.2 * noise) - target).square().mean()
        self.update("network", loss)
        return {"loss": loss}


def consistent():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = perceptron(2, 16, 2)
    adam = torch.optim.Adam(network.parameters(), 1e-3, fused=True)
    return Consistent({"network": network}, {"network": adam}, {"network": 300})


class Distilled(Learner):
    """A student that learns what a frozen teacher says."""

    def step(self, batch):
        x = batch.x + batch.normal("noise", 2)
        loss = (self.modules["student"](x) - self.modules["teacher"](x)).square().mean()
        self.update("student", loss)
        return {"distance": loss}


def distilled(seed=0):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        student, teacher = perceptron(2, 16, 2), perceptron(2, 16, 2, dropout=0.5)
    adam = torch.optim.Adam(student.parameters(), 1e-2, fused=True)
    return Distilled({"student": student, "teacher": teacher}, {"student": adam})


@pytest.mark.parametrize("make", [gan, consistent, distilled])
@pytest.mark.parametrize("precision", ["no", "bf16"])
def test_every_learner_resumes_exactly(tmp_path, make, precision):
    options = dict(mixed_precision=precision)
    straight, resumed = make(), make()
    losses = trained(straight, 12, **options).losses
    trained(make(), 7, checkpoint=tmp_path / "run.safetensors", **options)
    again = trained(resumed, 12, checkpoint=tmp_path / "run.safetensors", **options).losses
    for a, b in zip(straight.all_modules(), resumed.all_modules()):
        assert equal(a, b)
    assert all(torch.equal(losses[name], again[name]) for name in losses)


def test_a_loss_may_use_the_average():
    """The first target is the start's, and the average is not trained by gradients."""
    learner = consistent()
    start, first = copy.deepcopy(learner.modules["network"]), []
    learner.averages["network"].register_forward_hook(lambda m, i, o: first.append((i[0], o)))
    trained(learner, 5)
    assert torch.equal(first[0][1], start(first[0][0]))
    assert not torch.equal(first[1][1], start(first[1][0]))
    assert all(p.grad is None for p in learner.averages["network"].parameters())


def test_a_frozen_teacher_stays_as_it_is():
    learner = distilled()
    teacher = copy.deepcopy(learner.modules["teacher"])
    losses = trained(learner, 300).losses["distance"]
    assert losses[-20:].mean() < 0.1 * losses[:5].mean()
    assert equal(teacher, learner.modules["teacher"])
    assert not learner.modules["teacher"][2].training  # its dropout is off also while training
    assert not any(p.requires_grad for p in learner.modules["teacher"].parameters())


def test_another_teacher_is_another_run(tmp_path):
    path = tmp_path / "run.safetensors"
    trained(distilled(), checkpoint=path)
    with pytest.raises(ValueError, match=r"other settings \(learner.frozen.teacher: "):
        trained(distilled(seed=1), checkpoint=path)


# --- one update -----------------------------------------------------------------------------------


def test_the_learning_rate_follows_the_schedule():
    """Plain gradient descent on w under the loss w: the steps are the learning rates themselves."""

    class Falling(Learner):
        def step(self, batch):
            loss = self.modules["w"].weight.sum()
            self.update("w", loss)
            return {"w": loss}

    w = nn.Linear(1, 1, bias=False)
    schedule = lambda step: 1 / (step + 1)
    learner = Falling({"w": w}, {"w": torch.optim.SGD(w.parameters(), 0.5)}, schedule=schedule)
    values = trained(learner, 6).losses["w"]
    steps = torch.tensor([0.5 / (i + 1) for i in range(5)])
    assert ((values[:-1] - values[1:]) - steps).abs().max() < 1e-6
    assert learner.optimizers["w"].param_groups[0]["lr"] == 0.5  # as it was given


def test_gradients_are_clipped_to_the_norm():
    """With SGD at rate 1 a step is as long as its clipped gradient."""
    for clip, long in ((0.01, False), (None, True)):
        learner = fit(rate=1.0, clip_norm=clip)
        before = copy.deepcopy(learner.modules["network"])
        trained(learner, 1)
        pairs = zip(before.parameters(), learner.modules["network"].parameters())
        length = math.sqrt(sum((a - b).square().sum().item() for a, b in pairs))
        assert length > 0.02 if long else length == pytest.approx(0.01, rel=1e-4)


def test_scaled_gradients_are_clipped_at_their_true_norm(monkeypatch):
    """The scaler of fp16, on the CPU: with SGD at rate 1 the step has the length of the clip."""
    from accelerate import Accelerator

    plain = Accelerator.__init__

    def with_scaler(self, *args, **options):
        plain(self, *args, **options)
        self.scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)

    monkeypatch.setattr(Accelerator, "__init__", with_scaler)
    learner = fit(rate=1.0, clip_norm=0.01)
    before = copy.deepcopy(learner.modules["network"])
    trained(learner, 1)
    pairs = zip(before.parameters(), learner.modules["network"].parameters())
    length = math.sqrt(sum((a - b).square().sum().item() for a, b in pairs))
    assert length == pytest.approx(0.01, rel=1e-4)


def test_gradients_start_from_zero_in_every_update():
    """Two updates a step: the second has its own gradient only, and the critic none of it."""

    class Twice(Fit):
        def step(self, batch):
            super().step(batch)
            return super().step(batch)

    twice, once = fit(), fit()
    twice.__class__ = Twice
    data = torch.ones(8, 2)
    training.run(twice, data, steps=3, batch_size=8, progress=False)
    training.run(once, data, steps=6, batch_size=8, progress=False)
    assert equal(twice.modules["network"], once.modules["network"])


class Watch(TorchDispatchMode):
    """Fails where a GPU would have to be waited for: a tensor's value is asked for."""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        waits = ("_local_scalar_dense", "nonzero", "is_nonzero", "equal.default")
        assert not any(word in str(function) for word in waits), f"{function} waits"
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize("make", [gan, consistent, distilled])
def test_a_step_asks_for_no_value(monkeypatch, make):
    learner, steps = make(), []
    learner.clip_norm = 1.0
    step, finish = learner.step, learner._finish_step

    def watched(batch):
        with Watch():
            steps.append(batch.step)
            return step(batch)

    def finished(size):
        with Watch():
            finish(size)

    monkeypatch.setattr(learner, "step", watched)
    monkeypatch.setattr(learner, "_finish_step", finished)
    trained(learner, 6)
    assert steps == list(range(6))
    with Watch(), pytest.raises(AssertionError, match="waits"):
        torch.ones(1).item()


# --- averages of weights --------------------------------------------------------------------------


def test_the_average_has_its_half_life():
    """Weights jump from 0 to 1 after the ramp: half the way one half-life later."""
    batch, half_life, before = 50, 1000, 40_000  # 5 % of 40,000 exceed the half-life
    network = nn.Linear(1, 1, bias=False)
    average = copy.deepcopy(network)
    values = []
    for i in range((before + 3 * half_life) // batch):
        nn.init.constant_(network.weight, float(i * batch >= before))
        update_average(average, network, ema_decay(i * batch, batch, half_life))
        values.append(average.weight.item())
    after = values[before // batch :]
    expected = 1 - 0.5 ** (torch.arange(1, len(after) + 1) * batch / half_life)
    assert (torch.tensor(after) - expected).abs().max() < 1e-5
    assert abs(after[half_life // batch - 1] - 0.5) < 1e-5


def test_the_average_of_a_run_is_the_weighted_sum_of_its_weights():
    """Σ weights_i (1 − β_i) Π_{j>i} β_j with β from the ramp; buffers are copied."""
    history = []

    class Watched(Fit):
        def step(self, batch):
            history.append(copy.deepcopy(self.modules["network"].state_dict()))
            return super().step(batch)

    network = nn.Sequential(nn.Linear(2, 8), nn.BatchNorm1d(8), nn.Linear(8, 1))
    learner = fit(averages={"network": 40}, module=network)
    learner.__class__ = Watched
    trained(learner, 30)
    after = history[1:] + [network.state_dict()]
    decays = [ema_decay(32 * i, 32, 40) for i in range(30)]
    assert decays[0] == 0 and 0 < decays[1] < decays[5]
    assert decays[-1] == pytest.approx(0.5 ** (32 / 40))
    for name, value in learner.averages["network"].state_dict().items():
        if "running" in name or "batches" in name:
            assert torch.equal(value, after[-1][name])
            continue
        expected = torch.zeros_like(value, dtype=torch.float64)
        for beta, weights in zip(decays, after):
            expected = beta * expected + (1 - beta) * weights[name].double()
        assert (value - expected).abs().max() < 1e-6, name


def test_a_run_averages_from_the_weights_that_it_starts_from():
    """Not from those that the constructor saw: they may have been loaded since."""
    learner, seen = consistent(), []
    nn.init.ones_(learner.modules["network"][0].weight)
    learner.averages["network"].register_forward_hook(lambda m, *_: seen.append(m[0].weight.mean()))
    trained(learner, 1)
    assert seen == [1]


def test_ema_ramp_follows_edm():
    assert ema_decay(0, 512, 500_000) == 0
    assert ema_decay(1_000_000, 512, 500_000) == pytest.approx(0.5 ** (512 / 50_000))  # 5 %
    assert ema_decay(50_000_000, 512, 500_000) == pytest.approx(0.5 ** (512 / 500_000))


def test_learning_rates_depend_on_the_step_only():
    assert rate_factor(0, warmup=10) == pytest.approx(0.1)
    assert rate_factor(9, warmup=10) == rate_factor(99, warmup=10) == 1
    for decay in ("linear", "cosine"):
        factors = [rate_factor(step, decay=decay, steps=100) for step in (0, 50, 100)]
        assert factors == pytest.approx([1, 0.5, 0], abs=1e-12)
    assert rate_factor(25, decay="linear", steps=100) == pytest.approx(0.75)
    assert rate_factor(25, decay="cosine", steps=100) == pytest.approx(0.5 + 0.5 * 0.5**0.5)


# --- what is refused ------------------------------------------------------------------------------

NET = perceptron(2, 2)
ADAM = torch.optim.Adam(NET.parameters(), 1e-3)


def test_a_learner_without_a_step_or_outside_of_a_run_says_so():
    learner = Learner({"a": NET}, {"a": ADAM})
    with pytest.raises(NotImplementedError, match=r"Learner must define step\(batch\)"):
        training.run(learner, torch.zeros(8, 2), steps=1, batch_size=8, progress=False)
    with pytest.raises(RuntimeError, match="inside of training.run"):
        learner.update("a", torch.zeros((), requires_grad=True))
