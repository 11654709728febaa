"""No key equation without a test, no test without a key equation."""

import importlib.util
import re
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
spec = importlib.util.spec_from_file_location("verified_equations", ROOT / "book/_ext/verified_equations.py")
appendix = importlib.util.module_from_spec(spec)
spec.loader.exec_module(appendix)

MARKER = re.compile(r"^@pytest\.mark\.equation\(\s*[\"']([\w-]+)[\"']", re.M)


def labelled():
    return [equation.name for equation in appendix.key_equations(ROOT / "book")]


def marked():
    return [name for path in Path(__file__).parent.glob("test_*.py") for name in MARKER.findall(path.read_text(encoding="utf-8"))]


def test_each_key_equation_has_a_test():
    assert set(labelled()) - set(marked()) == set()


def test_each_test_has_a_key_equation():
    assert set(marked()) - set(labelled()) == set()


def test_each_label_is_used_once():
    assert [name for name, count in Counter(labelled()).items() if count > 1] == []


def test_no_label_escapes_the_appendix():
    """A label in a form that the appendix does not read would be neither listed nor tested."""
    written = [name for path in (ROOT / "book").glob("**/*.md") for name in appendix.ANY_LABEL.findall(path.read_text(encoding="utf-8"))]
    assert sorted(written) == sorted(f"key-{name}" for name in labelled())


PAGE = """# A chapter

```{math}
:label: key-one
x &= y \\\\
  &= z
```

::::{prf:theorem} Name
:label: thm-one

:::{math}
:label: key-two
:class: wide
a = b
:::
::::

$$ c = d $$ (key-three)

```{math}
:label: step
not = key
```
"""


@pytest.fixture
def book(tmp_path):
    (tmp_path / "01-a.md").write_text(PAGE)
    return tmp_path


def test_key_equations_are_found_in_order(book):
    assert [(e.name, e.tex, e.page, e.title) for e in appendix.key_equations(book)] == [
        ("one", "x &= y \\\\\n&= z", "01-a", "A chapter"), ("two", "a = b", "01-a", "A chapter"), ("three", "c = d", "01-a", "A chapter")]


def report(*outcomes):
    about = {"does": "Adds up.", "tolerance": 1e-12, "unit": "", "file": "test_a.py", "test": "test_a", "cases": 1, "duration": 0.1}
    tests = [{**about, "name": name, "outcome": outcome} for name, outcome in outcomes]
    return {"python": "3", "torch": "2", "numpy": "2", "scipy": "1", "tests": tests}


def test_appendix_says_what_passed(book):
    text, faults = appendix.page(appendix.key_equations(book), report(("one", "passed"), ("two", "passed"), ("three", "passed")))
    assert faults == [] and "3 of 3 key equations passed in this build" in text
    assert "{eq}`key-two`" in text and "✓ passed. Adds up. Tolerance $10^{-12}$" in text


@pytest.mark.parametrize("outcomes", [[("one", "failed")], [("one", "skipped")], [("one", "passed"), ("one", "failed")], []])
def test_appendix_does_not_hide_what_did_not_pass(book, outcomes):
    text, faults = appendix.page(appendix.key_equations(book), report(*outcomes, ("two", "passed"), ("three", "passed")))
    assert len(faults) == 1 and "2 of 3 key equations passed in this build" in text


def test_appendix_without_a_run_claims_nothing(book):
    text, faults = appendix.page(appendix.key_equations(book), None)
    assert faults == [] and "**not run** for this build" in text and "passed" not in text and text.count("- **not run**") == 3


@pytest.mark.parametrize("number, text", [(1e-12, "$10^{-12}$"), (2e-7, r"$2 \cdot 10^{-7}$"), (0.01, "0.01"), (4, "4"), (0, "0")])
def test_tolerances_are_readable(number, text):
    assert appendix.power_of_ten(number) == text
