"""Notes: on the timeline, with no state of their own, and never an answer to who changed something."""

from __future__ import annotations

import shutil
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support.examples import examples
from support.recording import shop_states
from unspool import open_history
from unspool.errors import EntryNotFound, NewerSchema, NotesNotKept
from unspool.history import History
from unspool.history.stats import Health
from unspool.model.entries import EntryKind
from unspool.query.bisect import bisect
from unspool.query.blame import blame
from unspool.query.compare import HistoryRelation, compare
from unspool.query.doctor.diagnosis import Code, diagnose
from unspool.query.repair import repair
from unspool.query.search import search
from unspool.recorder import Recorder
from unspool.recorder.troubles import EntrySkipped
from unspool.sources.copying import convert
from unspool.sources.entries import Reading
from unspool.sources.exports import export_lines, losses
from unspool.store import FileStore, MemoryStore, layout_2
from unspool.store.compacting import compact

FROZEN = Path(__file__).parents[3] / "fixtures" / "format_1"
Step = str | dict[str, Any]
"""A note by its message, or a state."""

states = st.dictionaries(st.sampled_from("abc"), st.integers(0, 3), max_size=3)
steps = st.lists(st.tuples(st.sampled_from(["note", "state"]), states), max_size=24)


def lines(drawn: list[tuple[str, dict[str, Any]]]) -> list[Step]:
    return [f"note {at}" if kind == "note" else state for at, (kind, state) in enumerate(drawn)]


def take(recorder: Recorder, plan: list[Step]) -> None:
    for step in plan:
        if isinstance(step, str):
            recorder.note(step, level="debug", at=len(step))
        else:
            recorder.record(step, "state")


class Oracle:
    """What a history of such steps must answer, found out the slow way."""

    def __init__(self, plan: list[Step]) -> None:
        self.plan = plan
        self.states: list[dict[str, Any]] = []
        for step in plan:
            before = self.states[-1] if self.states else {}
            self.states.append(before if isinstance(step, str) else step)

    def changed(self, seq: int) -> set[str]:
        before = self.states[seq - 1] if seq else {}
        after = self.states[seq]
        return {atom for atom in before.keys() | after.keys() if before.get(atom, ...) != after.get(atom, ...)}

    def writes(self, atom: str) -> list[int]:
        return [seq for seq in range(len(self.plan)) if atom in self.changed(seq)]

    def writer(self, atom: str) -> int:
        return self.writes(atom)[-1]

    def flips(self, atom: str) -> list[int]:
        asked = [seq for seq, step in enumerate(self.plan) if not isinstance(step, str)]
        holds = [self.states[seq].get(atom) == 1 for seq in asked]
        return [asked[at] for at in range(1, len(asked)) if holds[at] is not holds[at - 1]]


def check(history: History, oracle: Oracle) -> None:
    assert len(history) == len(oracle.plan)
    for seq, step in enumerate(oracle.plan):
        entry = history[seq]
        assert history.state(seq) == oracle.states[seq]
        assert (entry.kind is EntryKind.NOTE) is isinstance(step, str)
        assert {atom for atom, _ in history.changed_atoms(seq)} == oracle.changed(seq)
        assert {change.atom for change in history.changes(seq).changes} == oracle.changed(seq)
        if isinstance(step, str):
            assert (entry.action, dict(entry.meta)) == (step, {"level": "debug", "at": len(step)})
            assert (entry.added, entry.modified, entry.deleted) == (0, 0, 0)
    for atom in "abc":
        assert list(history.writes(atom)) == oracle.writes(atom)
    notes = sum(isinstance(step, str) for step in oracle.plan)
    stats = history.stats()
    assert (stats.notes, stats.full + stats.delta) == (notes, len(oracle.plan) - notes)
    assert stats.health is Health.HEALTHY
    assert stats.full_bytes == sum(entry.full_bytes for entry in history if entry.kind is not EntryKind.NOTE)
    if oracle.plan:
        assert {one.path[0]: one.seq for one in blame(history).values} == {
            atom: oracle.writer(atom) for atom in oracle.states[-1]
        }
    said = [(hit.seq, hit.text) for hit in search(history, "1") if isinstance(oracle.plan[hit.seq], str)]
    assert said == [(seq, step) for seq, step in enumerate(oracle.plan) if isinstance(step, str) and "1" in step]


def markers(history: History) -> list[str]:
    return [entry.kind.value for entry in history if entry.kind is not EntryKind.NOTE]


