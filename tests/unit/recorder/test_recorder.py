"""The recorder keeps what it is given, and never hurts its host."""

from __future__ import annotations

import copy
import math
import sqlite3
import subprocess
import sys
import textwrap
import threading
import time
from contextlib import closing
from decimal import Decimal
from enum import Enum, IntEnum
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.values import states
from unspool.errors import ConfigError, CorruptHistory, UnsupportedValue
from unspool.history import History
from unspool.model.tags import Unrepresentable
from unspool.model.values import strict_equal
from unspool.recorder import Recorder, ValueMarked
from unspool.store import FileStore, MemoryStore


def recorded(*given_states: Any, **options: Any) -> History:
    store = MemoryStore()
    recorder = Recorder(store, on_error="raise", **options)
    for state in given_states:
        recorder.record(state)
    return History(store)


@given(st.lists(states, min_size=1, max_size=8))
def test_what_is_recorded_reads_back_exactly(given_states: list[dict[str, Any]]) -> None:
    history = recorded(*given_states)
    for seq, state in enumerate(given_states):
        assert strict_equal(history.state(seq), state)


@given(states, st.data())
def test_mutable_state_is_safe(state: dict[str, Any], data: st.DataObject) -> None:
    store = MemoryStore()
    recorder = Recorder(store, on_error="raise")
    expected = []
    for _ in range(4):
        recorder.record(state)
        expected.append(copy.deepcopy(state))
        state["list"] = state.get("list", [])
        state["list"].append(data.draw(st.integers()))
        state["list"].insert(0, {"nested": [data.draw(st.text(max_size=3))]})
    history = History(store)
    assert all(strict_equal(history.state(seq), value) for seq, value in enumerate(expected))


PAIRS = [(1, True), (0, False), (1, 1.0), (0.0, -0.0), ([1], (1,)), ({1}, frozenset({1})), ("1", 1)]


@pytest.mark.parametrize(("one", "other"), PAIRS)
def test_a_change_of_type_alone_is_recorded(one: Any, other: Any) -> None:
    history = recorded(
        {"a": 0, "b": one}, {"a": 0, "b": other}, {"a": 0, "b": {"deep": [one]}}, {"a": 0, "b": {"deep": [other]}}
    )
    assert [len(history.changed_atoms(seq)) for seq in range(4)] == [2, 1, 1, 1]
    assert strict_equal(history.state(3), {"a": 0, "b": {"deep": [other]}})


def test_nan_and_key_order_are_no_changes() -> None:
    history = recorded({"a": {"x": 1, "y": [2]}, "n": math.nan}, {"n": math.inf - math.inf, "a": {"y": [2], "x": 1}})
    assert history.changed_atoms(1) == ()
    assert history.changes(1).changes == ()


def test_unchanged_states_are_entries_unless_asked_otherwise() -> None:
    assert len(recorded({"a": 1}, {"a": 1})) == 2
    assert len(recorded({"a": 1}, {"a": 1}, {"a": 2}, skip_unchanged=True)) == 2


def test_immutable_state_is_told_by_identity() -> None:
    shared = [1]
    history = recorded({"a": shared, "b": 1}, {"a": shared, "b": 2}, {"a": [1, 2], "b": 2}, immutable=True)
    assert [history.state(seq) for seq in range(3)] == [{"a": [1], "b": 1}, {"a": [1], "b": 2}, {"a": [1, 2], "b": 2}]


def test_immutable_state_that_could_not_be_stored_is_recorded_at_the_next_attempt() -> None:
    store = MemoryStore()
    recorder = Recorder(store, on_error="raise", immutable=True)
    recorder.record({"a": [1]})
    changed = {"a": [2]}
    with pytest.raises(ConfigError, match="fit 64 bits"):
        recorder.record(changed, timestamp_ns=2**70)
    recorder.record(changed)
    assert History(store).state(1) == {"a": [2]}


def test_a_time_that_is_no_whole_number_is_refused_and_damages_nothing(tmp_path: Path) -> None:
    path = tmp_path / "times.unspool"
    with Recorder(path, on_error="raise") as recorder:
        for moment in (1.5, time.time() * 1e9, "1", Decimal(1)):
            with pytest.raises(ConfigError, match="give whole nanoseconds"):
                recorder.record({"a": 1}, timestamp_ns=moment)  # type: ignore[arg-type]
        recorder.record({"a": 1}, timestamp_ns=True)
    by_seconds = Recorder(MemoryStore(), on_error="raise", clock=time.time)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="give whole nanoseconds"):
        by_seconds.record({"a": 1})
    with History(FileStore.open(path)) as history:
        assert [(entry.timestamp_ns, history.state(entry.seq)) for entry in history] == [(1, {"a": 1})]


class Step(str, Enum):  # noqa: UP042 - what many apps have, and no StrEnum
    """Shown as `Step.PAY`, and the text `pay` all the same."""

    PAY = "pay"


