"""A chain of states kept as deltas: `DeltaChain` of seeds 001 and 002.

Nothing that was added is ever forgotten, short of `clear_chain`: a new baseline closes a segment and keeps it, and
merging keeps the links it merged. Indices therefore never move. Values inside a segment are never changed in place, so
states may share them; only what leaves the chain is copied.
"""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from unspool.codec.state_codec import (
    CodecSettingError,
    DeltaStrategy,
    StateNotFound,
    apply_bound_patch,
    decode_full,
    encode_full,
    expand_full,
)
from unspool.compression.compressor import DeltaCompressor, RecordedStep, compare_encoded
from unspool.compression.records import DeltaRecord, verify_payload
from unspool.compression.states import (
    decode_state,
    detach_state,
    encode_state,
    require_agreement,
    require_keys,
    require_state,
)
from unspool.errors import DeltaCompressionError
from unspool.history.rebuild import SnapshotReconstructor
from unspool.model.cache import BoundedCache
from unspool.model.values import State, Value


@dataclass(frozen=True, slots=True)
class ChainLink:
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


def make_link(step: RecordedStep, state: Mapping[str, Value]) -> ChainLink:
    """Return a step as a link; `state` is the state it leads to."""
    record, packed = step.record, step.packed
    if packed is None or packed.strategy is DeltaStrategy.DICT:
        return link_of_record(record)
    changed = tuple(record.changes)
    bare = replace(record, changes={})
    if packed.strategy is DeltaStrategy.NONE:
        return ChainLink(bare, packed.strategy, changed, state=state)
    return ChainLink(bare, packed.strategy, changed, data=packed.data)


def link_of_record(record: DeltaRecord) -> ChainLink:
    """Return a key-wise link."""
    return ChainLink(record, DeltaStrategy.DICT, tuple(record.changes))


class ChainCursor:
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

    def follow(self, link: ChainLink) -> None:
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


class ChainSegment:
    """A base and the links after it; position n is the state after n links.

    Attributes:
        first: index of the base.
        base: the state the first link stands on.
        links: the links, oldest first; all of them stay, merged or not.
        merged: one delta with the effect of the first `merged_count` links; None where nothing was merged.
        merged_count: how many links it covers.
    """

    def __init__(self, first: int, base: State, reconstructor: SnapshotReconstructor) -> None:
        """Begin at a base; states are rebuilt through the chain's reconstructor."""
        self.first = first
        self.base = base
        self.links: list[ChainLink] = []
        self.merged: DeltaRecord | None = None
        self.merged_count = 0
        self._reconstructor = reconstructor

    @property
    def active_length(self) -> int:
        """How many deltas lead from the base to the last state; a new base counts as one, as in the seed."""
        has_head = self.merged is not None or self.first > 0
        return has_head + len(self.links) - self.merged_count

    def values_after(self, count: int) -> Mapping[str, Value]:
        """Return the state after the first `count` links."""
        return self._reconstructor.state(self, count)

    def find(self, cache: BoundedCache[Any, Any], at: int) -> Mapping[str, Value] | None:
        """See `StateLine`."""
        found: Mapping[str, Value] | None = cache.get(self.first + at)
        return found

    def keep(
        self, cache: BoundedCache[Any, Any], at: int, state: Mapping[str, Value], size: int, *, prefetched: bool
    ) -> None:
        """See `StateLine`."""
        cache.put(self.first + at, state, size, prefetched=prefetched)

    def rebuild(self, cache: BoundedCache[Any, Any], at: int) -> tuple[Mapping[str, Value], int]:
        """See `StateLine`; values share what did not change, so the number of kept states is bounded, not their bytes."""
        start = 0
        merged = self.merged
        if merged is not None and at >= self.merged_count:
            start = self.merged_count
        nearest_full = (place for place in range(at - 1, start, -1) if self.links[place].is_full)
        full = next(nearest_full, None)
        before = cache.peek(self.first + at - 1) if full is None and at - start > 1 else None
        cursor = ChainCursor(self.base if before is None else before)
        if before is not None:
            start = at - 1
        elif full is not None:
            start = full
        elif merged is not None and start:
            cursor.follow(link_of_record(merged))
        for link in self.links[start:at]:
            cursor.follow(link)
        return cursor.values(), 0

    def walk(self) -> Iterator[Mapping[str, Value]]:
        """Give the state after each link."""
        cursor = ChainCursor(self.base)
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


