"""Commands take entries by number, offset, time, range, action and bookmark; `log` lists a part, and follows."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from support.waiting import wait_until
from unspool.model.entries import iso_time
from unspool.recorder import Recorder
from unspool_tui.cli import run

START_NS = 1_772_366_400 * 10**9


@pytest.fixture
def shop(tmp_path: Path) -> str:
    path = tmp_path / "shop.unspool"
    with Recorder(path, on_error="raise") as recorder:
        for number in range(10):
            state = {"n": number, "even": number % 2 == 0} if number % 2 == 0 else {"n": number, "even": False}
            recorder.record(state, action=f"step {number}", timestamp_ns=START_NS + number * 10**9)
    return str(path)


def ask(capsys: pytest.CaptureFixture[str], *args: str) -> str:
    assert run(list(args)) == 0
    return capsys.readouterr().out


def listed(capsys: pytest.CaptureFixture[str], *args: str) -> list[int]:
    return [json.loads(line)["seq"] for line in ask(capsys, "log", *args, "--json").splitlines()]


def test_what_one_entry_did(shop: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert json.loads(ask(capsys, "diff", shop, "4", "--json"))["from"] == 3
    assert json.loads(ask(capsys, "diff", shop, "--json"))["to"] == 9
    assert json.loads(ask(capsys, "diff", shop, "step 4", "--json"))["to"] == 4
    assert "nothing to 0" in ask(capsys, "diff", shop, "0")


def test_two_entries_and_a_range_say_the_same(shop: str, capsys: pytest.CaptureFixture[str]) -> None:
    told = ask(capsys, "diff", shop, "2", "6", "--json")
    assert ask(capsys, "diff", shop, "2..6", "--json") == told
    assert ask(capsys, "diff", shop, "-8", "-4", "--json") == told


def test_two_files_are_for_another_command(shop: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["diff", shop, shop]) == 2
    assert "unspool compare" in capsys.readouterr().err


def test_show_takes_the_newest_entry_unless_told(shop: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert json.loads(ask(capsys, "show", shop, "--json"))["seq"] == 9
    assert json.loads(ask(capsys, "show", shop, "latest~3", "--json"))["seq"] == 6
    assert json.loads(ask(capsys, "show", shop, "-2", "--json"))["seq"] == 8
    assert run(["show", shop, "stp 4"]) != 0
    assert "did you mean 'step 4'" in capsys.readouterr().err


def test_questions_look_back_from_a_named_entry(shop: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert json.loads(ask(capsys, "blame", shop, "n", "--at", "step 4", "--json"))["values"][0]["seq"] == 4
    assert json.loads(ask(capsys, "shape", shop, "--at", "first", "--json"))["at"] == 0
    assert '"seq":4' in ask(capsys, "bisect", shop, "n > `3`", "--at", "step 6", "--json").replace(" ", "")


def test_log_lists_a_part(shop: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert listed(capsys, shop, "3..5") == [3, 4, 5]
    assert listed(capsys, shop, "7") == [7]
    assert listed(capsys, shop, "--since", "step 8") == [8, 9]
    assert listed(capsys, shop, "--until", "1") == [0, 1]
    assert listed(capsys, shop, "2..8", "--grep", "[37]$") == [3, 7]
    assert listed(capsys, shop, "2..8", "-n", "2") == [7, 8]
    assert listed(capsys, shop, "..5", "--atom", "n", "-n", "1") == [5]
    assert listed(capsys, shop, "--grep", "STEP [12]") == []


def test_log_until_a_time_ends_at_the_last_entry_before_it(shop: str, capsys: pytest.CaptureFixture[str]) -> None:
    times = [iso_time(START_NS + number * 10**9) for number in range(10)]
    assert listed(capsys, shop, "--since", times[3], "--until", times[5]) == [3, 4, 5]
    between = iso_time(START_NS + 2 * 10**9 + 10**8)
    assert listed(capsys, shop, "--until", between) == [0, 1, 2]
    assert listed(capsys, shop, "--since", between) == [3, 4, 5, 6, 7, 8, 9]
    late = iso_time(START_NS + 60 * 10**9)
    assert listed(capsys, shop, "--since", late) == []
    assert listed(capsys, shop, "--until", iso_time(START_NS - 10**9)) == []
    assert run(["show", shop, late]) == 2
    assert "no entry is at or after" in capsys.readouterr().err


def test_log_waits_for_the_first_entry_of_an_empty_file(tmp_path: Path) -> None:
    path = tmp_path / "states.jsonl"
    path.touch()
    command = [sys.executable, "-m", "unspool_tui.cli", "log", str(path), "--follow", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stderr.readline() == f"unspool: {path}: is empty; waiting for its first entry\n"
        path.write_text('{"n": 1}\n')
        assert json.loads(process.stdout.readline())["seq"] == 0
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130


def test_the_wait_for_a_first_entry_ends_with_ctrl_c(tmp_path: Path) -> None:
    (tmp_path / "states.jsonl").touch()
    command = [sys.executable, "-m", "unspool_tui.cli", "log", str(tmp_path / "states.jsonl"), "--follow"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert "waiting" in process.stderr.readline()
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
        assert process.stderr.read().strip() == ""


def test_log_follows_a_recorder(shop: str, tmp_path: Path) -> None:
    out = tmp_path / "out.txt"
    with out.open("wb") as told:
        command = [sys.executable, "-m", "unspool_tui.cli", "log", shop, "--since", "9", "--follow", "--json"]
        process = subprocess.Popen(command, stdout=told)
        try:
            with Recorder(shop, on_error="raise") as recorder:
                wait_until(lambda: b'"seq"' in out.read_bytes() or process.poll() is not None)
                recorder.record({"n": 77}, action="late", timestamp_ns=START_NS + 60 * 10**9)
                wait_until(lambda: b"late" in out.read_bytes() or process.poll() is not None)
            process.send_signal(signal.SIGINT)
            process.wait(timeout=30)
        finally:
            process.kill()
    assert [json.loads(line)["seq"] for line in out.read_bytes().splitlines()] == [9, 10]


def test_follow_has_no_end(shop: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["log", shop, "--follow", "--until", "3"]) == 2
    assert "--until" in capsys.readouterr().err
