"""Checkpoints of LangGraph in an SQLite database as entries, and what can be wrong with their parents and channels."""

from __future__ import annotations

import sqlite3
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from unspool.errors import UnreadableSource
from unspool.history.verdict import ChainFault, Progress
from unspool.model.json_exact import BrokenText
from unspool.model.limits import Cancelled
from unspool.model.values import Value
from unspool.sources.detection import MANY, Choice, Probe, SourceShape, by_thread, named
from unspool.sources.entries import Findings, Reader, SeqOf, SourceEntry, UnusableRecord
from unspool.sources.formats.langgraph_timeline import (
    CheckpointRow,
    CheckpointTimeline,
    WrittenChannels,
    decode_value,
    metadata_of,
    selection,
    stored_values,
    written_names,
)
from unspool.sources.sqlite_files import (
    TEXT,
    ForeignDatabase,
    columns_of,
    first_look,
    report_log,
    report_other_tables,
    side_files,
    stored_text,
)

_PARENTS: Final = (
    "SELECT thread_id, checkpoint_ns, checkpoint_id, parent_checkpoint_id FROM checkpoints WHERE {chosen} "
    "ORDER BY checkpoint_id"
)
_STRAY: Final = (
    "SELECT thread_id, checkpoint_ns, checkpoint_id, count(*) FROM {writes} WHERE {chosen} AND NOT EXISTS "
    "(SELECT 1 FROM checkpoints WHERE checkpoints.thread_id = {writes}.thread_id "
    "AND checkpoints.checkpoint_ns = {writes}.checkpoint_ns "
    "AND checkpoints.checkpoint_id = {writes}.checkpoint_id) GROUP BY 1, 2, 3 ORDER BY 1, 2, 3"
)
Key = tuple[str, str, str]
"""Thread, namespace and id of a checkpoint."""


def parents_query(chosen: str) -> str:
    """Return the query for what `broken_parents` takes."""
    return _PARENTS.format(chosen=chosen)


