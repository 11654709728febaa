"""Makes the title page's moving picture: python book/_images/intro_frames.py (a few seconds).

The network recorded in results/weights turns the same noise into digits with three solvers at four
numbers of calls. All states on the way go into a script beside the figure's, which works from a
folder too, with the qualities that results/quickstart.json holds; and one run becomes the still.
"""

import base64
import json
import statistics
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import torch

from fewstep import grids, plots, pretrained, results, solvers

HERE = Path(__file__).parent
DATA = HERE.parent / "_static/live/digits-data.js"
CALLS = (5, 9, 19, 39)
# name: step, and how many of them a number of calls pays for
SOLVERS = {
    "Euler": (solvers.euler, lambda calls: calls),
    "Heun": (solvers.heun, lambda calls: (calls + 1) // 2),
    "DPM-Solver++(2M)": (solvers.dpmpp_2m, lambda calls: calls),
}
SEED = 1


def run(name, calls):
    """The noise levels, and the states on the way, scaled to one brightness."""
    step, steps = SOLVERS[name]
    grid = grids.edm(steps(calls))
    noise = torch.randn(16, 1, 8, 8, generator=torch.Generator().manual_seed(SEED))
    denoiser = pretrained.load_denoiser("digits-denoiser", "cpu")
    out = solvers.sample(denoiser, grid[0] * noise, grid, step, trajectory=True)
    assert out.nfe == calls
    scale = (1 + grid**2).sqrt().float()[:, None, None, None, None]
    return grid, out.trajectory / scale


def greys(states):
    """Grey levels from 0 to 15, two in a byte: 512 bytes for a state of sixteen digits."""
    levels = ((states.clamp(-1, 1) + 1) * 7.5).round().to(torch.uint8).reshape(-1, 2)
    return bytes((16 * levels[:, 0] + levels[:, 1]).tolist())


def quality(name, calls):
    """Mean and standard deviation of FD-C over the recorded run's seeds."""
    (row,) = [r for r in results.read("quickstart")["rows"] if r["solver"] == name]
    values = row[f"NFE {calls}"]
    return [round(f(values), 3) for f in (statistics.mean, statistics.stdev)]


def data():
    """All that the figure shows."""
    runs = []
    for name in SOLVERS:
        for calls in CALLS:
            grid, states = run(name, calls)
            sigmas = [float(f"{sigma:.3g}") for sigma in grid]
            frames = base64.b64encode(greys(states)).decode()
            runs.append({"fd": quality(name, calls), "sigmas": sigmas, "frames": frames})
    floor = [round(v, 3) for v in results.read("quickstart")["settings"]["floor"]]
    return {"solvers": list(SOLVERS), "calls": CALLS, "floor": floor, "runs": runs}


def still(name="DPM-Solver++(2M)", calls=9):
    """One run from noise to digits, and the quality of all."""
    grid, states = run(name, calls)
    moments = [0, 3, 4, 5, 6, 7, 9]
    figure, (left, right) = plt.subplots(1, 2, figsize=(7.2, 3.5), width_ratios=(1, 1.2))
    shown = states[moments, :8].flatten(0, 1)
    tiles, gaps = (plots.tile(x, columns=8)[..., 0] for x in (shown, -torch.ones_like(shown)))
    left.imshow(tiles, cmap="gray", alpha=1 - gaps, interpolation="nearest")
    for row, i in enumerate(moments):
        text = "noise" if i == 0 else f"after {i}" if i < calls else f"after all {calls}"
        left.text(-2, 9 * row + 3.5, text, ha="right", va="center", fontsize=8)
    left.set(title=f"{name},\n{calls} network calls")
    left.axis("off")
    for solver, marker in zip(SOLVERS, plots.MARKERS):
        means, stds = zip(*[quality(solver, c) for c in CALLS])
        right.errorbar(CALLS, means, stds, capsize=2, marker=marker, label=solver)
    floor, spread = results.read("quickstart")["settings"]["floor"]
    right.axhspan(
        floor - spread, floor + spread, color="gray", alpha=0.3, lw=0, label="real digits"
    )
    right.plot(calls, quality(name, calls)[0], "o", ms=14, mfc="none", mec="0.2", mew=1.5)
    right.set(xscale="log", yscale="log", xlabel="network calls")
    right.set_title("quality at equal cost\n(FD-C, lower is better)")
    right.set_xticks(CALLS, CALLS)
    right.set_xticks([], minor=True)
    right.set_yticks([0.3, 1, 3, 10], ["0.3", "1", "3", "10"])
    right.legend(fontsize=8)
    return figure


if __name__ == "__main__":
    script = json.dumps(data(), separators=(",", ":"), ensure_ascii=False)
    note = (
        "/* Made by book/_images/intro_frames.py: states of real runs, and recorded qualities. */\n"
    )
    DATA.write_text(f"{note}fewstep.digits = {script};\n", "utf-8")
    plots.style()
    plots.save(still(), HERE / "intro-live.svg")
    sys.path.append(str(HERE.parent / "_ext"))
    from figures import dark  # for the README, which the site does not make

    text = (HERE / "intro-live.svg").read_text("utf-8")
    (HERE / "intro-live-dark.svg").write_text(dark(text), "utf-8")
