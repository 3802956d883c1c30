"""Histories that merge several parts, of which one may go back alone: every question against a slow, simple answer."""

from __future__ import annotations

import random
import sqlite3
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from unspool.history.history import History
from unspool.model.entries import ChangeKind
from unspool.query.bisect import bisect
from unspool.query.blame import blame
from unspool.query.doctor.diagnosis import diagnose
from unspool.query.path_writes import all_writes, next_write
from unspool.query.search import HitKind, search
from unspool.recorder import Recorder
from unspool.sources.copying import convert
from unspool.sources.entries import Reading
from unspool.sources.exports import export_lines
from unspool.sources.opening import open_history
from unspool.store import FileStore, MemoryStore
from unspool.store.protocol import Store

PARTS = {"ann": ("ann a", "ann b"), "bob": ("bob a", "bob b"), "cat": ("cat a",)}
ATOMS = [atom for atoms in PARTS.values() for atom in atoms]


@dataclass(frozen=True)
class Made:
    """A history and what was recorded: states, and the entry that each atom of each entry follows."""

    states: list[dict[str, int]]
    before: list[dict[str, int | None]]

    def written(self, seq: int, atom: str) -> bool:
        parent = self.before[seq][atom]
        old = None if parent is None else self.states[parent].get(atom)
        return old != self.states[seq].get(atom)

    def writes(self, atom: str, at: int) -> list[int]:
        found = []
        seq: int | None = at
        while seq is not None:
            if self.written(seq, atom):
                found.append(seq)
            seq = self.before[seq][atom]
        return found


def make(store: Store | Path, seed: int, count: int) -> Made:
    """Record entries of three parts in turn; a part, or now and then all, goes back to an earlier entry."""
    rng = random.Random(seed)
    states: list[dict[str, int]] = []
    before: list[dict[str, int | None]] = []
    with Recorder(store, on_error="raise") as recorder:
        for seq in range(count):
            state = dict(states[-1]) if states else {}
            part: tuple[str, ...] | None = PARTS[rng.choice(list(PARTS))]
            parent = None
            if seq > 1 and rng.random() < 0.25:
                parent = rng.randrange(seq - 1)
                part = None if rng.random() < 0.2 else part
                origin = states[parent]
                for atom in ATOMS if part is None else part:
                    state.pop(atom, None)
                    if atom in origin:
                        state[atom] = origin[atom]
            for atom in part or ATOMS:
                if rng.random() < 0.6:
                    state[atom] = rng.randrange(4)
                elif rng.random() < 0.15:
                    state.pop(atom, None)
            concerned = ATOMS if part is None else part
            last = seq - 1 if seq else None
            before.append({a: parent if parent is not None and a in concerned else last for a in ATOMS})
            states.append(state)
            recorder.record(state, f"step {seq}", parent_seq=parent, part=None if parent is None else part)
    return Made(states, before)


def check(history: History, made: Made) -> None:
    for seq, state in enumerate(made.states):
        assert history.state(seq) == state
        expected = {atom for atom in ATOMS if made.written(seq, atom)}
        assert {atom for atom, _ in history.changed_atoms(seq)} == expected
        assert {change.atom for change in history.changes(seq).changes} == expected
        told = {value.path[0]: value.seq for value in blame(history, seq).values}
        assert told == {atom: made.writes(atom, seq)[0] for atom in state}
        for atom in state:
            found = all_writes(history, (atom,), seq).writes
            assert [write.seq for write in found] == made.writes(atom, seq)
    hits = [(hit.seq, hit.atom) for hit in search(history, "3") if hit.kind is HitKind.VALUE]
    expected_hits = [
        (seq, atom)
        for seq, state in enumerate(made.states)
        for atom in state
        if state[atom] == 3 and made.written(seq, atom)
    ]
    assert sorted(hits) == sorted(expected_hits)


@given(seed=st.integers(0, 10**9), count=st.integers(1, 40))
def test_every_part_has_a_line_of_its_own(seed: int, count: int) -> None:
    store = MemoryStore()
    made = make(store, seed, count)
    check(History(store), made)


