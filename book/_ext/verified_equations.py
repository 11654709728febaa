"""The appendix of verified equations, in the place of the directive `{verified-equations}`.

Lists every equation that a page labels key-…, with what its tests do, the slip on which they fail,
their code, and how they ended; and puts a mark that leads there beside each on its own page. The
outcomes come from the report that `pytest tests/equations` writes to FEWSTEP_EQUATIONS_REPORT;
tools/build.py runs it before Sphinx. Without a report the page says that nothing was run.
"""

import ast
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
BOX = re.compile(r"^[ ]*(?P<fence>`{3,}|:{3,})\{(?:prf:\w+|admonition)\}[ ]*(?P<title>\S.*)$", re.M)
HEADING = re.compile(r"^#+ (?P<title>.+)$", re.M)
ANY_LABEL = re.compile(r"(?:label:[ ]*|\$\$[ ]*\(|\\label\{|^\()(key-[\w-]+)", re.M)


@dataclass(frozen=True)
class Equation:
    """A key equation.

    name: the label without key-.  page: its file's name without .md.  title: of the page.
    words: of the box around it, or of the section.
    """

    name: str
    tex: str
    page: str
    title: str
    words: str


def in_words(text: str, place: int) -> str:
    """What the page calls the equation at this place."""
    boxes = [
        box["title"]
        for box in BOX.finditer(text, 0, place)
        if not re.search(rf"^[ ]*{box['fence']}[ ]*$", text[box.end() : place], re.M)
    ]
    headings = [heading["title"] for heading in HEADING.finditer(text, 0, place)]
    title = (boxes or headings or [""])[-1]
    title = re.sub(r"^(Result|Step \d+): ", "", title).strip()
    return title[:1].upper() + title[1:]


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
                in_words(text, place),
            )
            for place, label, tex in sorted(here)
        ]
    return found


def code(tests: Path, file: str, name: str) -> str:
    """A test as it is written, "" if there is none."""
    path = tests / file
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    for node in ast.parse(text).body:
        if isinstance(node, ast.FunctionDef) and node.name == name:
            first = min([node.lineno, *(mark.lineno for mark in node.decorator_list)])
            return "\n".join(text.splitlines()[first - 1 : node.end_lineno])
    return ""


def verified(equations, report) -> list[Equation]:
    """Those of which every test passed."""
    outcomes: dict[str, set[str]] = {}
    for t in report["tests"] if report else []:
        outcomes.setdefault(t["name"], set()).add(t["outcome"])
    return [e for e in equations if outcomes.get(e.name) == {"passed"}]


def power_of_ten(number) -> str:
    """A tolerance as it is read: 0.002 as it stands, 1e-12 as $10^{-12}$."""
    mantissa, _, exponent = f"{number:g}".partition("e")
    if not exponent:
        return mantissa
    factor = "" if mantissa == "1" else mantissa + r" \cdot "
    return f"${factor}10^{{{int(exponent)}}}$"


def page(equations, report, tests=Path()) -> tuple[str, list[str]]:
    """The list as MyST, and its faults: equations without a test, or with one that did not pass.

    tests: the folder of the tests, whose code is printed.
    """
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
        ours = [t for t in report["tests"] if t["name"] in {e.name for e in equations}]
        passed = verified(equations, report)
        ran, seconds = sum(t["cases"] for t in ours), sum(t["duration"] for t in ours)
        lines += [
            f"**{len(passed)} of {len(equations)} key equations passed in this build**: "
            f"{ran} cases of {len(ours)} tests in {seconds:.0f} s, "
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
            f"(verified-{equation.name})=",
            "",
            f"### {equation.words}",
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
            if source := code(tests, t["file"], t["test"]):
                lines += ["", "````{admonition} The test", ":class: dropdown"]
                # not as Python: to colour so much code costs a slow core two seconds
                lines += ["```text", source, "```", "````", ""]
            if t["outcome"] != "passed":
                faults.append(f"{equation.name}: {t['test']} {t['outcome']}")
        lines.append("")
    return "\n".join(lines), faults


def listed(app) -> tuple[list[Equation], dict | None]:
    """The key equations of this site's pages, and the report on their tests if there is one."""
    path = os.environ.get("FEWSTEP_EQUATIONS_REPORT")
    report = (
        json.loads(Path(path).read_text(encoding="utf-8")) if path and Path(path).exists() else None
    )
    equations = [
        e
        for e in key_equations(Path(app.srcdir) / "book")
        if f"book/{e.page}" in app.env.found_docs
    ]
    return equations, report


def fill(app, docname, source):
    """Put the list where the page has the directive."""
    from sphinx.util.logging import getLogger  # the tests read this module without Sphinx

    if PLACE not in source[0]:
        return
    app.env.note_reread()  # it depends on every other page, and on the report
    text, faults = page(*listed(app), Path(app.srcdir) / "tests/equations")
    source[0] = source[0].replace(PLACE, text)
    for fault in faults:
        getLogger(__name__).warning("key equation not verified: %s", fault, location=docname)


def mark(app, pagename, templatename, context, doctree):
    """Beside the number of each verified equation, a mark that leads to its test."""
    if doctree is None or "equation-key-" not in context.get("body", ""):
        return
    names = {e.name for e in verified(*listed(app))}
    appendix = app.builder.get_relative_uri(pagename, "book/verified-equations")

    def with_mark(match: re.Match) -> str:
        if match["name"] not in names:
            return match.group()
        link = f"{appendix}#verified-{match['name']}"
        title = "Checked by a computation: to its test"
        return f'{match.group()}<a class="verified" href="{link}" title="{title}">✓</a>'

    number = r'<div class="math[^>]* id="equation-key-(?P<name>[\w-]+)">\s*<span class="eqno">'
    context["body"] = re.sub(number, with_mark, context["body"])


def setup(app):
    # as source, so that the list has headings and a table of contents
    app.connect("source-read", fill)
    app.connect("html-page-context", mark)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
