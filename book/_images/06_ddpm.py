"""Makes the pictures of chapter 06: python book/_images/06_ddpm.py (some seconds, seeded)."""

from math import log, sqrt
from pathlib import Path

import matplotlib.pyplot as plt
import torch
from numpy import interp
from scipy.stats import norm

from fewstep import data, denoisers, networks, plots, pretrained, results, schedules

HERE = Path(__file__).parent
BLUE, ORANGE, GREEN, RED = plots.COLOURS[:4]
CHAINS = {
    "linear": schedules.linear(1000),
    "cosine": schedules.cosine(1000),
    "sigmoid β": schedules.sigmoid_beta(1000),
}
SERIES = dict(zip(CHAINS, (BLUE, ORANGE, GREEN)))


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def two_points(x, sigma, share, power):
    """The best guess of ±1, +1 with this share, where errors count to this power."""
    logit = 2 * x / sigma**2 + log(share / (1 - share))
    return torch.tanh(logit / (2 * (power - 1))) if power > 1 else torch.sign(logit)


def paths(share, power, starts, sigma_max=20.0, steps=401):
    """The probability-flow ODE with that guess, from quantiles of the noise."""
    sigmas = torch.logspace(log(sigma_max), log(0.01), steps, base=torch.e, dtype=torch.float64)
    probabilities = (torch.arange(starts, dtype=torch.float64) + 0.5) / starts
    x = torch.tensor(norm.ppf(probabilities)) * sigma_max
    states = [x]
    for now, then in zip(sigmas, sigmas[1:]):
        D = two_points(x, now, share, power)
        x = D + then / now * (x - D)
        states.append(x)
    return sigmas, torch.stack(states)


def two_errors(share=0.7, sigma_max=20.0):
    """Paths from noise to two points, with the mean and with the median as the denoiser."""
    figure, axes = plt.subplots(1, 2, figsize=(7.2, 3.2), sharey=True)
    names = ("squared error: the mean", "absolute error: the median")
    for panel, power, name in zip(axes, (2, 1), names):
        sigmas, x = paths(share, power, 40, sigma_max)
        for path in x.T:
            colour = BLUE if path[-1] > 0 else RED
            panel.plot(
                sigmas[::8], (path / (1 + sigmas**2).sqrt())[::8], color=colour, marker="", lw=0.8
            )
        up = (x[-1] > 0).double().mean()
        for y, of, colour in ((1, up, BLUE), (-1, 1 - up, RED)):
            panel.text(0.0085, y, f"{of:.0%}", ha="left", va="center", color=colour)
        panel.set(xscale="log", xlim=(sigma_max, 0.01), title=name)
        panel.set(xlabel="noise level σ (falls)", ylim=(-2.4, 2.4))
    axes[0].set_ylabel(r"state $x/\sqrt{1+\sigma^2}$")
    return figure


def one_pixel():
    """Where the pixel was one step ago: what x₀ says, what x₂ says, and both."""
    y = torch.linspace(-2.2, 2.6, 400, dtype=torch.float64)
    chain = schedules.Chain(torch.tensor([0.36, 0.36]))
    x2 = torch.tensor([[0.3]], dtype=torch.float64)

    def back(x0):
        mean, variance = chain.posterior(x2, torch.full_like(x2, x0), 2)
        return mean.item(), float(variance) ** 0.5

    figure, (left, right) = plt.subplots(1, 2, figsize=(7.2, 3.0), sharey=True)
    left.plot(y, norm.pdf(y, 0.8, 0.6), color=BLUE, marker="", label="from $x_0 = 1$")
    left.plot(y, norm.pdf(y, 0.375, 0.75), color=ORANGE, marker="", label="from $x_2 = 0.3$")
    left.plot(y, norm.pdf(y, *back(1.0)), color="black", marker="", lw=2, label="from both")
    left.set(title="two sources, one answer", ylabel="density of $x_1$")
    for x0, style in ((1.0, "-"), (-1.0, "--")):
        name = f"$x_0 = {x0:.0f}$".replace("-", "−")
        right.plot(y, norm.pdf(y, *back(x0)), color="black", ls=style, marker="", label=name)
    right.plot(y, norm.pdf(y, *back(0.2)), color=RED, marker="", lw=2, label="guess 0.2")
    right.set(title="the model puts in a guess")
    for panel in (left, right):
        panel.set(xlabel="$x_1$", ylim=(0, 1.15))
        panel.legend(fontsize=8, loc="upper left")
    return figure


