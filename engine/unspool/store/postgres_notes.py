"""With which settings a history in PostgreSQL was recorded: the same notes that a file keeps in its meta."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from unspool.store.file_identity import KEY as IDENTITY
from unspool.store.file_identity import identity_in, identity_row
from unspool.store.postgres_link import Link
from unspool.store.recordings import Recording, recordings_among, rows_for

_READ: Final = "SELECT key, value FROM unspool.note WHERE history = %s"
_DROP: Final = "DELETE FROM unspool.note WHERE history = %s AND key = %s"
_KEEP: Final = (
    "INSERT INTO unspool.note(history, key, value) VALUES (%s, %s, %s) "
    "ON CONFLICT (history, key) DO UPDATE SET value = excluded.value"
)


def recordings_of(link: Link, history: int) -> tuple[Recording, ...]:
    """Return with which settings a history was recorded, in the order of entries."""
    return recordings_among(link.fetch(_READ, (history,)))


def identity_of(link: Link, history: int) -> dict[str, str]:
    """Return the identity keys that a history was told to compare its lists by."""
    return identity_in(dict(link.fetch(_READ, (history,))).get(IDENTITY, ""))


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
        connection.execute(_DROP, (history, IDENTITY))
    else:
        connection.execute(_KEEP, (history, IDENTITY, text))
