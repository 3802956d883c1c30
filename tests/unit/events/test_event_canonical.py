"""Canonical text and hashes, bit for bit as the original wrote them."""

from __future__ import annotations

import json
import math

import pytest
from event_samples import GOLDEN, SEEDS, golden_body
from hypothesis import given
from hypothesis import strategies as st

from unspool.errors import UnsupportedValue
from unspool.events import canonical_json, event_hash, plain_json, sha256_hex, unpack_archive
from unspool.events.canonical import canonical_parsed
from unspool.events.rows import moment
from unspool.model.json_exact import container_of_doubles, parse_doubles
from unspool.model.values import json_equal

JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)


def test_e30_keys_are_sorted_at_all_levels_and_lists_kept() -> None:
    value = {"b": [{"d": 1, "c": 2}, 3], "a": {"z": None, "y": True}}
    assert canonical_json(value) == '{"a":{"y":true,"z":null},"b":[{"c":2,"d":1},3]}'


def test_e31_array_index_keys_come_first_in_number_order() -> None:
    value = {"b": 0, "10": 1, "9": 2, "01": 3, "4294967294": 4, "4294967295": 5, "-1": 6, "": 7}
    assert list(json.loads(canonical_json(value))) == ["9", "10", "4294967294", "", "-1", "01", "4294967295", "b"]


def test_e31_other_keys_are_sorted_by_utf16_unit() -> None:
    # By code point U+FFFD comes before U+1F389; by UTF-16 unit the emoji's first half (D83C) comes before it.
    assert canonical_json({"\ufffd": 1, "\U0001f389": 2}) == '{"\U0001f389":2,"\ufffd":1}'


def test_e31_proto_is_left_out_of_canonical_text_at_any_level() -> None:
    assert canonical_json({"__proto__": 1, "a": [{"__proto__": {}, "b": 2}]}) == '{"a":[{"b":2}]}'
    assert plain_json({"__proto__": 1, "a": 2}) == '{"__proto__":1,"a":2}'


def test_e31_plain_text_keeps_key_order_but_for_array_indices() -> None:
    assert plain_json({"b": 1, "2": 2, "a": 3, "1": 4}) == '{"1":4,"2":2,"b":1,"a":3}'


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0.0, "0"),
        (-0.0, "0"),
        (1.0, "1"),
        (-1.5, "-1.5"),
        (0.1, "0.1"),
        (1e16, "10000000000000000"),
        (123456789012345680000.0, "123456789012345680000"),
        (1e21, "1e+21"),
        (1.5e300, "1.5e+300"),
        (-1.234e22, "-1.234e+22"),
        (0.0001, "0.0001"),
        (0.00001, "0.00001"),
        (0.000001, "0.000001"),
        (0.0000012345, "0.0000012345"),
        (1e-7, "1e-7"),
        (1.5e-9, "1.5e-9"),
        (5e-324, "5e-324"),
        (1.7976931348623157e308, "1.7976931348623157e+308"),
        (4.35, "4.35"),
        (2**53, "9007199254740992"),
        (2**53 + 1, "9007199254740992"),
        (10**21, "1e+21"),
        (10**20, "100000000000000000000"),
        (2**64, "18446744073709552000"),
        (-(10**22), "-1e+22"),
        (10**400, "null"),
        (math.inf, "null"),
        (-math.inf, "null"),
        (math.nan, "null"),
    ],
)
def test_e32_numbers_are_the_shortest_javascript_text(number: float, text: str) -> None:
    assert canonical_json(number) == text


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_e32_number_text_reads_back_as_the_same_double(number: float) -> None:
    text = canonical_json(number)
    assert float(text) == number
    assert "e" not in text or not 1e-6 <= abs(number) < 1e21


def test_e33_only_quote_backslash_control_and_lone_surrogates_are_escaped() -> None:
    assert canonical_json('"\\/\b\t\n\f\r\x00\x1f\x7f\u2028é\U0001f389') == (
        '"\\"\\\\/\\b\\t\\n\\f\\r\\u0000\\u001f\x7f\u2028é\U0001f389"'
    )
    assert canonical_json("a\ud800b\udfffc") == '"a\\ud800b\\udfffc"'
    assert canonical_json("\ud83c\udf89") == '"\U0001f389"'


@given(st.text(min_size=180, max_size=260))
def test_e33_long_text_is_quoted_as_short_text_is(text: str) -> None:
    pieces = "".join(canonical_json(character)[1:-1] for character in text)
    assert canonical_json(text) == f'"{pieces}"'


def test_e34_hashes_are_sha256_over_utf8_in_lower_case_hex() -> None:
    assert sha256_hex("") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert sha256_hex("é") == "4a99557e4033c3539de2eb65472017cad5f9557f7a0625a09f1c3f6e2ba69c4c"
    assert sha256_hex("\ud800") == sha256_hex("\ufffd")


def test_e35_event_hashes_of_the_originals_archive_are_recomputed() -> None:

    (events,) = unpack_archive(GOLDEN.read_bytes()).values()
    assert [event_hash(event) for event in events] == [event.hash for event in events]
    assert len(events) == 4


@given(JSON_VALUES)
def test_canonical_text_reads_back_as_the_value(value: object) -> None:
    if "__proto__" not in repr(value):
        assert json_equal(parse_doubles(canonical_json(value)), value)
        assert canonical_json(parse_doubles(plain_json(value))) == canonical_json(value)


