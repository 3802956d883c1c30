"""Several deltas as one: the last operation on a key wins (row F-23)."""

from __future__ import annotations

from collections.abc import Iterable

from unspool.codec.checks import require_agreement, require_keys, require_state
from unspool.codec.delta_record import DeltaRecord
from unspool.model.values import State


def merge_changes(deltas: Iterable[DeltaRecord]) -> tuple[State, list[str]]:
    """Return the changes and removals that have the effect of all deltas in the given order.

    A key that is set and then removed stays among the removals, since the base may have it.

    Raises:
        ContradictoryRecord: one of the deltas both changes and removes a key.
    """
    changes: State = {}
    removed: dict[str, None] = {}
    for delta in deltas:
        new_values = require_state(delta.changes, "the changes of a delta")
        gone = require_keys(delta.removed_keys, "the removed keys of a delta")
        require_agreement(new_values, gone)
        for key, value in new_values.items():
            changes[key] = value
            removed.pop(key, None)
        for key in gone:
            changes.pop(key, None)
            removed[key] = None
    return changes, list(removed)
