"""How a file ends: whether all that was recorded is known to be in it, and if not, why not.

Nothing can be missing at the end of a file that a recorder closed, since it said how many entries there are and what the
checksum of the last one is. A recorder that was killed said nothing of the kind.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from unspool.store.databases import is_recording
from unspool.store.layout import Contradiction, EndMark, FileConnection
from unspool.store.wal import log_of


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


@dataclass(frozen=True, slots=True)
class Ending:
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
