import errno
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from training_run import loss, run, small

from fewstep import _files, checkpoints, data, toys, training

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


def short(digits, steps=8, **changes):
    options = dict(steps=steps, batch_size=32, learning_rate=1e-3, progress=False)
    return training.train(small(), digits, loss, **{**options, **changes})


def equal(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


# --- resume ---------------------------------------------------------------------------------------


def test_a_killed_run_resumes_to_identical_weights(tmp_path):
    """SIGKILL at a random point, then to the end: the same bits as a run that nobody disturbed."""
    steps, checkpoint, out = 150, tmp_path / "run.safetensors", tmp_path / "resumed.pt"
    command = [
        sys.executable,
        str(SCRIPT),
        str(out),
        str(steps),
        "--dropout",
        "0.2",
        "--pause",
        "0.004",
        "--every",
        "3",
        "--checkpoint",
        str(checkpoint),
    ]
    process = subprocess.Popen(command, env=ENVIRONMENT)
    while not checkpoint.exists():
        assert process.poll() is None, "the run ended before it could be killed"
        time.sleep(0.005)
    time.sleep(random.uniform(0, 0.4))
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL and not out.exists(), (
        "the run ended before it could be killed"
    )
    assert 0 < checkpoints.read_metadata(checkpoint)["step"] < steps
    assert subprocess.run(command, env=ENVIRONMENT).returncode == 0
    resumed, straight = torch.load(out), run(tmp_path / "straight.pt", steps, dropout=0.2)
    for part in ("network", "ema"):
        assert equal(straight[part], resumed[part])
    assert torch.equal(straight["losses"], resumed["losses"]) and len(resumed["losses"]) == steps
    assert resumed["network"]["calls"] == steps


@pytest.mark.parametrize("precision", ["no", "bf16", "fp16"])
def test_resume_is_exact_in_every_precision(digits, tmp_path, precision):
    path = tmp_path / "run.safetensors"
    straight = short(digits, mixed_precision=precision)
    short(digits, steps=5, mixed_precision=precision, ema_half_life=12.8, checkpoint=path)
    resumed = short(digits, mixed_precision=precision, ema_half_life=12.8, checkpoint=path)
    assert equal(straight.denoiser.state_dict(), resumed.denoiser.state_dict())
    assert equal(straight.ema.state_dict(), resumed.ema.state_dict())
    assert torch.equal(straight.losses, resumed.losses) and len(resumed.losses) == 8
    again = short(
        digits, mixed_precision=precision, ema_half_life=12.8, checkpoint=path
    )  # nothing left to do
    assert (
        equal(resumed.denoiser.state_dict(), again.denoiser.state_dict()) and len(again.losses) == 8
    )
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
    for steps in (5, 8):
        short(digits, steps=steps, mixed_precision="fp16", ema_half_life=12.8, checkpoint=path)
    scaler = checkpoints.read_metadata(path)["scaler"]
    assert (scaler["scale"], scaler["_growth_tracker"]) == (4096, 2)


def test_two_processes_give_the_losses_of_one(tmp_path):
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    launch = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--nproc-per-node",
        "2",
        "--master-addr",
        "127.0.0.1",
        "--master-port",
        str(port),
    ]
    two = subprocess.run(
        [
            *launch,
            str(SCRIPT),
            str(tmp_path / "two.pt"),
            "40",
            "--edm",
            "--checkpoint",
            str(tmp_path / "two.safetensors"),
        ],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert two.returncode == 0, two.stderr
    a, b = run(tmp_path / "one.pt", 40, edm=True), torch.load(tmp_path / "two.pt")
    assert (a["processes"], b["processes"]) == (1, 2)
    assert ((a["losses"] - b["losses"]) / a["losses"]).abs().max() < 1e-5
    for name in a["ema"]:
        assert (a["ema"][name].double() - b["ema"][name]).abs().max() < 1e-5


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


def test_bad_checkpoint_files_are_refused(digits, tmp_path):
    path = tmp_path / "run.safetensors"
    short(digits, checkpoint=path)
    whole = path.read_bytes()

    def refused(message):
        with pytest.raises(ValueError, match=message) as caught:
            short(digits, checkpoint=path)
        assert str(path) in str(caught.value)

    for length in (0, 7, 200, len(whole) - 1):
        path.write_bytes(whole[:length])
        refused("cut short or not a safetensors file")
    path.write_bytes(b"\x80\x04\x95" + bytes(200))  # a pickle's first bytes
    refused("cut short or not a safetensors file")
    save_file({"a": torch.zeros(1)}, path)
    refused("format None.*fewstep-checkpoint-1")
    training.save_weights(path, small())
    refused("format 'fewstep-weights-1'")
    path.write_bytes(whole)
    wide = nn.Sequential(small(width=24))
    with pytest.raises(ValueError, match=r"another network.*0.first.weight: not in the file"):
        training.train(
            wide,
            digits,
            loss,
            steps=8,
            batch_size=32,
            learning_rate=1e-3,
            progress=False,
            checkpoint=path,
        )
    with pytest.raises(
        ValueError,
        match=r"first.weight: \(16, 1, 3, 3\) in the file, \(24, 1, 3, 3\) in this network",
    ):
        training.train(
            small(width=24),
            digits,
            loss,
            steps=8,
            batch_size=32,
            learning_rate=1e-3,
            progress=False,
            checkpoint=path,
        )


def test_weights_go_to_a_file_and_back(tmp_path):
    path, network = tmp_path / "w.safetensors", small(seed=1)
    training.save_weights(path, network, {"from": "a test", "n": 3})
    other = small(seed=2)
    assert training.load_weights(path, other) is other and equal(
        network.state_dict(), other.state_dict()
    )
    assert checkpoints.read_metadata(path) == {"from": "a test", "n": 3}
    assert load_file(path)["first.weight"].shape == (16, 1, 3, 3)
    with pytest.raises(ValueError, match="another network"):
        training.load_weights(path, small(width=8))
    with pytest.raises(FileNotFoundError, match="no such file"):
        training.load_weights(tmp_path / "none.safetensors", other)
    tied = nn.ModuleList([nn.Linear(3, 3), nn.Linear(3, 3)])
    tied[1].weight = tied[0].weight
    training.save_weights(path, tied)


def test_a_write_that_fails_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "w.safetensors"
    training.save_weights(path, small(seed=1))
    old = path.read_bytes()

    def fails_half_way(tensors, file, metadata):
        Path(file).write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr("safetensors.torch.save_file", fails_half_way)
    with pytest.raises(KeyboardInterrupt):
        training.save_weights(path, small(seed=2))
    monkeypatch.undo()
    monkeypatch.setattr(os, "replace", lambda *a: (_ for _ in ()).throw(OSError("killed here")))
    with pytest.raises(OSError, match="killed here"):
        training.save_weights(path, small(seed=2))
    assert path.read_bytes() == old and [p.name for p in tmp_path.iterdir()] == ["w.safetensors"]


def test_without_room_on_the_disk_nothing_is_touched(digits, tmp_path, monkeypatch):
    path = tmp_path / "run.safetensors"
    short(digits, checkpoint=path)
    old = path.read_bytes()
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(_files.shutil, "disk_usage", lambda p: usage._replace(free=1000))
    with pytest.raises(OSError, match="needs .* bytes, free are 1,000") as caught:
        training.save_weights(path, small())
    assert caught.value.errno == errno.ENOSPC
    calls = []
    with pytest.raises(OSError, match="free are 1,000"):
        training.train(
            small(),
            digits,
            lambda *inputs: calls.append(1),
            steps=8,
            batch_size=32,
            learning_rate=1e-3,
            checkpoint=tmp_path / "new.safetensors",
        )
    assert calls == []  # known before the first step
    assert path.read_bytes() == old and [p.name for p in tmp_path.iterdir()] == ["run.safetensors"]


def test_a_disk_that_fills_up_during_the_write_leaves_the_old_file(tmp_path):
    """The check passed, but the system refuses to write on after 1000 bytes."""
    resource = pytest.importorskip("resource", reason="no limits on file sizes here")
    path = tmp_path / "w.safetensors"
    training.save_weights(path, small(seed=1))
    old, limits = path.read_bytes(), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(OSError, match="could not be written.*left as it was"):
            training.save_weights(path, small(seed=2))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert (
        len(old) > 1000
        and path.read_bytes() == old
        and [p.name for p in tmp_path.iterdir()] == ["w.safetensors"]
    )


# --- average of the weights, rates, draws ---------------------------------------------------------


def test_the_average_has_its_half_life():
    """A parameter that jumps from 0 to 1 after the ramp: the average has covered half the way one
    half-life later.
    """
    from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

    batch, half_life, before = (
        50,
        1000,
        40_000,
    )  # 5 % of 40,000 exceeds the half-life: the ramp is over
    network = nn.Linear(1, 1, bias=False)
    average = AveragedModel(network)
    values = []
    for i in range((before + 3 * half_life) // batch):
        nn.init.constant_(network.weight, float(i * batch >= before))
        average.multi_avg_fn = get_ema_multi_avg_fn(training.ema_decay(i * batch, batch, half_life))
        average.update_parameters(network)
        values.append(average.module.weight.item())
    after = values[before // batch :]
    expected = 1 - 0.5 ** (torch.arange(1, len(after) + 1) * batch / half_life)
    assert (torch.tensor(after) - expected).abs().max() < 1e-5
    assert abs(after[half_life // batch - 1] - 0.5) < 1e-5


def test_the_average_of_a_run_is_the_weighted_sum_of_its_weights(digits):
    """Closed form over a short run: sum of weights_i (1 − β_i) Π_{j>i} β_j, with β from the ramp;
    buffers are copied.
    """
    history = []

    def watched(denoiser, *inputs):
        history.append({k: v.clone() for k, v in denoiser.state_dict().items()})
        return loss(denoiser, *inputs)

    result = training.train(
        small(),
        digits,
        watched,
        steps=30,
        batch_size=32,
        learning_rate=1e-2,
        ema_half_life=40,
        progress=False,
    )
    after = history[1:] + [result.denoiser.state_dict()]
    decays = [training.ema_decay(32 * i, 32, 40) for i in range(30)]
    assert (
        decays[0] == 0
        and 0 < decays[1] < decays[5]
        and decays[-1] == pytest.approx(0.5 ** (32 / 40))
    )
    for name, value in result.ema.state_dict().items():
        if value.is_floating_point():
            expected = torch.zeros_like(value, dtype=torch.float64)
            for beta, weights in zip(decays, after):
                expected = beta * expected + (1 - beta) * weights[name].double()
            assert (value - expected).abs().max() < 1e-6, name
        else:
            assert torch.equal(value, after[-1][name])
    assert not result.ema.training and not result.denoiser.training


def test_ema_ramp_follows_edm():
    assert training.ema_decay(0, 512, 500_000) == 0
    assert training.ema_decay(1_000_000, 512, 500_000) == pytest.approx(
        0.5 ** (512 / 50_000)
    )  # 5 % of 1,000,000
    assert training.ema_decay(50_000_000, 512, 500_000) == pytest.approx(0.5 ** (512 / 500_000))


def test_learning_rate_depends_on_the_step_only():
    assert training.learning_rate_at(0, 1e-3, warmup=10) == pytest.approx(1e-4)
    assert (
        training.learning_rate_at(9, 1e-3, warmup=10)
        == training.learning_rate_at(5000, 1e-3, warmup=10)
        == 1e-3
    )
    assert training.learning_rate_at(50, 1e-3, cosine=100) == pytest.approx(5e-4)
    assert training.learning_rate_at(100, 1e-3, cosine=100) == pytest.approx(0, abs=1e-12)


def test_every_pass_shows_every_sample_once():
    n, batch = 103, 10
    rows = torch.cat([training.batch_rows(n, batch, i, seed=5) for i in range(31)])
    for epoch in range(3):
        assert rows[epoch * n : (epoch + 1) * n].sort().values.tolist() == list(range(n))
    assert not torch.equal(rows[:n], rows[n : 2 * n])
    assert torch.equal(training.batch_rows(n, batch, 17, 5), rows[170:180])
    assert len(training.batch_rows(3, 10, 4, 0)) == 10  # a batch larger than the set


def test_draws_are_uniform_normal_and_repeatable():
    x = torch.zeros(1000, 1, 8, 8)
    us, noises = [], []
    for i in range(200):
        _, u, noise = training.draws(x, 100, i, seed=0)
        us.append(u)
        noises.append(noise)
    u, noise = torch.cat(us), torch.cat(noises)
    assert u.dtype == noise.dtype == torch.float32 and noise.shape == (20_000, 1, 8, 8)
    assert (u.double() * 2**24 % 2 == 1).all()  # odd multiples of 2⁻²⁴: never 0, never 1
    assert torch.isfinite(torch.special.ndtri(torch.tensor([2.0**-24, 1 - 2.0**-24]))).all()
    levels = torch.linspace(0, 1, 21)[1:]
    assert ((u[:, None] <= levels).float().mean(0) - levels).abs().max() < 0.01
    assert abs(noise.mean()) < 3e-3 and abs(noise.std() - 1) < 3e-3
    assert abs((noise[:-1] * noise[1:]).mean()) < 3e-3  # batches do not repeat
    assert torch.equal(training.draws(x, 100, 3, 0)[2], noises[3])
    assert not torch.equal(training.draws(x, 100, 3, 1)[2], noises[3])


# --- the loop -------------------------------------------------------------------------------------


def test_training_lowers_the_loss_and_leaves_the_random_state_alone(digits):
    torch.manual_seed(7)
    before = torch.random.get_rng_state()
    result = short(digits, steps=150, learning_rate=5e-3)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert result.losses[-20:].mean() < 0.3 * result.losses[:20].mean()
    assert result.losses.shape == (150,) and result.seconds > 0


def test_a_tensor_of_points_can_be_trained_on():
    network = nn.Linear(2, 2)

    class Denoiser(nn.Module):
        def __init__(self):
            super().__init__()
            self.network = network

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
        sigma = torch.ones(len(x0))
        D = denoiser(x0, sigma, labels)
        seen.append((D.dtype, x0.dtype))
        return (D - x0).square().flatten(1).mean(1)

    results = [
        training.train(
            small(), digits, watched, steps=2, batch_size=32, learning_rate=1e-3, mixed_precision=p
        )
        for p in ("no", "bf16", "no")
    ]
    assert set(seen) == {(torch.float32, torch.float32)}
    assert torch.equal(results[0].losses, results[2].losses) and not torch.equal(
        results[0].losses, results[1].losses
    )
    x = torch.zeros(1, 1, 8, 8)
    hooked = []
    results[1].denoiser.first.register_forward_hook(lambda m, i, o: hooked.append(o.dtype))
    results[1].denoiser(x, torch.ones(1))
    assert hooked == [torch.float32]  # autocast is off again after training


def test_a_loss_that_is_not_finite_stops_the_run_and_keeps_the_checkpoint(digits, tmp_path):
    path, calls = tmp_path / "run.safetensors", []

    def breaks(denoiser, x0, *rest):
        calls.append(1)
        return loss(denoiser, x0, *rest) * (float("nan") if len(calls) == 7 else 1)

    with pytest.raises(FloatingPointError, match="loss of step 6 is nan"):
        training.train(
            small(),
            digits,
            breaks,
            steps=12,
            batch_size=32,
            learning_rate=1e-3,
            progress=False,
            checkpoint=path,
            checkpoint_every=4,
        )
    assert checkpoints.read_metadata(path)["step"] == 4


def test_tensorboard_has_the_losses(digits, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    result = short(digits, steps=100, log_dir=tmp_path)
    events = EventAccumulator(str(next(tmp_path.rglob("events*")).parent)).Reload()
    logged = [(e.step, e.value) for e in events.Scalars("loss")]
    assert [step for step, _ in logged] == [50, 100]
    assert logged[1][1] == pytest.approx(float(result.losses[50:].mean()), rel=1e-5)


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"steps": 0}, "steps = 0.*integer"),
        ({"steps": 2.5}, "steps = 2.5"),
        ({"batch_size": 0}, "batch_size = 0"),
        ({"learning_rate": 0.0}, "learning_rate = 0.0"),
        ({"learning_rate": float("nan")}, "learning_rate = nan"),
        ({"ema_half_life": -1}, "ema_half_life = -1"),
        ({"ema_half_life": 0}, "ema_half_life = 0"),
        ({"clip_norm": 0}, "clip_norm = 0"),
        ({"warmup": -1}, "warmup = -1"),
        ({"seed": -1}, "seed = -1"),
        ({"mixed_precision": "fp8"}, "mixed_precision = 'fp8'.*no, bf16, fp16"),
        ({"checkpoint": "run.pt"}, r"checkpoint = 'run.pt'.*\.safetensors"),
        ({"checkpoint_every": 0}, "checkpoint_every = 0"),
        ({"labels": torch.zeros(5).long()}, "labels"),
        ({"labels": torch.zeros(1797)}, "labels.*float32"),
        ({"labels": -torch.ones(1797).long()}, "labels = -1"),
        ({"loss": 3}, "loss = 3"),
        ({"loss": lambda D, x0, u, noise, labels: D(x0, u, labels).mean()}, r"loss\(...\).shape"),
        ({"data": torch.full((10, 1, 8, 8), torch.nan)}, "data = .*NaN"),
        ({"data": torch.zeros(10)}, "data.shape"),
        ({"data": torch.zeros(10, 1, 8, 8).long()}, "data.dtype"),
        ({"denoiser": lambda x, sigma: x}, "denoiser = 'function'.*nn.Module"),
        ({"denoiser": nn.Identity()}, "denoiser.*parameters"),
    ],
)
def test_bad_arguments_are_refused(digits, changes, message):
    options = dict(
        denoiser=small(),
        data=digits,
        loss=loss,
        steps=2,
        batch_size=32,
        learning_rate=1e-3,
        progress=False,
    )
    options |= changes
    with pytest.raises(ValueError, match=message):
        training.train(options.pop("denoiser"), options.pop("data"), options.pop("loss"), **options)
