"""Nothing on a page is cut off: formulas, code, tables and pictures fit, or scroll visibly."""

import pytest

MATHJAX_DONE = "() => !window.MathJax || MathJax.startup.promise.then(() => true)"
UNFOLD = """() => {
  document.querySelectorAll('details').forEach((folded) => (folded.open = true));
  document.querySelectorAll('.toggle-hidden').forEach((e) => e.classList.remove('toggle-hidden'));
}"""
# What does not fit, as [kind, what happens to it, how it begins].  scrolling: whether a box may
# scroll if it fades where it goes on.
MISFITS = """(scrolling) => {
  const article = document.querySelector('.bd-article') ?? document.querySelector('main');
  const unseen = (e) => e.closest('mjx-assistive-mml, .visually-hidden, .sr-only');
  const style = (e) => getComputedStyle(e);
  const kinds = {
    inline: 'mjx-container:not([display="true"])',
    display: 'mjx-container[display="true"]',
    code: 'pre',
    table: 'table',
    figure: 'img, canvas, video',
  };
  const extent = (e) => {
    let [left, right] = [Infinity, -Infinity];
    for (const part of [e, ...e.querySelectorAll('*')]) {
      if (unseen(part)) continue;
      for (const box of part.getClientRects()) {
        if (box.width) [left, right] = [Math.min(left, box.left), Math.max(right, box.right)];
      }
    }
    return [left, right];
  };
  const fate = (e) => {
    const [left, right] = extent(e);
    for (let box = e; box; box = box.parentElement) {
      if (['inline', 'contents'].includes(style(box).display)) continue;
      const edges = box.getBoundingClientRect();
      const out = Math.round(Math.max(right - edges.right, edges.left - left));
      const more = box.scrollWidth - box.clientWidth;
      if (['auto', 'scroll'].includes(style(box).overflowX) && more > 1) {
        if (!scrolling) return `scrolls by ${more} px`;
        return style(box).maskImage === 'none' ? 'scrolls, which nobody sees' : null;
      }
      if (['hidden', 'clip'].includes(style(box).overflowX) && out > 1) return `cut by ${out} px`;
      if (box === article) return out > 1 ? `sticks out by ${out} px` : null;
    }
  };
  const found = [];
  for (const [kind, selector] of Object.entries(kinds)) {
    for (const e of article.querySelectorAll(selector)) {
      if (unseen(e) || !e.checkVisibility({visibilityProperty: true})) continue;
      const happens = fate(e);
      const begins = (e.alt || e.textContent).trim().replace(/\\s+/g, ' ').slice(0, 60);
      if (happens) found.push([kind, happens, begins]);
    }
  }
  for (const number of article.querySelectorAll('.eqno')) {
    const formula = number.parentElement.querySelector('mjx-math');
    if (!formula || !number.checkVisibility()) continue;
    const [a, b] = [number, formula].map((e) => e.getBoundingClientRect());
    if (a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom) {
      found.push(['number', 'lies on its formula', number.textContent]);
    }
  }
  const wide = document.documentElement.scrollWidth;
  if (wide > innerWidth) found.push(['page', `scrolls sideways: ${wide} px`, '']);
  return found;
}"""


@pytest.mark.parametrize("width", [1280, 390])
def test_nothing_is_cut_off(browser, served, pages, width):
    """In a wide window nothing even scrolls."""
    page = browser.new_page(viewport={"width": width, "height": 900})
    misfits = []
    for name in pages:
        page.goto(f"{served}/{name}", wait_until="load")
        page.wait_for_function(MATHJAX_DONE)
        page.evaluate(UNFOLD)
        page.wait_for_timeout(100)  # two frames, in which what was folded is fitted
        for kind, happens, begins in page.evaluate(MISFITS, width < 1280):
            misfits.append(f"{name}: {kind} {begins!r} {happens}")
    page.close()
    assert not misfits, f"{len(misfits)} do not fit {width} px:\n" + "\n".join(misfits)


def test_long_formulas_break_and_scroll(browser, served):
    """A long inline formula breaks at a relation; one without a place to break scrolls."""
    page = browser.new_page(viewport={"width": 390, "height": 844})
    page.goto(f"{served}/book/01-noising.html", wait_until="load")
    page.wait_for_function(MATHJAX_DONE)
    inline, fraction = page.evaluate(
        r"""async () => {
          const p = document.createElement('p');
          const terms = Array(30).fill('x').join(' + ');
          p.innerHTML = `<span class="math">\\(y = ${Array(30).fill('x').join(' = ')}\\)</span>
            <span class="math">\\(\\tfrac{${terms}}{2}\\)</span>`;
          document.querySelector('.bd-article > section').append(p);
          await window.fewstepTypeset(p.children);
          await new Promise((go) => setTimeout(go, 200));
          return [...p.querySelectorAll('mjx-container')].map((e) => [
            e.querySelector('mjx-math').getClientRects().length,
            e.scrollWidth > e.clientWidth, getComputedStyle(e).maskImage !== 'none']);
        }"""
    )
    page.close()
    assert inline[0] > 1 and not inline[2], "a chain of equations does not break into lines"
    assert fraction[1] and fraction[2], "a long fraction does not scroll in a box that shows it"
