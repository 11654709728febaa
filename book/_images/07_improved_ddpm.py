"""Makes the pictures of chapter 07: python book/_images/07_improved_ddpm.py (some minutes
on one slow core, seeded). It prints the numbers that the page quotes.
"""

from math import log
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from scipy.integrate import quad
from scipy.stats import norm

from fewstep import (
    classifiers,
    data,
    denoisers,
    grids,
    losses,
    metrics,
    plots,
    pretrained,
    schedules,
    solvers,
)

HERE = Path(__file__).parent
BLUE, ORANGE, GREEN, RED, PINK = plots.COLOURS[:5]
# DDPM's chain down from where the recorded network, trained up to σ = 80, still knows its way
CHAIN, TOP = schedules.linear(1000), 930
VALUES = 17  # of a pixel of the digits


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def strided(n):
    """n steps of the chain, from TOP to 1: their levels σ, and 0."""
    t = torch.linspace(TOP, 1, n, dtype=torch.float64).round().long()
    return [*CHAIN.sigmas[t].tolist(), 0.0]


def ends(sigma, sigma_next):
    """β̃ and β of a step in the frame of x/s, and the share of x_0 in its mean."""
    low, high = schedules.reverse_variances(sigma, sigma_next)
    return low, high, 1 - (sigma_next / sigma) ** 2


class Errors:
    """Squared errors of the recorded network on digits at any level: (pictures,), by σ."""

    def __init__(self, count=250):
        self.D = pretrained.load_denoiser("digits-denoiser", "cpu")
        self.x, self.known = data.digits().float()[-count:], {}

    @torch.no_grad()
    def __call__(self, sigma):
        if sigma not in self.known:
            noise = torch.randn(self.x.shape, generator=seeded(1))
            gap = self.D(self.x + sigma * noise, sigma) - self.x
            self.known[sigma] = gap.double().square().flatten(1).mean(1)
        return self.known[sigma]

    def mean(self, sigma):
        return self(sigma).mean().item()


@torch.no_grad()
def ancestral(errors, n, kind, count, seed=0):
    """DDPM's sampler in n steps with one of three variances."""
    levels, g = strided(n), seeded(seed)
    x = levels[0] * torch.randn(count, 1, 8, 8, generator=g)
    for now, then in zip(levels, levels[1:]):
        low, high, share = ends(now, then)
        best = low + share**2 * errors.mean(now)
        variance = {"small": low, "best": best, "large": high}[kind] if then else 0.0
        D = errors.D(x, now)
        x = D + (1 - share) * (x - D) + variance**0.5 * torch.randn(x.shape, generator=g)
    return x


LOOKS = {
    "small": (r"$\tilde\beta$, the smaller", BLUE),
    "best": (r"$r_*$, the best", GREEN),
    "large": (r"$\beta$, the larger", ORANGE),
}


def bound(errors, levels, kind):
    """Each picture's terms L_0, L_1, … in bits per dimension: (steps, pictures)."""
    terms = []
    for now, then in zip(levels, levels[1:]):
        low, high, share = ends(now, then)
        best = low + share**2 * errors.mean(now)
        variance = {"small": low, "best": best, "large": high}[kind]
        if then:
            gap = low + share**2 * errors(now)
            terms.append(0.5 * (log(variance / low) - 1 + gap / variance) / log(2))
        else:
            if kind == "small":  # β̃_1 = 0; the paper's code takes β̃_2
                variance = ends(levels[-3], now)[0] / (1 + now**2)
            terms.append(decoder(errors, now, variance))
    return torch.stack(terms[::-1])


@torch.no_grad()
def decoder(errors, sigma, variance):
    """L_0 of each picture, in bits per dimension."""
    noise = torch.randn(errors.x.shape, generator=seeded(1))
    D = errors.D(errors.x + sigma * noise, sigma)
    logs = losses.discretized_log_likelihood(
        errors.x, D, torch.full_like(D, log(variance)), values=VALUES
    )
    return -logs.flatten(1).mean(1) / log(2)


