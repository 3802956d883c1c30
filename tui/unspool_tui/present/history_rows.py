"""Rows of the history list: number, kind, time, what changed, what it cost, and why it happened."""

from __future__ import annotations

import datetime as dt

from msgspec import Struct

from unspool.model.entries import FULL, NOTE
from unspool_tui.present import humane
from unspool_tui.present.glyphs import Glyphs
from unspool_tui.present.grid import on_grid
from unspool_tui.present.line import Row, Span, Spans, pad
from unspool_tui.view.history_port import Columns

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
    """

    seq: int
    action: str = ""
    atoms: tuple[str, ...] = ()
    mark: Span = (" ", "text")
    head: bool = False
    gaps: bool = False
    days: bool = False


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
    before = columns.timestamp_ns[facts.seq - 1] if facts.seq else time
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
