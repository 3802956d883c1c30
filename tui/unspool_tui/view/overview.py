"""The entries of the whole history as the screen knows them: their columns, sums over ranges, and the filter of the list.

A filter is words that must all hold; `!` in front of one inverts it.
"""

from __future__ import annotations

import re
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from difflib import get_close_matches
from itertools import compress, repeat
from operator import add
from typing import TYPE_CHECKING, Final, Protocol

from msgspec import Struct

from unspool.errors import UnspoolError
from unspool.model.entries import FULL, KINDS, NOTE
from unspool_tui.view.axis import Moments

if TYPE_CHECKING:
    from unspool.history.history import History

BLOCK = 64
"""Entries whose changes are summed up together; a million entries make 16,000 blocks."""
_MANY: Final = 255
_AT_ONCE: Final = 64 * BLOCK
"""Entries that are taken from the columns together."""


class EntryColumns(Protocol):
    """Arrays with one item an entry: those of a history, or those of its first pages while it is still being opened."""

    @property
    def timestamp_ns(self) -> Sequence[int]: ...

    @property
    def kind(self) -> Sequence[int]: ...

    @property
    def added(self) -> Sequence[int]: ...

    @property
    def modified(self) -> Sequence[int]: ...

    @property
    def deleted(self) -> Sequence[int]: ...

    @property
    def stored(self) -> Sequence[int]: ...

    @property
    def full_bytes(self) -> Sequence[int]: ...


