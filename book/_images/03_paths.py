"""Makes the pictures of chapter 03: python book/_images/03_paths.py (some seconds, seeded)."""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch

from fewstep import denoisers, plots, processes

HERE = Path(__file__).parent
DATA = denoisers.Mixture(
    means=[[-1.5], [0.2], [1.5]], variances=[0.08, 0.04, 0.15], weights=[0.35, 0.25, 0.4]
)
PROCESS = processes.VP()
BLUE, ORANGE, GREEN = plots.COLOURS[:3]
INK = dict(color="black", marker="")


def score(x, sigma):
    """∇ log p(x; σ) of the data noised to a level above 0."""
    return denoisers.score(DATA, x, sigma)


def density(heights, sigmas):
    """p(x; σ) at these heights (rows) and levels (columns)."""
    columns = [DATA.log_density(heights, torch.as_tensor(sigma)) for sigma in sigmas]
    return torch.stack(columns, 1).exp()


def flow(x, sigmas):
    """States of dx/dσ = −σ ∇ log p(x; σ) at these levels, by Heun's method: (len(sigmas), B)."""
    x, states = torch.as_tensor(x, dtype=torch.float64).reshape(-1, 1), []
    for sigma, sigma_next in zip(sigmas[:-1], sigmas[1:]):
        states.append(x)
        slope = -sigma * score(x, sigma)
        guess = x + (sigma_next - sigma) * slope
        x = x + (sigma_next - sigma) * (slope - sigma_next * score(guess, sigma_next)) / 2
    return torch.stack([*states, x])[..., 0]


def posterior(x, sigma):
    """Weights, means and variances of x_0 given the state x at the level σ: three (3,) arrays."""
    means, variances = DATA.means[:, 0].numpy(), DATA.variances.numpy()
    spread = variances + sigma**2
    weights = DATA.weights.numpy() * np.exp(-0.5 * (x - means) ** 2 / spread) / np.sqrt(spread)
    gain = variances / spread
    return weights / weights.sum(), means + gain * (x - means), gain * sigma**2


def data_behind(x, sigma, n, rng):
    """n data points whose noised state may be x."""
    weights, means, variances = posterior(x, sigma)
    bump = rng.choice(3, n, p=weights)
    return means[bump] + np.sqrt(variances[bump]) * rng.standard_normal(n)


def bell(x, mean, std):
    return np.exp(-0.5 * ((x - mean) / std) ** 2) / (std * np.sqrt(2 * np.pi))


def crossing():
    """Lines x_0 + σε, those through one point, and the path along their average."""
    rng, at, level = np.random.default_rng(2), 2.2, 1.5
    figure, (left, right) = plt.subplots(1, 2, figsize=(8.6, 3.4), width_ratios=(2.3, 1))
    ends = np.array([0, 3.0])
    starts = DATA.sample(130, generator=torch.Generator().manual_seed(1))[:, 0].numpy()
    left.plot(
        ends, starts + ends[:, None] * rng.standard_normal(130), color="0.6", marker="", lw=0.5
    )
    chosen = data_behind(at, level, 9, rng)
    left.plot(ends, chosen + ends[:, None] * (at - chosen) / level, color=ORANGE, marker="", lw=1.2)
    sigmas = torch.linspace(level, 0.02, 200), torch.linspace(level, 3.0, 100)
    for part in sigmas:
        left.plot(part, flow([at], part)[:, 0], color=BLUE, marker="", lw=2.5)
    weights, means, variances = posterior(at, level)
    slope = (at - weights @ means) / level
    arrow = dict(arrowstyle="-|>", color="black", lw=2, shrinkA=0, shrinkB=0, mutation_scale=16)
    left.annotate("", (level + 0.8, at + 0.8 * slope), (level, at), arrowprops=arrow, zorder=5)
    left.plot(level, at, "o", color="black", ms=7, zorder=6)
    left.set(xlim=(0, 3), ylim=(-3.5, 5), xticks=[0, 1, 2, 3], xlabel="noise level σ")
    left.set(ylabel="state x", title="lines that cross, and a path of the flow")
    slopes = np.linspace(-0.8, 3.2, 400)
    stds = np.sqrt(variances) / level
    shares = bell(slopes[:, None], (at - means) / level, stds) @ weights
    right.fill_between(slopes, shares, color=ORANGE, alpha=0.4, lw=0)
    right.plot(slopes, shares, color=ORANGE, marker="")
    right.axvline(slope, color="black", lw=2)
    right.annotate("mean", (slope, 0.93 * shares.max()), (slope + 0.12, 0.93 * shares.max()))
    right.set(xlabel="slope ε", ylim=(0, None), yticks=[], title="slopes in the black point")
    return figure


