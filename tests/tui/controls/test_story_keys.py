"""The keys of docs/story.md do what the page says."""

from __future__ import annotations

import re
from pathlib import Path

from tui_driver import drive, make_app, open_file

from unspool_tui.demo_app import run_at_once

PAGE = Path(__file__).parents[3] / "docs" / "story.md"
NAMED = {"Enter": "enter"}


def told() -> list[tuple[list[str], list[str]]]:
    """Each row of the page's table: what is pressed or typed, and what is then on the screen."""
    rows = re.findall(r"^\| (`.*?) \| (.*?) \|$", PAGE.read_text("utf-8"), re.MULTILINE)
    return [(re.findall(r"`([^`]+)`", keys), re.findall(r"`([^`]+)`", seen)) for keys, seen in rows]


async def test_the_keys_of_the_story_lead_from_the_symptom_to_the_line(tmp_path: Path) -> None:
    path = tmp_path / "shop.unspool"
    run_at_once(str(path), rate=5.0, steps=120, seed=0, bug=True)
    rows = told()
    assert len(rows) >= 5
    async with drive(make_app(open_file(path)), size=(120, 36)) as driver:
        for keys, seen in rows:
            for key in keys:
                if key in NAMED or len(key) == 1:
                    await driver.press(NAMED.get(key, key))
                else:
                    await driver.type(key)
            await driver.until(lambda seen=seen: all(text in driver.text() for text in seen if len(text) > 1))  # type: ignore[misc]
        await driver.press("[")
        assert driver.view.head == 87
        await driver.press("]", "]")
        assert driver.view.head == 94
