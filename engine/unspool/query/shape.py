"""The skeleton of a state: which fields, of what kinds, how many, in what ranges; at an entry, or over all of them.

    enemies[] 0..10 {id text, kind text "bat"|"orc", hp int 3..16, pos[2] int 0..99}

Over all entries each version of an atom is looked at once. Of a long history entries are sampled evenly, the first and the last
among them, and what is reported is then what those hold; the answer says so.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from time import monotonic
from typing import Final

from unspool.errors import PathNotFound
from unspool.history.history import History
from unspool.history.verdict import Problem
from unspool.model.json_text import to_json
from unspool.model.keys import Path, Step, format_path
from unspool.model.limits import Cancelled, Progress, never, no_progress
from unspool.model.paths import content_of, open_form
from unspool.model.values import Tagged, Unrepresentable, Value
from unspool.model.wire import decode
from unspool.query.lineage import StateReader, Wire
from unspool.query.value_parts import find

_MOST_ENTRIES: Final = 1_000
"""Entries that are looked at; of more they are sampled."""
_MOST_VALUES: Final = 2_000_000
_SECONDS: Final = 10.0
_MOST_FIELDS: Final = 64
"""Keys that an object may have had; with more they are taken for data, not for names of fields."""
_ALIKE: Final = 3
"""Records with the same fields from which on an object is a table of them."""
_DEEPEST: Final = 48
"""Levels that are distinguished."""
_MOST_TEXTS: Final = 4
"""Different texts that are reported one by one."""
_LONGEST_TEXT: Final = 16
_MOST_SEEN: Final = 200_000
_EVERY: Final = 512
"""Values between two looks at the clock."""


@dataclass(slots=True)
class KindTally:
    """What is known of the values of one kind at one place.

    Attributes:
        count: how many there were; a list or object that stood there before as it is counts once.
        least: the smallest number, or the fewest characters, items or keys; None where nothing is counted.
        most: the largest number, or the most of them.
        texts: the different texts, where they are few and short; None where they are not.
        fields: what an object holds by name.
        had: how many of the objects had each field.
        each: what the items of a list, or the values of a table, are.
    """

    count: int = 0
    least: float | int | None = None
    most: float | int | None = None
    texts: set[str] | None = field(default_factory=set)
    fields: dict[str, Place] = field(default_factory=dict)
    had: Counter[str] = field(default_factory=Counter)
    each: Place | None = None

    def note(self, size: float | int) -> None:
        """Count a value of a size."""
        self.count += 1
        self.least = size if self.least is None or size < self.least else self.least
        self.most = size if self.most is None or size > self.most else self.most

    def absorb(self, other: KindTally) -> None:
        """Count what another tally counted too."""
        count = self.count + other.count
        for size in (other.least, other.most):
            if size is not None:
                self.note(size)
        self.count = count
        self.texts = None if self.texts is None or other.texts is None else self.texts | other.texts
        if self.texts is not None and len(self.texts) > _MOST_TEXTS:
            self.texts = None
        if other.each is not None:
            self.each = self.each or Place()
            self.each.absorb(other.each)
        self.had.update(other.had)
        for name, place in other.fields.items():
            self.field(name).absorb(place)

    def field(self, name: str) -> Place:
        """Return the place of a field; all fields become one where there are too many."""
        if self.each is not None:
            return self.each
        known = self.fields.get(name)
        if known is None and len(self.fields) >= _MOST_FIELDS:
            self.each = Place()
            for place in self.fields.values():
                self.each.absorb(place)
            self.fields = {}
            return self.each
        if known is None:
            known = self.fields[name] = Place()
        return known


@dataclass(slots=True)
class Place:
    """What stands at one place, by kind: `int`, `float`, `text`, `bool`, `null`, `list`, `object`, or the name of another type."""

    kinds: dict[str, KindTally] = field(default_factory=dict)
    seen: set[int] = field(default_factory=set, repr=False)
    """Marks of the lists and objects that were looked at here."""

    def of(self, kind: str) -> KindTally:
        """Return the tally of a kind."""
        return self.kinds.setdefault(kind, KindTally())

    @property
    def count(self) -> int:
        """How many values stood there."""
        return sum(tally.count for tally in self.kinds.values())

    def absorb(self, other: Place) -> None:
        """Count what another place had too."""
        for kind, tally in other.kinds.items():
            self.of(kind).absorb(tally)


@dataclass(frozen=True, slots=True)
class Shape:
    """The skeleton of a state, or of a part of it.

    Attributes:
        path: where it begins; empty for the state.
        place: what stands there.
        entries: entries there are.
        looked_at: entries that were looked at.
        values: values that were looked at.
        stopped: why not all of them were; empty where they were.
        problems: entries that could not be read and were stepped over.
    """

    path: Path
    place: Place
    entries: int
    looked_at: int
    values: int
    stopped: str = ""
    problems: tuple[Problem, ...] = ()

    @property
    def complete(self) -> bool:
        """Whether every entry was looked at in full: ranges are then those of all values."""
        return not self.stopped and not self.problems


def shape(
    history: History,
    path: Path = (),
    at: int | None = None,
    *,
    skip_damaged: bool = False,
    progress: Progress = no_progress,
    cancelled: Cancelled = never,
) -> Shape:
    """Return the skeleton of a state.

    Args:
        history: where to look.
        path: only what stands at and below it.
        at: the entry; None for all of them.
        skip_damaged: step over entries that cannot be read instead of raising.
        progress: called with how many entries of how many are done.
        cancelled: ends it when it says yes; what was seen by then is reported.

    Raises:
        PathNotFound: nothing is there at any entry that was looked at.
        EntryNotFound: there is no such entry.
        CorruptHistory: an entry cannot be read.
    """
    looking = _Looking(history, path, skip_damaged, cancelled)
    entries = (
        range(history.first, len(history)) if at is None else range(history.resolve(at), history.resolve(at) + 1)
    )
    chosen = sampled(entries)
    for done, seq in enumerate(chosen):
        if looking.is_over():
            break
        progress(done, len(chosen))
        looking.look(seq)
    stopped = looking.stopped
    if not stopped and len(chosen) < len(entries):
        stopped = f"{len(chosen):,} of {len(entries):,} entries were sampled, evenly"
    if path and not looking.place.kinds and entries and looking.missing is not None and not stopped:
        raise looking.missing
    # The atoms of a state are identified by their names, however alike they are.
    _fold(looking.place, 1 if path else 0)
    return Shape(
        path, looking.place, len(entries), looking.looked_at, looking.values, stopped, looking.reader.problems
    )


def _fold(place: Place, depth: int) -> None:
    """Tell the records of an object by what they have in common, where they all have the same fields."""
    for tally in place.kinds.values():
        below = [*tally.fields.values(), *([tally.each] if tally.each is not None else [])]
        for inner in below if depth <= _DEEPEST else ():
            _fold(inner, depth + 1)
        if depth and len(tally.fields) >= _ALIKE and len({_names(inner) for inner in tally.fields.values()}) == 1:
            names = _names(next(iter(tally.fields.values())))
            if names:
                tally.each = Place()
                for inner in tally.fields.values():
                    tally.each.absorb(inner)
                tally.fields = {}


def _names(place: Place) -> frozenset[str]:
    """Return the names of the fields of what stands at a place; empty where that is not one kind of object."""
    (tally,) = place.kinds.values() if len(place.kinds) == 1 else (KindTally(),)
    return frozenset(tally.fields)


def sampled(entries: range) -> list[int]:
    """Return the entries that are looked at: all, or so many evenly, the first and the last among them."""
    if len(entries) <= _MOST_ENTRIES:
        return list(entries)
    step = (len(entries) - 1) / (_MOST_ENTRIES - 1)
    return [entries[round(place * step)] for place in range(_MOST_ENTRIES)]


class _Looking:
    """Looks at one entry after the other, at each version of an atom once."""

    def __init__(self, history: History, path: Path, skip_damaged: bool, cancelled: Cancelled) -> None:
        self.reader = StateReader(history, skip_damaged=skip_damaged)
        self.place = Place()
        self.looked_at = 0
        self.values = 0
        self.stopped = ""
        self.missing: PathNotFound | None = None
        self._path = path
        self._is_note = history.notes()
        self._seen: dict[str, bytes] = {}
        self._last: bytes | None = None
        self._cancelled = cancelled
        self._until = monotonic() + _SECONDS

    def is_over(self) -> bool:
        if self._cancelled():
            self.stopped = self.stopped or "it was interrupted"
        elif monotonic() > self._until:
            self.stopped = self.stopped or f"{_SECONDS:g} seconds are over after {self.looked_at:,} entries"
        elif self.values > _MOST_VALUES:
            self.stopped = self.stopped or f"{_MOST_VALUES:,} values were looked at in {self.looked_at:,} entries"
        return bool(self.stopped)

    def look(self, seq: int) -> None:
        state = None if self._is_note(seq) else self.reader.state(seq)
        if state is None:
            return
        self.looked_at += 1
        if not self._path:
            self._state(state)
            return
        try:
            _, form = find(state, self._path, f"entry {seq}")
        except PathNotFound as error:
            # The newest state says best what there is instead.
            self.missing = error
            self._last = None
            return
        if form != self._last:
            self._last = form
            self._value(self.place, form, 0)

    def _state(self, state: Wire) -> None:
        tally = self.place.of("object")
        tally.note(len(state))
        for atom, form in state.items():
            tally.had[atom] += 1
            place = tally.field(atom)
            if self._seen.get(atom) != form:
                self._seen[atom] = form
                self._value(place, form, 1)

    def _value(self, place: Place, form: bytes, depth: int) -> None:
        self.values += 1
        if not self.values % _EVERY and self.is_over():
            return
        opened = open_form(form)
        if opened is None or opened.is_whole or self.stopped:
            _note_leaf(place, decode(form))
            return
        parts = opened.parts
        is_list = isinstance(parts, list) or opened.kind.endswith("()")
        # What stood at this place as it is was looked at: a list of which one record changes is not gone through again.
        mark = hash(form)
        if mark in place.seen:
            return
        if len(place.seen) < _MOST_SEEN:
            place.seen.add(mark)
        tally = place.of(opened.kind.replace("()", "tuple").strip() or ("list" if is_list else "object"))
        tally.note(len(parts))
        if depth >= _DEEPEST:
            return
        if is_list:
            tally.each = tally.each or Place()
            for part in parts if isinstance(parts, list) else parts.values():
                self._value(tally.each, part, depth + 1)
            return
        for step, part in _steps(parts):
            if not isinstance(step, str) and tally.each is None:
                tally.each = Place()
                for known in tally.fields.values():
                    tally.each.absorb(known)
                tally.fields = {}
            if tally.each is None:
                tally.had[str(step)] += 1
            self._value(tally.field(str(step)), part, depth + 1)


def _steps(parts: dict[Step, bytes] | list[bytes]) -> Iterator[tuple[Step, bytes]]:
    yield from parts.items() if isinstance(parts, dict) else enumerate(parts)


def _note_leaf(place: Place, value: Value) -> None:
    content = content_of(value)
    if isinstance(value, Tagged) and value.is_member:
        tally, content = place.of(value.short_name), value.value[0]
        tally.count += 1
        _note_text(tally, content)
    elif isinstance(content, bool):
        place.of("bool").count += 1
    elif isinstance(content, int | float | Decimal):
        kind = "int" if isinstance(content, int) else "float" if isinstance(content, float) else "decimal"
        if content != content:
            place.of(kind).count += 1
        else:
            place.of(kind).note(content if isinstance(content, int) else float(content))
    elif isinstance(content, str):
        tally = place.of("text")
        tally.note(len(content))
        _note_text(tally, content)
    elif content is None:
        place.of("null").count += 1
    elif isinstance(content, Unrepresentable):
        place.of(content.type_name).count += 1
    else:
        tally = place.of(type(content).__name__)
        tally.note(len(content)) if hasattr(content, "__len__") else setattr(tally, "count", tally.count + 1)


def _note_text(tally: KindTally, text: str) -> None:
    if tally.texts is None:
        return
    tally.texts.add(text)
    if len(tally.texts) > _MOST_TEXTS or len(text) > _LONGEST_TEXT:
        tally.texts = None


def tell(place: Place, name: str = "", *, is_optional: bool = False) -> str:
    """Return what stands at a place in one line: `hp int 3..16`, `enemies[] 0..10 {id text}`."""
    mark = "?" if is_optional else ""
    if list(place.kinds) == ["list"]:
        tally = place.kinds["list"]
        inner = tell(tally.each) if tally.each is not None and tally.each.kinds else ""
        return f"{name}{mark}{size_of('list', tally)}{f' {inner}' if inner else ''}"
    told = " | ".join(_report_kind(kind, tally) for kind, tally in place.kinds.items()) or "nothing"
    return f"{name}{mark} {told}" if name else told


def size_of(kind: str, tally: KindTally) -> str:
    """Return how many parts something has, behind its name: `[2]`, `[] 0..10`; of an object the name of its class."""
    if kind != "list":
        keys = f" {_range(tally)} keys" if tally.each is not None else ""
        return ("" if kind == "object" else f" {kind}") + keys
    return f"[{tally.most}]" if tally.least == tally.most and tally.most else f"[] {_range(tally)}"


def _report_kind(kind: str, tally: KindTally) -> str:
    if kind in ("int", "float", "decimal"):
        return f"{kind} {_range(tally)}" if tally.least is not None else kind
    if kind == "text" and tally.texts and (tally.count > len(tally.texts) or len(tally.texts) == 1):
        return f"text {'|'.join(to_json(text) for text in sorted(tally.texts))}"
    if tally.fields or (tally.each is not None and kind not in ("list", "tuple")):
        prefix = "" if kind == "object" else f"{kind} "
        return f"{prefix}{{{', '.join(report_fields(tally))}}}"
    if tally.each is not None:
        return f"{'' if kind == 'list' else kind}{size_of('list', tally)} {tell(tally.each)}"
    if kind == "object":
        return "{}"
    if tally.texts and kind not in ("text", "bool", "null"):
        return f"{kind} {'|'.join(sorted(tally.texts))}"
    return kind


def report_fields(tally: KindTally) -> Iterator[str]:
    """Yield the fields of an object, each in one line; those that not every object had with `?`."""
    for name, place in tally.fields.items():
        yield tell(place, format_path((name,), root=""), is_optional=tally.had[name] < tally.count)
    if tally.each is not None:
        yield f"{_range(tally)} keys: {tell(tally.each)}"


def _range(tally: KindTally) -> str:
    if tally.least == tally.most:
        return f"{tally.least}"
    return f"{tally.least}..{tally.most}"
