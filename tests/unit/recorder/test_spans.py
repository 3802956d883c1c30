"""More than whole states: some atoms, spans, traced calls, and what ends a program unhandled."""

from __future__ import annotations

import asyncio
import copy
import json
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextvars import copy_context
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import unspool
from support.examples import examples
from support.values import values
from unspool.errors import ConfigError, UnsupportedValue
from unspool.history import History
from unspool.model.entries import Entry, caller_of
from unspool.model.values import Tagged, Unrepresentable, strict_equal
from unspool.recorder import EntrySkipped, NoRunningLoop, Recorder
from unspool.recorder.redact import REDACTED
from unspool.store import FileStore, MemoryStore


class Latest:
    """A history as it is whenever it is looked at."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store

    def __len__(self) -> int:
        return len(self._store)

    def __getitem__(self, seq: int) -> Entry:
        return History(self._store)[seq]

    def __iter__(self) -> Iterator[Entry]:
        return iter(History(self._store))

    def __getattr__(self, name: str) -> Any:
        return getattr(History(self._store), name)


def recorder_of(**options: Any) -> tuple[Recorder, Latest]:
    store = MemoryStore()
    return Recorder(store, **{"on_error": "raise", **options}), Latest(store)


@given(st.data())
@settings(max_examples=examples(60), deadline=None)
def test_atoms_that_were_touched_are_recorded_as_if_all_were(data: st.DataObject) -> None:
    options = data.draw(st.sampled_from([{}, {"immutable": True}, {"codec": "none"}]))
    recorder, history = recorder_of(**options)
    state: dict[str, Any] = {}
    for number in range(data.draw(st.integers(1, 6))):
        touched = data.draw(st.dictionaries(st.sampled_from(["a", "b", "c", "long name"]), values, max_size=3))
        state = copy.deepcopy({**state, **touched})
        if data.draw(st.booleans()):
            assert recorder.update(touched, "some") == number
        else:
            assert recorder.record(state, "all") == number
        assert strict_equal(history.state(number), state)
    assert recorder.record(state) is not None
    assert history.changed_atoms(-1) == ()


def test_an_update_names_only_what_changed_and_obeys_the_rules_of_record() -> None:
    recorder, history = recorder_of(redact=["password"], on_error="ignore")
    recorder.record({"cart": {"n": 1}, "user": {"password": "hunter2-x"}, "big": list(range(1000))})
    assert recorder.update({"cart": {"n": 2}, "user": {"password": "other"}}, "add", meta={"k": 1}) == 1
    assert [atom for atom, _ in history.changed_atoms(1)] == ["cart"]
    assert history.state(1)["user"] == {"password": REDACTED}
    assert recorder.update(None) is None  # type: ignore[arg-type]
    assert recorder.update({1: 2}) is None  # type: ignore[dict-item]
    assert (recorder.skipped, len(history)) == (2, 2)


@given(
    st.lists(
        st.tuples(
            st.booleans(), st.dictionaries(st.sampled_from("abcde"), st.sampled_from([1, "tt", [], None]), max_size=3)
        ),
        max_size=12,
    ),
    st.booleans(),
)
@settings(max_examples=examples(150), deadline=None)
def test_updates_and_whole_states_take_turns(steps: list[tuple[bool, dict[str, Any]]], skip: bool) -> None:
    """None takes an atom away."""
    recorder, history = recorder_of(skip_unchanged=skip)
    state: dict[str, Any] = {}
    for is_part, touched in steps:
        state = {name: value for name, value in {**state, **touched}.items() if value is not None}
        if is_part:
            recorder.update({name: unspool.MISSING if value is None else value for name, value in touched.items()})
        else:
            recorder.record(state)
        assert recorder.last() == state
        assert len(history) == 0 or history.state(len(history) - 1) == state


def test_going_back_to_the_very_state_of_an_earlier_entry_is_no_repetition() -> None:
    recorder, history = recorder_of(skip_unchanged=True)
    recorder.record({"n": 1})
    recorder.record({"n": 2})
    assert recorder.record({"n": 1}, "undo", parent_seq=0) == 2
    assert recorder.record({"n": 1}) is None
    recorder.update({"m": 1})
    assert history.state(3) == {"n": 1, "m": 1}


def test_an_update_takes_atoms_away_and_may_follow_an_earlier_entry() -> None:
    recorder, history = recorder_of()
    recorder.record({"a": 1, "b": [2], "c": 3})
    recorder.update({"b": unspool.MISSING, "d": 4, "never": unspool.MISSING})
    assert history.state(-1) == {"a": 1, "c": 3, "d": 4} == recorder.last()
    assert {atom for atom, _ in history.changed_atoms(1)} == {"b", "d"}
    recorder.update({"a": 5, "c": unspool.MISSING})
    recorder.update({"a": 6, "d": unspool.MISSING}, parent_seq=1, part=["a", "d"])
    assert history.state(-1) == {"a": 6}
    assert history[-1].parent_seq == 1
    # Of the parts, only `a` and `d` follow entry 1; `c` follows entry 2, in which it went.
    assert {atom for atom, _ in history.changed_atoms(-1)} == {"a", "d"}
    recorder.record({"a": 7})
    assert history.state(-1) == {"a": 7}


def test_what_a_continued_file_ends_with_is_known(tmp_path: Path) -> None:
    with Recorder(tmp_path / "a.unspool", redact=["key"]) as recorder:
        assert recorder.last() == {}
        recorder.record({"a": {1: (2, 3)}, "key": "hunter2"})
        recorder.note("no state of its own")
    with Recorder(tmp_path / "a.unspool") as recorder:
        assert recorder.last() == {"a": {1: (2, 3)}, "key": REDACTED}
    assert recorder.last() == {"a": {1: (2, 3)}, "key": REDACTED}


def test_the_cost_of_an_update_does_not_follow_the_other_atoms() -> None:
    recorder, _ = recorder_of()
    recorder.record({"cart": {"n": 0}, **{f"big{number}": [{"id": n} for n in range(20_000)] for number in range(5)}})
    start = time.thread_time()
    for number in range(50):
        recorder.update({"cart": {"n": number}})
    updates = time.thread_time() - start
    start = time.thread_time()
    recorder.record({"cart": {"n": 0}, **{f"big{number}": [{"id": n} for n in range(20_000)] for number in range(5)}})
    assert updates / 50 < time.thread_time() - start


def test_a_state_may_be_asked_for() -> None:
    state = {"n": 0}
    recorder, history = recorder_of(state=lambda: state)
    state["n"] = 5
    assert recorder.record(action="asked") == 0
    assert recorder.record({"other": 1}) == 1
    assert [history.state(seq) for seq in (0, 1)] == [{"n": 5}, {"other": 1}]
    broken, history = recorder_of(state=lambda: {}["k"], on_error="warn")
    with pytest.warns(EntrySkipped, match="KeyError"):
        assert broken.record() is None
    none, _ = recorder_of(on_error="warn")
    with pytest.warns(EntrySkipped, match="a state is a dict"):
        assert none.record() is None


def test_a_span_is_one_entry_at_its_end() -> None:
    state = {"n": 0}
    recorder, history = recorder_of(state=lambda: state, caller=True)
    with recorder.action("outer", user=7):
        with recorder.action("checkout") as span:
            state["n"] = 1
            span.facts["items"] = 3
        state["n"] = 2
    assert [entry.action for entry in history] == ["checkout", "outer"]
    assert [history.state(seq)["n"] for seq in (0, 1)] == [1, 2]
    inner, outer = (history[seq].meta["span"] for seq in (0, 1))
    assert (inner["facts"], inner["within"], outer["facts"]) == ({"items": 3}, ["outer"], {"user": 7})
    assert "within" not in outer
    assert 0 <= inner["seconds"] <= outer["seconds"]
    assert inner["began_ns"] >= outer["began_ns"]
    found = caller_of(history[0].meta)
    assert found is not None
    assert found.function.endswith("test_a_span_is_one_entry_at_its_end")


def test_a_span_may_end_in_another_context_than_it_began_in() -> None:
    """As generators do that a framework drives: dependencies and fixtures that yield within one."""
    recorder, history = recorder_of()
    recorder.record({"n": 1})
    span = recorder.action("request")
    copy_context().run(span.__enter__)
    with recorder.action("other"):
        copy_context().run(span.__exit__, None, None, None)
        with recorder.action("inner"):
            pass
    assert [entry.action for entry in history] == ["", "request", "inner", "other"]
    assert [history[seq].meta["span"].get("within") for seq in (1, 2, 3)] == [None, ["other"], None]


def test_a_generator_that_ends_elsewhere_ends_its_span() -> None:
    recorder, history = recorder_of()

    async def within() -> AsyncIterator[int]:
        with recorder.action("request"):
            yield 1

    async def main() -> None:
        async for _ in within():
            break

    recorder.record({"n": 1})
    asyncio.run(main())
    assert [entry.action for entry in history] == ["", "request"]


def test_a_span_may_be_entered_again_and_within_itself() -> None:
    recorder, history = recorder_of()
    recorder.record({"n": 1})
    span = recorder.action("retry")
    with span, span:
        pass
    with span:
        pass
    span.__exit__(None, None, None)
    assert [history[seq].meta["span"].get("within") for seq in (1, 2, 3)] == [["retry"], None, None]


def test_a_recording_that_raises_leaves_the_hooks_of_the_app_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[object] = []
    monkeypatch.setattr(sys, "excepthook", lambda *told: heard.append(told))
    recorder = Recorder(MemoryStore(), on_error="raise", state=lambda: {"a": threading.Lock()})
    recorder.install(excepthook=True)
    error = ValueError("no")
    with pytest.raises(UnsupportedValue):
        sys.excepthook(ValueError, error, None)
    recorder.close()
    assert heard == [(ValueError, error, None)]


def test_a_span_notes_what_was_raised_and_lets_it_through() -> None:
    recorder, history = recorder_of()
    recorder.record({"n": 1})
    with pytest.raises(ValueError, match="no"), recorder.action("pay"):
        raise ValueError("no")
    assert history.state(1) == {"n": 1}
    assert history.changed_atoms(1) == ()
    meta = history[1].meta
    assert meta["state"] == "not taken"
    assert meta["exception"].type_name == "builtins.ValueError"
    assert meta["exception"].value["args"] == ("no",)


def test_traced_calls_keep_arguments_and_results() -> None:
    recorder, history = recorder_of(caller=True)

    @recorder.traced
    def divide(one: int, by: int = 1) -> float:
        """Divide."""
        return one / by

    @recorder.traced
    async def wait(for_what: str) -> str:
        await asyncio.sleep(0)
        return for_what * 2

    assert divide(6, by=4) == 1.5
    with pytest.raises(ZeroDivisionError):
        divide(1, by=0)
    assert asyncio.run(wait("x")) == "xx"
    assert (divide.__name__, divide.__doc__) == ("divide", "Divide.")
    calls = [entry.meta["call"] for entry in history]
    assert [(call["args"], call["kwargs"]) for call in calls] == [([6], {"by": 4}), ([1], {"by": 0}), (["x"], {})]
    assert (calls[0]["result"], calls[2]["result"]) == (1.5, "xx")
    assert calls[1]["raised"].type_name == "builtins.ZeroDivisionError"
    found = caller_of(history[0].meta)
    assert found is not None
    assert found.function.endswith("test_traced_calls_keep_arguments_and_results")


def test_arguments_are_kept_as_they_were_given() -> None:
    recorder, history = recorder_of(state=lambda: {"n": 1}, redact=["token"])

    @recorder.traced
    def drain(items: list[int], token: str, *, seen: dict[str, int]) -> int:
        count = len(items)
        items.clear()
        seen["n"] = count
        return count

    @recorder.traced
    async def spoil(items: list[int]) -> None:
        items.append(7)
        raise ValueError("no")

    assert drain([1, 2], "hunter2", seen={}) == 2
    with pytest.raises(ValueError, match="no"):
        asyncio.run(spoil([1]))
    call = history[0].meta["call"]
    assert (call["args"], call["kwargs"], call["result"]) == ([[1, 2], REDACTED], {"seen": {}}, 2)
    assert history[1].meta["call"]["args"] == [[1]]


def test_a_long_text_beside_a_state_is_marked_as_all_else_that_is_long() -> None:
    recorder, history = recorder_of()
    recorder.record({"n": 1})
    recorder.note("sent", body="x" * 100_000, code=200)
    meta = history[1].meta
    assert isinstance(meta["body"], Unrepresentable)
    assert meta["code"] == 200


def test_what_accompanies_a_state_is_kept_short() -> None:
    recorder, history = recorder_of(on_error="ignore")
    traced = recorder.traced(len)
    traced([{"row": number} for number in range(100_000)])
    assert len(repr(history[0].meta)) < 100_000
    assert "more left out" in repr(history[0].meta)


CRASH = """
    import sys, threading
    from unspool import Recorder
    state = {"n": 0}
    recorder = Recorder(sys.argv[1], state=lambda: state)
    recorder.install(excepthook=True, threading=True)
    recorder.record()
    state["n"] = 1
    thread = threading.Thread(target=lambda: 1 / 0, name="worker")
    thread.start()
    thread.join()
    state["n"] = 2
    raise ValueError("the end")
