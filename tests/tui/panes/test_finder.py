"""Finding names by a few letters."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unspool_tui.panes.names import Closeness, NameIndex

NAMES = ["carts.ada.total", "total", "subtotal", "till.total_today", "Theme", "orders", "carts"]
HOSTILE = st.text(st.characters(codec="utf-8") | st.sampled_from("\n\r\x00\x1b[]*+.^$\\-\u202eİß"), max_size=40)


STEPS = st.text("abcdeXYZ", min_size=1, max_size=8)


def found(names: list[str], query: str) -> list[str]:
    return [names[match.row] for match in NameIndex(names).find(query, 10)]


def found_paths(names: list[str], query: str, ages: dict[str, int] | None = None) -> list[str]:
    given = [(ages or {}).get(name, 0) for name in names]
    return [names[match.row] for match in NameIndex(names, ages=given).find(query, len(names))]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("total", ["total", "carts.ada.total", "till.total_today", "subtotal"]),
        ("THEME", ["Theme"]),
        ("tto", ["carts.ada.total", "till.total_today"]),
        ("ada car", ["carts.ada.total"]),
        ("cat", ["carts.ada.total", "carts"]),
        ("zebra", []),
        ("  ", []),
    ],
)
def test_the_closest_name_comes_first(query: str, expected: list[str]) -> None:
    assert found(NAMES, query) == expected


def test_an_exact_name_is_found_behind_thousands_that_only_hold_it() -> None:
    names = [f"customer_{number}" for number in range(50_000)] + ["customer"]
    assert NameIndex(names).find("customer", 5)[0] == (Closeness.EXACT, 0, 8, 50_000)


@given(st.lists(HOSTILE, max_size=12), HOSTILE)
def test_any_name_and_any_letters_are_only_text(names: list[str], query: str) -> None:
    index = NameIndex(names)
    rows = [match.row for match in index.find(query, 100)]
    assert len(index) == len(names)
    assert len(set(rows)) == len(rows)
    assert all(0 <= row < len(names) for row in rows)


@given(st.lists(st.text("abc._[]0", min_size=1, max_size=12), min_size=1, max_size=8), st.data())
def test_every_name_is_found_by_itself_and_by_some_of_its_letters(names: list[str], data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(names))
    assert found(names, name)[0] == name
    kept = data.draw(st.lists(st.sampled_from(range(len(name))), min_size=1, unique=True).map(sorted))
    assert name in [names[m.row] for m in NameIndex(names).find("".join(name[at] for at in kept), len(names))]


@given(st.lists(st.lists(STEPS, min_size=2, max_size=6), min_size=1, max_size=20), st.data())
def test_two_letters_lead_to_a_path_with_these_initials_however_deep_it_is(
    paths: list[list[str]], data: st.DataObject
) -> None:
    wanted = data.draw(st.sampled_from(paths))
    query = "".join(step[0] for step in wanted[-2:])
    alike = [".".join(path) for path in paths if "".join(step[0] for step in path[-2:]).lower() == query.lower()]
    first, *_ = answer = found_paths([".".join(path) for path in paths], query)
    assert ".".join(wanted) in answer
    assert first in alike or first.lower() == query.lower()
    # Where several are alike the one that changed last is meant.
    assert found_paths(alike, query, {name: name != ".".join(wanted) for name in alike})[0] == ".".join(wanted)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("at", "carts.ada.total"),
        ("adt", "carts.ada.total"),
        ("adto", "carts.ada.total"),
        ("cat", "carts.ada.total"),
        ("o1t", "orders[1].total"),
        ("1t", "orders[1].total"),
        ("ow", 'orders[0]["odd name"].who'),
        ("total", "carts.ada.total"),
        ("attr", "attributes.at_rest"),
    ],
)
def test_paths_are_found_by_how_their_steps_begin(query: str, expected: str) -> None:
    names = [
        "carts.ada.total", "orders[1].total", 'orders[0]["odd name"].who', "attributes.at_rest", "bat.cat.tab"
    ]  # fmt: skip
    assert found_paths(names, query)[0] == expected


@pytest.mark.parametrize("letters", ["a" * 5 + "b", "aaaab", "aaaaaaaa", "a.a.a"])
def test_names_that_repeat_themselves_are_not_tried_for_ever(letters: str) -> None:
    names = [".".join(["aaaa"] * 60)] * 300
    NameIndex(names, ages=[0] * 300).find(letters, 100)
