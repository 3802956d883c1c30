"""The chains screen: limits, the doctor, repair."""

from __future__ import annotations

import json
import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from shop_files import record, shop_states
from tui_driver import Driver, drive, make_app, open_file

from unspool import Recorder, open_history
from unspool.query.doctor import diagnosis
from unspool_tui.rendering.chain_wall import lay_out
from unspool_tui.rendering.line import ASCII
from unspool_tui.screens import chains
from unspool_tui.screens.chains import ChainsScreen
from unspool_tui.widgets.panel import Framed

action = pytest.mark.action


async def _examined(driver: Driver) -> None:
    await driver.press("c", "D")
    await driver.until(lambda: " entries read " in driver.line(0))


@action("chains")
async def test_chains_are_listed_with_limits_and_the_doctor_says_what_to_do(shop_file: Path) -> None:
    async with drive(make_app(open_file(shop_file), at=100)) as driver:
        await driver.press("c")
        assert "not examined yet" in driver.line(0)
        assert "sound 0" in driver.text()
        await driver.press("D")
        await driver.until(lambda: "healthy" in driver.line(0))
        assert "✓ sound  within its limits" in driver.text()
        await driver.press("v")
        assert driver.text().count("✓ sound") == len(driver.app.screen.table)  # type: ignore[attr-defined]
        await driver.press("g", "enter", "enter")
        assert driver.view.head == 0
        assert driver.app.screen is driver.app.main


async def test_damage_is_named_and_repaired_into_a_new_file_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = record(tmp_path / "hurt.unspool", shop_states(400))
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE block_data SET data = zeroblob(length(data))")
        connection.commit()
    before = path.read_bytes()
    async with drive(make_app(open_file(path), at=399)) as driver:
        await _examined(driver)
        assert "broken" in driver.line(0)
        await driver.press("R", "enter")
        await driver.until(lambda: (tmp_path / "hurt-repaired.unspool").exists())
        await driver.settle()
    assert path.read_bytes() == before


@action("chains")
async def test_findings_are_listed_marked_and_jumped_to(tmp_path: Path) -> None:
    path = record(tmp_path / "hurt.unspool", shop_states(400))
    with closing(sqlite3.connect(path)) as connection:
        first, count = connection.execute("SELECT first, count FROM block ORDER BY first LIMIT 1 OFFSET 1").fetchone()
        connection.execute("DELETE FROM block_data WHERE first = ?", (first,))
        connection.commit()
    async with drive(make_app(open_file(path), at=399)) as driver:
        await driver.press("c", "F")
        await driver.until(lambda: " entries read " in driver.line(0))
        await driver.press("g")
        assert f"entries {first} to {first + count - 1}" in driver.text()
        assert "the records of their block are missing" in driver.text()
        assert list(driver.view.search.hits) == [first]
        await driver.press("enter")
        assert driver.view.head == first
        await driver.press("g", "n")
        assert driver.view.head == first


async def test_chains_stand_against_the_limits_they_were_recorded_with(tmp_path: Path) -> None:
    path = record(tmp_path / "x.unspool", shop_states(60), strategy="changes:12")
    app = make_app(open_file(path), at=0)
    async with drive(app) as driver:
        await driver.press("c")
        table = driver.app.screen.table  # type: ignore[attr-defined]
        assert {table[place].limits.deltas for place in range(len(table))} == {12}


async def test_the_wall_is_walked_zoomed_and_clicked(tmp_path: Path) -> None:
    path = record(tmp_path / "x.unspool", shop_states(900), strategy="changes:2")
    async with drive(make_app(open_file(path), at=0), size=(60, 16)) as driver:
        await driver.press("c")
        screen = driver.app.screen
        assert isinstance(screen, ChainsScreen)
        assert "chain 1 of 300" in driver.text()
        band = lay_out(300, 58, screen.query_one("#list", Framed).page).per_band
        await driver.press("right", "l", "left", "j")
        assert f"chain {2 + band} of 300" in driver.text()
        await driver.press("up", "G")
        assert "chain 300 of 300" in driver.text()
        await driver.press("-")
        assert "the whole history is shown" in driver.line(0)
        await driver.press("+", "home")
        assert "151 to 300 of 300" in driver.text()
        assert "chain 151 of 300" in driver.text()
        await driver.press("escape", "g")
        assert "chain 1 of 300" in driver.text()
        await driver.click(screen.query_one("#list", Framed), 4, 1, times=2)
        assert f"Chain {1 + 3 // (58 // band)} of 300" in driver.text()


async def test_another_rule_lies_over_the_wall_until_escape(shop_file: Path) -> None:
    async with drive(make_app(open_file(shop_file), at=100), size=(120, 24)) as driver:
        await driver.press("c", "S")
        await driver.until(lambda: "with changes:20: 3 strips more, " in driver.line(0))
        assert re.search(r"(more|less) to rebuild, .* (more|less) on disk; tried on 200", driver.line(0))
        table = driver.app.screen.table  # type: ignore[attr-defined]
        drawn = driver.text().split("bytes")[0].count("F")
        assert drawn >= len(table) + 3
        await driver.press("S")
        await driver.until(lambda: "with changes:50: 3 strips fewer" in driver.line(0))
        await driver.press("escape")
        assert "not examined yet" in driver.line(0)
        assert driver.app.screen is not driver.app.main
        await driver.press("D")
        await driver.until(lambda: "healthy" in driver.line(0))


async def test_many_chains_share_a_place_and_enter_shows_them(tmp_path: Path) -> None:
    path = record(tmp_path / "x.unspool", shop_states(900), strategy="changes:0")
    async with drive(make_app(open_file(path), at=899), size=(60, 16)) as driver:
        await driver.press("c")
        assert "chains 898–900 of 900: #897–899" in driver.text()
        await driver.press("enter")
        assert "898 to 900 of 900" in driver.text()
        await driver.press("l", "enter", "enter")
        assert driver.view.head == 899


