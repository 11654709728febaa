"""How good are samples? Distances between sets of pictures, through torch-fidelity and
torchmetrics.

Every measure here but MS-SSIM compares *features* of pictures: numbers that a fixed network
computes from each one. The Fréchet distance between Gaussians fitted to two sets of features is

    FD = |μ₁ − μ₂|² + tr(Σ₁ + Σ₂ − 2 (Σ₁Σ₂)^½).

With the 2048 features of Inception-v3 it is FID, and only then it bears that name (:func:`fid`). On
small grey pictures the course takes a small classifier's features instead and calls the result FD-C
(:func:`fd_c`); the code is the same.

Pictures are (N, C, H, W) with one or three channels: float in [-1, 1] or uint8, or ``data.Images``.
As for FID everywhere they are clipped, rounded to 8 bits and, if grey, given three equal channels.
A reference that serves many
times can be turned into features once: ``reference = features(images, classifier)``.
"""

import functools
import math
import warnings

import torch

from . import scale
from ._checks import require
from .classifiers import Classifier, load_classifier, train_classifier

__all__ = [
    "INCEPTION",
    "fid",
    "fd_c",
    "fd",
    "kid",
    "precision_recall",
    "floor",
    "ms_ssim",
    "features",
    "feature_extractor",
    "extractor_class",
    "to_rgb",
    "Classifier",
    "load_classifier",
    "train_classifier",
]

INCEPTION = "inception-v3-compat"
PATIENCE = 20.0  # seconds that a download may go without an answer


def fid(samples, reference):
    """Fréchet Inception Distance: FD of the 2048 Inception-v3 features (Heusel et al. 2017).

    samples, reference: pictures; the reference may be ``features(images, INCEPTION)``. The weights
    (91 MB) are downloaded at first use; raises RuntimeError with instructions when that fails.
    """
    return fd(samples, reference, INCEPTION)


def fd_c(samples, reference, classifier):
    """Fréchet distance of a classifier's features.

    Never call it FID: the numbers are not comparable.

    samples, reference: pictures; the reference may be ``features(images, classifier)``.
    """
    return fd(samples, reference, classifier)


def fd(samples, reference, extractor, layer=None):
    """Fréchet distance of any extractor's features; see :func:`features` for the arguments.

    Warns when a set has no more pictures than features: its covariance is then singular and the
    bias large.
    """
    from torch_fidelity.metric_fid import (
        KEY_METRIC_FID,
        fid_features_to_statistics,
        fid_statistics_to_metric,
    )

    statistics = []
    for name, f in _pair(samples, reference, extractor, layer).items():
        if len(f) <= f.shape[1]:
            warnings.warn(
                f"{name}: {len(f)} pictures for {f.shape[1]} features; their covariance is singular and the "
                "distance mostly bias. Compare it with floor() at the same size only.",
                stacklevel=3,
            )
        statistics.append(fid_features_to_statistics(f))
    return fid_statistics_to_metric(*statistics, verbose=False)[KEY_METRIC_FID]


