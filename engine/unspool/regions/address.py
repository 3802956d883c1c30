"""Addresses of regions and of things in them, and the errors of regions: every message names the place and the remedy."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Self

from unspool.errors import RegionError
from unspool.model.values import MISSING, Value


class InvalidRegionValue(RegionError, ValueError):
    """A delta, address, position or field that does not have the shape it must have."""


class OutOfRange(InvalidRegionValue):
    """A number outside what its field can hold; nothing is ever wrapped around."""


class UnknownAction(InvalidRegionValue):
    """An action that neither the 19 of the seed nor the game's own table knows."""


class UnknownFate(InvalidRegionValue):
    """A disposition outside the closed set; there is no "deleted"."""


class FateRequired(InvalidRegionValue):
    """An item leaves its place in conservation mode without saying where it went."""


class DeltaConflict(RegionError):
    """A delta says the region was one thing and the region is another."""


class RegionFileError(RegionError):
    """A region file that is damaged, cut off, or of no form known here."""


class AmbiguousByteOrder(RegionFileError):
    """Records without a header that read equally well in both byte orders."""


class SnapshotMissing(RegionError):
    """A region file stands on a snapshot that is not there."""


class RegionStorageError(RegionError):
    """The disk or database refused; nothing was changed."""


class NotInRegion(RegionError):
    """A recorder was used outside a visit, or left a region with unsaved changes."""


class RegionWarning(UserWarning):
    """Something a player should know: a file kept aside, a change that did not fit its base."""


MAX_NESTING: Final = 100
"""Deepest nesting that region data may have; it bounds every walk in this room."""


class FrozenObject(Mapping[str, Value]):
    """A JSON object that cannot change; it can be compared, hashed, copied and pickled."""

    __slots__ = ("_fields",)

    def __init__(self, fields: Mapping[str, Value]) -> None:
        self._fields = dict(fields)

    def __getitem__(self, key: str) -> Value:
        return self._fields[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._fields)

    def __len__(self) -> int:
        return len(self._fields)

    def __hash__(self) -> int:
        return hash(frozenset(self._fields.items()))

    def __repr__(self) -> str:
        return repr(self._fields)


EMPTY: Final = FrozenObject({})
"""An object with nothing in it."""

_LEAVES: Final = frozenset({str, int, bool, float, type(None)})


def freeze(value: Value, name: str) -> Value:
    """Return a deep, unchangeable copy: objects become `FrozenObject`s, lists become tuples.

    Args:
        value: what JSON can hold; nesting up to `MAX_NESTING`.
        name: what the value is called in messages.

    Raises:
        InvalidRegionValue: the value is none JSON can hold, or nested too deeply.
    """
    return _freeze(value, name, MAX_NESTING)


def freeze_object(value: Value, name: str) -> FrozenObject:
    """Freeze a value that must be an object.

    Raises:
        InvalidRegionValue: the value is not an object, or holds what JSON cannot.
    """
    if isinstance(value, FrozenObject):
        return value
    if not isinstance(value, Mapping):
        raise InvalidRegionValue(f"{name} must be an object, not {describe(value)}")
    frozen = _freeze(value, name, MAX_NESTING)
    assert isinstance(frozen, FrozenObject)
    return frozen


def _freeze(value: Value, name: str, depth: int) -> Value:
    kind = type(value)
    if kind in _LEAVES:
        if kind is float and not math.isfinite(value):
            raise InvalidRegionValue(f"{name} is {value}, which JSON cannot hold; use a finite number")
        return value
    if depth == 0:
        raise InvalidRegionValue(f"{name} is nested deeper than {MAX_NESTING}; flatten it")
    if isinstance(value, Mapping):
        frozen = {}
        for key, item in value.items():
            if not isinstance(key, str):
                raise InvalidRegionValue(f"{name} has the key {key!r}; keys must be text")
            frozen[str(key)] = _freeze(item, name, depth - 1)
        return FrozenObject(frozen) if frozen else EMPTY
    if isinstance(value, list | tuple):
        return tuple(_freeze(item, name, depth - 1) for item in value)
    # Enumerations of text and numbers are what JSON writes them as.
    if isinstance(value, str):
        return str(value)
    if isinstance(value, int):
        return int(value)
    raise InvalidRegionValue(f"{name} holds a {kind.__name__}, which JSON cannot hold")


