"""Computing, applying, comparing and measuring deltas of snapshots."""

from __future__ import annotations

import dataclasses
import datetime as dt
import enum
import math
from typing import Any

import pytest

from support.snapshots import CALCULATOR, deltas_of, run_of, same, snap
from unspool.errors import (
    BaseMismatch,
    ConfigError,
    ContradictoryDelta,
    DeltaError,
    UnspoolError,
    UnsupportedValue,
)
from unspool.model.entries import ChangeKind, OpKind
from unspool.model.values import MISSING
from unspool.snapshots import ApplyOptions, DeltaCalculator, DeltaOptions
from unspool.snapshots.changes import with_values
from unspool.snapshots.packing import packed_size, without_ops, without_values
from unspool.snapshots.snapshot import AtomChange, AtomEntry, DeltaMetadata, DeltaSnapshot, Snapshot


def change_of(old: Any, new: Any, **options: Any) -> AtomChange | None:
    delta = CALCULATOR.compute_delta(snap("a", x=old), snap("b", x=new), **options)
    return None if delta is None else delta.changes["x"]


def test_n04_a_modification_tells_both_values() -> None:
    change = change_of({"a": 1}, {"a": 2})
    assert change is not None
    assert (change.old_value, change.new_value) == ({"a": 1}, {"a": 2})


@pytest.mark.parametrize("name", ["constructor", "toString", "__proto__", "__class__", "keys", "items", ""])
def test_n05_and_n06_only_own_names_count(name: str) -> None:
    empty, full = Snapshot.of("a", {}), Snapshot.of("b", {name: 1})
    added, deleted = deltas_of([empty, full, Snapshot.of("c", {})])
    assert added.changes[name].kind is ChangeKind.ADDED
    assert (added.changes[name].old_value, added.changes[name].new_value) == (None, 1)
    assert deleted.changes[name].kind is ChangeKind.DELETED
    assert (deleted.changes[name].old_value, deleted.changes[name].new_value) == (1, None)


def test_n09_time_count_and_action_are_those_of_the_target() -> None:
    delta = CALCULATOR.compute_delta(snap("a", 100, n=0, m=0, k=0), snap("b", 250, "set", n=1, m=0))
    assert delta is not None
    facts = delta.metadata
    assert (facts.timestamp, facts.base_timestamp, facts.action) == (250, 100, "set")
    assert (facts.atom_count, facts.change_count) == (2, 2)


def test_n10_a_change_of_kind_name_or_id_alone_is_a_change() -> None:
    old = AtomEntry(1, "primitive", "n", "id-1")
    for new in (
        AtomEntry(1, "computed", "n", "id-1"),
        AtomEntry(1, "primitive", "m", "id-1"),
        AtomEntry(1, "primitive", "n", None),
    ):
        one, other = Snapshot.of("a", {"n": old}), Snapshot.of("b", {"n": new})
        delta = CALCULATOR.compute_delta(one, other)
        assert delta is not None
        assert delta.changes["n"].kind is ChangeKind.MODIFIED
        result = CALCULATOR.apply_delta(one, delta)
        assert result is not None
        assert result.state["n"] == new


def test_n11_null_is_a_value() -> None:
    for old, new in ((None, 1), (1, None)):
        change = change_of(old, new)
        assert change is not None
        assert change.kind is ChangeKind.MODIFIED
    assert change_of(None, None) is None


def test_n12_the_result_is_a_full_snapshot_with_an_identity_of_its_own() -> None:
    one = Snapshot.of("a", {"n": AtomEntry(0, "computed", "Number", "id-9")}, timestamp=1)
    other = Snapshot.of("b", {"n": AtomEntry(1, "computed", "Number", "id-9")}, timestamp=2, action="set")
    (delta,) = deltas_of([one, other])
    assert CALCULATOR.apply_delta(one, delta) == other


def test_n12_nothing_writable_is_shared() -> None:
    shared = {"deep": [1]}
    one, other = snap("a", x=shared, y=0), snap("b", x=shared, y=1)
    (delta,) = deltas_of([one, other])
    result = CALCULATOR.apply_delta(one, delta)
    assert result is not None
    shared["deep"].append(2)
    result.state["x"].value["deep"].append(3)
    assert one.state["x"].value == result.state["x"].value == {"deep": [1]}


