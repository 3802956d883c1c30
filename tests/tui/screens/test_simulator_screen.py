"""The simulator's page."""

from __future__ import annotations

from pathlib import Path

import pytest
from tui_driver import drive, make_app, open_file

action = pytest.mark.action


@pytest.mark.slow
@action("simulate")
async def test_configurations_are_tried_and_the_recommended_line_is_copied(
    shop_file: Path, clipboard: list[str]
) -> None:
    async with drive(make_app(open_file(shop_file), at=100), size=(120, 40)) as driver:
        await driver.press("S")
        await driver.until(lambda: " use Recorder(" in driver.line(0))
        await driver.settle()
        assert "configuration" in driver.text()
        assert "✓" in driver.text()
        await driver.press("y")
        assert clipboard[-1].startswith("Recorder(path, ")
        await driver.press("j", "Y", "escape", ".")
        assert driver.view.head == 101
