"""zstd frames at rest: bounded, and named by their block when damaged."""

from __future__ import annotations

import threading
from typing import Final

import zstandard

from unspool.errors import CorruptHistory
from unspool.model.limits import FREE_BYTES, in_force

LEVEL: Final = 3
"""zstd level of live sealing; 9 would save at most 17 % for several times the work."""
_WINDOW: Final = 1 << 31


def compress(
    data: bytes, prefix: zstandard.ZstdCompressionDict | None = None, level: int = LEVEL, *, checksum: bool = True
) -> bytes:
    """Compress with zstd against a prefix where one is given.

    Args:
        data: any bytes.
        prefix: what to compress against.
        level: zstd level.
        checksum: let the frame hold a checksum; needless where the stored bytes are under one.
    """
    if prefix is None:
        return zstandard.ZstdCompressor(level, write_checksum=checksum).compress(data)
    parameters = zstandard.ZstdCompressionParameters.from_level(
        level,
        # The window must span prefix and data, or the prefix goes unseen.
        window_log=min(27, max(17, (len(data) + len(prefix) + 1024).bit_length())),
        write_checksum=checksum,
        enable_ldm=len(data) > 1 << 20,
    )
    return zstandard.ZstdCompressor(dict_data=prefix, compression_params=parameters).compress(data)


def decompressor(prefix: zstandard.ZstdCompressionDict) -> zstandard.ZstdDecompressor:
    """Return what reads frames that were compressed against a prefix; not to be used by two threads at once."""
    return zstandard.ZstdDecompressor(dict_data=prefix, max_window_size=_WINDOW)


def decompress(data: bytes, first: int, with_prefix: zstandard.ZstdDecompressor | None = None) -> bytes:
    """Decompress what `compress` made, and verify the checksum it holds.

    Raises:
        CorruptHistory: it is damaged, or claims an absurd size.
    """
    if not isinstance(data, bytes):
        # A damaged page may turn a value into another type.
        raise damaged(first, "its bytes are gone")
    try:
        _check_claim(len(data), zstandard.frame_content_size(data), first)
        return (with_prefix or _plain_decompressor()).decompress(data)
    except zstandard.ZstdError as error:
        raise damaged(first, str(error)) from None


def _check_claim(packed: int, claimed: int, first: int) -> None:
    """Refuse a frame by the size that it claims, which zstd holds it to.

    Raises:
        CorruptHistory: it claims more than the limits allow.
    """
    limits = in_force()
    if claimed > limits.frame_bytes:
        raise damaged(first, f"it claims to unfold to {claimed:,} bytes; {limits.told('frame_bytes')}")
    if claimed > FREE_BYTES and claimed > packed * limits.expansion:
        raise damaged(first, f"it claims {claimed:,} bytes from {packed:,}; {limits.told('expansion')}")


def _plain_decompressor() -> zstandard.ZstdDecompressor:
    """Return this thread's decompressor: one must not be used by two threads at once."""
    known: zstandard.ZstdDecompressor | None = getattr(_of_thread, "decompressor", None)
    if known is None:
        known = _of_thread.decompressor = zstandard.ZstdDecompressor(max_window_size=_WINDOW)
    return known


_of_thread: Final = threading.local()


def raw_prefix(state: bytes) -> zstandard.ZstdCompressionDict:
    """Return a full record as a prefix to compress against."""
    return zstandard.ZstdCompressionDict(state, dict_type=zstandard.DICT_TYPE_RAWCONTENT)


def damaged(first: object, why: str) -> CorruptHistory:
    """Return the error that names a damaged block."""
    return CorruptHistory(
        f"the block that starts at entry {first} is damaged ({why}); "
        "`unspool doctor FILE --repair OUT` keeps what is intact",
        seq=first if isinstance(first, int) else None,
    )
