"""Recipes: experiments as YAML files, and what each of their lines becomes.

A recipe names everything that a trained denoiser depends on. ``load`` reads one of the package's,
or a file, checks all of it before anything heavy is touched, and takes changes such as
``training.steps=100``. A file with the line ``like: food-linear`` is that recipe but for its own
lines. The functions after it turn its sections into the library's objects; ``python -m fewstep`` is
a thin layer over them.
"""

import difflib
import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from . import data, grids, losses, networks, optimizers, preconditioning, scale, schedules, solvers
from ._checks import describe, require
from .data import Images
from .learners import DenoisingLearner, rate_factor
from .preconditioning import Denoiser
from .processes import VP

FOLDER = Path(__file__).parent / "_recipes"

Positive = Annotated[int, Field(ge=1)]
Natural = Annotated[int, Field(ge=0)]
Above = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Real = Annotated[float, Field(allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1)]


class Section(BaseModel):
    """A part of a recipe: every key is known, every value in its range, nothing is changed."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Data(Section):
    """Which pictures.  held: of them, kept away from training.  side: of Food-101 and folders.

    path: of a folder; a relative one may also lie among the data (FEWSTEP_DATA).
    """

    name: Literal["digits", "fashion-mnist", "cifar10", "food101", "folder"]
    path: str | None = None
    side: Positive = 64
    held: Natural = 0


class Network(Section):
    """Sizes of ``networks.UNet``.  conditional: on the class of each picture."""

    channels: Annotated[int, Field(ge=8, multiple_of=8)]
    multipliers: Annotated[list[Positive], Field(min_length=1)]
    blocks: Positive = 2
    attention: list[bool] | None = None
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    conditional: bool = False


class Noise(Section):
    """Preconditioning, the chain behind it where there is one, and how training draws σ."""

    preconditioning: Literal["edm", "vp", "ve", "iddpm", "chain"]
    schedule: Literal["linear", "cosine", "sigmoid-beta", "sigmoid-alpha-bar"] | None = None
    T: Positive = 1000
    sigma_data: Above | None = None
    mean: Real = -1.2
    std: Above = 1.2


class Training(Section):
    """The loss, the optimizer and the loop.  half_life: of the weights' average, in images.

    loss: hybrid learns the variances of the reverse steps too, in extra channels.
    keep_every: steps between two copies of the averaged network, each kept in a file.
    """

    steps: Positive
    batch_size: Positive
    loss: Literal["squared", "absolute", "hybrid"] = "squared"
    optimizer: Literal["adam", "muon"] = "adam"
    learning_rate: Above
    warmup: Natural = 0
    decay: Literal["none", "linear", "cosine"] = "none"
    clip_norm: Above | None = None
    half_life: Above | None = None
    drop_labels: Share = 0.0
    mixed_precision: Literal["no", "bf16", "fp16"] = "no"
    seed: Natural = 0
    checkpoint_every: Positive | None = None
    evaluate_every: Positive | None = None
    keep_every: Positive | None = None


class Sampling(Section):
    """How pictures are drawn: a solver on a grid, at a number of network calls.

    clip: every estimate of the clean picture to [-1, 1].
    """

    solver: Literal["euler", "heun", "ddim", "dpmpp-2m", "ancestral", "learned"] = "heun"
    grid: Literal["edm", "chain"] = "edm"
    calls: Positive = 35
    sigma_min: Above = 0.002
    sigma_max: Above = 80.0
    rho: Above = 7.0
    S_churn: Annotated[float, Field(ge=0)] = 0.0
    S_tmin: Annotated[float, Field(ge=0)] = 0.0
    S_tmax: Above = 1e9
    S_noise: Above = 1.0
    clip: bool = False
    guidance: Real = 1.0
    batch_size: Positive = 256


class Evaluation(Section):
    """Which features, how many pictures a set, how many sets."""

    features: Literal["classifier", "inception"] = "classifier"
    samples: Annotated[int, Field(ge=2)] = 500
    sets: Positive = 3


class Recipe(Section):
    """One experiment, whole."""

    about: str
    data: Data
    network: Network
    noise: Noise
    training: Training
    sampling: Sampling = Sampling()
    evaluation: Evaluation = Evaluation()


def names() -> list[str]:
    """The package's recipes."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def load(recipe: str | Path, changes: Sequence[str] = ()) -> Recipe:
    """A recipe, checked.

    recipe: a name (``names()``), or the path of a file that ends in .yaml.
    changes: such as ``["training.steps=100", "network.dropout=0.1"]``.
    Raises ValueError that names the key, the value and what is allowed; FileNotFoundError.
    """
    require(isinstance(recipe, (str, Path)) and recipe, "recipe", recipe, "a name or a path")
    content = _read(recipe)
    for change in changes:
        _change(content, change)
    return _checked(content)


def dump(recipe: Recipe) -> str:
    """The recipe as YAML, every key written out: ``load`` gives the same recipe again."""
    _require(recipe)
    return yaml.safe_dump(recipe.model_dump(), sort_keys=False, allow_unicode=True)


