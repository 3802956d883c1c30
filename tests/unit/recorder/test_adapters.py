"""What programs hold goes in: value types come back as themselves, objects by their fields, and the rest is marked."""

from __future__ import annotations

import argparse
import array
import collections
import dataclasses
import datetime as dt
import enum
import functools
import io
import ipaddress
import logging
import pathlib
import random
import re
import threading
import time
import types
import zoneinfo
from fractions import Fraction
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import unspool
from support.examples import examples
from support.values import values
from unspool.history import History
from unspool.model.encoding import encode
from unspool.model.values import Tagged, Unrepresentable, strict_equal
from unspool.model.wire import decode
from unspool.recorder import Recorder
from unspool.recorder.adapters import adapter
from unspool.store import MemoryStore


def kept(value: Any, **options: Any) -> Any:
    store = MemoryStore()
    assert Recorder(store, **{"on_error": "raise", **options}).record({"a": value, "beside": 1}) == 0
    state = History(store).state(0)
    assert state["beside"] == 1
    return state["a"]


BERLIN = zoneinfo.ZoneInfo("Europe/Berlin")

THEMSELVES = [
    pathlib.Path("a/b.txt"),
    pathlib.PurePosixPath("/x"),
    pathlib.PureWindowsPath("c:/x"),
    Fraction(-1, 3),
    range(1, 10, 3),
    slice(None, 5, 2),
    array.array("d", [1.5, -0.0]),
    array.array("I", []),
    ipaddress.ip_address("10.0.0.1"),
    ipaddress.ip_address("fe80::1%3"),
    ipaddress.ip_network("10.0.0.0/8"),
    ipaddress.ip_interface("10.0.0.1/8"),
    BERLIN,
    dt.datetime(2024, 6, 1, 12, tzinfo=BERLIN),
    dt.datetime(2024, 10, 27, 2, 30, fold=1, tzinfo=BERLIN),
    dt.datetime(2024, 10, 27, 2, 30, fold=0, tzinfo=BERLIN),
]


@pytest.mark.parametrize("value", THEMSELVES, ids=repr)
def test_value_types_of_the_standard_library_come_back_as_themselves(value: Any) -> None:
    for wrapped in (value, [value], {"k": (value,)}, {1: value}):
        assert strict_equal(kept(wrapped), wrapped)
    if not isinstance(value, slice | array.array):
        assert strict_equal(kept({value: {value}}), {value: {value}})


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (
            dt.datetime(2024, 6, 1, 12, tzinfo=BERLIN),
            dt.datetime(2024, 6, 1, 12, tzinfo=dt.timezone(dt.timedelta(hours=2))),
        ),
        (range(0, 3, 2), range(0, 4, 2)),
        (array.array("i", [1]), array.array("l", [1])),
        (pathlib.PurePosixPath("/x"), "/x"),
        (collections.defaultdict(list, a=1), collections.defaultdict(dict, a=1)),
        (collections.ChainMap({"a": 1}, {}), collections.ChainMap({"a": 1})),
        (collections.deque([1], 3), collections.deque([1])),
    ],
)
def test_a_change_of_type_alone_is_a_change(one: Any, other: Any) -> None:
    store = MemoryStore()
    recorder = Recorder(store, on_error="raise")
    recorder.record({"a": one, "b": [one]})
    recorder.record({"a": other, "b": [other]})
    assert [name for name, _ in store.changed(1)] == ["a", "b"]


def test_a_zone_that_is_not_installed_costs_its_name_only() -> None:
    moment = dt.datetime(2024, 6, 1, 12, tzinfo=BERLIN)
    form = encode(moment).replace(b"Europe/Berlin", b"Europe/Nowher")
    assert decode(form).isoformat() == moment.isoformat()
    assert decode(b"\xc7\x07\x0f\x92\xa4zone\x01") == Tagged("zone", 1)


class Colour(enum.Enum):
    RED = "r"


class Flags(enum.Flag):
    A = 1
    B = 2


class Point(NamedTuple):
    x: int
    y: Any


@dataclasses.dataclass
class Robot:
    name: str
    at: Any = None


