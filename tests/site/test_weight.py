"""What a visit costs: bytes over the wire, jumps while loading, time until one can read."""

import gzip
import re

import pytest

MATHJAX_DONE = "() => !window.MathJax || MathJax.startup.promise.then(() => true)"
BYTES = 1_500_000  # one page with all that it shows, compressed
CODE = 100_000  # any one script or style sheet: what is larger has parts that no page uses
JUMPS = 0.05  # cumulative layout shift: 0.1 counts as good
READABLE = 3_000  # milliseconds on a core four times as slow, which a busy one multiplies
WATCH = """
  window.jumps = 0;
  new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) if (!entry.hadRecentInput) window.jumps += entry.value;
  }).observe({type: 'layout-shift', buffered: true});
  const look = () => {
    const text = document.querySelector('.bd-article p, main p');
    const shown = text && getComputedStyle(text).visibility === 'visible';
    if (shown && document.readyState !== 'loading') {
      window.readable = performance.now();
    } else {
      requestAnimationFrame(look);
    }
  };
  look();
"""
SCROLL = """async () => {
  for (let y = 0; y < document.documentElement.scrollHeight; y += innerHeight / 2) {
    scrollTo(0, y);
    await new Promise((go) => setTimeout(go, 30));
  }
}"""


def wire_size(response):
    """Bytes of an answer as servers send it: text compressed, fonts and pixels as they are."""
    body = response.body()
    packed = response.url.split("?")[0].endswith((".woff", ".woff2", ".png", ".jpg"))
    return len(body) if packed else len(gzip.compress(body, 6))


@pytest.fixture
def visit(browser, served):
    """Open a page in a fresh browser; the page, and a list that its answers are added to."""
    contexts = []

    def opened(name, width=1280, slower=1):
        context = browser.new_context(viewport={"width": width, "height": 900})
        contexts.append(context)
        page, answers = context.new_page(), []
        page.on("response", lambda answer: answers.append(answer))
        page.add_init_script(WATCH)
        session = context.new_cdp_session(page)
        session.send("Emulation.setCPUThrottlingRate", {"rate": slower})
        page.goto(f"{served}/{name}", wait_until="load")
        return page, answers

    yield opened
    for context in contexts:
        context.close()


def test_pages_are_light(visit, pages):
    heavy, sizes = {}, {}
    for name in pages:
        page, answers = visit(name)
        page.wait_for_function(MATHJAX_DONE)
        first = sum(map(wire_size, answers))
        page.evaluate(SCROLL)
        page.wait_for_load_state("networkidle")
        sizes[name] = (first, sum(map(wire_size, answers)))
        parts = sorted(((wire_size(a), a.url) for a in answers), reverse=True)
        large = [part for part in parts if part[0] > CODE and re.search(r"\.(js|css)\b", part[1])]
        if large or sizes[name][1] > BYTES:
            heavy[name] = (sizes[name], parts[:5])
        page.close()
    for name, (first, whole) in sizes.items():
        print(f"{name}: {first / 1e3:.0f} kB, scrolled to its end {whole / 1e3:.0f} kB")
    assert not heavy, f"more than {BYTES / 1e6} MB, or a file above {CODE / 1e3} kB: {heavy}"


@pytest.mark.parametrize("width", [1280, 390])
def test_pages_do_not_jump_while_they_load(visit, pages, width):
    jumps = {}
    for name in pages:
        page, _ = visit(name, width)
        page.wait_for_function(MATHJAX_DONE)
        page.wait_for_timeout(200)
        jumps[name] = page.evaluate("window.jumps")
        page.close()
    print({name: round(value, 4) for name, value in jumps.items()})
    moved = {name: value for name, value in jumps.items() if value > JUMPS}
    assert not moved, f"layout shifts above {JUMPS}: {moved}"


def test_pages_are_soon_readable(visit, pages):
    """A busy machine may take four times as long."""
    late = {}
    for name in pages:
        page, _ = visit(name, slower=4)
        page.wait_for_function("() => window.readable", timeout=60_000)
        late[name] = page.evaluate("window.readable")
        page.close()
    print({name: f"{value:.0f} ms" for name, value in late.items()})
    assert max(late.values()) < 4 * READABLE, late
