"""`unspool doctor`: what it prints, and with which exit code it ends."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest
from health_damage import blocks_of, change, recorded

from support.recording import record_shop
from unspool.recorder import Recorder
from unspool_tui.cli import ending, run


@pytest.fixture
def damaged(tmp_path: Path) -> Path:
    file = recorded(tmp_path / "x.unspool")
    change(file.path, ("DELETE FROM block_data WHERE first = ?", (blocks_of(file.path)[1][0],)))
    return file.path


def test_a_healthy_file_ends_with_0(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "shop.unspool"
    record_shop(path, 30)
    assert run(["doctor", str(path)]) == 0
    said = capsys.readouterr()
    assert said.out.startswith("shop.unspool: healthy\n  30 entries, all read; ")
    assert said.err == ""


def test_problems_end_with_1_and_name_entries_meaning_and_remedy(
    damaged: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, count = blocks_of(damaged)[1]
    assert run(["doctor", str(damaged)]) == 1
    said = capsys.readouterr().out
    assert f"error   entries {first} to {first + count - 1}: the records of their block are missing" in said
    assert "still reads: when they happened" in said
    assert f"remedy: `unspool doctor {damaged} --repair OUT`" in said


def test_json_has_findings_and_chains(damaged: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["doctor", str(damaged), "--json"]) == 1
    told: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert (told["verdict"], told["entries"]) == ("broken", 300)
    (finding,) = [finding for finding in told["findings"] if finding["severity"] == "error"]
    assert finding["code"] == "missing-records"
    assert set(finding) == {"code", "severity", "first", "last", "meaning", "still_reads", "remedy", "where"}
    assert {chain["verdict"] for chain in told["chains"]} == {"keep", "broken"}
    assert set(told["chains"][0]["limits"]) == {"deltas", "bytes", "age_ms"}


def test_repair_writes_a_new_file_and_tells_what_was_lost(
    damaged: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, count = blocks_of(damaged)[1]
    out = tmp_path / "out.unspool"
    before = damaged.read_bytes()
    assert run(["doctor", str(damaged), "--repair", str(out)]) == 1
    said = capsys.readouterr().out
    assert f"repaired: {out}: degraded" in said
    assert f"{300 - count} entries kept, {count} holes" in said
    assert f"{first} to {first + count - 1}: the records of their block are missing" in said
    assert damaged.read_bytes() == before
    assert run(["doctor", str(out), "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["verdict"] == "degraded"


def test_repair_json_accounts_for_everything(
    damaged: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["doctor", str(damaged), "--json", "--repair", str(tmp_path / "out.unspool")]) == 1
    told = json.loads(capsys.readouterr().out)["repair"]
    lost = sum(hole["last"] - hole["first"] + 1 for hole in told["holes"])
    assert told["kept"] + lost == told["entries"] == 300


def test_an_examination_that_was_broken_off_calls_nothing_healthy_for_good(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "shop.unspool"
    record_shop(path, 30)
    monkeypatch.setattr(ending.Interruption, "__call__", lambda self: True)
    run(["doctor", str(path)])
    assert capsys.readouterr().out.startswith("shop.unspool: healthy, as far as it was examined\n")


def test_an_existing_file_is_refused_as_wrong_usage(damaged: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["doctor", str(damaged), "--repair", str(damaged)]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert "exists already" in said.err


def test_what_cannot_be_read_ends_with_3(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["doctor", str(tmp_path / "none.unspool")]) == 3
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1


def test_a_given_strategy_makes_long_chains_a_warning(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "shop.unspool"
    record_shop(path, 60)
    assert run(["doctor", str(path), "--strategy", "changes:5"]) == 1
    assert "changes:5 wants a full snapshot" in capsys.readouterr().out
    assert run(["doctor", str(path), "--strategy", "sometimes"]) == 2


def test_a_foreign_source_is_examined_and_repaired_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "states.jsonl"
    path.write_text("".join(json.dumps({"timestamp": n, "action": "a", "state": {"n": n}}) + "\n" for n in range(9)))
    assert run(["doctor", str(path)]) == 0
    assert "9 entries, all read" in capsys.readouterr().out
    assert run(["doctor", str(path), "--repair", str(tmp_path / "out.unspool")]) == 0
    assert "9 entries kept, 0 holes" in capsys.readouterr().out


def test_notes_of_one_kind_stand_together(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "x.unspool"
    with Recorder(path, on_error="raise") as recorder:
        for n in range(40):
            recorder.record({"n": n // 2}, timestamp_ns=n)
    assert run(["doctor", str(path)]) == 0
    said = capsys.readouterr().out
    assert "note    20 times, at entries 1, 3, 5, 7, 9, 11, 13, 15, …: changed nothing [no-op]" in said
    assert said.count("no-op") == 1


@pytest.mark.one_in(3)
@pytest.mark.parametrize("words", [["doctor"], ["check"], ["simulate"]])
def test_an_interrupt_gives_what_was_found_and_says_that_it_is_partial(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    class Impatient(ending.Interruption):
        asked = 0

        def __call__(self) -> bool:
            self.asked += 1
            if self.asked == 3:
                os.kill(os.getpid(), signal.SIGINT)
            return super().__call__()

    path = tmp_path / "x.unspool"
    record_shop(path, 900)
    monkeypatch.setattr(ending, "Interruption", Impatient)
    before = signal.getsignal(signal.SIGINT)
    assert run([*words, str(path), "--json"]) == 130
    said = capsys.readouterr()
    assert json.loads(said.out)["complete"] is False
    assert "interrupted: the answer is partial" in said.err
    assert signal.getsignal(signal.SIGINT) is before


def test_an_interrupted_repair_says_that_it_made_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, out = tmp_path / "x.unspool", tmp_path / "out.unspool"
    record_shop(path, 300)
    monkeypatch.setattr(ending.Interruption, "__call__", lambda self: True)
    run(["doctor", str(path), "--repair", str(out)])
    assert f"not repaired: interrupted; {out} was not made" in capsys.readouterr().out
    assert [item.name for item in tmp_path.iterdir()] == ["x.unspool"]
