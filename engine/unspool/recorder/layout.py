"""The last captured state, as the byte string the next one is compared with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import accumulate, pairwise
from typing import Final

from unspool.model.encoding import encode
from unspool.model.tags import map_header
from unspool.model.values import Value
from unspool.model.wire import decode


class StateLayout(Mapping[str, bytes]):
    """A captured state as one byte string, and where each atom's value stands in it."""

    __slots__ = ("_places", "blob", "ends", "names", "starts")

    def __init__(self, blob: bytes, names: list[str], starts: list[int], ends: list[int]) -> None:
        self.blob = blob
        self.names = names
        self.starts = starts
        self.ends = ends
        self._places: dict[str, int] | None = None

    @classmethod
    def of(cls, state: Mapping[str, bytes]) -> StateLayout:
        """Lay a state, given as wire forms by atom, out as the encoder would."""
        header = map_header(len(state))
        names = list(state)
        keys = [encode(name) for name in names]
        parts = [part for pair in zip(keys, state.values(), strict=True) for part in pair]
        places = list(accumulate(map(len, parts), initial=len(header)))
        return cls(b"".join((header, *parts)), names, places[1:-1:2], places[2::2])

    def __getitem__(self, atom: str) -> bytes:
        place = self.place_of(atom)
        if place is None:
            raise KeyError(atom)
        return self.value(place)

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)

    def place_of(self, atom: str) -> int | None:
        """Return where an atom stands among all; None where there is none of that name."""
        if self._places is None:
            self._places = {name: place for place, name in enumerate(self.names)}
        return self._places.get(atom)

    @property
    def size(self) -> int:
        """Bytes of the whole state."""
        return len(self.blob)

    def extended(self, values: Mapping[int, bytes], added: Mapping[str, bytes]) -> StateLayout:
        """Return the state with other values at some places and more atoms behind all others; the cost is that of those, as
        it is put together when asked for.
        """
        return _UpdatedBase(self, values, added)

    def followed_by(self, added: Mapping[str, bytes]) -> StateLayout:
        """Return the state with more atoms as one byte string."""
        old, header = map_header(len(self.names)), map_header(len(self.names) + len(added))
        shift = len(header) - len(old)
        parts: list[bytes | memoryview] = [header, memoryview(self.blob)[len(old) :]]
        starts, ends = [start + shift for start in self.starts], [end + shift for end in self.ends]
        at = len(self.blob) + shift
        for name, value in added.items():
            key = encode(name)
            parts += (key, value)
            starts.append(at + len(key))
            at = starts[-1] + len(value)
            ends.append(at)
        return StateLayout(b"".join(parts), [*self.names, *added], starts, ends)

    def joined(self, values: Mapping[int, bytes]) -> StateLayout:
        """Return the state with other values at some places as one byte string."""
        places = sorted(values)
        parts: list[bytes | memoryview] = []
        old, at = memoryview(self.blob), 0
        for place in places:
            parts += (old[at : self.starts[place]], values[place])
            at = self.ends[place]
        parts.append(old[at:])
        sizes = {
            place: len(values[place])
            for place in places
            if len(values[place]) != self.ends[place] - self.starts[place]
        }
        return self.moved(b"".join(parts), sizes)

    def value(self, place: int) -> bytes:
        """Return the wire form of the atom at a place."""
        return self.blob[self.starts[place] : self.ends[place]]

    def to_dict(self) -> dict[str, bytes]:
        """Return wire forms by atom."""
        blob = self.blob
        return {name: blob[start:end] for name, start, end in zip(self.names, self.starts, self.ends, strict=True)}

    def views(self) -> dict[str, memoryview]:
        """Return views of the wire forms by atom."""
        view = memoryview(self.blob)
        return {name: view[start:end] for name, start, end in zip(self.names, self.starts, self.ends, strict=True)}

    def moved(self, blob: bytes, sizes: Mapping[int, int]) -> StateLayout:
        """Return the layout of another byte string that differs only in the values at some places.

        Args:
            blob: the other byte string.
            sizes: new sizes of the values whose size changed by place, in order of place.
        """
        if not sizes:
            return self._like(blob, self.starts, self.ends)
        starts, ends = self.starts, self.ends
        places = [*sizes, len(starts)]
        # What lies before the first such value stays; each change of size moves all that follows it.
        new_starts, new_ends = starts[: places[0] + 1], ends[: places[0]]
        shift = 0
        for place, following in pairwise(places):
            shift += sizes[place] - (ends[place] - starts[place])
            new_starts += [start + shift for start in starts[place + 1 : following + 1]]
            new_ends += [end + shift for end in ends[place:following]]
        return self._like(blob, new_starts, new_ends)

    def _like(self, blob: bytes, starts: list[int], ends: list[int]) -> StateLayout:
        other = StateLayout(blob, self.names, starts, ends)
        other._places = self._places
        return other


