"""unspool: record every state an application goes through, and go back to any of them.

from unspool import Recorder, open_history

with Recorder("app.unspool") as recorder:
    recorder.record(state, action="add item")

history = open_history("app.unspool")
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from unspool.errors import UnspoolError
    from unspool.history.history import History
    from unspool.model.values import MISSING
    from unspool.recorder.adapters import adapter
    from unspool.recorder.calling import Caller
    from unspool.recorder.recorder import Recorder
    from unspool.recorder.redact import Redaction
    from unspool.snapshots.calculator import DeltaCalculator
    from unspool.sources.opening import open_history

_HOMES = {
    "Caller": "unspool.recorder.calling",
    "DeltaCalculator": "unspool.snapshots.calculator",
    "History": "unspool.history.history",
    "MISSING": "unspool.model.values",
    "Recorder": "unspool.recorder.recorder",
    "Redaction": "unspool.recorder.redact",
    "UnspoolError": "unspool.errors",
    "adapter": "unspool.recorder.adapters",
    "open_history": "unspool.sources.opening",
}

__all__ = [
    "MISSING",
    "Caller",
    "DeltaCalculator",
    "History",
    "Recorder",
    "Redaction",
    "UnspoolError",
    "adapter",
    "open_history",
]


def __getattr__(name: str) -> object:
    """Import the public names when they are first used: `import unspool` alone loads nothing else."""
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'unspool' has no attribute {name!r}")
    value = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted((*globals(), *_HOMES))
