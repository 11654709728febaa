"""Recorded runs: every number in the course with its birth certificate.

One run is one ``results/<name>.json``: rows, settings, seeds, and where they come from (commit,
versions, device, date). Cells that were measured over several seeds hold the list of values;
:func:`table` shows them as mean ± std.
"""

import io
import json
import math
import os
import re
import subprocess
import sys
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

from . import scale
from ._checks import require
from ._files import write

PACKAGES = (
    "torch",
    "numpy",
    "accelerate",
    "torch-fidelity",
    "torchmetrics",
    "torchvision",
    "scikit-learn",
)


def folder():
    """Where recorded runs lie: ``results/`` of the checkout, or the copy inside an installed
    package.
    """
    root = _checkout()
    return root / "results" if root else Path(__file__).parent / "_results"


def recording():
    """Whether this run is to be recorded: ``FEWSTEP_RECORD=1``, as ``make record`` sets it."""
    return os.environ.get("FEWSTEP_RECORD") == "1"


def weights(name):
    """Path of a recorded network: ``results/weights/<name>.safetensors``."""
    return folder() / "weights" / f"{name}.safetensors"


def record(
    name, rows, *, settings, seeds=(), samples=None, seconds=None, figure=None, alt=None, into=None
):
    """Write ``results/<name>.json``, and ``.png`` if there is a figure, each whole or not at all;
    returns the path.

    name: lower-case words joined by hyphens.  rows: list of dicts of numbers, words and lists of
    numbers (one per seed).
    settings: dict of all that the rows depend on.  seeds: the seeds used.  samples: pictures per
    measurement.
    seconds: the run took.  figure: a matplotlib Figure, with ``alt``, its description.  into:
    another folder.
    Raises ValueError for a bad name, rows that are no dicts, NaN, a figure without ``alt``; OSError
    when there is no room.
    """
    _check_name(name)
    require(
        isinstance(rows, (list, tuple))
        and len(rows) > 0
        and all(isinstance(r, dict) for r in rows),
        "rows",
        rows,
        "a list of at least one dict",
    )
    require(figure is None or bool(alt), "alt", alt, "a description of the figure")
    if into is None and _checkout() is None:
        raise ValueError(
            "into = None: runs are recorded in a checkout of the project; name a folder to write elsewhere"
        )
    path = Path(into or folder()) / f"{name}.json"
    run = {
        "format": "fewstep-result-1",
        "name": name,
        **provenance(),
        "seconds": seconds,
        "seeds": list(seeds),
        "samples": samples,
        "settings": settings,
        "alt": alt,
        "rows": list(rows),
    }
    try:
        text = json.dumps(_plain(run), indent=1, ensure_ascii=False, allow_nan=False)
    except ValueError as error:
        raise ValueError(
            f"rows or settings of {name!r}: NaN or infinity; allowed are finite numbers"
        ) from error
    # lists of numbers on one line (a newline inside a word is written \\n, so this touches no word)
    text = re.sub(
        r"\[\n\s*([^\[\]{}\"]+?)\n\s*\]", lambda m: "[" + re.sub(r"\s+", " ", m[1]) + "]", text
    )
    picture = io.BytesIO()
    if figure is not None:  # drawn before anything is written: rows and picture stay of one run
        figure.savefig(picture, format="png", dpi=150, bbox_inches="tight")
    write(path, (text + "\n").encode())
    if figure is not None:
        write(path.with_suffix(".png"), picture.getvalue())
    return path


def read(name, of=None):
    """A recorded run as a dict: rows, settings, seeds, samples, seconds, commit, versions, device,
    scale, date.

    of: another folder.  Raises FileNotFoundError with the names there are, ValueError for a file
    that is not ours.
    """
    _check_name(name)
    path = Path(of or folder()) / f"{name}.json"
    if not path.is_file():
        there = ", ".join(sorted(p.stem for p in path.parent.glob("*.json"))) or "none"
        raise FileNotFoundError(f"no recorded run {name!r}; there are: {there}")
    try:
        run = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise ValueError(f"{path}: cut short or not JSON ({error})") from error
    require(
        isinstance(run, dict) and run.get("format") == "fewstep-result-1",
        f"format of {path}",
        run.get("format") if isinstance(run, dict) else type(run).__name__,
        "'fewstep-result-1'",
    )
    return run


