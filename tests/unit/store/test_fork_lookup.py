"""Forks told from blocks and tail are those that the entries themselves tell."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from unspool.errors import CorruptHistory
from unspool.recorder import Recorder
from unspool.store import FileStore, MemoryStore
from unspool.store.file import Fork, forks_of
from unspool.store.protocol import Store

PARENTS = {40: 3, 200: 199, 211: 40, 212: 40, 500: 0, 690: 688}
"""Entries told to follow an earlier one; 200 follows the one before it and is no fork."""
FORKS = [Fork(0, None), Fork(40, 3), Fork(211, 40), Fork(212, 40), Fork(500, 0), Fork(690, 688)]


def record(target: Path | Store, count: int = 700) -> None:
    with Recorder(target, on_error="raise") as recorder:
        for seq in range(count):
            meta = {"parent": seq, "note": "a parent of its own"} if seq % 3 == 0 else None
            recorder.record({"n": seq, "text": f"number {seq} " * 9}, parent_seq=PARENTS.get(seq), meta=meta)


def told_by_entries(store: Store, start: int, stop: int) -> list[Fork]:
    found = [Fork(entry.seq, entry.parent_seq) for entry in store.entries(start, stop)]
    return [fork for fork in found if fork.parent is None or fork.parent != fork.seq - 1]


RANGES = [
    (0, 700),
    (0, 1),
    (1, 40),
    (40, 41),
    (39, 213),
    (212, 501),
    (501, 690),
    (690, 9999),
    (-5, 3),
    (9, 9),
    (30, 2),
]


@pytest.mark.one_in(5)
@pytest.mark.parametrize(("start", "stop"), RANGES)
def test_a_finished_file_and_memory_tell_the_forks_of_any_range(tmp_path: Path, start: int, stop: int) -> None:
    path, memory = tmp_path / "forks.unspool", MemoryStore()
    record(path)
    record(memory)
    expected = [fork for fork in FORKS if start <= fork[0] < stop]
    store = FileStore.open(path)
    assert forks_of(store, start, stop) == forks_of(memory, start, stop) == expected
    if 0 <= start < stop <= 700:
        assert told_by_entries(store, start, stop) == expected
    store.close()


def test_a_file_that_is_being_recorded_tells_forks_of_its_tail_too(tmp_path: Path) -> None:
    path = tmp_path / "live.unspool"
    with Recorder(path, on_error="raise") as recorder:
        for seq in range(300):
            recorder.record({"n": seq}, parent_seq={90: 10, 298: 5}.get(seq))
        store = FileStore.open(path)
        assert forks_of(store, 0, 300) == [Fork(0, None), Fork(90, 10), Fork(298, 5)]
        store.close()


def test_entries_that_cannot_be_read_are_no_forks(tmp_path: Path) -> None:
    path = tmp_path / "damaged.unspool"
    record(path)
    with sqlite3.connect(path) as connection:
        blocks = connection.execute("SELECT first, count FROM block ORDER BY first").fetchall()
        hurt = [(first, count) for first, count in blocks if first <= 211 < first + count or first == 0]
        for first, _ in hurt:
            connection.execute("UPDATE block SET columns = zeroblob(length(columns)) WHERE first = ?", (first,))
    connection.close()
    unreadable = {seq for first, count in hurt for seq in range(first, first + count)}
    store = FileStore.open(path)
    assert forks_of(store, 0, 700) == [fork for fork in FORKS if fork[0] not in unreadable]
    with pytest.raises(CorruptHistory):
        store.entries(0, 1)
    store.close()


def test_a_history_without_entries_has_no_forks(tmp_path: Path) -> None:
    with Recorder(tmp_path / "empty.unspool"):
        pass
    store = FileStore.open(tmp_path / "empty.unspool")
    assert forks_of(store, 0, 10) == forks_of(MemoryStore(), 0, 10) == []
    store.close()
