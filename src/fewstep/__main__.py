"""The command line: ``python -m fewstep train | sample | evaluate | compare``, over the library.

A run is a folder: ``recipe.yaml``, ``checkpoint.safetensors``, the log, and when it is done
``denoiser.safetensors``, the averaged network that all other commands take.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

EPILOG = (
    "Errors in what is asked end with code 2 and say what is allowed; what fails while it "
    "runs ends with code 1."
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command.

    arguments: as on the command line; None for those of this process.
    """
    parser = _parser()
    chosen = vars(parser.parse_args(arguments))
    command = chosen.pop("run")
    chosen.pop("command")
    try:
        command(**chosen)
    except (ValueError, FileNotFoundError) as error:
        parser.exit(2, f"{parser.prog}: {error}\n")
    except (FloatingPointError, MemoryError, OSError) as error:
        parser.exit(1, f"{parser.prog}: {error}\n")
    _part()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m fewstep",
        description="Few-Step Diffusion: the course's library.",
        epilog=EPILOG,
    )
    commands = parser.add_subparsers(dest="command", required=True)

    def command(name: str, run: Any, help: str, folder: str = "") -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=help, description=help)
        added.set_defaults(run=run)
        if folder:
            added.add_argument(folder, type=Path, help="folder of a run")
            added.add_argument(
                "--set",
                dest="changes",
                metavar="KEY=VALUE",
                nargs="+",
                default=[],
                help="change the recipe, such as sampling.calls=9",
            )
        return added

    command("versions", versions, "what is installed, and where it runs")
    command("recipes", recipes, "list the experiments that the package brings")
    record = command(
        "record-classifier",
        record_classifier,
        "train the classifier behind FD-C anew and write its weights to results/",
    )
    record.add_argument("name", choices=["digits", "fashion-mnist"])
    added = command("cost", cost, "what recipes cost: operations, memory, hours; computed")
    added.add_argument("names", nargs="*", metavar="recipe", help="default: all of the package")
    added = command("train", train, "train a recipe; several processes: accelerate launch -m …")
    added.add_argument("recipe", help="a name that `recipes` lists, or the path of a .yaml file")
    added.add_argument("--out", type=Path, help="folder of the run (default: runs/<recipe>)")
    added.add_argument("--resume", action="store_true", help="go on with a run that was stopped")
    added.add_argument("--set", dest="changes", metavar="KEY=VALUE", nargs="+", default=[])
    added = command("sample", sample, "draw pictures, one seed a picture", "folder")
    added.add_argument("--seeds", default="0-63", help="such as 0-63 or 3,5,8 (default: 0-63)")
    added.add_argument("--label", type=int, help="class of all pictures (conditional networks)")
    added.add_argument("--out", type=Path, help="a .png of all, or a folder for one file each")
    added = command("evaluate", evaluate, "measure samples against the data", "folder")
    added.add_argument("--name", default="evaluation", help="of the .json (default: evaluation)")
    added = command("compare", compare, "solvers at equal network calls, on one run", "folder")
    added.add_argument("--solvers", nargs="+", default=["euler", "heun", "dpmpp-2m"])
    added.add_argument("--calls", nargs="+", type=int, default=[5, 9, 19, 35])
    return parser


def versions() -> None:
    """Print what is installed and where it runs."""
    from . import scale

    print(scale.versions())


def recipes() -> None:
    """Print the names of the recipes and what they are about."""
    from . import recipes

    for name in recipes.names():
        print(f"{name:24}{recipes.load(name).about}")


def cost(names: Sequence[str]) -> None:
    """Print a table of what recipes cost."""
    from . import experiments, recipes, results

    print(results.table([experiments.cost(name) for name in names or recipes.names()]))


def record_classifier(name: str) -> None:
    """Train and record a classifier."""
    from . import classifiers

    print(f"test accuracy {classifiers.record_classifier(name):.4f}")


def train(recipe: str, out: Path | None, resume: bool, changes: Sequence[str]) -> None:
    """Train a recipe into a folder; with ``resume`` go on where the last checkpoint is."""
    from . import experiments

    experiments.train(recipe, out or Path("runs") / Path(recipe).stem, changes, resume=resume)


def sample(
    folder: Path, seeds: str, label: int | None, out: Path | None, changes: Sequence[str]
) -> None:
    """Draw pictures and write them."""
    from . import experiments

    _say(experiments.sample(folder, _seeds(seeds), label, out, changes))


def evaluate(folder: Path, name: str, changes: Sequence[str]) -> None:
    """Print the measures of a run and write them beside it."""
    from . import experiments

    _say(experiments.evaluate(folder, changes, name))


def compare(
    folder: Path, solvers: Sequence[str], calls: Sequence[int], changes: Sequence[str]
) -> None:
    """Print a table of solvers × calls and write it beside the run."""
    from . import experiments

    _say(experiments.compare(folder, solvers, calls, changes))


def _part() -> None:
    """End what joined several processes."""
    torch = sys.modules.get("torch")
    if torch and torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def _say(result: Any) -> None:
    """Print it once, whatever the number of processes."""
    if os.environ.get("RANK", "0") == "0":
        print(result)


def _seeds(written: str) -> list[int]:
    """0-3,8 -> [0, 1, 2, 3, 8]."""
    found: list[int] = []
    try:
        for part in written.split(","):
            first, _, last = part.partition("-")
            found += range(int(first), int(last or first) + 1)
    except ValueError:
        found = []
    if not found:
        raise ValueError(f"seeds = {written!r}: must be such as 0-63 or 3,5,8")
    return found


if __name__ == "__main__":
    main()
