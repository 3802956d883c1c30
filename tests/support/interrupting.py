"""Ctrl-C between any two lines of our own code."""

from __future__ import annotations

import linecache
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any, Final

_ROOMS: Final = ("/unspool/recorder/", "/unspool/store/writer.py", "/unspool/store/sealing.py")


def interrupted_after(lines: int, work: Callable[[], object], rooms: tuple[str, ...] = _ROOMS) -> bool:
    """Do some work and raise KeyboardInterrupt in it once so many of our lines have begun; say whether it came to that.

    Only lines of files whose paths hold one of `rooms` count.
    """
    left = lines
    entered: set[tuple[int, int]] = set()

    def leaves_block(frame: FrameType) -> bool:
        # Python handles no signal between the end of the block of a `with` and what leaves it, though it names the line again.
        place = (id(frame), frame.f_lineno)
        if not linecache.getline(frame.f_code.co_filename, frame.f_lineno).lstrip().startswith("with "):
            return False
        if place in entered:
            entered.remove(place)
            return True
        entered.add(place)
        return False

    def trace(frame: FrameType, event: str, argument: Any) -> Any:
        nonlocal left
        if not any(room in frame.f_code.co_filename for room in rooms):
            return None
        if event == "line" and not leaves_block(frame):
            if left == 0:
                sys.settrace(None)
                raise KeyboardInterrupt
            left -= 1
        return trace

    sys.settrace(trace)
    try:
        work()
    except KeyboardInterrupt:
        return True
    finally:
        sys.settrace(None)
    return False
