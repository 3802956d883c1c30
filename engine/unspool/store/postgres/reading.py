"""`PostgresStore`: histories in a PostgreSQL database, read; a thread listens for new entries."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path
from time import monotonic
from typing import Any, Final, NoReturn

from unspool.codec.records import FULL_CODECS, PackedRecords, Record
from unspool.errors import CorruptHistory, EntryDropped, EntryNotFound, ReadOnlyHistory, UnspoolError
from unspool.files import ScratchFolder
from unspool.model.entries import ChangeKind, Entry, EntryKind, usual_id
from unspool.store.blocks import CHANGE_KINDS, KIND_BITS
from unspool.store.postgres.connection import ServerConnection, Target, load_driver, parse_target
from unspool.store.postgres.tables import (
    FACTS,
    NEWEST,
    WHOLE,
    Gap,
    channel_of,
    facts_row,
    find_history,
    gaps_of,
    identity_of,
    recordings_of,
    row_postings,
    whole_row,
)
from unspool.store.protocol import HOLE_META, Columns, Draft, RecordRun
from unspool.store.recordings import Recording, empty_tally
from unspool.store.tail import row_entry

_BATCH: Final = 4096
"""Rows without records asked for at once."""
_RECORD_BATCH: Final = 128
"""Rows with records asked for at once."""
_BEHIND: Final = 64
"""Deltas behind an entry that are brought along, since whoever looks at one entry steps on to the next."""
_LEAP: Final = 1_000_000
"""New entries at once from which their number is checked: a damaged row may claim any."""
LOOK_S: Final = 2.0
"""Seconds between looks: poolers swallow notifications, and other programs send none."""
_SLICE_S: Final = 0.2
"""How long to wait for a notification before looking whether to stop."""

_PATIENCE_S: Final = 1.0
"""How long `stop` waits for the thread: connecting to a server that does not answer cannot be broken off."""


class PostgresStore:
    """Entries as rows; see `unspool.store.postgres.tables`. Safe to use from several threads; never writes."""

    def __init__(self, link: ServerConnection, history: int, history_id: str, shown: str) -> None:
        """Use `open` instead."""
        self._link = link
        self._history = history
        self._pulse: Pulse | None = None
        self._learning = threading.Lock()
        self._names: list[str] = []
        self._numbers: dict[str, int] = {}
        self._count = 0
        self._gaps: tuple[Gap, ...] = ()
        self._noted_gaps = 0
        self._size = (-1, 0)
        self.name = shown
        self.history_id = history_id
        self.takes_frames = True
        self.refresh()

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
        return cls.at(parse_target(address))

    @classmethod
    def at(cls, target: Target, *, silence_s: float | None = None) -> PostgresStore:
        """Open a history whose address was taken apart already; see `open`, and `connect` for `silence_s`."""
        link = ServerConnection(target, read_only=True, silence_s=silence_s)
        try:
            history, history_id = link.ask(lambda connection: find_history(connection, target))
            return cls(link, history, history_id, target.shown)
        except BaseException:
            link.close()
            raise

    @property
    def watch_paths(self) -> tuple[Path, ...]:
        """A file that changes whenever there may be new entries; a thread listens to the server from the first call on."""
        if self._pulse is None:
            newest = (NEWEST, (self._history, self._history))
            self._pulse = Pulse(self._link.target, channel_of(self._history), newest)
        return (self._pulse.path,)

    def __len__(self) -> int:
        return self._count

    def refresh(self) -> int:
        """See `Store.refresh`."""
        with self._learning:
            last, noted = self._link.fetch(NEWEST, (self._history, self._history))[0]
            if noted != self._noted_gaps:
                self._gaps = self._link.ask(lambda connection: gaps_of(connection, self._history))
                self._noted_gaps = noted
            count = max(-1 if last is None else last, self._gaps[-1].last if self._gaps else -1) + 1
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
        held += sum(gap.last - gap.first + 1 for gap in self._gaps)
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
        found: list[Entry] = []
        for row in rows:
            found.extend(self._hole(seq) for seq in range(start + len(found), row.seq))
            found.append(row_entry(row, self.history_id))
        found.extend(self._hole(seq) for seq in range(start + len(found), stop))
        return found

    def _hole(self, seq: int) -> Entry:
        """Return what stands for an entry that never arrived.

        Raises:
            CorruptHistory: it is not said to be missing.
        """
        gap = self._gap_at(seq)
        if gap is None:
            self._raise_absent(seq)
        before = seq - 1 if seq else None
        told = {"first": gap.first, "last": gap.last, "why": gap.why}
        return Entry(
            seq=seq, id=usual_id(self.history_id, seq), kind=EntryKind.DELTA, base_seq=before, timestamp_ns=gap.time_ns,
            action=f"hole: {gap.why}", added=0, modified=0, deleted=0, stored_bytes=0, full_bytes=0,
            meta={HOLE_META: told}, parent_seq=before,
        )  # fmt: skip

    def _gap_at(self, seq: int) -> Gap | None:
        return next((gap for gap in self._gaps if gap.first <= seq <= gap.last), None)

    def _raise_absent(self, seq: int) -> NoReturn:
        """Say why there is no row of an entry.

        Raises:
            EntryDropped: it never arrived.
            CorruptHistory: its row is gone.
        """
        gap = self._gap_at(seq)
        if gap is None:
            raise CorruptHistory(f"entry {seq} is missing: its row is gone; restore the table from a backup", seq=seq)
        span = f"entry {gap.first}" if gap.first == gap.last else f"entries {gap.first} to {gap.last}"
        text = f"entry {seq} never arrived ({span}: {gap.why}); go to another entry"
        raise EntryDropped(text, seq=seq, last=gap.last, why=gap.why)

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
            "SELECT (SELECT max(seq) FROM unspool.entry WHERE history = %s AND seq <= %s AND codec = ANY(%s)), "
            "(SELECT min(seq) FROM unspool.entry WHERE history = %s AND seq > %s AND seq <= %s AND codec = ANY(%s))"
        )
        full = list(FULL_CODECS)
        chain = (self._history, seq, full, self._history, seq, seq + _BEHIND, full)
        first, following = self._link.fetch(bounds, chain)[0]
        if self._gap_at(seq) is not None:
            self._raise_absent(seq)
        if first is None:
            self._raise_absent(0)
        stop = min(seq + 1 + _BEHIND, self._count) if following is None else following
        records: list[Record] = []
        for values in self._rows(WHOLE, first, stop):
            try:
                row = whole_row(values)
                if row.seq != first + len(records):
                    self._raise_absent(first + len(records))
            except CorruptHistory:
                if len(records) <= seq - first:
                    raise
                # Damage behind the entry is reported when somebody goes there.
                break
            records.append(row.record)
        if len(records) <= seq - first:
            self._raise_absent(first + len(records))
        return RecordRun(first, PackedRecords.of(records))

    def changed(self, seq: int) -> tuple[tuple[str, ChangeKind], ...]:
        """See `Store.changed`."""
        if not 0 <= seq < self._count:
            raise EntryNotFound(f"{self.name} has no entry {seq}: it has {self._count}")
        rows = self._rows(FACTS, seq, seq + 1)
        if not rows:
            self._raise_absent(seq)
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
        """See `Store.intern`; a history that is read gives no new numbers."""
        raise self._read_only()

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
            ReadOnlyHistory: always; a recorder appends by way of a spool.
        """
        raise self._read_only()

    def _read_only(self) -> ReadOnlyHistory:
        return ReadOnlyHistory(f"{self.name}: opened for reading; use Recorder to append")

    def recordings(self) -> tuple[Recording, ...]:
        """Return with which settings the history was recorded."""
        return recordings_of(self._link, self._history)

    def identity(self) -> dict[str, str]:
        """Return the identity keys that the history was told to compare its lists by."""
        return identity_of(self._link, self._history)

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
        """See `Store.close`."""
        if self._pulse is not None:
            self._pulse.stop()
        self._link.close()


