"""What the doctor walks over: entries in order with all that could be read of each, whatever the source."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol

import msgspec

from unspool.codec.records import Record, RecordCodec
from unspool.model.values import Value
from unspool.query.doctor_findings import Code

EncodedState = dict[str, bytes]
"""A state as wire forms by atom."""
Touched = list[tuple[str, bytes | None]]
"""Atoms that a delta wrote, each with its wire form before."""
Report = Callable[[Code, int | None, int | None, str], None]
"""Where a source tells what it finds besides faults of entries."""

PLACEHOLDER: Final = "atom#{number}"
"""Name of an atom whose name was lost."""
FARTHEST_ATOM: Final = 1 << 16
"""Numbers beyond the last known one that are still taken for atoms with a lost name."""


class Names(dict[int, str]):
    """Names of atoms by number; numbers without a name get a placeholder and are remembered in `unknown`.

    Attributes:
        lost: numbers whose name did not read.
        unknown: those of them that were met beyond all names.
    """

    def __init__(self, known: Mapping[int, str], lost: Collection[int] = ()) -> None:
        """Start from the names that are known; `lost` ones get a placeholder."""
        super().__init__(known)
        self.update((number, PLACEHOLDER.format(number=number)) for number in lost)
        self.lost = set(lost)
        self.unknown: set[int] = set()
        self._limit = max(known, default=-1) + 1 + FARTHEST_ATOM

    def __missing__(self, number: int) -> str:
        if type(number) is not int or not 0 <= number < self._limit:
            raise KeyError(number)
        self.unknown.add(number)
        self.lost.add(number)
        name = self[number] = PLACEHOLDER.format(number=number)
        return name


@dataclass(frozen=True, slots=True)
class Fault:
    """Why an entry cannot be read.

    Attributes:
        code: what is the matter.
        text: the same in words, without the entry's number.
    """

    code: Code
    text: str


class Facts(msgspec.Struct, frozen=True, gc=False):
    """What is known of an entry besides its state.

    Attributes:
        time_ns: nanoseconds since the epoch.
        codec: how its record was written when it was recorded.
        action: why it happened.
        changed: postings of what it changed.
        extra: id, parent and meta where they are not the usual ones.
        stored: bytes of its record as recorded.
        full_bytes: bytes of the whole state.
    """

    time_ns: int
    codec: RecordCodec
    action: str
    changed: array[int]
    extra: Mapping[str, Value]
    stored: int
    full_bytes: int


@dataclass(slots=True)
class Step:
    """One entry, or several in a row of which nothing at all is known.

    Attributes:
        seq: its number.
        last: number of the last one, where there are several.
        facts: what is known besides the state; None when that is lost.
        fault: why the state does not read, or with a state why nothing else is known; None when all reads.
        record: its record.
        state: the state, until the next step is taken; None when it does not read.
        before: the state before it, where it is still at hand.
        touched: what its delta wrote, where it is a readable key-wise delta.
    """

    seq: int
    last: int
    facts: Facts | None = None
    fault: Fault | None = None
    record: Record | None = None
    state: EncodedState | None = None
    before: EncodedState | None = None
    touched: Touched | None = field(default=None)


class ChainedSource(Protocol):
    """A source with chains that the doctor can walk over. The native file and any open store are such sources."""

    @property
    def name(self) -> str:
        """What people call it."""

    @property
    def first(self) -> int:
        """The first entry it should hold: 0, unless a bound on the recording dropped those before it."""

    @property
    def total(self) -> int:
        """One past the last entry it should hold."""

    @property
    def names(self) -> Names:
        """Names of atoms by number."""

    def steps(self) -> Iterator[Step]:
        """Yield every entry from `first` to `total - 1` in order; damage is told in the steps, never raised."""

    def state_at(self, seq: int) -> EncodedState | None:
        """Return the state at an earlier entry, or None where it does not read."""

    def close(self) -> None:
        """Let go of files."""
