"""`PostgresStore`: histories in a PostgreSQL database, many of them, each with one writer and many readers at a time."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from unspool.codec.records import PackedRecords, Record, RecordCodec
from unspool.errors import CorruptHistory, EntryNotFound, ReadOnlyHistory
from unspool.model.entries import ChangeKind, Entry
from unspool.store.blocks import CHANGE_KINDS, KIND_BITS
from unspool.store.postgres_link import Link
from unspool.store.postgres_notes import identity_of, note_identity, note_recording, recordings_of
from unspool.store.postgres_pulse import Pulse
from unspool.store.postgres_rows import FACTS, WHOLE, facts_row, row_postings, whole_row
from unspool.store.postgres_schema import find_history
from unspool.store.postgres_target import parse_target
from unspool.store.postgres_writer import PostgresWriter, channel_of
from unspool.store.protocol import Columns, Draft, RecordRun
from unspool.store.recordings import Recording
from unspool.store.tail import row_entry
from unspool.store.tally import empty_tally

_BATCH: Final = 4096
"""Rows without records asked for at once."""
_RECORD_BATCH: Final = 128
"""Rows with records asked for at once."""
_BEHIND: Final = 64
"""Deltas behind an entry that are brought along, since whoever looks at one entry steps on to the next."""
_LEAP: Final = 1_000_000
"""New entries at once from which their number is checked: a damaged row may claim any."""
_FULL: Final = (int(RecordCodec.NONE), int(RecordCodec.COMPRESS))


class PostgresStore:
    """Entries as rows; see `unspool.store.postgres_schema` for the tables. Safe to use from several threads."""

    def __init__(self, link: Link, history: int, history_id: str, shown: str, writer: PostgresWriter | None) -> None:
        """Use `open` or `create` instead."""
        self._link = link
        self._history = history
        self._writer = writer
        self._pulse: Pulse | None = None
        self._learning = threading.Lock()
        self._names: list[str] = []
        self._numbers: dict[str, int] = {}
        self._count = 0
        self._size = (-1, 0)
        self.name = shown
        self.history_id = history_id
        self.refresh()
        if writer is not None:
            writer.begin(self._count, self._names, self._numbers)

    @classmethod
    def open(cls, address: str) -> PostgresStore:
        """Open a history for reading.

        Args:
            address: `postgresql://USER@HOST/DATABASE?history=NAME`; the name may be left out where there is one only.

        Raises:
            UnreadableSource: the server cannot be reached, or holds no such history.
            NewerSchema: a newer unspool wrote it.
            MissingExtra: psycopg is not installed.
        """
        target = parse_target(address)
        link = Link(target, read_only=True)
        try:
            history, history_id = link.ask(lambda connection: find_history(connection, target))
            return cls(link, history, history_id, target.shown, None)
        except BaseException:
            link.close()
            raise

    @classmethod
    def create(cls, address: str, *, durability: str = "default") -> PostgresStore:
        """Open a history for appending; it and its tables are made where they are missing.

        Args:
            address: `postgresql://USER@HOST/DATABASE?history=NAME`.
            durability: `default` and `fast`: an entry whose `append` returned survives a kill of this process, and a
                crash of the server may cost the last moments. `full`: it survives that too.

        Raises:
            HistoryLocked: another recorder writes to it.
            UnreadableSource: the server cannot be reached, or refused.
            ConfigError: an unknown durability, or no history is named.
            NewerSchema, MissingExtra: see `open`.
        """
        target = parse_target(address)
        writer = PostgresWriter(target, durability)
        try:
            return cls(writer.link, writer.history, writer.history_id, target.shown, writer)
        except BaseException:
            writer.link.close()
            raise

    @property
    def watch_paths(self) -> tuple[Path, ...]:
        """A file that changes whenever there may be new entries; a thread listens to the server from the first call on."""
        if self._pulse is None:
            newest = "SELECT max(seq) FROM unspool.entry WHERE history = %s"
            self._pulse = Pulse(self._link.target, channel_of(self._history), (newest, (self._history,)))
        return (self._pulse.path,)

    def __len__(self) -> int:
        return self._count

    def refresh(self) -> int:
        """See `Store.refresh`."""
        with self._learning:
            rows = self._link.fetch("SELECT max(seq) FROM unspool.entry WHERE history = %s", (self._history,))
            count = 0 if rows[0][0] is None else rows[0][0] + 1
            new = count - self._count
            if new <= 0:
                return 0
            self._check_leap(count)
            self._learn_names()
            self._count = count
            return new

    def _check_leap(self, count: int) -> None:
        if count - self._count < _LEAP:
            return
        held = self._link.fetch("SELECT count(*) FROM unspool.entry WHERE history = %s", (self._history,))[0][0]
        if count != held:
            raise CorruptHistory(f"{self.name}: it claims {count} entries but holds {held}; restore it from a backup")

    def _learn_names(self) -> None:
        query = "SELECT id, name FROM unspool.atom WHERE history = %s AND id >= %s ORDER BY id"
        for number, data in self._link.fetch(query, (self._history, len(self._names))):
            if number != len(self._names):
                raise CorruptHistory(f"{self.name}: atom {len(self._names)} is missing from the table of names")
            name = bytes(data).decode("utf-8", "surrogatepass")
            self._numbers[name] = number
            self._names.append(name)

    def entries(self, start: int, stop: int) -> list[Entry]:
        """See `Store.entries`."""
        start, stop = max(start, 0), min(stop, self._count)
        rows = [facts_row(values) for values in self._rows(FACTS, start, stop)] if start < stop else []
        for place, row in enumerate(rows):
            if row.seq != start + place:
                raise _missing(start + place)
        if len(rows) < stop - start:
            raise _missing(start + len(rows))
        return [row_entry(row, self.history_id) for row in rows]

    def _rows(self, query: str, start: int, stop: int) -> list[tuple[Any, ...]]:
        where = query + "WHERE history = %s AND seq >= %s AND seq < %s ORDER BY seq"
        return self._link.fetch(where, (self._history, start, stop))

    def fill(self, columns: Columns) -> None:
        """See `Store.fill`."""
        for start in range(len(columns), self._count, _BATCH):
            stop = min(start + _BATCH, self._count)
            for values in self._rows(FACTS, start, stop):
                try:
                    row = facts_row(values)
                except CorruptHistory:
                    continue
                columns.add_holes(row.seq)
                columns.append(row_entry(row, self.history_id), row.record.codec)
            columns.add_holes(stop)

    def run(self, seq: int) -> RecordRun:
        """See `Store.run`."""
        if not 0 <= seq < self._count:
            raise EntryNotFound(f"{self.name} has no entry {seq}: it has {self._count}")
        bounds = (
            "SELECT (SELECT max(seq) FROM unspool.entry WHERE history = %s AND seq <= %s AND codec IN (%s, %s)), "
            "(SELECT min(seq) FROM unspool.entry WHERE history = %s AND seq > %s AND seq <= %s AND codec IN (%s, %s))"
        )
        chain = (self._history, seq, *_FULL)
        first, following = self._link.fetch(bounds, (*chain, self._history, seq, seq + _BEHIND, *_FULL))[0]
        if first is None:
            raise _missing(0)
        stop = min(seq + 1 + _BEHIND, self._count) if following is None else following
        records: list[Record] = []
        for values in self._rows(WHOLE, first, stop):
            try:
                row = whole_row(values)
                if row.seq != first + len(records):
                    raise _missing(first + len(records))
            except CorruptHistory:
                if len(records) <= seq - first:
                    raise
                # Damage behind the entry is told when somebody goes there.
                break
            records.append(row.record)
        if len(records) <= seq - first:
            raise _missing(first + len(records))
        return RecordRun(first, PackedRecords.of(records))

    def changed(self, seq: int) -> tuple[tuple[str, ChangeKind], ...]:
        """See `Store.changed`."""
        if not 0 <= seq < self._count:
            raise EntryNotFound(f"{self.name} has no entry {seq}: it has {self._count}")
        rows = self._rows(FACTS, seq, seq + 1)
        if not rows:
            raise _missing(seq)
        try:
            postings = facts_row(rows[0]).changed
            return tuple((self._names[item >> KIND_BITS], CHANGE_KINDS[item & 3]) for item in postings)
        except IndexError:
            raise CorruptHistory(f"entry {seq} names an atom that the history does not know", seq=seq) from None

    def writes(self, atom: str, start: int, stop: int, *, backwards: bool = False) -> Iterator[int]:
        """See `Store.writes`; one batch of rows is read at a time, so taking only the first hit is cheap."""
        number = self._numbers.get(atom)
        start, stop = max(start, 0), min(stop, self._count)
        if number is None or start >= stop:
            return
        batches = range(start, stop, _BATCH)
        for first in reversed(batches) if backwards else batches:
            rows = self._rows("SELECT seq, changed FROM unspool.entry ", first, min(first + _BATCH, stop))
            for seq, changed in reversed(rows) if backwards else rows:
                if any(item >> KIND_BITS == number for item in row_postings(changed, seq)):
                    yield seq

    def shares(self, problems: list[str]) -> dict[str, tuple[int, int]]:
        """See `Store.shares`; every checksum is compared."""
        tally = empty_tally()
        for start in range(0, self._count, _RECORD_BATCH):
            for values in self._rows(WHOLE, start, min(start + _RECORD_BATCH, self._count)):
                try:
                    tally.add((whole_row(values),))
                except CorruptHistory as error:
                    problems.append(str(error))
        known = [number for number in {**tally.spent, **tally.changes} if number < len(self._names)]
        return {self._names[number]: (tally.changes.get(number, 0), tally.spent.get(number, 0)) for number in known}

    def intern(self, atom: str) -> int:
        """See `Store.intern`; only a history opened with `create` gives new numbers."""
        return self._writing().intern(atom)

    def atom_number(self, atom: str) -> int | None:
        """See `Store.atom_number`."""
        return self._numbers.get(atom)

    def atom_name(self, number: int) -> str:
        """See `Store.atom_name`."""
        try:
            return self._names[number]
        except IndexError:
            raise KeyError(number) from None

    def append(self, draft: Draft) -> int:
        """See `Store.append`.

        Raises:
            ReadOnlyHistory: the history was opened for reading.
            StorageFailed: the server refused, or is gone.
            HistoryLocked: the connection was lost, and another recorder has taken the history over.
        """
        seq = self._writing().append(draft)
        self._count = seq + 1
        return seq

    def note_recording(self, strategy: str, codec: str) -> None:
        """Keep the settings that entries from here on are written with; see `Recording`.

        Raises:
            ReadOnlyHistory, StorageFailed: see `append`.
        """
        self._writing().note(note_recording, Recording(self._count, strategy, codec))

    def note_identity(self, identity: Mapping[str, str]) -> None:
        """Keep the identity keys of lists that were set by hand, in place of those kept before.

        Raises:
            ReadOnlyHistory, StorageFailed: see `append`.
        """
        self._writing().note(note_identity, identity)

    def recordings(self) -> tuple[Recording, ...]:
        """Return with which settings the history was recorded."""
        return recordings_of(self._link, self._history)

    def identity(self) -> dict[str, str]:
        """Return the identity keys that the history was told to compare its lists by."""
        return identity_of(self._link, self._history)

    def _writing(self) -> PostgresWriter:
        if self._writer is None:
            raise ReadOnlyHistory(f"{self.name}: opened for reading; use Recorder or PostgresStore.create to append")
        return self._writer

    def file_bytes(self) -> int:
        """See `Store.file_bytes`: what the rows take, as PostgreSQL compressed them."""
        if self._size[0] != self._count:
            query = (
                "SELECT coalesce(sum(pg_column_size(record) + pg_column_size(entry.*)), 0)::bigint "
                "FROM unspool.entry WHERE history = %s"
            )
            self._size = (self._count, self._link.fetch(query, (self._history,))[0][0])
        return self._size[1]

    def close(self) -> None:
        """See `Store.close`; the history is free for another recorder then."""
        if self._pulse is not None:
            self._pulse.stop()
        self._link.close()


def _missing(seq: int) -> CorruptHistory:
    return CorruptHistory(f"entry {seq} is missing: its row is gone; restore the table from a backup", seq=seq)
