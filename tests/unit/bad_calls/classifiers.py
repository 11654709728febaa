"""Bad calls of classifiers."""

import torch

from fewstep import classifiers, data

SET = data.Images(torch.zeros(3, 1, 8, 8), torch.tensor([0, 1, 0]), ("a", "b"), "zeros")
ONE = data.Images(SET.x, torch.zeros(3, dtype=torch.int64), ("a",), "one class")
C = classifiers.Classifier


def train(**changes):
    return classifiers.train_classifier(
        **{"images": SET, "epochs": 1, "progress": False, **changes}
    )


BAD = {
    "classifiers.Classifier": [
        (lambda: C(channels=0), "channels = 0"),
        (lambda: C(channels=None), "channels = None"),
        (lambda: C(classes=2.5), "classes = 2.5"),
        (lambda: C(classes="ten"), "classes = 'ten'"),
        (lambda: C(stages=5), "stages = 5: must be 2 (8×8) or 3"),
        (lambda: C(stages=2.0), "stages = 2.0"),
        (lambda: C(stages=None), "stages = None"),
    ],
    "classifiers.train_classifier": [
        (lambda: train(images=None), "images = None: must be a data.Images"),
        (lambda: train(images=SET.x), "must be a data.Images"),
        (lambda: train(epochs=0), "epochs = 0"),
        (lambda: train(epochs=None), "epochs = None"),
        (lambda: train(epochs=1.5), "epochs = 1.5"),
        (lambda: train(stages=9), "stages = 9"),
        (lambda: train(batch_size=0), "batch_size = 0"),
        (lambda: train(batch_size="all"), "batch_size = 'all'"),
        (lambda: train(learning_rate="1e-3"), "learning_rate = '1e-3'"),
        (lambda: train(learning_rate=-1), "learning_rate = -1"),
        (lambda: train(move=2), "move = 2"),
        (lambda: train(move=None), "move = None"),
        (lambda: train(seed="x"), "seed = 'x'"),
    ],
    "classifiers.accuracy": [
        (lambda: classifiers.accuracy(None, SET), "classifier = None"),
        (lambda: classifiers.accuracy(C(), SET.x), "images = "),
    ],
    "classifiers.record_classifier": [
        (lambda: classifiers.record_classifier("cats"), "name = 'cats': must be one of 'digits'"),
        (lambda: classifiers.record_classifier(None), "name = None"),
        (lambda: classifiers.record_classifier("digits", path=5), "path = 5"),
        (lambda: classifiers.record_classifier("digits", path="c.pt"), "path = 'c.pt'"),
        (lambda: classifiers.record_classifier("digits", seed="x"), "seed = 'x'"),
    ],
    "classifiers.own_classifier": [
        (lambda: classifiers.own_classifier(SET.x, "c.safetensors"), "must be a data.Images"),
        (lambda: classifiers.own_classifier(ONE, "c.safetensors"), "must be two classes or more"),
        (lambda: classifiers.own_classifier(SET, "c.pt"), "path = 'c.pt'"),
        (lambda: classifiers.own_classifier(SET, None), "path = None"),
    ],
    "classifiers.load_classifier": [
        (lambda: classifiers.load_classifier("cats"), "name = 'cats': must be one of 'digits'"),
        (lambda: classifiers.load_classifier(["digits"]), "name = ['digits']"),
        (
            lambda: classifiers.load_classifier(path=5),
            "path = 5: must be a path that ends in .safetensors",
        ),
    ],
}
