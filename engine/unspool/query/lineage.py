"""Walking a history for a question: which entry follows which, and states, with damage named.

`parent_seq` is the entry that another one follows in time. It is the one before except at a fork, and the store
lists the forks of a range without reading its entries one by one. A history with forks is walked as straight stretches.

A history may merge several parts (threads, players), of which one may go back alone. Such a fork concerns that part's
atoms only: they follow the fork's parent, all others the entry before. So a line may depend on the atoms asked about,
and the state as a whole follows the entry before.

Damaged states are stepped over only where that was asked for.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import Final, overload

from msgspec import Struct

from unspool.errors import CorruptHistory, EntryNotKept
from unspool.history.history import History
from unspool.history.verdict import Problem
from unspool.model.entries import Entry
from unspool.model.values import Value
from unspool.store.file import Fork, forks_of

_WINDOW: Final = 256
"""Entries looked at first when walking back; most answers are near."""
_LARGEST_WINDOW: Final = 1 << 16


@dataclass(frozen=True, slots=True)
class Stretch:
    """Entries in a row, each the parent of the next.

    Attributes:
        first: its first entry.
        last: its last entry.
        parent: the entry that the first one follows; None at the beginning of the history, and where it was dropped.
        part: the atoms for which that is so, where the others follow the entry before; None for all of them.
    """

    first: int
    last: int
    parent: int | None
    part: frozenset[str] | None = None

    def parent_of(self, seq: int) -> int | None:
        """Return the entry that an entry of the stretch follows."""
        return self.parent if seq == self.first else seq - 1


def forks(history: History, start: int, stop: int) -> Iterator[Fork]:
    """Yield each entry from `start` to `stop - 1` that does not follow the one before it, with its parent.

    The first entry counts as one; an entry that cannot be read does not.
    """
    yield from forks_of(history.store, start, stop)


def concerns(part: frozenset[str] | None, atoms: Collection[str] | None) -> bool:
    """Whether atoms follow a fork's parent.

    Args:
        part: the atoms that the fork concerns; None for all.
        atoms: the atoms asked about; None for the state as a whole, which never follows a part's fork.
    """
    return part is None or (atoms is not None and bool(atoms) and part.issuperset(atoms))


def stretches_back(history: History, at: int, atoms: Collection[str] | None = None) -> Iterator[Stretch]:
    """Yield the line that leads to an entry, newest part first, a window at a time.

    A stretch may go on in the next one; windows grow, so that near answers are cheap and far ones few.

    Args:
        history: where to look.
        at: where the line ends.
        atoms: the atoms asked about; None for the state as a whole.
    """
    last: int | None = at
    size = _WINDOW
    while last is not None and last >= (origin := history.first):
        start = max(origin, last - size + 1)
        found = [fork for fork in forks(history, start, last + 1) if concerns(fork.part, atoms)]
        first, parent = found[-1][:2] if found else (start, start - 1 if start > origin else None)
        yield Stretch(first, last, parent)
        last = parent
        size = min(size * 2, _LARGEST_WINDOW)


def line_to(history: History, at: int, atoms: Collection[str] | None = None) -> tuple[Stretch, ...]:
    """Return the line that leads to an entry as the fewest stretches, oldest first; see `stretches_back`."""
    line: list[Stretch] = []
    for stretch in stretches_back(history, at, atoms):
        if line and line[-1].parent == stretch.last and line[-1].first == stretch.last + 1:
            line[-1] = Stretch(stretch.first, line[-1].last, stretch.parent)
        else:
            line.append(stretch)
    return tuple(reversed(line))


def all_stretches(history: History, start: int = 0, stop: int | None = None) -> Iterator[Stretch]:
    """Yield all entries as stretches, in the order they were recorded; one begins at every fork, also at a part's."""
    end, origin = len(history) if stop is None else stop, history.first
    start = max(start, origin)
    if start >= end:
        return
    current = Fork(start, start - 1 if start > origin else None)
    for fork in forks(history, start, end):
        if fork.seq > current.seq:
            yield Stretch(current.seq, fork.seq - 1, current.parent, current.part)
        current = fork
    yield Stretch(current.seq, end - 1, current.parent, current.part)


