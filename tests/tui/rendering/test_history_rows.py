"""Rows of History at every width: what happened comes first, then as much of when and how much as there is room for."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unspool_tui.panes.history import EntryFacts, history_row
from unspool_tui.rendering.format_units import short_clock
from unspool_tui.rendering.line import UNICODE, crop_spans, spans_width
from unspool_tui.view.overview import EntryColumns

NOON = int(dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC).timestamp()) * 10**9
SECOND = 10**9


class Columns:
    """Three entries, 200 ms apart."""

    timestamp_ns = (NOON, NOON + SECOND // 5, NOON + 2 * SECOND // 5)
    kind = (0, 0, 0)
    added = (1, 0, 12)
    modified = (0, 2, 345)
    deleted = (0, 0, 0)
    stored = (100, 48, 2_000)
    full_bytes = (100, 100, 100)


def shown(seq: int, width: int, *, gaps: bool = False) -> str:
    columns: EntryColumns = Columns()
    facts = EntryFacts(seq, seq - 1 if seq else None, "ada puts tea back", gaps=gaps)
    row = history_row(facts, columns, 3, width, UNICODE, dt.UTC)
    right = spans_width(row.right)
    left, used = crop_spans(row.left, width - right)
    return "".join(text for text, _ in (*left, (" " * (width - right - used), ""), *row.right))


def test_the_narrowest_row_still_tells_the_action() -> None:
    assert shown(1, 27) == "   1 · ada puts tea ba… ~2 "
    assert shown(1, 34) == "   1 · ada puts tea back ~2 :00.2 "


def test_room_is_given_to_the_time_then_to_bytes_then_to_the_whole_clock() -> None:
    assert "48 B" not in shown(1, 43)
    assert "48 B" in shown(1, 44)
    assert "12:00:00" not in shown(1, 71)
    assert "12:00:00.200" in shown(1, 72)


@pytest.mark.parametrize(("width", "time"), [(32, "00"), (44, "00"), (72, "12:00:00.")])
def test_the_time_stands_in_one_column_whatever_changed(width: int, time: str) -> None:
    rows = [shown(seq, width) for seq in range(3)]
    assert len({row.rindex(time) for row in rows[1:]}) == 1
    assert len({row.index("~") for row in rows[1:]}) == 2


@pytest.mark.parametrize("width", [32, 44, 72])
def test_gaps_stand_where_the_time_does(width: int) -> None:
    assert "+200 ms" in shown(1, width, gaps=True)


def test_a_short_time_tells_the_largest_part_that_differs_from_the_row_before() -> None:
    def at(*moment: int) -> int:
        return int(dt.datetime(*moment, tzinfo=dt.UTC).timestamp()) * SECOND  # type: ignore[misc,arg-type]

    assert short_clock(NOON, None, dt.UTC) == "12:00"
    assert short_clock(NOON + 31_190_000_000, NOON, dt.UTC) == ":31.1"
    assert short_clock(at(2026, 3, 1, 12, 4, 5), NOON, dt.UTC) == "12:04"
    assert short_clock(at(2026, 3, 2, 12, 0, 0), NOON, dt.UTC) == "03-02"
    assert short_clock(at(2027, 3, 1, 12, 0, 0), NOON, dt.UTC) == " 2027"
    assert short_clock(NOON, at(2027, 3, 1, 12, 0, 0), dt.UTC) == " 2026"


_times = st.integers(0, 4 * 10**18)


@given(_times, st.none() | _times)
def test_every_short_time_takes_five_cells(time: int, before: int | None) -> None:
    assert len(short_clock(time, before, dt.UTC)) == 5


@given(st.integers(20, 200), st.integers(0, 2), st.booleans())
def test_a_row_never_outgrows_its_width(width: int, seq: int, gaps: bool) -> None:
    assert len(shown(seq, width, gaps=gaps)) == width
