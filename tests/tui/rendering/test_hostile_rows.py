"""Whatever a history holds, panels show it as text: of the right width, without anything that acts."""

from __future__ import annotations

import datetime as dt
import math
from typing import Any

import pytest
from hostile_texts import assert_harmless, deep, states, texts, values, widths
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from unspool.history.diff import diff_states
from unspool.history.history import StateView
from unspool.history.stats import Sizes
from unspool.model.encoding import encode
from unspool_tui.panes.change_list import change_list, wrapped
from unspool_tui.panes.changes import Sheet, change_row
from unspool_tui.panes.history import EarlyColumns, EntryFacts, history_row
from unspool_tui.panes.stats import HistoryFacts, Measured, stats_rows
from unspool_tui.rendering.header import Cost, Marks, flash_row, header
from unspool_tui.rendering.line import (
    ASCII,
    UNICODE,
    PaneFrame,
    Row,
    bottom_row,
    differs_until,
    on_grid,
    top_row,
)
from unspool_tui.rendering.values import Origin, inspect_row, json_lines, preview, preview_text, raw_lines, story
from unspool_tui.screens.exporting import html_page
from unspool_tui.view.model import View
from unspool_tui.view.outline import Outline
from unspool_tui.widgets.panel import Framed


def state_of(state: dict[str, Any]) -> StateView:
    return StateView(0, {atom: encode(value) for atom, value in state.items()})


def addresses(state: StateView) -> frozenset[tuple[Any, ...]]:
    """All containers of a state, two levels down, unfolded."""
    outline = Outline(state, frozenset())
    first = {outline.node(row).address for row in range(len(outline))}
    second = Outline(state, frozenset(first))
    return frozenset(first | {second.node(row).address for row in range(len(second))})


@given(st.lists(texts, max_size=3), st.lists(texts, max_size=2), texts, widths)
def test_what_is_drawn_acts_on_no_terminal_whoever_made_the_row(
    left: list[str], right: list[str], title: str, width: int
) -> None:
    assert_harmless(Row(tuple((one, "text") for one in left), tuple((one, "dim") for one in right)), width)
    assert_harmless(top_row(PaneFrame(0, title, more=((title, "dim"),)), UNICODE), width)


@given(states, widths)
def test_inspect_shows_any_state_harmlessly(state: dict[str, Any], width: int) -> None:
    view = state_of(state)
    outline = Outline(view, addresses(view))
    for row in range(len(outline)):
        node = outline.node(row)
        assert_harmless(inspect_row(node, Origin(3, "x"), 3, width, UNICODE), width)
        assert outline.row_of(node.address) is not None


@given(states, states, widths, st.booleans(), st.booleans())
def test_changes_show_any_diff_harmlessly(
    old: dict[str, Any], new: dict[str, Any], width: int, words: bool, wrap: bool
) -> None:
    before, after = state_of(old), state_of(new)
    diff = diff_states(0, 1, before.wire, after.wire)
    view = View(total=2, head=1, words=words, wrap=wrap, unchanged=True)
    items = change_list(diff.changes, after, view, preview_text)
    for item in wrapped(items, width) if wrap else items:
        assert_harmless(change_row(item, Sheet(width, ASCII)), width)
    page = html_page("source", 0, 1, diff.changes)
    assert "<script" not in page


@given(values, widths)
def test_json_and_raw_show_any_value_harmlessly(value: Any, width: int) -> None:
    for lines in (json_lines(value), raw_lines(value)):
        for index in range(min(len(lines), 50)):
            assert_harmless(lines.row(index, width), width)


