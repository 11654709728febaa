"""The gpu scale, rehearsed: every notebook whose data lie at hand, two steps and few samples; and
the times that notebooks state are those of the recorded rehearsal.
"""

import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from fewstep import data, results

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
each = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def tool():
    spec = importlib.util.spec_from_file_location("rehearse", ROOT / "tools/rehearse.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["rehearse"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


rehearse = tool()


@each
def test_the_gpu_scale_runs(path):
    if not (data.root() / "FashionMNIST/raw").is_dir():
        pytest.skip("Fashion-MNIST is not at hand")
    environment = {**os.environ, "FEWSTEP_SCALE": "gpu", "CUDA_VISIBLE_DEVICES": ""}
    command = [sys.executable, ROOT / "tools/rehearse.py", "--alone", path]
    done = subprocess.run(
        command, env={**environment, "MPLBACKEND": "Agg"}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-3000:]
    bill = rehearse.Bill(**json.loads(done.stdout.splitlines()[-1]))
    trains = path in TRAINING
    assert (bill.single > 1e12 and bill.memory > 1e6 and bill.training_steps > 100) == trains
    recorded = {row["notebook"]: row for row in results.read("rehearsal")["rows"]}[path.stem]
    counted = rehearse.row(path, bill)
    for key in ("training steps", "network calls", "TFLOP (float32)", "TFLOP (float64)"):
        assert counted[key] == pytest.approx(recorded[key], rel=0.01), f"{key}: make rehearse"


TRAINING = [path for path in NOTEBOOKS if "training.train(" in path.read_text("utf-8")]


@pytest.mark.parametrize("path", TRAINING, ids=lambda path: path.stem)
def test_the_stated_times_are_the_recorded_ones(path):
    recorded = {row["notebook"]: row for row in results.read("rehearsal")["rows"]}[path.stem]
    first = "".join(json.loads(path.read_text("utf-8"))["cells"][0]["source"])
    stated = re.search(r"about (\d+) minutes? on a T4 and (\d+) on an A100", first)
    assert stated, "the first cell states the times at gpu scale"
    wanted = [rehearse.stated(recorded, device) for device in ("T4", "A100")]
    assert list(map(int, stated.groups())) == wanted
