"""The tables of histories in PostgreSQL, in a schema of their own: `unspool`.

    history(id, name, history_id, created_ns)   the histories there are
    entry(history, seq, ...)                    a row an entry; the columns are those of a file's tail
    atom(history, id, name)                     interned names
    note(history, key, value)                   with which settings a history was recorded, its gaps, what was shipped
    fact(key, value)                            the version of this layout

Texts that may hold any character are kept as bytes: PostgreSQL's text lacks NUL and lone surrogates.
"""

from __future__ import annotations

import difflib
import json
import secrets
import time
from array import array
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from unspool.codec.records import Record, RecordCodec
from unspool.errors import CorruptHistory, NewerSchema, UnreadableSource
from unspool.model import wire
from unspool.store.blocks import TailRow, unpack_postings
from unspool.store.layout_1 import checked_row
from unspool.store.postgres.connection import ServerConnection, Target
from unspool.store.recordings import IDENTITY_KEY, Recording, identity_in, identity_row, recordings_among, rows_for

_FIRST_VERSION: Final = 1
_WITH_NOTES: Final = 2
"""Version of the layout from the first note on: who does not know notes would take them for damaged entries."""
SCHEMA_VERSION: Final = _WITH_NOTES
LOCK_SPACE: Final = 0x554E5350
"""First half of every advisory lock taken here (`UNSP`); the second is a history's id, or 0 for the layout."""

_TABLES: Final = """
CREATE SCHEMA IF NOT EXISTS unspool;
CREATE TABLE IF NOT EXISTS unspool.fact(key text PRIMARY KEY, value bigint NOT NULL);
CREATE TABLE IF NOT EXISTS unspool.history(
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL UNIQUE, history_id text NOT NULL,
    created_ns bigint NOT NULL);
CREATE TABLE IF NOT EXISTS unspool.atom(
    history integer NOT NULL REFERENCES unspool.history ON DELETE CASCADE, id integer NOT NULL, name bytea NOT NULL,
    PRIMARY KEY (history, id));
CREATE TABLE IF NOT EXISTS unspool.note(
    history integer NOT NULL REFERENCES unspool.history ON DELETE CASCADE, key text NOT NULL, value text NOT NULL,
    PRIMARY KEY (history, key));
CREATE TABLE IF NOT EXISTS unspool.entry(
    history integer NOT NULL REFERENCES unspool.history ON DELETE CASCADE, seq bigint NOT NULL,
    time_ns bigint NOT NULL, codec smallint NOT NULL, full_bytes bigint NOT NULL, action bytea NOT NULL,
    changed bytea NOT NULL, extra bytea, record bytea NOT NULL, crc bigint NOT NULL, PRIMARY KEY (history, seq));
INSERT INTO unspool.fact VALUES ('schema', {version}) ON CONFLICT DO NOTHING;
"""

_INSERT: Final = (
    "INSERT INTO unspool.entry(history, seq, time_ns, codec, full_bytes, action, changed, extra, record, crc) VALUES"
)
_PLACES: Final = "(%s, %s, %s, %s, %s, %b, %b, %b, %b, %s)"
WHOLE: Final = "SELECT seq, time_ns, codec, full_bytes, action, changed, extra, record, crc FROM unspool.entry "
"""Rows with their records."""
FACTS: Final = (
    "SELECT seq, time_ns, codec, full_bytes, action, changed, extra, octet_length(record) FROM unspool.entry "
)
"""Rows without their records, which may be large and are not needed to list entries."""
_READ: Final = "SELECT key, value FROM unspool.note WHERE history = %s"
_DROP: Final = "DELETE FROM unspool.note WHERE history = %s AND key = %s"
_KEEP: Final = (
    "INSERT INTO unspool.note(history, key, value) VALUES (%s, %s, %s) "
    "ON CONFLICT (history, key) DO UPDATE SET value = excluded.value"
)
_GAP: Final = "gap:"
"""Key of a note, followed by the number of the first entry of a gap."""
_MARK: Final = "shipped:"
"""Key of a note, followed by the name of a lane of a spool: how far it was shipped."""
NEWEST: Final = (
    "SELECT (SELECT max(seq) FROM unspool.entry WHERE history = %s), "
    "(SELECT count(*) FROM unspool.note WHERE history = %s AND key LIKE 'gap:%%')"
)
"""The last entry there is, and how many gaps."""
_NAMED: Final = 5
"""Histories that a message names at most."""
_COMPARED: Final = 10_000
"""Names of histories that a misspelt one is compared with."""


