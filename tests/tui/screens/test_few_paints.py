"""What is painted, looked up and waited for: no more than a key changes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
from shop_files import record
from test_slow_and_damaged import GatedHistory
from textual.css.stylesheet import Stylesheet
from textual.dom import DOMNode
from textual.geometry import Region
from textual.message_pump import MessagePump
from textual.strip import Strip
from tui_driver import Driver, drive, keep_still, make_app, open_file

from unspool.recorder.recorder import Recorder
from unspool_tui.screens import main_paint
from unspool_tui.screens.follower import MOST_GAP
from unspool_tui.view import moves
from unspool_tui.view.model import Pane, View
from unspool_tui.widgets.lines import LinesView
from unspool_tui.widgets.panel import Panel
from unspool_tui.widgets.timeline import TimelineView
from unspool_tui.worker import QuestionKind


async def test_the_first_frame_shows_all_panels(shop_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: dict[str, bool] = {}
    render = LinesView.render_lines

    def watched(self: LinesView, crop: Region) -> list[Strip]:
        strips = render(self, crop)
        drawn.setdefault(str(self.id), any(strip.text.strip() for strip in strips))
        return strips

    monkeypatch.setattr(LinesView, "render_lines", watched)
    async with drive(make_app(open_file(shop_file), at=50)):
        shown = {name: full for name, full in drawn.items() if name != "too-small"}
        assert set(shown) >= {"header", "timeline", "history", "changes", "inspect", "footer"}
        assert all(shown.values()), str(shown)


async def test_a_step_repaints_only_the_rows_it_changes(shop_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows: dict[str, set[int]] = {}
    draw_soon = LinesView.draw_soon

    def watched(self: LinesView, regions: Sequence[Region]) -> None:
        rows.setdefault(str(self.id), set()).update(region.y for region in regions)
        draw_soon(self, regions)

    async with drive(make_app(open_file(shop_file), at=50)) as driver:
        monkeypatch.setattr(LinesView, "draw_soon", watched)
        await driver.press(".")
        history = driver.app.main.panels[Pane.HISTORY]
        # The row that was left, the one that was reached, and the frame's lower line with the place.
        assert len(rows["history"]) == 3, rows
        assert history.lines - 1 in rows["history"]
        assert "footer" not in rows


async def test_a_jump_draws_inspect_once(shop_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[Pane] = []
    show = Panel.show

    def watched(self: Panel, *what: Any, **how: Any) -> None:
        shown.append(self.pane)
        show(self, *what, **how)

    async with drive(make_app(open_file(shop_file), at=10)) as driver:
        # Whether the worker is asked besides depends on how long looking back takes; here it may take its time.
        monkeypatch.setattr("unspool_tui.screens.main_paint._LOOK_BACK_SECONDS", 60.0)
        monkeypatch.setattr(Panel, "show", watched)
        main = driver.app.main
        main.apply(moves.jump_to(main.view, 150))
        await driver.settle()
        assert shown.count(Pane.INSPECT) == 1
        assert "#150" in driver.panel(Pane.INSPECT)


def active_timers(driver: Driver) -> list[str]:
    pumps: list[MessagePump] = [driver.app, driver.app.screen, *driver.app.screen.walk_children()]
    return [timer.name for pump in pumps for timer in pump._timers if timer._active.is_set()]


async def test_nothing_ticks_while_nobody_does_anything(shop_file: Path) -> None:
    async with drive(make_app(open_file(shop_file), at=50)) as driver:
        await driver.press("3", "j")
        await driver.until(lambda: not active_timers(driver))


async def test_stepping_past_entries_that_leave_the_selected_value_alone_asks_for_no_story(tmp_path: Path) -> None:
    states = [({"kept": 1 if number else 0, "moving": number}, "set") for number in range(30)]
    async with drive(make_app(open_file(record(tmp_path / "kept.unspool", states)), at=5)) as driver:
        await driver.press("3")
        assert "set #1" in driver.panel(Pane.INSPECT)
        asked: list[QuestionKind] = []
        ask = driver.app.main.worker.ask
        driver.app.main.worker.ask = lambda kind, work: asked.append(kind) or ask(kind, work)  # type: ignore[method-assign,func-returns-value]
        for _ in range(8):
            await driver.press(".")
            assert "set #1" in driver.panel(Pane.INSPECT)
        assert QuestionKind.STORY not in asked
        await driver.press("j")
        assert QuestionKind.STORY in asked


async def test_leaving_does_not_wait_for_the_worker(shop_file: Path) -> None:
    history = GatedHistory(shop_file)
    try:
        async with drive(make_app(history, at=50)) as driver:
            driver.app.main.scene.pace._seconds_a_byte = 1.0
            history.gate.clear()
            driver.app.main.take_key("full_stop", ".")
            await driver.until(lambda: 51 in history.asked)
            driver.app.exit()
        workers = [
            thread for thread in threading.enumerate() if thread.name == "unspool-worker" and thread.is_alive()
        ]
        assert workers
        assert not history.gate.is_set()
    finally:
        history.gate.set()


async def test_a_flood_draws_the_timeline_again_when_it_calms_down(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "flood.unspool"
    shown: list[int] = []
    waiting: list[Callable[[], object]] = []
    show = TimelineView.show
    now = monotonic()

    def watched(self: TimelineView, view: View, *what: Any, **how: Any) -> None:
        shown.append(view.total)
        show(self, view, *what, **how)

    with Recorder(path) as recorder:
        recorder.record({"n": 0}, "first")
        app = make_app(open_file(path))
        keep_still(app)
        async with drive(app) as driver:
            monkeypatch.setattr(TimelineView, "show", watched)
            monkeypatch.setattr(main_paint, "monotonic", lambda: now)
            monkeypatch.setattr(main_paint, "after", lambda pump, seconds, then: waiting.append(then))
            for look in range(1, 7):
                # As far apart as looks are on the slowest machine.
                now += MOST_GAP
                for number in range(5):
                    recorder.record({"n": 5 * look + number}, "tick")
                app.main.follower.look()
                await driver.until(lambda head=5 * look: f" {head}/{head} " in driver.line(0))
                await driver.until(lambda: not app.main.message_queue_size)
            in_flood = len(shown)
            # Whatever waits for calm comes now.
            while waiting:
                waiting.pop(0)()
            await driver.until(lambda: len(shown) > in_flood)
            assert shown[-1] == driver.view.total
            # The first entries are no flood yet.
            assert in_flood <= 2, shown


async def test_styles_are_applied_once_before_the_first_frame(
    shop_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    styled: list[str] = []
    apply = Stylesheet.apply

    def watched(self: Stylesheet, node: DOMNode, **how: Any) -> None:
        styled.append(str(node.id))
        apply(self, node, **how)

    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setenv("LINES", "40")
    monkeypatch.setattr(Stylesheet, "apply", watched)
    async with drive(make_app(open_file(shop_file), at=50)) as driver:
        assert styled.count("inspect") == 1
        await driver.press("t", "down", "escape")
        # A theme that is looked at, and left again, is one of all.
        assert styled.count("inspect") > 1
