"""The chains screen: limits, the doctor, repair."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from tui_driver import Driver, drive, make_app, open_file

from conftest import record, shop_states

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
