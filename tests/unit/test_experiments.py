"""From a shell: train, be killed, go on, sample, evaluate, compare."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
import torch
from PIL import Image

from fewstep import checkpoints, data, experiments, metrics, pretrained, recipes
from fewstep.__main__ import main

SMALL = [
    "training.steps=8", "training.batch_size=8", "network.channels=8", "training.warmup=0",
    "evaluation.samples=80", "evaluation.sets=2", "sampling.calls=3",
]  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "digits"
    main(["train", "digits", "--out", str(folder), "--set", *SMALL, "training.evaluate_every=4"])
    return folder


def test_training_leaves_recipe_log_checkpoint_and_network(run):
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [4, 8] and lines[0]["FD-C"] > 0
    about = checkpoints.read_metadata(run / "denoiser.safetensors")
    assert about["recipe"]["training"]["steps"] == 8 and "commit" in about


def test_copies_of_the_average_are_kept_on_the_way(tmp_path):
    hybrid = ["training.keep_every=4", "noise.preconditioning=chain", "noise.schedule=cosine",
              "training.loss=hybrid", "sampling.grid=chain", "sampling.solver=learned",
              "network.conditional=true"]  # fmt: skip
    main(["train", "digits", "--out", str(tmp_path), "--set", *SMALL, *hybrid])
    kept = sorted(path.name for path in tmp_path.glob("denoiser*"))
    assert kept == ["denoiser-4.safetensors", "denoiser-8.safetensors", "denoiser.safetensors"]
    last, whole = (pretrained.load_denoiser(tmp_path / name) for name in kept[1:])
    assert last.extra_channels == 1
    for ours, theirs in zip(last.parameters(), whole.parameters()):
        assert torch.equal(ours, theirs)
    main(["sample", str(tmp_path), "--seeds", "0-3"])
    assert (tmp_path / "samples.png").exists()


def test_pictures_depend_on_their_seed_alone(run, tmp_path, capsys):
    main(["sample", str(run), "--seeds", "3,5", "--out", str(tmp_path / "few")])
    main(["sample", str(run), "--seeds", "4-6", "--out", str(tmp_path / "more")])
    assert sorted(p.name for p in (tmp_path / "few").iterdir()) == ["3.png", "5.png"]
    five = [Image.open(tmp_path / name / "5.png").tobytes() for name in ("few", "more")]
    three = Image.open(tmp_path / "few/3.png").tobytes()
    assert five[0] == five[1] != three
    main(["sample", str(run)])
    assert Image.open(run / "samples.png").size == (8 * 8 + 9 * 2, 8 * 8 + 9 * 2)


def kept_samples(run):
    """The first 80 pictures that a run draws."""
    return experiments._draw(*experiments._trained(run, []), range(80), None)


def test_a_run_that_is_done_is_done_at_once(run, monkeypatch):
    monkeypatch.setattr(recipes, "pictures", None)
    main(["train", "digits", "--out", str(run), "--resume", "--set", *SMALL,
          "training.evaluate_every=4"])  # fmt: skip


def test_evaluation_and_comparison_are_printed_and_kept(run, capsys):
    main(["evaluate", str(run)])
    assert "FD-C" in capsys.readouterr().out
    kept = json.loads((run / "evaluation.json").read_text())
    samples, real = kept["rows"]
    assert len(samples["FD-C"]) == 2 and kept["samples"] == 80
    x, digits = kept_samples(run), data.digits().float()
    assert samples["brightness"][0] == pytest.approx(float(x.mean()), abs=1e-6)
    assert samples["MS-SSIM"][0] == pytest.approx(metrics.ms_ssim(x), abs=1e-6)
    assert samples["spread"][0] == pytest.approx(float(x.mean((1, 2, 3)).std()), abs=1e-6)
    assert real["brightness"] == pytest.approx([float(digits.mean())] * 2, abs=0.03)
    assert real["contrast"] == pytest.approx([float(digits.std())] * 2, abs=0.03)
    main(["evaluate", str(run), "--name", "five", "--set", "sampling.calls=5"])
    assert json.loads((run / "five.json").read_text())["rows"][0]["calls"] == 5
    main(["compare", str(run), "--solvers", "euler", "heun", "--calls", "3", "5"])
    table = capsys.readouterr().out
    assert "FD-C, 5 calls" in table and "real vs real" in table
    assert [row["solver"] for row in json.loads((run / "comparison.json").read_text())["rows"]] == [
        "euler",
        "heun",
    ]


TWO = """
import sys, torch
from fewstep import experiments
from fewstep.__main__ import main

