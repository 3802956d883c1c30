"""Rules over lists of records: identity, references, order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

from unspool.delta.identity import names_identity, pattern_of
from unspool.model.keys import Path
from unspool.model.paths import PathPattern, content_of, covers, places, value_parts
from unspool.model.values import MISSING, Value
from unspool.query.findings import (
    CheckFinding,
    Moment,
    RecordKeys,
    Scope,
    Touch,
    brief,
    spell,
    spell_globs,
    spell_in,
)

_LISTS: Final = 10_000
"""Lists and tables that are followed at once."""
_MEMBERS: Final = 100_000
"""Members of tables that are followed at once."""
_PARTS: Final = 20_000
"""Parts of one new value that are looked through for lists of records."""
_LEVELS: Final = 100
"""Levels of one new value that are looked through."""
_ID: Final = (str, int)
_ONLY_IDS: Final = frozenset(("id", "_id", "uuid", "guid", "uid"))
_TRIED: Final = {True: 10, False: 100}
"""How often a field must have been seen to tell a record from another, by whether it is called what only identities are."""


@dataclass(slots=True)
class _Standing:
    """An id that stands twice, and since when."""

    since: int
    field: str
    value: Value
    times: int


class Duplicate:
    """Finds ids that stand twice in a list of records whose ids told them apart before."""

    def __init__(self, scope: Scope) -> None:
        """Prepare; nothing is known of any list."""
        self._scope = scope
        self._tried: dict[tuple[str, str], int] = {}
        self._shared: set[tuple[str, str]] = set()
        self._open: dict[str, dict[str, _Standing]] = {}

    def visit(self, moment: Moment) -> Iterator[CheckFinding]:
        """See `Checker.visit`."""
        seq = moment.entry.seq
        for change in moment.diff.changes:
            if not self._scope.holds_atom(change.atom):
                continue
            touches = [touch for touch in moment.touches if touch.path[0] == change.atom]
            keys = RecordKeys()
            looked_at: set[str] = set()
            for path, items in _lists_touched(touches, change.new):
                place = spell_in(path, change.new, keys).place
                if self._scope.holds(path) and place not in looked_at:
                    looked_at.add(place)
                    yield from self._look(place, pattern_of(path), items, seq)
            yield from self._end(touches, seq)

    def _look(self, place: str, shape: str, items: list[Value], seq: int) -> Iterator[CheckFinding]:
        standing = self._open.get(place, {})
        shared: dict[str, _Standing] = {}
        for name, ids in _ids(items):
            known = (shape, name)
            counts = Counter(ids) if len(set(ids)) < len(ids) else {}
            twice = [(value, times) for value, times in counts.items() if times > 1]
            if not twice:
                self._tried[known] = self._tried.get(known, 0) + len(items) - 1
            elif self._tried.get(known, 0) < _TRIED[name.casefold() in _ONLY_IDS]:
                self._shared.add(known)
            if known not in self._shared:
                for value, times in twice:
                    shared[f"{name}={value!r}"] = _Standing(seq, name, value, times)
        for key, fault in standing.items():
            if key in shared:
                shared[key].since = fault.since
                shared[key].times = max(fault.times, shared[key].times)
            else:
                yield self._finding(place, fault, seq - 1)
        if shared and (place in self._open or len(self._open) < _LISTS):
            self._open[place] = shared
        else:
            self._open.pop(place, None)

    def _end(self, touches: list[Touch], seq: int) -> Iterator[CheckFinding]:
        """Close what stood twice in lists that went away."""
        gone = [touch.place for touch in touches if touch.new is MISSING] if self._open else []
        for place in gone:
            for inside in [
                name for name in self._open if name == place or name.startswith((place + ".", place + "["))
            ]:
                for fault in self._open.pop(inside).values():
                    yield self._finding(inside, fault, seq - 1)

    def _finding(self, place: str, found: _Standing, last: int | None) -> CheckFinding:
        times = "twice" if found.times == 2 else f"{found.times} times"
        until = "the end" if last is None else f"{last}"
        text = f"{found.field} {brief(found.value)} stands {times}, from entry {found.since} to {until}"
        return CheckFinding(self._scope.name, found.since, place, text, found.since, severity="error")

    def finish(self) -> Iterator[CheckFinding]:
        """See `Checker.finish`: what stands twice to the end is reported then."""
        for place, standing in self._open.items():
            for fault in standing.values():
                yield self._finding(place, fault, None)
        self._open.clear()


def _lists_touched(touches: list[Touch], atom: Value) -> Iterator[tuple[Path, list[Value]]]:
    """Yield each list of records whose items or ids were changed, with its path; one may come more than once."""
    seen: set[Path] = set()
    for touch in touches:
        for depth, step in enumerate(touch.path[1:], start=1):
            rest = touch.path[depth + 1 :]
            changes_ids = not rest or (len(rest) == 1 and isinstance(rest[0], str) and names_identity(rest[0]))
            if not isinstance(step, int) or not changes_ids or touch.path[:depth] in seen:
                continue
            seen.add(touch.path[:depth])
            items = _value_at(atom, touch.path[1:depth])
            if isinstance(items, list):
                yield touch.path[:depth], items
        yield from _lists_inside(touch)


def _lists_inside(touch: Touch) -> Iterator[tuple[Path, list[Value]]]:
    pending: list[tuple[Path, Value]] = [(touch.path, touch.new)]
    looked_at = 0
    while pending and looked_at < _PARTS:
        path, value = pending.pop()
        looked_at += 1
        content = content_of(value) if len(path) - len(touch.path) < _LEVELS else None
        if isinstance(content, list):
            if len(content) > 1:
                yield path, content
            pending.extend(((*path, index), item) for index, item in enumerate(content[:_PARTS]))
        elif isinstance(content, Mapping):
            pending.extend(((*path, key), item) for key, item in content.items() if isinstance(key, str))


def _value_at(value: Value, steps: Path) -> Value:
    for step in steps:
        parts = value_parts(value)
        if isinstance(parts, list):
            value = parts[step] if isinstance(step, int) and step < len(parts) else None
        else:
            value = (parts or {}).get(step)
    return content_of(value)


def _ids(items: list[Value]) -> Iterator[tuple[str, list[Value]]]:
    """Yield the fields that every record of a list has and that are called what identities are called, with all ids."""
    records = [item if type(item) is dict else content_of(item) for item in items]
    first = records[0] if records else None
    for name in first if isinstance(first, Mapping) else ():
        if not isinstance(name, str) or not names_identity(name):
            continue
        try:
            ids = [record[name] for record in records]
        except (KeyError, TypeError, IndexError):
            continue
        # Numbers and texts side by side, and what is neither, tell no record from another.
        if set(map(type, ids)) in ({str}, {int}):
            yield name, ids


@dataclass(slots=True)
class _Member:
    """A member of a table: when it came, when something of it was touched last, and after how many releases it came."""

    since: int
    touched: int
    releases: int


@dataclass(slots=True)
class _Table:
    """An object or list whose members come and go."""

    size: int = 0
    added: int = 0
    low: list[int] = field(default_factory=list)
    lives: list[int] = field(default_factory=list)
    members: dict[str, _Member] = field(default_factory=dict)
    fell: bool = False


class LeakFloor:
    """Finds tables that shrink at every normal release and yet never fall back to where they were.

    Told by two signs together: the low-water mark rises from window to window, and some members stay many times longer than
    any that went.
    """

    def __init__(self, scope: Scope, *, windows: int = 5, releases: int = 20) -> None:
        """Prepare.

        Args:
            scope: what is looked at.
            windows: in how many windows, of as many releases each, the low-water mark must rise.
            releases: how many members must have gone at least.
        """
        self._scope, self._windows, self._releases = scope, windows, releases
        self._tables: dict[Path, _Table] = {}
        self._members = self._last = 0
        self._went: dict[str, tuple[int, Path]] = {}

    def visit(self, moment: Moment) -> Iterator[CheckFinding]:
        """See `Checker.visit`."""
        seq = self._last = moment.entry.seq
        for touch in moment.touches:
            for depth in range(1, len(touch.path)):
                table = self._tables.get(touch.path[:depth])
                member = table.members.get(_member_of(touch, depth)) if table is not None else None
                if member is not None:
                    member.touched = seq
            came, went = touch.old is MISSING, touch.new is MISSING
            inside_list = any(isinstance(step, int) for step in touch.path[:-1])
            if came is went or len(touch.path) < 2 or inside_list or not self._scope.holds(touch.path):
                continue
            if went:
                self._release(touch, seq)
            else:
                self._keep(touch, seq)
        return iter(())

    def _keep(self, touch: Touch, seq: int) -> None:
        place = touch.path[:-1]
        if place not in self._tables and len(self._tables) >= _LISTS:
            return
        table = self._tables.setdefault(place, _Table())
        if table.fell:
            table.low.append(table.size)
            table.fell = False
        table.size += 1
        table.added += 1
        if touch.is_certain and self._members < _MEMBERS:
            self._members += 1
            table.members[_member_of(touch, len(place))] = _Member(seq, seq, len(table.lives))

    def _release(self, touch: Touch, seq: int) -> None:
        place = touch.path[:-1]
        table = self._tables.get(place)
        if table is None:
            return
        table.size -= 1
        table.fell = True
        key = _member_of(touch, len(place))
        member = table.members.pop(key, None)
        if member is not None:
            self._members -= 1
            table.lives.append(seq - member.since)
        if len(self._went) < _MEMBERS:
            self._went[key] = (seq, place)

    def finish(self) -> Iterator[CheckFinding]:
        """See `Checker.finish`."""
        for place, table in self._tables.items():
            floors = self._floors(table)
            longest = sorted(table.lives)[-max(1, len(table.lives) // 50)] if floors else 0
            # What came before anything ever went may be meant to stay.
            stuck = [
                (member.since, key)
                for key, member in table.members.items()
                if floors and member.releases and self._last - member.since > 2 * longest
            ]
            if len(stuck) < 3:
                continue
            since, first = min(stuck)
            seq, other = self._went.get(first, (-1, ()))
            if seq < since:
                seq, why = table.members[first].touched, f"last touched at entry {table.members[first].touched}"
            else:
                why = f"gone from {spell(other)} at entry {seq}"
            text = (
                f"shrinks and never falls back: the low-water mark rises by {floors[-1] - floors[0]}, and {len(stuck)} stay "
                f"although nearly all others go within {longest} entries; the first, {first}, came at entry {since}, {why}"
            )
            yield CheckFinding(self._scope.name, seq, spell(place), text, since)

    def _floors(self, table: _Table) -> list[int]:
        """Return the low-water marks by window where they rise from each to the next and members do go; else nothing."""
        gone = table.added - table.size
        if len(table.lives) < self._releases or 2 * gone < table.added or len(table.low) < 2 * self._windows:
            return []
        edges = [len(table.low) * number // self._windows for number in range(self._windows + 1)]
        floors = [min(table.low[start:stop]) for start, stop in pairwise(edges)]
        return floors if all(after > before for before, after in pairwise(floors)) else []


def _member_of(touch: Touch, depth: int) -> str:
    """Return what identifies the member of a table at a depth of a touched path."""
    step = touch.path[depth]
    if isinstance(step, int) and depth == len(touch.path) - 1:
        value = touch.old if touch.new is MISSING else touch.new
        fields = value_parts(value)
        if not isinstance(fields, dict):
            return f"[{brief(value)}]"
        return next((f"[{name}={brief(item)}]" for name, item in fields.items() if _names_member(name, item)), "")
    return str(step)


def _names_member(name: object, value: Value) -> bool:
    return isinstance(name, str) and isinstance(value, _ID) and names_identity(name)


_IDS: Final = (str, int, bytes)
"""What is taken for an id; null refers to nothing."""


class Orphan:
    """Finds ids at one pattern that are at no place of another."""

    def __init__(self, scope: Scope, *, source: PathPattern, target: PathPattern) -> None:
        """Prepare.

        Args:
            scope: what findings are called by.
            source: where ids are used.
            target: where they must be.
        """
        self._scope, self._source, self._target = scope, source, target
        self._lost: set[tuple[type, Value]] = set()

    def visit(self, moment: Moment) -> Iterator[CheckFinding]:
        """See `Checker.visit`."""
        if not any(self._concerns(change.atom) for change in moment.diff.changes):
            return
        seq = moment.entry.seq
        there = {
            (type(value), value)
            for _, value in places(self._target, moment.view, value_parts)
            if isinstance(value, _IDS)
        }
        lost: set[tuple[type, Value]] = set()
        for path, value in places(self._source, moment.view, value_parts):
            key = (type(value), value)
            if not isinstance(value, _IDS) or key in there or key in lost:
                continue
            lost.add(key)
            if key not in self._lost:
                text = f"refers to {brief(value)}, which {spell_globs(self._target)} does not have"
                yield CheckFinding(self._scope.name, seq, spell(path), text, seq)
        # A reference that stays broken is reported once.
        self._lost = lost

    def _concerns(self, atom: str) -> bool:
        return covers(self._source[:1], (atom,)) or covers(self._target[:1], (atom,))

    def finish(self) -> Iterator[CheckFinding]:
        """See `Checker.finish`."""
        return iter(())
