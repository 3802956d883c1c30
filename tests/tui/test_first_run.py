"""The card of a first run: seen until it is closed, in nobody's way, and the demo's leads to the line."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tui_driver import drive, make_app, open_file

import unspool_tui
from unspool_tui.actions import Keymap
from unspool_tui.demo_app import run_at_once
from unspool_tui.first_run import APP, CARDS, DEMO, card_rows
from unspool_tui.permits import Permits
from unspool_tui.rendering.line import ASCII, UNICODE, spans_width
from unspool_tui.settings import Settings
from unspool_tui.source import state_folder
from unspool_tui.view.model import Pane


async def test_it_stays_until_it_is_closed_and_keys_do_what_they_do(shop_file: Path) -> None:
    for _ in range(2):
        async with drive(make_app(open_file(shop_file), at=5, card="app"), size=(80, 24)) as driver:
            assert APP.title in driver.text()
            await driver.press(".", ".", "2")
            assert (driver.view.head, driver.view.focus) == (7, Pane.CHANGES)
            assert APP.title in driver.text()
    async with drive(make_app(open_file(shop_file), at=5, card="app"), size=(80, 24)) as driver:
        lines = driver.app.main.panels[Pane.HISTORY].lines
        await driver.press("escape")
        assert APP.title not in driver.text()
        assert driver.app.main.panels[Pane.HISTORY].lines == lines + 4
    async with drive(make_app(open_file(shop_file), card="app")) as driver:
        assert APP.title not in driver.text()


async def test_a_click_closes_it_and_damaged_memory_is_forgotten(shop_file: Path) -> None:
    memory = state_folder() / "closed-cards.json"
    memory.parent.mkdir(parents=True)
    memory.write_text("{")
    async with drive(make_app(open_file(shop_file), card="app")) as driver:
        assert APP.title in driver.text()
        await driver.click(driver.app.main.card, 3, 1)
        assert APP.title not in driver.text()
    assert '"app"' in memory.read_text()


@pytest.mark.parametrize(
    "options",
    [
        {"settings": Settings(remember=False)},
        {"permits": Permits(visitor=True, below=None)},
        {"size": (100, 18)},
        {"card": ""},
    ],
)
async def test_where_it_cannot_be_closed_for_good_or_has_no_room_there_is_none(
    shop_file: Path, options: dict[str, object]
) -> None:
    size = options.pop("size", (120, 40))
    async with drive(make_app(open_file(shop_file), **{"card": "app", **options}), size=size) as driver:  # type: ignore[arg-type]
        assert APP.title not in driver.text()


async def test_the_card_of_the_demo_leads_to_the_line_that_it_names(tmp_path: Path) -> None:
    run_at_once(str(tmp_path / "shop.unspool"), rate=5, steps=120, seed=0, bug=True)
    app = make_app(open_file(tmp_path / "shop.unspool"), card="demo")
    async with drive(app, size=(120, 40)) as driver:
        assert DEMO.title in driver.text()
        await driver.press("K")
        await driver.until(lambda: "total <= sum(items[]" in driver.text())
        await driver.press("enter")
        await driver.until(lambda: driver.view.head == 17)
        await driver.settle()
        assert "dana.total            14.4 → 32.4" in driver.panel(Pane.CHANGES)
        assert DEMO.title in driver.text()
        assert driver.text().count("demo_bug.py:19") > 1
    wrong = (Path(unspool_tui.__file__).parent / "demo_bug.py").read_text().split('cart["total"] = round')[0].count(
        "\n"
    ) + 1
    # The screen names the line that records; the card must not seem to name another one.
    assert DEMO.told[-1][1].endswith(f"just above demo_bug.py:{wrong + 1}.")
    async with drive(make_app(open_file(tmp_path / "shop.unspool"), card="demo")) as driver:
        assert DEMO.title in driver.text(), "it is what the demo is for"
        await driver.press("escape")
        assert DEMO.title not in driver.text()
    assert not (state_folder() / "closed-cards.json").exists()


@pytest.mark.parametrize("name", CARDS)
@pytest.mark.parametrize("glyphs", [UNICODE, ASCII])
def test_it_says_three_keys_in_three_sentences_at_every_width(name: str, glyphs: object) -> None:
    card = CARDS[name]
    assert len(card.told) == 3
    assert all(sentence.endswith(".") for _, sentence in card.told)
    for width in (60, 80, 100, 200):
        rows = card_rows(card, Keymap(), width, glyphs)  # type: ignore[arg-type]
        assert len(rows) == 4 or width < 80
        assert all(spans_width(row.left) + spans_width(row.right) < width for row in rows)
        said = re.sub(r"\s+", " ", " ".join(text for row in rows for text, _ in row.left))
        assert all(sentence in said for _, sentence in card.told)


def test_it_names_the_keys_of_the_settings() -> None:
    rows = card_rows(APP, Keymap({"search": ("ctrl+f",), "help": ()}), 100, UNICODE)
    assert rows[2].left[0][0].strip() == "^f"
    assert rows[3].left[0][0].strip() == "•"