def stray_query(chosen: str, writes: str) -> str:
    """Return the query for what `stray_writes` takes, given the name of the table of writes."""
    return _STRAY.format(chosen=chosen, writes=writes)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What of a checkpoint matters to those that follow it.

    Attributes:
        key: which it is.
        parent: the one it follows; None for the first of a thread.
        stored: channels whose value it holds, as a snapshot or whole.
        written: channels whose value is a snapshot further up and the writes since.
        problem: why it does not read; "" where it does.
    """

    key: Key
    parent: Key | None
    stored: frozenset[str]
    written: frozenset[str]
    problem: str = ""


def link_of(row: CheckpointRow, read: Callable[[], dict[str, Value]]) -> Checkpoint:
    """Return what of a checkpoint matters to those that follow it.

    Args:
        row: its row.
        read: gives its content; may raise `UnusableRecord` or `BrokenText`.
    """
    key = key_of(row.thread, row.namespace, row.id)
    parent = None if row.parent is None else key_of(row.thread, row.namespace, row.parent)
    try:
        checkpoint = read()
        stored = frozenset(stored_values(checkpoint))
    except (UnusableRecord, BrokenText) as error:
        return Checkpoint(key, parent, frozenset(), frozenset(), str(error))
    return Checkpoint(key, parent, stored, frozenset(written_names(row, checkpoint)))


class CheckpointChains:
    """Follows checkpoints in the order of their ids, which are ordered by time."""

    def __init__(self, place_of: Callable[[str], str], seq_of: SeqOf) -> None:
        """Prepare.

        Args:
            place_of: says where a checkpoint is, given its id.
            seq_of: see `ChainedReader.chain_faults`.
        """
        self._place_of = place_of
        self._seq_of = seq_of
        self._severed: dict[Key, frozenset[str]] = {}
        self._next = 0

    def visit(self, checkpoint: Checkpoint) -> Iterator[ChainFault]:
        """Take the next checkpoint and yield what is wrong with its channels."""
        place, seq = self._place_of(checkpoint.key[2]), self._seq_of(checkpoint.key[2])
        if checkpoint.problem:
            yield ChainFault("malformed-record", place, checkpoint.problem, self._next, is_lost=True)
            return
        self._next = self._next if seq is None else seq + 1
        parent = checkpoint.parent
        if parent is None:
            inherited: frozenset[str] = frozenset()
        elif parent in self._severed:
            inherited = self._severed[parent]
        else:
            # The one before does not read or is not there, and neither is what it held of these channels.
            inherited = checkpoint.written
        severed = (inherited & checkpoint.written) - checkpoint.stored
        self._severed[checkpoint.key] = severed
        for channel in sorted(severed):
            text = f"the snapshot that the writes of channel {channel!r} stand on is not in the file"
            yield ChainFault("severed-base", place, text, seq)


def broken_parents(
    rows: Iterable[Sequence[Value]], place_of: Callable[[str], str], seq_of: SeqOf, cancelled: Cancelled
) -> Iterator[ChainFault]:
    """Yield checkpoints whose parent is not there, or that are their own ancestor; `rows` are of `parents_query`."""
    parents: dict[Key, Key | None] = {}
    for thread, namespace, identity, parent in rows:
        key = key_of(thread, namespace, identity)
        parents[key] = None if parent is None else key_of(thread, namespace, parent)
    for key, parent_key in parents.items():
        if cancelled():
            return
        if parent_key is not None and parent_key not in parents:
            text = f"follows checkpoint {parent_key[2]}, which is not in the file"
            yield ChainFault("fork-without-parent", place_of(key[2]), text, seq_of(key[2]), severity="warning")
    for key in _on_cycles(parents):
        text = "is its own ancestor: following parents never comes to a first checkpoint"
        yield ChainFault("parent-cycle", place_of(key[2]), text, seq_of(key[2]))


def _on_cycles(parents: dict[Key, Key | None]) -> list[Key]:
    """Return one checkpoint of each cycle, the first by id."""
    done: set[Key] = set()
    found = []
    for start in parents:
        walked: dict[Key, None] = {}
        key: Key | None = start
        while key is not None and key in parents and key not in done and key not in walked:
            walked[key] = None
            key = parents[key]
        if key in walked:
            cycle = list(walked)[list(walked).index(key) :]
            found.append(min(cycle))
        done.update(walked)
    return found


def stray_writes(rows: Iterable[Sequence[Value]], place_of: Callable[[str], str]) -> Iterator[ChainFault]:
    """Yield writes of checkpoints that are not there; `rows` are of `stray_query`."""
    for thread, _, identity, count in rows:
        text = f"{count} writes of thread {thread!r} belong to a checkpoint that is not in the file"
        yield ChainFault("unreachable-records", place_of(str(identity)), text)


def key_of(thread: Value, namespace: Value, identity: Value) -> Key:
    """Return the key of a checkpoint; a damaged database may hold any type in any column."""
    return str(thread), str(namespace or ""), str(identity)


_NEEDED: Final = {
    "thread_id",
    "checkpoint_ns",
    "checkpoint_id",
    "parent_checkpoint_id",
    "type",
    "checkpoint",
    "metadata",
}
_THREADS: Final = "SELECT DISTINCT thread_id, checkpoint_ns FROM checkpoints WHERE {chosen} LIMIT 2"
_THREAD_COUNT: Final = "SELECT count(*) FROM (SELECT DISTINCT thread_id FROM checkpoints)"
PARTS_QUERY: Final = (
    "SELECT thread_id, checkpoint_ns, count(*) FROM checkpoints GROUP BY thread_id, checkpoint_ns "
    "ORDER BY max(checkpoint_id) DESC, checkpoint_ns"
)
_TABLES: Final[dict[str, tuple[str, ...]]] = {
    "checkpoints": ("thread_id", "checkpoint_ns", "checkpoint_id", "parent_checkpoint_id", "type", "checkpoint", "metadata"),
    "writes": ("thread_id", "checkpoint_ns", "checkpoint_id", "task_id", "idx", "channel", "type", "value", "task_path"),
    "checkpoint_migrations": (),
}  # fmt: skip
_ORDER: Final = (
    "SELECT rowid FROM checkpoints WHERE {chosen} AND rowid > ? AND rowid <= ? "
    "ORDER BY checkpoint_id, thread_id, checkpoint_ns"
)
_ROW: Final = (
    "SELECT thread_id, checkpoint_ns, checkpoint_id, parent_checkpoint_id, type, checkpoint, metadata FROM checkpoints "
    "WHERE rowid = ?"
)
_WRITES: Final = (
    f"SELECT channel, type, value FROM writes WHERE thread_id = {TEXT} AND checkpoint_ns = {TEXT} "  # noqa: S608
    f"AND checkpoint_id = {TEXT} "
    "ORDER BY {path}, task_id, idx"
)


_WAITING: Final = (
    f"SELECT channel, count(*) FROM writes WHERE thread_id = {TEXT} AND checkpoint_ns = {TEXT} "  # noqa: S608
    f"AND checkpoint_id = {TEXT} GROUP BY channel"
)


class CheckpointReader:
    """Reads checkpoints in the order of their ids, which are ordered by time."""

    def __init__(self, path: Path, folds: Mapping[str, str], select: Mapping[str, str]) -> None:
        """Open the database.

        Raises:
            UnreadableSource: it cannot be opened, or holds nothing of what is selected.
            ConfigError: something is selected that such a database has not, or an unknown fold.
        """
        self.findings = Findings()
        self.watch_paths = side_files(path)
        report_log(path, self.findings)
        self._path = path
        chosen, wanted = selection(select, TEXT)
        self._chosen = tuple(map(stored_text, wanted))
        self._where = chosen
        self._order = _ORDER.format(chosen=chosen)
        self._connection = ForeignDatabase(path)
        with first_look(self._connection, path):
            tables = columns_of(self._connection)
            if not tables.get("checkpoints", set()) >= _NEEDED:
                raise UnreadableSource(
                    f"{path}: no LangGraph checkpoints in it; leave --format out to detect the format"
                )
            report_other_tables(self._connection, path, tables, _TABLES, self.findings)
            self._has_writes = "writes" in tables
            task_path = "task_path" if "task_path" in tables.get("writes", set()) else "''"
            self._writes_query = _WRITES.format(path=task_path)
            threads = self._connection.execute(_THREADS.format(chosen=chosen), self._chosen).fetchall()
            if select and not threads:
                raise UnreadableSource(f"{path}: holds no such {' and '.join(select)}; {self._known(select)}")
            if not select:
                self._report_many()
            channels = WrittenChannels(self._writes, folds)
        self._timeline = CheckpointTimeline(
            channels, [(str(thread), str(namespace or "")) for thread, namespace in threads]
        )
        self._last_row = 0
        self._has_told_waiting = False
        self._done = self._total = 0
        self._is_finished = False

    def _report_many(self) -> None:
        count = self._connection.execute(_THREAD_COUNT).fetchone()[0]
        if count > MANY:
            self.findings.notice(
                str(self._path), f"holds {count:,} threads in one timeline; --select thread=NAME shows one of them"
            )

    def _writes(self, thread: str, namespace: str, identity: str) -> Iterable[tuple[str, str | None, bytes]]:
        if not self._has_writes:
            return ()
        return self._connection.execute(self._writes_query, tuple(map(stored_text, (thread, namespace, identity))))

    def _known(self, select: Mapping[str, str]) -> str:
        parts = self._connection.execute(PARTS_QUERY).fetchall()
        threads = [str(thread) for thread, *_ in parts]
        wanted = select.get("thread")
        if wanted in threads:
            return f"thread {wanted!r} has namespaces {named(str(name or '') for one, name, _ in parts if one == wanted)}"
        return f"it has threads {named(threads)}"

    def read(self) -> Iterator[SourceEntry]:
        """Yield an entry for each checkpoint since the last call."""
        self._is_finished = False
        newest = self._connection.execute("SELECT coalesce(max(rowid), 0) FROM checkpoints").fetchone()[0]
        # Ids order one process's checkpoints only, so what is new is found by the row, and its order by the id.
        found = self._connection.execute(self._order, (*self._chosen, self._last_row, newest))
        rows = array("q", (row[0] for row in found))
        self._last_row = newest
        self._total += len(rows)
        for number in rows:
            self._done += 1
            row = self._connection.execute(_ROW, (number,)).fetchone()
            if row is not None:
                yield from self._entry(row)
        self._is_finished = True
        for message in self._timeline.notices():
            self.findings.notice(str(self._path), message)
        if not self._has_told_waiting:
            self._has_told_waiting = True
            self._report_waiting()

    def _report_waiting(self) -> None:
        """Report writes on the last checkpoints of threads: of tasks that failed, stopped, or were not followed by a step."""
        count = 0
        first = ""
        for thread, namespace, identity in self._timeline.ends() if self._has_writes else ():
            values = tuple(map(stored_text, (thread, namespace, identity)))
            for channel, writes in self._connection.execute(_WAITING, values):
                first = first or f"{channel} of {thread!r}"
                count += writes
        if count:
            named = f"{count} writes on last checkpoints, which no step followed; the first is {first}"
            self.findings.notice(str(self._path), f"in no state: {named}")

    def _entry(self, columns: tuple[Value, ...]) -> Iterator[SourceEntry]:
        row = _row(columns)
        try:
            entry = self._timeline.entry(row, decode_value(columns[4], columns[5]), self._path.stat().st_mtime_ns)
        except UnusableRecord as error:
            self.findings.loss(self._place_of(row.id), f"{error}; it was left out")
            return
        yield entry

    def chain_faults(self, seq_of: SeqOf, total: int, cancelled: Cancelled) -> Iterator[ChainFault]:
        """See `ChainedReader.chain_faults`."""
        parents = self._connection.execute(parents_query(self._where), self._chosen)
        yield from broken_parents(parents, self._place_of, seq_of, cancelled)
        chains = CheckpointChains(self._place_of, seq_of)
        for (number,) in self._connection.execute(self._order, (*self._chosen, 0, self._last_row)):
            if cancelled():
                return
            columns = self._connection.execute(_ROW, (number,)).fetchone()
            if columns is not None:
                yield from chains.visit(link_of(_row(columns), partial(decode_value, columns[4], columns[5])))
        if self._has_writes:
            stray = self._connection.execute(stray_query(self._where, "writes"), self._chosen)
            yield from stray_writes(stray, self._place_of)

    def _place_of(self, identity: str) -> str:
        return f"{self._path}: checkpoint {identity}"

    def progress(self) -> Progress:
        """Say how many checkpoints were read."""
        return Progress(self._done, self._total, self._is_finished)

    def close(self) -> None:
        """Close the database."""
        self._connection.close()


def _row(columns: tuple[Value, ...]) -> CheckpointRow:
    # A damaged or foreign database may hold any type in any column.
    thread, namespace, identity, parent, _, _, metadata = columns
    follows = None if parent is None else str(parent)
    return CheckpointRow(str(thread), str(namespace or ""), str(identity), follows, metadata_of(metadata))


def detect(probe: Probe) -> int:
    """Score a probe: an SQLite file with the saver's table."""
    if probe.shape is not SourceShape.SQLITE:
        return 0
    connection = ForeignDatabase(probe.path)
    try:
        return 90 if columns_of(connection).get("checkpoints", set()) >= _NEEDED else 0
    except sqlite3.Error:
        return 0
    finally:
        connection.close()


def choices(probe: Probe) -> tuple[Choice, ...]:
    """Return the threads and namespaces that can be shown one by one."""
    connection = ForeignDatabase(probe.path)
    try:
        return by_thread(
            (str(thread), str(name or ""), count) for thread, name, count in connection.execute(PARTS_QUERY)
        )
    except sqlite3.Error as error:
        raise UnreadableSource(f"{probe.path}: its threads cannot be listed ({error})") from None
    finally:
        connection.close()


def open_reader(probe: Probe) -> Reader:
    """Read a checkpoint database."""
    return CheckpointReader(probe.path, probe.folds, probe.select)
