"""Histories that answer slowly, or not at all: the head moves all the same, and nothing stale passes for current."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from shop_files import hurt, record, shop_states
from tui_driver import Driver, drive, make_app, open_file

from unspool.history.diff import Diff
from unspool.history.history import History
from unspool.store.file import FileStore
from unspool_tui.panes import detail
from unspool_tui.tabs import Tab, Tabs
from unspool_tui.view import moves
from unspool_tui.view.model import Pane
from unspool_tui.worker import QuestionKind


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


async def test_what_the_worker_loaded_once_is_loaded_again_where_it_was_forgotten(shop_file: Path) -> None:
    async with drive(make_app(open_file(shop_file), at=50)) as driver:
        main = driver.app.main
        main.scene.pace._seconds_a_byte = 1.0
        await driver.press(".")
        assert "#50 → #51" in driver.panel(Pane.CHANGES)
        main.scene.pace._seconds_a_byte = 1.0
        # What it was loaded by is no longer so: the same entry is to be loaded anew.
        main.scene.identify({})
        main.repaint()
        await driver.settle()
        assert "#50 → #51" in driver.panel(Pane.CHANGES)
        assert not main.painter.stale


async def test_what_the_worker_cannot_load_is_told_in_its_place_and_waited_for_no_more(shop_file: Path) -> None:
    class Unexpected(History):
        def changes(self, index: int) -> Diff:
            if index == 51:
                raise RuntimeError("[red]of nobody's making")
            return super().changes(index)

    async with drive(make_app(Unexpected(FileStore.open(shop_file), path=shop_file), at=50)) as driver:
        driver.app.main.scene.pace._seconds_a_byte = 1.0
        await driver.press(".")
        assert "unexpected RuntimeError: [red]of nobody's" in driver.panel(Pane.CHANGES)
        driver.app.main.scene.pace._seconds_a_byte = 1.0
        await driver.press(".")
        assert "#51 → #52" in driver.panel(Pane.CHANGES)


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
        assert Pane.STATS not in moves.shown_panes(driver.view, driver.app.main.width_class)
        (told,) = driver.app.main.messages.all()
        assert "hurt.unspool: the block that starts at entry 0 is damaged" in told.text
        assert told.text.endswith("c and then D examine every entry")


async def test_a_sound_history_is_looked_through_once_and_called_nothing(shop_file: Path) -> None:
    async with drive(make_app(open_file(shop_file), at=50)) as driver:
        await driver.until(lambda: bool(driver.app.main.scene.stats._measured.health))
        assert "healthy" not in driver.line(0)
        assert not driver.app.main.scene.stats.wants_a_look(driver.view)


@contextmanager
def _held(driver: Driver) -> Iterator[None]:
    """Have the worker hold all that reading a history takes, as a long question does, for as long as this lasts."""
    history = driver.app.main.scene.history
    held, done = threading.Event(), threading.Event()

    def question() -> None:
        with history.store.reader._file._lock, history._records._lock:  # type: ignore[attr-defined]
            held.set()
            assert done.wait(30)

    driver.app.main.ask(QuestionKind.TASK, question, lambda reply: None)
    assert held.wait(10)
    try:
        yield
    finally:
        done.set()


@pytest.mark.one_in(2)
@pytest.mark.parametrize("size", [(80, 24), (220, 50)])
async def test_no_key_waits_for_a_busy_reader_and_what_is_missing_comes_later(
    tmp_path: Path, size: tuple[int, int]
) -> None:
    path = record(tmp_path / "shop.unspool", shop_states(400))
    async with drive(make_app(open_file(path), at=350), size=size) as driver:
        main = driver.app.main
        main.view = replace(main.view, pinned=("cart", "session"))
        await driver.settle()
        with _held(driver):
            for key in ("k", "k", "{", "4", "3", "2", "1", "z", "z", "v", "j", "g"):
                main.take_key(key, key)
                await driver.until(lambda: not main.message_queue_size)
            await driver.until(lambda: "0/399" in driver.line(0))
            assert "open" not in driver.panel(Pane.HISTORY)
            assert "#0" not in driver.panel(Pane.CHANGES).splitlines()[0]
        await driver.settle()
        # What was not known then is looked up.
        assert "add item" in driver.panel(Pane.HISTORY)
        assert "#0" in driver.panel(Pane.CHANGES).splitlines()[0]


async def test_leaving_works_at_once_while_the_reader_is_busy(tmp_path: Path) -> None:
    path = record(tmp_path / "shop.unspool", shop_states(100))
    async with drive(make_app(open_file(path))) as driver:
        with _held(driver):
            driver.app.main.take_key("k", "k")
            driver.app.main.take_key("q", "q")
            await driver.until(lambda: driver.app._exit)


def test_a_source_whose_reader_is_stuck_does_not_hold_up_leaving(tmp_path: Path) -> None:
    path = record(tmp_path / "shop.unspool", shop_states(20))
    history, other = open_file(path), open_file(path)
    done, held = threading.Event(), threading.Event()

    def reads() -> None:
        with history.store.reader._file._lock:  # type: ignore[attr-defined]
            held.set()
            assert done.wait(30)

    reader = threading.Thread(target=reads)
    reader.start()
    assert held.wait(10)
    Tabs([Tab(None, None, history), Tab(None, None, other)]).close()
    assert reader.is_alive()
    done.set()
    reader.join()


async def test_a_long_history_is_moved_through_while_its_columns_are_being_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("unspool_tui.panes.scene.EARLY_FROM", 100)
    begun, gate = threading.Event(), threading.Event()
    path = record(tmp_path / "shop.unspool", shop_states(900))
    history = open_file(path)

    class Slow:
        def __getattr__(self, name: str) -> Any:
            return getattr(history, name)

        def __len__(self) -> int:
            return len(history)

        def __getitem__(self, index: Any) -> Any:
            return history[index]

        def columns(self) -> Any:
            with history.store.reader._file._lock:  # type: ignore[attr-defined]
                begun.set()
                assert gate.wait(30)
            return history.columns()

    app = make_app(Slow(), at=899, follow=False)
    async with app.run_test(size=(120, 40)) as pilot:
        driver = Driver(app, pilot)
        # From here on nobody but the worker may read, so no row far from the first one is known.
        await driver.until(begun.is_set)
        driver.app.main.apply(moves.jump_to(driver.view, 450))
        await driver.until(lambda: "450/899" in driver.line(0))
        assert re.search(r"450 …", driver.panel(Pane.HISTORY))
        gate.set()
        await driver.settle()
        assert re.search(r"450 .+:52\.5", driver.panel(Pane.HISTORY)), driver.panel(Pane.HISTORY)
