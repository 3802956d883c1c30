"""The net effect of a run of packed deltas, laid on a state at once.

Only for deltas that were checked when they were packed. The run is read from its far end: the last word on an atom
decides, so values that are overwritten on the way are never looked at, and an atom told by ops is decoded once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from unspool.delta.ops import apply_ops, invert_ops
from unspool.delta.packing import ops_of, target_of, unpack_changes
from unspool.errors import ContradictoryDelta
from unspool.model.atoms import AtomEntry
from unspool.model.op_wire import unpack_ops
from unspool.model.wire import encode


@dataclass(slots=True)
class _Story:
    """What is known of an atom that ops tell.

    Attributes:
        facts: kind, name and id it ends with.
        ops: packed ops to apply, those of the last delta first.
    """

    facts: AtomEntry
    ops: list[bytes]


def lay_on(state: Mapping[str, AtomEntry], run: Iterable[bytes], *, forward: bool) -> dict[str, AtomEntry]:
    """Return the state at the end of a run of deltas.

    Args:
        state: the state the run starts from.
        run: packed deltas, the one laid on last first.
        forward: whether they are applied as they are; otherwise each is turned round.

    Raises:
        ContradictoryDelta: ops do not fit.
        CorruptHistory: the bytes are no deltas.
    """
    settled: dict[str, AtomEntry | None] = {}
    stories: dict[str, _Story] = {}
    for packed in run:
        for name, row in unpack_changes(packed).items():
            if name in settled:
                continue
            target = target_of(row, forward=forward)
            if target is None or target.encoded:
                settled[name] = target
            elif name in stories:
                stories[name].ops.append(ops_of(row))
            else:
                stories[name] = _Story(target, [ops_of(row)])
    result = dict(state)
    for name, entry in settled.items():
        if entry is None:
            result.pop(name, None)
        else:
            result[name] = entry
    for name, story in stories.items():
        result[name] = _told(name, story, result.get(name), forward=forward)
    return result


def _told(name: str, story: _Story, start: AtomEntry | None, *, forward: bool) -> AtomEntry:
    if start is None:
        raise ContradictoryDelta(f"a delta modifies atom {name!r}, which its base does not have")
    value = start.value
    for packed in reversed(story.ops):
        ops = unpack_ops(packed)
        value = apply_ops(value, ops if forward else invert_ops(ops))
    return story.facts.with_encoded(encode(value))
