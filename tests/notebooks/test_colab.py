"""Notebooks stamped for Colab, where torch is installed and fewstep is not."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from importlib.metadata import distribution
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[2]
ON_COLAB = [
    "torch",
    "torchvision",
    "numpy",
    "matplotlib",
    "scikit-learn",
    "ipywidgets",
    "ipykernel",
    "pip",
]


def closure(names) -> set[str]:
    """The distributions named, with all that they require here."""
    found, todo = set(), [Requirement(name) for name in names]
    while todo:
        wanted = todo.pop()
        for extra in {"", *wanted.extras}:
            if (wanted.name, extra) not in found:
                found.add((wanted.name, extra))
                needed = map(Requirement, distribution(wanted.name).requires or [])
                todo += [
                    one
                    for one in needed
                    if one.marker is None or one.marker.evaluate({"extra": extra})
                ]
    return {name for name, _ in found}


def link(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except FileExistsError:  # a file that two distributions share
        pass
    except OSError:  # another file system
        shutil.copy2(source, target)


@pytest.fixture
def colab():
    """A Python that has what Colab has.

    To download it would take minutes, so it is linked from here:
    hard links, for whatever pip removes there must stay here.
    """
    home = ROOT / "build" / f"colab-{os.getpid()}"
    venv.create(home, symlinks=True)
    packages = home / Path(sysconfig.get_path("purelib")).relative_to(sys.prefix)
    for name in closure(ON_COLAB):
        for file in distribution(name).files:
            if (
                ".." not in file.parts and file.locate().exists()
            ):  # leaves out scripts, which name our Python
                link(file.locate(), packages / file)
    yield home / "bin/python"
    shutil.rmtree(home)


def stamp(*options, **environment):
    environment = {**os.environ, "FEWSTEP_REPOSITORY": "", **environment}
    command = [sys.executable, ROOT / "tools/stamp.py", *options]
    return subprocess.run(command, env=environment, capture_output=True, text=True)


def test_stamped_quickstart_installs_itself_and_runs(colab, tmp_path, monkeypatch):
    pip = [sys.executable, "-m", "pip", "--timeout", "15", "--retries", "0"]
    reach = [*pip, "download", "-q", "--no-deps", "-d", tmp_path, "hatchling"]
    if subprocess.run(reach, capture_output=True).returncode != 0:
        pytest.skip("needs a network to install from")
    monkeypatch.delenv("PYTHONPATH", raising=False)
    lacks = subprocess.run(
        [colab, "-c", "import torch, torchvision, sklearn; import fewstep"],
        capture_output=True,
        text=True,
    )
    assert "No module named 'fewstep'" in lacks.stderr

    assert stamp("--source", str(ROOT), "--out", tmp_path).returncode == 0
    notebook = nbformat.read(tmp_path / "notebooks/quickstart.ipynb", as_version=4)
    notebook.cells.append(
        nbformat.v4.new_code_cell(
            "print(after == before, importlib.util.find_spec('fewstep').origin)"
        )
    )

    kernel = {
        "argv": [str(colab), "-m", "ipykernel_launcher", "-f", "{connection_file}"],
        "display_name": "Colab",
        "language": "python",
    }
    (tmp_path / "kernels/colab").mkdir(parents=True)
    (tmp_path / "kernels/colab/kernel.json").write_text(json.dumps(kernel))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    NotebookClient(
        notebook, timeout=600, kernel_name="colab", resources={"metadata": {"path": tmp_path}}
    ).execute()
    unchanged, origin = notebook.cells[-1].outputs[0].text.strip().split(maxsplit=1)
    assert unchanged == "True" and Path(origin).is_relative_to(colab.parents[1])


def test_stamp_names_this_commit_of_the_repository(tmp_path):
    done = stamp("--out", tmp_path, FEWSTEP_REPOSITORY="https://github.com/someone/theirs/")
    assert done.returncode == 0, done.stderr
    commit = subprocess.check_output(["git", "rev-parse", "HEAD"], cwd=ROOT, text=True).strip()
    originals = sorted((ROOT / "notebooks").glob("*.ipynb"))
    assert originals and len(originals) == len(list((tmp_path / "notebooks").iterdir()))
    for path in originals:
        before, after = (
            nbformat.read(path, as_version=4),
            nbformat.read(tmp_path / "notebooks" / path.name, as_version=4),
        )
        setup = next(number for number, cell in enumerate(before.cells) if cell.cell_type == "code")
        assert (
            f"'fewstep @ git+https://github.com/someone/theirs@{commit}'"
            in after.cells[setup].source
        )
        assert after.cells[setup].source.endswith(before.cells[setup].source)
        after.cells[setup].source = before.cells[setup].source
        button, _, title = after.cells[0].source.partition("\n\n")
        where = "colab.research.google.com/github/someone/theirs/blob/colab/notebooks/"
        assert f"{where}{path.name}" in button
        after.cells[0].source = title
        assert after == before


def test_stamp_needs_an_address(tmp_path):
    done = stamp("--out", tmp_path)
    assert (
        done.returncode != 0
        and "FEWSTEP_REPOSITORY" in done.stderr
        and not list(tmp_path.iterdir())
    )


def test_failed_installation_says_what_failed(tmp_path):
    assert stamp("--source", "/no/such/place", "--out", tmp_path).returncode == 0
    notebook = nbformat.read(tmp_path / "notebooks/quickstart.ipynb", as_version=4)
    setup = next(cell.source for cell in notebook.cells if cell.cell_type == "code")
    done = subprocess.run([sys.executable, "-c", setup], capture_output=True, text=True)
    assert done.returncode != 0 and "RuntimeError: Could not install /no/such/place" in done.stderr
