"""Any composition of what can be recorded comes back equal and of the same type, or marked."""

import array
import collections
import copy
import datetime as dt
import decimal
import enum
import math
import struct
import zoneinfo
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unspool import Recorder, open_history
from unspool.history.history import History
from unspool.model.encoding import encode
from unspool.model.tags import Tagged
from unspool.model.values import Value, strict_equal
from unspool.model.wire import decode
from unspool.recorder.encoding import Encoding
from unspool.store import MemoryStore


class Mode(enum.Enum):
    IDLE = "i"
    BUSY = (1, "b")


@dataclass(frozen=True)
class Place:
    x: Value
    y: Value


class Thing:
    """An object that is a key by being itself."""

    def __init__(self, name: str) -> None:
        self.name = name


BERLIN = zoneinfo.ZoneInfo("Europe/Berlin")
HASHABLE = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(max_size=5), st.binary(max_size=5),
    st.dates(), st.datetimes(timezones=st.sampled_from([None, dt.UTC, BERLIN])), st.times(), st.timedeltas(),
    st.decimals(allow_nan=False), st.uuids(), st.complex_numbers(allow_nan=False), st.fractions(), st.ip_addresses(),
    st.builds(range, st.integers(-3, 3)), st.builds(PurePosixPath, st.text("ab/", min_size=1, max_size=4)),
    st.just(-0.0), st.sampled_from([decimal.Decimal("1.0"), decimal.Decimal("1.00"), 1, True, 1.0]),
)  # fmt: skip
KEYS = st.recursive(HASHABLE, lambda inner: st.tuples(inner, inner) | st.frozensets(inner, max_size=3), max_leaves=4)
VALUES = st.recursive(
    st.one_of(KEYS, st.floats(), st.binary(max_size=5).map(bytearray), st.sets(KEYS, max_size=3),
              st.builds(array.array, st.just("i"), st.lists(st.integers(-5, 5), max_size=3))),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.tuples(inner, inner), st.dictionaries(KEYS, inner, max_size=3)
    ),
    max_leaves=8,
)  # fmt: skip


@given(st.lists(VALUES, min_size=1, max_size=3))
def test_values_of_the_standard_library_come_back_equal_and_of_the_same_type(values: list[Value]) -> None:
    store = MemoryStore("x")
    with Recorder(store, on_error="raise") as recorder:
        for value in values:
            recorder.record({"a": value, "b": [value]})
    with History(store) as history:
        for seq, value in enumerate(values):
            assert strict_equal(history.state(seq), {"a": value, "b": [value]})


@given(VALUES, VALUES)
def test_values_are_the_same_exactly_where_their_wire_forms_say_so(one: Value, other: Value) -> None:
    for left, right in ((one, other), (one, copy.deepcopy(one))):
        same = strict_equal(left, right)
        assert strict_equal(decode(encode(left)), decode(encode(right))) is same
        store = MemoryStore("x")
        with Recorder(store, on_error="raise", skip_unchanged=True) as recorder:
            recorder.record({"a": left})
            recorder.record({"a": right})
        with History(store) as history:
            assert (len(history) == 1) is same


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({1}, {True}), ({1: "x"}, {True: "x"}), ({1: "x"}, {1.0: "x"}), ({(1, 2): 0}, {(True, 2): 0}),
        (frozenset([(0.0,)]), frozenset([(-0.0,)])), ({"a": 0.0}, {"a": -0.0}),
        (decimal.Decimal("1.0"), decimal.Decimal("1.00")), ({decimal.Decimal("1.0")}, {decimal.Decimal("1.00")}),
        (bytearray(b"x"), b"x"), (memoryview(b"x"), b"x"), (memoryview(b"x"), bytearray(b"x")),
        (collections.defaultdict(list), collections.defaultdict(int)), (collections.defaultdict(list), {}),
        (collections.ChainMap({"a": 1}, {"b": 2}), collections.ChainMap({"a": 1, "b": 2})),
        (dt.datetime(2024, 1, 1, tzinfo=BERLIN), dt.datetime(2024, 1, 1, tzinfo=dt.timezone(dt.timedelta(hours=1)))),
        ([1], (1,)), (Mode.IDLE, "i"), (Place(1, 2), {"x": 1, "y": 2}),
    ],
)  # fmt: skip
def test_what_python_calls_equal_is_told_apart(one: Value, other: Value) -> None:
    store = MemoryStore("x")
    with Recorder(store, on_error="raise", skip_unchanged=True) as recorder:
        recorder.record({"a": one, "deep": [{"b": (one,)}]})
        recorder.record({"a": other, "deep": [{"b": (other,)}]})
    with History(store) as history:
        assert len(history) == 2
        assert {change.atom for change in history.changes(1).changes} == {"a", "deep"}


@pytest.mark.parametrize("size", [1, 500, 200_000])
@pytest.mark.parametrize("entry", [0, 20])
def test_a_buffer_is_no_bytes_wherever_and_whenever_it_comes(size: int, entry: int) -> None:
    store = MemoryStore("x")
    with Recorder(store, on_error="raise") as recorder:
        for number in range(entry):
            recorder.record({"numbers": list(range(size)), "tick": number % 128})
        held = {"raw": bytearray(b"ab"), "view": (memoryview(b"cd"),), "place": Place(bytearray(b"e"), b"f")}
        recorder.record({"numbers": list(range(size)), "tick": 0, "held": held})
    with History(store) as history:
        kept = history.state(entry)["held"]
    assert strict_equal(kept["raw"], bytearray(b"ab"))
    assert strict_equal(kept["view"], (Tagged("builtins.memoryview", b"cd"),))
    assert strict_equal(kept["place"].value, {"x": bytearray(b"e"), "y": b"f"})


def test_bits_of_nan_are_kept(tmp_path: Path) -> None:
    odd = struct.unpack(">d", b"\x7f\xf8\x00\x00\x00\x00\x12\x34")[0]
    with Recorder(tmp_path / "x.unspool") as recorder:
        recorder.record({"a": odd, "b": [odd, {(1,): odd}]})
    with open_history(tmp_path / "x.unspool") as history:
        state = history.state(0)
    assert math.isnan(state["a"])
    assert [struct.pack(">d", item)[-2:] for item in (state["a"], state["b"][0], state["b"][1][(1,)])] == [
        b"\x124"
    ] * 3


def test_objects_of_equal_content_stay_as_many_as_they_are() -> None:
    twins = {Thing("t"): 1, Thing("t"): 2}
    form = Encoding().atom("a", [twins, set(twins)], [], set())
    mapping, members = decode(form)
    thing = Tagged(f"{__name__}.Thing", {"name": "t"})
    assert mapping == Tagged("dict", [[thing, 1], [thing, 2]])
    assert members == Tagged("set", [thing, thing])
    assert strict_equal(decode(encode(decode(form))), decode(form))
