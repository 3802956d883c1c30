"""Failures of deltas as bytes: each is a `DeltaCompressionError`, and also what the same failure is elsewhere."""

from __future__ import annotations

from unspool.errors import (
    BaseMismatch,
    ConfigError,
    ContradictoryDelta,
    CorruptHistory,
    DeltaCompressionError,
    EntryNotFound,
    MissingExtra,
    UnsupportedValue,
)


class CodecSettingError(DeltaCompressionError, ConfigError):
    """A strategy, level, form or length that cannot be honoured."""


class MissingBinaryCodec(DeltaCompressionError, MissingExtra):
    """The BINARY strategy was asked for, or a binary patch met, and bsdiff4 is not installed."""


class CorruptRecord(DeltaCompressionError, CorruptHistory):
    """Bytes, or a record, that do not mean what they must: damaged, cut short, or changed after the checksum."""


class PatchBaseMismatch(DeltaCompressionError, BaseMismatch, CorruptHistory):
    """A binary patch was applied to a state that is not the one it was made from.

    Within a stored chain that can only mean damage, hence also a `CorruptHistory`.
    """


class ContradictoryRecord(DeltaCompressionError, ContradictoryDelta):
    """A delta that says two things about one key."""


class UnsupportedRecordValue(DeltaCompressionError, UnsupportedValue):
    """A value that the asked form cannot keep exactly; the message names the place."""


class StateNotFound(DeltaCompressionError, EntryNotFound):
    """An index or number that a delta chain does not have; also an `IndexError`."""


__all__ = [
    "CodecSettingError",
    "ContradictoryRecord",
    "CorruptRecord",
    "DeltaCompressionError",
    "MissingBinaryCodec",
    "PatchBaseMismatch",
    "StateNotFound",
    "UnsupportedRecordValue",
]
