"""The first line: where one is and whether it goes on come before what it costs."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unspool.history.stats import Sizes
from unspool_tui.rendering.header import Cost, Marks, header
from unspool_tui.rendering.line import ASCII, UNICODE, Glyphs
from unspool_tui.rendering.paint import Pen, segments
from unspool_tui.view.model import View


def shown(view: View, name: str, cost: Cost | None, width: int, glyphs: Glyphs = UNICODE) -> str:
    """Return the text of the header as it stands on the screen."""
    row = header(view, name, cost, width, glyphs, Marks())
    return "".join(segment.text for segment in segments(row, width, Pen(glyphs=glyphs)))


sizes = st.integers(0, 10**13)


@given(
    name=st.text(max_size=80),
    total=st.integers(1, 10**7),
    paused=st.integers(0, 10**6),
    stored=sizes,
    depth=st.integers(0, 10**4),
    width=st.integers(60, 220),
    follow=st.booleans(),
)
def test_position_and_mode_are_whole_at_every_width(
    name: str, total: int, paused: int, stored: int, depth: int, width: int, follow: bool
) -> None:
    view = View(total=total, head=total - 1, follow=follow, paused_total=max(0, total - paused))
    text = shown(view, name, Cost(Sizes(stored, stored * 2, stored * 3), depth), width)
    assert f"{total - 1:,}/{total - 1:,}" in text
    assert (" LIVE follow " if follow else f" PAUSED +{view.missed:,} " if view.missed else " PAUSED ") in text
    assert re.search(r"(chain \d+ |from a full one |  )$", text), "costs are whole or left out"


@pytest.mark.parametrize(
    ("width", "said"),
    [
        (60, "chain 4"),
        (80, "1.2 MiB  19.1x  chain 4"),
        (100, "1.2 MiB on disk  19.1x smaller  chain 4"),
        (140, "1.2 MiB on disk   19.1x smaller than whole states   4 deltas from a full one"),
    ],
)
def test_costs_take_the_room_that_is_left_and_say_what_they_are(width: int, said: str) -> None:
    text = shown(
        View(total=747, head=746),
        "shop.unspool",
        Cost(Sizes(1_250_000, 14_000_000, 23_900_000), 4),
        width,
        ASCII,
    )
    assert text.endswith(f"{said} ")
    assert ("entry 746/746" in text) == (width >= 72)
    assert "reading" in shown(View(total=747, head=746), "shop.unspool", None, width)


def test_a_file_of_a_few_small_states_is_held_beside_them_and_called_no_larger() -> None:
    line = shown(View(total=2, head=1), "new.jsonl", Cost(Sizes(12, 11, 10), 0), 100)
    assert "12 B on disk  10 B of states  chain 0" in line
    assert "1.2x larger" in shown(View(total=2, head=1), "new.jsonl", Cost(Sizes(0, 12, 10), 0), 100)
    assert "x" not in shown(View(total=2, head=1), "new.json", Cost(Sizes(12, 11, 10), 0), 64)[20:]
