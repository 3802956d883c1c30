"""Laws of computing, applying, inverting and merging, over random states of every value."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.snapshots import CALCULATOR, atom_states, deltas_of, run_of, same, snap
from unspool.errors import BaseMismatch, ContradictoryDelta, CorruptHistory
from unspool.model.entries import ChangeKind
from unspool.snapshots import invert_delta, merge_deltas
from unspool.snapshots.packing import (
    atom_size,
    full_overhead,
    lay_on,
    pack,
    packed_size,
    unpack_delta,
    without_ops,
    without_values,
)
from unspool.snapshots.snapshot import AtomChange, AtomEntry, DeltaMetadata, DeltaSnapshot, Snapshot

forms = st.sampled_from([lambda delta: delta, without_values, without_ops, lambda delta: unpack_delta(pack(delta))])
"""A delta as computed, as stored, with values only, and back from its bytes."""


def snapshots(*states: dict[str, AtomEntry]) -> list[Snapshot]:
    return [Snapshot.of(f"s{n}", state, timestamp=n) for n, state in enumerate(states)]


@given(atom_states, atom_states, forms)
def test_n10_base_and_delta_make_the_target(old: dict, new: dict, form) -> None:
    one, other = snapshots(old, new)
    (delta,) = deltas_of([one, other], strict=True)
    assert same(CALCULATOR.apply_delta(one, form(delta), validate=bool(delta.changes)), other)


@given(atom_states, atom_states)
def test_n14_there_is_a_delta_exactly_when_the_states_differ(old: dict, new: dict) -> None:
    one, other = snapshots(old, new)
    for strict in (False, True):
        is_same = CALCULATOR.are_snapshots_equal(one, other, strict=strict)
        assert (CALCULATOR.compute_delta(one, other, strict=strict) is None) is is_same


@given(atom_states, atom_states, forms)
def test_inverting_leads_back_and_twice_is_nothing(old: dict, new: dict, form) -> None:
    one, other = snapshots(old, new)
    (delta,) = deltas_of([one, other], strict=True)
    back = invert_delta(form(delta))
    assert same(CALCULATOR.apply_delta(other, back, validate=bool(delta.changes)), one)
    assert back.target_id == one.id
    assert (back.metadata.atom_count, back.metadata.timestamp) == (len(old), 0)
    again = invert_delta(back)
    assert again.id == delta.id
    assert same(CALCULATOR.apply_delta(one, again, validate=bool(delta.changes)), other)


@given(atom_states, atom_states, atom_states, forms, forms)
def test_merging_is_applying_both(first: dict, second: dict, third: dict, one_form, other_form) -> None:
    start, middle, end = snapshots(first, second, third)
    one, other = deltas_of([start, middle, end], strict=True)
    merged = merge_deltas(one_form(one), other_form(other))
    assert same(CALCULATOR.apply_delta(start, merged), end)
    assert (merged.base_snapshot_id, merged.target_id) == ("s0", "s2")
    assert same(CALCULATOR.apply_delta(start, without_values(merged)), end)
    assert same(CALCULATOR.apply_delta(end, invert_delta(merged)), start)


@given(st.lists(atom_states, min_size=2, max_size=5), forms)
def test_merging_a_whole_run_is_replaying_it(states: list[dict], form) -> None:
    run = snapshots(*states)
    merged, *rest = map(form, deltas_of(run, strict=True))
    for delta in rest:
        merged = merge_deltas(merged, delta)
    assert same(CALCULATOR.apply_delta(run[0], merged, validate=bool(merged.changes)), run[-1])


@given(st.lists(atom_states, min_size=1, max_size=6), forms)
def test_the_net_effect_of_a_run_is_its_replay_in_both_directions(states: list[dict], form) -> None:
    run = snapshots(*states)
    packed = [pack(form(delta)) for delta in deltas_of(run, strict=True)]
    there = Snapshot("x", lay_on(run[0].state, reversed(packed), forward=True))
    assert same(there, run[-1])
    back = Snapshot("x", lay_on(run[-1].state, packed, forward=False))
    assert same(back, run[0])


@given(atom_states)
def test_n17_sizes_are_told_without_packing(state: dict) -> None:
    snapshot = Snapshot.of("s", state, timestamp=3, action="x")
    assert full_overhead(snapshot) + sum(atom_size(name, entry) for name, entry in state.items()) == packed_size(
        snapshot
    )
    many = Snapshot.of("m", {f"k{n}": "v" * (n % 300) for n in range(len(state) * 70)})
    assert full_overhead(many) + sum(atom_size(name, entry) for name, entry in many.state.items()) == packed_size(
        many
    )


def test_a_net_effect_that_does_not_fit_is_refused() -> None:
    one, other = run_of([{"log": list(range(99))}, {"log": list(range(100))}])
    packed = pack(without_values(deltas_of([one, other])[0]))
    with pytest.raises(ContradictoryDelta):
        lay_on({}, [packed], forward=True)
    with pytest.raises(CorruptHistory):
        lay_on(one.state, [pack(one)], forward=True)


def test_what_cancels_out_merges_to_nothing_and_applies() -> None:
    start, middle, _ = run = run_of([{"n": 0}, {"n": 1, "m": 2}, {"n": 0}])
    merged = merge_deltas(*deltas_of(run))
    assert dict(merged.changes) == {}
    assert merged.metadata.merged_from == tuple(delta.id for delta in deltas_of(run))
    assert same(CALCULATOR.apply_delta(start, merged), start)
    assert not same(CALCULATOR.apply_delta(start, deltas_of(run)[0]), start)
    assert middle.id == "s1"


def test_deltas_that_do_not_follow_each_other_are_not_merged() -> None:
    one, _, other = deltas_of(run_of([{"n": 0}, {"n": 1}, {"n": 2}, {"n": 3}]))
    with pytest.raises(BaseMismatch, match=r"'s2'.*'s1'"):
        merge_deltas(one, other)


@pytest.mark.parametrize(
    ("first", "second"), [("added", "added"), ("modified", "added"), ("deleted", "deleted"), ("deleted", "modified")]
)
def test_changes_that_cannot_follow_each_other_are_not_merged(first: str, second: str) -> None:
    def delta(identity: str, base: str, kind: str) -> DeltaSnapshot:
        old = None if kind == "added" else AtomEntry(1)
        new = None if kind == "deleted" else AtomEntry(2)
        return DeltaSnapshot(identity, base, {"n": AtomChange("n", ChangeKind(kind), old, new)}, DeltaMetadata())

    with pytest.raises(ContradictoryDelta, match="'n' cannot be"):
        merge_deltas(delta("d1", "s0", first), delta("d2", "d1", second))


def test_a_foreign_delta_without_old_values_cannot_be_turned_round() -> None:
    foreign = DeltaSnapshot.from_dict(
        {
            "id": "d",
            "type": "delta",
            "baseSnapshotId": "a",
            "changes": {"n": {"changeType": "modified", "newValue": 1}},
        }
    )
    result = CALCULATOR.apply_delta(snap("a", n=0), foreign)
    assert result is not None
    assert result.to_state() == {"n": 1}
    with pytest.raises(ContradictoryDelta, match="does not tell the old value"):
        invert_delta(foreign)
