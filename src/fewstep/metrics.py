"""How good are samples? Distances between sets of pictures, by torch-fidelity and torchmetrics.

Every measure here but MS-SSIM and ``bits_per_dim`` compares *features* of pictures: numbers that a
fixed network computes from each one. The Fréchet distance between Gaussians fitted to two sets of
features is

    FD = |μ₁ − μ₂|² + tr(Σ₁ + Σ₂ − 2 (Σ₁Σ₂)^½).

With the 2048 features of Inception-v3 it is FID, and only then it bears that name (:func:`fid`). On
small grey pictures the course takes a small classifier's features instead and calls the result FD-C
(:func:`fd_c`); the code is the same.

Pictures are (N, C, H, W) with one or three channels: float in [-1, 1] or uint8, or ``data.Images``.
As for FID everywhere they are clipped, rounded to 8 bits and, if grey, given three equal channels.
Where pictures are taken, their features (N, D) are too: a reference that serves many times is
turned into features once, ``reference = features(images, classifier)``.
"""

import functools
import math
import warnings
from typing import Any, TypeAlias

import torch
from torch import nn

from . import losses, scale
from ._checks import choice, count, finite, require, state
from .data import Images, require_pictures

INCEPTION = "inception-v3-compat"
PATIENCE = 20.0  # seconds that a download may go without an answer

Pictures: TypeAlias = torch.Tensor | Images
Extractor: TypeAlias = nn.Module | str | None  # None where features are given, not pictures


def fid(samples: Pictures, reference: Pictures) -> float:
    """Fréchet Inception Distance: FD of the 2048 Inception-v3 features (Heusel et al. 2017).

    samples, reference: pictures; the reference may be ``features(images, INCEPTION)``.
    The weights (91 MB) are downloaded at first use; raises RuntimeError with instructions when that
    fails.
    """
    return fd(samples, reference, INCEPTION)


def fd_c(samples: Pictures, reference: Pictures, classifier: nn.Module) -> float:
    """Fréchet distance of a classifier's features; not comparable with FID, so never call it that.

    samples, reference: pictures; the reference may be ``features(images, classifier)``.
    """
    _require_classifier("classifier", classifier)
    return fd(samples, reference, classifier)


