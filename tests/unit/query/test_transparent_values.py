"""Objects and keys of any type are looked into alike, by every question."""

import collections
import enum
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path as FilePath

import jmespath
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unspool import Recorder, open_history
from unspool.delta.apply import apply_ops, invert_ops, state_patch
from unspool.delta.structural import diff_encoded
from unspool.errors import ExpressionError, NotInJsonPatch, PathNotFound
from unspool.history.history import History
from unspool.model.encoding import encode
from unspool.model.json_text import to_json
from unspool.model.keys import Path, format_path
from unspool.model.paths import parse_path, step_of, value_parts
from unspool.model.values import MISSING, Tagged, Value, strict_equal
from unspool.model.wire import decode
from unspool.query.bisect import bisect
from unspool.query.blame import blame
from unspool.query.expressions import Expression
from unspool.query.path_writes import writes_of
from unspool.query.search import parse_search, search
from unspool.query.value_parts import differences, find, leaves
from unspool.snapshots.atoms import op_from_dict, op_to_dict, pack_ops, unpack_ops
from unspool.store import MemoryStore


@dataclass
class Item:
    id: int
    qty: int


@dataclass
class Cart:
    total: int
    items: list[Item] = field(default_factory=list)


class Mode(enum.Enum):
    IDLE = "i"
    BUSY = "b"


Point = collections.namedtuple("Point", "x y")


class Plain:
    def __init__(self, hp: int) -> None:
        self.hp = hp


@contextmanager
def recorded(tmp_path: FilePath, *states: dict[str, Value]) -> Iterator[History]:
    with Recorder(tmp_path / "h.unspool") as recorder:
        for number, state in enumerate(states):
            recorder.record(state, f"a{number}")
    with open_history(tmp_path / "h.unspool") as history:
        yield history


def spelled_ops(history: History, one: int, other: int) -> list[tuple[str, str]]:
    return [
        (change.atom + format_path(op.path, root="$")[1:], op.kind.value)
        for change in history.diff(one, other).changes
        for op in change.ops
    ]


def setters(history: History, path: str = "") -> dict[str, int]:
    return {format_path(one.path, root=""): one.seq for one in blame(history, -1, parse_path(path)).values}


def test_integer_and_tuple_keys_are_steps_in_every_question(tmp_path: FilePath) -> None:
    states = [
        {"users": {1: {"hp": 10}, 2: {"hp": 9}}, "grid": {(0, 1): "x", (1, 1): "y"}},
        {"users": {1: {"hp": 10}, 2: {"hp": 7}}, "grid": {(0, 1): "x", (1, 1): "z"}},
        {"users": {1: {"hp": 10}, 2: {"hp": 7}, 3: {"hp": 1}}, "grid": {(0, 1): "x", (1, 1): "z"}},
    ]
    with recorded(tmp_path, *states) as history:
        assert spelled_ops(history, 0, 1) == [("users[2].hp", "replace"), ("grid[(1, 1)]", "replace")]
        assert spelled_ops(history, 1, 2) == [("users[3]", "add")]
        assert setters(history, "users") == {"users[1].hp": 0, "users[2].hp": 1, "users[3].hp": 2}
        assert [write.seq for write in writes_of(history, parse_path("grid[(1, 1)]"))] == [1, 0]
        assert [format_path(hit.path, root="") for hit in search(history, parse_search("hp == 7"))] == ["users[2].hp"]
        assert [hit.text for hit in search(history, parse_search("(0, 1)"))] == ["(0, 1)"]
        assert [hit.seq for hit in search(history, parse_search('grid[(1, 1)] == "z"'))] == [1]
        for expression in ('users."2".hp < 9', "users[2].hp < 9", "grid.\"(1, 1)\" == 'z'"):
            assert [flip.seq for flip in bisect(history, expression).flips] == [1], expression


