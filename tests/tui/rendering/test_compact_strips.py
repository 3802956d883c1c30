"""Strips that write few bytes show what Textual's own show."""

from __future__ import annotations

import gc
import weakref
from io import StringIO

from benchmarks.pty_screen import Screen
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

from support.examples import examples
from unspool_tui.rendering.paint import CompactStrip

WIDTH = 40
SHOWS_ON_BLANKS = {4, 7, 9, 21, 53}
COLOURS = st.sampled_from((None, "#ff0000", "#00ff00", "red", "color(200)", "default"))
STYLES = st.none() | st.builds(
    Style,
    color=COLOURS,
    bgcolor=COLOURS,
    bold=st.booleans(),
    dim=st.booleans(),
    italic=st.booleans(),
    underline=st.booleans(),
    reverse=st.booleans(),
    strike=st.booleans(),
)
SEGMENTS = st.lists(
    st.builds(Segment, st.sampled_from(("a", "bc ", " ", "    ", "─│", "世", "é")), STYLES), min_size=1, max_size=8
)


def seen(strip: Strip, system: str) -> list[object]:
    """Return what a person sees of a strip: blanks show neither the colour of their text nor that it is bold."""
    screen = Screen(WIDTH, 1, lambda answer: None)
    screen.feed(strip.render(Console(file=StringIO(), force_terminal=True, color_system=system)).encode())  # type: ignore[arg-type]
    screen.feed(b"|")
    (texts,), (looks,) = screen.cells()
    found: list[object] = []
    for text, look in zip(texts, looks, strict=True):
        assert isinstance(look, tuple)
        colour, ground, attributes = look
        if text == " ":
            attributes = attributes & SHOWS_ON_BLANKS
            colour = colour if attributes else 0
        found.append((text, colour, ground, attributes))
    return found


@settings(max_examples=examples(100), deadline=None)
@given(SEGMENTS, st.sampled_from(("truecolor", "256", "standard")))
def test_lean_strips_look_like_textuals_own_and_leave_no_style_behind(segments: list[Segment], system: str) -> None:
    compact = CompactStrip(segments)
    assert seen(compact, system) == seen(Strip(segments), system)


@settings(max_examples=examples(60), deadline=None)
@given(SEGMENTS, st.integers(0, 20), st.integers(0, 20))
def test_parts_of_lean_strips_are_lean_and_look_the_same(segments: list[Segment], start: int, size: int) -> None:
    compact, own = CompactStrip(segments), Strip(segments)
    assert seen(compact.crop(start, start + size), "truecolor") == seen(own.crop(start, start + size), "truecolor")
    cuts = [min(start, own.cell_length), own.cell_length]
    for part, other in zip(compact.divide(cuts), own.divide(cuts), strict=True):
        assert isinstance(part, CompactStrip)
        assert seen(part, "truecolor") == seen(other, "truecolor")


def test_whole_pieces_of_a_strip_are_not_split_and_remembered() -> None:
    strip = CompactStrip([Segment("one → two"), Segment(" │ "), Segment("three → four")])
    remembered = Segment._split_cells.cache_info().currsize
    for end in (9, 12, 24):
        assert strip.crop(0, end).text == strip.text[:end]
        assert strip.crop(end, 24).text == strip.text[end:]
    assert Segment._split_cells.cache_info().currsize == remembered


def test_a_colour_that_stays_is_written_once() -> None:
    first, second = (Style(color=colour, bgcolor="#101010") for colour in ("#aaaaaa", "#bbbbbb"))
    console = Console(file=StringIO(), force_terminal=True, color_system="truecolor")
    written = CompactStrip([Segment("one", first), Segment("   ", second), Segment("two", first)]).render(console)
    assert written == "\x1b[38;2;170;170;170;48;2;16;16;16mone   two\x1b[0m"


class _Watched(CompactStrip):
    """A strip that can be watched going away."""

    __slots__ = ("__weakref__",)


@given(SEGMENTS)
def test_a_strip_goes_away_with_the_last_who_holds_it(segments: list[Segment]) -> None:
    strip = _Watched(segments)
    width = strip.cell_length
    for cuts in ([width], [width, width + 3]):
        assert "".join(part.text for part in strip.divide(cuts)) == strip.text
    strip.crop(0, width)
    gone = weakref.ref(strip)
    gc.disable()
    try:
        del strip
        assert gone() is None
    finally:
        gc.enable()
