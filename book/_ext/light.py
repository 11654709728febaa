"""What a page's visitors need not fetch: icons that no page shows, parts of MathJax that no page
loads, a search index on pages that do not search.

The theme brings all of Font Awesome as a script of 1.5 MB. Here its fonts are cut down to the
icons that the pages show, and the style sheet carries them.
"""

import base64
import io
import re
import shutil
from pathlib import Path

from fontTools import subset
from fontTools.ttLib import TTFont

THEME = "_static/styles/pydata-sphinx-theme.css"
FONTS = "_static/vendor/fontawesome/webfonts"
# .fa-bars:before,.fa-navicon:before{content:"\f0c9"}
NAMED = re.compile(r'((?:\.fa-[a-z0-9-]+:before,?)+)\{content:"(\\[0-9a-f]+|[^"\\])"\}')
FACE = re.compile(r"(@font-face\{[^}]*src:)[^}]*?(fa-[a-z]+-\d+)\.ttf[^}]*\}")
UNNAMED = re.compile(r'"(\\f[0-9a-f]{3}|[\uf000-\uf8ff])"')
ICON_SCRIPT = re.compile(r"\s*<script[^>]*/fontawesome\.js[^>]*></script>")
# Nothing searches while one types: only search.html needs them.
SEARCH_SCRIPTS = re.compile(
    r'\s*<script src="[^"]*(?:searchtools|language_data|searchindex)\.js"></script>'
)
MATHJAX = (
    "startup.js", "core.js", "input/tex.js", "input/tex/", "output/chtml.js", "output/chtml/",
    "a11y/assistive-mml.js",
)  # fmt: skip


def code(written: str) -> int:
    """The code point of a character as CSS writes it."""
    return int(written[1:], 16) if written.startswith("\\") else ord(written)


def font_of(icons: set[int], file: Path) -> str:
    """A data URI of the font with these of its icons, or nothing."""
    font = TTFont(file)
    kept = icons & set(font.getBestCmap())
    if not kept:
        return ""
    options = subset.Options(layout_features=[], name_IDs=[], notdef_outline=False, hinting=False)
    subsetter = subset.Subsetter(options)
    subsetter.populate(unicodes=kept)
    subsetter.subset(font)
    font.flavor = "woff"
    font.save(packed := io.BytesIO())
    return "data:font/woff;base64," + base64.b64encode(packed.getvalue()).decode()


def cut_icons(out: Path, pages: list[str]) -> None:
    """Keep the icons whose classes stand in the pages or scripts, or that a style sheet draws."""
    sheet = out / THEME
    css = sheet.read_text("utf-8")
    if not (out / FONTS).is_dir():  # done in an earlier build
        return
    scripts = [p.read_text("utf-8") for p in (out / "_static/scripts").glob("*theme.js")]
    shown = set(re.findall(r"\bfa-[a-z0-9-]+", " ".join([*pages, *scripts])))
    rest = NAMED.sub("", css)
    other = [p.read_text("utf-8") for p in (out / "_static").rglob("*.css") if p != sheet]
    icons = {code(written) for written in UNNAMED.findall(" ".join([rest, *other]))}

    def named(match: re.Match) -> str:
        if not shown & set(re.findall(r"fa-[a-z0-9-]+", match[1])):
            return ""
        icons.add(code(match[2]))
        return match[0]

    def face(match: re.Match) -> str:
        link = font_of(icons, out / FONTS / f"{match[2]}.ttf")
        return f'{match[1]}url({link}) format("woff")}}' if link else ""

    sheet.write_text(FACE.sub(face, NAMED.sub(named, css)), "utf-8")
    shutil.rmtree(out / FONTS)


def finish(app, exception):
    """Lighten the finished site."""
    if exception is not None or app.builder.format != "html":
        return
    out = Path(app.outdir)
    pages = [page for page in out.rglob("*.html") if "_static" not in page.parts]
    texts = [page.read_text("utf-8") for page in pages]
    cut_icons(out, texts)
    for page, text in zip(pages, texts):
        lighter = ICON_SCRIPT.sub("", text)
        if page.name != "search.html":
            lighter = SEARCH_SCRIPTS.sub("", lighter)
        if lighter != text:
            page.write_text(lighter, "utf-8")
    for script in (out / "_static/scripts").glob("fontawesome.js*"):
        script.unlink()
    mathjax = out / "_static/mathjax"
    for file in mathjax.rglob("*"):
        if file.is_file() and not file.relative_to(mathjax).as_posix().startswith(MATHJAX):
            file.unlink()


def setup(app):
    app.connect("build-finished", finish, priority=900)  # after all files are there
    return {"parallel_read_safe": True, "parallel_write_safe": True}
