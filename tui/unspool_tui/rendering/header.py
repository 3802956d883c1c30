"""The lines around the panes: tabs, header and footer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from unspool.history.stats import Sizes
from unspool_tui.rendering import format_units
from unspool_tui.rendering.line import Glyphs, Row, Span, Spans, crop, on_grid, spans_width, width_of
from unspool_tui.view.model import SPEEDS, Against, View

_ROOM_FOR_ENTRY: Final = 72
"""Width from which the position says what is counted."""


class Cost(Struct, frozen=True):
    """What the history costs.

    Attributes:
        sizes: what it takes on disk, as records, and as whole states.
        depth: deltas between the head and its full snapshot.
    """

    sizes: Sizes
    depth: int


class Marks(Struct, frozen=True):
    """What the header tells besides.

    Attributes:
        late: the panels still wait for the head's state.
        wrong: the source could not be read completely.
        reading: how far reading the source has come, `34%`; empty when it is read.
        health: what is wrong with the chains, in a word; empty while nothing is known to be.
        link: which entry of a linked tab stands for the head, and how it is found; empty without a link.
        pulse: why what is shown may be older than the source, `looked 4 s ago`, or `polling`; empty while it is live.
    """

    late: bool = False
    wrong: bool = False
    reading: str = ""
    health: str = ""
    pulse: str = ""
    link: str = ""


def header(view: View, source: str, cost: Cost | None, width: int, glyphs: Glyphs, marks: Marks) -> Row:
    """Return the header.

    Args:
        view: what is looked at.
        source: name of the source.
        cost: what the history costs; None while that is still being read.
        width: cells there are.
        glyphs: characters to draw with.
        marks: what else there is to tell.
    """
    name = crop(on_grid(short_name(source)), max(8, width // 4), glyphs.ellipsis)
    position = f"{view.head:,}/{view.tip:,}" if view.total else "empty"
    said = "entry " if view.total and width >= _ROOM_FOR_ENTRY else ""
    left: Spans = (
        (" unspool ", "chip.brand"),
        (f" {name} ", "strong"),
        *((("! ", "warning"),) if marks.wrong else ()),
        *(((f"{glyphs.cross} {marks.health} ", "error"),) if marks.health else ()),
        (f" {said}", "dim"),
        (position, "accent"),
        (f"{glyphs.ellipsis} " if marks.late else "  ", "warning"),
        *(((f" READING {marks.reading} ", "chip.filter"), (" ", "text")) if marks.reading else ()),
        *_modes(view, glyphs, marks.pulse),
        *(((f" {glyphs.linked} {on_grid(marks.link)} ", "chip.filter"), (" ", "text")) if marks.link else ()),
    )
    if said and spans_width(left) > width:
        # What runs or is paused must not be cut for a word.
        left = tuple((" ", style) if text == f" {said}" else (text, style) for text, style in left)
    room = width - spans_width(left) - 1
    costs = ((("reading ", "faint"),),) if cost is None else _costs(cost) if view.total else ()
    # Where, and whether it follows, is what nobody can do without; of the costs as much as there is room for.
    right = next((spans for spans in costs if spans_width(spans) <= room), ())
    return Row(left, right, ground="bar")


def short_name(source: str) -> str:
    """Return the last part of a path; a name that is none stays."""
    return source.rsplit("/", 1)[-1] if source.startswith(("/", "./", "../", "~")) else source


def _modes(view: View, glyphs: Glyphs, pulse: str) -> Spans:
    chips: list[Span] = []
    if view.playing:
        speed = SPEEDS[view.speed]
        chips.append((f" {glyphs.play} {f'{speed:g}/s' if speed else 'real time'} ", "chip.live"))
    elif view.follow and pulse in ("", "polling"):
        chips.append((" POLL follow " if pulse else " LIVE follow ", "chip.live"))
    elif view.follow:
        chips.append((" FOLLOW ", "chip.paused"))
    elif view.missed:
        chips.append((f" PAUSED +{view.missed:,} ", "chip.paused"))
    else:
        chips.append((" PAUSED ", "chip.paused"))
    chips += _program(view)
    if pulse not in ("", "polling") and (view.follow or pulse != "not watched"):
        chips.append((f" {pulse} ", "chip.paused"))
    if view.filter.text:
        shown = f"{view.filter.count:,}" + (glyphs.ellipsis if view.filter.running else "")
        chips.append((f" FILTER {shown} ", "chip.filter"))
    if view.search.text:
        found = f"{view.search.found:,}" + (glyphs.ellipsis if view.search.running else "")
        chips.append((f" / {found} ", "chip.filter"))
    if view.against is not Against.PREVIOUS:
        chips.append((f" vs {view.against} ", "base"))
    return tuple(piece for chip in chips for piece in (chip, (" ", "text")))


def _program(view: View) -> list[Span]:
    """Return what must not be overlooked of the program that records: it runs a past state, or nothing is recorded."""
    program = view.program
    if program is None:
        return []
    chips: list[Span] = []
    if program.at is not None:
        chips.append((f" APP {'SHOWS' if program.looking else 'AT'} #{program.at:,} ", "chip.paused"))
    elif program.looking:
        chips.append((" APP LEFT ITS LINE ", "chip.paused"))
    if program.paused:
        chips.append((" RECORDING PAUSED ", "chip.paused"))
    return chips


def _costs(cost: Cost) -> tuple[Spans, ...]:
    """Return what the history costs at several lengths, the longest first."""
    sizes, place = cost.sizes, "on disk" if cost.sizes.on_disk else "in records"
    held, times = format_units.size(sizes.held), format_units.smaller(sizes.whole, sizes.held)
    than = " than whole states   "
    if sizes.on_disk and sizes.ratio < 1:
        # A file of its own size takes more than a few small states; that says nothing of how they are stored.
        times, than = f"{format_units.size(sizes.whole)} of states", "   "
    chain: Span = (f"chain {cost.depth} ", "dim")
    if not sizes.held:
        return ((chain,),)
    if not times:
        return (((f"{held} {place}  ", "dim"), chain), (chain,))
    return (
        (
            (held, "text"),
            (f" {place}   ", "faint"),
            (times, "good" if sizes.ratio >= 1 else "warning"),
            (than, "faint"),
            (str(cost.depth), "text"),
            (f" {'delta' if cost.depth == 1 else 'deltas'} from a full one ", "faint"),
        ),
        ((f"{held} {place}  ", "dim"), (f"{times}  ", "good"), chain),
        *(((f"{held}  ", "dim"), (f"{format_units.ratio(sizes.whole, sizes.held)}  ", "good"), chain),)
        * (sizes.ratio >= 1),
        ((f"{held}  ", "dim"), chain),
        (chain,),
    )


_WIDE = 100
"""Width from which hints stand further apart."""


def footer(keys: Sequence[tuple[str, str]], width: int) -> Row:
    """Return keys with their labels; those at the end of the list give way first, but the last two always stay.

    Args:
        keys: key and label, most useful first; the last two are help and quit.
        width: cells there are.
    """
    gap = "   " if width >= _WIDE else "  "
    spans: list[Span] = [(" ", "text")]
    used = 1
    wanted = [(on_grid(key), on_grid(label)) for key, label in keys]
    always = wanted[-2:]
    room = width - sum(_size(pair, gap) for pair in always) - 1
    shown = []
    for pair in wanted[:-2]:
        if used + _size(pair, gap) > room:
            break
        shown.append(pair)
        used += _size(pair, gap)
    for key, label in (*shown, *always):
        spans += [(key, "key"), (f" {label}{gap}", "dim")]
    return Row(tuple(spans), ground="bar")


def _size(pair: tuple[str, str], gap: str) -> int:
    return width_of(pair[0]) + width_of(pair[1]) + 1 + len(gap)


def flash_row(text: str, style: str) -> Row:
    """Return a passing word in place of the keys."""
    return Row(((" ", "text"), (on_grid(text[:500]), style)), ground="bar")


LONGEST: Final = 28
"""Cells of a name at most; what is longer is cut, and the cut shows."""
_SHORTEST: Final = 10
_EDGE: Final = 6
"""Cells kept at each edge for the count of tabs beyond it."""


class Label(Struct, frozen=True):
    """What the line says of a tab.

    Attributes:
        name: the source's name.
        new: entries that arrived since it was in front.
        opening: it is being opened.
        refused: it could not be opened.
        linked: it is scrubbed together with another.
    """

    name: str
    new: int = 0
    opening: bool = False
    refused: bool = False
    linked: bool = False


class TabRow(Struct, frozen=True):
    """The line, and where each tab stands in it.

    Attributes:
        row: the line.
        places: first cell, one past the last, and the tab that a click there goes to.
    """

    row: Row
    places: tuple[tuple[int, int, int], ...]

    def tab_at(self, x: int) -> int | None:
        """Return the tab at a cell, or None where there is none."""
        return next((tab for start, stop, tab in self.places if start <= x < stop), None)


def tab_row(labels: Sequence[Label], front: int, width: int, glyphs: Glyphs) -> TabRow:
    """Return the line of tabs.

    Args:
        labels: all tabs.
        front: the one in front.
        width: cells there are.
        glyphs: characters to draw with.
    """
    room = max(_SHORTEST, min(LONGEST, width // max(1, min(len(labels), 6)) - 8))
    pieces = [_spans(number, label, number == front, room, glyphs) for number, label in enumerate(labels)]
    sizes = [sum(width_of(text) for text, _ in piece) for piece in pieces]
    first, last = _window(sizes, front, width)
    spans: list[Span] = []
    places: list[tuple[int, int, int]] = []
    cells = 0
    if first:
        text = f"<{first} "
        spans.append((text, "key"))
        places.append((0, len(text), first - 1))
        cells = len(text)
    for number in range(first, last + 1):
        spans += pieces[number]
        places.append((cells, cells + sizes[number], number))
        cells += sizes[number]
    beyond = len(labels) - 1 - last
    if beyond:
        text = f" {beyond}>"
        spans.append((text, "key"))
        places.append((cells, cells + len(text), last + 1))
    return TabRow(Row(tuple(spans), ground="bar"), tuple(places))


def _spans(number: int, label: Label, is_front: bool, room: int, glyphs: Glyphs) -> list[Span]:
    opened, closed = ("[", "]") if is_front else (" ", " ")
    name = crop(on_grid(label.name), room, glyphs.ellipsis)
    spans = [(f"{opened}{number + 1} ", "key"), (name, "strong" if is_front else "dim")]
    if label.refused:
        spans.append((f" {glyphs.cross}", "error"))
    elif label.opening:
        spans.append((f" {glyphs.ellipsis}", "faint"))
    elif label.new:
        spans.append((f" +{label.new:,}", "accent"))
    if label.linked:
        spans.append((f" {glyphs.linked}", "accent"))
    return [*spans, (closed, "key")]


def _window(sizes: Sequence[int], front: int, width: int) -> tuple[int, int]:
    """Return the first and last tab that are shown: those around the one in front, as many as fit."""
    if sum(sizes) <= width:
        return 0, len(sizes) - 1
    first = last = front
    left = width - 2 * _EDGE - sizes[front]
    while True:
        if last + 1 < len(sizes) and sizes[last + 1] <= left:
            last += 1
            left -= sizes[last]
        elif first > 0 and sizes[first - 1] <= left:
            first -= 1
            left -= sizes[first]
        else:
            return first, last
