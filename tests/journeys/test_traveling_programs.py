"""Programs of their own that are asked to go back, from the command line, while they run."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from terminal_harness import unspool

from support.waiting import wait_until
from unspool import Recorder, open_history
from unspool.control import served_at
from unspool.errors import UnreadableSource
from unspool_tui.cli import run

EXAMPLES = Path(__file__).parents[2] / "examples"


@contextmanager
def running(*words: str, cwd: Path | None = None) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen([sys.executable, *words], stdin=subprocess.DEVNULL, cwd=cwd) as process:
        try:
            yield process
        finally:
            process.kill()


def entries_in(file: Path) -> int:
    try:
        with open_history(str(file)) as history:
            return len(history)
    except UnreadableSource:
        # The program is just making it.
        return 0


@pytest.fixture(scope="module")
def game(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    file = tmp_path_factory.mktemp("game") / "snake.unspool"
    with running(str(EXAMPLES / "snake.py"), str(file)) as process:
        wait_until(lambda: entries_in(file) > 12)
        yield file
        process.send_signal(signal.SIGINT)
        process.wait(20)
    assert served_at(file) is None


def test_a_game_is_put_back_and_plays_on_from_there(game: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["jump", str(game), "5"]) == 0
    assert "goes on from entry 5" in capsys.readouterr().err
    count = entries_in(game)
    wait_until(lambda: entries_in(game) > count + 3)
    with open_history(str(game)) as history:
        fork = [entry for entry in history if entry.parent_seq not in (None, entry.seq - 1)][-1]
        assert fork.parent_seq == 5
        # The dice are a part of the state: the same future comes once more.
        for ahead in range(3):
            again, before = history.state(fork.seq + ahead), history.state(6 + ahead)
            assert again == before


def test_a_negative_number_counts_from_the_end_and_json_tells_what_was_put_back(
    game: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # Not further: what was played once more after a jump to entry 5 is the same again seven entries later at the soonest.
    assert run(["jump", str(game), "-3", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["seq"] > 0
    assert "snake" in answer["changed"]
    assert answer["kept"] == answer["refused"] == []


def test_a_pause_and_what_comes_after_it(game: Path) -> None:
    assert run(["pause", str(game), "--quiet"]) == 0
    count = entries_in(game)
    assert run(["resume", str(game), "--quiet"]) == 0
    wait_until(lambda: entries_in(game) > count)
    with open_history(str(game)) as history:
        assert history[count].meta.get("unspool.passed_over", 0) >= 0


@pytest.mark.slow
def test_keys_of_the_screen_put_it_back(game: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    with unspool("open", str(game), size=(120, 30)) as terminal:
        terminal.wait_for("can be asked to go back|put back")
        terminal.send("{", ".", ".", ".", "J")
        terminal.wait_for("go on from #3")
        terminal.send("enter")
        terminal.wait_for("goes on from #3")
        terminal.send("q")
        assert terminal.wait() == 0
    with open_history(str(game)) as history:
        assert 3 in [entry.parent_seq for entry in history if entry.parent_seq not in (None, entry.seq - 1)]


def test_an_entry_that_is_not_there_is_refused_in_one_line(game: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["jump", str(game), "99999"]) == 3
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 1
    assert "there is no entry 99999" in told[0]


def test_a_program_that_does_not_listen_is_not_waited_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "busy.unspool"
    program = f"""
import sys
from unspool import Recorder
recorder = Recorder({str(file)!r}, on_travel=print)
recorder.record({{"n": 1}})
sys.stdin.read()
"""
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE) as process:
        wait_until(lambda: entries_in(file) == 1)
        assert run(["jump", str(file), "0", "--timeout", "1.2"]) == 3
        process.communicate(b"")
    told = capsys.readouterr().err
    assert "waiting: for the program to call recorder.poll()" in told
    assert "no answer within 1.2 s" in told


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["jump", "{file}"], 2, "Give ENTRY"),
        (["jump", "{file}", "3", "--back"], 2, "Give ENTRY"),
        (["jump", "{file}", "3"], 3, "no program that can travel records into it"),
        (["pause", "{file}"], 3, "no program that can travel"),
        (["jump", "{file}.gone", "3"], 3, "no such file"),
        (["jump", "{text}", "3"], 3, "no unspool file"),
    ],
)
def test_what_cannot_be_asked_for_is_one_line(
    words: list[str], code: int, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "rest.unspool"
    text = tmp_path / "text.json"
    text.write_text("[]")
    with Recorder(file) as recorder:
        recorder.record({"n": 1})
    assert run([word.format(file=file, text=text) for word in words]) == code
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1
    assert told in said[0]


def test_a_killed_program_is_told_apart_from_one_that_never_was(game: Path, tmp_path: Path) -> None:
    file = tmp_path / "killed.unspool"
    with running(str(EXAMPLES / "snake.py"), str(file)) as process:
        wait_until(lambda: entries_in(file) > 2)
        process.kill()
        process.wait()
        done = subprocess.run(
            [sys.executable, "-m", "unspool_tui.cli", "jump", str(file), "1"],
            capture_output=True, text=True, timeout=60, check=False, env=os.environ,
        )  # fmt: skip
    assert done.returncode == 3
    assert "has ended; start it again" in done.stderr
    with running(str(EXAMPLES / "snake.py"), str(file)):
        count = entries_in(file)
        wait_until(lambda: entries_in(file) > count)
        assert run(["jump", str(file), "1", "--quiet"]) == 0
