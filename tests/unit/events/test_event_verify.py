"""Verification finds what was changed, taken out, put in or cut off."""

from __future__ import annotations

import random
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from event_samples import at, fill

from unspool.errors import EventLogError
from unspool.events import EventLog, EventLogConfig, Head, event_hash, reconstruct_source, write_source
from unspool.events.rows import moment, pack_hash


def change(path: Path, *statements: str | tuple[str, tuple[object, ...]]) -> None:
    """Change a closed log behind its back."""
    connection = sqlite3.connect(path)
    for statement in statements:
        connection.execute(*([statement] if isinstance(statement, str) else statement))
    connection.commit()
    connection.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return a closed log with two spaces of 5 and 3 events."""
    path = tmp_path / "log.db"
    with EventLog(path) as log:
        fill(log, "s", 5)
        fill(log, "t", 3)
    return path


def test_e40_a_sound_log_verifies_wholly_and_by_space(path: Path) -> None:
    with EventLog(path) as log:
        report = log.verify_integrity()
        assert (report.valid, report.total_events, report.checked_events, report.first_broken_link) == (
            True,
            8,
            8,
            None,
        )
        assert report.duration >= 0
        assert log.verify_integrity("t").checked_events == 3
        assert log.verify_integrity("unknown").valid


def test_e40_chunks_join_without_a_seam() -> None:
    with EventLog(":memory:", EventLogConfig(snapshot_interval=0)) as log:
        fill(log, "s", 1101)
        report = log.verify_integrity("s")
        assert (report.valid, report.checked_events) == (True, 1101)


@pytest.mark.parametrize(
    ("statement", "number", "reason"),
    [
        ("UPDATE events SET payload = '{\"index\":9}' WHERE space = 1 AND sequence = 3", 3, "match its hash"),
        (
            "UPDATE events SET timestamp = '2026-02-14T00:00:02.001Z' WHERE space = 1 AND sequence = 3",
            3,
            "another time",
        ),
        ("UPDATE events SET version = 2 WHERE space = 1 AND sequence = 1", 1, "match its hash"),
        ("UPDATE events SET type = 'user_feedback' WHERE space = 1 AND sequence = 5", 5, "match its hash"),
        ("UPDATE events SET hash = zeroblob(32) WHERE space = 1 AND sequence = 2", 2, "match its hash"),
        ("UPDATE events SET previous_hash = NULL WHERE space = 1 AND sequence = 2", 2, "does not follow"),
        ("UPDATE events SET previous_hash = zeroblob(32) WHERE space = 1 AND sequence = 1", 1, "does not follow"),
        ("DELETE FROM events WHERE space = 1 AND sequence = 1", 2, "missing"),
        ("DELETE FROM events WHERE space = 1 AND sequence = 3", 4, "missing"),
        ("DELETE FROM events WHERE space = 1 AND sequence >= 4", 4, "missing at the end"),
        ("DELETE FROM events WHERE space = 1", 1, "missing at the end"),
        ("UPDATE spaces SET head_sequence = 4 WHERE space = 1", 5, "behind the end"),
        ("UPDATE spaces SET head_hash = zeroblob(32) WHERE space = 1", 5, "written last"),
        ("UPDATE events SET payload = 'no json' WHERE space = 1 AND sequence = 4", 4, "cannot be read"),
        ("UPDATE events SET type = 'made_up' WHERE space = 1 AND sequence = 4", 4, "cannot be read"),
        ("UPDATE events SET moment = x'00' WHERE space = 1 AND sequence = 4", 4, "another time"),
        ("UPDATE spaces SET latest_moment = x'00' WHERE space = 1", 5, "latest time"),
        ("DELETE FROM spaces WHERE space = 1", 1, "space that is missing"),
    ],
)
def test_e41_any_change_to_a_space_is_found(path: Path, statement: str, number: int, reason: str) -> None:
    change(path, statement)
    with EventLog(path) as log:
        report = log.verify_integrity()
        assert not report.valid
        link = report.first_broken_link
        assert link is not None
        assert link.sequence_number == number
        assert reason in link.reason
        assert log.verify_integrity("t").valid


def test_e41_an_inserted_event_is_found(path: Path) -> None:
    with EventLog(path) as log:
        second = log.query_by_space("s").items[1]
    forged = replace(second, id="forged", sequence_number=6, previous_hash=second.hash)
    row = (
        (1 << 32) + 6, 1, 6, "forged", "state_changed", forged.timestamp, moment(forged.timestamp), 1,
        pack_hash(second.hash), pack_hash(event_hash(forged)), '{"index":1}',
    )  # fmt: skip
    change(path, ("INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", row))
    with EventLog(path) as log:
        link = log.verify_integrity("s").first_broken_link
        assert link is not None
        assert (link.sequence_number, link.event_id) == (6, "forged")


def test_e41_a_tail_cut_with_its_head_pointer_is_found_by_a_head_kept_elsewhere(path: Path) -> None:
    with EventLog(path) as log:
        head = log.head("s")
        fourth = log.query_by_space("s").items[3]
    assert head is not None
    moments = "(SELECT max(moment) FROM events WHERE space = 1)"
    head_pointer = f"UPDATE spaces SET head_sequence = 4, head_hash = ?, latest_moment = {moments} WHERE space = 1"
    change(
        path,
        "DELETE FROM events WHERE space = 1 AND sequence = 5",
        (head_pointer, (pack_hash(fourth.hash),)),
    )
    with EventLog(path) as log:
        assert log.verify_integrity("s").valid
        link = log.verify_integrity("s", heads=[head]).first_broken_link
        assert link is not None
        assert link.reason == "events are missing at the end"
        fill(log, "s", 3, start=7)
        rewritten = log.verify_integrity(heads=[head]).first_broken_link
        assert rewritten is not None
        assert rewritten.expected == head.hash
        lost = log.verify_integrity(heads=[Head("gone", 2, head.hash)]).first_broken_link
        assert lost is not None
        assert lost.reason == "the whole space is missing"


def test_e41_a_changed_snapshot_is_found_and_not_used(path: Path) -> None:
    with EventLog(path) as log:
        log.create_snapshot("s")
    change(path, "UPDATE snapshots SET state = '{\"index\":99}'")
    with EventLog(path) as log:
        link = log.verify_integrity("s").first_broken_link
        assert link is not None
        assert "snapshot" in link.reason
        assert log.reconstruct_state("s") == {"index": 4}


def test_an_event_written_after_a_repair_is_checked_too(path: Path) -> None:
    with EventLog(path) as log:
        log.write_event("system_event", "s", at(60), {"note": "repaired"})
        assert log.verify_integrity().checked_events == 9


def test_no_flipped_bit_crashes_or_hangs_a_reader(path: Path) -> None:
    with EventLog(path) as log:
        write_source(log, "source", at(0), "one\n")
        write_source(log, "source", at(1), "two\n")
    sound = path.read_bytes()
    generator = random.Random(4)
    outcomes = set()
    for number in range(80):
        damaged = bytearray(sound)
        damaged[generator.randrange(4096, len(damaged))] ^= 1 << generator.randrange(8)
        copy = path.with_name(f"{number}.db")
        copy.write_bytes(damaged)
        try:
            with EventLog(copy, read_only=True) as log:
                report = log.verify_integrity()
                outcomes.add(report.valid)
                if report.valid:
                    assert reconstruct_source(log, "source").source == "two\n"
                    assert log.query_by_space("s").total == 5
        except EventLogError as error:
            outcomes.add(type(error))
            assert "\n" not in str(error)
    assert {True, False} <= outcomes


def test_a_deleted_event_s_finding_has_the_hash_that_was_due_and_the_one_that_stands_there(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    with EventLog(path) as log:
        events = [log.write_event("state_changed", "s", f"2026-02-14T00:00:0{n}Z", {"n": n}) for n in range(4)]
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("DELETE FROM events WHERE sequence = 2")
    with EventLog(path) as log:
        link = log.verify_integrity("s").first_broken_link
    assert link is not None
    assert "number 3 stands where 2 is due" in link.reason
    assert (link.expected, link.actual) == (events[0].hash, events[1].hash)
