"""Makes the pictures of chapter 01: python book/_images/01_noising.py (a few seconds, seeded)."""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch

from fewstep import data, plots, schedules

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


if __name__ == "__main__":
    plots.style()
    for name, draw in {"01-rows": rows_of_digits, "01-levels": levels_and_steps}.items():
        draw().savefig(
            HERE / f"{name}.png", dpi=150, facecolor="white", metadata={"Software": None}
        )
