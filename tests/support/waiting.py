"""Waiting for what another thread or process does, without guessing how long it takes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

LIMIT_S = 20.0


def wait_until(is_true: Callable[[], bool], what: str = "the condition") -> None:
    """Return as soon as something is so.

    Raises:
        AssertionError: it never was.
    """
    pause = threading.Event()
    deadline = time.monotonic() + LIMIT_S
    while not is_true():
        assert time.monotonic() < deadline, f"{what} never came true"
        pause.wait(0.005)