def _read(recipe: str | Path) -> dict:
    """What the file says, on top of the recipe that it is like."""
    path = Path(recipe)
    if path.suffix != ".yaml":
        if str(recipe) not in names():
            near = difflib.get_close_matches(str(recipe), names(), 1)
            hint = f" (did you mean {near[0]}?)" if near else ""
            allowed = f"one of {', '.join(names())}, or a path ending in .yaml{hint}"
            raise ValueError(f"recipe = {str(recipe)!r}: must be {allowed}")
        path = FOLDER / f"{recipe}.yaml"
    try:
        content = yaml.safe_load(path.read_text("utf-8"))
    except yaml.YAMLError as error:
        raise ValueError(f"{path} is not YAML: {' '.join(str(error).split())}") from error
    require(isinstance(content, dict), str(path), content, "sections: data, network, noise, …")
    like = content.pop("like", None)
    if like is None:
        return content
    require(like in names(), f"{path}: like", like, f"one of {', '.join(names())}")
    whole = _read(like)
    for name, section in content.items():
        both = isinstance(section, dict) and isinstance(whole.get(name), dict)
        whole[name] = whole[name] | section if both else section
    return whole


def _require(recipe: Any) -> Recipe:
    require(isinstance(recipe, Recipe), "recipe", recipe, "a Recipe, as load gives it")
    return recipe


def _change(content: dict, change: Any) -> None:
    form = "section.key=value, such as training.steps=100"
    require(isinstance(change, str) and "=" in change, "change", change, form)
    key, _, written = change.partition("=")
    *sections, last = key.strip().split(".")
    where = content
    for section in sections:
        where = where.setdefault(section, {})
        require(isinstance(where, dict), "change", change, form)
    try:
        value = yaml.safe_load(written)
    except yaml.YAMLError as error:
        raise ValueError(f"change = {change!r}: the value is not YAML ({error})") from error
    where[last] = value


def _checked(content: dict) -> Recipe:
    try:
        recipe = Recipe.model_validate(_numbers(content))
    except ValidationError as error:
        raise ValueError("\n".join(_told(fault) for fault in error.errors())) from error
    _together(recipe)
    return recipe