def test_fields_of_objects_are_steps_in_every_question(tmp_path: FilePath) -> None:
    def state(total: int, y: int, hp: int, qty: int, *before: Item) -> dict[str, Value]:
        items = [*before, Item(1, 2), Item(2, qty)]
        return {"carts": {"ada": Cart(total, items)}, "at": Point(1, y), "hero": Plain(hp), "pair": (Item(1, qty), 3)}

    with recorded(tmp_path, state(5, 2, 9, 3), state(6, 3, 7, 4, Item(9, 9))) as history:
        assert spelled_ops(history, 0, 1) == [
            ("carts.ada.total", "replace"),
            ("carts.ada.items[0]", "add"),
            ("carts.ada.items[2].qty", "replace"),
            ("at.y", "replace"),
            ("hero.hp", "replace"),
            ("pair[0].qty", "replace"),
        ]
        found = setters(history)
        assert {path for path, seq in found.items() if seq == 1} == {
            "carts.ada.total", "carts.ada.items[0].id", "carts.ada.items[0].qty", "carts.ada.items[2].qty",
            "at.y", "hero.hp", "pair[0].qty",
        }  # fmt: skip
        # A record of a list is followed by its identity when it moves.
        assert [write.seq for write in writes_of(history, parse_path("carts.ada.items[1].qty"))] == [0]
        assert [flip.seq for flip in bisect(history, "carts.ada.total > 5").flips] == [1]
        assert [hit.seq for hit in search(history, parse_search("total == 6"))] == [1]


@pytest.mark.parametrize("question", ["mode == 'b'", "mode == 'BUSY'", "mode.name == 'BUSY'", "mode.value == 'b'",
                                      "length(modes[?@ == 'b']) == 2", "contains(modes[1:], 'b')", "mode != 'IDLE'"])  # fmt: skip
def test_a_member_of_an_enumeration_is_known_by_name_and_by_value(tmp_path: FilePath, question: str) -> None:
    states = ({"mode": Mode.IDLE, "modes": [Mode.BUSY, Mode.IDLE]}, {"mode": Mode.BUSY, "modes": [Mode.BUSY] * 2})
    with recorded(tmp_path, *states) as history:
        assert [flip.seq for flip in bisect(history, question).flips] == [1]
        assert [hit.seq for hit in search(history, parse_search('mode == "b"'))] == [1]
        assert [hit.seq for hit in search(history, parse_search('mode == "BUSY"'))] == [1]
        assert setters(history, "mode") == {"mode": 1}
        assert setters(history, "mode.name") == {"mode.name": 1}
        assert spelled_ops(history, 0, 1) == [("mode", "replace"), ("modes[1]", "replace")]
        assert bisect(history, "mode").flips == ()


@pytest.mark.parametrize(
    "wrap",
    [list, collections.deque, collections.UserList, lambda items: Plain(items), lambda items: {1: items}, tuple],
    ids=["list", "deque", "UserList", "object", "key", "tuple"],
)
def test_items_of_wrapped_lists_are_followed_where_bytes_before_them_are_the_same(
    tmp_path: FilePath, wrap: Callable[[list[Value]], Value]
) -> None:
    with recorded(tmp_path, *({"a": wrap([{"x": 1}, {"y": n}, n, "z"])} for n in range(3))) as history:
        for path, leaf in leaves(history.view(2).wire["a"], ("a",)):
            expected = 0 if decode(leaf) in (1, "z") else 2
            assert setters(history, format_path(path)) == {format_path(path, root=""): expected}


