"""Facts that a file keeps about itself in its `meta` table: which file it is, who wrote it, how that ended, and totals.

Totals are each atom's share of a history: how many entries changed it, and how many record bytes it took. They are
brought up to date in the transaction that seals a block, so that statistics need not read every record.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Final, Protocol, runtime_checkable

import msgspec
from msgspec import Struct

from unspool.codec.records import WIDTHS, Record, raw_items
from unspool.errors import CorruptHistory
from unspool.store.blocks import KIND_BITS, TailRow
from unspool.store.databases import is_recording
from unspool.store.layout import Contradiction, EndMark, FactValue, FileConnection
from unspool.store.wal import log_of

TALLY_KEY: Final = "tally"
"""Where the file's `meta` table holds it."""


class AtomTally(msgspec.Struct, array_like=True):
    """Shares by atom number.

    Attributes:
        stop: one past the last entry that is counted.
        changes: entries that changed the atom.
        spent: record bytes the atom took.
    """

    stop: int
    changes: dict[int, int]
    spent: dict[int, int]

    def add(self, rows: Iterable[TailRow]) -> None:
        """Count entries in order.

        Raises:
            CorruptHistory: a record is malformed.
        """
        changes = self.changes
        for row in rows:
            for item in row.changed:
                number = item >> KIND_BITS
                changes[number] = changes.get(number, 0) + 1
            self.add_record(row.record)
            self.stop = row.seq + 1

    def add_record(self, record: Record) -> None:
        """Count the bytes of a record; a binary or compressed one has no parts to tell apart.

        Raises:
            CorruptHistory: it is malformed.
        """
        width = WIDTHS.get(record.codec)
        if width is None:
            return
        items = raw_items(record.payload, width)
        spent = self.spent
        for number, value in zip(items[::width], items[width - 1 :: width], strict=True):
            spent[number] = spent.get(number, 0) + len(value)


_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final[Callable[[bytes], AtomTally]] = msgspec.msgpack.Decoder(AtomTally).decode


def empty_tally() -> AtomTally:
    """Return the tally of no entries."""
    return AtomTally(0, {}, {})


def load_tally(connection: FileConnection) -> AtomTally | None:
    """Return the file's tally of its sealed entries, or None where it has none that can be trusted."""
    if not connection.layout.tells_end:
        # The format has no checksum that a damaged sum could be detected by.
        return None
    try:
        value = connection.layout.fact(connection, TALLY_KEY)
    except CorruptHistory:
        # It is only a sum of what the blocks say, and can be made again.
        return None
    sealed = connection.execute("SELECT first + count FROM block ORDER BY first DESC LIMIT 1").fetchone()
    if value is None:
        return empty_tally() if sealed is None else None
    try:
        tally = _decode(value)  # type: ignore[arg-type]
    except (msgspec.MsgspecError, TypeError):
        return None
    return tally if tally.stop == (sealed[0] if sealed else 0) else None


def save_tally(connection: FileConnection, tally: AtomTally) -> None:
    """Keep a tally in the file; part of the caller's transaction."""
    connection.layout.keep_fact(connection, TALLY_KEY, _encode(tally))


IDENTITY_KEY: Final = "identity"
"""Key in the table `meta`; a file without such a row has none set by hand."""


def identity_in(text: FactValue) -> dict[str, str]:
    """Return what the row says; one that makes no sense says nothing."""
    try:
        found = json.loads(str(text)) if text else {}
    except (ValueError, RecursionError):
        return {}
    if not isinstance(found, dict):
        return {}
    return {pattern: key for pattern, key in found.items() if isinstance(key, str)}


def identity_row(identity: Mapping[str, str]) -> str | None:
    """Return the row that keeps identity keys; None where there are none to keep."""
    kept = {pattern: key for pattern, key in sorted(identity.items()) if key}
    return json.dumps(kept, ensure_ascii=True) if kept else None


