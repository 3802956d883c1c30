"""The answer strip: what happened at the head, who wrote it where, and the story of one value, in whole words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from unspool.model.entries import ChangeKind, SourceLine
from unspool.model.keys import Path
from unspool.model.values import MISSING, Value
from unspool_tui.panes.detail import Detail
from unspool_tui.rendering import format_units
from unspool_tui.rendering.labels import (
    ValueChange,
    cut_front,
    file_and_line,
    function_of,
    record_names,
    sparkline,
    thinned,
    told_path,
)
from unspool_tui.rendering.line import Glyphs, Row, Span, Spans, crop, crop_spans, on_grid, spans_width, width_of
from unspool_tui.rendering.values import UNKNOWN, Origin, preview_text
from unspool_tui.view.model import View
from unspool_tui.view.outline import container_of, value_at

UNSEEN: Final = "?"
"""Stands before what was found changed, as it does before guesses of why."""
FRAMED_FROM: Final = 40
"""Lines of the terminal from which the strip has a frame."""
_LONGEST_ACTION: Final = 400
_LEAST_ACTION: Final = 16
"""Cells of the action below which what stands beside it gives way."""
_LEAST_VALUE: Final = 24
_BARS: Final = 12
_MOST_PATH: Final = 60

_LONGEST_NOTE: Final = 200
"""Characters of the notes on an entry that are told with it."""


class EntryAnswer(Struct, frozen=True):
    """What the first line tells of the head.

    Attributes:
        seq: its number; -1 where there is none.
        action: why it happened; where nobody said, the change that tells most; without an entry, why there is none.
        gap_ns: time since the entry before; None where there is none, or it is not known.
        since: that entry.
        caller: the line of code that recorded it; None where that was not kept.
        late: the line still tells of another entry's change.
        unseen: what it tells of was found changed; no line of code was seen to do it.
    """

    seq: int
    action: str = ""
    gap_ns: int | None = None
    since: int = -1
    caller: SourceLine | None = None
    late: bool = False
    unseen: bool = False


class ValueAnswer(Struct, frozen=True):
    """What the second line tells of a value.

    Attributes:
        path: where it stands, records by their names.
        value: what it is.
        origin: who set it.
        head: the entry looked at.
    """

    path: str
    value: str
    origin: Origin = UNKNOWN
    head: int = -1


def headline(change: ValueChange | None, names: Mapping[int, str], glyphs: Glyphs) -> str:
    """Return the largest change in a few words: `AllAcres 62,490 → 63,583`, `+ Incidents[0 Dixie Fire]`."""
    if change is None:
        return ""
    what = told_path(change.address, names)
    if change.kind is ChangeKind.MODIFIED:
        last = told_path(change.address[-1:], {}) if len(change.address) > 1 else what
        record = next(
            (name for place, name in sorted(names.items(), reverse=True) if place < len(change.address)), ""
        )
        spelled = " ".join(part for part in (record, last.lstrip("$.")) if part)
        return f"{spelled} {_brief(change.old)} {glyphs.arrow} {_brief(change.new)}"
    sign = glyphs.added if change.kind is ChangeKind.ADDED else glyphs.deleted
    return f"{sign} {what}"


def _brief(value: Value) -> str:
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 10**15:
        return f"{value:,}"
    return "(nothing)" if value is MISSING else preview_text(value, 40)


def entry_line(told: EntryAnswer, width: int, glyphs: Glyphs) -> Row:
    """Return the line about the head: the file and line are never cut, the action is cut first."""
    if told.seq < 0:
        return Row(((f" {told.action or 'no entry yet'}", "dim"),))
    left: Spans = (
        (f" #{told.seq:,} ", "accent"),
        (f"{UNSEEN} " if told.unseen else "", "warning"),
        (on_grid(told.action[:_LONGEST_ACTION]) or "no action was recorded", "strong" if told.action else "faint"),
        (f" {glyphs.ellipsis}" if told.late else "", "warning"),
    )
    place: Spans = ()
    function: Spans = ()
    if told.caller is not None:
        place = ((cut_front(file_and_line(told.caller), width - 2, glyphs.ellipsis), "place"),)
        function = ((f" {name}", "dim"),) if (name := function_of(told.caller)) else ()
    gap: Spans = ()
    if told.gap_ns is not None:
        words = "before" if told.gap_ns < 0 else "after"
        gap = ((f"{format_units.duration(abs(told.gap_ns))} {words} #{told.since:,}", "faint"),)
    between: Spans = ((f" {glyphs.delta} ", "faint"),) if gap and place else ()
    wanted = min(spans_width(left), max(_LEAST_ACTION, width // 3))
    told_at = [(*gap, *between, *place, *function), (*place, *function)] if place else [gap]
    right = next((spans for spans in told_at if spans_width(spans) + wanted + 2 <= width), place)
    return Row(left, (*right, (" ", "text")) if right else ())


def value_line(told: ValueAnswer, width: int, glyphs: Glyphs) -> Row:
    """Return the line about a value: what it is, by how much it changed, who set it before and who next."""
    origin = told.origin
    path = cut_front(told.path, min(_MOST_PATH, width // 2), glyphs.ellipsis)
    room = max(8, width - width_of(path) - 4)
    value: list[Span] = [(f" {path}  ", "key")]
    if origin.before and origin.seq == told.head:
        half = max(6, (room - 3) // 2)
        value += [(crop(origin.before, half, glyphs.ellipsis), "old"), (f" {glyphs.arrow} ", "arrow")]
        value.append((crop(told.value, half, glyphs.ellipsis), "new"))
        if origin.by:
            value.append((f" ({origin.by})", "modified"))
    else:
        value.append((crop(told.value, room, glyphs.ellipsis), "strong"))
    wanted = min(spans_width(tuple(value)), max(_LEAST_VALUE, width // 2))
    return Row(tuple(value), _fitting(_stories(origin, told.head, glyphs), width - wanted - 3))


def _fitting(told: Sequence[Spans], room: int) -> Spans:
    """Return the first of several wordings that there is room for, with a blank behind it."""
    right = next((spans for spans in told if spans and spans_width(spans) <= room), ())
    return (*right, (" ", "text")) if right else ()


def _removals(origin: Origin, glyphs: Glyphs) -> list[Spans]:
    """Return who removed a value at several lengths, the longest first."""
    if origin.seq is None:
        return []
    seq: Span = (f"removed #{origin.seq:,}", "accent")
    return [(seq, *_why(origin, glyphs), *_place(origin, glyphs)), (seq, *_place(origin, glyphs)), (seq,)]


def _place(origin: Origin, glyphs: Glyphs) -> Spans:
    if origin.caller is None:
        return ()
    return (f" {glyphs.delta} ", "faint"), (file_and_line(origin.caller), "place")


def _why(origin: Origin, glyphs: Glyphs) -> Spans:
    return ((f" {crop(on_grid(origin.action[:200]), 40, glyphs.ellipsis)}", "text"),) if origin.action else ()


def _stories(origin: Origin, head: int, glyphs: Glyphs) -> list[Spans]:
    """Return who set a value at several lengths, the longest first."""
    if origin.seq is None:
        return [()]
    if origin.older:
        return [((f"set at or before #{origin.seq:,}", "dim"),), ((f"<=#{origin.seq:,}", "dim"),)]
    bars: Spans = ()
    if len(origin.numbers) > 1:
        bars = ((f"  {sparkline(thinned(origin.numbers, _BARS), glyphs.bars)}", "bar.window"),)
    later: Spans = ()
    if origin.later is not None:
        later = ((f", next set #{origin.later:,}" if origin.later >= 0 else ", not set again", "dim"),)
    if origin.seq == head:
        was = f"was set #{origin.earlier[0]:,}" if origin.earlier else "set here first"
        short = f"was #{origin.earlier[0]:,}" if origin.earlier else "set here"
        return [((was, "dim"), *later, *bars), ((was, "dim"), *later), ((short, "dim"), *later), ((short, "dim"),)]
    seq: Span = (f"set #{origin.seq:,}", "accent")
    place, why = _place(origin, glyphs), _why(origin, glyphs)
    return [
        (seq, *why, *place, *later, *bars),
        (seq, *why, *place, *later),
        (seq, *why, *place),
        (seq, *place, *later),
        (seq, *place),
        (seq,),
    ]


class AnswerStrip:
    """Makes the lines of the strip from what the panes show anyway."""

    def __init__(self, glyphs: Glyphs) -> None:
        self._glyphs = glyphs
        self._named: tuple[Detail | None, Path, Mapping[int, str]] = (None, (), {})

    def asked(self, view: View, detail: Detail) -> Path:
        """Return the value whose story is told: the selected one, else the one that changed most."""
        if view.selected:
            return view.selected
        return detail.largest.address if detail.largest is not None else ()

    def rows(
        self, view: View, detail: Detail, told: EntryAnswer, origin: Origin, watches: Sequence[Row], width: int
    ) -> list[Row]:
        """Return the lines without a frame."""
        if told.seq < 0:
            return [entry_line(told, width, self._glyphs), Row(), *watches]
        if not told.action and detail.request.head == told.seq and detail.largest is not None:
            names = self._names(detail, detail.largest.address)
            told = replace(told, action=headline(detail.largest, names, self._glyphs))
        entry = entry_line(told, width, self._glyphs)
        written = view.notes.texts.get(told.seq, "")
        if written:
            note = (f" {self._glyphs.written} {on_grid(written[:_LONGEST_NOTE])} ", "written")
            entry = entry._replace(left=(*entry.left, note))
        return [
            entry,
            self._value(view, detail, origin, width),
            *watches,
        ]

    def _value(self, view: View, detail: Detail, origin: Origin, width: int) -> Row:
        address = self.asked(view, detail)
        if detail.problem:
            return Row(((" this entry cannot be read", "error"),))
        if not address:
            return Row(((" nothing changed; select a value in Changes or Inspect for its story", "faint"),))
        value = value_at(detail.state, address)
        path = told_path(address, self._names(detail, address))
        if value is MISSING:
            gone = detail.largest is not None and detail.largest.address == address
            said = "is deleted here" if gone else f"is not there at #{detail.request.head:,}"
            left: Spans = ((f" {cut_front(path, max(8, width // 2))}  ", "key"), (said, "dim"))
            return Row(left, _fitting(_removals(origin, self._glyphs), width - spans_width(left) - 2))
        if container_of(value) is not None:
            # Two beginnings of a list or an object say nothing of the changes inside.
            origin = replace(origin, before="")
        return value_line(
            ValueAnswer(path, preview_text(value, 120), origin, detail.request.head), width, self._glyphs
        )

    def _names(self, detail: Detail, address: Path) -> Mapping[int, str]:
        known, named, names = self._named
        if known is not detail or named != address:
            names = record_names(address, detail.state)
            self._named = (detail, address, names)
        return names


def framed(rows: Sequence[Row], width: int, glyphs: Glyphs) -> list[Row]:
    """Return lines with a frame around them: the first of them stands in its upper edge."""
    border: Span = (glyphs.horizontal, "border")
    first, *others = rows
    top_left, top_right, low_left, low_right = ((corner, "border") for corner in glyphs.corners)
    left, _ = crop_spans(first.left, max(1, width - spans_width(first.right) - 6), glyphs.ellipsis)
    right: Spans = (*((((" ", "text"), *first.right)) if first.right else ()), border, top_right)
    top = Row((top_left, border, *left, (" ", "text")), right, fill=glyphs.horizontal, fill_style="border")
    return [
        top,
        *(row._replace(edge="line") for row in others),
        Row((low_left,), (low_right,), fill=glyphs.horizontal, fill_style="border"),
    ]
