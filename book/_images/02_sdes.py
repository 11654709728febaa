"""Makes the picture of chapter 02: python book/_images/02_sdes.py (a few seconds, seeded)."""

from pathlib import Path

import matplotlib.pyplot as plt
import torch

from fewstep import plots, processes

HERE = Path(__file__).parent


def chain_to_sde():
    """Paths of the VP chain at three numbers of steps, driven by the same noise."""
    process, starts = processes.VP(), torch.tensor([2.0, 0.7, -0.7, -2.0], dtype=torch.float64)
    fine = (
        torch.randn(1600, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(5)) / 40
    )
    t = torch.linspace(0, 1, 201, dtype=torch.float64)
    band = 2 * process.s(t) * process.sigma(t)
    figure, axes = plt.subplots(1, 3, figsize=(7.2, 2.9), sharey=True)
    for axis, steps in zip(axes, (50, 200, 1600)):
        states = [starts]
        for k, dw in enumerate(fine.reshape(steps, -1, 4).sum(1)):
            beta = process.beta(k / steps)
            states.append(torch.sqrt(1 - beta / steps) * states[-1] + torch.sqrt(beta) * dw)
        axis.fill_between(t, -band, band, color="black", alpha=0.08, lw=0)
        axis.plot(torch.linspace(0, 1, steps + 1), torch.stack(states), marker="", lw=0.9)
        axis.set(title=f"T = {steps}", xlabel="time t = k/T", xticks=[0, 0.5, 1])
    axes[0].set_ylabel("state x")
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
    for name, draw in {"02-chain-to-sde": chain_to_sde, "02-live": one_path}.items():
        plots.save(draw(), HERE / f"{name}.svg")
