"""Imports point one way: down the list that CONTRIBUTING.md gives."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted((ROOT / "src/fewstep").rglob("*.py"))
ORDER = re.search(r"in the list (.*?) \(a test reads", (ROOT / "CONTRIBUTING.md").read_text())[1]
PLACE = {name: place for place, name in enumerate(ORDER.split(" → "))}


def imported(path):
    """Public modules of the package that a file imports, at its top or inside a function."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level:
            first = (node.module or "").partition(".")[0]
            yield from [first] if first else [alias.name for alias in node.names]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_a_module_imports_only_from_those_before_it(path):
    own = path.relative_to(ROOT / "src/fewstep").parts[0].removesuffix(".py")
    if own.startswith("_"):
        return  # shared by all, or the command line, which comes last
    assert own in PLACE, f"{own} has no place in the list"
    later = [name for name in imported(path) if PLACE.get(name, -1) > PLACE[own]]
    assert not later
