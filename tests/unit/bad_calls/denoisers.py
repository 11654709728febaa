"""Bad calls of denoisers."""

import torch

from fewstep.denoisers import Conditional, DataSet, Gaussian, Mixture, given, score

NAN = float("nan")
EYE, X = torch.eye(3), torch.zeros(2, 3)
LOPSIDED = torch.tensor([[1.0, 0.5], [0.0, 1.0]])
GAUSSIAN = Gaussian(torch.zeros(3), EYE)
MIXTURE = Mixture(EYE, torch.ones(3), torch.ones(3) / 3)
POINTS = Mixture(EYE, 0.0, torch.ones(3) / 3)
DATA_SET = DataSet(EYE)


def forbidden(*arguments):
    raise AssertionError("the denoiser was called before its input was checked")


def of_call(f):
    """What everything with the arguments x and sigma must refuse."""
    return [
        (lambda: f(None, 1.0), "x = None: must be a torch.Tensor"),
        (lambda: f([[0.0, 0.0, 0.0]], 1.0), "x = [[0.0, 0.0, 0.0]]: must be a torch.Tensor"),
        (lambda: f(X.long(), 1.0), "x.dtype = torch.int64: must be floating"),
        (lambda: f(1j * X, 1.0), "x.dtype = torch.complex64: must be floating"),
        (lambda: f(X[0], 1.0), "x.shape = (3,): must be"),
        (lambda: f(X, NAN), "sigma = nan: must be a finite number"),
        (lambda: f(X, -1.0), "sigma = -1.0: must be a finite number"),
        (lambda: f(X, 10**400), "sigma = 1000000000"),
        (lambda: f(X, True), "sigma = True: must be a finite number"),
        (lambda: f(X, None), "sigma = None: must be a number ≥ 0 or a real tensor (B,)"),
        (lambda: f(X, "0.5"), "sigma = '0.5': must be a number ≥ 0 or a real tensor (B,)"),
        (lambda: f(X, [1.0, 2.0]), "sigma = [1.0, 2.0]: must be a number ≥ 0 or a real tensor"),
        (lambda: f(X, 1j), "sigma = 1j: must be a number ≥ 0 or a real tensor (B,)"),
        (lambda: f(X, torch.tensor([1j, 1j])), "sigma = [1j, 1j]: must be a number ≥ 0 or a real"),
        (lambda: f(X, torch.tensor(True)), "sigma = True: must be a number ≥ 0 or a real tensor"),
        (lambda: f(X, torch.ones(3)), "sigma.shape = (3,): must be () or (2,)"),
        (lambda: f(X, torch.ones(2, 1)), "sigma.shape = (2, 1): must be () or (2,)"),
    ]


def of_exact(f):
    return [*of_call(f), (lambda: f(X[:, :2], 1.0), "x.shape = (2, 2): must be ('B', 3)")]


def of_draws(D):
    return [
        (lambda: D.sample(0), "n = 0: must be an integer ≥ 1"),
        (lambda: D.sample(2.5), "n = 2.5: must be an integer ≥ 1"),
        (lambda: D.sample(None), "n = None: must be an integer ≥ 1"),
        (lambda: D.sample(5, 0), "generator = 0: must be a torch.Generator, or None"),
        (lambda: D.sample(5, "seed"), "generator = 'seed': must be a torch.Generator, or None"),
    ]


