/* Chapter 08: input, target and errors under four parametrisations. */
fewstep.figure("precondition", (figure) => {
  "use strict";
  const all = fewstep.linspace(-2, 2, 101).map((e) => 10 ** e);
  const sigma = figure.player(8, () =>
    figure.slider("noise level σ", [-2, 2, 0.01, 0.7], {
      value: (raw) => 10 ** raw, ends: ["0.01", "100"],
    }));
  const kind = figure.choice("network predicts", ["ε (VP)", "ε (VE)", "x₀", "F (EDM)"]);

  /* c_skip, |c_out|, c_in; input, target, errors. */
  function at(s) {
    const d = 0.5, root = Math.hypot(s, d), k = kind.value;
    const skip = [1, 1, 0, (d / root) ** 2][k], out = [s, s, d, (s * d) / root][k];
    const into = 1 / [Math.hypot(1, s), 1, root, root][k];
    return [skip, out, into, into * root, Math.hypot(d - skip * d, skip * s) / out,
      (out * root) / s / d];
  }

  figure.draw = ({ w, h, narrow, colours }) => {
    const ticks = [[0.01, "0.01"], [1, "1"], [100, "100"]], [a, b, c] = colours.series;
    const axes = { y: [0.005, 200], yLog: true, yTicks: ticks.slice(1) };
    const boxes = narrow ? [{ x: 0, y: 0, w, h: h / 2 }, { x: 0, y: h / 2, w, h: h / 2 }]
      : [{ x: 0, y: 0, w: 0.6 * w, h }, { x: 0.62 * w, y: 0, w: 0.38 * w, h }];
    const one = figure.panel(boxes[0],
      { ...axes, x: [0.01, 100], xLog: true, xTicks: ticks, title: "coefficients" });
    one.frame();
    one.line([sigma.value, sigma.value], axes.y);
    const values = all.map(at);
    one.within(() => [a, b, c].forEach((colour, i) => {
      one.line(all, values.map((v) => v[i]), { colour, width: 2 });
      one.name(["c_skip", "|c_out|", "c_in"][i], one.x + 60, one.y + 10 + 17 * i, colour);
    }));
    const two = figure.panel(boxes[1], { ...axes, x: [0, 3], title: "should be 1",
      xTicks: ["input", "target", "errors"].map((v, i) => [i + 0.5, v]) });
    two.frame();
    two.line([0, 3], [1, 1]);
    two.within(() => at(sigma.value).slice(3).forEach((v, i) =>
      two.bar(i + 0.2, Math.min(v, 1) / 1.1, i + 0.8, Math.max(v, 1) * 1.1,
        { colour: [c, a, b][i] })));
  };

  figure.says = () => {
    const [input, target, errors] = at(sigma.value).slice(3).map((v) => fewstep.say(v));
    return `Input ${input}, target ${target}, errors ${errors} times the least.`;
  };
});
