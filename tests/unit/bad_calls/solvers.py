"""Bad calls of solvers: refused before any network call."""

from functools import partial

import torch

from fewstep import solvers
from fewstep.denoisers import Gaussian
from fewstep.processes import EDM, VP
from fewstep.solvers import Churn, Flow, sample

NAN, INF = float("nan"), float("inf")
X, GRID = torch.zeros(2, 3), [1.0, 0.5, 0.0]
EXACT = Gaussian(torch.zeros(3), torch.eye(3))
NOW, THEN = EDM().at(1.0).unbind()[0], EDM().at(0.5).unbind()[0]
generators = lambda n: [torch.Generator() for _ in range(n)]


def forbidden(*arguments):
    raise AssertionError("the denoiser was called before its input was checked")


FLOW = Flow(forbidden)
run = partial(sample, forbidden, X, GRID)


def of_step(step):
    """What every step must refuse."""
    return [
        (lambda: step(None, X, NOW, THEN), "flow = None: must be a solvers.Flow"),
        (lambda: step(EXACT, X, NOW, THEN), "must be a solvers.Flow"),
        (lambda: step(FLOW, X, 1.0, THEN), "now = 1.0: must be an Instant"),
        (lambda: step(FLOW, X, NOW, None), "then = None: must be an Instant"),
        (lambda: step(FLOW, None, NOW, THEN), "x = None: must be a torch.Tensor"),
        (lambda: step(FLOW, [[0.0]], NOW, THEN), "x = [[0.0]]: must be a torch.Tensor"),
        (lambda: step(FLOW, X.long(), NOW, THEN), "x.dtype = torch.int64: must be floating"),
        (
            lambda: sample(lambda x, sigma: x[:1], X, GRID, step),
            "denoiser(x, sigma).shape = (1, 3): must be (2, 3), as x",
        ),
        (
            lambda: sample(lambda x, sigma: x / 0, X, GRID, step),
            "denoiser(x, sigma) = 'NaN or infinity': must be finite everywhere",
        ),
    ]


