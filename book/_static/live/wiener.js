/* Chapter 02: a chain of T steps and the SDE, both driven by one Wiener path. */
fewstep.figure("wiener", (figure) => {
  "use strict";
  const { say } = fewstep, FINE = 4096;
  // slow enough that two steps are a chain: β(t) Δt ≤ 1 at T = 2
  const beta = (t) => 0.1 + 1.8 * t, x0 = 1.5;
  let seed = 4, path, truth;

  /* x_k = √(1 − β Δt) x_{k−1} + √β Δw_k, the chain of the page. */
  function chain(T) {
    const w = path(T), x = [x0];
    for (let k = 1; k <= T; k++) {
      const b = beta((k - 1) / T);
      x.push(Math.sqrt(1 - b / T) * x[k - 1] + Math.sqrt(b) * (w[k] - w[k - 1]));
    }
    return x;
  }
  function draw() {
    path = fewstep.wiener(seed++);
    truth = chain(FINE);
  }
  draw();

  /* Σ|Δw| and Σ(Δw)² of the path seen in T steps. */
  function sums(T) {
    const w = path(T);
    let length = 0, squares = 0;
    for (let k = 1; k <= T; k++) {
      length += Math.abs(w[k] - w[k - 1]);
      squares += (w[k] - w[k - 1]) ** 2;
    }
    return [length, squares];
  }
  /* The whole numbers within a range, for ticks. */
  const wholes = ([low, high]) =>
    fewstep.linspace(Math.ceil(low), Math.floor(high), Math.floor(high) - Math.ceil(low) + 1);
  const times = (T) => Array.from({ length: T + 1 }, (_, k) => k / T);

  const steps = figure.player(10, () =>
    figure.slider("number of steps T", [1, 10, 1, 3], {
      value: (raw) => 2 ** raw, text: (T) => String(T), ends: ["2, coarse", "1024, fine"],
    }));
  figure.button("another path", draw);

  figure.draw = ({ w, h, narrow, colours }) => {
    const T = steps.value, [blue, orange, green] = colours.series;
    const ticks = [[0, "0"], [0.5, "½"], [1, "1"]], part = narrow ? 0.4 * h : 0.5 * h;
    const boxes = narrow
      ? [{ x: 0, y: 0, w, h: part }, { x: 0, y: part, w: w / 2, h: h - part },
         { x: w / 2, y: part, w: w / 2, h: h - part }]
      : [{ x: 0, y: 0, w: 0.6 * w, h }, { x: 0.62 * w, y: 0, w: 0.38 * w, h: part },
         { x: 0.62 * w, y: part, w: 0.38 * w, h: part }];
    const range = (values) => {
      const [low, high] = [Math.min(...values), Math.max(...values)], edge = 0.12 * (high - low);
      return [low - edge, high + edge];
    };

    const states = range([...truth, ...chain(2), ...chain(4)]), noises = range(path(FINE));
    const one = figure.panel(boxes[0], {
      x: [0, 1], y: states, xTicks: ticks, xLabel: "time t = k/T", yTicks: wholes(states),
      yLabel: "state x", title: "chain and SDE",
    });
    one.frame();
    one.line(times(FINE), truth, { colour: colours.muted, width: 1, alpha: 0.8 });
    const x = chain(T);
    one.line(times(T), x, { colour: blue, width: T > 256 ? 1.2 : 2 });
    if (T <= 64) x.forEach((v, k) => one.dot(k / T, v, { colour: blue, ring: T <= 16 }));
    one.dot(0, x0, { radius: 5, ring: true });
    const top = one.y + 8;
    one.name("SDE", one.x + one.w - 6, top, colours.muted);
    one.name(`chain, T = ${T}`, one.x + one.w - 6, top + 17, blue);

    const two = figure.panel(boxes[1], {
      x: [0, 1], y: noises, xTicks: ticks, yTicks: wholes(noises),
      title: "their noise w, in T steps",
    });
    two.frame();
    two.line(times(FINE), path(FINE), { colour: colours.muted, width: 1, alpha: 0.35 });
    two.line(times(T), path(T), { colour: green, width: T > 256 ? 1 : 1.75 });

    const counts = fewstep.linspace(1, 10, 10).map((k) => 2 ** k), all = counts.map(sums);
    const three = figure.panel(boxes[2], {
      x: [1.6, 1800], y: [0.25, 64], xLog: true, yLog: true,
      xTicks: [[2, "2"], [32, "32"], [1024, "1024"]], yTicks: [[1, "1"], [8, "8"], [64, "64"]],
      xLabel: "T", title: "sums over its steps",
    });
    three.frame();
    three.line([1.6, 1800], [1, 1], { colour: colours.line, width: 1, dash: [3, 3] });
    three.within(() => all.forEach((_, i) => [0, 1].forEach((j) => {
      const [colour, reached] = [j ? green : orange, counts[i] <= T];
      const radius = counts[i] === T ? 6 : 3;
      three.dot(counts[i], all[i][j], { colour, radius, alpha: reached ? 1 : 0.3 });
    })));
    three.name("Σ|Δw|", three.X(20), three.Y(16), orange);
    three.name("Σ(Δw)²", three.X(1000), three.Y(2.1), green);
  };

  figure.says = () => {
    const T = steps.value, [length, squares] = sums(T), x = chain(T);
    const gap = Math.max(...x.map((v, k) => Math.abs(v - truth[(k * FINE) / T])));
    return `T = ${T}: the chain is at most ${say(gap, gap < 0.0995 ? 4 : 2)} from the SDE's path ` +
      `at the times k/T. Σ|Δw| = ${say(length)} grows like √T; ` +
      `Σ(Δw)² = ${say(squares)} tends to 1.`;
  };
});
