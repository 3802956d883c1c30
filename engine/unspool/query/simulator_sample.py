"""Which entries of a history a simulation looks at: a bounded number, in windows of entries in a row."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from unspool.codec import state_codec
from unspool.codec.records import AtomWrite, Form, Record, RecordCodec, encode_delta, encode_full, write_atom
from unspool.codec.state_codec import DeltaStrategy, binary_available
from unspool.errors import ConfigError, UnspoolError
from unspool.history.history import History, StateView
from unspool.model.entries import ChangeKind, Entry, EntryKind, usual_id
from unspool.model.values import Value
from unspool.model.wire import EncodedState
from unspool.query.doctor.chains import rule_named
from unspool.store.file import FileStore
from unspool.store.layout import FileConnection
from unspool.store.schema import connect_reader

DEFAULT_ENTRIES: Final = 2000
"""Entries sampled unless the caller says otherwise."""
DEFAULT_BYTES: Final = 64 << 20
"""Bytes of whole states sampled at most."""
_WINDOWS: Final = 3
"""Windows of a sample: the beginning, the middle and the end of a history may differ."""


@dataclass(frozen=True, slots=True)
class SampleEntry:
    """One sampled entry.

    Attributes:
        time_ns: nanoseconds since the epoch.
        action: why it happened.
        state: its state; unchanged atoms are shared with its neighbours.
        size: bytes of the whole state.
        begins: it begins a window, so what came before is not looked at.
        is_fork: it follows another entry than the one before, and is stored whole therefore.
        meta: facts kept with it; None where there are none.
        entry_id: the source's own id; "" where it has none.
        is_note: it is a note, which no chain is longer for.
    """

    time_ns: int
    action: str
    state: EncodedState
    size: int
    begins: bool
    is_fork: bool = False
    meta: Mapping[str, Value] | None = None
    entry_id: str = ""
    is_note: bool = False


@dataclass(frozen=True, slots=True)
class Sample:
    """What a simulation works on.

    Attributes:
        entries: the sampled entries.
        windows: their numbers in the history, as first and last.
        total: entries of the history.
        unreadable: entries of the windows that could not be read.
    """

    entries: tuple[SampleEntry, ...]
    windows: tuple[tuple[int, int], ...]
    total: int
    unreadable: int

    @property
    def is_whole(self) -> bool:
        """Whether it is the whole history."""
        return len(self.entries) == self.total


def take_sample(history: History, most: int, most_bytes: int, cancelled: Callable[[], bool]) -> Sample:
    """Read up to `most` entries, in up to three windows spread over the history.

    Args:
        history: where they come from.
        most: entries at most.
        most_bytes: bytes of whole states at most; at least a few entries are taken whatever they weigh.
        cancelled: called to find out whether to stop; what was read so far is the sample then.
    """
    first_kept, total = history.first, len(history) - history.first
    entries: list[SampleEntry] = []
    taken: list[tuple[int, int]] = []
    unreadable = 0
    for place, last_place in plan_windows(total, _affordable(history, most, most_bytes)):
        first, last = first_kept + place, first_kept + last_place
        begins = True
        for seq in range(first, last + 1):
            if cancelled():
                break
            try:
                entry, view = history[seq], history.view(seq)
            except UnspoolError:
                unreadable += 1
                begins = True
                continue
            entries.append(_sampled(entry, view, history.history_id, begins=begins))
            begins = False
        taken.append((first, last))
    return Sample(tuple(entries), tuple(taken), total, unreadable)


def _sampled(entry: Entry, view: StateView, history_id: str, *, begins: bool) -> SampleEntry:
    return SampleEntry(
        entry.timestamp_ns,
        entry.action,
        dict(view.wire),
        entry.full_bytes,
        begins,
        is_fork=entry.parent_seq is not None and entry.parent_seq != entry.seq - 1,
        meta=entry.meta or None,
        entry_id="" if entry.id == usual_id(history_id, entry.seq) else entry.id,
        # One that begins a window brings the state that follows stand on.
        is_note=entry.kind is EntryKind.NOTE and not begins,
    )


def plan_windows(total: int, most: int) -> list[tuple[int, int]]:
    """Return which entries to sample, as first and last: all, or windows at the beginning, the middle and the end."""
    if total == 0:
        return []
    if total <= most:
        return [(0, total - 1)]
    size = max(most // _WINDOWS, 1)
    starts = (place * (total - size) // (_WINDOWS - 1) for place in range(_WINDOWS))
    return [(start, start + size - 1) for start in starts]


def _affordable(history: History, most: int, most_bytes: int) -> int:
    """Return how many entries fit the bytes, judged by all entries' sizes."""
    sizes = history.columns().full_bytes[history.first :]
    mean = sum(sizes) / max(len(sizes), 1)
    return max(min(most, int(most_bytes / max(mean, 1.0))), 4 * _WINDOWS)


Changed = list[tuple[int, ChangeKind]]


class Differences:
    """The changes from each sampled entry to the next; the same for every codec."""

    def __init__(self, entries: Sequence[SampleEntry]) -> None:
        """Compare neighbours."""
        self.entries = entries
        self.names = list(dict.fromkeys(atom for entry in entries for atom in entry.state))
        self.numbers = {name: number for number, name in enumerate(self.names)}
        self._changed: list[list[tuple[str, ChangeKind]]] = []
        before: EncodedState = {}
        for entry in entries:
            self._changed.append(_changes({} if entry.begins else before, entry.state))
            before = entry.state

    def before(self, place: int) -> EncodedState | None:
        """Return the state that an entry's delta stands on; None where it begins a window."""
        return None if self.entries[place].begins else self.entries[place - 1].state

    def atoms(self, place: int) -> list[tuple[str, ChangeKind]]:
        """Return the atoms an entry changed."""
        return self._changed[place]