def test_a_number_is_an_integer_key_before_it_is_a_text_key(tmp_path: FilePath) -> None:
    with recorded(tmp_path, {"a": {2: "int", "2": "text", "3": "only"}}) as history:
        wire = history.view(0).wire
        assert decode(find(wire, parse_path("a[2]"), "")[1]) == "int"
        assert decode(find(wire, parse_path('a["2"]'), "")[1]) == "text"
        assert decode(find(wire, parse_path("a[3]"), "")[1]) == "only"
        with pytest.raises(PathNotFound, match=r"a has 2, '2', '3'"):
            find(wire, parse_path("a[4]"), "")
        with pytest.raises(ExpressionError, match="both as a text and as another type"):
            bisect(history, "a.\"2\" == 'int'")
        assert bisect(history, "a[2] == 'int'").holds_last
        assert bisect(history, "a.\"3\" == 'only'").holds_last


def test_booleans_and_numbers_are_different_keys(tmp_path: FilePath) -> None:
    with recorded(tmp_path, {"a": {1: "x"}}, {"a": {True: "x"}}, {"a": {1.0: "x"}}) as history:
        assert spelled_ops(history, 0, 1) == [("a[1]", "remove"), ("a[True]", "add")]
        assert spelled_ops(history, 1, 2) == [("a[True]", "remove"), ("a[1.0]", "add")]
        assert setters(history) == {"a[1.0]": 2}


@pytest.mark.parametrize(
    "question",
    ["flags[None] == 2", "flags[True].x[1.5] == 2", "flags[b'a]'] == 2", "flags[2024-01-05] == 2", "$.flags[('a', (1, 2))] == 2",
     "length(flags[True].x) == 1 && flags[None] == 2", "rows[?k[(1, 2)] == 2] | length(@) == 1"],
)  # fmt: skip
def test_expressions_take_keys_in_brackets_as_paths_do(tmp_path: FilePath, question: str) -> None:
    def state(value: int) -> dict[str, Value]:
        flags = {None: value, True: {"x": {1.5: value}}, b"a]": value, date(2024, 1, 5): value, ("a", (1, 2)): value}
        return {"flags": flags, "rows": [{"k": {(1, 2): value}}]}

    with recorded(tmp_path, state(1), state(2)) as history:
        assert [flip.seq for flip in bisect(history, question).flips] == [1]


@pytest.mark.parametrize("question", ["a[(b)]", "a[(b || c)]", "[True, None]", "a[(1)]", "a[(1, 2]", "'a[(1, 2)]'"])
def test_brackets_of_expressions_mean_what_they_meant(question: str) -> None:
    try:
        tree = jmespath.compile(question).parsed
    except jmespath.exceptions.ParseError:
        with pytest.raises(ExpressionError):
            Expression(question)
    else:
        assert Expression(question)._tree == tree


def test_a_json_patch_refuses_keys_that_are_no_text() -> None:
    with pytest.raises(NotInJsonPatch, match=r"key \(1, 2\) at or below /grid.*diff --json"):
        state_patch({"grid": {}}, {"grid": {"a": [{(1, 2): 3}]}})
    patch = state_patch({"cart": Cart(1)}, {"cart": Cart(2)})
    assert [operation["path"] for operation in patch] == ["/cart"]


# --- Laws: what questions say against a walk over the decoded values ---

SCALARS = st.one_of(st.none(), st.booleans(), st.integers(-2, 2), st.text("ab", max_size=1), st.sampled_from(Mode))
KEYS = st.one_of(
    st.text("ab2", max_size=1), st.integers(-2, 2), st.none(), st.booleans(), st.sampled_from(Mode),
    st.tuples(st.integers(0, 1), st.text("a", max_size=1)), st.just(1.5), st.just(b"k"),
)  # fmt: skip


def containers(inner: st.SearchStrategy[Value]) -> st.SearchStrategy[Value]:
    return st.one_of(
        st.dictionaries(KEYS, inner, max_size=3),
        st.builds(Cart, inner, inner),
        st.builds(Point, inner, inner),
        st.builds(Plain, inner),
        st.builds(collections.OrderedDict, st.dictionaries(KEYS, inner, max_size=2)),
        st.tuples(inner, inner),
    )


def kept(value: Value) -> bytes:
    from unspool.recorder.encoding import Encoding

    return Encoding().atom("a", value, [], set())


