"""The exercises' machinery, and every notebook's stubs, solutions and typical mistakes."""

import ast
import importlib
import pkgutil
import re
import sys
from pathlib import Path

import nbformat
import numpy as np
import pytest
import torch

import fewstep.exercises
from fewstep.exercises import Exercise, Verdict, Wrong

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
MODULES = [
    importlib.import_module(f"fewstep.exercises.{module.name}")
    for module in pkgutil.iter_modules(fewstep.exercises.__path__)
]
EXERCISES = {
    id(exercise): exercise
    for module in MODULES
    for exercise in vars(module).values()
    if isinstance(exercise, Exercise)
}
# The blank lines matter: without them the block would be shown as raw text.
SOLUTION = re.compile(
    r"<details>\s*<summary>Solution</summary>\n\n```python\n(.*?)```\n\n</details>", re.S
)


# --- every exercise of the course


@pytest.mark.parametrize("exercise", EXERCISES.values(), ids=lambda exercise: exercise.name)
def test_typical_mistakes_get_their_own_hint(exercise):
    assert len(exercise.wrong) >= 3
    assert len({mistake.hint for mistake in exercise.wrong}) == len(exercise.wrong)
    for mistake in exercise.wrong:
        verdict = exercise.check(mistake.answer)
        assert (verdict.status, verdict.hint) == ("wrong", mistake.hint)
    assert exercise.check(exercise.solution).status == "right"


def exercises_of(path):
    """The setup cell, and of each exercise its cell with the solutions up to the next one."""
    cells = nbformat.read(path, as_version=4).cells
    tags = [cell.metadata.get("tags", []) for cell in cells]
    setup = next(cell.source for cell, tag in zip(cells, tags) if "setup" in tag)
    at = [number for number, tag in enumerate(tags) if "exercise" in tag] + [len(cells)]
    after = [
        "\n".join(cell.source for cell in cells[a + 1 : b] if cell.cell_type == "markdown")
        for a, b in zip(at, at[1:])
    ]
    return setup, [
        (cells[number].source, SOLUTION.findall(text)) for number, text in zip(at, after)
    ]


def checks_only(source):
    """The part of a cell that calls ``check``, without the stub."""
    kept = [node for node in ast.parse(source).body if isinstance(node, ast.Expr)]
    return compile(ast.Module(kept, []), "<checks>", "exec")


@pytest.fixture
def verdicts(monkeypatch):
    """All verdicts as they are given: [(exercise, verdict), …]."""
    given, check = [], Exercise.check

    def record(exercise, answer):
        given.append((exercise, check(exercise, answer)))
        return given[-1][1]

    monkeypatch.setattr(Exercise, "check", record)
    return given


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_stubs_are_unsolved_and_solutions_right(path, verdicts):
    setup, cells = exercises_of(path)
    namespace = {"__name__": "notebook"}
    exec(setup, namespace)
    assert cells, "no cell carries the tag 'exercise'"
    for stub, solutions in cells:
        verdicts.clear()
        exec(stub, namespace)
        assert [verdict.status for _, verdict in verdicts] == ["unsolved"], stub
        assert len(solutions) == 1, (
            f"needs one <details><summary>Solution</summary> with a python block after it:\n{stub}"
        )
        exec(solutions[0], namespace)
        exec(checks_only(stub), namespace)
        assert [verdict.status for _, verdict in verdicts] == ["unsolved", "right"], (
            f"{solutions[0]}\n{verdicts[-1][1]}"
        )


def test_each_exercise_is_in_the_notebook_of_its_module(verdicts):
    """Run the stubs once more, and see which exercises they checked."""
    used = {}
    for path in NOTEBOOKS:
        setup, cells = exercises_of(path)
        namespace = {"__name__": "notebook"}
        exec(setup, namespace)
        verdicts.clear()
        for stub, _ in cells:
            exec(stub, namespace)
        used[re.sub(r"^\d+-", "", path.stem).replace("-", "_")] = {
            exercise.name for exercise, _ in verdicts
        }
    written = {
        module.__name__.rpartition(".")[2]: {
            exercise.name for exercise in vars(module).values() if isinstance(exercise, Exercise)
        }
        for module in MODULES
    }
    assert used == written


# --- the machinery

snr = Exercise(
    name="snr",
    arguments=lambda rng: (rng.uniform(0.1, 0.9),),
    edges=[(0.5,)],
    solution=lambda alpha_bar: alpha_bar / (1 - alpha_bar),
    wrong=[
        Wrong(lambda a: (1 - a) / a, "upside down"),
        Wrong(lambda a: (a / (1 - a)) ** 0.5, "a ratio of standard deviations"),
    ],
)


