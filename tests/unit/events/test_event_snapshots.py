"""Snapshots of reduced state, states at a moment, compaction."""

from __future__ import annotations

from pathlib import Path

import pytest
from event_samples import at, fill, steady_config
from hypothesis import given
from hypothesis import strategies as st

from unspool.events import Event, EventLog, EventLogConfig, InvalidQuery, SnapshotFailed, canonical_json, sha256_hex
from unspool.model.values import Value


def total(state: Value, event: Event) -> Value:
    """Reduce a space to the list of all its indices."""
    return [*(state or []), event.payload["index"]]


def test_e60_a_snapshot_holds_state_number_time_and_hash() -> None:
    with EventLog(":memory:", steady_config()) as log:
        fill(log, "s", 3)
        snapshot = log.create_snapshot("s")
        assert (snapshot.space_id, snapshot.event_sequence_number, snapshot.timestamp) == ("s", 3, at(2))
        assert snapshot.state == {"index": 2}
        assert snapshot.hash == sha256_hex(canonical_json({"index": 2}))
        assert log.snapshots("s") == (snapshot,)
        assert log.snapshots("unknown") == ()


def test_e60_the_reducer_is_injected(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    with EventLog(path, EventLogConfig(state_reducer=total)) as log:
        fill(log, "s", 4)
        assert log.create_snapshot("s").state == [0, 1, 2, 3]
        fill(log, "s", 1, start=4)
        assert log.reconstruct_state("s") == [0, 1, 2, 3, 4]
    with EventLog(path) as log:
        # A snapshot of one reducer is nothing to another.
        assert log.reconstruct_state("s") == {"index": 4}
        assert log.create_snapshot("s").state == {"index": 4}


def test_e61_nothing_to_snapshot_is_an_error() -> None:
    with EventLog(":memory:") as log:
        with pytest.raises(SnapshotFailed, match="no events") as caught:
            log.create_snapshot("s")
        assert (caught.value.code, caught.value.space_id) == ("SNAPSHOT_FAILED", "s")
        fill(log, "s", 1)
        log.create_snapshot("s")
        with pytest.raises(SnapshotFailed, match="no new events"):
            log.create_snapshot("s")


@pytest.mark.parametrize(
    ("reducer", "reason"),
    [
        (lambda _state, _event: 1 / 0, "ZeroDivisionError"),
        (lambda _state, _event: {1, 2}, "no JSON"),
        (lambda _s, _e: float("nan"), "no JSON"),
    ],
)
def test_e61_a_reducer_that_fails_is_named(reducer: object, reason: str) -> None:
    with EventLog(":memory:", EventLogConfig(state_reducer=reducer, reducer_name="mine")) as log:  # type: ignore[arg-type]
        fill(log, "s", 1)
        with pytest.raises(SnapshotFailed, match=reason):
            log.create_snapshot("s")
        assert log.snapshots("s") == ()


def test_e62_a_snapshot_is_made_by_itself_every_interval() -> None:
    with EventLog(":memory:", EventLogConfig(snapshot_interval=10)) as log:
        fill(log, "s", 34)
        assert [each.event_sequence_number for each in log.snapshots("s")] == [10, 20, 30]
        assert log.snapshot_failure is None


def test_e62_an_automatic_snapshot_that_fails_does_not_fail_the_write() -> None:
    def fails(_state: Value, _event: Event) -> Value:
        raise RuntimeError("no")

    with EventLog(":memory:", EventLogConfig(snapshot_interval=2, state_reducer=fails)) as log:
        assert [event.sequence_number for event in fill(log, "s", 3)] == [1, 2, 3]
        assert log.snapshot_failure is not None
        assert "RuntimeError: no" in str(log.snapshot_failure)
        assert log.verify_integrity().valid


def test_e62_no_interval_means_no_snapshot() -> None:
    with EventLog(":memory:", EventLogConfig(snapshot_interval=0)) as log:
        fill(log, "s", 150)
        assert log.snapshots("s") == ()


def test_e63_compaction_snapshots_and_deletes_no_event(tmp_path: Path) -> None:
    with EventLog(tmp_path / "log.db", EventLogConfig(snapshot_interval=10)) as log:
        fill(log, "s", 25)
        before = log.get_storage_usage()
        report = log.compact("s")
        after = log.get_storage_usage()
        assert (report.space_id, report.events_compacted) == ("s", 5)
        assert report.snapshot_id == log.snapshots("s")[-1].id
        assert report.bytes_saved == before.file_bytes - after.file_bytes
        assert log.query_by_space("s").total == 25
        assert log.verify_integrity().valid
        with pytest.raises(SnapshotFailed):
            log.compact("s")
        with pytest.raises(SnapshotFailed):
            log.compact("unknown")


def test_e64_a_state_at_a_moment_includes_that_moment() -> None:
    with EventLog(":memory:", EventLogConfig(snapshot_interval=4)) as log:
        fill(log, "s", 10)
        assert log.reconstruct_state("s") == {"index": 9}
        assert log.reconstruct_state("s", at(4)) == {"index": 4}
        assert log.reconstruct_state("s", "2026-02-14T01:00:04.5+01:00") == {"index": 4}
        assert log.reconstruct_state("s", at(0)) == {"index": 0}


@pytest.mark.parametrize(
    ("space_id", "moment", "field"),
    [("unknown", None, "spaceId"), ("s", "2020-01-01", "atTimestamp"), ("s", "never", "atTimestamp")],
)
def test_e64_a_state_that_never_was_is_refused(space_id: str, moment: str | None, field: str) -> None:
    with EventLog(":memory:") as log:
        fill(log, "s", 1)
        with pytest.raises(InvalidQuery) as caught:
            log.reconstruct_state(space_id, moment)
        assert caught.value.field == field


def test_e64_a_snapshot_with_later_events_in_it_is_not_used() -> None:
    with EventLog(":memory:", EventLogConfig(state_reducer=total, snapshot_interval=0)) as log:
        for index, second in enumerate([10, 50, 20, 30]):
            log.write_event("state_changed", "s", at(second), {"index": index})
            if index == 2:
                log.create_snapshot("s")
        assert log.reconstruct_state("s", at(20)) == [0, 2]
        assert log.reconstruct_state("s", at(30)) == [0, 2, 3]
        assert log.reconstruct_state("s", at(50)) == [0, 1, 2, 3]


def test_e64_the_first_event_may_be_later_than_the_moment() -> None:
    with EventLog(":memory:", EventLogConfig(state_reducer=total)) as log:
        log.write_event("state_changed", "s", at(9), {"index": 0})
        log.write_event("state_changed", "s", at(5), {"index": 1})
        assert log.reconstruct_state("s", at(5)) == [1]


@given(st.lists(st.integers(0, 9), min_size=1, max_size=12), st.integers(0, 9), st.integers(1, 4))
def test_e64_any_state_is_the_reduction_of_the_events_up_to_its_moment(
    times: list[int], moment: int, interval: int
) -> None:
    with EventLog(":memory:", EventLogConfig(state_reducer=total, snapshot_interval=interval)) as log:
        for index, second in enumerate(times):
            log.write_event("state_changed", "s", at(second), {"index": index})
        expected = [index for index, second in enumerate(times) if second <= moment]
        if expected:
            assert log.reconstruct_state("s", at(moment)) == expected
        else:
            with pytest.raises(InvalidQuery):
                log.reconstruct_state("s", at(moment))