@dataclasses.dataclass(slots=True)
class Slotted:
    name: str
    at: Any = None


class Plain:
    shared = "not a field"

    def __init__(self, **fields: Any) -> None:
        self.__dict__.update(fields)


class Slots:
    __slots__ = ("__hidden", "name", "never_set")

    def __init__(self) -> None:
        self.name = "n"
        self.__hidden = 2


class Both(Slots):
    def __init__(self) -> None:
        super().__init__()
        self.more = 3


HERE = __name__

OBJECTS: list[tuple[Any, Any]] = [
    (Colour.RED, Tagged(f"{HERE}.Colour", ["RED", "r"])),
    (Flags.A | Flags.B, Tagged(f"{HERE}.Flags", ["A|B", 3])),
    (Point(1, [2]), Tagged(f"{HERE}.Point", {"x": 1, "y": [2]})),
    (Robot("r", (1, 2)), Tagged(f"{HERE}.Robot", {"name": "r", "at": (1, 2)})),
    (Slotted("r", {1: 2}), Tagged(f"{HERE}.Slotted", {"name": "r", "at": {1: 2}})),
    (Plain(a=1, b=[Colour.RED]), Tagged(f"{HERE}.Plain", {"a": 1, "b": [Tagged(f"{HERE}.Colour", ["RED", "r"])]})),
    (Slots(), Tagged(f"{HERE}.Slots", {"_Slots__hidden": 2, "name": "n"})),
    (Both(), Tagged(f"{HERE}.Both", {"_Slots__hidden": 2, "name": "n", "more": 3})),
    (types.SimpleNamespace(a=1), Tagged("types.SimpleNamespace", {"a": 1})),
    (argparse.Namespace(a=1), Tagged("argparse.Namespace", {"a": 1})),
    (collections.deque([1, 2]), Tagged("collections.deque", [1, 2])),
    (collections.deque([1, 2], 5), Tagged("collections.deque", {"items": [1, 2], "maxlen": 5})),
    (collections.Counter("aab"), Tagged("collections.Counter", {"a": 2, "b": 1})),
    (collections.defaultdict(list, a=[1]), Tagged("collections.defaultdict(list)", {"a": [1]})),
    (collections.ChainMap({"a": 1}, {"b": 2}), Tagged("collections.ChainMap", [{"a": 1}, {"b": 2}])),
    (collections.UserDict(a=1), Tagged("collections.UserDict", {"a": 1})),
    (types.MappingProxyType({1: 2}), Tagged("builtins.mappingproxy", {1: 2})),
    (re.compile("x+", re.IGNORECASE), Tagged("re.Pattern", {"pattern": "x+", "flags": 34})),
    (dt.UTC, Tagged("datetime.timezone", "UTC")),
    (random.Random(1), Tagged("random.Random", random.Random(1).getstate())),
    (Plain, Tagged("builtins.type", f"{HERE}.Plain")),
    (len, Tagged("builtins.builtin_function_or_method", "builtins.len")),
    (kept, Tagged("builtins.function", f"{HERE}.kept")),
    (re, Tagged("builtins.module", "re")),
    (..., Tagged("builtins.ellipsis", "...")),
]


@pytest.mark.parametrize(("value", "content"), OBJECTS, ids=lambda item: type(item).__name__)
def test_objects_are_kept_by_their_fields_wherever_they_stand(value: Any, content: Any) -> None:
    assert strict_equal(kept(value), content)
    assert strict_equal(kept([value, {1: (value,)}]), [content, {1: (content,)}])
    if _is_hashable(value) and not isinstance(value, Point):
        assert strict_equal(kept({value: 1}), {content: 1})


def _is_hashable(value: Any) -> bool:
    try:
        hash(value)
    except TypeError:
        return False
    return True


