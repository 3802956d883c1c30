"""The screen with a real store in Node: it appears, is looked at, put back, has an action skipped, and goes on as a fork."""

from __future__ import annotations

from pathlib import Path

import pytest
from tui_driver import drive, make_app, open_file

from support.listening import length_of, listening
from support.node_stores import STORES, WITH_REDUCER, running
from support.waiting import wait_until

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("kind", STORES)
async def test_the_screen_scrubs_jumps_skips_and_forks(tmp_path: Path, kind: str) -> None:
    folder = tmp_path / "recordings"
    path = folder / "cart.unspool"
    with listening(folder) as place, running(tmp_path, place, STORES[kind]) as program:
        wait_until(lambda: length_of(path) == 1, "the first entry")
        async with drive(make_app(open_file(path)), size=(140, 40)) as driver:
            await driver.until(lambda: driver.view.program is not None)
            for by in (1, 2, 3, 4):
                program.add(by)
            await driver.until(lambda: driver.view.total == 5 and driver.view.head == 4)
            await driver.press("k", "k", "V")
            await driver.until(lambda: driver.view.program is not None and driver.view.program.looking)
            assert program.n == 3
            await driver.press("R")
            await driver.until(lambda: driver.view.program is not None and not driver.view.program.looking)
            assert program.n == 10
            if kind in WITH_REDUCER:
                assert driver.view.head == 2
                await driver.press("X")
                await driver.until(lambda: driver.view.total == 8)
                assert program.n == 8
            await driver.press("J", "enter")
            await driver.until(lambda: driver.view.program is not None and driver.view.program.at == 2)
            assert program.n == 3
            total = driver.view.total
            program.add(50)
            await driver.until(lambda: driver.view.total == total + 1)
            await driver.settle()
            history = driver.app.main.scene.history
            assert (history.state(total)["n"], history[total].parent_seq) == (53, 2)