_STATES_KEPT = 4
"""Rebuilt states that a chain keeps."""
DEFAULT_MAX_LENGTH = 20
"""Deltas from a base before the chain is shortened."""


class DeltaChain:
    """States in a row, each kept as the delta from the one before.

    Two numberings, both stable for the life of the chain:

    - the seed's index: 0 is the base, k is the state after k records. The first `add_state` sets the base and leaves
      an empty record, so its state has the indices 0 and 1, and the k-th added state has index k;
    - the number: `chain[n]`, or `chain.state_number(n)`, is the n-th added state counted from 0; negative numbers
      count from the end, and `len(chain)` tells how many there are.

    Attributes:
        delta_compressor: computes the deltas; its statistics are those of the chain.
        max_chain_length: deltas from a base before the chain is shortened.
        enable_rebase: whether shortening sets a new base; otherwise the oldest deltas are merged.
    """

    def __init__(
        self,
        delta_strategy: DeltaStrategy | str = DeltaStrategy.AUTO,
        max_chain_length: int = DEFAULT_MAX_LENGTH,
        enable_rebase: bool = True,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Set up an empty chain.

        Raises:
            DeltaCompressionError: an unknown strategy, or a length below 1.
        """
        if type(max_chain_length) is not int or max_chain_length < 1:
            raise CodecSettingError(f"max_chain_length is {max_chain_length!r}; it must be a whole number above 0")
        self.delta_compressor = DeltaCompressor(delta_strategy, clock=clock)
        self.max_chain_length = max_chain_length
        self.enable_rebase = enable_rebase
        self._reconstructor = SnapshotReconstructor(max_states=_STATES_KEPT)
        self._reset()

    def _reset(self) -> None:
        self._reconstructor.clear_cache()
        self._segments = [ChainSegment(0, {}, self._reconstructor)]
        self._current: State = {}
        self._wire: Mapping[str, bytes] = {}
        self._rebaselines = self._optimizations = self._changes = self._removals = 0

    def __len__(self) -> int:
        return self._segments[-1].first + len(self._segments[-1].links)

    def __getitem__(self, number: int) -> State:
        return self.state_number(number)

    def __iter__(self) -> Iterator[State]:
        for segment in tuple(self._segments):
            yield from map(detach_state, segment.walk())

    def add_delta(self, delta: DeltaRecord) -> None:
        """Add a record; its checksum is compared with its content, and its values are copied.

        Raises:
            ContradictoryRecord: the record both changes and removes a key.
            DeltaCompressionError: it is no record, or damaged, or holds a value that cannot be kept.
        """
        if not isinstance(delta, DeltaRecord):
            raise DeltaCompressionError(f"only a delta record can be added, not a {type(delta).__name__}")
        changes = detach_state(require_state(delta.changes, "the changes of the delta"))
        removed = require_keys(delta.removed_keys, "the removed keys of the delta")
        require_agreement(changes, removed)
        integrity = verify_payload(changes, removed, delta.metadata, delta.checksum)
        wire = {**self._wire, **encode_state(changes, "the changes of the delta")}
        current = {**self._current, **changes}
        for key in removed:
            wire.pop(key, None)
            current.pop(key, None)
        metadata = detach_state(delta.metadata)
        kept = replace(delta, changes=changes, removed_keys=removed, metadata=metadata, integrity=integrity)
        self._append(link_of_record(kept), current, wire)

    def add_state(self, state: dict[str, Value], timestamp: float | None = None) -> DeltaRecord:
        """Add a state as the delta from the current one; the first one becomes the base.

        Args:
            state: the state; copied.
            timestamp: seconds since the Unix epoch; the current time unless given.

        Returns:
            The record of the changes, whatever the strategy stores; empty for the first state.

        Raises:
            DeltaCompressionError: no state, or a value that cannot be kept.
        """
        given = require_state(state, "the state")
        wire = encode_state(given, "the state")
        if not len(self):
            base = detach_state(given)
            record = self.delta_compressor.create_delta_record({}, [], timestamp)
            self._segments[0].base = base
            self._reconstructor.clear_cache()
            self._append(link_of_record(record), base, wire)
            return replace(record, metadata=dict(record.metadata))
        step = self.delta_compressor.record_step(compare_encoded(self._wire, wire, given), timestamp)
        changes = step.record.changes
        current = {name: changes[name] if name in changes else self._current[name] for name in given}
        self._append(make_link(step, current), current, wire)
        return _detached(step.record)

    def _append(self, link: ChainLink, current: State, wire: Mapping[str, bytes]) -> None:
        self._segments[-1].links.append(link)
        self._current, self._wire = current, wire
        self._changes += len(link.changed)
        self._removals += len(link.record.removed_keys)
        if self._segments[-1].active_length > self.max_chain_length:
            self._optimize_chain()

    def get_state_at_index(self, index: int) -> State:
        """Return a copy of the state at an index.

        Args:
            index: 0 is the base, k the state after k records; indices never change their meaning.

        Raises:
            StateNotFound: no such index; an `IndexError`.
        """
        if type(index) is not int or not 0 <= index <= len(self):
            raise StateNotFound(f"the delta chain has no index {index!r}; it goes from 0 to {len(self)}")
        segment = self._segment_of(index)
        return detach_state(segment.values_after(index - segment.first))

    def state_number(self, number: int) -> State:
        """Return a copy of the n-th added state, counted from 0; negative numbers count from the end.

        Raises:
            StateNotFound: no such number; an `IndexError`.
        """
        if type(number) is not int or not -len(self) <= number < len(self):
            raise StateNotFound(f"the delta chain has no state number {number!r}; it holds {len(self)} states")
        return self.get_state_at_index(number % len(self) + 1)

    def _segment_of(self, index: int) -> ChainSegment:
        """Return the segment whose links lead to an index; for 0, the first one."""
        at = bisect_left(self._segments, index, key=lambda segment: segment.first)
        return self._segments[max(0, at - 1)]

    def get_current_state(self) -> State:
        """Return a copy of the latest state; empty for an empty chain."""
        return detach_state(self._current)

    def get_delta_at_index(self, index: int) -> DeltaRecord | None:
        """Return the record that leads from index `index` to the next; None outside the chain."""
        if type(index) is not int or not 0 <= index < len(self):
            return None
        segment = self._segment_of(index + 1)
        return _detached(segment.record_at(index - segment.first))

    def active_deltas(self) -> list[DeltaRecord]:
        """Return the records that lead from the current base to the current state, merged ones as one."""
        segment = self._segments[-1]
        head = [] if segment.merged is None else [_detached(segment.merged)]
        return head + [_detached(segment.record_at(at)) for at in range(segment.merged_count, len(segment.links))]

    @property
    def archived_count(self) -> int:
        """How many states lie before the current base; they stay readable."""
        return self._segments[-1].first

    def active_base(self) -> State:
        """Return a copy of the state that `active_deltas` start from."""
        return detach_state(self._segments[-1].base)

    def clear_chain(self) -> None:
        """Forget every state, the base and the metrics; the compressor's statistics stay."""
        self._reset()

    def rebaseline(self) -> None:
        """Make the current state the new base; what came before stays readable at its indices."""
        if not len(self):
            return
        if self._segments[-1].links:
            self._segments.append(ChainSegment(len(self), self._current, self._reconstructor))
        self._rebaselines += 1

    def _optimize_chain(self) -> None:
        """Shorten the way to the current state, by a new base or by merging the oldest deltas."""
        if self.enable_rebase:
            self.rebaseline()
        else:
            self._merge_oldest()
        self._optimizations += 1

    def _merge_oldest(self) -> None:
        segment = self._segments[-1]
        count = len(segment.links) - self.max_chain_length // 2
        head = [] if segment.merged is None else [segment.merged]
        deltas = head + [segment.record_at(at) for at in range(segment.merged_count, count)]
        segment.merged = self.delta_compressor.merge_deltas(deltas, order="chain")
        segment.merged_count = count

    def get_chain_metrics(self) -> dict[str, Any]:
        """Return counts.

        Returns:
            `chain_length` (deltas from the current base), `rebaseline_count`, `optimization_count`, `total_changes`
            and `total_removals` (over the whole chain, archived part included).
        """
        return {
            "chain_length": self._segments[-1].active_length,
            "rebaseline_count": self._rebaselines,
            "optimization_count": self._optimizations,
            "total_changes": self._changes,
            "total_removals": self._removals,
        }


def _detached(record: DeltaRecord) -> DeltaRecord:
    return replace(
        record,
        changes=detach_state(record.changes),
        removed_keys=list(record.removed_keys),
        metadata=detach_state(record.metadata),
    )
