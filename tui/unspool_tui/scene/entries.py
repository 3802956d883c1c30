"""Actions and changed atoms of the entries in sight, asked once."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final, TypeVar

from unspool.errors import UnspoolError
from unspool_tui.view.history_port import HistoryPort

T = TypeVar("T")
_KEPT: Final = 4096
_AT_ONCE: Final = 40
"""Entries read together; about a screenful."""


class EntryBook:
    """What the history list shows besides the columns; entries never change, so an answer holds for ever."""

    __slots__ = ("_actions", "_atoms", "_history")

    def __init__(self, history: HistoryPort) -> None:
        """Ask a history."""
        self._history = history
        self._actions: OrderedDict[int, str] = OrderedDict()
        self._atoms: OrderedDict[int, tuple[str, ...]] = OrderedDict()

    def action(self, seq: int) -> str:
        """Return why an entry happened; damage reads as nothing, the panes that need the entry tell it."""
        known = self._actions.get(seq)
        if known is None:
            self._read_actions(seq)
            known = self._actions.get(seq, "")
        return known

    def _read_actions(self, start: int) -> None:
        """Read a run of entries at once: rows are asked for in order, and one question costs what forty do."""
        stop = start + 1
        while stop < start + _AT_ONCE and stop not in self._actions:
            stop += 1
        try:
            entries = self._history[start:stop]
        except UnspoolError:
            entries = []
        for entry in entries:
            _keep(self._actions, entry.seq, entry.action)
        if start not in self._actions:
            _keep(self._actions, start, "")

    def atoms(self, seq: int) -> tuple[str, ...]:
        """Return the atoms an entry changed."""
        known = self._atoms.get(seq)
        if known is None:
            try:
                known = tuple(atom for atom, _ in self._history.changed_atoms(seq))
            except UnspoolError:
                known = ()
            _keep(self._atoms, seq, known)
        return known

    def forget(self) -> None:
        """Ask anew: the history was cut or replaced."""
        self._actions.clear()
        self._atoms.clear()


def _keep(book: OrderedDict[int, T], seq: int, answer: T) -> None:
    book[seq] = answer
    if len(book) > _KEPT:
        book.popitem(last=False)
