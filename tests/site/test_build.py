"""How the site is built: what is kept between builds, what makes a build fail, the Colab button."""

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).resolve().parents[2]


def build_module():
    """tools/build.py as a module."""
    spec = importlib.util.spec_from_file_location("build", ROOT / "tools/build.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def builder(tmp_path, monkeypatch):
    """tools/build.py in a small project; builder.runs: what each run of Sphinx found there."""
    module = build_module()
    for name in (
        "src/fewstep/solvers.py",
        "results/run.json",
        "constraints.txt",
        "tests/equations/test_one.py",
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("first")
    made = tmp_path / "_build"
    module.runs, module.verified, module.during, module.equations = [], 0, lambda: 0, 0

    def verify(command, env, **_):
        module.verified += 1
        Path(env["FEWSTEP_EQUATIONS_REPORT"]).parent.mkdir(parents=True, exist_ok=True)
        Path(env["FEWSTEP_EQUATIONS_REPORT"]).touch()
        return module.equations

    def run(command, environment, log):
        files = (path for path in made.rglob("*") if path.is_file() and path != log)
        module.runs.append(sorted(path.name for path in files if path.suffix != ".json"))
        for name in (".jupyter_cache/executed", "html/page.html", ".doctrees/page"):
            (made / name).parent.mkdir(parents=True, exist_ok=True)
            (made / name).touch()
        return module.during()

    monkeypatch.setattr(module, "ROOT", tmp_path)
    monkeypatch.setattr(module.subprocess, "call", verify)
    monkeypatch.setattr(module, "run", run)
    monkeypatch.setenv("FEWSTEP_SCALE", "smoke")
    module.again = lambda: module.build(tmp_path)
    return module


def test_executions_are_kept_and_pages_made_anew(builder):
    assert builder.again() == builder.again() == 0
    assert builder.runs == [[], ["executed"]]


@pytest.mark.parametrize(
    "name", ["src/fewstep/solvers.py", "results/run.json", "constraints.txt", "results/new.json"]
)
def test_edits_drop_executions(builder, tmp_path, name):
    builder.again()
    (tmp_path / name).write_text("other")
    builder.again()
    assert builder.runs == [[], []]


def test_another_scale_drops_executions(builder, monkeypatch):
    builder.again()
    monkeypatch.setenv("FEWSTEP_SCALE", "cpu")
    builder.again()
    assert builder.runs == [[], []]


def test_compiled_files_do_not_drop_executions(builder, tmp_path):
    builder.again()
    (tmp_path / "src/fewstep/__pycache__").mkdir()
    (tmp_path / "src/fewstep/__pycache__/solvers.pyc").touch()
    builder.again()
    assert builder.runs == [[], ["executed"]]


def test_killed_build_leaves_nothing_trusted(builder):
    def killed():
        raise KeyboardInterrupt

    builder.during = killed
    with pytest.raises(KeyboardInterrupt):
        builder.again()
    builder.during = lambda: 0
    builder.again()
    assert builder.runs == [[], []]


def test_killed_sphinx_leaves_nothing_trusted(builder):
    builder.during = lambda: -9
    assert builder.again() == -9
    builder.during = lambda: 0
    builder.again()
    assert builder.runs == [[], []]


def test_failed_build_keeps_the_executions_that_finished(builder):
    builder.during = lambda: 1
    assert builder.again() == 1
    builder.again()
    assert builder.runs == [[], ["executed"]]


def test_equations_are_verified_again_only_after_edits(builder, tmp_path):
    builder.again()
    builder.again()
    assert builder.verified == 1
    for number, name in enumerate(
        ("tests/equations/test_one.py", "src/fewstep/solvers.py"), start=2
    ):
        (tmp_path / name).write_text("other")
        builder.again()
        assert builder.verified == number


def test_equation_that_does_not_hold_stops_the_build(builder, tmp_path):
    builder.again()
    (tmp_path / "tests/equations/test_one.py").write_text("other")
    builder.equations = 1
    assert builder.again() == builder.again() == 1
    assert builder.verified == 3 and len(builder.runs) == 1
    builder.equations = 0
    assert builder.again() == 0
    assert builder.runs == [[], ["executed"]]  # the notebooks had nothing to do with it


def test_edit_during_the_build_fails_it(builder, tmp_path):
    def edit():
        (tmp_path / "src/fewstep/solvers.py").write_text("edited meanwhile")
        return 0

    builder.during = edit
    assert builder.again() == 1
    (tmp_path / "src/fewstep/solvers.py").write_text("first")
    builder.again()
    assert builder.runs == [[], []]


def test_each_stage_is_told(builder, tmp_path, capsys):
    for name in ("one", "two", "quickstart"):
        (tmp_path / f"notebooks/{name}.ipynb").parent.mkdir(exist_ok=True)
        (tmp_path / f"notebooks/{name}.ipynb").touch()
    builder.again()
    told = capsys.readouterr().out
    assert "1/3 Checking the key equations" in told
    assert "2/3 Executing all 3 notebooks: at most 1 min on two slow cores" in told
    builder.again()
    told = capsys.readouterr().out
    assert "checked before" in told and "Executing the notebooks that have changed" in told


def test_notebooks_and_warnings_are_told_and_the_rest_is_kept(tmp_path, capsys):
    output = (
        "/my own/notebooks/01-noising.ipynb: Executing notebook using local CWD [mystnb]\n"
        "[IPKernelApp] WARNING | Kernel is running over TCP without encryption.\n"
        "/my own/notebooks/01-noising.ipynb: Executed notebook in 29.19 seconds [mystnb]\n"
        "/my own/notebooks/02-sdes.ipynb: Using cached notebook: ID=2 [mystnb]\n"
        "\x1b[01mpickling environment... \x1b[39;49;00mdone\n"
        "\x1b[31m/my own/book/intro.md:3: WARNING: image file not readable: no.png\x1b[39;49;00m\n"
    )
    command = [sys.executable, "-c", f"print({output!r}, end=''); raise SystemExit(3)"]
    assert build_module().run(command, dict(os.environ), tmp_path / "log.txt") == 3
    assert (tmp_path / "log.txt").read_text() == output
    assert capsys.readouterr().out.splitlines() == [
        "    01-noising.ipynb: 29 s",
        "    02-sdes.ipynb: unchanged",
        "3/3 Writing the pages: some seconds",
        "/my own/book/intro.md:3: WARNING: image file not readable: no.png",
    ]


def test_failed_build_shows_the_end_of_the_log(builder, tmp_path, capsys):
    builder.run = lambda command, environment, log: log.write_text("why it failed\n") and 2
    assert builder.again() == 2
    told = capsys.readouterr().out
    assert "why it failed" in told and str(tmp_path / "_build/log.txt") in told


def test_folder_that_cannot_be_written_gets_one_line(builder, tmp_path, capsys):
    (tmp_path / "_build").touch()
    assert builder.again() == 1 and not builder.runs
    assert capsys.readouterr().out.startswith(f"{tmp_path / '_build'} cannot be written to: ")


def small_site(tmp_path, code, repository=None):
    """Build a site of one page and one notebook with the project's own configuration."""
    shutil.copytree(ROOT / "book", tmp_path / "book", ignore=shutil.ignore_patterns("*.md"))
    shutil.copy(ROOT / "_config.yml", tmp_path)
    (tmp_path / "book/intro.md").write_text("# Title\n")
    (tmp_path / "_toc.yml").write_text(
        "format: jb-book\nroot: book/intro\nchapters:\n- file: notebooks/one\n"
    )
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_markdown_cell("# One"), nbformat.v4.new_code_cell(code)]
    )
    (tmp_path / "notebooks").mkdir()
    nbformat.write(notebook, tmp_path / "notebooks/one.ipynb")
    environment = {
        name: value for name, value in os.environ.items() if name != "FEWSTEP_REPOSITORY"
    }
    if repository:
        environment["FEWSTEP_REPOSITORY"] = repository
    command = [
        Path(sys.executable).with_name("jupyter-book"),
        "build",
        tmp_path,
        "-W",
        "--keep-going",
    ]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    return done, (tmp_path / "_build/html/notebooks/one.html").read_text(encoding="utf8")


def test_colab_button_follows_the_repository(tmp_path):
    done, page = small_site(tmp_path, "1 + 1", "https://github.com/someone/theirs")
    assert done.returncode == 0, done.stderr
    assert (
        "https://colab.research.google.com/github/someone/theirs/blob/colab/notebooks/one.ipynb"
        in page
    )


def test_no_repository_no_button(tmp_path):
    done, page = small_site(tmp_path, "1 + 1")
    assert done.returncode == 0, done.stderr
    assert "colab" not in page and "github.com" not in page


def test_failed_notebook_fails_the_build(tmp_path):
    done, _ = small_site(tmp_path, "1 / 0")
    assert done.returncode != 0 and "mystnb.exec" in done.stderr
