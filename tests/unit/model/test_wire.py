"""Values survive their wire form exactly, whatever they are and however deep they go."""

from __future__ import annotations

import collections
import dataclasses
import datetime as dt
import decimal
import enum
import subprocess
import sys
import textwrap
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.values import json_values, values
from unspool.errors import CorruptHistory, UnsupportedValue
from unspool.model.encoding import encode
from unspool.model.encoding import encode_deep as encode_objects
from unspool.model.recipes import Recipes, find_plain
from unspool.model.tags import Tagged
from unspool.model.values import strict_equal
from unspool.model.wire import decode, decode_deep


def encode_deep(value: Any) -> bytes:
    return encode_objects(value, Recipes(find_plain))


@given(values)
def test_every_value_comes_back_as_itself(value: Any) -> None:
    assert strict_equal(decode(encode(value)), value)


@given(values)
def test_the_iterative_path_agrees_with_the_fast_one(value: Any) -> None:
    assert strict_equal(decode_deep(encode(value)), value)
    assert strict_equal(decode(encode_deep(value)), value)


@given(json_values)
def test_plain_values_are_plain_msgpack(value: Any) -> None:
    assert encode_deep(value) == encode(value)


@pytest.mark.parametrize("depth", [300, 1_000, 10_000])
@pytest.mark.parametrize("wrap", [lambda v: [v], lambda v: {"k": v}, lambda v: (v,)], ids=["list", "map", "tuple"])
def test_depth_is_unlimited(depth: int, wrap: Any) -> None:
    value: Any = 1
    for _ in range(depth if wrap(0) != (0,) else depth // 4):
        value = wrap(value)
    assert strict_equal(decode(encode(value)), value)


class Colour(enum.Enum):
    RED = "r"


@dataclasses.dataclass
class Point:
    x: int
    y: list[int]


def test_classes_are_kept_by_name_and_never_imported() -> None:
    assert decode(encode(Point(1, [2]))) == Tagged(f"{__name__}.Point", {"x": 1, "y": [2]})
    assert decode(encode([Colour.RED])) == [Tagged(f"{__name__}.Colour", ["RED", "r"])]
    ordered = decode(encode(collections.OrderedDict(a=1)))
    assert ordered == Tagged("collections.OrderedDict", {"a": 1})


def test_types_that_compare_equal_have_different_wire_forms() -> None:
    forms = [encode(value) for value in (1, True, 1.0, "1", [1], (1,), {1}, {"1": 1}, {1: 1})]
    assert len(set(forms)) == len(forms)


def test_a_cycle_is_refused_with_its_place() -> None:
    inner: list[Any] = []
    inner.append(inner)
    with pytest.raises(UnsupportedValue, match=r"\$\.cart\[0\].*contains itself"):
        encode({"cart": inner})


def test_a_value_that_cannot_be_kept_is_named() -> None:
    with pytest.raises(UnsupportedValue, match=r"type object at \$\.a\[1\]"):
        encode({"a": [1, object()]})


def test_a_shared_value_is_no_cycle() -> None:
    shared = [1]
    assert decode(encode([(shared, {2, 3}), shared])) == [([1], {2, 3}), [1]]


@given(st.binary(max_size=60))
def test_random_bytes_decode_or_are_refused(data: bytes) -> None:
    try:
        decode(data)
    except CorruptHistory:
        pass
    else:
        assert data


@given(values, st.data())
def test_cut_or_flipped_bytes_decode_or_are_refused(value: Any, data: st.DataObject) -> None:
    form = bytearray(encode(value))
    place = data.draw(st.integers(0, len(form) - 1))
    form[place] ^= data.draw(st.integers(1, 255))
    for damaged in (bytes(form), bytes(form[:place])):
        for read in (decode, decode_deep):
            try:
                read(damaged)
            except CorruptHistory:
                continue


def test_unknown_tags_are_refused() -> None:
    with pytest.raises(CorruptHistory, match="unknown tag 99"):
        decode(msgpack.packb(msgpack.ExtType(99, b"\x01")))


@given(values)
def test_a_value_with_a_type_name_takes_the_fast_path_to_the_same_bytes(value: Any) -> None:
    nested = [Tagged("some.Type", {"content": [Tagged("other.Type", value)]}), (Tagged("t", value),)]
    assert encode_deep(nested) == encode(nested)
    assert strict_equal(decode(encode(nested)), decode(encode_deep(nested)))


CHANGING = """
    import sys, threading
    from unspool.model.encoding import encode
    from unspool.model.wire import decode

    sys.setswitchinterval(1e-6)
    state = {"list": [], "dict": {}}
    going = True

    def change():
        while going:
            state["list"].clear()
            state["list"].extend((number, "x" * 50) for number in range(300))
            state["dict"].clear()
            state["dict"].update({str(number): (number, None) for number in range(300)})

    thread = threading.Thread(target=change)
    thread.start()
    done = 0
    try:
        for _ in range(400):
            try:
                decode(encode(state))
                done += 1
            except RuntimeError:
                pass
    finally:
        going = False
        thread.join()
    print(done)
"""


def test_a_value_that_another_thread_changes_meanwhile_never_harms_the_interpreter() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(CHANGING)], capture_output=True, text=True, check=False, timeout=120
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert int(ended.stdout) > 100


