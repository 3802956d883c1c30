"""What a call says besides the state: made of what the app handed over, as it is kept with the entry."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from types import FrameType

import msgspec

from unspool.model.entries import EVENT
from unspool.model.values import MISSING, Value
from unspool.recorder.calling import Caller, Surroundings
from unspool.recorder.encoding import Encoding, bounded, plain_text, whole_level, whole_ns, whole_seq
from unspool.recorder.writing import EntryDetails


class CallFacts(msgspec.Struct, frozen=True):
    """What a call says besides the state, as the app handed it over; see `Recorder.record`.

    Attributes:
        action: why it happened, or what a note says.
        meta: free facts.
        timestamp_ns: nanoseconds since the epoch; now when None.
        entry_id: an id of the source's own.
        parent_seq: the entry this one follows, where that is not the last one.
        part: the atoms that follow it; all when None.
        full: store a full snapshot.
        stacklevel: whose line is kept: 1 that of the frame that is looked at, 2 that of its caller.
        is_short: keep no more of the facts than some kilobytes.
        is_note: there is no state.
        only_changes: nothing is to be recorded where nothing changed.
        event: the payload of the action.
    """

    action: str = ""
    meta: Mapping[str, Value] | None = None
    timestamp_ns: int | None = None
    entry_id: str = ""
    parent_seq: int | None = None
    part: Collection[str] | None = None
    full: bool = False
    stacklevel: int = 1
    is_short: bool = False
    is_note: bool = False
    only_changes: bool = False
    event: Value = MISSING

    @property
    def may_be_passed_over(self) -> bool:
        """Whether nothing about the entry says that it has to be there."""
        # Compared by type: what an app hands over by mistake, such as an array, may not tell whether it is empty.
        is_named = not (type(self.entry_id) is str and self.entry_id == "")
        return self.parent_seq is None and not is_named and self.full is False


class FactsReader:
    """Reads what calls say besides the state as facts of their entries. Code of the app runs in here, as in `Encoding`."""

    def __init__(
        self,
        encoding: Encoding,
        callers: Caller | None,
        surroundings: Surroundings | None,
        clock: Callable[[], int],
    ) -> None:
        """Settle what is kept.

        Args:
            encoding: how facts are kept, and what is left out of them.
            callers: adds the line of a call; None to leave it out.
            surroundings: tells what surrounds a call; None to leave it out.
            clock: gives nanoseconds since the epoch.
        """
        self._encoding = encoding
        self._callers = callers
        self._surroundings = surroundings
        self._clock = clock

    def read(self, call: CallFacts, frame: FrameType | None, problems: list[str]) -> EntryDetails:
        """Return what is kept of what a call says.

        Args:
            call: what it says.
            frame: the line of the app that is kept; None where there is none.
            problems: gets a line for each of the first markers.

        Raises:
            RefusedEntry: something that no store can keep.
            UnsupportedValue: strict, and a fact cannot be kept.
        """
        encoding = self._encoding.short if call.is_short else self._encoding
        given = call.meta if call.event is MISSING else {**(call.meta or {}), EVENT: call.event}
        meta: Mapping[str, Value] | None = encoding.meta(given, problems)
        if self._callers is not None:
            meta = self._callers.added_to(meta, frame, whole_level(call.stacklevel) - 1)
        timestamp_ns, part = call.timestamp_ns, call.part
        # A clock of the app's own is its code; the time of the system is taken when the entry is written.
        if timestamp_ns is None and self._clock is not time.time_ns:
            timestamp_ns = self._clock()
        return EntryDetails(
            action=plain_text(call.action, "action"),
            timestamp_ns=None if timestamp_ns is None else whole_ns(timestamp_ns),
            meta=meta,
            entry_id=plain_text(call.entry_id, "entry_id"),
            parent_seq=whole_seq(call.parent_seq),
            part=None if part is None else sorted(map(self._atom_name, bounded(part, "atoms in part"))),
            full=bool(call.full),
            only_changes=call.only_changes,
            surroundings=None if self._surroundings is None else self._surroundings.now(),
        )

    def _atom_name(self, name: str) -> str:
        return self._encoding.atom_name(plain_text(name, "the name of an atom in part"))

    def without_secrets(self, facts: EntryDetails, secrets: set[str]) -> EntryDetails:
        """Return facts without what is to be left out, and without what was left out of the state."""
        if self._encoding.redaction is None:
            return facts
        # First, for what is left out there is left out of the texts too.
        meta = self._encoding.clean_meta(facts.meta, secrets)
        return msgspec.structs.replace(
            facts,
            meta=meta,
            action=self._encoding.clean_text(facts.action, secrets),
            entry_id=self._encoding.clean_text(facts.entry_id, secrets),
        )


__all__ = ["CallFacts", "FactsReader"]
