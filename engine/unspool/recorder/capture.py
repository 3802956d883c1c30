"""Capturing a state: a private wire form of it, and which atoms changed since the last one.

Comparing encoded bytes makes mutable state safe: what was captured shares nothing with the app. The whole state is
encoded at once and compared with the last as one byte string; only atoms in which the two differ are looked at, so
the cost is that of one encoding however many atoms there are.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping
from itertools import accumulate
from typing import Final

import msgspec

from unspool.errors import ConfigError, UnsupportedValue
from unspool.history.diff import same_value
from unspool.model.encoded import shared_end, shared_from
from unspool.model.tags import Unrepresentable
from unspool.model.values import Value
from unspool.model.wire import encode, encode_plain

_FEW: Final = 24
"""Changed atoms up to which finding them one by one beats looking at every atom."""


class AtomChange(msgspec.Struct, frozen=True, gc=False):
    """One atom's wire forms before and after; None where there is none.

    Attributes:
        atom: its name.
        old: before.
        new: after.
        ends: leading and trailing bytes the two share, where that is known.
    """

    atom: str
    old: bytes | None
    new: bytes | None
    ends: tuple[int, int] | None = None


class Taken(msgspec.Struct, frozen=True):
    """What a capture found.

    Attributes:
        changes: the atoms that changed; deleted ones first.
        base: what the next capture compares with, once this one is kept.
        problems: one line for each value that could not be kept.
    """

    changes: list[AtomChange]
    base: Base
    problems: tuple[str, ...] = ()


class Base(Mapping[str, bytes]):
    """A captured state as one byte string, and where each atom's value stands in it."""

    __slots__ = ("blob", "ends", "names", "starts")

    def __init__(self, blob: bytes, names: list[str], starts: list[int], ends: list[int]) -> None:
        self.blob = blob
        self.names = names
        self.starts = starts
        self.ends = ends

    @classmethod
    def of(cls, state: Mapping[str, bytes]) -> Base:
        """Lay a state, given as wire forms by atom, out as the encoder would."""
        header = _map_header(len(state))
        names = list(state)
        keys = [encode(name) for name in names]
        parts = [part for pair in zip(keys, state.values(), strict=True) for part in pair]
        places = list(accumulate(map(len, parts), initial=len(header)))
        return cls(b"".join((header, *parts)), names, places[1:-1:2], places[2::2])

    def __getitem__(self, atom: str) -> bytes:
        try:
            place = self.names.index(atom)
        except ValueError:
            raise KeyError(atom) from None
        return self.value(place)

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)

    def value(self, place: int) -> bytes:
        """Return the wire form of the atom at a place."""
        return self.blob[self.starts[place] : self.ends[place]]

    def to_dict(self) -> dict[str, bytes]:
        """Return wire forms by atom."""
        blob = self.blob
        return {name: blob[start:end] for name, start, end in zip(self.names, self.starts, self.ends, strict=True)}

    def moved(self, blob: bytes, sizes: Mapping[int, int]) -> Base:
        """Return the layout of another byte string that differs only in the values at some places.

        Args:
            blob: the other byte string.
            sizes: new sizes of the values whose size changed by place, in order of place.
        """
        if not sizes:
            return Base(blob, self.names, self.starts, self.ends)
        starts, ends = self.starts.copy(), self.ends.copy()
        # Each change of size moves all that follows it; sizes are given in order of place.
        for place, size in sizes.items():
            shift = size - (ends[place] - starts[place])
            starts[place + 1 :] = [start + shift for start in starts[place + 1 :]]
            ends[place:] = [end + shift for end in ends[place:]]
        return Base(blob, self.names, starts, ends)


