/* Chapter 07: what guidance samples, and the density that it seems to promise. */
fewstep.figure("guidance", (figure) => {
  "use strict";
  const { say, linspace, mixture } = fewstep, N = 1500, EDGE = 2.5, BINS = 100;
  const all = mixture([[-1.5], [0], [1.3]], [0.09, 0.1225, 0.09], [0.35, 0.4, 0.25]);
  const one = mixture([[0]], 0.1225, [1]);
  const sigmas = fewstep.grids.edm(80, 0.02, 40), normal = fewstep.normals(3);
  const start = Float64Array.from({ length: N }, () => 40 * normal());
  const xs = Float64Array.from(linspace(-EDGE, EDGE, 301)), made = {};
  const strength = figure.player(8, () =>
    figure.slider("guidance w", [0, 4, 0.1, 2], { ends: ["0, all data", "4, beyond the class"] }));
  const way = figure.choice("sampler", ["ODE", "reverse SDE"]);

  function spread(values, weights) {
    let n = 0, sum = 0, squares = 0;
    values.forEach((v, i) => {
      const share = weights ? weights[i] : 1;
      n += share; sum += share * v; squares += share * v * v;
    });
    return Math.sqrt(squares / n - (sum / n) ** 2);
  }

  /* Samples with D_w = D_∅ + w (D_c − D_∅), kept for a second look. */
  function samples(w) {
    const key = `${w} ${way.value}`;
    if (made[key]) return made[key];
    const D = { denoise(x, sigma) {
      const without = all.denoise(x, sigma), given = one.denoise(x, sigma);
      return without.map((v, i) => v + w * (given[i] - v));
    } };
    const step = way.value ? fewstep.steps.eulerMaruyama(1) : fewstep.steps.heun;
    return made[key] = fewstep.sample(D, start, sigmas, step, { normal: fewstep.normals(5) }).x;
  }

  /* p(x) p(c | x)^w on xs, of sum 1 as a density. */
  function product(w) {
    const p = all.logDensity(xs, 0), c = one.logDensity(xs, 0);
    const q = p.map((v, i) => Math.exp(v + w * (c[i] - v)));
    const sum = q.reduce((a, b) => a + b) * (xs[1] - xs[0]);
    return q.map((v) => v / sum);
  }

  figure.draw = ({ w, h, colours }) => {
    const [blue, , green] = colours.series, high = 5, width = (2 * EDGE) / BINS;
    const panel = figure.panel({ x: 0, y: 0, w, h }, {
      x: [-EDGE, EDGE], y: [0, high], xTicks: [-2, -1, 0, 1, 2], yTicks: [0, 1, 2, 3, 4, 5],
      xLabel: "x₀", yLabel: "density", title: "promised and sampled",
    });
    panel.frame();
    const counts = new Array(BINS).fill(0);
    for (const x of samples(strength.value)) {
      const bin = Math.floor((x + EDGE) / width);
      if (bin >= 0 && bin < BINS) counts[bin] += 1;
    }
    panel.within(() => {
      panel.area(xs, all.logDensity(xs, 0).map(Math.exp), 0, { alpha: 0.2 });
      counts.forEach((n, i) => panel.bar(i * width - EDGE, 0, (i + 1) * width - EDGE,
        n / N / width, { colour: blue, alpha: 0.6 }));
      panel.line(xs, one.logDensity(xs, 0).map(Math.exp), { colour: green });
      panel.line(xs, product(strength.value), { width: 2 });
    });
    ["product", "samples", "class c", "all data"].forEach((name, i) => panel.name(name,
      panel.x + panel.w - 6, panel.y + 10 + 17 * i,
      [colours.ink, blue, green, colours.muted][i]));
  };

  figure.says = () => {
    const w = strength.value, x = samples(w);
    return `w = ${say(w, 1)}: the product has the standard deviation ` +
      `${say(spread(xs, product(w)))}, the samples ${say(spread(x))}.`;
  };
});