class Pulse:
    """Listens to a server from a thread, over a connection of its own.

    Attributes:
        path: the file; it grows by a byte whenever there may be more.
    """

    def __init__(self, target: Target, channel: str | None, fingerprint: tuple[str, tuple[object, ...]]) -> None:
        """Begin to listen.

        Args:
            target: what to listen to.
            channel: the notifications to wait for; None where nobody sends any.
            fingerprint: a query and its values; what it returns differs once there is more.
        """
        self._folder = ScratchFolder()
        # Named like a database's side file, so that nobody takes it for the history itself.
        self.path = self._folder.path / "pulse-wal"
        self.path.touch()
        self._target = target
        self._channel = channel
        self._fingerprint = fingerprint
        self._seen: object = None
        self._is_stopping = threading.Event()
        self._thread = threading.Thread(target=self._work, name="unspool-postgres", daemon=True)
        self._thread.start()

    def _work(self) -> None:
        driver = load_driver()
        settings = () if self._channel is None else (f"LISTEN {self._channel}",)
        link: ServerConnection | None = None
        while not self._is_stopping.is_set():
            try:
                link = link or ServerConnection(self._target, read_only=True, settings=settings)
                self._look(link)
                self._wait(link)
            except (UnspoolError, driver.Error):
                # The server is away; readers find out by their own connection.
                self._is_stopping.wait(LOOK_S)
        if link is not None:
            link.close()

    def _look(self, link: ServerConnection) -> None:
        now = link.fetch(*self._fingerprint)
        if now != self._seen:
            self._seen = now
            with contextlib.suppress(OSError), self.path.open("ab") as stream:
                stream.write(b".")

    def _wait(self, link: ServerConnection) -> None:
        """Return when it is time to look again."""
        if self._channel is None:
            self._is_stopping.wait(LOOK_S)
            return
        end = monotonic() + LOOK_S
        while monotonic() < end and not self._is_stopping.is_set() and not link.call(_was_told):
            pass

    def stop(self) -> None:
        """Listen no more; stopping twice is fine. A thread that waits for a server that is away ends by itself."""
        self._is_stopping.set()
        self._thread.join(_PATIENCE_S)
        self._folder.close()


def _was_told(connection: Any) -> bool:
    # Entries that come in a burst are reported once.
    return any(True for _ in connection.notifies(timeout=_SLICE_S, stop_after=1))
