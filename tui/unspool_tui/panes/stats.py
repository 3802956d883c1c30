"""Stats: what is known at once, and what was measured in a worker by reading every record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import zip_longest
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct, field

from unspool.history.stats import Sizes
from unspool_tui.rendering import format_units
from unspool_tui.rendering.line import (
    BLANK,
    Glyphs,
    PaneFrame,
    Row,
    Span,
    Spans,
    crop_spans,
    on_grid,
    pad,
    wrap_words,
)
from unspool_tui.view.model import Pane, View
from unspool_tui.view.overview import EntryLedger

if TYPE_CHECKING:
    from unspool.history.history import History

_LABEL = 10
_ROOM_FOR_TWO: Final = 68
"""Cells from which facts stand in two columns."""
_MOST_LINES = 6
"""Lines that one problem may take."""
_WIDEST = 96
"""Cells beyond which sizes would stand too far from their names."""
_MOST_ATOMS = 40
_ROOM_FOR_CHANGES = 46


class HistoryFacts(Struct, frozen=True):
    """What Stats shows; measured, never estimated.

    Attributes:
        entries: entries there are.
        full: full snapshots among them.
        notes: notes among them.
        delta_bytes: bytes of the deltas' records.
        full_bytes: bytes of the full snapshots' records.
        sizes: what the history takes on disk, as records, and as whole states.
        depth: deltas between the head and its full snapshot.
        longest: entries of the longest chain.
        moves: p50, p95 and worst time to rebuild a state that somebody moved to, in nanoseconds.
        cache: states held, most held, hits, misses, evictions.
    """

    entries: int = 0
    full: int = 0
    notes: int = 0
    delta_bytes: int = 0
    full_bytes: int = 0
    sizes: Sizes = Sizes()
    depth: int = 0
    longest: int = 0
    moves: tuple[float, float, float] | None = None
    cache: tuple[int, int, int, int, int] | None = None


class Measured(Struct, frozen=True):
    """What only reading every record tells.

    Attributes:
        codecs: by codec, how many entries and how many times smaller they are than stored whole.
        atoms: bytes and changes by atom, largest first.
        health: the verdict; empty while nothing was measured.
        problems: what is wrong, one line each.
        rebuild: p50, p95 and worst time to rebuild a state with nothing held of any, in nanoseconds.
    """

    codecs: Mapping[str, tuple[int, float]] = field(default_factory=dict)
    atoms: Sequence[tuple[str, int, int]] = ()
    health: str = ""
    problems: tuple[str, ...] = ()
    rebuild: tuple[float, float, float] | None = None


def stats_rows(facts: HistoryFacts, measured: Measured, width: int, glyphs: Glyphs) -> list[Row]:
    """Return all rows of Stats."""
    delta = facts.entries - facts.full - facts.notes
    sizes = facts.sizes
    times, _, smaller = format_units.smaller(sizes.whole, sizes.held).partition(" ")
    rows = [
        _fact("entries", f"{facts.entries:,}"),
        _fact("", f"{facts.full:,} full", f"{delta:,} delta"),
        *([_fact("on disk", format_units.size(sizes.on_disk))] if sizes.on_disk else []),
        _fact("records", format_units.size(sizes.records)),
        _fact("as full", format_units.size(sizes.whole)),
        *([_fact("", times, smaller, "good" if sizes.ratio >= 1 else "warning")] if times else []),
    ]
    if facts.notes:
        rows.insert(2, _fact("", format_units.count(facts.notes, "note")))
    if measured.health:
        rows.insert(0, _health(measured.health, glyphs))
    rows.append(_fact("mean", format_units.size(facts.delta_bytes // max(1, delta)), "a delta"))
    rows.append(_fact("", format_units.size(facts.full_bytes // max(1, facts.full)), "a full"))
    rows.append(_fact("chain", f"{facts.depth}", f"of {facts.longest:,} at most"))
    rows.append(_fact("", format_units.count(facts.full, "chain")))
    if measured.rebuild is not None:
        middle, slow, worst = (format_units.duration(value) for value in measured.rebuild)
        rows.append(_fact("rebuild", middle, f"p50 {slow} p95"))
        rows.append(_fact("", worst, "longest"))
    if facts.moves is not None:
        rows.append(_fact("moves", format_units.duration(facts.moves[1]), "p95 of yours"))
    if facts.cache is not None:
        rows.extend(_cache(*facts.cache))
    for codec, (count, ratio) in sorted(measured.codecs.items(), key=lambda pair: -pair[1][0])[:4]:
        rows.append(_fact("codec", f"{on_grid(codec[:20])} {ratio:.1f}x", f"{count:,}"))
    rows = in_columns(rows, width)
    for problem in measured.problems:
        lines = wrap_words(on_grid(problem[:400]), width - 3, _MOST_LINES)
        rows.extend(Row(((f"  {line}", "warning"),)) for line in lines)
    if measured.atoms:
        rows += [BLANK, Row((("  values by atom", "title"),)), *atom_rows(measured.atoms, width, glyphs)]
    return rows


def in_columns(rows: Sequence[Row], width: int) -> list[Row]:
    """Return facts in two columns where there is the room, the first half of them on the left."""
    if width < _ROOM_FOR_TWO:
        return list(rows)
    half = (len(rows) + 1) // 2
    # What goes on without a label stays below it.
    while half < len(rows) and not rows[half].left[1][0].strip():
        half += 1
    left = [crop_spans(row.left, width // 2 - 1) for row in rows[:half]]
    return [
        Row((*spans, (" " * (width // 2 - used), "text"), *(right.left if right is not None else ())))
        for (spans, used), right in zip_longest(left, rows[half:])
    ]


def _fact(label: str, value: str, more: str = "", more_style: str = "dim") -> Row:
    return Row((("  ", "text"), (pad(label, _LABEL), "dim"), (f" {value}  ", "text"), (more, more_style)))


def _cache(held: int, most: int, hits: int, misses: int, evictions: int) -> list[Row]:
    asked = hits + misses
    share = f"{hits * 100 // asked}% hit" if asked else "unused"
    return [
        _fact("cache", share, f"{held:,} of {most:,}"),
        _fact("", f"{hits:,} hits", f"{misses:,} misses"),
        _fact("", f"{evictions:,} evicted"),
    ]


def _health(health: str, glyphs: Glyphs) -> Row:
    style = {"healthy": "good", "complete": "good", "degraded": "warning", "partial": "warning"}.get(health, "error")
    sign = glyphs.tick if style == "good" else glyphs.cross
    return Row((("  ", "text"), (pad("health", _LABEL), "dim"), (f" {sign} {health}", style)))


def atom_rows(atoms: Sequence[tuple[str, int, int]], width: int, glyphs: Glyphs) -> list[Row]:
    """Return bars of the bytes that go to each atom.

    Args:
        atoms: name, bytes and changes of each atom, the largest first; at least one.
        width: cells of a row.
        glyphs: how to draw.
    """
    rows: list[Row] = []
    largest = max(size for _, size, _ in atoms) or 1
    beyond = max(0, width - _WIDEST)
    width -= beyond
    counted = width >= _ROOM_FOR_CHANGES
    name_room = max(8, min(20, width // 3))
    bar_room = max(3, min(40, width - name_room - (24 if counted else 15)))
    for name, size, changes in atoms[:_MOST_ATOMS]:
        filled = max(1 if size else 0, size * bar_room // largest)
        left: tuple[Span, ...] = (
            ("  ", "text"),
            (pad(on_grid(name[:100]), name_room), "text"),
            (" ", "text"),
            (glyphs.bar_full * filled, "heat"),
            (glyphs.bar_rest * (bar_room - filled), "border"),
        )
        count: tuple[Span, ...] = ((f" {changes:>6,}{glyphs.modified}", "faint"),) if counted else ()
        rows.append(Row(left, ((f"{format_units.size(size):>9}", "dim"), *count, (" " * (1 + beyond), "text"))))
    if len(atoms) > _MOST_ATOMS:
        rows.append(Row(((f"  {glyphs.ellipsis} {len(atoms) - _MOST_ATOMS:,} more atoms", "dim"),)))
    return rows


UNASKED: Final = 50_000
"""Entries up to which everything is measured as soon as Stats shows; a longer history waits for the pane's focus."""
UNASKED_BYTES: Final = 16 * 1024 * 1024
"""And bytes up to which a history is looked through while Stats does not show: the worker has other things to do."""
GROWN: Final = 1.1
"""How much a history must have grown before it is measured again."""
LEAST_SECONDS: Final = 5.0
"""And how long that must have been ago."""


