"""Names that lead somewhere: atoms and paths of a state, actions with how often they happened, and finding one by a few letters.

Exact names come first, then the initials of a path's last steps, so that two letters reach a value wherever it is, then beginnings,
words inside, initials, parts, letters in order. Thousands of names are held against each key that is
typed, so they lie in one text that is searched as a whole: 100,000 names take 3 ms where the letters stand together, and 45 ms
where they are only in order.
"""

from __future__ import annotations

import re
from array import array
from bisect import bisect_right
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from enum import IntEnum
from itertools import accumulate, islice
from time import perf_counter
from typing import TYPE_CHECKING, Final, NamedTuple

from msgspec import Struct

from unspool.errors import CorruptHistory, EntryNotKept
from unspool.model.keys import Path, Step, format_path
from unspool.model.paths import parts_inside
from unspool.model.wire import decode
from unspool_tui.rendering import format_units
from unspool_tui.rendering.values import preview_text

if TYPE_CHECKING:
    from unspool.history.history import History, StateView

_LONGEST: Final = 300
"""Characters of a name that are looked at."""
_LONGEST_QUERY: Final = 200
_ENOUGH: Final = 10
_MOST_LOOKED_AT: Final = 20_000
_MOST_INITIALS: Final = 8
_MOST_STEPS_LETTERS: Final = 5
"""Letters that are spread over the beginnings of steps: each may belong to the step before or begin the next one."""
_MOST_RANKED: Final = 2_000
"""Names of one closeness that are put in order; those after them are left out."""
_BREAKS: Final = "._-[/ \"':$"
"""Characters after which a word begins inside a name."""
_STEPS: Final = ".[\"'"
"""Those after which a step begins inside a path."""


class Closeness(IntEnum):
    """How well a name fits, best first."""

    EXACT = 0
    LAST_STEPS = 1
    BEGINNING = 2
    WORD = 3
    INITIALS = 4
    STEPS = 5
    PART = 6
    WORDS = 7
    LETTERS = 8


_BY_AGE: Final = (Closeness.LAST_STEPS, Closeness.INITIALS, Closeness.STEPS)
"""What many names have in common that are not alike: the one that changed last is meant."""


class Match(NamedTuple):
    """A name that fits.

    Attributes:
        closeness: how well.
        age: of two that initials alike lead to, the younger is meant sooner; 0 for every other closeness.
        length: characters of the name; of two that fit alike the shorter is meant sooner.
        row: its place among the names.
    """

    closeness: Closeness
    age: int
    length: int
    row: int


