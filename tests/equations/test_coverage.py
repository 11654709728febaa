"""No key equation without a test, no test without a key equation."""

import importlib.util
import re
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
spec = importlib.util.spec_from_file_location(
    "verified_equations", ROOT / "book/_ext/verified_equations.py"
)
appendix = importlib.util.module_from_spec(spec)
spec.loader.exec_module(appendix)

MARKER = re.compile(r"^@pytest\.mark\.equation\(\s*[\"']([\w-]+)[\"']", re.M)


def labelled():
    return [equation.name for equation in appendix.key_equations(ROOT / "book")]


def marked():
    return [
        name
        for path in Path(__file__).parent.glob("test_*.py")
        for name in MARKER.findall(path.read_text(encoding="utf-8"))
    ]


def test_each_key_equation_has_a_test():
    assert set(labelled()) - set(marked()) == set()


def test_each_test_has_a_key_equation():
    assert set(marked()) - set(labelled()) == set()


def test_each_label_is_used_once():
    assert [name for name, count in Counter(labelled()).items() if count > 1] == []


def test_no_label_escapes_the_appendix():
    """A label in a form that the appendix does not read would be neither listed nor tested."""
    written = [
        name
        for path in (ROOT / "book").glob("**/*.md")
        for name in appendix.ANY_LABEL.findall(path.read_text(encoding="utf-8"))
    ]
    assert sorted(written) == sorted(f"key-{name}" for name in labelled())