@given(seed=st.integers(0, 10**9), count=st.integers(2, 40))
def test_a_condition_flips_along_the_line_of_the_part_it_reads(seed: int, count: int) -> None:
    store = MemoryStore()
    made = make(store, seed, count)
    assume(any("ann a" in state for state in made.states))
    flips = bisect(History(store), '"ann a" == `3`').flips
    expected = []
    for seq in range(1, count):
        parent = made.before[seq]["ann a"]
        was = parent is not None and made.states[parent].get("ann a") == 3
        holds = made.states[seq].get("ann a") == 3
        if was is not holds:
            expected.append((seq, parent, holds))
    assert [(flip.seq, flip.parent_seq, flip.holds) for flip in flips] == expected


@given(seed=st.integers(0, 10**9), count=st.integers(2, 40), data=st.data())
def test_the_next_write_is_the_first_one_on_the_branch(seed: int, count: int, data: st.DataObject) -> None:
    store = MemoryStore()
    made = make(store, seed, count)
    at = data.draw(st.integers(0, count - 1))
    for atom in made.states[at]:
        after, expected = at + 1, None
        while after < count and made.before[after][atom] == after - 1 and expected is None:
            expected = after if made.written(after, atom) else None
            after += 1
        found = next_write(History(store), (atom,), at)
        assert (None if found is None else found.seq) == expected


@pytest.mark.parametrize("seed", [1, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (2, 3))])
def test_parts_survive_the_file_its_copies_and_an_export(tmp_path: Path, seed: int) -> None:
    path, copy, lines = tmp_path / "parts.unspool", tmp_path / "copy.unspool", tmp_path / "parts.jsonl"
    made = make(path, seed, 150)
    with History(FileStore.open(path)) as history:
        check(history, made)
        assert diagnose(history).verdict == "healthy"
        lines.write_text("\n".join(export_lines(history, "jsonl")) + "\n")
    convert(str(path), copy, Reading())
    for target in (copy, lines):
        with open_history(str(target)) as history:
            check(history, made)


def checkpoints(path: Path) -> None:
    """Write LangGraph's tables: two threads take turns, then ann goes back to the first checkpoint of hers."""
    rows = [
        ("ann", "c1", None, {"n": 1, "who": "ann"}),
        ("ann", "c2", "c1", {"n": 2, "who": "ann"}),
        ("bob", "c3", None, {"n": 100}),
        ("bob", "c4", "c3", {"n": 200}),
        ("ann", "c5", "c1", {"n": -5, "who": "ann"}),
        ("bob", "c6", "c4", {"n": 201}),
    ]
    with sqlite3.connect(path) as connection:
        connection.execute(
            "CREATE TABLE checkpoints (thread_id TEXT, checkpoint_ns TEXT, checkpoint_id TEXT, "
            "parent_checkpoint_id TEXT, type TEXT, checkpoint BLOB, metadata BLOB)"
        )
        for thread, identity, parent, values in rows:
            packed = msgspec.msgpack.encode({"id": identity, "channel_values": values})
            connection.execute(
                "INSERT INTO checkpoints VALUES (?, '', ?, ?, 'msgpack', ?, '{}')", (thread, identity, parent, packed)
            )
    connection.close()


def test_a_thread_that_travels_back_takes_no_blame_for_another_thread(tmp_path: Path) -> None:
    path = tmp_path / "threads.sqlite"
    checkpoints(path)
    with open_history(str(path)) as history:
        assert {value.path[0]: value.seq for value in blame(history, 4).values} == {
            "ann n": 4, "ann who": 0, "bob n": 3,
        }  # fmt: skip
        assert [write.seq for write in all_writes(history, ("bob n",)).writes] == [5, 3, 2]
        assert [write.seq for write in all_writes(history, ("ann n",)).writes] == [4, 0]
        assert history.changed_atoms(4) == (("ann n", ChangeKind.MODIFIED),)
        assert [(flip.seq, flip.parent_seq) for flip in bisect(history, '"bob n" == `200`').flips] == [(3, 2), (5, 4)]
