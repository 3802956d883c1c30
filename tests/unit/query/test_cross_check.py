"""DeepDiff, another library, judges our differences; where it disagrees the doctor says so."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings

from support.examples import examples
from support.values import values
from unspool.errors import CorruptHistory
from unspool.history import History
from unspool.history.diff import Change, Diff
from unspool.query.compare import cross_check
from unspool.recorder import Recorder
from unspool.store import MemoryStore
from unspool_tui.cli import run


@settings(max_examples=examples(60))
@given(values, values, values)
def test_the_two_agree_about_any_values(first: Any, second: Any, third: Any) -> None:
    store = MemoryStore("any.unspool")
    with Recorder(store, on_error="raise") as recorder:
        recorder.record({"a": first, "same": second})
        recorder.record({"a": second, "same": second})
        recorder.record({"b": third, "same": second})
    found = cross_check(History(store), 10)
    assert (found.judged, found.disagreements) == (3, [])
    assert found.agrees


def test_a_wrong_difference_is_disputed(monkeypatch: pytest.MonkeyPatch) -> None:
    store = MemoryStore("wrong.unspool")
    with Recorder(store, on_error="raise") as recorder:
        recorder.record({"a": [1, 2, 3], "b": 1})
        recorder.record({"a": [1, 9, 3, 4], "b": 1})
    monkeypatch.setattr(Change, "ops", property(lambda self: ()))
    found = cross_check(History(store), 10)
    assert not found.agrees
    assert [(one.seq, one.atom) for one in found.disagreements] == [(1, "a")]
    assert "gives something else" in found.disagreements[0].message


def test_a_sample_is_the_same_each_time() -> None:
    store = MemoryStore("long.unspool")
    with Recorder(store, on_error="raise") as recorder:
        for number in range(200):
            recorder.record({"n": number, "rest": list(range(number % 7))})
    found = cross_check(History(store), 20)
    assert (found.asked, found.judged) == (20, 20)
    assert found.atoms == cross_check(History(store), 20).atoms
    assert not cross_check(History(store), 20, cancelled=lambda: True).complete


def test_what_was_not_judged_does_not_agree(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = str(tmp_path / "hurt.unspool")
    with Recorder(path, on_error="raise") as recorder:
        for number in range(3):
            recorder.record({"n": number})
    changes = History.changes

    def hurt(history: History, index: int) -> Diff:
        if index == 1:
            raise CorruptHistory("its record is damaged")
        return changes(history, index)

    monkeypatch.setattr(History, "changes", hurt)
    assert run(["doctor", path, "--cross-check", "5"]) == 1
    told = capsys.readouterr().out
    assert "2 of 3 steps held against DeepDiff" in told
    assert "all agree" not in told
    assert "entry 1 could not be judged: its record is damaged" in told


def test_the_commands(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = str(tmp_path / "shop.unspool")
    with Recorder(path, on_error="raise") as recorder:
        recorder.record({"cart": [{"sku": "tea"}], "total": 1})
        recorder.record({"cart": [{"sku": "tea"}, {"sku": "mug"}], "total": 2})
    assert run(["doctor", path, "--cross-check", "5"]) == 0
    assert "2 of 2 steps held against DeepDiff, 4 atoms compared: all agree" in capsys.readouterr().out
    assert run(["doctor", path, "--cross-check", "5", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["cross_check"]["agrees"] is True
    assert run(["diff", path, "1", "--deepdiff"]) == 0
    assert json.loads(capsys.readouterr().out)["values_changed"] == {"root['total']": {"new_value": 2}}


def test_a_step_of_one_part_is_judged_against_what_it_follows() -> None:
    store = MemoryStore("parts.unspool")
    with Recorder(store, on_error="raise") as recorder:
        recorder.record({"a": [1], "b": 1})
        recorder.record({"a": [1, 2], "b": 1})
        recorder.record({"a": [1, 2], "b": 2})
        recorder.record({"a": [1, 9], "b": 2}, parent_seq=0, part=["a"])
    history = History(store)
    assert history[3].part is not None
    found = cross_check(history, 10)
    assert (found.judged, found.disagreements, found.unjudged) == (4, [], [])