def weights():
    """How much each step and each decade of σ counts in the bound and in the simple loss."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(7.6, 3.2))
    edges = torch.logspace(-2, 2, 33, dtype=torch.float64)
    middles = (edges[1:] * edges[:-1]).sqrt()
    per_decade = 1 / torch.log10(edges[1] / edges[0])
    for name, chain in CHAINS.items():
        sigma, look = chain.sigmas, dict(color=SERIES[name], marker="")
        of_bound = (sigma[2:] ** 2 / sigma[1:-1] ** 2 - 1) / 2
        left.plot(torch.arange(2, 1001), of_bound, label=name, **look)
        found = torch.histogram(sigma[1:], edges).hist
        right.plot(middles, found / 1000 * per_decade, label=name, **look)
    left.axhline(1e-3, color="0.4", ls="--", marker="")
    left.text(990, 1.15e-3, "the simple loss", ha="right", color="0.4", fontsize=9)
    left.set(yscale="log", ylim=(7e-4, 3), xlabel="step t", ylabel=r"weight of the ε-error")
    left.set_title("in the bound, by step")
    left.legend(fontsize=8, loc="upper center")
    right.axhline(0.25, color="0.4", ls="--", marker="")
    right.text(0.0115, 0.27, "the bound", color="0.4", fontsize=9)
    right.set(xscale="log", xlabel="noise level σ", ylabel="share per decade of σ")
    right.set_title("in the simple loss, by level")
    return figure


def digits_errors(sigmas):
    """Mean squared error of the noise per pixel at each σ: recorded network, best linear guess."""
    x0 = data.digits().float()[:600]
    flat = data.digits().float().flatten(1)
    linear = denoisers.Gaussian(flat.mean(0), torch.cov(flat.T))
    noise = torch.randn(x0.shape, generator=seeded(1))
    network = pretrained.load_denoiser("digits-denoiser", "cpu")
    found = {"network": [], "best linear": []}
    with torch.no_grad():
        for sigma in sigmas.tolist():
            x = x0 + sigma * noise
            for name, D in (
                ("network", network(x, sigma)),
                ("best linear", linear(x.flatten(1), sigma).view_as(x)),
            ):
                found[name].append(float((D - x0).square().mean()) / sigma**2)
    return {name: torch.tensor(values, dtype=torch.float64) for name, values in found.items()}


def levels():
    """One error per level, three loss values."""
    sigmas = torch.logspace(-2.3, 2.3, 60, dtype=torch.float64)
    errors = digits_errors(sigmas)
    figure, (left, right) = plt.subplots(1, 2, figsize=(7.6, 3.2), width_ratios=(1.25, 1))
    for (name, error), style in zip(errors.items(), ("-", "--")):
        left.plot(sigmas, error, color="black", ls=style, marker="", label=name)
    left.set(xscale="log", xlabel="noise level σ", ylabel="e(σ), error of ε per pixel")
    left.set_title("two denoisers of digits")
    left.legend(fontsize=8, loc="upper right")
    for place, (name, chain) in enumerate(CHAINS.items()):
        for shift, (of, error) in zip((-0.2, 0.2), errors.items()):
            at = torch.log(chain.sigmas[1:])
            # e is smooth in ln σ: read off between the 60 levels
            value = interp(at, torch.log(sigmas), error).mean()
            alpha = 1 if of == "network" else 0.45
            right.bar(place + shift, value, 0.38, color=SERIES[name], alpha=alpha)
            right.text(place + shift, value + 0.005, f"{value:.2f}", ha="center", fontsize=8)
            print(name, of, round(value, 4))
    right.set(xticks=range(3), ylabel="simple loss", title="their loss values")
    right.set_xticklabels(CHAINS)
    return figure


def median(x, sigma, points):
    """The coordinatewise median of the posterior over points, exact: x (B, d), points (N, d)."""
    logits = -torch.cdist(x.double(), points.double()).square() / (2 * sigma**2)
    weight = torch.softmax(logits, 1)
    values, order = points.double().sort(dim=0)
    passed = weight[:, order].cumsum(1)  # (B, N, d): probability of at most each value
    place = (passed < 0.5).sum(1)
    return values.gather(0, place.clamp(max=len(points) - 1))


def digits_median():
    """Noisy digits, the exact posterior mean and the exact median of each pixel."""
    x0, levels = data.digits().float(), (0.5, 1.0, 2.0, 8.0)
    points, noise = x0.flatten(1), torch.randn(8, 64, generator=seeded(3))
    D = denoisers.DataSet(points)
    figure, axes = plt.subplots(1, len(levels), figsize=(7.6, 2.0))
    for panel, sigma in zip(axes, levels):
        x = points[:8] + sigma * noise
        rows = [x / (1 + sigma**2) ** 0.5, D(x, sigma), median(x, sigma, points).float()]
        tiled = plots.tile(torch.cat([r[:4] for r in rows]).view(-1, 1, 8, 8), columns=4)[..., 0]
        panel.imshow(tiled, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
        panel.set(xticks=[], yticks=[], title=f"σ = {sigma:g}")
        panel.grid(False)
        panel.spines[:].set_visible(False)
        many = points[:400] + sigma * torch.randn(400, 64, generator=seeded(4))
        print(sigma, float(D(many, sigma).mean()), float(median(many, sigma, points).mean()))
    axes[0].set_yticks([4, 13, 22])
    axes[0].set_yticklabels(["noisy", "mean", "median"])
    axes[0].tick_params(length=0)
    return figure


def unet():
    """The course's U-Net as its modules say: a box a block, skips across."""
    net = networks.UNet(1, 16, (1, 2, 4), blocks=1, attention=(False, False, True))
    figure, panel = plt.subplots(figsize=(7.6, 3.6))
    panel.axis("off")
    size, places, x = 28, [], 0.0

    def box(kind, channels, size, colour):
        nonlocal x
        height = 0.35 + 0.9 * size / 28
        width = 0.16 + 0.010 * channels
        y = -1.35 * (2 - [7, 14, 28].index(size))
        patch = plt.Rectangle((x, y - height / 2), width, height, facecolor=colour, alpha=0.45)
        panel.add_patch(patch)
        edge = plt.Rectangle((x, y - height / 2), width, height, fill=False, ec="0.4", lw=0.8)
        panel.add_patch(edge)
        panel.text(x + width / 2, y, kind, ha="center", va="center", fontsize=8, rotation=90)
        panel.text(
            x + width / 2, y - height / 2 - 0.04, channels, ha="center", va="top", fontsize=8
        )
        places.append((x, x + width, y, height))
        x += width + 0.35

    down = [("conv", net.first.out_channels, 28)]
    for layer in net.down:
        if isinstance(layer, networks.Block):
            down.append(("block", layer.conv1.out_channels, size))
        else:
            size //= 2
            down.append(("½", layer.out_channels, size))
    for kind, channels, s in down:
        box(kind, channels, s, {"conv": "0.7", "block": BLUE, "½": ORANGE}[kind])
    box("block", net.middle.conv1.out_channels, size, BLUE)
    skips, ups = list(range(len(down))), []
    for layer in net.up:
        if isinstance(layer, networks.Block):
            box("block", layer.conv1.out_channels, size, BLUE)
            ups.append(len(places) - 1)
        else:
            size *= 2
            box("×2", layer.out_channels, size, ORANGE)
    box("conv", net.last[-1].out_channels, size, "0.7")
    for to in ups:
        a, b = places[skips.pop()], places[to]
        rise = 0.30 + 0.10 * (b[0] - a[1])
        style = f"arc3,rad={-min(0.35, rise / max(b[0] - a[1], 1e-3)):.3f}"
        arrow = dict(arrowstyle="->", color=GREEN, lw=1, connectionstyle=style)
        start, end = (a[1], a[2] + a[3] / 4), (b[0], b[2] + b[3] / 4)
        panel.annotate("", end, start, arrowprops=arrow)
    for a, b in zip(places, places[1:]):
        arrow = dict(arrowstyle="->", color="0.4", lw=1)
        panel.annotate("", (b[0], b[2]), (a[1], a[2]), arrowprops=arrow)
    for s, y in ((28, 0), (14, -1.35), (7, -2.7)):
        panel.text(-0.25, y, f"{s}×{s}", ha="right", va="center", fontsize=9)
    note = "every block also gets the noise level; blocks of the lowest level end with attention"
    panel.text(x / 2, -3.85, note, ha="center", fontsize=9)
    panel.set(xlim=(-1.0, x), ylim=(-4.05, 1.45))
    print("parameters", sum(p.numel() for p in net.parameters()))
    return figure


