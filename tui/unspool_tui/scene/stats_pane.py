"""Stats: what is known at once from the columns, and what was measured in a worker."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from unspool_tui.present.frame import Frame
from unspool_tui.present.glyphs import Glyphs
from unspool_tui.present.line import Row
from unspool_tui.present.stats_lines import Facts, stats_rows
from unspool_tui.view.ledger import Ledger
from unspool_tui.view.model import Pane, View


class StatsPane:
    """Rows of Stats."""

    def __init__(self, ledger: Ledger, glyphs: Glyphs) -> None:
        self._ledger = ledger
        self._glyphs = glyphs
        self._measured: Facts | None = None
        self.scroll = 0

    def learn(self, stats: Any) -> None:
        """Take over measured facts (`unspool.history.HistoryStats`)."""
        self._measured = measured_facts(stats)

    def rows(self, view: View, width: int) -> list[Row]:
        """Return all rows."""
        return stats_rows(self._facts(view), width, self._glyphs)

    def _facts(self, view: View) -> Facts:
        ledger = self._ledger
        base = self._measured if self._measured is not None else Facts()
        return replace(
            base,
            entries=view.total,
            full=ledger.full_count(),
            stored=ledger.stored,
            as_full=ledger.as_full,
            depth=ledger.depth(view.head) if view.total else 0,
            chains=ledger.full_count(),
            longest=ledger.longest(),
        )

    def frame(self, view: View) -> Frame:
        """Return the frame."""
        waiting = () if self._measured is not None else (("measuring", "faint"),)
        return Frame(Pane.STATS.value, "Stats", more=waiting, focused=view.focus is Pane.STATS)


def measured_facts(stats: Any) -> Facts:
    """Read what the engine measured."""
    times, cache = stats.rebuild_us, stats.cache
    return Facts(
        file_bytes=stats.file_bytes,
        rebuild=(times.p50 * 1e3, times.p95 * 1e3, times.max * 1e3),
        cache=(cache.size, cache.max_size, cache.hits, cache.misses, cache.evictions),
        codecs=dict(stats.codecs),
        atoms=tuple((name, atom.stored_bytes, atom.changes) for name, atom in stats.atoms.items()),
        health=str(stats.health),
        problems=tuple(stats.problems)[:20],
    )