@given(
    st.lists(st.none() | st.tuples(st.none() | st.just(192) | st.just(-5.75)) | st.sampled_from([192, -5.75, -64]))
)
def test_nils_and_numbers_that_hold_their_byte_keep_their_places_among_tuples(value: list[Any]) -> None:
    assert strict_equal(decode(encode({"a": value})), {"a": value})
    assert encode_deep(value) == encode(value)


@dataclasses.dataclass(frozen=True)
class Place:
    x: int
    tags: tuple[Any, ...] = ()


ODD_KEYS = [
    {Colour.RED: 1},
    {Colour.RED},
    {Place(1, (Colour.RED,)): 3},
    frozenset({Place(1), Place(2)}),
    {(Place(3), 1): [Place(4)]},
    {Place(1, (frozenset({1}),)): {Colour.RED: {Place(2)}}},
]


@pytest.mark.parametrize("value", ODD_KEYS)
def test_objects_as_keys_and_members_of_sets_can_be_read(value: Any) -> None:
    data = encode(value)
    assert strict_equal(decode(data), decode_deep(data))
    assert encode(decode(data)) == data


def test_hashes_of_objects_as_keys_agree_with_their_equality() -> None:
    one, other = Tagged("t", {"a": [1, {2}], "b": {}}), Tagged("t", {"b": {}, "a": [1, {2}]})
    assert (one == other, hash(one)) == (True, hash(other))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (decimal.Decimal("1.0"), decimal.Decimal("1.00")),
        (Tagged("t", {"a": 1}), Tagged("t", {"a": True})),
        (Tagged("t", 1), Tagged("u", 1)),
        (
            dt.datetime(2024, 1, 1, tzinfo=dt.UTC),
            dt.datetime(2024, 1, 1, 1, tzinfo=dt.timezone(dt.timedelta(hours=1))),
        ),
        ({1.0}, {1}),
        ({0.0}, {-0.0}),
        ({decimal.Decimal("1.0"): 1}, {decimal.Decimal("1.00"): 1}),
        (complex(0.0, 0.0), complex(0.0, -0.0)),
    ],
)
def test_values_that_compare_equal_and_are_written_differently_are_not_the_same(one: Any, other: Any) -> None:
    assert not strict_equal(one, other)
    assert not strict_equal([one], [other])
    assert strict_equal([one], decode(encode([one])))
    assert encode(one) != encode(other)


def test_members_of_enumerations_of_older_files_read_as_before() -> None:
    older = b"\xc7\x0b\x0c\x92\xa3m.C\x92\xa3RED\x01"
    assert decode(older) == Tagged("m.C", ["RED", 1])
    assert not decode(older).is_member
    assert encode(decode(older)) == older


def test_a_member_of_an_enumeration_keeps_that_it_is_one() -> None:
    form = encode(Colour.RED)
    assert decode(form).is_member
    assert encode(decode(form)) == form
    # What says so of anything but a name and a value is taken for an object.
    assert decode(b"\xc7\x07\x0c\x93\xa3m.C\x01\xc3") == Tagged("m.C", 1)
    assert not decode(b"\xc7\x07\x0c\x93\xa3m.C\x01\xc3").is_member
