"""What `--help`, `help` and the manual pages show is true of the commands, and fits where it is read."""

from __future__ import annotations

import shlex
import shutil
import subprocess
from pathlib import Path

import click
import pytest

from unspool.history.verdict import COMPLETE
from unspool_tui.cli import COMMANDS, cli, run
from unspool_tui.cli.help_pages import EXAMPLES, GROUPS, START
from unspool_tui.cli.output import gate
from unspool_tui.reference_pages import pages

MAN = Path(__file__).parents[3] / "docs" / "man"
LINES = [line for _, examples in EXAMPLES.items() for line, _ in examples] + [line for line, _ in START]


def command_named(name: str) -> click.Command:
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    return command


def test_the_first_screen_fits_a_small_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--help"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) <= 24
    assert max(map(len, lines)) <= 80


def test_the_first_screen_names_every_command_once(capsys: pytest.CaptureFixture[str]) -> None:
    run(["--help"])
    shown = capsys.readouterr().out
    assert sorted(name for names in GROUPS.values() for name in names) == sorted(COMMANDS)
    assert all(" ".join(names) in shown for names in GROUPS.values())


def test_every_command_has_examples() -> None:
    assert set(EXAMPLES) == set(COMMANDS)


@pytest.mark.parametrize("line", LINES)
def test_an_example_is_a_line_that_its_command_takes(line: str) -> None:
    words = shlex.split(line.partition(" > ~")[0])
    assert words[0] == "unspool"
    name = words[1] if words[1] in COMMANDS else "open"
    rest = words[2:] if words[1] in COMMANDS else words[1:]
    command = command_named(name)
    if isinstance(command, click.Group):
        command, rest = command.commands[rest[0]], rest[1:]
    assert command.make_context(name, rest).params


@pytest.mark.parametrize("name", ["log", "diff", "bisect"])
def test_a_commands_own_options_stand_before_the_common_ones(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([name, "--help"]) == 0
    shown = capsys.readouterr().out
    places = [shown.index(word) for word in ("\nOptions:", "--json", "\nExamples:", "\nOptions of all", "--identity")]
    assert places == sorted(places)


def test_help_names_one_command_or_lists_all(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["help", "blame"]) == 0
    assert capsys.readouterr().out.startswith("Usage: unspool blame")
    assert run(["help"]) == 0
    shown = capsys.readouterr().out
    assert all(f"\n  {name} " in shown for name in COMMANDS)


def test_the_manual_pages_are_those_of_the_commands() -> None:
    made = dict(pages())
    assert {path.name for path in MAN.iterdir()} == set(made)
    stale = [name for name, text in made.items() if (MAN / name).read_text() != text]
    assert stale == [], "make them anew: python -m unspool_tui.reference_pages manual docs/man"


@pytest.mark.skipif(shutil.which("groff") is None, reason="groff is not installed")
def test_the_manual_pages_are_formatted_without_a_warning() -> None:
    paths = sorted(str(path) for path in MAN.iterdir())
    done = subprocess.run(
        ["groff", "-man", "-Tutf8", "-ww", *paths], capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")


GATES = [
    ("search F tea --fail-if found", 1),
    ("search F tea --fail-if nothing", 0),
    ("search F zzzz --fail-if found", 0),
    ("search F zzzz --fail-if nothing", 1),
    ("search F zzzz", 0),
    ("bisect F 'till.revenue < `0`' --fail-if found", 0),
    ("bisect F 'till.revenue < `0`' --fail-if nothing", 1),
    ("bisect F 'till.revenue >= `0`' --fail-if found", 1),
    # What was asked in halves only says nothing of the entries between.
    ("bisect F 'till.revenue < `0`' --single --fail-if found", 1),
    ("diff F 7 --fail-if found", 1),
    ("diff F 7 7 --fail-if found", 0),
    ("compare F F --fail-if found", 0),
    ("compare F F --fail-if nothing", 1),
    ("log F --action zzzz --fail-if nothing", 1),
    ("log F -n 2 --fail-if nothing", 0),
]


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("gates") / "shop.unspool"
    assert run(["demo", "--steps", "60", "--file", str(path), "--quiet"]) == 0
    return path


@pytest.mark.parametrize(("line", "code"), GATES)
def test_a_gate_ends_with_one_where_it_does_not_pass(line: str, code: int, shop: Path) -> None:
    words = [str(shop) if word == "F" else word for word in shlex.split(line)]
    assert run([*words, "--quiet"]) == code


@pytest.mark.parametrize(
    "line",
    [
        "search F zzzz",
        "search F --expr 'n > `9`'",
        "bisect F 'n > `9`'",
        "diff F 0 0",
        "compare F F",
        "log F --action zzzz",
    ],
)
def test_no_gate_passes_where_a_part_of_the_source_was_passed_over(line: str, tmp_path: Path) -> None:
    lines = tmp_path / "states.jsonl"
    lines.write_text('{"n": 1}\n{"n": \n{"n": 2}\n')
    words = [str(lines) if word == "F" else word for word in shlex.split(line)]
    assert run([*words, "--quiet"]) == 0
    assert run([*words, "--quiet", "--fail-if", "found"]) == 1


def test_a_comparison_that_was_ended_early_passes_no_gate() -> None:
    for wanted in ("found", "nothing"):
        assert gate(wanted, COMPLETE, is_found=False, is_known=False) == 1


def test_options_may_stand_in_the_environment(
    shop: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("UNSPOOL_ASCII", "1")
    assert run(["show", str(shop), "--path", "nothing.there"]) == 2
    monkeypatch.setenv("UNSPOOL_POLL", "soon")
    assert run(["log", str(shop)]) == 2
    assert "soon" in capsys.readouterr().err
