"""One chain as a graph, an entry a line: what stands on what, how large it is, and what it takes to rebuild the state there."""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from unspool.query.chain_table import ChainFigures, ChainHealth
from unspool_tui.rendering import format_units
from unspool_tui.rendering.chain_wall import STYLES, sign
from unspool_tui.rendering.line import Glyphs, Row, Span, on_grid, pad

_NAME: Final = 12
_AGE: Final = 9
_SIZE: Final = 9
_BAR: Final = 14
_READ: Final = 10
_DEPTH: Final = 9
_TIME: Final = 8
_ROOM_FOR_AGE: Final = 70
_ROOM_FOR_TIMES: Final = 88
_ROOM_FOR_BARS: Final = 104
"""Columns of the terminal from which ages, measured times and bars of sizes are shown."""


class Link(Struct, frozen=True):
    """One entry of a chain.

    Attributes:
        seq: the entry.
        kind: `base`, `delta`, `note`, `hole` or `fork`.
        age_ns: nanoseconds since the base.
        stored: bytes of its record.
        read: bytes of all records that are read to rebuild the state there.
        depth: deltas that are replayed for it.
        rebuild_ns: how long that was measured to take; None while it was not.
        action: why it happened.
        follows: the entry that it follows, where that is not the one before it.
        is_last: it is the newest of its chain.
        is_head: the head stands on it.
    """

    seq: int
    kind: str
    age_ns: int
    stored: int
    read: int
    depth: int
    rebuild_ns: float | None = None
    action: str = ""
    follows: int | None = None
    is_last: bool = False
    is_head: bool = False


def link_heading(width: int) -> Row:
    """Return the names of the columns."""
    text = f"   {'entry':<{_NAME}} "
    text += f"{'after':>{_AGE}} " if width >= _ROOM_FOR_AGE else ""
    text += f"{'size':>{_SIZE}} "
    text += f"{'':{_BAR}} " if width >= _ROOM_FOR_BARS else ""
    text += f"{'to rebuild':>{_READ}} {'deltas':>{_DEPTH}} "
    text += f"{'takes':>{_TIME}} " if width >= _ROOM_FOR_TIMES else ""
    return Row(((f"{text} action", "faint"),), ground="bar")


def link_row(link: Link, largest: int, health: ChainHealth, width: int, glyphs: Glyphs) -> Row:
    """Return the line of one entry; `largest` is the size that fills a bar, `width` the cells of the row."""
    whole = width + 2
    style = STYLES[health]
    spans: list[Span] = [
        *_joint(link, health, glyphs),
        (pad(f"#{link.seq:,}", _NAME), "head" if link.is_head else "full" if link.kind == "base" else "text"),
        (" ", "text"),
    ]
    if whole >= _ROOM_FOR_AGE:
        age = f"+{format_units.duration(link.age_ns)}" if link.kind != "base" else ""
        spans.append((f"{age:>{_AGE}} ", "faint"))
    spans.append((f"{format_units.size(link.stored):>{_SIZE}} ", "text"))
    if whole >= _ROOM_FOR_BARS:
        filled = max(1 if link.stored else 0, min(_BAR, round(link.stored / max(1, largest) * _BAR)))
        spans += [
            (glyphs.bar_full * filled, "full" if link.kind == "base" else style),
            (" " * (_BAR - filled + 1), "text"),
        ]
    if link.kind in ("note", "hole"):
        spans.append((pad("", _READ + 1 + _DEPTH + 1), "text"))
    else:
        spans.append((f"{format_units.size(link.read):>{_READ}} {link.depth:>{_DEPTH},} ", "dim"))
    if whole >= _ROOM_FOR_TIMES:
        took = "" if link.rebuild_ns is None else format_units.duration(link.rebuild_ns)
        spans.append((f"{took:>{_TIME}} ", "accent"))
    told = {"hole": "cannot be read", "note": "note, stands on nothing  "}.get(link.kind, "")
    if link.follows is not None:
        told = f"fork: follows #{link.follows:,}  "
    spans.append((f" {told}", "warning" if told else "text"))
    return Row((*spans, (on_grid(link.action[:300]), "dim")))


def _joint(link: Link, health: ChainHealth, glyphs: Glyphs) -> list[Span]:
    """Return how an entry hangs on the one before it."""
    if link.kind == "base":
        return [(f" {sign(health, glyphs)} ", f"block.{health.name.lower()}")]
    mark = {"note": glyphs.note, "hole": glyphs.hole, "fork": glyphs.fork}.get(link.kind, glyphs.delta)
    style = {"note": "note", "hole": "error", "fork": "accent"}.get(link.kind, STYLES[health])
    return [(f" {glyphs.last_joint if link.is_last else glyphs.joint}", "border"), (mark, style)]


def path_row(chain: ChainFigures, head: int, glyphs: Glyphs) -> Row:
    """Return the chain in one line: base, deltas, newest entry."""
    arrow = f" {glyphs.arrow} "
    parts: list[Span] = [(f" base #{chain.first:,}" if chain.has_base else f" (lost) #{chain.first:,}", "full")]
    if chain.deltas:
        parts += [(arrow, "faint"), (format_units.count(chain.deltas, "delta"), "text")]
        parts += [(arrow, "faint"), (f"#{chain.last:,}", "text")]
    if chain.first <= head <= chain.last:
        parts.append((f"   the head is #{head:,}", "accent"))
    return Row(tuple(parts))
