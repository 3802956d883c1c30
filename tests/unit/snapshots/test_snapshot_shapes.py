"""Snapshots and deltas as values, as JSON of the seed's shape, and as bytes."""

from __future__ import annotations

import copy
import json
import pickle
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given

from support.snapshots import CALCULATOR, atom_states, deltas_of, json_atom_states, run_of, same, snap
from unspool.errors import ContradictoryDelta, CorruptHistory, UnreadableSource, UnspoolError, UnsupportedValue
from unspool.model.entries import ChangeKind
from unspool.model.values import MISSING
from unspool.snapshots import DeltaAwareHistoryManager, DeltaChainManager, SnapshotReconstructor
from unspool.snapshots.packing import pack, packed_size, unpack, unpack_delta, unpack_full, without_values
from unspool.snapshots.snapshot import (
    AtomChange,
    AtomEntry,
    DeltaSnapshot,
    Snapshot,
    SnapshotMetadata,
    snapshot_from_dict,
)

GOLDEN = Path(__file__).parents[3] / "fixtures" / "seeds"


def golden(name: str) -> Any:
    return json.loads((GOLDEN / name).read_text())


def test_n01_a_delta_written_as_plain_json_keeps_its_changes() -> None:
    delta = CALCULATOR.compute_delta(snap("a", n=0), snap("b", n=5, new=[1, {"k": True}]))
    assert delta is not None
    again = DeltaSnapshot.from_dict(json.loads(json.dumps(delta.to_dict())))
    assert again == delta
    assert again.changes["n"].new_value == 5


def test_n01_a_delta_whose_changes_were_lost_is_refused_and_not_taken_for_empty() -> None:
    with pytest.raises(UnreadableSource, match="3 changes and holds none"):
        snapshot_from_dict(golden("nexus-delta-plain-stringify.json"))


def test_n03_changes_are_called_added_modified_and_deleted() -> None:
    delta = CALCULATOR.compute_delta(snap("a", kept=1, gone=2), snap("b", kept=3, new=4))
    assert delta is not None
    assert {name: change.change_type for name, change in delta.changes.items()} == {
        "gone": "deleted",
        "kept": "modified",
        "new": "added",
    }


def test_n08_a_full_snapshot_of_the_original_reads_and_writes_back() -> None:
    data = golden("nexus-full-snapshot.json")
    snapshot = snapshot_from_dict(data)
    assert isinstance(snapshot, Snapshot)
    assert snapshot.to_dict() == data
    assert snapshot.state["user"].value == {"name": "Alice", "tags": ["x"]}
    assert (snapshot.type, snapshot.base_snapshot_id) == ("full", None)


def test_n08_the_core_form_without_type_and_metadata_reads_too() -> None:
    snapshot = snapshot_from_dict({"id": "x", "state": {"n": {"value": 1}}})
    assert isinstance(snapshot, Snapshot)
    assert snapshot.state["n"] == AtomEntry(1)
    assert snapshot.metadata == SnapshotMetadata(0, None, 1)


@pytest.mark.parametrize("form", ["object", "typed map", "pairs"])
def test_n09_changes_read_as_an_object_a_typed_map_and_a_list_of_pairs(form: str) -> None:
    data = golden("nexus-history-export.json")["snapshots"][1]
    pairs = data["changes"]["entries"]
    data["changes"] = {"object": dict(pairs), "typed map": data["changes"], "pairs": pairs}[form]
    delta = snapshot_from_dict(data)
    assert isinstance(delta, DeltaSnapshot)
    base = snapshot_from_dict(golden("nexus-full-snapshot.json"))
    assert isinstance(base, Snapshot)
    after = CALCULATOR.apply_delta(base, delta)
    assert after is not None
    assert after.to_state() == {
        "counter": 5,
        "user": {"name": "Alice", "tags": ["x"]},
        "added": [1, {"k": True}],
    }
    assert after.state["counter"].name == "counter"


def test_n09_metadata_beyond_the_seeds_is_kept() -> None:
    data = golden("nexus-full-snapshot.json")
    data["metadata"]["session"] = {"user": 7}
    snapshot = Snapshot.from_dict(data)
    assert snapshot.metadata.extra == {"session": {"user": 7}}
    assert unpack(pack(snapshot)) == snapshot
    assert snapshot.to_dict() == data


def test_an_entry_is_what_the_atom_was_when_it_was_captured() -> None:
    cart = ["apple"]
    entry = AtomEntry(cart)
    cart.append("pear")
    entry.value.append("plum")
    assert entry.value == ["apple"]


def test_a_state_is_read_only() -> None:
    snapshot = snap("a", n=1)
    with pytest.raises(TypeError):
        snapshot.state["n"] = AtomEntry(2)  # type: ignore[index]


def test_snapshots_and_deltas_can_be_copied_and_pickled() -> None:
    one, other = run_of([{"n": [1]}, {"n": [2], "m": 0}])
    (delta,) = deltas_of([one, other])
    for value in (one, delta):
        assert copy.deepcopy(value) == value
        assert pickle.loads(pickle.dumps(value)) == value


@given(atom_states, atom_states)
def test_packing_is_lossless(old: dict[str, AtomEntry], new: dict[str, AtomEntry]) -> None:
    one, other = Snapshot.of("a", old, timestamp=1.5, action="x"), Snapshot.of("b", new)
    (delta,) = deltas_of([one, other], track_paths=True)
    for value in (one, delta, without_values(delta)):
        assert unpack(pack(value)) == value
        assert packed_size(value) == len(pack(value))


