"""A stretch of a delta chain: a base state and the links that follow it.

Values inside a segment are never changed in place, so states may share them; only what leaves the chain is copied.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from unspool.codec.binary_patch import apply_bound_patch
from unspool.codec.checks import decode_state, encode_state
from unspool.codec.delta_record import DeltaRecord
from unspool.codec.recording import RecordedStep
from unspool.codec.state_codec import decode_full, encode_full, expand_full
from unspool.codec.strategy import DeltaStrategy
from unspool.model.values import State, Value


@dataclass(frozen=True, slots=True)
class Link:
    """One step of a chain, held as its strategy stores it.

    Attributes:
        record: the step's record; without the changed values where `data` or `state` hold them.
        strategy: how the step is held.
        changed: the changed keys.
        data: a binary patch, or a compressed state.
        state: the whole state (strategy NONE).
    """

    record: DeltaRecord
    strategy: DeltaStrategy
    changed: tuple[str, ...]
    data: bytes = b""
    state: Mapping[str, Value] | None = None

    @property
    def is_full(self) -> bool:
        """Whether the link holds the whole state, so that nothing before it need be read."""
        return self.strategy in (DeltaStrategy.COMPRESS, DeltaStrategy.NONE)


def make_link(step: RecordedStep, state: Mapping[str, Value]) -> Link:
    """Return a step as a link; `state` is the state it leads to."""
    record, packed = step.record, step.packed
    if packed is None or packed.strategy is DeltaStrategy.DICT:
        return link_of_record(record)
    changed = tuple(record.changes)
    bare = replace(record, changes={})
    if packed.strategy is DeltaStrategy.NONE:
        return Link(bare, packed.strategy, changed, state=state)
    return Link(bare, packed.strategy, changed, data=packed.data)


def link_of_record(record: DeltaRecord) -> Link:
    """Return a key-wise link."""
    return Link(record, DeltaStrategy.DICT, tuple(record.changes))


class Cursor:
    """A state on its way along a chain, as values or as canonical bytes: whichever the last link left."""

    def __init__(self, values: Mapping[str, Value]) -> None:
        self._values: Mapping[str, Value] | None = values
        self._full = b""

    def values(self) -> Mapping[str, Value]:
        """Return the state as values."""
        if self._values is None:
            self._values = decode_state(decode_full(self._full))
        return self._values

    def _as_bytes(self) -> bytes:
        if self._values is None:
            return self._full
        return encode_full(encode_state(self._values, "a state of the chain"))

    def follow(self, link: Link) -> None:
        """Go to the state after a link.

        Raises:
            CorruptRecord: what the link holds is damaged.
        """
        match link.strategy:
            case DeltaStrategy.BINARY:
                self._full, self._values = apply_bound_patch(self._as_bytes(), link.data), None
            case DeltaStrategy.COMPRESS:
                self._full, self._values = expand_full(link.data), None
            case DeltaStrategy.NONE:
                self._values = link.state or {}
            case _:
                self._follow_keys(link.record)

    def _follow_keys(self, record: DeltaRecord) -> None:
        if not record.changes and not record.removed_keys:
            return
        state: State = {**self.values(), **record.changes}
        for key in record.removed_keys:
            state.pop(key, None)
        self._values = state


@dataclass(slots=True)
class Segment:
    """A base and the links after it.

    Attributes:
        first: index of the base.
        base: the state the first link stands on.
        links: the links, oldest first; all of them stay, merged or not.
        merged: one delta with the effect of the first `merged_count` links; None where nothing was merged.
        merged_count: how many links it covers.
    """

    first: int
    base: State
    links: list[Link] = field(default_factory=list)
    merged: DeltaRecord | None = None
    merged_count: int = 0

    @property
    def active_length(self) -> int:
        """How many deltas lead from the base to the last state; a new base counts as one, as in the seed."""
        has_head = self.merged is not None or self.first > 0
        return has_head + len(self.links) - self.merged_count

    def values_after(self, count: int) -> Mapping[str, Value]:
        """Return the state after the first `count` links; by way of the merged delta where it does not reach past."""
        cursor = Cursor(self.base)
        start = 0
        if self.merged is not None and count >= self.merged_count:
            cursor.follow(link_of_record(self.merged))
            start = self.merged_count
        nearest_full = (at for at in range(count - 1, start, -1) if self.links[at].is_full)
        for link in self.links[next(nearest_full, start) : count]:
            cursor.follow(link)
        return cursor.values()

    def walk(self) -> Iterator[Mapping[str, Value]]:
        """Give the state after each link."""
        cursor = Cursor(self.base)
        for link in self.links:
            cursor.follow(link)
            yield cursor.values()

    def record_at(self, position: int) -> DeltaRecord:
        """Return the record of a link with the changed values in it; they may be shared with the chain."""
        link = self.links[position]
        if link.strategy is DeltaStrategy.DICT:
            return link.record
        values = self.values_after(position + 1)
        return replace(link.record, changes={key: values[key] for key in link.changed})
