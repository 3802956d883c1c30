"""What runs inside a user's app: capture, budget, threads, crash behaviour."""

from unspool.recorder.recorder import Recorder
from unspool.recorder.redact import Redaction
from unspool.recorder.troubles import (
    DamagedLogKept,
    EntriesWait,
    EntrySkipped,
    LogsHeldBack,
    NoRunningLoop,
    OnError,
    RecordingStopped,
    RecordingWarning,
    SealingStopped,
    ValueMarked,
)

__all__ = [
    "DamagedLogKept",
    "EntriesWait",
    "EntrySkipped",
    "LogsHeldBack",
    "NoRunningLoop",
    "OnError",
    "Recorder",
    "RecordingStopped",
    "RecordingWarning",
    "Redaction",
    "SealingStopped",
    "ValueMarked",
]
