"""Bad calls of experiments."""

import tempfile
from pathlib import Path

from fewstep import experiments, recipes

EMPTY = Path(tempfile.mkdtemp())
BEGUN = Path(tempfile.mkdtemp())
(BEGUN / "recipe.yaml").write_text(recipes.dump(recipes.load("digits")))
NO_RUN, NOT_DONE = "must be one that holds a run", "must be a run trained to its end"

BAD = {
    "experiments.train": [
        (lambda: experiments.train("digit", EMPTY), "recipe = 'digit': must be one of digits"),
        (lambda: experiments.train("digits", BEGUN), "must be an empty folder"),
        (
            lambda: experiments.train("digits", BEGUN, ["training.steps=5"], resume=True),
            "(training.steps: 1400 there, 5 asked)",
        ),
    ],
    "experiments.cost": [
        (lambda: experiments.cost("digit"), "recipe = 'digit': must be one of digits")
    ],
    "experiments.sample": [
        (lambda: experiments.sample(EMPTY, [0]), NO_RUN),
        (lambda: experiments.sample(BEGUN, [0]), NOT_DONE),
    ],
    "experiments.evaluate": [
        (lambda: experiments.evaluate(EMPTY), NO_RUN),
        (lambda: experiments.evaluate(BEGUN), NOT_DONE),
        (lambda: experiments.evaluate(BEGUN, name="Heun 19"), "must be lower-case words"),
    ],
    "experiments.compare": [
        (lambda: experiments.compare(EMPTY, ["heun"], [5]), NO_RUN),
        (lambda: experiments.compare(BEGUN, ["heun"], [5]), NOT_DONE),
    ],
}
