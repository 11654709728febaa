"""Bad calls of metrics."""

import torch
from torch import nn

from fewstep import classifiers, metrics, preconditioning, schedules
from fewstep.preconditioning import Denoiser

with torch.random.fork_rng():
    C = classifiers.Classifier().eval()
X = torch.zeros(10, 1, 8, 8)
F = torch.rand(70, 64, generator=torch.Generator().manual_seed(0))
COLOUR = torch.rand(10, 3, 8, 8, generator=torch.Generator().manual_seed(0))


def pictures(name, f):
    """What every measure must refuse as the argument ``name``."""
    return [
        (lambda: f(None), f"{name} = None: must be a tensor (N, 1 or 3, H, W)"),
        (lambda: f("x"), f"{name} = 'x'"),
        (lambda: f(X.numpy()), f"{name} = array"),
        (lambda: f(X[0]), f"{name}.shape = (1, 8, 8)"),
        (lambda: f(X[:0]), f"{name}.shape = (0, 1, 8, 8)"),
        (lambda: f(X[:, :0]), f"{name}.shape = (10, 0, 8, 8)"),
        (lambda: f(X.long()), f"{name}.dtype = torch.int64"),
        (lambda: f(X > 0), f"{name}.dtype = torch.bool"),
        (lambda: f(X.to(torch.complex64)), f"{name}.dtype = torch.complex64"),
        (lambda: f(X / 0), f"{name} = 'NaN or infinity'"),
        (lambda: f(X + 9), f"{name} = '100% of the values beyond ±1.5'"),
    ]


def feats(name, f):
    """And where features are taken too."""
    return [
        *pictures(name, f),
        (lambda: f(X[:1]), f"{name} = '1 picture': must be 2 or more"),
        (lambda: f(F[:1]), f"{name} = '1 picture': must be 2 or more"),
        (lambda: f(F / 0), f"{name} = a tensor (70, 64)"),
        (lambda: f(F.long()), f"{name} = a tensor (70, 64)"),
    ]


ON_CHAIN = Denoiser(nn.Identity(), preconditioning.chain(schedules.cosine(10)))
bits = lambda x0=X, **others: metrics.bits_per_dim(ON_CHAIN, x0, v=0.0, **others)