def note_identity(connection: FileConnection, identity: Mapping[str, str]) -> None:
    """Keep identity keys in place of those that were kept before.

    Raises:
        sqlite3.Error: the file refused.
    """
    text = identity_row(identity)
    if text is None:
        connection.layout.drop_fact(connection, IDENTITY_KEY)
    else:
        connection.layout.keep_fact(connection, IDENTITY_KEY, text)


WRITTEN_NOTES: Final = "written-notes"
"""Key in the table `meta` of the notes that came with the source that the file was made of; see `sources.written_notes`."""


@runtime_checkable
class TellsWrittenNotes(Protocol):
    """A store that may hold notes which people wrote on the source that it was made of."""

    def written_notes(self) -> str:
        """Return them as JSON text, unchecked; "" where there are none."""


PREFIX: Final = "recording:"
"""Key in the table `meta`, followed by the number of the first entry that the settings apply to."""


class Recording(Struct, frozen=True):
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


class End(StrEnum):
    """What is known about the newest entries of a file."""

    CLOSED = "closed"
    """A recorder closed it, and all that it wrote is there."""
    LIVE = "live"
    """A recorder is at work on it."""
    NOT_CLOSED = "not closed"
    """No recorder is at work, and the last one did not close it."""
    CONTRADICTED = "contradicted"
    """It is not as it was when it was closed or sealed."""
    UNKNOWN = "unknown"
    """It does not say: its format does not, or what it says is damaged."""


class Ending(Struct, frozen=True):
    """How a file ends.

    Attributes:
        end: what is known about its newest entries.
        message: the same for people; "" where nothing is to be said.
        contradictions: all that is not as it was when the file was closed or sealed.
    """

    end: End
    message: str = ""
    contradictions: tuple[Contradiction, ...] = ()

    @property
    def is_certain(self) -> bool:
        """Whether no entry can be missing at the end."""
        return self.end in (End.CLOSED, End.LIVE)


NOT_CLOSED = Ending(End.NOT_CLOSED, "not closed: the newest entries may be missing")


def ending_of(path: Path, connection: FileConnection, mark: EndMark | None) -> Ending:
    """Return how a file ends.

    Args:
        path: the file.
        connection: the same, opened.
        mark: what it says about its end, if its format says anything.

    Raises:
        CorruptHistory: it cannot be read.
    """
    if mark is None:
        if is_recording(path):
            return Ending(End.LIVE)
        # Whoever closes a file seals what is in the tail, and leaves no log, not even an empty one.
        is_open = connection.execute("SELECT 1 FROM tail LIMIT 1").fetchone() is not None
        is_open = is_open or log_of(path.resolve()).exists()
        return NOT_CLOSED if is_open else Ending(End.UNKNOWN, "its format does not tell whether it was closed")
    contradictions = (*_contradictions(connection, mark), *connection.layout.check_closed(connection))
    if contradictions:
        return Ending(End.CONTRADICTED, contradictions[0].message, contradictions)
    if mark.is_closed:
        return Ending(End.CLOSED)
    return Ending(End.LIVE) if is_recording(path) else NOT_CLOSED


def _contradictions(connection: FileConnection, mark: EndMark) -> list[Contradiction]:
    """Return what of the entries contradicts the mark."""
    last = connection.execute(
        "SELECT max(ifnull((SELECT max(seq) FROM tail), -1), ifnull((SELECT max(first + count) FROM block), 0) - 1)"
    ).fetchone()[0]
    count, told = last + 1, ""
    if count < mark.entries:
        told = f"the newest {mark.entries - count} of {mark.entries} entries are missing"
    elif mark.is_closed and count > mark.entries:
        told = f"there are {count} entries, and there were {mark.entries} when the file was closed"
    elif mark.is_closed and connection.layout.last_sum(connection) != mark.last:
        told = f"entry {last} is not the one that was the last when the file was closed"
    return [Contradiction("tail", told)] if told else []
