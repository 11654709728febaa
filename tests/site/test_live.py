"""The live figures on the built pages: each handle moves its picture, on every way to reach it."""

import base64
import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits

ROOT = Path(__file__).resolve().parents[2]
LIVE = ROOT / "book/_static/live"
FIGURES = {
    "digits": "book/intro.html",
    "noising": "book/01-noising.html",
    "wiener": "book/02-sdes.html",
    "motions": "book/03-probability-flow.html",
    "score-field": "book/04-denoising-is-score.html",
}
RECORDED = {"digits-data"}  # what a figure shows and cannot compute; it fetches that itself
FORMULAS = "**/mathjax/**"
DRAWN = """name => { const told = document.querySelector(`[data-live="${name}"] .live-says`);
  return told && told.textContent; }"""
SETTLED = "() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"


@pytest.fixture
def opened(browser):
    """Opens a page in a window of its own; fails on an error or a request to elsewhere."""
    contexts, complaints = [], []

    def open_page(url, name=None, **options):
        options = {"viewport": {"width": 1280, "height": 900}, **options}
        contexts.append(browser.new_context(**options))
        # formulas have nothing to do with it, and take their time
        contexts[-1].route(FORMULAS, lambda route: route.fulfill(body=""))
        page = contexts[-1].new_page()
        page.on("console", lambda m: m.type == "error" and complaints.append(m.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        start = url.split("/book/")[0]
        page.on("request", lambda r: r.url.startswith((start, "data:")) or complaints.append(r.url))
        page.goto(url, wait_until="load")
        if name is None:
            return page
        figure = page.locator(f'[data-live="{name}"]')
        figure.scroll_into_view_if_needed()
        page.wait_for_function(DRAWN, arg=name)
        return page, figure

    yield open_page
    for context in contexts:
        context.close()
    assert not complaints, "\n".join(complaints)


def seen(figure):
    """What the reader sees: the canvas, and the sentence with the numbers."""
    figure.page.evaluate(SETTLED)
    return figure.locator("canvas").evaluate("c => c.toDataURL()"), figure.locator(
        ".live-says"
    ).inner_text()


def middle(handle):
    box = handle.bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def raw(slider):
    return float(slider.input_value())


def test_every_figure_stands_on_its_page_and_no_page_else_loads_scripts(site, pages):
    scripts = {path.stem for path in LIVE.glob("*.js")}
    assert scripts == {"core", "draw", *FIGURES, *RECORDED}
    for name in pages:
        text = (site / name).read_text(encoding="utf8")
        here = {figure for figure, page in FIGURES.items() if page == name}
        assert {figure for figure in FIGURES if f'data-live="{figure}"' in text} == here
        assert {script for script in scripts if f"live/{script}.js" in text} == (
            {"core", "draw", *here} if here else set()
        ), name


def test_all_of_it_is_small():
    sizes = {path.stem: path.stat().st_size for path in LIVE.iterdir()}
    recorded = sum(sizes.pop(name) for name in RECORDED)
    assert sum(sizes.values()) <= 64_000 and recorded <= 150_000


def test_digit_is_the_data_sets(opened, served):
    script = (LIVE / "noising.js").read_text(encoding="utf8")
    digit = script.split('const digit = "')[1].split('"')[0]
    grey = np.array([int(letter, 17) for letter in digit]).reshape(8, 8)
    assert (grey == load_digits().images[0]).all()


@pytest.mark.parametrize("name", FIGURES)
def test_handles_move_by_mouse_and_keyboard(opened, address, name):
    page, figure = opened(f"{address}/{FIGURES[name]}", name)
    sliders = figure.locator("input[type=range]").all()
    assert sliders
    for slider in sliders:
        label = slider.get_attribute("aria-label")
        box = slider.bounding_box()
        looks = []
        for share in (0.3, 0.7):
            page.mouse.click(box["x"] + share * box["width"], box["y"] + box["height"] / 2)
            looks.append((*seen(figure), slider.get_attribute("aria-valuetext")))
        for before, after in zip(*looks):
            assert before != after, f"{name}, {label}: the mouse changes nothing"
        for key, changed in (("Home", True), ("Home", False), ("ArrowRight", True), ("End", True)):
            before, value = seen(figure), raw(slider)
            for _ in range(20 if key == "ArrowRight" else 1):  # a step may be less than a pixel
                slider.press(key)
                if (moved := seen(figure) != before) == changed:
                    break
            assert moved == changed == (raw(slider) != value), f"{name}, {label}: {key}"
        slider.evaluate(
            "(e) => { e.value = (+e.min + +e.max) / 2; e.dispatchEvent(new Event('input')); }"
        )
    for button in figure.locator(".live-button").all():
        for act in (button.click, lambda button=button: button.press("Enter")):
            before = seen(figure)
            act()
            assert seen(figure)[0] != before[0], f"{name}: {button.inner_text()}"
    for choice in figure.locator("fieldset").all():
        options = choice.locator("input").all()
        options[0].click()
        before = seen(figure)
        options[1].click()
        assert options[1].is_checked() and seen(figure) != before
        options[1].press("ArrowLeft")
        assert options[0].is_checked() and seen(figure) == before
    for point in figure.locator(".live-point").all():
        label = point.get_attribute("aria-label")
        before, (x, y) = seen(figure), middle(point)
        page.mouse.move(x, y)
        page.mouse.down()
        page.mouse.move(x + 25, y - 40, steps=4)
        page.mouse.up()
        after = seen(figure)
        assert after[0] != before[0], f"{name}: {label} does not follow the mouse"
        moved = np.subtract(middle(point), (x, y))
        vertical = name != "motions"  # time moves along its axis only
        assert np.abs(moved - (25, -40 * vertical)).max() < 4, f"{name}: {label} lands elsewhere"
        page.mouse.move(x - 30, y)
        assert seen(figure) == after, f"{name}: {label} follows a mouse that has let go"
        point.press("ArrowLeft")
        assert seen(figure)[0] != after[0], f"{name}: {label} does not follow arrow keys"
        assert point.get_attribute("aria-label") != label


@pytest.mark.parametrize("name", ["motions", "score-field"])
def test_points_move_by_touch(opened, served, name):
    page, figure = opened(
        f"{served}/{FIGURES[name]}", name, has_touch=True, viewport={"width": 390, "height": 844}
    )
    point = figure.locator(".live-point").last
    point.scroll_into_view_if_needed()
    before, (x, y), scrolled = seen(figure), middle(point), page.evaluate("scrollY")
    touch = page.context.new_cdp_session(page)
    way = [(x + 0.1 * i * -60, y + 0.1 * i * -60) for i in range(11)]
    if name == "motions":  # starts at the left end
        way = [(2 * x - u, v) for u, v in way]
    for kind, places in [("touchStart", way[:1])] + [("touchMove", [p]) for p in way[1:]]:
        touch.send(
            "Input.dispatchTouchEvent",
            {"type": kind, "touchPoints": [{"x": u, "y": v} for u, v in places]},
        )
    touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    assert seen(figure)[0] != before[0]
    assert abs(middle(point)[0] - way[-1][0]) < 4
    assert page.evaluate("scrollY") == scrolled, "the page moved instead of the point"


COUNT_FRAMES = """window.frames_asked = 0;
const ask = window.requestAnimationFrame;
window.requestAnimationFrame = (f) => { window.frames_asked += 1; return ask(f); }; 0"""


@pytest.mark.parametrize("name", FIGURES)
def test_play_runs_on_request_and_only_on_the_screen(opened, served, name):
    page, figure = opened(f"{served}/{FIGURES[name]}", name)
    page.evaluate(COUNT_FRAMES)
    play, slider = figure.locator(".live-play"), figure.locator("input[type=range]").first
    if name == "digits":
        figure.get_by_role("radio", name="39").check()  # the others are over too soon

    def frames(milliseconds=400):
        before = page.evaluate("frames_asked")
        page.wait_for_timeout(milliseconds)
        return page.evaluate("frames_asked") - before

    page.wait_for_timeout(300)
    assert frames() == 0, "something moves before the reader asks for it"
    start = raw(slider)
    assert play.get_attribute("aria-label") == "Play"
    play.click()
    page.wait_for_timeout(1500)
    assert raw(slider) != start and play.get_attribute("aria-label") == "Pause"
    page.evaluate("scrollTo(0, document.body.scrollHeight)")
    page.wait_for_timeout(400)
    hidden = raw(slider)
    assert frames() == 0 and raw(slider) == hidden, "it runs on where nobody sees it"
    figure.scroll_into_view_if_needed()
    page.wait_for_timeout(300)
    assert frames() > 0
    play.press("Space")
    page.wait_for_timeout(100)
    assert frames() == 0 and play.get_attribute("aria-label") == "Play"


def test_play_reaches_the_end_and_stops(opened, served):
    page, figure = opened(f"{served}/{FIGURES['score-field']}", "score-field")
    slider = figure.locator("input[type=range]").first
    slider.evaluate("e => { e.value = 0.08; e.dispatchEvent(new Event('input')); }")
    figure.locator(".live-play").click()
    page.wait_for_function("() => document.querySelector('.live-play').dataset.sign == 'play'")
    assert raw(slider) == 0
    figure.locator(".live-play").click()
    page.wait_for_timeout(200)
    assert raw(slider) > 0.5, "from the end it starts again"


def test_reduced_motion_shows_pictures_one_by_one(opened, served):
    values = {}
    for wish in ("no-preference", "reduce"):
        page, figure = opened(f"{served}/{FIGURES['noising']}", "noising", reduced_motion=wish)
        figure.locator(".live-play").click()
        values[wish] = page.evaluate(
            """() => new Promise(done => { const seen = new Set(), start = performance.now();
              const look = () => { seen.add(document.querySelector('.live-player input').value);
                performance.now() - start < 1500 ? requestAnimationFrame(look) : done(seen.size); };
              look(); })"""
        )
    assert values["reduce"] <= 4 < values["no-preference"]


@pytest.mark.parametrize("name", FIGURES)
def test_pictures_follow_the_theme(opened, served, name):
    page, figure = opened(f"{served}/{FIGURES[name]}", name)
    looks = set()
    for theme in ("light", "dark"):
        page.evaluate(f"document.documentElement.dataset.theme = '{theme}'")
        looks.add(seen(figure)[0])
    assert len(looks) == 2


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("name", FIGURES)
def test_the_script_moves_nothing_on_the_page(browser, served, name, width):
    """The place that is kept before the script has run is the place that the figure takes."""
    heights = []
    for blocked in (True, False):
        page = browser.new_page(viewport={"width": width, "height": 900})
        page.route(FORMULAS, lambda route: route.fulfill(body=""))
        if blocked:
            page.route("**/live/*.js*", lambda route: route.abort())
        page.goto(f"{served}/{FIGURES[name]}", wait_until="load")
        figure = page.locator(f'[data-live="{name}"]')
        figure.scroll_into_view_if_needed()
        if not blocked:
            page.wait_for_function(DRAWN, arg=name)
            for share in ("min", "max"):  # the sentence may be longer elsewhere
                heights.append(figure.bounding_box()["height"])
                figure.locator("input[type=range]").first.evaluate(
                    f"e => {{ e.value = e.{share}; e.dispatchEvent(new Event('input')); }}"
                )
                page.evaluate(SETTLED)
            for option in figure.locator("input[type=radio]").all():
                heights.append(figure.bounding_box()["height"])
                option.check()
                page.evaluate(SETTLED)
        heights.append(figure.bounding_box()["height"])
        page.close()
    assert max(heights) - min(heights) <= 1, heights


@pytest.mark.parametrize("name", FIGURES)
def test_without_scripts_a_still_picture_shows(opened, served, name):
    page = opened(f"{served}/{FIGURES[name]}", java_script_enabled=False)
    figure = page.locator(f'[data-live="{name}"]')
    picture = figure.locator("img:not(.only-dark)")
    assert not figure.locator("img.only-dark").is_visible()
    picture.scroll_into_view_if_needed()
    assert picture.is_visible() and picture.get_attribute("alt").strip()
    box = figure.bounding_box()
    assert box["width"] > 500 and picture.bounding_box()["height"] > 200
    assert box["height"] < picture.bounding_box()["height"] + 20, "an empty place is kept"
    assert figure.locator("canvas, input").count() == 0


@pytest.fixture(scope="module")
def frames():
    """The script that makes the title page's recorded runs, and what it has made."""
    spec = importlib.util.spec_from_file_location("frames", ROOT / "book/_images/intro_frames.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    text = module.DATA.read_text("utf-8")
    return module, json.loads(text.split("fewstep.digits = ")[1].rstrip(";\n"))


def levels(packed):
    """Grey levels from 0 to 15 of all pixels, two in a byte."""
    byte = np.frombuffer(packed, dtype=np.uint8).astype(int)
    return np.stack([byte >> 4, byte & 15], 1).reshape(-1, 16, 8, 8)


def test_recorded_states_are_what_the_library_computes(frames):
    module, data = frames
    assert data["solvers"] == list(module.SOLVERS) and data["calls"] == list(module.CALLS)
    settings = [(name, calls) for name in module.SOLVERS for calls in module.CALLS]
    for (name, calls), recorded in zip(settings, data["runs"], strict=True):
        grid, states = module.run(name, calls)
        found, exact = levels(base64.b64decode(recorded["frames"])), levels(module.greys(states))
        assert found.shape == exact.shape == (len(grid), 16, 8, 8)
        # other machines round otherwise
        assert np.abs(found - exact).max() <= 1, f"{name}, {calls} calls"
        assert np.abs(np.array(recorded["sigmas"]) - grid.numpy()).max() < 0.05
        assert recorded["fd"] == module.quality(name, calls)
    real = (states[-1].clamp(-1, 1) + 1) * 7.5
    assert np.abs(exact[-1] - real.numpy()[:, 0]).max() <= 0.5 + 1e-6


def choose(figure, solver, calls, step):
    figure.get_by_role("radio", name=solver).check()
    figure.get_by_role("radio", name=str(calls), exact=True).check()
    slider = figure.locator("input[type=range]")
    slider.press("Home")
    for _ in range(step):
        slider.press("ArrowRight")
    return slider


@pytest.mark.parametrize(
    "solver, calls, step, paid",
    [("Heun", 19, 6, 12), ("Heun", 5, 3, 5), ("Euler", 9, 9, 9), ("DPM-Solver++(2M)", 39, 30, 30)],
)
def test_digits_are_the_recorded_ones(opened, served, frames, solver, calls, step, paid):
    module, data = frames
    page, figure = opened(f"{served}/{FIGURES['digits']}", "digits")
    slider = choose(figure, solver, calls, step)
    run = data["runs"][4 * data["solvers"].index(solver) + data["calls"].index(calls)]
    assert slider.get_attribute("aria-valuetext") == f"{paid} of {calls} calls"
    assert float(slider.get_attribute("max")) == len(run["sigmas"]) - 1
    said = seen(figure)[1]
    assert said.startswith(f"{solver} after {paid} of {calls} calls, ")
    mean = module.quality(solver, calls)[0]
    assert f"FD-C {mean:.2f} ±" in said if mean < 9.995 else f"FD-C {mean:.0f} ±" in said
    # the grey in the middle of every pixel of the sixteen digits
    shown = figure.locator("canvas").evaluate(
        """c => { const all = c.getContext("2d"), side = Math.min(c.height - 24, 0.46 * c.width);
          const size = side / 4 + 1, at = (k, i) => k * size + ((i + 0.5) / 8) * (size - 4);
          const grey = [];
          for (let k = 0; k < 16; k++) for (let i = 0; i < 64; i++)
            grey.push(all.getImageData(at(k % 4, i % 8), 22 + at(k >> 2, i >> 3), 1, 1).data[0]);
          return grey; }"""
    )
    exact = levels(base64.b64decode(run["frames"]))[step]
    assert (np.array(shown).reshape(16, 8, 8) == 17 * exact).all()


def test_first_play_shows_all_of_it_and_settings_keep_the_place(opened, served):
    page, figure = opened(f"{served}/{FIGURES['digits']}", "digits")
    slider, start = figure.locator("input[type=range]"), seen(figure)
    for solver in ("Heun", "DPM-Solver++(2M)"):
        figure.get_by_role("radio", name=solver).check()
    assert seen(figure) == start, "a look at another solver has moved the handle"
    # both in one go, before the first frame
    press = "b => { b.click(); return +b.closest('.live-player').querySelector('input').value; }"
    assert figure.locator(".live-play").evaluate(press) == 0
    page.wait_for_function("() => document.querySelector('.live-play').dataset.sign == 'play'")
    assert raw(slider) == 9
    figure.get_by_role("radio", name="Euler").check()
    figure.get_by_role("radio", name="39").check()
    assert raw(slider) == 39, "from the end to the end"
    slider.press("ArrowLeft")
    assert figure.locator(".live-play").evaluate(press) == 38, (
        "later it goes on from where the reader is"
    )


def test_without_its_records_the_still_stays(browser, served):
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.route("**/digits-data.js*", lambda route: route.abort())
    page.goto(f"{served}/{FIGURES['digits']}", wait_until="load")
    figure = page.locator('[data-live="digits"]')
    assert figure.locator("img:visible").count() == 1 and figure.locator("canvas").count() == 0
    page.close()


@pytest.mark.parametrize("where", ["https://github.com/someone/theirs", "https://else.where/a", ""])
def test_colab_role(tmp_path, monkeypatch, where):
    """A button where the notebook pages have one: on Colab only what lies on GitHub opens."""
    monkeypatch.setenv("FEWSTEP_REPOSITORY", where)
    (tmp_path / "index.md").write_text("# Page\n\n[Here](#page) {colab}`notebooks/one`\n")
    (tmp_path / "conf.py").write_text(
        f"import sys\nsys.path.insert(0, {str(ROOT / 'book/_ext')!r})\n"
        "extensions = ['myst_parser', 'fewstep_site']\n"
    )
    command = [sys.executable, "-m", "sphinx", "-q", tmp_path, tmp_path / "out"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    html = (tmp_path / "out/index.html").read_text()
    link = "https://colab.research.google.com/github/someone/theirs/blob/colab/notebooks/one.ipynb"
    assert html.count("Open in Colab") == html.count(f'href="{link}"') == ("github.com" in where)


GOOD = {"name": "wiener", "still": ":still: still.svg", "alt": ":alt: What it shows."}


@pytest.mark.parametrize(
    "change, fault",
    [
        ({}, None),
        ({"name": "no-such"}, "no figure 'no-such'"),
        ({"alt": ""}, "has no :alt:"),
        ({"still": ""}, "has no :still:"),
        ({"still": ":still: absent.svg"}, "absent.svg"),
    ],
)
def test_directive(tmp_path, change, fault):
    """A page of its own, built as strictly as the site."""
    (tmp_path / "still.svg").write_bytes((ROOT / "book/_images/02-live.svg").read_bytes())
    lines = {**GOOD, **change}
    page = f"# Page\n\n```{{live}} {lines.pop('name')}\n" + "\n".join(
        [*filter(None, lines.values()), "", "What to do.", "```", "{numref}`fig-live-wiener`", ""]
    )
    (tmp_path / "index.md").write_text(page)
    (tmp_path / "conf.py").write_text(
        f"import sys\nsys.path.insert(0, {str(ROOT / 'book/_ext')!r})\n"
        "extensions, numfig = ['myst_parser', 'fewstep_site'], True\n"
        f"html_static_path = [{str(ROOT / 'book/_static')!r}]\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", tmp_path, tmp_path / "out"],
        capture_output=True,
        text=True,
    )
    if fault:
        assert done.returncode != 0 and fault in done.stderr, done.stderr
        return
    assert done.returncode == 0, done.stderr
    html = (tmp_path / "out/index.html").read_text()
    assert 'data-live="wiener"' in html and "Fig. 1" in html and "live/wiener.js" in html
