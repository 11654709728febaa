"""The gpu scale, rehearsed on a CPU: every notebook whose data lie at hand runs, the tool bills it,
and the times that notebooks state are those of the recorded rehearsal.
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from fewstep import _cost, data, results

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
LONG = 150  # seconds: what takes longer is rehearsed by `make rehearse` only
TRAINING = [path for path in NOTEBOOKS if "training.train(" in path.read_text("utf-8")]
PROBE = """
import torch
from fewstep import data, grids, losses, networks, preconditioning, solvers, training

images = data.fashion_mnist("train")
net = preconditioning.Denoiser(networks.UNet(1, 8, (1,), blocks=1), preconditioning.edm())
result = training.train(net, images, losses.edm, steps=500, batch_size=64, learning_rate=1e-3)
assert len(result.losses) == 500
noise = torch.randn(1000, 1, 28, 28)
out = solvers.sample(result.ema, 80 * noise, grids.edm(5), solvers.heun)
assert out.x.shape == noise.shape and out.nfe == 9
"""


def run(path):
    environment = {**os.environ, "FEWSTEP_SCALE": "gpu", "CUDA_VISIBLE_DEVICES": ""}
    command = [sys.executable, ROOT / "tools/rehearse.py", "--alone", path]
    environment["MPLBACKEND"] = "Agg"
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def recorded(path):
    """What the recorded rehearsal says of a notebook."""
    return {row["notebook"]: row for row in results.read("rehearsal")["rows"]}[path.stem]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_the_gpu_scale_runs_and_costs_what_is_recorded(path):
    if path in TRAINING and not (data.root() / "FashionMNIST/raw").is_dir():
        pytest.skip("Fashion-MNIST is not at hand")
    if (seconds := recorded(path)["seconds of the rest, here"]) > LONG:
        pytest.skip(f"takes {seconds:.0f} s on the CPU: `make rehearse` runs it")
    bill = run(path)
    trains = path in TRAINING
    assert (bill["training_steps"] > 100 and bill["memory"] > 1e6) == trains
    for name, key in (("single", "TFLOP (float32)"), ("double", "TFLOP (float64)")):
        again = f"{key} of {path.stem} is no longer the recorded one: make rehearse"
        assert bill[name] / 1e12 == pytest.approx(recorded(path)[key], rel=0.02), again


@pytest.mark.parametrize("path", TRAINING, ids=lambda path: path.stem)
def test_the_stated_times_are_the_recorded_ones(path):
    first = "".join(json.loads(path.read_text("utf-8"))["cells"][0]["source"])
    stated = re.search(r"estimated (\d+) minutes? on a T4\D+(\d+) on an A100", first)
    assert stated, "the first cell states the times at gpu scale"
    for minutes, key, most in zip(stated.groups(), ("T4", "A100"), (40, 10)):
        counted = recorded(path)[f"minutes on a {key}"]
        assert abs(int(minutes) - counted) <= 1 and int(minutes) <= most, f"{key}: {counted:.1f}"


def test_operations_are_those_of_the_full_size(tmp_path):
    """500 steps of 64 pictures and 9 calls for 1000: as many operations as counted by hand."""
    if not (data.root() / "FashionMNIST/raw").is_dir():
        pytest.skip("Fashion-MNIST is not at hand")
    cell = {"cell_type": "code", "source": PROBE.splitlines(keepends=True)}
    (tmp_path / "probe.ipynb").write_text(json.dumps({"cells": [cell]}))
    bill = run(tmp_path / "probe.ipynb")
    import torch

    from fewstep import networks

    network = networks.UNet(1, 8, (1,), blocks=1)
    with _cost.counted() as forward:
        network(torch.zeros(1, 1, 28, 28), torch.zeros(1))
    with _cost.counted() as both:
        network(torch.zeros(1, 1, 28, 28), torch.zeros(1)).sum().backward()
    assert bill["single"] == pytest.approx(both[0] * 500 * 64 + forward[0] * 9 * 1000, rel=0.01)
    assert (bill["training_steps"], bill["network_calls"]) == (500, 9000)
    assert bill["memory"] > 60_000 * 784  # the data alone
