"""`History`: what every screen, command and question reads, with the view of a state and what surrounded a call."""

from __future__ import annotations

import os
import stat
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self, overload

from unspool.delta.structural import Identity
from unspool.errors import CorruptHistory, EntryNotFound, EntryNotKept
from unspool.history.diff import Diff, diff_states, fork_base
from unspool.history.rebuild import RecordLine, SnapshotReconstructor, cold_rebuild_us, is_aside
from unspool.history.verdict import (
    COMPLETE,
    FINISHED,
    ChainExaminer,
    ChainFault,
    Feeder,
    Progress,
    Verdict,
    cut_short,
)
from unspool.model.cache import CacheStats
from unspool.model.entries import CONTEXT, NOTE, RESTATED, SAME, ChangeKind, Entry
from unspool.model.limits import Cancelled
from unspool.model.values import State, Value
from unspool.model.wire import EncodedState, decode, decode_all
from unspool.store.keeping import MayBegin, not_kept, told_dropped
from unspool.store.protocol import Columns, CountsWrites, MayBeCutShort, Store, TellsNotes

if TYPE_CHECKING:
    from unspool.history.stats import HistoryStats


_ACTIVITY_SAMPLE: Final = 500
"""Entries that are asked which atoms they changed, where nobody has counted."""


class StateView(Mapping[str, Value]):
    """A read-only state. Values are decoded once and shared between looks: do not change them."""

    __slots__ = ("_decoded", "_encoded", "seq")

    def __init__(self, seq: int, encoded: dict[str, bytes]) -> None:
        """Take over a state given as wire forms by atom."""
        self.seq = seq
        self._encoded = encoded
        self._decoded: dict[str, Value] = {}

    def __getitem__(self, atom: str) -> Value:
        try:
            return self._decoded[atom]
        except KeyError:
            value = self._decoded[atom] = decode(self._encoded[atom])
            return value

    def __iter__(self) -> Iterator[str]:
        return iter(self._encoded)

    def __len__(self) -> int:
        return len(self._encoded)

    def __contains__(self, atom: object) -> bool:
        return atom in self._encoded

    def encoded(self, atom: str) -> bytes:
        """Return an atom's wire form; raises KeyError for an unknown atom."""
        return self._encoded[atom]

    @property
    def wire(self) -> Mapping[str, bytes]:
        """All atoms as wire forms."""
        return self._encoded

    def to_dict(self) -> State:
        """Return the state as a dict that is safe to change."""
        return dict(zip(self._encoded, decode_all(self._encoded.values()), strict=True))


_STATES_KEPT = 64
"""States that a history keeps rebuilt."""
_STATES_KEPT_ASIDE = 8
"""States that it keeps for work aside, which most often goes from one entry to the next."""
EMPTY = -1
"""Number that stands for the empty state before the first entry, where a diff may be taken from it."""