def test_exceptions_are_kept_with_where_they_arose_and_what_they_came_from() -> None:
    def fail() -> None:
        try:
            _ = {}["k"]
        except KeyError as error:
            raise ValueError("bad", 3) from error

    try:
        fail()
    except ValueError as error:
        error.add_note("noted")
        found = kept(error)
    assert found.type_name == "builtins.ValueError"
    assert found.value["args"] == ("bad", 3)
    assert found.value["__notes__"] == ["noted"]
    assert [frame.rpartition(" in ")[2].rpartition(".")[2] for frame in found.value["traceback"]][-1] == "fail"
    assert __file__ in found.value["traceback"][0]
    assert found.value["cause"].type_name == "builtins.KeyError"


def test_functions_that_wait_for_arguments_are_kept() -> None:
    found = kept(functools.partial(int, "7", base=8))
    assert found.value == {"func": Tagged("builtins.type", "builtins.int"), "args": ["7"], "keywords": {"base": 8}}


def test_log_records_are_kept() -> None:
    found = kept(logging.makeLogRecord({"msg": "hi %s", "args": ("you",), "extra": [1]}))
    assert (found.value["msg"], found.value["args"], found.value["extra"]) == ("hi %s", ("you",), [1])


def test_services_of_the_program_are_marked_and_not_followed() -> None:
    def endless() -> Any:
        yield 1

    for service in (threading.Thread(), threading.Lock(), endless(), logging.getLogger("x"), memoryview, time.sleep):
        found = kept(["before", service, "after"], on_error="ignore")
        assert (found[0], found[2]) == ("before", "after")
        assert isinstance(found[1], Unrepresentable | Tagged)
        assert len(repr(found)) < 400


def test_objects_without_an_adapter_may_be_marked_instead() -> None:
    found = kept([Plain(a=1), Robot("r")], objects="marker", on_error="ignore")
    assert isinstance(found[0], Unrepresentable)
    assert found[0].type_name == f"{HERE}.Plain"
    assert found[1] == Tagged(f"{HERE}.Robot", {"name": "r", "at": None})
    with pytest.raises(unspool.UnspoolError, match="write fields or marker"):
        Recorder(MemoryStore(), objects="all", on_error="raise")  # type: ignore[arg-type]


class Money:
    def __init__(self, cents: int) -> None:
        self.cents = cents


class Euro(Money):
    pass


def test_an_adapter_of_ones_own_goes_first_also_for_subclasses_and_from_then_on() -> None:
    assert kept(Money(5)).value == {"cents": 5}

    @adapter(Money)
    def _(money: Money) -> Any:
        if money.cents < 0:
            raise ValueError("a debt")
        return {"amount": money.cents / 100, "of": (Colour.RED,)}

    red = Tagged(f"{HERE}.Colour", ["RED", "r"])
    assert kept([Money(5), {1: Euro(7)}]) == [
        Tagged(f"{HERE}.Money", {"amount": 0.05, "of": (red,)}),
        {1: Tagged(f"{HERE}.Euro", {"amount": 0.07, "of": (red,)})},
    ]
    found = kept([Money(-1), 2], on_error="ignore")
    assert found == [Unrepresentable(f"{HERE}.Money", "it raised ValueError"), 2]
    assert unspool.adapter is adapter


class Hostile:
    """Whatever a program might ask it goes wrong; what is stored in it does not."""

    calls: list[str] = []

    def __init__(self) -> None:
        self.field = 1

    def _fail(self, *_: Any) -> Any:
        Hostile.calls.append("asked")
        raise RuntimeError("do not ask")

    def __getattribute__(self, name: str) -> Any:
        Hostile.calls.append(name)
        raise RuntimeError(f"do not ask for {name}")

    __repr__ = __str__ = __eq__ = __iter__ = __len__ = __bool__ = __getitem__ = __format__ = _fail  # type: ignore[assignment]
    __hash__ = None  # type: ignore[assignment]
    lazy = property(_fail)


class HostileList(list[Any]):
    __iter__ = __len__ = __getitem__ = Hostile._fail  # type: ignore[assignment]


class HostileDict(dict[Any, Any]):
    __iter__ = __len__ = __getitem__ = items = keys = values = Hostile._fail  # type: ignore[assignment]


class HostileText(str):
    __slots__ = ()
    __str__ = __repr__ = __len__ = encode = Hostile._fail  # type: ignore[assignment]


