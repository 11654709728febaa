"""Makes the pictures of chapter 08: python book/_images/08_preconditioning.py (a few seconds,
seeded). Those of trained networks are drawn from the notebook's recorded runs.
"""

from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import torch

from fewstep import data, plots, results

HERE = Path(__file__).parent
BLUE, ORANGE, GREEN, RED, PINK, SKY, BLACK = plots.COLOURS
LINE = dict(marker="", lw=1.8)


def rms(x):
    return float(x.double().square().mean().sqrt())


def edm(sigma, sigma_d):
    """c_skip, c_out and c_in."""
    total = sigma**2 + sigma_d**2
    return sigma_d**2 / total, sigma * sigma_d / total**0.5, 1 / total**0.5


def targets():
    """One digit at four levels: what the network sees, and two things it could be asked for."""
    digit = data.digits().float(slice(0, 1))[0, 0].double()
    noise = torch.randn(8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(5))
    levels, names = (0.02, 0.3, 1.2, 20.0), ("input", "digit", "noise ε", "target of F")
    figure, axes = plt.subplots(4, 4, figsize=(5.0, 5.2))
    for column, sigma in zip(axes.T, levels):
        c_skip, c_out, c_in = edm(sigma, rms(digit))
        x = digit + sigma * noise
        for panel, shown in zip(column, (c_in * x, digit, noise, (digit - c_skip * x) / c_out)):
            panel.imshow(shown, cmap="gray", vmin=-2, vmax=2, interpolation="nearest")
            panel.set(xticks=[], yticks=[])
            panel.grid(False)
        column[0].set_title(f"σ = {sigma:g}")
    for panel, name in zip(axes[:, 0], names):
        panel.set_ylabel(name)
    return figure


