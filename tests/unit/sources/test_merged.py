"""Several recordings as one timeline: by time, each with its own atoms, its own line and its own name in every answer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unspool import MISSING, Recorder, open_history
from unspool.errors import ConfigError, UnreadableSource
from unspool.model.entries import EntryKind
from unspool.sources.foreign import choices_of
from unspool.sources.formats.merged import files_of, merged_name
from unspool_tui.cli import run

STEP = st.tuples(
    st.integers(0, 50),
    st.dictionaries(st.sampled_from("abc"), st.integers(0, 3) | st.just(MISSING), max_size=3),
    st.booleans(),
)
RUNS = st.lists(st.lists(STEP, min_size=1, max_size=8), min_size=1, max_size=4)


def joined(folder: Path, runs: list[list[Any]]) -> tuple[list[dict[str, Any]], list[tuple[str, int]]]:
    """Record runs into files; return the states of all together in order, and which entry of which run each is of."""
    told: list[tuple[int, int, int, dict[str, Any]]] = []
    for number, steps in enumerate(runs):
        path = folder / f"run-{number}.unspool"
        path.unlink(missing_ok=True)
        state: dict[str, Any] = {}
        latest = 0
        with Recorder(path, on_error="raise") as recorder:
            for seq, (moment, atoms, is_note) in enumerate(steps):
                latest = max(latest, moment)
                if is_note and seq:
                    recorder.put_note("said", {}, None, timestamp_ns=moment)
                else:
                    state = {name: value for name, value in {**state, **atoms}.items() if value is not MISSING}
                    recorder.record(state, f"step {seq}", timestamp_ns=moment)
                told.append((latest, number, seq, state))
    told.sort(key=lambda item: item[:3])
    whole: dict[str, Any] = {}
    states = []
    for _, number, _, state in told:
        prefix = f"run-{number} "
        whole = {name: value for name, value in whole.items() if not name.startswith(prefix)}
        whole |= {prefix + name: value for name, value in state.items()}
        states.append(whole)
    return states, [(str(folder / f"run-{number}.unspool"), seq) for _, number, seq, _ in told]


@given(runs=RUNS)
def test_states_are_those_of_all_recordings_by_time(
    runs: list[list[Any]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("runs")
    states, places = joined(folder, runs)
    with open_history(f"merge:{folder}/run-*.unspool", follow=False) as history:
        assert [(entry.meta["file"], entry.meta["entry"]) for entry in history] == places
        for seq, state in enumerate(states):
            if history[seq].kind is not EntryKind.NOTE:
                assert history.state(seq) == state


@pytest.fixture
def runs(tmp_path: Path) -> list[Path]:
    """Two recordings that take turns; the second goes back to its first entry in the end."""
    paths = [tmp_path / "run-1.unspool", tmp_path / "run-2.unspool"]
    with Recorder(paths[0], on_error="raise") as one, Recorder(paths[1], on_error="raise") as two:
        for number in range(4):
            one.record({"n": number, "who": "one"}, f"one {number}", timestamp_ns=number * 10)
            two.record({"n": -number, "log": [number]}, f"two {number}", timestamp_ns=number * 10 + 5)
        two.record({"n": 100, "log": [0]}, "two went back", timestamp_ns=99, parent_seq=0)
    return paths


def test_one_that_goes_back_takes_no_other_with_it(runs: list[Path]) -> None:
    with open_history(merged_name([str(path) for path in runs]), follow=False) as history:
        assert len(history) == 9
        last = history[-1]
        assert last.parent_seq == 1
        changes = {change.atom: (change.old, change.new) for change in history.changes(-1).changes}
        assert changes == {"run-2 n": (0, 100)}
        assert history.state(-1) == {"run-1 n": 3, "run-1 who": "one", "run-2 n": 100, "run-2 log": [0]}


def test_questions_name_the_recording(runs: list[Path], capfd: pytest.CaptureFixture[str]) -> None:
    source = f"merge:{runs[0].parent}/run-*.unspool"
    assert run(["blame", source, '["run-1 n"]']) == 0
    told = capfd.readouterr().out
    assert '["run-1 n"] = 3' in told
    assert "one 3" in told
    assert run(["log", source, "--json", "-n", "1"]) == 0
    entry = json.loads(capfd.readouterr().out)
    assert entry["meta"]["file"] == str(runs[1])
    assert (entry["meta"]["entry"], entry["id"], entry["action"]) == (4, "run-2#4", "two went back")
    assert run(["stats", source, "--json"]) == 0
    stats = json.loads(capfd.readouterr().out)
    assert stats["atoms"]["run-1 n"]["changes"] == 4
    assert stats["atoms"]["run-2 log"]["changes"] >= 4
    assert run(["doctor", source, "--json"]) == 0
    assert json.loads(capfd.readouterr().out)["verdict"] == "healthy"


def test_one_of_them_is_selected_and_all_are_listed(runs: list[Path]) -> None:
    source = merged_name([str(path) for path in runs])
    assert [choice.select for choice in choices_of(source)] == [{"file": "run-1"}, {"file": "run-2"}]
    with open_history(source, follow=False, select={"file": "run-2"}) as history:
        assert len(history) == 5
        assert all(name.startswith("run-2 ") for name in history.state(-1))
    with pytest.raises(UnreadableSource, match="has no file 'run-3'; it has run-1, run-2"):
        open_history(source, follow=False, select={"file": "run-3"})


def test_what_a_recording_grows_by_joins_in(tmp_path: Path) -> None:
    paths = [tmp_path / "a.unspool", tmp_path / "b.unspool"]
    with Recorder(paths[0], on_error="raise") as one, Recorder(paths[1], on_error="raise") as two:
        one.record({"n": 1}, timestamp_ns=1)
        two.record({"n": 2}, timestamp_ns=2)
        with open_history(merged_name([str(path) for path in paths]), follow=False) as history:
            assert len(history) == 2
            two.record({"n": 4}, timestamp_ns=4)
            one.record({"n": 3}, timestamp_ns=3)
            assert history.refresh() == 2
            assert [entry.meta["file"] for entry in history][2:] == [str(path) for path in paths]
            assert history.state(-1) == {"a n": 3, "b n": 4}


def test_foreign_files_join_in_and_one_that_does_not_open_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"timestamp": 1, "state": {"x": 1}}\n{"timestamp": 3, "state": {"x": 2}}\n')
    (tmp_path / "b.jsonl").write_text('{"timestamp": 2, "state": {"x": 5}}\nbroken\n')
    (tmp_path / "c.jsonl").write_text("")
    source = f"merge:{tmp_path}/*.jsonl"
    with open_history(source, follow=False) as history:
        assert [entry.meta["file"][-7:] for entry in history] == ["a.jsonl", "b.jsonl", "a.jsonl"]
        assert history.verdict.status == "partial"
        places = " ".join(problem.place for problem in history.verdict.problems)
        assert "b.jsonl" in places
        assert "c.jsonl" in places


def test_names_tell_recordings_apart(tmp_path: Path) -> None:
    for name in ("x/app", "y/app"):
        path = tmp_path / f"{name}.unspool"
        path.parent.mkdir()
        with Recorder(path, on_error="raise") as recorder:
            recorder.record({"n": 1})
    with open_history(f"merge:{tmp_path}/*/app.unspool", follow=False) as history:
        assert sorted(history.state(-1)) == [f"{tmp_path}/x/app.unspool n", f"{tmp_path}/y/app.unspool n"]


@pytest.mark.parametrize("source", ["merge:", "merge:no-such-*.unspool", "merge:missing.unspool"])
def test_what_names_nothing_is_refused(source: str) -> None:
    with pytest.raises(UnreadableSource):
        open_history(source, follow=False)


def test_names_that_cannot_be_merged_are_refused(tmp_path: Path) -> None:
    for name in ("a:b.unspool", "-", "merge:x"):
        with pytest.raises(ConfigError):
            merged_name([name])
    odd = tmp_path / "run-[1].unspool"
    odd.write_text("")
    assert files_of(f"merge:{odd}") == [str(odd)]


def test_open_merges_what_it_is_given(runs: list[Path], capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["open", "--merge", *map(str, runs)]) == 0
    told = capfd.readouterr().out
    assert told.count("two went back") == 1
    assert "one 3" in told
