"""The control channel between a program that is recorded and whoever looks at the recording."""

from __future__ import annotations

from unspool.control.channel import (
    NOT_PUT_BACK,
    Answer,
    Back,
    ControlUnavailable,
    Dispatch,
    Instance,
    Jump,
    Look,
    Message,
    Pause,
    Resume,
    Skip,
    TravelRefused,
)
from unspool.control.client import ControlClient, ServedRecording, served_at, served_recordings
from unspool.control.server import ControlServer, Request

__all__ = [
    "NOT_PUT_BACK",
    "Answer",
    "Back",
    "ControlClient",
    "ControlServer",
    "ControlUnavailable",
    "Dispatch",
    "Instance",
    "Jump",
    "Look",
    "Message",
    "Pause",
    "Request",
    "Resume",
    "ServedRecording",
    "Skip",
    "TravelRefused",
    "served_at",
    "served_recordings",
]
