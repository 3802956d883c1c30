"""Examining the chains of a foreign source: what all formats with chains have in common.

A format with chains has a module of its own (`nexus_chains`, `delta_chains`, …) that says what is wrong with them. Where
records stand in a row, it is shown each record once, together with what reading it came to.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final, Protocol, runtime_checkable

from unspool.history.verdict import ChainFault
from unspool.model.limits import Cancelled
from unspool.model.values import Value
from unspool.sources.entries import Interpreter, UnusableRecord

SeqOf = Callable[[str], int | None]
"""Gives the number of the entry that the source knows by an id; None where no entry came of it."""
NO_JSON: Final = "it is no JSON"


@runtime_checkable
class ChainedReader(Protocol):
    """A reader that can look at its source's chains a second time."""

    def chain_faults(self, seq_of: SeqOf, total: int, cancelled: Cancelled) -> Iterator[ChainFault]:
        """Yield what is wrong with them.

        Args:
            seq_of: finds entries by the source's own ids.
            total: entries that were read.
            cancelled: asked whether to stop.
        """


@dataclass(frozen=True, slots=True)
class Read:
    """One record of a source, and what came of reading it.

    Attributes:
        place: where it stands.
        record: the record; None where it is no JSON.
        seq: number of the entry it made, or before which it would stand.
        made: entries it made.
        problem: why it made none; "" where it did.
    """

    place: str
    record: Value
    seq: int
    made: int
    problem: str = ""

    @property
    def spot(self) -> str:
        """The place without the file's name, for messages that name the file anyway."""
        # Items of a list stand as `FILE: record 3`, lines as `FILE:4 (byte 90)`.
        _, mark, spot = self.place.rpartition(": ")
        return spot if mark else f"line {self.place.rpartition(':')[2]}"

    def fault(self, code: str, message: str, *, last: int | None = None, severity: str | None = None) -> ChainFault:
        """Return something that is wrong with it."""
        return ChainFault(code, self.place, message, self.seq, last, bool(self.problem), severity)


class RecordExaminer(Protocol):
    """Looks at the records of one format in order."""

    def visit(self, read: Read) -> Iterator[ChainFault]:
        """Take the next record and yield what shows at it."""

    def finish(self, total: int) -> Iterator[ChainFault]:
        """Yield what shows only at the end, when so many entries were made."""


Chains = Callable[[], tuple[Interpreter, RecordExaminer]]
"""Makes an interpreter that reads a source a second time, and what looks at its chains meanwhile."""


def examine_records(
    records: Iterable[tuple[str, Value, str]], chains: Chains, cancelled: Cancelled
) -> Iterator[ChainFault]:
    """Read records a second time and yield what is wrong with their chains.

    Args:
        records: place, content and what is the matter with it; "" where it is JSON.
        chains: see `Chains`.
        cancelled: asked whether to stop.
    """
    interpreter, examiner = chains()
    seq = 0
    for place, record, problem in records:
        if cancelled():
            return
        made = 0
        if not problem:
            try:
                for _ in interpreter.read(record, 0):
                    made += 1
            except UnusableRecord as error:
                problem = str(error)
        yield from examiner.visit(Read(place, record, seq, made, problem))
        seq += made
    yield from examiner.finish(seq)