def kid(
    samples, reference, extractor=INCEPTION, *, layer=None, subsets=100, subset_size=None, seed=0
):
    """Kernel distance (MMD², cubic kernel) of features: mean and std over random subsets
    (Bińkowski et al. 2018).

    Unbiased, so it may be slightly negative. subset_size: pictures per subset; 1000, or half of the
    smaller set if that is less (a subset that is the whole set would give a std of 0).
    """
    from torch_fidelity.metric_kid import (
        KEY_METRIC_KID_MEAN,
        KEY_METRIC_KID_STD,
        kid_features_to_metric,
    )

    pair = _pair(samples, reference, extractor, layer)
    smaller = min(len(f) for f in pair.values())
    subset_size = subset_size or max(2, min(1000, smaller // 2))
    require(
        2 <= subset_size <= smaller,
        "subset_size",
        subset_size,
        f"2 to {smaller}, the size of the smaller set",
    )
    out = kid_features_to_metric(
        *pair.values(),
        kid_subsets=subsets,
        kid_subset_size=subset_size,
        rng_seed=seed,
        verbose=False,
    )
    return out[KEY_METRIC_KID_MEAN], out[KEY_METRIC_KID_STD]


def precision_recall(samples, reference, extractor=INCEPTION, *, layer=None, neighbours=3):
    """Precision: share of samples within the real pictures' neighbourhood; recall: the other way
    round.

    A set's neighbourhood is the union of balls that reach each member's k-th nearest (Kynkäänniemi
    et al. 2019).
    """
    from torch_fidelity.metric_prc import (
        KEY_METRIC_PRECISION,
        KEY_METRIC_RECALL,
        prc_features_to_metric,
    )

    pair = _pair(samples, reference, extractor, layer)
    smaller = min(len(f) for f in pair.values())
    require(1 <= neighbours < smaller, "neighbours", neighbours, f"1 to {smaller - 1}")
    out = prc_features_to_metric(
        *pair.values(), prc_neighborhood=neighbours, save_cpu_ram=True, verbose=False
    )
    return out[KEY_METRIC_PRECISION], out[KEY_METRIC_RECALL]


def floor(pool, n, extractor=None, seeds=5):
    """Real against real: mean and std of FD between two disjoint random sets of n real pictures.

    It is what fresh real pictures would score; a sampler that copies the reference's own pictures
    can come out below it.
    pool: real pictures, or their features (then ``extractor`` is not needed).
    seeds: how many random splits. Raises ValueError when the pool has fewer than 2n pictures.
    """
    f = _as_features("pool", pool, extractor)
    require(2 <= n <= len(f) // 2, "n", n, f"2 to {len(f) // 2}, half of the pool")
    require(seeds >= 1, "seeds", seeds, "1 or more")
    values = []
    for seed in range(seeds):
        order = torch.randperm(len(f), generator=torch.Generator().manual_seed(seed))
        values.append(fd(f[order[:n]], f[order[n : 2 * n]], None))
    values = torch.tensor(values, dtype=torch.float64)
    return float(values.mean()), float(values.std(correction=min(1, seeds - 1)))


def ms_ssim(samples, pairs=1000, seed=0):
    """Mean multi-scale structural similarity of random pairs of samples: high means little variety
    (Wang et al. 2003).

    Five scales and a window of 11 pixels ask for pictures of 176; smaller ones get as many of the
    five scales as keep the smallest at least a window wide, with weights that add up to 1 (64: 3
    scales, 28 and 32: 2), and below 22 pixels a window of 5 (8: 1 scale, plain SSIM). Compare
    values at equal picture size only.
    """
    from torchmetrics.functional.image import (
        multiscale_structural_similarity_index_measure as similarity,
    )

    x = to_rgb("samples", samples)[:, : samples.shape[1]].float()
    require(len(x) >= 2, "samples", f"{len(x)} picture", "2 or more")
    require(pairs >= 1, "pairs", pairs, "1 or more")
    side = min(x.shape[2:])
    sigma, window = (1.5, 11) if side >= 22 else (0.5, 5)
    require(
        side >= window,
        "samples.shape",
        tuple(samples.shape),
        f"pictures of {window} pixels or more",
    )
    betas = torch.tensor((0.0448, 0.2856, 0.3001, 0.2363, 0.1333))[
        : 1 + int(math.log2(side / window))
    ]
    generator = torch.Generator().manual_seed(seed)
    first = torch.randint(len(x), (pairs,), generator=generator)
    second = (first + torch.randint(1, len(x), (pairs,), generator=generator)) % len(
        x
    )  # never the same picture
    total = 0.0
    for i, j in zip(first.split(100), second.split(100)):
        value = similarity(
            x[i],
            x[j],
            sigma=sigma,
            kernel_size=window,
            data_range=255.0,
            reduction="sum",
            betas=tuple((betas / betas.sum()).tolist()),
            normalize="relu",
        )
        total += float(value)
    return total / pairs


def features(images, extractor, layer=None, batch_size=256):
    """Features of pictures: (N, D) float32 on the CPU, by torch-fidelity's extractor.

    extractor: a :class:`Classifier`, or a name that torch-fidelity knows: "inception-v3-compat",
    "dinov2-vit-s-14", one given to its ``register_feature_extractor``.  layer: one of that
    extractor's layers (Inception-v3: "64", "192", "768", "2048"); by default the one for FID.
    """
    network = feature_extractor(extractor, layer)
    x = to_rgb("images", images)
    device = next((p.device for p in network.parameters()), torch.device("cpu"))
    with torch.inference_mode():
        parts = [network(batch.to(device))[0].float().cpu() for batch in x.split(batch_size)]
    return torch.cat(parts).clone()


def feature_extractor(extractor, layer=None):
    """A torch-fidelity feature extractor with one layer, from a classifier or a registered name.

    Raises ValueError for an unknown name or layer, RuntimeError when its weights cannot be had.
    """
    if isinstance(extractor, torch.nn.Module):
        name = "classifier"
        cls = extractor_class(extractor)
        require(
            layer in (None, "features"),
            "layer",
            layer,
            "'features', the only layer of a classifier",
        )
        return cls(name, ["features"])
    return _named_extractor(extractor, layer)


def extractor_class(classifier):
    """A class for torch-fidelity's ``register_feature_extractor`` that computes this classifier's
    features.
    """
    from torch_fidelity import FeatureExtractorBase

    class ClassifierFeatures(FeatureExtractorBase):
        def __init__(self, name, features_list, **options):
            super().__init__(name, features_list)
            self.classifier = classifier.eval()

        @staticmethod
        def get_provided_features_list():
            return ("features",)

        @staticmethod
        def get_default_feature_layer_for_metric(metric):
            return "features"

        @staticmethod
        def can_be_compiled():
            return False

        def forward(self, x):
            x = x.float().div(127.5).sub(1)[:, : self.classifier.channels]
            return (self.classifier.features(x),)

    return ClassifierFeatures


@functools.lru_cache(maxsize=2)
def _named_extractor(name, layer):
    import socket

    from torch_fidelity.registry import FEATURE_EXTRACTORS_REGISTRY as known

    require(name in known, "extractor", name, f"a classifier or one of {', '.join(sorted(known))}")
    layers = known[name].get_provided_features_list()
    layer = layer or known[name].get_default_feature_layer_for_metric("fid")
    require(layer in layers, "layer", layer, f"one of {', '.join(layers)}")
    patience = socket.getdefaulttimeout()
    socket.setdefaulttimeout(PATIENCE)
    try:
        network = known[name](name, [layer], verbose=False)
    except (OSError, RuntimeError) as error:  # URLError is an OSError
        raise RuntimeError(_no_weights(name, error)) from error
    finally:
        socket.setdefaulttimeout(patience)
    return network.eval().requires_grad_(False).to(scale.device())


def _no_weights(name, error):
    text = f"extractor {name!r}: its weights could not be had ({error})."
    if name == INCEPTION:
        from torch_fidelity.feature_extractor_inceptionv3 import URL_INCEPTION_V3 as url

        text += (
            f" By hand: download {url} and put it into {torch.hub.get_dir()}/checkpoints."
            " Without it use fd_c with a classifier; its values are not FID."
        )
    return text


def to_rgb(name, images):
    """Pictures as torch-fidelity takes them: uint8, three channels.

    Floats in [-1, 1] are clipped and rounded.

    Raises ValueError naming the argument ``name`` for a wrong shape or dtype, NaN, or values mostly
    beyond [-1, 1].
    """
    x = images if isinstance(images, torch.Tensor) else images.x
    require(
        x.ndim == 4 and x.shape[1] in (1, 3) and len(x) > 0,
        f"{name}.shape",
        tuple(x.shape),
        "(N, 1, H, W) or (N, 3, H, W) with N > 0",
    )
    require(
        x.dtype == torch.uint8 or x.is_floating_point(),
        f"{name}.dtype",
        x.dtype,
        "torch.uint8 or a floating type",
    )
    if x.dtype != torch.uint8:
        x = x.detach()
        require(bool(torch.isfinite(x).all()), name, "NaN or infinity", "finite everywhere")
        beyond = float((x.abs() > 1.5).float().mean())
        require(
            beyond < 0.5, name, f"{beyond:.0%} of the values beyond ±1.5", "pictures in [-1, 1]"
        )
        x = x.float().clamp(-1, 1).add(1).mul(127.5).round().to(torch.uint8)
    return x.expand(-1, 3, -1, -1)


def _as_features(name, images, extractor, layer=None):
    """Features as they are (a 2-D float tensor), pictures through the extractor."""
    if isinstance(images, torch.Tensor) and images.ndim == 2:
        require(
            images.is_floating_point() and bool(torch.isfinite(images).all()),
            name,
            images.dtype,
            "finite floating-point features (N, D)",
        )
        f = images.float().cpu()
    else:
        require(
            extractor is not None,
            "extractor",
            None,
            "a classifier or a name, to turn pictures into features",
        )
        f = features(to_rgb(name, images), extractor, layer)
    require(len(f) >= 2, name, f"{len(f)} picture", "2 or more")
    return f


def _pair(samples, reference, extractor, layer):
    pair = {
        "samples": _as_features("samples", samples, extractor, layer),
        "reference": _as_features("reference", reference, extractor, layer),
    }
    a, b = pair["samples"].shape[1], pair["reference"].shape[1]
    require(a == b, "reference", f"{b} features", f"{a} features, as the samples have")
    return pair
