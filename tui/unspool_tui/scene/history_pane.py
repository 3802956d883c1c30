"""The history list: rows of entries around the head."""

from __future__ import annotations

import datetime as dt
from bisect import bisect_left
from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from unspool.model.entries import FULL, NOTE
from unspool_tui.present import humane
from unspool_tui.present.glyphs import Glyphs
from unspool_tui.present.line import BLANK, Frame, Row, Span, Spans, on_grid, pad, wrap_words
from unspool_tui.scene.entries import EntryBook, knows
from unspool_tui.view.filters import Rows
from unspool_tui.view.history_port import Columns
from unspool_tui.view.model import Pane, View

_ROWS_KEPT: Final = 512
_ONE_DAY: Final = 20 * 3600 * 10**9
"""Nanoseconds from which a history goes over days; less than a day, so that one over midnight counts."""
_DAY_ROOM: Final = 22
"""Cells of the footing that the date and the frame around it take."""


class HistoryPane:
    """Makes rows of the history list; a row that was made stays until what it shows changes."""

    def __init__(self, book: EntryBook, glyphs: Glyphs, zone: dt.tzinfo | None) -> None:
        self._book = book
        self._glyphs = glyphs
        self._zone = zone
        self._made: dict[tuple[object, ...], Row] = {}

    def row(self, view: View, rows: Rows, columns: Columns, index: int, width: int) -> Row:
        """Return the row at a place of the list."""
        seq = rows[index]
        digits = len(str(view.tip))
        days = self._goes_over_days(view, columns)
        key = (seq, seq == view.head, self._mark(view, seq), view.gaps, days, width, digits)
        made = self._made.get(key)
        if made is None:
            made = self._make(view, columns, seq, width)
            if seq in self._book.missing or not _is_known(columns, seq):
                # The worker looks up what this row lacks.
                return made
            if len(self._made) >= _ROWS_KEPT:
                self._made.pop(next(iter(self._made)))
            self._made[key] = made
        return made

    def forget(self) -> None:
        """Make all rows anew: the history was cut or replaced."""
        self._made.clear()

    def _make(self, view: View, columns: Columns, seq: int, width: int) -> Row:
        if not _is_known(columns, seq):
            return Row(((f" {seq:>{len(str(view.tip))}} {self._glyphs.ellipsis}", "faint"),))
        facts = EntryFacts(
            seq,
            action=self._book.action(seq) if wants_action(width) else "",
            atoms=self._book.atoms(seq) if wants_atoms(width) else (),
            mark=self._mark(view, seq),
            head=seq == view.head,
            gaps=view.gaps,
            days=self._goes_over_days(view, columns),
            is_first=seq == view.first,
        )
        return history_row(facts, columns, view.total, width, self._glyphs, self._zone)

    @staticmethod
    def _goes_over_days(view: View, columns: Columns) -> bool:
        return (
            knows(columns, view.tip) and columns.timestamp_ns[view.tip] - columns.timestamp_ns[view.first] > _ONE_DAY
        )

    def _mark(self, view: View, seq: int) -> Span:
        glyphs = self._glyphs
        if seq == view.base:
            return glyphs.base, "base"
        if view.bookmarks and _holds(view.bookmarks, seq, len(view.bookmarks)):
            return glyphs.bookmark, "bookmark"
        if view.search.found and _holds(view.search.hits, seq, view.search.found):
            return glyphs.hit, "hit"
        return " ", "text"

    def frame(self, view: View, rows: Rows, columns: Columns, width: int) -> Frame:
        """Return the frame: the day of the head where there is room, its place, and the filter."""
        position = rows.position(view.head)
        shown = position < len(rows) and rows[position] == view.head
        place = f"{position + 1:,}" if shown else "–"
        place = f"{place} of {len(rows):,}"
        roomy = view.total and width >= len(place) + _DAY_ROOM and knows(columns, view.head)
        day = ((humane.day(columns.timestamp_ns[view.head], self._zone), "faint"),) if roomy else ()
        more = ((f"{view.filter.text[:40]}", "accent"),) if view.filter.text else ()
        return Frame(
            Pane.HISTORY.value,
            "History",
            more=more,
            left=day,
            right=((place, "dim"),),
            focused=view.focus is Pane.HISTORY,
        )


def nothing_rows(key: str, width: int) -> list[Row]:
    """Return what the list says where a filter lets no entry through.

    Args:
        key: the key that changes the filter; empty where none does.
        width: cells there are.
    """
    words = "no entry matches the filter" + (f"; {key} changes it, and empty shows all" if key else "")
    return [BLANK, *(Row(((f"  {line}", "dim"),)) for line in wrap_words(words, max(8, width - 4), 6))]