class EncodedState(Mapping[str, Value]):
    """A state that was encoded where it was read; atoms are decoded only where somebody asks for one."""

    __slots__ = ("base",)

    def __init__(self, base: StateLayout) -> None:
        """Take a state over."""
        self.base = base

    def __getitem__(self, atom: str) -> Value:
        return decode(self.base[atom])

    def __iter__(self) -> Iterator[str]:
        return iter(self.base)

    def __len__(self) -> int:
        return len(self.base)


_LARGE_ORIGIN: Final = 1 << 20
"""Bytes of a state from which on it is not kept beside the values that replaced most of it."""


class _UpdatedBase(StateLayout):
    """A captured state as another one with some values replaced, and more atoms behind all others."""

    __slots__ = ("_added", "_held", "_origin", "_size", "_values", "_whole")

    def __init__(self, origin: StateLayout, values: Mapping[int, bytes], added: Mapping[str, bytes]) -> None:
        known: Mapping[int, bytes] = {}
        self._held = sum(map(len, values.values())) + sum(map(len, added.values()))
        """Bytes that were handed over since the origin."""
        self._origin: StateLayout = origin
        self._added: dict[str, int] = {}
        """Places of the atoms that the origin has not."""
        if isinstance(origin, _UpdatedBase):
            # Others are not kept in a row: each stands on one that is a byte string.
            if origin._whole is not None:
                self._origin = origin._whole
            else:
                self._origin, known, self._added = origin._origin, origin._values, origin._added
                self._held += origin._held
        # What is laid out like this base takes them over, and the origin has no place for atoms that were added.
        self._places = None if self._added or added else self._origin._places
        self._values: dict[int, bytes] = {**known, **values}
        size = origin.size + sum(len(value) - len(origin.value(place)) for place, value in values.items())
        self.names = origin.names
        if added:
            first = len(origin.names)
            self.names = [*origin.names, *added]
            self._added = {**self._added, **{name: first + number for number, name in enumerate(added)}}
            self._values.update(enumerate(added.values(), first))
            size += sum(len(encode(name)) + len(value) for name, value in added.items())
            size += len(map_header(len(self.names))) - len(map_header(first))
        self._size = size
        self._whole: StateLayout | None = None
        if _LARGE_ORIGIN <= self._origin.size < self._held:
            self._let_go_of_origin()

    def _let_go_of_origin(self) -> None:
        """Keep each value by itself: most of a large origin has been replaced."""
        self._values = {place: self.value(place) for place in range(len(self.names))}
        self._added = {name: place for place, name in enumerate(self.names)}
        self._origin = StateLayout.of({})
        self._places = None

    @property
    def whole(self) -> StateLayout:
        """The same as one byte string."""
        if self._whole is None:
            count = len(self._origin.names)
            replaced = {place: value for place, value in self._values.items() if place < count}
            whole = self._origin.joined(replaced) if replaced else self._origin
            added = {name: self._values[place] for name, place in self._added.items()}
            self._whole = whole.followed_by(added) if added else whole
        return self._whole

    @property
    def size(self) -> int:
        return self._size

    @property
    def blob(self) -> bytes:  # type: ignore[override]
        return self.whole.blob

    @property
    def starts(self) -> list[int]:  # type: ignore[override]
        return self.whole.starts

    @property
    def ends(self) -> list[int]:  # type: ignore[override]
        return self.whole.ends

    def to_dict(self) -> dict[str, bytes]:
        return {name: self.value(place) for place, name in enumerate(self.names)}

    def views(self) -> dict[str, memoryview]:
        return {name: memoryview(self.value(place)) for place, name in enumerate(self.names)}

    def value(self, place: int) -> bytes:
        known = self._values.get(place)
        return self._origin.value(place) if known is None else known

    def place_of(self, atom: str) -> int | None:
        place = self._added.get(atom)
        return self._origin.place_of(atom) if place is None else place
