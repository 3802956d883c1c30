"""Where a region is, and where something is inside it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Self

from unspool.model.values import MISSING, Value
from unspool.regions.checks import (
    U16_MAX,
    U32_MAX,
    InvalidRegionValue,
    need_object,
    need_text,
    need_whole,
    only_fields,
)

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
