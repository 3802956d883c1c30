"""Keys of any type are steps of a path, and each has one spelling."""

import datetime as dt
import decimal
import enum
import ipaddress
import pathlib
import zoneinfo
from dataclasses import dataclass
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unspool.errors import PathSyntaxError
from unspool.model.encoding import encode
from unspool.model.keys import Key, format_path, key_of, spell_key, step_of_form
from unspool.model.paths import parse_path, step_of
from unspool.model.values import Value, strict_equal
from unspool.model.wire import decode


class Colour(enum.Enum):
    RED = "r"
    TWO = (1, "x")


@dataclass(frozen=True)
class Place:
    x: int
    name: str


LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False),
    st.text(),
    st.binary(max_size=20),
    st.dates(),
    st.datetimes(),
    st.datetimes(timezones=st.just(zoneinfo.ZoneInfo("Europe/Berlin"))),
    st.times(),
    st.timedeltas(),
    st.decimals(allow_nan=False),
    st.uuids(),
    st.complex_numbers(allow_nan=False),
    st.fractions(),
    st.ip_addresses(),
    st.sampled_from(Colour),
    st.builds(Place, st.integers(), st.text()),
    st.builds(pathlib.PurePosixPath, st.text("ab/.", min_size=1)),
)
KEYS = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3).map(tuple) | st.frozensets(inner, max_size=3), max_leaves=6
)


@given(st.lists(KEYS, max_size=4))
def test_every_path_reads_back_from_its_spelling(keys: list[Value]) -> None:
    path = tuple(map(step_of, keys))
    assert parse_path(format_path(path)) == path
    assert parse_path(format_path(path, root="")) == path


@given(KEYS)
def test_a_key_is_the_same_in_its_wire_form_and_comes_back(key: Value) -> None:
    form = encode(key)
    step = step_of_form(form)
    assert step == step_of(key)
    assert encode(key_of(step)) == form


@given(KEYS, KEYS)
def test_steps_are_the_same_where_keys_strictly_are(one: Value, other: Value) -> None:
    same = strict_equal(decode(encode(one)), decode(encode(other)))
    assert (step_of(one) == step_of(other)) is same


@pytest.mark.parametrize(
    ("key", "text"),
    [
        (2, "$.a[2]"),
        ("2", '$.a["2"]'),
        (-1, "$.a[-1]"),
        (None, "$.a[None]"),
        (True, "$.a[True]"),
        (1.0, "$.a[1.0]"),
        (-0.0, "$.a[-0.0]"),
        (float("inf"), "$.a[inf]"),
        (float("nan"), "$.a[nan]"),
        ((1, 2), "$.a[(1, 2)]"),
        ((1,), "$.a[(1,)]"),
        (("a", None), "$.a[('a', None)]"),
        (b"a\xff", "$.a[b'a\\xff']"),
        (dt.date(2024, 1, 5), "$.a[2024-01-05]"),
        (dt.datetime(2024, 1, 5, 10, 30, tzinfo=dt.UTC), "$.a[2024-01-05T10:30:00+00:00]"),
        (decimal.Decimal("1.00"), "$.a[Decimal('1.00')]"),
        (frozenset([1, 2]), "$.a[frozenset([1, 2])]"),
        (ipaddress.ip_address("10.0.0.1"), "$.a[IPv4Address('10.0.0.1')]"),
        (Fraction(1, 3), "$.a[fraction([1, 3])]"),
        (Colour.RED, f"$.a[{__name__}.Colour(RED='r')]"),
        (Place(1, "h"), f"$.a[{__name__}.Place({{'x': 1, 'name': 'h'}})]"),
    ],
)
def test_keys_are_spelled_as_python_and_iso_8601_spell_them(key: Value, text: str) -> None:
    path = ("a", step_of(key))
    assert format_path(path) == text
    assert parse_path(text) == path


def test_booleans_integers_and_floats_are_three_keys() -> None:
    assert len({step_of(1), step_of(True), step_of(1.0)}) == 3
    assert step_of(decimal.Decimal("1.0")) != step_of(decimal.Decimal("1.00"))


def test_a_key_that_no_spelling_gives_back_is_spelled_by_its_bytes() -> None:
    odd_nan = Key(b"\xcb\x7f\xf8\x00\x00\x00\x00\x00\x01")
    assert spell_key(odd_nan) == "wire('cb7ff8000000000001')"
    assert parse_path(f"[{spell_key(odd_nan)}]") == (odd_nan,)


@pytest.mark.parametrize(
    "text",
    ["a[x]", "a[(1, 2]", "a[1, 2)]", "a[f(1)]", "a[__import__('os')]", "a[().__class__]", "a[(1).real]", "a[wire('zz')]",
     "a[date('x')]", "a[2024-13-01]", "a[lambda: 1]", "a[" + "(" * 5000 + ")" * 5000 + "]", "a['x]"],
)  # fmt: skip
def test_what_is_no_key_is_refused_with_its_column_and_never_run(text: str) -> None:
    with pytest.raises(PathSyntaxError, match="column 2"):
        parse_path(text)


@pytest.mark.parametrize("text", ["a[" + "1" * 5000 + "]", "/a/" + "1" * 5000, "a." + "1" * 5000])
def test_a_number_that_python_does_not_read_is_refused(text: str) -> None:
    with pytest.raises(PathSyntaxError, match="5,000 digits"):
        parse_path(text)


def test_a_key_that_does_not_decode_is_spelled_by_its_bytes() -> None:
    (step,) = parse_path("[wire('c1')]")
    assert format_path((step,)) == "$[wire('c1')]"
    assert parse_path(format_path((step,))) == (step,)


def test_a_key_of_any_size_is_spelled() -> None:
    for key in (("x" * 40_000, 1), tuple(range(5_000)), (b"\0" * 10_000,), ("x" * 200_000, 1)):
        assert parse_path(format_path((step_of(key),))) == (step_of(key),)
