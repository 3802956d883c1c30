"""Rules over single values and whole atoms."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from unspool.delta.identity import names_identity, pattern_of
from unspool.model.cache import BoundedCache
from unspool.model.keys import Path
from unspool.model.paths import content_of, parts_inside
from unspool.model.values import MISSING, Tagged, Value, strict_equal
from unspool.query.findings import CheckFinding, Moment, Scope, Touch, brief, spell, type_name
from unspool.query.value_parts import children

_PLACES: Final = 50_000
"""Values followed at once; the one longest untouched is forgotten first."""
_OPPOSED: Final = 3
"""How many times as often a value must come back where actions of different names do it."""
_TURNS: Final = 20
"""How often the action must have changed before it is judged whether entries follow each other fast anyway."""
_STREAM: Final = 8
"""Entries of one name in a row that are still taken for one action."""
_PARTS: Final = 20_000
"""Parts of one value that are looked at for their type."""
_LEVELS: Final = 100
"""Levels of one value that are looked at for their type: each part is known by its whole path."""


@dataclass(slots=True)
class _Swing:
    """A value's last change, and how often it has swung back."""

    seq: int
    old: Value
    since: int
    flips: int
    action: str
    is_one_action: bool = True
    is_told: bool = False


class Oscillation:
    """Finds A to B and back to A, again and again.

    Where actions of different names bring it about, as people who open one page and another, it has to come back three times
    as often; so has a number that one action sets. That different actions count up and down is no fault. What is there
    and is not, and booleans, have nowhere else to go and are looked at when asked.
    """

    def __init__(self, scope: Scope, *, within: int = 10, times: int = 3, booleans: bool = False) -> None:
        """Prepare.

        Args:
            scope: what is looked at.
            within: entries within which a value must come back.
            times: how often it must come back before it is reported.
            booleans: look at booleans too, and at what comes and goes.
        """
        self._scope, self._within, self._times, self._booleans = scope, within, times, booleans
        self._swings: BoundedCache[str, _Swing] = BoundedCache(_PLACES)

    def visit(self, moment: Moment) -> Iterator[CheckFinding]:
        """See `Checker.visit`."""
        seq, action = moment.entry.seq, moment.entry.action
        for touch in moment.touches:
            if (
                not touch.is_certain
                or not self._scope.holds(touch.path)
                or (_is_switch(touch) and not self._booleans)
            ):
                continue
            last = self._swings.peek(touch.place)
            swing = _Swing(seq, touch.old, seq, 0, action)
            if last is not None and seq - last.seq <= self._within and strict_equal(last.old, touch.new):
                swing.since, swing.flips, swing.is_told = last.since, last.flips + 1, last.is_told
                swing.is_one_action = last.is_one_action and last.action == action
            self._swings.put(touch.place, swing)
            if _is_number(touch.new) and not swing.is_one_action:
                continue
            is_sure = swing.is_one_action and not (action and _is_number(touch.new))
            enough = self._times if is_sure else _OPPOSED * self._times
            if swing.flips >= enough and not swing.is_told:
                swing.is_told = True
                text = f"goes to and fro between {brief(touch.new)} and {brief(touch.old)}"
                yield CheckFinding(self._scope.name, seq, touch.place, text, swing.since)

    def finish(self) -> Iterator[CheckFinding]:
        """See `Checker.finish`."""
        return iter(())


def _is_number(value: Value) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_switch(touch: Touch) -> bool:
    return any(value is MISSING or value is None or isinstance(value, bool) for value in (touch.old, touch.new))


