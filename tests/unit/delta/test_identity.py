"""What tells the records of a list apart: the record's own identity, wherever it stands, and never a field by chance."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unspool.delta.apply import apply_ops
from unspool.delta.identity import GONE, align, identity_of, key_paths
from unspool.delta.structural import diff_values
from unspool.history.history import History
from unspool.model.encoding import encode
from unspool.query.path_writes import all_writes
from unspool.recorder import Recorder
from unspool.store import MemoryStore


def paired(old: list[Any], new: list[Any], key: str | None = None) -> tuple[list[int], str]:
    found = align([encode(item) for item in old], [encode(item) for item in new], key)
    return found.sources, found.key


def feature(number: int, acres: float) -> dict[str, Any]:
    return {"type": "Feature", "geometry": {"at": [number, 1.5]}, "properties": {"FIRE_ID": number, "acres": acres}}


def pod(uid: str, name: str, ready: bool, namespace: str | None = "shop") -> dict[str, Any]:
    place = {} if namespace is None else {"namespace": namespace}
    named = {"uid": uid} if uid else {}
    return {"kind": "Pod", "metadata": {"name": name, **place, **named}, "status": {"ready": ready}}


def resource(kind: str, name: str, size: int, mode: str = "managed") -> dict[str, Any]:
    return {"mode": mode, "type": kind, "name": name, "instances": [{"attributes": {"size": size}}]}


SHAPES = [
    ("properties.FIRE_ID", [feature(1, 5), feature(2, 7), feature(3, 9)], [feature(3, 9.5), feature(2, 8), feature(4, 1)], [2, 1, GONE]),
    ("metadata.uid", [pod("u1", "a", ready=False), pod("u2", "b", ready=True)], [pod("u2", "b", ready=False), pod("u3", "a", ready=True)], [1, GONE]),
    ("metadata.namespace,metadata.name", [pod("", "a", ready=True), pod("", "a", True, "bank")], [pod("", "a", False, "bank"), pod("", "a", ready=False)], [1, 0]),
    ("metadata.namespace,metadata.name", [pod("", "a", True, "bank"), pod("", "a", True, None)], [pod("", "a", False, None), pod("", "a", False, "bank")], [1, 0]),
    ("mode,type,name", [resource("eip", "web", 1), resource("vm", "db", 1)], [resource("vm", "db", 2), resource("dns", "web", 1)], [1, GONE]),
    ("type,name", [{"type": "a", "name": "x", "n": 1}, {"type": "b", "name": "x", "n": 1}], [{"type": "b", "name": "x", "n": 2}, {"type": "a", "name": "x", "n": 3}], [1, 0]),
    ("id", [{"id": 1, "metadata": {"uid": "x"}, "n": 1}], [{"id": 2, "metadata": {"uid": "x"}, "n": 1}], [GONE]),
]  # fmt: skip


@pytest.mark.parametrize(("key", "old", "new", "sources"), SHAPES)
def test_a_record_is_known_by_its_own_identity(key: str, old: list[Any], new: list[Any], sources: list[int]) -> None:
    assert paired(old, new) == (sources, key)
    assert apply_ops(old, diff_values(old, new)) == new


def test_a_field_that_differs_by_chance_is_no_identity() -> None:
    # The two records that changed happen to have colours of their own; two that did not share one.
    old = [{"colour": c, "title": t, "n": 0} for c, t in (("red", "a"), ("blue", "b"), ("red", "c"), ("red", "d"))]
    new = [dict(item) for item in old]
    new[0]["colour"], new[1]["colour"] = "blue", "red"
    assert paired(old, new) == ([0, 1, 2, 3], "title")
    bare = [{key: value for key, value in item.items() if key != "title"} for item in old]
    after = [{key: value for key, value in item.items() if key != "title"} for item in new]
    assert paired(bare, after)[1] == ""


def test_another_records_id_inside_a_record_is_not_its_own() -> None:
    old = [{"customer": {"id": 7}, "qty": 1}, {"customer": {"id": 8}, "qty": 1}]
    new = [{"customer": {"id": 8}, "qty": 1}, {"customer": {"id": 9}, "qty": 2}]
    assert paired(old, new)[1] == ""


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 3)), unique=True, max_size=8),
    st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 3)), unique=True, max_size=8),
)
def test_a_key_of_several_fields_pairs_what_agrees_in_all_of_them(
    old: list[tuple[str, int]], new: list[tuple[str, int]]
) -> None:
    def records(pairs: list[tuple[str, int]], n: int) -> list[Any]:
        return [{"of": {"who": who}, "part": part, "n": n} for who, part in pairs]

    sources, key = paired(records(old, 0), records(new, 1), "of.who,part")
    assert sources == [old.index(pair) if pair in old else GONE for pair in new]
    assert key == ("of.who,part" if old and new else "")


@pytest.mark.parametrize(
    ("key", "paths"),
    [
        ("sku", (("sku",),)),
        ("metadata.uid", (("metadata", "uid"),)),
        ("mode, type,name", (("mode",), ("type",), ("name",))),
        ('$["a,b"].c', (("a,b", "c"),)),
        ("odd key", (("odd key",),)),
        ("", (("",),)),
    ],
)
def test_keys_are_read_as_paths_and_what_is_none_as_a_name(key: str, paths: tuple[tuple[str, ...], ...]) -> None:
    assert key_paths(key) == paths


def test_a_field_with_a_dot_in_its_name_goes_before_the_path() -> None:
    record = {"a.b": encode(1), "a": encode({"b": 2})}
    assert identity_of(record, "a.b") == encode(1)
    assert identity_of({"a": encode({"b": 2})}, "a.b") == encode(2)
    assert identity_of({"a": encode(3)}, "a.b") is None


def test_a_record_with_a_nested_identity_is_followed_through_moves_and_absence() -> None:
    states = [
        [feature(1, 5), feature(2, 7)],
        [feature(2, 7), feature(1, 5)],
        [feature(2, 7)],
        [feature(3, 1), feature(1, 6), feature(2, 7)],
    ]
    store = MemoryStore()
    with Recorder(store, on_error="raise") as recorder:
        for features in states:
            recorder.record({"features": features})
    found = all_writes(History(store), ("features", 1, "properties", "acres")).writes
    assert [(write.seq, write.kind.value) for write in found] == [(3, "added"), (2, "deleted"), (0, "added")]


def test_what_both_lists_begin_with_is_no_end_of_theirs() -> None:
    same = encode("same")
    assert align([same, same], [same]).sources == [0]
    assert align([same], [same, same]).sources == [0, GONE]