class ChangeSums:
    """How many atoms the entries of any range changed, without going over all of them."""

    __slots__ = ("_before", "_columns", "_counts", "_first", "_last")

    def __init__(self, columns: EntryColumns, first: int = 0) -> None:
        """Sum up growing columns, of which `first` is the first entry that counts."""
        self._columns = columns
        self._first = first // BLOCK * BLOCK
        self._before = array("Q", (0,))
        self._counts = bytearray()
        """Changes by entry, `_MANY` for as many or more: at each edge of the timeline some are added up."""
        self._last = (-1, 0)
        """The entry that was summed up to last, and the sum: cells are asked for in order, each beginning where one ends."""

    def catch_up(self, total: int) -> None:
        """Sum up the entries up to `total`."""
        counts, before = self._counts, self._before
        for start in range(self._first + len(counts), total, _AT_ONCE):
            changed = self._changed(start, min(start + _AT_ONCE, total))
            counts += bytes(map(min, changed, repeat(_MANY)) if max(changed, default=0) > _MANY else changed)
        for at in range((len(before) - 1) * BLOCK, len(counts) - BLOCK + 1, BLOCK):
            before.append(before[-1] + self._counted(self._first + at, self._first + at + BLOCK))

    def between(self, start: int, stop: int) -> int:
        """Return the sum over the entries from `start` to `stop - 1`."""
        if start >= stop:
            return 0
        last = self._last
        before = last[1] if last[0] == start else self._up_to(start)
        until = self._up_to(stop)
        self._last = (stop, until)
        return until - before

    def _up_to(self, seq: int) -> int:
        block = min((seq - self._first) // BLOCK, len(self._before) - 1)
        return self._before[block] + self._counted(self._first + block * BLOCK, seq)

    def _counted(self, start: int, stop: int) -> int:
        counts = self._counts[start - self._first : stop - self._first]
        is_exact = len(counts) == stop - start and _MANY not in counts
        return sum(counts if is_exact else self._changed(start, stop))

    def _changed(self, start: int, stop: int) -> list[int]:
        columns = self._columns
        both = map(add, columns.added[start:stop], columns.modified[start:stop])
        return list(map(add, both, columns.deleted[start:stop]))


_FULL, _NOTE = bytes((FULL,)), bytes((NOTE,))
_IS_FULL, _IS_NOTE, _IS_NO_NOTE = FULL.__eq__, NOTE.__eq__, NOTE.__ne__


class RangeFacts(Struct, frozen=True):
    """What is drawn of a range of entries.

    Attributes:
        changes: atoms that they added, modified or deleted, each counted once an entry.
        fulls: full snapshots among them.
        notes: notes among them.
        depth: the most deltas between one of them and its full snapshot.
    """

    changes: int
    fulls: int
    notes: int
    depth: int


_RANGES_KEPT: Final = 1024
"""Ranges whose facts are remembered: those of some axes, at about 300 bytes each."""


class EntryLedger:
    """Sums and positions over the columns of a history."""

    __slots__ = (
        "_base", "_columns", "_kinds", "_longest", "_notes", "_ranges", "_seen", "as_full", "changes", "first", "full_stored", "moments", "note_stored", "ready",
        "stored",
    )  # fmt: skip

    def __init__(self, columns: EntryColumns, first: int = 0) -> None:
        """Start with nothing seen; `catch_up` does the rest, and until then the ledger is not ready.

        Args:
            columns: the arrays that are summed up.
            first: the oldest entry; what the columns hold before it does not count.
        """
        self.ready = False
        self.first = first
        self._columns = columns
        self._base = self._seen = first
        """The entry that `_kinds` begins with, and one past the one that it ends with."""
        self._kinds = bytearray()
        self._longest = (first, 0, 0)
        """Up to which entry chains were looked at, the most deltas of one, and those of the last so far."""
        self.stored = 0
        self.as_full = 0
        self.full_stored = 0
        self.note_stored = 0
        self._notes = 0
        self.changes = ChangeSums(columns, first)
        self.moments = Moments(columns.timestamp_ns, first)
        self._ranges: dict[tuple[int, int], RangeFacts] = {}

    @property
    def columns(self) -> EntryColumns:
        """The arrays that the ledger sums up."""
        return self._columns

    def catch_up(self, total: int) -> None:
        """Take note of the entries up to `total`; a shorter history is counted anew."""
        self.ready = True
        columns = self._columns
        if total < self._seen:
            self._kinds.clear()
            self.stored = self.as_full = self.full_stored = self.note_stored = self._notes = 0
            self._base = self._seen = self.first
            self._longest = (self.first, 0, 0)
            self.changes = ChangeSums(columns, self.first)
            self.moments = Moments(columns.timestamp_ns, self.first)
            self._ranges.clear()
        self._kinds.extend(columns.kind[self._seen : total])
        self._add(self._seen, total, 1)
        self._seen = total
        self.changes.catch_up(total)
        self.moments.catch_up(total)

    def begin_at(self, first: int) -> None:
        """Count no entry before `first` any more: those were dropped."""
        if self.first < first:
            self._add(self.first, min(first, self._seen), -1)
            if self._seen < first:
                # Nothing of what was counted is kept.
                self._kinds.clear()
                self._base = self._seen = first
                self.changes = ChangeSums(self._columns, first)
                self.moments = Moments(self._columns.timestamp_ns, first)
            self.first = first
            self._longest = (first, 0, 0)
            self._ranges.clear()

    def _add(self, start: int, stop: int, sign: int) -> None:
        """Count the entries from `start` to `stop - 1`, or take them out again."""
        columns = self._columns
        kinds, stored = columns.kind[start:stop], columns.stored[start:stop]
        self.stored += sign * sum(stored)
        self.full_stored += sign * sum(compress(stored, map(_IS_FULL, kinds)))
        self.note_stored += sign * sum(compress(stored, map(_IS_NOTE, kinds)))
        self._notes += sign * kinds.count(NOTE)
        self.as_full += sign * sum(compress(columns.full_bytes[start:stop], map(_IS_NO_NOTE, kinds)))

    @property
    def delta_bytes(self) -> int:
        """Bytes stored of deltas."""
        return self.stored - self.full_stored - self.note_stored

    def previous_full(self, seq: int) -> int | None:
        """Return the nearest full snapshot before an entry."""
        found = self._kinds.rfind(_FULL, self.first - self._base, max(0, seq - self._base))
        return found + self._base if found >= 0 else None

    def next_full(self, seq: int) -> int | None:
        """Return the nearest full snapshot after an entry."""
        found = self._kinds.find(_FULL, max(0, seq + 1 - self._base))
        return found + self._base if found >= 0 else None

    def depth(self, seq: int) -> int:
        """Return how many deltas lie between an entry and the full snapshot it stands on."""
        first, place = self.first - self._base, seq - self._base
        start = max(self._kinds.rfind(_FULL, first, place + 1), first)
        return place - start - self._kinds.count(_NOTE, start, place + 1)

    def facts(self, start: int, stop: int) -> RangeFacts:
        """Return what is drawn of the entries from `start` to `stop - 1`."""
        found = self._ranges.get((start, stop))
        if found is None:
            low, high = start - self._base, stop - self._base
            fulls, notes = self._kinds.count(_FULL, low, high), self._kinds.count(_NOTE, low, high)
            found = RangeFacts(self.changes.between(start, stop), fulls, notes, self.deepest(start, stop))
            if stop != self._seen:
                # What ends with the newest entry is another range when the next has arrived.
                if len(self._ranges) >= _RANGES_KEPT:
                    self._ranges.clear()
                self._ranges[start, stop] = found
        return found

    def deepest(self, start: int, stop: int) -> int:
        """Return the most deltas that lie between one of the entries from `start` to `stop - 1` and its full snapshot."""
        base = self._base
        next_full = self._kinds.find(_FULL, start - base, stop - base)
        if next_full < 0:
            return self.depth(stop - 1)
        last_full = self._kinds.rfind(_FULL, start - base, stop - base)
        parts = self._kinds[next_full:last_full].replace(_NOTE, b"").split(_FULL)
        before = self.depth(base + next_full - 1) if base + next_full > start else 0
        return max(before, self.depth(stop - 1), *map(len, parts))

    def full_count(self) -> int:
        """Return how many full snapshots there are."""
        return self._kinds.count(_FULL, self.first - self._base)

    def note_count(self) -> int:
        """Return how many notes there are; every paint asks."""
        return self._notes

    def longest(self) -> int:
        """Return the most deltas that follow one full snapshot."""
        stop, longest, standing = self._longest
        if stop != self._seen:
            parts = self._kinds[stop - self._base : self._seen - self._base].replace(_NOTE, b"").split(_FULL)
            lengths = [standing + len(parts[0]), *map(len, parts[1:])]
            longest = max(longest, *lengths)
            self._longest = (self._seen, longest, lengths[-1])
        return longest


Keep = Callable[[int], bool]
"""Says whether an entry is shown."""

_TERM: Final = re.compile(r'(?P<no>!?)(?:(?P<field>[a-z]+)(?P<sign>[:<>=]))?(?:"(?P<quoted>[^"]*)"|(?P<word>\S+))')
_SIZE: Final = re.compile(r"(\d+(?:\.\d+)?)\s*([kmg]?)i?b?\Z", re.IGNORECASE)
_FACTORS: Final = {"": 1, "k": 1024, "m": 1024**2, "g": 1024**3}
TEXT_FIELDS: Final = ("action", "atom", "kind")
NUMBER_FIELDS: Final = ("bytes", "changes", "seq")
HELP: Final = (
    "words match action or atom; kind:full  atom:cart  action:pay  changes>3  bytes>10k  seq<500  !word inverts"
)


class FilterSyntaxError(UnspoolError, ValueError):
    """A filter that does not parse; the message names the word."""


class FilterTerm(Struct, frozen=True):
    """One word of a filter.

    Attributes:
        field: what is looked at; empty for plain text.
        sign: `:` has, `<`, `>` or `=`.
        wanted: the text looked for, or the number compared with.
        inverted: the entry is shown when the word does not hold.
    """

    field: str
    sign: str
    wanted: str
    inverted: bool


def parse_filter(text: str) -> tuple[FilterTerm, ...]:
    """Read a filter.

    Raises:
        FilterSyntaxError: a field that does not exist or a number that is none.
    """
    terms = []
    for match in _TERM.finditer(text.strip()):
        field, sign = match["field"] or "", match["sign"] or ":"
        wanted = match["quoted"] if match["quoted"] is not None else match["word"]
        if field and field not in TEXT_FIELDS + NUMBER_FIELDS:
            raise FilterSyntaxError(_unknown(field))
        if field in NUMBER_FIELDS:
            wanted = str(_number(field, wanted))
        elif sign in "<>":
            raise FilterSyntaxError(f"{field}{sign}{wanted}: only {', '.join(NUMBER_FIELDS)} can be compared")
        terms.append(FilterTerm(field, sign, wanted, bool(match["no"])))
    return tuple(terms)


def filter_of_action(action: str, *, inverted: bool = False) -> str:
    """Return the filter that shows the entries of an action, or hides them; a quote in it cannot be asked for exactly."""
    longest = max(action.split('"'), key=len)
    return f'{"!" if inverted else ""}action{"=" if longest == action else ":"}"{longest}"'


def _unknown(field: str) -> str:
    near = get_close_matches(field, TEXT_FIELDS + NUMBER_FIELDS, n=1)
    hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(TEXT_FIELDS + NUMBER_FIELDS)}"
    return f"the filter knows no field {field[:40]!r}: {hint}"