class Overwrite:
    """Finds values set twice within one action: the first one was for nothing, or is lost.

    Entries belong to one action when their meta has the same `action_id`, or where there is none, when they carry
    the same action and follow each other within a few milliseconds. Many entries in a row with one name are no action
    but a stream of them, such as the ticks of a game; a name proves nothing there. Where entries of different names follow
    each other as fast, as in a replay or a test, being close proves nothing either.
    """

    def __init__(self, scope: Scope, *, within_ms: float = 50.0) -> None:
        """Prepare.

        Args:
            scope: what is looked at.
            within_ms: milliseconds within which entries of one name are one action.
        """
        self._scope, self._within_ns = scope, within_ms * 1e6
        self._group: tuple[str, Value, int] | None = None
        self._entries = 0
        self._set: dict[str, tuple[int, Value]] = {}
        self._pending: list[CheckFinding] = []
        self._found: list[CheckFinding] = []
        self._turns = self._fast_turns = 0

    def visit(self, moment: Moment) -> Iterator[CheckFinding]:
        """See `Checker.visit`."""
        entry = moment.entry
        identity = entry.meta.get("action_id", MISSING)
        if not self._continues(entry.action, identity, entry.timestamp_ns):
            self._end_group()
        if self._group is not None and self._group[0] != entry.action:
            self._turns += 1
            self._fast_turns += 0 <= entry.timestamp_ns - self._group[2] <= self._within_ns
        self._group = (entry.action, identity, entry.timestamp_ns)
        self._entries += 1
        if self._entries > _STREAM and identity is MISSING:
            self._set.clear()
            self._pending.clear()
        elif entry.action:
            self._look(moment)
        if identity is not MISSING:
            # Who names its actions is believed, however many entries one has.
            pending, self._pending = self._pending, []
            yield from pending

    def _look(self, moment: Moment) -> None:
        seq, action = moment.entry.seq, moment.entry.action
        for touch in moment.touches:
            if touch.new is MISSING or not touch.is_certain or not self._scope.holds(touch.path):
                continue
            earlier = self._set.get(touch.place)
            if earlier is not None or len(self._set) < _PLACES:
                self._set[touch.place] = (seq, touch.new)
            if earlier is not None and not strict_equal(earlier[1], touch.new):
                text = f"set to {brief(earlier[1])}, then to {brief(touch.new)} by the same action {action!r}"
                self._pending.append(CheckFinding(self._scope.name, seq, touch.place, text, earlier[0]))

    def _continues(self, action: str, action_id: Value, time_ns: int) -> bool:
        if self._group is None or self._group[0] != action:
            return False
        if action_id is not MISSING or self._group[1] is not MISSING:
            return strict_equal(self._group[1], action_id)
        return 0 <= time_ns - self._group[2] <= self._within_ns

    def _end_group(self) -> None:
        self._found += self._pending
        self._pending = []
        self._entries = 0
        self._set.clear()

    def finish(self) -> Iterator[CheckFinding]:
        """See `Checker.finish`."""
        self._end_group()
        is_fast = self._turns >= _TURNS and 2 * self._fast_turns > self._turns
        return iter(() if is_fast else self._found)


class Drift:
    """Finds paths whose value changes its type; null and absence count as no type, all numbers as one.

    What a field or the type of its object says which type to expect (`{"type": "text", "value": "a"}`) is no drift, nor
    is a list of items of several types.
    """

    def __init__(self, scope: Scope) -> None:
        """Prepare; nothing is known of any path."""
        self._scope = scope
        self._types: dict[tuple[str, str], dict[str, int]] = {}
        self._mixed: set[str] = set()

    def visit(self, moment: Moment) -> Iterator[CheckFinding]:
        """See `Checker.visit`."""
        seq = moment.entry.seq
        for touch in moment.touches:
            for part in _types_in(touch):
                if not self._scope.holds(part.path):
                    continue
                shape = pattern_of(part.path)
                if part.is_mixed:
                    self._mixed.add(shape)
                if shape in self._mixed:
                    continue
                known = self._types.get((shape, part.tag))
                if known is None:
                    if len(self._types) < _PLACES:
                        self._types[shape, part.tag] = {part.kind: seq}
                elif part.kind not in known:
                    earlier, since = next(iter(known.items()))
                    known[part.kind] = seq
                    yield CheckFinding(self._scope.name, seq, shape, f"was {earlier}, now {part.kind}", since)

    def finish(self) -> Iterator[CheckFinding]:
        """See `Checker.finish`."""
        return iter(())