def test_n12_a_mutable_result_has_a_state_of_its_own() -> None:
    one, other = run_of([{"n": 0}, {"n": 1}])
    (delta,) = deltas_of([one, other])
    result = CALCULATOR.apply_delta(one, delta, immutable=False)
    assert result is not None
    result.state["more"] = AtomEntry(1)  # type: ignore[index]
    assert set(one.state) == {"n"}
    frozen = CALCULATOR.apply_delta(one, delta)
    assert frozen is not None
    with pytest.raises(TypeError):
        frozen.state["more"] = AtomEntry(1)  # type: ignore[index]


@pytest.mark.parametrize("options", [{"validate": False}, {"skip_validation": True}, {"skipValidation": True}])
def test_n12_validation_can_be_left_out(options: dict[str, Any]) -> None:
    one, other = run_of([{"n": 0}, {"n": 1}])
    (delta,) = deltas_of([one, other])
    result = CALCULATOR.apply_delta(snap("z", n=7), delta, options)
    assert result is not None
    assert result.to_state() == {"n": 1}


def test_n12_on_error_is_handed_the_error_and_the_result_is_none() -> None:
    one, other = run_of([{"n": 0}, {"n": 1}])
    (delta,) = deltas_of([one, other])
    errors: list[UnspoolError] = []
    assert CALCULATOR.apply_delta(snap("z", n=0), delta, on_error=errors.append) is None
    assert [type(error) for error in errors] == [BaseMismatch]


def test_n13_no_change_gives_none_or_on_demand_an_empty_delta() -> None:
    one, other = snap("a", n=[1, 2]), snap("b", n=[1, 2])
    assert CALCULATOR.compute_delta(one, other) is None
    delta = CALCULATOR.compute_delta(one, other, skip_empty=False)
    assert delta is not None
    assert dict(delta.changes) == {}


class Colour(enum.Enum):
    RED = 1


@dataclasses.dataclass
class Point:
    x: int


EQUAL: list[tuple[Any, Any]] = [
    ({"a": 1, "b": {"c": [1, 2]}}, {"b": {"c": [1, 2]}, "a": 1}),
    ([{"k": 1}, {"k": 1}], [{"k": 1}] * 2),
    (math.nan, math.nan),
    ([math.nan, {"x": math.inf}], [math.nan, {"x": math.inf}]),
    (0.0, -0.0),
    (1, 1.0),
    (2**200, 2**200),
    ((1, {2, 3}), (1, {3, 2})),
    (b"x", b"x"),
    (dt.datetime(2024, 1, 1, 12), dt.datetime(2024, 1, 1, 12)),
    (Colour.RED, Colour.RED),
    (Point(1), Point(1)),
    ("\ud800", "\ud800"),
]
DIFFERENT: list[tuple[Any, Any]] = [
    (1, True),
    (0, False),
    ([1], [True]),
    ({"a": 0}, {"a": False}),
    ("1", 1),
    ([1], (1,)),
    ({1}, frozenset({1})),
    (b"x", "x"),
    (2**200, 2**200 + 1),
    (math.inf, -math.inf),
    (math.nan, None),
    ([], {}),
    (Point(1), Point(2)),
    (Point(1), {"x": 1}),
    ({1: 0}, {"1": 0}),
    (dt.datetime(2024, 1, 1), dt.date(2024, 1, 1)),
]


@pytest.mark.parametrize(("old", "new"), EQUAL)
def test_n14_structural_equality_sees_no_change(old: Any, new: Any) -> None:
    assert change_of(old, new) is None
    assert CALCULATOR.are_snapshots_equal(snap("a", x=old), snap("b", x=new))


@pytest.mark.parametrize(("old", "new"), DIFFERENT)
def test_n14_structural_equality_sees_a_change(old: Any, new: Any) -> None:
    assert change_of(old, new) is not None
    one, other = snap("a", x=old), snap("b", x=new)
    assert not CALCULATOR.are_snapshots_equal(one, other)
    (delta,) = deltas_of([one, other])
    assert same(CALCULATOR.apply_delta(one, without_values(delta)), other)


def test_n14_numbers_differ_by_type_and_sign_when_asked_to() -> None:
    for old, new in ((1, 1.0), (0.0, -0.0), ([1], [1.0])):
        assert change_of(old, new, strict=True) is not None
        assert not CALCULATOR.are_snapshots_equal(snap("a", x=old), snap("b", x=new), strict=True)


def nested(depth: int, leaf: Any) -> Any:
    value = leaf
    for level in range(depth):
        value = {"in": value, "level": level} if level % 2 else [value, level]
    return value


