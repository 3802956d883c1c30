"""Process, thread, task and context variables of each call: told where they change, known for every entry."""

from __future__ import annotations

import asyncio
import json
import os
import threading
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import pytest

from unspool import Recorder, open_history
from unspool.errors import ConfigError
from unspool.history.history import Contexts
from unspool.model.entries import CONTEXT, SAME
from unspool.store.compacting import compact
from unspool_tui.cli import run

request: ContextVar[Any] = ContextVar("request")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "x.unspool"


def told(path: Path, *, backwards: bool = False) -> list[dict[str, Any] | None]:
    with open_history(path) as history:
        found = []
        for seq in reversed(range(len(history))) if backwards else range(len(history)):
            # One that remembers nothing, and one that goes along.
            known = Contexts(history).of(history[seq])
            found.append(None if known is None else dict(known))
        contexts = Contexts(history)
        assert [contexts.of(entry) for entry in history] == (found[::-1] if backwards else found)
        return found[::-1] if backwards else found


def test_what_does_not_change_is_told_once_and_known_everywhere(path: Path) -> None:
    with Recorder(path, context=True, on_error="raise") as recorder:
        for n in range(300):
            recorder.record({"n": n}, meta={"mine": n} if n % 7 == 0 else None)
            if n % 10 == 0:
                recorder.note("here")
    here = {"pid": os.getpid(), "thread": "MainThread"}
    assert told(path) == [here] * 330
    assert told(path, backwards=True) == [here] * 330
    with open_history(path) as history:
        stated = [entry.seq for entry in history if entry.meta[CONTEXT] is not SAME]
        assert stated == [0, 64, 128, 192, 256, 320]
        assert history[7].meta.get("mine") is None or history[7].meta["mine"] >= 0
    compact(path, path.with_name("small.unspool"))
    assert told(path.with_name("small.unspool")) == [here] * 330


def test_threads_tasks_and_variables(path: Path) -> None:
    with Recorder(path, context={"request": request}, on_error="raise") as recorder:
        recorder.record({"n": 0})
        thread = threading.Thread(target=lambda: recorder.record({"n": 1}), name="worker-7")
        thread.start()
        thread.join()

        async def serve(name: str) -> None:
            request.set(name)
            await asyncio.sleep(0)
            recorder.note("in a task")

        async def both() -> None:
            await asyncio.gather(*(asyncio.create_task(serve(name), name=f"task {name}") for name in "ab"))

        asyncio.run(both())
    pid = os.getpid()
    assert told(path) == [
        {"pid": pid, "thread": "MainThread"},
        {"pid": pid, "thread": "worker-7"},
        {"pid": pid, "thread": "MainThread", "task": "task a", "request": "a"},
        {"pid": pid, "thread": "MainThread", "task": "task b", "request": "b"},
    ]


def test_values_that_are_equal_but_not_the_same_are_told_apart(path: Path) -> None:
    values: list[Any] = [1, True, 1.0, None, (1, [2]), (1, [2]), (True, [2])]
    with Recorder(path, context={"request": request}, on_error="raise") as recorder:
        for value in values:
            token = request.set(value)
            recorder.note("x")
            request.reset(token)
        recorder.note("not set")
    kept = [entry and entry.get("request", "unset") for entry in told(path)]
    assert [(type(one), one) for one in kept] == [(type(one), one) for one in [*values, "unset"]]


def test_a_recorder_without_it_says_nothing_of_its_entries(path: Path) -> None:
    with Recorder(path, context=True, on_error="raise") as recorder:
        recorder.record({"n": 0})
    with Recorder(path, on_error="raise") as recorder:
        recorder.record({"n": 1})
    with Recorder(path, context=True, on_error="raise") as recorder:
        recorder.record({"n": 2})
    assert [found is not None for found in told(path)] == [True, False, True]


def test_a_forked_child_has_its_own_number(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "run-%p.unspool", context=True, children="own", on_error="raise")
    recorder.record({"n": 0})
    child = os.fork()
    if not child:
        recorder.record({"n": 1})
        recorder.close()
        os._exit(0)
    os.waitpid(child, 0)
    recorder.close()
    (found,) = told(tmp_path / f"run-{child}.unspool")
    assert found is not None
    assert found["pid"] == child


def test_secrets_are_left_out(path: Path) -> None:
    token = request.set({"user": "ada", "password": "hunter22"})
    with Recorder(path, context={"request": request}, redact=["password"], on_error="raise") as recorder:
        recorder.record({"n": 0})
        recorder.record({"n": 1})
    request.reset(token)
    assert b"hunter22" not in path.read_bytes()
    assert [found and found["request"] for found in told(path)] == [{"user": "ada", "password": "[redacted]"}] * 2


@pytest.mark.parametrize("context", [{"pid": request}, {"request": "r1"}, {3: request}])
def test_what_is_no_variable_is_refused(path: Path, context: Any) -> None:
    with pytest.raises(ConfigError, match="context variables"):
        Recorder(path, context=context, on_error="raise")


def test_log_tells_it_apart_from_the_meta(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Recorder(path, context=True, on_error="raise") as recorder:
        for n in range(3):
            recorder.record({"n": n}, meta={"mine": n})
    assert run(["log", str(path), "--json", "-n", "1"]) == 0
    row = json.loads(capsys.readouterr().out)
    assert row["meta"] == {"mine": 2}
    assert row["context"] == {"pid": os.getpid(), "thread": "MainThread"}
