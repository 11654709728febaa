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


def one_answer(sigma=0.8):
    """The still of the live figure: one state, the weights of seven points, and the answer."""
    points = [(-1.5, 0.9), (-0.8, 1.5), (-1.3, -0.5), (0.3, -1.4), (1.2, -0.9), (1.6, 0.6)]
    points = torch.tensor([*points, (0.6, 1.2)])
    x, D = torch.tensor([[1.9, -2.0]]), denoisers.DataSet(points)
    shares = torch.softmax(-((x - points) ** 2).sum(1) / (2 * sigma**2), 0)
    figure, (left, right) = plt.subplots(1, 2, figsize=(7.2, 3.5))
    places = square(2.4, 60)
    cells = D.log_density(places, sigma).exp().reshape(60, 60).T
    look = dict(origin="lower", extent=(-2.4, 2.4, -2.4, 2.4), cmap=plots.SHADE)
    left.imshow(cells, vmax=2 * cells.max(), **look)
    places = square(2.2, 13)
    way = D(places, sigma) - places
    length = way.norm(dim=1, keepdim=True)
    left.quiver(*places.T, *(way / (0.5 + length)).T, color="0.4", scale=16, width=0.004)
    for point, share in zip(points, shares.tolist()):
        if share > 0.002:
            look = dict(color=plots.COLOURS[1], lw=1 + 9 * share, alpha=0.55, marker="")
            left.plot(*torch.stack([x[0], point]).T, **look)
    left.scatter(*points.T, s=120, color=plots.COLOURS[1], marker="o", zorder=3)
    for i, point in enumerate(points.tolist()):
        look = dict(color="white", ha="center", va="center", fontsize=8, weight="bold", zorder=4)
        left.text(*point, i + 1, **look)
    answer = D(x, sigma)[0].tolist()
    arrow = dict(arrowstyle="-|>", lw=2.5, color="black")
    left.annotate("", answer, x[0].tolist(), arrowprops=arrow, zorder=5)
    left.plot(*x.T, color=plots.COLOURS[0], markersize=9, zorder=6)
    left.plot(*answer, color=plots.COLOURS[2], marker="o", markersize=7, zorder=6)
    left.text(answer[0] - 0.2, answer[1] + 0.15, "D", color=plots.COLOURS[2], weight="bold")
    left.text(2.05, -2.3, "x", color=plots.COLOURS[0], weight="bold")
    left.set(title=f"score and answer at σ = {sigma}", xticks=[-2, 0, 2], yticks=[-2, 0, 2])
    left.set(xlabel="first coordinate", ylabel="second coordinate")
    left.grid(False)
    right.barh([f"$y_{i}$" for i in range(1, 8)], shares, color=plots.COLOURS[1])
    right.set(xlim=(0, 1), title="posterior weights", xlabel="$p(y_i | x)$")
    right.invert_yaxis()
    return figure


if __name__ == "__main__":
    plots.style()
    for name, draw in {"04-arrows": arrows, "04-basins": basins, "04-live": one_answer}.items():
        plots.save(draw(), HERE / f"{name}.svg")