class NameIndex:
    """Names to be found; the same letters always give the same names in the same order."""

    __slots__ = ("_ages", "_starts", "_text")

    def __init__(self, names: Iterable[str], *, ages: Sequence[int] | None = None) -> None:
        """Lay the names out for searching; letter case does not count.

        Args:
            names: what can be found.
            ages: of paths, how long ago each was changed; they are found by the initials of their steps too. None for
                names that are no paths.
        """
        self._ages = ages
        lines = [name[:_LONGEST].lower().replace("\n", " ") for name in names]
        # A break before the first and after the last: every name is found by what stands around it.
        self._text = "\n" + "\n".join(lines) + "\n"
        self._starts = array("q", accumulate((len(line) + 1 for line in lines), initial=1))

    def __len__(self) -> int:
        return len(self._starts) - 1

    def find(self, query: str, most: int) -> list[Match]:
        """Return the names that fit what is typed, the best first, at most `most`."""
        words = query[:_LONGEST_QUERY].lower().split()
        if not words or not len(self):
            return []
        found: dict[int, Match] = {}
        for closeness, rows in self._stages(words):
            fresh = (row for row in rows if row not in found)
            ages = self._ages if closeness in _BY_AGE else None
            ranked = sorted(
                Match(closeness, ages[row] if ages is not None else 0, self._length(row), row)
                for row, _ in zip(fresh, range(_MOST_RANKED), strict=False)
            )
            for match in ranked:
                found[match.row] = match
            if len(found) >= (_ENOUGH if closeness >= Closeness.PART else most):
                # Letters that are only in order are looked for where hardly anything is closer.
                break
        return sorted(found.values())[:most]

    def _stages(self, words: Sequence[str]) -> Iterator[tuple[Closeness, Iterable[int]]]:
        query = " ".join(words)
        initials = 1 < len(query) <= _MOST_INITIALS and len(words) == 1
        yield Closeness.EXACT, self._rows_with(f"\n{query}\n")
        if initials and self._ages is not None:
            yield Closeness.LAST_STEPS, self._rows_with_last_steps(query)
        yield Closeness.BEGINNING, self._rows_with(f"\n{query}")
        yield Closeness.WORD, self._rows_with_word(query)
        if initials:
            yield Closeness.INITIALS, self._rows_with_initials(query)
            if self._ages is not None and len(query) <= _MOST_STEPS_LETTERS:
                yield Closeness.STEPS, self._rows_with_steps(query)
        yield Closeness.PART, self._rows_with(query)
        if len(words) > 1:
            rarest = min(words, key=self._text.count)
            some = islice(self._rows_with(rarest), _MOST_LOOKED_AT)
            yield Closeness.WORDS, (row for row in some if all(word in self._line(row) for word in words))
        yield Closeness.LETTERS, self._rows_in_order("".join(words))

    def _rows_with(self, part: str) -> Iterator[int]:
        """Yield the names that hold a part, each once; a break in it is the edge of a name."""
        text, starts = self._text, self._starts
        at = text.find(part)
        while at >= 0:
            row = bisect_right(starts, at + (part[0] == "\n")) - 1
            yield row
            # The break that ends this name begins the next one.
            at = text.find(part, starts[row + 1] - 1)

    def _rows_with_word(self, part: str) -> Iterator[int]:
        """Yield the names in which a word begins with a part, inside of the name."""
        literal = re.escape(part)
        for match in re.finditer(rf"{literal}(?<=[{re.escape(_BREAKS)}]{literal})", self._text):
            yield bisect_right(self._starts, match.start()) - 1

    def _rows_with_initials(self, letters: str) -> Iterator[int]:
        """Yield the names in which words next to each other begin with the letters: `bt` finds `carts.big_total.now`."""
        return self._rows_matching(_initials(letters, _BREAKS))

    def _rows_with_last_steps(self, letters: str) -> Iterator[int]:
        """Yield the paths whose last steps begin with the letters: `at` finds `carts.ada.total`."""
        return self._rows_matching(rf"{_initials(letters, _STEPS)}[^\n{re.escape(_STEPS)}]*+[\"'\]]*+\n")

    def _rows_with_steps(self, letters: str) -> Iterator[int]:
        """Yield the paths in which steps next to each other begin with parts of the letters: `adt` finds `carts.ada.total`."""
        breaks = re.escape(_STEPS)
        first, *others = map(re.escape, letters)
        onward = rf"(?:[^\n{breaks}]*+[{breaks}]++)?"
        return self._rows_matching(onward.join((rf"{first}(?<=[\n{breaks}]{first})", *others)))

    def _rows_matching(self, pattern: str) -> Iterator[int]:
        for match in re.finditer(pattern, self._text):
            yield bisect_right(self._starts, match.start()) - 1

    def _rows_in_order(self, letters: str) -> Iterator[int]:
        """Yield the names that hold all letters, in order and with anything between them."""
        # Each letter is the first of its kind after the one before, so no other place is ever tried.
        steps = "".join(rf"[^\n{re.escape(letter)}]*+{re.escape(letter)}" for letter in letters)
        for match in re.finditer(rf"^{steps}", self._text, re.MULTILINE):
            yield bisect_right(self._starts, match.start()) - 1

    def _line(self, row: int) -> str:
        return self._text[self._starts[row] : self._starts[row + 1] - 1]

    def _length(self, row: int) -> int:
        return self._starts[row + 1] - self._starts[row] - 1


def _initials(letters: str, breaks: str) -> str:
    """Return the pattern of words next to each other that begin with the letters, where breaks end words."""
    breaks = re.escape(breaks)
    between = rf"[^\n{breaks}]*+[{breaks}]++"
    first, *others = map(re.escape, letters)
    # A letter first, and then what is before it: letters are searched for many times faster than places.
    return between.join((rf"{first}(?<=[\n{breaks}]{first})", *others))


