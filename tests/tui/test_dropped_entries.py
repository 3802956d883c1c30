"""A history whose first entries a bound on the recording dropped: scrubbing begins with the first that is kept, which says so."""

from __future__ import annotations

from pathlib import Path

from tui_driver import drive, make_app, open_file

from conftest import START_NS
from unspool.recorder.recorder import Recorder
from unspool_tui.view.model import Pane


def _record(recorder: Recorder, start: int, stop: int) -> None:
    for number in range(start, stop):
        state = {"count": number, "cart": {"owner": "ann", "qty": number // 90}}
        recorder.record(state, f"step {number}", timestamp_ns=START_NS + number * 10**9)


def _bounded(path: Path, count: int = 500) -> Path:
    with Recorder(path, keep="last 100", on_error="raise") as recorder:
        _record(recorder, 0, count)
    return path


async def test_the_beginning_is_the_first_kept_entry_and_says_what_went(tmp_path: Path) -> None:
    async with drive(make_app(open_file(_bounded(tmp_path / "run.unspool")))) as driver:
        first = driver.view.first
        assert 300 < first <= 400
        assert "499/499" in driver.line(0)
        assert f"{500 - first} of {500 - first}" in driver.panel(Pane.HISTORY)
        await driver.press("g")
        await driver.settle()
        assert driver.view.head == first
        assert f"entries 0 to {first - 1} were dropped by keep='last 100'" in driver.text()
        assert f"#{first}, after what was dropped" in driver.panel(Pane.CHANGES)
        assert f"what entry {first} changed is not known" in " ".join(driver.panel(Pane.CHANGES).split())
        assert "cart" in driver.panel(Pane.INSPECT)
        await driver.press("k", "k")
        assert driver.view.head == first
        assert "were dropped by keep" in driver.text()
        await driver.press("j")
        await driver.settle()
        assert f"#{first} → #{first + 1}" in driver.panel(Pane.CHANGES)


async def test_values_that_no_kept_entry_set_were_set_at_or_before_the_first(tmp_path: Path) -> None:
    async with drive(make_app(open_file(_bounded(tmp_path / "run.unspool")))) as driver:
        first = driver.view.first
        await driver.press("3", "j", "l")
        await driver.until(lambda: f"<=#{first}" in driver.panel(Pane.INSPECT))
        assert "#499" in driver.panel(Pane.INSPECT)


async def test_places_that_went_are_refused_by_name(tmp_path: Path) -> None:
    async with drive(make_app(open_file(_bounded(tmp_path / "run.unspool")))) as driver:
        first = driver.view.first
        for typed, told in (("3", f"entries {first} to 499"), ("first", ""), ("0%", ""), ("-900", "")):
            await driver.press("G", ":", *typed, "enter")
            await driver.settle()
            assert driver.view.head == (499 if told else first)
            assert told in driver.text()


async def test_a_head_that_is_dropped_while_it_is_looked_at_moves_to_the_first_kept_entry(tmp_path: Path) -> None:
    path = tmp_path / "live.unspool"
    with Recorder(path, keep="last 100", on_error="raise") as recorder:
        _record(recorder, 0, 60)
        async with drive(make_app(open_file(path))) as driver:
            await driver.press("g", "b")
            assert (driver.view.head, driver.view.bookmarks) == (0, (0,))
            _record(recorder, 60, 500)
            await driver.until(lambda: driver.view.total == 500 and driver.view.first > 200)
            await driver.settle()
            assert driver.view.head == driver.view.first
            assert driver.view.bookmarks == ()
            assert driver.view.count == len(driver.app.main.rows)
            assert "count" in driver.panel(Pane.INSPECT)
