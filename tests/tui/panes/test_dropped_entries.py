"""A history whose first entries a bound on the recording dropped: scrubbing begins with the first that is kept, which says so."""

from __future__ import annotations

from pathlib import Path

from msgspec.structs import replace
from shop_files import START_NS
from tui_driver import drive, make_app, open_file

from unspool.query.chain_table import ChainTable
from unspool.query.doctor.chains import rules_of
from unspool.recorder.recorder import Recorder
from unspool.store.file import FileStore
from unspool_tui.view.model import Pane
from unspool_tui.view.overview import EntryLedger


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
            await driver.until(lambda: "count" in driver.panel(Pane.INSPECT))


def test_chains_of_the_kept_entries_are_those_of_a_history_that_begins_with_them(tmp_path: Path) -> None:
    with open_file(_bounded(tmp_path / "run.unspool")) as history:
        columns, first, total = history.columns(), history.first, len(history)
        truth = ChainTable(columns.since(first), rules_of(()))
        truth.extend(total - first)
        late = ChainTable(columns, rules_of(()), first)
        late.extend(first + 20)
        late.extend(total)
        assert [late[place] for place in range(len(late))] == [
            replace(truth[place], first=truth[place].first + first, last=truth[place].last + first)
            for place in range(len(truth))
        ]


def test_sums_over_the_kept_entries_are_those_of_a_history_that_begins_with_them(tmp_path: Path) -> None:
    with open_file(_bounded(tmp_path / "run.unspool")) as history:
        columns, first, total = history.columns(), history.first, len(history)
        expected = EntryLedger(columns.since(first))
        expected.catch_up(total - first)
        late = EntryLedger(columns, first)
        late.catch_up(total)
        # One that saw older entries go, and one that saw only some of them.
        moved, half = EntryLedger(columns, first), EntryLedger(columns, first)
        moved.catch_up(total)
        half.catch_up(first + 20)
        for ledger in (moved, half):
            ledger.begin_at(first + 40)
            ledger.catch_up(total)
        cut = EntryLedger(columns.since(first + 40))
        cut.catch_up(total - first - 40)
        for ledger, start, truth in ((late, first, expected), (moved, first + 40, cut), (half, first + 40, cut)):
            facts = (ledger.stored, ledger.as_full, ledger.full_stored, ledger.full_count(), ledger.longest())
            assert facts == (truth.stored, truth.as_full, truth.full_stored, truth.full_count(), truth.longest())
            assert ledger.note_count() == truth.note_count()
            for low, high in ((start, total), (start + 7, start + 91), (total - 3, total)):
                assert ledger.facts(low, high) == truth.facts(low - start, high - start)
            found = [(length, seq - start) for length, seq in ledger.moments.jumps(start, total, 9)]
            assert found == truth.moments.jumps(0, total - start, 9)
            for seq in range(start, total):
                assert ledger.depth(seq) == truth.depth(seq - start)
                for name in ("previous_full", "next_full"):
                    found = getattr(truth, name)(seq - start)
                    assert getattr(ledger, name)(seq) == (None if found is None else found + start)


async def test_a_history_with_a_very_late_beginning_opens_at_once(tmp_path: Path) -> None:
    path, first = tmp_path / "run.unspool", 2_000_000_000
    with Recorder(FileStore.create(path, first=first, bound="7d"), on_error="raise") as recorder:
        _record(recorder, 0, 150)
    async with drive(make_app(open_file(path))) as driver:
        assert driver.view.head == first + 149
        await driver.press("g")
        assert driver.view.head == first
        assert "keep='7d'" in driver.text()