def of_labels(f):
    """What a binding of labels and guidance must refuse."""
    return [
        (lambda: f(None, 3), "denoiser = None: must be a function D(x, sigma, labels)"),
        (lambda: f(forbidden, 1.5), "labels = 1.5: must be an integer, or integers (B,)"),
        (lambda: f(forbidden, "shirt"), "labels = 'shirt': must be an integer, or integers (B,)"),
        (lambda: f(forbidden, ["a", "b"]), "labels = ['a', 'b']: must be an integer"),
        (lambda: f(forbidden, True), "labels = True: must be an integer, or integers (B,)"),
        (lambda: f(forbidden, -2), "labels = -2: must be an integer, or integers (B,), ≥ -1"),
        (lambda: f(forbidden, 2**70), "labels = 1180591620717411303424: must be an integer"),
        (lambda: f(forbidden, []), "labels = []: must be an integer, or integers (B,)"),
        (lambda: f(forbidden, X[:0, 0].long()), "labels = []: must be an integer, or integers"),
        (lambda: f(forbidden, [[1], [2]]), "labels = [[1], [2]]: must be an integer"),
        (lambda: f(forbidden, {"label": 1}), "labels = {'label': 1}: must be an integer"),
        (lambda: f(forbidden, 3, None), "guidance = None: must be a finite number"),
        (lambda: f(forbidden, 3, "strong"), "guidance = 'strong': must be a finite number"),
        (lambda: f(forbidden, 3, NAN), "guidance = nan: must be a finite number"),
        (lambda: f(forbidden, 3, True), "guidance = True: must be a finite number"),
        (lambda: f(forbidden, None, 2.0), "guidance = 2.0: must be 0 or 1 where there are no"),
    ]


