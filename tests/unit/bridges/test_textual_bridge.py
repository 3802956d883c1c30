"""Reactives of a real Textual app: each change an entry, its line that of the assignment."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
from textual.app import App
from textual.reactive import reactive
from textual.widgets import Static

from unspool.bridges.textual import record_reactives
from unspool.errors import ConfigError
from unspool.history import History
from unspool.model.entries import caller_of
from unspool.recorder import Recorder
from unspool.store import MemoryStore


class Counter(Static):
    clicks = reactive(0)
    log: reactive[list[str]] = reactive(list)
    doubled = reactive(0)

    def compute_doubled(self) -> int:
        return self.clicks * 2

    def validate_clicks(self, value: int) -> int:
        return min(value, 10)


class Counting(App[None]):
    mode = reactive("calm")

    def __init__(self, recorder: Recorder) -> None:
        super().__init__()
        self.recorder = recorder
        self.counter = Counter(id="counter")

    def compose(self) -> Any:
        yield self.counter

    def on_mount(self) -> None:
        record_reactives(self.recorder, self.counter)
        record_reactives(self.recorder, self, ["mode"], atom="app")

    def watch_mode(self, mode: str) -> None:
        if mode == "wild":
            self.counter.clicks = 99  # line of the watcher


def line_of(marker: str) -> int:
    lines = inspect.getsource(inspect.getmodule(Counting)).splitlines()  # type: ignore[arg-type]
    return next(number for number, line in enumerate(lines, 1) if line.endswith(marker))


async def test_each_change_is_an_entry_with_the_line_of_its_assignment() -> None:
    store = MemoryStore()
    app = Counting(Recorder(store, on_error="raise"))
    async with app.run_test():
        app.counter.clicks = 3  # line of the test
        app.counter.log.append("added")
        app.counter.mutate_reactive(Counter.log)
        app.mode = "wild"
        app.mode = "wild"
    history = History(store)
    assert [entry.action for entry in history] == [
        *("counter", "app", "counter.clicks", "counter.doubled"),
        *("counter.log", "counter.clicks", "counter.doubled", "app.mode"),
    ]
    assert history.state(1) == {"counter": {"clicks": 0, "log": []}, "app": {"mode": "calm"}}
    assert history.state(-1) == {"counter": {"clicks": 10, "log": ["added"], "doubled": 20}, "app": {"mode": "wild"}}
    places = [caller_of(history[seq].meta) for seq in (2, 5)]
    assert [place and place.line for place in places] == [
        line_of("# line of the test"),
        line_of("# line of the watcher"),
    ]
    assert all(place is not None and place.file.endswith("test_textual_bridge.py") for place in places)


async def test_nodes_of_one_class_have_atoms_of_their_own() -> None:
    store = MemoryStore()
    app = Counting(Recorder(store, on_error="raise"))
    async with app.run_test():
        first, second = Counter(), Counter()
        await app.mount(first, second)
        for counter in (first, second):
            record_reactives(app.recorder, counter)
        second.clicks = 2
        await first.remove()
        third = Counter()
        await app.mount(third)
        record_reactives(app.recorder, third)
        third.clicks = 3
        with pytest.raises(ConfigError, match="the atom 'app' is that of another Counting"):
            record_reactives(app.recorder, third, atom="app")
    state = History(store).state(-1)
    assert (state["Counter"]["clicks"], state["Counter 2"]["clicks"]) == (3, 2)


async def test_what_is_no_reactive_is_refused_by_name() -> None:
    app = Counting(Recorder(MemoryStore()))
    async with app.run_test():
        with pytest.raises(ConfigError, match="Counter has no reactive 'clocks'; it has .*clicks"):
            record_reactives(app.recorder, app.counter, ["clocks"])
        with pytest.raises(ConfigError, match="declares no reactive"):
            record_reactives(app.recorder, Static())
