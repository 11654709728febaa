"""The appendix of verified equations: finding them, reporting on their tests, its page."""

import importlib.util
import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

pytest_plugins = "pytester"

ROOT = Path(__file__).resolve().parents[2]
spec = importlib.util.spec_from_file_location(
    "verified_equations", ROOT / "book/_ext/verified_equations.py"
)
appendix = importlib.util.module_from_spec(spec)
spec.loader.exec_module(appendix)

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
    found = appendix.key_equations(book)
    assert [(e.name, e.tex, e.page, e.title, e.words) for e in found] == [
        ("one", "x &= y \\\\\n&= z", "01-a", "A chapter", "A chapter"),
        ("two", "a = b", "01-a", "A chapter", "Name"),
        ("three", "c = d", "01-a", "A chapter", "A chapter"),
    ]


def report(*outcomes, **changes):
    about = {
        "does": "Adds up.",
        "tolerance": 1e-12,
        "unit": "",
        "file": "test_a.py",
        "test": "test_a",
        "cases": 1,
        "duration": 0.1,
        **changes,
    }
    tests = [{**about, "name": name, "outcome": outcome} for name, outcome in outcomes]
    return {"python": "3", "torch": "2", "numpy": "2", "scipy": "1", "tests": tests}


def test_appendix_says_what_passed(book):
    text, faults = appendix.page(
        appendix.key_equations(book),
        report(("one", "passed"), ("two", "passed"), ("three", "passed")),
    )
    assert faults == [] and "3 of 3 key equations passed in this build" in text
    assert (
        "{eq}`key-two`" in text
        and "✓ passed: `test_a` in `test_a.py`. Adds up. Tolerance $10^{-12}$." in text
    )


def test_appendix_gives_the_unit_and_the_cases(book):
    text, _ = appendix.page(
        appendix.key_equations(book),
        report(("two", "passed"), tolerance=4, unit="standard errors", cases=3),
    )
    assert "Tolerance 4 (standard errors), 3 cases." in text


def test_appendix_names_the_slip_and_prints_the_test(book):
    (book / "test_a.py").write_text("@mark\ndef test_a():\n    assert 1\n\n\ndef test_b(): ...\n")
    text, _ = appendix.page(
        appendix.key_equations(book),
        report(("two", "passed"), wrong="$a = 2b$", refuted=True),
        book,
    )
    assert "Fails, as it must, for $a = 2b$." in text
    assert "```text\n@mark\ndef test_a():\n    assert 1\n```" in text and "test_b" not in text
    assert "(verified-two)=\n\n### Name" in text


def test_verified_equations_get_a_mark(book, monkeypatch):
    (book / "book").mkdir()
    (book / "01-a.md").rename(book / "book/01-a.md")
    (book / "r.json").write_text(json.dumps(report(("one", "passed"), ("two", "failed"))))
    monkeypatch.setenv("FEWSTEP_EQUATIONS_REPORT", str(book / "r.json"))
    number = '<div class="math notranslate" id="equation-key-{}">\n<span class="eqno">(1.1)</span>'
    context = {"body": "".join(map(number.format, ("one", "two", "three")))}
    app = SimpleNamespace(
        srcdir=book,
        env=SimpleNamespace(found_docs={"book/01-a"}),
        builder=SimpleNamespace(get_relative_uri=lambda here, there: "appendix.html"),
    )
    appendix.mark(app, "book/01-a", "page.html", context, object())
    assert context["body"].count("<a ") == 1
    assert 'eqno"><a class="verified" href="appendix.html#verified-one"' in context["body"]


@pytest.mark.parametrize(
    "outcomes",
    [[("one", "failed")], [("one", "skipped")], [("one", "passed"), ("one", "failed")], []],
)
def test_appendix_does_not_hide_what_did_not_pass(book, outcomes):
    text, faults = appendix.page(
        appendix.key_equations(book), report(*outcomes, ("two", "passed"), ("three", "passed"))
    )
    assert len(faults) == 1 and "2 of 3 key equations passed in this build" in text


def test_appendix_without_a_run_claims_nothing(book):
    text, faults = appendix.page(appendix.key_equations(book), None)
    assert (
        faults == []
        and "**not run** for this build" in text
        and "passed" not in text
        and text.count("- **not run**") == 3
    )


@pytest.mark.parametrize(
    "number, text",
    [(1e-12, "$10^{-12}$"), (2e-7, r"$2 \cdot 10^{-7}$"), (0.01, "0.01"), (4, "4"), (0, "0")],
)
def test_tolerances_are_readable(number, text):
    assert appendix.power_of_ten(number) == text


def fill(book, text, monkeypatch, report=None):
    """The appendix as Sphinx reads it."""
    monkeypatch.delenv("FEWSTEP_EQUATIONS_REPORT", raising=False)
    if report is not None:
        monkeypatch.setenv("FEWSTEP_EQUATIONS_REPORT", str(report))
    app = SimpleNamespace(
        srcdir=book.parent, env=SimpleNamespace(note_reread=lambda: None, found_docs={"book/01-a"})
    )
    source = [text]
    appendix.fill(app, "book/verified-equations", source)
    return source[0]