def test_actions_of_an_enumeration_are_the_texts_they_hold(tmp_path: Path) -> None:
    path = tmp_path / "actions.unspool"
    with Recorder(path, on_error="raise") as recorder:
        recorder.record({"a": 1}, Step.PAY, entry_id=Step.PAY)
        with pytest.raises(ConfigError, match="action is None; give a text"):
            recorder.record({"a": 2}, None)  # type: ignore[arg-type]
        with History(FileStore.open(path)) as live:
            assert (live[0].action, live[0].id) == ("pay", "pay")
    with History(FileStore.open(path)) as history:
        assert [(entry.action, history.state(entry.seq)) for entry in history] == [("pay", {"a": 1})]


class Place(IntEnum):
    FIRST = 0


def test_a_parent_may_be_any_integer_and_nothing_else() -> None:
    store = MemoryStore()
    recorder = Recorder(store, on_error="raise")
    for number in range(3):
        recorder.record({"a": number})
    recorder.record({"a": 3}, parent_seq=Place.FIRST)
    with pytest.raises(ConfigError, match="parent_seq is a str; give the number of an entry"):
        recorder.record({"a": 4}, parent_seq="0")  # type: ignore[arg-type]
    assert [(type(entry.parent_seq), entry.parent_seq) for entry in History(store)][3:] == [(int, 0)]


def test_a_recorder_that_cannot_begin_lets_go_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "damaged.unspool"
    with Recorder(path) as recorder:
        recorder.record({"a": 1})
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE block_data SET data = zeroblob(50)")
    for _ in range(2):
        with pytest.raises(CorruptHistory, match="damaged"):
            Recorder(path, on_error="raise")


def test_many_threads_record_into_one_history(tmp_path: Path) -> None:
    path = tmp_path / "threads.unspool"
    with Recorder(path, on_error="raise") as recorder:

        def work(number: int) -> None:
            for step in range(50):
                recorder.record({"thread": number, "step": step}, f"t{number}")

        threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    with History(FileStore.open(path)) as history:
        seen = [(history.state(seq)["thread"], history.state(seq)["step"]) for seq in range(len(history))]
    assert sorted(seen) == [(number, step) for number in range(4) for step in range(50)]
    for number in range(4):
        assert [step for who, step in seen if who == number] == list(range(50))


def test_on_error_raise_raises_and_goes_on() -> None:
    store = MemoryStore()
    recorder = Recorder(store, on_error="raise")
    recorder.record({"a": 1})
    with pytest.raises(UnsupportedValue, match=r"type object at \$\.b\.deep\[0\] cannot be recorded"):
        recorder.record({"a": 2, "b": {"deep": [object()]}})
    recorder.record({"a": 3})
    assert [History(store).state(seq) for seq in range(2)] == [{"a": 1}, {"a": 3}]


def test_an_unrepresentable_value_is_marked_and_the_rest_recorded() -> None:
    store = MemoryStore()
    with pytest.warns(ValueMarked, match=r"a marker in the place .*: \$\.b: a value of type object cannot be kept"):
        Recorder(store).record({"a": 1, "b": object()})
    state = History(store).state(0)
    assert state["a"] == 1
    assert isinstance(state["b"], Unrepresentable)
    assert state["b"].type_name == "builtins.object"


@pytest.mark.parametrize(
    "options", [{"strategy": "sometimes"}, {"codec": "zip"}, {"on_error": "panic"}, {"durability": "maybe"}]
)
def test_options_that_mean_nothing_are_refused(tmp_path: Path, options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        Recorder(tmp_path / "x.unspool", **{"on_error": "raise", **options})


def test_meta_ids_actions_and_times_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "meta.unspool"
    with Recorder(path, on_error="raise") as recorder:
        for n in range(130):
            recorder.record(
                {"n": n},
                f"act {n} \u202e\ud800",
                timestamp_ns=n - 5,
                meta={"user": (n,)} if n % 3 else None,
                entry_id=f"id{n}",
            )
    with History(FileStore.open(path)) as history:
        for n in (0, 1, 64, 129):
            entry = history[n]
            assert (entry.id, entry.timestamp_ns) == (f"id{n}", n - 5)
            assert entry.action.startswith(f"act {n} ")
            assert dict(entry.meta) == ({"user": (n,)} if n % 3 else {})


def test_an_app_that_just_ends_leaves_a_folded_file(tmp_path: Path) -> None:
    path = tmp_path / "exit.unspool"
    program = """
        import sys
        from unspool import Recorder
        recorder = Recorder(sys.argv[1])
        for n in range(10):
            recorder.record({"n": n})
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(program), str(path)], check=True)
    assert [item.name for item in tmp_path.iterdir()] == ["exit.unspool"]
    with History(FileStore.open(path)) as history:
        assert history.state(-1) == {"n": 9}


def test_the_public_names_load_lazily() -> None:
    program = "import sys, unspool; assert not [m for m in sys.modules if m.startswith('unspool.')]; unspool.Recorder"
    subprocess.run([sys.executable, "-c", program], check=True)