@dataclass(frozen=True, slots=True)
class Gap:
    """Entries in a row that never reached the server, though their numbers were given.

    Attributes:
        first: number of the first one.
        last: number of the last one.
        why: what became of them.
        time_ns: when the entry after them was recorded, nanoseconds since the epoch.
    """

    first: int
    last: int
    why: str
    time_ns: int


@dataclass(frozen=True, slots=True)
class ShippingMark:
    """How far the entries of a lane were shipped, kept in the transaction that stored them.

    Attributes:
        next: place in the lane of the first entry that was not.
        runs: (place, number) of the first entry of each run of entries that follow each other on the server too.
    """

    next: int = 0
    runs: tuple[tuple[int, int], ...] = ()

    def number_of(self, place: int) -> int | None:
        """Return an entry's number in the history by its place in the lane; None where it was not shipped."""
        if not 0 <= place < self.next:
            return None
        return next((number + place - first for first, number in reversed(self.runs) if first <= place), None)

    def moved(self, stop: int, number: int) -> ShippingMark:
        """Return the mark after entries up to place `stop` were given the numbers from `number` on."""
        previous = self.number_of(self.next - 1)
        follows = previous is not None and previous + 1 == number
        runs = self.runs if follows else (*self.runs[-_RUNS:], (self.next, number))
        return ShippingMark(stop, runs)


_RUNS: Final = 63
"""Runs that a mark remembers besides the newest: one begins whenever somebody else appended in between."""


def has_tables(connection: Any) -> bool:
    """Whether a database holds histories."""
    return connection.execute("SELECT to_regclass('unspool.history')").fetchone()[0] is not None


def make_tables(connection: Any, target: Target) -> None:
    """Make the tables where they are missing. Several recorders may do so at once.

    Raises:
        NewerSchema: a newer unspool made them.
        psycopg.Error: the user may not.
    """
    if not has_tables(connection):
        with connection.transaction():
            connection.execute("SELECT pg_advisory_xact_lock(%s, 0)", (LOCK_SPACE,))
            connection.execute(_TABLES.format(version=_FIRST_VERSION))
    check_version(connection, target)


def allow_notes(connection: Any) -> None:
    """Say that entries may be notes, so that a reader that does not know them refuses the tables.

    Raises:
        psycopg.Error: the server refused.
    """
    query = "UPDATE unspool.fact SET value = %s WHERE key = 'schema' AND value < %s"
    connection.execute(query, (_WITH_NOTES, _WITH_NOTES))


def check_version(connection: Any, target: Target) -> None:
    """Refuse tables of a newer version.

    Raises:
        NewerSchema: a newer unspool made them.
    """
    row = connection.execute("SELECT value FROM unspool.fact WHERE key = 'schema'").fetchone()
    version = 0 if row is None else row[0]
    if version > SCHEMA_VERSION:
        raise NewerSchema(
            f"{target.shown}: written by a newer unspool (schema {version}, this one reads up to {SCHEMA_VERSION}); "
            "upgrade"
        )


