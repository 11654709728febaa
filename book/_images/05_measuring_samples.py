"""Makes the pictures of chapter 05: python book/_images/05_measuring_samples.py (some seconds,
seeded). Three of them are drawn from recorded runs.
"""

from pathlib import Path

import matplotlib.pyplot as plt
import torch
from matplotlib.patches import Circle, Ellipse
from torch.nn import functional as F

from fewstep import classifiers, data, grids, metrics, plots, pretrained, results, solvers

HERE = Path(__file__).parent
BLUE, ORANGE, GREEN, RED = plots.COLOURS[:4]


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def two_judges():
    """Samples of two methods, and what the recorded judges say of them."""
    D, digits = pretrained.load_denoiser("digits-denoiser", "cpu"), data.digits()
    noise = torch.randn(9, *digits.shape, generator=seeded(100))
    methods = {"Euler": (solvers.euler, 5), "Heun": (solvers.heun, 3)}
    rows = {"real": digits.float()[:9]}
    for name, (step, n) in methods.items():
        rows[name] = solvers.sample(D, 80 * noise, grids.edm(n), step).x
    figure, (left, right) = plt.subplots(1, 2, figsize=(7.2, 2.9), width_ratios=(1.75, 1))
    tiled = plots.tile(torch.cat(list(rows.values())), columns=9)[..., 0]
    left.imshow(tiled, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    left.set(xticks=[], yticks=[4 + 9 * i for i in range(3)], title="digits")
    left.set_yticklabels(rows)
    left.tick_params(length=0)
    left.grid(False)
    left.spines[:].set_visible(False)
    for row in results.read("measuring-samples")["rows"]:
        if row["calls"] == 5:
            ends = torch.tensor([row["Euler"], row["Heun"]])
            colour = BLUE if ends[0].mean() < ends[1].mean() else ORANGE
            right.errorbar([0, 1], ends.mean(1), ends.std(1), color=colour, capsize=2, marker="o")
    right.set(xticks=[0, 1], xlim=(-0.25, 1.25), ylim=(0, None))
    right.set(ylabel="distance to real digits", title="eight judges")
    right.set_xticklabels(["Euler", "Heun"])
    return figure


def root(matrix, power=0.5):
    values, vectors = torch.linalg.eigh(matrix)
    return vectors @ torch.diag(values**power) @ vectors.T


def ellipse(axes, centre, matrix, colour):
    values, vectors = torch.linalg.eigh(matrix)
    angle = torch.rad2deg(torch.atan2(vectors[1, 1], vectors[0, 1])).item()
    width, height = (2 * values.flip(0).sqrt()).tolist()
    look = dict(angle=angle, fill=False, edgecolor=colour, lw=2, zorder=3)
    axes.add_patch(Ellipse(centre, width, height, **look))


def transport():
    """Two ways to carry one Gaussian to another."""
    first = torch.tensor([[1.0, 0.45], [0.45, 0.6]], dtype=torch.float64)
    second = torch.tensor([[0.4, -0.3], [-0.3, 0.7]], dtype=torch.float64)
    shift = torch.tensor([3.6, 0.6], dtype=torch.float64)
    x = torch.randn(40, 2, generator=seeded(1), dtype=torch.float64) @ root(first)
    half = root(first)
    straight = root(first, -0.5) @ root(half @ second @ half) @ root(first, -0.5)
    turn = torch.tensor([[0.0, -1.0], [1.0, 0.0]], dtype=torch.float64)
    turned = straight @ half @ turn @ root(first, -0.5)
    figure, axes = plt.subplots(1, 2, figsize=(7.2, 2.8), sharey=True)
    for panel, B, name in zip(axes, (straight, turned), ("the cheapest pairing", "another one")):
        assert (B @ first @ B.T - second).abs().max() < 1e-12
        y = x @ B.T + shift
        for a, b in zip(x, y):
            panel.annotate("", b, a, arrowprops=dict(arrowstyle="->", color="0.6", lw=0.7))
        panel.plot(*x.T, color=BLUE, ls="", ms=3)
        panel.plot(*y.T, color=RED, ls="", ms=3, marker="s")
        ellipse(panel, (0, 0), first, BLUE)
        ellipse(panel, shift.tolist(), second, RED)
        cost = shift.square().sum() + (first + second).trace() - 2 * (B @ first).trace()
        panel.set(title=f"{name}: {cost:.2f}", aspect="equal")
        panel.set(xlim=(-2.9, 5.9), ylim=(-2.7, 2.7), xlabel="first feature")
        panel.grid(False)
    axes[0].set_ylabel("second feature")
    return figure


def gamma(r):
    return float((r[:, None] * r / (r[:, None] + r)).sum() / 2 + r.sum() / 4)


def bias(d=16, repeats=200):
    """The distance against 1/n, for Gaussian features and for real digits against real ones."""
    scales = torch.linspace(0.5, 1.5, d, dtype=torch.float64)
    truth = float(d * 0.01 + (0.1 * scales).square().sum())
    slope = float(scales.square().sum() * 1.81) + 2 * gamma(0.9 * scales**2)
    g, sizes, means, spreads = seeded(), torch.tensor([50, 75, 100, 150, 250, 500, 1000]), [], []
    for n in sizes.tolist():
        sets = torch.randn(repeats, 2, n, d, generator=g, dtype=torch.float64) * scales
        found = [metrics.fd(x, 0.9 * y + 0.1, None) for x, y in sets]
        means.append(torch.tensor(found).mean())
        spreads.append(torch.tensor(found).std())
    figure, (left, right) = plt.subplots(1, 2, figsize=(7.2, 3.1))
    left.errorbar(1 / sizes, means, spreads, ls="", capsize=2, color=ORANGE, label="measured")
    line = torch.linspace(0, 1 / 50, 50)
    left.plot(line, truth + slope * line, marker="", color=BLUE, label="first order")
    left.plot(0, truth, "^", color=GREEN, ms=8, clip_on=False, label="truth")
    left.set(title=f"{d} Gaussian features", ylabel="distance")

    pool = metrics.features(data.digits(), classifiers.load_classifier("digits"))
    x = pool.double() - pool.double().mean(0)
    r, vectors = torch.linalg.eigh(torch.cov(x.T))
    keep = r > 1e-9 * r.max()
    r, z = r[keep], x @ vectors[:, keep] * r[keep].sqrt()
    theorem = 2 * (float(r.sum()) + gamma(r))
    fourth = z.square().T @ z.square() / len(z) - torch.diag(r**2) ** 2
    corrected = 2 * float(r.sum() + (fourth / (r[:, None] * r * (r[:, None] + r))).sum() / 2)
    sizes = torch.tensor([100, 150, 200, 300, 500, 898])
    floors = torch.tensor([metrics.floor(pool, n, seeds=20) for n in sizes.tolist()])
    right.errorbar(1 / sizes, *floors.T, ls="", capsize=2, color=ORANGE, label="measured")
    line = torch.linspace(0, 1 / 100, 50)
    right.plot(line, theorem * line, marker="", color=BLUE, label="first order, Gaussian")
    right.plot(line, corrected * line, marker="", color="0.4", ls="--", label="fourth moments")
    right.set(title="real digits against real ones")
    for panel in (left, right):
        panel.set(xlabel="1/n", xlim=(0, None), ylim=(0, None))
        panel.legend(fontsize=8)
    return figure


def balls(k=3):
    """Two sets in the plane; balls about either."""
    g = seeded(3)
    centres = torch.tensor([[-1.0, 0.0], [0.6, 0.9], [0.8, -0.9]])
    real = centres[torch.arange(33) % 3] + 0.24 * torch.randn(33, 2, generator=g)
    made = centres[torch.arange(32) % 2] + 0.22 * torch.randn(32, 2, generator=g)
    figure, axes = plt.subplots(1, 2, figsize=(7.2, 3.3), sharey=True)
    shares = metrics.precision_recall(made, real, None)
    names = ("precision", "recall")
    for panel, of, colour, name, share in zip(axes, (real, made), (BLUE, ORANGE), names, shares):
        for centre, radius in zip(of, torch.cdist(of, of).kthvalue(k + 1).values):
            circle = Circle(centre.tolist(), radius.item(), color=colour, alpha=0.13, lw=0)
            panel.add_patch(circle)
        panel.plot(*real.T, color=BLUE, ls="", ms=4, label="real")
        panel.plot(*made.T, color=ORANGE, ls="", ms=4, marker="s", label="samples")
        panel.set(title=f"{name} {share:.2f}", aspect="equal", xlabel="first feature")
        panel.set(xlim=(-2, 1.9), ylim=(-1.8, 1.8))
        panel.grid(False)
    axes[0].set_ylabel("second feature")
    axes[0].legend(fontsize=8, loc="lower left")
    return figure


def sees():
    """How far each measure moves when a set is spoiled in one way, in units of its own spread."""
    rows = results.read("measuring-samples-seen")["rows"]
    x, labels = data.digits().float(), data.digits().labels
    soft = (x + F.avg_pool2d(F.pad(x, (1, 1, 1, 1), mode="replicate"), 3, 1)) / 2
    noisy = (x + 0.3 * torch.randn(x.shape, generator=seeded())).clamp(-1, 1)
    shown = [x[:6], soft[:6], x[labels != 3][:6], x[:3].repeat(2, 1, 1, 1), noisy[:6], 0.7 * x[:6]]
    measures = [name for name in rows[0] if name != "set"]
    floor = torch.tensor([rows[0][name] for name in measures])
    figure, (left, right) = plt.subplots(1, 2, figsize=(8.6, 3.2), width_ratios=(1, 1.45))
    tiled = plots.tile(torch.cat(shown), columns=6)[..., 0]
    left.imshow(tiled, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    left.set(xticks=[], yticks=[4 + 9 * i for i in range(6)])
    left.set_yticklabels([row["set"] for row in rows])
    left.tick_params(length=0)
    right.set(xlim=(0, len(measures)), ylim=(6, 0), xticks=[], yticks=[])
    for j, name in enumerate(measures):
        right.text(j + 0.5, -0.15, name.replace(" ", "\n"), ha="center", va="bottom")
        for i, row in enumerate(rows):
            values = torch.tensor(row[name])
            moved = float((values.mean() - floor[j].mean()) / floor[j].std())
            text = f"{moved:+.0f}" if i else f"{floor[j].mean():.2g}"
            text = "0" if text in ("+0", "-0") else text.replace("-", "−")
            seen = i > 0 and abs(moved) > 4
            if seen:
                colour = RED if moved > 0 else BLUE
                box = plt.Rectangle(
                    (j + 0.04, i + 0.06), 0.92, 0.88, color=colour, alpha=0.25, lw=0
                )
                right.add_patch(box)
            weight = "bold" if seen else "normal"
            right.text(j + 0.5, i + 0.5, text, ha="center", va="center", weight=weight)
    for panel in (left, right):
        panel.grid(False)
        panel.spines[:].set_visible(False)
    return figure


def duels():
    """Differences between two samplers, pair by pair, as each recorded judge sees them."""
    rows = results.read("measuring-samples")["rows"]
    pairs = [("Euler", "Heun", 5), ("2M", "2M, DDPM's grid", 9)]
    titles = ["Euler − Heun, 5 calls", "2M, EDM's − DDPM's grid, 9 calls"]
    figure, axes = plt.subplots(1, 2, figsize=(7.2, 3.1), sharey=True)
    for panel, (first, second, calls), title in zip(axes, pairs, titles):
        judges = [row for row in rows if row["calls"] == calls]
        for place, row in enumerate(judges):
            found = torch.tensor(row[first]) - torch.tensor(row[second])
            colour = ORANGE if found.mean() > 0 else BLUE
            panel.plot(found, [place] * len(found), "o", color=colour, ms=4, alpha=0.7)
        panel.axvline(0, color="black", lw=1)
        panel.set_title(title, fontsize=10)
        panel.set(xlabel="difference of FD-C", yticks=range(len(judges)))
        panel.set_ylim(len(judges) - 0.5, -0.5)
    axes[0].set_yticklabels([f"{row['judge']}: {row['accuracy']:.1%}" for row in judges])
    return figure


if __name__ == "__main__":
    plots.style()
    torch.set_num_threads(1)
    for name, draw in {
        "05-two-judges": two_judges,
        "05-transport": transport,
        "05-bias": bias,
        "05-balls": balls,
        "05-sees": sees,
        "05-duels": duels,
    }.items():
        plots.save(draw(), HERE / f"{name}.svg")
