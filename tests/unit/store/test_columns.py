"""The columns of a history against a list, and what they take of memory while a recording is followed."""

from __future__ import annotations

import subprocess
import sys
import tracemalloc
from bisect import bisect_left
from collections import deque
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unspool.codec.records import RecordCodec
from unspool.history.history import History
from unspool.model.entries import FULL, NOTE, Entry
from unspool.store.file import FileStore
from unspool.store.protocol import Column, Columns
from unspool_tui.panes.lanes import LaneBook
from unspool_tui.view.axis import atom_lane, entry_axis
from unspool_tui.view.overview import EntryLedger

RANGES = {"q": st.integers(-(2**63), 2**63 - 1), "I": st.integers(0, 2**32 - 1), "B": st.integers(0, 255)}
PAGE = 1024
START_NS = 1_700_000_000_000_000_000


@st.composite
def filled(draw: st.DrawFn) -> tuple[Column, list[int], int]:
    """A column, its rows as a list, and the first of them that is there; some grew by one, some were read at once."""
    typecode = draw(st.sampled_from("qIB"))
    first = draw(st.sampled_from((0, 1, 700, PAGE)))
    column, rows = Column(typecode, first), [0] * first
    for at_once in draw(st.lists(st.booleans(), max_size=6)):
        few = draw(st.lists(RANGES[typecode], min_size=1, max_size=5))
        part = few * draw(st.integers(1, 3 * PAGE // len(few)))
        rows += part
        if at_once:
            column.extend(part)
        else:
            for number in part:
                column.append(number)
    return column, rows, first


@given(filled(), st.data())
def test_a_column_reads_as_the_list_of_its_rows(made: tuple[Column, list[int], int], data: st.DataObject) -> None:
    column, rows, first = made
    assert len(column) == len(rows)
    assert column.tolist() == rows[first:]
    for _ in range(10):
        low, high = (data.draw(st.integers(-len(rows) - 2, len(rows) + 2)) for _ in range(2))
        assert column[low:high].tolist() == rows[low:high]
        assert column[low:high:7].tolist() == rows[low:high:7]
        if -len(rows) <= low < len(rows):
            assert column[low] == rows[low]
            assert column.count(rows[low]) == rows[first:].count(rows[low])
        else:
            with pytest.raises(IndexError):
                column[low]
    same = Column(column.typecode, first)
    same.extend(rows[first:])
    assert column == same
    assert column.tobytes() == same.tobytes()
    same.append(1)
    assert column != same


def test_a_time_is_found_in_packed_rows() -> None:
    column = Column("q")
    for number in range(6 * PAGE):
        column.append(START_NS + 7 * number)
    assert [bisect_left(column, START_NS + 7 * number - 3) for number in range(0, 6 * PAGE, 500)] == list(
        range(0, 6 * PAGE, 500)
    )


def _arrive(columns: Columns, ledger: EntryLedger, stop: int) -> None:
    """Let entries arrive 64 at a time, as they do while a busy recording is followed."""
    while len(columns) < stop:
        for seq in range(len(columns), len(columns) + 64):
            time_ns = START_NS + seq * 8_333_333 + seq * seq % 9_973
            codec = RecordCodec.DICT if seq % 50 else RecordCodec.NONE
            columns.append(
                Entry(
                    seq, "", codec.kind, None, time_ns, "tick",
                    added=0, modified=1 + seq % 3 // 2, deleted=0, stored_bytes=9 + seq % 5, full_bytes=300 + seq % 90,
                ),
                codec,
            )  # fmt: skip
        ledger.catch_up(len(columns))
        ledger.facts(max(0, len(columns) - 400), len(columns))


def test_what_is_known_of_a_history_that_is_followed_grows_by_less_than_ten_bytes_an_entry() -> None:
    columns, each = Columns(), 8_192
    ledger = EntryLedger(columns)
    tracemalloc.start()
    try:
        _arrive(columns, ledger, each)
        before = tracemalloc.get_traced_memory()[0]
        _arrive(columns, ledger, 2 * each)
        assert tracemalloc.get_traced_memory()[0] - before < 10 * each
    finally:
        tracemalloc.stop()
    assert ledger.stored == sum(columns.stored)


_RECORDER = """
import sys
from unspool import Recorder

with Recorder(sys.argv[1], durability="fast", on_error="raise") as recorder:
    number = 0
    for line in sys.stdin:
        for number in range(number, int(line)):
            recorder.record({"count": number, "half": number // 2, "name": "arriving"}, "tick")
        number = int(line)
        print(number, flush=True)
"""


@pytest.mark.slow
def test_who_follows_a_recorder_holds_no_more_after_twice_as_many_entries(tmp_path: Path) -> None:
    path, each, at_once = tmp_path / "busy.unspool", 16_000, 400
    lanes = tuple(atom_lane(atom) for atom in ("count", "half", "name"))
    command = (sys.executable, "-c", _RECORDER, str(path))
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as recorder:
        assert recorder.stdin is not None
        assert recorder.stdout is not None
        recorder.stdin.write(f"{at_once}\n")
        recorder.stdin.flush()
        recorder.stdout.readline()
        held: list[int] = []
        with History(FileStore.open(path), path=path) as history:
            ledger, book = EntryLedger(history.columns()), LaneBook(history)
            tracemalloc.start()
            try:
                for stop in range(2 * at_once, 2 * each + 1, at_once):
                    recorder.stdin.write(f"{stop}\n")
                    recorder.stdin.flush()
                    recorder.stdout.readline()
                    history.refresh()
                    ledger.catch_up(len(history.columns()))
                    axis = entry_axis(0, len(history), 12)
                    deque(book.work_out(lanes, axis, ledger, len(history)), maxlen=0)
                    assert (len(history), history.view(stop - 1)["count"]) == (stop, stop - 1)
                    if stop % each == 0:
                        held.append(tracemalloc.get_traced_memory()[0])
            finally:
                tracemalloc.stop()
        recorder.stdin.close()
    # The lanes are still to reach the bound on what is remembered of them.
    assert held[1] - held[0] < 25 * each


@given(st.lists(st.integers(0, 2), max_size=60), st.data())
def test_the_longest_chain_is_that_of_all_entries_however_they_arrive(kinds: list[int], data: st.DataObject) -> None:
    columns = Columns()
    ledger = EntryLedger(columns)
    for kind in kinds:
        codec = (RecordCodec.DICT, RecordCodec.NONE, RecordCodec.NOTE)[kind]
        columns.append(Entry(len(columns), "", codec.kind, None, 0, "", 0, 0, 0, 0, 0), codec)
        if data.draw(st.booleans()):
            ledger.catch_up(len(columns))
            first = data.draw(st.integers(ledger.first, len(columns)))
            if first % 3 == 0:
                ledger.begin_at(first)
            kept = bytes(columns.kind[ledger.first :]).replace(bytes((NOTE,)), b"")
            assert ledger.longest() == max(map(len, kept.split(bytes((FULL,)))))