def gaussian():
    """The SDE, the ODE and the reverse SDE of one Gaussian, N(0, 9), each from one point."""
    rng, n, steps = np.random.default_rng(5), 6, 160
    sigmas = np.linspace(0, 4, steps + 1)
    figure, panels = plt.subplots(1, 3, figsize=(8.6, 3.3), sharey=True)
    band = np.sqrt(9 + sigmas**2)
    for axes in panels:
        axes.fill_between(sigmas, -2 * band, 2 * band, color="0.5", alpha=0.25, lw=0)
        axes.set(xlim=(-1.6, 5.6), ylim=(-12, 18), xticks=[0, 2, 4], xlabel="noise level σ")
    heights = np.linspace(-12, 18, 400)
    steps_forward = np.sqrt(np.diff(sigmas**2))[:, None] * rng.standard_normal((steps, n))
    forward = 6 + np.vstack([np.zeros(n), steps_forward.cumsum(0)])
    panels[0].plot(sigmas, forward, color=ORANGE, marker="", lw=1)
    panels[0].fill_betweenx(heights, 4, 4 + 13 * bell(heights, 6, 4), color=ORANGE, alpha=0.6)
    panels[0].plot(0, 6, "o", color="black")
    panels[0].set(title="SDE: from 6", ylabel="state x")
    panels[1].plot(sigmas, np.outer(band, [-2, -1, 0, 1]), color=BLUE, marker="", lw=0.8)
    panels[1].plot(sigmas, 2 * band, color=BLUE, marker="", lw=2.5)
    panels[1].plot([0, 4], [6, 10], "o", color="black")
    panels[1].set(title="ODE: 6 and 10")
    back = [np.full(n, 10.0)]
    for sigma, sigma_next in zip(sigmas[:0:-1], sigmas[-2::-1]):
        # the exact draw of the state at a lower level, given the one at a higher: a Gaussian
        gain = (9 + sigma_next**2) / (9 + sigma**2)
        spread = np.sqrt(gain * (sigma**2 - sigma_next**2))
        back.append(gain * back[-1] + spread * rng.standard_normal(n))
    panels[2].plot(sigmas[::-1], np.array(back), color=GREEN, marker="", lw=1)
    panels[2].fill_betweenx(heights, 0, -8 * bell(heights, 3.6, 2.4), color=GREEN, alpha=0.6)
    panels[2].plot(4, 10, "o", color="black")
    panels[2].set(title="reverse SDE: from 10")
    return figure


def velocity():
    """Noise as a velocity: a density, the same a little later, and arrows −½ g² ∇ log p."""
    data = denoisers.Mixture(means=[[-1.2], [1.2]], variances=[0.25, 0.4], weights=[0.45, 0.55])
    x = torch.linspace(-4, 4, 401, dtype=torch.float64)[:, None]
    now, later = (data.log_density(x, torch.tensor(sigma)).exp() for sigma in (0.3, 0.75))
    figure, axes = plt.subplots(figsize=(6.4, 3.1))
    axes.plot(x[:, 0], now, label="density now", lw=2, **INK)
    axes.plot(x[:, 0], later, label="a little later", color=ORANGE, marker="", lw=2)
    at = torch.linspace(-2.8, 2.8, 15, dtype=torch.float64)[:, None]
    arrows = -denoisers.score(data, at, 0.3)[:, 0].numpy() / 6  # a length that fits the picture
    zero = np.zeros(len(at))
    look = dict(color=BLUE, angles="xy", scale_units="xy", scale=1, width=0.006, headwidth=4)
    axes.quiver(at[:, 0], zero - 0.06, arrows, zero, **look)
    axes.plot(at[:, 0], zero - 0.06, ".", color=BLUE, ms=4)
    axes.set(xlim=(-4, 4), ylim=(-0.11, 0.4), yticks=[0, 0.2, 0.4], xlabel="state x")
    axes.set(ylabel="density", title="noise as a velocity")
    axes.text(-3.95, -0.03, "velocity", color=BLUE, fontsize=9)
    axes.legend(fontsize=8)
    return figure


