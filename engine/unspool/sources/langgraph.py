"""LangGraph checkpoints in SQLite: one entry a checkpoint, its channels the atoms."""

from __future__ import annotations

import sqlite3
from array import array
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Final

from unspool.errors import UnreadableSource
from unspool.history.verdict import Cancelled, ChainFault
from unspool.model.values import Value
from unspool.sources.chains import SeqOf
from unspool.sources.choices import MANY, Choice, by_thread, named
from unspool.sources.entries import Progress, Reader, SourceEntry, UnusableRecord
from unspool.sources.findings import Findings
from unspool.sources.langgraph_chains import (
    CheckpointChains,
    broken_parents,
    link_of,
    parents_query,
    stray_query,
    stray_writes,
)
from unspool.sources.langgraph_channels import WrittenChannels
from unspool.sources.langgraph_timeline import (
    CheckpointRow,
    Timeline,
    metadata_of,
    selection,
)
from unspool.sources.langgraph_values import decode_value
from unspool.sources.probe import Probe, Shape
from unspool.sources.sqlite_files import (
    TEXT,
    ForeignDatabase,
    columns_of,
    first_look,
    side_files,
    stored_text,
    tell_of_log,
    tell_of_other_tables,
)

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
_PARTS: Final = (
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
        tell_of_log(path, self.findings)
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
            tell_of_other_tables(self._connection, path, tables, _TABLES, self.findings)
            self._has_writes = "writes" in tables
            task_path = "task_path" if "task_path" in tables.get("writes", set()) else "''"
            self._writes_query = _WRITES.format(path=task_path)
            threads = self._connection.execute(_THREADS.format(chosen=chosen), self._chosen).fetchall()
            if select and not threads:
                raise UnreadableSource(f"{path}: holds no such {' and '.join(select)}; {self._known(select)}")
            if not select:
                self._tell_many()
            channels = WrittenChannels(self._writes, folds)
        self._timeline = Timeline(channels, [(str(thread), str(namespace or "")) for thread, namespace in threads])
        self._last_row = 0
        self._has_told_waiting = False
        self._done = self._total = 0
        self._is_finished = False

    def _tell_many(self) -> None:
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
        parts = self._connection.execute(_PARTS).fetchall()
        threads = [str(thread) for thread, *_ in parts]
        wanted = select.get("thread")
        if wanted in threads:
            return f"thread {wanted!r} has namespaces {named(str(name or '') for one, name, _ in parts if one == wanted)}"
        return f"it has threads {named(threads)}"

    def read(self) -> Iterator[SourceEntry]:
        """Yield an entry for each checkpoint since the last call."""
        self._is_finished = False
        newest = self._connection.execute("SELECT coalesce(max(rowid), 0) FROM checkpoints").fetchone()[0]
        # Ids order one process's checkpoints only, so what is new is told by the row, and its order by the id.
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
            self._tell_waiting()

    def _tell_waiting(self) -> None:
        """Tell of writes on the last checkpoints of threads: of tasks that failed, stopped, or were not followed by a step."""
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
                yield from chains.see(link_of(_row(columns), partial(decode_value, columns[4], columns[5])))
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
    if probe.shape is not Shape.SQLITE:
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
        return by_thread((str(thread), str(name or ""), count) for thread, name, count in connection.execute(_PARTS))
    except sqlite3.Error as error:
        raise UnreadableSource(f"{probe.path}: its threads cannot be listed ({error})") from None
    finally:
        connection.close()


def open_reader(probe: Probe) -> Reader:
    """Read a checkpoint database."""
    return CheckpointReader(probe.path, probe.folds, probe.select)
