"""The app looks at a file that a killed recorder left: nothing of it changes, and damage shows in the first line."""

from __future__ import annotations

from pathlib import Path

import pytest
from tui_driver import drive, make_app, open_file

from support.left_behind import NATIVE, prints


@pytest.mark.one_in(2)
@pytest.mark.parametrize("state", ["closed", "killed", "log damaged", "log cut", "header of the log damaged"])
async def test_the_app_leaves_every_byte(state: str, tmp_path: Path) -> None:
    path = tmp_path / "files" / "app.unspool"
    path.parent.mkdir()
    NATIVE[state](path)
    before = prints(path.parent)
    async with drive(make_app(open_file(path))) as driver:
        await driver.press("end", "home", "c", "D")
        await driver.press("escape", "escape")
        assert ("✗ broken" in driver.line(0)) is ("log" in state)
        assert prints(path.parent) == before
    assert prints(path.parent) == before
