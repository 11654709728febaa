"""Makes the pictures of chapter 01: python book/_images/01_noising.py (a few seconds, seeded)."""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch

from fewstep import data, grids, plots, schedules

HERE = Path(__file__).parent
SCHEDULES = {
    "linear": schedules.linear,
    "quadratic": schedules.quadratic,
    "sigmoid β": schedules.sigmoid_beta,
    "cosine": schedules.cosine,
    "sigmoid ᾱ": schedules.sigmoid_alpha_bar,
}


def rows_of_digits():
    """The same nine digits with the same noise at equal times of two schedules."""
    x0 = data.digits().float(slice(9))
    noise = torch.randn(x0.shape, generator=torch.Generator().manual_seed(0))
    times = [0, 150, 300, 450, 600, 1000]
    figure, axes = plt.subplots(2, len(times), figsize=(7.2, 2.6))
    for row, name in zip(axes, ("linear", "cosine")):
        for panel, t in zip(row, times):
            x_t = SCHEDULES[name](1000).perturb(x0, t, noise)
            panel.imshow(plots.tile(x_t / 2), cmap="gray", vmin=0, vmax=1)
            panel.set(xticks=[], yticks=[])
            panel.spines[:].set_visible(False)
            if name == "linear":
                panel.set_title(f"t = {t}", fontsize=9)
        row[0].set_ylabel(name, fontsize=9)
    return figure


def levels_and_steps():
    """σ_t of each schedule over t, and the share of its steps per decade of σ."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(7.2, 3.4), sharey=True)
    for name, make in SCHEDULES.items():
        sigma = make(1000).sigmas[1:].numpy()
        left.plot(np.arange(1, 1001) / 1000, sigma, marker="", label=name)
        right.plot(0.001 / np.diff(np.log10(sigma)), np.sqrt(sigma[1:] * sigma[:-1]), marker="")
    for panel in (left, right):
        panel.axhspan(0.002, 80, color="black", alpha=0.06, lw=0)
    left.set(
        yscale="log",
        ylim=(2e-3, 3e4),
        title="where the chain is",
        xlabel="t / T",
        ylabel="noise level σ",
    )
    right.set(title="where its steps go", xlabel="share of the steps per decade of σ")
    left.legend(fontsize=8)
    return figure


def one_level(sigma=0.3):
    """The still of the live figure: six rows of a noised digit, marked where σ is reached."""
    digit = data.digits().float(slice(1))
    noise = torch.randn(digit.shape, generator=torch.Generator().manual_seed(3))
    rows = {name: make(1000).sigmas for name, make in SCHEDULES.items()}
    rows["VE geometric"] = torch.cat([torch.zeros(1), grids.ve(1000, 0.01, 100)[:-1].flip(0)])
    noisy = lambda level: (digit + level * noise)[0, 0] / (1 + 1.2 * level)
    show = dict(cmap="gray", vmin=-1, vmax=1, aspect="auto")
    figure, axes = plt.subplots(figsize=(7.2, 3.5))
    for k, (levels, colour) in enumerate(zip(rows.values(), plots.COLOURS)):
        for i in range(12):
            box = (i / 12 + 0.004, (i + 1) / 12 - 0.004, k + 0.38, k - 0.38)
            axes.imshow(noisy(levels[round((i + 0.5) / 12 * 1000)]), extent=box, alpha=0.6, **show)
        t = int((levels >= sigma).nonzero()[0]) / 1000
        box = (t - 0.05, t + 0.05, k + 0.46, k - 0.46)
        axes.imshow(noisy(sigma), extent=box, zorder=3, **show)
        frame = (box[0], box[3]), 0.1, 0.92
        axes.add_patch(plt.Rectangle(*frame, fill=False, ec=colour, lw=2.5, zorder=4))
        axes.text(1.03, k, f"{t:.2f}", color=colour, va="center", weight="bold")
    axes.set(xlim=(-0.06, 1.14), ylim=(5.6, -0.6), xticks=[0, 0.5, 1], yticks=range(6))
    axes.set_yticklabels(rows)
    axes.set_xticklabels(["0, data", "½", "1, noise"])
    axes.set(xlabel="time t/T", title=f"where each schedule reaches σ = {sigma}")
    axes.grid(False)
    return figure


if __name__ == "__main__":
    plots.style()
    for name, draw in {
        "01-rows": rows_of_digits,
        "01-levels": levels_and_steps,
        "01-live": one_level,
    }.items():
        plots.save(draw(), HERE / f"{name}.svg")