run, out = sys.argv[1:]
for size in (1, 256):
    asked = experiments._trained(run, [f"sampling.batch_size={size}"])
    for label in (None, 3):
        x = experiments._draw(*asked, range(7), label)
        if experiments._first():
            torch.save(x, f"{out}/{size}-{label}.pt")
experiments.sample(run, range(7), 3, f"{out}/pictures")
experiments.compare(run, ["euler"], [3])
main(["evaluate", run, "--name", "two"])
"""


def test_two_processes_draw_and_measure_what_one_does(tmp_path):
    """Seven seeds, which two do not divide, of all classes and of one; one process writes."""
    run, script = str(tmp_path / "run"), tmp_path / "two.py"
    main(["train", "digits", "--out", run, "--set", *SMALL, "network.conditional=true"])
    script.write_text(TWO)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    two = subprocess.run(
        [*command, script, run, tmp_path], env=environment, capture_output=True, text=True
    )
    assert two.returncode == 0, two.stderr
    for size in (1, 256):
        asked = experiments._trained(run, [f"sampling.batch_size={size}"])
        for label in (None, 3):
            one = experiments._draw(*asked, range(7), label)
            difference = (torch.load(tmp_path / f"{size}-{label}.pt") - one).abs().max()
            assert difference == 0 if size == 1 else difference < 1e-4
    assert sorted(p.name for p in (tmp_path / "pictures").iterdir()) == [
        f"{seed}.png" for seed in range(7)
    ]
    assert two.stdout.count("real vs real") == 1
    other = json.loads((tmp_path / "run/two.json").read_text())
    main(["evaluate", run])
    kept = json.loads((tmp_path / "run/evaluation.json").read_text())
    for ours, theirs in zip(kept["rows"], other["rows"]):
        for key in ("FD-C", "MS-SSIM", "brightness", "contrast"):
            assert theirs[key] == pytest.approx(ours[key], rel=1e-3), key
    there = json.loads((tmp_path / "run/comparison.json").read_text())["rows"]
    experiments.compare(run, ["euler"], [3])
    here = json.loads((tmp_path / "run/comparison.json").read_text())["rows"]
    assert there[0]["FD-C, 3 calls"] == pytest.approx(here[0]["FD-C, 3 calls"], rel=1e-3)


def test_a_folder_of_ones_own_has_a_classifier_of_its_own(tmp_path, monkeypatch, capsys):
    """Its path may be relative to the data; what tells its classes apart measures samples."""
    digits = data.digits()
    for label in (0, 1):
        (tmp_path / "mine" / str(label)).mkdir(parents=True)
        for i in (digits.labels == label).nonzero()[:40, 0].tolist():
            picture = Image.fromarray(
                digits.subset([i]).float().add(1).mul(127).byte()[0, 0].numpy()
            )
            picture.save(tmp_path / f"mine/{label}/{i}.png")
    monkeypatch.setenv("FEWSTEP_DATA", str(tmp_path))
    own = ["data.name=folder", "data.path=mine", "data.side=8", "evaluation.samples=40"]
    main(["train", "digits", "--out", str(tmp_path / "run"), "--set", *SMALL, *own])
    main(["evaluate", str(tmp_path / "run")])
    assert "FD-C" in capsys.readouterr().out
    assert len(list(tmp_path.glob("mine-classifier-*.safetensors"))) == 1


def test_errors_end_with_code_2_and_the_words_of_the_house(run, capsys):
    for arguments, words in (
        (["train", "digits", "--out", str(run)], "out = "),
        (["sample", str(run), "--seeds", "a"], "seeds = 'a': must be such as 0-63"),
        (["sample", str(run / "none")], "holds a run"),
        (["evaluate", str(run), "--set", "sampling.calls=4"], "odd for heun"),
    ):
        with pytest.raises(SystemExit) as caught:
            main(arguments)
        assert caught.value.code == 2 and words in capsys.readouterr().err


def test_a_killed_run_goes_on_to_the_same_network(tmp_path):
    """SIGKILL once the first checkpoint is there; --resume; equal to a run that was left alone."""
    changes = ["--set", *SMALL, "training.steps=40", "training.checkpoint_every=2"]
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    main(["train", "digits", "--out", str(whole), *changes])
    command = [sys.executable, "-m", "fewstep", "train", "digits", "--out", str(cut), *changes]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, env=os.environ)
    deadline = time.monotonic() + 120
    while not (cut / "checkpoint.safetensors").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (cut / "denoiser.safetensors").exists(), "it was done before it could be killed"
    main(["train", "digits", "--out", str(cut), "--resume", *changes])
    from safetensors.torch import load_file

    a, b = (load_file(folder / "denoiser.safetensors") for folder in (whole, cut))
    assert a.keys() == b.keys() and all((a[k] == b[k]).all() for k in a)