@settings(max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps, st.lists(st.integers(0, 24), max_size=2))
def test_every_answer_is_that_of_the_states_alone(
    tmp_path_factory: pytest.TempPathFactory, drawn: list[tuple[str, dict[str, Any]]], closings: list[int]
) -> None:
    plan, folder = lines(drawn), tmp_path_factory.mktemp("notes")
    oracle, path, plain = Oracle(plan), folder / "notes.unspool", folder / "plain.unspool"
    cuts = sorted({min(at, len(plan)) for at in closings} | {0, len(plan)})
    for start, stop in zip(cuts, [*cuts[1:], len(plan)], strict=True):
        with Recorder(path, on_error="raise") as recorder, Recorder(plain, on_error="raise") as other:
            take(recorder, plan[start:stop])
            take(other, [step for step in plan[start:stop] if not isinstance(step, str)])
    with open_history(path) as history, open_history(plain) as without:
        check(history, oracle)
        assert markers(history) == [entry.kind.value for entry in without]
        assert compare(history, without).relation is HistoryRelation.SAME
        for atom in "abc":
            if not any(atom in state for state in oracle.states):
                continue
            found = bisect(history, f"{atom} == `1`")
            assert [flip.seq for flip in found.flips] == oracle.flips(atom)
            assert found.holds_first is bisect(without, f"{atom} == `1`").holds_first
    report = diagnose(path)
    assert report.readable == len(plan)
    assert not set(report.counts) - {Code.NO_OP, Code.CLOCK_BACKWARDS}
    copy = folder / "copy.unspool"
    compact(path, copy)
    with open_history(copy) as history:
        check(history, oracle)


@settings(max_examples=examples(30), deadline=None)
@given(steps)
def test_a_history_in_memory_answers_the_same(drawn: list[tuple[str, dict[str, Any]]]) -> None:
    store = MemoryStore()
    recorder = Recorder(store, on_error="raise")
    take(recorder, lines(drawn))
    check(History(store), Oracle(lines(drawn)))


@pytest.mark.parametrize("leading", [True, False])
@pytest.mark.parametrize("name", ["jsonl", "json-patch"])
def test_exports_that_open_again_keep_notes(tmp_path: Path, name: str, leading: bool) -> None:
    plan: list[Step] = [*(["begin"] if leading else []), {"a": 1}, "one", "two", {"a": 2}, {"a": 2, "b": [1]}, "end"]
    path = tmp_path / "x.unspool"
    with Recorder(path, on_error="raise") as recorder:
        take(recorder, plan)
    text = tmp_path / "x.jsonl"
    with open_history(path) as history:
        text.write_text("\n".join(export_lines(history, name)) + "\n")
        assert losses(history, name) == ""
    with open_history(text) as history:
        check(history, Oracle(plan))


def test_what_says_that_it_is_a_note_and_brings_a_state_is_none(tmp_path: Path) -> None:
    text = tmp_path / "x.jsonl"
    rows = ['{"seq":0,"id":"a","timestamp":"2024-01-01T00:00:00Z","action":"x","state":{"a":1}}']
    rows += ['{"seq":1,"id":"b","timestamp":"2024-01-01T00:00:01Z","action":"y","kind":"note","state":{"a":2}}']
    text.write_text("\n".join(rows) + "\n")
    with open_history(text) as history:
        assert history.state(-1) == {"a": 2}
        assert history[-1].kind is not EntryKind.NOTE


@pytest.mark.parametrize("name", ["nexus", "redux", "csv"])
def test_exports_without_a_word_for_notes_say_so(tmp_path: Path, name: str) -> None:
    path = tmp_path / "x.unspool"
    with Recorder(path, on_error="raise") as recorder:
        take(recorder, [{"a": 1}, "one"])
    with open_history(path) as history:
        assert "1 note stands" in losses(history, name)


def test_a_conversion_keeps_notes(tmp_path: Path) -> None:
    plan: list[Step] = ["begin", {"a": 1}, "one" * 9000, {"a": 2}]
    path, out = tmp_path / "x.unspool", tmp_path / "out.unspool"
    with Recorder(path, on_error="raise") as recorder:
        take(recorder, plan)
    convert(str(path), out, Reading())
    with open_history(path) as history, open_history(out) as copy:
        assert [(entry.id, entry.kind, entry.action, entry.timestamp_ns, dict(entry.meta)) for entry in copy] == [
            (entry.id, entry.kind, entry.action, entry.timestamp_ns, dict(entry.meta)) for entry in history
        ]


def shop(path: Path, every: int = 3, count: int = 400) -> list[Step]:
    plan: list[Step] = []
    for at, state in enumerate(shop_states(count)):
        plan += [f"note {at}"] * (at % every == 0) + [state]
    with Recorder(path, on_error="raise") as recorder:
        take(recorder, plan)
    return plan


def test_long_histories_with_sealed_notes(tmp_path: Path) -> None:
    path = tmp_path / "x.unspool"
    plan = shop(path)
    with open_history(path) as history:
        oracle = Oracle(plan)
        assert [history.state(seq) for seq in range(len(plan))] == oracle.states
        assert [history.state(seq) for seq in reversed(range(len(plan)))] == oracle.states[::-1]
        kinds = history.columns().kind.tolist()
        assert kinds == [{"delta": 0, "full": 1, "note": 2}[entry.kind.value] for entry in history]
    assert diagnose(path).verdict is Health.HEALTHY


