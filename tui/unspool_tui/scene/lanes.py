"""Lanes of pinned atoms: how often each changed in every part of the history."""

from __future__ import annotations

from unspool.errors import UnspoolError
from unspool_tui.view.history_port import HistoryPort
from unspool_tui.view.model import View
from unspool_tui.view.overview import bin_of

MOST_LANES = 6


class Lanes:
    """Counts writes by bin; only new entries are asked for."""

    def __init__(self, history: HistoryPort) -> None:
        self._history = history
        self._writes: dict[str, list[int]] = {}
        self._asked: dict[str, int] = {}

    def rows(self, view: View, width: int) -> list[tuple[str, list[int]]]:
        """Return the name and the counts of each pinned atom."""
        return [(atom, self._counts(atom, view.total, width)) for atom in view.pinned]

    def _counts(self, atom: str, total: int, width: int) -> list[int]:
        known = self._writes.setdefault(atom, [])
        asked = self._asked.get(atom, 0)
        if asked > total:
            known.clear()
            asked = 0
        if asked < total:
            try:
                known.extend(self._history.writes(atom, asked, total))
            except UnspoolError:
                return []
            self._asked[atom] = total
        counts = [0] * min(width, total)
        for seq in known:
            counts[bin_of(seq, total, width)] += 1
        return counts
