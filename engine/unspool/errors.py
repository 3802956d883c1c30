"""The one error tree: everything a person can cause is an `UnspoolError` that names place and remedy.

Addresses of PostgreSQL databases stand in messages without their passwords.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final


class UnspoolError(Exception):
    """Base of every error that a person can cause; its message names the file, the place and the remedy."""


class UnreadableSource(UnspoolError):
    """A source is missing, unreadable, of an unknown format, or refused."""


class SourceReplaced(UnreadableSource):
    """Another history has taken the place of the one that was opened; the message says how to see that one."""


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


_SHOWN: Final = 4
"""Names that are reported where none is near."""


class QuestionError(ConfigError):
    """A question that has no meaning for this history; the message names the place and what would be valid."""


class ExpressionError(QuestionError):
    """An expression or pattern that does not parse; the message names the column."""


class EvaluationStopped(QuestionError):
    """A question that takes longer than the limits allow; the message names the limit and how to raise it."""


class PathNotFound(QuestionError, LookupError):
    """A path at which the state asked about has nothing; the message names where it ends."""


def nearest(name: str, names: Iterable[str]) -> str:
    """Return what a message says of a name that is none: the nearest one there is, or which there are."""
    known = sorted(map(str, names))
    near = near_name(name, known)
    if near:
        return f"; did you mean {near}?"
    more = f" and {len(known) - _SHOWN} more" if len(known) > _SHOWN else ""
    return f"; there {'is' if len(known) == 1 else 'are'} {', '.join(known[:_SHOWN])}{more}" if known else ""


def near_name(name: str, names: Iterable[str]) -> str:
    """Return the name that was probably meant by one that is none: in another letter case, or mistyped; "" for none."""
    from difflib import get_close_matches  # only a name that is none needs it

    known = sorted(names)
    folded = {item.casefold(): item for item in known}
    return folded.get(name.casefold()) or next(iter(get_close_matches(name, known, n=1, cutoff=0.6)), "")


_SCHEMES: Final = ("postgresql://", "postgres://")
# A path made of an address has lost a slash; whatever stands before the last at-sign may be part of a password.
# Schemes that are misspelt or of another database have one too.
_PASSWORD: Final = re.compile(r"(\w*(?:postgres|sql)[\w+]*:/+[^:/@\s]*):\S*@", re.IGNORECASE)
_OPTION: Final = re.compile(r"((?:ssl)?password=)[^&\s]*")


def is_postgres(source: str) -> bool:
    """Whether a source or a recorder's target is a PostgreSQL address."""
    return source.startswith(_SCHEMES)


def without_password(text: str) -> str:
    """Return a text with every password taken out of the addresses in it."""
    if ":/" not in text:
        return text
    return _OPTION.sub(r"\1***", _PASSWORD.sub(r"\1@", text))
