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


NUMBERED = re.compile(r"(\d+)\. ")


def links(markdown: str) -> list[str]:
    return [a or b for a, b in re.findall(r"\]\(([^)\s]+)\)|src(?:set)?=\"([^\"]+)\"", markdown)]


def test_title_page_and_readme_lead_to_every_chapter():
    chapters = [name for name in entries(TOC) if re.match(r"(book|notebooks)/\d\d-", name)]
    intro = (ROOT / "book/intro.md").read_text("utf-8")
    cards = re.findall(r"\{grid-item-card\} (.*)\n((?:.*\n)*?)::::\n", intro)
    titles = dict(cards)
    numbers = [int(n) for title in titles for n in NUMBERED.findall(title)]
    assert numbers == list(range(1, 16))
    readme = (ROOT / "README.md").read_text("utf-8")
    for name in chapters:
        number, file = int(Path(name).name[:2]), Path(name)
        (card,) = [t + body for t, body in titles.items() if t.startswith(f"[{number}. ")]
        assert ":img-top: " in card
        if file.parts[0] == "book":
            title = (ROOT / f"{name}.md").read_text("utf-8").splitlines()[0].removeprefix("# ")
            assert f"[{number}. {title}]({file.name}.md)" in card
            assert f"[{number}. {title}]({name}.md)" in readme
        else:
            assert f"[Run](../{name}.ipynb)" in card
    # what is planned has no link and no picture
    written = {int(Path(name).name[:2]) for name in chapters}
    for title, body in titles.items():
        if (found := NUMBERED.match(title)) and int(found[1]) not in written:
            assert not links(title + body) and ":img" not in body


def test_readme_leads_somewhere():
    readme = (ROOT / "README.md").read_text("utf-8")
    found = links(readme)
    local = [link for link in found if not link.startswith(("https://", "../../"))]
    assert len(local) > 8 and [link for link in local if not (ROOT / link).is_file()] == []
    # a fork edits nothing: what is GitHub's is relative, and no owner is named
    owners = re.findall(r"github\.com/([\w-]+)|//([\w-]+)\.github\.io", readme)
    assert {"".join(pair) for pair in owners} == {"OWNER"}
    assert "../../blob/colab/notebooks/quickstart.ipynb" in found
    script = (ROOT / ".ci/run").read_text()
    for command in ("make book", "make test"):
        assert f"\n{command} " in readme and f"\n{command}\n" in script


def test_readme_picture_is_drawn_for_both_themes(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "book/_ext")
    from figures import dark

    light, other = (
        (ROOT / f"book/_images/intro-live{theme}.svg").read_text("utf-8") for theme in ("", "-dark")
    )
    assert dark(light) == other


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
