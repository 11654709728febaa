"""The page of the command line says what the commands do."""

import re
import shlex
from pathlib import Path

import pytest
import yaml

from fewstep import __main__, recipes

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "book/command-line.md").read_text("utf-8")
COMMANDS = re.findall(r"-m fewstep ((?:train|sample|evaluate|compare|cost|recipes)[^`\n#]*)", PAGE)


@pytest.mark.parametrize("line", COMMANDS)
def test_commands_on_the_page_are_understood(line):
    parsed = __main__._parser().parse_args(shlex.split(line))
    if parsed.command == "train":
        recipes.load(parsed.recipe)


def test_there_are_commands():
    assert {line.split()[0] for line in COMMANDS} >= {"train", "sample", "evaluate", "compare"}


def test_the_recipe_on_the_page_is_the_recipe():
    shown = re.findall(r"```yaml\n(.*?)```", PAGE, re.S)[0]
    assert yaml.safe_load(shown) == yaml.safe_load((recipes.FOLDER / "digits.yaml").read_text())
