"""Makes the pictures of chapter 04: python book/_images/04_denoising_is_score.py (a few seconds,
seeded).
"""

from pathlib import Path

import matplotlib.pyplot as plt
import torch

from fewstep import denoisers, grids, plots, solvers, toys

HERE = Path(__file__).parent


def square(half, n):
    """n × n points that fill [−half, half]², (n², 2)."""
    return torch.cartesian_prod(*[torch.linspace(-half, half, n)] * 2)


def arrows():
    """From states x to the denoiser's answer, at three noise levels."""
    points = toys.moons(300, seed=4)
    D = denoisers.DataSet(points)
    x = square(1.75, 8)
    figure, axes = plt.subplots(1, 3, figsize=(7.2, 3.0), sharey=True)
    for panel, sigma in zip(axes, (2.0, 0.5, 0.15)):
        panel.scatter(*points.T, s=3, color=plots.COLOURS[1], marker="o")
        panel.plot(
            *torch.stack([x, D(x, sigma)]).permute(2, 0, 1),
            color=plots.COLOURS[0],
            lw=0.8,
            marker="",
        )
        panel.scatter(*D(x, sigma).T, s=9, color=plots.COLOURS[6], marker="o", zorder=3)
        panel.set(
            title=f"σ = {sigma:g}",
            aspect="equal",
            xlim=(-1.9, 1.9),
            ylim=(-1.9, 1.9),
            xlabel="first coordinate",
        )
        panel.grid(False)
    axes[0].set_ylabel("second coordinate")
    return figure


def basins():
    """Which of nine points a path of the ODE ends on, by where it starts, for three starting
    levels.
    """
    points = torch.randn(9, 2, generator=torch.Generator().manual_seed(11))
    D = denoisers.DataSet(points)
    figure, axes = plt.subplots(1, 3, figsize=(7.2, 3.0), sharey=True)
    n = 220
    for panel, sigma in zip(axes, (2.0, 1.0, 0.3)):
        x = square(4.0, n)
        ends = solvers.sample(D, x, grids.edm(60, sigma_min=0.01, sigma_max=sigma)).x
        by_path, by_distance = (torch.cdist(y, points).argmin(1).reshape(n, n).T for y in (ends, x))
        panel.imshow(
            by_path,
            origin="lower",
            extent=(-4, 4, -4, 4),
            cmap="tab10",
            vmin=0,
            vmax=9,
            alpha=0.6,
            interpolation="nearest",
        )
        for k in range(9):
            for cells, colour, width in ((by_path, "white", 2.5), (by_distance, "black", 0.7)):
                panel.contour(
                    cells == k, levels=[0.5], extent=(-4, 4, -4, 4), colors=colour, linewidths=width
                )
        panel.scatter(*points.T, s=14, color="black", marker="o", zorder=3)
        panel.set(title=f"from σ = {sigma:g}", aspect="equal", xlabel="first coordinate")
        panel.grid(False)
    axes[0].set_ylabel("second coordinate")
    return figure


if __name__ == "__main__":
    plots.style()
    for name, draw in {"04-arrows": arrows, "04-basins": basins}.items():
        draw().savefig(HERE / f"{name}.png", dpi=150, facecolor="white")
