"""A bound on the pace: what is passed over is counted, told by the history, and never the last word."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unspool import Recorder, open_history
from unspool.errors import ConfigError
from unspool.history import History
from unspool.model.entries import passed_over_in
from unspool.query.blame import blame
from unspool.recorder.writing import Pace
from unspool.store import MemoryStore
from unspool_tui.cli import run


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "x.unspool"


def passed(history: History) -> list[int]:
    return [passed_over_in(entry.meta) for entry in history]


@given(st.lists(st.floats(0.0, 0.5), min_size=1, max_size=200), st.floats(0.5, 1000))
def test_no_stretch_of_time_has_more_calls_than_asked_for(pauses: list[float], max_hz: float) -> None:
    now = 0.0
    pace = Pace(max_hz, None, lambda: now)
    admitted = []
    for pause in pauses:
        now += pause
        if pace.admits():
            admitted.append(now)
    for first in range(len(admitted)):
        for last in range(first, len(admitted)):
            assert last - first + 1 <= (admitted[last] - admitted[first]) * max_hz + 2 + 1e-6
    assert len(admitted) + pace.total == len(pauses)


def test_a_loop_of_that_very_rate_is_recorded_whole() -> None:
    now = 0.0
    pace = Pace(60, None, lambda: now)
    for frame in range(600):
        now = frame / 60 + (0.001 if frame % 2 else -0.001)
        pace.admits()
    assert pace.total <= 2


@given(st.lists(st.floats(0.0, 0.2), min_size=50, max_size=200), st.floats(0.01, 0.5))
def test_recording_takes_no_more_than_its_share(pauses: list[float], share: float) -> None:
    now = spent = 0.0
    pace = Pace(None, share, lambda: now)

    def call() -> int:
        nonlocal now, spent
        now += 0.01
        spent += 0.01
        return 0

    for pause in pauses:
        now += pause
        if pace.admits():
            pace.spend(call)
    assert spent <= share * now + 0.25 * share + 0.01 + 1e-6


def test_the_history_says_how_many_calls_were_passed_over(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Recorder(path, max_hz=0.001, caller=True, on_error="raise") as recorder:
        for n in range(10):
            recorder.record({"n": n})
        recorder.note("seen")
        recorder.record({"n": 10}, "kept", full=True)
        for n in range(11, 14):
            recorder.record({"n": n})
        assert recorder.passed_over == 11
        assert recorder.skipped == 0
    with open_history(path) as history:
        assert [entry.action for entry in history] == [
            "",
            "",
            "seen",
            "kept",
            "3 calls were passed over after this state",
        ]
        assert passed(history) == [0, 0, 0, 8, 3]
        assert history[-1].kind.value == "note"
        assert history.stats().passed_over == 11
        (value,) = blame(history).values
        assert (value.seq, value.passed_over) == (3, 8)
    assert run(["blame", str(path)]) == 0
    assert "(8 calls passed over before it)" in capsys.readouterr().out
    assert run(["stats", str(path)]) == 0
    assert "11 calls were passed over" in capsys.readouterr().out
    assert run(["log", str(path)]) == 0
    assert "kept (8 calls passed over before it)" in capsys.readouterr().out


def test_atoms_of_updates_that_were_passed_over_are_never_lost(path: Path) -> None:
    state: dict[str, Any] = {"a": 0, "b": 0, "c": 0}
    with Recorder(path, max_hz=0.001, on_error="raise") as recorder:
        recorder.record(state)
        recorder.update({"a": 1})
        recorder.update({"b": 2})
        recorder.update({"c": 3})
        recorder.update({"a": 9}, entry_id="mine")
        recorder.update({"b": 7})
    with open_history(path) as history:
        assert history.state(1) == {"a": 1, "b": 0, "c": 0}
        assert history.state(2) == {"a": 9, "b": 2, "c": 3}
        assert history.state(-1) == {"a": 9, "b": 7, "c": 3}
        assert passed(history) == [0, 0, 2, 1]


def test_a_refused_state_does_not_stand_for_the_updates_before_it(path: Path) -> None:
    with Recorder(path, max_hz=0.001, on_error="warn") as recorder:
        recorder.record({"a": 0, "b": 0})
        recorder.update({"a": 1})
        recorder.update({"b": 3})
        with pytest.warns(UserWarning, match="name of an atom"):
            recorder.record({5: "no name", "a": 2}, entry_id="mine")  # type: ignore[dict-item]
    with open_history(path) as history:
        assert history.state(-1) == {"a": 1, "b": 3}


def test_atoms_put_off_stay_on_the_line_that_is_left(path: Path) -> None:
    with Recorder(path, max_hz=0.001, on_error="raise") as recorder:
        recorder.record({"a": 0, "b": 0})
        recorder.update({"a": 1})
        recorder.update({"a": 2})
        recorder.update({"b": 5}, "back", parent_seq=0)
    with open_history(path) as history:
        assert history.state(2) == {"a": 2, "b": 0}
        assert history[3].parent_seq == 0
        assert history[3].action == "back"


def test_forks_spans_and_notes_are_never_passed_over(path: Path) -> None:
    with Recorder(path, max_hz=0.001, state=lambda: {"n": 5}, on_error="raise") as recorder:
        for n in range(4):
            recorder.record({"n": n})
        recorder.record({"n": 0}, "back", parent_seq=0)
        with recorder.action("span"):
            pass
        recorder.note("note")
    with open_history(path) as history:
        assert [entry.action for entry in history] == ["", "", "back", "span", "note"]
        assert passed(history) == [0, 0, 2, 0, 0]


def test_no_call_is_forgotten_among_threads(path: Path) -> None:
    with Recorder(path, max_hz=200, on_error="raise") as recorder:
        threads = [
            threading.Thread(target=lambda: [recorder.record({"n": n}) for n in range(2_000)]) for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    with open_history(path) as history:
        notes = history.stats().notes
        assert history.stats().passed_over == recorder.passed_over
        assert len(history) - notes + recorder.passed_over == 8_000
        assert recorder.passed_over > 1_000


def test_a_budget_is_kept_and_told() -> None:
    store = MemoryStore()
    with Recorder(store, budget="1%", on_error="raise") as recorder:
        for n in range(3_000):
            recorder.record({"rows": [{"n": n + row} for row in range(200)]})
    history = History(store)
    assert sum(passed(history)) == recorder.passed_over > 0


@pytest.mark.parametrize(
    "options", [{"max_hz": 0}, {"max_hz": "60"}, {"budget": "5"}, {"budget": "0%"}, {"budget": 2}, {"budget": True}]
)
def test_bounds_that_mean_nothing_are_refused(path: Path, options: Any) -> None:
    with pytest.raises(ConfigError, match="max_hz|budget"):
        Recorder(path, on_error="raise", **options)