class Places(Sequence[int]):
    """The entries of a line by their place in it, oldest first."""

    def __init__(self, line: Sequence[Stretch]) -> None:
        """Number the entries of a line, as `line_to` returns it."""
        self._line = line
        self._ends = list(accumulate(stretch.last - stretch.first + 1 for stretch in line))

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    @overload
    def __getitem__(self, place: int) -> int: ...
    @overload
    def __getitem__(self, place: slice) -> list[int]: ...
    def __getitem__(self, place: int | slice) -> int | list[int]:
        if isinstance(place, slice):
            return [self[at] for at in range(*place.indices(len(self)))]
        at = place + len(self) if place < 0 else place
        if not 0 <= at < len(self):
            raise IndexError(place)
        which = bisect_right(self._ends, at)
        return self._line[which].last - (self._ends[which] - 1 - at)

    def pieces(self, size: int) -> Iterator[Stretch]:
        """Yield the line in pieces of at most `size` entries."""
        for stretch in self._line:
            for first in range(stretch.first, stretch.last + 1, size):
                yield Stretch(first, min(first + size - 1, stretch.last), stretch.parent_of(first))


def windows(history: History, start: int = 0, stop: int | None = None, size: int = _WINDOW) -> Iterator[Stretch]:
    """Yield what `all_stretches` does in pieces of at most `size` entries, each as soon as it is known."""
    end = len(history) if stop is None else stop
    for first in range(max(start, history.first), end, size):
        yield from all_stretches(history, first, min(first + size, end))


def branch_after(history: History, seq: int, atom: str) -> Iterator[Stretch]:
    """Yield the entries that were recorded after an entry on an atom's branch, a window at a time, until it ends."""
    first, total, size = seq + 1, len(history), _WINDOW
    while first < total:
        stop = min(first + size, total)
        ends = (fork.seq for fork in forks(history, first, stop) if concerns(fork.part, (atom,)))
        end = next(ends, stop)
        if end > first:
            yield Stretch(first, end - 1, first - 1)
        if end < stop:
            return
        first = end
        size = min(size * 2, _LARGEST_WINDOW)


def touches_back(
    history: History, atoms: Sequence[str], at: int, *, every: bool = False
) -> Iterator[tuple[int, int | None, Sequence[str]]]:
    """Yield the entries that changed some atoms on the lines that lead to an entry, newest first along each line.

    Args:
        history: where to look.
        atoms: names of the atoms; may shrink while this runs.
        at: where the lines end.
        every: where the changes of entries cannot be read, yield all entries in question instead of raising.

    Yields:
        The entry, the entry it follows, and those of the atoms for which it does: others may lie on another line.
        Where older entries were dropped, each line ends with an entry that follows None and all atoms still asked for.
    """
    lines: list[tuple[int, frozenset[str] | None]] = [(at, None)]
    while lines:
        last, mine = lines.pop()
        yield from _line_back(history, atoms, last, mine, lines, every)


def _line_back(
    history: History,
    atoms: Sequence[str],
    at: int,
    mine: frozenset[str] | None,
    lines: list[tuple[int, frozenset[str] | None]],
    every: bool,
) -> Iterator[tuple[int, int | None, Sequence[str]]]:
    """Follow one line back until a part leaves it; the two lines that go on from there are added to `lines`."""
    last: int | None = at
    size = _WINDOW
    while last is not None and last >= (origin := history.first):
        names = [atom for atom in atoms if mine is None or atom in mine]
        if not names:
            return
        start = max(origin, last - size + 1)
        fork = _newest_fork(history, start, last, names)
        first = start if fork is None else fork.seq
        parent = (start - 1 if start > origin else None) if fork is None else fork.parent
        is_end = parent is None and origin > 0
        leaves = fork is not None and not concerns(fork.part, names)
        found = touching(history, names, first + leaves, last + 1, every=every)
        if is_end and not leaves:
            found.add(first)
        for seq in sorted(found, reverse=True):
            yield seq, seq - 1 if seq > first else parent, names
        if fork is not None and leaves and fork.part is not None:
            gone = fork.part.intersection(names)
            if is_end or touching(history, tuple(gone), first, first + 1, every=every):
                yield first, parent, tuple(gone)
            if parent is not None:
                lines.append((parent, gone))
            lines.append((first, frozenset(names) - gone))
            return
        last = parent
        size = min(size * 2, _LARGEST_WINDOW)


def _newest_fork(history: History, start: int, last: int, atoms: Collection[str]) -> Fork | None:
    """Return the newest fork from `start` to `last` that concerns any of some atoms."""
    found = [fork for fork in forks(history, start, last + 1) if fork.part is None or not fork.part.isdisjoint(atoms)]
    return found[-1] if found else None