BAD = {
    "metrics.bits_per_dim": [
        (lambda: bits(None), "x0 = None: must be a torch.Tensor"),
        (lambda: bits(X / 0), "x0 = 'NaN or infinity': must be finite everywhere"),
        (lambda: bits(levels=[1.0]), "levels = [1.0]: must be a tensor (T,)"),
        (lambda: bits(calls=0), "calls = 0: must be an integer in 1 … 10"),
        (lambda: bits(seed=-1), "seed = -1: must be an integer ≥ 0"),
        (lambda: bits(batch_size=0), "batch_size = 0: must be an integer ≥ 1"),
        (
            lambda: metrics.bits_per_dim(Denoiser(nn.Identity(), preconditioning.edm()), X),
            "levels = None: must be a tensor (T,), or a chain's",
        ),
    ],
    "metrics.fid": [
        *feats("samples", lambda x: metrics.fid(x, X)),
        (lambda: metrics.fid(X, None), "reference = None"),
    ],
    "metrics.fd_c": [
        *feats("samples", lambda x: metrics.fd_c(x, F, C)),
        *feats("reference", lambda x: metrics.fd_c(F, x, C)),
        (lambda: metrics.fd_c(COLOUR, F, C), "samples = 'colour pictures': must be grey"),
        (lambda: metrics.fd_c(F, COLOUR, C), "reference = 'colour pictures': must be grey"),
        (lambda: metrics.fd_c(X, X, None), "classifier = None: must be a module with .channels"),
        (lambda: metrics.fd_c(X, X, metrics.INCEPTION), "classifier = 'inception-v3-compat'"),
        (lambda: metrics.fd_c(X, X, torch.nn.ReLU()), "classifier = ReLU()"),
    ],
    "metrics.fd": [
        *feats("samples", lambda x: metrics.fd(x, X, C)),
        (lambda: metrics.fd(X, X, None), "extractor = None: must be a classifier or one of"),
        (lambda: metrics.fd(F, F[:, :5], None), "reference = '5 features'"),
    ],
    "metrics.kid": [
        *feats("samples", lambda x: metrics.kid(x, F, C)),
        (lambda: metrics.kid(F, F, C, subsets=0), "subsets = 0: must be an integer ≥ 1"),
        (lambda: metrics.kid(F, F, C, subsets=2.5), "subsets = 2.5"),
        (lambda: metrics.kid(F, F, C, subsets=None), "subsets = None"),
        (lambda: metrics.kid(F, F, C, subset_size=0), "subset_size = 0: must be an integer in 2 …"),
        (lambda: metrics.kid(F, F, C, subset_size=71), "subset_size = 71"),
        (lambda: metrics.kid(F, F, C, subset_size="all"), "subset_size = 'all'"),
        (lambda: metrics.kid(F, F, C, seed="x"), "seed = 'x'"),
        (lambda: metrics.kid(F, F, C, seed=-1), "seed = -1"),
        (lambda: metrics.kid(F, F, C, seed=None), "seed = None"),
    ],
    "metrics.precision_recall": [
        *feats("samples", lambda x: metrics.precision_recall(x, F, C)),
        (lambda: metrics.precision_recall(F, F, C, neighbours=0), "neighbours = 0"),
        (lambda: metrics.precision_recall(F, F, C, neighbours=70), "neighbours = 70: must be"),
        (lambda: metrics.precision_recall(F, F, C, neighbours=1.5), "neighbours = 1.5"),
        (lambda: metrics.precision_recall(F, F, C, neighbours=None), "neighbours = None"),
    ],
    "metrics.floor": [
        *feats("pool", lambda x: metrics.floor(x, 5, C)),
        (lambda: metrics.floor(X, 5), "extractor = None"),
        (lambda: metrics.floor(F, 36), "n = 36: must be an integer in 2 … 35"),
        (lambda: metrics.floor(F, 1), "n = 1"),
        (lambda: metrics.floor(F, None), "n = None"),
        (lambda: metrics.floor(F, "5"), "n = '5'"),
        (lambda: metrics.floor(F, 5, seeds=0), "seeds = 0"),
        (lambda: metrics.floor(F, 5, seeds=[1, 2]), "seeds = [1, 2]"),
    ],
    "metrics.ms_ssim": [
        *pictures("samples", metrics.ms_ssim),
        (lambda: metrics.ms_ssim(F), "samples.shape = (70, 64)"),
        (lambda: metrics.ms_ssim(X[:1]), "samples = '1 picture'"),
        (lambda: metrics.ms_ssim(X[:, :, :4, :4]), "pictures of 5 pixels or more"),
        (lambda: metrics.ms_ssim(X, pairs=0), "pairs = 0"),
        (lambda: metrics.ms_ssim(X, pairs="x"), "pairs = 'x'"),
        (lambda: metrics.ms_ssim(X, seed=None), "seed = None"),
    ],
    "metrics.features": [
        *pictures("images", lambda x: metrics.features(x, C)),
        (lambda: metrics.features(F, C), "images.shape = (70, 64)"),
        (lambda: metrics.features(COLOUR, C), "images = 'colour pictures'"),
        (lambda: metrics.features(X, None), "extractor = None"),
        (lambda: metrics.features(X, ["a"]), "extractor = ['a']"),
        (lambda: metrics.features(X, C, batch_size=0), "batch_size = 0"),
        (lambda: metrics.features(X, C, batch_size=None), "batch_size = None"),
        (lambda: metrics.features(X, C, progress=3), "progress = 3: must be the name of a bar"),
        (lambda: metrics.features(X, C, layer="2048"), "layer = '2048': must be 'features'"),
    ],
    "metrics.feature_extractor": [
        (lambda: metrics.feature_extractor("inception"), "must be a classifier or one of"),
        (lambda: metrics.feature_extractor(7), "extractor = 7"),
        (lambda: metrics.feature_extractor(torch.nn.ReLU()), "classifier = ReLU()"),
        (lambda: metrics.feature_extractor(metrics.INCEPTION, "2049"), "layer = '2049'"),
        (lambda: metrics.feature_extractor(metrics.INCEPTION, 2048), "layer = 2048"),
        (lambda: metrics.feature_extractor(C, ["features"]), "layer = ['features']"),
    ],
    "metrics.extractor_class": [
        (lambda: metrics.extractor_class(None), "classifier = None"),
        (lambda: metrics.extractor_class(torch.nn.ReLU()), "classifier = ReLU()"),
    ],
    "metrics.to_rgb": pictures("x", lambda x: metrics.to_rgb("x", x)),
}
