import json
import os
import subprocess
from pathlib import Path
from types import SimpleNamespace

import matplotlib
import numpy as np
import pytest
import torch

from fewstep import _files, results

ROWS = [
    {"solver": "Euler", "nfe": 10, "fd": [1.0, 1.2, 1.1]},
    {"solver": "Heun", "nfe": 9, "fd": [0.4, 0.5, 0.6]},
]


@pytest.fixture(autouse=True)
def on_the_cpu(monkeypatch):
    monkeypatch.setenv("FEWSTEP_SCALE", "smoke")


def test_a_run_goes_to_a_file_and_back(tmp_path):
    rows = [{"a": torch.tensor([1.0, 2.0]), "b": torch.tensor(3)}, {"a": [0.5, 0.25], "b": 4}]
    path = results.record(
        "a-run",
        rows,
        settings={"steps": 5, "at": Path("x")},
        seeds=range(2),
        samples=100,
        seconds=1.5,
        into=tmp_path,
    )
    run = results.read("a-run", of=tmp_path)
    assert path == tmp_path / "a-run.json" and run["rows"] == [
        {"a": [1.0, 2.0], "b": 3},
        {"a": [0.5, 0.25], "b": 4},
    ]
    assert (
        run["seeds"] == [0, 1]
        and run["samples"] == 100
        and run["settings"] == {"steps": 5, "at": "x"}
    )
    assert run["scale"] == "smoke" and run["versions"]["torch"].startswith(
        torch.__version__.split("+")[0]
    )
    assert isinstance(run["dirty"], bool) and run["date"].endswith("Z")
    # numbers of one cell on one line
    assert '"a": [1.0, 2.0]' in path.read_text() and '"rows": [\n' in path.read_text()
    line = results.certificate(run)
    assert (
        run["commit"][:9] in line
        and "2 seeds" in line
        and "100 samples" in line
        and "scale smoke" in line
    )


def test_awkward_text_survives(tmp_path):
    rows = [
        {"a": "[ 1,\n 2 ]", "b": 'quote " [3]', "c": [], "d": ["x", "y"], "e": None, "f": "σ ± 1"}
    ]
    results.record("r", rows, settings={}, into=tmp_path)
    assert results.read("r", of=tmp_path)["rows"] == rows


def test_the_certificate_is_right_and_private(tmp_path):
    results.record("r", ROWS, settings={}, into=tmp_path)
    text = (tmp_path / "r.json").read_text()
    run = json.loads(text)
    root = Path(results.__file__).resolve().parents[2]
    if (root / ".git").exists():
        head = subprocess.run(
            ["git", "rev-parse", "HEAD"], cwd=root, capture_output=True, text=True
        ).stdout.strip()
        assert run["commit"] == head
    for private in (os.uname().nodename, str(Path.home()), str(root), os.environ.get("USER", "\0")):
        assert len(private) < 3 or private not in text