@given(texts, texts, widths)
def test_names_and_actions_are_inert(name: str, action: str, width: int) -> None:
    view = View(total=3, head=1, selected=(name,), pinned=(name,))
    assert_harmless(header(view, name, Cost(Sizes(1, 2, 3), 3), width, UNICODE, Marks(True, True, "3%")), width)
    columns = EarlyColumns.__new__(EarlyColumns)
    for column in ("timestamp_ns", "kind", "added", "modified", "deleted", "stored", "full_bytes"):
        setattr(columns, column, [0, 1, 2])
    facts = EntryFacts(1, 0, action, (name, action), head=True)
    assert_harmless(history_row(facts, columns, 3, width, UNICODE, dt.UTC), width)
    assert_harmless(flash_row(action, "warning"), width)
    origin = Origin(1, action, (1, 2), True, on_grid(name))
    frame = PaneFrame(3, "Inspect", left=story(origin, UNICODE), right=((on_grid(name), "dim"),))
    assert_harmless(top_row(frame, UNICODE), width)
    assert_harmless(bottom_row(frame, UNICODE), width)
    measured = Measured({name: (1, 2.0)}, ((name, 10, 2),), "broken", (action,))
    for row in stats_rows(HistoryFacts(entries=3), measured, width, UNICODE):
        assert_harmless(row, width)


ENORMOUS = {
    "a string of 10 MB": "x" * 10_000_000,
    "a string of 10 MB of escapes": "\x1b[2J" * 2_500_000,
    "a list of 100,000": list(range(100_000)),
    "an object of 100,000": {f"key {number}": number for number in range(100_000)},
    "10,000 levels": deep(10_000),
    "a huge integer": 7**20_000,
    "NaN in a list": [math.nan, math.inf, -math.inf, -0.0],
}


@pytest.mark.one_in(2)
@pytest.mark.parametrize("name", list(ENORMOUS))
def test_enormous_values_are_shown_and_compared(name: str) -> None:
    value = ENORMOUS[name]
    old, new = state_of({"it": value, "other": 1}), state_of({"it": [value], "other": 2})
    outline = Outline(old, frozenset({("it",)}))
    for row in (0, 1, len(outline) // 2, len(outline) - 1):
        assert_harmless(inspect_row(outline.node(row), Origin(), 0, 80, UNICODE), 80)
    diff = diff_states(0, 1, old.wire, new.wire)
    for wrap in (False, True):
        items = change_list(diff.changes, new, replace(View(), wrap=wrap), preview_text)
        for item in (wrapped(items, 80) if wrap else items)[:300]:
            assert_harmless(change_row(item, Sheet(80, UNICODE)), 80)
    assert sum(len(text) for text, _ in preview(value)) < 2_000
    lines = raw_lines(value)
    assert_harmless(lines.row(0, 80), 80)


def test_unfolding_10000_levels_one_by_one_stays_flat_in_the_stack() -> None:
    state = state_of({"deep": deep(10_000)})
    address: tuple[Any, ...] = ("deep",)
    opened = {address}
    for level in range(1_500):
        address = (*address, 0 if (9_999 - level) % 2 == 0 else "k")
        opened.add(address)
    outline = Outline(state, frozenset(opened))
    last = outline.node(len(outline) - 1)
    assert last.depth >= 1_500
    assert_harmless(inspect_row(last, Origin(), 0, 80, UNICODE), 80)


spans = st.lists(
    st.tuples(st.sampled_from(["ab", "c", "日本", "wide ", ""]), st.sampled_from(["text", "dim"])), max_size=6
)


@given(spans, spans, spans, st.integers(4, 40), st.booleans())
def test_cells_beyond_the_difference_of_two_rows_are_the_same(
    one: list[tuple[str, str]], other: list[tuple[str, str]], right: list[tuple[str, str]], width: int, framed: bool
) -> None:
    edge = "line" if framed else ""
    before, after = (Row(tuple(left), tuple(right), edge=edge) for left in (one, other))
    until = differs_until(before, after, width)
    panel = Framed()
    drawn = [panel.draw(row, width) for row in (before, after)]
    beyond = [strip.crop(min(until, width), width).simplify() for strip in drawn]
    assert beyond[0] == beyond[1]