def find_history(connection: Any, target: Target) -> tuple[int, str]:
    """Return number and id of the history that is named, or of the only one there is.

    Raises:
        UnreadableSource: there is no such history, or several and none is named.
        NewerSchema: see `check_version`.
    """
    held = 0
    if has_tables(connection):
        check_version(connection, target)
        query = "SELECT id, history_id FROM unspool.history WHERE %s::text IS NULL OR name = %s LIMIT 2"
        rows = connection.execute(query, (target.history, target.history)).fetchall()
        if len(rows) == 1:
            return rows[0][0], rows[0][1]
        held = connection.execute("SELECT count(*) FROM unspool.history").fetchone()[0]
    if not held:
        what = "no history in this database" if target.history is None else "no history of this name"
        raise UnreadableSource(f"{target.shown}: {what}; it holds none; record one with unspool.Recorder")
    names = _some_names(connection, target.history)
    if target.history is None:
        raise UnreadableSource(f"{target.shown}: several histories; add ?history=NAME ({names} of {held})")
    near = f"did you mean {names}?" if names else "check its name"
    raise UnreadableSource(f"{target.shown}: no history of this name among {held}; {near}")


def _some_names(connection: Any, wanted: str | None) -> str:
    """Return a few names of histories for a message: those like the one that was wanted, or the newest ones.

    Whoever asks for one history is not told of all the others.
    """
    limit = _NAMED if wanted is None else _COMPARED
    query = "SELECT name FROM unspool.history ORDER BY id DESC LIMIT %s"
    names = [row[0] for row in connection.execute(query, (limit,)).fetchall()]
    return ", ".join(names if wanted is None else difflib.get_close_matches(wanted, names, n=_NAMED))


def gaps_of(connection: Any, history: int) -> tuple[Gap, ...]:
    """Return the gaps of a history in order; notes that make no sense are passed over, so their entries are missing."""
    query = "SELECT key, value FROM unspool.note WHERE history = %s AND key LIKE 'gap:%%'"
    found = [gap for key, value in connection.execute(query, (history,)) if (gap := _gap(key, value)) is not None]
    return tuple(sorted(found, key=lambda gap: gap.first))


