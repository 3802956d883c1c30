"""A history answers like a plain list of states would."""

from __future__ import annotations

import copy
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.examples import examples
from support.recording import record_shop, shop_states
from support.values import states
from unspool.delta.apply import apply_ops, encoded_patch
from unspool.errors import EntryNotFound
from unspool.history import COMPLETE, History, Problem, Verdict, VerdictStatus
from unspool.history.verdict import FINISHED
from unspool.model.entries import ChangeKind
from unspool.model.values import MISSING, strict_equal
from unspool.recorder import Recorder
from unspool.store import FileStore, MemoryStore


def history_of(given_states: list[dict[str, Any]], **options: Any) -> History:
    store = MemoryStore()
    recorder = Recorder(store, on_error="raise", **options)
    for state in given_states:
        recorder.record(state)
    return History(store)


@given(st.lists(states, min_size=2, max_size=6), st.data())
def test_a_diff_tells_exactly_what_differs(given_states: list[dict[str, Any]], data: st.DataObject) -> None:
    history = history_of(given_states)
    a, b = (data.draw(st.integers(0, len(given_states) - 1)) for _ in range(2))
    old, new = given_states[a], given_states[b]
    diff = history.diff(a, b)
    rebuilt = copy.deepcopy(old)
    for change in diff.changes:
        assert strict_equal(change.old, old.get(change.atom, MISSING))
        assert strict_equal(change.new, new.get(change.atom, MISSING))
        if change.kind is ChangeKind.DELETED:
            del rebuilt[change.atom]
        elif change.kind is ChangeKind.ADDED:
            rebuilt[change.atom] = change.new
        else:
            rebuilt[change.atom] = apply_ops(rebuilt[change.atom], change.ops)
    assert strict_equal(rebuilt, new)
    assert diff.unchanged == len(set(old) & set(new)) - sum(c.kind is ChangeKind.MODIFIED for c in diff.changes)


@given(st.lists(states, min_size=1, max_size=8))
def test_entries_count_what_changed(given_states: list[dict[str, Any]]) -> None:
    history = history_of(given_states)
    before: dict[str, Any] = {}
    for seq, state in enumerate(given_states):
        entry = history[seq]
        common = set(before) & set(state)
        modified = {atom for atom in common if not strict_equal(before[atom], state[atom])}
        assert (entry.added, entry.modified, entry.deleted) == (
            len(set(state) - set(before)),
            len(modified),
            len(set(before) - set(state)),
        )
        assert {atom for atom, kind in history.changed_atoms(seq) if kind is ChangeKind.MODIFIED} == modified
        assert {change.atom for change in history.changes(seq).changes} == {a for a, _ in history.changed_atoms(seq)}
        before = state


def test_states_are_the_callers_own() -> None:
    history = history_of([{"a": [1]}, {"a": [1, 2]}])
    history.state(0)["a"].append("mine")
    assert history.state(0) == {"a": [1]}
    assert history.state(1) == {"a": [1, 2]}


def test_numbers_count_from_either_end() -> None:
    history = history_of([{"n": n} for n in range(5)])
    assert history[-1].seq == 4
    assert history.state(-5) == {"n": 0}
    assert [entry.seq for entry in history[1:4]] == [1, 2, 3]
    assert [entry.seq for entry in history[::-2]] == [4, 2, 0]
    for bad in (5, -6):
        with pytest.raises(EntryNotFound, match=f"no entry {bad}: it has 5"):
            history.state(bad)


def test_an_empty_history_is_no_error() -> None:
    history = History(MemoryStore())
    assert len(history) == 0
    assert list(history) == []
    stats = history.stats()
    assert (stats.entries, stats.ratio, stats.health) == (0, 1.0, "healthy")
    with pytest.raises(EntryNotFound, match="none"):
        history.state(0)


def test_a_view_decodes_only_what_is_looked_at() -> None:
    view = history_of([{"a": [1], "b": {"c": 2}}]).view(0)
    assert list(view) == ["a", "b"]
    assert view["b"] is view["b"]
    assert view._decoded.keys() == {"b"}
    assert view.to_dict() == {"a": [1], "b": {"c": 2}}


def test_stats_agree_with_the_entries(tmp_path: Path) -> None:
    path = tmp_path / "shop.unspool"
    record_shop(path, 200)
    with History(FileStore.open(path)) as history:
        stats = history.stats()
        entries = list(history)
        assert stats.entries == len(entries) == stats.full + stats.delta
        assert stats.stored_bytes == sum(entry.stored_bytes for entry in entries)
        assert stats.full_bytes == sum(entry.full_bytes for entry in entries)
        assert stats.ratio == pytest.approx(stats.full_bytes / stats.file_bytes)
        assert stats.file_bytes == path.stat().st_size
        assert stats.chains == stats.full
        assert sum(stats.codecs.values()) == 200
        changes = {atom: sum(1 for _ in history.writes(atom)) for atom in stats.atoms}
        assert changes == {atom: facts.changes for atom, facts in stats.atoms.items()}
        assert stats.rebuild_us.p50 <= stats.rebuild_us.p95 <= stats.rebuild_us.max
        assert stats.cache.size <= stats.cache.max_size


