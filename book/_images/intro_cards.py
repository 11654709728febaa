"""Makes the pictures of the title page's cards: python book/_images/intro_cards.py (a few seconds,
seeded).
"""

from pathlib import Path

import matplotlib.pyplot as plt
import torch

from fewstep import (
    data,
    denoisers,
    grids,
    plots,
    pretrained,
    processes,
    results,
    schedules,
    solvers,
    toys,
)

HERE = Path(__file__).parent


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def card(rows=1, width=3.4, height=1.3):
    """A figure of panels without axes."""
    figure, panels = plt.subplots(rows, 1, figsize=(width, height), squeeze=False)
    for panel in panels[:, 0]:
        panel.axis("off")
    return figure, panels[:, 0]


def row(panel, images):
    """Pictures side by side; what is between them is see-through."""
    tiles, gaps = (
        plots.tile(x, columns=len(x))[..., 0] for x in (images, -torch.ones_like(images))
    )
    panel.imshow(tiles, cmap="gray", vmin=0, vmax=1, alpha=1 - gaps, interpolation="nearest")


def quickstart():
    """Ten digits, each further on the recorded network's way out of noise."""
    denoiser, grid = pretrained.load_denoiser("digits-denoiser", "cpu"), grids.edm(18)
    noise = torch.randn(10, 1, 8, 8, generator=seeded(4))
    path = solvers.sample(denoiser, grid[0] * noise, grid, trajectory=True).trajectory
    moments = [0, 8, 9, 10, 11, 12, 13, 14, 16, 18]
    states = [path[i, k] / (1 + grid[i] ** 2) ** 0.5 for k, i in enumerate(moments)]
    figure, (panel,) = card(width=7.0, height=0.8)
    row(panel, torch.stack(states).float())
    return figure


def noising():
    """One digit at equal times of two schedules."""
    digit = data.digits().float(slice(1))
    figure, panels = card(rows=2)
    for panel, make in zip(panels, (schedules.linear, schedules.cosine)):
        noise = torch.randn(6, 1, 1, 8, 8, generator=seeded(0))
        row(panel, torch.cat([make(1000).perturb(digit, 120 * k, z) for k, z in enumerate(noise)]))
    return figure


def chains():
    """Three paths of the VP chain in 32 and in 512 steps, driven by the same noise."""
    process, fine = processes.VP(), torch.randn(512, 3, generator=seeded(5)) / 512**0.5
    figure, (panel,) = card()
    for steps in (512, 32):
        states = [torch.tensor([2.2, 0.0, -2.2])]
        for k, dw in enumerate(fine.reshape(steps, -1, 3).sum(1)):
            beta = process.beta(k / steps)
            states.append((1 - beta / steps) ** 0.5 * states[-1] + beta**0.5 * dw)
        t = torch.linspace(0, 1, steps + 1)
        for k, path in enumerate(torch.stack(states).T):
            if steps == 32:
                panel.plot(t, path, drawstyle="steps-mid", color=plots.COLOURS[k], marker="")
            else:
                panel.plot(t, path, color="0.6", marker="", lw=0.7)
    return figure


def flow():
    """Paths of the ODE and of the reverse SDE over the density that they share."""
    mixture = denoisers.Mixture([[-1.5], [0.2], [1.5]], [0.08, 0.04, 0.15], [0.35, 0.25, 0.4])
    process, times = processes.VP(), torch.linspace(0.6, 0.001, 301, dtype=torch.float64)
    heights = torch.linspace(-2.7, 2.7, 121, dtype=torch.float64)[:, None]
    columns = [
        mixture.log_density(heights / process.s(t), process.sigma(t)) - process.s(t).log()
        for t in times[::6]
    ]
    figure, (panel,) = card()
    density = torch.stack(columns, 1).exp()
    panel.pcolormesh(times[::6], heights[:, 0], density**0.5, cmap=plots.SHADE, vmax=1.0)
    start = torch.linspace(-1.9, 1.9, 6, dtype=torch.float64)[:, None]
    for k, step in ((0, solvers.euler), (3, solvers.euler_maruyama)):
        grid = torch.cat([process.sigma(times), torch.zeros(1, dtype=torch.float64)])
        x = start if k == 0 else start[1::2]
        path = solvers.sample(
            mixture, x, grid, step, process, generator=seeded(3), trajectory=True
        ).trajectory
        panel.plot(times, path[:-1, :, 0], color=plots.COLOURS[k], marker="", lw=1)
    panel.set(xlim=(0, 0.6))
    return figure


def answers():
    """From states on a grid to the exact denoiser's answers."""
    points = toys.moons(300, seed=4)
    D, sigma = denoisers.DataSet(points), 0.3
    across, down = torch.linspace(-3.6, 3.6, 16), torch.linspace(-1.3, 1.3, 6)
    x = torch.cartesian_prod(across, down)
    figure, (panel,) = card()
    panel.scatter(*points.T, s=2, color=plots.COLOURS[1], marker="o")
    ways = torch.stack([x, D(x, sigma)]).permute(2, 0, 1)
    panel.plot(*ways, color=plots.COLOURS[0], marker="", lw=0.8)
    panel.scatter(*D(x, sigma).T, s=6, color="black", marker="o", zorder=3)
    panel.set(aspect="equal")
    return figure


def judges():
    """What two judges say of five samplers at five calls: the recorded distances."""
    rows = {row["judge"]: row for row in results.read("measuring-samples")["rows"]
            if row["calls"] == 5}  # fmt: skip
    figure, panels = card(2)
    for panel, judge, colour in zip(panels, ("shifted, seed 0", "shifted, seed 1"), (0, 3)):
        samplers = {k: torch.tensor(v).mean() for k, v in rows[judge].items() if type(v) is list}
        panel.bar(range(len(samplers)), list(samplers.values()), color=plots.COLOURS[colour])
    return figure


if __name__ == "__main__":
    plots.style()
    for number, draw in enumerate((quickstart, noising, chains, flow, answers, judges)):
        plots.save(draw(), HERE / f"intro-{number}.svg")
