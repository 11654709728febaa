"""Makes the pictures of chapter 04: python book/_images/04_denoising_is_score.py (a few seconds,
seeded).
"""

from pathlib import Path

import matplotlib.pyplot as plt
import torch
from matplotlib.patches import Ellipse

from fewstep import data, denoisers, grids, plots, preconditioning, solvers, toys

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


def two_points(sigma=0.7, at=0.3):
    """Two points on the line: the hills whose heights are the weights; and the mean of the clean
    points among samples, which is the denoiser.
    """
    blue, orange, green, red = plots.COLOURS[:4]
    points = torch.tensor([[-1.0], [1.0]], dtype=torch.float64)
    D = denoisers.DataSet(points)
    line = torch.linspace(-3, 3, 301, dtype=torch.float64)
    hills = torch.exp(-((line[:, None] - points.T) ** 2) / (2 * sigma**2)) / 2
    figure, (left, right) = plt.subplots(1, 2, figsize=(7.2, 3.3))
    for hill, side in zip(hills.T, ("−1", "+1")):
        left.plot(line, hill, color=orange, lw=1.2, marker="")
        left.text(float(side.replace("−", "-")), 0.53, f"noise on {side}", ha="center", fontsize=8)
    left.plot(line, hills.sum(1), color="0.35", ls="--", marker="", lw=1)
    here = torch.exp(-((at - points) ** 2) / (2 * sigma**2)) / 2
    for height, place in zip(here[:, 0].tolist(), (at - 0.05, at + 0.05)):
        left.plot([place] * 2, [0, height], color=orange, lw=5, marker="", solid_capstyle="butt")
    shares = (here / here.sum())[:, 0].tolist()
    for share, height, shift in zip(shares, here[:, 0].tolist(), (-0.13, 0.13)):
        look = dict(ha="right" if shift < 0 else "left", va="top", fontsize=8)
        left.text(at + shift, height, f"{share:.2f}", **look)
    answer = float(D(torch.tensor([[at]]), sigma))
    left.plot(points[:, 0], [-0.04, -0.04], color=orange, marker="o", ls="", clip_on=False)
    left.annotate(
        "",
        (answer, -0.11),
        (at, -0.11),
        arrowprops=dict(arrowstyle="-|>", color="black", shrinkB=0),
    )
    left.plot(at, -0.11, color=blue, marker="o", ls="")
    left.text(at - 0.1, -0.115, "x", color=blue, ha="right", va="center")
    left.text(answer + 0.06, -0.115, "D", color=green, va="center")
    left.set(title=f"weights at x = {at}, σ = {sigma}", xlabel="x", ylim=(-0.17, 0.62))
    left.set(ylabel="height", yticks=[0, 0.25, 0.5], xlim=(-2.4, 2.4))
    generator = torch.Generator().manual_seed(0)
    x0 = D.sample(6000, generator)
    x = x0 + sigma * torch.randn(x0.shape, generator=generator, dtype=x0.dtype)
    jitter = 0.04 * torch.randn(x0.shape, generator=generator)
    shown = slice(500)
    look = dict(color=orange, alpha=0.35, ms=3, marker="o", ls="")
    right.plot(x[shown], (x0 + jitter)[shown], **look)
    edges = torch.linspace(-2.4, 2.4, 13)
    means = [x0[(x > a) & (x <= b)].mean() for a, b in zip(edges, edges[1:])]
    right.plot(line, line, color="0.6", lw=1, marker="", label="D = x")
    curve = torch.tanh(line / sigma**2)
    right.plot(line, curve, color=green, lw=2, marker="", label="D = tanh(x/σ²)")
    right.plot(
        (edges[1:] + edges[:-1]) / 2, means, color=red, ls="", marker="D", label="mean of $x_0$"
    )
    right.set(title="pairs of x and $x_0$, and their means", xlabel="x", ylabel="$x_0$, D")
    right.set(xlim=(-3, 3), ylim=(-1.6, 1.6), yticks=[-1, 0, 1])
    right.legend(loc="upper left", fontsize=8)
    return figure


