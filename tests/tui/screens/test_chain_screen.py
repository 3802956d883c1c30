"""The chains screen: limits, the doctor, repair."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from shop_files import record, shop_states
from tui_driver import Driver, drive, make_app, open_file

from unspool import open_history

action = pytest.mark.action


async def _examined(driver: Driver) -> None:
    await driver.press("c", "D")
    await driver.until(lambda: " entries read " in driver.line(0))


@action("chains")
async def test_chains_are_listed_with_limits_and_the_doctor_says_what_to_do(shop_file: Path) -> None:
    async with drive(make_app(open_file(shop_file), at=100)) as driver:
        await driver.press("c")
        assert "not examined yet" in driver.line(0)
        assert "not checked" in driver.text()
        await driver.press("D")
        await driver.until(lambda: "healthy" in driver.line(0))
        assert "✓ intact" in driver.text()
        assert "keep" in driver.text()
        await driver.press("g", "enter")
        assert driver.view.head == 0


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
        chains = driver.app.screen._chains  # type: ignore[attr-defined]
        assert {chain.most_deltas for chain in chains} == {12}


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
