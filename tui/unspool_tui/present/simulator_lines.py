"""Rows of the simulator: a table of configurations and a scatter of bytes against rebuild time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol

from unspool_tui.present import humane
from unspool_tui.present.glyphs import Glyphs
from unspool_tui.present.grid import on_grid
from unspool_tui.present.line import Row, pad, wrap_words

_AXIS = 11
_ROOM_FOR_ALL = 104
"""Width of the terminal from which every column is shown."""
_MOST_LINES = 3
"""Lines that one sentence may take."""


class Timing(Protocol):
    """Times in microseconds."""

    @property
    def p50(self) -> float: ...

    @property
    def p95(self) -> float: ...


class Candidate(Protocol):
    """One configuration and what it costs (`unspool.query.simulator.Candidate`)."""

    @property
    def name(self) -> str: ...

    @property
    def projected_bytes(self) -> int: ...

    @property
    def full(self) -> int: ...

    @property
    def longest_chain(self) -> int: ...

    @property
    def rebuild_us(self) -> Timing: ...

    @property
    def record_us(self) -> Timing: ...

    @property
    def on_front(self) -> bool: ...


def simulator_heading(width: int) -> Row:
    """Return the names of the columns."""
    roomy = width >= _ROOM_FOR_ALL
    text = f"    {'configuration':<{_name_room(width)}} {'file':>10}  {'larger':>8}  {'rebuild p95':>12}  "
    text += f"{'record p50':>11}  {'chain':>6}" if roomy else f"{'chain':>6}"
    return Row(((text, "faint"),), ground="bar")


def _name_room(width: int) -> int:
    return 40 if width >= _ROOM_FOR_ALL else 22


def candidate_row(one: Candidate, smallest: int, width: int, glyphs: Glyphs, *, recommended: bool) -> Row:
    """Return the line of one configuration."""
    mark = (glyphs.tick, "good") if recommended else (glyphs.dot, "accent") if one.on_front else (" ", "text")
    style = "strong" if recommended else "text" if one.on_front else "dim"
    larger = one.projected_bytes / smallest if smallest else 1.0
    record = ((f"{humane.duration(one.record_us.p50 * 1e3):>11}  ", "dim"),) if width + 2 >= _ROOM_FOR_ALL else ()
    return Row(
        (
            (f" {pad(mark[0], 2)}", mark[1]),
            (f"{pad(on_grid(one.name[:80]), _name_room(width + 2))} ", style),
            (f"{humane.size(one.projected_bytes):>10}  ", style),
            (f"{f'{larger:.2f}x':>8}  ", "dim"),
            (f"{humane.duration(one.rebuild_us.p95 * 1e3):>12}  ", style),
            *record,
            (f"{one.longest_chain:>6,}", "dim"),
        )
    )


def advice_rows(line: str, reason: str, notes: Sequence[str], width: int) -> list[Row]:
    """Return the recommended line, why it is recommended, and what was left out."""
    rows = [Row(((" use ", "dim"), (on_grid(line[:400]), "good")))]
    rows += [Row(((f"     {said}", "dim"),)) for said in wrap_words(on_grid(reason[:400]), width - 6, _MOST_LINES)]
    for note in notes:
        rows += [Row(((f" {said}", "faint"),)) for said in wrap_words(on_grid(note[:400]), width - 2, _MOST_LINES)]
    return rows


def scatter_rows(
    candidates: Sequence[Candidate],
    recommended: Candidate | None,
    chosen: Candidate | None,
    width: int,
    height: int,
    glyphs: Glyphs,
) -> list[Row]:
    """Return the scatter: bytes to the right, rebuild time upward, both on logarithmic scales."""
    room = max(20, width - _AXIS - 3)
    across = _scale([one.projected_bytes for one in candidates], room)
    upward = _scale([one.rebuild_us.p95 for one in candidates], height)
    marks: dict[tuple[int, int], tuple[str, str]] = {}
    for one, x, y in sorted(zip(candidates, across, upward, strict=True), key=lambda item: item[0].on_front):
        marks[x, y] = (glyphs.bookmark, "accent") if one.on_front else (glyphs.dot, "dim")
    for special, style in ((chosen, "head"), (recommended, "added.word")):
        for one, x, y in zip(candidates, across, upward, strict=True):
            if one is special:
                marks[x, y] = (marks[x, y][0], style)
    slow = max(one.rebuild_us.p95 for one in candidates)
    quick = min(one.rebuild_us.p95 for one in candidates)
    rows = []
    for line in range(height):
        level = height - 1 - line
        label = humane.duration(slow * 1e3) if line == 0 else humane.duration(quick * 1e3) if level == 0 else ""
        spans = [(f"{label:>{_AXIS - 1}} ", "faint"), (glyphs.vertical, "border")]
        spans += [marks.get((x, level), (" ", "text")) for x in range(room)]
        rows.append(Row(tuple(spans)))
    low = humane.size(min(one.projected_bytes for one in candidates))
    high = humane.size(max(one.projected_bytes for one in candidates))
    rows.append(Row(((" " * (_AXIS + 1), "text"), (low, "faint")), ((f"{high} ", "faint"),)))
    return rows


def _scale(values: Sequence[float], room: int) -> list[int]:
    low, high = math.log(max(1e-9, min(values))), math.log(max(1e-9, max(values)))
    reach = (high - low) or 1.0
    return [round((math.log(max(1e-9, value)) - low) / reach * (room - 1)) for value in values]
