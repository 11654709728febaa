"""A cell run again says the same: it makes what it trains anew and seeds what it draws."""

import copy
import difflib
import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOKS = sorted((Path(__file__).resolve().parents[2] / "notebooks").glob("*.ipynb"))
SHOWN = ("text/plain", "text/markdown", "text/html")
WIDGET = "application/vnd.jupyter.widget-view+json"
SECONDS = re.compile(r"(?<![\w.])\d+(\.\d+)? s(?![\w(])")
PNG = re.compile(r"(?<=data:image/png;base64,)[\w+/=]+")


def says(cell, widgets):
    """What the page shows of a cell: printed lines, texts, tables, pictures; of a slider the first.

    Neither stderr nor progress bars, which hold times and come only where it takes long.
    """
    parts = []
    for output in cell.outputs:
        if output.output_type == "stream" and output.name == "stdout":
            parts.append(output.text)  # in as many pieces as it came
        elif WIDGET in output.get("data", {}):
            box = widgets[output.data[WIDGET]["model_id"]]
            inside = [widgets[name.removeprefix("IPY_MODEL_")] for name in box["children"]]
            values = [str(part.get("value", "")) for part in inside]
            parts += [f"\n{value}\n" for value in values if "<img" in value]
        elif "data" in output:
            parts += [f"\n{output.data[kind]}\n" for kind in SHOWN if kind in output.data]
    return SECONDS.sub("… s", "".join(parts)).splitlines()


def different(first, again):
    """The lines that differ, with pictures in short: "" where both say the same."""
    short = lambda line: PNG.sub(lambda match: f"PNG {hash(match.group()):x}", line)[:300]
    lines = difflib.unified_diff(first, again, "first", "again", n=0, lineterm="")
    return "\n".join(map(short, lines))


def run_again(notebook, folder="."):
    """For each code cell the lines that change when it is run twice in a row, and after that once
    more with all others from the top: there a cell shows what its predecessors' second run moved.

    All in one kernel.
    """
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    first, second, third = ([copy.deepcopy(cell) for cell in cells] for _ in range(3))
    order = [cell for pair in zip(first, second) for cell in pair] + third
    for number, cell in enumerate(order):
        cell.id = f"cell-{number}"
    run = nbformat.v4.new_notebook(cells=order, metadata=notebook.metadata)
    client = NotebookClient(run, timeout=120, resources={"metadata": {"path": folder}})
    client.execute()
    found = {}
    for cell, one, two, three in zip(cells, first, second, third):
        for when, again in (("at once", two), ("from the top", three)):
            before, after = (says(part, client.widget_state) for part in (one, again))
            if lines := different(before, after):
                found[f"{cell.id}, run again {when}"] = lines
    return found


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_cell_run_again_says_the_same(path, monkeypatch):
    monkeypatch.setenv("FEWSTEP_SCALE", "smoke")
    for variable in ("FEWSTEP_STATIC", "FEWSTEP_RECORD"):
        monkeypatch.delenv(variable, raising=False)
    found = run_again(nbformat.read(path, as_version=4), path.parent)
    assert not found, "\n".join(f"{where}:\n{lines}" for where, lines in found.items())


def test_finds_what_trains_further_and_what_draws_on():
    sources = [
        "import random\nrandom.seed(0)\nweights = []",
        "weights.append(1)\nprint(len(weights), 'weights in', 3.5 * len(weights), 's')",
        "drawn = random.random()",
        "drawn",
        "import time\nprint('trained in', time.time_ns() % 60, 's', flush=True)",
    ]
    cells = [nbformat.v4.new_code_cell(source, id=f"c{k}") for k, source in enumerate(sources)]
    found = run_again(nbformat.v4.new_notebook(cells=cells))
    assert set(found) == {"c1, run again at once", "c3, run again from the top"}
    assert "-1 weights in … s\n+2 weights in … s" in found["c1, run again at once"]
