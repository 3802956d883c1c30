"""Two states compared key by key, types strict (row F-13)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from unspool.codec.checks import encode_state, require_state
from unspool.codec.errors import UnsupportedRecordValue
from unspool.codec.sameness import first_difference, same_encoded
from unspool.codec.state_codec import WireState
from unspool.model.paths import format_path
from unspool.model.values import Value
from unspool.model.wire import decode


@dataclass(frozen=True, slots=True)
class Comparison:
    """What two states have in common and what not.

    Attributes:
        old: the state before, in wire form.
        new: the state after, in wire form.
        new_state: the state after, as the caller gave it.
        changed: keys added or modified, in the order of the state after.
        removed: keys that went, in the order of the state before.
        unchanged: keys that are the same, in the order of the state after.
    """

    old: WireState
    new: WireState
    new_state: Mapping[str, Value]
    changed: tuple[str, ...]
    removed: tuple[str, ...]
    unchanged: tuple[str, ...]

    def require_exact(self) -> None:
        """See that the wire form of the state after keeps every type.

        Raises:
            UnsupportedRecordValue: it keeps one by name only, such as an enum or a dataclass.
        """
        for name, data in self.new.items():
            difference = first_difference(self.new_state[name], decode(data))
            if difference is not None:
                raise UnsupportedRecordValue(
                    f"the value at {format_path((name, *difference))} is of a type that bytes keep by name only; "
                    "convert it to plain data, or use the strategy 'dict'"
                )


def compare_states(old_state: Any, new_state: Any) -> Comparison:
    """Compare two states.

    Raises:
        DeltaCompressionError: one of them is no state.
        UnsupportedRecordValue: one holds a value that cannot be kept.
    """
    before = require_state(old_state, "the old state")
    after = require_state(new_state, "the new state")
    return compare_encoded(encode_state(before, "the old state"), encode_state(after, "the new state"), after)


def compare_encoded(old: WireState, new: WireState, new_state: Mapping[str, Value]) -> Comparison:
    """Compare two states whose wire forms are at hand."""
    changed: list[str] = []
    unchanged: list[str] = []
    for name, data in new.items():
        known = old.get(name)
        is_same = known is not None and same_encoded(known, data)
        (unchanged if is_same else changed).append(name)
    removed = tuple(name for name in old if name not in new)
    return Comparison(old, new, new_state, tuple(changed), removed, tuple(unchanged))
