"""Classifiers of one's own pictures."""

import pytest

from fewstep import classifiers, data
from fewstep.checkpoints import read_metadata


def test_own_classifier_is_trained_once_and_belongs_to_its_pictures(tmp_path, monkeypatch):
    images, path = data.digits().subset(range(600)), tmp_path / "own.safetensors"
    made = classifiers.own_classifier(images, path, progress=False)
    assert read_metadata(path)["test_accuracy"] > 0.8  # of 60 digits; guessing has 0.1
    monkeypatch.setattr(classifiers, "train_classifier", None)  # not called again
    again = classifiers.own_classifier(images, path)
    x = images.float(range(10))
    assert (again.features(x) == made.features(x)).all()
    with pytest.raises(ValueError, match="a classifier of these pictures"):
        classifiers.own_classifier(images.subset(range(599)), path)
