"""The axis of the timeline against a slow oracle: every entry in its cell, by entry and by time, whatever the clock did."""

from __future__ import annotations

from array import array
from itertools import accumulate, pairwise

from hypothesis import example, given
from hypothesis import strategies as st

from unspool.model.entries import FULL, NOTE
from unspool_tui.view import axis as axes
from unspool_tui.view.axis import Axis, Moments, entry_axis, long_gaps, roomy, time_axis, window_start
from unspool_tui.view.overview import ChangeSums, EntryLedger

totals = st.integers(1, 3_000)
columns_ = st.integers(1, 200)
steps = st.lists(
    st.one_of(st.integers(0, 3), st.integers(-50, 10_000), st.sampled_from([0, 10**6, 10**15, -(10**15)])),
    min_size=1,
    max_size=1_200,
)


def moments_of(times: list[int]) -> Moments:
    """Times summed up in small blocks, so that few entries make many."""
    moments = Moments(array("q", times), block=16)
    for total in (len(times) // 2, len(times)):
        moments.catch_up(total)
    return moments


def _is_sound(axis: Axis, start: int, stop: int, columns: int) -> None:
    assert (axis.start, axis.stop) == (start, stop)
    assert all(one <= other for one, other in pairwise(axis.edges))
    assert 1 <= axis.cells * axis.scale <= columns
    for cell, (low, high) in enumerate(pairwise(axis.edges)):
        assert all(axis.cell_of(seq) == cell for seq in {low, high - 1} if low < high)
        if low < high:
            assert axis.cell_of(axis.entry_at(cell * axis.scale)) == cell
    assert axis.entry_at(-1) == start
    assert axis.entry_at(columns + 5) == stop - 1
    for gap in axis.gaps:
        assert 0 <= gap.column < axis.cells * axis.scale
        assert gap.length_ns > 0
        for column in range(gap.column, gap.column + gap.columns):
            assert axis.edges[column] == axis.edges[column + 1]


@given(totals, st.integers(0, 50), columns_)
def test_by_entry_every_cell_stands_for_as_many_entries(total: int, first: int, columns: int) -> None:
    axis = entry_axis(first, first + total, columns)
    _is_sound(axis, first, first + total, columns)
    sizes = {high - low for low, high in pairwise(axis.edges)}
    assert max(sizes) - min([*sizes - {axis.edges[-1] - axis.edges[-2]}, max(sizes)]) <= 1
    if total <= columns:
        assert max(sizes) == 1
        # Room is left for a few entries to come, never for many.
        assert axis.scale * (total + total // 16 + axes.LEAST_SHOWN) + axis.scale >= columns // 2


@given(totals, columns_)
def test_a_few_new_entries_leave_the_cells_where_they_are(total: int, columns: int) -> None:
    while roomy(total + 1) != roomy(total):
        total += 1
    before, after = entry_axis(0, total, columns), entry_axis(0, total + 1, columns)
    assert after.edges[: before.cells] == before.edges[:-1]


@given(steps, columns_, st.data())
@example([5], 80, None)
@example([7] * 40, 80, None)
def test_by_time_every_entry_stands_at_the_latest_time_up_to_it(
    apart: list[int], columns: int, data: st.DataObject | None
) -> None:
    times = list(accumulate(apart, lambda one, other: max(-(2**62), min(one + other, 2**62))))
    start = data.draw(st.integers(0, len(times) - 1)) if data is not None else 0
    stop = data.draw(st.integers(start + 1, len(times))) if data is not None else len(times)
    latest = list(accumulate(times, max))
    moments = moments_of(times)
    assert [moments.latest(seq) for seq in range(start, stop, 7)] == latest[start:stop:7]
    between = [(later - early, seq) for seq, (early, later) in enumerate(pairwise(latest), 1) if start < seq < stop]
    expected = sorted((length for length, _ in between if length > 0), reverse=True)
    found = moments.jumps(start, stop, 5)
    assert [length for length, _ in found] == expected[:5]
    assert set(found) <= set(between)
    axis = time_axis(moments, start, stop, columns, 5)
    _is_sound(axis, start, stop, columns)
    if not axis.by_time:
        assert latest[start] == latest[stop - 1] or latest[stop - 1] - latest[start] == sum(
            gap.length_ns for gap in axis.gaps
        )
        return
    for (_, early), (seq, later) in pairwise(enumerate(latest[start:stop], start)):
        assert early < later or axis.cell_of(seq) == axis.cell_of(seq - 1)
    if not axis.gaps:
        begin, span = latest[start], roomy(latest[stop - 1] - latest[start])
        for seq in range(start, stop):
            fitting = [cell for cell in range(columns) if begin - (-span * cell // columns) <= latest[seq]]
            assert axis.cell_of(seq) == fitting[-1]


def test_a_long_night_is_cut_out_and_said_how_long_it_was() -> None:
    day = 24 * 3600 * 10**9
    times = [second * 10**9 for second in range(100)] + [99 * day + second * 10**9 for second in range(100)]
    moments = Moments(array("q", times))
    moments.catch_up(len(times))
    axis = time_axis(moments, 0, 200, 100, 20)
    (gap,) = axis.gaps
    assert gap.columns == 20
    assert gap.length_ns == times[100] - times[99]
    # Both halves get about the same room, which is most of it; the second one some more for what is to come.
    assert 38 <= gap.column <= 40
    assert axis.cell_of(99) == gap.column - 1
    assert axis.cell_of(100) == gap.column + 20
    assert long_gaps(moments, 0, 100, 5) == []


@given(totals, st.integers(1, 150), st.lists(st.integers(0, 2_999), max_size=10))
def test_the_part_that_is_shown_always_holds_the_head(total: int, shown: int, heads: list[int]) -> None:
    start = 0
    for head in (min(head, total - 1) for head in heads):
        start = window_start(start, head, shown, total)
        assert 0 <= start <= head
        assert head < start + shown or total <= shown


@given(st.integers(1, 10**6))
def test_zooming_ends_where_nothing_more_is_left_out(count: int) -> None:
    deepest = axes.deepest_zoom(count)
    assert axes.shown_count(count, deepest) == min(count, axes.LEAST_SHOWN)
    assert axes.shown_count(count, deepest + 1) == axes.shown_count(count, deepest)


class _Columns:
    """Columns of made-up entries."""

    def __init__(self, kinds: list[int], changes: list[int]) -> None:
        self.kind = array("B", kinds)
        self.added = array("I", changes)
        self.modified = array("I", changes[::-1])
        self.deleted = array("I", [change // 2 for change in changes])
        self.stored = self.full_bytes = array("I", changes)
        self.timestamp_ns = array("q", range(len(kinds)))


@given(
    st.lists(
        st.tuples(st.sampled_from([0, 0, 0, FULL, NOTE]), st.integers(0, 9) | st.integers(80, 2**31)),
        min_size=1,
        max_size=400,
    ),
    st.data(),
)
def test_facts_of_a_range_are_those_of_its_entries(rows: list[tuple[int, int]], data: st.DataObject) -> None:
    kinds, changes = [FULL, *(kind for kind, _ in rows[1:])], [change for _, change in rows]
    columns = _Columns(kinds, changes)
    ledger = EntryLedger(columns)
    for total in (len(rows) // 3, len(rows)):
        ledger.catch_up(total)
    start = data.draw(st.integers(0, len(rows) - 1))
    stop = data.draw(st.integers(start + 1, len(rows)))
    depths: list[int] = []
    for kind in kinds:
        depths.append(0 if kind == FULL else depths[-1] + (kind != NOTE))
    facts = ledger.facts(start, stop)
    assert facts.depth == max(depths[start:stop])
    assert (facts.fulls, facts.notes) == (kinds[start:stop].count(FULL), kinds[start:stop].count(NOTE))
    assert ledger.note_count() == kinds.count(NOTE)
    every = (columns.added, columns.modified, columns.deleted)
    assert facts.changes == sum(sum(column[start:stop]) for column in every)


def test_sums_over_columns_that_begin_late() -> None:
    columns = _Columns([FULL] * 200, list(range(200)))
    sums = ChangeSums(columns, 70)
    sums.catch_up(200)
    assert sums.between(70, 200) == sum(
        sum(column[70:200]) for column in (columns.added, columns.modified, columns.deleted)
    )


@given(st.lists(st.integers(0, 9), min_size=40, max_size=120), st.sampled_from([0, 15, 16, 17, 32]))
def test_times_of_a_history_that_begins_late(apart: list[int], first: int) -> None:
    times = array("q", accumulate(apart))
    moments = Moments(times, first, block=16)
    for total in range(first + 1, len(times) + 1, 7):
        moments.catch_up(total)
        lengths = sorted((times[seq] - times[seq - 1] for seq in range(first + 1, total)), reverse=True)
        assert [length for length, _ in moments.jumps(first, total, 3)] == [length for length in lengths if length][
            :3
        ]
        assert moments.latest(total - 1) == times[total - 1]
