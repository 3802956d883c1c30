"""Python that is taken along: tests of a change that run, and the lines that open a value."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hostile_texts import HOSTILE_TEXTS
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from shop_files import record
from tui_driver import drive, make_app, open_file

from unspool.history.history import History
from unspool.recorder.recorder import Recorder
from unspool.store.memory import MemoryStore
from unspool_tui.copying import MOST_CHARACTERS, NoTest, change_test
from unspool_tui.demo_app import run_at_once
from unspool_tui.panes.detail import Decoded, DetailRequest, load_detail
from unspool_tui.view.model import SearchState, View

Path_ = tuple[Any, ...]


def copied(
    history: History, head: int, selected: Path_ = (), *, asked: str = "", watches: tuple[str, ...] = ()
) -> str:
    """Return the test that is copied at an entry."""
    detail = load_detail(history, Decoded(), DetailRequest(head, None, len(history)))
    view = View(total=len(history), head=head, selected=selected, watches=watches)
    return change_test(history, replace(view, search=SearchState(f"? {asked}" if asked else "")), detail)


def run(text: str) -> None:
    """Run a copied test as pytest would, in this process."""
    ast.parse(text)
    namespace: dict[str, Any] = {}
    exec(compile(text.replace("@pytest.fixture\n", ""), "copied", "exec"), namespace)
    (name,) = (name for name in namespace if name.startswith("test_"))
    namespace[name](namespace["state"]())


def history_of(*states: dict[str, Any], actions: tuple[str, ...] = ()) -> History:
    """Return a history of some states in memory."""
    store = MemoryStore()
    with Recorder(store) as recorder:
        for number, state in enumerate(states):
            recorder.record(state, actions[number] if number < len(actions) else "step", timestamp_ns=10**18)
    return History(store)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shop of the story, with its mistake."""
    path = tmp_path_factory.mktemp("story") / "shop.unspool"
    run_at_once(str(path), rate=5.0, steps=120, seed=0, bug=True)
    return path


async def test_the_copy_menu_copies_a_test_of_the_change(shop: Path, clipboard: list[str]) -> None:
    async with drive(make_app(open_file(shop), at=94)) as driver:
        main = driver.app.main
        main.apply(replace(main.view, selected=("carts", "ada", "total")))
        await driver.press("y", "t")
    assert clipboard == [copied(open_file(shop), 94, ("carts", "ada", "total"))]


