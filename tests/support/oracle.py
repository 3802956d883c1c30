"""Answers to questions about a history, from all its states held in memory and compared whole: slow, simple, and right.

Nothing here uses how unspool stores, compares or asks. A state is flattened into leaves, each under an address: the keys on
the way to it, where a record of a list is known by its own identity and an item of a list of texts by the text itself.
So an address follows what a person follows, wherever it stands in its list.
"""

from __future__ import annotations

import datetime as dt
import decimal
import math
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

State = dict[str, Any]
Address = tuple[Any, ...]
Path = tuple[Any, ...]
Places = dict[Address, tuple[Path, Any]]
"""Everything in a state: its path and value, by address."""
MISSING: Any = type("Missing", (), {"__repr__": lambda self: "MISSING"})()
RECORD_KEYS = ("id", "sku")
COMPOSITE = ("mode", "type", "name")


@dataclass(frozen=True)
class Item:
    """A step of an address: the item of a list that is known by a value."""

    value: Any

    def __hash__(self) -> int:
        return hash((type(self.value), self.value))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Item) and same(self.value, other.value)


@dataclass(frozen=True)
class OddKey:
    """A step of an address and path: a key that is neither a text nor an integer."""

    value: Any

    def __hash__(self) -> int:
        return hash((type(self.value), repr(self.value)))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, OddKey) and same(self.value, other.value)


@dataclass(frozen=True)
class Thing:
    """An object of a class, as it comes back: its name and its fields."""

    type_name: str
    fields: dict[str, Any]


@dataclass
class Told:
    """What was told to a history.

    Attributes:
        states: the whole state at each entry.
        parents: the entry that each one follows.
        parts: the atoms that follow the parent; all others follow the entry before. None for all.
        actions: names of entries; empty where the source names none.
    """

    states: list[State]
    parents: list[int | None] = field(default_factory=list)
    parts: list[frozenset[str] | None] = field(default_factory=list)
    actions: list[str] = field(default_factory=list)
    _places: dict[int, Places] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        self.parents = self.parents or [number - 1 if number else None for number in range(len(self.states))]
        self.parts = self.parts or [None] * len(self.states)

    def before(self, seq: int, atom: str) -> int | None:
        """The entry that an atom of an entry follows."""
        part = self.parts[seq]
        return self.parents[seq] if part is None or atom in part else (seq - 1 if seq else None)

    def places(self, seq: int) -> Places:
        """Everything that stands somewhere in a state; worked out once, as no state changes after the first question."""
        if seq not in self._places:
            self._places[seq] = places(self.states[seq])
        return self._places[seq]

    def value(self, seq: int | None, address: Address) -> Any:
        """What stands at an address in a state, or MISSING."""
        return MISSING if seq is None else self.places(seq).get(address, ((), MISSING))[1]

    def base(self, seq: int) -> State:
        """The state that an entry is compared with."""
        found: State = {}
        earlier = [number for number in (self.parents[seq], seq - 1 if seq else None) if number is not None]
        for atom in {atom for number in earlier for atom in self.states[number]} | self.states[seq].keys():
            number = self.before(seq, atom)
            if number is not None and atom in self.states[number]:
                found[atom] = self.states[number][atom]
        return found


def same(left: Any, right: Any) -> bool:
    """Whether two values are one to a person who looks closely: of one type, to the last digit; the order of keys is nothing."""
    if type(left) is not type(right):
        return False
    if isinstance(left, dict):
        return len(left) == len(right) and all(
            any(same(key, other) and same(value, right[other]) for other in right) for key, value in left.items()
        )
    if isinstance(left, list | tuple):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, set | frozenset):
        return len(left) == len(right) and all(any(same(one, other) for other in right) for one in left)
    if isinstance(left, float):
        return struct.pack(">d", left) == struct.pack(">d", right) or (math.isnan(left) and math.isnan(right))
    if isinstance(left, complex):
        return same(left.real, right.real) and same(left.imag, right.imag)
    if isinstance(left, decimal.Decimal):
        return bool(left.as_tuple() == right.as_tuple())
    if isinstance(left, dt.datetime):
        plain = left.replace(tzinfo=None) == right.replace(tzinfo=None)
        return plain and left.fold == right.fold and left.utcoffset() == right.utcoffset()
    if isinstance(left, Thing):
        return left.type_name == right.type_name and same(left.fields, right.fields)
    return bool(left == right)


def record_name(record: Any) -> Any:
    """What a record is known by; MISSING where nothing tells."""
    if not isinstance(record, dict):
        return MISSING
    for key in RECORD_KEYS:
        if key in record:
            return record[key]
    if isinstance(record.get("metadata"), dict) and "uid" in record["metadata"]:
        return record["metadata"]["uid"]
    if isinstance(record.get("of"), dict) and "mark" in record["of"]:
        return record["of"]["mark"]
    return tuple(record[key] for key in COMPOSITE) if record.keys() >= set(COMPOSITE) else MISSING