@action("chains")
async def test_a_chain_opens_as_a_graph_whose_entries_are_gone_to(shop_file: Path) -> None:
    async with drive(make_app(open_file(shop_file), at=100), size=(120, 40)) as driver:
        await driver.press("c", "enter")
        assert "base #96 → 31 deltas → #127   the head is #100" in driver.line(0)
        lines = [line for line in driver.text().splitlines() if "├·#" in line or "└·#" in line]
        assert len([line for line in lines if "µs" in line or "ms" in line]) == len(lines) > 20
        await driver.press("h")
        assert "base #64" in driver.line(0)
        await driver.press("right", "right")
        assert "base #128" in driver.line(0)
        await driver.press("h", "escape")
        assert "chain 4 of" in driver.text()
        await driver.press("enter", "g", "j", "j", "enter")
        assert driver.view.head == 98
        assert driver.app.screen is driver.app.main


async def test_an_entry_is_chosen_and_gone_to_by_mouse(shop_file: Path) -> None:
    async with drive(make_app(open_file(shop_file), at=100), size=(80, 24)) as driver:
        await driver.press("c", "enter")
        await driver.click(driver.app.screen.query_one(Framed), 5, 2, times=2)
        assert driver.view.head == 97


async def test_what_nobody_could_read_and_forks_are_drawn_where_they_are(tmp_path: Path) -> None:
    path = tmp_path / "forked.unspool"
    with Recorder(path) as recorder:
        for number in range(20):
            recorder.record({"n": number, "text": "x" * 200}, "count")
        recorder.record({"n": 99, "text": "x" * 200}, "another way", parent_seq=12)
        recorder.record({"n": 100, "text": "x" * 200}, "on")
    async with drive(make_app(open_history(path), at=0), size=(120, 40)) as driver:
        await driver.press("c")
        place = driver.app.screen.table.place(20)  # type: ignore[attr-defined]
        await driver.press(*["l"] * place, "enter")
        assert "fork: follows #12" in driver.text()


async def test_a_long_history_is_taken_in_between_keys(shop_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chains, "_AT_ONCE", 1)
    monkeypatch.setattr(chains, "_TURN_SECONDS", 0.0)
    async with drive(make_app(open_file(shop_file), at=199), size=(80, 24)) as driver:
        await driver.press("c")
        screen = driver.app.screen
        assert isinstance(screen, ChainsScreen)
        await driver.press("S")
        if screen.table.total < 200:
            assert "still being read" in driver.line(0)
        await driver.until(lambda: screen.table.total == 200)
        await driver.press("j")
        await driver.until(lambda: "chain 7 of 7" in driver.text())


async def test_what_was_stopped_is_not_called_sound(shop_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with drive(make_app(open_file(shop_file), at=100)) as driver:
        looked = diagnosis.diagnose

        def stopped(history: object, **asked: object) -> object:
            left = iter(range(70))
            return looked(history, **{**asked, "cancelled": lambda: next(left, None) is None})  # type: ignore[arg-type]

        monkeypatch.setattr(diagnosis, "diagnose", stopped)
        await driver.press("c", "D")
        await driver.until(lambda: "stopped: nothing wrong so far" in driver.line(0))
        table = driver.app.screen.table  # type: ignore[attr-defined]
        assert 0 < table.unexamined() < len(table)
        assert f"not examined {table.unexamined()}" in driver.text()


@pytest.mark.one_in(2)
@pytest.mark.parametrize("size", [(20, 5), (40, 10), (200, 50)])
async def test_the_wall_holds_at_every_size_in_ascii(shop_file: Path, size: tuple[int, int]) -> None:
    async with drive(make_app(open_file(shop_file), at=100, ascii=True), size=(120, 40)) as driver:
        await driver.press("c")
        await driver.pilot.resize_terminal(*size)
        await driver.settle()
        await driver.press("v", "v", "j", "D")
        await driver.until(lambda: not driver.app.screen.table.unexamined())  # type: ignore[attr-defined]
        await driver.settle()
        assert driver.text().isascii()
        wall = driver.app.screen.query_one("#list", Framed)
        lines = driver.text().splitlines()[wall.region.y + 1 : wall.region.bottom - 1]
        assert any(set(line[1:-1]) & set(ASCII.bars) for line in lines), "there is always room for the wall"


async def test_a_foreign_source_is_repaired_into_a_native_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "states.jsonl"
    lines = [json.dumps({"timestamp": n, "action": "a", "state": {"n": n}}) for n in range(9)]
    path.write_text("\n".join([*lines[:4], "{broken", *lines[4:]]) + "\n")
    async with drive(make_app(open_history(path, follow=False), at=0)) as driver:
        await driver.press("c", "R", "enter")
        await driver.until(lambda: (tmp_path / "states-repaired.unspool").exists())
        await driver.settle()
    with open_history(tmp_path / "states-repaired.unspool") as history:
        assert [history.state(seq) for seq in range(len(history))] == [{"n": n} for n in range(9)]


@action("check")
async def test_what_checkers_find_is_listed_marked_and_jumped_to(tmp_path: Path) -> None:
    states = [({"mode": "ab"[number % 2], "n": number}, "flip") for number in range(8)]
    async with drive(make_app(open_file(record(tmp_path / "x.unspool", states)), at=0)) as driver:
        await driver.press("K")
        await driver.until(lambda: "1 finding" in driver.text())
        assert "oscillation" in driver.text()
        assert "goes to and fro" in driver.text()
        assert list(driver.view.search.hits) == [4]
        await driver.press("enter")
        assert driver.view.head == 4
