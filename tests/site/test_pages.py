"""The site's files, without a browser."""

import re
from collections import Counter
from urllib.parse import unquote, urlsplit

import pytest
from bs4 import BeautifulSoup


@pytest.fixture(scope="module")
def trees(site, pages):
    return {
        site / name: BeautifulSoup((site / name).read_text(encoding="utf8"), "html.parser")
        for name in pages
    }


def test_every_picture_has_alt_text(trees):
    pictures = [
        (page.name, picture) for page, tree in trees.items() for picture in tree.select("img")
    ]
    assert pictures
    # Sphinx falls back on the file's path, which tells a reader nothing.
    mute = [
        f"{page}: {picture.get('src', '')[:80]}"
        for page, picture in pictures
        if not picture.get("alt", "").strip() or picture["alt"].endswith((".png", ".svg", ".jpg"))
    ]
    assert not mute, "no alt text:\n" + "\n".join(mute)


def test_no_internal_link_is_dead(trees):
    anchors = {
        page: {tag.get("id") or tag.get("name") for tag in tree.select("[id], a[name]")}
        for page, tree in trees.items()
    }
    dead, checked = [], 0
    for page, tree in trees.items():
        for tag in tree.select("[href], [src]"):
            link = urlsplit(tag.get("href") or tag.get("src") or "")
            if link.scheme or link.netloc:
                continue
            target = (page.parent / unquote(link.path)).resolve() if link.path else page
            checked += 1
            if not target.is_file():
                dead.append(f"{page.name}: {link.geturl()}")
            elif (
                link.fragment
                and target in anchors
                and unquote(link.fragment) not in anchors[target]
            ):
                dead.append(f"{page.name}: {link.geturl()} (no such place on that page)")
    assert checked > 50
    assert not dead, "dead links:\n" + "\n".join(sorted(set(dead)))


def test_tables_in_outputs_are_tables(trees):
    raw = [
        page.name
        for page, tree in trees.items()
        for text in tree.select("p")
        if text.get_text().lstrip().startswith("| ")
    ]
    assert not raw, f"Markdown tables shown as text on {sorted(set(raw))}"


def test_no_id_stands_twice_on_a_page(trees):
    twice = {}
    for page, tree in trees.items():
        counted = Counter(tag["id"] for tag in tree.select("[id]"))
        if repeated := [name for name, times in counted.items() if times > 1]:
            twice[page.name] = repeated
    assert not twice


def test_references_stand_by_author_and_year(trees):
    """Labelled as the text cites them, in alphabetical order."""
    (page,) = (tree for path, tree in trees.items() if path.name == "references.html")
    labels = [label.get_text(" ", strip=True).strip("[] ") for label in page.select(".label")]
    assert len(labels) > 20 and "Ho et al., 2020" in labels
    assert all(re.fullmatch(r"\D+, \d{4}[a-z]?", label) for label in labels), labels
    assert [label.split(",")[0][0] for label in labels] == sorted(
        label.split(",")[0][0] for label in labels
    )
