"""Following one value from version to version of its atom, wherever list identity takes it.

A list item is followed to what `unspool.delta.identity` pairs it with. When the value goes away, what identified the
list items on its path is kept, so that a record that comes back is known again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum, StrEnum
from itertools import islice
from typing import NamedTuple

from unspool.delta.identity import GONE, align, identity_of, own_keys, record_of
from unspool.delta.structural import Identity, identity_at, same_value
from unspool.errors import CorruptHistory, QuestionError
from unspool.history.history import History
from unspool.history.verdict import Problem
from unspool.model.keys import Path, Step, format_path
from unspool.model.limits import Cancelled, Progress, never, no_progress
from unspool.model.paths import Parts, parts_of
from unspool.model.values import MISSING, Value
from unspool.model.wire import FormShape, decode, header_size, shape_of
from unspool.query.lineage import StateReader, branch_after, line_to, touches_back
from unspool.query.value_parts import find


class Outcome(Enum):
    """What becomes of a followed value from one version to the next one looked at."""

    SAME = "same"
    DIFFERENT = "different"
    GONE = "gone"
    FOUND = "found"
    ABSENT = "absent"


class RecordMark(NamedTuple):
    """What identifies a record of a list.

    Attributes:
        key: the identity key.
        value: its value in wire form.
    """

    key: str
    value: bytes


class _Level:
    """A value on the followed path; taken apart when first needed."""

    __slots__ = ("_parts", "end", "value")

    def __init__(self, value: bytes) -> None:
        self.value = value
        self.end = 0
        """Where in a list the item ends that the path goes on to; 0 where that is not known."""
        self._parts: Parts | bool | None = False

    @property
    def parts(self) -> Parts | None:
        if isinstance(self._parts, bool):
            self._parts = parts_of(self.value)
        return self._parts


class Tracker:
    """Where a value stands in the version last looked at."""

    def __init__(self, path: Path, value: bytes | None, identity: Identity | None = None) -> None:
        """Start from one version.

        Args:
            path: the atom, and the steps inside it.
            value: the atom's wire form; None where there is none.
            identity: identity keys of lists set by hand.
        """
        self._atom = path[0]
        self._steps: list[Step] = list(path[1:])
        self._identity = identity
        self._levels: list[_Level] = []
        self._marks: dict[int, RecordMark] = {}
        self.lost = False
        """Whether the value is gone for good: it was an item of a list and nothing would tell that it came back."""
        self._levels = self._walk(value, back=True)[0]

    @property
    def path(self) -> Path:
        """Where the value stands, or stood last."""
        return (self._atom, *self._steps)

    @property
    def value(self) -> bytes | None:
        """The value's wire form; None while it is not there."""
        return self._levels[-1].value if len(self._levels) == len(self._steps) + 1 else None

    def move(self, atom_value: bytes | None, *, back: bool) -> Outcome:
        """Go on to another version of the atom.

        Args:
            atom_value: the atom's wire form there; None where there is none.
            back: that version is older than the last one.
        """
        here = self.value
        levels, steps = self._walk(atom_value, back=back)
        self._keep_marks(levels)
        self._levels, self._steps = levels, steps
        there = self.value
        if here is None or there is None:
            if here is there:
                return Outcome.ABSENT
            return Outcome.FOUND if here is None else Outcome.GONE
        return Outcome.SAME if here == there or same_value(here, there) else Outcome.DIFFERENT

    def _walk(self, value: bytes | None, *, back: bool) -> tuple[list[_Level], list[Step]]:
        """Go down the path in another version as far as it leads."""
        levels: list[_Level] = []
        steps = self._steps.copy()
        while value is not None:
            depth = len(levels)
            if depth < len(self._levels) and self._levels[depth].value == value:
                # The same bytes hold the same parts: the rest of the path stays.
                levels += self._levels[depth:]
            else:
                levels.append(_Level(value))
            depth = len(levels) - 1
            if depth == len(steps):
                break
            value = self._child(depth, levels[depth], steps, back)
        return levels, steps

    def _child(self, depth: int, level: _Level, steps: list[Step], back: bool) -> bytes | None:
        """Return the part that the path goes on to, and correct its step where it is a list item."""
        if depth + 1 < len(self._levels):
            here = self._levels[depth]
            # Lists of one length with the same bytes up to the end of an item have the same items up to there.
            if here.end and level.value.startswith(here.value[: here.end]):
                level.end = here.end
                return self._levels[depth + 1].value
        step, parts = steps[depth], level.parts
        if isinstance(parts, dict):
            return parts.get(step)
        if parts is None or not isinstance(step, int):
            return None
        known = self._levels[depth].parts if depth + 1 < len(self._levels) else None
        if isinstance(known, list):
            index = _paired(known, step, parts, identity_at(self._identity, self.path[: depth + 1]), back)
        else:
            index = self._sought(depth, step, parts)
        if index is None:
            return None
        steps[depth] = index
        if shape_of(level.value) is FormShape.LIST:
            level.end = header_size(level.value) + sum(map(len, parts[: index + 1]))
        return parts[index]

    def _sought(self, depth: int, step: int, parts: Sequence[bytes]) -> int | None:
        """Return where an item that is not in the list looked at last stands in another one."""
        mark = self._marks.get(depth)
        if self.lost:
            return None
        if mark is None:
            return step if step < len(parts) else None
        return next((at for at, item in enumerate(parts) if _field(item, mark.key) == mark.value), None)

    def _keep_marks(self, levels: list[_Level]) -> None:
        """Remember the identities of the list items that are there now and will not be in the next version."""
        ends = len(levels) - 1
        for depth in range(max(ends, 0), len(self._levels) - 1):
            parts, step = self._levels[depth].parts, self._steps[depth]
            if not isinstance(parts, list) or not isinstance(step, int):
                continue
            mark = _mark(parts, step, identity_at(self._identity, self.path[: depth + 1]))
            if mark is not None:
                self._marks[depth] = mark
                continue
            self._marks.pop(depth, None)
            if depth == ends and isinstance(levels[depth].parts, list):
                self.lost = True


