"""Small classifiers whose features stand in for Inception's on small grey pictures (FD-C, see
``metrics``).
"""

import math
import time

import torch
from torch import nn
from torch.nn import functional as F

from ._checks import require
from .checkpoints import load_weights, read_metadata, save_weights


class Classifier(nn.Module):
    """Convolutional classifier of pictures (N, channels, H, W) in [-1, 1], 8×8 or larger.

    ``features(x)``: (N, 64), the channels of the last convolution averaged over the picture, as in
    Inception-v3 the inputs of the last layer; FD-C compares these.  ``forward(x)``: (N, classes)
    logits.
    stages: pairs of convolutions, between which the size is halved: 2 for 8×8, 3 for 28×28.
    """

    def __init__(self, channels=1, classes=10, stages=2):
        super().__init__()
        require(stages in (2, 3), "stages", stages, "2 (8×8) or 3 (28×28 and more)")
        self.channels = channels
        self.settings = {"channels": channels, "classes": classes, "stages": stages}
        sizes, layers = (channels, *(16, 32, 64)[-stages:]), []
        for c_in, c in zip(sizes, sizes[1:]):
            layers.append(nn.MaxPool2d(2) if layers else nn.Identity())
            for c_from in (c_in, c):
                layers += [
                    nn.Conv2d(c_from, c, 3, padding=1, bias=False),
                    nn.BatchNorm2d(c),
                    nn.ReLU(),
                ]
        self.convolutions = nn.Sequential(*layers)
        self.decide = nn.Linear(c, classes)

    def features(self, x):
        """The (N, 64) inputs of the last layer."""
        return self.convolutions(x).mean((2, 3))

    def forward(self, x):
        return self.decide(F.dropout(self.features(x), 0.2, self.training))


def train_classifier(
    images,
    *,
    epochs,
    stages=2,
    batch_size=128,
    learning_rate=3e-3,
    move=0.1,
    flip=False,
    seed=0,
    progress=True,
):
    """Train a :class:`Classifier` on ``data.Images`` (AdamW, one cycle); returns it.

    move: pictures are shifted by up to this share of their side, and turned by up to 100° times it.
    flip: they are also mirrored left and right (for clothes; not for digits).  Runs on the CPU or
    where CUDA is.
    """
    from tqdm.auto import trange

    from . import scale

    require(epochs >= 1, "epochs", epochs, "1 or more")
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
                loss = F.cross_entropy(
                    model(x), images.labels[rows].to(device), label_smoothing=0.05
                )
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                schedule.step()
    return model.eval()


def accuracy(classifier, images):
    """Share of pictures that the classifier names rightly."""
    device = next(classifier.parameters()).device
    with torch.inference_mode():
        right = sum(
            int(
                (
                    classifier(images.float(rows).to(device)).argmax(1).cpu() == images.labels[rows]
                ).sum()
            )
            for rows in torch.arange(len(images)).split(500)
        )
    return right / len(images)


def _moved(x, move, flip):
    """Each picture shifted, turned and, with ``flip``, mirrored half of the time, at random."""
    n = len(x)
    angle = (2 * torch.rand(n) - 1) * math.radians(100 * move)
    mirror = torch.where(torch.rand(n) < 0.5, -1.0, 1.0) if flip else torch.ones(n)
    right, down = (2 * torch.rand(2, n) - 1) * 2 * move  # in units of half a side
    rows = torch.stack(
        [angle.cos() * mirror, -angle.sin(), right, angle.sin() * mirror, angle.cos(), down]
    )
    grid = F.affine_grid(rows.T.reshape(n, 2, 3), x.shape, align_corners=False)
    return F.grid_sample(x, grid, padding_mode="border", align_corners=False)


RECIPES = {
    "digits": {"epochs": 60, "stages": 2},
    "fashion-mnist": {"epochs": 8, "stages": 3, "move": 0.03, "flip": True},
}


def record_classifier(name, path=None, seed=0, progress=True):
    """Train the classifier ``name`` ("digits" or "fashion-mnist") and record its weights; returns
    its test accuracy.

    path: by default ``results/weights/<name>-classifier.safetensors``.
    """
    from . import data, results

    require(name in RECIPES, "name", name, f"one of {', '.join(RECIPES)}")
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


def load_classifier(name="digits", path=None):
    """The recorded classifier ``name`` ("digits" or "fashion-mnist"), in eval mode, on the current
    scale's device.

    path: another file of ``save_weights`` with the settings in its metadata.
    Raises ValueError for an unknown name or a file that is damaged or not a classifier's.
    """
    from . import results, scale

    require(path is not None or name in RECIPES, "name", name, f"one of {', '.join(RECIPES)}")
    path = path or results.weights(f"{name}-classifier")
    settings = read_metadata(path).get("settings", {})
    try:
        model = Classifier(**settings)
    except TypeError as error:
        raise ValueError(
            f"{path}: not the weights of a classifier (settings {settings})"
        ) from error
    return load_weights(path, model).to(scale.device()).eval().requires_grad_(False)