class Capture:
    """Remembers the last captured state and tells what changed since."""

    def __init__(self, *, immutable: bool = False) -> None:
        """Start with the empty state.

        Args:
            immutable: the app never changes a value in place, so an atom that is the same object is unchanged.
        """
        self._immutable = immutable
        self._objects: dict[str, Value] = {}
        self.base = Base.of({})

    def take(self, state: Mapping[str, Value], *, strict: bool) -> Taken:
        """Encode a state and compare it with the last one kept.

        Args:
            state: atoms by name.
            strict: raise for a value that cannot be kept; otherwise a marker stands in its place.

        Raises:
            UnsupportedValue: names the atom and the path inside it.
            ConfigError: an atom's name is no text.
        """
        if not self._immutable:
            taken = self._compare_whole(state)
            if taken is not None:
                return taken
        return self._compare_atoms(state, strict)

    def keep(self, taken: Taken) -> None:
        """Make a captured state the one that the next is compared with."""
        self.base = taken.base

    def _compare_whole(self, state: Mapping[str, Value]) -> Taken | None:
        """Compare as one byte string, or return None where atoms have to be looked at one by one."""
        base = self.base
        if type(state) is not dict or len(state) != len(base.names):
            return None
        blob = encode_plain(state)
        if blob is None:
            return None
        if blob == base.blob:
            return Taken([], base)
        changes: list[AtomChange] = []
        sizes: dict[int, int] = {}
        old_at = new_at = 0
        while True:
            same = shared_from(base.blob, old_at, blob, new_at)
            position = old_at + same
            if position == len(base.blob) and new_at + same == len(blob):
                return Taken(changes, base.moved(blob, sizes))
            place = bisect_right(base.starts, position) - 1
            if place < 0 or position >= base.ends[place] or len(changes) == _FEW:
                return None
            start = new_at + base.starts[place] - old_at
            old, new = base.value(place), self._value_at(base, place, blob, start, state)
            if new is None:
                return None
            lead = position - base.starts[place]
            ends = (lead, shared_end(old, new, min(len(old), len(new)) - lead))
            if same_value(old, new, ends):
                return None
            changes.append(AtomChange(base.names[place], old, new, ends))
            if len(new) != len(old):
                sizes[place] = len(new)
            old_at, new_at = base.ends[place], start + len(new)

    def _value_at(self, base: Base, place: int, blob: bytes, start: int, state: Mapping[str, Value]) -> bytes | None:
        rest = len(base.blob) - base.ends[place]
        end = len(blob) - rest
        # When all that follows is the same, the value ends where it begins to be; no second encoding is needed.
        if end > start and base.blob[base.ends[place] :] == blob[end:]:
            return blob[start:end]
        new = encode_plain(state[base.names[place]])
        return new if new is not None and blob.startswith(new, start) else None

    def _compare_atoms(self, state: Mapping[str, Value], strict: bool) -> Taken:
        known = self.base.to_dict()
        taken: dict[str, bytes] = {}
        problems: list[str] = []
        for atom, value in state.items():
            if not isinstance(atom, str):
                raise ConfigError(f"atom names are text; {atom!r} is a {type(atom).__name__}")
            before = known.get(atom)
            if self._immutable and before is not None and self._objects.get(atom, self) is value:
                taken[atom] = before
                continue
            data = _encode_atom(atom, value, strict, problems)
            # An object whose keys only changed their order has not changed.
            unchanged = before is not None and (before == data or same_value(before, data))
            taken[atom] = before if unchanged and before is not None else data
        if self._immutable:
            self._objects = dict(state)
        return Taken(changes_between(known, taken), Base.of(taken), tuple(problems))


def changes_between(old: Mapping[str, bytes], new: Mapping[str, bytes]) -> list[AtomChange]:
    """Return the atoms that differ between two states given as wire forms by atom; deleted ones first."""
    changes = [AtomChange(atom, value, None) for atom, value in old.items() if atom not in new]
    for atom, value in new.items():
        known = old.get(atom)
        if known is None or (known is not value and known != value):
            changes.append(AtomChange(atom, known, value))
    return changes


def _encode_atom(atom: str, value: Value, strict: bool, problems: list[str]) -> bytes:
    try:
        return encode(value)
    except UnsupportedValue as error:
        text = f"atom {atom!r}: {error}"
        if strict:
            raise UnsupportedValue(text) from None
        problems.append(text)
        return encode(Unrepresentable(type(value).__name__, str(error)))


def _map_header(size: int) -> bytes:
    if size < 16:
        return bytes((0x80 | size,))
    return b"\xde" + size.to_bytes(2) if size < 65536 else b"\xdf" + size.to_bytes(4)
