"""Install the course into .venv: python tools/install.py. `make` calls it when .venv is not ready.

uv does the work, for it is faster than pip; it is fetched into .venv where the machine has none,
and pip takes over where uv cannot be had or does not reach the packages. Both follow the settings
that pip has on this machine. Needs nothing but Python: the rest is not there yet.

CONSTRAINTS   the file of the tested versions (default constraints.txt); empty: the newest packages
TORCH         cpu: the build of PyTorch for CPUs alone; empty: the one that pip would take, or
              that .venv was made for
"""

import ast
import csv
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin/python"
LOG = VENV / "log.txt"
# What a reader sees of the installers' output, from 100 MB on; all of it is in the log.
TOLD = re.compile(
    r"\s*(Downloading .*\b\d{3,}(\.\d)? ?Mi?B\)|Downloaded (torch|triton|nvidia)"
    r"|Installing collected packages|Resolved|Prepared|Installed|error|ERROR)"
)
# A few kB each, and none that a machine is likely to have at hand without a network.
FEW = ["latexcodec", "nbmake", "sphinx-multitoc-numbering"]
LATE = 5  # seconds until it is said that nothing answers
SIZES = "{} GB to download, {} GB on disk, {} at 100 Mbit/s"


def say(text: str) -> None:
    """Print at once, also into a pipe."""
    print(text, flush=True)


def pip_settings(listed: str) -> dict[str, str]:
    """uv's variables for what ``pip config list`` printed: uv does not read pip's settings.

    listed: the lines, section.name='value'.
    """
    found = {}
    for section in ("global", "install", ":env:"):  # the later one wins
        for line in listed.splitlines():
            name, equals, value = line.partition("=")
            if equals and name.startswith(section + "."):
                found[name[len(section) + 1 :]] = str(ast.literal_eval(value))
    names = {
        "index-url": "UV_DEFAULT_INDEX",
        "extra-index-url": "UV_INDEX",
        "find-links": "UV_FIND_LINKS",
        "no-index": "UV_NO_INDEX",
        "trusted-host": "UV_INSECURE_HOST",
        "cert": "SSL_CERT_FILE",
        "client-cert": "SSL_CLIENT_CERT",
        "proxy": "ALL_PROXY",
    }
    settings = {names[name]: value for name, value in found.items() if name in names}
    if "UV_FIND_LINKS" in settings:  # pip separates by blanks, uv by commas
        settings["UV_FIND_LINKS"] = ",".join(settings["UV_FIND_LINKS"].split())
    if "UV_INDEX" in settings:  # pip takes the best version of all indexes, uv of the first
        settings["UV_INDEX"] = " ".join(settings["UV_INDEX"].split())
        settings["UV_INDEX_STRATEGY"] = "unsafe-best-match"
    return settings


def mend() -> None:
    """Forget the packages of which an interrupted installation left only a part.

    Installers trust a package's folder of metadata; without it they install the package anew.
    """
    for metadata in VENV.glob("lib/python*/site-packages/*.dist-info"):
        try:
            with (metadata / "RECORD").open(newline="", encoding="utf8") as record:
                for name, _, size in csv.reader(record):
                    if size and (metadata.parent / name).stat().st_size != int(size):
                        raise ValueError(name)
        except (OSError, ValueError):
            shutil.rmtree(metadata)


def reached(commands: list[list], environment: dict[str, str]) -> int | None:
    """Run the commands side by side; the number of the first one that succeeds, or None."""
    late = "  No answer from the package index yet. Is there a network?"
    notice = threading.Timer(LATE, say, [late])
    with LOG.open("a", encoding="utf8") as kept:
        running = [
            subprocess.Popen(command, cwd=ROOT, env=environment, stdout=kept, stderr=kept)
            for command in commands
        ]
    try:
        notice.start()
        return next((n for n, process in enumerate(running) if process.wait() == 0), None)
    finally:
        notice.cancel()
        for process in running:
            process.kill()
            process.wait()


def run(command: list, environment: dict[str, str]) -> bool:
    """Run an installer; whether it succeeded.  Its output goes to the log, what matters here."""
    with (
        LOG.open("a", encoding="utf8") as kept,
        subprocess.Popen(
            command,
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf8",
            errors="replace",
        ) as process,
    ):
        print("$", *command, file=kept)
        for line in process.stdout or ():
            kept.write(line)
            if TOLD.match(line):
                say("  " + line.strip()[:96])
    return process.returncode == 0


