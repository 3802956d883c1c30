"""The one error tree: everything a person can cause is an `UnspoolError` that names place and remedy."""

from __future__ import annotations


class UnspoolError(Exception):
    """Base of every error that a person can cause; its message names the file, the place and the remedy."""


class UnreadableSource(UnspoolError):
    """A source is missing, unreadable, of an unknown format, or refused."""


class LimitExceeded(UnreadableSource):
    """A source asks for more memory or time than the limits allow; the message names the limit and how to raise it."""


class CorruptHistory(UnspoolError):
    """Stored bytes do not mean what they must; `seq` names the entry where that is known."""

    def __init__(self, message: str, *, seq: int | None = None) -> None:
        super().__init__(message)
        self.seq = seq


class EntryDropped(CorruptHistory):
    """An entry that got its number and never reached its history: one of a gap that the history keeps, with the reason.

    Attributes:
        last: the last entry of the gap, where that is known.
        why: what became of them.
    """

    def __init__(self, message: str, *, seq: int | None = None, last: int | None = None, why: str = "") -> None:
        super().__init__(message, seq=seq)
        self.last = seq if last is None else last
        self.why = why


class NewerSchema(UnreadableSource):
    """The file was written by a newer version of unspool."""


class HistoryLocked(UnspoolError):
    """Another writer holds the history file."""


class ReadOnlyHistory(UnspoolError):
    """A write was asked of a history that was opened for reading."""


class EntryNotFound(UnspoolError, IndexError):
    """An entry number or id that this history does not have."""


class EntryNotKept(EntryNotFound):
    """An entry that a bound on the recording (`keep`) let go of, or a question about what only such entries knew.

    Attributes:
        first: the first entry that is kept.
    """

    def __init__(self, message: str, *, first: int) -> None:
        super().__init__(message)
        self.first = first


class UnsupportedValue(UnspoolError, TypeError):
    """A value that no codec can keep exactly; the message names the atom and the path inside it."""


class PathSyntaxError(UnspoolError, ValueError):
    """A path that does not parse; the message names the column."""


class DeltaError(UnspoolError):
    """A delta that cannot be computed, applied, inverted or merged."""


class BaseMismatch(DeltaError):
    """A delta was applied to a snapshot that is not its base."""


class ContradictoryDelta(DeltaError):
    """A delta that says two things about one atom, or does not fit the state it is applied to."""


class BrokenChain(CorruptHistory):
    """A chain whose base or a middle delta is missing or unreadable."""


class ConfigError(UnspoolError, ValueError):
    """A setting or option that cannot be honoured; the message names it and what would be valid."""


class NotesNotKept(ConfigError):
    """A note cannot be kept where it should go; everything else can."""


class NotInJsonPatch(ConfigError):
    """A change that an RFC 6902 JSON Patch cannot hold; the message names the place and what to use instead."""


class MissingExtra(UnspoolError, ImportError):
    """A feature needs an optional package; the message names the extra to install."""


class PersistenceError(UnspoolError):
    """A record that cannot be stored or read back (the framework name of seeds 001 and 002)."""


class DeltaCompressionError(PersistenceError):
    """A delta compression operation failed (seeds 001 and 002)."""


class RegionError(UnspoolError):
    """A region file, delta or action that cannot be used (seed 003)."""


class EventLogError(UnspoolError):
    """An event, archive or event log that cannot be used (seed 004)."""


class StorageFailed(PersistenceError):
    """The disk or the database refused a write; the message names the file and the reason."""
