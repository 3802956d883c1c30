"""docs/cli.md names every option that commands have, and none that they have not."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import click
import pytest

from unspool_tui.cli import COMMANDS, cli
from unspool_tui.cli.options import source_command

PAGE = (Path(__file__).parents[3] / "docs" / "cli.md").read_text()
SYNOPSES = re.findall(r"^    unspool ((?:events )?[a-z]+) (.*)$", PAGE, re.MULTILINE)

ALWAYS = {"--ascii", "--no-color", "--no-mouse", "--poll", "--quiet"}
"""Common options that commands without a SOURCE declare themselves."""


def options_of(command: click.Command) -> list[tuple[str, ...]]:
    """Return the names of each of a command's options; those that one command sets for another are nobody else's."""
    options = [param for param in command.params if isinstance(param, click.Option)]
    return [(*option.opts, *option.secondary_opts) for option in options if not option.hidden]


@click.command()
@source_command()
def _nothing(common: object) -> None:
    """Have the common options and no others."""


COMMON = options_of(_nothing)


def command_named(words: str) -> click.Command:
    context = click.Context(cli)
    command: click.Command | None = cli
    for word in words.split():
        assert isinstance(command, click.Group)
        command = command.get_command(context, word)
    assert command is not None
    return command


def test_every_command_has_a_line() -> None:
    assert {words.split()[0] for words, _ in SYNOPSES} | {"completion"} == set(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_the_list_of_commands_shows_the_first_sentence_of_each_ones_help(name: str) -> None:
    assert COMMANDS[name].summary == command_named(name).get_short_help_str(limit=1000)


@pytest.mark.parametrize("words", [["--help"], ["--version"]])
def test_no_command_is_imported_to_list_them(words: list[str]) -> None:
    code = (
        "import sys\nfrom unspool_tui.cli import COMMANDS, run\n"
        "run(sys.argv[1:])\n"
        "print([x.module for x in COMMANDS.values() if f'unspool_tui.cli.{x.module}' in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.strip()) == (0, "[]")


@pytest.mark.parametrize(("words", "synopsis"), SYNOPSES, ids=[words for words, _ in SYNOPSES])
def test_a_line_names_the_options_of_its_command(words: str, synopsis: str) -> None:
    named = set(re.findall(r"(?<![\w-])--?[a-z-]+", synopsis))
    options = options_of(command_named(words))
    untold = [names for names in options if names not in COMMON and not named & set(names)]
    assert [names for names in untold if names[0] not in ALWAYS] == []
    assert named - {name for names in options for name in names} == set()


@pytest.mark.parametrize("names", COMMON, ids=[names[0] for names in COMMON])
def test_the_options_of_all_commands_are_told(names: tuple[str, ...]) -> None:
    assert f"`{names[0]}" in PAGE
