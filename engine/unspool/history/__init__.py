"""A history as a person means it: states, differences, what could be read, statistics."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from unspool.history.diff import Change, Diff
from unspool.history.history import History, StateView
from unspool.history.verdict import COMPLETE, Feeder, Problem, Verdict, VerdictStatus

if TYPE_CHECKING:
    from unspool.history.stats import AtomStats, Health, HistoryStats, RebuildTimes

__all__ = [
    "COMPLETE",
    "AtomStats",
    "Change",
    "DeltaAwareHistoryManager",
    "Diff",
    "Feeder",
    "Health",
    "History",
    "HistoryEvent",
    "HistoryStats",
    "IncrementalSnapshotConfig",
    "Problem",
    "RebuildTimes",
    "StateView",
    "Verdict",
    "VerdictStatus",
]

_STATS = ("AtomStats", "Health", "HistoryStats", "RebuildTimes")


def __getattr__(name: str) -> Any:
    # Reading a file needs no statistics; of the manager, programs import what the reference named here until the
    # delta-snapshot system got a room of its own.
    if name in __all__:
        return getattr(import_module("unspool.history.stats" if name in _STATS else "unspool.snapshots"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