@dataclass(frozen=True, slots=True)
class _Typed:
    """A value's type: where it stands, what says which type to expect there, and whether its list has several."""

    path: Path
    kind: str
    tag: str
    is_mixed: bool


def _types_in(touch: Touch) -> Iterator[_Typed]:
    """Yield the type of a new value and of all that is in it."""
    around = content_of(touch.holder)
    tag, is_mixed = ("", _is_mixed(around)) if isinstance(around, list) else (_tag_of(touch.holder), False)
    pending: list[tuple[Path, Value, str, bool]] = [(touch.path, touch.new, tag, is_mixed)]
    seen = 0
    while pending and seen < _PARTS:
        path, value, tag, is_mixed = pending.pop()
        seen += 1
        if value is MISSING or value is None:
            continue
        yield _Typed(path, _kind(value), tag, is_mixed)
        if len(path) - len(touch.path) == _LEVELS:
            continue
        content = content_of(value)
        # Items of a tuple, and values of keys that are numbers, may well be of different types.
        if isinstance(content, Mapping):
            tag = _tag_of(value)
            pending.extend(((*path, key), item, tag, False) for key, item in content.items() if isinstance(key, str))
        elif isinstance(content, list):
            is_mixed = _is_mixed(content)
            pending.extend(((*path, index), item, "", is_mixed) for index, item in enumerate(content))


def _kind(value: Value) -> str:
    """Return a type as drift knows it: objects of any class are objects, since one may stand in for another."""
    is_member = isinstance(value, Tagged) and value.is_member
    return "object" if isinstance(content_of(value), Mapping) and not is_member else type_name(value)


def _is_mixed(items: list[Value]) -> bool:
    return len({_kind(item) for item in items[:_PARTS] if item is not None}) > 1


_TAGS: Final = frozenset(
    (
        "type",
        "kind",
        "tag",
        "op",
        "t",
        "dtype",
        "datatype",
        "event",
        "variant",
        "$type",
        "_type",
        "@type",
        "__typename",
    )
)
"""Fields that tell what kind of record an object is."""
_NAMES: Final = frozenset(("name", "key", "k", "field", "attribute", "attr", "property", "id", "label"))
"""Fields that name what stands beside them in an object that is a pair of a name and a value."""
_VALUES: Final = frozenset(("value", "val", "v", "data", "payload", "old", "new", "default"))
_LONGEST_TAG: Final = 64


def _tag_of(value: Value) -> str:
    """Return what an object says of the types of its fields: its class, its kind, the name of which it is the value."""
    said = [value.type_name] if isinstance(value, Tagged) else []
    content = content_of(value)
    if isinstance(content, Mapping):
        is_pair = len(content) <= 3 and any(isinstance(key, str) and key.casefold() in _VALUES for key in content)
        telling = _TAGS | _NAMES if is_pair else _TAGS
        said += [
            f"{key}={item}"
            for key, item in content.items()
            if isinstance(key, str)
            and key.casefold() in telling
            and isinstance(item, str)
            and len(item) <= _LONGEST_TAG
        ]
    return " ".join(said)


_SMALL: Final = 256
"""Bytes by which a value must have grown at least to be worth telling."""
_ROW: Final = 2
"""Entries for each write of a named action within which writes are in a row."""
_MOSTLY: Final = 0.6
"""Share of a value's bytes that a part must hold for the value to be mostly that."""


