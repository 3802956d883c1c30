"""Reading states for a question: damage is named, and stepped over only where that was asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from unspool.errors import CorruptHistory, EntryNotKept
from unspool.history.history import History
from unspool.history.verdict import Problem
from unspool.model.entries import Entry
from unspool.model.values import Value

Wire = Mapping[str, bytes]
"""A state as wire forms by atom."""

EMPTY_STATE: Final[Wire] = {}
"""The state before the first entry."""


@dataclass(frozen=True)
class AskedEntry:
    """What a question sees of an entry; what the states do not tell is read when it is asked for.

    Attributes:
        history: where it is.
        seq: its number.
        parent: the entry that it follows; None for the first, and where that one was dropped.
        old: the state that it followed; empty for the first, and where it is not known.
        new: the state that it left.
    """

    history: History
    seq: int
    parent: int | None
    old: Wire
    new: Wire

    @cached_property
    def entry(self) -> Entry:
        """All that is known of it besides its state."""
        return self.history[self.seq]

    @property
    def action(self) -> str:
        """Why it happened; may be empty."""
        return self.entry.action

    @property
    def meta(self) -> Mapping[str, Value]:
        """Free facts from the app or source."""
        return self.entry.meta


_ACTIONS_AT_ONCE: Final = 256


class StateReader:
    """Reads states of one history for one question, counts them, and keeps what could not be read."""

    def __init__(self, history: History, *, skip_damaged: bool = False) -> None:
        """Prepare.

        Args:
            history: where the states are.
            skip_damaged: note a state that cannot be read and go on, instead of raising.
        """
        self.history = history
        self.skip_damaged = skip_damaged
        self.rebuilt = 0
        """States asked for so far."""
        self._problems: dict[int, Problem] = {}
        self._actions: dict[int, str] = {}
        self._batch = 1

    @property
    def problems(self) -> tuple[Problem, ...]:
        """What could not be read, in the order of entries."""
        return tuple(self._problems[seq] for seq in sorted(self._problems))

    def state(self, seq: int | None) -> Wire | None:
        """Return the state at an entry; the empty one for None, and None for one that cannot be read.

        What was before the first entry that a bound on the recording kept cannot be read either, and is no problem.

        Raises:
            CorruptHistory: it cannot be read, and damage is not to be skipped; the message names the entry.
        """
        if seq is None:
            return None if self.history.first else EMPTY_STATE
        self.rebuilt += 1
        try:
            return self.history.view(seq).wire
        except CorruptHistory as error:
            self.note(seq, error)
            return None
        except EntryNotKept:
            # It was dropped since the question was asked.
            return None

    def action(self, seq: int) -> str | None:
        """Return why an entry happened; None where that cannot be read.

        Entries are read in batches that grow, since a question goes from one to the next or ends with its first hit.

        Raises:
            CorruptHistory: it cannot be read, and damage is not to be skipped.
        """
        if seq not in self._actions:
            self._actions = self._read_actions(seq)
        return self._actions.get(seq)

    def _read_actions(self, seq: int) -> dict[int, str]:
        try:
            found = {entry.seq: entry.action for entry in self.history[seq : seq + self._batch]}
        except CorruptHistory as error:
            if self._batch == 1:
                self.note(seq, error)
                return {}
            # The damage may stand further on: small steps up to it, and larger ones behind it.
            self._batch = 1
            return self._read_actions(seq)
        except EntryNotKept:
            # It was dropped since the question was asked.
            return {}
        self._batch = min(2 * self._batch, _ACTIONS_AT_ONCE)
        return found

    def note(self, seq: int, error: CorruptHistory) -> None:
        """Keep a problem, or raise it where damage is not to be skipped.

        Raises:
            CorruptHistory: damage is not to be skipped.
        """
        if not self.skip_damaged:
            text = str(error)
            named = text if f"entry {seq}" in text else f"entry {seq} of {self.history.source_name}: {text}"
            raise type(error)(named, seq=seq) from error
        self._problems.setdefault(seq, Problem(f"entry {seq}", str(error)))
