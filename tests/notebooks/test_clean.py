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


def test_code_fits_the_page(notebook):
    wide = [line for cell in code(notebook) for line in cell.source.splitlines() if len(line) > 80]
    assert not wide, "lines of more than 80 columns:\n" + "\n".join(wide)


def test_cells_that_only_draw_are_folded(notebook):
    """Most of their lines speak of axes and figures."""
    drawing = re.compile(r"\b(ax|axes|axs|figure|fig|panels?|left|right|plt|plots|alt)\b")
    open_cells = []
    for cell in code(notebook):
        lines = [line for line in cell.source.splitlines() if line.strip()]
        share = sum(bool(drawing.search(line)) for line in lines) / max(1, len(lines))
        folded = {"hide-input", "setup", "exercise"} & set(cell.metadata.get("tags", []))
        if len(lines) > 5 and share > 0.5 and not folded:
            open_cells.append(cell.source)
    assert not open_cells, "tag them hide-input:\n\n" + "\n\n".join(open_cells)


def test_exercises_are_numbered_on_from_the_page(request, notebook):
    """Exercise 3.7 follows the page's six; the quickstart, without a page, counts 1, 2, 3."""
    stem = request.node.callspec.id
    page = ROOT / f"book/{stem}.md"
    chapter = f"{int(stem[:2])}." if page.exists() else ""
    on_page = (
        len(re.findall(r"^`{3,}\{exercise\}", page.read_text("utf-8"), re.M)) if chapter else 0
    )
    found = [
        number
        for cell in prose(notebook)
        for number in re.findall(r"^### Exercise ([\d.]*\d)", cell.source, re.M)
    ]
    assert found == [f"{chapter}{on_page + 1 + k}" for k in range(len(found))] and found
