"""Entries, changes and ops: the terms of a history."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from msgspec import Struct

from unspool.model.keys import Path
from unspool.model.values import MISSING, Value

HOLE_ATOM: Final = "unspool.hole"
"""The atom that says, in the state at a hole, that the entry is lost and the other atoms are those before it."""
NO_META: Final[Mapping[str, Value]] = MappingProxyType({})
"""The meta of an entry that has none."""


class EntryKind(StrEnum):
    """How an entry is stored."""

    FULL = "full"
    DELTA = "delta"
    NOTE = "note"
    """Something that was said, with a message as its action: its state is that of the entry before it."""


DELTA, FULL, NOTE = range(3)
"""Kinds of entries, as `Columns` numbers them."""
KINDS: Final = {EntryKind.DELTA: DELTA, EntryKind.FULL: FULL, EntryKind.NOTE: NOTE}
"""The number of each kind in `Columns`."""


class ChangeKind(StrEnum):
    """What happened to an atom."""

    ADDED = "added"
    MODIFIED = "modified"
    DELETED = "deleted"


class OpKind(StrEnum):
    """One step inside an atom, named as RFC 6902 names them; `splice` replaces a part of a string."""

    ADD = "add"
    REMOVE = "remove"
    REPLACE = "replace"
    MOVE = "move"
    SPLICE = "splice"


@dataclass(frozen=True, slots=True)
class Op:
    """One step inside an atom.

    Ops of one change apply in order, each to the result of the one before (RFC 6902 semantics).

    Attributes:
        kind: what is done.
        path: where, inside the atom; the empty path is the atom itself.
        old: the value before (`remove`, `replace`), or the cut text (`splice`).
        new: the value after (`add`, `replace`), or the put text (`splice`).
        source: where a moved value comes from (`move` only).
        index: code point at which a splice starts (`splice` only).
        key: how the list item at `path`'s last list index is identified (`"sku=A-17"`), for people; may be empty.
    """

    kind: OpKind
    path: Path
    old: Value = MISSING
    new: Value = MISSING
    source: Path = ()
    index: int = 0
    key: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Entry:
    """One row of a history: what is known of it without rebuilding its state.

    Attributes:
        seq: 0-based number.
        id: unique within the history: the source's own where it has one, as git and checkpoints do, else `usual_id`, which
            for a foreign source is another one each time it is read.
        kind: full, delta or note.
        base_seq: the entry that a delta or a note stands on; None for one that holds the whole state.
        timestamp_ns: nanoseconds since the Unix epoch.
        action: why it happened, or what a note says; may be empty.
        added: number of atoms added.
        modified: number of atoms modified.
        deleted: number of atoms deleted.
        stored_bytes: bytes of the entry's record as recorded, before block compression.
        full_bytes: bytes the whole state takes in wire form.
        meta: free facts from the app or source.
        parent_seq: the entry this one follows in time; `seq - 1` except after a fork; None for the first, and where that
            entry was dropped by a bound on the recording.
        part: names of the atoms that a fork concerns, where a history merges several parts (threads, players) and one of
            them went back: these atoms follow `parent_seq`, all others the entry before. None: all atoms.
    """

    seq: int
    id: str
    kind: EntryKind
    base_seq: int | None
    timestamp_ns: int
    action: str
    added: int
    modified: int
    deleted: int
    stored_bytes: int
    full_bytes: int
    meta: Mapping[str, Value] = field(default_factory=lambda: NO_META)
    parent_seq: int | None = None
    part: tuple[str, ...] | None = None

    @property
    def doubt(self) -> str:
        """Why other code than what the entry names may have made some of its changes; see `doubt_in`."""
        return doubt_in(self.meta)


def usual_id(history_id: str, seq: int) -> str:
    """Return the id of an entry that was given none; "" where it is not known which history it belongs to."""
    return f"{history_id}-{seq}" if history_id else ""


def iso_time(timestamp_ns: int) -> str:
    """Spell nanoseconds since the epoch as ISO 8601 in UTC with microseconds and Z."""
    moment = dt.datetime(1970, 1, 1) + dt.timedelta(microseconds=timestamp_ns // 1_000)
    return f"{moment.isoformat(timespec='microseconds')}Z"


CALLER: Final = "caller"
"""The key of meta under which the place is kept."""
CONTEXT: Final = "unspool.context"
"""The key of meta under which the surroundings are kept, or `SAME`."""
SAME: Final = True
"""Stands for the surroundings of the entry before."""
SAME_META: Final[Mapping[str, Value]] = MappingProxyType({CONTEXT: SAME})
"""The meta of an entry that has no facts; this very object, so that it need not be looked into."""
RESTATED: Final = 64
"""Entries after which surroundings are reported again though they are the same, so that nobody looks far for them."""


EVENT: Final = "event"
"""The key of meta under which the payload of an action is kept: a reducer can make the entry's state of it once more."""
PASSED_OVER: Final = "unspool.passed_over"
"""The key of meta under which stands how many calls before an entry a recorder with a bound on its pace left out."""


