"""Sources as bytes, kept beside the events so that a long history need not be replayed."""

from __future__ import annotations

from typing import Final

import zstandard

MAX_BASE_CHARACTERS: Final = 1_000_000
"""A longer genesis is no dictionary for what came of it: loading it would take longer than it saves."""

_MAX_STATE_BYTES: Final = 1 << 30


def pack_state(text: str, base: str | None) -> bytes:
    """Compress a source; against the source it came from, only what differs takes room."""
    return zstandard.ZstdCompressor(dict_data=_dictionary(base)).compress(text.encode("utf-8", "surrogatepass"))


def unpack_state(content: bytes, base: str | None) -> str | None:
    """Undo `pack_state`; None where the bytes are damaged, or the base is another."""
    try:
        if zstandard.frame_content_size(content) > _MAX_STATE_BYTES:
            return None
        packed = zstandard.ZstdDecompressor(dict_data=_dictionary(base)).decompress(content)
        return packed.decode("utf-8", "surrogatepass")
    except (zstandard.ZstdError, ValueError, TypeError):
        return None


def _dictionary(base: str | None) -> zstandard.ZstdCompressionDict | None:
    if base is None:
        return None
    return zstandard.ZstdCompressionDict(
        base.encode("utf-8", "surrogatepass"), dict_type=zstandard.DICT_TYPE_RAWCONTENT
    )
