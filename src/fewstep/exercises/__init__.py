"""Self-checks for the exercises: the reader's function against the right one.

Both are called on random probes and on edge cases. Each chapter has a module of the same name, so
that a notebook says ``from fewstep.exercises import noising`` and, under the stub
``def snr(alpha_bar): return ...``, ``noising.snr.check(snr)``. The check never raises: an error in
the reader's code is part of the answer. Mistakes foreseen by the author (:class:`Wrong`) are
recognised by what they compute, and get their own hint.
"""

import copy
import html
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from IPython import get_ipython
from IPython.display import display

from .._checks import count, function, number, require

UNSOLVED = "Replace the dots by your answer, return it, and run the cell again."
MARKS = {"unsolved": ("○", "#56B4E9"), "wrong": ("✗", "#D55E00"), "right": ("✓", "#009E73")}


@dataclass(frozen=True)
class Wrong:
    """A typical mistake.

    answer: the function a reader would have written.
    hint: names the mistake and points to the next step.
    """

    answer: Callable
    hint: str

    def __post_init__(self) -> None:
        function("answer", self.answer, "as the solution is")
        written = isinstance(self.hint, str) and self.hint.strip()
        require(written, "hint", self.hint, "words that are not empty")


@dataclass(frozen=True)
class Verdict:
    """What a check found.

    name: of the exercise.  status: "unsolved", "wrong" or "right".
    hint: what to do next, or what is wrong.
    """

    name: str
    status: str
    hint: str
    shown_in: int | None = None  # the notebook execution that displayed it already

    def __repr__(self) -> str:
        return f"{MARKS[self.status][0]} {self.name}: {self.status}. {self.hint}".rstrip()

    def _repr_html_(self) -> str:
        mark, colour = MARKS[self.status]
        return (
            f'<div style="border-left:5px solid {colour};padding:.4em .8em;margin:.3em 0;'
            f'white-space:pre-wrap">{mark} <code>{html.escape(self.name)}</code>: '
            f"<b>{self.status}.</b> {html.escape(self.hint)}</div>"
        )

    def _ipython_display_(self) -> None:  # as a cell's last value it would appear a second time
        if self.shown_in is None or self.shown_in != _execution():
            display({"text/html": self._repr_html_(), "text/plain": repr(self)}, raw=True)


@dataclass(frozen=True)
class Raised:
    """The outcome of a call that raised."""

    error: BaseException