def fd(
    samples: Pictures, reference: Pictures, extractor: Extractor, layer: str | None = None
) -> float:
    """Fréchet distance of any extractor's features.

    samples, reference: pictures or features.  extractor, layer: see :func:`features`.
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
                f"{name}: {len(f)} pictures for {f.shape[1]} features; their covariance is "
                "singular and the distance mostly bias. "
                "Compare it with floor() at the same size only.",
                stacklevel=3,
            )
        statistics.append(fid_features_to_statistics(f))
    return fid_statistics_to_metric(*statistics, verbose=False)[KEY_METRIC_FID]


def kid(
    samples: Pictures,
    reference: Pictures,
    extractor: Extractor = INCEPTION,
    *,
    layer: str | None = None,
    subsets: int = 100,
    subset_size: int | None = None,
    seed: int = 0,
) -> tuple[float, float]:
    """Kernel distance (MMD², cubic kernel) of features: mean and std over random subsets.

    Unbiased, so it may be slightly negative (Bińkowski et al. 2018).
    samples, reference: pictures or features.  extractor, layer: see :func:`features`.
    subsets: how many.  subset_size: pictures in each; None for 1000, or half of the smaller set if
    that is less (a subset that is the whole set would give a std of 0).
    """
    from torch_fidelity.metric_kid import (
        KEY_METRIC_KID_MEAN,
        KEY_METRIC_KID_STD,
        kid_features_to_metric,
    )

    count("subsets", subsets)
    _require_seed(seed)
    pair = _pair(samples, reference, extractor, layer)
    smaller = min(len(f) for f in pair.values())
    if subset_size is None:
        subset_size = max(2, min(1000, smaller // 2))
    count("subset_size", subset_size, 2, smaller)
    out = kid_features_to_metric(
        *pair.values(),
        kid_subsets=subsets,
        kid_subset_size=subset_size,
        rng_seed=seed,
        verbose=False,
    )
    return out[KEY_METRIC_KID_MEAN], out[KEY_METRIC_KID_STD]


def precision_recall(
    samples: Pictures,
    reference: Pictures,
    extractor: Extractor = INCEPTION,
    *,
    layer: str | None = None,
    neighbours: int = 3,
) -> tuple[float, float]:
    """Share of samples among the real pictures, and of real ones among the samples.

    Among a set is what lies in the union of balls that reach each member's k-th nearest
    (Kynkäänniemi et al. 2019).
    samples, reference: pictures or features.  extractor, layer: see :func:`features`.
    neighbours: k.
    """
    from torch_fidelity.metric_prc import (
        KEY_METRIC_PRECISION,
        KEY_METRIC_RECALL,
        prc_features_to_metric,
    )

    pair = _pair(samples, reference, extractor, layer)
    count("neighbours", neighbours, 1, min(len(f) for f in pair.values()) - 1)
    out = prc_features_to_metric(
        *pair.values(), prc_neighborhood=neighbours, save_cpu_ram=True, verbose=False
    )
    return out[KEY_METRIC_PRECISION], out[KEY_METRIC_RECALL]


def floor(
    pool: Pictures, n: int, extractor: Extractor = None, seeds: int = 5
) -> tuple[float, float]:
    """Real against real: mean and std of FD between two disjoint random sets of n real pictures.

    It is what fresh real pictures would score; a sampler that copies the reference's own pictures
    can come out below it.
    pool: real pictures, or their features (then the extractor is not needed), 2n or more.
    seeds: how many random splits.
    """
    count("n", n, 2)
    count("seeds", seeds)
    f = _features("pool", _checked("pool", pool), extractor, None)
    count("n", n, 2, len(f) // 2)  # half of the pool
    values = torch.empty(seeds, dtype=torch.float64)
    for seed in range(seeds):
        order = torch.randperm(len(f), generator=torch.Generator().manual_seed(seed))
        values[seed] = fd(f[order[:n]], f[order[n : 2 * n]], None)
    return float(values.mean()), float(values.std(correction=min(1, seeds - 1)))


def ms_ssim(samples: Pictures, pairs: int = 1000, seed: int = 0) -> float:
    """Mean multi-scale structural similarity of random pairs: high means little variety.

    Five scales and a window of 11 pixels ask for pictures of 176 (Wang et al. 2003); smaller ones
    get as many of the five scales as keep the smallest at least a window wide, with weights that
    add up to 1 (64: 3 scales, 28 and 32: 2), and below 22 pixels a window of 5 (8: 1 scale, plain
    SSIM). Compare values at equal picture size only.
    """
    from torchmetrics.functional.image import (
        multiscale_structural_similarity_index_measure as similarity,
    )

    count("pairs", pairs)
    _require_seed(seed)
    x = to_rgb("samples", samples)[:, : samples.shape[-3]].float()
    require(len(x) >= 2, "samples", f"{len(x)} picture", "2 or more")
    side = min(x.shape[2:])
    sigma, window = (1.5, 11) if side >= 22 else (0.5, 5)
    allowed = f"pictures of {window} pixels or more"
    require(side >= window, "samples.shape", tuple(x.shape), allowed)
    betas = torch.tensor((0.0448, 0.2856, 0.3001, 0.2363, 0.1333))
    betas = betas[: 1 + int(math.log2(side / window))]
    generator = torch.Generator().manual_seed(seed)
    first = torch.randint(len(x), (pairs,), generator=generator)
    second = first + torch.randint(1, len(x), (pairs,), generator=generator)
    second %= len(x)  # never the same picture
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


@torch.no_grad()
def bits_per_dim(
    denoiser: nn.Module,
    x0: torch.Tensor,
    labels: torch.Tensor | None = None,
    *,
    levels: torch.Tensor | None = None,
    calls: int | None = None,
    v: float | None = None,
    values: int = 256,
    seed: int = 0,
    batch_size: int = 256,
) -> torch.Tensor:
    """Upper bound on −log₂ p(x0) per dimension, for each picture: L_T + T · mean of ``losses.vlb``.

    denoiser: a ``preconditioning.Denoiser`` trained on a chain.
    x0: (N, ...), of so many ``values`` equally spaced on [-1, 1].  labels: (N,) or None.
    levels: (T,), decreasing, by default the denoiser's, all of them.
    calls: network calls a picture, each at a level drawn from another of so many equal parts of the
    chain; None: T, one a level.  v: see ``losses.vlb``.  seed: of noise and levels.
    Returns (N,) float64 on the CPU. Its mean over pictures is an unbiased estimate of the bound.
    """
    state("x0", x0)
    finite("x0", x0)
    if levels is None:
        levels = getattr(denoiser, "levels", None)
    require(isinstance(levels, torch.Tensor), "levels", levels, "a tensor (T,), or a chain's")
    assert isinstance(levels, torch.Tensor)
    calls = len(levels) if calls is None else count("calls", calls, 1, len(levels))
    count("batch_size", batch_size)
    generator = torch.Generator().manual_seed(count("seed", seed, 0))
    device = next((p.device for p in denoiser.parameters()), torch.device("cpu"))
    x0, levels = x0.cpu(), levels.to(device)
    total = losses.prior(x0.double(), float(levels[0]))
    for call in range(calls):
        u = (call + torch.rand(len(x0), generator=generator, dtype=torch.float64)) / calls
        noise = torch.randn(x0.shape, generator=generator)
        for rows in torch.arange(len(x0)).split(batch_size):
            given = None if labels is None else labels[rows.to(labels.device)].to(device)
            x, at, z = (part[rows].to(device) for part in (x0, u, noise))
            term = losses.vlb(denoiser, x, at, z, given, levels=levels, v=v, values=values)
            total[rows] += len(levels) / calls * term.double().cpu()
    return total


def features(
    images: Pictures, extractor: nn.Module | str, layer: str | None = None, batch_size: int = 256
) -> torch.Tensor:
    """Features of pictures: (N, D) float32 on the CPU, by torch-fidelity's extractor.

    extractor: a ``classifiers.Classifier``, or a name that torch-fidelity knows:
    "inception-v3-compat", "dinov2-vit-s-14", one given to its ``register_feature_extractor``.
    layer: one of that extractor's layers (Inception-v3: "64", "192", "768", "2048"); None for
    the one of FID.
    Raises ValueError for colour pictures where the classifier takes grey ones.
    """
    count("batch_size", batch_size)
    return _features("images", to_rgb("images", images), extractor, layer, batch_size)


def feature_extractor(extractor: Extractor, layer: str | None = None) -> nn.Module:
    """A torch-fidelity feature extractor with one layer, from a classifier or a registered name.

    Raises ValueError for an unknown name or layer, RuntimeError when its weights cannot be had.
    """
    from torch_fidelity.registry import FEATURE_EXTRACTORS_REGISTRY as known

    if isinstance(extractor, nn.Module):
        cls = extractor_class(extractor)
        allowed = "'features', the only layer of a classifier"
        require(layer in (None, "features"), "layer", layer, allowed)
        return cls("classifier", ["features"])
    allowed = f"a classifier or one of {', '.join(sorted(known))}"
    require(isinstance(extractor, str) and extractor in known, "extractor", extractor, allowed)
    layer = known[extractor].get_default_feature_layer_for_metric("fid") if layer is None else layer
    choice("layer", layer, known[extractor].get_provided_features_list())
    return _named_extractor(extractor, layer)


def extractor_class(classifier: Any) -> type[nn.Module]:
    """A class for torch-fidelity's ``register_feature_extractor``: a classifier's features."""
    from torch_fidelity import FeatureExtractorBase

    _require_classifier("classifier", classifier)

    class ClassifierFeatures(FeatureExtractorBase):
        def __init__(self, name: str, features_list: list[str], **options: Any):
            super().__init__(name, features_list)
            self.classifier = classifier.eval()

        @staticmethod
        def get_provided_features_list() -> tuple[str, ...]:
            return ("features",)

        @staticmethod
        def get_default_feature_layer_for_metric(metric: str) -> str:
            return "features"

        @staticmethod
        def can_be_compiled() -> bool:
            return False

        def forward(self, x: torch.Tensor) -> tuple[torch.Tensor]:
            x = x.float().div(127.5).sub(1)[:, : self.classifier.channels]
            return (self.classifier.features(x),)

    return ClassifierFeatures


@functools.lru_cache(maxsize=2)
def _named_extractor(name: str, layer: str) -> nn.Module:
    import socket

    from torch_fidelity.registry import FEATURE_EXTRACTORS_REGISTRY as known

    patience = socket.getdefaulttimeout()
    socket.setdefaulttimeout(PATIENCE)
    try:
        network = known[name](name, [layer], verbose=False)
    except (OSError, RuntimeError) as error:  # URLError is an OSError
        raise RuntimeError(_no_weights(name, error)) from error
    finally:
        socket.setdefaulttimeout(patience)
    return network.eval().requires_grad_(False).to(scale.device())


def _no_weights(name: str, error: Exception) -> str:
    text = f"extractor {name!r}: its weights could not be had ({error})."
    if name == INCEPTION:
        from torch_fidelity.feature_extractor_inceptionv3 import URL_INCEPTION_V3 as url

        text += (
            f" By hand: download {url} and put it into {torch.hub.get_dir()}/checkpoints."
            " Without it use fd_c with a classifier; its values are not FID."
        )
    return text


def to_rgb(name: str, images: Pictures) -> torch.Tensor:
    """Pictures as torch-fidelity takes them: (N, 3, H, W) uint8; floats are clipped and rounded.

    name: of the argument, for messages.
    Raises ValueError for a wrong shape or type, NaN, or values mostly beyond [-1, 1].
    """
    x = images.x if isinstance(images, Images) else images
    require_pictures(name, x)
    if x.dtype != torch.uint8:
        x = x.detach()
        beyond = float((x.abs() > 1.5).float().mean())
        found = f"{beyond:.0%} of the values beyond ±1.5"
        require(beyond < 0.5, name, found, "pictures in [-1, 1]")
        x = x.float().clamp(-1, 1).add(1).mul(127.5).round().to(torch.uint8)
    return x.expand(-1, 3, -1, -1)


def _checked(name: str, images: Pictures) -> torch.Tensor:
    """Features as they are, (N, D) float32 on the CPU; pictures as (N, 3, H, W) uint8."""
    if isinstance(images, torch.Tensor) and images.ndim == 2:
        good = images.is_floating_point() and torch.isfinite(images).all()
        require(good, name, images, "finite floating-point features (N, D)")
        x = images.detach().float().cpu()
    else:
        x = to_rgb(name, images)
    require(len(x) >= 2, name, f"{len(x)} picture", "2 or more")
    return x


def _features(
    name: str, x: torch.Tensor, extractor: Extractor, layer: str | None, batch_size: int = 256
) -> torch.Tensor:
    """Features of what ``to_rgb`` or ``_checked`` gave."""
    if x.ndim == 2:
        return x
    network = feature_extractor(extractor, layer)
    if getattr(getattr(network, "classifier", None), "channels", 3) == 1:
        grey = (x == x[:, :1]).all()
        require(grey, name, "colour pictures", "grey, as this classifier takes them")
    device = next((p.device for p in network.parameters()), torch.device("cpu"))
    with torch.inference_mode():
        parts = [network(batch.to(device))[0].float().cpu() for batch in x.split(batch_size)]
    return torch.cat(parts).clone()


def _pair(
    samples: Pictures, reference: Pictures, extractor: Extractor, layer: str | None
) -> dict[str, torch.Tensor]:
    given = {"samples": samples, "reference": reference}
    checked = {name: _checked(name, x) for name, x in given.items()}
    pair = {name: _features(name, x, extractor, layer) for name, x in checked.items()}
    a, b = pair["samples"].shape[1], pair["reference"].shape[1]
    require(a == b, "reference", f"{b} features", f"{a} features, as the samples have")
    return pair


def _require_classifier(argument: str, classifier: Any) -> None:
    known = isinstance(classifier, nn.Module) and hasattr(classifier, "features")
    known = known and isinstance(getattr(classifier, "channels", None), int)
    require(known, argument, classifier, "a module with .channels and .features(x), a Classifier")


def _require_seed(seed: Any) -> None:
    count("seed", seed, 0, 2**32 - 1)
