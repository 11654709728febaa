/* Title page: sixteen digits on their way out of noise, by solver and number of network calls, and
   the quality of what comes out. All of it is recorded, in digits-data.js, which loads after this:
   until then, and without it, the still picture stays. */
(() => {
  "use strict";
  const data = document.createElement("script");
  data.src = new URL("digits-data.js", document.currentScript.src);
  data.onload = () => fewstep.figure("digits", show);
  document.head.append(data);

  const dashes = [[], [7, 3], [2, 3]];

  function show(figure) {
    const { say } = fewstep, { solvers, calls, floor, runs } = fewstep.digits;
    const of = (solver, i) => runs[solver * calls.length + i];

    const solver = figure.choice("solver", solvers, 2);
    const count = figure.choice("network calls", calls, 1);

    /* The run that is chosen: its noise levels, number of steps, states as bytes. */
    const run = () => of(solver.value, count.value), last = () => run().sigmas.length - 1;
    const states = () => (run().bytes ??= Uint8Array.from(atob(run().frames), (b) => b.charCodeAt()));

    /* Heun's steps cost two calls each, all but the last. */
    function paid(i) {
      const all = calls[count.value];
      return `${Math.min(i * Math.ceil(all / last()), all)} of ${all} calls`;
    }

    const step = figure.player(1, () =>
      figure.slider("after", [0, 9, 1, 6], { text: paid, ends: ["noise", "digits"] }));

    /* Another run has another number of steps: the same share of the way is kept. More calls take
       longer here too. */
    let share = 6 / 9, raw = 6;
    function fit() {
      if (step.raw !== raw) share = step.raw / step.max;
      step.max = step.input.max = last();
      step.raw = raw = Math.round(share * step.max);
      figure.play.seconds = 1.5 + 0.12 * calls[count.value];
    }
    figure.controls.addEventListener("change", fit);
    fit();
    // the first time it plays all of it, not what is left from the frame that it starts with
    const rewind = () => step.raw === raw && (step.raw = 0);
    figure.play.button.addEventListener("click", rewind, { once: true });

    /* One digit of a state, 8 × 8 pixels of 16 greys, two in a byte. */
    const small = document.createElement("canvas");
    small.width = small.height = 8;
    const pixels = small.getContext("2d"), image = pixels.createImageData(8, 8);
    function digit(at) {
      for (let i = 0; i < 64; i++) {
        const byte = states()[at + (i >> 1)], grey = 17 * (i % 2 ? byte & 15 : byte >> 4);
        image.data.set([grey, grey, grey, 255], 4 * i);
      }
      pixels.putImageData(image, 0, 0);
      return small;
    }

    figure.draw = ({ context: c, w, h, narrow, colours }) => {
      const side = narrow ? 216 : Math.min(h - 24, 0.46 * w), size = (side + 4) / 4;
      const left = narrow ? (w - side) / 2 : 0;
      c.imageSmoothingEnabled = false;
      for (let k = 0; k < 16; k++) {
        const [x, y] = [left + (k % 4) * size, (narrow ? 0 : 22) + Math.floor(k / 4) * size];
        c.drawImage(digit(512 * step.raw + 32 * k), x, y, size - 4, size - 4);
      }

      const box = narrow ? { x: 0, y: side + 8, w, h: h - side - 8 }
        : { x: side + 20, y: 0, w: w - side - 20, h };
      const panel = figure.panel(box, {
        x: [4.2, 48], y: [0.17, 14], xLog: true, yLog: true, xTicks: calls.map((v) => [v, v]),
        yTicks: [0.3, 1, 3, 10].map((v) => [v, v]), xLabel: "network calls",
        title: "distance from real digits (FD-C)",
      });
      if (!narrow) panel.write(`samples after ${paid(step.raw)}`, 0, panel.y - 6,
        { baseline: "bottom", bold: true });
      panel.bar(4.2, floor[0] - floor[1], 48, floor[0] + floor[1],
        { colour: colours.muted, alpha: 0.25 });
      panel.frame();
      solvers.forEach((name, k) => {
        const colour = colours.series[k], chosen = k === solver.value;
        const look = { colour, alpha: chosen ? 1 : 0.55 }, width = chosen ? 2.5 : 1.5;
        const means = calls.map((_, i) => of(k, i).fd[0]);
        panel.line(calls, means, { ...look, width, dash: dashes[k] });
        calls.forEach((v, i) => {
          const [mean, std] = of(k, i).fd;
          if (chosen) panel.line([v, v], [mean - std, mean + std], look);
          panel.dot(v, mean, look);
        });
        const x = panel.x + panel.w - (narrow ? 130 : 140), y = panel.Y(11.5) + 20 * k;
        panel.line([panel.valueX(x - 42), panel.valueX(x - 6)], [panel.valueY(y), panel.valueY(y)],
          { ...look, width, dash: dashes[k] });
        panel.write(name, x, y, { colour, bold: chosen });
      });
      // what has been paid so far goes round the chosen point
      const v = calls[count.value], mean = run().fd[0], colour = colours.series[solver.value];
      panel.dot(v, mean, { colour, radius: 7, ring: true });
      c.strokeStyle = colours.ink;
      c.lineWidth = 2;
      c.beginPath();
      c.arc(panel.X(v), panel.Y(mean), 11, -Math.PI / 2, (2 * step.raw / last() - 0.5) * Math.PI);
      c.stroke();
      panel.name(say(mean), panel.X(v) + 14, panel.Y(mean) - 12, colour, "left");
      panel.write("real digits", panel.X(4.5), panel.Y(floor[0]), { colour: colours.muted });
    };

    figure.says = () => {
      const sigma = run().sigmas[step.raw], [mean, std] = run().fd;
      const level = sigma > 0 && sigma < 0.1 ? sigma.toPrecision(1) : say(sigma, sigma ? 2 : 0);
      return `${solvers[solver.value]} after ${paid(step.raw)}, at noise level σ = ${level}. ` +
        `At the end: FD-C ${say(mean)} ± ${say(std)}, real digits ` +
        `${say(floor[0])} ± ${say(floor[1])}.`;
    };
  }
})();