def which_noise(errors):
    """Samples with three variances at ten steps; their distance against the number of steps."""
    calls, count = [5, 10, 20, 40], 400
    features = metrics.features(data.digits(), classifiers.load_classifier("digits"))
    figure, (left, right) = plt.subplots(1, 2, figsize=(7.2, 2.9), width_ratios=(1.75, 1))
    rows = []
    for kind, (label, colour) in LOOKS.items():
        found = []
        for n in calls:
            made = ancestral(errors, n, kind, count).clamp(-1, 1)
            if n == 10:
                rows.append(made[:9])
            seen = metrics.features(made, classifiers.load_classifier("digits"))
            found.append(metrics.fd(seen, features, None))
        print(f"FD-C, {kind}:", dict(zip(calls, [f"{v:.2f}" for v in found])))
        right.plot(calls, found, color=colour, label=label)
    tiled = plots.tile(torch.cat(rows), columns=9)[..., 0]
    left.imshow(tiled, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    left.set(xticks=[], yticks=[4 + 9 * i for i in range(3)], title="ten steps")
    left.set_yticklabels([label.split(",")[0] for label, _ in LOOKS.values()])
    left.tick_params(length=0)
    left.grid(False)
    left.spines[:].set_visible(False)
    floor = metrics.floor(features, count, seeds=5)[0]
    print(f"floor of {count} against {count} real digits: {floor:.2f}")
    right.axhline(floor, color="0.5", ls="--", lw=1)
    right.set(xscale="log", yscale="log", xticks=calls, xlabel="steps = network calls")
    right.set(ylabel="FD-C", title="distance to real digits")
    right.set_xticklabels(calls)
    right.minorticks_off()
    right.legend(fontsize=8)
    return figure


def mse_two_points(sigma):
    """E Var[x_0 | x] of two points ±1."""
    e, w = np.polynomial.hermite_e.hermegauss(120)
    return float(w @ (1 - np.tanh((1 + sigma * e) / sigma**2) ** 2) / w.sum())


def between(errors):
    """Where the best variance lies between its ends; and how it depends on the state."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(7.2, 3.1))
    levels = strided(60)
    for label, mse, colour in (
        ("white noise", lambda s: s**2 / (1 + s**2), ORANGE),
        (r"two points, $\pm1$", mse_two_points, RED),
        ("digits, the network", errors.mean, GREEN),
        ("one point", lambda s: 0.0, BLUE),
    ):
        v = []
        for now, then in zip(levels[:-2], levels[1:]):
            low, high, share = ends(now, then)
            v.append(log((low + share**2 * mse(now)) / low) / log(high / low))
        left.plot(levels[:-2], v, marker="", color=colour, label=label)
    left.set(xscale="log", xlabel=r"noise level $\sigma_t$", ylabel=r"best share $v_*$")
    left.set(title=r"from $\tilde\beta$ (0) to $\beta$ (1), 60 steps", ylim=(-0.05, 1.08))
    left.legend(fontsize=8)

    a, before = 0.5, 0.8
    beta = 1 - a / before
    low, share = beta * (1 - before) / (1 - a), before**0.5 * beta / (1 - a)
    mean = low + share**2 * mse_two_points(1.0)
    print(f"two points: β̃ {low:.3f}, r* {mean:.3f}, β {beta:.3f}, at 0 {low + share**2:.3f}")
    print(f"  mean squared error {mse_two_points(1.0):.3f}; coefficient² {share**2:.3f}")
    print(f"  v* {log(mean / low) / log(beta / low):.2f}, at 0 "
          f"{log((low + share**2) / low) / log(beta / low):.2f}")  # fmt: skip
    for name, v in (("β̃", low), ("β", beta)):
        print(f"  lost with {name}: {0.5 * (log(v / mean) + mean / v - 1) / log(2):.3f} bits")
    x = np.linspace(-2.6, 2.6, 301)
    exact = low + share**2 * (1 - np.tanh(a**0.5 * x / (1 - a)) ** 2)
    right.plot(x, exact, marker="", color=RED, label=r"given $x_t$")
    right.axhline(beta, color=ORANGE, lw=1.5, label=r"$\beta_t$")
    right.axhline(mean, color=GREEN, lw=1.5, label=r"$r_*$, one for all $x_t$")
    right.axhline(low, color=BLUE, lw=1.5, label=r"$\tilde\beta_t$")
    right.set(xlabel=r"state $x_t$", ylabel="best variance of the step", ylim=(0, 0.88))
    right.set_title("two points, one long step", fontsize=11)
    right.legend(fontsize=8, ncols=2, loc="upper center")
    return figure


def bits(errors):
    """What each step costs, and what all cost together."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(7.2, 3.1))
    t = torch.unique(torch.logspace(0, np.log10(TOP), 60, dtype=torch.float64).round().long())
    cost = {kind: [] for kind in LOOKS}
    for kind, costs in cost.items():
        for k in t.tolist():
            levels = CHAIN.sigmas[[k + 1, k, k - 1]].tolist()
            costs.append(bound(errors, levels, kind)[0].mean().item())
    cost = {kind: np.array(costs) for kind, costs in cost.items()}
    for kind, (label, colour) in LOOKS.items():
        if kind == "best":
            left.plot(t, cost[kind], marker="", color=colour, label=label)
        else:
            lost, name = cost[kind] - cost["best"], label.split(",")[0]
            left.plot(t[1:], lost[1:], "--", marker="", color=colour, label=f"more with {name}")
        shown = {k: f"{c:.2g}" for k, c in zip(t.tolist(), cost[kind]) if k in (1, 2, 3, TOP)}
        print(f"bits a step, {kind}:", shown)
    left.set(xscale="log", yscale="log", xlabel=r"step $t$ of 930", ylabel="bits per dimension")
    left.set(title="what each step costs", ylim=(1e-6, 3))
    left.legend(fontsize=8)
    steps = [5, 10, 20, 40, 100, 300, 930]
    prior = losses.prior(errors.x, CHAIN.sigmas[TOP].item()).mean().item()
    for kind, (_, colour) in LOOKS.items():
        totals = [bound(errors, strided(n), kind).sum(0).mean().item() + prior for n in steps]
        print(f"bits in all, {kind}:", dict(zip(steps, [f"{v:.2f}" for v in totals])))
        right.plot(steps, totals, color=colour)
    print(f"L_T: {prior:.1e}; no model: {log(VALUES, 2):.2f}")
    right.axhline(log(VALUES, 2), color="0.5", ls="--", lw=1)
    right.set(xscale="log", xlabel="steps", ylabel="bits per dimension", ylim=(0, 9))
    right.set(title="all steps together", xticks=[5, 20, 100, 930])
    right.set_xticklabels([5, 20, 100, 930])
    right.minorticks_off()

    terms = bound(errors, strided(TOP), "best")
    second = terms.square().mean(1).sqrt()
    uniform = (TOP * second.square().sum() - terms.mean(1).sum() ** 2).sqrt()
    chosen = (second.sum() ** 2 - terms.mean(1).sum() ** 2).sqrt()
    share = second / second.sum()
    mean = terms.mean(1).sum()
    print(f"spread of one draw of t: uniform {uniform:.2f}, chosen {chosen:.2f}, mean {mean:.2f}")
    print(f"share of draws for the first ten steps: {share[:10].sum():.0%}")
    return figure


def guided(v, w, m=0.0):
    """Variance and mean of the guided ODE's and SDE's samples, and of the tilted density."""

    def integral(f):
        return quad(f, 0, np.inf)[0]

    ode = (
        v**w,
        w
        * m
        * v ** (w / 2)
        / 2
        * integral(lambda u: (v + u) ** (-1 - w / 2) * (1 + u) ** ((w - 1) / 2)),
    )
    sde = (
        v ** (2 * w) * integral(lambda u: (1 + u) ** (2 * w - 2) * (v + u) ** (-2 * w)),
        w * m * v**w * integral(lambda u: (1 + u) ** (w - 1) * (v + u) ** (-1 - w)),
    )
    tilted = v / (v + w * (1 - v)), w * m / (v + w * (1 - v))
    return {"product": tilted, "reverse SDE": sde, "ODE": ode}


GUIDED = {"product": ("0.45", "-"), "reverse SDE": (ORANGE, "-"), "ODE": (BLUE, "-")}


def guidance():
    """Three answers to one question."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(7.2, 3.1))
    v, m, x = 0.25, 0.75, np.linspace(-2.6, 2.6, 400)
    left.fill_between(x, norm.pdf(x), color="0.5", alpha=0.25, lw=0)
    left.text(-1.5, 0.24, "all", color="0.45")
    left.plot(x, norm.pdf(x, m, v**0.5), marker="", color=GREEN, label="class c")
    for name, (variance, mean) in guided(v, 2, m).items():
        colour, line = GUIDED[name]
        left.plot(x, norm.pdf(x, mean, variance**0.5), line, marker="", color=colour, label=name)
        print(f"w = 2, {name}: variance {variance:.4f}, mean {mean:.3f}")
    left.set(xlabel=r"$x_0$", ylabel="density", title=r"guidance $w = 2$", ylim=(0, None))
    left.legend(fontsize=8, loc="upper left")
    strengths = np.linspace(0, 4, 41)
    for name, (colour, line) in GUIDED.items():
        values = [guided(v, w)[name][0] for w in strengths]
        right.plot(strengths, values, line, marker="", color=colour, label=name)
    right.set(xlabel=r"guidance $w$", ylabel="variance of the samples", yscale="log")
    right.set(title="how narrow it gets")
    return figure


def balanced():
    """Real digits against real ones: sets with drawn classes and with balanced ones."""
    digits = data.digits()
    features = metrics.features(digits, classifiers.load_classifier("digits")).double()
    labels = digits.labels
    centres = torch.stack([features[labels == c].mean(0) for c in range(10)])
    within = (features - centres[labels]).square().sum() / len(features)
    total = (features - features.mean(0)).square().sum() / len(features)
    print(f"tr Σ {total:.1f}, within classes {within:.1f}: {within / total:.0%}")

    def draw(n, even, g):
        if even:
            picks = [
                torch.nonzero(labels == c)[:, 0][
                    torch.randperm(int((labels == c).sum()), generator=g)[: n // 10]
                ]
                for c in range(10)
            ]
            return features[torch.cat(picks)]
        return features[torch.randperm(len(features), generator=g)[:n]]

    figure, (left, right) = plt.subplots(1, 2, figsize=(7.2, 3.0))
    counts = torch.stack(
        [torch.bincount(labels[torch.randperm(len(labels), generator=seeded(i))[:100]],
                        minlength=10) for i in range(40)]
    )  # fmt: skip
    for row in counts:
        left.plot(range(10), row, "o", color=ORANGE, alpha=0.25, ms=4)
    left.axhline(10, color=BLUE)
    left.set(xlabel="class", ylabel="pictures of it", title="sets of 100 digits", ylim=(0, None))
    left.set_xticks(range(10))
    sizes, repeats = [100, 200, 400], 30
    for even, label, colour in ((False, "classes drawn", ORANGE), (True, "balanced", BLUE)):
        g, means, spreads = seeded(), [], []
        for n in sizes:
            found = torch.tensor(
                [metrics.fd(draw(n, even, g), features, None) for _ in range(repeats)]
            )
            means.append(found.mean())
            spreads.append(found.std())
        print(label, [f"{a:.3f} ± {b:.3f}" for a, b in zip(means, spreads)])
        right.errorbar(sizes, means, spreads, color=colour, capsize=2, label=label)
    right.set(
        xlabel="pictures", ylabel="FD-C", title="real digits against all 1797", ylim=(0, None)
    )
    right.legend(fontsize=8)
    return figure


def live():
    """A still of the live figure: w = 2."""
    data = [(-1.5, 0.3, 0.35), (0.0, 0.35, 0.4), (1.3, 0.3, 0.25)]
    mixture = denoisers.Mixture([[m] for m, _, _ in data], [s * s for _, s, _ in data],
                                [w for _, _, w in data])  # fmt: skip
    m, s, share = data[1]
    one = denoisers.Gaussian([m], [[s * s]])
    w, x = 2.0, torch.linspace(-2.5, 2.5, 400, dtype=torch.float64)[:, None]
    grid = grids.edm(80, 0.02, 40.0)

    def D(x, sigma):
        return mixture(x, sigma) + w * (one(x, sigma) - mixture(x, sigma))

    start = grid[0] * torch.randn(1500, 1, generator=seeded(), dtype=torch.float64)
    made = solvers.sample(D, start, grid, solvers.heun).x
    plain = mixture.log_density(x, 0.0)
    tilted = (plain + w * (one.log_density(x, 0.0) - plain)).exp()
    tilted = tilted / tilted.sum() / (x[1] - x[0])
    figure, axes = plt.subplots(figsize=(7.2, 3.4))
    axes.fill_between(x[:, 0], plain.exp(), color="0.5", alpha=0.25, lw=0, label="all data")
    axes.plot(x, one.log_density(x, 0.0).exp(), marker="", color=GREEN, label="class c")
    axes.hist(made[:, 0], bins=80, range=(-2.5, 2.5), density=True, color=BLUE, alpha=0.6,
              label="samples of the ODE")  # fmt: skip
    axes.plot(x, tilted, marker="", color="black", label="the product")
    axes.set(xlabel=r"$x_0$", ylabel="density", title=r"guidance $w = 2$", xlim=(-2.5, 2.5))
    axes.legend(fontsize=8)
    return figure


if __name__ == "__main__":
    plots.style()
    torch.set_num_threads(1)
    network = Errors()
    for name, draw in {
        "07-which-noise": lambda: which_noise(network),
        "07-between": lambda: between(network),
        "07-bits": lambda: bits(network),
        "07-guidance": guidance,
        "07-balanced": balanced,
        "07-live": live,
    }.items():
        plots.save(draw(), HERE / f"{name}.svg")
