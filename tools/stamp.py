"""Write copies of the notebooks that install the course on Colab before they use it.

    python tools/stamp.py --out DIR                this commit of $FEWSTEP_REPOSITORY
    python tools/stamp.py --out DIR --source REQ   anything pip installs, such as a local path

The notebooks in the repository stay clean; only the first lines of the setup cell differ, and a
button above the title, for those who meet the copy on GitHub.
"""

import argparse
import os
import subprocess
import sys
from pathlib import Path

import nbformat

ROOT = Path(__file__).resolve().parent.parent

# Reinstalling torch or NumPy on Colab takes minutes and can break the running kernel: whatever
# is already there is pinned, so that pip either works around it or says that it cannot.
INSTALL = """\
# Added for Colab: installs the course at one commit and leaves torch and NumPy as they are.
import importlib, subprocess, sys, tempfile
from importlib.metadata import version

SOURCE = {source!r}
before = {{name: version(name) for name in ("torch", "torchvision", "numpy")}}
with tempfile.NamedTemporaryFile("w", suffix=".txt", delete=False) as pins:
    pins.writelines(f"{{name}}=={{number}}\\n" for name, number in before.items())
command = [sys.executable, "-m", "pip", "install", "-q", "-c", pins.name, SOURCE]
pip = subprocess.run(command, capture_output=True, text=True)
if pip.returncode != 0:
    raise RuntimeError(f"Could not install {{SOURCE}} next to {{before}}.\\n{{pip.stderr[-3000:]}}")
after = {{name: version(name) for name in before}}
if after != before:
    raise RuntimeError(
        f"The installation changed {{before}} to {{after}}."
        " Restart the runtime and report this, please."
    )
importlib.invalidate_caches()

"""


BUTTON = (
    "[![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)]"
    "(https://colab.research.google.com/github/{name}/blob/colab/{path})\n\n"
)


def this_commit() -> str:
    """What pip is to install: the commit checked out here, from $FEWSTEP_REPOSITORY."""
    repository = os.environ.get("FEWSTEP_REPOSITORY", "").rstrip("/")
    if not repository:
        sys.exit(
            "Set FEWSTEP_REPOSITORY to the repository's address (https://github.com/owner/name),"
            " or give --source."
        )
    commit = subprocess.check_output(["git", "rev-parse", "HEAD"], cwd=ROOT, text=True).strip()
    return f"fewstep @ git+{repository}@{commit}"


def stamp(notebook: nbformat.NotebookNode, source: str) -> nbformat.NotebookNode:
    """Put the installation before everything else in the setup cell, the first code cell."""
    first = next((cell for cell in notebook.cells if cell.cell_type == "code"), None)
    if first is None or "setup" not in first.metadata.get("tags", []):
        raise ValueError("the first code cell must carry the tag 'setup'")
    first.source = INSTALL.format(source=source) + first.source
    return notebook


def with_button(notebook: nbformat.NotebookNode, path: str) -> nbformat.NotebookNode:
    """Put the button above the title, where the repository is one that Colab opens."""
    repository = os.environ.get("FEWSTEP_REPOSITORY", "").rstrip("/")
    if repository.startswith("https://github.com/"):
        name = repository.removeprefix("https://github.com/")
        notebook.cells[0].source = BUTTON.format(name=name, path=path) + notebook.cells[0].source
    return notebook


def main() -> None:
    """Stamp every notebook of the project."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--source", help="what pip is to install (default: this commit of $FEWSTEP_REPOSITORY)"
    )
    parser.add_argument(
        "--out", type=Path, required=True, help="where the copies go, under the same paths"
    )
    arguments = parser.parse_args()
    source = arguments.source or this_commit()
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        copy = arguments.out / path.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        try:
            stamped = stamp(nbformat.read(path, as_version=4), source)
            nbformat.write(with_button(stamped, path.relative_to(ROOT).as_posix()), copy)
        except ValueError as error:
            sys.exit(f"{path.relative_to(ROOT)}: {error}")
        print(copy)


if __name__ == "__main__":
    main()