def touching(history: History, atoms: Sequence[str], start: int, stop: int, *, every: bool = False) -> set[int]:
    """Return the entries from `start` to `stop - 1` that changed one of some atoms; see `touches_back`."""
    try:
        if len(atoms) * _ASKING_COST > stop - start:
            wanted = frozenset(atoms)
            return {
                seq for seq in range(start, stop) if any(atom in wanted for atom, _ in history.changed_atoms(seq))
            }
        return {seq for atom in atoms for seq in history.writes(atom, start, stop)}
    except CorruptHistory:
        if not every:
            raise
        is_note = history.notes()
        return {seq for seq in range(start, stop) if not is_note(seq)}


_ASKING_COST: Final = 4
"""What asking a window for one atom's writes costs, in entries asked for what they changed."""


Wire = Mapping[str, bytes]
"""A state as wire forms by atom."""

EMPTY_STATE: Final[Wire] = {}
"""The state before the first entry."""


class AskedEntry(Struct, frozen=True, dict=True):
    """What a question sees of an entry; what the states do not tell is read when it is asked for.

    Attributes:
        history: where it is.
        seq: its number.
        parent: the entry that it follows; None for the first, and where that one was dropped.
        old: the state that it followed; empty for the first, and where it is not known.
        new: the state that it left.
    """

    history: History
    seq: int
    parent: int | None
    old: Wire
    new: Wire

    @cached_property
    def entry(self) -> Entry:
        """All that is known of it besides its state."""
        return self.history[self.seq]

    @property
    def action(self) -> str:
        """Why it happened; may be empty."""
        return self.entry.action

    @property
    def meta(self) -> Mapping[str, Value]:
        """Free facts from the app or source."""
        return self.entry.meta


_ENTRIES_AT_ONCE: Final = 256


class StateReader:
    """Reads states of one history for one question, counts them, and keeps what could not be read."""

    def __init__(self, history: History, *, skip_damaged: bool = False) -> None:
        """Prepare.

        Args:
            history: where the states are.
            skip_damaged: note a state that cannot be read and go on, instead of raising.
        """
        self.history = history
        self.skip_damaged = skip_damaged
        self.rebuilt = 0
        """States asked for so far."""
        self._problems: dict[int, Problem] = {}
        self._batch = 1

    @property
    def problems(self) -> tuple[Problem, ...]:
        """What could not be read, in the order of entries."""
        return tuple(self._problems[seq] for seq in sorted(self._problems))

    def state(self, seq: int | None) -> Wire | None:
        """Return the state at an entry; the empty one for None, and None for one that cannot be read.

        What was before the first entry that a bound on the recording kept cannot be read either, and is no problem.

        Raises:
            CorruptHistory: it cannot be read, and damage is not to be skipped; the message names the entry.
        """
        if seq is None:
            return None if self.history.first else EMPTY_STATE
        self.rebuilt += 1
        try:
            return self.history.view(seq).wire
        except CorruptHistory as error:
            self.note(seq, error)
            return None
        except EntryNotKept:
            # It was dropped since the question was asked.
            return None

    def entries_from(self, seq: int) -> list[Entry]:
        """Return what is known of an entry and some after it, their states left out; nothing where that cannot be read.

        There are more each time, since a question goes from one to the next or ends with its first hit.

        Raises:
            CorruptHistory: it cannot be read, and damage is not to be skipped.
        """
        try:
            found = self.history[seq : seq + self._batch]
        except CorruptHistory as error:
            if self._batch == 1:
                self.note(seq, error)
                return []
            # The damage may stand further on: small steps up to it, and larger ones behind it.
            self._batch = 1
            return self.entries_from(seq)
        except EntryNotKept:
            # It was dropped since the question was asked.
            return []
        self._batch = min(2 * self._batch, _ENTRIES_AT_ONCE)
        return found

    def note(self, seq: int, error: CorruptHistory) -> None:
        """Keep a problem, or raise it where damage is not to be skipped.

        Raises:
            CorruptHistory: damage is not to be skipped.
        """
        if not self.skip_damaged:
            text = str(error)
            named = text if f"entry {seq}" in text else f"entry {seq} of {self.history.source_name}: {text}"
            raise type(error)(named, seq=seq) from error
        self._problems.setdefault(seq, Problem(f"entry {seq}", str(error)))
