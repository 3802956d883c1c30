"""bsdiff4 patches that know which bytes they were made from and what they must give, and decompression that stops at a cap."""

from __future__ import annotations

import bz2
import struct
import zlib
from importlib.util import find_spec
from types import ModuleType
from typing import Final

import zstandard

from unspool.codec.errors import CorruptRecord, DeltaCompressionError, MissingBinaryCodec, PatchBaseMismatch

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
