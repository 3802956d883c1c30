"""Several sources in a real pseudo-terminal, as a person opens them, goes between them and leaves."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from terminal_harness import Terminal, unspool

from unspool.recorder.recorder import Recorder

START_NS = 1_772_366_400 * 10**9


def write_lines(path: Path, start: int, stop: int) -> Path:
    with path.open("a") as file:
        for number in range(start, stop):
            file.write(json.dumps({"timestamp": 1_700_000_000 + number, "state": {"n": number}}) + "\n")
    return path


@pytest.fixture
def sources(tmp_path: Path) -> list[str]:
    """A native file, a log and something that no format knows."""
    with Recorder(tmp_path / "shop.unspool") as recorder:
        for number in range(30):
            recorder.record({"visits": number}, f"visit {number}", timestamp_ns=START_NS + number * 10**9)
    write_lines(tmp_path / "app.jsonl", 0, 12)
    (tmp_path / "noise.bin").write_bytes(bytes(range(256)) * 40)
    return [str(tmp_path / name) for name in ("shop.unspool", "app.jsonl", "noise.bin")]


def leave(terminal: Terminal) -> None:
    terminal.send("q")
    assert terminal.wait() == 0
    assert terminal.restored()


def test_going_between_three_sources_and_coming_back_to_each_place(sources: list[str]) -> None:
    with unspool(*sources, size=(80, 24)) as terminal:
        terminal.wait_for(r"\[1 shop\.unspool\]")
        terminal.wait_for(r"29/29")
        terminal.send(",", ",")
        terminal.wait_for(r"27/29")
        terminal.wait_for(r"noise\.bin ✗")
        terminal.send("L")
        terminal.wait_for(r"\[2 app\.jsonl\]")
        terminal.wait_for(r"11/11")
        terminal.send("{")
        terminal.wait_for(r"0/11")
        terminal.send("`", "3")
        terminal.wait_for(r"no format that|`unspool|--format names")
        terminal.send("H", "H")
        terminal.wait_for(r"27/29")
        leave(terminal)
    with unspool("open", *sources, size=(80, 24)) as again:
        again.wait_for(r"27/29")
        again.send("L")
        again.wait_for(r"0/11")
        leave(again)


@pytest.mark.slow
def test_what_arrives_behind_is_counted_until_it_is_looked_at(sources: list[str]) -> None:
    with unspool(sources[0], sources[1], size=(100, 30)) as terminal:
        terminal.wait_for(r"\[1 shop\.unspool\]  ?2 app\.jsonl")
        terminal.send("L")
        terminal.wait_for(r"11/11")
        terminal.send("H")
        terminal.wait_for(r"29/29")
        write_lines(Path(sources[1]), 12, 19)
        terminal.wait_for(r"app\.jsonl \+7")
        terminal.send("L")
        terminal.wait_for(r"18/18")
        leave(terminal)


@pytest.mark.slow
def test_where_two_runs_part_is_found_from_the_screen(tmp_path: Path) -> None:
    paths = []
    for name, wrong in (("good", -1), ("bad", 40)):
        path = tmp_path / f"{name}.jsonl"
        path.write_text("".join(json.dumps({"n": n, "sum": n * 2 + (n >= wrong > 0)}) + "\n" for n in range(60)))
        paths.append(str(path))
    with unspool(*paths, "--ascii", size=(100, 30)) as terminal:
        terminal.wait_for(r"\[1 good\.jsonl\]")
        terminal.wait_for(r"59/59")
        terminal.send("L")
        terminal.wait_for(r"\[2 bad\.jsonl\]")
        terminal.wait_for(r"59/59")
        terminal.send("C")
        terminal.wait_for(r"40 entries in common")
        terminal.send("enter")
        terminal.wait_for(r"40/59")
        leave(terminal)


def piped(*args: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "NO_COLOR": "1"}
    command = [sys.executable, "-m", "unspool_tui.cli", *args]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=env, stdin=subprocess.DEVNULL)


def test_in_a_pipe_each_source_is_printed_under_its_name(sources: list[str]) -> None:
    done = piped(*sources)
    assert done.returncode == 1
    names = [line for line in done.stdout.splitlines() if line in sources or line.endswith("shop.unspool")]
    assert len(names) == 2
    assert done.stdout.count("values by atom") == 2
    assert "visit 29" in done.stdout
    assert done.stderr.count("noise.bin") == 1


def test_when_all_are_refused_each_says_why_in_one_line(sources: list[str], tmp_path: Path) -> None:
    missing = str(tmp_path / "missing.jsonl")
    done = piped("open", sources[2], missing)
    assert (done.returncode, done.stdout) == (3, "")
    assert len(done.stderr.splitlines()) == 2
    with unspool("open", sources[2], missing) as terminal:
        assert terminal.wait() == 3
        assert terminal.screen.text.count("unspool: ") == 2


@pytest.mark.slow
def test_a_place_to_begin_at_for_each_and_none_too_many(sources: list[str]) -> None:
    with unspool("open", sources[0], sources[1], "--at", "3", "--at", "-2") as terminal:
        terminal.wait_for(r" 3/29")
        terminal.send("L")
        terminal.wait_for(r"10/11")
        leave(terminal)
    done = piped("open", sources[0], "--at", "1", "--at", "2")
    assert done.returncode == 2
    assert "--at" in done.stderr


@pytest.mark.slow
def test_an_identity_key_that_matches_nothing_is_told_on_the_screen_and_one_that_does_is_remembered(
    tmp_path: Path,
) -> None:
    path = tmp_path / "app.jsonl"
    rows = [[{"id": 1, "tag": "a"}, {"id": 2, "tag": "b"}], [{"id": 2, "tag": "a"}, {"id": 1, "tag": "b"}]]
    path.write_text("".join(json.dumps({"rows": state}) + "\n" for state in rows))
    with unspool("open", str(path), "--identity", "row[*]=tag", size=(120, 36)) as terminal:
        terminal.wait_for(r"there is no list at row")
        terminal.wait_for(r"rows\[\*\] by id")
        terminal.send("I")
        terminal.wait_for(r"told apart by id")
        terminal.send("\x7f" * 30, "rows[*]=tag", "enter")
        terminal.wait_for(r"rows\[\*\] by tag \(set\)")
        leave(terminal)
    assert "rows[*] by tag" in piped("diff", str(path), "0", "1").stdout
    assert "rows[*] by id" in piped("diff", str(path), "0", "1", "--identity", "rows=").stdout
