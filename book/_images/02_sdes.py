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


if __name__ == "__main__":
    plots.style()
    chain_to_sde().savefig(
        HERE / "02-chain-to-sde.png", dpi=150, facecolor="white", metadata={"Software": None}
    )