VALUES = st.recursive(SCALARS, containers, max_leaves=8).map(kept)
WITH_LISTS = st.recursive(
    SCALARS, lambda inner: containers(inner) | st.lists(inner, max_size=3), max_leaves=10
).map(kept)  # fmt: skip


def at(value: Value, path: Path) -> Value:
    """Return what stands at a path of a decoded value: the oracle."""
    for step in path:
        parts = value_parts(value)
        if isinstance(parts, list):
            if not isinstance(step, int) or not 0 <= step < len(parts):
                return MISSING
            value = parts[step]
        elif parts is None or step not in parts:
            return MISSING
        else:
            value = parts[step]
    return value


@given(WITH_LISTS, WITH_LISTS)
def test_ops_lead_from_one_value_to_the_other_and_back(old: bytes, new: bytes) -> None:
    ops = diff_encoded(old, new)
    assert strict_equal(apply_ops(decode(old), ops, check_old=True), decode(new))
    assert strict_equal(apply_ops(decode(new), invert_ops(ops), check_old=True), decode(old))
    assert unpack_ops(pack_ops(ops)) == ops
    assert [op_from_dict(op_to_dict(op)) for op in ops] == list(ops)
    assert strict_equal(decode(old), decode(new)) is (not ops)


@given(VALUES, VALUES)
def test_every_leaf_that_differs_is_in_a_difference_and_no_other(old: bytes, new: bytes) -> None:
    before, after = decode(old), decode(new)
    told = [item.new_path for item in differences(old, new) if item.new_path is not None]
    for path, form in leaves(new):
        is_told = any(path[: len(place)] == place for place in told)
        # What lost all of its parts is told by these.
        assert is_told or value_parts(decode(form)) is not None or strict_equal(at(before, path), decode(form)), path
    for place in told:
        assert not strict_equal(at(before, place), at(after, place)), place
    assert bool(list(differences(old, new))) is (not strict_equal(before, after))


@given(st.lists(VALUES, min_size=1, max_size=4))
def test_leaves_stand_where_their_paths_say(forms: list[bytes]) -> None:
    for form in forms:
        value = decode(form)
        for path, leaf in leaves(form):
            assert strict_equal(at(value, path), decode(leaf))
            assert find({"a": form}, ("a", *parse_path(format_path(path))), "")[1] == leaf


def _step_texts(path: Path) -> tuple[str, ...]:
    return tuple(map(str, path))


def test_steps_of_wire_and_decoded_values_are_the_same() -> None:
    form = kept({1: {None: Cart(1)}, (1, 2): Point({b"x": 2}, 3)})
    assert [_step_texts(path) for path, _ in leaves(form)] == [
        ("1", "None", "total"), ("1", "None", "items"), ("(1, 2)", "x", "b'x'"), ("(1, 2)", "y"),
    ]  # fmt: skip
    assert step_of((1, 2)) in (value_parts(decode(form)) or {})
    assert encode(decode(form)) == form


def told(forms: list[bytes]) -> History:
    """Record one atom's values into memory; equal neighbours are entries of their own."""
    store = MemoryStore("told.unspool")
    with Recorder(store, on_error="raise") as recorder:
        for number, form in enumerate(forms):
            recorder.record({"a": decode(form)}, f"a{number}")
    return History(store)


def setter(values: list[Value], path: Path) -> int:
    """Return the entry that set what stands at a path at the end: the oracle."""
    seq = len(values) - 1
    while seq and strict_equal(at(values[seq - 1], path), at(values[seq], path)):
        seq -= 1
    return seq


@given(st.lists(VALUES, min_size=1, max_size=5))
def test_blame_names_for_every_leaf_the_entry_that_brute_force_finds(forms: list[bytes]) -> None:
    values = [decode(form) for form in forms]
    history = told(forms)
    found = {one.path[1:]: one.seq for one in blame(history).values}
    assert found == {path: setter(values, path) for path, _ in leaves(forms[-1])}