def test_n14_differences_are_seen_at_any_depth() -> None:
    one, other = snap("a", x=nested(10_000, 1)), snap("b", x=nested(10_000, 2))
    assert CALCULATOR.compute_delta(one, snap("b", x=nested(10_000, 1))) is None
    (delta,) = deltas_of([one, other], track_paths=True)
    (path,) = delta.changes["x"].paths
    assert len(path) > 1000 or path == ()
    assert same(CALCULATOR.apply_delta(one, delta), other)
    assert same(CALCULATOR.apply_delta(one, without_values(delta)), other)
    assert same(CALCULATOR.apply_delta(other, CALCULATOR.invert_delta(without_values(delta))), one)


def test_n15_another_base_is_refused_with_both_ids() -> None:
    one, other = run_of([{"n": 0}, {"n": 1}])
    (delta,) = deltas_of([one, other])
    with pytest.raises(BaseMismatch, match=r"'s0'.*'zzz'"):
        CALCULATOR.apply_delta(snap("zzz", n=0), delta)


def test_n15_an_empty_delta_is_refused_unless_it_is_meant() -> None:
    one, other = run_of([{"n": 0}, {"n": 0}])
    (delta,) = deltas_of([one, other])
    with pytest.raises(DeltaError, match="holds no changes"):
        CALCULATOR.apply_delta(one, delta)
    result = CALCULATOR.apply_delta(one, delta, validate=False)
    assert result == dataclasses.replace(other, metadata=result.metadata if result else other.metadata)


@pytest.mark.parametrize(
    ("base", "change"),
    [
        ({"n": 5}, AtomChange("n", ChangeKind.MODIFIED, AtomEntry(4), AtomEntry(6))),
        ({}, AtomChange("n", ChangeKind.MODIFIED, AtomEntry(4), AtomEntry(6))),
        ({"n": 5}, AtomChange("n", ChangeKind.ADDED, None, AtomEntry(6))),
        ({"n": 5}, AtomChange("n", ChangeKind.DELETED, AtomEntry(4), None)),
        ({}, AtomChange("n", ChangeKind.DELETED, AtomEntry(4), None)),
    ],
)
def test_n15_a_delta_that_contradicts_its_base_is_refused(base: dict[str, Any], change: AtomChange) -> None:
    delta = DeltaSnapshot("d", "a", {"n": change}, DeltaMetadata(change_count=1), "b")
    with pytest.raises(ContradictoryDelta, match=r"'d'.*'n'"):
        CALCULATOR.apply_delta(Snapshot.of("a", base), delta)
    CALCULATOR.apply_delta(Snapshot.of("a", base), delta, validate=False)


def test_n15_ops_that_do_not_fit_are_refused_even_without_validation() -> None:
    one, other = run_of([{"log": list(range(99))}, {"log": list(range(100))}])
    delta = without_values(deltas_of([one, other])[0])
    for wrong in ({"log": [1]}, {"log": "text"}, {}):
        for options in ({}, {"validate": False}):
            with pytest.raises(ContradictoryDelta):
                CALCULATOR.apply_delta(Snapshot.of("s0", wrong), delta, options)


def test_n14_ops_take_1_for_1_0_as_equality_does() -> None:
    filler = {f"k{n}": n for n in range(40)}
    told, changed = Snapshot.of("s0", {"x": {**filler, "n": 1.0}}), Snapshot.of("s1", {"x": {**filler, "n": 2}})
    delta = without_values(deltas_of([told, changed])[0])
    assert delta.changes["x"].is_incremental
    result = CALCULATOR.apply_delta(Snapshot.of("s0", {"x": {**filler, "n": 1}}), delta)
    assert same(result, changed)


def test_n16_only_states_are_compared() -> None:
    assert CALCULATOR.are_snapshots_equal(snap("a", 1, "x", n=1), snap("b", 2, "y", n=1))
    assert not CALCULATOR.are_snapshots_equal(snap("a", n=1), snap("a", n=1, m=None))


def test_n17_sizes_are_measured_on_the_bytes() -> None:
    one, other = snap("a", text="x" * 5000, n=0), snap("b", text="x" * 5000, n=1)
    (delta,) = deltas_of([one, other])
    assert CALCULATOR.calculate_snapshot_size(one) == packed_size(one) > 5000
    assert CALCULATOR.calculate_delta_size(delta) == packed_size(delta) < 200
    assert abs(delta.metadata.compressed_size - CALCULATOR.calculate_delta_size(delta)) <= 8
    assert delta.metadata.original_size == packed_size(other)
    longer = snap("b", text="y" * 9000, n=0)
    (values,) = deltas_of([one, longer], incremental=False)
    assert CALCULATOR.calculate_delta_size(values) > 14_000


