/* Search excerpts: the text of the page alone, with short formulas as text and long ones as "…";
   Sphinx's own would show raw TeX and the contents beside the page. */

(() => {
  "use strict";

  const NOT_TEXT =
    "script, style, .headerlink, .eqno, .cell_input, .toggle-button, #jb-print-docs-body, " +
    ".bd-header-article, .prev-next-footer, .bd-sidebar-secondary, footer";
  const SIGNS = Object.fromEntries(
    (
      "alpha α beta β gamma γ delta δ epsilon ϵ varepsilon ε eta η theta θ kappa κ lambda λ mu μ " +
      "nu ν xi ξ pi π rho ρ sigma σ tau τ phi ϕ varphi φ chi χ psi ψ omega ω Gamma Γ Delta Δ " +
      "Lambda Λ Sigma Σ Phi Φ Psi Ψ Omega Ω nabla ∇ partial ∂ infty ∞ int ∫ sum ∑ prod ∏ sqrt √ " +
      "cdot · times × pm ± to → mapsto ↦ le ≤ leq ≤ ge ≥ geq ≥ ne ≠ neq ≠ approx ≈ sim ∼ in ∈ " +
      "propto ∝ mid | ll ≪ gg ≫ dots … cdots ⋯ ldots … log log exp exp ln ln min min max max"
    )
      .split(" ")
      .map((word, i, all) => [word, all[i + 1]])
      .filter((_, i) => i % 2 === 0),
  );
  const MARKS = { bar: "\u0304", hat: "\u0302", tilde: "\u0303", dot: "\u0307" };

  /** A formula as text, or an ellipsis where that would not be read. */
  function plain(tex) {
    const text = tex
      .replace(/^\s*\\[([]|\\[)\]]\s*$/g, "")
      .replace(/\\(math(?:bb|bf|cal|rm)|operatorname|text|big|Big|bigl|bigr|left|right)\b\s*/g, "")
      .replace(/\\[,;:! ]|~/g, " ")
      .replace(/\\([A-Za-z]+)/g, (whole, name) => SIGNS[name] ?? whole)
      .replace(/\\(bar|hat|tilde|dot)\s*\{?(.)\}?/g, (_, mark, letter) => letter + MARKS[mark])
      .replace(/[{}]/g, "")
      .replace(/\s+/g, " ")
      .trim();
    return text.includes("\\") || text.length > 40 ? "…" : text;
  }

  function htmlToText(html, anchor) {
    const page = new DOMParser().parseFromString(html, "text/html");
    page.querySelectorAll(NOT_TEXT).forEach((element) => element.remove());
    for (const formula of page.querySelectorAll(".math")) {
      const text = formula.localName === "span" ? plain(formula.textContent) : " … ";
      formula.replaceWith(text);
    }
    const main = page.querySelector(".bd-article") ?? page.querySelector('[role="main"]');
    const part = (anchor && main?.querySelector(anchor)) || main;
    return (part?.textContent ?? "").replace(/\s+/g, " ");
  }

  Search.htmlToText = htmlToText;
})();
