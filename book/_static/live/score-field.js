/* Chapter 04: the score field of a few training points, the posterior weights and the denoiser's
   answer, for a state x under the hand. */
fewstep.figure("score-field", (figure) => {
  "use strict";
  const { say } = fewstep, HALF = 2.4;
  const points = [
    [-1.5, 0.9], [-0.8, 1.5], [-1.3, -0.5], [0.3, -1.4], [1.2, -0.9], [1.6, 0.6], [0.6, 1.2],
  ];
  const x = [1.9, -2];

  const sigma = figure.player(8, () =>
    figure.slider("noise level σ", [0, 1, 0.001, 0.633], {
      value: (raw) => 0.05 * 80 ** raw, ends: ["0.05, one point", "4, the mean"],
    }), true);
  const kind = figure.choice("data", ["points", "Gaussians of std 0.3"]);

  const weights = points.map(() => 1 / points.length);
  const data = () => fewstep.mixture(points, kind.value ? 0.09 : 0, weights);

  let panel;
  figure.draw = ({ w, h, narrow, colours }) => {
    const [blue, orange, green] = colours.series, p = data(), level = sigma.value;
    const side = narrow ? Math.min(w, h - 120) : h;
    panel = figure.panel({ x: narrow ? (w - side) / 2 : 0, y: 0, w: side, h: side }, {
      x: [-HALF, HALF], y: [-HALF, HALF], xTicks: [-2, 0, 2], yTicks: [-2, 0, 2],
      title: "score and answer",
    });
    // the density, relative to its largest value here
    const n = 48, at = fewstep.linspace(-HALF, HALF, n), grid = new Float64Array(2 * n * n);
    at.forEach((v, row) => at.forEach((u, i) => grid.set([u, -v], 2 * (row * n + i))));
    const logs = p.logDensity(grid, level), top = Math.max(...logs);
    panel.shade(n, n, logs.map((l) => Math.exp(l - top)), 0.5)();
    // the score at 13 × 13 places: true directions, lengths pressed together
    const m = narrow ? 11 : 13, cell = (2 * HALF) / m, places = new Float64Array(2 * m * m);
    for (let i = 0; i < m * m; i++)
      places.set([(i % m) + 0.5, Math.floor(i / m) + 0.5].map((v) => cell * v - HALF), 2 * i);
    const D = p.denoise(places, level);
    panel.within(() => {
      for (let i = 0; i < places.length; i += 2) {
        const [dx, dy] = [D[i] - places[i], D[i + 1] - places[i + 1]], length = Math.hypot(dx, dy);
        const drawn = (0.8 * cell * length) / (0.5 + length) / (length + 1e-9);
        panel.arrow(places[i], places[i + 1], places[i] + drawn * dx, places[i + 1] + drawn * dy,
          { colour: colours.muted, width: 1.1, head: 3.5, alpha: 0.8 });
      }
    });
    panel.frame();
    const state = Float64Array.from(x);
    const share = p.posterior(state, level), answer = p.denoise(state, level);
    panel.within(() => points.forEach((y, i) => {
      if (share[i] > 0.002)
        panel.line([x[0], y[0]], [x[1], y[1]],
          { colour: orange, width: 1 + 9 * share[i], alpha: 0.55 });
    }));
    points.forEach((y, i) => {
      panel.dot(...y, { colour: orange, radius: 8, ring: true });
      panel.write(i + 1, panel.X(y[0]), panel.Y(y[1]) + 0.5,
        { align: "center", bold: true, colour: colours.paper });
    });
    panel.arrow(...x, ...answer, { colour: colours.ink, width: 3, head: 8 });
    panel.dot(...x, { colour: blue, radius: 7, ring: true });
    panel.dot(...answer, { colour: green, radius: 5, ring: true });
    // beside the arrow's two ends, not on it
    const angle = Math.atan2(answer[1] - x[1], answer[0] - x[0]);
    const [ux, uy] = [17 * Math.cos(angle), 17 * Math.sin(angle)];
    panel.name("x", panel.X(x[0]) - ux, panel.Y(x[1]) + uy, blue, "center");
    panel.name("D", panel.X(answer[0]) + ux, panel.Y(answer[1]) - uy, green, "center");

    const box = narrow ? { x: 0, y: side + 4, w, h: h - side - 4 }
      : { x: side + 20, y: 0, w: w - side - 20, h };
    const bars = figure.panel(box, narrow
      ? { x: [0, 7], y: [0, 1], title: "posterior weights", xTicks: [],
          yTicks: [[0, "0"], [1, "1"]] }
      : { x: [0, 1], y: [0, 7], title: "posterior weights p(yᵢ | x)", yTicks: [[7, ""]],
          xTicks: [[0, "0"], [0.5, "½"], [1, "1"]] });
    bars.frame();
    share.forEach((v, i) => {
      const letter = `y${"₁₂₃₄₅₆₇"[i]}`;
      if (narrow) {
        bars.bar(i + 0.15, 0, i + 0.85, v, { colour: orange });
        const look = { align: "center", baseline: "top" };
        bars.write(letter, bars.X(i + 0.5), bars.y + bars.h + 6, look);
      } else {
        const y = bars.Y(6.5 - i);
        bars.bar(0, 6.25 - i, v, 6.75 - i, { colour: orange });
        bars.write(letter, bars.x - 8, y, { align: "right" });
        const inside = v > 0.85;
        bars.write(say(v), bars.X(v) + (inside ? -6 : 6), y,
          { align: inside ? "right" : "left", colour: inside ? colours.paper : colours.muted });
      }
    });
  };

  const clip = (v) => Math.min(HALF, Math.max(-HALF, v));
  const movable = (label, place, className) => figure.point({
    label: () => `${label} at ${say(place[0])}, ${say(place[1])}; arrow keys move it`,
    panel: () => panel,
    get: () => place,
    set: (u, v) => ([place[0], place[1]] = [clip(u), clip(v)]),
    className,
  });
  points.forEach((place, i) => movable(`training point ${i + 1}`, place, "live-orange"));
  movable("state x", x, "");

  figure.says = () => {
    const state = Float64Array.from(x), p = data(), D = p.denoise(state, sigma.value);
    const share = p.posterior(state, sigma.value), best = share.indexOf(Math.max(...share));
    const S = fewstep.score(p, state, sigma.value);
    return `σ = ${say(sigma.value)}: the answer is D = (${say(D[0])}, ${say(D[1])}), ` +
      `${say(100 * share[best], 0)} % of it point ${best + 1}. The score at x, ` +
      `(D − x)/σ², has length ${say(Math.hypot(...S), 1)}.`;
  };
});
