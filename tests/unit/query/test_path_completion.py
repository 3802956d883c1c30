"""Paths that are offered while one is typed lead somewhere, and begin with what is typed."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.examples import examples
from unspool import Recorder, open_history
from unspool.history.history import StateView
from unspool.model.encoding import encode
from unspool.model.keys import format_path
from unspool.model.paths import child_of, parse_path
from unspool.query.entry_names import MOST, completions, expression_completions

STATE: dict[str, Any] = {
    "cart": {"items": [{"qty": 1, "a b": 2}, {"qty": 3}], "total": 4, "it.s": {"x": 1}},
    "cartoon": 1, "odd key": {"é": 1}, "grid": {(1, 2): {"v": 1}, 7: "n", dt.date(2026, 1, 2): 5}, "n": 3,
}  # fmt: skip


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StateView]:
    path: Path = tmp_path_factory.mktemp("completion") / "a.unspool"
    with Recorder(path) as recorder:
        recorder.record(STATE)
    with open_history(path) as history:
        yield history.view(0)


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("", ["cart", "cartoon", '["odd key"]', "grid", "n"]),
        ("ca", ["cart", "cartoon"]),
        ("$.ca", ["$.cart", "$.cartoon"]),
        ("cart.", ["cart.items", "cart.total"]),
        ("cart.it", ["cart.items"]),
        ("cart[", ['cart["it.s"]']),
        ('cart["it.', ['cart["it.s"]']),
        ('cart["it.s"].', ['cart["it.s"].x']),
        ("cart.items[", ["cart.items[0]", "cart.items[1]"]),
        ("cart.items[-1].", ["cart.items[-1].qty"]),
        ("cart.items[0][", ['cart.items[0]["a b"]']),
        ("[", ['["odd key"]']),
        ('["odd key"].', ['["odd key"].é']),
        ("grid[", ["grid[(1, 2)]", "grid[7]", "grid[2026-01-02]"]),
        ("grid[(1,", ["grid[(1, 2)]"]),
        ("grid[(1, 2)].", ["grid[(1, 2)].v"]),
        ("n.", []), ("nothing.", []), ("cart.items[9].", []), ("/cart", []), ("x" * 5_000, []), ("[[[[", []),
    ],
)  # fmt: skip
def test_a_path_goes_on_with_what_is_below_it(state: StateView, typed: str, offered: list[str]) -> None:
    assert sorted(completions(state, typed)) == sorted(offered)


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("cart.total > 3 && car", ["cart.total > 3 && cart", "cart.total > 3 && cartoon"]),
        ("length(cart.it", ["length(cart.items"]),
        ("cart.items[0].", ["cart.items[0].qty"]),
        ("n == 'ca", []),
        ('cart.total > 1 && "od', []),
    ],
)
def test_an_expression_goes_on_with_paths_that_jmespath_reads(
    state: StateView, typed: str, offered: list[str]
) -> None:
    assert sorted(expression_completions(state, typed)) == sorted(offered)


KEYS = st.text(max_size=6) | st.integers(-9, 9) | st.booleans() | st.tuples(st.integers(0, 2), st.text(max_size=2))
VALUES = st.recursive(
    st.integers(), lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3), max_leaves=8
)


@settings(max_examples=examples(60))
@given(st.dictionaries(st.text(min_size=1, max_size=6), VALUES, min_size=1, max_size=4), st.data())
def test_every_value_is_reached_by_taking_what_is_offered(atoms: dict[str, Any], data: st.DataObject) -> None:
    state = StateView(0, {name: encode(value) for name, value in atoms.items()})
    path = next(iter(completions(state, "")))
    form: bytes | None = None
    while True:
        steps = parse_path(path)
        atom, *rest = steps
        form = state.encoded(str(atom))
        for step in rest:
            found = child_of(form, step)
            assert found is not None
            form = found[1]
        offered = [p for p in (*completions(state, path + "."), *completions(state, path + "[")) if p != path]
        assert all(child.startswith(path) and len(parse_path(child)) == len(steps) + 1 for child in offered)
        if not offered:
            break
        path = data.draw(st.sampled_from(offered))
    assert format_path(parse_path(path), root="") == path


def test_what_is_offered_is_bounded() -> None:
    state = StateView(0, {"rows": encode({f"k{n}": n for n in range(50_000)}), "list": encode(list(range(50_000)))})
    assert len(completions(state, "rows.")) == MOST
    assert len(completions(state, "list[")) == MOST
    assert completions(state, "rows." * 300) == []
