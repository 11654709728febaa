/* Chapter 03: particles that run back in time over the density of a mixture, with any amount κ of
   noise. */
fewstep.figure("motions", (figure) => {
  "use strict";
  const { say } = fewstep, N = 1000, SHOWN = 8, STEPS = 320, HEIGHT = 3.2;
  const process = fewstep.processes.vp();
  const data = fewstep.mixture([[-1.5], [0.2], [1.5]], [0.08, 0.04, 0.15], [0.35, 0.25, 0.4]);
  const clock = fewstep.linspace(1, 0, STEPS + 1);
  const sigmas = clock.map((t) => process.at(t).sigma);
  let states, before = null;

  const time = figure.player(7, () =>
    figure.slider("time t", [0, 1, 0.0025, 0], { ends: ["0, data", "1, noise"] }), true);
  const kappa = figure.slider("noise κ", [0, 4, 0.25, 1], {
    ends: ["0, the ODE", "4, more noise"],
    text: (k) => say(k) + (k === 0 ? " (ODE)" : k === 1 ? " (reverse SDE)" : ""),
  });

  /* The density of x_t = s (x_0 + σ ε) at the values xs. */
  function density(xs, t) {
    const { s, sigma } = process.at(t);
    return data.logDensity(Float64Array.from(xs, (x) => x / s), sigma).map((l) => Math.exp(l) / s);
  }

  /* The same starts and the same noise for every κ: only its share changes. The first few, drawn as
     paths, start at chosen places. */
  function run() {
    if (before === kappa.value) return;
    before = kappa.value;
    const normal = fewstep.normals(7), { s, sigma } = process.at(1);
    const x = Float64Array.from({ length: N }, (_, i) => {
      const z = normal();
      return s * sigma * (i < SHOWN ? -1.9 + (3.8 * i) / (SHOWN - 1) : z);
    });
    states = fewstep.sample(data, x, sigmas, fewstep.steps.eulerMaruyama(kappa.value),
      { process, normal }).trajectory;
  }

  const heights = fewstep.linspace(HEIGHT, -HEIGHT, 161);
  let shading, look, panel;
  figure.draw = ({ w, h, narrow, colours }) => {
    run();
    const [blue, orange] = colours.series, t = time.value, k = Math.round((1 - t) * STEPS);
    const wide = narrow ? w : 0.64 * w, high = narrow ? 0.58 * h : h, y = [-HEIGHT, HEIGHT];
    panel = figure.panel({ x: 0, y: 0, w: wide, h: high }, {
      x: [0, 1], y, xTicks: [[0, "0, data"], [0.5, "½"], [1, "1, noise"]], xLabel: "time t",
      yTicks: [-3, 0, 3], yLabel: "state x", title: "paths over the density",
    });
    if (look !== figure.look) {
      look = figure.look;
      const columns = fewstep.linspace(0, 1, 121).map((t) => density(heights, Math.max(t, 1e-4)));
      const shares = heights.flatMap((_, i) => columns.map((column) => Math.sqrt(column[i] / 0.6)));
      shading = panel.shade(121, 161, shares, 0.5);
    }
    shading();
    panel.frame();
    panel.within(() => {
      for (let i = 0; i < SHOWN; i++) {
        const xs = states.slice(0, k + 1).map((state) => state[i]);
        panel.line(clock.slice(0, k + 1), xs, { colour: blue, width: 1.4, alpha: 0.9 });
      }
    });
    panel.line([t, t], y, { colour: orange, width: 2 });
    for (let i = 0; i < SHOWN; i++)
      if (Math.abs(states[k][i]) < HEIGHT)
        panel.dot(clock[k], states[k][i], { colour: orange, radius: 4.5, ring: true });

    // the histogram lies on its side where there is room, so that both share the axis of x
    const bins = 48, width = (2 * HEIGHT) / bins, counts = new Array(bins).fill(0);
    for (const x of states[k]) {
      const bin = Math.floor((x + HEIGHT) / width);
      if (bin >= 0 && bin < bins) counts[bin] += 1 / (N * width);
    }
    const exact = density(heights, Math.max(t, 1e-4)), most = 0.7;
    const box = narrow ? { x: 0, y: high, w, h: h - high } : { x: wide, y: 0, w: w - wide, h };
    const title = `particles at t = ${say(t)}`, ticks = [[0, "0"], [0.5, "0.5"]];
    const beside = figure.panel(box, narrow
      ? { x: y, y: [0, most], title, xTicks: [-3, 0, 3], xLabel: "state x", yTicks: ticks,
          yLabel: "density" }
      : { x: [0, most], y, title, xTicks: ticks, xLabel: "density",
          yTicks: [[-3, ""], [0, ""], [3, ""]] });
    beside.frame();
    beside.within(() => {
      counts.forEach((count, i) => {
        const low = -HEIGHT + i * width, high = low + 0.9 * width;
        const corners = narrow ? [low, 0, high, count] : [0, low, count, high];
        beside.bar(...corners, { colour: orange, alpha: 0.75 });
      });
      const [xs, ys] = narrow ? [heights, exact] : [exact, heights];
      beside.line(xs, ys, { width: 2 });
    });
    const corner = beside.x + beside.w - 4;
    beside.name("exact density", corner, beside.y + 8, colours.ink);
    beside.name(`${N} particles`, corner, beside.y + 25, orange);
  };

  figure.point({
    label: () => `time t = ${say(time.value)}; left and right arrow keys move it`,
    panel: () => panel,
    get: () => [time.value, -HEIGHT],
    set: (t) => (time.raw = t),
    steps: [0.02, 0],
    className: "live-orange",
  });

  figure.says = () => {
    const k = Math.round((1 - time.value) * STEPS), x = states[k];
    const mean = (f) => x.reduce((sum, v) => sum + f(v), 0) / N;
    const std = Math.sqrt(mean((v) => v * v) - mean((v) => v) ** 2);
    // of the data: E v_k + E μ_k² − (E μ_k)²
    const { weights, means, variances } = data, { s, sigma } = process.at(time.value);
    const each = (f) => weights.reduce((sum, w, k) => sum + w * f(k), 0);
    const square = each((k) => variances[k] + means[k][0] ** 2) - each((k) => means[k][0]) ** 2;
    return `κ = ${say(kappa.value)}, t = ${say(time.value)}: the particles have a standard ` +
      `deviation of ${say(std)}, the density ${say(s * Math.sqrt(square + sigma ** 2))}.`;
  };
});
