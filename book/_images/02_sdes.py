"""Makes the pictures of chapter 02: python book/_images/02_sdes.py (a few seconds, seeded)."""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch

from fewstep import plots, processes

HERE = Path(__file__).parent
BLUE, ORANGE, GREEN, RED = plots.COLOURS[:4]


def normal(*shape, seed):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, dtype=torch.float64, generator=generator)


def chains_and_path():
    """Two VP chains of 20, 50 and 200 steps beside one path of the VP equation."""
    process, fine, x_0 = processes.VP(), 6000, 1.5
    dw = normal(fine, seed=21) / fine**0.5
    t = torch.linspace(0, 1, fine + 1, dtype=torch.float64)
    middle = (t[1:] + t[:-1]) / 2
    inner = torch.cumsum(process.g(middle) / process.s(middle) * dw, 0)
    path = process.s(t) * (x_0 + torch.cat([torch.zeros(1), inner]))
    figure, axes = plt.subplots(1, 3, figsize=(7.8, 3.1), sharey=True)
    for axis, steps in zip(axes, (20, 50, 200)):
        x = [x_0]
        for k, dw_k in enumerate(dw.reshape(steps, -1).sum(1)):
            beta = process.beta(k / steps)
            x.append(float((1 - beta / steps).sqrt() * x[-1] + beta.sqrt() * dw_k))
        times = np.linspace(0, 1, steps + 1)
        size = 4.5 if steps < 100 else 2.5
        axis.plot(t, path, color="0.6", marker="", lw=0.7, label="the SDE")
        axis.plot(times, x, color=ORANGE, marker="", lw=1.2, label=r"$\beta_k=\beta(t)\,\Delta t$")
        dots = path[:: fine // steps]
        axis.plot(times, dots, color=BLUE, ls="", ms=size, label=r"$\beta_k=1-e^{-\Delta B}$")
        axis.set(title=f"T = {steps}", xlabel="time t", xticks=[0, 0.5, 1])
    axes[0].set_ylabel("state x")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncol=3)
    return figure