def make_venv(asked: str) -> str | None:
    """Make .venv and its pip, where they are not; None, or why that failed.

    asked: TORCH.  .venv/torch keeps what the first installation was asked for.
    """
    build = VENV / "torch"
    try:
        VENV.mkdir(exist_ok=True)
        LOG.write_text("")
        if not build.exists():
            build.write_text("" if PYTHON.exists() else asked)
    except OSError as error:
        return f"{ROOT} cannot be written to ({error.strerror}): copy the project to where it can."
    if asked not in ("", build.read_text()):
        return f"TORCH={asked}, but .venv is for another build of PyTorch: `make clean` first."
    if not PYTHON.exists() or not (VENV / "bin/pip").exists():
        say("Making .venv: some seconds.")
        if subprocess.run([sys.executable, "-m", "venv", VENV]).returncode != 0:
            return f"{sys.executable} could not make .venv: see above."
    return None


def install() -> str | None:
    """Make .venv ready; None, or why it is not."""
    asked = os.environ.get("TORCH", "")
    if asked not in ("", "cpu"):
        return f"TORCH={asked} is not known: TORCH is cpu or nothing."
    if failure := make_venv(asked):
        return failure
    mend()
    cpu = (VENV / "torch").read_text() == "cpu"
    constraints = ["-c", name] if (name := os.environ.get("CONSTRAINTS", "constraints.txt")) else []
    pip: list = [PYTHON, "-m", "pip", "--disable-pip-version-check"]
    listed = subprocess.run([*pip, "config", "list"], capture_output=True, text=True).stdout
    environment = {**pip_settings(listed), **os.environ}
    uv = shutil.which("uv") or shutil.which(VENV / "bin/uv")

    # Is there an answer at all? Each installer asks, in its own way, for a few small packages.
    few = ["--dry-run", "--no-deps", *constraints, *FEW]
    probes = [[*pip, "--timeout", "15", "--retries", "0", "install", "--ignore-installed", *few]]
    if uv:
        once = ["--no-cache", "--reinstall", "--python", PYTHON]
        probes.insert(0, [uv, "pip", "install", *once, *few])
    first = reached(probes, {**environment, "UV_HTTP_TIMEOUT": "15", "UV_HTTP_RETRIES": "0"})
    if first is None:
        return (
            "No answer from the package index, and packages must be fetched: is there a network?"
            f"\nWhat was tried is in {LOG}."
        )
    if uv and first == 1:
        uv = None
    elif not uv and run([*pip, "install", *constraints, "uv"], environment):
        uv = str(VENV / "bin/uv")
    if cpu and not uv:
        return (
            "TORCH=cpu needs uv, which knows where that build lies: put uv on the PATH,"
            " or `make clean` and do without."
        )

    cuda = sys.platform == "linux" and not cpu
    sizes = (2.8, 6.5, "about 5 minutes") if cuda else (0.5, 2, "about 2 minutes")
    tool = "uv" if uv else "pip"
    if (VENV / "installed").exists():
        say(f"Bringing .venv up to date with {tool}.")
    else:
        say(f"Installing into .venv with {tool}: about {SIZES.format(*sizes)}.")
        if cuda:
            say("  Most of it is CUDA, which PyTorch brings; `make TORCH=cpu` leaves it out.")
    what = [*constraints, "-e", ".[book,test]"]
    build = ["--torch-backend", "cpu"] if cpu else []
    done = uv and run([uv, "pip", "install", "--python", PYTHON, *build, *what], environment)
    if not done and not cpu:
        if uv:
            say("  uv could not do it: now with pip.")
        done = run([*pip, "install", *what], environment)
    if not done:
        end = LOG.read_text(encoding="utf8").splitlines()[-20:]
        hint = ["`make clean` gives TORCH=cpu up."] if cpu else []
        return "\n".join([f"The installation failed. The end of {LOG}:", *end, *hint])
    (VENV / "installed").touch()
    return None


if __name__ == "__main__":
    start = time.monotonic()
    if failure := install():
        sys.exit(failure)
    say(f"  Installed after {time.monotonic() - start:.0f} s.")
