"""Rows of the chains screen and of the page of one chain: a chain a line, an entry a line, and the memory that states take."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from unspool.model.cache import CacheStats
from unspool.query.chain_table import ChainFigures, ChainHealth
from unspool_tui.rendering import format_units
from unspool_tui.rendering.chain_wall import STYLES, WORDS, sign
from unspool_tui.rendering.line import Glyphs, Row, Span, Spans, on_grid, pad, width_of, wrap_words

if TYPE_CHECKING:
    from unspool.query.chain_table import ChainFigures

_BAR = 9
_NAME = 17
_VERDICT = 16
_ROOM_FOR_ALL = 104
"""Width of the terminal from which age and both sizes are shown."""
_MOST_LINES = 3
"""Lines that one finding may take."""


def chain_heading(width: int) -> Row:
    """Return the names of the columns."""
    roomy = width >= _ROOM_FOR_ALL
    text = f"  {'entries':<{_NAME}} {'deltas':>7}  "
    text += f"{'age':>8}  {'full size':>10}  {'delta size':>10}  " if roomy else f"{'size':>9}  "
    text += f"{'of limit':<{_BAR}}  {'verdict':<{_VERDICT}}  why"
    return Row(((text, "faint"),), ground="bar")


def chain_row(chain: ChainFigures, width: int, glyphs: Glyphs) -> Row:
    """Return the line of one chain; a narrow one leaves out what matters less than its verdict."""
    style = STYLES[chain.health]
    reason: Spans = ((f"  {on_grid(chain.reason[:200])}", "dim"),) if chain.reason else ()
    sizes: Spans = ((f"{format_units.size(chain.full_bytes + chain.delta_bytes):>9}  ", "dim"),)
    if width + 2 >= _ROOM_FOR_ALL:
        sizes = (
            (f"{format_units.duration(chain.age_ns):>8}  ", "dim"),
            (f"{format_units.size(chain.full_bytes):>10}  ", "full"),
            (f"{format_units.size(chain.delta_bytes):>10}  ", "dim"),
        )
    told = f"{sign(chain.health, glyphs)} {WORDS[chain.health]}"
    return Row(
        (
            (f" {pad(f'#{chain.first:,}–{chain.last:,}', _NAME)} ", "text"),
            (f"{chain.deltas:>7,}  ", "dim"),
            *sizes,
            *_share(chain, glyphs),
            (f"  {pad(told, _VERDICT)}", style),
            *reason,
        )
    )


def _share(chain: ChainFigures, glyphs: Glyphs) -> Spans:
    if not chain.share:
        return ((pad("", _BAR), "text"),)
    filled = round(min(1.0, chain.share) * _BAR)
    return ((glyphs.bar_full * filled, STYLES[chain.health]), (glyphs.bar_rest * (_BAR - filled), "border"))


def finding_rows(severity: str, place: str, meaning: str, remedy: str, width: int, glyphs: Glyphs) -> list[Row]:
    """Return the lines of one thing that the doctor found: what it is, then what helps."""
    style = {"error": "error", "warning": "warning"}.get(severity, "dim")
    lines = wrap_words(on_grid(f"{place}: {meaning}"[:400]), width - 4, _MOST_LINES)
    signs = (f" {glyphs.dot} ", *["   "] * len(lines))
    told = [Row(((sign, style), (line, style))) for sign, line in zip(signs, lines, strict=False)]
    helps = wrap_words(on_grid(remedy[:400]), width - 4, _MOST_LINES)
    return [*told, *(Row((("   ", "text"), (line, "dim"))) for line in helps)]


def progress_row(done: int, total: int, width: int, glyphs: Glyphs, left: str = "") -> Row:
    """Return a bar of how far some work is; `left` says how long the rest takes."""
    room = max(10, min(40, width - 40))
    filled = done * room // max(1, total)
    return Row(
        (
            (" examining ", "text"),
            (glyphs.bar_full * filled, "key"),
            (glyphs.bar_rest * (room - filled), "border"),
            (f" {done:,} of {total:,}", "dim"),
        ),
        ((f"{left}  Esc stops " if left else "Esc stops ", "faint"),),
    )


def summary_row(verdict: str, entries: int, readable: int, chains: int, *, complete: bool) -> Row:
    """Return the doctor's verdict in one line; one that was stopped before the end calls nothing healthy."""
    if not complete and verdict == "healthy":
        verdict = "stopped: nothing wrong so far"
    style = {"healthy": "good", "degraded": "warning", "broken": "error"}.get(verdict, "warning")
    said = f"{readable:,} of {entries:,} entries read  {format_units.count(chains, 'chain')}"
    return Row(((f" {verdict} ", style), (f" {said}", "dim")))


_LONGEST = 400


def finding_heading() -> Row:
    """Return the names of the columns."""
    return Row(((f"   {'where':<24} {'severity':<9} what", "faint"),), ground="bar")


def finding_line(severity: str, place: str, meaning: str, where: str, glyphs: Glyphs) -> Row:
    """Return the line of one finding.

    Args:
        severity: how much it matters.
        place: the entries it concerns.
        meaning: what is the matter.
        where: the place in a foreign source; "" where the entries say it all.
        glyphs: how to draw.
    """
    style = {"error": "error", "warning": "warning"}.get(severity, "dim")
    told = f"{meaning}  ({where})" if where and where != place else meaning
    return Row(
        (
            (f" {glyphs.dot} ", style),
            (f"{pad(on_grid(place[:_LONGEST]), 24)} ", "text"),
            (f"{severity:<9} ", style),
            (on_grid(told[:_LONGEST]), "text"),
        )
    )


