/* What the live figures are made of: a canvas with axes, handles below it, points on it that can be
   dragged. A figure redraws only when something has changed and while it is on the screen. */

(() => {
  "use strict";

  const calm = matchMedia("(prefers-reduced-motion: reduce)");

  function element(tag, className, parent, properties = {}) {
    const made = Object.assign(document.createElement(tag), { className }, properties);
    parent.append(made);
    return made;
  }

  /* σ and the like in few digits. */
  const say = (v, digits = 2) =>
    (Math.abs(v) >= 9.995 ? Math.round(v).toString() : v.toFixed(digits)).replace("-", "−");

  // ---- One panel: a rectangle of the canvas with its own two axes ------------------------------

  /* box: {x, y, w, h} in pixels, axes included.  axes: x and y as [low, high]; xLog, yLog; xTicks,
     yTicks as values, or pairs of value and text; xLabel, yLabel, title. */
  class Panel {
    constructor(figure, box, axes) {
      const { context: c, colours } = figure;
      const left = axes.yTicks ? (axes.yLabel ? 44 : 28) : axes.yLabel ? 18 : 2;
      const below = axes.xTicks ? (axes.xLabel ? 36 : 20) : axes.xLabel ? 20 : 2;
      const above = axes.title ? 22 : 6;
      Object.assign(this, { figure, c, axes, colours });
      this.x = box.x + left;
      this.y = box.y + above;
      this.w = box.w - left - 8;
      this.h = box.h - above - below;
    }

    #share(axis, v) {
      const [low, high] = this.axes[axis];
      if (!this.axes[axis + "Log"]) return (v - low) / (high - low);
      return Math.log(v / low) / Math.log(high / low);
    }

    #value(axis, share) {
      const [low, high] = this.axes[axis];
      return this.axes[axis + "Log"] ? low * (high / low) ** share : low + share * (high - low);
    }

    /* From values to pixels, and back. */
    X(v) { return this.x + this.w * this.#share("x", v); }
    Y(v) { return this.y + this.h * (1 - this.#share("y", v)); }
    valueX(px) { return this.#value("x", (px - this.x) / this.w); }
    valueY(px) { return this.#value("y", 1 - (px - this.y) / this.h); }

    /* The axes, with ticks, labels and title. */
    frame() {
      const { c, axes, colours } = this;
      c.strokeStyle = colours.line;
      c.lineWidth = 1;
      c.beginPath();
      c.moveTo(this.x - 0.5, this.y);
      c.lineTo(this.x - 0.5, this.y + this.h + 0.5);
      c.lineTo(this.x + this.w, this.y + this.h + 0.5);
      const pairs = (ticks) => (ticks || []).map((v) => (Array.isArray(v) ? v : [v, say(v, 0)]));
      for (const [v, text] of pairs(axes.xTicks)) {
        c.moveTo(this.X(v), this.y + this.h);
        c.lineTo(this.X(v), this.y + this.h + 4);
        const align = v === axes.x[1] ? "right" : v === axes.x[0] ? "left" : "center";
        const px = this.X(v) + (align === "right" ? 6 : align === "left" ? -3 : 0);
        const look = { align, baseline: "top", colour: colours.muted };
        this.write(text, px, this.y + this.h + 6, look);
      }
      for (const [v, text] of pairs(axes.yTicks)) {
        c.moveTo(this.x - 4, this.Y(v));
        c.lineTo(this.x, this.Y(v));
        this.write(text, this.x - 6, this.Y(v), { align: "right", colour: colours.muted });
      }
      c.stroke();
      if (axes.xLabel)
        this.write(axes.xLabel, this.x + this.w / 2, this.y + this.h + (axes.xTicks ? 20 : 5),
          { align: "center", baseline: "top" });
      if (axes.yLabel) {
        c.save();
        c.translate(this.x - (axes.yTicks ? 34 : 8), this.y + this.h / 2);
        c.rotate(-Math.PI / 2);
        this.write(axes.yLabel, 0, 0, { align: "center" });
        c.restore();
      }
      if (axes.title)
        this.write(axes.title, this.x, this.y - 6, { baseline: "bottom", bold: true });
    }

    /* Text at pixels. A halo of the page's colour keeps it legible on lines. */
    write(text, px, py, { align = "left", baseline = "middle", colour, bold, halo } = {}) {
      const { c } = this;
      c.font = `${bold ? "600 " : ""}${this.figure.fontSize}px ${this.figure.font}`;
      c.textAlign = align;
      c.textBaseline = baseline;
      if (halo) {
        c.strokeStyle = this.colours.paper;
        c.lineWidth = 4;
        c.lineJoin = "round";
        c.strokeText(text, px, py);
      }
      c.fillStyle = colour || this.colours.ink;
      c.fillText(text, px, py);
    }

    /* The name of something drawn, in its colour. */
    name(text, px, py, colour, align = "right") {
      this.write(text, px, py, { align, colour, bold: true, halo: true });
    }

    /* A filled rectangle between two corners, given as values. */
    bar(x0, y0, x1, y1, { colour, alpha = 1 }) {
      const { c } = this, [left, right] = [this.X(x0), this.X(x1)];
      c.save();
      c.globalAlpha = alpha;
      c.fillStyle = colour;
      c.fillRect(left, this.Y(y1), right - left, this.Y(y0) - this.Y(y1));
      c.restore();
    }

    /* A line through values; xs and ys of equal length. */
    line(xs, ys, { colour = this.colours.ink, width = 1.5, dash = [], alpha = 1 } = {}) {
      const { c } = this;
      c.save();
      c.globalAlpha = alpha;
      c.strokeStyle = colour;
      c.lineWidth = width;
      c.lineJoin = "round";
      c.setLineDash(dash);
      c.beginPath();
      for (let i = 0; i < xs.length; i++) c.lineTo(this.X(xs[i]), this.Y(ys[i]));
      c.stroke();
      c.restore();
    }

    /* The area between a curve and the value `base` of the y axis. */
    area(xs, ys, base, { colour = this.colours.ink, alpha = 0.15 } = {}) {
      const { c } = this;
      c.save();
      c.globalAlpha = alpha;
      c.fillStyle = colour;
      c.beginPath();
      c.moveTo(this.X(xs[0]), this.Y(base));
      for (let i = 0; i < xs.length; i++) c.lineTo(this.X(xs[i]), this.Y(ys[i]));
      c.lineTo(this.X(xs[xs.length - 1]), this.Y(base));
      c.fill();
      c.restore();
    }

    dot(x, y, { colour = this.colours.ink, radius = 3.5, ring = false, alpha = 1 } = {}) {
      const { c } = this;
      c.save();
      c.globalAlpha = alpha;
      c.beginPath();
      c.arc(this.X(x), this.Y(y), radius, 0, 2 * Math.PI);
      c.fillStyle = colour;
      c.fill();
      if (ring) {
        c.strokeStyle = this.colours.paper;
        c.lineWidth = 1.5;
        c.stroke();
      }
      c.restore();
    }

    arrow(x0, y0, x1, y1, { colour = this.colours.ink, width = 1, head = 4, alpha = 1 } = {}) {
      const { c } = this, px = this.X(x1), py = this.Y(y1);
      const dx = px - this.X(x0), dy = py - this.Y(y0), length = Math.hypot(dx, dy);
      if (length < 0.5) return;
      const tip = Math.min(head, 0.6 * length), ux = dx / length, uy = dy / length;
      c.save();
      c.globalAlpha = alpha;
      c.strokeStyle = c.fillStyle = colour;
      c.lineWidth = width;
      c.beginPath();
      c.moveTo(this.X(x0), this.Y(y0));
      c.lineTo(px - tip * ux, py - tip * uy);
      c.stroke();
      c.beginPath();
      c.moveTo(px, py);
      c.lineTo(px - 1.6 * tip * ux + 0.7 * tip * uy, py - 1.6 * tip * uy - 0.7 * tip * ux);
      c.lineTo(px - 1.6 * tip * ux - 0.7 * tip * uy, py - 1.6 * tip * uy + 0.7 * tip * ux);
      c.fill();
      c.restore();
    }

    /* Shading: shares in [0, 1], columns × rows, the first row at the top, as ink on paper. */
    shade(columns, rows, shares, strength = 0.45) {
      const grid = document.createElement("canvas");
      [grid.width, grid.height] = [columns, rows];
      const context = grid.getContext("2d"), image = context.createImageData(columns, rows);
      const [r, g, b] = this.colours.shade;
      for (let i = 0; i < columns * rows; i++)
        image.data.set([r, g, b, 255 * strength * Math.min(1, shares[i])], 4 * i);
      context.putImageData(image, 0, 0);
      return () => this.c.drawImage(grid, this.x, this.y, this.w, this.h);
    }

    /* Draws only inside the axes. */
    within(draw) {
      this.c.save();
      this.c.beginPath();
      this.c.rect(this.x, this.y, this.w, this.h);
      this.c.clip();
      draw();
      this.c.restore();
    }
  }

  // ---- One figure ------------------------------------------------------------------------------

  class Figure {
    constructor(root) {
      this.root = root;
      this.points = [];
      root.replaceChildren(); // the still picture
      this.stage = element("div", "live-stage", root);
      this.canvas = element("canvas", "", this.stage);
      this.canvas.setAttribute("role", "img");
      this.canvas.setAttribute("aria-label", root.dataset.alt);
      this.context = this.canvas.getContext("2d");
      this.controls = element("div", "live-controls", root);
      this.told = element("p", "live-says", root);
      this.told.setAttribute("aria-live", "polite");
      this.visible = this.playing = this.pending = false;
      this.look = 0; // changes with size and theme; what is cached in pixels hangs on it
      new IntersectionObserver(([entry]) => {
        this.visible = entry.isIntersecting;
        this.clock = null;
        if (this.visible) this.#ask();
      }).observe(this.stage);
      new ResizeObserver(() => this.#measure()).observe(this.stage);
      new MutationObserver(() => this.#measure())
        .observe(document.documentElement, { attributeFilter: ["data-theme"] });
    }

    #measure() {
      const box = this.stage.getBoundingClientRect(), ratio = devicePixelRatio || 1;
      [this.w, this.h] = [box.width, box.height];
      [this.canvas.width, this.canvas.height] = [this.w * ratio, this.h * ratio];
      this.context.setTransform(ratio, 0, 0, ratio, 0, 0);
      this.narrow = this.w < 520;
      const css = getComputedStyle(this.root), colour = (name) => css.getPropertyValue(name).trim();
      this.font = css.fontFamily;
      this.fontSize = this.narrow ? 12 : 13;
      this.colours = {
        ink: css.color,
        muted: colour("--live-muted"),
        line: colour("--live-line"),
        paper: colour("--live-paper"),
        shade: colour("--live-shade").split(" ").map(Number),
        series: [0, 1, 2, 3, 4, 5].map((i) => colour(`--live-${i}`)),
      };
      this.look += 1;
      this.changed();
    }

    /* Something that the picture shows has changed. */
    changed() {
      this.stale = true;
      this.#ask();
    }

    #ask() {
      if (this.pending || !this.visible || !(this.stale || this.playing)) return;
      this.pending = true;
      requestAnimationFrame((now) => {
        this.pending = false;
        if (!this.visible) return;
        if (this.playing) this.#advance(now);
        if (this.stale && this.w) {
          this.stale = false;
          this.context.clearRect(0, 0, this.w, this.h);
          this.draw(this);
          for (const point of this.points) point.place();
          this.told.textContent = this.says();
        }
        this.#ask();
      });
    }

    panel(box, axes) {
      return new Panel(this, box, axes);
    }

    // ---- Handles

    /* A slider. range: [low, high, step, start] on its own scale; value: from there to the number
       that the figure uses; text: how that is written; ends: two words. */
    slider(label, range, { value = (raw) => raw, text = say, ends }) {
      const [min, max, step, start] = range;
      const box = element("div", "live-control", this.row || this.controls);
      const name = element("label", "", box, { textContent: label + " " });
      const shown = element("output", "", name);
      // not completed by the browser: after a reload handle and picture would not agree
      const input = element("input", "", box, { type: "range", min, max, step });
      input.autocomplete = "off";
      input.value = start;
      input.setAttribute("aria-label", label);
      const words = element("div", "live-ends", box);
      for (const word of ends) element("span", "", words, { textContent: word });
      const figure = this;
      const handle = {
        input, min, max, step,
        get raw() { return Number(input.value); },
        set raw(v) {
          input.value = v;
          this.told();
          figure.changed();
        },
        get value() { return value(this.raw); },
        told() {
          shown.textContent = text(this.value);
          input.setAttribute("aria-valuetext", shown.textContent);
        },
      };
      input.addEventListener("input", () => {
        this.pause();
        handle.told();
        this.changed();
      });
      handle.told();
      return handle;
    }

    /* A play button and the slider that it moves, side by side. seconds: for the whole way, from
       one end to the other. */
    player(seconds, makeSlider, backwards = false) {
      this.row = element("div", "live-player", this.controls);
      const button = element("button", "live-play", this.row, { type: "button" });
      const slider = makeSlider();
      this.row = null;
      this.play = { button, slider, seconds, backwards };
      button.addEventListener("click", () => (this.playing ? this.pause() : this.start()));
      this.pause();
      return slider;
    }

    start() {
      const { slider, backwards, button } = this.play;
      const [from, to] = backwards ? [slider.max, slider.min] : [slider.min, slider.max];
      if (Math.abs(slider.raw - to) < 1e-9) slider.raw = from;
      this.playing = true;
      this.clock = null;
      this.told.setAttribute("aria-live", "off"); // or a screen reader would read every frame
      button.setAttribute("aria-label", "Pause");
      button.dataset.sign = "pause";
      this.#ask();
    }

    pause() {
      this.playing = false;
      this.told.setAttribute("aria-live", "polite");
      if (!this.play) return;
      this.play.button.setAttribute("aria-label", "Play");
      this.play.button.dataset.sign = "play";
    }

    #advance(now) {
      const { slider, seconds, backwards } = this.play;
      if (this.clock === null) [this.clock, this.from] = [now, slider.raw];
      let share = (now - this.clock) / 1000 / seconds;
      if (calm.matches) share = Math.floor(share * 12) / 12; // pictures one by one, no motion
      const whole = slider.max - slider.min, raw = this.from + (backwards ? -1 : 1) * share * whole;
      const next = Math.min(slider.max, Math.max(slider.min, raw));
      if (Math.abs(next - slider.raw) > 0.5 * slider.step) slider.raw = next;
      if (raw !== next) this.pause();
    }

    /* One of several words. start: the index of the first choice. */
    choice(label, words, start = 0) {
      const box = element("fieldset", "live-choice", this.controls);
      element("legend", "", box, { textContent: label });
      const group = `${this.root.dataset.live} ${label}`;
      const handle = { value: start };
      words.forEach((word, i) => {
        const option = element("label", "", box);
        const input = element("input", "", option, { type: "radio", name: group });
        input.checked = i === start;
        input.autocomplete = "off";
        option.append(" " + word);
        input.addEventListener("change", () => {
          handle.value = i;
          this.changed();
        });
      });
      return handle;
    }

    button(label, act) {
      const made = element("button", "live-button", this.controls, { type: "button" });
      made.textContent = label;
      made.addEventListener("click", () => {
        act();
        this.changed();
      });
    }

    /* A point on the canvas, moved by mouse, touch and arrow keys.
       panel(): where it lives.  get(): its [x, y].  set(x, y): puts it there.  steps: of an arrow
       key, in shares of the axes; 0 for a coordinate that does not move. */
    point({ label, panel, get, set, steps = [0.02, 0.02], className = "" }) {
      const button = element("button", `live-point ${className}`, this.stage, { type: "button" });
      const place = () => {
        const [x, y] = get(), here = panel();
        button.style.transform = `translate(${here.X(x)}px, ${here.Y(y)}px)`;
        button.setAttribute("aria-label", label());
      };
      const put = (px, py) => {
        const { x, y, w, h } = panel();
        const inside = (v, low, size) => Math.min(low + size, Math.max(low, v));
        this.pause();
        set(panel().valueX(inside(px, x, w)), panel().valueY(inside(py, y, h)));
        this.changed();
      };
      button.addEventListener("pointerdown", (event) => {
        button.setPointerCapture(event.pointerId);
        const stage = this.stage.getBoundingClientRect(), [x, y] = get();
        // where it was taken hold of, so that it does not jump under the finger
        const dx = panel().X(x) - (event.clientX - stage.x);
        const dy = panel().Y(y) - (event.clientY - stage.y);
        button.onpointermove = (moved) => {
          const box = this.stage.getBoundingClientRect();
          put(moved.clientX - box.x + dx, moved.clientY - box.y + dy);
        };
      });
      for (const end of ["pointerup", "pointercancel"])
        button.addEventListener(end, () => (button.onpointermove = null));
      button.addEventListener("keydown", (event) => {
        const { key } = event, here = panel();
        const across = { ArrowLeft: -1, ArrowRight: 1 }[key] || 0;
        const down = { ArrowUp: -1, ArrowDown: 1 }[key] || 0;
        if (!across && !down) return;
        event.preventDefault();
        const far = event.shiftKey ? 5 : 1, [x, y] = get();
        const [dx, dy] = [far * across * steps[0] * here.w, far * down * steps[1] * here.h];
        put(here.X(x) + dx, here.Y(y) + dy);
      });
      this.points.push({ place });
    }
  }

  /* Makes the figure of this name live, wherever the page has it. setup(figure) adds its handles
     and sets figure.draw() and figure.says(), the sentence with the key numbers. */
  fewstep.figure = (name, setup) => {
    for (const root of document.querySelectorAll(`.fewstep-live[data-live="${name}"]`))
      setup(new Figure(root));
  };
  fewstep.say = say;
})();
