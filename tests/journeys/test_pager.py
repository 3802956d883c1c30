"""Output that is longer than the screen is shown in the person's pager, and in no other case."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest

from journeys.terminal_harness import unspool

SLOW_READER = "import pathlib, sys; pathlib.Path(sys.argv[1]).write_bytes(sys.stdin.buffer.read()); print('shown')"


@pytest.fixture
def lines(tmp_path: Path) -> Path:
    path = tmp_path / "states.jsonl"
    path.write_text("".join(f'{{"count": {number}}}\n' for number in range(200)))
    return path


def test_long_output_is_handed_to_the_pager(lines: Path, tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    pager = f"{sys.executable} -c {SLOW_READER!r} {seen}".replace("'", '"')
    with unspool("log", str(lines), env={"UNSPOOL_PAGER": pager}) as terminal:
        assert terminal.wait() == 0
        assert "shown" in terminal.screen.text
    assert len(seen.read_text().splitlines()) > 200


@pytest.mark.one_in(3)
@pytest.mark.parametrize(
    ("words", "env"),
    [
        (["-n", "3"], {}),
        (["--no-pager"], {}),
        ([], {"UNSPOOL_PAGER": ""}),
        ([], {"UNSPOOL_PAGER": "no-such-pager-anywhere"}),
        ([], {"UNSPOOL_PAGER": 'less -P"'}),
        ([], {"TERM": "dumb"}),
    ],
)
def test_other_output_is_printed_as_it_is(lines: Path, tmp_path: Path, words: list[str], env: dict[str, str]) -> None:
    seen = tmp_path / "seen"
    pager = f"{sys.executable} -c {SLOW_READER!r} {seen}".replace("'", '"')
    with unspool("log", str(lines), *words, env={"UNSPOOL_PAGER": pager, **env}) as terminal:
        assert terminal.wait() == 0
        assert "199" in terminal.screen.text
    assert not seen.exists()


def test_whoever_leaves_the_pager_early_gets_no_error(lines: Path) -> None:
    with unspool("log", str(lines), env={"UNSPOOL_PAGER": "true"}) as terminal:
        assert terminal.wait() == 0
        assert terminal.screen.text.strip() == ""


def test_ctrl_c_belongs_to_the_pager(lines: Path, tmp_path: Path) -> None:
    program = tmp_path / "pager.py"
    program.write_text(
        "import signal, sys\n"
        "signal.signal(signal.SIGINT, lambda *_: (print('taken'), sys.exit(0)))\n"
        "sys.stdin.buffer.read()\n"
        "print('ready', flush=True)\n"
        "signal.pause()\n"
    )
    with unspool("log", str(lines), env={"UNSPOOL_PAGER": f"{sys.executable} {program}"}) as terminal:
        terminal.wait_for("ready")
        os.killpg(terminal.process.pid, signal.SIGINT)
        assert terminal.wait() == 0
        assert "taken" in terminal.screen.text


@pytest.mark.parametrize("pager", ["false", "sh -c 'exit 127'"])
def test_a_pager_that_fails_leaves_the_text_to_be_printed(lines: Path, pager: str) -> None:
    with unspool("log", str(lines), env={"UNSPOOL_PAGER": pager}) as terminal:
        assert terminal.wait() == 0
        assert "199" in terminal.screen.text