class HostileError(Exception):
    __str__ = __repr__ = Hostile._fail  # type: ignore[assignment]
    args = property(Hostile._fail)  # type: ignore[assignment]


def test_nothing_is_asked_of_objects_whose_own_methods_go_wrong() -> None:
    Hostile.calls.clear()
    found = kept(
        [Hostile(), HostileList([1]), HostileDict(a=2), HostileText("text"), HostileError("args"), {1: Hostile()}, 9],
    )
    assert [item.value for item in found[:4]] == [{"field": 1}, [1], {"a": 2}, "text"]
    assert found[4].value["args"] == ("args",)
    assert (found[5][1].value, found[6]) == ({"field": 1}, 9)
    assert Hostile.calls == []


class BadMeta(type):
    def __getattribute__(cls, name: str) -> Any:
        raise RuntimeError(f"do not ask the class for {name}")


class HiddenFields:
    """Does not say what fields it has."""

    @property
    def __dict__(self) -> Any:  # type: ignore[override]
        raise RuntimeError("do not ask for my fields")


class BadProxy(Hostile):
    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        raise RuntimeError("do not ask for my class")


def test_an_object_that_lies_about_its_class_is_kept_by_what_it_is() -> None:
    assert kept([BadProxy(), 1])[0].value == {"field": 1}


def test_classes_whose_metaclass_goes_wrong_cost_their_objects_only() -> None:
    bad = BadMeta("Bad", (), {})
    found = kept([type.__call__(bad), 1], on_error="ignore")
    assert found[1] == 1
    assert found[0] == Tagged(f"{HERE}.Bad", {}) or isinstance(found[0], Unrepresentable)


def test_fields_that_cannot_be_had_without_asking_are_not_asked_for() -> None:
    hidden = HiddenFields.__new__(HiddenFields)
    object.__setattr__(hidden, "field", 1)
    assert kept([hidden, 2], on_error="ignore") == [Unrepresentable(f"{HERE}.HiddenFields", "cannot be recorded"), 2]


wholes = st.recursive(
    values
    | st.sampled_from(THEMSELVES)
    | st.sampled_from([value for value, _ in OBJECTS])
    | st.just(threading.Lock()),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.builds(Robot, st.text(max_size=3), inner)
        | st.builds(Slotted, st.text(max_size=3), inner)
        | st.builds(Point, st.integers(), inner)
        | st.builds(lambda item: Plain(a=item), inner)
        | st.builds(lambda item: collections.deque([item, item]), inner)
        | st.dictionaries(st.text(max_size=2) | st.integers() | st.sampled_from(list(Colour)), inner, max_size=3)
        | st.builds(lambda item: ValueError(item), inner)
    ),
    max_leaves=10,
)


@given(wholes)
@settings(max_examples=examples(80), deadline=None)
def test_any_composition_is_kept_and_reads_back_the_same_from_bytes(value: Any) -> None:
    store = MemoryStore()
    recorder = Recorder(store, on_error="ignore")
    assert recorder.record({"a": value}) == 0
    assert recorder.record({"a": value}) == 1
    # What was kept once is the same when it is kept again, and when it is recorded as it reads.
    assert store.changed(1) == ()
    found = History(store).state(0)
    assert recorder.record(found) == 2
    assert strict_equal(History(store).state(2), found)
    if type(value) in (list, dict, tuple):
        assert len(found["a"]) == len(value)


def test_an_object_that_holds_its_recorder_does_not_record_what_was_recorded() -> None:
    class Cart:
        def __init__(self, recorder: Recorder) -> None:
            self.recorder = recorder
            self.items = [0] * 10_000

    store = MemoryStore()
    cart = Cart(Recorder(store, on_error="raise"))
    for number in range(5):
        cart.items[0] = number
        assert cart.recorder.record({"cart": cart}) == number
    history = History(store)
    fields = history.value(-1, "cart").value
    assert fields["recorder"] == Tagged("unspool.recorder.recorder.Recorder", None)
    assert fields["items"][0] == 4
    assert history.stats().full_bytes < 5 * 12_000


