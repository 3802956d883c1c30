"""Trying one configuration on a sample: a real file is written and read, and what it costs is measured."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from unspool.codec.records import Record, note_record, patch_steps
from unspool.codec.strategies import ChainState, FullSnapshotStrategy
from unspool.history.rebuild import Rebuilder
from unspool.model.entries import ChangeKind
from unspool.query.simulator_projection import Density, density_of
from unspool.query.simulator_records import RecordMaker
from unspool.query.simulator_sample import SampleEntry
from unspool.store.file import FileStore
from unspool.store.protocol import Draft

REBUILDS: Final = 48
"""States rebuilt to tell the rebuild time, in one fixed random order."""
_SEED: Final = 20240917


@dataclass(frozen=True, slots=True)
class Timing:
    """Times in microseconds.

    Attributes:
        p50: the median.
        p95: what 95 of 100 stay under.
    """

    p50: float
    p95: float


@dataclass(frozen=True, slots=True)
class Trial:
    """What a configuration came to.

    Attributes:
        file_bytes: bytes of the finished file, beyond those of an empty one.
        empty_bytes: bytes of an empty one.
        density: what its blocks hold.
        record_bytes: bytes of the records before blocks were compressed.
        full: entries stored whole.
        longest_chain: deltas of the longest chain.
        rebuild: time to rebuild a state, none of it cached.
        record: time to write an entry, the capture of the state not counted.
    """

    file_bytes: int
    empty_bytes: int
    density: Density
    record_bytes: int
    full: int
    longest_chain: int
    rebuild: Timing
    record: Timing


def try_out(
    entries: Sequence[SampleEntry],
    maker: RecordMaker,
    rule: FullSnapshotStrategy,
    path: Path,
    cancelled: Callable[[], bool],
) -> Trial | None:
    """Write a sample by a configuration, read it back, and return what that cost; None when it was cancelled."""
    empty = _empty_size(path.with_suffix(".empty"))
    book = _Book()
    with closing(FileStore.create(path, durability="fast")) as store:
        for name in maker.names:
            store.intern(name)
        for place, entry in enumerate(entries):
            if cancelled():
                return None
            book.write(store, maker, rule, place, entry)
    with closing(FileStore.open(path)) as reading:
        rebuild = _rebuild_times(reading, len(entries))
    return Trial(
        max(path.stat().st_size - empty, 0),
        empty,
        density_of(path),
        book.bytes,
        book.full,
        book.longest,
        rebuild,
        timing(book.times),
    )


class _Book:
    """Follows the chain being written, as a recorder does, and adds up what it costs."""

    def __init__(self) -> None:
        self.bytes = self.full = self.longest = 0
        self.times: list[float] = []
        self._length = self._delta_bytes = self._full_bytes = self._start_ns = self._steps = 0

    def write(
        self, store: FileStore, maker: RecordMaker, rule: FullSnapshotStrategy, place: int, entry: SampleEntry
    ) -> None:
        """Append an entry, whole or as a delta."""
        if entry.is_note:
            self._append(store, note_record(None, store.intern), [], entry, 0.0)
            return
        record, spent = maker.delta(place)
        changed = maker.changed(place)
        whole = record is None or entry.begins or entry.is_fork
        if record is not None and not whole:
            state = ChainState(
                self._length, (entry.time_ns - self._start_ns) / 1e6, self._delta_bytes, self._full_bytes,
                len(changed), len(record.payload), patch_steps=self._steps + patch_steps(record),
            )  # fmt: skip
            whole = rule.wants_full(state)
        if record is None or whole:
            record, more = maker.full(place)
            spent += more
        self._append(store, record, changed, entry, spent)
        if record.codec.is_full:
            self.full += 1
            self._length = self._delta_bytes = self._steps = 0
            self._full_bytes, self._start_ns = entry.size, entry.time_ns
        else:
            self._length += 1
            self._delta_bytes += len(record.payload)
            self._steps += patch_steps(record)
            self.longest = max(self.longest, self._length)

    def _append(
        self,
        store: FileStore,
        record: Record,
        changed: Sequence[tuple[int, ChangeKind]],
        entry: SampleEntry,
        spent: float,
    ) -> None:
        started = time.perf_counter_ns()
        store.append(
            Draft(
                record.codec.kind, record, changed, entry.time_ns,
                entry.action, entry.size, entry.meta, entry.entry_id,
            )
        )  # fmt: skip
        self.times.append((time.perf_counter_ns() - started) / 1000 + spent)
        self.bytes += len(record.payload)


def _rebuild_times(store: FileStore, count: int) -> Timing:
    places = list(range(count))
    # Every configuration is asked for the same entries in the same order.
    random.Random(_SEED).shuffle(places)  # noqa: S311 - no secret
    # The better of two runs: what another program did to one of them is not this configuration's cost.
    return timing([min(_rebuild(store, seq), _rebuild(store, seq)) for seq in places[:REBUILDS]])


def _rebuild(store: FileStore, seq: int) -> float:
    cold = Rebuilder(store)
    started = time.perf_counter_ns()
    cold.state(seq)
    return (time.perf_counter_ns() - started) / 1000


def timing(times: Sequence[float]) -> Timing:
    """Return the median and the 95th percentile of times in microseconds."""
    if not times:
        return Timing(0.0, 0.0)
    ranked = sorted(times)
    return Timing(ranked[len(ranked) // 2], ranked[min(len(ranked) - 1, len(ranked) * 95 // 100)])


def _empty_size(path: Path) -> int:
    FileStore.create(path, durability="fast").close()
    size = path.stat().st_size
    path.unlink()
    return size