def test_page_is_filled_where_it_has_the_directive(tmp_path, monkeypatch):
    (tmp_path / "book").mkdir()
    (tmp_path / "book/01-a.md").write_text(PAGE)
    (tmp_path / "book/02-left-out-of-the-contents.md").write_text(
        "# Not there\n\n$$ x $$ (key-four)\n"
    )
    path = tmp_path / "report.json"
    path.write_text(json.dumps(report(("one", "passed"), ("two", "passed"), ("three", "passed"))))
    assert fill(tmp_path / "book", "# Other\n", monkeypatch, path) == "# Other\n"
    assert "3 of 3" in fill(
        tmp_path / "book", "# Here\n\n```{verified-equations}\n```\n", monkeypatch, path
    )
    for absent in (None, tmp_path / "absent.json"):
        assert "**not run** for this build" in fill(
            tmp_path / "book", "```{verified-equations}\n```", monkeypatch, absent
        )
    assert (ROOT / "book/verified-equations.md").read_text().count(appendix.PLACE) == 1


TESTS = '''
import pytest

key = pytest.mark.equation

@key("good", tolerance=1e-12, wrong="a")
def test_good(tolerance, wrong):
    """Compares, e.g. by eye, x.y with z. Nothing more."""
    assert tolerance == 1e-12 and not wrong

@key("bad", tolerance=4, unit="standard errors", wrong="b")
@pytest.mark.parametrize("case", [1, 2, 3])
def test_bad(tolerance, wrong, case):
    """Fails
    in one case."""
    assert case != 2 and not wrong

@key("left-out", tolerance=1, wrong="c")
def test_left_out(tolerance, wrong):
    """Needs what is not there."""
    pytest.skip()

@key("broken", tolerance=1, wrong="d")
def test_broken(tolerance, wrong, no_such_fixture):
    """Never starts."""

@key("blind", tolerance=1, wrong="e")
def test_blind(tolerance, wrong):
    """Does not see the slip."""

def test_other():
    pass
'''


@pytest.fixture
def run(pytester, monkeypatch):
    """pytest on one test file with our conftest; gives the result, and the report or None."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    path = pytester.path / "made/report.json"
    monkeypatch.setenv("FEWSTEP_EQUATIONS_REPORT", str(path))
    shutil.copy(ROOT / "tests/equations/conftest.py", pytester.path)
    pytester.makeini("[pytest]\nmarkers = equation")

    def on(text, *options):
        pytester.makepyfile(test_a=text)
        done = pytester.runpytest_inprocess("-q", *options)
        return done, json.loads(path.read_text()) if path.exists() else None

    return on


@pytest.mark.parametrize("options", [(), ("-p", "xdist", "-n", "1")], ids=["alone", "in a worker"])
def test_report_says_what_each_test_did_and_how_it_ended(run, options):
    done, made = run(TESTS, *options)
    assert done.ret == pytest.ExitCode.TESTS_FAILED
    tests = {test["name"]: test for test in made["tests"]}
    assert {name: (test["outcome"], test["cases"]) for name, test in tests.items()} == {
        "good": ("passed", 1),
        "bad": ("failed", 3),
        "left-out": ("skipped", 1),
        "broken": ("failed", 1),
        "blind": ("failed", 1),
    }
    assert {name for name, test in tests.items() if test["refuted"]} == {"good", "bad"}
    assert tests["good"]["wrong"] == "a"
    assert tests["good"]["does"] == "Compares, e.g. by eye, x.y with z."
    assert tests["bad"]["does"] == "Fails in one case."
    assert (
        tests["bad"]["tolerance"],
        tests["bad"]["unit"],
        tests["bad"]["file"],
        tests["bad"]["test"],
    ) == (4, "standard errors", "test_a.py", "test_bad")


@pytest.mark.parametrize(
    "mark, arguments, doc, complaint",
    [
        ('("a")', "tolerance", "Does.", "write once"),
        ('("a", 1e-3)', "tolerance", "Does.", "write once"),
        ('("a", tolerance=1, units="m")', "tolerance", "Does.", "write once"),
        ('("a", tolerance=1)', "tolerance, wrong", "Does.", "write once"),
        ('("a", tolerance=1, wrong="b")', "", "Does.", "must take the fixture"),
        ('("a", tolerance=1, wrong="b")', "tolerance", "Does.", "must take the fixture"),
        ('("a", tolerance=1, wrong="b")', "tolerance, wrong", "", "docstring"),
        ('("a", tolerance=1, wrong="b")', "tolerance, wrong", "no sentence", "docstring"),
    ],
    ids=range(8),
)
def test_half_stated_tests_are_refused(run, mark, arguments, doc, complaint):
    done, made = run(
        f'import pytest\n\n@pytest.mark.equation{mark}\ndef test_a({arguments}):\n    """{doc}"""\n'
    )
    assert done.ret == pytest.ExitCode.USAGE_ERROR and made is None
    assert complaint in done.stderr.str() + done.stdout.str()


def test_interrupted_run_leaves_no_report(run):
    done, made = run(TESTS + '    pytest.exit("enough")\n')
    assert done.ret == pytest.ExitCode.INTERRUPTED and made is None