@given(st.lists(VALUES, min_size=1, max_size=5), st.data())
def test_the_writes_of_any_place_are_those_that_brute_force_finds(forms: list[bytes], data: st.DataObject) -> None:
    values = [decode(form) for form in forms]
    paths = [path[:size] for path, _ in leaves(forms[-1]) for size in range(len(path) + 1)]
    path = data.draw(st.sampled_from(paths))
    history = told(forms)
    expected = [
        seq
        for seq in range(len(values) - 1, -1, -1)
        if not strict_equal(at(values[seq - 1], path) if seq else MISSING, at(values[seq], path))
    ]
    assert [write.seq for write in writes_of(history, ("a", *path))] == expected
    # The place as people write it is the same one.
    spelled = parse_path(format_path(("a", *path)))
    assert [write.seq for write in writes_of(history, spelled)] == expected


@given(st.lists(VALUES, min_size=2, max_size=4))
def test_a_search_finds_every_leaf_where_it_is_set(forms: list[bytes]) -> None:
    history = told(forms)
    for path, leaf in leaves(forms[-1]):
        if decode(leaf) == "b":
            hits = list(search(history, parse_search("b")))
            assert any(hit.path[1:] == path and hit.kind.value == "value" for hit in hits)


@pytest.mark.parametrize("key", [-1, "0", "-1", None, True, 10**5000, (1, "a"), "a/b~"], ids=lambda _: "")
def test_ops_keep_any_key_as_json(key: Value) -> None:
    (op,) = diff_encoded(encode({}), encode({key: {}}))
    assert op_from_dict(json.loads(to_json(op_to_dict(op)))) == op


class Node:
    def __init__(self, number: int, following: "Node | None") -> None:
        self.number, self.next = number, following


@pytest.mark.one_in(2)
@pytest.mark.parametrize("size", [900, 1_300])
def test_a_long_chain_of_objects_is_asked_in_its_time(size: int) -> None:
    def chain(last: int) -> Node:
        node = None
        for number in range(size):
            node = Node(last if number == 0 else number, node)
        assert node is not None
        return node

    old, new = kept(chain(-1)), kept(chain(-2))
    (op,) = diff_encoded(old, new)
    assert len(op.path) <= 1_000
    assert strict_equal(apply_ops(decode(old), [op]), decode(new))
    assert [item.new_path for item in differences(old, new)] == [op.path]
    assert len(list(leaves(new))) == min(size, 1_000) + 1
    history = told([old, new])
    assert {one.seq for one in blame(history).values} == {0, 1}
    assert [hit.seq for hit in search(history, parse_search("number == -2"))] == ([1] if size == 900 else [])


@pytest.mark.one_in(2)
@pytest.mark.parametrize("wrap", [lambda value: (value,), lambda value: Tagged("t", value), lambda value: {1: value}])
def test_deep_nesting_of_one_kind_is_asked_in_its_time(wrap: Callable[[Value], Value]) -> None:
    old: Value = 1
    new: Value = 2
    for _ in range(1_500):
        old, new = wrap(old), wrap(new)
    before, after = encode(old), encode(new)
    ops = diff_encoded(before, after)
    assert len(ops) == 1
    assert len(list(leaves(before))) == 1
    assert len(list(differences(before, after))) == 1
    assert all(one.seq == 1 for one in blame(told([before, after])).values)


@given(st.lists(WITH_LISTS, min_size=2, max_size=4))
def test_blame_of_one_leaf_is_never_later_than_that_of_all(forms: list[bytes]) -> None:
    history = told(forms)
    for one in blame(history).values:
        (alone,) = blame(history, -1, one.path).values
        # What stood in another kind of container is new to the whole; its own path is asked for its value only.
        assert alone.seq <= one.seq
        assert strict_equal(alone.value, one.value)
