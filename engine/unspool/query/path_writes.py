"""Which entries wrote a value: the `git log -L` of application state.

Only entries that touch the value's atom are visited, and of those only what stands on the way to the value is taken
apart. Records of lists are followed by identity (`unspool.query.path_tracking`), so one that moves keeps its past.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice

from unspool.errors import CorruptHistory
from unspool.history.history import History
from unspool.history.verdict import Problem
from unspool.model.paths import Path, format_path
from unspool.model.values import MISSING, Value
from unspool.model.wire import decode
from unspool.query.errors import QuestionError
from unspool.query.lineage import branch_after, line_to, touches_back
from unspool.query.parts import find
from unspool.query.path_tracking import Outcome, Tracker
from unspool.query.reading import Cancelled, Progress, StateReader, never, untold


class WriteKind(StrEnum):
    """What an entry did to a value."""

    ADDED = "added"
    MODIFIED = "modified"
    DELETED = "deleted"
    UNCHANGED = "unchanged"
    OLDER = "older"
    """It was set at this entry or before it: older entries were dropped by a bound on the recording."""


@dataclass(frozen=True, slots=True)
class PathWrite:
    """One entry's write of a value.

    Attributes:
        seq: the entry.
        kind: what it did; `unchanged` when it changed the atom but not this value.
        path: where the value stands after it; where it stood before it when it was deleted.
        old_bytes: the value's wire form before; None when it was added, and where that is not known (`older`).
        new_bytes: its wire form after; None when it was deleted.
        certain: False when entries that cannot be read lie in between, so that one of them may have done it.
    """

    seq: int
    kind: WriteKind
    path: Path
    old_bytes: bytes | None
    new_bytes: bytes | None
    certain: bool = True

    @property
    def old(self) -> Value:
        """The value before; `MISSING` when it was added."""
        return MISSING if self.old_bytes is None else decode(self.old_bytes)

    @property
    def new(self) -> Value:
        """The value after; `MISSING` when it was deleted."""
        return MISSING if self.new_bytes is None else decode(self.new_bytes)


def writes_of(
    history: History,
    path: Path,
    at: int = -1,
    *,
    unchanged: bool = False,
    skip_damaged: bool = False,
    cancelled: Cancelled = never,
) -> Iterator[PathWrite]:
    """Yield the writes of a value at or before an entry, newest first.

    A value that was deleted and came back has writes on both sides of the gap: object keys by name, list items where
    an identity key tells that it is the same record.

    Args:
        history: where to look.
        path: where the value stands at entry `at`: the atom, and steps inside it.
        at: the entry from which to look back, along the line that leads to it.
        unchanged: also yield entries that changed the atom and left the value as it was.
        skip_damaged: step over entries that cannot be read instead of raising.
        cancelled: ends the walk when it says yes.

    Raises:
        PathNotFound: nothing is there.
        EntryNotFound: there is no such entry.
        CorruptHistory: an entry on the way cannot be read.
    """
    seq = history.resolve(at)
    reader = StateReader(history, skip_damaged=skip_damaged)
    return follow_back(reader, path, seq, unchanged=unchanged, cancelled=cancelled)


@dataclass(frozen=True, slots=True)
class Writes:
    """The writes of a value.

    Attributes:
        at: the entry looked back from.
        writes: newest first.
        complete: False when cancelled, when there are more than were asked for, or when entries were stepped over.
        problems: entries that could not be read and were stepped over.
    """

    at: int
    writes: tuple[PathWrite, ...]
    complete: bool
    problems: tuple[Problem, ...]


def all_writes(
    history: History,
    path: Path,
    at: int = -1,
    *,
    unchanged: bool = False,
    most: int | None = None,
    skip_damaged: bool = False,
    cancelled: Cancelled = never,
    progress: Progress = untold,
) -> Writes:
    """Return what `writes_of` yields, at most `most` of them, and what could not be read on the way."""
    seq = history.resolve(at)
    reader = StateReader(history, skip_damaged=skip_damaged)
    found = follow_back(reader, path, seq, unchanged=unchanged, cancelled=cancelled, progress=progress)
    writes = tuple(islice(found, most))
    # Looking for one more may step over entries too.
    is_last = next(found, None) is None
    return Writes(seq, writes, is_last and not reader.problems and not cancelled(), reader.problems)


def follow_back(
    reader: StateReader,
    path: Path,
    seq: int,
    *,
    unchanged: bool = False,
    cancelled: Cancelled = never,
    progress: Progress = untold,
) -> Iterator[PathWrite]:
    """Yield what `writes_of` does; what cannot be read is kept by the reader."""
    tracker = _start(reader, path, seq)
    atom = str(tracker.path[0])
    doubtful: int | None = None
    # Behind a gap across which the value is the same it may have changed and changed back.
    shaken = False
    for entry, parent, _ in touches_back(reader.history, (atom,), seq, every=reader.skip_damaged):
        if cancelled() or tracker.lost:
            return
        progress(seq - entry, seq)
        state = reader.state(parent)
        if state is None and parent is None:
            if tracker.value is not None:
                writer = entry if doubtful is None else doubtful
                yield PathWrite(writer, WriteKind.OLDER, tracker.path, None, tracker.value, certain=False)
            return
        if state is None:
            doubtful = entry if doubtful is None else doubtful
            shaken = True
            continue
        where, value = tracker.path, tracker.value
        outcome = tracker.move(state.get(atom), back=True)
        if outcome is Outcome.ABSENT or (outcome is Outcome.SAME and not unchanged):
            doubtful = None
            continue
        place = tracker.path if outcome is Outcome.FOUND else where
        writer = entry if doubtful is None else doubtful
        yield PathWrite(writer, _BACK[outcome], place, tracker.value, value, not shaken)
        doubtful = None
        shaken = shaken and outcome is Outcome.SAME
    first = reader.history.first
    if first and tracker.value is not None:
        # A recorder dropped where the line went on while it was followed.
        yield PathWrite(max(doubtful or 0, first), WriteKind.OLDER, tracker.path, None, tracker.value, certain=False)


_BACK = {
    Outcome.SAME: WriteKind.UNCHANGED,
    Outcome.DIFFERENT: WriteKind.MODIFIED,
    Outcome.GONE: WriteKind.ADDED,
    Outcome.FOUND: WriteKind.DELETED,
}
"""What an entry did to a value, by what becomes of the value when the entry is undone."""


def _start(reader: StateReader, path: Path, seq: int) -> Tracker:
    if not path:
        raise QuestionError("a path begins with the name of an atom; `$` alone is the whole state")
    state = reader.history.view(seq).wire
    found, _ = find(state, path, f"entry {seq}")
    return Tracker(found, state.get(str(found[0])), reader.history.identity)


def last_write(history: History, path: Path, at: int = -1) -> PathWrite:
    """Return the write that set the value standing at a path at an entry.

    Args:
        history: where to look.
        path: where the value stands at entry `at`.
        at: the entry.

    Raises:
        PathNotFound: nothing is there.
        CorruptHistory: an entry on the way cannot be read.
    """
    seq = history.resolve(at)
    found = next(writes_of(history, path, seq), None)
    if found is None:
        raise CorruptHistory(
            f"{history.source_name} does not know who wrote {format_path(path)}; run `unspool doctor`", seq=seq
        )
    return found


def previous_write(history: History, path: Path, before: int, *, cancelled: Cancelled = never) -> PathWrite | None:
    """Return the last write of a value before an entry, or None; `path` is where the value stands at that entry."""
    seq = history.resolve(before)
    return next((write for write in writes_of(history, path, seq, cancelled=cancelled) if write.seq < seq), None)


def next_write(
    history: History, path: Path, after: int, *, line: int | None = None, cancelled: Cancelled = never
) -> PathWrite | None:
    """Return the first write of a value after an entry, or None.

    Args:
        history: where to look.
        path: where the value stands at entry `after`.
        after: the entry from which to look on.
        line: an entry to which the line to follow leads; None follows the branch as it was recorded, to its end.
        cancelled: ends the walk when it says yes.

    Raises:
        PathNotFound: nothing is there.
        CorruptHistory: an entry on the way cannot be read.
    """
    seq = history.resolve(after)
    reader = StateReader(history)
    tracker = _start(reader, path, seq)
    atom = str(tracker.path[0])
    ahead = (
        branch_after(history, seq, atom) if line is None else iter(line_to(history, history.resolve(line), (atom,)))
    )
    for stretch in ahead:
        if stretch.last <= seq:
            continue
        for entry in history.writes(atom, max(stretch.first, seq + 1), stretch.last + 1):
            where, value = tracker.path, tracker.value
            state = None if cancelled() else reader.state(entry)
            if state is None:
                return None
            outcome = tracker.move(state.get(atom), back=False)
            if outcome in _ONWARD:
                place = where if outcome is Outcome.GONE else tracker.path
                return PathWrite(entry, _ONWARD[outcome], place, value, tracker.value)
    return None


_ONWARD = {Outcome.DIFFERENT: WriteKind.MODIFIED, Outcome.GONE: WriteKind.DELETED, Outcome.FOUND: WriteKind.ADDED}