def test_the_test_of_the_story_passes_under_pytest(shop: Path, tmp_path: Path) -> None:
    text = copied(open_file(shop), 94, ("carts", "ada", "total"))
    assert "def test_ada_puts_tea_back(state):" in text
    assert "assert state['carts']['ada']['total'] == 49.55" in text
    assert "assert state['carts']['ada']['total'] == 37.05\n    change(state)\n" in text
    # What else it changed is held too: the thing that went back to its shelf.
    assert re.search(
        r"change\(state\)\n(    assert .*\n)*    assert state\['stock'\]\['tea'\]\['left'\] == \d+\n", text
    )
    assert "demo_bug.py:19" in text
    (tmp_path / "test_copied.py").write_text(text, "utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_copied.py"]
    alone = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    done = subprocess.run(command, cwd=tmp_path, env=alone, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_a_question_is_asserted_before_and_after(shop: Path) -> None:
    text = copied(open_file(shop), 99, asked="orders[?total > sum(items[].amount)]")
    assert "assert not QUESTION.ask_values(state).holds\n    change(state)\n    assert QUESTION" in text
    run(text)


def test_a_watch_that_the_change_makes_fail_is_asserted(shop: Path) -> None:
    watches = ("$.till", "length(orders) > `0`", "orders[?total > sum(items[].amount)]")
    text = copied(open_file(shop), 99, watches=watches)
    assert f"QUESTION = Expression({watches[2]!r})" in text
    run(text)


def test_what_another_question_asked_is_not_asserted(shop: Path) -> None:
    text = copied(open_file(shop), 94, asked="settings.currency == 'EUR'")
    assert "QUESTION" not in text
    run(text)


@pytest.mark.parametrize("selected", [(), ("gone",), ("rows", 1, "qty"), ("rows",), ("flag",), ("n", "deep", "x")])
def test_whatever_is_selected_the_test_holds(selected: Path_) -> None:
    old = {"rows": [{"id": 1, "qty": 1}, {"id": 2, "qty": 2}], "gone": 1, "flag": False, "n": {"deep": {"x": 1}}}
    new = {"rows": [{"id": 2, "qty": 3}, {"id": 3, "qty": 9}], "flag": True, "n": {}, "late": {"a": [float("nan")]}}
    history = history_of(old, new)
    run(copied(history, 1, selected))
    run(copied(history, 0, selected))


def test_of_a_large_atom_only_what_is_touched_stands_in_the_test() -> None:
    rows = [{"id": number, "name": f"row {number}", "qty": 1} for number in range(5_000)]
    changed = [*rows[:4_000], {**rows[4_000], "qty": 7}, *rows[4_001:]]
    text = copied(history_of({"rows": rows}, {"rows": changed}), 1, ("rows", 4_000, "qty"))
    assert len(text) < 1_000
    assert "*[None] * 4000" in text
    run(text)


def test_what_is_too_much_for_a_test_is_refused_with_a_way_out() -> None:
    history = history_of({"text": ""}, {"text": "x" * (MOST_CHARACTERS + 1)}, {"text": "x" * (MOST_CHARACTERS + 1)})
    with pytest.raises(NoTest, match="E exports"):
        copied(history, 1)
    with pytest.raises(NoTest, match="changed nothing"):
        copied(history, 2)


def test_a_number_of_thousands_of_digits_is_spelled_as_python_reads_it() -> None:
    run(copied(history_of({"n": 1}, {"n": 10**5_000}), 1))


def test_values_deeper_than_python_reads_are_refused() -> None:
    deep: Any = 1
    for _ in range(500):
        deep = [deep]
    with pytest.raises(NoTest, match="nested too deeply"):
        copied(history_of({"a": 1}, {"a": deep}), 1)


keys = st.one_of(st.sampled_from(HOSTILE_TEXTS), st.text(max_size=8))
leaves = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.sampled_from(HOSTILE_TEXTS), st.text(max_size=8),
    st.binary(max_size=4),
)  # fmt: skip
values = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=4), max_leaves=8
)
states = st.dictionaries(keys, values, max_size=4)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(states, states, st.sampled_from(HOSTILE_TEXTS), st.booleans())
def test_hostile_states_give_a_test_that_runs_and_holds(
    old: dict[str, Any], new: dict[str, Any], action: str, large: bool
) -> None:
    if large:
        old, new = {**old, "big": ["x" * 50] * 60}, {**new, "big": [*["x" * 50] * 30, old, *["x" * 50] * 29]}
    history = history_of(old, new, actions=("", action))
    try:
        text = copied(history, 1)
    except NoTest as refused:
        assert "changed nothing" in str(refused)
    else:
        run(text.encode("utf-8").decode())


async def test_the_lines_that_open_a_value_find_it(shop_file: Path, clipboard: list[str]) -> None:
    async with drive(make_app(open_file(shop_file), at=100)) as driver:
        main = driver.app.main
        main.apply(replace(main.view, selected=("catalog", "sku-3", "stock")))
        await driver.press("y", "c")
    namespace: dict[str, Any] = {}
    exec(clipboard[0], namespace)
    assert namespace["value"] == open_file(shop_file).value(100, "catalog")["sku-3"]["stock"]


async def test_a_key_that_is_no_text_is_refused(tmp_path: Path) -> None:
    path = record(tmp_path / "odd.unspool", [({"grid": {(1, 2): "x"}}, "start")])
    async with drive(make_app(open_file(path), at=0)) as driver:
        await driver.press("3", "l", "l", "y", "c")
        assert "y p copies its path" in driver.line(-1)
