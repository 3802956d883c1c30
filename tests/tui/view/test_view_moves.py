"""The pure functions of the view: where the head goes, what is marked, what is shown."""

from __future__ import annotations

import datetime as dt
from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from unspool.query.entry_names import NoSuchPlace, find_place
from unspool_tui.panes.changes import word_diff
from unspool_tui.view import moves
from unspool_tui.view.model import SPEEDS, Against, Pane, SearchState, View, Width
from unspool_tui.view.moves import keep_visible, thumb
from unspool_tui.view.overview import Rows

totals = st.integers(min_value=1, max_value=3_000)


@given(totals, st.lists(st.integers(-40, 40), max_size=20))
def test_stepping_stays_inside_and_two_opposite_steps_inside_cancel(total: int, steps: list[int]) -> None:
    view, rows = View(total=total, head=total // 2, follow=False), Rows(total)
    for step in steps:
        moved = moves.step(view, rows, step)
        assert 0 <= moved.head < total
        if moved.head == view.head + step:
            assert moves.step(moved, rows, -step).head == view.head
        view = moved


def test_one_step_from_an_entry_that_the_filter_hides_goes_to_the_neighbour() -> None:
    rows = Rows(100, array("q", [10, 20, 30]))
    view = View(total=100, head=25, follow=False)
    assert moves.step(view, rows, 1).head == 30
    assert moves.step(view, rows, -1).head == 20


def test_leaving_the_tip_pauses_and_what_is_found_there_stays_in_front() -> None:
    view = View(total=10, head=9, follow=True)
    back = moves.move_to(view, 4)
    assert not back.follow
    assert moves.grown(back, 25).missed == 15
    assert not moves.move_to(back, 9).follow
    assert not moves.jump_to(back, 9).follow


@given(total=st.integers(1, 60), head=st.integers(0, 59), by=st.integers(1, 80))
def test_moving_on_to_the_end_follows_and_nothing_short_of_it_does(total: int, head: int, by: int) -> None:
    view, rows = View(total=total, head=min(head, total - 1), follow=False), Rows(total)
    playing = replace(view, playing=True)
    while playing.playing:
        playing = moves.played(playing, rows)
    for moved in (moves.step(view, rows, by), moves.edge(view, rows, last=True), playing):
        assert moved.follow is (moved.head == total - 1)
        assert moved.missed == 0 or not moved.follow
    assert not moves.step(view, rows, -by).follow
    assert moves.grown(moves.edge(view, rows, last=True), total + 5).head == total + 4


def test_the_end_of_a_filtered_list_is_not_the_newest_entry() -> None:
    view, rows = View(total=100, head=10, follow=False), Rows(100, array("q", [10, 20, 30]))
    assert not moves.edge(view, rows, last=True).follow
    assert not moves.step(view, rows, 5).follow


def test_jumps_return_the_way_they_came() -> None:
    view = View(total=100, head=5, follow=False)
    for place in (50, 70, 20):
        view = moves.jump_to(view, place)
    seen = []
    while view.jumps.back:
        view = moves.jump_back(view)
        seen.append(view.head)
    assert seen == [70, 50, 5]
    view = moves.jump_forward(moves.jump_forward(view))
    assert view.head == 70
    assert moves.jump_to(view, 3).jumps.forward == ()


@given(st.lists(st.integers(0, 99), unique=True, min_size=1).map(sorted), st.integers(0, 99))
def test_hits_are_visited_in_order_and_round_the_ends(hits: list[int], head: int) -> None:
    view = View(total=100, head=head, search=SearchState("x", hits, len(hits)))
    after = [hit for hit in hits if hit > head]
    before = [hit for hit in hits if hit < head]
    assert moves.next_hit(view, 1) == (after[0] if after else hits[0])
    assert moves.next_hit(view, -1) == (before[-1] if before else hits[-1])


def test_base_and_head_change_places_and_the_base_goes_with_a_cut() -> None:
    view = moves.mark_base(View(total=50, head=40, follow=False))
    swapped = moves.swap_base(replace(view, head=10))
    assert (swapped.head, swapped.base, swapped.against) == (40, 10, Against.BASE)
    cut = moves.grown(replace(view, bookmarks=(3, 45)), 20)
    assert (cut.base, cut.head, cut.bookmarks) == (None, 19, (3,))
    assert moves.compare_against(View(total=5), Against.BASE).against is Against.PREVIOUS


def test_playing_stops_at_the_end_and_real_gaps_are_bounded() -> None:
    view = moves.toggle_play(View(total=3, head=1, follow=False))
    view = moves.played(view, Rows(3))
    assert view.head == 2
    assert not moves.played(view, Rows(3)).playing
    assert moves.toggle_play(replace(view, playing=False)).head == 0
    real = replace(view, speed=len(SPEEDS) - 1)
    assert moves.wait_before(real, 0, 10**9) == 1.0
    assert moves.wait_before(real, 0, 10**15) == moves.LONGEST_GAP
    assert moves.wait_before(real, 10, 5) == moves.SHORTEST_GAP


def test_panes_shown_depend_on_width_focus_and_zoom() -> None:
    view = moves.focus(View(), Pane.STATS)
    assert moves.shown_panes(view, Width.NARROW) == (Pane.HISTORY, Pane.STATS)
    assert moves.shown_panes(view, Width.WIDE) == (Pane.HISTORY, Pane.CHANGES, Pane.STATS)
    assert moves.shown_panes(view, Width.ULTRA) == (Pane.HISTORY, Pane.CHANGES, Pane.INSPECT, Pane.STATS)
    listing = moves.list_results(view)
    assert moves.shown_panes(listing, Width.ULTRA) == tuple(Pane)
    assert moves.shown_panes(listing, Width.NARROW) == (Pane.HISTORY, Pane.RESULTS)
    assert moves.shown_panes(moves.focus(listing, Pane.HISTORY), Width.NARROW) == (Pane.HISTORY, Pane.STATS)
    assert moves.shown_panes(moves.toggle_zoom(view), Width.ULTRA) == (Pane.STATS,)
    assert moves.cycle_focus(View(), Width.WIDE, -1).focus is Pane.INSPECT


@given(st.integers(0, 500), st.integers(0, 499), st.integers(1, 60), st.integers(1, 500))
def test_the_cursor_is_always_in_sight(top: int, cursor: int, page: int, total: int) -> None:
    cursor = min(cursor, total - 1)
    shown = keep_visible(top, cursor, page, total)
    assert shown <= cursor < shown + page
    first, length = thumb(shown, page, total)
    assert 0 <= first <= first + length <= page


NOON = int(dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC).timestamp()) * 10**9
TIMES = [NOON + second * 10**9 for second in range(100)]


