"""Ctrl-C in the middle of a reading: whoever reads on sees what was written since, and nobody waits for ever."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from unspool import Recorder
from unspool.store.file import FileStore

ROOM = str(Path("unspool", "store", "schema.py"))


def interrupted(call: Callable[[], object], at: int) -> bool:
    """Press Ctrl-C where the `at`-th function of the connection begins; return whether there was one.

    That is where the interpreter looks for signals, besides behind the calls of functions written in C.
    """
    calls = 0

    def trace(frame: FrameType, event: str, _: Any) -> None:
        nonlocal calls
        if event == "call" and frame.f_code.co_filename.endswith(ROOM) and frame.f_code.co_name != "__del__":
            calls += 1
            if calls == at:
                sys.settrace(None)
                raise KeyboardInterrupt

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        call()
    except KeyboardInterrupt:
        return True
    finally:
        sys.settrace(before)
    return False


def is_read_elsewhere(store: FileStore, seq: int) -> bool:
    """Whether another thread can read an entry."""
    found: list[int] = []
    other = threading.Thread(target=lambda: found.append(len(store.run(seq).records)), daemon=True)
    other.start()
    other.join(20)
    return bool(found)


READINGS: dict[str, Callable[[FileStore], object]] = {
    "run": lambda store: store.run(len(store) - 1),
    "entries": lambda store: store.entries(0, len(store)),
    "changed": lambda store: store.changed(len(store) - 1),
    "refresh": lambda store: store.refresh(),
}


@pytest.mark.parametrize("name", READINGS)
def test_after_ctrl_c_anywhere_in_a_reading_the_next_ones_see_what_was_written_since(
    tmp_path: Path, name: str
) -> None:
    path = tmp_path / "run.unspool"
    with Recorder(path, on_error="raise") as recorder:
        recorder.record({"n": 0})
        store = FileStore.open(path)
        at = 0
        while interrupted(lambda: READINGS[name](store), at + 1):
            at += 1
            recorder.record({"n": at})
            store.refresh()
            assert len(store) == at + 1
            assert store.entries(at, at + 1)[0].seq == at
            assert is_read_elsewhere(store, at), f"another thread waits for ever after Ctrl-C in call {at}"
        assert at >= 2
        store.close()
