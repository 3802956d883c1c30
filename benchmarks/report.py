"""Rows of results, and tables of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Row:
    """One measurement.

    Attributes:
        what: what was measured.
        ours: our number, or None where there is none.
        unit: of both numbers.
        peer_name: who is compared with; empty for nobody.
        peer: the peer's number in the same run.
        ratio: ours against the peer's, the way round that the goal says.
        goal: what is to be reached, as text; empty where nothing is promised.
        met: whether it is reached; None without a goal.
        note: what a reader has to know besides.
    """

    what: str
    ours: float | None
    unit: str
    peer_name: str = ""
    peer: float | None = None
    ratio: float | None = None
    goal: str = ""
    met: bool | None = None
    note: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return the row for a JSON file."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class PartResult:
    """What one part found.

    Attributes:
        name: the part.
        title: what it measures.
        rows: its measurements.
        seconds: how long it took.
        quick: whether it was a short run.
    """

    name: str
    title: str
    rows: tuple[Row, ...]
    seconds: float
    quick: bool


def against(
    what: str, ours: float, peer: float, unit: str, peer_name: str, *, most: float | None = None, note: str = ""
) -> Row:
    """Return a row whose ratio is ours by the peer's: lower is better, and `most` is the goal."""
    ratio = ours / peer if peer else float("inf")
    if most is None:
        return Row(what, ours, unit, peer_name, peer, ratio, note=note)
    return Row(what, ours, unit, peer_name, peer, ratio, f"≤ {most:g}x", ratio <= most, note)


def times_better(
    what: str, ours: float, peer: float, unit: str, peer_name: str, *, least: float, note: str = ""
) -> Row:
    """Return a row whose ratio is the peer's by ours: how many times cheaper; `least` is the goal."""
    ratio = peer / ours if ours else float("inf")
    return Row(what, ours, unit, peer_name, peer, ratio, f"≥ {least:g}x cheaper", ratio >= least, note)


def alone(
    what: str, ours: float, unit: str, *, most: float | None = None, least: float | None = None, note: str = ""
) -> Row:
    """Return a row without a peer; `most` or `least` is the goal, in the row's unit."""
    if most is not None:
        return Row(what, ours, unit, goal=f"≤ {most:g} {unit}", met=ours <= most, note=note)
    if least is not None:
        return Row(what, ours, unit, goal=f"≥ {least:g} {unit}", met=ours >= least, note=note)
    return Row(what, ours, unit, note=note)


def absent(what: str, why: str) -> Row:
    """Return a row that says why there is no measurement."""
    return Row(what, None, "", note=f"absent: {why}")


def number(value: float | None) -> str:
    """Return a number with three significant digits and thousands marked; a dash for none."""
    if value is None:
        return "–"
    size = abs(value)
    if size >= 100:
        return f"{value:,.0f}"
    if size >= 10:
        return f"{value:.1f}"
    return f"{value:.2f}" if size >= 0.1 or value == 0 else f"{value:.3g}"


_HEADS = ("what", "ours", "peer", "ratio", "goal", "result", "note")


def _cells(row: Row) -> tuple[str, ...]:
    ours = f"{number(row.ours)} {row.unit}".strip() if row.ours is not None else "–"
    peer = f"{row.peer_name}: {number(row.peer)} {row.unit}" if row.peer is not None else "–"
    result = "" if row.met is None else "met" if row.met else "MISSED"
    ratio = "–" if row.ratio is None else f"{number(row.ratio)}x"
    return (row.what, ours, peer, ratio, row.goal or "–", result, row.note)


def text_table(rows: Sequence[Row]) -> str:
    """Return rows as an aligned table for a terminal."""
    table = [_HEADS, *map(_cells, rows)]
    widths = [max(len(line[place]) for line in table) for place in range(len(_HEADS))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in table
    ]
    return "\n".join((lines[0], "-" * min(sum(widths) + 12, 150), *lines[1:]))


def markdown_table(rows: Iterable[Row]) -> str:
    """Return rows as a Markdown table."""
    lines = ["| " + " | ".join(_HEADS) + " |", "|---|--:|--:|--:|---|---|---|"]
    lines.extend("| " + " | ".join(cell.replace("|", "\\|") for cell in _cells(row)) + " |" for row in rows)
    return "\n".join(lines)


def tally(results: Iterable[PartResult]) -> tuple[int, int]:
    """Return how many goals were met and missed."""
    verdicts = [row.met for result in results for row in result.rows if row.met is not None]
    return verdicts.count(True), verdicts.count(False)
