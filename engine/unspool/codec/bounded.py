"""Decompression that stops at a cap, whatever the bytes claim."""

from __future__ import annotations

import bz2
import zlib
from typing import Final

import zstandard

from unspool.codec.errors import CorruptRecord, DeltaCompressionError

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
