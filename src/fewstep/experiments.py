"""Whole experiments in a folder each: train, sample, evaluate, compare, as a recipe says.

runs/digits/
  recipe.yaml              what was asked, every key
  checkpoint.safetensors   where training stands
  log.jsonl, events…       losses and measures (TensorBoard reads the latter)
  denoiser.safetensors     the averaged network, when training is done
  denoiser-500.safetensors and on the way, if the recipe keeps it
  samples.png, evaluation.json, comparison.json

Started by ``accelerate launch``, every process trains and draws its share, and the first one
measures and writes.
"""

import datetime
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from . import (
    _cost,
    checkpoints,
    classifiers,
    data,
    hooks,
    metrics,
    pretrained,
    recipes,
    results,
    sampling,
    scale,
    training,
)
from ._checks import require
from ._files import write
from .data import Images
from .networks import UNet
from .preconditioning import Denoiser
from .recipes import Recipe


def train(
    recipe: str | Path,
    folder: str | Path,
    changes: Sequence[str] = (),
    *,
    resume: bool = False,
    progress: bool = True,
) -> Denoiser:
    """Train a recipe into a folder; returns the averaged denoiser.

    recipe, changes: see ``recipes.load``.
    resume: go on with what is in the folder, at once if that is done; without it, a folder that
    holds a run is refused.
    Raises ValueError for a bad recipe, and for a folder that holds another one.
    """
    asked, folder = recipes.load(recipe, changes), Path(folder)
    _begin(asked, folder, resume)
    _join()
    if resume and (folder / "denoiser.safetensors").exists():  # nothing is left to train
        return pretrained.load_denoiser(folder / "denoiser.safetensors")
    images, held = recipes.pictures(asked)
    if held is not None and _first():
        divergence = data.class_divergence(images, held)
        print(f"{len(images)} pictures to train on, {len(held)} held back")
        print(f"Jensen–Shannon divergence of their class frequencies: {divergence:.1e}")
    learner = recipes.learner(asked, recipes.denoiser(asked, images))
    t = asked.training
    during = []
    if t.evaluate_every is not None:
        reference = _Reference(asked, images) if _first() else None

        def measure(learner: Any, step: int) -> dict[str, Any]:
            x = _draw(asked, learner.averages["denoiser"], range(asked.evaluation.samples), None)
            if reference is None:
                return {}
            return {reference.name: reference.distance(reference.see(x), 0), "samples": x[:64]}

        during.append(hooks.Every(t.evaluate_every, measure))
    about = {"recipe": asked.model_dump(), **results.provenance()}

    def keep(learner: Any, step: int) -> None:
        if _first():
            average = learner.averages["denoiser"]
            pretrained.save_denoiser(folder / f"denoiser-{step}.safetensors", average, about)

    if t.keep_every is not None:
        during.append(hooks.Every(t.keep_every, keep))
    training.run(
        learner,
        images,
        steps=t.steps,
        batch_size=t.batch_size,
        labels=images.labels if asked.network.conditional else None,
        seed=t.seed,
        drop_labels=t.drop_labels,
        mixed_precision=t.mixed_precision,
        checkpoint=folder / "checkpoint.safetensors",
        checkpoint_every=t.checkpoint_every,
        log_dir=folder,
        hooks=during,
        progress=progress,
    )
    average = learner.averages["denoiser"]
    assert isinstance(average, Denoiser)
    if _first():
        pretrained.save_denoiser(folder / "denoiser.safetensors", average, about)
    return average


def cost(recipe: str | Path, changes: Sequence[str] = ()) -> dict[str, Any]:
    """What a recipe's training costs: operations counted on its network, memory for one process,
    and hours on one GPU at a quarter of its peak; computed, not measured.

    recipe, changes: see ``recipes.load``.
    """
    asked = recipes.load(recipe, changes)
    t, n = asked.training, asked.network
    rows, size = 2, recipes.shape(asked)
    with torch.device("meta"):
        network = UNet(size[0], n.channels, n.multipliers, n.blocks, n.attention)
        x, c_noise = torch.zeros(rows, *size), torch.zeros(rows)
    with _cost.counted() as operations, _cost.kept(network.parameters()) as kept:
        network(x, c_noise).sum().backward()
    half = t.mixed_precision != "no"
    parameters = sum(p.numel() for p in network.parameters())
    # float32: weights, gradients, Adam's two moments, the average
    memory = 20 * parameters + kept[0] / rows * t.batch_size / (2 if half else 1)
    total = operations[0] / rows * t.batch_size * t.steps
    given = {"half": total} if half else {"single": total}
    return {
        "recipe": str(recipe),
        "parameters": parameters,
        "PFLOP": total / 1e15,
        "GiB": memory / 2**30,
        **{f"hours on a {d}": _cost.minutes(d, **given) / 60 for d in _cost.DEVICES},
    }