"""


def test_the_state_at_the_crash_is_the_last_entry(tmp_path: Path) -> None:
    path = tmp_path / "crash.unspool"
    run = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(CRASH), str(path)], capture_output=True, text=True, check=False
    )
    assert run.returncode == 1
    assert "ValueError: the end" in run.stderr
    assert "ZeroDivisionError" in run.stderr
    with History(FileStore.open(path)) as history:
        assert [entry.action for entry in history] == [
            "",
            "uncaught ZeroDivisionError in worker",
            "uncaught ValueError in the program",
        ]
        assert history.state(-1) == {"n": 2}
        assert history[-1].meta["exception"].value["args"] == ("the end",)
        assert history[-1].meta["exception"].value["traceback"]


def test_hooks_are_taken_away_when_the_recorder_closes() -> None:
    before = (sys.excepthook, threading.excepthook)
    recorder, _ = recorder_of()
    recorder.install(excepthook=True, threading=True)
    assert sys.excepthook is not before[0]
    recorder.close()
    assert (sys.excepthook, threading.excepthook) == before


def test_tasks_that_nobody_awaits_are_recorded() -> None:
    recorder, history = recorder_of(state=lambda: {"n": 1})
    told: list[dict[str, Any]] = []

    async def fail() -> None:
        raise ValueError("lost")

    async def main() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
        recorder.install(asyncio=True)
        task = asyncio.ensure_future(fail())
        await asyncio.wait([task])
        del task

    asyncio.run(main())
    assert [entry.action for entry in history] == ["uncaught ValueError in a task"]
    assert len(told) == 1


@pytest.mark.parametrize("on_error", ["raise", "warn", "ignore"])
def test_without_a_running_loop_everything_else_is_installed(
    on_error: Any, monkeypatch: pytest.MonkeyPatch, recwarn: pytest.WarningsRecorder
) -> None:
    monkeypatch.setattr(sys, "excepthook", lambda *_: None)
    store = MemoryStore()
    recorder = Recorder(store, state=lambda: {"count": 1}, on_error=on_error)
    if on_error == "raise":
        with pytest.raises(ConfigError, match="running loop"):
            recorder.install(excepthook=True, asyncio=True)
    else:
        recorder.install(excepthook=True, asyncio=True)
        assert [warning.category for warning in recwarn] == ([NoRunningLoop] if on_error == "warn" else [])
    sys.excepthook(ValueError, ValueError("x"), None)
    assert [entry.action for entry in History(store)] == ["uncaught ValueError in the program"]
    recorder.close()


def test_lines_of_libraries_that_call_the_app_back_can_be_stepped_over(tmp_path: Path) -> None:
    recorder, history = recorder_of(caller=unspool.Caller(skip=["json"]))

    class Hooked(json.JSONEncoder):
        def default(self, o: Any) -> str:
            return "x"

    def hook(pairs: Any) -> Any:
        recorder.record({"n": len(history)}, stacklevel=2)
        return pairs

    json.loads('{"a": 1}', object_pairs_hook=hook)
    found = caller_of(history[0].meta)
    assert found is not None
    assert found.function.endswith("test_lines_of_libraries_that_call_the_app_back_can_be_stepped_over")
    with pytest.raises(ConfigError, match="skip names modules"):
        unspool.Caller(skip=[1])  # type: ignore[list-item]


def test_objects_in_facts_are_kept_as_in_states() -> None:
    recorder, history = recorder_of()
    with recorder.action("x", where=Path("/a"), who=threading.current_thread().name, odd={1: (2,)}):
        pass
    facts = history[0].meta["span"]["facts"]
    assert facts == {"where": Path("/a"), "who": "MainThread", "odd": {1: (2,)}}
    assert not isinstance(facts["odd"], Tagged)