@pytest.mark.parametrize(
    ("typed", "seq"),
    [
        ("42", 42),
        ("#42", 42),
        ("+3", 13),
        ("-300", 0),
        ("100%", 99),
        ("first", 0),
        ("last", 99),
        ("12:00:07", 7),
        ("12:01", 60),
        ("12:00:07.5", 8),
        ("2026-03-01T12:00:50", 50),
        ("2026-02-28", 0),
        ("12:01:39", 99),
    ],
)
def test_places_are_found(typed: str, seq: int) -> None:
    assert find_place(typed, head=10, times=TIMES, total=100, zone=dt.UTC) == seq


@pytest.mark.parametrize(
    "typed",
    ["100", "99999999999999999999", "25:00", "12:61", "2026-13-01", "soon", "", "12:00:99", "23:59", "2026-03-02"],
)
def test_what_is_no_place_is_refused_with_what_would_be(typed: str) -> None:
    with pytest.raises(NoSuchPlace):
        find_place(typed, head=10, times=TIMES, total=100, zone=dt.UTC)


@given(st.text(max_size=60), st.text(max_size=60))
def test_a_word_diff_is_the_texts_again(old: str, new: str) -> None:
    left, right = word_diff(old, new)
    assert "".join(part.text for part in left) == old
    assert "".join(part.text for part in right) == new


def test_only_the_word_that_changed_is_marked() -> None:
    left, right = word_diff("we open at eight", "we open at nine")
    assert [part.text for part in left if part.changed] == ["eight"]
    assert [part.text for part in right if part.changed] == ["nine"]
    far, _ = word_diff("a " * 9_000 + "x" + " b" * 9_000, "a " * 9_000 + "y" + " b" * 9_000)
    assert [part.text for part in far if part.changed] == ["x"]