def test_n18_an_own_detector_decides() -> None:
    calls: list[tuple[Any, Any]] = []

    def beyond_ten(old: Any, new: Any) -> bool:
        calls.append((old, new))
        return abs(old - new) > 10

    assert change_of(1, 5, change_detector=beyond_ten) is None
    assert change_of(1, 50, change_detector=beyond_ten) is not None
    assert calls == [(1, 5), (1, 50)]


def test_n18_options_of_a_call_are_laid_over_the_calculators_own() -> None:
    calculator = DeltaCalculator(skip_empty=False)
    assert calculator.compute_delta(snap("a"), snap("b")) is not None
    assert calculator.compute_delta(snap("a"), snap("b"), {"skipEmpty": True}) is None
    assert calculator.compute_delta(snap("a"), snap("b"), DeltaOptions()) is None


def test_n18_paths_tell_where_an_atom_changed() -> None:
    old, new = {"user": {"name": "A", "tags": [1, 2]}, "n": 1}, {"user": {"name": "B", "tags": [1, 3]}, "n": 1}
    change = change_of(old, new)
    assert change is not None
    assert change.paths == ()
    change = change_of(old, new, track_paths=True)
    assert change is not None
    assert set(change.paths) == {("user", "name"), ("user", "tags", 1)}
    assert sorted(change.to_dict()["path"]) == ["/user/name", "/user/tags/1"]


def test_n18_validate_proves_the_delta_before_it_is_handed_out() -> None:
    assert change_of(list(range(50)), list(range(1, 60)), validate=True) is not None


@pytest.mark.parametrize(
    "options",
    [{"deep_equals": True}, {"change_detection": "fuzzy"}, {"skip_empty": 1}, {"change_detector": 5},
     {"deep_equal": True, "change_detection": "reference"}, {"deep_equal": False, "change_detector": max},
     {"change_detection": "shallow", "change_detector": max}, {"deep_equal": "yes"}, {"id_factory": "x"}],
)  # fmt: skip
def test_n18_an_option_that_cannot_be_honoured_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        DeltaCalculator(options)
    with pytest.raises(ConfigError):
        CALCULATOR.compute_delta(snap("a"), snap("b"), options)


@pytest.mark.parametrize("options", [{"immutable": None}, {"on_error": 3}, {"validates": True}])
def test_n12_an_option_of_applying_that_cannot_be_honoured_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        CALCULATOR.apply_delta(snap("a"), deltas_of([snap("a"), snap("b")])[0], options)
    with pytest.raises(ConfigError):
        CALCULATOR.apply_delta(snap("a"), deltas_of([snap("a"), snap("b")])[0], DeltaOptions())  # type: ignore[arg-type]
    assert ApplyOptions().checks


def test_n19_delta_ids_are_reproducible_and_injectable() -> None:
    one, other = run_of([{"n": 0}, {"n": 1}])
    ids = {DeltaCalculator().compute_delta(one, other).id for _ in range(3)}  # type: ignore[union-attr]
    assert len(ids) == 1
    delta = CALCULATOR.compute_delta(one, other, id_factory=lambda a, b: f"{a.id}>{b.id}")
    assert delta is not None
    assert delta.id == "s0>s1"


def test_n59_reference_detection_goes_by_the_very_object() -> None:
    cart = ["apple"]
    one = snap("a", cart=cart, n=1)
    assert CALCULATOR.compute_delta(one, snap("b", cart=cart, n=1), change_detection="reference") is None
    copied = CALCULATOR.compute_delta(one, snap("b", cart=["apple"], n=1), change_detection="reference")
    assert copied is not None
    assert list(copied.changes) == ["cart"]
    cart.append("pear")
    assert CALCULATOR.compute_delta(one, snap("b", cart=cart, n=1), change_detection="reference") is None


def test_n59_shallow_detection_looks_one_level_down() -> None:
    inner = {"deep": [1]}
    one = snap("a", x={"inner": inner, "n": 1}, items=[inner, 2])
    same_items = snap("b", x={"n": 1, "inner": inner}, items=[inner, 2])
    assert CALCULATOR.compute_delta(one, same_items, change_detection="shallow") is None
    assert CALCULATOR.compute_delta(one, same_items, deep_equal=False) is None
    for other in (
        snap("b", x={"inner": {"deep": [1]}, "n": 1}, items=[inner, 2]),
        snap("b", x={"inner": inner, "n": 2}, items=[inner, 2]),
        snap("b", x={"inner": inner}, items=[inner, 2]),
        snap("b", x={"inner": inner, "n": 1}, items=[2, inner]),
        snap("b", x={"inner": inner, "n": 1}, items=(inner, 2)),
    ):
        assert CALCULATOR.compute_delta(one, other, change_detection="shallow") is not None


