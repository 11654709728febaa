"""What every notebook keeps to, so that it reads well here, on the site and on Colab."""

import ast
import re
import sys
from pathlib import Path
from statistics import median

import nbformat
import pytest

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


@pytest.fixture(params=NOTEBOOKS, ids=lambda path: path.stem)
def notebook(request):
    return nbformat.read(request.param, as_version=4)


def code(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def prose(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "markdown"]


def test_there_are_notebooks():
    assert NOTEBOOKS


def test_valid_and_without_outputs(notebook):
    nbformat.validate(notebook)
    kept = [
        number
        for number, cell in enumerate(notebook.cells)
        if cell.get("outputs") or cell.get("execution_count")
    ]
    assert not kept, f"cells {kept} hold outputs: jupyter nbconvert --clear-output --inplace"


def test_begins_with_a_title_and_the_setup_cell(notebook):
    assert notebook.cells[0].cell_type == "markdown" and notebook.cells[0].source.startswith("# ")
    tagged = [cell for cell in notebook.cells if "setup" in cell.metadata.get("tags", [])]
    assert tagged == code(notebook)[:1], (
        "the first code cell, and no other, carries the tag 'setup'"
    )


def test_fewstep_is_imported_before_torch(notebook):
    # The library sets how PyTorch's threads wait, which counts only before torch is loaded.
    modules = []
    for node in ast.walk(ast.parse(code(notebook)[0].source)):
        if isinstance(node, ast.ImportFrom):
            modules.append(node.module)
        elif isinstance(node, ast.Import):
            modules += [alias.name for alias in node.names]
    roots = [module.split(".")[0] for module in modules]
    others = [root for root in roots if root not in sys.stdlib_module_names]
    assert others[:1] == ["fewstep"], f"the setup cell imports {others} in this order"


def test_is_mostly_prose_in_small_steps(notebook):
    share = len(prose(notebook)) / len(notebook.cells)
    assert 0.5 <= share <= 0.75, f"{share:.0%} of the cells are Markdown, not about 60 %"
    lengths = [len(cell.source.splitlines()) for cell in code(notebook)]
    assert median(lengths) <= 10 and max(lengths) <= 40, f"lines of code by cell: {lengths}"


def test_no_markup_that_colab_cannot_show(notebook):
    myst = re.compile(r"^\s*(```|:::+|~~~)\s*\{|\{[a-z:]+\}`|^\(\S+\)=\s*$", re.MULTILINE)
    found = [match.group() for cell in prose(notebook) if (match := myst.search(cell.source))]
    assert not found, f"MyST does not render on Colab: {found}"