@dataclass(frozen=True)
class Exercise:
    """One exercise with its right answer and its typical mistakes.

    name: shown in messages.
    arguments: one random probe, a tuple, from a ``numpy.random.Generator``; pass noise as an
    argument, never draw it inside the answer.
    solution: the right answer, from the arguments to a number, array, tensor, or tuple of these.
    wrong: at least three in a notebook.
    edges: further probes, tuples written out (σ = 0, one step, …).
    tolerance: an entry is right when it is off by at most tolerance · max(1, abs(right)).
    probes: how many random ones.
    Raises ValueError when a mistake cannot be told from the solution, or from another mistake, on
    the probes.
    """

    name: str
    arguments: Callable[[np.random.Generator], tuple]
    solution: Callable
    wrong: Sequence[Wrong]
    edges: Sequence[tuple] = ()
    tolerance: float = 1e-5
    probes: int = 8

    def __post_init__(self) -> None:
        require(isinstance(self.name, str), "name", self.name, "a word")
        function("arguments", self.arguments, "from a generator to a tuple")
        function("solution", self.solution, "of these arguments")
        listed = isinstance(self.wrong, (list, tuple))
        listed = listed and all(isinstance(mistake, Wrong) for mistake in self.wrong)
        require(listed, "wrong", self.wrong, "a list of Wrong(answer, hint)")
        require(isinstance(self.edges, (list, tuple)), "edges", self.edges, "a list of tuples")
        number("tolerance", self.tolerance, at_least=0)
        count("probes", self.probes)
        for probe in self._probes():
            what = f"{self.name}: a probe"
            require(isinstance(probe, tuple), what, probe, "a tuple of arguments")
        right = self._outcomes(self.solution)
        for probe, outcome in zip(self._probes(), right):
            what = f"{self.name}: solution at {probe}"
            require(not isinstance(outcome, Raised), what, outcome, "free of errors")
        told = [("the solution", right)]
        for mistake in self.wrong:
            outcomes = self._outcomes(mistake.answer)
            for other, known in told:
                allowed = f"different from {other} on at least one probe"
                differ = not self._agree(outcomes, known)
                require(differ, f"{self.name}: wrong answer", mistake.hint, allowed)
            told.append((f"the wrong answer {mistake.hint!r}", outcomes))

    def check(self, answer: Callable) -> Verdict:
        """Judge the reader's function and display the verdict. Never raises."""
        try:
            verdict = Verdict(self.name, *self._judge(answer))
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # the answer, or its error, is something that cannot be read
            verdict = Verdict(self.name, "wrong", f"It cannot be judged: {type(error).__name__}.")
        display(verdict)
        return replace(verdict, shown_in=_execution())

    def _judge(self, answer: Any) -> tuple[str, str]:
        if answer is None or answer is ...:
            return "unsolved", UNSOLVED
        if not callable(answer):
            return "wrong", (
                f"check takes the function itself, {self.name}.check({self.name}), and calls it; "
                f"it got {_describe(answer)}."
            )
        if not _takes(answer, self._probes()[0]):
            called = f"{self.name}({', '.join(self._names())})"
            return "wrong", f"It is called as {called}: your function takes other arguments."
        came, right = self._outcomes(answer), self._outcomes(self.solution)
        if any(map(_is_stub, came)) or all(outcome is None for outcome in came):
            return "unsolved", UNSOLVED
        unfinished = [o for o in came if inspect.isgenerator(o) or inspect.iscoroutine(o)]
        for outcome in unfinished:
            outcome.close()
        if unfinished:
            return "wrong", "It gave no value yet: use return, without yield, async and await."
        if self._agree(came, right):
            return "right", ""
        for mistake in self.wrong:
            if self._agree(came, self._outcomes(mistake.answer)):
                return "wrong", mistake.hint
        probe, a, b = next(
            (probe, a, b)
            for probe, a, b in zip(self._probes(), came, right)
            if not _same(a, b, self.tolerance)
        )
        difference = _difference(a, b, self.tolerance)
        return "wrong", f"{self._call(probe)} {difference}{_pattern(came, right, self.tolerance)}"

    def _probes(self) -> list[tuple]:
        """The edges first: a message about a simple case helps most."""
        random = [self.arguments(np.random.default_rng(seed)) for seed in range(self.probes)]
        return [*copy.deepcopy(list(self.edges)), *random]

    def _outcomes(self, answer: Callable) -> list:
        outcomes = []
        for probe in self._probes():  # fresh ones: an answer may change its arguments in place
            try:
                with np.errstate(all="ignore"):
                    outcomes.append(answer(*probe))
            except KeyboardInterrupt:
                raise
            except BaseException as error:  # sys.exit is one too
                outcomes.append(Raised(error))
        return outcomes

    def _agree(self, a: list, b: list) -> bool:
        return all(_same(x, y, self.tolerance) for x, y in zip(a, b))

    def _names(self) -> list[str]:
        return list(inspect.signature(self.solution).parameters)

    def _call(self, probe: tuple) -> str:
        written = [f"{name}={_describe(value)}" for name, value in zip(self._names(), probe)]
        return f"{self.name}({', '.join(written)})"


def _takes(answer: Callable, probe: tuple) -> bool:
    """Whether a function can be called with so many values."""
    try:
        signature = inspect.signature(answer)
    except (TypeError, ValueError):  # a builtin has none: the call will tell
        return True
    try:
        signature.bind(*probe)
    except TypeError:
        return False
    return True


def _execution() -> int | None:
    """The number of the notebook execution under way; None in a script."""
    shell = get_ipython()
    return None if shell is None else shell.execution_count


def _is_stub(outcome: Any) -> bool:
    """The dots are still there: returned, inside a tuple, or in the way of a computation."""
    if isinstance(outcome, Raised):
        return "ellipsis" in str(outcome.error).lower()
    return outcome is ... or (isinstance(outcome, (tuple, list)) and any(map(_is_stub, outcome)))


def _array(value: Any) -> np.ndarray:
    """``value`` as a float64 array (complex stays complex); raises where it is no number."""
    if isinstance(value, torch.Tensor):
        value = value.detach().cpu()
        value = (value.to(torch.complex128) if value.is_complex() else value.double()).numpy()
    array = np.asarray(value)
    if array.dtype.kind not in "biufc":
        raise TypeError(f"{type(value).__name__} is not a number")
    return array.astype(complex if np.iscomplexobj(array) else np.float64)