def test_n59_detection_by_reference_falls_back_to_structure_for_stored_states() -> None:
    one, other = run_of([{"n": [0]}, {"n": [1]}])
    rebuilt = CALCULATOR.apply_delta(one, deltas_of([one, other])[0])
    assert rebuilt is not None
    assert CALCULATOR.compute_delta(rebuilt, other, change_detection="reference") is None


def test_n70_a_change_inside_an_atom_is_told_by_ops_where_that_is_smaller() -> None:
    items = [{"id": n, "title": f"item {n}", "done": False} for n in range(200)]
    done = [{**item, "done": item["id"] == 77} for item in items]
    text = "word " * 500
    one = snap("a", items=items, text=text, doc={"k": {"deep": list(range(99))}})
    moved = [done[5], *done[:5], *done[6:150]]
    other = snap("b", items=moved, text=text[:900] + "!" + text[900:], doc={"k": {"deep": list(range(98))}})
    (delta,) = deltas_of([one, other])
    kinds = {name: {op.kind for op in change.ops} for name, change in delta.changes.items()}
    assert kinds["text"] == {OpKind.SPLICE}
    assert kinds["doc"] == {OpKind.REMOVE}
    assert kinds["items"] == {OpKind.REMOVE, OpKind.MOVE, OpKind.REPLACE}
    replaced = [op for op in delta.changes["items"].ops if op.kind is OpKind.REPLACE]
    assert [(op.path, op.new) for op in replaced] == [((77, "done"), True)]
    assert CALCULATOR.calculate_delta_size(delta) < packed_size(without_ops(delta)) / 2
    stored = without_values(delta)
    assert all(change.is_incremental for change in stored.changes.values())
    assert same(CALCULATOR.apply_delta(one, stored), other)
    assert same(CALCULATOR.apply_delta(other, CALCULATOR.invert_delta(stored)), one)
    assert with_values(stored, dict(one.state)) == delta


def test_n70_identity_keys_can_be_set_by_hand() -> None:
    old = [{"tag": n, "body": "x" * 40, "rank": n} for n in range(30)]
    new = [{**record, "rank": record["rank"] + 1} for record in reversed(old)]
    change = change_of(old, new, identity={"x": "tag"})
    assert change is not None
    assert {op.path[-1] for op in change.ops if op.kind is OpKind.REPLACE} == {"rank"}


def test_n70_a_rewritten_atom_is_told_by_its_values() -> None:
    change = change_of("a" * 500, "b" * 500)
    assert change is not None
    assert change.packed_ops == b""
    small = change_of([1], [2])
    assert small is not None
    assert small.packed_ops == b""


def test_snapshots_and_deltas_may_be_given_as_json_objects() -> None:
    one, other = run_of([{"n": 0}, {"n": 1}])
    delta = CALCULATOR.compute_delta(one.to_dict(), other.to_dict())
    assert delta is not None
    assert same(CALCULATOR.apply_delta(one.to_dict(), delta.to_dict()), other)
    assert CALCULATOR.calculate_delta_size(delta.to_dict()) > 0


def test_values_with_no_wire_form_are_refused_with_their_atom() -> None:
    with pytest.raises(UnsupportedValue, match=r"'handle'.*object"):
        snap("a", handle={"x": [object()]})


def test_a_foreign_delta_keeps_the_kind_and_name_it_does_not_tell() -> None:
    base = Snapshot.of("a", {"n": AtomEntry(0, "computed", "Number", "id-1")})
    foreign = {
        "id": "d",
        "type": "delta",
        "baseSnapshotId": "a",
        "changes": {
            "n": {"changeType": "modified", "oldValue": 0, "newValue": 1, "atomName": "n"},
            "m": {"changeType": "added", "oldValue": None, "newValue": 2},
        },
    }
    result = CALCULATOR.apply_delta(base, foreign)
    assert result is not None
    assert result.state["n"] == AtomEntry(1, "computed", "Number", "id-1")
    assert result.state["m"] == AtomEntry(2)
    assert MISSING is not result.state["m"].value
