"""Bad calls of hooks."""

import torch
from torch import nn

from fewstep.hooks import Every, call
from fewstep.learners import Learner

NET = nn.Linear(2, 2)
LEARNER = Learner({"a": NET}, {"a": torch.optim.SGD(NET.parameters(), 0.1)})
IMAGES = torch.zeros(2, 1, 8, 8)


def forbidden(*arguments):
    raise AssertionError("a hook was called before the arguments were checked")


def finds(*results):
    """Hooks that return these, under a loss called "loss"."""
    return call([Every(1, lambda *_, r=r: r) for r in results], LEARNER, 1, ["loss"])


BAD = {
    "hooks.Every": [
        (lambda: Every(0, print), "steps = 0: must be an integer ≥ 1"),
        (lambda: Every(-5, print), "steps = -5: must be an integer ≥ 1"),
        (lambda: Every(2.5, print), "steps = 2.5: must be an integer ≥ 1"),
        (lambda: Every(None, print), "steps = None: must be an integer ≥ 1"),
        (lambda: Every(print, 2), "must be an integer ≥ 1"),
        (lambda: Every(2, 3), "function = 3: must be a function (learner, step) -> dict or None"),
        (lambda: Every(2, None), "function = None: must be a function (learner, step) -> dict"),
        (lambda: Every(2, {"a": 1.0}), "function = {'a': 1.0}: must be a function (learner, step)"),
        (lambda: Every(2, Every), "must be a function (learner, step) -> dict or None"),
    ],
    "hooks.call": [
        (lambda: call(None, LEARNER, 1), "hooks = None: must be a list of hooks.Every"),
        (lambda: call([forbidden], LEARNER, 1), "must be a list of hooks.Every"),
        (lambda: call(Every(1, forbidden), LEARNER, 1), "must be a list of hooks.Every"),
        (lambda: call([Every(1, forbidden)], NET, 1), "must be a learners.Learner"),
        (
            lambda: call([Every(1, forbidden)], None, 1),
            "learner = None: must be a learners.Learner",
        ),
        (lambda: call([Every(1, forbidden)], LEARNER, -1), "step = -1: must be an integer ≥ 0"),
        (lambda: call([Every(1, forbidden)], LEARNER, None), "step = None: must be an integer ≥ 0"),
        (lambda: call([Every(1, forbidden)], LEARNER, 1, None), "losses = None: must be names"),
        (lambda: call([Every(1, forbidden)], LEARNER, 1, "loss"), "losses = 'loss': must be names"),
        (lambda: call([Every(1, forbidden)], LEARNER, 1, [3]), "losses = [3]: must be names"),
        (lambda: finds(3), "a hook's result = 3: must be a dict or None"),
        (lambda: finds(IMAGES), "must be a dict or None"),
        (lambda: finds({"loss": 1.0}), "a hook's result = 'loss': must be named otherwise than"),
        (lambda: finds({"step": 1.0}), "a hook's result = 'step': must be named otherwise than"),
        (lambda: finds({"a": 1.0}, {"a": 2.0}), "a hook's result = 'a': must be named otherwise"),
        (lambda: finds({3: 1.0}), "a hook's result = 3: must be named otherwise than"),
        (lambda: finds({"a": "word"}), "a hook's a = 'word': must be a number or pictures"),
        (lambda: finds({"a": None}), "a hook's a = None: must be a number or pictures"),
        (lambda: finds({"a": [1.0, 2.0]}), "a hook's a = [1.0, 2.0]: must be a number or pictures"),
        (lambda: finds({"a": IMAGES[0, 0]}), "must be a number or pictures (B, C, H, W)"),
        (lambda: finds({"a": 1j}), "a hook's a = 1j: must be a number or pictures"),
        (lambda: finds({"a": IMAGES.byte()}), "a = '(2, 1, 8, 8) torch.uint8': must be floating"),
        (lambda: finds({"a": IMAGES[:0]}), "a = '(0, 1, 8, 8) torch.float32': must be floating"),
        (
            lambda: finds({"a": IMAGES.expand(2, 2, 8, 8)}),
            "a hook's a = '(2, 2, 8, 8) torch.float32': must be floating pictures (B, 1 or 3, H",
        ),
    ],
}