def amplification(sigma_d=0.5):
    """The parabola over c at three levels, and c_out over the level."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(7.4, 3.3))
    c = torch.linspace(0, 1, 201)
    for sigma, colour in ((0.2, BLUE), (0.5, GREEN), (1.0, RED)):
        left.plot(c, (1 - c) ** 2 * sigma_d**2 + c**2 * sigma**2, color=colour, **LINE)
        best, size, _ = edm(sigma, sigma_d)
        left.plot(best, size**2, "o", color=colour)
        left.text(1.02, sigma**2, f"σ = {sigma:g}", color=colour, va="center", fontsize=9)
    left.set(title="what c x leaves", xlabel="c", ylabel="mean square", ylim=(0, 1.05))
    left.set(xlim=(0, 1.28), xticks=[0, 0.5, 1])
    levels = torch.logspace(-2, 1.5, 201)
    shown = {
        "noise": (levels, ORANGE, "--"),
        "data": (torch.full_like(levels, sigma_d), PINK, "--"),
        "F of EDM": (edm(levels, sigma_d)[1], BLUE, "-"),
    }
    for name, (curve, colour, style) in shown.items():
        right.loglog(levels, curve, style, color=colour, label=name, **LINE)
    right.set(title="amplification $|c_{out}|$", xlabel="noise level σ")
    right.legend(title="network predicts", fontsize=8, title_fontsize=8)
    return figure


def four():
    """The three requirements, measured on digits and computed, for four parametrisations."""
    x0 = data.digits().float().double()
    sigma_d = rms(x0)
    one = torch.ones_like
    kinds: dict[str, Any] = {
        "VP, iDDPM": (one, lambda s: -s, lambda s: (1 + s**2) ** -0.5, ORANGE, "-"),
        "VE": (one, lambda s: s, one, RED, "--"),
        "data": (
            torch.zeros_like,
            lambda s: sigma_d * one(s),
            lambda s: edm(s, sigma_d)[2],
            PINK,
            "-.",
        ),
        "EDM": (*(lambda s, i=i: edm(s, sigma_d)[i] for i in range(3)), BLUE, "-"),
    }
    sigma = torch.logspace(-2, 1.6, 101, dtype=torch.float64)
    at = torch.logspace(-2, 1.6, 7, dtype=torch.float64)
    noise = torch.randn(x0.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    figure, axes = plt.subplots(1, 3, figsize=(8.4, 3.2))
    for name, (skip, out, into, colour, style) in kinds.items():
        spread = (sigma**2 + sigma_d**2).sqrt()
        asked = ((1 - skip(sigma)) ** 2 * sigma_d**2 + (skip(sigma) * sigma) ** 2).sqrt()
        least = edm(sigma, sigma_d)[1]
        curves = into(sigma) * spread, asked / out(sigma).abs(), out(sigma).abs() / least
        for panel, curve in zip(axes, curves):
            panel.loglog(sigma, curve, style, color=colour, label=name, **LINE)
        for s in at:
            x = x0 + s * noise
            found = rms(into(s) * x), rms((x0 - skip(s) * x) / out(s))
            left_over = rms(x0 - (x0 * x).sum() / (x * x).sum() * x)  # by the best multiple
            for panel, value in zip(axes, (*found, float(out(s).abs()) / left_over)):
                panel.plot(float(s), value, "o", color=colour, ms=4)
    for panel, title in zip(axes, ("size of the input", "size of the target", "amplification")):
        panel.set(title=title, xlabel="noise level σ", ylim=(0.5, 100))
    axes[0].set_ylabel("root mean square")
    axes[2].set_ylabel("times the least possible")
    axes[1].legend(fontsize=8)
    return figure


def band(panel, levels, runs, name, colour, style="-"):
    """Mean over seeds, and a band from the least to the greatest."""
    runs = torch.tensor(runs)
    panel.plot(levels, runs.mean(0), style, color=colour, label=name, **LINE)
    panel.fill_between(levels, runs.min(0).values, runs.max(0).values, color=colour, alpha=0.3)


def by_level():
    """Loss per level where the denoiser is known, distances to it, and the digits."""
    exact = results.read("preconditioning-exact")["settings"]
    digits = results.read("preconditioning")["settings"]
    levels, floor = exact["levels"], torch.tensor(exact["floor"])
    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(8.6, 3.4))
    after = (torch.tensor(exact["distances"]["F of EDM"]) + floor).tolist()
    left.plot(levels, exact["start"], "--", color=BLACK, label="start", **LINE)
    band(left, levels, after, "network", BLUE)
    left.plot(levels, floor, ":", color=RED, label="floor", **LINE)
    left.set_title("mixture, exact floor")
    shown = {
        "F of EDM": ("EDM", BLUE, "-"),
        "noise, its own weight": ("noise", ORANGE, "--"),
        "picture, its own weight": ("picture", PINK, "-."),
    }
    for name, (label, colour, style) in shown.items():
        band(middle, levels, exact["distances"][name], label, colour, style)
    middle.set(title="distance to exact", yscale="log")
    right.plot(levels, digits["start"], "--", color=BLACK, label="start", **LINE)
    right.plot(levels, digits["linear"], "-.", color=GREEN, label="best linear", **LINE)
    band(right, levels, digits["losses"]["baseline"], "network", BLUE)
    right.set_title("digits kept aside")
    for panel in (left, middle, right):
        panel.set(xscale="log", xlabel="noise level σ")
        panel.legend(fontsize=8)
    for panel in (left, right):
        panel.set_ylim(0, 1.4)
    left.set_ylabel("λ(σ) × squared error")
    return figure


def ablation():
    """FD-C of every variant, and the loss of some over the baseline's."""
    run = results.read("preconditioning")
    rows = [row for row in run["rows"] if isinstance(row["FD-C"], list)][::-1]
    mean, spread = run["settings"]["floor"]
    figure, (left, right) = plt.subplots(1, 2, figsize=(8.6, 4.0), width_ratios=(1, 1.1))
    for i, row in enumerate(rows):
        colour = BLUE if row["changed"] == "baseline" else BLACK
        left.plot(row["FD-C"], [i] * len(row["FD-C"]), "o", color=colour, ms=4)
    left.axvspan(mean - spread, mean + spread, color="gray", alpha=0.4)
    left.set_yticks(range(len(rows)), [row["changed"] for row in rows], fontsize=8)
    left.set(title="FD-C, one dot a seed", xlabel="FD-C (lower is better)", xscale="log")
    left.set_xticks([0.5, 1, 2, 4, 8], ["0.5", "1", "2", "4", "8"])
    left.minorticks_off()
    levels, losses = run["settings"]["levels"], run["settings"]["losses"]
    base = torch.tensor(losses["baseline"]).mean(0)
    shown = {
        "noise, its own weight": (ORANGE, "-"),
        "picture, its own weight": (PINK, "-"),
        "weight 1/σ_d²": (GREEN, "--"),
        "levels N(−0.8, 0.9²)": (SKY, "-"),
        "levels of VE": (RED, "-."),
    }
    right.axhline(1, color="gray", lw=1)
    for name, (colour, style) in shown.items():
        band(right, levels, (torch.tensor(losses[name]) / base).tolist(), name, colour, style)
    right.set(title="loss kept aside / the baseline's", xscale="log", yscale="log")
    right.set(xlabel="noise level σ")
    right.legend(fontsize=8)
    return figure


