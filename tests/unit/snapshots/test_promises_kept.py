"""What the document systems promise, where one part alone would keep it: folds, foreign deltas, refusals, listeners, times."""

from __future__ import annotations

import hashlib
import json
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.snapshots import deltas_of, run_of, snap
from unspool import open_history
from unspool.codec.state_codec import DeltaCompressionError
from unspool.compression import DeltaCompressor, DeltaRecord
from unspool.errors import BrokenChain, EntryNotFound, UnsupportedValue
from unspool.query.doctor.diagnosis import diagnose
from unspool.snapshots import DeltaChain, DeltaChainManager, DeltaCompressionFactory, SnapshotReconstructor
from unspool.snapshots.chains import chain_states
from unspool.snapshots.history_manager import DeltaAwareHistoryManager
from unspool.snapshots.snapshot import DeltaSnapshot, Snapshot
from unspool_tui.cli import run
from unspool_tui.rendering.format_units import size as size_told


@given(
    sizes=st.lists(st.sampled_from([1, 1, 1, 12]), min_size=1, max_size=8),
    naming=st.sampled_from(["before", "root", "foreign"]),
)
def test_a_chain_folded_at_a_significant_change_is_read_whatever_its_deltas_name(
    sizes: list[int], naming: str
) -> None:
    states = [{"n": 0, **{f"a{place}": 0 for place in range(12)}}]
    for step, size in enumerate(sizes, start=1):
        states.append({**states[-1], "n": step, **{f"a{place}": step for place in range(size - 1)}})
    run_ = run_of(states)
    deltas = deltas_of(run_)
    if naming == "root":
        deltas = [replace(delta, base_snapshot_id=run_[0].id) for delta in deltas]
    elif naming == "foreign":
        deltas = [replace(delta, snapshot_id=None) for delta in deltas]
    strategy = DeltaCompressionFactory.create({"strategy": "significance", "clock": lambda: 1})
    result = strategy.compress(DeltaChain.of(run_[0], deltas, created_at=0))
    sealed = [] if result.sealed is None else [state.to_state() for state in chain_states(result.sealed)][:-1]
    assert [*sealed, *(state.to_state() for state in chain_states(result.chain))] == states
    assert [delta.id for delta in result.chain.deltas] == [delta.id for delta in deltas][len(sealed) :]


@pytest.mark.parametrize("told", [None, 7_000])
def test_a_delta_on_an_unknown_base_is_refused_behind_a_foreign_one_too(told: int | None) -> None:
    run_ = run_of([{"n": 0}, {"n": 1}, {"n": 1, "m": 2}])
    first, second = deltas_of(run_)
    manager = DeltaChainManager()
    manager.add_base(run_[0])
    manager.add_delta(replace(first, snapshot_id=None))
    stranger = replace(
        second, base_snapshot_id="of another chain", metadata=replace(second.metadata, base_timestamp=told)
    )
    with pytest.raises(BrokenChain, match="of another chain"):
        manager.add_delta(stranger)
    manager.add_delta(second)
    assert manager.reconstruct("s0").to_state() == {"n": 1, "m": 2}


def test_a_refusal_counts_the_deltas_that_were_laid_on() -> None:
    run_ = run_of([{"n": number} for number in range(4)])
    deltas = deltas_of(run_)
    result = SnapshotReconstructor().reconstruct(run_[0], [*deltas[:2], replace(deltas[2], base_snapshot_id="gone")])
    assert (result.failed_at, result.metadata.deltas_applied) == (2, 2)


def test_a_change_of_an_atom_without_an_id_is_told_by_its_name_and_read_back_as_it_was() -> None:
    delta = deltas_of(run_of([{"n": 0, "gone": 1}, {"n": 1, "new": 2}]))[0]
    told = delta.to_dict()["changes"]
    assert {name: change["atomId"] for name, change in told.items()} == {"n": "n", "gone": "gone", "new": "new"}
    assert DeltaSnapshot.from_dict(json.loads(json.dumps(delta.to_dict()))) == delta


@pytest.mark.parametrize(("limits", "reason"), [
    ({"max_delta_chain_length": 2}, "maximum length"), ({"max_delta_chain_age": 1}, "age"), ({"max_delta_chain_size": 1}, "size"),
])  # fmt: skip
def test_validation_names_the_limit(limits: dict[str, int], reason: str) -> None:
    run_ = run_of([{"n": number} for number in range(5)])
    manager = DeltaChainManager(clock=lambda: 1_000, **limits)
    validation = manager.validate_chain(DeltaChain.of(run_[0], deltas_of(run_), created_at=0))
    assert not validation.is_valid
    assert reason in str(validation.reason)


def test_a_missing_start_is_called_so() -> None:
    result = SnapshotReconstructor().reconstruct(None, [])
    assert "start snapshot" in str(result.error)


