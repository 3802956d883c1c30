"""Deltas and states as bytes.

The names are imported when first used, so that a store which needs one module of this room pays for no other.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from unspool.codec.compressor import DeltaCompressor
    from unspool.codec.delta_chain import DeltaChain
    from unspool.codec.delta_record import DeltaRecord, extract_keys_from_delta
    from unspool.codec.payload import Integrity
    from unspool.codec.serialize import RecordForm
    from unspool.codec.strategy import DeltaStrategy
    from unspool.errors import DeltaCompressionError

__all__ = [
    "DeltaChain",
    "DeltaCompressionError",
    "DeltaCompressor",
    "DeltaRecord",
    "DeltaStrategy",
    "Integrity",
    "RecordForm",
    "extract_keys_from_delta",
]

_HOMES: Final = {
    "DeltaChain": "unspool.codec.delta_chain",
    "DeltaCompressionError": "unspool.errors",
    "DeltaCompressor": "unspool.codec.compressor",
    "DeltaRecord": "unspool.codec.delta_record",
    "DeltaStrategy": "unspool.codec.strategy",
    "Integrity": "unspool.codec.payload",
    "RecordForm": "unspool.codec.serialize",
    "extract_keys_from_delta": "unspool.codec.delta_record",
}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(home), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