class StatsPane(Struct):
    """Rows of Stats."""

    history: History
    glyphs: Glyphs
    _measured: Measured = field(default_factory=Measured)
    _asked: tuple[int, float] = (0, 0.0)

    def wants_measuring(self, view: View) -> bool:
        """Whether to read all records now; saying so counts as doing so."""
        total, when = self._asked
        if not view.total or (view.total > UNASKED and view.focus is not Pane.STATS):
            return False
        now = monotonic()
        if total and (view.total < total * GROWN or now - when < LEAST_SECONDS):
            return False
        self._asked = (view.total, now)
        return True

    def wants_a_look(self, view: View) -> bool:
        """Whether to verify a history once although Stats does not show; saying so counts as doing so."""
        if self._asked[0] or not 0 < view.total <= UNASKED or self.history.file_bytes() > UNASKED_BYTES:
            return False
        self._asked = (view.total, monotonic())
        return True

    @property
    def ailment(self) -> str:
        """What is wrong with the history, in a word; empty while nothing is known to be."""
        if self.history.verdict.is_damaged:
            return "broken"
        return self._measured.health if self._measured.health == "broken" else ""

    @property
    def atoms(self) -> Sequence[tuple[str, int, int]]:
        """Name, bytes and changes of each atom, the largest first; nothing while they were not measured."""
        return self._measured.atoms

    def learn(self, stats: Any) -> None:
        """Take over measured facts (`unspool.history.HistoryStats`)."""
        self._measured = measured_facts(stats)

    def rows(self, view: View, ledger: EntryLedger, sizes: Sizes, width: int) -> list[Row]:
        """Return all rows; `sizes` is what the history takes."""
        return stats_rows(self._facts(view, ledger, sizes), self._measured, width, self.glyphs)

    def _facts(self, view: View, ledger: EntryLedger, sizes: Sizes) -> HistoryFacts:
        cache, times = self.history.cache_stats(), sorted(self.history.rebuild_times_us())
        return HistoryFacts(
            entries=view.count,
            full=ledger.full_count(),
            notes=ledger.note_count(),
            delta_bytes=ledger.delta_bytes,
            full_bytes=ledger.full_stored,
            sizes=sizes,
            depth=ledger.depth(view.head) if view.total else 0,
            longest=ledger.longest(),
            moves=_percentiles(times),
            cache=(cache.size, cache.max_size, cache.hits, cache.misses, cache.evictions),
        )

    def frame(self, view: View) -> PaneFrame:
        """Return the frame."""
        more: Spans = ()
        if not self._measured.health:
            more = (("measuring" if self._asked[0] else "focus to measure all", "faint"),)
        return PaneFrame(Pane.STATS.value, "Stats", more=more, focused=view.focuses(Pane.STATS))


def _percentiles(times: list[float]) -> tuple[float, float, float] | None:
    """Return p50, p95 and the longest of times in microseconds, as nanoseconds."""
    if not times:
        return None
    return times[len(times) // 2] * 1e3, times[min(len(times) - 1, len(times) * 95 // 100)] * 1e3, times[-1] * 1e3


def measured_facts(stats: Any) -> Measured:
    """Read what the engine measured."""
    times = stats.rebuild_us
    return Measured(
        codecs={name: (count, stats.codec_ratios.get(name, 1.0)) for name, count in stats.codecs.items()},
        atoms=tuple((name, atom.stored_bytes, atom.changes) for name, atom in stats.atoms.items()),
        rebuild=(times.p50 * 1e3, times.p95 * 1e3, times.max * 1e3),
        health=str(stats.health),
        problems=tuple(stats.problems)[:20],
    )
