/* Formulas: typeset those in view first, then the rest, some at a time so that the page never
   stops; inline formulas may break at relations and, where long, at other operators, as in TeX.

   MathJax 3 breaks no lines by itself. Its output is a row of boxes in which the browser may not
   break; here it gets places where it may. */

(() => {
  "use strict";

  const SCALE = 1.15; // MathJax's letters beside those of the text
  const LONG = 16; // glyphs: a piece with more of them may break inside
  const BUSY = 100; // milliseconds of typesetting before the page may do something else
  const PATIENCE = 3000; // milliseconds until the text is shown, typeset or not

  const root = document.documentElement;
  const glyphs = (boxes) =>
    boxes.reduce((n, box) => n + box.querySelectorAll("mjx-c").length, 0);
  const space = (box) => box.getAttribute("space");
  const operator = (box, width) => box.localName === "mjx-mo" && space(box) === width;
  const wide = (box) => {
    const gap = box.localName === "mjx-mstyle" ? box.firstElementChild : box;
    return gap?.localName === "mjx-mspace" && parseFloat(gap.style.width) >= 1;
  };
  const glyph = (box, codes) => codes.some((c) => box.querySelector(`:scope > .mjx-c${c}`));
  const comma = (box) => glyph(box, ["2C", "3B"]);
  const opens = (box) => box.localName === "mjx-mo" && glyph(box, ["28", "5B", "7B", "27E8"]);
  const closes = (box) => box.localName === "mjx-mo" && glyph(box, ["29", "5D", "7D", "27E9"]);

  const blank = (box, end) =>
    box.localName === "mjx-mtext" && box.querySelector(`.mjx-cA0:${end}-child`);

  // MathJax marks a relation and what follows it with space 4, a binary operator with 3.
  const afterRelation = (a, b) => (operator(a, "4") && space(b) === "4") || wide(a);
  const afterOther = (a, b) =>
    (operator(a, "3") && space(b) === "3") ||
    (comma(a) && !wide(b)) ||
    ((blank(a, "last") || blank(b, "first")) && !wide(b));
  const RULES = [
    { breaks: afterRelation, inside: false }, // of brackets
    { breaks: afterOther, inside: false },
    { breaks: (a, b) => afterRelation(a, b) || afterOther(a, b), inside: true },
  ];

  function pieces(boxes, { breaks, inside }) {
    const found = [[]];
    let depth = 0;
    boxes.forEach((box, i) => {
      if (i > 0 && (inside || depth === 0) && breaks(boxes[i - 1], box)) found.push([]);
      found[found.length - 1].push(box);
      depth = Math.max(0, depth + opens(box) - closes(box));
    });
    return found;
  }

  function breakBefore(box) {
    const place = document.createElement("mjx-break");
    place.classList.toggle("wide", wide(box.previousElementSibling));
    place.append(document.createElement("mjx-gap"));
    place.firstChild.textContent = " ";
    if (space(box)) place.setAttribute("space", space(box)); // which no line begins with
    box.removeAttribute("space");
    box.before(place);
  }

  /** Let a row of boxes break into lines, and rows within it where they are long. */
  function breakRow(boxes, rules = RULES) {
    if (rules !== RULES && glyphs(boxes) <= LONG) return;
    if (rules.length > 0) {
      pieces(boxes, rules[0]).forEach((piece, i) => {
        if (i > 0) breakBefore(piece[0]);
        breakRow(piece, rules.slice(1));
      });
      return;
    }
    for (const box of boxes) {
      if (["mjx-mrow", "mjx-texatom", "mjx-mstyle"].includes(box.localName)) {
        box.classList.add("breaks");
        breakRow([...box.children]);
      }
    }
  }

  function finish(formula) {
    const math = formula.querySelector("mjx-math");
    if (!math || math.querySelector("mjx-break")) return;
    if (formula.getAttribute("display") !== "true") {
      breakRow([...math.children]);
      // what stands right before or after a formula, such as a comma, stays with it
      const span = formula.closest(".math") ?? formula;
      if (/^[^\s]/.test(span.nextSibling?.data ?? "")) span.after("\u2060");
      if (/[^\s]$/.test(span.previousSibling?.data ?? "")) span.before("\u2060");
    } else if (!math.querySelector("mjx-mtable")) {
      breakRow([...math.children]);
    }
  }

  /** Typeset what is inside these elements; pause(), where given, is waited for now and then. */
  async function typeset(elements, pause = null) {
    const formulas = MathJax.startup.document;
    formulas.options.elements = [...elements];
    formulas.reset();
    formulas.findMath();
    const items = [...formulas.math];
    formulas.clear();
    let start = performance.now();
    for (const [i, item] of items.entries()) {
      // MathJax would measure the page for each; only its sizes in pixels depend on this.
      item.setMetrics(16, 8, 1e6, 1e6, SCALE);
      await MathJax._.util.Retries.handleRetriesFor(() => item.render(formulas));
      finish(item.typesetRoot);
      const late = performance.now() - start > BUSY;
      if ((late && pause) || i === items.length - 1) {
        formulas.reset();
        formulas.updateDocument(); // the styles of glyphs that are new
      }
      if (late && pause) {
        await pause();
        start = performance.now();
      }
    }
    for (const element of elements) window.fewstepFit(element);
  }

  const inView = (element) => {
    const { top, bottom } = element.getBoundingClientRect();
    return bottom > -innerHeight / 2 && top < 1.5 * innerHeight;
  };
  const show = () => root.classList.remove("typesetting");

  async function typesetPage() {
    const waiting = [...document.querySelectorAll(".math, .tex2jax_process, .mathjax_process")];
    const first = waiting.filter(inView);
    await typeset(first);
    show();
    const later = waiting.filter((element) => !first.includes(element));
    await typeset(later, () => new Promise((go) => setTimeout(go)));
  }

  if (!window.MathJax) return; // a page without formulas
  window.MathJax = {
    ...window.MathJax,
    loader: { load: ["input/tex", "output/chtml", "a11y/assistive-mml"] },
    startup: { typeset: false, pageReady: typesetPage },
  };

  window.fewstepTypeset = typeset;

  // Until the first formulas stand, the text would jump: it is not shown.
  root.classList.add("typesetting");
  setTimeout(show, PATIENCE);
  addEventListener("DOMContentLoaded", () => {
    if (!MathJax.version || !document.querySelector(".math")) show(); // not loaded, or not needed
  });
})();
