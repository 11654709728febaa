"""Makes the picture of chapter 03: python book/_images/03_paths.py (a few seconds, seeded)."""

from pathlib import Path

import matplotlib.pyplot as plt
import torch

from fewstep import denoisers, plots, processes

HERE = Path(__file__).parent
DATA = denoisers.Mixture(
    means=[[-1.5], [0.2], [1.5]], variances=[0.08, 0.04, 0.15], weights=[0.35, 0.25, 0.4]
)
PROCESS = processes.VP()
GENERATOR = torch.Generator().manual_seed(11)


def score(x, t):
    """∇ log p(x, t) of the noised data, down to t = 0."""
    mean, variance = (
        PROCESS.s(t) * DATA.means[:, 0],
        PROCESS.s(t) ** 2 * (DATA.variances + PROCESS.sigma(t) ** 2),
    )
    log_parts = torch.log(DATA.weights) - 0.5 * ((x - mean) ** 2 / variance + torch.log(variance))
    return (torch.softmax(log_parts, dim=1) * (mean - x) / variance).sum(1, keepdim=True)


def path(x, times, pull, noise):
    """States of dx = (f x − pull · g² ∇log p) dt + noise · g dw along ``times``, which may
    decrease.
    """
    states = [x]
    for t, t_next in zip(times[:-1], times[1:]):
        h, g = t_next - t, PROCESS.g(t)
        z = torch.randn(x.shape, dtype=x.dtype, generator=GENERATOR)
        x = x + h * (PROCESS.f(t) * x - pull * g**2 * score(x, t)) + noise * g * h.abs().sqrt() * z
        states.append(x)
    return torch.stack(states)[..., 0]


def shade(times, heights):
    """The density of x at these heights (rows) and times (columns)."""
    columns = [
        DATA.log_density(heights / PROCESS.s(t), PROCESS.sigma(t)) - PROCESS.s(t).log()
        for t in times
    ]
    return torch.stack(columns, 1).exp()


def three_motions():
    """Paths of the SDE, of the ODE and of the reverse SDE over the density they share."""
    times = torch.linspace(0, 1, 601, dtype=torch.float64)
    heights = torch.linspace(-3, 3, 241, dtype=torch.float64)[:, None]
    density = shade(times[::6], heights)
    data = torch.tensor([[-1.7], [-1.3], [0.1], [0.3], [1.1], [1.5], [1.9]], dtype=torch.float64)
    noise = torch.linspace(-1.6, 1.6, 7, dtype=torch.float64)[:, None]
    figure, panels = plt.subplots(1, 3, figsize=(8.6, 3.1), sharey=True)
    motions = (
        ("SDE, data to noise", path(data, times, 0, 1), times),
        ("ODE, either way", path(data, times, 0.5, 0), times),
        ("Reverse SDE, noise to data", path(noise, times.flip(0), 1, 1), times.flip(0)),
    )
    for axes, (title, states, clock) in zip(panels, motions):
        axes.pcolormesh(
            times[::6], heights[:, 0], density, cmap=plots.SHADE, vmax=1.0, rasterized=True
        )
        axes.plot(clock, states, marker="", lw=1)
        axes.set(
            xlim=(0, 1),
            ylim=(-3, 3),
            xticks=[0, 0.5, 1],
            xticklabels=["0", "0.5", "1"],
            xlabel="time t",
            title=title,
        )
    panels[0].set_ylabel("state x")
    return figure


def particles():
    """The still of the live figure: the reverse SDE's paths, and where they end."""
    times = torch.linspace(0, 1, 321, dtype=torch.float64)
    heights = torch.linspace(-3.2, 3.2, 241, dtype=torch.float64)[:, None]
    starts = torch.randn(1000, 1, dtype=torch.float64, generator=GENERATOR)
    starts[:8, 0] = torch.linspace(-1.9, 1.9, 8)
    states = path(starts, times.flip(0), 1, 1)
    density = shade(times[::4], heights)
    figure, (left, right) = plt.subplots(1, 2, figsize=(7.2, 3.5), sharey=True, width_ratios=(2, 1))
    left.pcolormesh(times[::4], heights[:, 0], density**0.5, cmap=plots.SHADE, vmax=1.4)
    left.plot(times.flip(0), states[:, :8], color=plots.COLOURS[0], marker="", lw=1)
    left.plot([0] * 8, states[-1, :8], color=plots.COLOURS[1], ls="", clip_on=False)
    left.set(xlim=(0, 1), ylim=(-3.2, 3.2), xticks=[0, 0.5, 1], ylabel="state x")
    left.set(xlabel="time t", title="paths over the density")
    left.set_xticklabels(["0, data", "½", "1"])
    bins = torch.linspace(-3.2, 3.2, 49).numpy()
    look = dict(color=plots.COLOURS[1], alpha=0.75, rwidth=0.9, orientation="horizontal")
    right.hist(states[-1].numpy(), bins, density=True, label="1000 particles", **look)
    right.plot(density[:, 0], heights[:, 0], color="black", marker="", label="exact density")
    right.set(title="particles at t = 0", xlabel="density")
    right.legend(fontsize=8)
    return figure


if __name__ == "__main__":
    plots.style()
    for name, draw in {"03-paths": three_motions, "03-live": particles}.items():
        plots.save(draw(), HERE / f"{name}.svg")