def _paired(here: Sequence[bytes], index: int, there: Sequence[bytes], key: str | None, back: bool) -> int | None:
    """Return the index in another version of a list of the item that stands at an index in this one."""
    item = here[index]
    # What is the only one of its kind on both sides pairs with itself; that is so for nearly all entries.
    if there.count(item) == 1 and here.count(item) == 1:
        return there.index(item)
    if back:
        source = align(there, here, key).sources[index]
        return None if source == GONE else source
    sources = align(here, there, key).sources
    return sources.index(index) if index in sources else None


def _mark(items: Sequence[bytes], index: int, key: str | None) -> RecordMark | None:
    """Return what identifies a record of a list, if anything does."""
    fields = record_of(items[index])
    if fields is None:
        return None
    for name in (key,) if key is not None else own_keys(fields):
        value = identity_of(fields, name)
        if value is not None and shape_of(value) in (FormShape.TEXT, FormShape.LEAF):
            same = sum(_field(item, name) == value for item in items)
            if same == 1:
                return RecordMark(name, value)
    return None


def _field(item: bytes, key: str) -> bytes | None:
    fields = record_of(item)
    return None if fields is None else identity_of(fields, key)


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
    an identity key shows that it is the same record.

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
    progress: Progress = no_progress,
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
    progress: Progress = no_progress,
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
    """Return the first write of a value after an entry, or None; see `writes_after` for arguments and what is raised."""
    return next(writes_after(history, path, after, line=line, cancelled=cancelled), None)


def writes_after(
    history: History,
    path: Path,
    after: int,
    *,
    line: int | None = None,
    unchanged: bool = False,
    cancelled: Cancelled = never,
) -> Iterator[PathWrite]:
    """Yield the writes of a value after an entry, oldest first.

    Args:
        history: where to look.
        path: where the value stands at entry `after`.
        after: the entry from which to look on.
        line: an entry to which the line to follow leads; None follows the branch as it was recorded, to its end.
        unchanged: also yield entries that changed the atom and left the value as it was.
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
                return
            outcome = tracker.move(state.get(atom), back=False)
            if outcome in _ONWARD:
                place = where if outcome is Outcome.GONE else tracker.path
                yield PathWrite(entry, _ONWARD[outcome], place, value, tracker.value)
            elif unchanged and outcome is Outcome.SAME:
                yield PathWrite(entry, WriteKind.UNCHANGED, tracker.path, value, tracker.value)


_ONWARD = {Outcome.DIFFERENT: WriteKind.MODIFIED, Outcome.GONE: WriteKind.DELETED, Outcome.FOUND: WriteKind.ADDED}
