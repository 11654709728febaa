"""The command line: ``python -m fewstep versions`` and ``… record-classifier digits``."""

import argparse
from collections.abc import Sequence

from . import classifiers, scale


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command.

    arguments: as on the command line; None for those of this process.
    """
    parser = argparse.ArgumentParser(
        prog="python -m fewstep", description="Few-Step Diffusion: the course's library."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("versions", help="what is installed, and where it runs")
    record = commands.add_parser(
        "record-classifier",
        help="train the classifier behind FD-C anew and write its weights to results/",
    )
    record.add_argument("name", choices=list(classifiers.RECIPES))
    chosen = parser.parse_args(arguments)
    if chosen.command == "versions":
        print(scale.versions())
    else:
        print(f"test accuracy {classifiers.record_classifier(chosen.name):.4f}")


if __name__ == "__main__":
    main()
