"""Recorded runs: every number in the course with its birth certificate.

One run is one ``results/<name>.json``: rows, settings, seeds, and where they come from (commit,
versions, device, date). Cells that were measured over several seeds hold the list of values;
:func:`table` shows them as mean ± std.
"""

import json
import math
import os
import re
import statistics
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import scale
from ._checks import count, number, require
from ._files import replacing_all

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PACKAGES = (
    "torch",
    "numpy",
    "accelerate",
    "torch-fidelity",
    "torchmetrics",
    "torchvision",
    "scikit-learn",
)


def folder() -> Path:
    """Where recorded runs lie: ``results/`` of the checkout, or the copy in the package."""
    root = _checkout()
    return root / "results" if root else Path(__file__).parent / "_results"


def recording() -> bool:
    """Whether this run is to be recorded: ``FEWSTEP_RECORD=1``, as ``make record`` sets it."""
    return os.environ.get("FEWSTEP_RECORD") == "1"


def weights(name: str) -> Path:
    """Path of a recorded network: ``results/weights/<name>.safetensors``."""
    _check_name(name)
    return folder() / "weights" / f"{name}.safetensors"


def record(
    name: str,
    rows: Sequence[dict],
    *,
    settings: Mapping[str, Any],
    seeds: Iterable[int] = (),
    samples: int | None = None,
    seconds: float | None = None,
    figure: "Figure | None" = None,
    alt: str | None = None,
    into: str | Path | None = None,
) -> Path:
    """Write ``results/<name>.json``, and ``.svg`` if there is a figure; returns the path.

    Both are of this run, or both stay those of the run before.
    name: lower-case words joined by hyphens.
    rows: dicts of numbers, words and lists of numbers (one per seed).
    settings: all that the rows depend on.  seeds: the seeds used.
    samples: pictures per measurement.  seconds: the run took.
    figure: with ``alt``, its description in words; it is closed.
    into: another folder; None for ``results/`` of the checkout.
    Raises ValueError for a bad name, rows that are no dicts, NaN, a figure without a description;
    OSError when there is no room.
    """
    _check_name(name)
    _check_rows(rows)
    require(isinstance(settings, Mapping), "settings", settings, "a dict")
    try:
        seeds = [count("seeds", seed, 0) for seed in seeds]
    except TypeError as error:
        raise ValueError(f"seeds = {seeds!r}: must be a list of integers") from error
    samples = None if samples is None else count("samples", samples)
    seconds = None if seconds is None else number("seconds", seconds, at_least=0)
    drawn = figure is None or hasattr(figure, "savefig")
    require(drawn, "figure", figure, "a matplotlib Figure")
    described = isinstance(alt, str) and alt.strip()
    require(figure is None or described, "alt", alt, "a description of the figure")
    require(alt is None or isinstance(alt, str), "alt", alt, "a description of the figure")
    require(into is None or isinstance(into, (str, Path)), "into", into, "the path of a folder")
    if into is None:
        allowed = "a folder: without a checkout of the project there is no results/"
        require(_checkout() is not None, "into", into, allowed)
    path = Path(into or folder()) / f"{name}.json"
    run = {
        "format": "fewstep-result-1",
        "name": name,
        **provenance(),
        "seconds": seconds,
        "seeds": seeds,
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
    contents = {path: (text + "\n").encode()}
    if figure is not None:
        from ._svg import svg  # matplotlib takes a while to load

        contents[path.with_suffix(".svg")] = svg(figure)
    with replacing_all(*contents, size=sum(map(len, contents.values()))) as parts:
        for part, content in zip(parts, contents.values()):
            part.write_bytes(content)
    if figure is None:  # one of an earlier run is none of this one
        path.with_suffix(".svg").unlink(missing_ok=True)
    return path


def read(name: str, of: str | Path | None = None) -> dict[str, Any]:
    """A recorded run as a dict: what :func:`record` was given, and :func:`provenance`.

    of: another folder; None for ``results/``.
    Raises FileNotFoundError with the names there are, ValueError for a file that is not ours.
    """
    _check_name(name)
    require(of is None or isinstance(of, (str, Path)), "of", of, "the path of a folder")
    path = Path(of or folder()) / f"{name}.json"
    if not path.is_file():
        there = ", ".join(sorted(p.stem for p in path.parent.glob("*.json"))) or "none"
        raise FileNotFoundError(f"no recorded run {name!r}; there are: {there}")
    try:
        run = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise ValueError(f"{path}: cut short or not JSON ({error})") from error
    form = run.get("format") if isinstance(run, dict) else type(run).__name__
    require(form == "fewstep-result-1", f"format of {path}", form, "'fewstep-result-1'")
    return run


def certificate(run: Mapping[str, Any]) -> str:
    """One line on where a recorded run comes from, for a caption.

    run: as :func:`read` gives it.
    """
    needed = ("date", "commit", "dirty", "versions", "device", "scale")
    whole = isinstance(run, Mapping) and all(key in run for key in needed)
    require(whole, "run", run, f"a recorded run, with {', '.join(needed)}")
    parts = [
        f"recorded {run['date'][:10]}",
        f"commit {run['commit'][:9]}{' with changes' if run['dirty'] else ''}",
        f"torch {run['versions'].get('torch')}",
        run["device"],
        f"scale {run['scale']}",
    ]
    if run.get("seeds"):
        parts.append(f"{len(run['seeds'])} seeds")
    if run.get("samples"):
        parts.append(f"{run['samples']} samples each")
    if run.get("seconds"):
        parts.append(f"{run['seconds']:.0f} s")
    return " · ".join(parts)


class Table(str):
    """Markdown text that a notebook shows as a table."""

    def _repr_markdown_(self) -> str:
        return str(self)


def table(
    rows: Sequence[dict], columns: Mapping[Any, str] | Sequence | None = None, digits: int = 3
) -> Table:
    """Rows (dicts) as a Markdown table; several numbers in a cell become mean ± std.

    columns: dict from key to heading, or a list of keys; None for every key of the first row.
    digits: significant digits of a number, and of a mean whose std does not say (:func:`mean_std`).
    Words are shown as they are: ``|`` and ``<`` in them make no cells and no HTML.
    Raises ValueError for a key that no row has.
    """
    from tabulate import tabulate

    _check_rows(rows)
    count("digits", digits, 1, 17)
    rows = [{key: _number_or_word(value) for key, value in row.items()} for row in rows]
    columns = list(rows[0]) if columns is None else columns
    listed = isinstance(columns, (Mapping, list, tuple)) and len(columns) > 0
    require(listed, "columns", columns, "a dict from key to heading, or a list of keys")
    keys = list({key: None for row in rows for key in row})
    for key in columns:
        require(key in keys, "columns", key, f"one of {keys}")
    headings = columns if isinstance(columns, Mapping) else {key: key for key in columns}
    cells = [[_cell(row.get(key), digits) for key in headings] for row in rows]
    numeric = [all(_is_number(row.get(key, 0.0)) for row in rows) for key in headings]
    return Table(
        tabulate(
            cells,
            [_word(heading) for heading in headings.values()],
            tablefmt="pipe",
            colalign=["right" if right else "left" for right in numeric],
            disable_numparse=True,
        )
    )


def mean_std(values: Sequence[float], digits: int = 3) -> str:
    """``mean ± std`` (of the sample), rounded to two digits of the std.

    values: numbers; NaN and infinite ones are not averaged away but said.
    digits: significant digits of the mean where there is no std: one value, or equal ones.
    """
    count("digits", digits, 1, 17)
    values = _number_or_word(values)
    require(isinstance(values, list) and _is_number(values), "values", values, "numbers")
    lost = sum(not math.isfinite(v) for v in values)
    if lost:
        return f"{lost} of {len(values)} NaN or infinite"
    mean = statistics.mean(values)
    if len(values) < 2:
        return f"{mean:.{digits}g}"
    std = statistics.stdev(values)
    if std == 0:
        return f"{mean:.{digits}g} ± 0"
    decimals = 1 - math.floor(math.log10(std))
    if not 0 <= decimals <= 6:
        return f"{mean:.{digits + 1}g} ± {std:.2g}"
    return f"{mean:.{decimals}f} ± {std:.{decimals}f}"


def provenance() -> dict[str, Any]:
    """Commit (and whether sources differ from it), versions, device, scale, date.

    No name of a host and no path.
    """
    commit, dirty = _commit()
    versions = {"python": ".".join(map(str, sys.version_info[:3]))}
    for package in ("fewstep", *PACKAGES):
        with suppress(metadata.PackageNotFoundError):
            versions[package] = metadata.version(package)
    date = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "commit": commit,
        "dirty": dirty,
        "versions": versions,
        "device": scale.device_name(),
        "scale": scale.current(),
        "date": date,
    }


