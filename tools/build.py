"""Build the site: python tools/build.py [--out DIR]; the pages land in DIR/_build/html.

Says what it does, with each notebook as it ends and each warning; all else is in _build/log.txt.
Executing the notebooks takes minutes, the rest seconds. So only executions are kept between
builds, and only while everything they depend on is unchanged; pages are made anew each time.
"""

import argparse
import hashlib
import os
import re
import shutil
import subprocess
import sys
from importlib.metadata import distributions
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# The most seconds that a scale allows the quickstart and any other notebook, and on what.
ALLOWED = {
    "smoke": (20, 20, "two slow cores"),
    "cpu": (180, 90, "two slow cores"),
    "gpu": (600, 600, "a data-centre GPU"),
}


def say(text: str) -> None:
    """Print at once, also into a pipe."""
    print(text, flush=True)


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
    if report.exists():
        say("1/3 Key equations: checked before, and nothing has changed since")
        return report
    say("1/3 Checking the key equations: about half a minute")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    environment = {**os.environ, "FEWSTEP_EQUATIONS_REPORT": str(report)}
    if subprocess.call([*command, ROOT / "tests/equations"], cwd=ROOT, env=environment) != 0:
        report.unlink(missing_ok=True)
        return None
    return report


def told(line: str) -> str | None:
    """What a reader is told when jupyter-book prints this line, if anything."""
    line = re.sub(r"\x1b\[[0-9;]*m", "", line).rstrip()
    if done := re.search(r"([^/]+\.ipynb).*: Executed notebook in ([0-9.]+) seconds", line):
        return f"    {done[1]}: {float(done[2]):.0f} s"
    if kept := re.search(r"([^/]+\.ipynb).*: Using cached notebook", line):
        return f"    {kept[1]}: unchanged"
    if line.startswith("pickling environment"):
        return "3/3 Writing the pages: some seconds"
    return line if re.search(r"\b(WARNING|ERROR|CRITICAL): ", line) else None


def run(command: list, environment: dict[str, str], log: Path) -> int:
    """Run jupyter-book and return its exit code.  Its output goes to the log, what matters here."""
    with (
        log.open("w", encoding="utf8") as kept,
        subprocess.Popen(
            command,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf8",
            errors="replace",
        ) as process,
    ):
        for line in process.stdout or ():
            kept.write(line)
            if (text := told(line)) is not None:
                say(text)
    return process.returncode


def build(out: Path) -> int:
    """Make the site in out/_build and return 0, or the exit code of what failed."""
    made = out / "_build"
    trusted = made / "executed-with"  # the fingerprint under which every cached execution ran
    before = what_notebooks_use()
    fresh = not trusted.exists() or trusted.read_text() != before
    try:
        if fresh and made.exists():
            shutil.rmtree(made)
        made.mkdir(parents=True, exist_ok=True)
        (made / "log.txt").touch()
    except OSError as error:
        say(f"{made} cannot be written to: {error.strerror}.")
        return 1
    report = verify_equations(made)
    if report is None:
        return 1
    # A build that is killed leaves no fingerprint, so what it half wrote is never read again.
    trusted.unlink(missing_ok=True)
    # Sphinx would not repeat the warning of a failed notebook, nor drop the page of a deleted one.
    for stale in ("html", ".doctrees", "jupyter_execute"):
        shutil.rmtree(made / stale, ignore_errors=True)

    notebooks = len(list((ROOT / "notebooks").glob("*.ipynb")))
    first, other, where = ALLOWED.get(os.environ.get("FEWSTEP_SCALE", "cpu"), ALLOWED["cpu"])
    minutes = -(-(first + (notebooks - 1) * other) // 60)
    if fresh:
        say(f"2/3 Executing all {notebooks} notebooks: at most {minutes} min on {where}")
    else:
        say("2/3 Executing the notebooks that have changed")
    jupyter_book = Path(sys.executable).with_name("jupyter-book")
    command = [jupyter_book, "build", ROOT, "--path-output", out, "-W", "--keep-going"]
    environment = {
        **os.environ,
        "PYTHONUNBUFFERED": "1",
        "FEWSTEP_STATIC": "1",  # sliders that need no kernel
        "FEWSTEP_EQUATIONS_REPORT": str(report),
    }
    code = run(command, environment, made / "log.txt")
    if what_notebooks_use() != before:
        say("The library, the results or the packages changed during this build: run it again.")
        return 1
    if code >= 0:  # below 0 Sphinx was killed by a signal
        trusted.write_text(before)
    if code != 0:
        with (made / "log.txt").open(encoding="utf8") as log:
            say("…\n" + "".join(log.readlines()[-40:]) + f"\nThe whole log: {made / 'log.txt'}")
    return code


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--out", type=Path, default=ROOT, help="where _build goes (default: the project's root)"
    )
    out = parser.parse_args().out.resolve()
    os.environ.setdefault("FEWSTEP_SCALE", "cpu")
    code = build(out)
    opened = f"Open {(out / '_build/html/index.html').as_uri()}"
    say("\n" + (opened if code == 0 else "The build failed: see above."))
    sys.exit(code)