def test_dirty_means_that_sources_differ(tmp_path, monkeypatch):
    def git(*command):
        subprocess.run(
            ["git", "-c", "user.name=t", "-c", "user.email=t@t", *command],
            cwd=tmp_path,
            check=True,
            capture_output=True,
        )

    for folder in ("src", "results"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.txt").write_text("1")
    (tmp_path / "pyproject.toml").write_text("")
    git("init")
    git("add", ".")
    git("commit", "-m", "first")
    monkeypatch.setattr(results, "_checkout", lambda: tmp_path)
    assert results.provenance()["dirty"] is False
    (tmp_path / "results" / "a.txt").write_text("2")  # a run just recorded
    assert results.provenance()["dirty"] is False
    (tmp_path / "src" / "b.txt").write_text("new")
    assert results.provenance()["dirty"] is True


def test_without_git_the_commit_is_unknown(monkeypatch, tmp_path):
    monkeypatch.setattr(results, "_checkout", lambda: tmp_path)
    monkeypatch.setenv("PATH", "")
    assert (results.provenance()["commit"], results.provenance()["dirty"]) == ("unknown", False)


def test_the_folder_of_an_installed_package(monkeypatch, tmp_path):
    assert results.folder().name == "results" and results.weights("x").name == "x.safetensors"
    package = tmp_path / "lib" / "python3" / "site-packages" / "fewstep"
    package.mkdir(parents=True)
    monkeypatch.setattr(results, "__file__", str(package / "results.py"))
    assert results.folder() == package / "_results"
    with pytest.raises(ValueError, match="into = None.*checkout"):
        results.record("r", ROWS, settings={})


def test_a_figure_is_recorded_with_its_description(tmp_path):
    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, _ = plt.subplots()
    with pytest.raises(ValueError, match="alt = None"):
        results.record("r", ROWS, settings={}, figure=figure, into=tmp_path)
    results.record(
        "r", ROWS, settings={}, figure=figure, alt="An empty pair of axes", into=tmp_path
    )
    plt.close(figure)
    assert "<svg" in (tmp_path / "r.svg").read_text()
    assert results.read("r", of=tmp_path)["alt"] == "An empty pair of axes"


def test_a_write_that_fails_leaves_the_old_run(tmp_path, monkeypatch):
    results.record("r", ROWS, settings={"v": 1}, into=tmp_path)
    old = (tmp_path / "r.json").read_bytes()

    class Breaks:
        axes = ()

        def savefig(self, file, **options):
            file.write(b"half")
            raise RuntimeError("no backend")

    (tmp_path / "r.svg").write_bytes(b"old picture")
    with pytest.raises(RuntimeError, match="no backend"):
        results.record("r", ROWS, settings={"v": 2}, figure=Breaks(), alt="x", into=tmp_path)
    assert (tmp_path / "r.svg").read_bytes() == b"old picture"
    assert (tmp_path / "r.json").read_bytes() == old, "rows and picture must belong to one run"
    monkeypatch.setattr(_files.shutil, "disk_usage", lambda p: SimpleNamespace(free=10))
    with pytest.raises(OSError, match="free are 10"):
        results.record("r", ROWS, settings={"v": 3}, into=tmp_path)
    assert (tmp_path / "r.json").read_bytes() == old and {p.name for p in tmp_path.iterdir()} == {
        "r.json",
        "r.svg",
    }


def test_a_full_disk_at_the_picture_leaves_both_of_the_old_run(tmp_path, monkeypatch):
    """Whichever of the two files does not fit."""
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots()
    results.record("r", ROWS, settings={"v": 1}, figure=figure, alt="x", into=tmp_path)
    old = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    axes.plot([1, 2])
    write = Path.write_bytes
    for full in (".json", ".svg"):

        def to_a_full_disk(path, content, full=full):
            write(path, content[:10] if full in path.name else content)
            if full in path.name:
                raise OSError(28, "No space left on device")

        monkeypatch.setattr(Path, "write_bytes", to_a_full_disk)
        with pytest.raises(OSError, match="No space"):
            results.record("r", ROWS, settings={"v": 2}, figure=figure, alt="x", into=tmp_path)
        assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == old
    plt.close(figure)


def test_a_run_without_a_figure_keeps_none_of_an_earlier_run(tmp_path):
    (tmp_path / "r.svg").write_bytes(b"old picture")
    results.record("r", ROWS, settings={}, into=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["r.json"]


def test_weights_stay_in_their_folder():
    for name in ("../../x", "/etc/x", "a/b", "", "x.safetensors", None):
        with pytest.raises(ValueError, match="name = "):
            results.weights(name)


def test_bad_runs_are_refused(tmp_path):
    for name in ("A", "a/b", "../a", "", "a_b", "a.json", 3):
        with pytest.raises(ValueError, match="name = "):
            results.record(name, ROWS, settings={}, into=tmp_path)
    for rows in ([], {"a": 1}, [1, 2]):
        with pytest.raises(ValueError, match="rows = "):
            results.record("r", rows, settings={}, into=tmp_path)
    for bad in (float("nan"), float("inf"), [1.0, float("nan")]):
        with pytest.raises(ValueError, match="'r': NaN or infinity"):
            results.record("r", [{"a": bad}], settings={}, into=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_bad_files_are_refused(tmp_path):
    results.record("one", ROWS, settings={}, into=tmp_path)
    with pytest.raises(FileNotFoundError, match="'two'.*there are: one"):
        results.read("two", of=tmp_path)
    text = (tmp_path / "one.json").read_text()
    (tmp_path / "one.json").write_text(text[:100])
    with pytest.raises(ValueError, match="cut short or not JSON"):
        results.read("one", of=tmp_path)
    for other in ('{"format": "x"}', "[]"):
        (tmp_path / "one.json").write_text(other)
        with pytest.raises(ValueError, match="format of .*fewstep-result-1"):
            results.read("one", of=tmp_path)


def test_tables_show_mean_and_spread():
    table = results.table(ROWS, {"solver": "Solver", "nfe": "NFE", "fd": "FD-C"})
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]
    assert lines[0] == ["Solver", "NFE", "FD-C"]
    assert lines[2:] == [["Euler", "10", "1.10 ± 0.10"], ["Heun", "9", "0.50 ± 0.10"]]
    assert (
        table._repr_markdown_() == str(table)
        and lines[1][0].startswith(":-")
        and lines[1][1].endswith("-:")
    )
    assert results.table([{"a": 1.23456, "b": None}]).splitlines()[2].split() == [
        "|",
        "1.23",
        "|",
        "–",
        "|",
    ]
    with pytest.raises(ValueError, match="columns = 'fid'.*fd"):
        results.table(ROWS, ["fid"])
    with pytest.raises(ValueError, match="rows = "):
        results.table([])


def cells(table):
    """The cells of a table's rows, as a reader of Markdown sees them."""
    from markdown_it import MarkdownIt

    tokens = MarkdownIt("commonmark", {"html": True}).enable("table").parse(table)
    assert not any("html" in inner.type for token in tokens for inner in token.children or [])
    inline = [token for token in tokens if token.type == "inline"]
    return ["".join(inner.content for inner in token.children) for token in inline]


@pytest.mark.parametrize(
    "word", ["a|b", "two\nlines", "<script>alert(1)</script>", "a & b < c", "&lt;", "$σ^2$", r"a\|"]
)
def test_a_word_stays_in_its_cell_and_is_no_html(word):
    shown = word.replace("\n", " ").replace("\\", "")
    assert cells(results.table([{"first": word, word: 1}])) == ["first", shown, shown, "1"]


@pytest.mark.parametrize(
    "value", [1.23456, np.float32(1.23456), torch.tensor(1.23456), np.array(1.23456)]
)
def test_digits_hold_for_every_kind_of_number(value):
    for digits, text in ((2, "1.2"), (3, "1.23"), (5, "1.2346")):
        assert cells(results.table([{"a": value}], digits=digits))[1] == text
        assert cells(results.table([{"a": [value]}], digits=digits))[1] == text
        assert cells(results.table([{"a": [value, value]}], digits=digits))[1] == f"{text} ± 0"
    assert "-:" in results.table([{"a": value}])  # to the right


@pytest.mark.parametrize(
    "values",
    [(1.0, 1.2, 1.1), np.array([1.0, 1.2, 1.1]), torch.tensor([1.0, 1.2, 1.1]).double()],
    ids=["tuple", "array", "tensor"],
)
def test_several_numbers_of_any_kind_are_mean_and_std(values):
    assert cells(results.table([{"a": values}]))[1] == results.mean_std(values) == "1.10 ± 0.10"
    assert cells(results.table([{"a": [*values]}]))[1] == "1.10 ± 0.10"


def test_integers_are_written_out():
    for value in (123456, np.int64(123456), torch.tensor(123456)):
        assert cells(results.table([{"a": value}]))[1] == "123456"
    assert cells(results.table([{"a": True}]))[1] == "True"


@pytest.mark.parametrize("lost", [float("nan"), float("inf"), np.float32("nan")])
def test_a_lost_value_is_said(lost):
    assert cells(results.table([{"a": [1.0, lost, 2.0]}]))[1] == "1 of 3 NaN or infinite"


@pytest.mark.parametrize(
    "values, text",
    [
        ([1.0, 2.0, 3.0], "2.0 ± 1.0"),
        ([10.04, 10.06], "10.050 ± 0.014"),
        ([123456.0, 123556.0], "123506 ± 71"),
        ([5.0], "5"),
        ([5.0, 5.0], "5 ± 0"),
        ([0.1, 0.1, 0.1], "0.1 ± 0"),
        ([1e-9, 3e-9], "2e-09 ± 1.4e-09"),
    ],
)
def test_mean_and_std(values, text):
    assert results.mean_std(values) == text