def brightness():
    """How much an error of the predicted noise at each level shifts what comes out."""
    sigmas = torch.logspace(-2, 2.5, 200, dtype=torch.float64)
    digits = float(data.digits().float().mean((1, 2, 3)).std()) * 8
    cases = (("digits", digits, BLUE), ("28×28", 28 / 4, GREEN), ("3×64×64", sqrt(12288) / 4, RED))
    figure, (left, right) = plt.subplots(1, 2, figsize=(7.6, 3.1))
    for name, spread, colour in cases:
        share = sigmas**2 / (spread**2 + sigmas**2)
        left.plot(sigmas, share.sqrt(), color=colour, ls="--", marker="", lw=1)
        hill = 2 * share * spread / sigmas
        left.plot(sigmas, hill, color=colour, marker="", label=name)
        right.axvline(spread, color=colour, ls=":", marker="")
    left.set(xscale="log", xlabel="noise level σ", ylabel="weight per unit of ln σ")
    left.set(title="a wrong ε, by its level", ylim=(0, 1.35))
    left.legend(fontsize=8, loc="upper left", ncols=3)
    for name, chain in CHAINS.items():
        above = torch.arange(1, 1001) / 1000
        right.plot(chain.sigmas[1:].flip(0), above, color=SERIES[name], marker="", label=name)
    right.set(xscale="log", xlim=(1e-2, 10**2.5), xlabel="noise level σ")
    right.set(ylabel="share of steps above σ", title="what training sees")
    right.legend(fontsize=8, loc="lower left")
    return figure


