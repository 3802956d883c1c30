"""unspool: record every state an application goes through, and go back to any of them.

from unspool import Recorder, open_history

with Recorder("app.unspool") as recorder:
    recorder.record(state, action="add item")

history = open_history("app.unspool")

docs/api.md lists what this module offers; other modules are private by convention, but for `unspool.bridges` and the document
systems (`unspool.snapshots`, `unspool.compression`, `unspool.regions`, `unspool.events`).
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from unspool.errors import (
        ConfigError,
        CorruptHistory,
        EntryNotFound,
        ExpressionError,
        LimitExceeded,
        PathNotFound,
        PathSyntaxError,
        QuestionError,
        StorageFailed,
        UnreadableSource,
        UnspoolError,
    )
    from unspool.history.diff import Change, Diff
    from unspool.history.history import History, StateView
    from unspool.history.verdict import Verdict
    from unspool.model.entries import ChangeKind, Entry
    from unspool.model.keys import format_path
    from unspool.model.limits import Limits
    from unspool.model.paths import parse_path
    from unspool.model.values import MISSING, Tagged
    from unspool.opened import OpenHistory
    from unspool.query.bisect import Bisection
    from unspool.query.blame import Blame
    from unspool.query.checkers import CheckReport, Rule, read_rules
    from unspool.query.compare import Divergence
    from unspool.query.disk_usage import Footprint
    from unspool.query.doctor.diagnosis import Diagnosis
    from unspool.query.expressions import Expression
    from unspool.query.path_writes import PathWrite
    from unspool.query.repair import RepairReport
    from unspool.query.search import ChangeQuestion, Hit, Search
    from unspool.query.search_queries import PatternQuery, parse_query
    from unspool.query.shape import Shape
    from unspool.query.simulator import Simulation
    from unspool.query.why import Why
    from unspool.recorder.adapters import adapter
    from unspool.recorder.calling import Caller
    from unspool.recorder.recorder import Recorder
    from unspool.recorder.redact import Redaction
    from unspool.recorder.troubles import RecordingWarning
    from unspool.snapshots.calculator import DeltaCalculator
    from unspool.sources.opening import open_history
    from unspool.store.memory import MemoryStore

__version__ = "0.1.0"
"""Of the package too: the build reads it here. Its metadata would take a command 20 ms to read."""

_HOMES = {
    "unspool.errors": (
        "ConfigError CorruptHistory EntryNotFound ExpressionError LimitExceeded PathNotFound PathSyntaxError QuestionError "
        "StorageFailed UnreadableSource UnspoolError"
    ),
    "unspool.history.diff": "Change Diff",
    "unspool.history.history": "History StateView",
    "unspool.history.verdict": "Verdict",
    "unspool.model.entries": "ChangeKind Entry",
    "unspool.model.limits": "Limits",
    "unspool.model.keys": "format_path",
    "unspool.model.paths": "parse_path",
    "unspool.model.values": "MISSING Tagged",
    "unspool.opened": "OpenHistory",
    "unspool.query.bisect": "Bisection",
    "unspool.query.blame": "Blame",
    "unspool.query.checkers": "CheckReport Rule read_rules",
    "unspool.query.compare": "Divergence",
    "unspool.query.disk_usage": "Footprint",
    "unspool.query.doctor.diagnosis": "Diagnosis",
    "unspool.query.expressions": "Expression",
    "unspool.query.path_writes": "PathWrite",
    "unspool.query.repair": "RepairReport",
    "unspool.query.search": "ChangeQuestion Hit Search",
    "unspool.query.search_queries": "PatternQuery parse_query",
    "unspool.query.shape": "Shape",
    "unspool.query.simulator": "Simulation",
    "unspool.query.why": "Why",
    "unspool.recorder.adapters": "adapter",
    "unspool.recorder.calling": "Caller",
    "unspool.recorder.recorder": "Recorder",
    "unspool.recorder.redact": "Redaction",
    "unspool.recorder.troubles": "RecordingWarning",
    "unspool.snapshots.calculator": "DeltaCalculator",
    "unspool.sources.opening": "open_history",
    "unspool.store.memory": "MemoryStore",
}
"""The public names, by the module that each is imported from when it is first used."""

__all__ = [
    "MISSING",
    "Bisection",
    "Blame",
    "Caller",
    "Change",
    "ChangeKind",
    "ChangeQuestion",
    "CheckReport",
    "ConfigError",
    "CorruptHistory",
    "DeltaCalculator",
    "Diagnosis",
    "Diff",
    "Divergence",
    "Entry",
    "EntryNotFound",
    "Expression",
    "ExpressionError",
    "Footprint",
    "History",
    "Hit",
    "LimitExceeded",
    "Limits",
    "MemoryStore",
    "OpenHistory",
    "PathNotFound",
    "PathSyntaxError",
    "PathWrite",
    "PatternQuery",
    "QuestionError",
    "Recorder",
    "RecordingWarning",
    "Redaction",
    "RepairReport",
    "Rule",
    "Search",
    "Shape",
    "Simulation",
    "StateView",
    "StorageFailed",
    "Tagged",
    "UnreadableSource",
    "UnspoolError",
    "Verdict",
    "Why",
    "adapter",
    "format_path",
    "open_history",
    "parse_path",
    "parse_query",
    "read_rules",
]


def __getattr__(name: str) -> object:
    """Import the public names when they are first used: `import unspool` alone loads nothing else."""
    for home, names in _HOMES.items():
        if name in names.split():
            value = getattr(import_module(home), name)
            globals()[name] = value
            return value
    raise AttributeError(f"module 'unspool' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
