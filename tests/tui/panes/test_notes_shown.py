"""Notes on the timeline: a sign of their own, what they say, and a filter for them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tui_driver import drive, make_app, open_file

from unspool import Recorder
from unspool.query.chain_table import ChainTable
from unspool.query.doctor.chains import rules_of
from unspool_tui.cli import run
from unspool_tui.view.model import Pane


@pytest.fixture
def noted(tmp_path: Path) -> Path:
    path = tmp_path / "noted.unspool"
    with Recorder(path, on_error="raise") as recorder:
        for step in range(30):
            recorder.record({"n": step, "rest": list(range(200))}, f"step {step}")
            if step % 10 == 5:
                recorder.note(f"[bold]cache miss {step}\x1b[31m", level="warning", key=f"k{step}")
    return path


async def test_a_note_has_a_sign_its_message_and_the_state_before_it(noted: Path) -> None:
    async with drive(make_app(open_file(noted), at=6), size=(120, 64)) as driver:
        await driver.until(lambda: "cache miss 5" in driver.panel(Pane.CHANGES))
        changes = driver.panel(Pane.CHANGES)
        assert "[bold]cache miss 5" in changes
        assert "level" in changes
        assert '"k5"' in changes
        assert "atom" not in changes
        rows = driver.panel(Pane.HISTORY).splitlines()
        assert any("○" in row and "cache miss 5" in row for row in rows)
        assert sum("○" in row for row in rows) == 3
        assert driver.line(3).count("○") == 3, "the one at the head stands beside it, where its column has the room"
        await driver.press("j")
        await driver.until(
            lambda: "6" in driver.panel(Pane.CHANGES) and "cache miss" not in driver.panel(Pane.CHANGES)
        )


async def test_notes_are_filtered_and_are_no_deltas(noted: Path) -> None:
    async with drive(make_app(open_file(noted), at=0)) as driver:
        await driver.press("backslash")
        await driver.type("kind:note")
        await driver.press("enter")
        await driver.until(lambda: driver.view.filter.count == 3 and not driver.view.filter.running)
        await driver.until(lambda: driver.app.main.scene.ledger.ready)
        ledger = driver.app.main.scene.ledger
        assert ledger.longest() == 29
        table = ChainTable(driver.app.main.scene.history.columns(), rules_of(()))
        table.extend(33)
        assert [(table[0].first, table[0].last, table[0].deltas)] == [(0, 32, 29)]
        assert len(table) == 1
        assert ledger.note_count() == 3
        await driver.press("4")
        assert "3 notes" in driver.panel(Pane.STATS)


async def test_an_entry_says_how_many_calls_were_passed_over_before_it(tmp_path: Path) -> None:
    path = tmp_path / "paced.unspool"
    with Recorder(path, max_hz=0.001, on_error="raise") as recorder:
        for step in range(9):
            recorder.record({"n": step})
        recorder.record({"n": 9}, full=True)
    async with drive(make_app(open_file(path), at=2)) as driver:
        await driver.until(lambda: "7 calls passed over" in driver.panel(Pane.CHANGES))
        await driver.press("k")
        await driver.until(lambda: "passed over" not in driver.panel(Pane.CHANGES))


@pytest.mark.parametrize(("kind", "count"), [("note", 3), ("delta", 29), ("full", 1)])
def test_log_lists_the_entries_of_one_kind(
    noted: Path, kind: str, count: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["log", str(noted), "--kind", kind, "--json"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["kind"] for row in rows] == [kind] * count
    if kind == "note":
        assert rows[0]["meta"] == {"level": "warning", "key": "k5"}


def test_stats_count_notes_apart(noted: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["stats", str(noted)]) == 0
    assert "33 (1 full, 29 delta, 3 notes)" in capsys.readouterr().out