def _commit() -> tuple[str, bool]:
    """The library's commit, and whether ``src`` or ``notebooks`` differ from it."""
    root = _checkout()
    if root is None:  # installed: pip notes the commit of a package that came from git
        try:
            text = metadata.distribution("fewstep").read_text("direct_url.json")
            return json.loads(text or "{}").get("vcs_info", {}).get("commit_id", "unknown"), False
        except metadata.PackageNotFoundError:
            return "unknown", False

    def git(*command: str) -> str:
        return subprocess.run(
            ["git", *command], cwd=root, capture_output=True, text=True, timeout=30
        ).stdout.strip()

    try:
        commit = git("rev-parse", "HEAD")
        return commit or "unknown", bool(git("status", "--porcelain", "--", "src", "notebooks"))
    except (OSError, subprocess.TimeoutExpired):
        return "unknown", False


def _checkout() -> Path | None:
    root = Path(__file__).resolve().parents[2]
    return root if (root / "pyproject.toml").is_file() and (root / "results").is_dir() else None


def _check_name(name: Any) -> None:
    good = isinstance(name, str) and re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name)
    require(good, "name", name, "lower-case words and numbers joined by hyphens")


def _check_rows(rows: Any) -> None:
    good = isinstance(rows, (list, tuple)) and rows and all(isinstance(row, dict) for row in rows)
    require(good, "rows", rows, "a list of at least one dict")


def _plain(value: Any) -> Any:
    """Tensors, arrays, NumPy numbers and paths as what JSON knows."""
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple, range)):
        return [_plain(v) for v in value]
    if hasattr(value, "tolist"):
        return value.tolist()
    return value if isinstance(value, (str, int, float, bool, type(None))) else str(value)


def _number_or_word(value: Any) -> Any:
    """A cell's value with tensors, arrays and NumPy numbers as Python's."""
    plain = _plain(value)
    return plain if _is_number(plain) or value is None else value


def _is_number(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return len(value) > 0 and all(not isinstance(v, list) and _is_number(v) for v in value)
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _cell(value: Any, digits: int) -> str:
    if value is None:
        return "–"
    if isinstance(value, list) and _is_number(value):
        return mean_std(value, digits)
    return f"{value:.{digits}g}" if isinstance(value, float) else _word(value)


def _word(value: Any) -> str:
    """Text that Markdown shows as it is, on one line."""
    text = " ".join(str(value).splitlines())
    for mark, shown in (("&", "&amp;"), ("<", "&lt;"), ("|", r"\|")):
        text = text.replace(mark, shown)
    return text
