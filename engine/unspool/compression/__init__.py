"""The delta-compression system: deltas between states as values and as bytes, records of them, and chains.

It stands on the core (values, states as bytes, the way a chain is replayed) and nothing of the core on it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from unspool.codec.state_codec import DeltaStrategy
    from unspool.compression.chain import DeltaChain
    from unspool.compression.compressor import DeltaCompressor
    from unspool.compression.records import DeltaRecord, Integrity, RecordForm, extract_keys_from_delta
    from unspool.errors import DeltaCompressionError

_HOMES = {
    "DeltaChain": "unspool.compression.chain",
    "DeltaCompressionError": "unspool.errors",
    "DeltaCompressor": "unspool.compression.compressor",
    "DeltaRecord": "unspool.compression.records",
    "DeltaStrategy": "unspool.codec.state_codec",
    "Integrity": "unspool.compression.records",
    "RecordForm": "unspool.compression.records",
    "extract_keys_from_delta": "unspool.compression.records",
}

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


def __getattr__(name: str) -> Any:
    # Lazy, so that records can be read without the compressor.
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
