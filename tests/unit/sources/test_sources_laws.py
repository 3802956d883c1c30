"""Laws of the small parts: exact JSON, times, JSON Patch, markers, natural order."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

import jsonpatch
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from support.examples import examples
from support.values import json_values
from unspool.delta.apply import state_patch
from unspool.model import json_exact
from unspool.model.json_exact import BrokenText
from unspool.model.limits import Limits
from unspool.model.tags import Tagged, Unrepresentable
from unspool.model.values import json_equal, strict_equal
from unspool.sources.detection import natural_key
from unspool.sources.documents import kind_of
from unspool.sources.entries import UnusableRecord, to_ns
from unspool.sources.formats.nexus import revive_typed
from unspool.sources.formats.patches import apply_operation
from unspool.sources.formats.redux import revive

texts = st.text(max_size=6)


@given(value=json_values, indent=st.sampled_from((None, 1)), ascii_only=st.booleans())
def test_json_reads_back_as_it_was_written(value: Any, indent: int | None, ascii_only: bool) -> None:
    text = json.dumps(value, indent=indent, ensure_ascii=ascii_only)
    parsed = json_exact.parse(text.encode("utf-8", "surrogatepass") if ascii_only else text.encode())
    assert strict_equal(parsed.value, value)
    assert parsed.repeated_key is None


@given(value=json_values, cut=st.floats(0, 0.999))
def test_a_text_that_is_cut_off_is_broken(value: Any, cut: float) -> None:
    text = json.dumps([value])
    with pytest.raises(BrokenText):
        json_exact.parse(text[: int(len(text) * cut)].encode())


@given(value=json_values)
def test_the_deep_parser_agrees_with_the_fast_one(value: Any) -> None:
    text = json.dumps(value)
    assert strict_equal(
        json_exact._DeepParser(text, json_exact._exact_numbers(Limits(depth=1000))).parse().value, value
    )


@pytest.mark.parametrize(
    "text", ["[1,]", "[1 2]", '{"a" 1}', "{1: 2}", "[", '{"a":', '["', "tru", "[1]]", "]", "01", "+1", "'a'"]
)
def test_the_deep_parser_refuses_what_is_no_json(text: str) -> None:
    with pytest.raises(BrokenText):
        json_exact._DeepParser(text, json_exact._exact_numbers(Limits(depth=1000))).parse()
    with pytest.raises(BrokenText):
        json_exact.parse(text.encode())


def test_depth_is_bounded() -> None:
    text = b"[" * 200_000 + b"]" * 200_000
    with pytest.raises(BrokenText, match="nested deeper"):
        json_exact.parse(text)


def test_a_repeated_key_is_named_at_any_depth() -> None:
    assert json_exact.parse(b'{"a": [{"b": 1, "c": 2, "b": 3}]}').repeated_key == "b"
    assert json_exact.parse(b'{"a": "x:y", "b": {"a": ":"}}').repeated_key is None


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_byte_order_marks_tell_the_encoding(encoding: str) -> None:
    assert json_exact.parse('{"é": 1}'.encode(encoding)).value == {"é": 1}


def test_an_absurd_number_is_refused_not_computed() -> None:
    with pytest.raises(BrokenText, match="digits"):
        json_exact.parse(b"9" * 100_000)


@given(ns=st.integers(1_000_000_000, 4_000_000_000).map(lambda s: s * 1_000_000_000), extra=st.integers(0, 999))
@example(ns=1_700_000_000_000_000_000, extra=123)
def test_a_moment_means_the_same_in_every_unit_and_spelling(ns: int, extra: int) -> None:
    moment = ns + extra * 1_000_000
    iso = dt.datetime.fromtimestamp(ns // 1_000_000_000, dt.UTC).replace(microsecond=extra * 1000)
    spellings: list[Any] = [
        moment // 1_000_000,
        moment // 1_000,
        moment,
        str(moment // 1_000_000),
        f"{ns // 1_000_000_000}.{extra:03}",
        iso,
        iso.isoformat(),
        iso.isoformat().replace("+00:00", "Z"),
        iso.isoformat().replace("+00:00", ""),
        iso.astimezone(dt.timezone(dt.timedelta(hours=5, minutes=30))).isoformat(),
    ]
    assert {to_ns(spelling) for spelling in spellings} == {moment}
    assert to_ns(ns // 1_000_000_000) == ns


@pytest.mark.parametrize(
    "value", [None, True, "", "yesterday", float("nan"), float("inf"), 10**40, [], {}, "20240131T"]
)
def test_what_is_no_time_is_none(value: Any) -> None:
    assert to_ns(value) is None


def test_nine_digits_of_a_second_are_kept() -> None:
    assert to_ns("2024-03-01T10:00:00.123456789Z") == 1_709_287_200_123_456_789
    assert to_ns(1.1) == 1_100_000_000
    assert to_ns("20240131") == 1_706_659_200_000_000_000


@given(old=st.dictionaries(texts, json_values, max_size=4), new=st.dictionaries(texts, json_values, max_size=4))
def test_our_own_patches_apply_and_other_tools_agree(old: dict[str, Any], new: dict[str, Any]) -> None:
    patch = state_patch(old, new)
    document: Any = old
    for operation in patch:
        document = apply_operation(document, operation)
    assert strict_equal(document, new)
    assert json_equal(jsonpatch.apply_patch(json.loads(json.dumps(old)), patch), new)


@settings(max_examples=examples(100))
@given(
    document=st.recursive(st.integers(0, 3), lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("ab~/"), inner, max_size=3), max_leaves=8),
    operation=st.fixed_dictionaries(
        {"op": st.sampled_from(["add", "remove", "replace", "move", "copy", "test"]),
         "path": st.sampled_from(["", "/a", "/b", "/0", "/1", "/-", "/a/b", "/a/0", "/a/-", "/~0", "/~1/a", "/00", "/a/a/a"]),
         "from": st.sampled_from(["", "/a", "/b", "/0", "/a/b", "/a/0"]),
         "value": st.integers(0, 3)}
    ),
)  # fmt: skip
def test_every_operation_does_what_the_reference_does_or_both_refuse(
    document: Any, operation: dict[str, Any]
) -> None:
    before = json.dumps(document)
    try:
        expected = jsonpatch.apply_patch(document, [operation])
    except (jsonpatch.JsonPatchException, jsonpatch.JsonPointerException, TypeError):
        expected = UnusableRecord
    try:
        found: Any = apply_operation(document, operation)
    except UnusableRecord:
        found = UnusableRecord
    assert json.dumps(document) == before
    if operation["path"] == "" and operation["op"] == "remove":
        assert found == {}
    elif not (operation["op"] in ("move", "copy") and operation["from"] == operation["path"]):
        assert found == expected or expected is UnusableRecord


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ({"$jsan": "d0"}, dt.datetime(1970, 1, 1, tzinfo=dt.UTC)),
        ({"$jsan": "rgi,a,b"}, Tagged("RegExp", {"source": "a,b", "flags": "gi"})),
        ({"$jsan": "ffunction boom() {}"}, Tagged("Function", "function boom() {}")),
        ({"$jsan": "eoops"}, Tagged("Error", "oops")),
        ({"$jsan": "sname"}, Tagged("Symbol", "name")),
        ({"$jsan": "gname"}, Tagged("Symbol.for", "name")),
        ({"$jsan": 'm[["a",1]]'}, Tagged("Map", [["a", 1]])),
        ({"$jsan": "l[1,2]"}, Tagged("Set", [1, 2])),
        ({"$jsan": "i"}, float("inf")),
        ({"$jsan": "y"}, float("-inf")),
        ({"$jsan": "?"}, Tagged("$jsan", "?")),
        ({"$jsan": ["kept"]}, {"$jsan": "kept"}),
    ],
)
def test_jsan_markers_become_values(written: Any, meant: Any) -> None:
    assert strict_equal(revive({"x": written})["x"], meant)


def test_jsan_references_are_followed_and_circles_cut() -> None:
    assert revive({"a": {"k": [1]}, "b": {"$jsan": "$.a.k"}}) == {"a": {"k": [1]}, "b": [1]}
    assert revive({"odd key": 1, "b": {"$jsan": '$["odd key"]'}})["b"] == 1
    circle = revive({"a": {"self": {"$jsan": "$.a"}}})
    assert isinstance(circle["a"]["self"], Unrepresentable)
    whole = revive({"a": {"root": {"$jsan": "$"}}})
    assert isinstance(whole["a"]["root"], Unrepresentable)
    assert isinstance(revive({"a": {"$jsan": "$.nowhere"}})["a"], Unrepresentable)
    assert isinstance(revive({"a": {"$jsan": "$.b"}, "b": {"$jsan": "$.a"}})["a"], Unrepresentable)


def test_references_that_unfold_without_end_are_refused() -> None:
    document: dict[str, Any] = {"l": {"l": {"l": {"l": {"l": {}}}}}}
    inner = document["l"]["l"]["l"]["l"]["l"]
    inner["a0"] = [1] * 10
    for number in range(1, 12):
        inner[f"a{number}"] = [{"$jsan": f"$.l.l.l.l.l.a{number - 1}"}] * 10
    with pytest.raises(BrokenText, match="unfold"):
        revive(document, Limits(nodes=100_000))


@given(value=json_values)
def test_plain_documents_come_through_both_revivers_unchanged(value: Any) -> None:
    assert strict_equal(revive(value), value)
    assert strict_equal(revive_typed(value)[0], value)


def test_revivers_follow_any_depth() -> None:
    deep: Any = []
    for _ in range(10_000):
        deep = [deep]
    for copied in (revive(deep), revive_typed(deep)[0]):
        depth, value = 0, copied
        while value:
            depth, value = depth + 1, value[0]
        assert depth == 10_000


def test_natural_order_counts_and_ignores_case() -> None:
    names = ["s10", "S2", "s1", "s02", "a", "s1b2", "s1b10", "10", "9"]
    assert sorted(names, key=natural_key) == ["9", "10", "a", "s1", "s1b2", "s1b10", "s02", "S2", "s10"]


@pytest.mark.parametrize(
    ("data", "name", "kind"),
    [
        (b'{"a": 1}', "", "json"),
        (b"  [1]", "x.yaml", "yaml"),
        (b'[section]\nkey = "v"\n', "x.toml", "toml"),
        (b"# note\nkey = 1\n", "", "toml"),
        (b"---\na: 1\n", "", "yaml"),
        (b"a: 1\nb:\n  - 2\n", "", "yaml"),
        (b"\x81\xa1a\x01", "", "msgpack"),
        (b"true", "", "json"),
        (b"hello world", "", None),
        (b"\x00\x01\x02", "", None),
        (b"", "", None),
    ],
)
def test_documents_are_told_by_their_content(data: bytes, name: str, kind: str | None) -> None:
    assert kind_of(data, name) == kind