def test_a_field_that_is_not_there_is_left_out(tmp_path: pathlib.Path) -> None:
    @dataclasses.dataclass
    class Cart:
        count: int
        items: list[int]

    @dataclasses.dataclass(slots=True)
    class Basket:
        count: int
        items: list[int]

    states: list[Any] = [Cart(1, []), Basket(1, [])]
    for value in states:
        del value.items
    with Recorder(tmp_path / "a.unspool", on_error="raise") as recorder:
        recorder.record({"carts": states})
    with unspool.open_history(tmp_path / "a.unspool") as history:
        assert [cart.value for cart in history.state(0)["carts"]] == [{"count": 1}, {"count": 1}]


class Ring(collections.deque[int]):
    pass


class Numbers(array.array):  # type: ignore[type-arg]
    pass


class Folder(type(pathlib.Path())):  # type: ignore[misc]
    pass


class Cart(list[int]):
    def __init__(self, *items: int) -> None:
        super().__init__(items)
        self.owner = "ada"


class Settings(dict[str, int]):
    __slots__ = ("source",)

    def __init__(self, **items: int) -> None:
        super().__init__(items)
        self.source = "a.toml"


class Label(str):
    def __new__(cls, text: str) -> Label:
        made = super().__new__(cls, text)
        made.items = "x"  # type: ignore[attr-defined]
        made.value = "y"  # type: ignore[attr-defined]
        return made


class Pair(NamedTuple):
    a: int


class Noted(Pair):
    pass


@dataclasses.dataclass
class Order:
    lines: list[int]

    def __post_init__(self) -> None:
        self.total = sum(self.lines)


@dataclasses.dataclass(init=False)
class Rows(list[int]):
    name: str = "r"


class Coded(Exception):
    __slots__ = ("code",)


class Refusing(Exception):
    @property
    def __dict__(self) -> Any:  # type: ignore[override]
        raise RuntimeError

    @property
    def args(self) -> Any:  # type: ignore[override]
        raise RuntimeError


class Twice(tuple[int, ...]):
    _fields = ("a", "a")


def _with(made: Any, **fields: Any) -> Any:
    for name, field in fields.items():
        setattr(made, name, field)
    return made


@pytest.mark.parametrize(
    ("value", "content"),
    [
        (Ring([1, 2]), [1, 2]),
        (Ring([1], maxlen=5), {"items": [1], "maxlen": 5}),
        (_with(Ring([1]), name="r"), {"name": "r", "items": [1]}),
        (Numbers("i", [1, 2]), {"typecode": "i", "items": [1, 2]}),
        (Folder("a/b"), "a/b"),
        (Cart(1, 2), {"owner": "ada", "items": [1, 2]}),
        (Settings(a=1), {"source": "a.toml", "items": {"a": 1}}),
        (Label("l"), {"items": "x", "value": "y", "value_": "l"}),
        (_with(Noted(1), seen=True), {"a": 1, "seen": True}),
        (Order([1, 2]), {"lines": [1, 2], "total": 3}),
        (_with(Rows(), name="n"), {"name": "n", "items": []}),
        (_with(Coded("no"), code=7), {"code": 7, "args": ("no",)}),
        (FileNotFoundError(2, "gone", "a.txt"), {"filename": "a.txt", "args": (2, "gone")}),
        (_with(Refusing("no"), seen=True), {"seen": True, "args": ("no",)}),
        (Twice((1, 2)), (1, 2)),
        (ImportError("no", name="shop"), {"name": "shop", "args": ("no",)}),
        (dt.timezone(dt.timedelta(hours=1), "X"), {"name": "X", "offset": dt.timedelta(hours=1)}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_nothing_that_an_object_holds_beside_its_declared_fields_is_lost(value: Any, content: Any) -> None:
    found = kept(value)
    assert strict_equal(found.value, content)


def test_what_a_class_written_in_c_hides_is_said_to_be_missing() -> None:
    class Stream(io.BytesIO):
        pass

    assert kept(_with(Stream(b"x"), name="s")).value == {
        "name": "s",
        "…": Unrepresentable("_io.BytesIO", "what it holds beside the fields is not kept"),
    }
