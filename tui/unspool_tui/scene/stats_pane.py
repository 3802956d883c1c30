"""Stats: what is known at once, and what was measured in a worker by reading every record."""

from __future__ import annotations

from time import monotonic
from typing import Any, Final

from msgspec import Struct, field

from unspool_tui.present.frame import Frame
from unspool_tui.present.glyphs import Glyphs
from unspool_tui.present.line import Row, Spans
from unspool_tui.present.stats_lines import Facts, Measured, stats_rows
from unspool_tui.view.history_port import HistoryPort
from unspool_tui.view.ledger import Ledger
from unspool_tui.view.model import Pane, View

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

    history: HistoryPort
    glyphs: Glyphs
    _measured: Measured = field(default_factory=Measured)
    _asked: tuple[int, float] = (0, 0.0)

    def wants_measuring(self, view: View) -> bool:
        """Say whether to read all records now; saying so counts as doing so."""
        total, when = self._asked
        if not view.total or (view.total > UNASKED and view.focus is not Pane.STATS):
            return False
        now = monotonic()
        if total and (view.total < total * GROWN or now - when < LEAST_SECONDS):
            return False
        self._asked = (view.total, now)
        return True

    def wants_a_look(self, view: View) -> bool:
        """Say whether to verify a history once although Stats does not show; saying so counts as doing so."""
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

    def learn(self, stats: Any) -> None:
        """Take over measured facts (`unspool.history.HistoryStats`)."""
        self._measured = measured_facts(stats)

    def rows(self, view: View, ledger: Ledger, width: int) -> list[Row]:
        """Return all rows."""
        return stats_rows(self._facts(view, ledger), self._measured, width, self.glyphs)

    def _facts(self, view: View, ledger: Ledger) -> Facts:
        cache, times = self.history.cache_stats(), sorted(self.history.rebuild_times_us())
        return Facts(
            entries=view.total,
            full=ledger.full_count(),
            notes=ledger.note_count(),
            delta_bytes=ledger.delta_bytes,
            stored=ledger.stored,
            as_full=ledger.as_full,
            file_bytes=self.history.file_bytes(),
            depth=ledger.depth(view.head) if view.total else 0,
            longest=ledger.longest(),
            rebuild=_percentiles(times),
            cache=(cache.size, cache.max_size, cache.hits, cache.misses, cache.evictions),
        )

    def frame(self, view: View) -> Frame:
        """Return the frame."""
        more: Spans = ()
        if not self._measured.health:
            more = (("measuring" if self._asked[0] else "focus to measure all", "faint"),)
        return Frame(Pane.STATS.value, "Stats", more=more, focused=view.focus is Pane.STATS)


def _percentiles(times: list[float]) -> tuple[float, float, float] | None:
    """Return p50, p95 and the longest of times in microseconds, as nanoseconds."""
    if not times:
        return None
    return times[len(times) // 2] * 1e3, times[min(len(times) - 1, len(times) * 95 // 100)] * 1e3, times[-1] * 1e3


def measured_facts(stats: Any) -> Measured:
    """Read what the engine measured."""
    return Measured(
        codecs={name: (count, stats.codec_ratios.get(name, 1.0)) for name, count in stats.codecs.items()},
        atoms=tuple((name, atom.stored_bytes, atom.changes) for name, atom in stats.atoms.items()),
        health=str(stats.health),
        problems=tuple(stats.problems)[:20],
    )
