"""What rebuilding keeps in memory: however large states are and however far one goes, it stays within its bound."""

from __future__ import annotations

import tracemalloc

import pytest

from unspool import Recorder
from unspool.history.rebuild import RecordLine, SnapshotReconstructor
from unspool.model.wire import decode
from unspool.store.memory import MemoryStore

SIZE = 200_000
ENTRIES = 80


@pytest.fixture(scope="module")
def store() -> MemoryStore:
    """Return a long run of deltas of one large atom."""
    store = MemoryStore()
    recorder = Recorder(store, strategy="manual", on_error="raise")
    for number in range(ENTRIES):
        recorder.record({"text": f"{number:>8}" + "x" * SIZE, "n": number})
    return store


@pytest.mark.parametrize("bound", [0, SIZE // 2, 3 * SIZE, 10 * SIZE])
def test_steps_back_and_states_stay_within_the_bound(store: MemoryStore, bound: int) -> None:
    reconstructor, records = SnapshotReconstructor(max_states=64, max_bytes=bound), RecordLine(store, bound)
    forth = [*range(ENTRIES), *range(ENTRIES - 1, -1, -1), *range(0, ENTRIES, 7), ENTRIES - 1, 3]
    tracemalloc.start()
    try:
        for seq in forth:
            state = reconstructor.state(records, seq)
            assert decode(state["n"]) == seq
            assert state["text"].endswith(b"x" * 9)
            assert b"%8d" % seq in state["text"]
        # States, steps back, the state at hand, the one it is made of, and one being made.
        assert tracemalloc.get_traced_memory()[1] < 2 * bound + 6 * SIZE
    finally:
        tracemalloc.stop()


def test_a_few_small_states_are_stepped_back_through_without_replaying(store: MemoryStore) -> None:
    reconstructor, records = SnapshotReconstructor(), RecordLine(store)
    for seq in range(ENTRIES):
        reconstructor.state(records, seq)
    assert reconstructor.get_cache_stats().misses == ENTRIES
    for seq in range(ENTRIES - 1, ENTRIES - 20, -1):
        reconstructor.state(records, seq)
    assert reconstructor.get_cache_stats().misses == ENTRIES
