"""Makes the pictures of chapter 01: python book/_images/01_noising.py (a few seconds, seeded)."""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib import cbook
from scipy.special import xlog1py

from fewstep import data, grids, plots, processes, schedules

HERE = Path(__file__).parent
SCHEDULES = {
    "linear": schedules.linear,
    "quadratic": schedules.quadratic,
    "sigmoid β": schedules.sigmoid_beta,
    "cosine": schedules.cosine,
    "sigmoid ᾱ": schedules.sigmoid_alpha_bar,
}


def portrait(side=64):
    """Grace Hopper, the picture that comes with matplotlib (US Navy, public domain): a square of
    grey values in [−1, 1], (1, 1, side, side).
    """
    with cbook.get_sample_data("grace_hopper.jpg") as file:
        grey = plt.imread(file).mean(-1)[30:470, 40:480] / 127.5 - 1
    picture = torch.tensor(grey, dtype=torch.float32)[None, None]
    return torch.nn.functional.interpolate(picture, size=side, mode="area")


def three_pairs():
    """One picture under two schedules: twice at equal t, once at equal σ."""
    x0 = portrait()
    noise = torch.randn(x0.shape, generator=torch.Generator().manual_seed(0))
    chains = {name: SCHEDULES[name](1000) for name in ("linear", "cosine")}
    nearest = lambda chain, level: int((chain.sigmas - level).abs().argmin())
    columns = {
        "t = 200": lambda chain: 200,
        "t = 500": lambda chain: 500,
        "σ = 0.5": lambda chain: nearest(chain, 0.5),
    }
    figure, axes = plt.subplots(2, 3, figsize=(7.2, 5.3))
    for row, (name, chain) in zip(axes, chains.items()):
        row[0].set_ylabel(name, fontsize=13)
        for panel, (title, step) in zip(row, columns.items()):
            t = step(chain)
            picture = chain.perturb(x0, t, noise)[0, 0]
            panel.imshow(picture, cmap="gray", vmin=-1.8, vmax=1.8, interpolation="none")
            panel.set(xticks=[], yticks=[], xlabel=f"t = {t},  σ = {chain.sigmas[t]:.2f}")
            panel.spines[:].set_visible(False)
            if name == "linear":
                panel.set_title(title, fontsize=13)
    return figure


def two_units():
    """Six paths of one chain of 60 steps, as VP and as VE."""
    T, rng = 60, np.random.default_rng(5)
    levels = np.linspace(0, 8, T + 1)
    s = 1 / np.sqrt(1 + levels**2)
    start = np.array([1, 1, 1, -1, -1, -1.0])
    steps = np.sqrt(np.diff(levels**2))[:, None] * rng.standard_normal((T, 6))
    ve = np.concatenate([start[None], start + np.cumsum(steps, 0)])
    figure, axes = plt.subplots(1, 2, figsize=(7.2, 3.1))
    for panel, scale, title in zip(axes, (s, 1 + 0 * s), ("VP: $x_t$", "VE: $x_t/s_t$")):
        edge = 2 * scale * levels
        panel.fill_between(np.arange(T + 1), -edge, edge, color="black", alpha=0.08, lw=0)
        for x0, colour in ((1, plots.COLOURS[0]), (-1, plots.COLOURS[3])):
            panel.plot((scale[:, None] * ve)[:, start == x0], color=colour, marker="", lw=1)
        panel.set(title=title, xlabel="step t", xlim=(0, T))
    return figure


def normal(x, mean, variance):
    return np.exp(-((x - mean) ** 2) / (2 * variance)) / np.sqrt(2 * np.pi * variance)


