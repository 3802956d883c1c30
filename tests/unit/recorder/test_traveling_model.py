"""Whatever an app and whoever looks at it do in turn: states, parents and counts are those of a plain model of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from support.examples import examples
from unspool import Recorder, open_history
from unspool.control import ControlClient, TravelRefused
from unspool.model.entries import passed_over_in

KEYS = st.sampled_from(["a", "b", "c"])
OPS = st.one_of(
    st.tuples(st.just("record"), KEYS),
    st.tuples(st.just("update"), KEYS),
    st.tuples(st.just("note")),
    st.tuples(st.just("jump"), st.integers(0, 30)),
    st.tuples(st.just("look"), st.integers(0, 30)),
    st.tuples(st.just("back")),
    st.tuples(st.just("pause")),
    st.tuples(st.just("resume")),
)


class Model:
    """What has to come out, kept as simply as possible."""

    def __init__(self) -> None:
        self.app: dict[str, int] = {}
        self.states: list[dict[str, int]] = []
        self.parents: list[int | None] = []
        self.passed: list[int] = []
        self.followed = -1
        self.pending: dict[str, int] = {}
        self.waiting = 0
        self.is_paused = self.is_looking = self.is_elsewhere = False
        self.came_from: int | None = None

    def put(self, state: dict[str, int], *, is_note: bool = False) -> None:
        self.states.append(dict(state))
        self.parents.append(None if self.followed < 0 else self.followed)
        self.passed.append(0 if is_note else self.waiting)
        self.waiting = self.waiting if is_note else 0
        self.followed = len(self.states) - 1
        self.is_elsewhere = False

    def record(self) -> None:
        if self.is_paused:
            self.waiting += 1
            return
        self.pending = {}
        self.put(self.app)

    def update(self, key: str) -> None:
        if self.is_paused:
            self.waiting += 1
            self.pending[key] = self.app[key]
            return
        base = self.states[self.followed] if self.followed >= 0 else {}
        self.put({**base, **self.pending, key: self.app[key]})
        self.pending = {}

    def note(self) -> None:
        if self.is_paused:
            self.waiting += 1
            return
        self.put(self.states[self.followed] if self.followed >= 0 else {}, is_note=True)

    def go(self, seq: int, *, look: bool) -> bool:
        went_on = not self.is_elsewhere and not self.is_looking
        if not self.is_elsewhere and self.pending and not self.is_paused:
            self.put({**self.states[self.followed], **self.pending})
            self.pending = {}
        if seq >= len(self.states):
            return False
        self.pending = {}
        origin, self.followed = self.followed, seq
        self.app = dict(self.states[seq])
        if self.came_from is None or went_on:
            self.came_from = origin
        self.is_elsewhere, self.is_looking = seq != len(self.states) - 1, look
        return True

    def back(self) -> bool:
        if self.came_from is None:
            return False
        came_from = self.came_from
        self.go(came_from, look=False)
        self.came_from = None
        return True


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("model")


@settings(max_examples=examples(100), deadline=None)
@given(ops=st.lists(OPS, max_size=25))
@example(ops=[("record", "a"), ("pause",), ("update", "b"), ("jump", 0), ("resume",), ("update", "c")])
@example(ops=[("record", "a"), ("look", 0), ("record", "b"), ("look", 1), ("back",), ("update", "c"), ("back",)])
@example(ops=[("record", "a"), ("pause",), ("update", "b"), ("resume",), ("jump", 0), ("note",), ("update", "c")])
def test_it_is_as_the_model_says(folder: Path, ops: list[tuple[Any, ...]]) -> None:
    file = folder / "model.unspool"
    file.unlink(missing_ok=True)
    model = Model()
    app: dict[str, int] = {}

    def go(state: dict[str, int], seq: int) -> None:
        app.clear()
        app.update(state)
        # What the app does while it is put back is no history.
        recorder.record(app, "on the way")

    count = 0
    with Recorder(file, on_travel=go, on_error="raise") as recorder:
        recorder.wake = recorder.poll
        with ControlClient(file) as client:
            app["a"] = model.app["a"] = 0
            recorder.record(app)
            model.record()
            for op in ops:
                count += 1
                match op:
                    case ("record", key):
                        app[key] = model.app[key] = count
                        recorder.record(app)
                        model.record()
                    case ("update", key):
                        app[key] = model.app[key] = count
                        recorder.update({key: app[key]})
                        model.update(key)
                    case ("note",):
                        recorder.note("hm")
                        model.note()
                    case ("pause",):
                        client.pause()
                        model.is_paused = True
                    case ("resume",):
                        client.resume()
                        model.is_paused = False
                    case ("back",):
                        assert _does(client.back) == model.back()
                    case (what, number):
                        # Now and then one that is not there.
                        seq = number % (len(model.states) + 1)
                        ask = client.look if what == "look" else client.jump
                        assert _does(lambda ask=ask, seq=seq: ask(seq)) == model.go(seq, look=what == "look")
                assert app == model.app
            assert recorder.followed == model.followed
            client.resume()
            model.is_paused = False
    if model.pending:
        model.put({**model.states[model.followed], **model.pending})
    with open_history(file) as history:
        entries = list(history)[: len(model.states)]
        assert [history.state(entry.seq) for entry in entries] == model.states
        assert [entry.parent_seq for entry in entries] == model.parents
        assert [passed_over_in(entry.meta) for entry in entries] == model.passed
        # A note at the end may say that calls were passed over.
        assert len(history) - len(entries) == (1 if model.waiting else 0)
        for entry in entries:
            history.changes(entry.seq)
        assert history.verdict.status == "complete"


def _does(ask: Any) -> bool:
    try:
        ask()
    except TravelRefused:
        return False
    return True
