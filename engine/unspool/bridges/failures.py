"""What is kept of a failure: the frames of its traceback, with the locals that they had."""

from __future__ import annotations

import time
from traceback import walk_tb
from typing import Any, Final

from unspool.history.history import History
from unspool.model.caller import CALLER
from unspool.model.recipes import module_name, type_name
from unspool.model.values import State, Value
from unspool.recorder.calling import Caller
from unspool.recorder.recorder import Recorder
from unspool.recorder.redact import Redaction
from unspool.store.memory import MemoryStore

_MACHINERY: Final = ("_pytest", "pluggy", "pytest", "xdist", "unittest")
"""Frames and objects of these say nothing about the test."""
_MOST_FRAMES: Final = 20
_MOST_LOCALS: Final = 200
_MOST_BYTES: Final = 256 * 1024
_SECONDS: Final = 0.2
_MOST_SECONDS: Final = 3.0
"""Bounds of one local, in time and size, and of all of a failure."""


def failed_frames(error: BaseException, redaction: Redaction) -> list[dict[str, Any]]:
    """Return place and locals of the frames that an exception went through, the innermost first, as plain values.

    Frames of test machinery are left out. Objects are kept by their fields, and nothing of theirs is called.

    Args:
        error: what was raised.
        redaction: what is left out of the locals.
    """
    frames = _frames(error)
    # Each local within bounds of its own, so that a large one takes no room from the others.
    taken = MemoryStore()
    recorder = Recorder(taken, redact=redaction, on_error="ignore", max_bytes=_MOST_BYTES, max_seconds=_SECONDS)
    end = time.monotonic() + _MOST_SECONDS
    atoms: list[list[str]] = []
    for number, (_, values) in enumerate(frames):
        atoms.append([f"{number} {place}" for place in range(len(values))])
        for atom, (name, value) in zip(atoms[-1], values.items(), strict=True):
            if time.monotonic() < end:
                # Below its name, which tells whether it is a secret.
                recorder.update({atom: {name: value if _is_meant(value) else f"<{type_name(type(value))}>"}})
    state = History(taken).state(-1) if len(taken) else {}
    return [
        {"place": place, "locals": {name: _kept(state, atom, name) for atom, name in zip(named, values, strict=True)}}
        for named, (place, values) in zip(atoms, frames, strict=True)
    ]


def _kept(state: State, atom: str, name: str) -> Value:
    kept = state.get(atom, "not taken in time")
    return kept.get(name, kept) if isinstance(kept, dict) else kept


def _frames(error: BaseException) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    callers = Caller()
    found: list[tuple[dict[str, Any], dict[str, Any]]] = []
    for frame, line in reversed(list(walk_tb(error.__traceback__))):
        if len(found) < _MOST_FRAMES and _root(frame.f_globals.get("__name__")) not in _MACHINERY:
            place = {**callers.added_to(None, frame, 0).get(CALLER, {}), "line": line}
            names = [name for name in frame.f_locals if not name.startswith("@")][:_MOST_LOCALS]
            found.append((place, {name: frame.f_locals[name] for name in names}))
    return found


def _is_meant(value: Any) -> bool:
    return _root(module_name(type(value))) not in _MACHINERY


def _root(module: object) -> str:
    return module.partition(".")[0] if isinstance(module, str) else ""
