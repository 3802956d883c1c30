"""Whole states in wire form as bytes: plain, compressed, or as a patch against another state, and how that fails.

A state in wire form maps atom names to wire bytes. Its canonical bytes are a msgpack list of names and values in
turn, sorted by name, so that equal states give equal bytes; that is what binary patches are made between. What is
compressed starts with zstd's magic, which no such list starts with, so `decode_full` reads both.

A binary patch is bsdiff4's, framed with checksums of the bytes that it was made from and of those that it must give;
decompression stops at a cap.
"""

from __future__ import annotations

import bz2
import struct
import zlib
from collections.abc import Mapping
from enum import StrEnum
from importlib.util import find_spec
from types import ModuleType
from typing import Final

import msgspec
import ormsgpack
import zstandard

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


MAX_DECODED_BYTES: Final = 1 << 30
"""No state or record may be larger, written or read: a few hostile bytes cannot fill the memory."""

GZIP_MAGIC: Final = b"\x1f\x8b"
ZSTD_MAGIC: Final = b"\x28\xb5\x2f\xfd"
_GZIP_WINDOW: Final = 31
"""zlib's way of saying: a gzip header and trailer around the stream."""


def check_size(size: int, limit: int = MAX_DECODED_BYTES) -> None:
    """Refuse a size above the cap.

    Raises:
        DeltaCompressionError: `size` bytes are more than `limit`.
    """
    if size > limit:
        raise DeltaCompressionError(
            f"{size} bytes are more than the limit of {limit}; split the state, or raise the limit"
        )


def expand_zstd(data: bytes, limit: int = MAX_DECODED_BYTES) -> bytes:
    """Decompress one zstd frame that states its size.

    Raises:
        CorruptRecord: damaged bytes.
        DeltaCompressionError: the content is larger than `limit` bytes.
    """
    try:
        size = zstandard.get_frame_parameters(data).content_size
        if size == zstandard.CONTENTSIZE_UNKNOWN:
            raise CorruptRecord("a compressed state does not say how large it is; it was not written by unspool")
        check_size(size, limit)
        return zstandard.ZstdDecompressor().decompress(data, allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise CorruptRecord(f"compressed bytes are damaged ({error})") from None


def expand_gzip(data: bytes, limit: int = MAX_DECODED_BYTES) -> bytes:
    """Decompress one gzip member.

    Raises:
        CorruptRecord: damaged or cut bytes, or bytes after the member.
        DeltaCompressionError: the content is larger than `limit` bytes.
    """
    stream = zlib.decompressobj(_GZIP_WINDOW)
    try:
        content = stream.decompress(data, limit + 1)
    except zlib.error as error:
        raise CorruptRecord(f"gzip bytes are damaged ({error})") from None
    check_size(len(content), limit)
    if not stream.eof:
        raise CorruptRecord("gzip bytes end too early")
    if stream.unused_data:
        raise CorruptRecord(f"{len(stream.unused_data)} bytes follow the end of the gzip data")
    return content


def check_bz2(data: bytes, limit: int) -> None:
    """Decompress a bz2 stream to see that it is whole and no larger than `limit` bytes.

    Raises:
        CorruptRecord: damaged or cut bytes, or too much content.
    """
    stream = bz2.BZ2Decompressor()
    try:
        size = len(stream.decompress(data, limit + 1))
    except (OSError, ValueError) as error:
        raise CorruptRecord(f"a binary patch is damaged ({error})") from None
    if size > limit or not stream.eof:
        raise CorruptRecord("a binary patch is damaged: a block is cut short or larger than the state it makes")


MAGIC: Final = b"UBP1"
DIGEST_BYTES: Final = 16
_HEADER: Final = struct.Struct(f">4s{DIGEST_BYTES}s{DIGEST_BYTES}sQ")
_BSDIFF_MAGIC: Final = b"BSDIFF40"
_BSDIFF_HEADER: Final = struct.Struct("<8sqqq")
_SMALLEST_BZ2: Final = 14
MIN_PATCH_BYTES: Final = _HEADER.size + _BSDIFF_HEADER.size + 3 * _SMALLEST_BZ2
"""No binary patch is smaller: both headers and three empty bz2 streams."""


def binary_available() -> bool:
    """Whether bsdiff4 is installed."""
    try:
        return find_spec("bsdiff4") is not None
    except ValueError:
        return False


def _bsdiff4() -> ModuleType:
    try:
        import bsdiff4  # an extra
    except ImportError:
        raise MissingBinaryCodec(
            "the binary strategy needs bsdiff4, which is not installed; "
            "run `pip install 'unspool[binary]'`, or choose another strategy"
        ) from None
    return bsdiff4  # type: ignore[no-any-return]


def digest(data: bytes) -> bytes:
    """Return the digest that binds a patch to a state."""
    # Reading a history hardly ever needs a digest, and OpenSSL takes longer to load than a file to open.
    from hashlib import blake2b

    return blake2b(data, digest_size=DIGEST_BYTES).digest()


def make_bound_patch(old: bytes, new: bytes) -> bytes:
    """Return a patch from `old` to `new` that applies to nothing but `old`.

    Raises:
        MissingBinaryCodec: bsdiff4 is not installed.
    """
    patch = _bsdiff4().diff(old, new)
    return _HEADER.pack(MAGIC, digest(old), digest(new), len(new)) + bytes(patch)


def apply_bound_patch(old: bytes, payload: bytes, *, limit: int = MAX_DECODED_BYTES) -> bytes:
    """Return what a patch of `make_bound_patch` makes of `old`.

    Raises:
        PatchBaseMismatch: `old` is not what the patch was made from.
        CorruptRecord: the patch is damaged.
        DeltaCompressionError: the result would be larger than `limit` bytes.
        MissingBinaryCodec: bsdiff4 is not installed.
    """
    if len(payload) < MIN_PATCH_BYTES or payload[:4] != MAGIC:
        raise CorruptRecord("these bytes are no binary patch of unspool")
    _, base_digest, result_digest, size = _HEADER.unpack_from(payload)
    if digest(old) != base_digest:
        raise PatchBaseMismatch(
            f"the binary patch was made from another state (base {base_digest.hex()}, "
            f"given {digest(old).hex()}); apply it to the state it was calculated from"
        )
    check_size(size, limit)
    patch = payload[_HEADER.size :]
    _check_blocks(patch, size)
    try:
        result = bytes(_bsdiff4().patch(old, patch))
    except (ValueError, OSError, EOFError, OverflowError) as error:
        raise CorruptRecord(f"a binary patch is damaged ({error})") from None
    if len(result) != size or digest(result) != result_digest:
        raise CorruptRecord("a binary patch is damaged: its result is not the state it was made for")
    return result


def _check_blocks(patch: bytes, result_size: int) -> None:
    """See that the three blocks of a bsdiff4 patch are whole and not larger than they need be."""
    magic, control, diff, size = _BSDIFF_HEADER.unpack_from(patch)
    extra_start = _BSDIFF_HEADER.size + control + diff
    if magic != _BSDIFF_MAGIC or size != result_size or control < 0 or diff < 0 or extra_start > len(patch):
        raise CorruptRecord("a binary patch is damaged: its header does not fit its length")
    diff_start = _BSDIFF_HEADER.size + control
    check_bz2(patch[_BSDIFF_HEADER.size : diff_start], MAX_DECODED_BYTES)
    check_bz2(patch[diff_start:extra_start], result_size)
    check_bz2(patch[extra_start:], result_size)


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
