"""`copy.deepcopy`: what keeping old states in memory costs, and with it every undo list of whole states."""

from __future__ import annotations

import copy

from benchmarks.loads import State


def keep(state: State) -> State:
    """Return a private copy."""
    return copy.deepcopy(state)