class RecordMaker:
    """Makes the records of one codec."""

    def __init__(self, codec: DeltaStrategy, differences: Differences) -> None:
        """Prepare; deltas are made when they are asked for first and kept."""
        self._codec = codec
        self._differences = differences
        self._deltas: dict[int, tuple[Record | None, float]] = {}

    @property
    def names(self) -> list[str]:
        """All atoms, in the order of their numbers."""
        return self._differences.names

    def changed(self, place: int) -> Changed:
        """Return number and kind of each atom that an entry changed."""
        numbers = self._differences.numbers
        return [(numbers[atom], kind) for atom, kind in self._differences.atoms(place)]

    def delta(self, place: int) -> tuple[Record | None, float]:
        """Return the delta of an entry and the microseconds it took; None where the codec stores states whole."""
        known = self._deltas.get(place)
        if known is None:
            started = time.perf_counter_ns()
            record = self._make_delta(place)
            known = self._deltas[place] = record, (time.perf_counter_ns() - started) / 1000
        return known

    def _make_delta(self, place: int) -> Record | None:
        before, after = self._differences.before(place), self._differences.entries[place]
        if before is None or self._codec in (DeltaStrategy.COMPRESS, DeltaStrategy.NONE):
            return None
        if self._codec is DeltaStrategy.BINARY:
            return Record(RecordCodec.BINARY, state_codec.binary_delta(before, after.state))
        writes = [_write(atom, before, after.state) for atom, _ in self._differences.atoms(place)]
        record = Record(RecordCodec.DICT, encode_delta(writes, self._differences.numbers.__getitem__))
        # As the recorder's own choice of codec does: a delta no smaller than its state only makes reading slower.
        is_larger = self._codec is DeltaStrategy.AUTO and len(record.payload) >= after.size
        return None if is_larger else record

    def full(self, place: int) -> tuple[Record, float]:
        """Return an entry's whole state as a record, and the microseconds it took."""
        state = self._differences.entries[place].state
        started = time.perf_counter_ns()
        if self._codec is DeltaStrategy.COMPRESS:
            record = Record(RecordCodec.COMPRESS, state_codec.compress_full(state))
        else:
            record = Record(RecordCodec.NONE, encode_full(state, self._differences.numbers.__getitem__))
        return record, (time.perf_counter_ns() - started) / 1000


def _write(atom: str, old: EncodedState, new: EncodedState) -> AtomWrite:
    before, after = old.get(atom), new.get(atom)
    if after is None:
        return AtomWrite(atom, Form.DELETED)
    return AtomWrite(atom, Form.ADDED, after) if before is None else write_atom(atom, before, after)


def _changes(old: EncodedState, new: EncodedState) -> list[tuple[str, ChangeKind]]:
    found = [(atom, ChangeKind.DELETED) for atom in old if atom not in new]
    for atom, value in new.items():
        known = old.get(atom)
        if known is None:
            found.append((atom, ChangeKind.ADDED))
        elif known is not value and known != value:
            found.append((atom, ChangeKind.MODIFIED))
    return found


_QUERY: Final = (
    "SELECT (SELECT total(count) FROM block), (SELECT coalesce(max(count), 0) FROM block),"
    " (SELECT count(*) FROM meta WHERE key = 'repaired_from')"
)
_LARGEST_BLOCK: Final = 128
"""Entries of the largest block that a recorder writes; larger ones come from compacting."""
_ENOUGH: Final = 64
"""Sealed entries from which on the density of a file is known."""


@dataclass(frozen=True, slots=True)
class Density:
    """What the sealed blocks of a file hold.

    Attributes:
        bytes: bytes in them.
        entries: entries in them.
    """

    bytes: float
    entries: float

    @property
    def per_entry(self) -> float:
        """Bytes of an entry."""
        return self.bytes / max(self.entries, 1.0)


@dataclass(frozen=True, slots=True)
class FileFacts:
    """What is known of the file that a history is read from.

    Attributes:
        codec: how its entries were written.
        strategy: when a full snapshot was stored.
        density: what its blocks hold.
    """

    codec: str
    strategy: str
    density: Density


def _facts(connection: FileConnection) -> tuple[float, float, int, int]:
    """Return bytes and entries of all blocks, the entries of the largest, and whether a repair wrote the file."""
    return (connection.layout.stored_bytes(connection), *connection.execute(_QUERY).fetchone())


def density_of(path: Path) -> Density:
    """Return what the blocks of a finished file hold."""
    connection, _ = connect_reader(path, live=False)
    try:
        size, entries, _, _ = _facts(connection)
    finally:
        connection.close()
    return Density(size, entries)


def reference_of(history: History) -> FileFacts | None:
    """Return the settings that a history's own file shows; None where it is not as one recorder with one setting wrote it."""
    store = history.store
    if not isinstance(store, FileStore):
        return None
    try:
        recordings = store.recordings()
        size, entries, largest, repaired = store.reader.call(_facts)
        if len(recordings) != 1 or repaired or largest > _LARGEST_BLOCK or entries < _ENOUGH:
            return None
        codec, strategy = DeltaStrategy(recordings[0].codec), recordings[0].strategy
        rule_named(strategy)
    except (UnspoolError, ConfigError, sqlite3.Error, ValueError):
        return None
    if codec is DeltaStrategy.BINARY and not binary_available():
        return None
    # These store every state whole, whatever the strategy.
    is_whole = codec in (DeltaStrategy.NONE, DeltaStrategy.COMPRESS)
    return FileFacts(codec.value, "auto" if is_whole else strategy, Density(size, entries))
