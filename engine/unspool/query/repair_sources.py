"""Repairing a foreign source: what was read of it, with a hole where something of its chains was lost."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import replace

import msgspec

from unspool.history.verdict import ChainFault, Verdict
from unspool.query.doctor_findings import Code
from unspool.query.doctor_sources import Span, told_by
from unspool.query.doctor_steps import ChainedSource, EncodedState, Facts, Fault, Names, Step


class WithGaps:
    """A `ChainedSource` with a gap before each entry that something is lost before; what follows is renumbered."""

    def __init__(self, source: ChainedSource, faults: Sequence[ChainFault]) -> None:
        """Prepare.

        Args:
            source: the entries that were read.
            faults: what is wrong with the chains they come from.
        """
        lost = [(fault.first, fault) for fault in faults if fault.is_lost and fault.first is not None]
        lost.sort(key=lambda item: item[0])
        self._source = source
        self._lost = [fault for _, fault in lost]
        self._at = [min(first, source.total) for first, _ in lost]
        self._holes = [first + place for place, first in enumerate(self._at)]

    @property
    def name(self) -> str:
        """See `ChainedSource.name`."""
        return self._source.name

    @property
    def first(self) -> int:
        """See `ChainedSource.first`."""
        return self._source.first

    @property
    def total(self) -> int:
        """See `ChainedSource.total`."""
        return self._source.total + len(self._lost)

    @property
    def names(self) -> Names:
        """See `ChainedSource.names`."""
        return self._source.names

    def number_of(self, seq: int) -> int:
        """Return the number of an entry among the gaps."""
        return seq + bisect_right(self._at, seq)

    def spans(self, spans: Sequence[Span]) -> tuple[Span, ...]:
        """Return spans of entries by their new numbers."""
        return tuple((self.number_of(first), self.number_of(last)) for first, last in spans)

    def steps(self) -> Iterator[Step]:
        """See `ChainedSource.steps`."""
        place = 0
        for step in self._source.steps():
            while place < len(self._at) and self._at[place] <= step.seq:
                yield self._gap(place)
                place += 1
            facts = None if step.facts is None else self._renumbered(step.facts)
            yield replace(step, seq=self.number_of(step.seq), last=self.number_of(step.last), facts=facts)
        yield from map(self._gap, range(place, len(self._at)))

    def _gap(self, place: int) -> Step:
        fault, seq = self._lost[place], self._holes[place]
        return Step(seq, seq, fault=Fault(Code(fault.code), f"{fault.place}: {fault.message}"))

    def _renumbered(self, facts: Facts) -> Facts:
        parent = facts.extra.get("parent")
        if not self._at or type(parent) is not int or parent < 0:
            return facts
        return msgspec.structs.replace(facts, extra={**facts.extra, "parent": self.number_of(parent)})

    def state_at(self, seq: int) -> EncodedState | None:
        """See `ChainedSource.state_at`."""
        place = bisect_left(self._holes, seq)
        if place < len(self._holes) and self._holes[place] == seq:
            return None
        return self._source.state_at(seq - place)

    def close(self) -> None:
        """See `ChainedSource.close`."""
        self._source.close()


def left_out(verdict: Verdict, faults: Sequence[ChainFault]) -> tuple[str, ...]:
    """Return what of a source is not in its history, and at which entry it would stand is not known."""
    told = [f"{fault.place}: {fault.message}" for fault in faults if fault.is_lost and fault.first is None]
    known = told_by(faults)
    told += [
        f"{problem.place}: {problem.message}"
        for problem in verdict.problems
        if known.isdisjoint((problem.place, problem.message))
    ]
    return (*told, f"{verdict.dropped} more problems of the source") if verdict.dropped else tuple(told)
