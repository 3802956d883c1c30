"""Snapshots and deltas as JSON that keeps every value exactly, beside the plain shape that other tools read."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given

from support.snapshots import CALCULATOR, atom_states, deltas_of, run_of
from unspool.errors import UnreadableSource
from unspool.snapshots.snapshot import AtomEntry, Snapshot, SnapshotMetadata
from unspool.sources.tagged_values import snapshot_from_json, snapshot_to_json


@given(atom_states, atom_states)
def test_every_snapshot_and_delta_comes_back_as_itself(old: dict[str, AtomEntry], new: dict[str, AtomEntry]) -> None:
    one, other = (
        Snapshot(name, state, SnapshotMetadata(1000.5, "a", len(state)))
        for name, state in (("one", old), ("other", new))
    )
    delta = CALCULATOR.compute_delta(one, other, skip_empty=False)
    for snapshot in (one, other, delta):
        assert snapshot is not None
        text = snapshot_to_json(snapshot)
        json.loads(text)
        assert snapshot_from_json(text) == snapshot


def test_the_plain_shape_is_what_it_was_and_the_tagged_one_keeps_what_it_loses() -> None:
    states: list[dict[str, Any]] = [
        {"t": (1, 2), "k": {1: "a"}, "n": float("nan")},
        {"t": (1, 3), "k": {1: "b"}, "n": 0.0},
    ]
    first = run_of(states)[0]
    plain = Snapshot.from_dict(json.loads(json.dumps(first.to_dict())))
    assert plain.to_state()["t"] == [1, 2]
    assert plain.to_state()["k"] == {"1": "a"}
    kept = snapshot_from_json(snapshot_to_json(first, indent=1))
    assert isinstance(kept, Snapshot)
    assert kept.to_state()["t"] == (1, 2)
    assert kept.to_state()["k"] == {1: "a"}
    delta = deltas_of(run_of(states))[0]
    assert snapshot_from_json(snapshot_to_json(delta)) == delta


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", '{"id": "a"}', '{"id": "a", "state": {"x": {"value": {"$date": 5}}}}']
)
def test_what_is_no_snapshot_is_refused(text: str) -> None:
    with pytest.raises(UnreadableSource):
        snapshot_from_json(text)