def drifts():
    """Paths of the noising process through one point, their mean on both sides, and the ODE."""
    rng, at, level, n, steps = np.random.default_rng(8), 2.2, 1.5, 18, 120
    times = np.linspace(0, level, steps + 1)  # of σ, on the clock σ²
    ahead = np.linspace(level, 2.7, steps + 1)
    figure, axes = plt.subplots(figsize=(6.4, 3.6))
    starts = data_behind(at, level, n, rng)
    share = times**2 / level**2
    wiener = np.vstack(
        [
            np.zeros(n),
            (np.sqrt(np.diff(share))[:, None] * rng.standard_normal((steps, n))).cumsum(0),
        ]
    )
    bridge = wiener - share[:, None] * wiener[-1]  # back to 0 at the end
    before = starts + share[:, None] * (at - starts) + level * bridge
    moves = np.sqrt(np.diff(ahead**2))[:, None] * rng.standard_normal((steps, n))
    after = at + np.vstack([np.zeros(n), moves.cumsum(0)])
    axes.plot(times, before, color="0.6", marker="", lw=0.5)
    axes.plot(ahead, after, color="0.6", marker="", lw=0.5)
    weights, means, _ = posterior(at, level)
    start = weights @ means  # the mean of the paths back to the data, exactly
    axes.plot(times, start + share * (at - start), color=GREEN, marker="", lw=3, label="mean, back")
    axes.plot(ahead, 0 * ahead + at, color=ORANGE, marker="", lw=3, label="mean, ahead")
    down, up = torch.linspace(level, 0.02, 300), torch.linspace(level, 2.7, 100)
    axes.plot(down, flow([at], down)[:, 0], color=BLUE, marker="", lw=2.5, label="ODE")
    axes.plot(up, flow([at], up)[:, 0], color=BLUE, marker="", lw=2.5)
    axes.plot(level, at, "o", color="black", ms=7, zorder=6)
    axes.set(xlim=(0, 2.7), ylim=(-2.2, 5.2), xlabel="noise level σ", ylabel="state x")
    axes.set(title="paths through one point")
    axes.legend(fontsize=8, loc="upper left")
    return figure


def particles():
    """The still of the live figure: the reverse SDE's paths, and where they end."""
    generator = torch.Generator().manual_seed(11)
    times = torch.linspace(1, 0, 321, dtype=torch.float64)
    x = torch.randn(1000, 1, dtype=torch.float64, generator=generator)
    x[:8, 0] = torch.linspace(-1.9, 1.9, 8)
    states = [x]
    for t, t_next in zip(times[:-1], times[1:]):
        s, g, h = PROCESS.s(t), PROCESS.g(t), t - t_next
        z = torch.randn(x.shape, dtype=x.dtype, generator=generator)
        pull = g**2 * score(x / s, PROCESS.sigma(t)) / s
        x = x - h * (PROCESS.f(t) * x - pull) + g * h.sqrt() * z
        states.append(x)
    states = torch.stack(states)[..., 0]
    heights = torch.linspace(-3.2, 3.2, 241, dtype=torch.float64)[:, None]
    columns = times[::4].flip(0)
    shade = torch.cat(
        [density(heights / PROCESS.s(t), [PROCESS.sigma(t)]) / PROCESS.s(t) for t in columns], 1
    )
    figure, (left, right) = plt.subplots(1, 2, figsize=(7.2, 3.5), sharey=True, width_ratios=(2, 1))
    left.pcolormesh(columns, heights[:, 0], shade**0.5, cmap=plots.SHADE, vmax=1.4)
    left.plot(times, states[:, :8], color=BLUE, marker="", lw=1)
    left.plot([0] * 8, states[-1, :8], color=ORANGE, ls="", clip_on=False)
    left.set(xlim=(0, 1), ylim=(-3.2, 3.2), xticks=[0, 0.5, 1], ylabel="state x")
    left.set(xlabel="time t", title="paths over the density")
    left.set_xticklabels(["0, data", "½", "1"])
    bins = torch.linspace(-3.2, 3.2, 49).numpy()
    look = dict(color=ORANGE, alpha=0.75, rwidth=0.9, orientation="horizontal")
    right.hist(states[-1].numpy(), bins, density=True, label="1000 particles", **look)
    right.plot(shade[:, 0], heights[:, 0], label="exact density", **INK)
    right.set(title="particles at t = 0", xlabel="density")
    right.legend(fontsize=8)
    return figure


if __name__ == "__main__":
    plots.style()
    pictures = {
        "03-crossing": crossing,
        "03-gaussian": gaussian,
        "03-velocity": velocity,
        "03-drifts": drifts,
        "03-live": particles,
    }
    for name, draw in pictures.items():
        plots.save(draw(), HERE / f"{name}.svg")