def forgotten():
    """Three data sets in one dimension: their densities at ᾱ = 0.3, and KL to N(0, 1) over ᾱ."""
    sets = {"N(1, 1)": ([1.0], 1.0), "N(0, 4)": ([0.0], 4.0), "±1": ([-1.0, 1.0], 0.0)}
    x = np.linspace(-14, 14, 4001)
    noise = normal(x, 0, 1)

    def density(means, variance, a):
        return np.mean([normal(x, a**0.5 * m, a * variance + 1 - a) for m in means], axis=0)

    figure, (left, right) = plt.subplots(1, 2, figsize=(7.2, 3.3))
    left.plot(x, noise, color="black", marker="", ls="--", lw=1.2, label="noise, N(0, 1)", zorder=3)
    levels = np.logspace(-2.5, -0.05, 40)
    for (name, about), colour, slope in zip(sets.items(), plots.COLOURS, (1, 2, 4)):
        left.plot(x, density(*about, 0.3), color=colour, marker="", label=f"data {name}")
        z = [density(*about, a) / noise - 1 for a in levels]
        kl = [(noise * (xlog1py(1 + u, u) - u)).sum() * (x[1] - x[0]) for u in z]
        right.loglog(levels, kl, color=colour, marker="")
        right.text(levels[12], kl[12] * 1.3, f" slope {slope}", color=colour)
    left.set(title="at ᾱ = 0.3", xlim=(-4, 4), xlabel="$x_t$", ylabel="density", ylim=(0, 0.62))
    left.legend(fontsize=8, loc="upper left", ncols=2)
    right.set(title="KL to the noise", xlabel="ᾱ, falling", ylim=(1e-11, 2))
    right.invert_xaxis()
    return figure


def levels_and_steps():
    """σ_t of each schedule over t, and the share of its steps per decade of σ."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(7.2, 3.6), sharey=True)
    for (name, make), colour in zip(SCHEDULES.items(), plots.COLOURS):
        chain = make(1000)
        sigma = chain.sigmas[1:].numpy()
        look = dict(color=colour, marker="")
        left.plot(np.arange(1, 1001) / 1000, sigma, label=name, **look)
        right.plot(0.001 / np.diff(np.log10(sigma)), np.sqrt(sigma[1:] * sigma[:-1]), **look)
        if chain.betas[-1] > 0.99:  # where another clip of the last β would have ended
            ends = np.sqrt(1 / (float(chain.alpha_bars[-2]) * np.array([1e-2, 1e-4])) - 1)
            left.plot([1, 1], ends, color=colour, marker="o", mfc="none", ls="")
    for panel in (left, right):
        panel.axhspan(0.002, 80, color="black", alpha=0.06, lw=0)
    left.set(
        yscale="log",
        ylim=(2e-3, 2e5),
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


def fewer_steps():
    """σ_t over t/T for several T: fixed ends of β, ends times 1000/T, a curve that is sampled."""
    kinds = {
        "same β, fewer steps": (lambda T: schedules.linear(T, 1e-4, 0.02), (1000, 200, 50)),
        "ends of β times 1000/T": (schedules.linear, (1000, 50, 22)),
        "one curve, sampled": (lambda T: schedules.from_process(processes.VP(), T), (1000, 12, 4)),
    }
    figure, axes = plt.subplots(1, 3, figsize=(7.2, 3.2), sharey=True)
    for panel, (title, (make, counts)) in zip(axes, kinds.items()):
        for T, colour in zip(counts, plots.COLOURS):
            line = "" if title == "one curve, sampled" and T < 1000 else "-"
            look = dict(color=colour, marker="o" if T <= 25 else "", ls=line)
            sigma = make(T).sigmas[1:].numpy()
            panel.semilogy(np.arange(1, T + 1) / T, sigma, label=f"T = {T}", **look)
        panel.set_title(title, fontsize=10)
        panel.set(xlabel="t / T", xlim=(0, 1.04), ylim=(5e-3, 2e4))
        panel.legend(fontsize=8, loc="upper left")
    axes[0].set_ylabel("noise level σ")
    return figure


if __name__ == "__main__":
    plots.style()
    for name, draw in {
        "01-pairs": three_pairs,
        "01-units": two_units,
        "01-forgotten": forgotten,
        "01-levels": levels_and_steps,
        "01-live": one_level,
        "01-fewer": fewer_steps,
    }.items():
        plots.save(draw(), HERE / f"{name}.svg")
