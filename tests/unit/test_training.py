import errno
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import psutil
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import nn
from torch.utils.tensorboard import SummaryWriter
from training_run import loss, run, small

from fewstep import _files, checkpoints, data, losses, preconditioning, toys, training
from fewstep.hooks import Every
from fewstep.networks import UNet

SCRIPT = Path(__file__).with_name("training_run.py")
ENVIRONMENT = {
    **os.environ,
    "OMP_NUM_THREADS": "1",
    "FEWSTEP_SCALE": "cpu",
    "PYTHONPATH": os.pathsep.join(
        [str(Path(training.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    ),
}


@pytest.fixture(autouse=True)
def on_the_cpu(monkeypatch):
    monkeypatch.setenv("FEWSTEP_SCALE", "smoke")


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as in the processes that tests start: the same order of additions
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def digits():
    return data.digits()


def short(x, steps=8, denoiser=None, by=loss, **changes):
    options = dict(steps=steps, batch_size=32, learning_rate=1e-3, progress=False)
    return training.train(denoiser or small(), x, by, **{**options, **changes})


def equal(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


# --- resume ---------------------------------------------------------------------------------------


def killed(command, checkpoint, out):
    """Start it, and SIGKILL it and its children some time after the first checkpoint."""
    process = subprocess.Popen(command, env=ENVIRONMENT)
    while not checkpoint.exists():
        assert process.poll() is None, "the run ended before it could be killed"
        time.sleep(0.005)
    time.sleep(random.uniform(0, 0.4))
    workers = psutil.Process(process.pid).children(recursive=True)  # in sessions of their own
    for worker in workers:
        worker.kill()
    process.kill()
    psutil.wait_procs(workers, timeout=10)
    assert process.wait() == -signal.SIGKILL and not out.exists(), "ended before it was killed"


def script(out, steps, *options, processes=1):
    """The command that runs ``training_run`` in this many processes."""
    command = [sys.executable]
    if processes > 1:
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            port = s.getsockname()[1]
        command += ["-m", "torch.distributed.run", "--nproc-per-node", str(processes)]
        command += ["--master-addr", "127.0.0.1", "--master-port", str(port)]
    return [*command, str(SCRIPT), str(out), str(steps), *map(str, options)]


@pytest.mark.parametrize("kind", ["digits", "gan"])
def test_a_killed_run_resumes_to_identical_weights(tmp_path, kind):
    """SIGKILL at a random point, then to the end: the same bits as a run that nobody disturbed."""
    steps, checkpoint, out = 150, tmp_path / "run.safetensors", tmp_path / "resumed.pt"
    options = ["--kind", kind, "--dropout", 0.2, "--pause", 0.004, "--every", 3]
    command = script(out, steps, *options, "--checkpoint", checkpoint)
    killed(command, checkpoint, out)
    assert 0 < checkpoints.read_metadata(checkpoint)["step"] < steps
    assert subprocess.run(command, env=ENVIRONMENT).returncode == 0
    resumed, straight = torch.load(out), run(tmp_path / "straight.pt", steps, kind, dropout=0.2)
    for part in ["ema", "network"] if kind == "digits" else ["ema", "generator", "critic"]:
        assert equal(straight[part], resumed[part])
    assert equal(straight["losses"], resumed["losses"])
    assert all(len(values) == steps for values in resumed["losses"].values())
    if kind == "digits":
        assert resumed["network"]["calls"] == steps


def test_a_gan_killed_in_two_processes_resumes_exactly(tmp_path):
    """Two networks, two processes, each with a dropout of its own, and a buffer."""
    checkpoint, out = tmp_path / "run.safetensors", tmp_path / "resumed.pt"
    options = ["--kind", "gan", "--dropout", 0.2, "--every", 3]
    paused = [*options, "--pause", 0.004, "--checkpoint", checkpoint]
    killed(script(out, 150, *paused, processes=2), checkpoint, out)
    for command in (
        script(out, 150, *paused, processes=2),
        script(tmp_path / "straight.pt", 150, *options, processes=2),
    ):
        result = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True)
        assert result.returncode == 0, result.stderr
    resumed, straight = torch.load(out), torch.load(tmp_path / "straight.pt")
    assert straight["processes"] == 2
    for part in ("ema", "generator", "critic", "losses"):
        assert equal(straight[part], resumed[part])


@pytest.mark.parametrize("kind", ["edm", "gan"])
def test_two_processes_give_the_losses_of_one(tmp_path, kind):
    two = script(tmp_path / "two.pt", 40, "--kind", kind, processes=2)
    result = subprocess.run(two, env=ENVIRONMENT, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr
    a, b = run(tmp_path / "one.pt", 40, kind), torch.load(tmp_path / "two.pt")
    assert (a["processes"], b["processes"]) == (1, 2)
    for name in a["losses"]:
        assert ((a["losses"][name] - b["losses"][name]) / a["losses"][name]).abs().max() < 1e-5
    for name in a["ema"]:
        assert (a["ema"][name].double() - b["ema"][name]).abs().max() < 1e-5


def test_every_process_has_a_dropout_of_its_own():
    from fewstep.randomness import seed_modules

    drawn = []
    with torch.random.fork_rng():
        for rank, step in ((0, 5), (1, 5), (0, 6), (0, 5)):
            seed_modules(0, step, rank, torch.device("cpu"))
            drawn.append(torch.rand(8))
    assert torch.equal(drawn[0], drawn[3])
    assert not torch.equal(drawn[0], drawn[1]) and not torch.equal(drawn[0], drawn[2])


@pytest.mark.parametrize("precision", ["no", "bf16", "fp16"])
def test_resume_is_exact_in_every_precision(digits, tmp_path, precision):
    path = tmp_path / "run.safetensors"
    options = dict(mixed_precision=precision, ema_half_life=12.8)
    straight = short(digits, **options)
    short(digits, steps=5, checkpoint=path, **options)
    resumed = short(digits, checkpoint=path, **options)
    assert equal(straight.denoiser.state_dict(), resumed.denoiser.state_dict())
    assert equal(straight.ema.state_dict(), resumed.ema.state_dict())
    assert torch.equal(straight.losses, resumed.losses) and len(resumed.losses) == 8
    again = short(digits, checkpoint=path, **options)  # nothing left to do
    assert equal(resumed.denoiser.state_dict(), again.denoiser.state_dict())
    assert len(again.losses) == 8
    assert all(p.dtype == torch.float32 for p in resumed.ema.parameters())


def test_resume_restores_the_gradient_scaler(digits, tmp_path, monkeypatch):
    """Accelerate scales fp16 gradients on GPUs only; here the same scaler on the CPU, doubling
    every third step.
    """
    from accelerate import Accelerator

    plain = Accelerator.__init__

    def with_scaler(self, *args, **options):
        plain(self, *args, **options)
        self.scaler = torch.amp.GradScaler("cpu", init_scale=1024.0, growth_interval=3)

    monkeypatch.setattr(Accelerator, "__init__", with_scaler)
    path = tmp_path / "run.safetensors"
    options = dict(mixed_precision="fp16", ema_half_life=12.8, clip_norm=1.0, checkpoint=path)
    for steps in (5, 8):
        result = short(digits, steps=steps, **options)
    scaler = checkpoints.read_metadata(path)["scaler"]
    assert (scaler["scale"], scaler["_growth_tracker"]) == (4096, 2)
    monkeypatch.undo()
    plainly = short(digits, mixed_precision="fp16", ema_half_life=12.8, clip_norm=1.0)
    difference = result.losses - plainly.losses  # scaled gradients are scaled back before the clip
    assert difference.abs().max() < 1e-2 * plainly.losses.max()


# --- checkpoints ----------------------------------------------------------------------------------


def test_a_checkpoint_of_other_settings_is_refused(digits, tmp_path):
    path = tmp_path / "run.safetensors"
    short(digits, checkpoint=path)
    with pytest.raises(ValueError, match="other settings.*batch_size: 32 there, 64 here"):
        short(digits, checkpoint=path, batch_size=64, ema_half_life=12.8)
    with pytest.raises(ValueError, match="other settings.*data"):
        short(digits.subset(torch.arange(1796, -1, -1)), checkpoint=path)
    with pytest.raises(ValueError, match="other settings.*data.*with labels"):
        short(digits, checkpoint=path, labels=digits.labels)
    with pytest.raises(ValueError, match="steps = 5.*8 or more"):
        short(digits, checkpoint=path, steps=5, ema_half_life=12.8)
    for changes, message in [
        (dict(learning_rate=2e-3), r"optimizers.adam.group 0.lr: 0.001 there, 0.002 here"),
        (dict(clip_norm=1.0), "clip_norm: None there, 1.0 here"),
        (dict(ema_half_life=10), "half_lives.denoiser: 12.8 there, 10.0 here"),
        (dict(warmup=3), "schedule.warmup: 0 there, 3 here"),
        (dict(decay="linear"), "schedule.decay: 'none' there, 'linear' here"),
        (dict(seed=1), "seed: 0 there, 1 here"),
        (dict(mixed_precision="bf16"), "mixed_precision: 'no' there, 'bf16' here"),
        (dict(by=partial(loss, pause=0)), "learner.loss.function: "),
        (dict(denoiser=small(width=24)), "denoiser.first.out_channels: 16 there, 24 here"),
        (dict(denoiser=small(dropout=0.1)), "denoiser.dropout.p: 0.0 there, 0.1 here"),
        (dict(denoiser=nn.Sequential(small())), "denoiser.class"),
    ]:
        with pytest.raises(ValueError, match=f"other settings.*{message}"):
            short(digits, checkpoint=path, **changes)


def test_a_checkpoint_of_another_denoiser_or_loss_is_refused(digits, tmp_path):
    """Also where shapes agree: another preconditioning, another setting of the network, another
    bound number.
    """
    path = tmp_path / "run.safetensors"

    def denoiser(sigma_data=0.5, dropout=0.0):
        network = UNet(1, 8, (1,), 1, dropout=dropout)
        return preconditioning.Denoiser(network, preconditioning.edm(sigma_data))

    def lognormal(mean):
        return lambda u: losses.lognormal(u, mean=mean)

    def go(mean=-1.2, **settings):
        by = partial(losses.denoising, levels=lognormal(mean))
        return short(digits, steps=2, denoiser=denoiser(**settings), by=by, checkpoint=path)

    go()
    go()  # itself is accepted
    with pytest.raises(ValueError, match=r"preconditioning.*0.5 there, 0.7 here"):
        go(sigma_data=0.7)
    with pytest.raises(ValueError, match=r"dropout.*0.0 there, 0.1 here"):
        go(dropout=0.1)
    with pytest.raises(ValueError, match=r"loss.levels.mean: -1.2 there, -1 here"):
        go(mean=-1)


def test_what_cannot_be_described_is_refused_with_a_checkpoint(digits, tmp_path):
    stream = (i for i in range(9))
    by = lambda *inputs: loss(*inputs) * (1 + 0 * next(stream))
    short(digits, steps=2, by=by)
    with pytest.raises(ValueError, match=r"loss.stream = <generator.*without a checkpoint"):
        short(digits, steps=2, by=by, checkpoint=tmp_path / "run.safetensors")


def test_damaged_checkpoints_are_refused(digits, tmp_path):
    path = tmp_path / "run.safetensors"
    short(digits, checkpoint=path)
    whole = path.read_bytes()
    tensors, metadata = checkpoints.read(path, checkpoints.CHECKPOINT)

    def refused(message, changes=None, **others):
        new = {k: v for k, v in {**tensors, **(changes or {})}.items() if v is not None}
        meta = {k: v for k, v in {**metadata, **others}.items() if v != "gone"}
        checkpoints.write(path, new, checkpoints.CHECKPOINT, meta)
        with pytest.raises(ValueError, match=message) as caught:
            short(digits, checkpoint=path)
        assert str(path) in str(caught.value)

    for key in ("step", "seconds", "settings", "optimizers"):
        refused(f"damaged: {key} is None", **{key: "gone"})
        refused(rf"damaged: {key} is \[1\]", **{key: [1]})
    refused("damaged: step is True", step=True)
    refused("damaged: scaler is 3", scaler=3)
    refused(
        r"losses.loss is torch.float32 \(7,\): must be .*\(8,\)", {"losses.loss": torch.ones(7)}
    )
    refused("losses.loss is torch.int64", {"losses.loss": torch.ones(8).long()})
    refused("losses", {"losses.loss": None})
    refused("step", step=-1)
    weight, moment = "modules.denoiser.first.weight", "optimizers.adam.0.exp_avg"
    refused("first.weight: int64 in the file", {weight: tensors[weight].long()})
    refused("first.weight: not in the file", {weight: None})
    refused("averages.*first.weight: not in the file", {f"averages.denoiser{weight[16:]}": None})
    refused(r"0.exp_avg: \['float32', \[3\]\] in the file", {moment: torch.ones(3)})
    refused("0.exp_avg: absent in the file", {moment: None})
    gone = {name: None for name in tensors if name.startswith("optimizers.adam.0.")}
    refused("state of 3 parameters, written for 4", gone)
    refused("belongs to nothing", {"other": torch.ones(1)})
    path.write_bytes(whole[:-1])
    with pytest.raises(ValueError, match="cut short"):
        short(digits, checkpoint=path)
    path.write_bytes(whole)
    short(digits, checkpoint=path)


def test_without_room_on_the_disk_nothing_is_touched(digits, tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(_files.shutil, "disk_usage", lambda p: usage._replace(free=1000))
    calls = []
    with pytest.raises(OSError, match="free are 1,000") as caught:
        short(digits, by=lambda *inputs: calls.append(1), checkpoint=tmp_path / "new.safetensors")
    assert caught.value.errno == errno.ENOSPC
    assert calls == [] and list(tmp_path.iterdir()) == []  # known before the first step


def test_a_disk_that_is_full_at_a_checkpoint_leaves_the_one_before(digits, tmp_path, monkeypatch):
    path, usage = tmp_path / "run.safetensors", shutil.disk_usage(tmp_path)

    def fill(learner, step):
        if step == 5:
            monkeypatch.setattr(_files.shutil, "disk_usage", lambda p: usage._replace(free=1000))

    options = dict(steps=12, checkpoint=path, checkpoint_every=4)
    with pytest.raises(OSError, match=r"needs .* free are 1,000.*: '.*run.safetensors'") as caught:
        short(digits, hooks=[Every(5, fill)], **options)
    assert caught.value.errno == errno.ENOSPC
    assert checkpoints.read_metadata(path)["step"] == 4 and list(tmp_path.iterdir()) == [path]
    monkeypatch.undo()
    monkeypatch.setenv("FEWSTEP_SCALE", "smoke")
    resumed, straight = short(digits, **options), short(digits, steps=12)
    assert equal(resumed.ema.state_dict(), straight.ema.state_dict())


# --- the loop -------------------------------------------------------------------------------------


def test_training_lowers_the_loss_and_leaves_the_random_state_alone(digits):
    torch.manual_seed(7)
    before = torch.random.get_rng_state()
    result = short(digits, steps=150, learning_rate=5e-3)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert result.losses[-20:].mean() < 0.3 * result.losses[:20].mean()
    assert result.losses.shape == (150,) and result.seconds > 0
    assert not result.denoiser.training and not result.ema.training


def test_a_tensor_of_points_can_be_trained_on():
    class Denoiser(nn.Module):
        def __init__(self):
            super().__init__()
            self.network = nn.Linear(2, 2)

        def forward(self, x, sigma, labels=None):
            return self.network(x)

    def points_loss(denoiser, x0, u, noise, labels=None):
        assert x0.shape == noise.shape == (64, 2) and u.shape == (64,) and labels is None
        return (denoiser(x0 + noise, u) - x0).square().mean(1)

    result = training.train(
        Denoiser(), toys.moons(500), points_loss, steps=5, batch_size=64, learning_rate=1e-2
    )
    assert torch.isfinite(result.losses).all()


def test_bytes_give_the_run_of_floats(digits):
    x = ((digits.x + 1) * 127.5).round().to(torch.uint8)
    as_bytes = short(data.Images(x, digits.labels, digits.classes, "bytes"))
    as_floats = short(x.float() / 127.5 - 1)
    assert (as_bytes.losses - as_floats.losses).abs().max() < 1e-4


def test_mixed_precision_stays_inside_the_network(digits):
    seen = []

    def watched(denoiser, x0, u, noise, labels=None):
        D = denoiser(x0, torch.ones(len(x0)), labels)
        seen.append((D.dtype, x0.dtype))
        return (D - x0).square().flatten(1).mean(1)

    precisions = ("no", "bf16", "no")
    results = [short(digits, steps=2, by=watched, mixed_precision=p) for p in precisions]
    assert set(seen) == {(torch.float32, torch.float32)}
    assert torch.equal(results[0].losses, results[2].losses)
    assert not torch.equal(results[0].losses, results[1].losses)
    for network in (results[1].denoiser, results[1].ema):
        hooked = []
        network.first.register_forward_hook(lambda m, i, o: hooked.append(o.dtype))  # noqa: B023
        network(torch.zeros(1, 1, 8, 8), torch.ones(1))
        assert hooked == [torch.float32]  # autocast is off again after training


def test_autocast_is_off_also_after_an_error(digits):
    denoiser = small()

    def breaks(*inputs):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        short(digits, denoiser=denoiser, by=breaks, mixed_precision="bf16")
    hooked = []
    denoiser.first.register_forward_hook(lambda m, i, o: hooked.append(o.dtype))
    denoiser(torch.zeros(1, 1, 8, 8), torch.ones(1))
    assert hooked == [torch.float32]


def test_labels_are_dropped_with_their_probability(digits):
    """-1 for a tenth, another tenth in each step; the others stay."""
    seen = []

    def watched(denoiser, x0, u, noise, labels):
        seen.append(labels.clone())
        return loss(denoiser, x0, u, noise)

    options = dict(steps=40, batch_size=128, by=watched, labels=digits.labels)
    short(digits, **options)
    whole, seen = torch.stack(seen), []
    short(digits, drop_labels=0.1, **options)
    dropped = torch.stack(seen)
    gone = dropped == -1
    assert whole.min() == 0 and torch.equal(dropped[~gone], whole[~gone])
    assert abs(gone.float().mean() - 0.1) < 5 * (0.1 * 0.9 / gone.numel()) ** 0.5
    assert not torch.equal(gone[0], gone[1])


def test_a_loss_that_is_not_finite_stops_the_run_and_keeps_the_checkpoint(digits, tmp_path):
    path, calls = tmp_path / "run.safetensors", []

    def breaks(denoiser, x0, *rest):
        calls.append(1)
        return loss(denoiser, x0, *rest) * (float("nan") if len(calls) == 7 else 1)

    with pytest.raises(FloatingPointError, match="'loss' of step 6 is nan") as caught:
        short(digits, steps=12, by=breaks, checkpoint=path, checkpoint_every=4)
    assert checkpoints.read_metadata(path)["step"] == 4
    assert f"the last good checkpoint, of 4 steps, is {path}" in str(caught.value)


def test_a_loss_that_is_not_finite_is_told_with_the_noise_levels_of_its_batch(digits):
    seen = []

    def breaks(denoiser, x0, u, noise, labels=None):
        assert isinstance(denoiser, nn.Module)
        sigma = (1.2 * torch.special.ndtri(u) - 1.2).exp()
        seen.append((x0, sigma))
        D = denoiser(x0 + sigma.view(-1, 1, 1, 1) * noise, sigma=sigma)
        return (D - x0).square().flatten(1).mean(1) * (float("inf") if len(seen) == 7 else 1)

    denoiser = small()
    with pytest.raises(FloatingPointError, match="'loss' of step 6 is inf") as caught:
        short(digits, denoiser=denoiser, by=breaks, steps=12)
    assert len(seen) == 13 and all(torch.equal(a, b) for a, b in zip(seen[6], seen[12]))
    assert denoiser.calls == 12 and not denoiser._forward_pre_hooks
    sigma = seen[6][1]
    assert f"σ from {float(sigma.min()):.3g} to {float(sigma.max()):.3g}" in str(caught.value)
    assert "no checkpoint was written" in str(caught.value)


def test_weights_that_are_not_finite_are_never_saved(digits, tmp_path):
    """The loss of a step is from before its update: the old checkpoint must outlive that."""
    path = tmp_path / "run.safetensors"

    def spoil(learner, step):
        with torch.no_grad():
            learner.modules["denoiser"].last.bias.fill_(float("inf"))

    hooks = [Every(8, spoil)]
    with pytest.raises(FloatingPointError, match="last.bias is no longer finite.* of 4 steps") as e:
        short(digits, steps=12, hooks=hooks, checkpoint=path, checkpoint_every=4)
    assert "after step 7" in str(e.value) and checkpoints.read_metadata(path)["step"] == 4


@pytest.mark.parametrize("precision", ["no", "bf16"])
def test_missing_memory_is_told_with_what_to_lower(digits, tmp_path, precision):
    calls, path = [], tmp_path / "run.safetensors"

    def hungry(denoiser, x0, *rest):
        calls.append(1)
        if len(calls) == 7:
            torch.empty(2**60)
        return loss(denoiser, x0, *rest)

    options = dict(by=hungry, checkpoint=path, checkpoint_every=4, mixed_precision=precision)
    with pytest.raises(MemoryError, match="out of memory on cpu in step 6, with 32 samples") as e:
        short(digits, **options)
    for words in ("(1, 8, 8)", "training.batch_size", "network.channels", "of 4 steps"):
        assert words in str(e.value)
    assert ("bf16" in str(e.value)) == (precision == "no")
    weights = sum(p.numel() for p in small().parameters())
    assert f"{weights:,} weights" in str(e.value)


def test_the_finite_check_stands_every_50_steps(digits):
    calls = []

    def breaks(denoiser, x0, *rest):
        calls.append(1)
        return loss(denoiser, x0, *rest) * (float("inf") if len(calls) == 3 else 1)

    with pytest.raises(FloatingPointError, match="of step 2 is inf"):
        short(digits, steps=120, by=breaks)
    assert len(calls) == 51  # once more for its noise levels


# --- hooks and logs -------------------------------------------------------------------------------


def disturbing(learner, step):
    """All that a hook may do."""
    assert not torch.is_grad_enabled()
    assert not any(m.training for part in learner.all_modules() for m in part.modules())
    torch.manual_seed(0)
    torch.randn(5)
    x = learner.averages["denoiser"](torch.randn(4, 1, 8, 8), torch.ones(4))
    learner.modules["denoiser"].train()
    return {"level": step / 2, "worst": x.abs().max(), "samples": x}


def test_hooks_change_nothing_and_come_when_due(digits):
    steps = []
    hooks = [Every(3, disturbing), Every(4, lambda learner, step: steps.append(step))]
    plain = short(digits, steps=10, denoiser=small(dropout=0.3))
    hooked = short(digits, steps=10, denoiser=small(dropout=0.3), hooks=hooks)
    assert steps == [4, 8]
    assert torch.equal(plain.losses, hooked.losses)
    assert equal(plain.denoiser.state_dict(), hooked.denoiser.state_dict())
    assert equal(plain.ema.state_dict(), hooked.ema.state_dict())


def test_hooks_do_not_hear_of_each_other(digits):
    drawn = []
    draw = Every(4, lambda learner, step: drawn.append(torch.rand(1)))
    short(digits, hooks=[draw])
    short(digits, hooks=[Every(4, disturbing), draw])
    assert drawn[:2] == drawn[2:] and drawn[0] != drawn[1]


def lines(folder):
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def test_the_log_has_losses_and_what_hooks_find(digits, tmp_path):
    hooks = [Every(30, disturbing)]
    result = short(digits, steps=110, log_dir=tmp_path, hooks=hooks)
    found = lines(tmp_path)
    assert [line["step"] for line in found] == [30, 50, 60, 90, 100, 110]
    starts = [0, 30, 50, 60, 90, 100]
    for start, line in zip(starts, found):
        mean = float(result.losses[start : line["step"]].mean())
        assert line["loss"] == pytest.approx(mean, rel=1e-5) and line["seconds"] > 0
    assert found[0]["level"] == 15 and "level" not in found[1] and "samples" not in found[0]
    board = EventAccumulator(str(tmp_path)).Reload()
    logged = [(event.step, event.value) for event in board.Scalars("loss")]
    assert logged == [(x["step"], pytest.approx(x["loss"], rel=1e-5)) for x in found]
    assert [event.step for event in board.Scalars("level")] == [30, 60, 90]
    assert len(board.Images("samples")) == 3 and board.Images("samples")[0].width == 4 * 8


def test_the_log_of_a_resumed_run_is_that_of_a_straight_one(digits, tmp_path):
    """Also where it was killed after lines that no checkpoint holds, the last one torn."""

    def go(folder, steps=110, **options):
        hooks = [Every(20, disturbing)]
        options = dict(log_dir=folder, hooks=hooks, ema_half_life=64, **options)
        short(digits, steps, checkpoint=folder / "run.safetensors", **options)
        return [{k: v for k, v in line.items() if k != "seconds"} for line in lines(folder)]

    straight = go(tmp_path / "a", checkpoint_every=1000)
    go(tmp_path / "b", 50, checkpoint_every=1000)
    beyond = '{"step": 60, "seconds": 1, "loss": 7.0}\n{"step": 8'
    with open(tmp_path / "b" / "log.jsonl", "a") as file:
        file.write(beyond)
    with SummaryWriter(str(tmp_path / "b")) as board:
        board.add_scalar("loss", 7.0, 60)
    assert go(tmp_path / "b") == straight
    board = EventAccumulator(str(tmp_path / "b")).Reload()
    assert [event.step for event in board.Scalars("loss")] == [x["step"] for x in straight]
    assert go(tmp_path / "b") == straight  # nothing left to do, nothing lost


# --- bad arguments --------------------------------------------------------------------------------


def test_a_bad_call_makes_no_folder(digits, tmp_path):
    places = dict(checkpoint=tmp_path / "a" / "run.safetensors", log_dir=tmp_path / "b" / "log")
    for bad in (dict(seed=-1), dict(hooks=3), dict(mixed_precision="fp8"), dict(log_dir=3)):
        with pytest.raises(ValueError, match=next(iter(bad))):
            short(digits, **places | bad)
        assert list(tmp_path.iterdir()) == []


def test_a_folder_is_no_checkpoint(digits, tmp_path):
    (tmp_path / "run.safetensors").mkdir()
    with pytest.raises(ValueError, match="checkpoint = .*a folder stands where"):
        short(digits, checkpoint=tmp_path / "run.safetensors")