def status(exercise, answer):
    verdict = exercise.check(answer)
    return verdict.status, verdict.hint


@pytest.mark.parametrize(
    "answer",
    [
        lambda a: ...,
        lambda a: None,
        lambda a: (..., 1),
        lambda a: 2 * ...,
        lambda a: torch.ones(2) + ...,
        ...,
        None,
    ],
    ids=range(7),
)
def test_dots_read_as_unsolved(answer):
    assert snr.check(answer).status == "unsolved"


@pytest.mark.parametrize(
    "kind",
    [
        float,
        np.float32,
        np.array,
        torch.tensor,
        lambda x: torch.tensor(x, dtype=torch.float64),
        lambda x: torch.tensor(x, requires_grad=True),
    ],
    ids=range(6),
)
def test_any_kind_of_number_may_be_right(kind):
    assert status(snr, lambda a: kind(a / (1 - a))) == ("right", "")


async def wait(a):
    return a


class Rude:
    """Leaves wherever it is looked at as an array."""

    def __array__(self, *arguments, **options):
        sys.exit()


class Unspeakable(Exception):
    def __str__(self):
        return str(1 / 0)


endless: list = []
endless.append(endless)


ANSWERS = [
    (lambda a: 1 / 0, "raised ZeroDivisionError"),
    (lambda a: undefined, "raised NameError: name 'undefined'"),  # noqa: F821
    (lambda: 1, r"It is called as snr\(alpha_bar\): your function takes other arguments"),
    (lambda a, b: 1, "takes other arguments"),
    (lambda *, a: 1, "takes other arguments"),
    (lambda a: torch.ones(3), r"of shape \(3,\); expected is a number"),
    (lambda a: float("nan"), "NaN"),
    (lambda a: "one", "'one'; expected is a number"),
    (lambda a: {1: 2}, "a value of type dict; expected is a number"),
    (lambda a: None if a == 0.5 else a / (1 - a), "gave None; expected is a number"),
    (lambda a: (a, a), "expected is a number"),
    (lambda a: a + 7, r"snr\(alpha_bar=0.5\) gave 7.5; it is off by 6.5"),
    (lambda a: -a / (1 - a), "minus the right answer"),
    (lambda a: a / (1 - a) / 2, "0.5 times the right answer"),
    (lambda a: (a / (1 - a)) ** 2, "the square of the right answer"),
    (0.5, "takes the function itself"),
    (lambda a: (_ for _ in ()).throw(RecursionError("deep")), "raised RecursionError: deep"),
    (lambda a: sys.exit("bye"), "raised SystemExit: bye"),
    (lambda a: (_ for _ in ()).throw(GeneratorExit()), "raised GeneratorExit"),
    (lambda a: (yield a), "use return, without yield"),
    (wait, "use return, without yield, async and await"),
    (lambda a: object(), "a value of type object; expected is a number"),
    (lambda a: [a, [a]], "expected is a number"),
    (lambda a: {a}, "a value of type set"),
    (lambda a: torch.nn.ReLU(), "expected is a number"),
    (lambda a: b"1", "expected is a number"),
    (lambda a: endless, "It cannot be judged: RecursionError"),
    (lambda a: Rude(), "It cannot be judged: SystemExit|expected is a number"),
    (lambda a: (_ for _ in ()).throw(Unspeakable()), "It cannot be judged: ZeroDivisionError"),
    (Rude(), "It cannot be judged|takes the function itself"),
    ("snr", "takes the function itself"),
    ([1], "takes the function itself"),
]


@pytest.mark.parametrize("answer, hint", ANSWERS, ids=range(len(ANSWERS)))
def test_no_answer_makes_the_check_raise(answer, hint):
    verdict = snr.check(answer)
    assert verdict.status == "wrong" and re.search(hint, verdict.hint), verdict


def test_the_reader_can_stop_an_answer():
    def stop(a):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        snr.check(stop)


def test_answers_that_change_their_arguments_do_no_harm():
    def clear(x):
        x.zero_()
        return x

    exercise = Exercise(
        name="double",
        arguments=lambda rng: (torch.as_tensor(rng.normal(size=3)),),
        edges=[(torch.ones(3),)],
        solution=lambda x: 2 * x,
        wrong=[Wrong(lambda x: x, "once")],
    )
    assert exercise.check(clear).status == "wrong"
    assert exercise.check(lambda x: x.mul_(2)).status == "right"
    assert exercise.edges[0][0].tolist() == [1, 1, 1]