def ancestral(share=0.7, samples=20_000):
    """The rarer point's share among samples of DDPM's sampler with the exact median, printed."""
    for name in ("linear", "cosine"):
        chain, generator = CHAINS[name], seeded()
        x = torch.randn(samples, 1, generator=generator, dtype=torch.float64)
        for t in range(chain.T, 0, -1):
            D = two_points(x / chain.alpha_bars[t] ** 0.5, chain.sigmas[t], share, 1)
            mean, variance = chain.posterior(x, D, t)
            x = mean + variance**0.5 * torch.randn(x.shape, generator=generator)
        print("ancestral", name, float((x < 0).double().mean()))


def grid(rows):
    """The recorded six cells: distances by two samplers, and brightness, a mark a seed."""
    cells, real = [row for row in rows if row["schedule"]], rows[-1]
    figure, (left, right) = plt.subplots(1, 2, figsize=(7.6, 3.3), sharey=True)
    for panel, of in ((left, "FD-C"), (right, "brightness")):
        for sampler, marker, shift in (("", "o", -0.12), (", Heun", "s", 0.12)):
            for place, row in enumerate(cells):
                colour = dict(zip(("linear", "cosine", "sigmoid"), SERIES.values()))
                look = dict(color=colour[row["schedule"]], ls="", marker=marker)
                values = row[of + sampler]
                panel.plot(values, [place + shift] * len(values), alpha=0.8, **look)
        panel.axvline(real[of], color="0.4", ls="--", marker="")
    left.set(title="distance from real pictures", xlabel="FD-C", xlim=(0, None))
    left.set(yticks=range(len(cells)), ylim=(len(cells) - 0.5, -0.5))
    left.set_yticklabels([f"{row['error']}, {row['schedule']}" for row in cells])
    right.set(title="brightness", xlabel="mean pixel")
    return figure


def live():
    """The live figure's first picture: paths for the power 1.3."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(7.2, 3.2), width_ratios=(1, 1.5))
    x = torch.linspace(-2, 2, 400, dtype=torch.float64)
    for power, colour in ((2, "0.6"), (1.3, BLUE)):
        left.plot(
            x, two_points(x, 1.0, 0.7, power), color=colour, marker="", label=f"power {power}"
        )
    left.set(title="best guess at σ = 1", xlabel="state x", ylabel="guess")
    left.legend(fontsize=8)
    sigmas, states = paths(0.7, 1.3, 40)
    for path in states.T:
        colour = BLUE if path[-1] > 0 else RED
        right.plot(
            sigmas[::8], (path / (1 + sigmas**2).sqrt())[::8], color=colour, marker="", lw=0.8
        )
    right.set(xscale="log", xlim=(20, 0.01), xlabel="noise level σ (falls)", title="paths")
    return figure


if __name__ == "__main__":
    plots.style()
    torch.set_num_threads(1)
    ancestral()
    for name, draw in {
        "06-two-errors": two_errors,
        "06-one-pixel": one_pixel,
        "06-weights": weights,
        "06-levels": levels,
        "06-digits-median": digits_median,
        "06-unet": unet,
        "06-brightness": brightness,
        "06-live": live,
    }.items():
        plots.save(draw(), HERE / f"{name}.svg")
    if (results.folder() / "ddpm-grid.json").exists():
        plots.save(grid(results.read("ddpm-grid")["rows"]), HERE / "06-grid.svg")
