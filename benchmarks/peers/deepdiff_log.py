"""DeepDiff: what a log of its Deltas would cost to compute and to keep."""

from __future__ import annotations

from typing import Any

from deepdiff import DeepDiff, Delta

from benchmarks.loads import State


def delta(old: State, new: State) -> Any:
    """Compute a delta that can be applied, without its bytes."""
    return Delta(DeepDiff(old, new))


def delta_bytes(old: State, new: State) -> bytes:
    """Compute a delta as bytes, as a log would keep it."""
    data: bytes = delta(old, new).dumps()
    return data
