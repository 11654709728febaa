"""Small classifiers whose features stand in for Inception's on small grey pictures.

The Fréchet distance of these features is FD-C, see ``metrics``.
"""

import math
import time
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from ._checks import choice, count, describe, number, require, safetensors_file
from .checkpoints import fingerprint, load_weights, read_metadata, save_weights
from .data import Images


class Classifier(nn.Module):
    """Convolutional classifier of pictures (N, channels, H, W) in [-1, 1], 8×8 or larger.

    classes: how many.  stages: pairs of convolutions, between which the size is halved; 2 for 8×8,
    3 for 28×28.
    """

    def __init__(self, channels: int = 1, classes: int = 10, stages: int = 2):
        super().__init__()
        count("channels", channels)
        count("classes", classes)
        require(count("stages", stages) in (2, 3), "stages", stages, "2 (8×8) or 3 (28×28)")
        self.channels = channels
        self.settings = {"channels": channels, "classes": classes, "stages": stages}
        sizes = (channels, *(16, 32, 64)[-stages:])
        layers: list[nn.Module] = []
        for c_in, c in zip(sizes, sizes[1:]):
            layers.append(nn.MaxPool2d(2) if layers else nn.Identity())
            for c_from in (c_in, c):
                convolution = nn.Conv2d(c_from, c, 3, padding=1, bias=False)
                layers += [convolution, nn.BatchNorm2d(c), nn.ReLU()]
        self.convolutions = nn.Sequential(*layers)
        self.decide = nn.Linear(c, classes)

    def features(self, x: torch.Tensor) -> torch.Tensor:
        """The inputs of the last layer, (N, 64): channels averaged over the picture.

        They are what FD-C compares, as FID does those of Inception-v3.
        """
        return self.convolutions(x).mean((2, 3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits, (N, classes)."""
        return self.decide(F.dropout(self.features(x), 0.2, self.training))


def train_classifier(
    images: Images,
    *,
    epochs: int,
    stages: int = 2,
    batch_size: int = 128,
    learning_rate: float = 3e-3,
    move: float = 0.1,
    flip: bool = False,
    seed: int = 0,
    progress: bool = True,
) -> Classifier:
    """Train a :class:`Classifier` (AdamW, one cycle) on the current scale's device.

    move: pictures are shifted by up to this share of their side, and turned by up to 100° times it.
    flip: they are also mirrored left and right (for clothes; not for digits).
    """
    from tqdm.auto import trange

    from . import scale

    require(isinstance(images, Images), "images", images, "a data.Images")
    count("epochs", epochs)
    count("batch_size", batch_size)
    number("learning_rate", learning_rate, above=0)
    number("move", move, at_least=0, at_most=1)
    count("seed", seed, 0, 2**63 - 1)
    device, n = scale.device(), len(images)
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        model = Classifier(images.shape[0], len(images.classes), stages).to(device).train()
        optimizer = torch.optim.AdamW(
            model.parameters(), learning_rate, weight_decay=0.05, fused=True
        )
        steps = -(-n // batch_size) * epochs
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, learning_rate, total_steps=steps, pct_start=0.2
        )
        for _ in trange(epochs, desc="classifier", unit="epoch", disable=not progress, delay=2):
            for rows in torch.randperm(n).split(batch_size):
                x = _moved(images.float(rows), move, flip).to(device)
                labels = images.labels[rows].to(device)
                loss = F.cross_entropy(model(x), labels, label_smoothing=0.05)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                schedule.step()
    return model.eval()


def accuracy(classifier: nn.Module, images: Images) -> float:
    """Share of pictures that the classifier names rightly."""
    require(isinstance(classifier, nn.Module), "classifier", classifier, "a Classifier")
    require(isinstance(images, Images), "images", images, "a data.Images")
    device, right = next(classifier.parameters()).device, 0
    with torch.inference_mode():
        for rows in torch.arange(len(images)).split(500):
            named = classifier(images.float(rows).to(device)).argmax(1).cpu()
            right += int((named == images.labels[rows]).sum())
    return right / len(images)


def _moved(x: torch.Tensor, move: float, flip: bool) -> torch.Tensor:
    """Each picture shifted, turned and, with ``flip``, mirrored half of the time, at random."""
    n = len(x)
    angle = (2 * torch.rand(n) - 1) * math.radians(100 * move)
    mirror = torch.where(torch.rand(n) < 0.5, -1.0, 1.0) if flip else torch.ones(n)
    right, down = (2 * torch.rand(2, n) - 1) * 2 * move  # in units of half a side
    rows = torch.stack(
        [angle.cos() * mirror, -angle.sin(), right, angle.sin() * mirror, angle.cos(), down]
    )
    grid = F.affine_grid(rows.T.reshape(n, 2, 3), list(x.shape), align_corners=False)
    return F.grid_sample(x, grid, padding_mode="border", align_corners=False)


RECIPES: dict[str, dict[str, Any]] = {
    "digits": {"epochs": 60, "stages": 2},
    "fashion-mnist": {"epochs": 8, "stages": 3, "move": 0.03, "flip": True},
}


def record_classifier(
    name: str, path: str | Path | None = None, seed: int = 0, progress: bool = True
) -> float:
    """Train a classifier, record its weights, and return its test accuracy.

    name: "digits" or "fashion-mnist".
    path: None for ``results/weights/<name>-classifier.safetensors``.
    """
    from . import data, results

    choice("name", name, list(RECIPES))
    count("seed", seed, 0, 2**63 - 1)
    _require_path(path)
    if name == "digits":
        test, train = data.digits().split(897, seed=0)
    else:
        train, test = data.fashion_mnist("train"), data.fashion_mnist("test")
    started = time.perf_counter()
    model = train_classifier(train, **RECIPES[name], seed=seed, progress=progress)
    seconds = round(time.perf_counter() - started, 1)
    metadata = {
        "settings": model.settings,
        "training": {**RECIPES[name], "seed": seed, "images": f"{train.name}: {len(train)}"},
        "test_accuracy": accuracy(model, test),
        "test_images": len(test),
        "seconds": seconds,
        **results.provenance(),
    }
    save_weights(path or results.weights(f"{name}-classifier"), model, metadata)
    return metadata["test_accuracy"]


def own_classifier(images: Images, path: str | Path, progress: bool = True) -> Classifier:
    """A classifier of these pictures, trained once and kept: FD-C for data of one's own.

    images: of two classes or more.  path: the file that keeps it; one of other pictures is refused.
    Nine tenths are trained on; the accuracy on the rest is in the file's metadata.
    """
    require(isinstance(images, Images), "images", images, "a data.Images")
    require(len(images.classes) > 1, "images.classes", images.classes, "two classes or more")
    safetensors_file("path", path)
    of = fingerprint(images.x, images.labels)
    if Path(path).exists():
        there = read_metadata(path).get("images")
        require(there == of, "path", str(path), f"a classifier of these pictures ({of}): {there}")
        return load_classifier(path=path)
    train, test = images.split(len(images) * 9 // 10)
    sizes: dict[str, Any] = {"epochs": 40, "stages": 3 if min(images.shape[1:]) > 16 else 2}
    model = train_classifier(train, **sizes, flip=True, progress=progress)
    metadata = {"settings": model.settings, "training": sizes, "images": of}
    save_weights(path, model, {**metadata, "test_accuracy": accuracy(model, test)})
    return model.requires_grad_(False)


def load_classifier(name: str = "digits", path: str | Path | None = None) -> Classifier:
    """A recorded classifier in eval mode, on the current scale's device.

    name: "digits" or "fashion-mnist".
    path: another file of ``save_weights`` with the settings in its metadata.
    Raises ValueError for an unknown name or a file that is damaged or not a classifier's.
    """
    from . import results, scale

    if path is None:
        path = results.weights(f"{choice('name', name, list(RECIPES))}-classifier")
    _require_path(path)
    metadata = read_metadata(path)
    try:
        settings = metadata.get("settings", {})
        model = Classifier(**settings)
    except (AttributeError, TypeError, ValueError) as error:
        text = f"{path}: not the weights of a classifier (metadata {describe(metadata)})"
        raise ValueError(text) from error
    return load_weights(path, model).to(scale.device()).eval().requires_grad_(False)


def _require_path(path: Any) -> None:
    if path is not None:
        safetensors_file("path", path)
