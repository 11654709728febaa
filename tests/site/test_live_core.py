"""The mathematics of the live figures (book/_static/live/core.js) against the library, in a browser
with nothing else on the page.
"""

from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from fewstep import denoisers, grids, processes, schedules, solvers

CORE = Path(__file__).resolve().parents[2] / "book/_static/live/core.js"
CASES = 20
TOLERANCE = 1e-10  # relative to the largest number compared

PROCESSES = {
    "edm": lambda rng: (processes.EDM(), []),
    "ve": lambda rng: (processes.VE(), []),
    "vp": lambda rng: vp(rng.uniform(12, 25), rng.uniform(0.05, 0.5)),
}


def vp(beta_d, beta_min):
    return processes.VP(beta_d, beta_min), [beta_d, beta_min]


@pytest.fixture(scope="module")
def core(browser):
    """Runs a JavaScript function of one argument on a page that holds core.js alone."""
    page = browser.new_page()
    page.add_script_tag(path=CORE)
    yield page.evaluate
    page.close()


def agree(found, expected, what, scale=None):
    found, expected = (np.asarray(v, dtype=np.float64) for v in (found, expected))
    assert found.shape == expected.shape, f"{what}: {found.shape} and {expected.shape}"
    assert np.isfinite(expected).all(), what
    gap = np.abs(found - expected).max() / (scale or np.abs(expected).max())
    assert gap <= TOLERANCE, f"{what}: off by {gap:.1e}"


def cases(seed):
    return [np.random.default_rng([seed, case]) for case in range(CASES)]


def mixture(rng, points=False):
    """A random mixture, or data set, in one or two dimensions, in both languages."""
    K, d = int(rng.integers(1, 7)), int(rng.integers(1, 3))
    means = rng.normal(size=(K, d))
    if points:
        return denoisers.DataSet(torch.tensor(means)), {"points": means.tolist()}
    variances, weights = rng.uniform(0.01, 1, K), rng.dirichlet(np.ones(K) * 3)
    data = denoisers.Mixture(means, variances, weights)
    given = {"means": means.tolist(), "variances": variances.tolist(), "weights": weights.tolist()}
    return data, given


DATA = """const data = given.points ? fewstep.dataSet(given.points)
  : fewstep.mixture(given.means, given.variances, given.weights);"""


def dimension(given):
    return len((given.get("points") or given["means"])[0])


@pytest.mark.parametrize("points", [False, True], ids=["mixture", "points"])
def test_denoisers_scores_and_densities(core, points):
    for rng in cases(1):
        data, given = mixture(rng, points)
        # down to a level where every share but one underflows
        sigma = float(10 ** rng.uniform(-6, 1.5))
        x = rng.normal(size=(5, dimension(given))) * max(1.0, sigma)
        found = core(
            f"""({{given, x, sigma}}) => {{ {DATA} x = Float64Array.from(x);
              return [data.denoise(x, sigma), fewstep.score(data, x, sigma),
                data.logDensity(x, sigma), data.posterior(x, sigma)].map(v => Array.from(v)); }}""",
            {"given": given, "x": x.ravel().tolist(), "sigma": sigma},
        )
        rows = torch.tensor(x)
        agree(found[0], data(rows, sigma).ravel(), f"D at σ = {sigma}")
        # D − x cancels at small σ in both
        size = max(1.0, float(np.abs(x).max())) / sigma**2
        exact = denoisers.score(data, rows, sigma).ravel()
        agree(found[1], exact, f"score at σ = {sigma}", size)
        agree(found[2], data.log_density(rows, sigma), f"log p at σ = {sigma}")
        # p(k | x), with nothing of the library's in it
        means = np.array(given.get("points") or given["means"])
        total = np.array(given.get("variances", np.zeros(len(means)))) + sigma**2
        log = np.log(given.get("weights", np.ones(len(means)))) - 0.5 * (
            ((x[0] - means) ** 2).sum(1) / total + means.shape[1] * np.log(total)
        )
        share = np.exp(log - log.max())
        agree(found[3], share / share.sum(), f"p(k | x) at σ = {sigma}")


@pytest.mark.parametrize("name", PROCESSES)
def test_processes(core, name):
    fields = ("sigma", "s", "dsigma", "ds", "f", "g")
    for rng in cases(2):
        process, arguments = PROCESSES[name](rng)
        t = float(rng.uniform(0.001, 1 if name == "vp" else 50))
        *now, back = core(
            """({name, args, t, fields}) => { const p = fewstep.processes[name](...args);
              const now = p.at(t); return [...fields.map(f => now[f]), p.timeOf(now.sigma)]; }""",
            {"name": name, "args": arguments, "t": t, "fields": fields},
        )
        expected = process.at(t)
        for field, value in zip(fields, now):
            exact = float(getattr(expected, field))
            agree(value, exact, f"{name}.{field}({t})") if exact else agree(value + 1, 1, field)
        agree(back, float(process.sigma_inv(expected.sigma)), f"{name}: time of σ")


