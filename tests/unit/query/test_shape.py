"""`shape`: the skeleton of a state, held against the states themselves, and what it says of what it did not look at."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from question_histories import tell

from support.values import json_values
from unspool.errors import PathNotFound
from unspool.history import History
from unspool.model.keys import Path
from unspool.query import shape as module
from unspool.query.shape import Place, Shape, shape
from unspool.query.shape import tell as told_in_a_line
from unspool.recorder import Recorder
from unspool.store import MemoryStore


def shaped(states: list[dict[str, Any]], path: Path = (), at: int | None = None, **options: Any) -> Shape:
    return shape(tell(states).history, path, at, **options)


def line(states: list[dict[str, Any]], path: Path, at: int | None = None) -> str:
    return told_in_a_line(shaped(states, path, at).place, str(path[-1]))


class Mood(Enum):
    GOOD = 1
    BAD = 2


@dataclass
class Cart:
    total: float
    owner: str


GAME = [
    {
        "enemies": [
            {"id": f"e{n}", "kind": "orc" if n % 2 else "bat", "hp": 3 + n, "pos": [n, 9]} for n in range(count)
        ],
        "mood": Mood.GOOD if count else Mood.BAD,
        "cart": Cart(1.5 * count, "ada"),
        "sale": None if count < 3 else {"percent": count},
        "grid": {(x, 1): x for x in range(count)},
        "words": {f"word {n}": n for n in range(count * 30)},
        "stock": {name: {"left": count, "price": 2.5} for name in ("pen", "cup", "tea")},
    }
    for count in (0, 1, 7, 3)
]


@pytest.mark.parametrize(
    ("path", "told"),
    [
        (("enemies",), 'enemies[] 0..7 {id text, kind text "bat"|"orc", hp int 3..9, pos[2] int 0..9}'),
        (("mood",), "mood Mood BAD|GOOD"), (("sale",), "sale null | {percent int 3..7}"), (("words",), "words {0..210 keys: int 0..209}"),
        (("stock",), "stock {3 keys: {left int 0..7, price float 2.5}}"), (("grid",), "grid {0..7 keys: int 0..6}"),
        (("enemies", 0, "pos"), "pos[2] int 0..9"), (("enemies", 0, "hp"), "hp int 3"),
    ],
)  # fmt: skip
def test_what_a_state_is_made_of(path: Path, told: str) -> None:
    assert line(GAME, path) == told


def test_objects_of_a_class_have_its_name() -> None:
    assert 'Cart {total float 0.0..10.5, owner text "ada"}' in line(GAME, ("cart",))


def test_at_an_entry_it_is_that_state_alone() -> None:
    assert line(GAME, ("enemies",), 3) == 'enemies[3] {id text, kind text "bat"|"orc", hp int 3..5, pos[2] int 0..9}'
    assert line(GAME, ("enemies",), 0) == "enemies[] 0"


def test_fields_that_not_every_record_has_are_marked() -> None:
    states = [{"rows": [{"id": 1}, {"id": 2, "note": "x"}]}, {"rows": [], "late": 1}]
    assert told_in_a_line(shaped(states).place) == '{rows[] 0..2 {id int 1..2, note? text "x"}, late? int 1}'


def test_what_stands_nowhere_is_refused() -> None:
    with pytest.raises(PathNotFound, match="has nothing at"):
        shaped(GAME, ("enemiez",))
    assert shaped(GAME, ("sale", "percent")).place.kinds["int"].least == 3


def check(place: Place, values: list[Any]) -> None:
    """Hold a place against all values that stood there."""
    for kind, types in (("int", int), ("float", float), ("text", str), ("list", list), ("object", dict)):
        mine = [value for value in values if isinstance(value, types) and not isinstance(value, bool)]
        tally = place.kinds.get(kind)
        assert (tally is not None) is bool(mine)
        sizes = [value if kind in ("int", "float") else len(value) for value in mine]
        sizes = [size for size in sizes if not (isinstance(size, float) and math.isnan(size))]
        if tally is None:
            continue
        if sizes:
            assert (tally.least, tally.most) == (min(sizes), max(sizes))
        if kind == "list" and tally.each is not None:
            check(tally.each, [item for value in mine for item in value])
        if kind == "object" and tally.each is not None:
            check(tally.each, [item for value in mine for item in value.values()])
        elif kind == "object":
            names = {name for value in mine for name in value}
            assert set(tally.fields) == names
            for name in names:
                assert (tally.had[name] < tally.count) is any(name not in value for value in mine)
                check(tally.fields[name], [value[name] for value in mine if name in value])


@given(st.lists(json_values, min_size=1, max_size=5))
def test_it_tells_of_every_value_that_stood_there(values: list[Any]) -> None:
    found = shaped([{"a": value} for value in values], ("a",))
    versions = [value for place, value in enumerate(values) if not place or repr(values[place - 1]) != repr(value)]
    assert found.complete
    check(found.place, versions)


def test_a_long_history_is_sampled_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    states = [{"n": n} for n in range(50)]
    monkeypatch.setattr(module, "_MOST_ENTRIES", 10)
    found = shaped(states)
    assert (found.looked_at, found.complete) == (10, False)
    assert found.stopped == "10 of 50 entries were sampled, evenly"
    assert told_in_a_line(found.place) == "{n int 0..49}"


@pytest.mark.parametrize(
    ("name", "bound", "said"), [("_SECONDS", 0.0, "seconds"), ("_MOST_VALUES", 600, "values were looked at")]
)
def test_a_large_one_is_bounded_and_says_so(
    monkeypatch: pytest.MonkeyPatch, name: str, bound: float, said: str
) -> None:
    monkeypatch.setattr(module, name, bound)
    found = shaped([{"rows": list(range(n, n + 400))} for n in range(20)])
    assert not found.complete
    assert said in found.stopped


def test_it_ends_when_it_is_told_to_and_steps_over_nothing_in_silence() -> None:
    found = shaped(GAME, cancelled=lambda: True)
    assert (found.looked_at, found.complete, found.stopped) == (0, False, "it was interrupted")


def test_a_value_of_any_depth_has_a_shape() -> None:
    deep: Any = 1
    for _ in range(500):
        deep = [deep]
    assert shaped([{"deep": deep}], ("deep",)).complete


def test_a_path_that_never_was_is_refused_with_what_there_is_now() -> None:
    store = MemoryStore()
    with Recorder(store) as recorder:
        recorder.record({"a": 1})
        recorder.record({"a": 1, "late": {"qty": 3}})
    history = History(store)
    assert told_in_a_line(shape(history, ("late", "qty")).place) == "int 3"
    with pytest.raises(PathNotFound, match=r"entry 1 has nothing.*has 'qty'"):
        shape(history, ("late", "qyt"))