def zoom():
    """One Wiener path at three magnifications, and the sums over its increments."""
    pieces = 2**14
    w = torch.cat([torch.zeros(1), (normal(pieces, seed=12) / pieces**0.5).cumsum(0)]).numpy()
    t = np.linspace(0, 1, pieces + 1)
    figure, axes = plt.subplots(1, 3, figsize=(7.8, 3.2))
    start = 0
    for level, axis in enumerate(axes):
        n, width = 64 * 16**level, pieces // 16**level
        stride = pieces // n
        window = slice(start, start + width + 1, stride)
        centre = (w[window].max() + w[window].min()) / 2
        axis.plot(t[window], w[window], color=BLUE, marker="", lw=1)
        half = 0.8 / 4**level
        axis.set(ylim=(centre - half, centre + 1.5 * half), xlim=t[[start, start + width]])
        dw = np.diff(w[::stride])
        sums = f"Σ|Δw| = {abs(dw).sum():.1f}\nΣ(Δw)² = {(dw**2).sum():.3f}"
        axis.text(0.04, 0.96, sums, transform=axis.transAxes, va="top")
        axis.set_title(f"n = {n:,}" + (f", ×{16**level}" if level else ""))
        axis.set_xlabel("time t")
        axis.locator_params(nbins=4)
        axis.ticklabel_format(useOffset=False)
        if level < 2:  # the next window, a sixteenth of this one, near its middle
            start += (9 * width // 16) // stride * stride
            inside = w[start : start + width // 16 + 1 : stride // 16]
            middle, high = (inside.max() + inside.min()) / 2, half / 4
            axis.add_patch(
                plt.Rectangle(
                    (t[start], middle - high),
                    t[width // 16],
                    2.5 * high,
                    fill=False,
                    ec=RED,
                    lw=1.5,
                    zorder=3,
                )
            )
    axes[0].set_ylabel("w")
    return figure


def clocks():
    """Four SDEs simulated with one noise, on their own time, and after division by s on σ²."""
    steps, top, x_0 = 1500, 3.0, 1.0
    variance = top * torch.linspace(0, 1, steps + 1, dtype=torch.float64) ** 2
    epsilon = normal(steps, seed=1)
    named = {
        "VP": processes.VP(),
        "sub-VP": processes.SubVP(),
        "VE": processes.VE(),
        "EDM": processes.EDM(),
    }
    figure, axes = plt.subplot_mosaic("ABEE;CDEE", figsize=(7.8, 3.9))
    for (name, p), key, colour, width in zip(
        named.items(), "ABCD", (BLUE, ORANGE, GREEN, RED), (7, 4.6, 2.6, 0.8)
    ):
        t, x = p.sigma_inv(variance.sqrt()), [x_0]
        middle, dt = (t[1:] + t[:-1]) / 2, t.diff()
        for f, g, h, e in zip(p.f(middle).tolist(), p.g(middle).tolist(), dt.tolist(), epsilon):
            x.append(x[-1] + f * x[-1] * h + g * h**0.5 * float(e))
        x = torch.tensor(x, dtype=torch.float64)
        axes[key].plot(t, x, color=colour, marker="", lw=0.9)
        axes[key].set_title(name, fontsize=10)
        axes["E"].plot(variance, x / p.s(t), color=colour, marker="", lw=width, label=name)
    for key in "CD":
        axes[key].set_xlabel("time t")
    for key in "AC":
        axes[key].set_ylabel("x")
    axes["E"].set(
        title="all four, divided by s(t)", xlabel="clock σ(t)²", ylabel="x / s", ylim=(0.1, 3)
    )
    axes["E"].legend(loc="upper right", ncol=2)
    return figure


def orders():
    """Distance of three schemes from the solution on the same paths, over the step."""
    steps, paths, nu = np.array([8, 16, 32, 64, 128, 256, 512]), 4000, 0.8
    p, fine = processes.VP(beta_d=3.0, beta_min=0.5), 4096
    dw = normal(fine, paths, seed=6) / fine**0.5
    middle = (torch.arange(fine, dtype=torch.float64) + 0.5) / fine
    exact_vp = p.s(1.0) * (1 + (p.g(middle) / p.s(middle)) @ dw)
    exact_nu = torch.exp(nu * dw.sum(0) - nu**2 / 2)
    errors = {"DDPM's chain, VP": [], "Euler–Maruyama, dx = νx dw": [], "Milstein, dx = νx dw": []}
    for T in steps:
        x, y, z = (torch.ones(paths, dtype=torch.float64) for _ in range(3))
        for k, d in enumerate(dw.reshape(T, -1, paths).sum(1)):
            beta = p.beta(k / T)
            x = (1 - beta / T).sqrt() * x + beta.sqrt() * d
            y = y * (1 + nu * d)
            z = z * (1 + nu * d + nu**2 / 2 * (d**2 - 1 / T))
        for name, gap in zip(errors, (x - exact_vp, y - exact_nu, z - exact_nu)):
            errors[name].append(float(gap.square().mean().sqrt()))
    figure, axis = plt.subplots(figsize=(5.6, 3.4))
    for (name, values), colour in zip(errors.items(), (BLUE, RED, GREEN)):
        axis.plot(1 / steps, values, color=colour, label=name)
    known = np.sqrt(np.exp(nu**2) - (1 + nu**2 / steps) ** steps)
    axis.plot(
        1 / steps, known, "--", marker="", color="black", lw=1, label="Euler–Maruyama, closed form"
    )
    axis.set_xscale("log", base=2)
    axis.set(yscale="log", xlabel="step Δt", ylabel="root mean square error at t = 1")
    axis.legend(fontsize=8)
    return figure


def one_path():
    """The still of the live figure: a chain of 8 steps, the SDE, and sums of their noise."""
    fine = torch.randn(4096, dtype=torch.float64, generator=torch.Generator().manual_seed(2)) / 64
    figure, axes = plt.subplot_mosaic("AAB;AAC", figsize=(7.2, 3.5))
    counts = 2 ** torch.arange(1, 11)
    for steps, label in ((4096, "SDE"), (8, "chain, T = 8")):
        dw, states = fine.reshape(steps, -1).sum(1), [1.5]
        for k, step in enumerate(dw.tolist()):
            beta = 0.1 + 1.8 * k / steps
            states.append((1 - beta / steps) ** 0.5 * states[-1] + beta**0.5 * step)
        t = torch.linspace(0, 1, steps + 1)
        look = dict(marker="", lw=0.7, color="0.6") if steps > 8 else dict(marker="o")
        axes["A"].plot(t, states, label=label, **look)
        axes["B"].plot(t, torch.cat([torch.zeros(1), dw.cumsum(0)]), **{**look, "marker": ""})
    pieces = [fine.reshape(int(T), -1).sum(1) for T in counts]
    axes["C"].loglog(counts, [dw.abs().sum() for dw in pieces], label="Σ|Δw|", ls="")
    axes["C"].loglog(counts, [(dw**2).sum() for dw in pieces], label="Σ(Δw)²", ls="")
    axes["A"].set(title="chain and SDE", xlabel="time t = k/T", ylabel="state x")
    axes["B"].set(title="their noise w, in T steps", xticks=[0, 0.5, 1])
    axes["C"].set(title="sums over its steps", xlabel="T", ylim=(0.25, 64))
    axes["A"].legend(fontsize=8)
    axes["C"].legend(fontsize=8)
    return figure


if __name__ == "__main__":
    plots.style()
    drawings = {
        "02-chain-to-sde": chains_and_path,
        "02-zoom": zoom,
        "02-clocks": clocks,
        "02-orders": orders,
        "02-live": one_path,
    }
    for name, draw in drawings.items():
        plots.save(draw(), HERE / f"{name}.svg")
