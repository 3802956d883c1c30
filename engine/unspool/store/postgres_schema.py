"""The tables of histories in PostgreSQL, in a schema of their own: `unspool`.

    history(id, name, history_id, created_ns)   the histories there are
    entry(history, seq, ...)                    a row an entry; the columns are those of a file's tail
    atom(history, id, name)                     interned names
    note(history, key, value)                   with which settings a history was recorded
    fact(key, value)                            the version of this layout

Texts that may hold any character are kept as bytes: PostgreSQL's text lacks NUL and lone surrogates.
"""

from __future__ import annotations

import secrets
import time
from typing import Any, Final

from unspool.errors import NewerSchema, UnreadableSource
from unspool.store.postgres_target import Target

SCHEMA_VERSION: Final = 1
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


def has_tables(connection: Any) -> bool:
    """Say whether a database holds histories."""
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
            connection.execute(_TABLES.format(version=SCHEMA_VERSION))
    check_version(connection, target)


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
    names: list[str] = []
    if has_tables(connection):
        check_version(connection, target)
        query = "SELECT id, history_id, name FROM unspool.history ORDER BY name"
        rows = connection.execute(query).fetchall()
        chosen = [row for row in rows if target.history in (None, row[2])]
        if len(chosen) == 1:
            return chosen[0][0], chosen[0][1]
        names = [row[2] for row in rows]
    known = f"it holds {', '.join(names)}" if names else "it holds none; record one with unspool.Recorder"
    if target.history is None:
        raise UnreadableSource(f"{target.shown}: several histories; add ?history=NAME ({known})" if names else
                               f"{target.shown}: no history in this database; {known}")  # fmt: skip
    raise UnreadableSource(f"{target.shown}: no history of this name; {known}")


def begin_history(connection: Any, name: str) -> tuple[int, str]:
    """Return number and id of a history, which is made where it is missing."""
    connection.execute(
        "INSERT INTO unspool.history(name, history_id, created_ns) VALUES (%s, %s, %s) ON CONFLICT (name) DO NOTHING",
        (name, secrets.token_hex(4), time.time_ns()),
    )
    row = connection.execute("SELECT id, history_id FROM unspool.history WHERE name = %s", (name,)).fetchone()
    return row[0], row[1]


def has_history(connection: Any, history: int) -> bool:
    """Say whether a history is still there."""
    return connection.execute("SELECT 1 FROM unspool.history WHERE id = %s", (history,)).fetchone() is not None
