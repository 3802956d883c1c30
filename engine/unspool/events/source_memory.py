"""The sources that were rebuilt last, by the hash of the event they belong to."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from unspool.events.replay import SourceState

MAX_CHARACTERS: Final = 16_000_000
MAX_STATES: Final = 256


class SourceMemory:
    """A bounded memory of sources, the least used forgotten first.

    An event's hash covers its whole chain, so what is kept under it can never be out of date. The caller keeps
    threads apart.
    """

    def __init__(self, max_characters: int = MAX_CHARACTERS, max_states: int = MAX_STATES) -> None:
        self._states: OrderedDict[str, SourceState] = OrderedDict()
        self._characters = 0
        self._max_characters = max_characters
        self._max_states = max_states

    def get(self, event_hash: str) -> SourceState | None:
        """Return the source at an event; None where it is not in memory."""
        state = self._states.get(event_hash)
        if state is not None:
            self._states.move_to_end(event_hash)
        return state

    def put(self, event_hash: str, state: SourceState) -> None:
        """Keep a source; one that is too large for the memory is not kept."""
        before = self._states.pop(event_hash, None)
        if before is not None:
            self._characters -= len(before.text)
        if len(state.text) > self._max_characters:
            return
        self._states[event_hash] = state
        self._characters += len(state.text)
        while self._characters > self._max_characters or len(self._states) > self._max_states:
            _, forgotten = self._states.popitem(last=False)
            self._characters -= len(forgotten.text)
