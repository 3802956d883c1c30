"""One connection that brings spooled entries into their history, each exactly once."""

from __future__ import annotations

import os
import socket
import time
from array import array
from collections.abc import Callable, Mapping
from contextlib import suppress
from itertools import chain
from typing import Any, Final, TypeVar

from unspool.codec.records import Record, RecordCodec, encode_full, note_record, renumbered, replay, write_atoms
from unspool.errors import CorruptHistory, EntryNotFound, HistoryLocked, StorageFailed, UnreadableSource
from unspool.model.encoding import encode
from unspool.model.entries import CONTEXT, SAME
from unspool.model.values import Value
from unspool.store.blocks import KIND_BITS, TailRow, pack_postings, posting
from unspool.store.layout_1 import row_checksum
from unspool.store.postgres.connection import Target, connect, load_driver
from unspool.store.postgres.reading import PostgresStore
from unspool.store.postgres.spool import NOTE, SpoolFile, note_in
from unspool.store.postgres.tables import (
    LOCK_SPACE,
    NEWEST,
    Gap,
    ShippingMark,
    allow_notes,
    begin_history,
    channel_of,
    drop_mark,
    gaps_of,
    has_history,
    insert_of,
    make_tables,
    marks_of,
    move_mark,
    note_gap,
    note_identity,
    note_recording,
)
from unspool.store.recordings import Recording

R = TypeVar("R")

_SILENCE_S: Final = 8.0
"""Seconds without any sign of life after which a server counts as frozen."""
_SETTINGS: Final = (
    # What was shipped is deleted here, so it must survive a crash there.
    "SET synchronous_commit = on",
    "SET statement_timeout = '60s'",
    "SET lock_timeout = '5s'",
    "SET idle_in_transaction_session_timeout = '60s'",
    # The lock of a history must not outlive a recorder whose network was cut.
    "SET tcp_keepalives_idle = 10",
    "SET tcp_keepalives_interval = 5",
    "SET tcp_keepalives_count = 3",
)
_INSERT_NAMES: Final = (
    "INSERT INTO unspool.atom(history, id, name) SELECT %s, number, name FROM unnest(%s::int[], %b::bytea[]) "
    "AS fresh(number, name)"
)
_SERVERS_OWN: Final = frozenset(
    ("08", "0A", "25", "26", "28", "3D", "3F", "40", "42", "53", "55", "57", "58", "F0", "HV")
)
"""Classes of errors that say nothing of the entry at hand, so that trying again later may help."""
_SERVERS_OWN_CODES: Final = frozenset(("XX001", "XX002"))
_LAYOUT_CODES: Final = frozenset(("23503", "23505"))
"""Violations of keys, which the tables of unspool have for numbers only."""
_SLICE: Final = 8
"""Entries worked on before the app's own threads get their turn."""
_PAUSE_S: Final = 0.0002
MOST_ROWS: Final = 128
_MOST_BYTES: Final = 512 << 10
"""Entries, or bytes of their records, that are stored in one transaction."""


class EntryRefused(StorageFailed):
    """The server refuses what an entry holds, and would again."""


class HistoryDeleted(StorageFailed):
    """Somebody deleted the history while it was recorded."""