def leak():
    """The denoisers of one point with a flip; shares of turned samples and losses on digits."""
    run = results.read("preconditioning-augmentation")
    rows = [row for row in run["rows"] if isinstance(row["FD-C"], list)]
    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(8.4, 3.3), width_ratios=(1.2, 1, 1))
    x = torch.linspace(-3, 3, 201)
    left.plot(x, torch.tanh(x / 0.81), color=RED, label="not told", **LINE)
    left.plot(x, torch.ones_like(x), color=BLUE, label="told: not flipped", **LINE)
    left.plot(x, -torch.ones_like(x), ":", color=BLUE, label="told: flipped", **LINE)
    left.set(title="one point, sign flipped", xlabel="x", ylabel="D", ylim=(-1.3, 2.6))
    left.set_yticks([-1, 0, 1])
    left.legend(fontsize=8, loc="upper left")
    for i, (row, colour) in enumerate(zip(rows, (BLACK, RED, BLUE))):
        share = torch.tensor(row["called turned"])
        middle.bar(i, float(share.mean()), color=colour, alpha=0.5)
        middle.plot([i] * len(share), share, "o", color=colour)
        losses = row["loss, kept aside"]
        right.plot([i] * len(losses), losses, "o", color=colour)
    for panel in (middle, right):
        panel.set_xticks(range(3), ["none", "not told", "told"])
        panel.set_xlim(-0.6, 2.6)
    middle.set(title="samples on their side", ylabel="share", ylim=(0, 0.7))
    right.set(title="loss, kept aside", ylabel="λ(σ) × squared error")
    return figure


def live(sigma=5.0, sigma_d=0.5):
    """The live figure as it starts, for readers without scripts."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(7.4, 3.3), width_ratios=(1.5, 1))
    levels = torch.logspace(-2, 2, 201)
    curves = {"c_skip": torch.ones_like(levels), "|c_out|": levels, "c_in": (1 + levels**2) ** -0.5}
    for (name, curve), colour in zip(curves.items(), (BLUE, ORANGE, GREEN)):
        left.loglog(levels, curve, color=colour, label=name, **LINE)
    left.axvline(sigma, color="gray", lw=1)
    left.set(title="noise, as VP", xlabel="noise level σ", ylim=(0.01, 100))
    left.legend(fontsize=8)
    spread = (sigma**2 + sigma_d**2) ** 0.5
    bars = spread / (1 + sigma**2) ** 0.5, 1, sigma / edm(sigma, sigma_d)[1]
    right.bar(range(3), [1.1 * b - 0.9 for b in bars], bottom=0.9, color=(GREEN, BLUE, ORANGE))
    right.axhline(1, color="gray", lw=1)
    right.set(title=f"at σ = {sigma:g}: should be 1", yscale="log", ylim=(0.01, 100))
    right.set_xticks(range(3), ["input", "target", "errors"])
    return figure


if __name__ == "__main__":
    plots.style()
    drawn = {
        "targets": targets,
        "amplification": amplification,
        "four": four,
        "live": live,
        "levels": by_level,
        "ablation": ablation,
        "leak": leak,
    }
    for name, draw in drawn.items():
        plots.save(draw(), HERE / f"08-{name}.svg")
