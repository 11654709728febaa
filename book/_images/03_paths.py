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


def three_motions():
    """Paths of the SDE, of the ODE and of the reverse SDE over the density they share."""
    times = torch.linspace(0, 1, 601, dtype=torch.float64)
    heights = torch.linspace(-3, 3, 241, dtype=torch.float64)[:, None]
    shade = torch.stack(
        [
            DATA.log_density(heights / PROCESS.s(t), PROCESS.sigma(t)) - PROCESS.s(t).log()
            for t in times[::6]
        ],
        1,
    ).exp()
    data = torch.tensor([[-1.7], [-1.3], [0.1], [0.3], [1.1], [1.5], [1.9]], dtype=torch.float64)
    noise = torch.linspace(-1.6, 1.6, 7, dtype=torch.float64)[:, None]
    figure, panels = plt.subplots(1, 3, figsize=(8.6, 3.1), sharey=True)
    motions = (
        ("SDE, data to noise", path(data, times, 0, 1), times),
        ("ODE, either way", path(data, times, 0.5, 0), times),
        ("Reverse SDE, noise to data", path(noise, times.flip(0), 1, 1), times.flip(0)),
    )
    for axes, (title, states, clock) in zip(panels, motions):
        axes.pcolormesh(times[::6], heights[:, 0], shade, cmap="Greys", vmax=1.0, rasterized=True)
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


if __name__ == "__main__":
    plots.style()
    three_motions().savefig(
        HERE / "03-paths.png", dpi=150, facecolor="white", metadata={"Software": None}
    )