def _is_known(columns: Columns, seq: int) -> bool:
    # A gap is told from the entry before, which may lie on another page.
    return knows(columns, seq) and knows(columns, max(0, seq - 1))


def _holds(ascending: Sequence[int], seq: int, count: int) -> bool:
    place = bisect_left(ascending, seq, 0, count)
    return place < count and ascending[place] == seq


_ROOM_FOR_BYTES = 36
_ROOM_FOR_ACTION = 44
_ROOM_FOR_ATOMS = 56


class EntryFacts(Struct, frozen=True):
    """What a history row shows besides its columns.

    Attributes:
        seq: its number.
        action: why it happened.
        atoms: atoms it changed; empty where there is no room for them.
        mark: base, bookmark or hit, as glyph and style.
        head: it is the entry being looked at.
        gaps: show the time since the entry before.
        days: the history goes over days, so the clock alone would not tell when.
        is_first: no entry is kept before it.
    """

    seq: int
    action: str = ""
    atoms: tuple[str, ...] = ()
    mark: Span = (" ", "text")
    head: bool = False
    gaps: bool = False
    days: bool = False
    is_first: bool = False


def wants_atoms(width: int) -> bool:
    """Say whether rows of this width name the atoms that changed."""
    return width >= _ROOM_FOR_ATOMS


def wants_action(width: int) -> bool:
    """Say whether rows of this width tell the action."""
    return width >= _ROOM_FOR_ACTION


def history_row(
    facts: EntryFacts, columns: Columns, total: int, width: int, glyphs: Glyphs, zone: dt.tzinfo | None
) -> Row:
    """Return the row of one entry."""
    seq, kind = facts.seq, columns.kind[facts.seq]
    full, note = kind == FULL, kind == NOTE
    digits = max(3, len(str(total - 1)))
    # Neighbours share a style where they can: each change of style costs forty bytes on the way to the terminal.
    plain = "text" if facts.head else "dim"
    left: Spans = (
        (glyphs.cursor if facts.head else " ", "accent" if facts.head else plain),
        (f"{seq:>{digits}}", "strong" if facts.head else plain),
        facts.mark if facts.mark[0] != " " else (" ", plain),
        (glyphs.note, "note") if note else (glyphs.full if full else glyphs.delta, "full" if full else plain),
        (f" {_when(facts, columns, zone)}", plain),
    )
    words: Spans = ()
    if wants_action(width):
        words = (("  ", "text"), (on_grid(facts.action[:80]), "text"), *_atoms(facts, glyphs))
    right: Spans = () if note else _counts(columns, seq, glyphs)
    if note and width >= _ROOM_FOR_BYTES:
        right = ((" " * 10, "faint"),)
    elif width >= _ROOM_FOR_BYTES:
        right = (*right, (f"{humane.size(columns.stored[seq]):>9} ", "full" if full else "faint"))
    else:
        right = (*right, (" ", "text"))
    return Row((*left, *words), right)


def _when(facts: EntryFacts, columns: Columns, zone: dt.tzinfo | None) -> str:
    time = columns.timestamp_ns[facts.seq]
    if not facts.gaps:
        return humane.day_and_clock(time, zone) if facts.days else humane.clock(time, zone)
    before = time if facts.is_first else columns.timestamp_ns[facts.seq - 1]
    return f"{'+' if time >= before else ''}{humane.duration(time - before):<11}"


def _atoms(facts: EntryFacts, glyphs: Glyphs) -> Spans:
    if not facts.atoms:
        return ()
    names = " ".join(on_grid(atom[:40]) for atom in facts.atoms[:12])
    return ((f"  {names}{glyphs.ellipsis if len(facts.atoms) > 12 else ''}", "faint"),)


def _counts(columns: Columns, seq: int, glyphs: Glyphs) -> Spans:
    parts = (
        (glyphs.added, columns.added[seq], "added"),
        (glyphs.modified, columns.modified[seq], "modified"),
        (glyphs.deleted, columns.deleted[seq], "removed"),
    )
    shown = tuple((f"{glyph}{_short(number)}", style) for glyph, number, style in parts if number)
    if not shown:
        return ((pad("=", 1), "faint"),)
    return shown


def _short(number: int) -> str:
    return str(number) if number < 1000 else f"{number // 1000}k" if number < 1_000_000 else f"{number // 1_000_000}M"
