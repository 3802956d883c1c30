"""What a narrow screen has no room for is told somewhere else on it, and marks stay visible where columns are wide."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from looks_histories import HISTORIES
from looks_scenes import PROGRAM
from msgspec.structs import replace
from tui_driver import Driver, drive, make_app, open_file

from unspool_tui.screens.modal import Prompt
from unspool_tui.view.model import Pane


@pytest.fixture(scope="module")
def histories(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    return lambda name: HISTORIES[name](tmp_path_factory.mktemp(name.replace(" ", "-")) / "shop.unspool")


def flat(driver: Driver) -> str:
    return " ".join(driver.text().split())


async def test_a_finding_is_told_whole_while_it_is_chosen_and_where_it_leads_to(
    histories: Callable[[str], Path],
) -> None:
    whole = "total <= sum(items[].amount) held 64 times and breaks 4 times, first at #17: total is 32.4, sum(items[].amount)"
    async with drive(make_app(open_file(histories("demo"))), size=(80, 24)) as driver:
        await driver.press("K")
        await driver.until(lambda: "1 finding in" in driver.text())
        await driver.settle()
        assert whole not in " ".join(driver.panel(Pane.RESULTS).split())
        assert whole in flat(driver)
        await driver.press("enter")
        assert whole in flat(driver)
        await driver.press(".")
        assert whole not in flat(driver)


async def test_the_row_under_the_cursor_of_a_page_is_told_below_where_the_list_cuts_it(
    histories: Callable[[str], Path],
) -> None:
    async with drive(make_app(open_file(histories("hurt")), at=499), size=(80, 24)) as driver:
        await driver.press("c", "D")
        await driver.until(lambda: "entries read " in driver.text())
        await driver.press("F")
        await driver.settle()
        assert "(its records are not what was written)" in flat(driver)
        await driver.pilot.resize_terminal(200, 50)
        await driver.settle()
        assert flat(driver).count("are not what was written") == 1


async def test_a_prompt_shows_all_of_its_sign_and_its_hint(shop_file: Path) -> None:
    async with drive(make_app(open_file(shop_file)), size=(60, 16)) as driver:
        await driver.press("I")
        assert "nothing after = detects it again" in flat(driver)
        await driver.press("escape")
        driver.app.main.open(Prompt("watch in 4711", "what to record"), lambda typed: None)
        await driver.settle()
        assert driver.line(-1).startswith(" watch in 4711 ")


async def test_what_runs_or_is_paused_is_whole_in_the_header(shop_file: Path) -> None:
    app = make_app(open_file(shop_file), at=136)
    async with drive(app, size=(80, 24)) as driver:
        app.main.apply(replace(app.main.view, program=PROGRAM))
        await driver.settle()
        assert " RECORDING PAUSED " in driver.line(0)
        assert "136/199" in driver.line(0)


async def test_an_empty_history_claims_neither_sizes_nor_changes(histories: Callable[[str], Path]) -> None:
    async with drive(make_app(open_file(histories("nothing"))), size=(120, 40)) as driver:
        assert "waiting for the first entry" in driver.text()
        assert "nothing is recorded yet" in driver.panel(Pane.CHANGES)
        assert not any(said in driver.text() for said in ("chain 0", "0.0x", "nothing changed", "@ #0", "of 0"))


async def test_one_entry_has_one_time_on_the_axis_and_its_mark_beside_the_head(
    histories: Callable[[str], Path],
) -> None:
    async with drive(make_app(open_file(histories("one entry"))), size=(120, 40)) as driver:
        assert driver.line(1).count("12:00") == 0
        assert "┃F" in driver.line(3)


async def test_no_half_of_a_time_stands_beside_the_head(shop_file: Path) -> None:
    async with drive(make_app(open_file(shop_file), at=0), size=(120, 40)) as driver:
        for _ in range(12):
            axis = driver.line(1)[12:].replace("▼", "─")
            labels = [word for word in axis.replace("─", " ").split() if word]
            assert labels
            assert all(len(word) == len("12:00:00") for word in labels), axis
            await driver.press(".", ".", ".", ".", ".")
