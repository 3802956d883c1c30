"""Structural ops and byte patches obey their laws on any pair of values."""

from __future__ import annotations

import copy
from typing import Any

import jsonpatch
import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.values import json_states, json_values, values
from unspool.delta.apply import apply_ops, invert_ops, state_patch
from unspool.delta.patch import apply_patch, make_patch
from unspool.delta.structural import diff_values
from unspool.errors import ContradictoryDelta, CorruptHistory
from unspool.model.encoding import encode
from unspool.model.entries import Op, OpKind
from unspool.model.values import strict_equal
from unspool.model.wire import decode


@given(values, values, st.booleans())
def test_ops_turn_one_value_into_the_other_and_back(old: Any, new: Any, splices: bool) -> None:
    before = copy.deepcopy(old)
    ops = diff_values(old, new, text_splices=splices)
    assert strict_equal(apply_ops(old, ops, check_old=True), new)
    assert strict_equal(apply_ops(new, invert_ops(ops), check_old=True), old)
    assert strict_equal(old, before), "applying ops must not change the input"


@given(json_values)
def test_equal_values_have_no_ops(value: Any) -> None:
    assert diff_values(value, copy.deepcopy(value)) == ()


def test_key_order_alone_is_no_change() -> None:
    assert diff_values({"a": 1, "b": {"c": 1, "d": 2}}, {"b": {"d": 2, "c": 1}, "a": 1}) == ()


@given(json_states, json_states)
def test_the_json_patch_works_in_another_library(old: dict[str, Any], new: dict[str, Any]) -> None:
    patched = jsonpatch.apply_patch(copy.deepcopy(old), state_patch(old, new))
    assert strict_equal(patched, new)


def test_records_are_compared_by_identity_wherever_they_move() -> None:
    old = [{"id": n, "qty": n} for n in range(6)]
    new = [copy.deepcopy(old[n]) for n in (5, 0, 1, 3, 4)] + [{"id": 9, "qty": 0}]
    new[2]["qty"] = 100
    ops = diff_values(old, new)
    kinds = sorted((op.kind, op.path) for op in ops)
    assert kinds == [
        (OpKind.ADD, (5,)),
        (OpKind.MOVE, (0,)),
        (OpKind.REMOVE, (2,)),
        (OpKind.REPLACE, (2, "qty")),
    ]
    assert apply_ops(old, ops) == new


def test_an_identity_key_can_be_set_by_hand() -> None:
    old = {"rows": [{"id": 1, "code": "a", "n": 1}, {"id": 2, "code": "b", "n": 2}]}
    new = {"rows": [{"id": 2, "code": "a", "n": 5}, {"id": 1, "code": "b", "n": 2}]}
    by_code = diff_values(old, new, identity={"rows": "code"})
    assert {op.path for op in by_code} == {("rows", 0, "id"), ("rows", 0, "n"), ("rows", 1, "id")}
    assert apply_ops(old, by_code) == new


def test_a_long_text_is_told_as_a_splice() -> None:
    old, new = "x" * 100 + "old" + "y" * 100, "x" * 100 + "newer" + "y" * 100
    assert diff_values(old, new, text_splices=True) == (Op(OpKind.SPLICE, (), old="old", new="newer", index=100),)


def test_nesting_of_any_depth_is_compared() -> None:
    def nest(leaf: int) -> Any:
        value: Any = leaf
        for _ in range(10_000):
            value = {"k": [value]}
        return value

    ops = diff_values(nest(1), nest(2))
    assert ops
    assert strict_equal(apply_ops(nest(1), ops), nest(2))


@pytest.mark.parametrize(
    ("value", "op"),
    [
        ({"a": 1}, Op(OpKind.REMOVE, ("b",))),
        ([1], Op(OpKind.REPLACE, (3,), old=1, new=2)),
        ([1], Op(OpKind.ADD, (5,), new=2)),
        ({"a": 1}, Op(OpKind.ADD, ("a",), new=2)),
        ({"a": 1}, Op(OpKind.REPLACE, ("a", "b"), new=2)),
        ("text", Op(OpKind.SPLICE, (), old="xx", new="", index=0)),
    ],
)
def test_an_op_that_does_not_fit_is_refused_with_its_place(value: Any, op: Op) -> None:
    with pytest.raises(ContradictoryDelta, match=r"at \$"):
        apply_ops(value, [op])


@given(values, values)
def test_a_patch_makes_exactly_the_new_bytes(old: Any, new: Any) -> None:
    before, after = encode(old), encode(new)
    patch = make_patch(before, after)
    if patch is not None:
        assert len(patch) < len(after)
        assert apply_patch(before, patch) == after


@given(
    st.lists(st.fixed_dictionaries({"id": st.integers(0, 40), "note": st.text(max_size=30)}), max_size=30), st.data()
)
def test_a_patch_follows_edited_and_moved_records(rows: list[dict[str, Any]], data: st.DataObject) -> None:
    new = data.draw(st.permutations(rows))
    new = copy.deepcopy(new[data.draw(st.integers(0, 3)) :])
    for row in data.draw(st.lists(st.sampled_from(new), max_size=4)) if new else []:
        row["note"] = data.draw(st.text(max_size=40))
    before, after = encode({"rows": rows}), encode({"rows": new})
    patch = make_patch(before, after)
    assert patch is None or decode(apply_patch(before, patch)) == {"rows": new}


def test_a_patch_of_one_edit_in_a_long_list_is_tiny() -> None:
    rows = [{"id": n, "name": f"name {n}", "qty": n % 7} for n in range(5_000)]
    before = encode(rows)
    for row in (rows[17], rows[2_500], rows[4_999]):
        row["qty"] += 100
    rows.insert(40, rows.pop(4_000))
    patch = make_patch(before, encode(rows))
    assert patch is not None
    assert len(patch) < 150


@given(st.binary(max_size=40))
def test_a_damaged_patch_is_refused(patch: bytes) -> None:
    try:
        apply_patch(encode("x" * 100), patch)
    except CorruptHistory:
        pass
