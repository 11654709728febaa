"""How `make` installs: with stubs in place of pip and uv, so that nothing is downloaded."""

import errno
import importlib.util
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
STUB = """\
#!/bin/sh
echo "$(basename "$0") $*" >> "$CALLS"
case "$(basename "$0") $*" in
    *"config list") printf '%s' "$SETTINGS" ;;
    "uv "*--dry-run*) exit $UV_ANSWERS ;;
    *--dry-run*) [ "$PIP_ANSWERS" != really ] || exec "$REAL" "$@"; exit $PIP_ANSWERS ;;
    "uv "*) env | grep -E '^(UV_|SSL_)' >> "$CALLS"; exit $UV_INSTALLS ;;
    *"pip "*) exit $PIP_INSTALLS ;;
esac
"""


@pytest.fixture
def installer():
    """tools/install.py as a module."""
    spec = importlib.util.spec_from_file_location("install", ROOT / "tools/install.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Project:
    """What `make` needs of the project, in a path with spaces, with a .venv made of stubs."""

    def __init__(self, home: Path):
        self.root, self.calls, self.path = home / "my own copy", home / "calls", home / "path"
        for name in ("Makefile", "pyproject.toml", "constraints.txt", "tools/install.py"):
            (self.root / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, self.root / name)
        for program in ("python", "pip"):
            self.stub(self.root / ".venv/bin" / program)
        self.python = home / "a python" / "python3"  # `make` must quote this one, too
        self.python.parent.mkdir()
        self.python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
        self.python.chmod(0o755)
        self.path.mkdir()
        for program in ("make", "sh", "cat", "env", "grep", "basename", "rm"):
            (self.path / program).symlink_to(shutil.which(program))
        self.stub(self.path / "uv")

    def stub(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(STUB)
        path.chmod(0o755)

    def make(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess:
        answers = dict.fromkeys(("UV_ANSWERS", "PIP_ANSWERS", "UV_INSTALLS", "PIP_INSTALLS"), "0")
        clean = {n: v for n, v in os.environ.items() if not n.startswith(("PIP_", "UV_", "SSL_"))}
        clean |= {"PATH": str(self.path), "CALLS": str(self.calls), "SETTINGS": ""}
        self.calls.write_text("")
        return subprocess.run(
            ["make", f"PYTHON={self.python}", *arguments],
            cwd=self.root,
            env=clean | answers | environment,
            capture_output=True,
            text=True,
        )

    def installations(self) -> list[str]:
        lines = self.calls.read_text().splitlines()
        return [line for line in lines if " install " in line and "--dry-run" not in line]


@pytest.fixture
def project(tmp_path):
    return Project(tmp_path)


def test_uv_installs_the_tested_packages_once_in_a_path_with_spaces(project):
    done = project.make("book")
    assert done.returncode == 0, done.stderr
    (line,) = project.installations()
    assert line.startswith("uv pip install") and line.endswith("-c constraints.txt -e .[book,test]")
    assert "GB on disk" in done.stdout and "with uv" in done.stdout
    assert project.calls.read_text().endswith("python tools/build.py\n")
    assert project.make("book").returncode == 0 and not project.installations()
    os.utime(project.root / ".venv/installed", (0, 0))  # older than pyproject.toml
    assert "up to date with uv" in project.make("book").stdout and project.installations()


def test_newest_packages_on_request(project):
    assert project.make("book", "CONSTRAINTS=").returncode == 0
    assert "constraints.txt" not in project.calls.read_text()


@pytest.mark.parametrize("trouble", [{"UV_ANSWERS": "1"}, {"UV_INSTALLS": "1"}])
def test_pip_takes_over_where_uv_does_not_get_through(project, trouble):
    done = project.make("book", **trouble)
    assert done.returncode == 0, done.stderr
    last = project.installations()[-1]
    assert last.startswith("python -m pip") and last.endswith("-c constraints.txt -e .[book,test]")


def test_uv_is_fetched_where_there_is_none(project):
    (project.path / "uv").unlink()
    assert project.make("book", PIP_INSTALLS="1").returncode != 0  # neither uv nor the packages
    first, second = project.installations()
    assert first.endswith("install -c constraints.txt uv")
    assert "python -m pip" in second and second.endswith("-e .[book,test]")
    project.stub(project.root / ".venv/bin/uv")
    assert project.make("book").returncode == 0
    assert project.installations()[-1].startswith("uv pip install")


def test_uv_gets_the_settings_of_pip(project):
    settings = (
        "global.index-url='https://one.example/simple'\n"
        "global.extra-index-url='https://two.example/simple\\nfile:///three'\n"
        "global.cert='/etc/old.pem'\n:env:.cert='/etc/mine.pem'\n:env:.find-links='/a /b'\n"
    )
    assert project.make("book", SETTINGS=settings).returncode == 0
    assert set(project.calls.read_text().splitlines()) >= {
        "UV_DEFAULT_INDEX=https://one.example/simple",
        "UV_INDEX=https://two.example/simple file:///three",
        "UV_INDEX_STRATEGY=unsafe-best-match",
        "UV_FIND_LINKS=/a,/b",
        "SSL_CERT_FILE=/etc/mine.pem",
    }
    own = {"UV_DEFAULT_INDEX": "https://own.example/simple"}
    (project.root / ".venv/installed").unlink()
    assert project.make("book", SETTINGS=settings, **own).returncode == 0
    assert "UV_DEFAULT_INDEX=https://own.example/simple" in project.calls.read_text().splitlines()


def test_without_a_network_an_answer_at_once(project):
    start = time.monotonic()
    nowhere = {"PIP_INDEX_URL": "http://127.0.0.1:9/simple", "PIP_CONFIG_FILE": os.devnull}
    really = {"PIP_ANSWERS": "really", "REAL": sys.executable, **nowhere}  # pip itself
    done = project.make("book", UV_ANSWERS="2", **really)
    assert done.returncode != 0 and "is there a network?" in done.stderr
    assert not project.installations()
    assert time.monotonic() - start < 10
    log = (project.root / ".venv/log.txt").read_text()  # pip was asked, and once
    assert "Looking in indexes: http://127.0.0.1:9" in log and "Retrying" not in log


def test_silence_is_told(installer, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(installer, "LATE", 0.2)
    monkeypatch.setattr(installer, "LOG", tmp_path / "log.txt")
    silent = ["sh", "-c", "sleep 1; exit 1"]
    assert installer.reached([silent], dict(os.environ)) is None
    assert "Is there a network?" in capsys.readouterr().out
    assert installer.reached([["true"], silent], dict(os.environ)) == 0
    assert not capsys.readouterr().out


def test_torch_for_cpus(project):
    (project.root / ".venv/torch").write_text("cpu")  # as the first installation leaves it
    assert project.make("book", "TORCH=cpu", UV_INSTALLS="1").returncode != 0
    (line,) = project.installations()  # never pip, which would bring the other build
    assert line.endswith("--torch-backend cpu -c constraints.txt -e .[book,test]")
    done = project.make("book")  # .venv keeps its build
    assert done.returncode == 0 and "--torch-backend cpu" in project.installations()[0]
    assert "leaves it out" not in done.stdout
    project.make("book", "TORCH=cpu")
    assert not project.installations()


def test_torch_does_not_change_under_an_installation(project):
    project.make("book")
    done = project.make("book", "TORCH=cpu")
    assert done.returncode != 0 and "`make clean` first" in done.stderr
    assert "TORCH=gpu is not known" in project.make("book", "TORCH=gpu").stderr
    assert not project.installations()


def test_interrupted_installation_is_completed(project):
    site = project.root / ".venv/lib/python3.11/site-packages"
    for name in ("whole", "cut", "gone", "begun"):
        (site / f"{name}-1.dist-info").mkdir(parents=True)
        (site / f"{name}.py").write_text("x = 1\n")
        (site / f"{name}-1.dist-info/RECORD").write_text(f"{name}.py,sha256=0,6\n{name}.pyc,,\n")
    (site / "cut.py").write_text("x")
    (site / "gone.py").unlink()
    (site / "begun-1.dist-info/RECORD").unlink()
    failed = project.make("book", UV_INSTALLS="1", PIP_INSTALLS="1")
    assert failed.returncode != 0 and "tools/build.py" not in project.calls.read_text()
    assert [path.name for path in site.glob("*.dist-info")] == ["whole-1.dist-info"]
    assert project.make("book").returncode == 0 and len(project.installations()) == 1


def test_read_only_folder_gets_one_line(installer, monkeypatch):
    def refuse(*_, **__):
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(Path, "mkdir", refuse)
    (line,) = installer.install().splitlines()
    assert f"{ROOT} cannot be written to (Read-only file system)" in line


def test_old_python_is_refused(project):
    old = "import sys; sys.version_info = (3, 10); sys.version = '3.10.1 (old)'; "
    project.python.write_text(f'#!/bin/sh\nexec "{sys.executable}" -c "{old}$2"\n')
    done = project.make("book")
    assert done.returncode != 0 and "needs Python 3.11 or newer" in done.stderr
    assert "is 3.10.1" in done.stderr and not project.installations()