def _same(a: Any, b: Any, tolerance: float) -> bool:
    """Whether two outcomes agree: the same error, or shape and entries, also NaN and ±∞."""
    if isinstance(a, Raised) or isinstance(b, Raised):
        return isinstance(a, Raised) and isinstance(b, Raised) and type(a.error) is type(b.error)
    if isinstance(a, tuple) or isinstance(b, tuple):
        return (
            isinstance(a, (tuple, list))
            and isinstance(b, (tuple, list))
            and len(a) == len(b)
            and all(_same(x, y, tolerance) for x, y in zip(a, b))
        )
    if a is None or b is None or isinstance(a, str) or isinstance(b, str):
        return a is b or (isinstance(a, str) and isinstance(b, str) and a == b)
    try:
        a, b = _array(a), _array(b)
    except Exception:
        return False
    if a.shape != b.shape:
        return False
    with np.errstate(all="ignore"):
        equal = (a == b) | (np.isnan(a) & np.isnan(b))  # also ±∞
        return bool((equal | (np.abs(a - b) <= tolerance * np.maximum(1, np.abs(b)))).all())


def _describe(value: Any) -> str:
    """A value in a few words: numbers and short arrays written out, larger ones by shape."""
    if isinstance(value, (tuple, list)) and not all(isinstance(v, (int, float)) for v in value):
        return f"({', '.join(map(_describe, value))})"
    if value is None or isinstance(value, str) or callable(value):
        return getattr(value, "__name__", None) or (
            repr(value) if value is None or isinstance(value, str) else type(value).__name__
        )
    try:
        array = _array(value)
    except Exception:
        return f"a value of type {type(value).__name__}"
    if array.ndim == 0:
        return f"{array.item():.6g}"
    return _rows(array) if array.size <= 6 else f"an array of shape {array.shape}"


def _rows(array: np.ndarray) -> str:
    return f"[{', '.join(map(_rows, array))}]" if array.ndim else f"{array.item():.4g}"


def _difference(came: Any, right: Any, tolerance: float) -> str:
    """What came and what kind of thing is expected, without giving the answer away."""
    if isinstance(came, Raised):
        return f"raised {type(came.error).__name__}: {came.error}"
    if isinstance(right, tuple):
        if not isinstance(came, (tuple, list)) or len(came) != len(right):
            return f"gave {_describe(came)}; expected are {len(right)} values, as a tuple."
        number, a, b = next(
            (i, a, b) for i, (a, b) in enumerate(zip(came, right), 1) if not _same(a, b, tolerance)
        )
        return f"is wrong in value {number} of {len(right)}: it {_difference(a, b, tolerance)}"
    try:
        a, b = _array(came), _array(right)
    except Exception:
        return f"gave {_describe(came)}; expected is {_kind(right)}."
    if a.shape != b.shape:
        return f"gave {_describe(came)}, of shape {a.shape}; expected is {_kind(right)}."
    if not np.isfinite(a).all() and np.isfinite(b).all():
        return f"gave {_describe(came)}, with NaN or infinity; expected is {_kind(right)}, finite."
    with np.errstate(all="ignore"):
        return f"gave {_describe(came)}; it is off by {np.nanmax(np.abs(a - b)):.2g}."


def _kind(value: Any) -> str:
    if value is None or isinstance(value, str):
        return "a word" if isinstance(value, str) else "None"
    shape = _array(value).shape
    return f"of shape {shape}" if shape else "a number"


def _pattern(came: list, right: list, tolerance: float) -> str:
    """A remark on how all answers relate to the right ones: a constant factor, or a square."""
    try:
        a, b = (
            np.concatenate([_array(value).ravel() for value in values]) for values in (came, right)
        )
    except Exception:  # words, errors
        return ""
    keep = np.isfinite(b) & (np.abs(b) > 1e-9) if a.shape == b.shape else np.zeros(0)
    if keep.sum() < 2 or not np.isfinite(a[keep]).all():
        return ""
    a, b = a[keep], b[keep]
    factor = np.vdot(b, a) / np.vdot(b, b)
    if abs(factor) > tolerance and abs(factor - 1) > tolerance and _same(a, factor * b, tolerance):
        times = "minus" if abs(factor + 1) <= tolerance else f"{factor:.4g} times"
        return f" It is {times} the right answer, on every probe."
    for other, what in ((b**2, "square"), (np.sqrt(np.abs(b)), "square root")):
        if _same(a, other, tolerance):
            return f" It is the {what} of the right answer, on every probe."
    return ""