def parts_of(value: Any) -> list[tuple[Any, Any, Any]]:
    """The parts of a value: the step of the address, the step of the path, and the part."""
    if isinstance(value, Thing):
        return parts_of(value.fields)
    if isinstance(value, dict):
        steps = [key if type(key) in (str, int) else OddKey(key) for key in value]
        return [(step, step, part) for step, part in zip(steps, value.values(), strict=True)]
    if isinstance(value, list):
        found = [record_name(item) for item in value]
        names = value if any(name is MISSING for name in found) else found
        return [(Item(name), place, part) for place, (name, part) in enumerate(zip(names, value, strict=True))]
    return []


def flat(value: Any, address: Address, path: Path) -> Iterator[tuple[Address, Path, Any]]:
    """Every part of a value, itself included, with its address and path."""
    yield address, path, value
    for name, step, part in parts_of(value):
        yield from flat(part, (*address, name), (*path, step))


def places(state: State) -> Places:
    """Everything that stands somewhere in a state."""
    return {a: (p, v) for atom, value in state.items() for a, p, v in flat(value, (atom,), (atom,))}


def leaves(found: Places) -> Places:
    """What has no parts."""
    return {address: (path, value) for address, (path, value) in found.items() if not parts_of(value)}


def log_of(told: Told, seq: int) -> dict[str, str]:
    """What an entry did to each atom that it changed."""
    old, new = told.base(seq), told.states[seq]
    found = {}
    for atom in {**old, **new}:
        if atom not in new:
            found[atom] = "deleted"
        elif atom not in old:
            found[atom] = "added"
        elif not same(old[atom], new[atom]):
            found[atom] = "modified"
    return found


def blame_of(told: Told, at: int) -> dict[Path, int]:
    """For each leaf of a state, the entry that set it last."""
    return {path: _set_at(told, at, address, value) for address, (path, value) in leaves(told.places(at)).items()}


def _set_at(told: Told, at: int, address: Address, value: Any) -> int:
    seq = at
    while True:
        earlier = told.before(seq, address[0])
        if not same(told.value(earlier, address), value):
            return seq
        assert earlier is not None
        seq = earlier


def writes_of(told: Told, at: int, address: Address) -> list[tuple[int, str]]:
    """Every entry, newest first, that changed what stands at an address, and how."""
    found = []
    seq: int | None = at
    while seq is not None:
        earlier = told.before(seq, address[0])
        old, new = told.value(earlier, address), told.value(seq, address)
        if not same(old, new):
            kind = "added" if old is MISSING else "deleted" if new is MISSING else "modified"
            found.append((seq, kind))
        seq = earlier
    return found


def hits_of(told: Told, needle: str) -> set[tuple[int, Path]]:
    """Every entry and place at which a text or integer that holds a text appears, or becomes so."""
    found = set()
    for seq in range(len(told.states)):
        for address, (path, value) in leaves(told.places(seq)).items():
            is_new = not same(told.value(told.before(seq, address[0]), address), value)
            if is_new and isinstance(value, str | int) and needle in text_of(value).lower():
                found.add((seq, path))
    return found


def text_of(value: str | int | bool) -> str:
    """A text or integer as it is written."""
    return value if isinstance(value, str) else str(value).lower() if isinstance(value, bool) else str(value)


def flips_of(told: Told, atom: str, holds: Callable[[State], bool]) -> list[tuple[int, int, bool]]:
    """Every entry at which a condition on one atom begins or ceases to hold, and the entry it follows."""
    found = []
    for seq, state in enumerate(told.states):
        earlier = told.before(seq, atom)
        if earlier is not None and holds(told.states[earlier]) is not holds(state):
            found.append((seq, earlier, holds(state)))
    return found


def line_of(told: Told) -> list[int]:
    """Entries that lead to the last one, oldest first, without those that change nothing."""
    line: list[int] = []
    seq: int | None = len(told.states) - 1 if told.states else None
    while seq is not None:
        line.append(seq)
        # Where one part alone goes back, all others go on from the entry before.
        seq = told.parents[seq] if told.parts[seq] is None else seq - 1
    kept: list[int] = []
    state: State = {}
    for seq in reversed(line):
        if not same(state, told.states[seq]):
            kept.append(seq)
            state = told.states[seq]
    return kept


def parting_of(one: Told, other: Told) -> tuple[int, int | None, int | None]:
    """How many states the lines of two histories share, and the entries at which they part."""
    first, second = line_of(one), line_of(other)
    common = 0
    while common < min(len(first), len(second)) and same(one.states[first[common]], other.states[second[common]]):
        common += 1
    ends = [line[common] if common < len(line) else None for line in (first, second)]
    return common, ends[0], ends[1]


def weights_of(told: Told) -> dict[str, tuple[int, int]]:
    """For each atom, how many entries changed it, and how many of them changed nothing else."""
    found: dict[str, tuple[int, int]] = {}
    for seq in range(len(told.states)):
        changed = log_of(told, seq)
        for atom in changed:
            count, alone = found.get(atom, (0, 0))
            found[atom] = count + 1, alone + (len(changed) == 1)
    return found
