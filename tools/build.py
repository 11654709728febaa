"""Build the site: python tools/build.py [--out DIR]; the pages land in DIR/_build/html.

Executing the notebooks takes minutes, the rest seconds. So only executions are kept between
builds, and only while everything they depend on is unchanged; pages are made anew each time.
"""

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
from importlib.metadata import distributions
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def fingerprint(*names: str) -> str:
    """Hash of these files and folders, of the packages installed and of the scale."""
    digest = hashlib.sha256(f"{os.environ.get('FEWSTEP_SCALE')} {sys.version}".encode())
    digest.update(str(sorted(f"{d.name} {d.version}" for d in distributions())).encode())
    for path in sorted(path for name in names for path in [ROOT / name, *(ROOT / name).rglob("*")]):
        if path.is_file() and "__pycache__" not in path.parts:
            content = path.read_bytes()
            digest.update(f"{path.relative_to(ROOT).as_posix()} {len(content)} ".encode() + content)
    return digest.hexdigest()


def what_notebooks_use() -> str:
    """All that a notebook's outputs depend on, except its own cells: those the cache sees."""
    return fingerprint("src", "results", "constraints.txt")


def verify_equations(made: Path) -> Path | None:
    """Run the tests of the key equations; the path of their report, or None if one failed."""
    report = made / "equations" / f"{fingerprint('src', 'tests/equations', 'book')}.json"
    if not report.exists():
        command = [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            ROOT / "tests/equations",
        ]
        if (
            subprocess.call(
                command, cwd=ROOT, env={**os.environ, "FEWSTEP_EQUATIONS_REPORT": str(report)}
            )
            != 0
        ):
            report.unlink(missing_ok=True)
            return None
    return report


def build(out: Path) -> int:
    made = out / "_build"
    trusted = made / "executed-with"  # the fingerprint under which every cached execution ran
    before = what_notebooks_use()
    if not trusted.exists() or trusted.read_text() != before:
        shutil.rmtree(made, ignore_errors=True)
    report = verify_equations(made)
    if report is None:
        return 1
    # A build that is killed leaves no fingerprint, so what it half wrote is never read again.
    trusted.unlink(missing_ok=True)
    # Sphinx would not repeat the warning of a failed notebook, nor drop the page of a deleted one.
    for stale in ("html", ".doctrees", "jupyter_execute"):
        shutil.rmtree(made / stale, ignore_errors=True)

    jupyter_book = Path(sys.executable).with_name("jupyter-book")
    command = [jupyter_book, "build", ROOT, "--path-output", out, "-W", "--keep-going"]
    # FEWSTEP_STATIC: sliders that need no kernel
    code = subprocess.call(
        command, env={**os.environ, "FEWSTEP_STATIC": "1", "FEWSTEP_EQUATIONS_REPORT": str(report)}
    )
    if what_notebooks_use() != before:
        print(
            "The library, the results or the packages changed during this build: run it again.",
            file=sys.stderr,
        )
        return 1
    if code >= 0:  # below 0 Sphinx was killed by a signal
        trusted.write_text(before)
    return code


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--out", type=Path, default=ROOT, help="where _build goes (default: the project's root)"
    )
    out = parser.parse_args().out.resolve()
    os.environ.setdefault("FEWSTEP_SCALE", "cpu")
    code = build(out)
    print(
        f"\nOpen {(out / '_build/html/index.html').as_uri()}"
        if code == 0
        else "\nThe build failed: see above."
    )
    sys.exit(code)
