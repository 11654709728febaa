"""Bad calls of recipes."""

from fewstep import data, preconditioning, recipes

DIGITS = recipes.load("digits")


def load(*changes):
    return recipes.load("digits", changes)


def of_a_recipe(f):
    """What every function of a recipe must refuse."""
    return [
        (lambda: f(None), "recipe = None: must be a Recipe"),
        (lambda: f("digits"), "recipe = 'digits': must be a Recipe"),
    ]


BAD = {
    "recipes.load": [
        (lambda: recipes.load(None), "recipe = None: must be a name or a path"),
        (lambda: recipes.load("digit"), "did you mean digits?"),
        (lambda: recipes.load("digits", "training.steps"), "change = 't': must be section.key="),
        (lambda: load("training.steps"), "must be section.key=value"),
        (lambda: load("steps=4"), "steps: no such key"),
        (lambda: load("training.step=4"), "training.step: no such key; did you mean steps?"),
        (lambda: load("training.steps=0"), "training.steps = 0: input should be greater than"),
        (lambda: load("training.steps=1.5"), "training.steps = 1.5: input should be a valid int"),
        (lambda: load("training.steps=many"), "training.steps = 'many': input should be a valid"),
        (lambda: load("training.steps=[1"), "the value is not YAML"),
        (lambda: load("training.steps.x=1"), "must be section.key=value"),
        (
            lambda: load("training.loss=mse"),
            "training.loss = 'mse': input should be 'squared', 'absol",
        ),
        (lambda: load("training.learning_rate=.nan"), "training.learning_rate = nan"),
        (lambda: load("network.channels=12"), "network.channels = 12: input should be a multiple"),
        (lambda: load("network.multipliers=[]"), "network.multipliers = []"),
        (lambda: load("network.attention=[true]"), "one true or false for each level"),
        (lambda: load("noise.preconditioning=chain"), "noise.schedule = None: must be one exactly"),
        (lambda: load("noise.schedule=linear"), "noise.schedule = 'linear': must be one exactly"),
        (lambda: load("data.path=here"), "data.path = 'here'"),
        (lambda: load("data.name=folder"), "data.path = None"),
        (lambda: load("sampling.grid=chain"), "sampling.grid = 'chain': must be edm"),
        (lambda: load("training.loss=hybrid"), "training.loss = 'hybrid': must be another, but on"),
        (lambda: load("training.keep_every=0"), "training.keep_every = 0: input should be greater"),
        (lambda: load("sampling.solver=learned"), "sampling.solver = 'learned': must be another"),
        (lambda: load("sampling.calls=4"), "sampling.calls = 4: must be odd for heun"),
        (lambda: load("sampling.guidance=2.0"), "network.conditional = False: must be true"),
        (lambda: load("evaluation.samples=1"), "evaluation.samples = 1: input should be greater"),
    ],
    "recipes.dump": of_a_recipe(recipes.dump),
    "recipes.pictures": [
        *of_a_recipe(recipes.pictures),
        (lambda: recipes.pictures(load("data.held=5000")), "data.held = 5000: must be less than"),
    ],
    "recipes.shape": of_a_recipe(recipes.shape),
    "recipes.chain": [
        *of_a_recipe(recipes.chain),
        (lambda: recipes.chain(DIGITS), "noise.preconditioning = 'edm': must be chain"),
    ],
    "recipes.denoiser": [
        *of_a_recipe(lambda recipe: recipes.denoiser(recipe, data.digits())),
        (lambda: recipes.denoiser(DIGITS, None), "images = None: must be Images"),
    ],
    "recipes.learner": [
        *of_a_recipe(lambda recipe: recipes.learner(recipe, None)),
        (lambda: recipes.learner(DIGITS, preconditioning.edm()), "must be a preconditioning.Den"),
    ],
    "recipes.grid": of_a_recipe(recipes.grid),
    "recipes.solver": of_a_recipe(recipes.solver),
}
