"""With which settings a file was recorded, kept in its meta: one row for each entry from which others applied."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol, runtime_checkable

from unspool.store.layout import FileConnection

PREFIX: Final = "recording:"
"""Key in the table `meta`, followed by the number of the first entry that the settings apply to."""


@dataclass(frozen=True, slots=True)
class Recording:
    """Settings of a recorder, and from where on they apply.

    Attributes:
        first: number of the first entry written with them.
        strategy: when a full snapshot was stored, as `Recorder` reads it; "" for a rule that no name tells.
        codec: how entries were written, as `Recorder` reads it.
    """

    first: int
    strategy: str
    codec: str


@runtime_checkable
class TellsSettings(Protocol):
    """A store that says with which settings it was recorded."""

    def recordings(self) -> tuple[Recording, ...]:
        """Return with which settings the history was recorded; nothing where it does not say."""


@runtime_checkable
class KeepsSettings(Protocol):
    """What keeps the settings of a recorder."""

    def note_recording(self, strategy: str, codec: str) -> None:
        """Keep the settings that entries from here on are written with."""

    def note_identity(self, identity: Mapping[str, str]) -> None:
        """Keep the identity keys of lists that were set by hand."""


def read_recordings(connection: FileConnection) -> tuple[Recording, ...]:
    """Return what the file says, in the order of entries; rows that make no sense are passed over.

    Raises:
        sqlite3.DatabaseError: the table cannot be read.
        CorruptHistory: one of its rows is damaged.
    """
    return recordings_among(connection.layout.facts(connection).items())


def recordings_among(rows: Iterable[tuple[object, object]]) -> tuple[Recording, ...]:
    """Return what rows of the table `meta` say, in the order of entries."""
    found = [_recording(str(key), value) for key, value in rows if str(key).startswith(PREFIX)]
    return tuple(sorted((one for one in found if one is not None), key=lambda one: one.first))


def _recording(key: str, value: object) -> Recording | None:
    try:
        first, settings = int(key.removeprefix(PREFIX)), json.loads(str(value))
    except (ValueError, RecursionError):
        return None
    if first < 0 or not isinstance(settings, dict):
        return None
    strategy, codec = settings.get("strategy"), settings.get("codec")
    return Recording(first, strategy, codec) if isinstance(strategy, str) and isinstance(codec, str) else None


def row_of(recording: Recording) -> tuple[str, str]:
    """Return key and value of the row that keeps some settings."""
    return f"{PREFIX}{recording.first}", json.dumps({"strategy": recording.strategy, "codec": recording.codec})


def rows_for(known: Sequence[Recording], recording: Recording) -> tuple[tuple[str, ...], tuple[str, str] | None]:
    """Return which rows are to go for some settings to apply from an entry on, and which is to come, if one is.

    Args:
        known: what is kept already, in the order of entries.
        recording: the settings, and the next entry.
    """
    earlier = [one for one in known if one.first < recording.first]
    same = earlier and (earlier[-1].strategy, earlier[-1].codec) == (recording.strategy, recording.codec)
    # Settings of a recorder that opened the file and recorded nothing are forgotten.
    idle = tuple(row_of(one)[0] for one in known if one.first >= recording.first and one != recording)
    return idle, None if same or recording in known else row_of(recording)


def note_recording(connection: FileConnection, recording: Recording) -> None:
    """Keep from which entry on which settings apply; nothing is written where they are those before.

    Raises:
        sqlite3.Error: the file refused.
    """
    idle, row = rows_for(read_recordings(connection), recording)
    for key in idle:
        connection.layout.drop_fact(connection, key)
    if row is not None:
        connection.layout.keep_fact(connection, *row)