def _number(field: str, text: str) -> float:
    match = _SIZE.match(text)
    if match is None:
        raise FilterSyntaxError(f"{field} is compared with a number such as 3 or 10k, not with {text[:40]!r}")
    return float(match[1]) * _FACTORS[match[2].lower()]


def compile_filter(terms: tuple[FilterTerm, ...], history: History) -> Keep:
    """Return the function that says whether an entry passes all terms."""
    columns = history.columns()
    keeps = [_compile(term, history, columns) for term in terms]
    return lambda seq: all(keep(seq) for keep in keeps)


def _compile(term: FilterTerm, history: History, columns: EntryColumns) -> Keep:
    keep = _number_test(term, columns) if term.field in NUMBER_FIELDS else _text_test(term, history, columns)
    return (lambda seq: not keep(seq)) if term.inverted else keep


def _number_test(term: FilterTerm, columns: EntryColumns) -> Keep:
    wanted = float(term.wanted)
    compare: dict[str, Callable[[float], bool]] = {
        ":": lambda value: value == wanted,
        "=": lambda value: value == wanted,
        "<": lambda value: value < wanted,
        ">": lambda value: value > wanted,
    }
    holds = compare[term.sign]
    if term.field == "bytes":
        return lambda seq: holds(columns.stored[seq])
    if term.field == "seq":
        return holds
    return lambda seq: holds(columns.added[seq] + columns.modified[seq] + columns.deleted[seq])