def test_the_cache_is_bounded_and_counts(tmp_path: Path) -> None:
    path = tmp_path / "shop.unspool"
    record_shop(path, 300)
    with History(FileStore.open(path)) as history:
        for seq in range(300):
            history.view(seq)
        history.view(299)
        stats = history.cache_stats()
        assert stats.hits == 1
        assert stats.misses == 300
        assert stats.size == stats.max_size
        assert stats.evictions == 300 - stats.max_size


def test_many_threads_read_one_history(tmp_path: Path) -> None:
    path = tmp_path / "shop.unspool"
    expected = record_shop(path, 200)
    failures: list[int] = []
    with History(FileStore.open(path)) as history:

        def read(offset: int) -> None:
            for step in range(120):
                seq = (offset * 37 + step * 13) % 200
                if not strict_equal(history.state(seq), expected[seq]):
                    failures.append(seq)

        threads = [threading.Thread(target=read, args=(offset,)) for offset in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert failures == []


class CountingFeeder:
    """A foreign source that has one more state every time it is asked."""

    def __init__(self, recorder: Recorder) -> None:
        self.recorder = recorder
        self.states = shop_states(10)
        self.closed = False

    @property
    def verdict(self) -> Verdict:
        return Verdict(VerdictStatus.PARTIAL)

    @property
    def watch_paths(self) -> tuple[Path, ...]:
        return (Path("source.jsonl"),)

    @property
    def source_paths(self) -> tuple[Path, ...]:
        return self.watch_paths

    @property
    def source_name(self) -> str:
        return "source.jsonl"

    def pump(self) -> None:
        self.recorder.record(next(self.states))

    def close(self) -> None:
        self.closed = True


def test_a_foreign_history_grows_when_it_is_refreshed(tmp_path: Path) -> None:
    for store in (MemoryStore(), FileStore.create(tmp_path / "fed.unspool")):
        feeder = CountingFeeder(Recorder(store, on_error="raise"))
        with History(store, feeder) as history:
            assert [history.refresh() for _ in range(3)] == [1, 1, 1]
            assert len(history) == 3
            assert history.source_name == "source.jsonl"
            assert history.watch_paths == (Path("source.jsonl"),)
            assert history.stats().health == "degraded"
        assert feeder.closed
    assert history_of([{"a": 1}]).verdict == COMPLETE


def test_a_patch_between_entries_is_what_the_command_line_prints() -> None:
    history = history_of([{"a": [{"id": 1, "n": 1}], "b": 1}, {"a": [{"id": 2, "n": 1}, {"id": 1, "n": 2}]}])
    assert encoded_patch(history.view(0).wire, history.view(1).wire) == [
        {"op": "remove", "path": "/b"},
        {"op": "add", "path": "/a/0", "value": {"id": 2, "n": 1}},
        {"op": "replace", "path": "/a/1/n", "value": 2},
    ]


@given(st.lists(states, min_size=1, max_size=12), st.data())
@settings(max_examples=examples(60))
def test_one_atom_reads_as_it_does_in_the_whole_state(
    given_states: list[dict[str, Any]], data: st.DataObject
) -> None:
    store = history_of(given_states, codec=data.draw(st.sampled_from(["auto", "compress", "none"]))).store
    names = [*sorted({name for state in given_states for name in state}), "never an atom"]
    seqs = st.sampled_from(range(len(given_states)))
    for seq, name in data.draw(st.lists(st.tuples(seqs, st.sampled_from(names)), max_size=20)):
        # Some are asked of a history that has rebuilt states already, some of a fresh one.
        history = History(store)
        if data.draw(st.booleans()):
            history.state(data.draw(seqs))
        if name in given_states[seq]:
            assert strict_equal(history.value(seq, name), given_states[seq][name])
        else:
            with pytest.raises(KeyError):
                history.value(seq, name)


def test_one_atom_of_a_sealed_file_reads_without_the_rest(tmp_path: Path) -> None:
    states = list(shop_states(200, seed=4))
    with Recorder(tmp_path / "atoms.unspool") as recorder:
        for state in states:
            recorder.record(state)
    with History(FileStore.open(tmp_path / "atoms.unspool")) as history:
        for seq in (0, 63, 64, 130, 199, 1):
            for name, value in states[seq].items():
                assert strict_equal(history.value(seq, name), value)
        assert history.cache_stats().misses == 0
        with pytest.raises(KeyError):
            history.value(5, "never an atom")


class _Unopened:
    verdict = Verdict(VerdictStatus.REFUSED, (Problem("app.log", "it is no history"),))
    watch_paths: tuple[Path, ...] = ()
    source_paths: tuple[Path, ...] = ()
    source_name = "app.log"
    progress = FINISHED
    pumped = 0

    def pump(self) -> None:
        self.pumped += 1

    def cancel(self) -> None:
        pass

    def close(self) -> None:
        pass


def test_a_history_without_entries_says_what_its_feeder_says() -> None:
    feeder = _Unopened()
    with History.without_entries(feeder) as history:
        assert (len(history), history.first, history[0:], list(history.columns().kind)) == (0, 0, [], [])
        assert (history.source_name, history.verdict.status) == ("app.log", VerdictStatus.REFUSED)
        assert history.refresh() == 0
        assert feeder.pumped == 1
        with pytest.raises(EntryNotFound):
            history.state(0)
