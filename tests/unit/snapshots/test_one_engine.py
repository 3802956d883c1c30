"""The screen's rebuilding and chain health run through the very classes that the documents name."""

from __future__ import annotations

import pytest

from support.snapshots import deltas_of, run_of
from unspool import History, Recorder
from unspool.codec.strategies import ChainCheck, ChainValidation
from unspool.history import rebuild
from unspool.query.doctor.diagnosis import diagnose
from unspool.snapshots import DeltaAwareHistoryManager, DeltaChainManager, SnapshotReconstructor
from unspool.store.memory import MemoryStore


@pytest.fixture
def history() -> History:
    store = MemoryStore()
    recorder = Recorder(store, on_error="raise")
    for number in range(9):
        recorder.record({"n": number})
    return History(store)


def test_histories_chains_and_managers_rebuild_through_one_reconstructor(
    history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    rebuilt: list[str] = []
    the_one = rebuild.SnapshotReconstructor.rebuilt
    monkeypatch.setattr(
        rebuild.SnapshotReconstructor,
        "rebuilt",
        lambda self, line, at: rebuilt.append(type(line).__name__) or the_one(self, line, at),
    )
    assert history.view(4)["n"] == 4
    run = run_of([{"n": number} for number in range(6)])
    assert SnapshotReconstructor().reconstruct(run[0], deltas_of(run), 3).snapshot == run[3]
    manager = DeltaAwareHistoryManager()
    manager.add_all(run)
    assert manager.get_snapshot(2).to_state() == {"n": 2}
    assert rebuilt == ["RecordLine", "GivenChain", "EntryLine"]
    assert isinstance(manager.get_delta_reconstructor(), rebuild.SnapshotReconstructor)


def test_the_doctor_and_the_chain_manager_validate_alike(history: History, monkeypatch: pytest.MonkeyPatch) -> None:
    results: list[ChainValidation] = []
    result = ChainCheck.result

    def noted(self: ChainCheck) -> ChainValidation:
        results.append(result(self))
        return results[-1]

    monkeypatch.setattr(ChainCheck, "result", noted)
    run = run_of([{"n": number} for number in range(9)])
    manager = DeltaChainManager(max_delta_chain_length=4, full_snapshot_strategy="none")
    manager.add_base(run[0])
    for delta in deltas_of(run)[:3]:
        manager.add_delta(delta)
    found = manager.validate_chain("s0")
    assert (found.is_valid, found.action) == (True, "keep")
    examined = diagnose(history, strategy="changes:3")
    assert results[0] is found
    assert len(results) == 1 + examined.chain_count
    for row, one in zip(examined.chains, results[1:], strict=True):
        assert (str(row.verdict), row.reason) == (one.action, one.reason or "within its limits")
