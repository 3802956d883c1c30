"""What surrounded the calls that recorded entries: process, thread, task, and variables of the app.

An entry tells it where it differs from that of the entry before, and says otherwise that it is the same.
"""

from __future__ import annotations

from collections.abc import Mapping

from unspool.errors import CorruptHistory
from unspool.history.history import History
from unspool.model.caller import CONTEXT, RESTATED, SAME
from unspool.model.entries import Entry
from unspool.model.values import Value


class Contexts:
    """Tells the surroundings of entries; cheap where entries are asked for in order."""

    def __init__(self, history: History) -> None:
        """Prepare.

        Args:
            history: where entries before the one asked about are looked up.
        """
        self._history = history
        self._last: tuple[int, Mapping[str, Value] | None] = (-2, None)

    def of(self, entry: Entry) -> Mapping[str, Value] | None:
        """Return an entry's surroundings; None where they were not recorded, or what tells them cannot be read."""
        found = self._stated(entry)
        self._last = (entry.seq, found)
        return found

    def _stated(self, entry: Entry) -> Mapping[str, Value] | None:
        told = entry.meta.get(CONTEXT)
        if told is not SAME:
            return told if isinstance(told, Mapping) else None
        if self._last[0] == entry.seq - 1:
            return self._last[1]
        first = max(entry.seq - RESTATED, 0)
        try:
            before = self._history[first : entry.seq]
        except CorruptHistory:
            return None
        for earlier in reversed(before):
            told = earlier.meta.get(CONTEXT)
            if told is not SAME:
                return told if isinstance(told, Mapping) else None
        return None


def without_context(meta: Mapping[str, Value]) -> dict[str, Value]:
    """Return meta without the surroundings, which are told apart."""
    return {key: value for key, value in meta.items() if key != CONTEXT}


__all__ = ["Contexts", "without_context"]
