"""The appendix of verified equations, in the place of the directive `{verified-equations}`.

Lists every equation that a page labels key-…, with what its tests do and how they ended. The
outcomes come from the report that `pytest tests/equations` writes to FEWSTEP_EQUATIONS_REPORT;
tools/build.py runs it before Sphinx. Without a report the page says that nothing was run.
"""

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path

PLACE = "```{verified-equations}\n```"

# ```{math}            and   $$ … $$ (key-name)
# :label: key-name
BLOCK = re.compile(
    r"^[ ]*(?P<fence>`{3,}|:{3,})\{math\}[ ]*\n"
    r"(?P<options>(?:[ ]*:[\w-]+:[^\n]*\n)+)(?P<tex>.*?)^[ ]*(?P=fence)[ ]*$",
    re.M | re.S,
)
DOLLARS = re.compile(r"\$\$(?P<tex>(?:[^$]|\\\$)+)\$\$[ ]*\((?P<label>key-[\w-]+)\)")
LABEL = re.compile(r"^[ ]*:label:[ ]*(key-[\w-]+)[ ]*$", re.M)
ANY_LABEL = re.compile(r"(?:label:[ ]*|\$\$[ ]*\(|\\label\{|^\()(key-[\w-]+)", re.M)


@dataclass(frozen=True)
class Equation:
    """A key equation.

    name: the label without key-.  page: its file's name without .md.  title: of the page.
    """

    name: str
    tex: str
    page: str
    title: str


def key_equations(book: Path) -> list[Equation]:
    """All key equations of the pages in a folder, page by page, in order of appearance."""
    found = []
    for path in sorted(book.glob("*.md")):
        text = path.read_text(encoding="utf-8")
        title = re.search(r"^# (.+)$", text, re.M)
        here = [
            (match.start(), label.group(1), match["tex"])
            for match in BLOCK.finditer(text)
            if (label := LABEL.search(match["options"]))
        ]
        here += [(match.start(), match["label"], match["tex"]) for match in DOLLARS.finditer(text)]
        found += [
            Equation(
                label.removeprefix("key-"),
                re.sub(r"\s*\n\s*", "\n", tex).strip(),
                path.stem,
                title[1].strip() if title else path.stem,
            )
            for _, label, tex in sorted(here)
        ]
    return found


def power_of_ten(number) -> str:
    """A tolerance as it is read: 0.002 as it stands, 1e-12 as $10^{-12}$."""
    mantissa, _, exponent = f"{number:g}".partition("e")
    if not exponent:
        return mantissa
    factor = "" if mantissa == "1" else mantissa + r" \cdot "
    return f"${factor}10^{{{int(exponent)}}}$"


def page(equations, report) -> tuple[str, list[str]]:
    """The list as MyST, and its faults: equations without a test, or with one that did not pass."""
    lines, faults = [], []
    if report is None:
        lines += [
            "```{warning}",
            "The tests were **not run** for this build: nothing below is verified here. "
            "`make book` runs them first.",
            "```",
            "",
        ]
    else:
        tests = [t for t in report["tests"] if t["name"] in {e.name for e in equations}]
        passed = [
            e
            for e in equations
            if (own := [t for t in tests if t["name"] == e.name])
            and all(t["outcome"] == "passed" for t in own)
        ]
        ran, seconds = sum(t["cases"] for t in tests), sum(t["duration"] for t in tests)
        lines += [
            f"**{len(passed)} of {len(equations)} key equations passed in this build**: "
            f"{ran} cases of {len(tests)} tests in {seconds:.0f} s, "
            f"with Python {report['python']}, torch {report['torch']}, "
            f"NumPy {report['numpy']}, SciPy {report['scipy']}.",
            "",
        ]
    before = None
    for equation in equations:
        if equation.page != before:
            lines += [f"## {equation.title}", ""]
            before = equation.page
        lines += [
            f"### {equation.name}",
            "",
            "```{math}",
            equation.tex,
            "```",
            "",
            f"Equation {{eq}}`key-{equation.name}`, "
            f"derived in {{doc}}`{equation.title} <{equation.page}>`.",
            "",
        ]
        own = [] if report is None else [t for t in report["tests"] if t["name"] == equation.name]
        if report is None:
            lines += ["- **not run** in this build.", ""]
        elif not own:
            lines += ["- **no test**.", ""]
            faults.append(f"{equation.name}: no test")
        for t in own:
            mark = {"passed": "✓ passed", "failed": "✗ **FAILED**"}.get(
                t["outcome"], f"**{t['outcome']}**"
            )
            unit = f" ({t['unit']})" if t["unit"] else ""
            cases = f", {t['cases']} cases" if t["cases"] > 1 else ""
            lines.append(
                f"- {mark}: `{t['test']}` in `{t['file']}`. {t['does']} "
                f"Tolerance {power_of_ten(t['tolerance'])}{unit}{cases}."
                + (f" Fails, as it must, for {t['wrong']}." if t.get("refuted") else "")
            )
            if t["outcome"] != "passed":
                faults.append(f"{equation.name}: {t['test']} {t['outcome']}")
        lines.append("")
    return "\n".join(lines), faults


def fill(app, docname, source):
    """Put the list where the page has the directive."""
    from sphinx.util.logging import getLogger  # the tests read this module without Sphinx

    if PLACE not in source[0]:
        return
    app.env.note_reread()  # it depends on every other page, and on the report
    path = os.environ.get("FEWSTEP_EQUATIONS_REPORT")
    report = (
        json.loads(Path(path).read_text(encoding="utf-8")) if path and Path(path).exists() else None
    )
    equations = [
        e
        for e in key_equations(Path(app.srcdir) / "book")
        if f"book/{e.page}" in app.env.found_docs
    ]
    text, faults = page(equations, report)
    source[0] = source[0].replace(PLACE, text)
    for fault in faults:
        getLogger(__name__).warning("key equation not verified: %s", fault, location=docname)


def setup(app):
    # as source, so that the list has headings and a table of contents
    app.connect("source-read", fill)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
