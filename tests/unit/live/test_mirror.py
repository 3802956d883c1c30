"""The mirror: whatever rows and splices tell, its wire forms are those that the recorder itself makes of the same objects."""

from __future__ import annotations

import time
from array import array
from collections import deque
from fractions import Fraction
from pathlib import PurePosixPath
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unspool import MISSING, Recorder, open_history
from unspool.live.cells import NotOfTheAgent, value_cell
from unspool.live.mirror import Mirror
from unspool.model.values import Tagged, Unrepresentable
from unspool.model.wire import decode
from unspool.recorder.encoding import Encoding


class Agent:
    """Tells a mirror of lists and dicts, as the agent does: rows of new ones, splices of changed ones."""

    def __init__(self) -> None:
        self.ids: dict[int, int] = {}
        self.kept: list[Any] = []
        self.told: dict[int, Any] = {}

    def cell(self, value: Any, rows: list[Any]) -> Any:
        if type(value) not in (list, dict):
            return value
        known = self.ids.get(id(value))
        if known is None:
            known = self.ids[id(value)] = len(self.ids) + 1
            self.kept.append(value)
            self.tell(known, value, rows)
        return [known]

    def tell(self, number: int, value: Any, rows: list[Any]) -> None:
        row: list[Any] = [number, type(value).__name__, None, None, None]
        rows.append(row)
        if type(value) is dict:
            row[3] = list(value)
            row[4] = [self.cell(item, rows) for item in value.values()]
        else:
            row[4] = [self.cell(item, rows) for item in value]
        self.told[number] = list(row[4])


CHANGES = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5), st.integers(0, 3), st.integers(0, 8)), max_size=25)


@given(changes=CHANGES, kinds=st.lists(st.booleans(), min_size=6, max_size=6))
def test_forms_are_those_of_the_recorder_through_shared_and_cyclic_objects(
    changes: list[tuple[int, int, int, int]], kinds: list[bool]
) -> None:
    pool: list[Any] = [{} if is_dict else [] for is_dict in kinds]
    atoms: dict[str, Any] = {"a": pool[0], "b": pool[1], "n": 1}
    agent, mirror, encoding = Agent(), Mirror(), Encoding()
    rows: list[Any] = []
    cells = [agent.cell(value, rows) for value in atoms.values()]
    mirror.apply({"rows": [[0, "state", None, list(atoms), cells], *rows]})
    held = dict(mirror.changes())
    for target, source, how, where in changes:
        container = pool[target]
        value = pool[source] if how == 0 else where
        rows = []
        splices: list[Any] = []
        if type(container) is dict:
            key = "k" if how == 3 else f"k{where}"
            before = list(container)
            container[key] = value
            at = list(container).index(key)
            cell = agent.cell(value, rows)
            if id(container) in agent.ids:
                drop = 1 if key in before else 0
                splices.append([agent.ids[id(container)], at, drop, [cell], [key]])
        else:
            at = where % (len(container) + 1)
            drop = min(how, len(container) - at)
            container[at : at + drop] = [value]
            if id(container) in agent.ids:
                splices.append([agent.ids[id(container)], at, drop, [agent.cell(value, rows)], None])
        mirror.apply({"rows": rows, "splices": splices})
        held.update(mirror.changes())
        expected = {name: encoding.atom(name, part, [], set()) for name, part in atoms.items()}
        assert held == expected


def state_with(*rows: list[Any]) -> Any:
    """The value of the atom `a`, which is node 1."""
    mirror = Mirror()
    mirror.apply({"rows": [[0, "state", None, ["a"], [[1]]], *rows]})
    form = mirror.changes()["a"]
    assert isinstance(form, bytes)
    return decode(form)


def test_containers_of_each_kind() -> None:
    assert state_with([1, "list", None, None, [1, 1.0, "x", None, True]]) == [1, 1.0, "x", None, True]
    assert state_with([1, "tuple", None, None, [1, [2]]], [2, "set", None, None, ["b", "a"]]) == (1, {"a", "b"})
    assert state_with([1, "deque", None, None, [1]]) == Tagged("collections.deque", [1])
    assert state_with([1, "dict", None, [["tuple", [1, 2]], "x"], [3, 4]]) == {(1, 2): 3, "x": 4}
    assert state_with([1, "object", "shop.Cart", ["total", "gone"], [5, ["unset"]]]) == Tagged(
        "shop.Cart", {"total": 5}
    )
    assert state_with([1, "tuple", "m.P", ["x", "y"], [1, 2]]) == Tagged("m.P", {"x": 1, "y": 2})
    assert state_with([1, "bytes", "builtins.bytearray", None, ["eA=="]]) == bytearray(b"x")
    assert state_with([1, "list", None, None, [["of", "m.Id", 7], [0]]]) == [Tagged("m.Id", 7), Tagged("$ref", "$")]
    assert isinstance(state_with([1, "cut", "time", None, []]), Unrepresentable)
    listed = state_with([1, "list", "m.L", None, [7], None, 2], [2, "object", "m.L", ["items"], [8]])
    assert listed == Tagged("m.L", {"items": 8, "items_": [7]})


def test_leaves_of_each_kind() -> None:
    for value in (10**30, float("inf"), b"ab", 1 + 2j, Tagged("m.C", ["RED", 1], True)):
        assert state_with([1, "list", None, None, [value_cell(value)]]) == [value]
    for value in (Fraction(1, 3), range(0, 10, 2), slice(None, 3), PurePosixPath("/x"), array("i", [1, 2])):
        assert state_with(
            [1, "list", None, None, [["std", *value_cell(value)[1:]]]]
            if value_cell(value)[0] == "std"
            else [1, "list", None, None, [[2]]],
            [2, "bytes", "array.array", None, value_cell(value)[1:4:2]],
        ) == [value]
    cut = state_with([1, "list", None, None, [["cut", "text", "abc", 999], ["other", "m.T", "<T>"], ["redacted"]], 3])
    assert cut[1:3] == [Unrepresentable("m.T", "<T>"), "[redacted]"]
    assert "999" in cut[0].reason
    assert "3 more left out" in cut[3].reason


