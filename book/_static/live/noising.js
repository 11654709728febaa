/* Chapter 01: one noise level, the times at which six schedules reach it, and what it does to a
   digit. */
fewstep.figure("noising", (figure) => {
  "use strict";
  const T = 1000, { schedules, say } = fewstep;
  const geometric = fewstep.linspace(Math.log(0.01), Math.log(100), T).map(Math.exp);
  const chains = [
    ["linear", schedules.linear(T).sigmas],
    ["quadratic", schedules.quadratic(T).sigmas],
    ["sigmoid β", schedules.sigmoidBeta(T).sigmas],
    ["cosine", schedules.cosine(T).sigmas],
    ["sigmoid ᾱ", schedules.sigmoidAlphaBar(T).sigmas],
    ["VE geometric", [0, ...geometric]],
  ];

  /* The first of scikit-learn's digits: 64 grey values from 0 to 16 (g), row by row. */
  const digit = "005d910000dfaf5003f20b8004c008800580098004b01c7002e5ac00006da000";
  const x0 = [...digit].map((grey) => parseInt(grey, 17) / 8 - 1);
  let seed = 1, noise;
  const draw = () => {
    const next = fewstep.normals(seed++);
    noise = x0.map(next);
  };
  draw();

  const sigma = figure.player(9, () =>
    figure.slider("noise level σ", [0, 1, 0.001, 0.37], {
      value: (raw) => 0.01 * 1e4 ** raw, ends: ["0.01, data", "100, noise"],
    }));
  figure.button("other noise", draw);

  /* The share of T at which a schedule reaches σ, or null; between two steps straight in ln σ. */
  function reached(sigmas, level) {
    const t = sigmas.findIndex((s) => s >= level);
    if (t <= 1) return t < 0 ? null : t / T;
    return (t - Math.log(sigmas[t] / level) / Math.log(sigmas[t] / sigmas[t - 1])) / T;
  }

  /* x_0 + σ ε as a picture of 8 × 8 pixels, the range of its greys widened as the noise grows. */
  function picture(level) {
    const small = document.createElement("canvas");
    small.width = small.height = 8;
    const context = small.getContext("2d"), image = context.createImageData(8, 8);
    x0.forEach((v, i) => {
      const grey = 127.5 * (1 + (v + level * noise[i]) / (1 + 1.2 * level));
      image.data.set([grey, grey, grey, 255], 4 * i);
    });
    context.putImageData(image, 0, 0);
    return small;
  }

  figure.draw = ({ context: c, w, h, narrow, colours }) => {
    const side = narrow ? 112 : Math.min(180, 0.27 * w), names = narrow ? 101 : 110;
    const here = picture(sigma.value);
    const panel = figure.panel(
      narrow ? { x: names, y: 0, w: w - names - 40, h: h - side - 34 }
        : { x: names, y: 0, w: w - names - side - 72, h },
      { x: [-0.07, 1.07], y: [0, 6],
        xTicks: [[0, "0, data"], [0.5, "½"], [1, "1"]], xLabel: "time t/T",
        title: narrow ? "each on its own clock" : "each schedule on its own clock" });
    panel.frame();
    panel.write("t/T", panel.x + panel.w + 14, panel.y - 6, { baseline: "bottom", bold: true });
    c.imageSmoothingEnabled = false;

    const row = panel.h / 6, size = Math.min(row - 12, narrow ? 30 : 36);
    const whole = panel.X(1) - panel.X(0), n = Math.floor(whole / size), cell = whole / n;
    chains.forEach(([name, sigmas], k) => {
      const y = panel.y + (k + 0.5) * row, colour = colours.series[k];
      const t = reached(sigmas, sigma.value);
      panel.write(name, panel.x - 10, y, { align: "right", colour, bold: true });
      c.globalAlpha = 0.6;
      for (let i = 0; i < n; i++) {
        const level = sigmas[Math.round(((i + 0.5) / n) * T)], length = size - 2;
        const left = panel.X(0) + (i + 0.5) * cell - length / 2;
        c.drawImage(picture(level), left, y - length / 2, length, length);
      }
      c.globalAlpha = 1;
      panel.write(t === null ? "never" : say(t), panel.x + panel.w + 14, y, { colour, bold: true });
      if (t === null) return;
      const half = Math.min(row, size + 10) / 2, px = panel.X(t);
      c.fillStyle = colours.paper;
      c.fillRect(px - half - 2, y - half - 2, 2 * half + 4, 2 * half + 4);
      c.fillStyle = colour;
      c.fillRect(px - half, y - half, 2 * half, 2 * half);
      c.drawImage(here, px - half + 3, y - half + 3, 2 * half - 6, 2 * half - 6);
    });

    const x = narrow ? (w - 2 * side) / 3 : w - side, y = narrow ? h - side : 22;
    const shown = [["at this σ", here, side, x, y]];
    if (narrow) shown.push(["without noise", picture(0), side, 2 * x + side, y]);
    else shown.push(["without noise", picture(0), 0.45 * side, x, y + side + 40]);
    for (const [text, image, length, left, top] of shown) {
      panel.write(text, left, top - 6, { baseline: "bottom", bold: image === here });
      c.drawImage(image, left, top, length, length);
    }
  };

  figure.says = () => {
    const times = chains.map(([name, sigmas]) => [name, reached(sigmas, sigma.value)])
      .filter(([, t]) => t !== null).sort((a, b) => a[1] - b[1]);
    const [first, last] = [times[0], times[times.length - 1]];
    const kept = 1 / (1 + sigma.value ** 2);
    const written = kept < 0.1 ? kept.toPrecision(1) : say(kept);
    return `σ = ${say(sigma.value)}, ᾱ = 1/(1 + σ²) = ${written}. ` +
      `First there: ${first[0]}, at t/T = ${say(first[1])}. ` +
      `Last: ${last[0]}, at ${say(last[1])}.`;
  };
});
