"""What the project's files say about each other."""

import re
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
REQUIREMENTS = [
    Requirement(line) for line in [*PROJECT["dependencies"], *EXTRAS["book"], *EXTRAS["test"]]
]
TOC = yaml.safe_load((ROOT / "_toc.yml").read_text())


def constraints() -> dict[str, str]:
    pins = [line.split("==") for line in (ROOT / "constraints.txt").read_text().split()]
    assert all(len(pin) == 2 for pin in pins), "constraints.txt holds nothing but name==version"
    return {canonicalize_name(name): version for name, version in pins}


def test_every_requirement_is_pinned_within_its_bounds():
    pins = constraints()
    for requirement in REQUIREMENTS:
        pin = pins.get(canonicalize_name(requirement.name))
        assert pin, f"{requirement.name} is missing from constraints.txt"
        assert pin in requirement.specifier, (
            f"constraints.txt has {requirement.name}=={pin}, pyproject.toml {requirement}"
        )


def test_conda_installs_the_same():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    python, _, pip = environment["dependencies"]
    assert python == f"python{PROJECT['requires-python']}"
    # No version stands in environment.yml but Python's: pip gets the one list that make uses.
    assert pip == {"pip": ["-c constraints.txt", "-e .[book,test]"]}
    recipe = (ROOT / "tools/install.py").read_text()
    assert "constraints.txt" in recipe and '".[book,test]"' in recipe


def test_hooks_use_the_pinned_versions():
    hooks = [
        hook
        for repository in yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
        for hook in repository["hooks"]
    ]
    assert {"ruff format", "ruff check", "mypy"} <= {hook["name"] for hook in hooks}
    for hook in hooks:
        if hook["language"] == "python":
            (tool,) = map(Requirement, hook["additional_dependencies"])
            assert str(tool.specifier) == f"=={constraints()[tool.name]}", f"hook {hook['id']}"
        else:  # what make has installed, and so what constraints.txt says
            assert hook["language"] == "system" and hook["entry"].startswith(".venv/bin/")


def entries(node) -> list[str]:
    """The files that a table of contents names, in reading order."""
    if isinstance(node, list):
        return [name for part in node for name in entries(part)]
    own = [node["file"]] if "file" in node else []
    return own + [
        name for key in ("parts", "chapters", "sections") for name in entries(node.get(key, []))
    ]


def test_contents_list_what_exists_and_all_of_it():
    listed = [TOC["root"], *entries(TOC)]
    there = {path.relative_to(ROOT).with_suffix("").as_posix() for path in ROOT.glob("book/*.md")}
    there |= {
        path.relative_to(ROOT).with_suffix("").as_posix() for path in ROOT.glob("notebooks/*.ipynb")
    }
    assert sorted(listed) == sorted(there)


def test_no_file_names_a_package_registry():
    try:
        tracked = subprocess.check_output(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT
        )
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("needs a git checkout")
    hosts = re.compile(
        rb"(py"
        rb"pi\.org|python"
        rb"hosted\.org|download\.py"
        rb"torch\.org|registry\.npm"
        rb"js\.org|ana"
        rb"conda\.org)"
    )
    files = [ROOT / name for name in tracked.decode().split("\0") if name]
    named = [
        str(path.relative_to(ROOT))
        for path in files
        if path.is_file() and hosts.search(path.read_bytes())
    ]
    assert files and not named
