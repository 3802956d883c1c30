"""Whole states in wire form as bytes: plain, compressed, or as a patch against another state.

A state in wire form maps atom names to wire bytes. Its canonical bytes are a msgpack list of names and values in
turn, sorted by name, so that equal states give equal bytes; that is what binary patches are made between. What is
compressed starts with zstd's magic, which no such list starts with, so `decode_full` reads both.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

import msgspec
import ormsgpack
import zstandard

from unspool.codec.binary_patch import (
    MAX_DECODED_BYTES,
    ZSTD_MAGIC,
    apply_bound_patch,
    check_size,
    expand_zstd,
    make_bound_patch,
)
from unspool.codec.errors import CodecSettingError, CorruptRecord

MIN_LEVEL: Final = 1
MAX_LEVEL: Final = 9
DEFAULT_LEVEL: Final = 6
"""Compression level unless given."""


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
    """Return a compression level within 1-9 (levels outside are brought to the nearest end).

    Raises:
        CodecSettingError: the level is no whole number.
    """
    if type(level) is not int:
        raise CodecSettingError(f"compression level {level!r} is no whole number; use {MIN_LEVEL} to {MAX_LEVEL}")
    return min(MAX_LEVEL, max(MIN_LEVEL, level))


_read_parts: Final = msgspec.msgpack.Decoder(list[bytes]).decode


def encode_full(state: Mapping[str, bytes], *, limit: int = MAX_DECODED_BYTES) -> bytes:
    """Return the canonical bytes of a state (strategy NONE).

    Args:
        state: atom name to wire bytes.
        limit: most bytes the result may take.

    Raises:
        DeltaCompressionError: the state is larger than `limit`.
    """
    names = sorted(state)
    parts: list[bytes] = [b""] * (2 * len(names))
    parts[::2] = _names_as_bytes(names)
    parts[1::2] = [state[name] for name in names]
    data = ormsgpack.packb(parts)
    check_size(len(data), limit)
    return data


def _names_as_bytes(names: list[str]) -> list[bytes]:
    # Names are bytes here, because text with lone surrogates is no msgpack string; it is rare, and slower to encode.
    try:
        return [name.encode() for name in names]
    except UnicodeEncodeError:
        return [name.encode("utf-8", "surrogatepass") for name in names]


def decode_full(data: bytes, *, limit: int = MAX_DECODED_BYTES) -> dict[str, bytes]:
    """Read what `encode_full` or `compress_full` wrote.

    Args:
        data: the bytes.
        limit: most bytes the uncompressed form may take.

    Raises:
        CorruptRecord: the bytes are no state.
        DeltaCompressionError: the state is larger than `limit`.
    """
    plain = expand_full(data, limit=limit)
    try:
        parts = _read_parts(plain)
        names = [name.decode("utf-8", "surrogatepass") for name in parts[::2]]
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise CorruptRecord(f"a stored state does not decode ({error})") from None
    if len(parts) % 2 or names != sorted(set(names)):
        raise CorruptRecord("a stored state does not decode: its names are not in order, or one has no value")
    return dict(zip(names, parts[1::2], strict=True))


def compress_full(state: Mapping[str, bytes], level: int = DEFAULT_LEVEL, *, limit: int = MAX_DECODED_BYTES) -> bytes:
    """Return a state compressed (strategy COMPRESS), or its canonical bytes where compression would not shrink them.

    Args:
        state: atom name to wire bytes.
        level: zstd level; 1-9.
        limit: most bytes the uncompressed form may take.

    Raises:
        DeltaCompressionError: the state is larger than `limit`.
    """
    return compress_bytes(encode_full(state, limit=limit), level)


def decode_compressed(data: bytes, *, limit: int = MAX_DECODED_BYTES) -> dict[str, bytes]:
    """Read what `compress_full` wrote; as `decode_full`, which knows both forms by their first bytes."""
    return decode_full(data, limit=limit)


def compress_bytes(data: bytes, level: int = DEFAULT_LEVEL) -> bytes:
    """Return canonical bytes compressed, or as they are where compression would not shrink them."""
    packed = zstandard.ZstdCompressor(level=level).compress(data)
    return packed if len(packed) < len(data) else data


def expand_full(data: bytes, *, limit: int = MAX_DECODED_BYTES) -> bytes:
    """Return the canonical bytes of a state from what `encode_full` or `compress_full` wrote.

    Raises:
        CorruptRecord: the compressed bytes are damaged.
        DeltaCompressionError: the state is larger than `limit`.
    """
    return expand_zstd(data, limit) if data[:4] == ZSTD_MAGIC else data


def is_compressed(data: bytes) -> bool:
    """Whether bytes written by `compress_full` were worth compressing."""
    return data[:4] == ZSTD_MAGIC


def binary_delta(old_state: Mapping[str, bytes], new_state: Mapping[str, bytes]) -> bytes:
    """Return a bsdiff4 patch from one state to another, bound to the first (strategy BINARY).

    Raises:
        MissingBinaryCodec: bsdiff4 is not installed.
        DeltaCompressionError: a state is too large.
    """
    return make_bound_patch(encode_full(old_state), encode_full(new_state))


def apply_binary_delta(old_state: Mapping[str, bytes], payload: bytes) -> dict[str, bytes]:
    """Return the state that `binary_delta` was made for.

    Raises:
        PatchBaseMismatch: `old_state` is not the state the patch was made from.
        CorruptRecord: the patch is damaged.
        MissingBinaryCodec: bsdiff4 is not installed.
    """
    return decode_full(apply_bound_patch(encode_full(old_state), payload))
