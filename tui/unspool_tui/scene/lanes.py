"""Lanes of pinned atoms: how often each changed in every part of the history."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Callable

from unspool.errors import UnspoolError
from unspool_tui.scene.entries import always
from unspool_tui.view.history_port import HistoryPort
from unspool_tui.view.model import View

MOST_LANES = 6
ROOM_FOR_LANES = 100
"""Columns of the terminal from which pinned atoms get their lanes."""


class Lanes:
    """Counts writes by bin; only new entries are asked for."""

    def __init__(self, history: HistoryPort) -> None:
        self._history = history
        self.may_ask: Callable[[], bool] = always
        self._writes: dict[str, array[int]] = {}
        self._asked: dict[str, int] = {}
        self._counts: dict[str, tuple[tuple[int, int, int], tuple[int, ...]]] = {}

    def rows(self, view: View, width: int) -> list[tuple[str, tuple[int, ...]]]:
        """Return the name and the counts of each pinned atom."""
        return [(atom, self._count(atom, view, width)) for atom in view.pinned]

    def _count(self, atom: str, view: View, width: int) -> tuple[int, ...]:
        total, first, count = view.total, view.first, view.count
        key = (first, total, width)
        known = self._counts.get(atom)
        if known is None or known[0] != key:
            if self._asked.get(atom) != total and not self.may_ask():
                # Counted when the worker reads nothing.
                return known[1] if known is not None else (0,) * min(width, count)
            writes, bins = self._all_writes(atom, total), min(width, count)
            edges = [bisect_left(writes, first + place * count // bins) for place in range(bins)] + [len(writes)]
            known = self._counts[atom] = (key, tuple(edges[place + 1] - edges[place] for place in range(bins)))
        return known[1]

    def _all_writes(self, atom: str, total: int) -> array[int]:
        writes = self._writes.setdefault(atom, array("q"))
        asked = self._asked.get(atom, 0)
        if asked > total:
            del writes[:]
            asked = 0
        if asked < total:
            try:
                writes.extend(self._history.writes(atom, asked, total))
            except UnspoolError:
                return writes
            self._asked[atom] = total
        return writes