@pytest.mark.slow
def test_thousands_of_notes_alone_cost_no_reading(tmp_path: Path) -> None:
    path = tmp_path / "x.unspool"
    with Recorder(path, on_error="raise", durability="fast") as recorder:
        recorder.record({"a": 1})
        for at in range(5_000):
            recorder.note(f"note {at}")
        recorder.record({"a": 2})
    with closing(FileStore.open(path)) as store:
        assert all(len(store.run(seq).records) <= 300 for seq in range(0, 5_000, 97))
    with open_history(path) as history:
        assert history.state(4_000) == {"a": 1}
        assert history.columns().kind.tolist() == [1, *[2] * 5_000, 1]
        assert [entry.kind for entry in history[4_090:4_100]] == [EntryKind.NOTE] * 10
        assert list(history.writes("a")) == [0, 5_001]


def test_a_repair_keeps_notes_as_notes(tmp_path: Path) -> None:
    path, out = tmp_path / "x.unspool", tmp_path / "out.unspool"
    plan = shop(path, count=300)
    import sqlite3

    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        first = connection.execute("SELECT first FROM block ORDER BY first LIMIT 1 OFFSET 1").fetchone()[0]
        connection.execute("UPDATE block_data SET data = zeroblob(50) WHERE first = ?", (first,))
    repair(path, out)
    with open_history(out) as history:
        for seq, step in enumerate(plan):
            if not any(hole in history[seq].meta for hole in ("unspool.hole",)):
                assert (history[seq].kind is EntryKind.NOTE) is isinstance(step, str)
    assert diagnose(out).verdict is not Health.BROKEN


def test_a_reader_that_does_not_know_notes_refuses_the_file_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, noted = tmp_path / "plain.unspool", tmp_path / "noted.unspool"
    for path, plan in ((plain, [{"a": 1}]), (noted, [{"a": 1}, "one"])):
        with Recorder(path, on_error="raise") as recorder:
            take(recorder, list(plan))
    compact(noted, tmp_path / "small.unspool")
    monkeypatch.setattr(layout_2, "MUST_UNDERSTAND", 0)
    with open_history(plain) as history:
        assert history.state(0) == {"a": 1}
    for path in (noted, tmp_path / "small.unspool"):
        with pytest.raises(NewerSchema, match="upgrade"):
            open_history(path)


def test_a_file_of_format_1_refuses_notes_and_records_on(tmp_path: Path) -> None:
    path = tmp_path / "closed.unspool"
    shutil.copyfile(FROZEN / "closed.unspool", path)
    recorder = Recorder(path)
    with pytest.warns(EntrySkipped, match="format 1, which keeps no notes"):
        assert recorder.note("lost") is None
    seq = recorder.record({"a": 1})
    assert recorder.note("lost too") is None
    assert recorder.skipped == 2
    recorder.close()
    with open_history(path) as history:
        assert len(history) - 1 == seq
        assert history.state(-1) == {"a": 1}
    with Recorder(path, on_error="raise") as strict, pytest.raises(NotesNotKept):
        strict.note("never")


def test_notes_are_redacted_bounded_and_checked(tmp_path: Path) -> None:
    path = tmp_path / "x.unspool"
    with Recorder(path, redact=["password"], on_error="ignore") as recorder:
        recorder.note("password=hunter22 sent", password="hunter22", deep=[[[[[[[[[[[1]]]]]]]]]]])
        recorder.note("x" * 100_000, much="y" * 100_000)
        recorder.note(12)  # type: ignore[arg-type]
    assert recorder.skipped == 1
    assert b"hunter22" not in path.read_bytes()
    with open_history(path) as history:
        assert len(history[1].action) == 4096
        assert path.stat().st_size < 200_000


def test_a_fork_may_follow_a_note(tmp_path: Path) -> None:
    path = tmp_path / "x.unspool"
    with Recorder(path, on_error="raise") as recorder:
        take(recorder, [{"a": 1}, "one", {"a": 2}])
        recorder.record({"a": 3}, "back", parent_seq=1)
        recorder.note("after")
    with open_history(path) as history:
        assert history.changes(3).from_seq == 1
        assert [change.atom for change in history.changes(3).changes] == ["a"]
        assert history.state(4) == {"a": 3}
        assert history[4].parent_seq == 3
        with pytest.raises(EntryNotFound):
            history[5]


def test_a_note_from_a_caller_keeps_its_line(tmp_path: Path) -> None:
    path = tmp_path / "x.unspool"
    with Recorder(path, caller=True, on_error="raise") as recorder:
        recorder.note("here")
    with open_history(path) as history:
        caller: Any = history[0].meta["caller"]
        assert caller["function"] == "test_a_note_from_a_caller_keeps_its_line"