class Session:
    """The one writer of a history: it holds an advisory lock for as long as its connection lives.

    Attributes:
        history_id: what tells the history from all others.
        count: number that the next entry gets.
        marks: how far each lane was shipped.
    """

    def __init__(self, target: Target, history: int = 0) -> None:
        """Connect, make what is missing, take the lock, and learn what the server has.

        Args:
            target: the history.
            history: its number where it is known: another one of that name is not gone on with. 0 otherwise.

        Raises:
            HistoryLocked: another recorder writes to it.
            HistoryDeleted: it is no longer there.
            UnreadableSource, NewerSchema, MissingExtra: the server cannot be reached, or refused.
        """
        assert target.history is not None
        self._target = target
        self._driver = load_driver()
        self._connection = connect(target, silence_s=_SILENCE_S)
        try:
            self.history, self.history_id = self._ask(lambda: self._begin(history, target.history or ""))
            self._ask(self._learn)
        except BaseException:
            self.close()
            raise

    def _begin(self, history: int, name: str) -> tuple[int, str]:
        connection = self._connection
        for statement in _SETTINGS:
            connection.execute(statement)
        make_tables(connection, self._target)
        if history and not has_history(connection, history):
            raise HistoryDeleted(f"{self._target.shown}: somebody deleted it; open it again to begin anew")
        found, history_id = begin_history(connection, name)
        query = "SELECT pg_try_advisory_lock(%s, %s)"
        if not connection.execute(query, (LOCK_SPACE, found)).fetchone()[0]:
            raise HistoryLocked(
                f"{self._target.shown}: another recorder writes to it; close that one, or name another"
            )
        return found, history_id

    def _learn(self) -> None:
        connection, history = self._connection, self.history
        last, _ = connection.execute(NEWEST, (history, history)).fetchone()
        gaps = gaps_of(connection, history)
        self._gap_stop = gaps[-1].last + 1 if gaps else 0
        self.count = max(0 if last is None else last + 1, self._gap_stop)
        query = "SELECT id, name FROM unspool.atom WHERE history = %s"
        rows = connection.execute(query, (history,)).fetchall()
        self._numbers = {bytes(name).decode("utf-8", "surrogatepass"): number for number, name in rows}
        self.marks = marks_of(connection, history)

    def mark(self, lane: str) -> ShippingMark:
        """Return how far a lane was shipped."""
        return self.marks.get(lane) or ShippingMark()

    def state(self, seq: int) -> dict[str, bytes] | None:
        """Return the state at an entry that was committed, as wire forms by atom; None where it does not read.

        Raises:
            UnreadableSource: the server is gone.
        """
        if seq < 0:
            return {}
        store = PostgresStore.at(self._target, silence_s=_SILENCE_S)
        try:
            return replay(store.run(seq), seq, store.atom_name)
        except (CorruptHistory, EntryNotFound):
            return None
        finally:
            store.close()

    def number_of(self, atom: str) -> int | None:
        """Return an atom's number."""
        return self._numbers.get(atom)

    @property
    def atoms(self) -> int:
        """How many atoms have numbers."""
        return len(self._numbers)

    def stands_after_gap(self, seq: int) -> bool:
        """Whether the entry before one never arrived."""
        return 0 < seq == self._gap_stop

    def ship(self, segment: SpoolFile, place: int) -> int:
        """Store entries of a segment from a place on, and return how many; all or none of them.

        Raises:
            EntryRefused: the server refuses one of them.
            UnreadableSource: the server is gone, or refuses everything.
            CorruptHistory, StorageFailed: the segment does not read, or was dropped.
        """
        return self._ship(segment, place, MOST_ROWS)

    def ship_one(self, segment: SpoolFile, place: int) -> int:
        """Store one entry of a segment; see `ship`."""
        return self._ship(segment, place, 1)

    def _ship(self, segment: SpoolFile, place: int, most: int) -> int:
        batch = _Batch(self, segment)
        stop = min(segment.stop, place + most)
        while place < stop and batch.size < _MOST_BYTES:
            for row in segment.rows(place)[: stop - place]:
                batch.add(row, place)
                place += 1
                if len(batch.values) % _SLICE == 0:
                    time.sleep(_PAUSE_S)
        if batch.values:
            self._ask(lambda: self._store(batch))
            self._numbers.update(batch.fresh)
            self._moved(batch.lane, batch.mark, self.count + len(batch.values))
        return len(batch.values)

    def _store(self, batch: _Batch) -> None:
        connection, history = self._connection, self.history
        with connection.transaction():
            self._move(batch.lane, batch.mark)
            if batch.has_notes:
                allow_notes(connection)
            if batch.fresh:
                names = [name.encode("utf-8", "surrogatepass") for name in batch.fresh]
                connection.execute(_INSERT_NAMES, (history, list(batch.fresh.values()), names))
            for start in range(0, len(batch.values), _SLICE):
                values = batch.values[start : start + _SLICE]
                connection.execute(insert_of(len(values)), list(chain.from_iterable(values)))
                time.sleep(_PAUSE_S)
            for recording in batch.recordings:
                note_recording(connection, history, recording)
            if batch.identity is not None:
                note_identity(connection, history, batch.identity)
            connection.execute("SELECT pg_notify(%s, '')", (channel_of(history),))

    def skip(self, lane: str, stop: int, why: str, time_ns: int) -> int:
        """Note that the entries of a lane from its mark up to a place never arrive; return how many.

        Raises:
            UnreadableSource: the server is gone, or refuses.
        """
        mark = self.mark(lane)
        count = stop - mark.next
        gap = Gap(self.count, self.count + count - 1, why, time_ns)
        moved = mark.moved(stop, self.count)

        def work() -> None:
            with self._connection.transaction():
                self._move(lane, moved)
                note_gap(self._connection, self.history, gap)
                self._connection.execute("SELECT pg_notify(%s, '')", (channel_of(self.history),))

        self._ask(work)
        self._moved(lane, moved, gap.last + 1)
        self._gap_stop = gap.last + 1
        return count

    def forget(self, lane: str) -> None:
        """Forget a lane of which nothing is left here either.

        Raises:
            UnreadableSource: the server is gone, or refuses.
        """
        if lane in self.marks:
            self._ask(lambda: drop_mark(self._connection, self.history, lane))
            del self.marks[lane]

    def _move(self, lane: str, mark: ShippingMark) -> None:
        if not move_mark(self._connection, self.history, lane, self.marks.get(lane), mark):
            raise UnreadableSource(f"{self._target.shown}: another process shipped the same entries; it goes on")

    def _moved(self, lane: str, mark: ShippingMark, count: int) -> None:
        self.marks[lane] = mark
        self.count = count

    def _ask(self, work: Callable[[], R]) -> R:
        try:
            return work()
        except self._driver.Error as error:
            said = self._target.inert(str(error))
            if self._is_about_entry(error):
                raise EntryRefused(f"{self._target.shown}: the server refuses it ({said})") from None
            raise UnreadableSource(
                f"{self._target.shown}: cannot be written ({said}); check the server and the user's rights"
            ) from None

    def _is_about_entry(self, error: Any) -> bool:
        if self._connection.closed:
            return False
        code = error.sqlstate
        if code is None:
            return isinstance(error, self._driver.DataError)
        if code in _LAYOUT_CODES and error.diag.schema_name == "unspool":
            # Not the entry is wrong: the history was deleted, or somebody writes to it without the lock.
            return False
        return code[:2] not in _SERVERS_OWN and code not in _SERVERS_OWN_CODES

    def cut(self) -> None:
        """Break off whatever waits for the server, from another thread."""
        with suppress(OSError, self._driver.Error):
            copy = socket.socket(fileno=os.dup(self._connection.fileno()))
            try:
                copy.shutdown(socket.SHUT_RDWR)
            finally:
                copy.close()

    def close(self) -> None:
        """Disconnect; the history is free for another recorder then."""
        self._connection.close()