def undecided(sigma=0.4):
    """The posterior's standard deviation, as ellipses about the denoiser's answers."""
    points = toys.moons(300, seed=4).double()
    D = denoisers.DataSet(points)
    x = torch.tensor(
        [(-1.4, 1.3), (0.0, 1.6), (1.5, 1.0), (0.1, 0.1), (-1.5, -0.6), (0.6, -1.4)],
        dtype=torch.float64,
    )
    figure, panel = plt.subplots(figsize=(5.0, 3.9))
    panel.scatter(*points.T, s=4, color=plots.COLOURS[1], marker="o")
    answers = D(x, sigma)
    for state, answer in zip(x, answers):
        weights = torch.softmax(-((points - state) ** 2).sum(1) / (2 * sigma**2), 0)
        variances, axes = torch.linalg.eigh(torch.cov(points.T, correction=0, aweights=weights))
        width, height = (2 * variances.clamp(min=0).sqrt()).tolist()
        angle = torch.rad2deg(torch.atan2(axes[1, 0], axes[0, 0])).item()
        look = dict(facecolor=plots.COLOURS[5], alpha=0.45, edgecolor=plots.COLOURS[0], zorder=2)
        panel.add_patch(Ellipse(answer.tolist(), width, height, angle=angle, **look))
        arrow = dict(arrowstyle="-|>", color="black", lw=1.2, shrinkA=3, shrinkB=0)
        panel.annotate("", answer.tolist(), state.tolist(), arrowprops=arrow, zorder=4)
    panel.scatter(*x.T, s=26, color=plots.COLOURS[0], marker="o", zorder=3)
    panel.set(title=f"what is undecided at σ = {sigma}", aspect="equal")
    panel.set(xlabel="first coordinate", ylabel="second coordinate")
    panel.set(xlim=(-2.1, 2.1), ylim=(-1.75, 1.9))
    return figure


def two_losses(sigma=0.5):
    """Targets scattered about the score; and the two losses of a model with one parameter."""
    blue, orange, green = plots.COLOURS[:3]
    means = torch.tensor([[-1.0], [1.0]])
    D = denoisers.Mixture(means, torch.tensor([0.05, 0.2]), torch.tensor([0.6, 0.4]))
    generator = torch.Generator().manual_seed(1)
    x0 = D.sample(700, generator)
    x = x0 + sigma * torch.randn(x0.shape, generator=generator, dtype=x0.dtype)
    target = (x0 - x) / sigma**2
    figure, (left, right) = plt.subplots(1, 2, figsize=(7.2, 3.2))
    left.plot(x, target, color=orange, ls="", marker="o", ms=2, alpha=0.35)
    line = torch.linspace(-2.6, 2.8, 200, dtype=torch.float64)[:, None]
    left.plot(line, denoisers.score(D, line, sigma), color=green, lw=2.5, marker="", label="score")
    left.plot([], [], color=orange, ls="", marker="o", label=r"targets $-\varepsilon/\sigma$")
    left.set(title=f"what the network is shown, σ = {sigma}", xlabel="x", ylim=(-6, 6))
    left.legend(loc="upper right", fontsize=8)
    # exactly, by the trapezoidal rule over x: E of the targets' square is d/σ²
    x = torch.linspace(-7, 7, 3001, dtype=torch.float64)[:, None]
    p = D.log_density(x, sigma).exp()[:, None] * (x[1] - x[0])
    true, v = denoisers.score(D, x, sigma), torch.linspace(0.5, 4, 80)
    explicit = torch.stack([0.5 * (p * (-x / k - true) ** 2).sum() for k in v])
    constant = 0.5 * (1 / sigma**2 - (p * true**2).sum())
    right.plot(v, explicit + constant, color=blue, marker="", label="$J_{DSM}$: with the targets")
    right.plot(v, explicit, color=green, marker="", label="$J_{SM}$: with the score")
    lowest = int(explicit.argmin())
    right.plot([v[lowest]] * 2, [0, 3], color="0.5", lw=1, marker="", zorder=0)
    at = int((v - 2.9).abs().argmin())
    low, high = explicit[at].item(), (explicit[at] + constant).item()
    arrow = dict(arrowstyle="<->", color="black", lw=1, shrinkA=0, shrinkB=0)
    right.annotate("", (v[at], low), (v[at], high), arrowprops=arrow)
    right.text(v[at] + 0.08, (low + high) / 2, "C", va="center")
    right.set(title="two losses, one minimum", xlabel="parameter k of the model S(x) = −x/k")
    right.set(ylim=(0, 3), ylabel="loss")
    right.legend(loc="upper right", fontsize=8)
    return figure