BAD = {
    "solvers.Flow": [
        (lambda: Flow(None), "denoiser = None: must be a function D(x, sigma)"),
        (lambda: Flow(EXACT, None), "process = None: must be a Process"),
        (lambda: Flow(EXACT, EDM), "must be a Process, such as EDM()"),
        (lambda: Flow(EXACT, clip=1), "clip = 1: must be True or False"),
        (lambda: Flow(EXACT, EDM(), 0), "generator = 0: must be a torch.Generator, or None"),
        (lambda: Flow(EXACT, EDM(), [0, 1]), "generator = 0: must be a torch.Generator, or None"),
    ],
    "solvers.Flow.at": [
        (lambda: FLOW.at(None), "t = None: must be a finite number"),
        (lambda: FLOW.at([0.5, 1.0]), "t = [0.5, 1.0]: must be a finite number"),
        (lambda: FLOW.at(-1.0), "t = -1.0: must be within the domain of the process"),
    ],
    "solvers.Flow.denoise": [
        (lambda: FLOW.denoise(None, NOW), "x = None: must be a torch.Tensor"),
        (lambda: FLOW.denoise(X, 1.0), "now = 1.0: must be an Instant"),
        (lambda: Flow(lambda x, s: None).denoise(X, NOW), "denoiser(x, sigma) = None: must be a"),
        (lambda: Flow(lambda x, s: (x, x)).denoise(X, NOW), "must be a tensor, shaped as x"),
        (lambda: Flow(lambda x, s: x.long()).denoise(X, NOW), "denoiser(x, sigma).dtype = torch.i"),
        (lambda: Flow(lambda x, s: 1j * x).denoise(X, NOW), "denoiser(x, sigma).dtype = torch.co"),
    ],
    "solvers.Flow.denoise_extra": [
        (lambda: FLOW.denoise_extra(None, NOW), "x = None: must be a torch.Tensor"),
        (lambda: FLOW.denoise_extra(X, NOW), "denoiser.extra_channels = 0: must be 3, one for"),
    ],
    "solvers.Flow.velocity": [
        (lambda: FLOW.velocity("x", NOW), "x = 'x': must be a torch.Tensor"),
        (lambda: FLOW.velocity(X, None), "now = None: must be an Instant"),
    ],
    "solvers.Flow.noise": [
        (lambda: FLOW.noise(None), "x = None: must be a torch.Tensor"),
        (lambda: FLOW.noise((2, 3)), "x = (2, 3): must be a torch.Tensor"),
        (lambda: Flow(EXACT, generator=generators(3)).noise(X), "generator = 3: must be one for"),
    ],
    "solvers.euler": of_step(solvers.euler),
    "solvers.heun": of_step(solvers.heun),
    "solvers.rk2": [
        *of_step(solvers.rk2),
        (lambda: run(partial(solvers.rk2, alpha=0.0)), "alpha = 0.0: must be a finite number > 0"),
        (lambda: run(partial(solvers.rk2, alpha=1.5)), "alpha = 1.5: must be a finite number > 0"),
        (lambda: run(partial(solvers.rk2, alpha="½")), "alpha = '½': must be a finite number > 0"),
        (lambda: run(partial(solvers.rk2, alpha=None)), "alpha = None: must be a finite number"),
    ],
    "solvers.ddim": [
        *of_step(solvers.ddim),
        (lambda: run(partial(solvers.ddim, eta=-0.1)), "eta = -0.1: must be a finite number ≥ 0"),
        (lambda: run(partial(solvers.ddim, eta=1.1)), "eta = 1.1: must be a finite number ≥ 0"),
        (lambda: run(partial(solvers.ddim, eta=NAN)), "eta = nan: must be a finite number ≥ 0"),
        (lambda: run(partial(solvers.ddim, eta=True)), "eta = True: must be a finite number ≥ 0"),
    ],
    "solvers.dpmpp_2m": of_step(solvers.dpmpp_2m),
    "solvers.euler_maruyama": of_step(solvers.euler_maruyama),
    "solvers.ancestral": [
        *of_step(solvers.ancestral),
        (lambda: run(partial(solvers.ancestral, v=-0.1)), "v = -0.1: must be a finite number ≥ 0"),
        (lambda: run(partial(solvers.ancestral, v="β")), "v = 'β': must be a finite number ≥ 0"),
    ],
    "solvers.learned": [
        *of_step(solvers.learned)[:7],
        (lambda: run(solvers.learned), "denoiser.extra_channels = 0: must be 3, one for each"),
    ],
    "solvers.Churn": [
        (lambda: Churn(-1.0), "S_churn = -1.0: must be a finite number ≥ 0"),
        (lambda: Churn(INF), "S_churn = inf: must be a finite number ≥ 0"),
        (lambda: Churn(NAN), "S_churn = nan: must be a finite number ≥ 0"),
        (lambda: Churn(None), "S_churn = None: must be a finite number ≥ 0"),
        (lambda: Churn("40"), "S_churn = '40': must be a finite number ≥ 0"),
        (lambda: Churn(1.0, S_tmin=-1.0), "S_tmin = -1.0: must be a finite number ≥ 0"),
        (lambda: Churn(1.0, S_tmin=2.0, S_tmax=1.0), "S_tmax = 1.0: must be a finite number ≥ 2"),
        (lambda: Churn(1.0, S_tmax=NAN), "S_tmax = nan: must be a finite number ≥ 0"),
        (lambda: Churn(1.0, S_tmax=[1.0, 2.0]), "S_tmax = [1.0, 2.0]: must be a finite number ≥ 0"),
        (lambda: Churn(1.0, S_tmax=X), "must be a finite number ≥ 0"),
        (lambda: Churn(1.0, S_tmax=None), "S_tmax = None: must be a finite number ≥ 0"),
        (lambda: Churn(1.0, S_noise=0.0), "S_noise = 0.0: must be a finite number > 0"),
        (lambda: Churn(1.0, S_noise=NAN), "S_noise = nan: must be a finite number > 0"),
        (lambda: Churn(1.0, S_noise="1"), "S_noise = '1': must be a finite number > 0"),
    ],
    "solvers.Churn.gamma": [
        (lambda: Churn(1.0).gamma("low", 5), "sigma = 'low': must be a finite number ≥ 0"),
        (lambda: Churn(1.0).gamma(-1.0, 5), "sigma = -1.0: must be a finite number ≥ 0"),
        (lambda: Churn(1.0).gamma(1.0, 0), "n = 0: must be an integer ≥ 1"),
        (lambda: Churn(1.0).gamma(1.0, None), "n = None: must be an integer ≥ 1"),
    ],
    "solvers.Churn.__call__": [
        (lambda: Churn(1.0)(None, X, THEN, NOW), "flow = None: must be a solvers.Flow"),
        (lambda: Churn(1.0)(FLOW, X, 0.5, NOW), "now = 0.5: must be an Instant"),
        (lambda: Churn(1.0)(FLOW, X, THEN, 1.0), "up = 1.0: must be an Instant"),
        (lambda: Churn(1.0)(FLOW, X, NOW, THEN), "up.sigma = 0.5: must be at least now.sigma"),
        (lambda: Churn(1.0)(FLOW, None, THEN, NOW), "x = None: must be a torch.Tensor"),
    ],
    "solvers.sample": [
        (lambda: sample(None, X, GRID), "denoiser = None: must be a function D(x, sigma)"),
        (lambda: sample(Gaussian, X, GRID), "must be a function D(x, sigma)"),
        (lambda: sample("D", X, GRID), "denoiser = 'D': must be a function D(x, sigma)"),
        (lambda: sample(forbidden, X / 0, GRID), "x = 'NaN or infinity': must be finite"),
        (lambda: sample(forbidden, X + INF, GRID), "x = 'NaN or infinity': must be finite"),
        (lambda: sample(forbidden, X.long(), GRID), "x.dtype = torch.int64: must be floating"),
        (lambda: sample(forbidden, X[0], GRID), "x.shape = (3,): must be (B, ...)"),
        (lambda: sample(forbidden, [[0.0, 0.0]], GRID), "x = [[0.0, 0.0]]: must be a torch.Tensor"),
        (lambda: sample(forbidden, None, GRID), "x = None: must be a torch.Tensor"),
        (lambda: sample(forbidden, X, None), "sigmas = None: must be finite numbers"),
        (lambda: sample(forbidden, X, "edm"), "sigmas = 'edm': must be finite numbers"),
        (lambda: sample(forbidden, X, 18), "sigmas.shape = (): must be (n + 1,)"),
        (lambda: sample(forbidden, X, [1.0]), "sigmas.shape = (1,): must be (n + 1,)"),
        (lambda: sample(forbidden, X, [GRID, GRID]), "sigmas.shape = (2, 3): must be (n + 1,)"),
        (lambda: sample(forbidden, X, [0.5, 1.0, 0.0]), "must be strictly decreasing"),
        (lambda: sample(forbidden, X, [1.0, 1.0, 0.0]), "must be strictly decreasing"),
        (lambda: sample(forbidden, X, [1.0, 0.0, -1.0]), "must be non-negative"),
        (lambda: sample(forbidden, X, [1.0, NAN, 0.0]), "must be finite numbers"),
        (lambda: run("heun"), "step = 'heun': must be a function step(flow, x, now, then)"),
        (lambda: run(None), "step = None: must be a function step(flow, x, now, then)"),
        (lambda: run(Churn), "must be a function step(flow, x, now, then)"),
        (lambda: run(Churn(1.0)), "up.sigma = 0.5: must be at least now.sigma"),
        (lambda: run(lambda flow, x, now, then: None), "step(flow, x, now, then) = None: must be"),
        (lambda: run(lambda flow, x, now, then: x[:1]), "step(flow, x, now, then).shape = (1, 3)"),
        (lambda: run(process=None), "process = None: must be a Process"),
        (lambda: run(process="vp"), "process = 'vp': must be a Process"),
        (lambda: run(process=VP), "must be a Process, such as EDM()"),
        (lambda: sample(forbidden, X, [200.0, 0.0], process=VP()), "sigmas[0] = 200.0: must be at"),
        (lambda: run(churn=40), "churn = 40: must be a Churn, or None"),
        (lambda: run(churn=Churn), "must be a Churn, or None"),
        (
            lambda: sample(forbidden, X, [150.0, 1.0, 0.0], process=VP(), churn=Churn(1.0)),
            "must be such that σ̂ stays below σ_max",
        ),
        (lambda: run(generator=0), "generator = 0: must be a torch.Generator, or None"),
        (lambda: run(generator="ab"), "generator = 'ab': must be a torch.Generator, or None"),
        (lambda: run(generator=[0, 1]), "generator = 0: must be a torch.Generator, or None"),
        (lambda: run(generator=generators(3)), "must be one for all, or one for each of 2"),
        (lambda: run(generator=[]), "generator = []: must be one for all, or one for each of 2"),
    ],
}