class History:
    """The entries of one store, in order. Reading calls are safe from several threads."""

    def __init__(
        self,
        store: Store,
        feeder: Feeder | None = None,
        *,
        identity: Identity | None = None,
        path: Path | None = None,
        watch: Callable[[], tuple[Path, ...]] | None = None,
    ) -> None:
        """Read a store.

        Args:
            store: where the entries are; closed with the history.
            feeder: what brings foreign entries into the store.
            identity: identity keys of lists set by hand.
            path: the native file, where the history is one.
            watch: gives the files whose change means that there may be new entries, where the store knows better.
        """
        self._store = store
        self._feeder = feeder
        self.identity = identity
        self._path = path
        self._watch = watch
        self._records = RecordLine(store)
        self._reconstructor = SnapshotReconstructor(max_states=_STATES_KEPT)
        self._columns = Columns()
        self._columns_lock = threading.Lock()
        self._known = len(store)
        self._begins: MayBegin | None = store if isinstance(store, MayBegin) else None

    @classmethod
    def without_entries(cls, feeder: Feeder) -> Self:
        """Return a history that holds no entry, such as that of a source that is still to be opened.

        Args:
            feeder: says what the source is called and what became of it.
        """
        from unspool.store.memory import MemoryStore  # files are read without it

        return cls(MemoryStore(), feeder)

    def __len__(self) -> int:
        """Return one more than the number of the newest entry, as of the last `refresh`; see `first` for the oldest."""
        return self._known

    @property
    def first(self) -> int:
        """The first entry that is kept: 0, unless a bound on the recording dropped those before it."""
        return 0 if self._begins is None else self._begins.first

    @property
    def bound(self) -> str:
        """By which bound entries were dropped, as it was asked for; "" where none were, or that is not said."""
        return "" if self._begins is None else self._begins.bound

    def told_dropped(self) -> str:
        """Say what was dropped by a bound on the recording, or return "" where nothing was."""
        return told_dropped(self._store)

    @overload
    def __getitem__(self, index: int) -> Entry: ...
    @overload
    def __getitem__(self, index: slice) -> list[Entry]: ...
    def __getitem__(self, index: int | slice) -> Entry | list[Entry]:
        """Return an entry, or several; negative numbers count from the end.

        Raises:
            EntryNotFound: there is no such entry.
        """
        if isinstance(index, slice):
            start, stop, step = index.indices(self._known)
            if step == 1:
                return self._store.entries(start, stop)
            return [self[seq] for seq in range(start, stop, step) if seq >= self.first]
        seq = self.resolve(index)
        return self._store.entries(seq, seq + 1)[0]

    def __iter__(self) -> Iterator[Entry]:
        """Yield all entries in order, a batch at a time; those that a recorder drops meanwhile are none of them any more."""
        start = self.first
        while start < self._known:
            try:
                batch = self._store.entries(start, min(start + 256, self._known))
            except EntryNotKept as error:
                start = error.first
                continue
            yield from batch
            start += 256

    def resolve(self, index: int) -> int:
        """Return the 0-based number that an index, maybe negative, means.

        Raises:
            EntryNotFound: there is no such entry.
        """
        seq = index + self._known if index < 0 else index
        first = self.first
        if 0 <= seq < first:
            raise not_kept(self.source_name, seq, first, self.bound)
        if not first <= seq < self._known:
            if first and self._known > first:
                told = f"it has entries {first} to {self._known - 1}; {self.told_dropped()}"
                raise EntryNotFound(f"{self.source_name} has no entry {index}: {told}")
            last = f"0 to {self._known - 1}" if self._known else "none"
            raise EntryNotFound(f"{self.source_name} has no entry {index}: it has {self._known} ({last})")
        return seq

    def state(self, index: int) -> State:
        """Return the state at an entry as a dict of atoms that is safe to change.

        Raises:
            EntryNotFound: there is no such entry.
            CorruptHistory: the state cannot be rebuilt.
        """
        return self.view(index).to_dict()

    def view(self, index: int) -> StateView:
        """Return the state at an entry to look at; atoms are decoded when they are looked at."""
        seq = self.resolve(index)
        return StateView(seq, self._state(seq))

    def _state(self, seq: int) -> EncodedState:
        if not is_aside():
            return self._reconstructor.state(self._records, seq)
        held: EncodedState | None = self._reconstructor.peek(seq)
        return self._reconstructor_aside.state(self._records, seq) if held is None else held

    def value(self, index: int, atom: str) -> Value:
        """Return one atom's value at an entry, safe to change; the rest of the state is not rebuilt.

        Raises:
            EntryNotFound: there is no such entry.
            KeyError: the state has no such atom.
            CorruptHistory: the atom cannot be rebuilt.
        """
        seq = self.resolve(index)
        aside = is_aside() and not self._reconstructor.holds(seq)
        form = self._records.atom(self._reconstructor_aside if aside else self._reconstructor, seq, atom)
        if form is None:
            raise KeyError(atom)
        return decode(form)

    def diff(self, a: int, b: int) -> Diff:
        """Return the changes from entry `a` to entry `b`; negative numbers count from the end."""
        new = self.resolve(b)
        old = self.resolve(a)
        return diff_states(old, new, self._state(old), self._state(new), self.identity)

    def changes(self, index: int) -> Diff:
        """Return what an entry changed: the diff from the entry it follows in time (its parent).

        Raises:
            EntryNotFound: there is no such entry; `EntryNotKept` also where the entry it follows was dropped.
            CorruptHistory: one of the states cannot be rebuilt.
        """
        entry = self[index]
        new = self._state(entry.seq)
        if entry.parent_seq is None:
            if entry.seq:
                raise EntryNotKept(
                    f"what entry {entry.seq} changed is not known, since the entry it follows was dropped: "
                    f"{self.told_dropped()}",
                    first=self.first,
                )
            return diff_states(EMPTY, entry.seq, {}, new, self.identity)
        old = self._state(entry.parent_seq)
        if entry.part is not None:
            old = fork_base(self._state(entry.seq - 1), old, frozenset(entry.part))
        return diff_states(entry.parent_seq, entry.seq, old, new, self.identity)

    def changed_atoms(self, index: int) -> tuple[tuple[str, ChangeKind], ...]:
        """Return the atoms that an entry changed, without rebuilding anything."""
        return self._store.changed(self.resolve(index))

    def writes(self, atom: str, start: int = 0, stop: int | None = None) -> Iterator[int]:
        """Yield the entries from `start` to `stop - 1` that changed an atom, oldest first."""
        return self._store.writes(atom, start, self._known if stop is None else stop)

    def activity(self) -> Mapping[str, int]:
        """Return how often each atom was changed, by name, to tell those that change much from others.

        It is exact where the store has counted; else the count of some hundred entries, chosen evenly, and an atom that
        none of those changed is missing.
        """
        counts = self._store.write_counts() if isinstance(self._store, CountsWrites) else None
        if counts is not None:
            return counts
        sampled: Counter[str] = Counter()
        for seq in range(self.first, self._known, max(1, (self._known - self.first) // _ACTIVITY_SAMPLE)):
            # What is damaged is reported where the entry itself is looked at.
            with suppress(CorruptHistory):
                sampled.update(atom for atom, _ in self._store.changed(seq))
        return sampled

    def next_write(self, atom: str, after: int) -> int | None:
        """Return the first entry after one that changed an atom, or None."""
        return next(self._store.writes(atom, after + 1, self._known), None)

    def previous_write(self, atom: str, before: int) -> int | None:
        """Return the last entry before one that changed an atom, or None; ask with `i + 1` to include entry `i`."""
        return next(self._store.writes(atom, 0, before, backwards=True), None)

    def action(self, index: int) -> str:
        """Return why an entry happened; may be empty."""
        return self[index].action

    def columns(self) -> Columns:
        """Return the flat columns over all entries, brought up to date; the same object every time."""
        with self._columns_lock:
            self._store.fill(self._columns)
            return self._columns

    def notes(self) -> Callable[[int], bool]:
        """Return what says whether an entry of now is a note, without reading it."""
        if self._tells_notes is not None and not self._tells_notes.may_hold_notes():
            return lambda seq: False
        kinds = self.columns().kind
        return lambda seq: seq < len(kinds) and kinds[seq] == NOTE

    def refresh(self) -> int:
        """Look for new entries; return how many there are. Costs microseconds when there are none."""
        if self._feeder is not None:
            self._feeder.pump()
        self._store.refresh()
        before, self._known = self._known, len(self._store)
        return self._known - before

    def stats(self) -> HistoryStats:
        """Read every record once and return measured facts; damage is reported in them, never raised."""
        from unspool.history.stats import measure  # a screen shows itself before it measures anything

        return measure(self._store, self.columns(), self.file_bytes(), self.cache_stats(), self.verdict)

    def rebuild_us(self, seq: int) -> float:
        """Return how long the state at an entry takes to rebuild, in microseconds.

        What is held of other states does not shorten it, it is not kept, and it counts in no statistics.

        Raises:
            EntryNotFound: there is no such entry.
            CorruptHistory: the state cannot be rebuilt.
        """
        return cold_rebuild_us(self._store, self.resolve(seq))

    def shares(self) -> dict[str, tuple[int, int]]:
        """Return each atom's changes and record bytes by name; what cannot be read is left out."""
        return self._store.shares([])

    def holds_state(self, seq: int) -> bool:
        """Whether the state at an entry is rebuilt already, so that looking at it costs nothing."""
        return self._reconstructor.holds(seq)

    def cache_stats(self) -> CacheStats:
        """Return how the rebuild cache has served so far; what was read `aside` counts for nothing."""
        return self._reconstructor.get_cache_stats()

    def rebuild_times_us(self) -> list[float]:
        """Return the times of the last rebuilds that were not done `aside`, in microseconds."""
        return self._reconstructor.rebuild_times_us()

    def file_bytes(self) -> int:
        """Return the bytes that the source takes on disk, side files included; 0 where that is not known, as of a folder."""
        if self._feeder is None:
            return self._store.file_bytes()
        found = 0
        for path in self._feeder.source_paths:
            try:
                told = path.stat()
            except OSError:
                continue
            if not stat.S_ISREG(told.st_mode):
                return 0
            found += told.st_size
        return found

    @property
    def store(self) -> Store:
        """The store it reads from, for rooms that ask more of it than a history offers."""
        return self._store

    @cached_property
    def _reconstructor_aside(self) -> SnapshotReconstructor:
        return SnapshotReconstructor(max_states=_STATES_KEPT_ASIDE)

    @cached_property
    def _tells_notes(self) -> TellsNotes | None:
        # A protocol's members are looked for one by one each time it is asked whether a store has them.
        return self._store if isinstance(self._store, TellsNotes) else None

    @cached_property
    def _may_be_cut(self) -> MayBeCutShort | None:
        # To look for a property is to ask for it, and this one has the end of a file looked at.
        return self._store if isinstance(self._store, MayBeCutShort) else None

    @property
    def verdict(self) -> Verdict:
        """How much of the source could be read."""
        if self._feeder is not None:
            return self._feeder.verdict
        store = self._may_be_cut
        if store is None:
            return COMPLETE
        found = COMPLETE
        if damage := store.damage:
            found = cut_short(self.source_name, damage, is_damaged=True)
        elif doubt := store.doubt:
            found = cut_short(self.source_name, doubt, is_damaged=False)
        return replace(found, notes=(self.told_dropped(),)) if self.first else found

    @property
    def is_foreign(self) -> bool:
        """Whether it is read from a source that is no native file."""
        return self._feeder is not None

    def chain_faults(self, cancelled: Cancelled) -> Iterator[ChainFault]:
        """Yield what is wrong with the chains of a foreign source, in its own terms; nothing for a native file."""
        if isinstance(self._feeder, ChainExaminer):
            yield from self._feeder.chain_faults(cancelled)

    @property
    def progress(self) -> Progress:
        """How far reading a foreign source has come; finished for a native file."""
        return FINISHED if self._feeder is None else self._feeder.progress

    def cancel_reading(self) -> None:
        """Read no further from a foreign source; what has arrived stays, and the verdict says so."""
        if self._feeder is not None:
            self._feeder.cancel()

    @property
    def source_name(self) -> str:
        """What people call the history."""
        return self._store.name if self._feeder is None else self._feeder.source_name

    @property
    def history_id(self) -> str:
        """Distinguishes this history from all others."""
        return self._store.history_id

    @property
    def watch_paths(self) -> tuple[Path, ...]:
        """Files whose change means that there may be new entries."""
        if self._feeder is not None:
            return self._feeder.watch_paths
        if self._path is None:
            return () if self._watch is None else self._watch()
        # A link's log lies beside the file that it leads to.
        real = os.path.realpath(self._path)
        return (Path(f"{real}-wal"), Path(real))

    @property
    def source_paths(self) -> tuple[Path, ...]:
        """The files and folders of the source itself, which a private copy that it is read into is not; empty without any."""
        if self._feeder is not None:
            return self._feeder.source_paths
        return () if self._path is None else self.watch_paths

    def close(self) -> None:
        """Release files; closing twice is fine."""
        if self._feeder is not None:
            self._feeder.close()
        self._store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Contexts:
    """Returns the surroundings of entries; cheap where entries are asked for in order."""

    def __init__(self, history: History) -> None:
        """Prepare.

        Args:
            history: where entries before the one asked about are looked up.
        """
        self._history = history
        self._last: tuple[int, Mapping[str, Value] | None] = (-2, None)

    def of(self, entry: Entry) -> Mapping[str, Value] | None:
        """Return an entry's surroundings; None where they were not recorded, or their entry cannot be read."""
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
    """Return meta without the surroundings, which are distinguished."""
    return {key: value for key, value in meta.items() if key != CONTEXT}


__all__ = ["Contexts", "without_context"]
