/* What is wider than the text: a displayed formula is broken or made a little smaller, and what is
   still too wide scrolls in a box that fades where it goes on. */

(() => {
  "use strict";

  const SMALLEST = 92; // per cent of the text's size, for a displayed formula
  const BLOCKS = "p, li, dt, dd, td, th, figcaption, summary, h1, h2, h3, h4, div";
  const BOXES =
    'pre, .pst-scrollable-table-container, .bd-article mjx-container[display="true"], .scrolls';

  /** Fade the edges behind which there is more. */
  function fade(box) {
    const rest = box.scrollWidth - box.clientWidth;
    box.classList.toggle("more-left", rest > 1 && box.scrollLeft > 1);
    box.classList.toggle("more-right", rest > 1 && box.scrollLeft < rest - 1);
  }

  function fitDisplay(box) {
    const math = box.querySelector(":scope > mjx-math");
    box.classList.remove("broken");
    box.dataset.size ??= parseFloat(box.style.fontSize) || 100; // MathJax's, per cent of the text's
    box.style.fontSize = `${box.dataset.size}%`;
    const share = box.clientWidth / math.scrollWidth;
    if (share >= 1) return;
    if (math.querySelector("mjx-break")) box.classList.add("broken");
    else box.style.fontSize = `${Math.max(SMALLEST, 0.99 * share * box.dataset.size)}%`;
  }

  /** An inline formula with a part that no line can hold. */
  function fitInline(block) {
    const { right } = block.getBoundingClientRect();
    for (const formula of block.querySelectorAll("mjx-container:not([display])")) {
      formula.classList.remove("scrolls");
      const boxes = [...formula.querySelectorAll("mjx-math > *, .breaks > *")];
      if (boxes.some((box) => box.getBoundingClientRect().right > right + 1)) {
        formula.classList.add("scrolls");
        fade(formula);
      }
    }
  }

  const widths = new WeakMap();
  const observer = new ResizeObserver((entries) => {
    for (const { target, contentRect } of entries) {
      if (widths.get(target) === contentRect.width) continue;
      widths.set(target, contentRect.width);
      if (!target.matches(BOXES)) {
        fitInline(target);
        continue;
      }
      if (target.localName === "mjx-container") fitDisplay(target);
      fade(target);
    }
  });

  /** Keep what is inside fitting, whatever becomes of the window. */
  window.fewstepFit = (element) => {
    for (const box of element.querySelectorAll(BOXES)) observer.observe(box);
    for (const formula of element.querySelectorAll("mjx-container:not([display])")) {
      if (formula.querySelectorAll("mjx-c").length > 12) observer.observe(formula.closest(BLOCKS));
    }
  };

  addEventListener("scroll", ({ target }) => target.matches?.(BOXES) && fade(target), {
    capture: true,
    passive: true,
  });
  addEventListener("DOMContentLoaded", () => window.fewstepFit(document));
})();
