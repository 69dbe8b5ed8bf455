"""Every command and option of the command line, and every variable it reads, stands in docs/cli.md."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from gateway.cli import main

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "cli.md").read_text("utf-8")
USAGES = dict(re.findall(r"^\| `repligate ((?:[a-z]+ ?)+?)(?: ([^a-z`][^`]*))?` \|", PAGE, re.MULTILINE))


def commands(group: click.Group = main, words: tuple[str, ...] = ()) -> Iterator[tuple[str, click.Command]]:
    """Every command with the words that call it."""
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, (*words, name))
        else:
            yield " ".join((*words, name)), command


def variables() -> set[str]:
    """The environment's names that the code spells out, where it reads them or speaks of them."""
    files = [file for file in (ROOT / "gateway").rglob("*.py") if "simulator" not in file.parts]
    texts = {
        node.value
        for file in files
        for node in ast.walk(ast.parse(file.read_text("utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    return {text for text in texts if re.fullmatch(r"REPLI[A-Z]+(_[A-Z]+)+", text)}


def test_the_page_has_every_command_and_no_other() -> None:
    assert set(USAGES) == {words for words, _ in commands()}


@pytest.mark.parametrize(("words", "command"), [pytest.param(*each, id=each[0]) for each in commands()])
def test_the_usage_line_has_every_option(words: str, command: click.Command) -> None:
    options = {option for each in command.params if isinstance(each, click.Option) for option in each.opts}
    assert options <= set(re.findall(r"--[a-z-]+", USAGES[words])) | {"--config"}
    assert set(re.findall(r"--[a-z-]+", USAGES[words])) <= options


@pytest.mark.parametrize(("words", "command"), [pytest.param(*each, id=each[0]) for each in commands()])
def test_every_command_says_what_it_does_and_each_option_too(words: str, command: click.Command) -> None:
    assert command.help
    unexplained = [each.name for each in command.params if isinstance(each, click.Option) and not each.help]
    assert not unexplained


@pytest.mark.parametrize(("words", "command"), [pytest.param(*each, id=each[0]) for each in commands()])
def test_the_list_of_commands_tells_what_each_does_without_being_cut(words: str, command: click.Command) -> None:
    beside = [each.split() for each, _ in commands()]
    longest = max(len(each[-1]) for each in beside if each[:-1] == words.split()[:-1])
    assert not command.get_short_help_str(80 - 6 - longest).endswith("...")


@pytest.mark.parametrize("name", sorted(variables()))
def test_the_page_has_every_variable(name: str) -> None:
    assert f"| `{name}` |" in PAGE
