"""What a log holds, and how full its budget is."""

from __future__ import annotations

from pathlib import Path

import pytest
from event_samples import at, fill

from unspool.events import (
    EventLog,
    EventLogConfig,
    StoragePressureLevel,
    StorageReport,
    archive_body,
    get_storage_pressure,
)


def test_e65_a_report_counts_events_snapshots_and_utf8_bytes(tmp_path: Path) -> None:
    with EventLog(tmp_path / "log.db") as log:
        log.write_event("state_changed", "s", at(7), {"text": "é🎉"})
        log.write_event("state_changed", "s", at(3), {"text": "plain"})
        log.write_event("state_changed", "t", at(5), {})
        report = log.get_storage_usage()
        bodies = {space: len(archive_body(log.export_archive(space))) for space in ("s", "t")}
        assert (report.total_events, report.total_snapshots) == (3, 0)
        assert (report.oldest_event, report.newest_event) == (at(3), at(7))
        # An archive's body is the same events, in brackets and with commas between.
        assert {each.space_id: each.estimated_bytes for each in report.spaces} == {
            "s": bodies["s"] - 3,
            "t": bodies["t"] - 2,
        }
        assert {each.space_id: each.event_count for each in report.spaces} == {"s": 2, "t": 1}
        assert report.estimated_bytes == sum(each.estimated_bytes for each in report.spaces)
        assert report.file_bytes > 0
        log.create_snapshot("s")
        after = log.get_storage_usage()
        assert after.total_snapshots == 1
        assert after.estimated_bytes == report.estimated_bytes + len('{"text":"plain"}')


def test_e65_an_empty_log_has_no_oldest_event() -> None:
    with EventLog(":memory:") as log:
        report = log.get_storage_usage()
        assert (report.total_events, report.oldest_event, report.newest_event, report.spaces) == (0, None, None, ())


@pytest.mark.parametrize(
    ("used", "level"),
    [
        (0, "NORMAL"),
        (499, "NORMAL"),
        (500, "COMPACT"),
        (699, "COMPACT"),
        (700, "EXPORT_PROMPT"),
        (799, "EXPORT_PROMPT"),
        (800, "AGGRESSIVE"),
        (899, "AGGRESSIVE"),
        (900, "BLOCKED"),
        (5000, "BLOCKED"),
    ],
)
def test_e66_pressure_has_the_seeds_thresholds(used: int, level: str) -> None:
    pressure = get_storage_pressure(StorageReport(1, 0, used, None, None, ()), 1000)
    assert pressure.level == StoragePressureLevel(level)
    assert pressure.usage_ratio == min(used / 1000, 1)
    assert pressure.recommendation


@pytest.mark.parametrize("budget", [0, -1])
def test_e66_no_budget_blocks(budget: int) -> None:
    pressure = get_storage_pressure(StorageReport(0, 0, 0, None, None, ()), budget)
    assert (pressure.level, pressure.usage_ratio) == ("BLOCKED", 1)


def test_small_events_take_small_files(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    with EventLog(path, EventLogConfig(snapshot_interval=0)) as log:
        fill(log, "s", 200)
        text = log.get_storage_usage().estimated_bytes
    assert path.stat().st_size < text * 1.1