def sample(
    folder: str | Path,
    seeds: Sequence[int],
    label: int | None = None,
    out: str | Path | None = None,
    changes: Sequence[str] = (),
) -> Path:
    """Draw one picture a seed with a trained run, write them, and return where.

    label: the class of all, for a conditional network; None: without one.
    out: a .png of all in a grid (default: samples.png in the folder), or a folder for one .png
    each, named by its seed.
    """
    from torchvision.utils import save_image

    recipe, denoiser = _trained(folder, changes)
    x = _draw(recipe, denoiser, seeds, label)
    out = Path(folder) / "samples.png" if out is None else Path(out)
    if not _first():
        return out
    if out.suffix == ".png":
        save_image(x, out, nrow=max(1, round(len(x) ** 0.5)), normalize=True, value_range=(-1, 1))
    else:
        out.mkdir(parents=True, exist_ok=True)
        for seed, picture in zip(seeds, x):
            save_image(picture, out / f"{seed}.png", normalize=True, value_range=(-1, 1))
    return out


def evaluate(
    folder: str | Path, changes: Sequence[str] = (), name: str = "evaluation"
) -> results.Table | None:
    """Measure a trained run against its data; writes ``<name>.json`` and returns the table, in the
    first process.

    Sets of other seeds, each against another random set of real pictures; then the same of real
    pictures, with the floor of real against real.
    name: such as heun-19, where ``changes`` ask for another way of sampling than the run's.
    """
    results._check_name(name)
    recipe, denoiser = _trained(folder, changes)
    e, s = recipe.evaluation, recipe.sampling
    reference = _Reference(recipe, recipes.pictures(recipe)[0]) if _first() else None
    sets = [
        _draw(recipe, denoiser, range(k * e.samples, (k + 1) * e.samples), None)
        for k in range(e.sets)
    ]
    if reference is None:
        return None
    real = [reference.images.subset(reference.rows(k, e.samples)).float() for k in range(e.sets)]
    row: dict[str, Any] = {"solver": s.solver, "grid": s.grid, "calls": s.calls}
    seen = [reference.see(x) for x in sets]
    row[reference.name] = [reference.distance(f, k) for k, f in enumerate(seen)]
    row["KID"] = [reference.kid(f, k) for k, f in enumerate(seen)]
    floor = {"solver": "real vs real", reference.name: reference.floors()}
    rows = [row | _looks(sets), floor | _looks(real)]
    _record(name, rows, recipe, folder)
    return results.table(rows, list(rows[0]))


def compare(
    folder: str | Path, solvers: Sequence[str], calls: Sequence[int], changes: Sequence[str] = ()
) -> results.Table | None:
    """Solvers at equal numbers of network calls; writes comparison.json and returns the table, in
    the first process.

    solvers: names as in a recipe.  calls: network calls of a sample.
    """
    recipe, denoiser = _trained(folder, changes)
    reference = _Reference(recipe, recipes.pictures(recipe)[0]) if _first() else None
    e, rows = recipe.evaluation, []
    for solver in solvers:
        row: dict[str, Any] = {"solver": solver}
        for n in calls:
            asked = [*changes, f"sampling.solver={solver}", f"sampling.calls={n}"]
            other, _ = _trained(folder, asked)
            for k in range(e.sets):
                x = _draw(other, denoiser, range(k * e.samples, (k + 1) * e.samples), None)
                if reference is not None:
                    found = row.setdefault(f"{reference.name}, {n} calls", [])
                    found.append(reference.distance(reference.see(x), k))
        rows.append(row)
    if reference is None:
        return None
    _record("comparison", rows, recipe, folder)
    floor: dict[str, Any] = dict.fromkeys(rows[0], reference.floors())
    return results.table([*rows, floor | {"solver": "real vs real"}])


POOL = 10_000  # real pictures that are looked at, at least: many sets of some hundred


