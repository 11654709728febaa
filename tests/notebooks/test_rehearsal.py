"""The gpu scale, rehearsed on a CPU: the tool runs a notebook and bills it."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from fewstep import data

ROOT = Path(__file__).resolve().parents[2]
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


def test_a_notebook_of_no_network_costs_nothing_but_its_own_time():
    bill = run(ROOT / "notebooks/02-sdes.ipynb")
    assert bill["single"] == bill["memory"] == bill["training_steps"] == 0 < bill["seconds"]


def test_operations_are_those_of_the_full_size(tmp_path):
    """500 steps of 64 pictures and 9 calls for 1000: as many operations as counted by hand."""
    if not (data.root() / "FashionMNIST/raw").is_dir():
        pytest.skip("Fashion-MNIST is not at hand")
    cell = {"cell_type": "code", "source": PROBE.splitlines(keepends=True)}
    (tmp_path / "probe.ipynb").write_text(json.dumps({"cells": [cell]}))
    bill = run(tmp_path / "probe.ipynb")
    spec = importlib.util.spec_from_file_location("rehearse", ROOT / "tools/rehearse.py")
    rehearse = importlib.util.module_from_spec(spec)
    sys.modules["rehearse"] = rehearse  # dataclasses look their module up
    spec.loader.exec_module(rehearse)
    import torch

    from fewstep import networks

    network = networks.UNet(1, 8, (1,), blocks=1)
    with rehearse.counted() as forward:
        network(torch.zeros(1, 1, 28, 28), torch.zeros(1))
    with rehearse.counted() as both:
        network(torch.zeros(1, 1, 28, 28), torch.zeros(1)).sum().backward()
    assert bill["single"] == pytest.approx(both[0] * 500 * 64 + forward[0] * 9 * 1000, rel=0.01)
    assert (bill["training_steps"], bill["network_calls"]) == (500, 9000)
    assert bill["memory"] > 60_000 * 784  # the data alone
