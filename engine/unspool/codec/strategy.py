"""How a delta is written: the strategies of seeds 001 and 002."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from unspool.codec.errors import CodecSettingError

MIN_LEVEL: Final = 1
MAX_LEVEL: Final = 9
DEFAULT_LEVEL: Final = 6
"""Compression level unless given (row F-07)."""


class DeltaStrategy(StrEnum):
    """How a state is written against the one before it."""

    BINARY = "binary"
    """A bsdiff4 patch between the canonical bytes of both states; needs the extra `binary`."""
    DICT = "dict"
    """The keys that changed, and the keys that went."""
    COMPRESS = "compress"
    """The whole state, compressed."""
    AUTO = "auto"
    """Whichever of the others comes out smallest; the reason is recorded."""
    NONE = "none"
    """The whole state, as it is."""


def parse_strategy(strategy: str) -> DeltaStrategy:
    """Return the strategy of a name.

    Raises:
        CodecSettingError: no such strategy.
    """
    try:
        return DeltaStrategy(strategy)
    except ValueError:
        known = ", ".join(DeltaStrategy)
        raise CodecSettingError(f"there is no delta strategy {strategy!r}; use one of {known}") from None


def clamp_level(level: int) -> int:
    """Return a compression level within 1-9 (row F-08: levels outside are brought to the nearest end).

    Raises:
        CodecSettingError: the level is no whole number.
    """
    if type(level) is not int:
        raise CodecSettingError(f"compression level {level!r} is no whole number; use {MIN_LEVEL} to {MAX_LEVEL}")
    return min(MAX_LEVEL, max(MIN_LEVEL, level))