class _Reference:
    """Real pictures, seen through the features that the recipe names."""

    def __init__(self, recipe: Recipe, images: Images):
        e = recipe.evaluation
        self.samples, self.name = e.samples, "FID" if e.features == "inception" else "FD-C"
        self.extractor: torch.nn.Module | str = metrics.INCEPTION
        if self.name == "FD-C":
            if recipe.data.name in classifiers.RECIPES:
                self.extractor = classifiers.load_classifier(recipe.data.name)
            else:
                of = checkpoints.fingerprint(images.x, images.labels).split()[-1]
                kept = data.root() / f"{images.name}-classifier-{of}.safetensors"
                self.extractor = classifiers.own_classifier(images, kept)
        most = f"at most {len(images)}, the number of real pictures"
        require(e.samples <= len(images), "evaluation.samples", e.samples, most)
        n = min(len(images), max(POOL, 2 * e.samples))
        chosen = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))[:n]
        self.images = images.subset(chosen)
        self.pool = self.see(self.images, "real pictures")

    def rows(self, k: int, n: int) -> torch.Tensor:
        """Which n real pictures are in the k-th random set."""
        return torch.randperm(len(self.pool), generator=torch.Generator().manual_seed(k))[:n]

    def real(self, k: int) -> torch.Tensor:
        """The features of the k-th random set of real pictures."""
        return self.pool[self.rows(k, self.samples)]

    def see(self, x: Images | torch.Tensor, what: str = "features") -> torch.Tensor:
        """Features of pictures, with a bar where that takes more than two seconds."""
        return metrics.features(x, self.extractor, progress=what)

    def distance(self, f: torch.Tensor, k: int) -> float:
        """Fréchet distance of samples, seen, from the k-th set."""
        return metrics.fd(f, self.real(k), None)

    def kid(self, f: torch.Tensor, k: int) -> float:
        """Kernel distance of samples, seen, from the k-th set."""
        return metrics.kid(f, self.real(k), None, subset_size=min(1000, self.samples))[0]

    def floors(self, seeds: int = 5) -> list[float]:
        """Real against real, of at most as many pictures as there are twice."""
        n = min(self.samples, len(self.pool) // 2)
        orders = [self.rows(k, 2 * n) for k in range(seeds)]
        return [metrics.fd(self.pool[o[:n]], self.pool[o[n:]], None) for o in orders]


def _looks(sets: Sequence[torch.Tensor]) -> dict[str, list[float]]:
    """What sets of pictures (N, C, H, W) in [-1, 1] look like, without a look at others.

    brightness: the mean of all values, or of each colour.  spread: the standard deviation over
    pictures of their mean.  contrast: that of all values.
    """
    colours = ("red", "green", "blue") if sets[0].shape[1] == 3 else ("brightness",)
    looks = {"MS-SSIM": [metrics.ms_ssim(x) for x in sets]}
    for i, colour in enumerate(colours):
        looks[colour] = [float(x[:, i].mean()) for x in sets]
    looks["spread"] = [float(x.flatten(1).mean(1).std()) for x in sets]
    return looks | {"contrast": [float(x.std()) for x in sets]}


def _begin(asked: Recipe, folder: Path, resume: bool) -> None:
    """Write the recipe, or hold it against the one that is there."""
    path = folder / "recipe.yaml"
    if not _first():
        return
    if path.exists():
        differ = _differ(recipes.load(path), asked)
        allowed = "an empty folder, or one of a run that trains the same, with --resume"
        require(resume and not differ, "out", str(folder), allowed + differ)
    folder.mkdir(parents=True, exist_ok=True)
    write(path, recipes.dump(asked).encode())


def _first() -> bool:
    """Whether this process is the one that writes, also before the processes know each other."""
    return os.environ.get("RANK", "0") == "0"


def _join() -> None:
    """Let the processes that ``accelerate launch`` started know each other.

    They may have to wait for the first one as long as it measures. If it fails, the launcher ends
    them.
    """
    from accelerate import PartialState

    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        PartialState(cpu=scale.device().type == "cpu", timeout=datetime.timedelta(days=7))


def _differ(there: Recipe, asked: Recipe) -> str:
    """In what two recipes train differently; how they sample and evaluate may change."""
    a, b = there.model_dump(), asked.model_dump()
    keys = [
        f"{section}.{key}: {a[section][key]!r} there, {b[section][key]!r} asked"
        for section in ("data", "network", "noise", "training")
        for key in a[section]
        if a[section][key] != b[section][key]
    ]
    return f" ({'; '.join(keys)})" if keys else ""


def _trained(folder: str | Path, changes: Sequence[str]) -> tuple[Recipe, Denoiser]:
    """The recipe of a run, changed, and its averaged network."""
    folder = Path(folder)
    begun = (folder / "recipe.yaml").exists()
    require(begun, "folder", str(folder), "one that holds a run: `train` makes them")
    recipe = recipes.load(folder / "recipe.yaml", changes)
    done = (folder / "denoiser.safetensors").exists()
    require(done, "folder", str(folder), "a run trained to its end: go on with --resume")
    _join()
    return recipe, pretrained.load_denoiser(folder / "denoiser.safetensors")


def _draw(recipe: Recipe, denoiser: Any, seeds: Sequence[int], label: int | None) -> torch.Tensor:
    """Pictures (N, C, H, W) in [-1, 1] of these seeds, of all classes in equal shares."""
    s = recipe.sampling
    step, churn = recipes.solver(recipe)
    network = denoiser.network
    classes = network.settings["classes"]
    labels: Any = label
    if classes and label is None:
        labels = [seed % classes for seed in seeds]
    x = sampling.from_seeds(
        denoiser,
        list(seeds),
        recipes.shape(recipe),
        recipes.grid(recipe),
        step,
        labels=labels,
        guidance=s.guidance,
        churn=churn,
        clip=s.clip,
        batch_size=s.batch_size,
    ).x
    return x.clamp(-1, 1)


def _record(name: str, rows: list[dict], recipe: Recipe, folder: str | Path) -> None:
    e = recipe.evaluation
    settings = {"recipe": recipe.model_dump()}
    if _first():
        results.record(
            name, rows, settings=settings, seeds=range(e.sets), samples=e.samples, into=folder
        )
