"""Copying and exporting."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tui_driver import Driver, drive, make_app, open_file

from unspool_tui.clipboard import MOST_ENCODED, copy_text
from unspool_tui.view.panes import select

action = pytest.mark.action


async def _select(driver: Driver, *address: str | int) -> None:
    main = driver.app.main
    main.apply(select(main.view, address))
    await driver.settle()


@action("yank")
async def test_the_yank_menu_copies_value_key_path_jq_state_and_link(shop_file: Path, clipboard: list[str]) -> None:
    history = open_file(shop_file)
    async with drive(make_app(history, at=100)) as driver:
        await driver.press("y", "v")
        assert "select something" in driver.line(-1)
        await _select(driver, "catalog", "sku-1", "name")
        for key, text in (
            ("v", "Rye bread"),
            ("k", "name"),
            ("p", "$.catalog.sku-1.name"),
            ("q", ".catalog.sku-1.name"),
        ):
            await driver.press("y", key)
            assert clipboard[-1] == text
        assert "OSC 52" in driver.line(-1)
        await driver.press("y", "s")
        assert json.loads(clipboard[-1]) == history.state(100)
        await driver.press("y", "l")
        assert clipboard[-1] == f"unspool open {shop_file} --at 100"


@action("copy")
async def test_ctrl_c_copies_the_selection_and_hints_without_one(shop_file: Path, clipboard: list[str]) -> None:
    async with drive(make_app(open_file(shop_file), at=100)) as driver:
        await driver.press("ctrl+c")
        assert "nothing is selected to copy; q leaves unspool" in driver.line(-1)
        await _select(driver, "requests")
        await driver.press("ctrl+c")
        assert clipboard == ["100"]


async def test_what_a_terminal_cannot_take_is_refused_with_the_way_out(shop_file: Path, clipboard: list[str]) -> None:
    app = make_app(open_file(shop_file), at=100)
    async with drive(app):
        outcome = copy_text(app, "x" * MOST_ENCODED, env={})
        assert not outcome.arrived
        assert "export it" in outcome.said
        assert not clipboard


@action("export")
@pytest.mark.parametrize(
    ("key", "suffix", "inside"),
    [
        ("s", "json", '"catalog"'),
        ("d", "patch.json", '"op"'),
        ("h", "html", "<h2"),
        ("p", "svg", "<svg"),
        ("v", "json", "{"),
    ],
)
async def test_exports_are_written_and_never_replace_a_file(
    shop_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str, suffix: str, inside: str
) -> None:
    monkeypatch.chdir(tmp_path)
    async with drive(make_app(open_file(shop_file), at=100)) as driver:
        await driver.press("E", key, "enter")
        written = tmp_path / f"shop-100.{suffix}"
        assert inside in written.read_text()
        assert "wrote" in driver.line(-1)
        await driver.press("E", key, "enter")
        assert "is there already" in driver.text()