def _text_test(term: FilterTerm, history: History, columns: EntryColumns) -> Keep:
    wanted = term.wanted.casefold()
    if term.field == "kind":
        kind = next((number for name, number in KINDS.items() if name.startswith(wanted)), None)
        if kind is None:
            raise FilterSyntaxError(f"kind is full, delta or note, not {term.wanted[:40]!r}")
        return lambda seq: columns.kind[seq] == kind
    exact = term.sign == "="

    def found_in(text: str) -> bool:
        folded = text.casefold()
        return folded == wanted if exact else wanted in folded

    def in_action(seq: int) -> bool:
        return found_in(history.action(seq))

    def in_atoms(seq: int) -> bool:
        return any(found_in(atom) for atom, _ in history.changed_atoms(seq))

    if term.field == "action":
        return in_action
    if term.field == "atom":
        return in_atoms
    return lambda seq: in_action(seq) or in_atoms(seq)


class Rows:
    """Row number to entry number and back, in O(log n), without one object an entry."""

    __slots__ = ("_first", "_kept", "_total")

    def __init__(self, total: int, kept: array[int] | None = None, *, first: int = 0) -> None:
        """Make the rows of the entries from `first` to `total - 1`; `kept` holds the ascending numbers of those shown."""
        self._total = total
        self._first = first
        self._kept = kept

    def __len__(self) -> int:
        return self._total - self._first if self._kept is None else len(self._kept)

    def __getitem__(self, row: int) -> int:
        return self._first + row if self._kept is None else self._kept[row]

    def position(self, seq: int) -> int:
        """Return the row of an entry, or the row it would be inserted at."""
        return max(seq - self._first, 0) if self._kept is None else bisect_left(self._kept, seq)

    def begin_at(self, first: int) -> None:
        """Show no entry before `first` any more: those were dropped."""
        self._first = first
        if self._kept is not None:
            del self._kept[: bisect_left(self._kept, first)]

    def extend(self, seqs: Iterable[int], total: int) -> None:
        """Show more entries of a history that now has `total`."""
        self._total = total
        if self._kept is not None:
            self._kept.extend(seqs)

    @property
    def filtered(self) -> bool:
        """Only some entries are shown."""
        return self._kept is not None
