"""What is wrong with the chains of a foreign source, told in the source's own terms."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

Cancelled = Callable[[], bool]
"""Asked now and then; True ends the work early."""


@dataclass(frozen=True, slots=True)
class ChainFault:
    """One thing that is wrong with a source's own chains.

    Attributes:
        code: what it is, as the doctor spells it (`unspool.query.doctor_findings.Code`).
        place: where in the source: file, and line, record, snapshot, event or row.
        message: what is the matter, in one line.
        first: number, in the history that was read, of the first entry it concerns; None for the source as a whole.
        last: number of the last one; None where it is the first one alone.
        is_lost: it stands for something that is not in the history; it would stand before entry `first`.
        told_as: how reading the source told the same, so that it is told once.
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