def passed_over_in(meta: Mapping[str, Value]) -> int:
    """Return how many calls were passed over before an entry, and so may have made some of its changes."""
    count = meta.get(PASSED_OVER)
    return count if type(count) is int and count > 0 else 0


LIVE: Final = "live"
"""The key of meta under which the recording of a running program keeps what it has to say of an entry."""
_UNSEEN: Final = "it was found changed: code that ran before changed it unseen"
_MAYBE: Final = "code that ran before may have changed it unseen"


def was_unseen(meta: Mapping[str, Value]) -> bool:
    """Whether an entry tells of what was found changed: code that nobody watched had changed it before."""
    said = meta.get(LIVE)
    return isinstance(said, Mapping) and said.get("unseen") is True


def _line_doubt(meta: Mapping[str, Value]) -> str:
    """Return why the line that an entry names may not be the one that made its changes; empty where it is."""
    said = meta.get(LIVE)
    if not isinstance(said, Mapping):
        return ""
    return _UNSEEN if was_unseen(meta) else _MAYBE if said.get("doubt") is True else ""


def lag_in(meta: Mapping[str, Value]) -> str:
    """Return why the state of an entry may be behind what the program had then, for people; empty where it is not."""
    said = meta.get(LIVE)
    is_behind = isinstance(said, Mapping) and (said.get("elsewhere") is True or said.get("doubt") is True)
    return "other values may have changed unseen" if is_behind else ""


def doubt_in(meta: Mapping[str, Value]) -> str:
    """Return why other code than what an entry names may have made some of its changes, for people.

    Args:
        meta: the entry's facts.

    Returns:
        The reasons; empty where the entry is beyond doubt.
    """
    count = passed_over_in(meta)
    passed = f"{count} {'call' if count == 1 else 'calls'} passed over before it" if count else ""
    return "; ".join(filter(None, (_line_doubt(meta), passed)))


class SourceLine(Struct, frozen=True):
    """A line of source.

    Attributes:
        file: the file, as the program named it.
        line: counted from 1.
        function: its qualified name; may be empty.
        doubt: why it may not be the line that made the changes of the entry that names it; empty where it is.
    """

    file: str
    line: int
    function: str = ""
    doubt: str = ""

    def __str__(self) -> str:
        function = f" in {self.function}" if self.function else ""
        return f"{self.file}:{self.line}{function}{' (line in doubt)' if self.doubt else ''}"

    def to_meta(self) -> dict[str, Value]:
        """Return what is kept under `CALLER`."""
        return {"file": self.file, "line": self.line, "function": self.function}


def caller_of(meta: Mapping[str, Value]) -> SourceLine | None:
    """Return the place that an entry's meta names; None where it names none, or something else by that key."""
    kept = meta.get(CALLER)
    if not isinstance(kept, Mapping):
        return None
    file, line, function = kept.get("file"), kept.get("line"), kept.get("function", "")
    if not isinstance(file, str) or not isinstance(line, int) or not isinstance(function, str):
        return None
    return SourceLine(file, line, function, _line_doubt(meta))