def _numbers(value: Any) -> Any:
    """1e-3, which YAML 1.1 reads as a word, as the number it stands for."""
    if isinstance(value, dict):
        return {k: _numbers(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_numbers(v) for v in value]
    if isinstance(value, str) and value[:1] in "0123456789.-+":
        try:
            return float(value)
        except ValueError:
            return value
    return value


def _told(fault: Any) -> str:
    """One fault as the house says it."""
    place = ".".join(str(part) for part in fault["loc"])
    if fault["type"] != "extra_forbidden":
        if fault["type"] == "missing":
            return f"{place}: is missing"
        return f"{place} = {describe(fault['input'])}: {fault['msg'][0].lower()}{fault['msg'][1:]}"
    section: Any = Recipe
    for part in fault["loc"][:-1]:
        section = section.model_fields[part].annotation
    known = list(section.model_fields)
    near = difflib.get_close_matches(str(fault["loc"][-1]), known, 1, 0.5)
    hint = f"did you mean {near[0]}? " if near else ""
    return f"{place}: no such key; {hint}There are {', '.join(known)}"


def _together(recipe: Recipe) -> None:
    """What only two keys together get wrong."""
    network, noise, sampling = recipe.network, recipe.noise, recipe.sampling
    if network.attention is not None:
        fit = len(network.attention) == len(network.multipliers)
        require(fit, "network.attention", network.attention, "one true or false for each level")
    chained = noise.preconditioning == "chain"
    needed = "one exactly where noise.preconditioning is chain"
    require((noise.schedule is not None) == chained, "noise.schedule", noise.schedule, needed)
    hybrid = recipe.training.loss == "hybrid"
    require(chained or not hybrid, "training.loss", "hybrid", "another, but on a chain")
    needed = "another than learned, but for training.loss: hybrid"
    require(hybrid or sampling.solver != "learned", "sampling.solver", "learned", needed)
    path = recipe.data.path
    folder = recipe.data.name == "folder"
    require((path is not None) == folder, "data.path", path, "one exactly where data.name: folder")
    on_chain = sampling.grid != "chain" or chained
    require(on_chain, "sampling.grid", sampling.grid, "edm without a chain")
    odd = sampling.solver != "heun" or sampling.calls % 2 == 1
    require(odd, "sampling.calls", sampling.calls, "odd for heun: two a step, the last takes one")
    labels = network.conditional or (recipe.training.drop_labels == 0 and sampling.guidance == 1)
    require(labels, "network.conditional", False, "true for drop_labels and guidance")


def pictures(recipe: Recipe) -> tuple[Images, Images | None]:
    """The pictures to train on, and those held away from training, if any."""
    d = _require(recipe).data
    sources: dict[str, Callable[[], Images]] = {
        "digits": data.digits,
        "fashion-mnist": data.fashion_mnist,
        "cifar10": data.cifar10,
        "food101": functools.partial(data.food101, size=d.side),
        "folder": lambda: data.image_folder(_folder(str(d.path)), d.side),
    }
    images = sources[d.name]()
    if d.held == 0:
        return images, None
    require(d.held < len(images), "data.held", d.held, f"less than the {len(images)} pictures")
    return images.split(len(images) - d.held)


def _folder(path: str) -> Path:
    return Path(path) if Path(path).is_dir() else data.root() / path


def shape(recipe: Recipe) -> tuple[int, int, int]:
    """(C, H, W) of a picture."""
    d = _require(recipe).data
    small = {"digits": (1, 8, 8), "fashion-mnist": (1, 28, 28), "cifar10": (3, 32, 32)}
    return small.get(d.name, (3, d.side, d.side))


def chain(recipe: Recipe) -> schedules.Chain:
    """The chain of a recipe whose preconditioning is one."""
    kind = _require(recipe).noise.preconditioning
    require(kind == "chain", "noise.preconditioning", kind, "chain")
    makers: dict[str, Callable[[int], schedules.Chain]] = {
        "linear": schedules.linear,
        "cosine": schedules.cosine,
        "sigmoid-beta": schedules.sigmoid_beta,
        "sigmoid-alpha-bar": schedules.sigmoid_alpha_bar,
    }
    return makers[str(recipe.noise.schedule)](recipe.noise.T)


def denoiser(recipe: Recipe, images: Images) -> Denoiser:
    """A denoiser that has learned nothing yet; its first weights depend on the seed."""
    n, noise = _require(recipe).network, recipe.noise
    require(isinstance(images, Images), "images", images, "Images")
    kinds: dict[str, Callable[[], preconditioning.Preconditioning]] = {
        "edm": lambda: preconditioning.edm(noise.sigma_data or float(images.float().std())),
        "vp": preconditioning.vp,
        "ve": preconditioning.ve,
        "iddpm": lambda: preconditioning.iddpm(noise.T),
        "chain": lambda: preconditioning.chain(chain(recipe)),
    }
    with torch.random.fork_rng([]):
        torch.manual_seed(recipe.training.seed)
        network = networks.UNet(
            images.shape[0],
            n.channels,
            n.multipliers,
            n.blocks,
            n.attention,
            len(images.classes) if n.conditional else 0,
            n.dropout,
            images.shape[0] if recipe.training.loss == "hybrid" else 0,
        )
    return Denoiser(network, kinds[noise.preconditioning]())


def learner(recipe: Recipe, denoiser: Denoiser) -> DenoisingLearner:
    """What ``training.run`` trains."""
    t, noise = _require(recipe).training, recipe.noise
    require(isinstance(denoiser, Denoiser), "denoiser", denoiser, "a preconditioning.Denoiser")
    kind = denoiser.preconditioning
    levels: Callable[[torch.Tensor], torch.Tensor]
    if kind.levels is not None:
        levels = functools.partial(losses.from_levels, levels=kind.levels.to(scale.device()))
    elif noise.preconditioning == "edm":
        levels = functools.partial(losses.lognormal, mean=noise.mean, std=noise.std)
    elif noise.preconditioning == "vp":
        levels = functools.partial(losses.uniform_in_time, process=VP())
    else:
        levels = losses.log_uniform
    loss: Callable = functools.partial(losses.denoising, levels=levels, error=t.loss)
    if t.loss == "hybrid" and kind.levels is not None:
        known, values = kind.levels.to(scale.device()), 17 if recipe.data.name == "digits" else 256
        loss = functools.partial(losses.hybrid, levels=known, values=values)
    if t.optimizer == "muon":
        trained = optimizers.muon(denoiser, t.learning_rate)
    else:
        adam = torch.optim.Adam(denoiser.parameters(), t.learning_rate, fused=True)
        trained = {"adam": adam}
    schedule = functools.partial(
        rate_factor, warmup=t.warmup, decay=t.decay, steps=1 if t.decay == "none" else t.steps
    )
    half_life = t.half_life or t.steps * t.batch_size / 20
    return DenoisingLearner(
        denoiser, loss, trained, half_life, schedule=schedule, clip_norm=t.clip_norm
    )


def grid(recipe: Recipe) -> torch.Tensor:
    """The noise levels that sampling walks down, for the recipe's number of network calls."""
    s = _require(recipe).sampling
    steps = (s.calls + 1) // 2 if s.solver == "heun" else s.calls
    if s.grid == "chain":
        return grids.respaced(steps, chain(recipe))
    return grids.edm(steps, s.sigma_min, s.sigma_max, s.rho)


def solver(recipe: Recipe) -> tuple[Callable, solvers.Churn | None]:
    """The step, and the noise that it adds before each."""
    s = _require(recipe).sampling
    steps = {
        "euler": solvers.euler,
        "heun": solvers.heun,
        "ddim": solvers.ddim,
        "dpmpp-2m": solvers.dpmpp_2m,
        "ancestral": solvers.ancestral,
        "learned": solvers.learned,
    }
    churn = solvers.Churn(s.S_churn, s.S_tmin, s.S_tmax, s.S_noise) if s.S_churn else None
    return steps[s.solver], churn
