"""The site as a reader meets it, in a real browser."""

from functools import partial

import pytest

MATHJAX_DONE = "() => !window.MathJax || MathJax.startup.promise.then(() => true)"
# Text that the reader sees, without code: there a backslash or a dollar is meant.
PROSE = """() => {
  const copy = document.querySelector('main').cloneNode(true);
  copy.querySelectorAll('pre, code, script, style, mjx-container').forEach(e => e.remove());
  return copy.textContent;
}"""
BROKEN_PICTURES = """images => images.filter(i => i.complete && i.naturalWidth == 0)
  .map(i => i.src.slice(0, 80))"""
SEARCH_BOXES = (
    "button.search-button, button.search-button-field, input[type=search], .bd-search input"
)


@pytest.fixture
def wide(browser):
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    yield page
    page.close()


@pytest.fixture
def narrow(browser):
    page = browser.new_page(viewport={"width": 390, "height": 844})
    yield page
    page.close()


def opened(page, url):
    page.goto(url, wait_until="load")
    page.wait_for_function(MATHJAX_DONE)
    return page


def test_pages_load_alone_and_without_errors(wide, pages, address):
    complaints, formulas = [], 0
    wide.on(
        "console",
        lambda message: (
            message.type == "error" and complaints.append(f"{wide.url}: {message.text}")
        ),
    )
    wide.on("pageerror", lambda error: complaints.append(f"{wide.url}: {error}"))
    wide.on(
        "requestfailed",
        lambda request: complaints.append(f"{wide.url}: no answer from {request.url}"),
    )

    def refuse(route):
        complaints.append(f"{wide.url} asks for {route.request.url}")
        route.abort()

    wide.route(lambda url: not url.startswith((address, "data:", "blob:")), refuse)
    for name in pages:
        opened(wide, f"{address}/{name}")
        complaints += [
            f"{name}: broken picture {source}"
            for source in wide.locator("img").evaluate_all(BROKEN_PICTURES)
        ]
        undrawn = wide.locator(".math:not(:has(mjx-container)), mjx-merror").count()
        complaints += [f"{name}: {undrawn} formulas are not drawn"] if undrawn else []
        prose = wide.evaluate(PROSE)
        complaints += [
            f"{name}: raw TeX: {sign}"
            for sign in (r"\(", r"\[", "$", r"\frac", r"\sigma")
            if sign in prose
        ]
        formulas += wide.locator(".math mjx-container").count()
    wide.goto(f"{address}/index.html")
    wide.wait_for_url(f"{address}/book/intro.html")
    assert not complaints, "\n".join(complaints)
    assert formulas > 20, "the site has lost its mathematics"


def shown_frame(figure, name):
    """The number of the only visible frame, and its caption."""
    frames = figure.locator("img:not(.only-dark)").all()  # those of the dark theme stand beside
    visible = [i for i, frame in enumerate(frames) if frame.is_visible()]
    assert not figure.locator("img.only-dark").locator("visible=true").count()
    assert len(visible) == 1, f"{name}: frames {visible} are shown at once"
    return visible[0], figure.locator("output").inner_text()


def test_sliders_move_by_mouse_and_keyboard(wide, pages, address):
    moved = 0
    for name in pages:
        opened(wide, f"{address}/{name}")
        for figure in wide.locator("figure.fewstep-slider").all():
            handle = figure.locator("input[type=range]")
            shown = partial(shown_frame, figure, name)
            handle.scroll_into_view_if_needed()
            last = figure.locator("img:not(.only-dark)").count() - 1
            box = handle.bounding_box()
            wide.mouse.click(box["x"] + 2, box["y"] + box["height"] / 2)
            first = shown()
            wide.mouse.click(box["x"] + box["width"] - 2, box["y"] + box["height"] / 2)
            end = shown()
            assert (first[0], end[0]) == (0, last) and first[1] != end[1], (
                f"{name}: by mouse {first} -> {end}"
            )
            handle.press("Home")
            assert shown() == first, f"{name}: Home leads to {shown()}"
            handle.press("ArrowRight")
            assert shown()[0] == 1 and shown()[1] != first[1], (
                f"{name}: ArrowRight leads to {shown()}"
            )
            moved += 1
    assert moved, "no page has a slider"


def test_theme_switches_between_light_and_dark(wide, served):
    opened(wide, f"{served}/book/intro.html")
    theme = "document.documentElement.dataset.theme"
    background = f"() => [{theme}, getComputedStyle(document.body).backgroundColor]"
    seen = set()
    for _ in range(3):  # auto, light, dark
        wide.locator("button.theme-switch-button:visible").first.click()
        seen.add(tuple(wide.evaluate(background)))
    assert {theme for theme, _ in seen} == {"light", "dark"}
    assert len({colour for _, colour in seen}) == 2


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_figure_shows_one_picture_and_its_caption(browser, pages, served, theme):
    page = browser.new_page(viewport={"width": 1280, "height": 900}, color_scheme=theme)
    wrong, captions = [], 0
    for name in pages:
        opened(page, f"{served}/{name}")
        page.evaluate("() => document.querySelectorAll('details').forEach((d) => (d.open = true))")
        for figure in page.locator(".bd-article figure:has(> figcaption)").all():
            captions += 1
            pictures = figure.locator("img, canvas").locator("visible=true").count()
            if pictures != 1 or not figure.locator("figcaption").is_visible():
                wrong.append(f"{name}: {figure.get_attribute('id')} shows {pictures} pictures")
    page.close()
    assert captions > 4 and not wrong, "\n".join(wrong)


def test_narrow_pages_do_not_scroll_sideways(narrow, pages, served):
    wider = {}
    for name in pages:
        opened(narrow, f"{served}/{name}")
        width = narrow.evaluate("document.documentElement.scrollWidth")
        if width > 390:
            wider[name] = width
    assert not wider, f"wider than the window of 390 px: {wider}"


def test_one_search_box_which_finds_things(wide, narrow, pages, served):
    for page in (wide, narrow):
        for name in ("book/intro.html", "notebooks/quickstart.html"):
            opened(page, f"{served}/{name}")
            boxes = page.locator(SEARCH_BOXES).locator("visible=true").count()
            assert boxes == 1, (
                f"{name} shows {boxes} search boxes at {page.viewport_size['width']} px"
            )
    opened(wide, f"{served}/search.html?q=score")
    wide.locator("#search-results li a").first.wait_for(timeout=10_000)


def test_search_results_read_as_text(wide, served):
    """No raw TeX in an excerpt, and a page is told from its notebook."""
    titles = set()
    for word in ("tweedie", "variance"):
        opened(wide, f"{served}/search.html?q={word}")
        wide.locator("#search-results p.context").first.wait_for(timeout=10_000)
        wide.wait_for_load_state("networkidle")
        excerpts = wide.locator("#search-results p.context").all_inner_texts()
        assert len(excerpts) > 3
        raw = [text for text in excerpts if "\\" in text or "$" in text]
        assert not raw, f"raw TeX: {raw}"
        shown = wide.locator("#search-results li > a").all_inner_texts()
        assert len(shown) == len(set(shown)), f"two results with one name: {shown}"
        titles |= set(shown)
    assert {"1. Noising", "Notebook 1. Noising"} <= titles


def test_code_has_copy_buttons(wide, served):
    opened(wide, f"{served}/notebooks/quickstart.html")
    assert wide.locator(".cell_input").count() == wide.locator(".cell_input .copybtn").count() > 0
