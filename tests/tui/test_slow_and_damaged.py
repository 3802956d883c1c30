"""Histories that answer slowly, or not at all: the head moves all the same, and nothing stale passes for current."""

from __future__ import annotations

import threading
from pathlib import Path

from tui_driver import drive, make_app, open_file

from conftest import hurt, record, shop_states
from unspool.history.diff import Diff
from unspool.history.history import History
from unspool.store.file import FileStore
from unspool_tui.scene import detail
from unspool_tui.view import panes
from unspool_tui.view.model import Pane


class GatedHistory(History):
    """Answers for states only while its gate is open."""

    def __init__(self, path: Path) -> None:
        super().__init__(FileStore.open(path), path=path)
        self.gate = threading.Event()
        self.gate.set()
        self.asked: list[int] = []

    def changes(self, index: int) -> Diff:
        self.asked.append(index)
        self.gate.wait(20)
        return super().changes(index)


async def test_the_head_moves_while_states_are_slow_and_old_panels_say_so(shop_file: Path) -> None:
    history = GatedHistory(shop_file)
    async with drive(make_app(history, at=50)) as driver:
        main = driver.app.main
        # A history known to be slow is asked by the worker.
        main.scene.pace._seconds_a_byte = 1.0
        history.gate.clear()
        for _ in range(30):
            driver.app.main.take_key("full_stop", ".")
        await driver.until(lambda: "80/199" in driver.line(0))
        assert ">" in driver.panel(Pane.HISTORY)
        assert "#49 → #50 …" in driver.panel(Pane.CHANGES)
        assert "@ #50" in driver.panel(Pane.INSPECT)
        await driver.until(lambda: "80/199…" in driver.line(0))
        history.gate.set()
        await driver.settle()
        assert "#79 → #80" in driver.panel(Pane.CHANGES)
        assert "…" not in driver.line(0)
        assert len(history.asked) < 8


async def test_a_quick_history_changes_all_panels_at_once(shop_file: Path) -> None:
    history = GatedHistory(shop_file)
    async with drive(make_app(history, at=50)) as driver:
        before = len(history.asked)
        await driver.press(".")
        assert len(history.asked) == before + 1
        assert driver.app.main.scene.pace.expected(2_000) < detail.QUICK_SECONDS


async def test_leaving_does_not_wait_for_the_worker(shop_file: Path) -> None:
    history = GatedHistory(shop_file)
    async with drive(make_app(history, at=50)) as driver:
        driver.app.main.scene.pace._seconds_a_byte = 1.0
        history.gate.clear()
        driver.app.main.take_key("full_stop", ".")
        driver.app.main.take_key("q", "q")
        await driver.until(lambda: not driver.app.is_running or driver.app._exit)
    history.gate.set()


async def test_an_entry_that_cannot_be_rebuilt_is_named_and_the_others_still_show(tmp_path: Path) -> None:
    path = hurt(record(tmp_path / "hurt.unspool", shop_states(500)))
    async with drive(make_app(open_file(path), at=499)) as driver:
        assert "#498 → #499" in driver.panel(Pane.CHANGES)
        await driver.press("{")
        assert "✗" in driver.panel(Pane.CHANGES)
        await driver.press("3", "j", "l", "v", "v", "v", "]", "y", "s", "e", "u", "w", "}")
        assert "#498 → #499" in driver.panel(Pane.CHANGES)


async def test_damage_far_from_the_head_shows_in_the_first_line_whether_or_not_stats_does(tmp_path: Path) -> None:
    path = hurt(record(tmp_path / "hurt.unspool", shop_states(500)))
    async with drive(make_app(open_file(path), at=499)) as driver:
        await driver.until(lambda: "✗ broken" in driver.line(0))
        assert Pane.STATS not in panes.shown_panes(driver.view, driver.app.main.width_class)
        (told,) = driver.app.main.messages.all()
        assert "hurt.unspool: the block that starts at entry 0 is damaged" in told.text
        assert told.text.endswith("c and then D examine every entry")


async def test_a_sound_history_is_looked_through_once_and_called_nothing(shop_file: Path) -> None:
    async with drive(make_app(open_file(shop_file), at=50)) as driver:
        await driver.until(lambda: bool(driver.app.main.scene.stats._measured.health))
        assert "healthy" not in driver.line(0)
        assert not driver.app.main.scene.stats.wants_a_look(driver.view)