BAD = {
    "denoisers.score": [
        *of_call(lambda x, sigma: score(forbidden, x, sigma)),
        (lambda: score(GAUSSIAN, X, 0.0), "sigma = 0.0: must be a finite number > 0"),
        (lambda: score(None, X, 1.0), "denoiser = None: must be a function D(x, sigma)"),
        (lambda: score(lambda x, s: x[:1], X, 1.0), "denoiser(x, sigma).shape = (1, 3): must be"),
        (lambda: score(lambda x, s: None, X, 1.0), "denoiser(x, sigma) = None: must be a tensor"),
    ],
    "denoisers.given": of_labels(given),
    "denoisers.Conditional": of_labels(Conditional),
    "denoisers.Conditional.__call__": [
        *of_call(given(GAUSSIAN, None)),
        *of_call(given(forbidden, 3, 2.0)),
        (lambda: given(forbidden, [1, 2, 3])(X, 1.0), "labels.shape = (3,): must be (2,)"),
        (lambda: given(forbidden, [1, 2, 3], 2.0)(X, 1.0), "labels.shape = (3,): must be (2,)"),
    ],
    "denoisers.Gaussian": [
        (lambda: Gaussian(None, EYE), "mean = None: must be finite numbers"),
        (lambda: Gaussian(EYE, EYE), "mean.shape = (3, 3): must be (d,)"),
        (lambda: Gaussian([], torch.zeros(0, 0)), "mean.shape = (0,): must be (d,), d ≥ 1"),
        (lambda: Gaussian([0, 0], EYE), "cov.shape = (3, 3): must be (2, 2)"),
        (lambda: Gaussian([0, 0], LOPSIDED), "cov = [[1.0, 0.5], [0.0, 1.0]]: must be symmetric"),
        (lambda: Gaussian(X[0], -EYE), "cov's smallest eigenvalue = -1.0: must be non-negative"),
        (lambda: Gaussian(X[0], EYE * NAN), "must be finite numbers"),
        (lambda: Gaussian(X[0], "eye"), "cov = 'eye': must be finite numbers"),
        (lambda: Gaussian([0, 1j], torch.eye(2)), "mean = [0, 1j]: must be finite numbers"),
    ],
    "denoisers.Gaussian.__call__": of_exact(GAUSSIAN),
    "denoisers.Gaussian.flow": [
        *of_exact(lambda x, sigma: GAUSSIAN.flow(x, sigma, 0.1)),
        (lambda: GAUSSIAN.flow(X, 1.0, None), "sigma_next = None: must be a number ≥ 0"),
        (lambda: GAUSSIAN.flow(X, 1.0, -1.0), "sigma_next = -1.0: must be a finite number ≥ 0"),
        (lambda: GAUSSIAN.flow(X, 1.0, torch.ones(3)), "sigma_next.shape = (3,): must be () or (2"),
    ],
    "denoisers.Gaussian.log_density": of_exact(GAUSSIAN.log_density),
    "denoisers.Gaussian.sample": of_draws(GAUSSIAN),
    "denoisers.Mixture": [
        (lambda: Mixture(None, 1.0, [1.0]), "means = None: must be finite numbers"),
        (lambda: Mixture([0.0, 1.0], 1.0, [0.5, 0.5]), "means.shape = (2,): must be (K, d)"),
        (lambda: Mixture(torch.zeros(0, 3), 1.0, []), "means.shape = (0, 3): must be (K, d)"),
        (lambda: Mixture(torch.zeros(1, 0), 1.0, [1]), "means.shape = (1, 0): must be (K, d)"),
        (lambda: Mixture([[0.0], [1.0, 2.0]], 1.0, [1]), "means = [[0.0], [1.0, 2.0]]: must be"),
        (lambda: Mixture(EYE, -1.0, torch.ones(3) / 3), "variances = [-1.0, -1.0, -1.0]: must be"),
        (lambda: Mixture(EYE, [1, 1], torch.ones(3) / 3), "variances.shape = (2,): must be (3,)"),
        (lambda: Mixture(EYE, None, torch.ones(3) / 3), "variances = None: must be finite numbers"),
        (lambda: Mixture(EYE, 1.0, torch.ones(3)), "weights = [1.0, 1.0, 1.0]: must be positive"),
        (lambda: Mixture(EYE, 1.0, [1.0, 0.0, 0.0]), "weights = [1.0, 0.0, 0.0]: must be positive"),
        (lambda: Mixture(EYE, 1.0, [NAN] * 3), "weights = [nan, nan, nan]: must be finite numbers"),
        (lambda: Mixture(EYE, 1.0, None), "weights = None: must be finite numbers"),
        (lambda: Mixture(EYE, 1.0, "equal"), "weights = 'equal': must be finite numbers"),
    ],
    "denoisers.Mixture.__call__": [
        *of_exact(MIXTURE),
        (lambda: POINTS(X, 0.0), "sigma = 0.0: must be a finite number > 0"),
    ],
    "denoisers.Mixture.log_density": [
        *of_exact(MIXTURE.log_density),
        (lambda: POINTS.log_density(X, 0), "sigma = 0: must be a finite number > 0"),
    ],
    "denoisers.Mixture.sample": of_draws(MIXTURE),
    "denoisers.DataSet": [
        (lambda: DataSet(None), "points = None: must be a torch.Tensor"),
        (lambda: DataSet([[0.0, 1.0]]), "points = [[0.0, 1.0]]: must be a torch.Tensor"),
        (lambda: DataSet(torch.zeros(0, 3)), "points.shape = (0, 3): must be (N, ...), N ≥ 1"),
        (lambda: DataSet(torch.zeros(2, 0)), "points.shape = (2, 0): must be (N, ...), N ≥ 1"),
        (lambda: DataSet(X[0]), "points.shape = (3,): must be (B, ...)"),
        (lambda: DataSet(X / 0), "points = 'NaN or infinity': must be finite"),
        (lambda: DataSet(X.to(torch.uint8)), "points.dtype = torch.uint8: must be floating"),
        (lambda: DataSet(X, chunk=0), "chunk = 0: must be an integer ≥ 1"),
        (lambda: DataSet(X, chunk=None), "chunk = None: must be an integer ≥ 1"),
    ],
    "denoisers.DataSet.__call__": [
        *of_exact(DATA_SET),
        (lambda: DATA_SET(X, 0.0), "sigma = 0.0: must be a finite number > 0"),
    ],
    "denoisers.DataSet.log_density": [
        *of_exact(DATA_SET.log_density),
        (lambda: DATA_SET.log_density(X, 0.0), "sigma = 0.0: must be a finite number > 0"),
    ],
    "denoisers.DataSet.sample": of_draws(DATA_SET),
}