SCHEDULES = {
    "linear": ("linear", lambda rng: [rng.uniform(1e-5, 1e-3), rng.uniform(0.002, 0.03)]),
    "quadratic": ("quadratic", lambda rng: [rng.uniform(1e-5, 1e-3), rng.uniform(0.002, 0.03)]),
    "sigmoidBeta": ("sigmoid_beta", lambda rng: [1e-4, rng.uniform(0.01, 0.03), rng.uniform(3, 8)]),
    "cosine": ("cosine", lambda rng: [rng.uniform(0.002, 0.02)]),
    "sigmoidAlphaBar": (
        "sigmoid_alpha_bar",
        lambda rng: [rng.uniform(-4, -2), rng.uniform(2, 4), rng.uniform(0.8, 1.2)],
    ),
}


@pytest.mark.parametrize("name", SCHEDULES)
def test_schedules(core, name):
    theirs, draw = SCHEDULES[name]
    for case, rng in enumerate(cases(3)):
        T = int(rng.integers(30, 1500))
        arguments = [T, *map(float, draw(rng))] if case else [1000]  # the defaults, once
        expected = getattr(schedules, theirs)(*arguments)
        found = core(
            "({name, args}) => { const c = fewstep.schedules[name](...args);"
            " return [c.betas, c.alphaBars, c.sigmas]; }",
            {"name": name, "args": arguments},
        )
        for part, exact in zip(found, (expected.betas, expected.alpha_bars, expected.sigmas)):
            agree(part, exact, f"{name}{arguments}")
        agree(found[2][:-1], expected.sigmas[:-1], f"{name}{arguments} below its last level")


def test_chain_of_a_process_and_levels_of_iddpm(core):
    for rng in cases(4):
        T, (process, arguments) = int(rng.integers(5, 400)), PROCESSES["vp"](rng)
        found = core(
            "({args, T}) => fewstep.schedules.fromProcess(fewstep.processes.vp(...args), T).betas",
            {"args": arguments, "T": T},
        )
        agree(found, schedules.from_process(process, T).betas, f"{process}, T = {T}")
        found = core("M => fewstep.schedules.iddpmLevels(M)", T)
        agree(found, schedules.iddpm_levels(T), f"M = {T}")


@pytest.mark.parametrize("name", ["edm", "vp", "ve", "iddpm", "respaced"])
def test_grids(core, name):
    for rng in cases(5):
        n = int(rng.integers(1, 90))
        low, high = float(10 ** rng.uniform(-3, -1)), float(10 ** rng.uniform(0, 2))
        T = int(rng.integers(100, 1200))
        calls = {
            "edm": ([n, low, high, float(rng.uniform(1, 9))], None),
            "ve": ([n, low, high], None),
            "iddpm": ([n, T, int(rng.integers(0, 10))], None),
            "vp": ([n], "fewstep.processes.vp(19.9, 0.1)"),
            "respaced": ([n], f"fewstep.schedules.sigmoidBeta({T})"),
        }
        arguments, second = calls[name]
        rest = {"vp": [processes.VP(), 0.01], "respaced": [schedules.sigmoid_beta(T)]}
        expected = getattr(grids, name)(*arguments, *rest.get(name, []))
        more = f", {second}" + (", 0.01" if name == "vp" else "") if second else ""
        found = core(f"args => fewstep.grids.{name}(...args{more})", arguments)
        agree(found, expected, f"{name}{arguments}")
        agree(found[:-1][::-1][:1], expected[-2:-1], f"{name}{arguments}: its lowest level")


def family(kappa):
    """Euler and Maruyama's step of the reverse SDE with any amount of noise, from the page's
    equation key-sde-family and the library's score.
    """

    def step(flow, x, now, then):
        if then.sigma == 0:
            return then.s * flow.denoise(x, now)
        flow.nfe += 1
        h, noise = then.t - now.t, flow.noise(x)
        score = denoisers.score(flow.denoiser, x / now.s, now.sigma) / now.s
        drift = now.f * x - 0.5 * (1 + kappa) * now.g**2 * score
        return x + h * drift + kappa**0.5 * now.g * abs(h) ** 0.5 * noise

    return step


STEPS = {
    "euler": ("euler", solvers.euler),
    "heun": ("heun", solvers.heun),
    "ddim": ("ddim()", solvers.ddim),
    "ddim, η = 0.6": ("ddim(0.6)", partial(solvers.ddim, eta=0.6)),
    "2M": ("dpmpp2m", solvers.dpmpp_2m),
    "Euler–Maruyama": ("eulerMaruyama()", solvers.euler_maruyama),
    "Euler–Maruyama, κ = 2.5": ("eulerMaruyama(2.5)", family(2.5)),
    "Euler–Maruyama, κ = 0": ("eulerMaruyama(0)", family(0.0)),
}