class Thrash:
    """Finds atoms that one action writes many times in a short while and that end up as they began."""

    def __init__(self, scope: Scope, *, writes: int = 8, within: int = 50) -> None:
        """Prepare.

        Args:
            scope: what is looked at.
            writes: how many writes it takes.
            within: entries within which they must come.
        """
        self._scope, self._writes, self._within = scope, writes, within
        self._recent: dict[str, deque[tuple[int, int, str]]] = {}
        self._told: dict[str, int] = {}

    def visit(self, moment: Moment) -> Iterator[CheckFinding]:
        """See `Checker.visit`."""
        seq, action = moment.entry.seq, moment.entry.action
        for change in moment.diff.changes:
            if change.old_bytes is None or change.new_bytes is None or not self._scope.holds_atom(change.atom):
                self._recent.pop(change.atom, None)
                continue
            recent = self._recent.setdefault(change.atom, deque(maxlen=self._writes))
            if recent and recent[-1][2] != action:
                recent.clear()
            recent.append((seq, hash(change.old_bytes), action))
            since, before, _ = recent[0]
            # What a named action does now and then among others is no work for nothing; what it does in a row is.
            within = min(self._within, _ROW * self._writes) if action else self._within
            if len(recent) == self._writes and seq - since < within and before == hash(change.new_bytes):
                # An atom that goes on like that is reported once, until it has been quiet for a while.
                if seq - self._told.get(change.atom, -self._within) >= self._within:
                    text = f"written {self._writes} times and the same as before"
                    yield CheckFinding(self._scope.name, seq, spell((change.atom,)), text, since)
                self._told[change.atom] = seq
                recent.clear()

    def finish(self) -> Iterator[CheckFinding]:
        """See `Checker.finish`."""
        return iter(())


@dataclass(slots=True)
class _Growth:
    since: int
    seq: int
    first: int
    value: bytes
    times: int = 0
    shrank: bool = False


class Leak:
    """Finds atoms that only ever grow."""

    def __init__(self, scope: Scope, *, growths: int = 20, factor: float = 2.0) -> None:
        """Prepare.

        Args:
            scope: what is looked at.
            growths: how often an atom must have grown.
            factor: how many times its first size it must have reached.
        """
        self._scope, self._growths, self._factor = scope, growths, factor
        self._atoms: dict[str, _Growth] = {}

    def visit(self, moment: Moment) -> Iterator[CheckFinding]:
        """See `Checker.visit`."""
        seq = moment.entry.seq
        for change in moment.diff.changes:
            if change.new_bytes is None:
                self._atoms.pop(change.atom, None)
                continue
            if not self._scope.holds_atom(change.atom):
                continue
            growth = self._atoms.get(change.atom)
            if growth is None:
                self._atoms[change.atom] = _Growth(seq, seq, len(change.new_bytes), change.new_bytes)
                continue
            growth.shrank = growth.shrank or len(change.new_bytes) < len(growth.value)
            growth.times += len(change.new_bytes) > len(growth.value)
            growth.seq, growth.value = seq, change.new_bytes
        return iter(())

    def finish(self) -> Iterator[CheckFinding]:
        """See `Checker.finish`."""
        for atom, growth in self._atoms.items():
            size = len(growth.value)
            grew = size >= self._factor * growth.first and size - growth.first >= _SMALL
            if growth.times >= self._growths and not growth.shrank and grew:
                text = f"grew {growth.times} times from {growth.first} to {size} bytes and never shrank"
                path, part = largest_part((atom,), growth.value)
                # A list of records with ids grows as what it keeps record of does; whether it should end is for people.
                severity = "info" if _is_kept_record(part) else "warning"
                yield CheckFinding(self._scope.name, growth.seq, spell(path), text, growth.since, severity)


def _is_kept_record(part: bytes) -> bool:
    """Whether a part is a list of records that are distinguished by ids, such as orders or postings."""
    items = parts_inside(part)
    fields = parts_inside(items[-1]) if isinstance(items, list) and items else None
    return isinstance(fields, dict) and any(isinstance(name, str) and names_identity(name) for name in fields)


def largest_part(path: Path, value: bytes) -> tuple[Path, bytes]:
    """Return the deepest part that a value, given in wire form, mostly consists of: where it stands, and its wire form."""
    while True:
        parts = parts_inside(value)
        if not parts:
            return path, value
        step, part = max(children(parts), key=lambda item: len(item[1]))
        if len(part) < _MOSTLY * len(value):
            return path, value
        path, value = (*path, step), part