def test_values_are_compared_entry_by_entry_never_as_sums():
    exercise = Exercise(
        name="turn", arguments=lambda rng: (rng.normal(size=4),), solution=lambda x: -x, wrong=[]
    )
    assert exercise.check(lambda x: -x[::-1]).status == "wrong"
    assert exercise.check(lambda x: -x[:, None]).status == "wrong"


@pytest.mark.parametrize("off, expected", [(0, "right"), (0.9e-3, "right"), (1.1e-3, "wrong")])
@pytest.mark.parametrize("size", [0.01, 1, 100])
def test_tolerance_is_relative_above_one_and_absolute_below(off, expected, size):
    exercise = Exercise(
        name="as_is", arguments=lambda rng: (size,), solution=lambda x: x, wrong=[], tolerance=1e-3
    )
    assert exercise.check(lambda x: x + off * max(1, size)).status == expected


def test_infinity_and_nan_can_be_right():
    exercise = Exercise(
        name="log", arguments=lambda rng: (np.array([0.0, -1.0, 1.0]),), solution=np.log, wrong=[]
    )
    assert exercise.check(lambda x: np.log(x)).status == "right"
    assert exercise.check(lambda x: np.nan_to_num(np.log(x))).status == "wrong"


def test_tuples_name_the_value_that_is_wrong():
    exercise = Exercise(
        name="two", arguments=lambda rng: (rng.normal(),), solution=lambda x: (x, 2 * x), wrong=[]
    )
    assert exercise.check(lambda x: [x, 2 * x]).status == "right"
    assert "wrong in value 2 of 2" in exercise.check(lambda x: (x, x)).hint
    assert "expected are 2 values" in exercise.check(lambda x: x).hint


def test_a_mistake_may_be_an_error():
    """Forgetting the case σ = 0 shows as an exception: it has its hint too."""
    exercise = Exercise(
        name="inverse",
        arguments=lambda rng: (rng.uniform(1, 2),),
        edges=[(0.0,)],
        solution=lambda x: 1 / x if x else 0.0,
        wrong=[Wrong(lambda x: 1 / x, "zero has no inverse")],
    )
    assert status(exercise, lambda y: y**-1.0) == ("wrong", "zero has no inverse")


def build(**changes):
    return Exercise(
        **{
            "name": "e",
            "arguments": lambda rng: (rng.uniform(1, 2),),
            "solution": lambda x: x,
            "wrong": [],
            **changes,
        }
    )


@pytest.mark.parametrize(
    "changes, message",
    [
        (
            {"wrong": [Wrong(lambda x: x + 1e-9, "no mistake")]},
            "'no mistake': must be different from the solution",
        ),
        (
            {"wrong": [Wrong(lambda x: -x, "one"), Wrong(lambda x: 0 - x, "two")]},
            "'two': must be different from the wrong answer 'one'",
        ),
        ({"solution": lambda x: 1 / 0}, "free of errors"),
        ({"arguments": lambda rng: 1.0}, "a tuple of arguments"),
    ],
    ids=range(4),
)
def test_useless_exercises_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        build(**changes)


def test_verdicts_read_well_as_text_and_as_html():
    verdict = Verdict("snr", "wrong", "σ < σ² & more")
    assert repr(verdict) == "✗ snr: wrong. σ < σ² & more"
    assert "<b>wrong.</b> σ &lt; σ² &amp; more" in verdict._repr_html_()
    assert repr(Verdict("snr", "right", "")) == "✓ snr: right."


def test_a_script_prints_the_verdict(capsys):
    snr.check(lambda a: ...)
    assert capsys.readouterr().out.startswith("○ snr: unsolved.")


def test_a_notebook_shows_each_verdict_once():
    """As the last value of a cell, and also where it is not the last."""
    from IPython.core.interactiveshell import InteractiveShell
    from IPython.utils.capture import capture_output

    shell = InteractiveShell.instance()
    shell.user_ns["snr"] = snr
    try:
        with capture_output() as captured:
            shell.run_cell(
                "snr.check(lambda a: ...)\nlast = snr.check(lambda a: a / (1 - a))\nlast",
                store_history=True,
            )
        assert [output.data["text/plain"][0] for output in captured.outputs] == ["○", "✓"]
        assert all("<b>" in output.data["text/html"] for output in captured.outputs)
        with capture_output() as captured:
            shell.run_cell("last", store_history=True)
        assert len(captured.outputs) == 1
    finally:
        InteractiveShell.clear_instance()