def rotation(phi=0.6):
    """v as the second coordinate of a rotated frame; the weights of four plain losses."""
    blue, orange, green = plots.COLOURS[:3]
    figure, (left, right) = plt.subplots(1, 2, figsize=(7.2, 3.4), width_ratios=(1, 1.15))
    angle = torch.tensor(phi)
    arrow = dict(arrowstyle="-|>", lw=1.6)
    frames = {
        "$x_0$": ((1.0, 0.0), "0.4"),
        "ε": ((0.0, 1.0), "0.4"),
        "$x_t$": ((angle.cos().item(), angle.sin().item()), blue),
        "v": ((-angle.sin().item(), angle.cos().item()), green),
    }
    for name, ((a, b), colour) in frames.items():
        left.annotate("", (a, b), (0, 0), arrowprops=arrow | {"color": colour})
        left.text(1.13 * a, 1.13 * b, name, color=colour, ha="center", va="center", fontsize=11)
    turn = torch.linspace(0, phi, 30)
    left.plot(0.4 * turn.cos(), 0.4 * turn.sin(), color="0.4", lw=1, marker="")
    left.text(0.47, 0.15, "φ", color="0.4", va="center")
    way = torch.linspace(0, torch.pi / 2, 60)
    left.plot(way.cos(), way.sin(), color="0.7", lw=1, ls=":", marker="")
    left.set(title="x$_t$ and v: a rotated frame", aspect="equal", xlim=(-0.75, 1.3))
    left.set(ylim=(-0.15, 1.3))
    left.axis("off")
    sigma = torch.logspace(-2, 2, 81, dtype=torch.float64)
    weights = {
        "$x_0$": (sigma**0, "-", "0.4"),
        "ε": (sigma**-2, "-", orange),
        "v": (1 + sigma**-2, "--", green),
        "score": (sigma**-4, "-", plots.COLOURS[4]),
        "EDM, $σ_{data} = 0.5$": (preconditioning.edm(0.5).weight(sigma), ":", "black"),
    }
    for name, (weight, dashes, colour) in weights.items():
        right.loglog(sigma, weight, dashes, color=colour, marker="", lw=2, label=name)
    right.set(title="weight λ(σ) of the plain loss of", xlabel="noise level σ", ylim=(1e-4, 1e8))
    right.legend(fontsize=8)
    return figure


def memory():
    """How many of 1,500 digits share in the ideal denoiser's answer, and what it does to digits
    that are not among them.
    """
    blue, orange, green = plots.COLOURS[:3]
    digits, others = data.digits().split(1500)
    y, new = (part.float().flatten(1).double() for part in (digits, others))
    ideal, levels = denoisers.DataSet(y), torch.logspace(-1.3, 1.0, 24).tolist()
    linear = denoisers.Gaussian(y.mean(0), torch.cov(y.T))

    def noisy(x0, sigma):
        generator = torch.Generator().manual_seed(2)
        return x0 + sigma * torch.randn(x0.shape, generator=generator, dtype=x0.dtype)

    shares, rows = [], []
    for sigma in levels:
        x = noisy(y[:300], sigma)
        log_w = torch.log_softmax(-(torch.cdist(x, y) ** 2) / (2 * sigma**2), 1)
        shares.append((-(log_w.exp() * log_w).sum(1)).exp().median())
        pairs = [(ideal, new), (linear, new), (ideal, y[:300])]
        rows.append([(D(noisy(c, sigma), sigma) - c).square().mean() for D, c in pairs])
    figure, (left, right) = plt.subplots(1, 2, figsize=(7.2, 3.3))
    apart = (torch.cdist(y, y) + 1e9 * torch.eye(len(y))).min(1).values.median()
    left.loglog(levels, shares, color=blue, ms=3)
    left.axhline(len(y), color="0.5", ls="--", lw=1)
    left.text(0.055, 1.15 * len(y), "all 1,500", fontsize=8)
    left.axvline(apart, color="0.5", lw=1)
    left.text(apart * 1.08, 1.3, "neighbours'\ndistance", fontsize=8)
    left.set(title="digits that share in D", xlabel="noise level σ", ylim=(0.8, 4000))
    left.set(ylabel="effective number (median)")
    on_new, linear_on_new, on_old = torch.tensor(rows).T
    right.loglog(levels, on_new, color=blue, ms=3, label="ideal, new digits")
    right.loglog(levels, linear_on_new, color=green, ms=3, label="best linear, new digits")
    right.loglog(levels, on_old.clamp(min=1e-9), color=orange, ms=3, label="ideal, its own digits")
    grey = dict(color="0.5", ls="--", lw=1, marker="")
    right.loglog(levels, torch.tensor(levels) ** 2, **grey, label="no denoising: σ²")
    right.set(title="error per pixel", xlabel="noise level σ", ylim=(1e-3, 1))
    right.legend(fontsize=8, loc="lower right")
    return figure


def basins():
    """Which of nine points a path of the ODE ends on, by where it starts, for three starting
    levels.
    """
    points = torch.randn(9, 2, generator=torch.Generator().manual_seed(11))
    D = denoisers.DataSet(points)
    figure, axes = plt.subplots(1, 3, figsize=(7.2, 3.0), sharey=True)
    n = 160
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
    drawn = {
        "04-arrows": arrows,
        "04-two-points": two_points,
        "04-undecided": undecided,
        "04-two-losses": two_losses,
        "04-rotation": rotation,
        "04-memory": memory,
        "04-basins": basins,
        "04-live": one_answer,
    }
    for name, draw in drawn.items():
        plots.save(draw(), HERE / f"{name}.svg")
