"""What changed: compute, apply, invert, merge and compare, per atom and inside atoms."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from unspool.delta.calculator import DeltaCalculator
    from unspool.delta.invert import invert_delta
    from unspool.delta.merge import merge_deltas
    from unspool.delta.options import ApplyOptions, DeltaOptions

__all__ = ["ApplyOptions", "DeltaCalculator", "DeltaOptions", "invert_delta", "merge_deltas"]

_HOMES = {
    "ApplyOptions": "options",
    "DeltaCalculator": "calculator",
    "DeltaOptions": "options",
    "invert_delta": "invert",
    "merge_deltas": "merge",
}


def __getattr__(name: str) -> object:
    # Lazy, so that the structural diff alone can be had without the calculator.
    if name in _HOMES:
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
