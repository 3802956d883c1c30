"""A history as a person means it: go to, diff, append, undo, redo, fork, statistics."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from unspool.history.diff import Change, Diff
from unspool.history.feeder import Feeder
from unspool.history.history import History
from unspool.history.verdict import COMPLETE, Problem, Verdict, VerdictStatus
from unspool.history.view import StateView

if TYPE_CHECKING:
    from unspool.history.config import IncrementalSnapshotConfig
    from unspool.history.manager import DeltaAwareHistoryManager
    from unspool.history.manager_events import HistoryEvent
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

_LAZY = {
    "AtomStats": "stats",
    "DeltaAwareHistoryManager": "manager",
    "Health": "stats",
    "HistoryEvent": "manager_events",
    "HistoryStats": "stats",
    "IncrementalSnapshotConfig": "config",
    "RebuildTimes": "stats",
}


def __getattr__(name: str) -> object:
    # The in-memory manager of seed 000 stands beside `History`; reading a file needs neither it nor statistics.
    if name in _LAZY:
        return getattr(import_module(f"{__name__}.{_LAZY[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