@pytest.mark.parametrize("churned", [False, True], ids=["", "churn"])
@pytest.mark.parametrize("step", STEPS)
def test_steps(core, monkeypatch, step, churned):
    """Whole runs, the same noise on both sides, every state on the way."""
    javascript, python = STEPS[step]
    for case, rng in enumerate(cases(6)):
        data, given = mixture(rng, points=bool(case % 2))
        name = list(PROCESSES)[case % 3]
        process, arguments = PROCESSES[name](rng)
        grid = grids.edm(int(rng.integers(2, 9)), 0.05, float(rng.uniform(2, 8)))
        settings = [float(rng.uniform(0.5, 4)), 0.1, 5.0, float(rng.uniform(0.9, 1.1))]
        x = rng.normal(size=(3, dimension(given))) * float(process.s(process.sigma_inv(grid[0])))
        noise = rng.normal(size=2 * len(grid) * x.size)
        draws = iter(noise)
        monkeypatch.setattr(
            solvers.Flow,
            "noise",
            lambda _, x, draws=draws: torch.tensor(
                [next(draws) for _ in range(x.numel())], dtype=x.dtype
            ).reshape(x.shape),
        )
        expected = solvers.sample(
            data,
            torch.tensor(x),
            grid,
            python,
            process,
            churn=solvers.Churn(*settings) if churned else None,
            trajectory=True,
        )
        found = core(
            f"""({{given, name, args, x, grid, noise, churn}}) => {{ {DATA}
              const run = fewstep.sample(data, Float64Array.from(x), grid,
                fewstep.steps.{javascript}, {{process: fewstep.processes[name](...args),
                normal: () => noise.shift(), churn: churn && fewstep.churn(...churn)}});
              return [run.nfe, run.trajectory.map(v => Array.from(v))]; }}""",
            {
                "given": given,
                "name": name,
                "args": arguments,
                "x": x.ravel().tolist(),
                "grid": grid.tolist(),
                "noise": noise.tolist(),
                "churn": settings if churned else None,
            },
        )
        assert found[0] == expected.nfe
        agree(found[1], expected.trajectory.reshape(len(grid), -1), f"{step} on {process}")


@pytest.mark.parametrize("step, order", [("euler", 1), ("heun", 2), ("dpmpp2m", 2)])
def test_orders(core, step, order):
    """The error at σ = 0.1 falls by 2^order when the steps are halved. Truth: a Gaussian's flow."""
    x, v, ends = [1.7, -0.4, 2.5], 0.3, (0.1, 5.0)
    exact = np.array(x) * ((v + ends[0] ** 2) / (v + ends[1] ** 2)) ** 0.5
    errors = [
        np.abs(
            np.array(
                core(
                    f"""({{x, v, n, ends}}) => Array.from(fewstep.sample(
                    fewstep.mixture([[0]], v, [1]), Float64Array.from(x),
                    fewstep.grids.edm(n, ...ends).slice(0, -1), fewstep.steps.{step}).x)""",
                    {"x": x, "v": v, "n": n, "ends": ends},
                )
            )
            - exact
        ).max()
        for n in (81, 161, 321)
    ]
    orders = np.log2(np.array(errors[:-1]) / errors[1:])
    assert np.abs(orders - order).max() < 0.1, f"measured {orders}"


def test_noise_is_normal_and_seeded(core):
    n, draw = (
        40_000,
        "s => { const z = fewstep.normals(s); return Array.from({length: 40000}, z); }",
    )
    z = np.array(core(draw, 1))
    assert core(draw, 1) == z.tolist() and core(draw, 2) != z.tolist()
    # (statistic, its value for normal numbers, its standard error)
    for value, exact, error in [
        (z.mean(), 0, n**-0.5),
        ((z**2).mean(), 1, (2 / n) ** 0.5),
        ((z**3).mean(), 0, (15 / n) ** 0.5),
        ((z**4).mean(), 3, (96 / n) ** 0.5),
        ((z[1:] * z[:-1]).mean(), 0, n**-0.5),
        ((z[2:] ** 2 * z[:-2] ** 2).mean(), 1, (8 / n) ** 0.5),
    ]:
        assert abs(value - exact) < 5 * error


def test_a_finer_look_at_a_wiener_path_only_adds_points(core):
    paths = core(
        """seeds => seeds.map(s => { const w = fewstep.wiener(s);
          return [64, 4, 1, 2048].map(w); })""",
        list(range(400)),
    )
    for middle, coarse, whole, fine in paths:
        assert coarse == middle[::16] == fine[::512] and whole == fine[::2048]
        assert fine[0] == 0
    steps = np.diff(np.array([path[0] for path in paths]), axis=1) * 8  # of variance 1
    n = steps.size
    assert abs((steps**2).mean() - 1) < 5 * (2 / n) ** 0.5
    for lag in (1, 2, 3, 7):  # a bridge of the wrong variance would tie neighbours to each other
        assert abs((steps[:, lag:] * steps[:, :-lag]).mean()) < 5 * n**-0.5