MOST_PATHS: Final = 50_000
"""Paths inside of atoms that are named; those nearest to an atom first."""
_MOST_BYTES: Final = 32 << 20
"""Wire bytes of values that are taken apart for their paths."""
_LARGEST_SHOWN: Final = 64 << 10
"""Wire bytes of a value that is decoded for a preview; of a larger one the size is told."""
_LONGEST_NAME: Final = 1_000
_SLICE_SECONDS: Final = 0.006
_STRETCH: Final = 256
"""Entries that are read forward in a row while names are looked for further and further back."""
_MOST_ENTRIES: Final = 20_000
"""Entries in which names are looked for that the state has not."""
_LATELY: Final = 512
"""Entries up to the head whose atoms count as changed lately."""


class StateName(Struct, frozen=True):
    """An atom or a path.

    Attributes:
        name: as it is spelled.
        address: where it stands.
        seq: the entry at which it stands there.
        form: the wire form of its value; empty where it is not kept.
    """

    name: str
    address: Path
    seq: int
    form: bytes = b""

    def value(self, most: int) -> str:
        """Return its value in at most so many characters."""
        if not self.form:
            return ""
        if len(self.form) > _LARGEST_SHOWN:
            return format_units.size(len(self.form))
        return preview_text(decode(self.form), most)


class StateNames(Struct, frozen=True):
    """All names of a state.

    Attributes:
        head: the entry whose state it is.
        names: atoms first.
        index: the names, to be found by a few letters.
        left_out: why some paths are not named; empty when all are.
    """

    head: int
    names: list[StateName]
    index: NameIndex
    left_out: str = ""


def state_names(history: History, head: int, tip: int) -> Iterator[StateNames | None]:
    """Yield the atoms of a state, then with its paths too; None between, so that the worker can turn to other things.

    Args:
        history: where they are.
        head: the entry whose state is looked at.
        tip: the newest entry: atoms that only its state has are named with it.
    """
    state = history.view(head)
    names: list[StateName] = []
    for name in _atoms(state, head):
        if name is not None:
            names.append(name)
        else:
            yield None
    if tip != head:
        for name in _atoms(history.view(tip), tip):
            if name is None:
                yield None
            elif name.address[0] not in state:
                names.append(name)
    changed = _newest_changes(history, head)
    yield StateNames(head, names, _indexed(names, changed), "paths are still being read")
    walk = _Walk()
    for _ in _pauses(walk.through(names)):
        yield None
    names = names + walk.found
    yield StateNames(head, names, _indexed(names, changed), walk.left_out)


def other_names(history: History, known: StateNames, tip: int) -> Iterator[StateNames | None]:
    """Yield the names with those too that only other entries have, the nearest to the head first; None in between.

    Args:
        history: where they are.
        known: the names of the state at the head.
        tip: the newest entry.
    """
    search = _OtherNames(history, known)
    until = perf_counter() + _SLICE_SECONDS
    for first, last, parent in _stretches(history, known.head, tip):
        for seq in range(first, last + 1):
            search.look_at(seq, parent if seq == first else seq - 1)
            if perf_counter() >= until:
                yield None
                until = perf_counter() + _SLICE_SECONDS
        search.end_stretch()
        if search.is_full:
            break
        yield search.names(first if last <= known.head else known.head)
    yield search.names(-1)


def _missing_from(form: bytes | None, other: bytes | None, address: Path) -> Iterator[tuple[Path, bytes]]:
    """Yield what stands in a value and not in another, the outermost of it.

    Names are compared, not records: that an item of a list moved leaves no name behind, that the list is shorter does.
    """
    pending = [(address, form, other)]
    while pending:
        address, form, other = pending.pop()
        if form is None or form == other:
            continue
        if other is None:
            yield address, form
            continue
        inner, there = _steps(form), _steps(other)
        pending += [((*address, step), part, there.get(step)) for step, part in inner.items()]


def _steps(form: bytes) -> Mapping[Step, bytes]:
    parts = parts_inside(form)
    if parts is None:
        return {}
    return parts if isinstance(parts, dict) else dict(enumerate(parts))