class _Batch:
    """Entries as the server will have them, to be stored in one transaction.

    Attributes:
        lane: whose they are.
        mark: the lane's mark after them.
        values: what `insert_of` binds, an entry each.
        size: bytes of their records.
        fresh: atoms that the server does not know yet, with the numbers they get.
        recordings: settings that apply from some entry on.
        identity: identity keys to be kept from now on; None to leave them.
        has_notes: whether any of them is a note.
    """

    def __init__(self, session: Session, segment: SpoolFile) -> None:
        """Start with no entry."""
        self._session = session
        self._segment = segment
        self.lane = segment.lane
        self.mark = session.mark(segment.lane)
        self.values: list[tuple[Any, ...]] = []
        self.size = 0
        self.fresh: dict[str, int] = {}
        self.recordings: list[Recording] = []
        self.identity: Mapping[str, str] | None = None
        self.has_notes = False

    def add(self, row: TailRow, place: int) -> None:
        """Take the next entry of the segment.

        Raises:
            CorruptHistory: its record or those before it are damaged.
        """
        session = self._session
        seq = session.count + len(self.values)
        meta = dict(row.extra.get("meta") or {})
        note = note_in(meta)
        meta.pop(NOTE, None)
        if "given" in note:
            meta[NOTE] = note["given"]
        self._take_settings(note, seq)
        previous = self.mark.number_of(place - 1)
        follows = place == 0 or previous == seq - 1
        parent = self._parent(row, note)
        if parent is None and not follows:
            # Somebody else appended in between, so that this entry continues an earlier one.
            parent = previous
        if not follows and meta.get(CONTEXT) is SAME:
            # The entry before it is another one here.
            del meta[CONTEXT]
        is_severed = not follows or session.stands_after_gap(seq)
        if row.record.codec.is_note:
            record, changes = self._note(place, stands_alone=is_severed or not seq), array("I")
        else:
            record = self._record(row.record, place, is_severed=is_severed)
            changes = self._changed(row, note, place, seq, parent)
        changed = pack_postings(changes)
        extra: dict[str, Value] = {"id": row.extra["id"]} if row.extra.get("id") else {}
        if parent is not None and parent != seq - 1:
            extra["parent"] = parent
            if "part" in row.extra:
                extra["part"] = row.extra["part"]
        if meta:
            extra["meta"] = meta
        packed = encode(extra) if extra else None
        facts = (row.time_ns, int(record.codec), row.full_bytes)
        crc = row_checksum(*facts, row.action, changed, packed, record.payload)
        entry = (session.history, seq, *facts, row.action.encode(), changed, packed, record.payload, crc)
        self.values.append(entry)
        self.size += len(record.payload)
        self.mark = self.mark.moved(place + 1, seq)

    def _take_settings(self, note: Mapping[str, Any], seq: int) -> None:
        settings = note.get("settings")
        if settings is not None:
            self.recordings.append(Recording(seq, *settings))
        if note.get("identity") is not None:
            self.identity = note["identity"]

    def _parent(self, row: TailRow, note: Mapping[str, Any]) -> int | None:
        """Return the number of the entry that one follows; None for the one before it, or where it is not known."""
        if "parent" in note:
            lane, place = note["parent"]
            if not lane:
                return int(place) if place < self._session.count else None
            mark = self.mark if lane == self.lane else self._session.mark(lane)
            return mark.number_of(place)
        local = row.extra.get("parent")
        return None if local is None else self.mark.number_of(self._segment.first + local)

    def _note(self, place: int, *, stands_alone: bool) -> Record:
        """Return the record of a note: what the recorder took for the state at it counts only where nothing else tells."""
        self.has_notes = True
        return note_record(self._segment.state(place) if stands_alone else None, self._intern)

    def _record(self, record: Record, place: int, *, is_severed: bool) -> Record:
        """Return an entry's record with the server's numbers; whole where the entry it stands on is not before it."""
        if is_severed and not record.codec.is_full:
            return Record(RecordCodec.NONE, encode_full(self._segment.state(place), self._intern))
        return renumbered(record, self._number)

    def _changed(self, row: TailRow, note: Mapping[str, Any], place: int, seq: int, parent: int | None) -> array[int]:
        """Return what an entry changed; worked out anew where the recorder did not see the entry that it follows."""
        is_known = not (note.get("away") and "part" not in row.extra) and (
            "before" not in note or note["before"] == seq
        )
        # Of this batch only notes can stand before an entry whose predecessor the recorder did not know.
        before = min(seq - 1 if parent is None else parent, self._session.count - 1)
        old = None if is_known else self._session.state(before)
        if old is None:
            return array("I", [self._number(item >> KIND_BITS) << KIND_BITS | item & 3 for item in row.changed])
        writes = write_atoms(old, self._segment.state(place))
        return array("I", [posting(self._intern(write.atom), write.kind) for write in writes])

    def _number(self, local: int) -> int:
        return self._intern(self._segment.store.atom_name(local))

    def _intern(self, atom: str) -> int:
        number = self._session.number_of(atom)
        if number is None:
            number = self.fresh.setdefault(atom, self._session.atoms + len(self.fresh))
        return number
