"""What the site adds to Sphinx: the Colab button, and the directive of the live figures.

With FEWSTEP_REPOSITORY=https://github.com/owner/name each notebook page gets a Colab button that
opens the stamped copy on the branch `colab`. Without it there is no button; a fork edits nothing.
A page has such a button where it says {colab}`notebooks/quickstart`.

A live figure is book/_static/live/<name>.js. Its directive is a figure like others, numbered, with
a caption; the still picture is what readers without scripts see, and on paper:

    ```{live} noising
    :still: _images/01-live.png
    :alt: What the picture shows, for those who cannot see it.

    What to do and what to notice.
    ```
"""

import html
import os
import re
from collections import Counter
from pathlib import Path

from docutils import nodes
from docutils.parsers.rst import directives
from pybtex.plugin import register_plugin
from pybtex.style.formatting.plain import Style as Plain
from pybtex.style.labels import BaseLabelStyle
from sphinx.directives.patches import Figure
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective, SphinxRole

LIVE = Path(__file__).resolve().parent.parent / "_static/live"
PARTS = ("core.js", "draw.js", "live.css")  # what all live figures share

logger = logging.getLogger(__name__)


def use_repository(app, config):
    repository = os.environ.get("FEWSTEP_REPOSITORY", "").rstrip("/")
    if not repository:
        return
    options = config.html_theme_options
    options.update(repository_url=repository, use_repository_button=True)
    # the only host that Colab opens notebooks from
    if repository.startswith("https://github.com/"):
        options["launch_buttons"] = {"colab_url": "https://colab.research.google.com"}
        options["repository_branch"] = "colab"


class Colab(SphinxRole):
    """A button that opens a notebook on Colab; nothing where the notebook pages have none."""

    def run(self):
        options = self.config.html_theme_options
        colab = options.get("launch_buttons", {}).get("colab_url")
        if not colab:
            return [], []
        repository = options["repository_url"].removeprefix("https://github.com/")
        place = f"github/{repository}/blob/{options['repository_branch']}"
        link = f"{colab}/{place}/{self.text}.ipynb"
        classes = ["sd-btn", "sd-btn-outline-primary"]
        return [nodes.reference("", "Open in Colab", refuri=link, classes=classes)], []


def use_parts_of_mathjax(app, config):
    """Without its menu; book/_static/formulas.js says what is loaded. The extension that brings
    MathJax along would have it all."""
    config.mathjax_path = "mathjax/startup.js"


class Live(Figure, SphinxDirective):
    """A figure whose picture a script replaces by a canvas with handles."""

    option_spec = {**Figure.option_spec, "still": directives.unchanged}

    def run(self):
        name, options = self.arguments[0], self.options
        known = sorted(p.stem for p in LIVE.glob("*.js") if p.name not in PARTS)
        if name not in known:
            return self._refuse(f"no figure {name!r}: there are {', '.join(known)}")
        for option in ("still", "alt"):
            if not (options.get(option) or "").strip():
                return self._refuse(f"figure {name!r} has no :{option}:")
        self.arguments[0] = options.pop("still")
        options.setdefault("name", f"fig-live-{name}")
        options["loading"] = "lazy"  # with scripts on, most readers never fetch it
        (figure, *rest) = super().run()
        if not isinstance(figure, nodes.figure):  # docutils has said why
            return [figure, *rest]
        alt = html.escape(options["alt"])
        before = f'<div class="fewstep-live" data-live="{name}" data-alt="{alt}">'
        figure.insert(1, nodes.raw("", "</div>", format="html"))
        figure.insert(0, nodes.raw("", before, format="html"))
        self.env.metadata[self.env.docname].setdefault("live", []).append(name)
        return [figure, *rest]

    def _refuse(self, why):
        logger.warning("live: %s", why, location=self.get_location())
        return []


def load_scripts(app, pagename, templatename, context, doctree):
    """Only pages with a live figure load its scripts, in this order, after the page itself."""
    names = app.env.metadata.get(pagename, {}).get("live", [])
    if not names:
        return
    app.add_css_file("live/live.css")
    for script in ["core", "draw", *dict.fromkeys(names)]:
        app.add_js_file(f"live/{script}.js", loading_method="defer")


def load_search(app, pagename, templatename, context, doctree):
    if pagename == "search":
        app.add_js_file("search.js", loading_method="defer")


def without_repeated_ids(app, pagename, templatename, context, doctree):
    """Theorems, proofs and exercises all call their contents the same; the first keeps the name."""
    seen = set()

    def once(match):
        if match[1] in seen:
            return ""
        seen.add(match[1])
        return match[0]

    if "body" in context:
        context["body"] = re.sub(r'\sid="([^"]+)"', once, context["body"])


class AuthorYear(BaseLabelStyle):
    """Labels of references as the text cites them: "Ho et al., 2020"."""

    def format_labels(self, sorted_entries):
        labels = [self._label(entry) for entry in sorted_entries]
        total = Counter(labels)
        so_far: Counter[str] = Counter()
        for label in labels:
            so_far[label] += 1
            yield label + (chr(ord("a") - 1 + so_far[label]) if total[label] > 1 else "")

    def _label(self, entry):
        people = entry.persons.get("author") or entry.persons.get("editor") or []
        names = [" ".join(map(str, p.rich_prelast_names + p.rich_last_names)) for p in people]
        who = f"{names[0]} et al." if len(names) > 2 else " and ".join(names)
        return f"{who}, {entry.fields.get('year', 'no year')}"


class References(Plain):
    """The usual format, in alphabetical order, under these labels."""

    default_label_style = AuthorYear


def setup(app):
    # before the theme (priority 500) reads its options
    app.connect("config-inited", use_repository, priority=100)
    app.add_role("colab", Colab())
    app.connect("config-inited", use_parts_of_mathjax)
    app.add_directive("live", Live)
    app.connect("html-page-context", load_scripts)
    app.connect("html-page-context", load_search)
    app.connect("html-page-context", without_repeated_ids)
    register_plugin("pybtex.style.formatting", "author_year", References)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