@pytest.mark.parametrize("spoilt", [
    {"timestamp": None}, {"timestamp": "2024-01-01"}, {"size_bytes": 1.5}, {"compression_ratio": "1"}, {"checksum": None}, {"removed_keys": [1]},
])  # fmt: skip
@pytest.mark.parametrize("form", ["auto", "framework0", "unspool"])
def test_a_record_that_could_not_be_read_back_is_not_written(spoilt: dict[str, Any], form: str) -> None:
    compressor = DeltaCompressor()
    fields: dict[str, Any] = {"timestamp": 1.0, "changes": {"a": 1}}
    assert compressor.deserialize_delta(compressor.serialize_delta(DeltaRecord(**fields), form)).changes == {"a": 1}
    with pytest.raises(DeltaCompressionError):
        compressor.serialize_delta(DeltaRecord(**{**fields, **spoilt}), form)


@pytest.mark.parametrize(
    ("identity", "moment"), [(5, 0), (None, 0), ("s", "2024-01-01"), ("s", None), ("s", float("nan")), ("s", True)]
)
def test_a_snapshot_with_an_id_or_time_of_another_type_is_refused_at_once(identity: Any, moment: Any) -> None:
    with pytest.raises(UnsupportedValue):
        Snapshot.of(identity, {"a": 1}, timestamp=moment)


def test_entries_are_reached_by_number_and_slice_and_by_nothing_else() -> None:
    history = DeltaAwareHistoryManager()
    for number in range(5):
        history.add(snap(f"s{number}", number, n=number))
    assert [state.to_state()["n"] for state in history[1:4]] == [1, 2, 3]
    assert [state.to_state()["n"] for state in history[::-2]] == [4, 2, 0]
    assert history[-1].to_state() == {"n": 4}
    wrong: Any
    for wrong in ("s1", None, 1.0, 9):
        with pytest.raises(EntryNotFound):
            history[wrong]


def test_a_listener_that_raises_fails_nothing_and_keeps_nobody_from_hearing() -> None:
    history, heard = DeltaAwareHistoryManager(), []
    history.subscribe(lambda event: 1 / 0)
    history.subscribe(lambda event: heard.append(event.type))
    with pytest.warns(RuntimeWarning, match="ZeroDivisionError: division by zero; the add stands"):
        history.add(snap("s0", 0, n=0))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        history.clear()
    assert heard == ["add", "clear"]
    assert len(history) == 0


def record(changes: dict[str, Any], removed: list[str], moment: float) -> dict[str, Any]:
    payload = json.dumps({"changes": changes, "removed": removed}, sort_keys=True)
    return {
        "changes": changes, "removed_keys": removed, "timestamp": moment, "compression_ratio": 1.0, "size_bytes": len(payload),
        "checksum": hashlib.sha256(payload.encode()).hexdigest()[:16],
        "metadata": {"compression_level": 0, "original_size": 1, "compressed_size": 1},
    }  # fmt: skip


def test_a_sound_chain_of_records_is_healthy_though_its_base_has_the_files_time(tmp_path: Path) -> None:
    path = tmp_path / "chain.json"
    records = [record({"a": 2}, [], 1_700_000_000.5), record({"c": 1}, ["b"], 1_700_000_001.5)]
    path.write_text(json.dumps({"base_state": {"a": 1, "b": 1}, "records": records}))
    with open_history(path, follow=False) as history:
        assert diagnose(history).verdict == "healthy"
    records.reverse()
    path.write_text(json.dumps({"base_state": {"a": 1, "b": 1}, "records": records}))
    with open_history(path, follow=False) as history:
        assert [str(finding.code) for finding in diagnose(history).findings] == ["clock-backwards"]


def test_stats_says_whose_size_it_prints(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, kept = tmp_path / "states.jsonl", tmp_path / "kept.unspool"
    path.write_text('{"a": 1}\n{"a": 2}\n')
    assert run(["stats", str(path)]) == 0
    assert "on disk  18 B" in capsys.readouterr().out
    assert run(["convert", str(path), str(kept)]) == 0
    capsys.readouterr()
    assert run(["stats", str(kept)]) == 0
    assert f"on disk  {size_told(kept.stat().st_size)}" in capsys.readouterr().out


def test_values_that_the_package_wrote_are_restored_outside_snapshots_too(tmp_path: Path) -> None:
    path = tmp_path / "values.json"
    path.write_text(json.dumps([
        {"__type": "Date", "value": "2024-01-01T00:00:00.000Z"}, {"__type": "Map", "__id": "m", "entries": [["k", 1]]},
    ]))  # fmt: skip
    with open_history(path, follow=False) as history:
        values = history.state(0)["value"]
        assert values[0].isoformat() == "2024-01-01T00:00:00+00:00"
        assert (values[1].type_name, values[1].value) == ("Map", [["k", 1]])
