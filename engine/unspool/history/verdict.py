"""How much of a source could be read: shown to people and in `--json`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final, Protocol, runtime_checkable

from msgspec import Struct

from unspool.model.limits import Cancelled


class VerdictStatus(StrEnum):
    """Complete, partial (something is missing) or refused."""

    COMPLETE = "complete"
    PARTIAL = "partial"
    REFUSED = "refused"


class Problem(Struct, frozen=True):
    """One thing that could not be read.

    Attributes:
        place: file and offset, line or entry.
        message: what is wrong and what was done about it.
    """

    place: str
    message: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What opening a source came to.

    Attributes:
        status: complete, partial or refused.
        problems: what is missing and why, at most a few hundred.
        dropped: problems beyond those listed.
        notes: things worth knowing that lose nothing.
        is_damaged: what is missing was there: the source itself is damaged.
    """

    status: VerdictStatus = VerdictStatus.COMPLETE
    problems: tuple[Problem, ...] = ()
    dropped: int = 0
    notes: tuple[str, ...] = ()
    is_damaged: bool = False


COMPLETE = Verdict()
"""Everything was read."""


def cut_short(name: str, told: str, *, is_damaged: bool) -> Verdict:
    """Return what opening a native file came to that holds less than what was written to it, or may do so.

    Args:
        name: the file's name.
        told: what is the matter.
        is_damaged: something is missing for certain.
    """
    remedy = "; `unspool doctor FILE --repair OUT` brings back what can be read" if is_damaged else ""
    return Verdict(VerdictStatus.PARTIAL, (Problem(name, told + remedy),), is_damaged=is_damaged)


@dataclass(frozen=True, slots=True)
class ChainFault:
    """One thing that is wrong with a source's own chains.

    Attributes:
        code: what it is, as the doctor spells it (`unspool.query.doctor.findings.Code`).
        place: where in the source: file, and line, record, snapshot, event or row.
        message: what is the matter, in one line.
        first: number, in the history that was read, of the first entry it concerns; None for the source as a whole.
        last: number of the last one; None where it is the first one alone.
        is_lost: it stands for something that is not in the history; it would stand before entry `first`.
        told_as: how reading the source told the same, so that it is reported once.
        severity: `error`, `warning` or `note`, where it is not what the code usually means.
    """

    code: str
    place: str
    message: str
    first: int | None = None
    last: int | None = None
    is_lost: bool = False
    severity: str | None = None
    told_as: str = ""


@runtime_checkable
class ChainExaminer(Protocol):
    """A feeder whose source can have chains of its own."""

    def chain_faults(self, cancelled: Cancelled) -> Iterator[ChainFault]:
        """Yield what is wrong with the source's own chains; nothing where its format has none."""


class Progress(Struct, frozen=True):
    """How far reading a source has come.

    Attributes:
        done: units read: bytes of a file, or items where a format has no bytes to count.
        total: units there are, as far as known.
        is_finished: everything that was there has been read, or reading was cancelled; a live source may still grow.
    """

    done: int
    total: int
    is_finished: bool


FINISHED: Final = Progress(0, 0, is_finished=True)
"""Nothing is being read."""


class Feeder(Protocol):
    """Reads a foreign source into the store that a `History` reads from."""

    @property
    def verdict(self) -> Verdict:
        """How much could be read so far."""

    @property
    def watch_paths(self) -> tuple[Path, ...]:
        """Files whose change means that there may be more."""

    @property
    def source_paths(self) -> tuple[Path, ...]:
        """The files and folders that the source consists of; empty where it has none that people know of."""

    @property
    def source_name(self) -> str:
        """What people call the source."""

    @property
    def progress(self) -> Progress:
        """How far reading has come."""

    def pump(self) -> None:
        """Read what is new."""

    def cancel(self) -> None:
        """Read no further; what has arrived stays."""

    def close(self) -> None:
        """Release the source and of temporary files."""