def test_any_depth_is_written_and_read() -> None:
    depth = 10_000
    value: object = "x"
    for level in range(depth):
        value = [value] if level % 2 else {"k": value}
    text = canonical_json(value)
    assert len(text) > depth * 4
    assert canonical_json(parse_doubles(text)) == text
    assert parse_doubles("[" * depth + "1.5e3" + "]" * depth) is not None


@pytest.mark.parametrize(
    "text",
    ["", "[1,]", '{"a"}', "NaN", "[Infinity]", "01", '"\n"', "[1 2]", "{1:2}", '{"a":1,}', "]", "[", "tru", "1 2"],
)
@pytest.mark.parametrize("depth", [0, 5000])
def test_text_that_is_no_json_is_refused_at_any_depth(text: str, depth: int) -> None:
    with pytest.raises(ValueError, match=r"JSON|char|Expecting|delimiter|Invalid|Illegal|Extra"):
        parse_doubles("[" * depth + text + "]" * depth if depth and text not in {"", "]", "["} else text)


def test_huge_integers_are_read_as_the_doubles_they_are() -> None:
    assert parse_doubles("[18446744073709552000,9007199254740993]") == [2**64, 2**53]
    assert parse_doubles("1" * 5000) == math.inf


def test_only_objects_and_lists_are_containers() -> None:
    assert container_of_doubles(' {"a":1}') == {"a": 1}
    assert container_of_doubles("[1]") == [1]
    assert container_of_doubles('"text"') is None
    assert container_of_doubles("{broken") is None


def test_what_json_lacks_is_refused() -> None:
    cycle: list[object] = []
    cycle.append(cycle)
    for value in (cycle, {1: 2}, {"a": b"bytes"}, {"a": {1, 2}}):
        with pytest.raises(UnsupportedValue):
            canonical_json(value)
    shared = [1]
    assert canonical_json([shared, shared]) == "[[1],[1]]"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("2026-01-01T00:00:00Z", "2026-01-01T00:00:00.000Z"),
        ("2026-01-01T01:00:00+01:00", "2026-01-01T00:00Z"),
        ("2026-01-01", "2025-12-31T24:00:00Z"),
        ("2026-01-01T00:00:00", "2026-01-01T00:00:00-00:00"),
        ("+002026-01", "2026"),
        ("2026-01-01T00:00:00.1Z", "2026-01-01T00:00:00,100000000000Z"),
    ],
)
def test_e16_spellings_of_one_moment_are_the_same(one: str, other: str) -> None:
    assert moment(one) == moment(other)


def test_e16_moments_sort_in_time_order_to_any_precision() -> None:
    spelled = [
        "-271821-04-20T00:00:00Z",
        "0000-02-29",
        "1969-12-31T23:59:59.999999999999Z",
        "1970-01-01T00:00:00Z",
        "1970-01-01T00:00:00.0000000001Z",
        "1970-01-01T00:00:00.0000000002Z",
        "2024-02-29T12:00:00Z",
        "+275760-09-13",
    ]
    moments = [moment(text) for text in spelled]
    assert moments == sorted(moments)
    assert len(set(moments)) == len(moments)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "now",
        "2026-13-01",
        "2026-02-30",
        "2025-02-29T00:00:00Z",
        "2026-01-01T25:00:00Z",
        "2026-01-01T24:00:01Z",
        "2026-01-01T00:60Z",
        "2026-01-01T00:00:61Z",
        "2026-01-01T00:00:00+99:00",
        "-000000-01-01",
        "Thu, 01 Jan 2026 00:00:00 GMT",
        "2026-01-01T00:00:00Z\n",
        "２０２６-01-01",
    ],
)
def test_e21_what_is_no_iso_date_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"timestamp|exist|offset"):
        moment(text)


def test_the_originals_body_is_written_again_exactly() -> None:
    assert plain_json(parse_doubles(golden_body())) == golden_body()


def test_node_spells_and_hashes_the_same_values_alike() -> None:
    rows = json.loads((SEEDS / "ri-canonical-node.json").read_text())
    assert len(rows) == 160
    for text, canonical, plain, digest in rows:
        value = parse_doubles(text)
        assert (canonical_json(value), plain_json(value)) == (canonical, plain)
        assert sha256_hex(canonical) == digest


@given(JSON_VALUES | st.lists(st.floats(allow_nan=False, allow_infinity=False) | st.integers()))
def test_the_fast_way_to_canonical_text_gives_the_same(value: object) -> None:
    parsed = parse_doubles(plain_json(value))
    assert canonical_parsed(parsed) == canonical_json(value)


@pytest.mark.parametrize(
    "text",
    [
        '{"10":1,"9":2,"a":3}', '{"__proto__":1,"a":2}', "[1.0,-0.0,1e21,1e-7,0.000001,1e16]", '"\\ud800"', "0.0",
        '{"\U0001f389":1,"\ufffd":2}', "[18446744073709551616]", "-18446744073709551616", "[" * 5000 + "]" * 5000,
        '{"b":1,"a":{"d":[],"c":"\x7f\u2028/"}}', "1e400",
    ],
)  # fmt: skip
def test_the_fast_way_leaves_what_is_peculiar_to_the_slow_one(text: str) -> None:
    assert canonical_parsed(parse_doubles(text)) == canonical_json(parse_doubles(text))
