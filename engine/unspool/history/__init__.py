"""A history as a person means it: go to, diff, append, undo, redo, fork, statistics."""

from unspool.history.diff import Change, Diff
from unspool.history.feeder import Feeder
from unspool.history.history import History
from unspool.history.stats import AtomStats, Health, HistoryStats, RebuildTimes
from unspool.history.verdict import COMPLETE, Problem, Verdict, VerdictStatus
from unspool.history.view import StateView

__all__ = [
    "COMPLETE",
    "AtomStats",
    "Change",
    "Diff",
    "Feeder",
    "Health",
    "History",
    "HistoryStats",
    "Problem",
    "RebuildTimes",
    "StateView",
    "Verdict",
    "VerdictStatus",
]