def _stretches(history: History, head: int, tip: int) -> Iterator[tuple[int, int, int | None]]:
    """Yield the entries before the head in short stretches with the entry that each follows, the newest first, then those after."""
    from unspool.query.lineage import all_stretches, stretches_back  # loaded with the first such question

    for part in stretches_back(history, head):
        for last in range(part.last, part.first - 1, -_STRETCH):
            first = max(part.first, last - _STRETCH + 1)
            yield first, last, part.parent_of(first)
    for part in all_stretches(history, head + 1, tip + 1):
        yield part.first, part.last, part.parent


class _OtherNames:
    """Gathers names that stand at other entries than the head, as long as that takes no more than a moment."""

    def __init__(self, history: History, known: StateNames) -> None:
        from unspool.query.lineage import StateReader  # loaded with the first such question

        self._reader = StateReader(history, skip_damaged=True)
        self._changed = history.changed_atoms
        self._first = history.first
        self._known = known
        self._taken = {name.name for name in known.names}
        self._found: list[StateName] = []
        self._here: dict[str, StateName] = {}
        self._bytes = self._entries = 0

    @property
    def is_full(self) -> bool:
        """Whether enough was looked at."""
        return self._entries >= _MOST_ENTRIES or self._bytes >= _MOST_BYTES or len(self._found) >= MOST_PATHS

    def look_at(self, seq: int, parent: int | None) -> None:
        """Find what an entry removed, or of one after the head what it added."""
        if parent is None or self.is_full:
            return
        self._entries += 1
        with suppress(EntryNotKept, CorruptHistory):
            atoms = [atom for atom, _ in self._changed(seq)]
            before, after = self._reader.state(parent), self._reader.state(seq)
            for atom in atoms if before is not None and after is not None else ():
                old, new = (before or {}).get(atom), (after or {}).get(atom)
                self._bytes += len(old or b"") + len(new or b"")
                later = seq > self._known.head
                pair = (new, old) if later else (old, new)
                for address, form in _missing_from(*pair, (atom,)):
                    self._take(address, form, seq if later else parent)

    def _take(self, address: Path, form: bytes, seq: int) -> None:
        outer = StateName(_spelled(address), address, seq, form)
        walk = _Walk()
        for _ in walk.through([outer]):
            pass
        for name in (outer, *walk.found):
            if name.name not in self._taken:
                self._here[name.name] = name

    def end_stretch(self) -> None:
        """Take over what was found in a stretch: there, what stands later is nearer to the head."""
        self._taken.update(self._here)
        self._found += self._here.values()
        self._here = {}

    def names(self, until: int) -> StateNames:
        """Return all names.

        Args:
            until: the entry from which on all was looked at; -1 where nothing more will be.
        """
        names = [*self._known.names, *self._found]
        told = self._known.left_out
        if until >= 0:
            told = f"looking for names in other entries: #{until:,}"
        elif self.is_full:
            told = f"names of other entries were looked for in the {self._entries:,} nearest only; / searches all"
        changed = {str(name.address[0]): name.seq for name in self._found}
        return StateNames(self._known.head, names, _indexed(names, changed), told)


def _indexed(names: list[StateName], changed: dict[str, int]) -> NameIndex:
    ages = array("q", (-changed.get(str(name.address[0]), -1) for name in names))
    return NameIndex((name.name for name in names), ages=ages)


def _newest_changes(history: History, head: int) -> dict[str, int]:
    """Return where the atoms that the last entries changed were changed last."""
    changed: dict[str, int] = {}
    for seq in range(head, max(history.first - 1, head - _LATELY), -1):
        with suppress(EntryNotKept, CorruptHistory):
            for atom, _ in history.changed_atoms(seq):
                changed.setdefault(atom, seq)
    return changed


def _atoms(state: StateView, seq: int) -> Iterator[StateName | None]:
    """Yield every atom; None where it is time to pause."""
    until = perf_counter() + _SLICE_SECONDS
    for atom in state:
        yield StateName(_spelled((atom,)), (atom,), seq, state.encoded(atom))
        if perf_counter() >= until:
            yield None
            until = perf_counter() + _SLICE_SECONDS