@given(json_atom_states, json_atom_states)
def test_n01_json_of_snapshots_is_lossless(old: dict[str, AtomEntry], new: dict[str, AtomEntry]) -> None:
    one, other = Snapshot.of("a", old), Snapshot.of("b", new)
    (delta,) = deltas_of([one, other], track_paths=True)
    assert Snapshot.from_dict(json.loads(json.dumps(one.to_dict()))) == one
    for form in (delta, without_values(delta)):
        again = snapshot_from_dict(json.loads(json.dumps(form.to_dict())))
        assert isinstance(again, DeltaSnapshot)
        assert same(CALCULATOR.apply_delta(one, again, validate=False), other)


def test_a_full_snapshot_is_never_taken_for_a_delta() -> None:
    one, other = run_of([{"n": 1}, {"n": 2}])
    (delta,) = deltas_of([one, other])
    with pytest.raises(CorruptHistory):
        unpack_full(pack(delta))
    with pytest.raises(CorruptHistory):
        unpack_delta(pack(one))


@given(atom_states)
def test_damaged_bytes_are_refused_or_read_as_something_whole(state: dict[str, AtomEntry]) -> None:
    data = bytearray(pack(Snapshot.of("a", state)))
    for place in range(0, len(data), max(1, len(data) // 20)):
        broken = bytes(data[:place]) + bytes([data[place] ^ 0x5A]) + bytes(data[place + 1 :])
        try:
            unpack(broken)
            unpack(bytes(data[:place]))
        except UnspoolError:
            pass


def test_names_of_atoms_must_be_text() -> None:
    with pytest.raises(UnsupportedValue, match="7"):
        Snapshot.of("a", {7: 1})  # type: ignore[dict-item]


def test_a_value_that_contains_itself_is_refused_with_its_atom() -> None:
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(UnsupportedValue, match="'cart'"):
        Snapshot.of("a", {"cart": loop})


def test_a_state_of_plain_values_is_refused_where_entries_are_due() -> None:
    with pytest.raises(UnsupportedValue, match=r"Snapshot\.of"):
        Snapshot("a", {"n": 1})  # type: ignore[dict-item]
    with pytest.raises(UnsupportedValue, match=r"Snapshot\.of"):
        Snapshot.from_dict({"id": "a", "state": {"n": 1}})


@pytest.mark.parametrize(
    "data",
    [{}, {"id": "a"}, {"id": 3, "state": {}}, {"id": "a", "type": "delta"}, {"id": "a", "state": {}, "type": "odd"},
     {"id": "a", "type": "delta", "baseSnapshotId": "b", "changes": [1]}, None, 5, "text", [],
     {"id": "a", "state": {}, "metadata": 5}, {"id": "a", "state": {}, "metadata": {"timestamp": "now"}},
     {"id": "a", "type": "delta", "baseSnapshotId": "b", "metadata": {"baseTimestamp": float("nan")}}],
)  # fmt: skip
def test_an_object_that_is_no_snapshot_is_refused(data: Any) -> None:
    with pytest.raises(UnreadableSource):
        snapshot_from_dict(data)


def test_what_is_no_snapshot_is_refused_wherever_one_is_due() -> None:
    known, history = snap("a", n=1), DeltaAwareHistoryManager()
    for odd in (None, 5, "text", []):
        for ask in (
            lambda odd=odd: CALCULATOR.compute_delta(known, odd),
            lambda odd=odd: CALCULATOR.apply_delta(known, odd),
            lambda odd=odd: DeltaChainManager().add_base(odd),
            lambda odd=odd: DeltaChainManager().add_delta(odd),
            lambda odd=odd: history.add(odd),
        ):
            with pytest.raises(UnreadableSource, match="is due here"):
                ask()
    result = SnapshotReconstructor().reconstruct(known, [None])  # type: ignore[list-item]
    assert isinstance(result.error, UnreadableSource)


@pytest.mark.parametrize(
    ("kind", "old", "new"),
    [("added", 1, 2), ("added", 1, None), ("deleted", None, 1), ("modified", None, 1), ("modified", 1, None)],
)
def test_a_change_that_contradicts_itself_cannot_be_made(kind: str, old: int | None, new: int | None) -> None:
    sides = [None if value is None else AtomEntry(value) for value in (old, new)]
    with pytest.raises(ContradictoryDelta):
        AtomChange("n", ChangeKind(kind), *sides)


@pytest.mark.parametrize(
    "change", [5, {}, {"changeType": "renamed"}, {"changeType": "modified", "ops": [{"op": "?"}]}]
)
def test_an_object_that_is_no_change_is_refused(change: Any) -> None:
    data = {"id": "d", "type": "delta", "baseSnapshotId": "a", "changes": {"n": change}}
    with pytest.raises(ContradictoryDelta):
        snapshot_from_dict(data)


def test_an_entry_says_nothing_of_its_value_when_ops_tell_it() -> None:
    one, other = run_of([{"log": list(range(100))}, {"log": list(range(101))}])
    stored = without_values(deltas_of([one, other])[0])
    change = stored.changes["log"]
    assert change.is_incremental
    assert change.old_value is MISSING
    assert change.new_value is MISSING
    assert [op.new for op in change.ops] == [100]


def test_entries_show_briefly_what_they_hold() -> None:
    assert repr(AtomEntry(0)) == "AtomEntry(0)"
    assert len(repr(AtomEntry(list(range(10_000)), type="computed"))) < 120
