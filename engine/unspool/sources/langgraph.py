"""LangGraph checkpoints in SQLite: one entry a checkpoint, its channels the atoms.

A database of one thread shows its channels by name. With several threads the state is that of the whole database, and
atoms are named `thread channel`.
"""

from __future__ import annotations

import json
import sqlite3
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from unspool.errors import UnreadableSource
from unspool.history.chain_faults import Cancelled, ChainFault
from unspool.model.entries import NO_META
from unspool.model.tags import Tagged
from unspool.model.values import State, Value
from unspool.sources.chains import SeqOf
from unspool.sources.entries import TIME_FROM_FILE, Progress, Reader, SourceEntry, UnusableRecord
from unspool.sources.findings import Findings
from unspool.sources.langgraph_chains import Checkpoint, CheckpointChains, broken_parents, key_of, stray_writes
from unspool.sources.langgraph_channels import Accumulated, WrittenChannels
from unspool.sources.langgraph_values import SNAPSHOT, decode_value
from unspool.sources.probe import Probe, Shape
from unspool.sources.sqlite_files import columns_of, first_look, open_database, side_files
from unspool.sources.timestamps import to_ns

_NEEDED: Final = {
    "thread_id",
    "checkpoint_ns",
    "checkpoint_id",
    "parent_checkpoint_id",
    "type",
    "checkpoint",
    "metadata",
}
_THREADS: Final = "SELECT DISTINCT thread_id, checkpoint_ns FROM checkpoints LIMIT 2"
_ORDER: Final = (
    "SELECT rowid FROM checkpoints WHERE rowid > ? AND rowid <= ? ORDER BY checkpoint_id, thread_id, checkpoint_ns"
)
_ROW: Final = (
    "SELECT thread_id, checkpoint_ns, checkpoint_id, parent_checkpoint_id, type, checkpoint, metadata FROM checkpoints "
    "WHERE rowid = ?"
)


@dataclass(frozen=True, slots=True)
class _Row:
    thread: str
    namespace: str
    id: str
    parent: str | None
    kind: Value
    data: Value
    metadata: dict[str, Value]


class CheckpointReader:
    """Reads checkpoints in the order of their ids, which are ordered by time."""

    def __init__(self, path: Path, folds: dict[str, str]) -> None:
        """Open the database.

        Raises:
            UnreadableSource: it cannot be opened.
        """
        self.findings = Findings()
        self.watch_paths = side_files(path)
        self._path = path
        self._connection = open_database(path)
        with first_look(self._connection, path):
            tables = columns_of(self._connection)
            if not tables.get("checkpoints", set()) >= _NEEDED:
                raise UnreadableSource(
                    f"{path}: no LangGraph checkpoints in it; leave --format out to detect the format"
                )
            self._has_writes = "writes" in tables
            has_task_path = "task_path" in tables.get("writes", set())
            self._channels = WrittenChannels(self._connection, folds, has_task_path=has_task_path)
            threads = self._connection.execute(_THREADS).fetchall()
        self._is_single = len(threads) < 2
        self._first = threads[0] if threads else None
        self._state: State = {}
        self._last_row = 0
        self._done = self._total = 0
        self._is_finished = False
        self._said: set[str] = set()

    def read(self) -> Iterator[SourceEntry]:
        """Yield an entry for each checkpoint since the last call."""
        self._is_finished = False
        newest = self._connection.execute("SELECT coalesce(max(rowid), 0) FROM checkpoints").fetchone()[0]
        # Ids order one process's checkpoints only, so what is new is told by the row, and its order by the id.
        rows = array("q", (row[0] for row in self._connection.execute(_ORDER, (self._last_row, newest))))
        self._last_row = newest
        self._total += len(rows)
        for number in rows:
            self._done += 1
            row = self._connection.execute(_ROW, (number,)).fetchone()
            if row is not None:
                yield from self._entry(row)
        self._is_finished = True
        for channel in sorted(self._channels.unfolded - self._said):
            self._said.add(channel)
            message = f"the channel {channel!r} is stored as writes, and how they fold is known to the app only"
            self.findings.notice(str(self._path), f"{message}; choose with --fold {channel}=append|merge|messages")

    def _entry(self, columns: tuple[Value, ...]) -> Iterator[SourceEntry]:
        place = self._place_of(str(columns[2]))
        try:
            row = _row(columns)
            checkpoint = _checkpoint(row)
        except UnusableRecord as error:
            self.findings.loss(place, f"{error}; it was left out")
            return
        values = self._values(row, checkpoint)
        self._first = self._first or (row.thread, row.namespace)
        if self._is_single and (row.thread, row.namespace) != self._first:
            self._become_many()
        self._replace(row, values)
        timestamp_ns = to_ns(checkpoint.get("ts"))
        meta = _meta(row, timestamp_ns is None)
        at = self._path.stat().st_mtime_ns if timestamp_ns is None else timestamp_ns
        yield SourceEntry(dict(self._state), at, _label(row.metadata), meta, row.id, row.parent)

    def _values(self, row: _Row, checkpoint: dict[str, Value]) -> State:
        stored = checkpoint.get("channel_values") or {}
        written = _written(row, checkpoint)
        channels = self._channels.after(row.thread, row.namespace, row.parent, written - set(stored))
        values: State = {}
        for name, value in stored.items():
            if isinstance(value, Tagged) and value.type_name == SNAPSHOT:
                channels[name] = Accumulated(value.value, has_seed=True)
                values[name] = value.value
            else:
                channels.pop(name, None)
                values[name] = value
        for name, accumulated in channels.items():
            if name not in values:
                values[name] = self._channels.value(name, accumulated)
        self._channels.remember(row.thread, row.namespace, row.id, channels)
        return values

    def _prefix(self, thread: str, namespace: str) -> str:
        return f"{thread}|{namespace} " if namespace else f"{thread} "

    def _become_many(self) -> None:
        """A second thread appeared: from here on atoms carry their thread's name."""
        self._is_single = False
        if self._first is not None:
            prefix = self._prefix(*self._first)
            self._state = {prefix + name: value for name, value in self._state.items()}

    def _replace(self, row: _Row, values: State) -> None:
        """Put a thread's channels in the place of those it had before."""
        if self._is_single:
            self._state = values
            return
        prefix = self._prefix(row.thread, row.namespace)
        kept = {name: value for name, value in self._state.items() if not name.startswith(prefix)}
        self._state = {**kept, **{prefix + name: value for name, value in values.items()}}

    def chain_faults(self, seq_of: SeqOf, total: int, cancelled: Cancelled) -> Iterator[ChainFault]:
        """See `ChainedReader.chain_faults`."""
        yield from broken_parents(self._connection, self._place_of, seq_of, cancelled)
        chains = CheckpointChains(self._place_of, seq_of)
        for (number,) in self._connection.execute(_ORDER, (0, self._last_row)):
            if cancelled():
                return
            columns = self._connection.execute(_ROW, (number,)).fetchone()
            if columns is not None:
                yield from chains.see(_links(_row(columns)))
        if self._has_writes:
            yield from stray_writes(self._connection, self._place_of)

    def _place_of(self, identity: str) -> str:
        return f"{self._path}: checkpoint {identity}"

    def progress(self) -> Progress:
        """Say how many checkpoints were read."""
        return Progress(self._done, self._total, self._is_finished)

    def close(self) -> None:
        """Close the database."""
        self._connection.close()