_LINK_NAME: Final = 12
_AGE: Final = 9
_SIZE: Final = 9
_LINK_BAR: Final = 14
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
    text = f"   {'entry':<{_LINK_NAME}} "
    text += f"{'after':>{_AGE}} " if width >= _ROOM_FOR_AGE else ""
    text += f"{'size':>{_SIZE}} "
    text += f"{'':{_LINK_BAR}} " if width >= _ROOM_FOR_BARS else ""
    text += f"{'to rebuild':>{_READ}} {'deltas':>{_DEPTH}} "
    text += f"{'takes':>{_TIME}} " if width >= _ROOM_FOR_TIMES else ""
    return Row(((f"{text} action", "faint"),), ground="bar")


def link_row(link: Link, largest: int, health: ChainHealth, width: int, glyphs: Glyphs) -> Row:
    """Return the line of one entry; `largest` is the size that fills a bar, `width` the cells of the row."""
    whole = width + 2
    style = STYLES[health]
    spans: list[Span] = [
        *_joint(link, health, glyphs),
        (
            pad(f"#{link.seq:,}", _LINK_NAME),
            "head" if link.is_head else "full" if link.kind == "base" else "text",
        ),
        (" ", "text"),
    ]
    if whole >= _ROOM_FOR_AGE:
        age = f"+{format_units.duration(link.age_ns)}" if link.kind != "base" else ""
        spans.append((f"{age:>{_AGE}} ", "faint"))
    spans.append((f"{format_units.size(link.stored):>{_SIZE}} ", "text"))
    if whole >= _ROOM_FOR_BARS:
        filled = max(1 if link.stored else 0, min(_LINK_BAR, round(link.stored / max(1, largest) * _LINK_BAR)))
        spans += [
            (glyphs.bar_full * filled, "full" if link.kind == "base" else style),
            (" " * (_LINK_BAR - filled + 1), "text"),
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


_SHADES: Final = ("chip.filter", "chip.live", "chip.paused", "chip.brand")
"""Grounds of neighbouring parts of the bar."""
_LEAST: Final = 2
"""Cells of the smallest part that is drawn by itself."""


def bytes_row(atoms: Sequence[tuple[str, int, int]], width: int, glyphs: Glyphs) -> Row:
    """Return one bar in which each atom takes the room of its share of the bytes, with its name as far as it fits.

    Args:
        atoms: name, bytes and changes of each atom, the largest first.
        width: cells of the row.
        glyphs: how to draw.
    """
    label = " bytes "
    room = width - len(label) - 1
    whole = sum(size for _, size, _ in atoms)
    if not whole or room < _LEAST:
        return Row(((f"{label}not measured yet", "faint"),))
    spans: list[Span] = [(label, "dim")]
    used = 0
    for number, (name, size, _) in enumerate(atoms):
        cells = min(round(size / whole * room), room - used)
        if cells < _LEAST:
            break
        share = f"{size / whole:.0%}"
        text = on_grid(name[:100])
        if cells > width_of(text) + len(share) + 2:
            text = f"{text} {share}"
        edge = glyphs.vertical if spans[1:] else " "
        spans.append((pad(f"{edge}{text}", cells), _SHADES[number % len(_SHADES)]))
        used += cells
    if used < room:
        spans.append((pad(f"{glyphs.vertical}other" if room - used > 7 else "", room - used), "block.unknown"))
    return Row(tuple(spans))


def around(head: int, first: int, total: int, width: int) -> range:
    """Return as many entries around the head as there are cells; the head is in the middle where it can be."""
    start = max(first, min(head - width // 2, total - width))
    return range(start, min(start + width, total))


def cache_strip(held: Sequence[bool], seqs: range, head: int, glyphs: Glyphs) -> list[Span]:
    """Return a cell an entry: whether its state is held rebuilt, and where the head is."""
    spans: list[Span] = []
    for seq, is_held in zip(seqs, held, strict=True):
        style = "head" if seq == head else "heat" if is_held else "border"
        text = glyphs.block if is_held else glyphs.delta
        if spans and spans[-1][1] == style and seq != head:
            spans[-1] = (spans[-1][0] + text, style)
        else:
            spans.append((text, style))
    return spans


def cache_row(held: Sequence[bool], seqs: range, head: int, glyphs: Glyphs) -> Row:
    """Return the strip of what is held around the head with its name."""
    return Row(((" cache ", "dim"), *cache_strip(held, seqs, head, glyphs)))


def cache_words(stats: CacheStats) -> list[Row]:
    """Return how many states are held and how reads went, in short lines."""
    asked = stats.hits + stats.misses
    share = f"{stats.hits / asked:.0%} of {asked:,} reads found here" if asked else "nothing was read yet"
    held = f" {stats.size:,} of {stats.max_size:,} states held"
    size = f", {format_units.size(stats.bytes)}" if stats.bytes else ""
    return [Row(((held + size, "text"),)), Row(((f" {share}", "dim"),))]
