"""Bad calls of every public function, each with the words that its error must hold.

A file ``bad_calls/<module>.py`` holds ``BAD``: from the dotted name of a public function or class
("metrics.kid"; methods too: "data.Images.split") to a list of (function without arguments that
makes the bad call, words of the message). A public name without a line fails.
"""

import functools
import importlib
import importlib.util
import inspect
import pkgutil
from pathlib import Path

import pytest

import fewstep

TABLES = {}
for path in sorted((Path(__file__).parent / "bad_calls").glob("*.py")):
    spec = importlib.util.spec_from_file_location(f"bad_calls_{path.stem}", path)
    table = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(table)
    TABLES[path.stem] = table.BAD

CALLS = [
    pytest.param(thunk, words, id=f"{name}-{i}")
    for table in TABLES.values()
    for name, calls in table.items()
    for i, (thunk, words) in enumerate(calls)
]

# Public names that need no line, and why.
ALLOWED = {
    "processes.Instant": "made by a process, which checks the time",
    "solvers.Samples": "made by sample only",
    "denoisers.Conditional": "made by given, which checks its arguments",
    "learners.Batch": "made by run only",
    "learners.constant": "the same for every argument",
    "training.History": "made by run only",
    "training.TrainingResult": "made by train only",
    "plots.Picture": "made by show and slider only",
    "recipes.Section": "a part of a recipe, which load checks, as are all that follow",
    "recipes.Data": "",
    "recipes.Network": "",
    "recipes.Noise": "",
    "recipes.Training": "",
    "recipes.Sampling": "",
    "recipes.Evaluation": "",
    "recipes.Recipe": "",
    "results.Table": "a piece of text, made by table only",
    "exercises.Raised": "the outcome of a call, made by check only",
    "exercises.Verdict": "the outcome of a check, made by check only",
    "exercises.quickstart.two_points": "an argument of the exercises, called by answers only",
}


def public(module):
    """The public functions and classes at home in a module that can be called badly."""
    for name, thing in vars(module).items():
        if name.startswith("_") or getattr(thing, "__module__", None) != module.__name__:
            continue
        if inspect.isclass(thing) or (
            inspect.isroutine(thing) and inspect.signature(thing).parameters
        ):
            yield name


def modules():
    """Name without "fewstep." → module, for every public module of the package."""
    for found in pkgutil.walk_packages(fewstep.__path__, "fewstep."):
        if not any(part.startswith("_") for part in found.name.split(".")):
            yield found.name.removeprefix("fewstep."), importlib.import_module(found.name)


@pytest.mark.parametrize("call, words", CALLS)
def test_a_bad_call_gets_the_error_of_the_house(call, words):
    with pytest.raises(ValueError) as caught:
        call()
    assert words in str(caught.value)


def test_every_public_name_has_a_line():
    without = [
        f"{where}.{name}"
        for where, module in modules()
        for name in public(module)
        if f"{where}.{name}" not in ALLOWED
        and not TABLES.get(where.partition(".")[0], {}).get(f"{where}.{name}")
    ]
    assert without == []


def test_every_line_is_about_something_that_exists():
    for stem, table in TABLES.items():
        for name in table:
            assert name.partition(".")[0] == stem, (
                f"{name} belongs into another file than {stem}.py"
            )
            parts = name.split(".")
            depth = next(  # the longest part of the name that is a module
                i for i in range(len(parts), 0, -1) if ".".join(parts[:i]) in dict(modules())
            )
            functools.reduce(getattr, parts[depth:], dict(modules())[".".join(parts[:depth])])
