"""jsonpatch: what a log of RFC 6902 patches would cost to compute and to keep."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable
from typing import Any

import msgspec

from benchmarks.loads import State
from benchmarks.peers import PeerAbsent


def patch_maker() -> Callable[[State, State], Any]:
    """Return `jsonpatch.make_patch`.

    Raises:
        PeerAbsent: jsonpatch is not installed.
    """
    if importlib.util.find_spec("jsonpatch") is None:
        raise PeerAbsent("jsonpatch is not installed")
    make: Callable[[State, State], Any] = importlib.import_module("jsonpatch").make_patch
    return make


def patch_bytes(old: State, new: State) -> bytes:
    """Return a patch as compact JSON, as a log would keep it."""
    return msgspec.json.encode(patch_maker()(old, new).patch)