def _gap(key: str, value: str) -> Gap | None:
    try:
        said = json.loads(value)
        gap = Gap(int(key.removeprefix(_GAP)), said["last"], said["why"], said["time_ns"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    is_sound = type(gap.last) is int and type(gap.time_ns) is int and isinstance(gap.why, str)
    return gap if is_sound and 0 <= gap.first <= gap.last else None


def note_gap(connection: Any, history: int, gap: Gap) -> None:
    """Keep a gap.

    Raises:
        psycopg.Error: the server refused.
    """
    value = json.dumps({"last": gap.last, "why": gap.why, "time_ns": gap.time_ns})
    connection.execute(_KEEP, (history, f"{_GAP}{gap.first}", value))


def marks_of(connection: Any, history: int) -> dict[str, ShippingMark]:
    """Return how far each lane was shipped, by its name."""
    query = "SELECT key, value FROM unspool.note WHERE history = %s AND key LIKE 'shipped:%%'"
    marks: dict[str, ShippingMark] = {}
    for key, value in connection.execute(query, (history,)).fetchall():
        said = json.loads(value)
        runs = tuple((place, number) for place, number in said["runs"])
        marks[key.removeprefix(_MARK)] = ShippingMark(said["next"], runs)
    return marks


def move_mark(connection: Any, history: int, lane: str, old: ShippingMark | None, new: ShippingMark) -> bool:
    """Move a lane's mark on, unless somebody else did; return whether it was still the old one.

    Raises:
        psycopg.Error: the server refused.
    """
    key, value = f"{_MARK}{lane}", _mark_text(new)
    if old is None:
        query = "INSERT INTO unspool.note(history, key, value) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING"
        return bool(connection.execute(query, (history, key, value)).rowcount == 1)
    query = "UPDATE unspool.note SET value = %s WHERE history = %s AND key = %s AND value = %s"
    return bool(connection.execute(query, (value, history, key, _mark_text(old))).rowcount == 1)


def drop_mark(connection: Any, history: int, lane: str) -> None:
    """Forget a lane of which nothing is left to ship.

    Raises:
        psycopg.Error: the server refused.
    """
    connection.execute(_DROP, (history, f"{_MARK}{lane}"))


def _mark_text(mark: ShippingMark) -> str:
    return json.dumps({"next": mark.next, "runs": mark.runs})


def begin_history(connection: Any, name: str) -> tuple[int, str]:
    """Return number and id of a history, which is made where it is missing."""
    connection.execute(
        "INSERT INTO unspool.history(name, history_id, created_ns) VALUES (%s, %s, %s) ON CONFLICT (name) DO NOTHING",
        (name, secrets.token_hex(4), time.time_ns()),
    )
    row = connection.execute("SELECT id, history_id FROM unspool.history WHERE name = %s", (name,)).fetchone()
    return row[0], row[1]


def insert_of(count: int) -> str:
    """Return the statement that stores a number of entries; it binds the columns of one after the other."""
    return f"{_INSERT} " + ", ".join((_PLACES,) * count)


def channel_of(history: int) -> str:
    """Return the name under which a history reports new entries (`LISTEN`)."""
    return f"unspool_{history}"


def has_history(connection: Any, history: int) -> bool:
    """Whether a history is still there."""
    return connection.execute("SELECT 1 FROM unspool.history WHERE id = %s", (history,)).fetchone() is not None


def whole_row(values: tuple[Any, ...]) -> TailRow:
    """Return a row that `WHOLE` selected.

    Raises:
        CorruptHistory: it is damaged; names the entry.
    """
    seq, time_ns, codec, full_bytes, action, changed, extra, record, crc = values
    return checked_row((seq, time_ns, codec, full_bytes, _text(action, seq), changed, extra, record, crc))


def facts_row(values: tuple[Any, ...]) -> TailRow:
    """Return a row that `FACTS` selected; its record is empty, and its checksum was not compared.

    Raises:
        CorruptHistory: it is damaged; names the entry.
    """
    seq, time_ns, codec, full_bytes, action, changed, extra, stored = values
    try:
        known = Record(RecordCodec(codec), b"")
        extras = wire.decode(extra) if extra else {}
    except (ValueError, CorruptHistory):
        raise _damaged(seq) from None
    return TailRow(seq, time_ns, known, full_bytes, _text(action, seq), row_postings(changed, seq), extras, stored)


def row_postings(data: bytes, seq: int) -> array[int]:
    """Return an entry's postings.

    Raises:
        CorruptHistory: they are damaged; names the entry.
    """
    try:
        return unpack_postings(data)
    except ValueError:
        raise _damaged(seq) from None


def _text(data: bytes, seq: int) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise _damaged(seq) from None


def _damaged(seq: int) -> CorruptHistory:
    return CorruptHistory(
        f"entry {seq} is damaged: its columns do not read; restore the table from a backup", seq=seq
    )


def recordings_of(link: ServerConnection, history: int) -> tuple[Recording, ...]:
    """Return with which settings a history was recorded, in the order of entries."""
    return recordings_among(link.fetch(_READ, (history,)))


def identity_of(link: ServerConnection, history: int) -> dict[str, str]:
    """Return the identity keys that a history was told to compare its lists by."""
    return identity_in(dict(link.fetch(_READ, (history,))).get(IDENTITY_KEY, ""))


def note_recording(connection: Any, history: int, recording: Recording) -> None:
    """Keep from which entry on which settings apply; nothing is written where they are those before.

    Raises:
        psycopg.Error: the server refused.
    """
    idle, row = rows_for(recordings_among(connection.execute(_READ, (history,)).fetchall()), recording)
    for key in idle:
        connection.execute(_DROP, (history, key))
    if row is not None:
        connection.execute(_KEEP, (history, *row))


def note_identity(connection: Any, history: int, identity: Mapping[str, str]) -> None:
    """Keep identity keys in place of those that were kept before.

    Raises:
        psycopg.Error: the server refused.
    """
    text = identity_row(identity)
    if text is None:
        connection.execute(_DROP, (history, IDENTITY_KEY))
    else:
        connection.execute(_KEEP, (history, IDENTITY_KEY, text))
