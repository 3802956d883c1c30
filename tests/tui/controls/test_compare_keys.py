"""Base, comparing against it, and what is copied of it."""

from __future__ import annotations

import json
from pathlib import Path

import jsonpatch
import pytest
from tui_driver import drive, make_app, open_file

from unspool_tui.view.model import Against, Pane

action = pytest.mark.action


@action("base.mark", "base.clear", "base.swap")
async def test_every_pane_compares_with_a_marked_base(shop_file: Path) -> None:
    async with drive(make_app(open_file(shop_file), at=50)) as driver:
        await driver.press("M")
        assert "mark a base first" in driver.line(-1)
        await driver.press("m", ".", ".")
        assert "#50 base → #52" in driver.panel(Pane.CHANGES)
        assert "vs base" in driver.line(0)
        assert "b" in driver.line(3)
        await driver.press("x")
        assert (driver.view.head, driver.view.base) == (50, 52)
        await driver.press("M")
        assert driver.view.base is None
        assert "#49 → #50" in driver.panel(Pane.CHANGES)


@action("against")
async def test_the_head_is_compared_with_previous_base_or_live(shop_file: Path) -> None:
    async with drive(make_app(open_file(shop_file), at=50)) as driver:
        await driver.press("d", "l")
        assert driver.view.against is Against.LIVE
        assert "#199 live → #50" in driver.panel(Pane.CHANGES)
        await driver.press("m", "d", "p")
        assert driver.view.against is Against.PREVIOUS
        await driver.press("d", "b")
        assert driver.view.against is Against.BASE
        await driver.press("d", "escape")
        assert driver.view.against is Against.BASE


async def test_the_copied_patch_turns_base_into_head(shop_file: Path, clipboard: list[str]) -> None:
    history = open_file(shop_file)
    async with drive(make_app(history, at=20)) as driver:
        await driver.press("m", "}", "y", "d")
        patch = json.loads(clipboard[-1])
        assert jsonpatch.apply_patch(history.state(20), patch) == history.state(199)