def certificate(run):
    """One line on where a recorded run comes from, for a caption."""
    parts = [
        f"recorded {run['date'][:10]}",
        f"commit {run['commit'][:9]}{' with changes' if run['dirty'] else ''}",
        f"torch {run['versions'].get('torch')}",
        run["device"],
        f"scale {run['scale']}",
    ]
    if run["seeds"]:
        parts.append(f"{len(run['seeds'])} seeds")
    if run["samples"]:
        parts.append(f"{run['samples']} samples each")
    if run["seconds"]:
        parts.append(f"{run['seconds']:.0f} s")
    return " · ".join(parts)


class Table(str):
    """Markdown text that a notebook shows as a table."""

    def _repr_markdown_(self):
        return str(self)


def table(rows, columns=None, digits=3):
    """Rows (dicts) as a Markdown table; a list of numbers becomes mean ± std.

    columns: dict from key to heading, or a list of keys; by default every key of the first row.
    digits: significant digits of single numbers.  Raises ValueError for a key that no row has.
    """
    from tabulate import tabulate

    require(len(rows) > 0, "rows", rows, "at least one dict")
    columns = columns or list(rows[0])
    headings = columns if isinstance(columns, dict) else {key: key for key in columns}
    for key in headings:
        require(
            any(key in row for row in rows),
            "columns",
            key,
            f"one of {sorted({k for row in rows for k in row})}",
        )
    cells = [[_cell(row.get(key), digits) for key in headings] for row in rows]
    numeric = [all(_is_number(row.get(key, 0.0)) for row in rows) for key in headings]
    align = ["right" if right else "left" for right in numeric]
    return Table(
        tabulate(
            cells, list(headings.values()), tablefmt="pipe", colalign=align, disable_numparse=True
        )
    )


def mean_std(values):
    """``mean ± std`` of several numbers (sample standard deviation), rounded to two digits of the
    std.
    """
    mean = sum(values) / len(values)
    if len(values) < 2:
        return f"{mean:.3g}"
    std = math.sqrt(sum((v - mean) ** 2 for v in values) / (len(values) - 1))
    if not (math.isfinite(std) and std > 0):
        return f"{mean:.4g} ± {std:.2g}"
    decimals = 1 - math.floor(math.log10(std))
    if not 0 <= decimals <= 6:
        return f"{mean:.4g} ± {std:.2g}"
    return f"{mean:.{decimals}f} ± {std:.{decimals}f}"


def provenance():
    """Commit (and whether sources differ from it), versions, device, scale, date: no host name, no
    path.
    """
    commit, dirty = _commit()
    versions = {"python": ".".join(map(str, sys.version_info[:3]))}
    for package in ("fewstep", *PACKAGES):
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            pass
    date = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "commit": commit,
        "dirty": dirty,
        "versions": versions,
        "device": scale.device_name(),
        "scale": scale.current(),
        "date": date,
    }


def _commit():
    """The commit the library's files belong to, and whether ``src`` or ``notebooks`` differ from
    it.
    """
    root = _checkout()
    if root is None:  # installed: pip notes the commit of a package that came from git
        try:
            text = metadata.distribution("fewstep").read_text("direct_url.json")
            return json.loads(text or "{}").get("vcs_info", {}).get("commit_id", "unknown"), False
        except metadata.PackageNotFoundError:
            return "unknown", False

    def git(*command):
        return subprocess.run(
            ["git", *command], cwd=root, capture_output=True, text=True, timeout=30
        ).stdout.strip()

    try:
        commit = git("rev-parse", "HEAD")
        return commit or "unknown", bool(git("status", "--porcelain", "--", "src", "notebooks"))
    except (OSError, subprocess.TimeoutExpired):
        return "unknown", False


def _checkout():
    root = Path(__file__).resolve().parents[2]
    return root if (root / "pyproject.toml").is_file() and (root / "results").is_dir() else None


def _check_name(name):
    require(
        isinstance(name, str) and re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name) is not None,
        "name",
        name,
        "lower-case words and numbers joined by hyphens",
    )


def _plain(value):
    """Tensors, arrays, NumPy numbers and paths as what JSON knows."""
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple, range)):
        return [_plain(v) for v in value]
    if hasattr(value, "tolist"):
        return value.tolist()
    return value if isinstance(value, (str, int, float, bool, type(None))) else str(value)


def _is_number(value):
    if isinstance(value, (list, tuple)):
        return len(value) > 0 and all(_is_number(v) for v in value)
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _cell(value, digits):
    if value is None:
        return "–"
    if isinstance(value, (list, tuple)) and _is_number(value):
        return mean_std(value)
    return f"{value:.{digits}g}" if isinstance(value, float) else str(value)
