"""Rows of the page that compares two sources: how they relate, where they part, what differs there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from unspool.model.paths import format_path
from unspool.model.values import MISSING, Value
from unspool_tui.present.glyphs import Glyphs
from unspool_tui.present.grid import on_grid
from unspool_tui.present.line import Row, Span, Spans, crop, pad
from unspool_tui.present.values import preview_text

if TYPE_CHECKING:
    from unspool.query.divergence_facts import Divergence, PathDifference, Side

_RELATIONS: Final = {
    "same": "both go through the same states",
    "first ends": "the first is a beginning of the second",
    "second ends": "the second is a beginning of the first",
    "diverged": "they part after what they have in common",
    "different": "they differ from the first entry on",
    "unrelated": "they have nothing in common, not even the name of an atom",
}
_VALUE: Final = 200


def parting_summary(found: Divergence, names: tuple[str, str], width: int, glyphs: Glyphs) -> list[Row]:
    """Return what is told above the list: the relation, and each history where they part."""
    relation = "stopped before that was known" if found.relation is None else _RELATIONS[str(found.relation)]
    again = "" if found.meet_again is None else "  the same again at #{:,} and #{:,}".format(*found.meet_again)
    rows = [
        Row(
            (
                (f" {relation}", "strong"),
                (f"  {_entries(found.common)} in common{again}", "dim"),
            )
        )
    ]
    for name, side, style in ((names[0], found.first, "removed"), (names[1], found.second, "added")):
        rows.append(Row(((f"   {pad(on_grid(name), min(28, width // 3))}  ", style), *_side(side))))
    if found.problems:
        rows.append(Row(((f" {_entries(len(found.problems))} could not be read", "warning"),)))
    return rows


def _entries(number: int) -> str:
    return f"{number:,} entry" if number == 1 else f"{number:,} entries"


def _side(side: Side) -> Spans:
    after = "" if side.last_common is None else f"  after #{side.last_common:,}"
    told: Span = ("ends", "dim") if side.seq is None else (f"#{side.seq:,} {on_grid(side.action[:_VALUE])}", "text")
    return told, (after, "faint")


def parting_heading(names: tuple[str, str], width: int) -> Row:
    """Return the names of the columns."""
    path, value = _columns(width)
    first, second = (on_grid(name) for name in names)
    return Row(((f" {pad('where', path)} {pad(first, value)}  {pad(second, value)}", "faint"),), ground="bar")


def parting_row(part: PathDifference, width: int, glyphs: Glyphs) -> Row:
    """Return the line of one value that differs."""
    path, value = _columns(width)
    at = part.first_path if part.second_path is None else part.second_path
    name = crop(on_grid(format_path((at or ())[-12:], root="")), path, glyphs.ellipsis)
    writers = [write.seq for write in (part.first_write, part.second_write) if write is not None]
    return Row(
        (
            (f" {pad(name, path)} ", "text"),
            (pad(_told(part.first, value, glyphs), value), "removed"),
            ("  ", "text"),
            (pad(_told(part.second, value, glyphs), value), "added"),
        ),
        ((f" set at {' / '.join(f'#{seq:,}' for seq in writers)} ", "faint"),) if writers else (),
    )


def _columns(width: int) -> tuple[int, int]:
    room = max(30, width - 26)
    path = room * 2 // 5
    return path, (room - path) // 2


def _told(value: Value, width: int, glyphs: Glyphs) -> str:
    text = "not there" if value is MISSING else preview_text(value, min(width, _VALUE))
    return crop(text, width, glyphs.ellipsis)