def _pauses(steps: Iterator[None]) -> Iterator[None]:
    """Go through steps; yield where it is time to pause."""
    until = perf_counter() + _SLICE_SECONDS
    for _ in steps:
        if perf_counter() >= until:
            yield None
            until = perf_counter() + _SLICE_SECONDS


def _spelled(address: Path) -> str:
    return format_path(address, root="")[:_LONGEST_NAME]


class _Walk:
    """Goes through values level by level, so that what is nearest to an atom is named before a bound is reached."""

    def __init__(self) -> None:
        self.found: list[StateName] = []
        self.left_out = ""
        self._bytes = 0

    def through(self, names: list[StateName]) -> Iterator[None]:
        """Name all paths below some names; yields between values."""
        ahead = deque(names)
        while ahead:
            outer = ahead.popleft()
            if self._bytes + len(outer.form) > _MOST_BYTES:
                self.left_out = f"paths of large values are left out: {outer.name[:60]} and those like it"
                continue
            parts = parts_inside(outer.form)
            if parts is None:
                continue
            self._bytes += len(outer.form)
            for step, form in parts.items() if isinstance(parts, dict) else enumerate(parts):
                if len(self.found) >= MOST_PATHS:
                    self.left_out = f"only the first {MOST_PATHS:,} paths are listed"
                    return
                inner = _below(outer, step, form)
                self.found.append(inner)
                ahead.append(inner)
                yield
        return


def _below(outer: StateName, step: Step, form: bytes) -> StateName:
    address = (*outer.address, step)
    return StateName(_spelled(address), address, outer.seq, form)


class ActionCount(Struct):
    """How often an action happened, and where last."""

    count: int
    newest: int


class ActionCounts:
    """Every action of a history, counted by a worker a part at a time; what was counted once stays counted."""

    def __init__(self) -> None:
        self.by_action: dict[str, ActionCount] = {}
        self.until = 0
        self._first = 0
        self._others = 0

    @property
    def others(self) -> int:
        """Entries of actions beyond those that are told apart."""
        return self._others

    def missing(self, first: int, total: int) -> bool:
        """Whether entries are still to be counted; forgets all where entries that were counted are gone."""
        if first != self._first or total < self.until:
            self.by_action, self.until, self._first, self._others = {}, first, first, 0
        return self.until < total

    def learn(self, part: CountedActions) -> None:
        """Take over what was counted of the entries from `until` on."""
        if part.start != self.until:
            return
        for action, counted in part.by_action.items():
            known = self.by_action.get(action)
            if known is not None:
                known.count += counted.count
                known.newest = counted.newest
            elif len(self.by_action) < MOST_ACTIONS:
                self.by_action[action] = ActionCount(counted.count, counted.newest)
            else:
                self._others += counted.count
        self.until = part.stop

    def in_order(self) -> list[tuple[str, ActionCount]]:
        """Return the actions, the most frequent first."""
        return sorted(self.by_action.items(), key=lambda item: (-item[1].count, item[0]))


MOST_ACTIONS: Final = 20_000
"""Actions that are told apart."""
_BATCH: Final = 256


class CountedActions(Struct, frozen=True):
    """The actions of the entries from `start` to `stop - 1`."""

    start: int
    stop: int
    by_action: dict[str, ActionCount]


def count_actions(history: History, start: int, stop: int) -> Iterator[CountedActions]:
    """Yield the actions of entries, a few milliseconds' worth at a time."""
    begun = at = start
    counted: dict[str, ActionCount] = {}
    until = perf_counter() + _SLICE_SECONDS
    while at < stop:
        try:
            batch = history[at : min(at + _BATCH, stop)]
        except EntryNotKept:
            # A recorder dropped these meanwhile; the next count begins behind them.
            break
        for entry in batch:
            known = counted.get(entry.action)
            if known is None:
                counted[entry.action] = ActionCount(1, entry.seq)
            else:
                known.count += 1
                known.newest = entry.seq
        at = min(at + _BATCH, stop)
        if perf_counter() >= until:
            yield CountedActions(begun, at, counted)
            begun, counted = at, {}
            until = perf_counter() + _SLICE_SECONDS
    yield CountedActions(begun, at, counted)
