/* Chapter 06: the best guess of two points where errors count to a power from 2, the mean, to 1, the
   median, and the paths of the ODE with it. */
fewstep.figure("two-errors", (figure) => {
  "use strict";
  const { say, linspace } = fewstep, percent = (v) => `${say(100 * v, 0)} %`;
  const sigmas = linspace(Math.log(20), Math.log(0.01), 240).map(Math.exp);
  const power = figure.player(15, () =>
    figure.slider("power k of the error", [1, 2, 0.01, 1.3], { ends: ["1, median", "2, mean"] }),
    true);
  const share = figure.slider("share of +1", [0.5, 0.95, 0.01, 0.7],
    { text: percent, ends: ["a half", "nearly all"] });

  function guess(x, sigma) {
    const p = share.value, odds = x / sigma ** 2 + Math.log(p / (1 - p)) / 2;
    return Math.tanh(odds / Math.max(power.value - 1, 1e-9));
  }
  /* From the quantile p of the noise; Tukey's approximation. */
  function path(p) {
    let x = sigmas[0] * 4.91 * (p ** 0.14 - (1 - p) ** 0.14);
    return sigmas.map((sigma, i) => {
      if (i) {
        const before = sigmas[i - 1], D = guess(x, before);
        x = D + (sigma / before) * (x - D);
      }
      return x / Math.hypot(1, sigma);
    });
  }
  /* The share of paths that end at −1: the start between the two, by bisection. */
  function lost() {
    let [low, high] = [0, 1];
    for (let k = 0; k < 12; k++) {
      const middle = (low + high) / 2;
      if (path(middle).at(-1) < 0) low = middle;
      else high = middle;
    }
    return low;
  }

  figure.draw = ({ w, h, narrow, colours }) => {
    const [blue, , , red] = colours.series, part = narrow ? 0.36 * h : 0.36 * w;
    const boxes = narrow ? [{ x: 0, y: 0, w, h: part }, { x: 0, y: part, w, h: h - part }]
      : [{ x: 0, y: 0, w: part, h }, { x: part + 8, y: 0, w: w - part - 8, h }];
    const left = figure.panel(boxes[0], {
      x: [-2, 2], y: [-1.15, 1.15], xTicks: [-2, 0, 2], yTicks: [-1, 0, 1], xLabel: "state x",
      yLabel: "best guess", title: "guess at σ = 1",
    });
    left.frame();
    const at = linspace(-2, 2, 200);
    left.line(at, at.map((x) => guess(x, 1)), { colour: blue, width: 2 });
    const right = figure.panel(boxes[1], {
      x: [20, 0.01], y: [-2.5, 2.5], xLog: true, xTicks: [10, 1, [0.1, "0.1"], [0.01, "0.01"]],
      yTicks: [-1, 1], xLabel: "noise level σ, falling", title: "40 paths, divided by √(1 + σ²)",
    });
    right.frame();
    for (let i = 0; i < 40; i++) {
      const x = path((i + 0.5) / 40);
      right.line(sigmas, x, { colour: x.at(-1) < 0 ? red : blue, width: 1 });
    }
  };
  figure.says = () =>
    `−1 has the share ${percent(1 - share.value)} in the data and ${percent(lost())} among samples.`;
});
