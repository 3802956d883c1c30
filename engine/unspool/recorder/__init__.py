"""What runs inside a user's app: capture, budget, threads, crash behaviour."""

from unspool.recorder.recorder import OnError, Recorder, RecordingStopped

__all__ = ["OnError", "Recorder", "RecordingStopped"]