def _row(columns: tuple[Value, ...]) -> _Row:
    # A damaged or foreign database may hold any type in any column.
    thread, namespace, identity, parent, kind, data, metadata = columns
    follows = None if parent is None else str(parent)
    return _Row(str(thread), str(namespace or ""), str(identity), follows, kind, data, _metadata(metadata))


def _checkpoint(row: _Row) -> dict[str, Value]:
    checkpoint = decode_value(row.kind, row.data)
    if not isinstance(checkpoint, dict) or not isinstance(checkpoint.get("channel_values") or {}, dict):
        raise UnusableRecord("it holds no channel values")
    return checkpoint


def _written(row: _Row, checkpoint: dict[str, Value]) -> set[str]:
    """Return the channels that are stored as writes, with a snapshot now and then."""
    versions = checkpoint.get("channel_versions")
    counters = row.metadata.get("counters_since_delta_snapshot")
    named = set(counters) if isinstance(counters, dict) else set()
    return named & (set(versions) if isinstance(versions, dict) else set())


def _links(row: _Row) -> Checkpoint:
    """Return what of a checkpoint matters to those that follow it."""
    key = key_of(row.thread, row.namespace, row.id)
    parent = None if row.parent is None else key_of(row.thread, row.namespace, row.parent)
    try:
        checkpoint = _checkpoint(row)
    except UnusableRecord as error:
        return Checkpoint(key, parent, frozenset(), frozenset(), str(error))
    stored = frozenset(checkpoint.get("channel_values") or {})
    return Checkpoint(key, parent, stored, frozenset(_written(row, checkpoint)))


def _metadata(data: Value) -> dict[str, Value]:
    try:
        metadata = json.loads(data) if data else {}
    except (ValueError, TypeError, RecursionError):
        return {}
    return metadata if isinstance(metadata, dict) else {}


def _label(metadata: dict[str, Value]) -> str:
    source, step = metadata.get("source"), metadata.get("step")
    return " ".join(str(part) for part in (source, None if step is None else f"step {step}") if part is not None)


def _meta(row: _Row, has_no_time: bool) -> dict[str, Value]:
    meta: dict[str, Value] = {"thread": row.thread, "checkpoint": row.id}
    if row.namespace:
        meta["namespace"] = row.namespace
    if row.parent is not None:
        meta["parent"] = row.parent
    meta.update({key: value for key, value in row.metadata.items() if value not in (None, {}, [])})
    if has_no_time:
        meta.update(TIME_FROM_FILE)
    return meta or dict(NO_META)


def detect(probe: Probe) -> int:
    """Score a probe: an SQLite file with the saver's table."""
    if probe.shape is not Shape.SQLITE:
        return 0
    connection = open_database(probe.path)
    try:
        return 90 if columns_of(connection).get("checkpoints", set()) >= _NEEDED else 0
    except sqlite3.Error:
        return 0
    finally:
        connection.close()


def open_reader(probe: Probe) -> Reader:
    """Read a checkpoint database."""
    return CheckpointReader(probe.path, dict(probe.folds))