@pytest.mark.parametrize(
    "message",
    [
        {"rows": [[0, "list", None, None, []]]},
        {"rows": [[1, "dict", None, ["a"], []]]},
        {"rows": [[1, "nonsense", None, None, []]]},
        {"rows": [5]},
        {"rows": [[0, "state", None, ["a"], [["float", "x"]]]]},
        {"rows": [[0, "state", None, ["a"], [["what", 1]]]]},
        {"rows": [[0, "state", None, ["a"], [{}]]]},
        {"splices": [[9, 0, 0, [], None]]},
        {"rows": [[0, "state", None, ["a"], [1]]], "splices": [[0, 5, 1, [], []]]},
    ],
)
def test_what_the_agent_does_not_write_is_refused(message: dict[str, Any]) -> None:
    mirror = Mirror()
    with pytest.raises(NotOfTheAgent):
        mirror.apply(message)
        mirror.changes()


def test_a_chain_deeper_than_any_program_s_ends_in_a_marker() -> None:
    rows = [[number, "list", None, None, [[number + 1]]] for number in range(1, 5000)]
    value = state_with(*rows, [5000, "list", None, None, []])
    for _ in range(150):
        value = value[0]
    assert isinstance(value, Unrepresentable)


def test_what_doubles_at_each_level_ends_in_a_marker_instead_of_memory() -> None:
    rows = [[number, "list", None, None, [[number + 1], [number + 1]]] for number in range(1, 60)]
    value = state_with(*rows, [60, "list", None, None, ["x" * 1000]])
    while not isinstance(value, Unrepresentable):
        value = value[0]
    assert "bytes" in value.reason


def test_atoms_that_go_are_missing() -> None:
    mirror = Mirror()
    mirror.apply({"rows": [[0, "state", None, ["a", "b"], [1, 2]]]})
    assert set(mirror.changes()) == {"a", "b"}
    mirror.apply({"rows": [[0, "state", None, ["b", "c"], [2, ["unset"]]]]})
    assert mirror.changes() == {"a": MISSING}
    mirror.apply({"splices": [[0, 0, 1, [["unset"]], ["b"]]]})
    assert mirror.changes() == {"b": MISSING}


def test_one_change_among_many_records_costs_that_change(tmp_path: Any) -> None:
    count = 20_000
    rows = [[number + 2, "dict", None, ["id", "qty"], [number, 5]] for number in range(count)]
    mirror = Mirror()
    mirror.apply(
        {"rows": [[0, "state", None, ["a"], [[1]]], [1, "list", None, None, [[n + 2] for n in range(count)]]]}
    )
    mirror.apply({"rows": rows})

    def spent(change: Any) -> float:
        began = time.thread_time()
        mirror.apply(change)
        assert mirror.changes()
        return time.thread_time() - began

    first = spent({})
    later = min(spent({"splices": [[number * 7 + 2, 1, 1, [6], ["qty"]]]}) for number in range(20))
    assert later < first / 20


def test_encoded_atoms_are_recorded_as_they_are(tmp_path: Any) -> None:
    mirror = Mirror()
    with Recorder(tmp_path / "a.unspool", on_error="raise") as recorder:
        mirror.apply({"rows": [[0, "state", None, ["a", "n"], [[1], 0]], [1, "list", None, None, [1]]]})
        recorder.record_encoded(mirror.changes(), "start")
        mirror.apply({"splices": [[1, 1, 0, [2], None]]})
        recorder.record_encoded(mirror.changes(), "append")
        recorder.record_encoded({"n": MISSING})
    with open_history(tmp_path / "a.unspool") as history:
        assert [history.state(seq) for seq in range(3)] == [{"a": [1], "n": 0}, {"a": [1, 2], "n": 0}, {"a": [1, 2]}]
        assert [atom for atom, _ in history.changed_atoms(1)] == ["a"]


def test_deques_of_the_recorder_look_the_same() -> None:
    form = Encoding().atom("a", deque([1, 2]), [], set())
    assert decode(form) == state_with([1, "deque", None, None, [1, 2]])


def test_a_key_that_equals_another_one_is_another_key_all_the_same() -> None:
    mirror = Mirror()
    mirror.apply({"rows": [[0, "state", None, ["a"], [[1]]], [1, "dict", None, [1], ["x"]]]})
    assert {name: decode(form) for name, form in mirror.changes().items()} == {"a": {1: "x"}}
    mirror.apply({"splices": [[1, 0, 1, ["x"], [True]]]})
    [form] = mirror.changes().values()
    assert isinstance(form, bytes)
    assert [type(key) for key in decode(form)] == [bool]


def test_an_atom_that_is_no_more_is_told_once_whatever_came_in_its_place() -> None:
    mirror = Mirror()
    mirror.apply({"rows": [[0, "state", None, ["a", "b"], [1, 2]]]})
    assert set(mirror.changes()) == {"a", "b"}
    mirror.apply({"splices": [[0, 1, 1, [2], ["c"]]]})
    assert mirror.changes().keys() == {"b", "c"}
    mirror.apply({"splices": [[0, 0, 1, [5], ["a"]]]})
    assert mirror.changes().keys() == {"a"}