def thaw(value: Value) -> Value:
    """Return a plain copy of a frozen value: dicts and lists, free to change."""
    if type(value) in _LEAVES:
        return value
    if isinstance(value, Mapping):
        return {key: thaw(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [thaw(item) for item in value]
    return value


def canonical(value: Value) -> str:
    """Spell a frozen value so that equal text means the same value: `1`, `1.0` and `true` differ."""
    return json.dumps(value, default=dict, sort_keys=True, separators=(",", ":"))


def describe(value: Value) -> str:
    """Name a value in a message, briefly."""
    if isinstance(value, Mapping):
        return "an object"
    if isinstance(value, list | tuple):
        return "a list"
    text = json.dumps(value) if type(value) in _LEAVES else f"a {type(value).__name__}"
    return text if len(text) <= 40 else f"{text[:37]}..."


U8_MAX: Final = 0xFF
U16_MAX: Final = 0xFFFF
U32_MAX: Final = 0xFFFF_FFFF

Number = int | float


def _wrong(name: str, wanted: str, value: Value) -> InvalidRegionValue:
    if value is MISSING:
        return InvalidRegionValue(f"{name} is missing; it must be {wanted}")
    return InvalidRegionValue(f"{name} must be {wanted}, not {describe(value)}")


def need_text(name: str, value: Value) -> None:
    """Refuse what is not text that says something.

    Raises:
        InvalidRegionValue: the value is no text or empty.
    """
    if not isinstance(value, str) or not value:
        raise _wrong(name, "text", value)


def need_text_or_none(name: str, value: Value) -> None:
    """Refuse what is neither text nor absent.

    Raises:
        InvalidRegionValue: the value is something else.
    """
    if value is not None and not isinstance(value, str):
        raise _wrong(name, "text", value)


def need_whole(name: str, value: Value, low: int = 0, high: int | None = None) -> None:
    """Refuse what is not a whole number from `low` to `high`, both included.

    Raises:
        InvalidRegionValue: the value is no integer (booleans are none).
        OutOfRange: it lies outside.
    """
    if type(value) is not int:
        raise _wrong(name, "a whole number", value)
    if value < low or (high is not None and value > high):
        limits = f"from {low} to {high}" if high is not None else f"{low} or more"
        raise OutOfRange(f"{name} is {value}; it must be {limits}")


def need_number(name: str, value: Value) -> None:
    """Refuse what is not a finite number.

    Raises:
        InvalidRegionValue: the value is something else.
    """
    if type(value) is not int and (type(value) is not float or not math.isfinite(value)):
        raise _wrong(name, "a finite number", value)


def need_object(name: str, value: Value) -> Mapping[str, Value]:
    """Return the value if it is an object.

    Raises:
        InvalidRegionValue: the value is something else.
    """
    if not isinstance(value, Mapping):
        raise _wrong(name, "an object", value)
    return value


def need_list(name: str, value: Value) -> list[Value] | tuple[Value, ...]:
    """Return the value if it is a list.

    Raises:
        InvalidRegionValue: the value is something else.
    """
    if not isinstance(value, list | tuple):
        raise _wrong(name, "a list", value)
    return value


def present(**fields: Value) -> dict[str, Value]:
    """Return the fields that have a value, in the order given."""
    return {name: value for name, value in fields.items() if value is not None}


def set_frozen(target: object, field: str, value: Value) -> None:
    """Normalise a field of a frozen dataclass while it is being made; nowhere else."""
    object.__setattr__(target, field, value)


def only_fields(name: str, raw: Mapping[str, Value], known: Collection[str]) -> None:
    """Refuse fields that would be lost.

    Raises:
        InvalidRegionValue: there is a field outside `known`.
    """
    for field in raw:
        if field not in known:
            raise InvalidRegionValue(f"{name} has an unknown field {field!r}; it may hold {', '.join(known)}")


def rest_of(raw: Mapping[str, Value], known: Collection[str]) -> dict[str, Value]:
    """Return the fields that no name here speaks for, and known ones that are written as null.

    Both are kept verbatim, so that a file that is read and written again says the same.
    """
    return {name: value for name, value in raw.items() if value is None or name not in known}


def freeze_extra(name: str, extra: Mapping[str, Value], fields: Mapping[str, Value]) -> FrozenObject:
    """Freeze the fields kept verbatim beside the known ones.

    Args:
        name: what holds them.
        extra: the fields kept verbatim.
        fields: the known fields as they will be written; `extra` may not speak twice for one of them.

    Raises:
        InvalidRegionValue: a known field is named again, or a value is none JSON can hold.
    """
    if not extra:
        return EMPTY
    again = [field for field in extra if field in fields]
    for field in again:
        # An optional field that was read as null and has been set since is simply set now.
        if extra[field] is not None:
            raise InvalidRegionValue(f"{name} says {field!r} twice; leave it out of the extra fields")
    kept = {field: value for field, value in extra.items() if field not in again} if again else extra
    return freeze_object(kept, name)


MEGASEGMENTS: Final = 1000
REGIONS_PER_MEGASEGMENT: Final = 100
REGION_WIDTH: Final = 32_000
"""Tiles from west to east."""
REGION_HEIGHT: Final = 6_400
"""Tiles from north to south."""

_SLUG: Final = re.compile(r"(\d+)-(\d+)-(\d+)-(\d+)-(\d+)\Z", re.ASCII)


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """A tile inside a region; both numbers fit u16.

    Raises:
        InvalidRegionValue: a number is no integer or does not fit.
    """

    x: int
    y: int

    def __post_init__(self) -> None:
        if type(self.x) is int and type(self.y) is int and 0 <= self.x <= U16_MAX and 0 <= self.y <= U16_MAX:
            return
        need_whole("x", self.x, 0, U16_MAX)
        need_whole("y", self.y, 0, U16_MAX)

    @classmethod
    def from_json(cls, raw: Value, name: str = "position") -> Self:
        """Read `{"x": 10, "y": 15}`.

        Raises:
            InvalidRegionValue: it is something else.
        """
        fields = need_object(name, raw)
        only_fields(name, fields, ("x", "y"))
        try:
            return cls(fields.get("x", MISSING), fields.get("y", MISSING))
        except InvalidRegionValue as error:
            raise type(error)(f"{name}.{error}") from None

    def to_json(self) -> dict[str, int]:
        """Return `{"x": .., "y": ..}`."""
        return {"x": self.x, "y": self.y}

    def __str__(self) -> str:
        return f"{self.x},{self.y}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read the short form `10,15`.

        Raises:
            InvalidRegionValue: it is something else.
        """
        x, comma, y = text.partition(",")
        if not (comma and x.isascii() and x.isdigit() and y.isascii() and y.isdigit()):
            raise InvalidRegionValue(f"{text!r} is no position; write 10,15")
        return cls(int(x), int(y))


@dataclass(frozen=True, slots=True, order=True)
class RegionAddress:
    """Which region: megasegment 0-999, region 0-99, chunk, and the tile the region starts at.

    Raises:
        InvalidRegionValue: a number is no integer or out of its range.
    """

    megasegment: int
    region: int
    chunk: int = 0
    tile: Position = Position(0, 0)

    def __post_init__(self) -> None:
        need_whole("megasegment", self.megasegment, 0, MEGASEGMENTS - 1)
        need_whole("region", self.region, 0, REGIONS_PER_MEGASEGMENT - 1)
        need_whole("chunk", self.chunk, 0, U32_MAX)
        if not isinstance(self.tile, Position):
            raise InvalidRegionValue("tile must be a Position")

    @classmethod
    def from_json(cls, raw: Value, name: str = "address") -> Self:
        """Read the address object of a region file.

        Raises:
            InvalidRegionValue: a field is missing, unknown or out of range.
        """
        fields = need_object(name, raw)
        only_fields(name, fields, ("megasegment", "region", "chunk", "tile"))
        tile = Position.from_json(fields.get("tile", MISSING), f"{name}.tile")
        megasegment, region, chunk = (fields.get(part, MISSING) for part in ("megasegment", "region", "chunk"))
        try:
            return cls(megasegment, region, chunk, tile)
        except InvalidRegionValue as error:
            raise type(error)(f"{name}.{error}") from None

    def to_json(self) -> dict[str, Value]:
        """Return the address object of a region file."""
        return {
            "megasegment": self.megasegment,
            "region": self.region,
            "chunk": self.chunk,
            "tile": self.tile.to_json(),
        }

    @property
    def slug(self) -> str:
        """The address as a file name: `7-23-0-0-0`."""
        return f"{self.megasegment}-{self.region}-{self.chunk}-{self.tile.x}-{self.tile.y}"

    @staticmethod
    def is_slug(text: str) -> bool:
        """Whether a text looks like what `slug` writes."""
        return _SLUG.match(text) is not None

    @classmethod
    def from_slug(cls, slug: str) -> Self:
        """Read what `slug` wrote.

        Raises:
            InvalidRegionValue: it is something else.
        """
        match = _SLUG.match(slug)
        if match is None:
            raise InvalidRegionValue(f"{slug!r} is no region address; write 7-23-0-0-0")
        megasegment, region, chunk, x, y = (int(part) for part in match.groups())
        return cls(megasegment, region, chunk, Position(x, y))

    def __str__(self) -> str:
        return f"region {self.megasegment}/{self.region} chunk {self.chunk} tile {self.tile}"


RingworldAddress = RegionAddress
"""The seed's name for it."""


def as_position(value: Position | tuple[int, int] | Mapping[str, Value]) -> Position:
    """Return a position given as one, as a pair, or as `{"x": .., "y": ..}`.

    Raises:
        InvalidRegionValue: it is none of these, or out of range.
    """
    if isinstance(value, Position):
        return value
    if isinstance(value, Mapping):
        return Position.from_json(value)
    if isinstance(value, tuple) and len(value) == 2:
        return Position(*value)
    raise InvalidRegionValue("a position is a Position, a pair (x, y) or an object with x and y")


def hash_seed(megasegment: int, region: int, template_id: str) -> int:
    """Return the seed that the companion document computes for a region.

    The text `<template>_<megasegment>_<region>` is folded as h = 31 * h + code unit, over UTF-16 units in
    signed 32 bits; the result is the absolute value. Files carry whatever their game computed (the seed's sample
    says 782934, this says 1599597862), so compare with the file and do not recompute.
    """
    need_text("template", template_id)
    units = f"{template_id}_{megasegment}_{region}".encode("utf-16-le", "surrogatepass")
    folded = 0
    for low, high in zip(units[::2], units[1::2], strict=True):
        folded = (31 * folded + (low | high << 8)) & U32_MAX
    return abs(folded - (1 << 32) if folded & 0x8000_0000 else folded)
