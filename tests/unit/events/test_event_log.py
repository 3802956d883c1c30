"""Writing events: fields, types, errors, settings, chain."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
import uuid
from multiprocessing import get_context
from pathlib import Path

import pytest
from event_samples import at, fill, genesis, steady_config
from hypothesis import given
from hypothesis import strategies as st

from unspool import events
from unspool.errors import ConfigError, EventLogError
from unspool.events import (
    DatabaseError,
    EventDraft,
    EventLog,
    EventLogConfig,
    EventLogErrorCode,
    EventType,
    IntegrityViolation,
    InvalidEvent,
    StorageFull,
    event_hash,
    reconstruct_source,
    records,
    write_genesis_event,
)
from unspool.events.canonical import join_surrogates


def test_e20_an_event_has_the_seeds_fields(tmp_path: Path) -> None:
    with EventLog(tmp_path / "log.db") as log:
        first = log.write_event("state_changed", "s", "2026-01-01T00:00:00+02:00", {"a": 1}, version=3)
        second = log.write_event("user_feedback", "s", at(1), {})
        other = log.write_event("system_event", "t", at(1), {})
    assert uuid.UUID(first.id).version == 4
    assert (first.type, first.space_id, first.version, dict(first.payload)) == (
        EventType.STATE_CHANGED,
        "s",
        3,
        {"a": 1},
    )
    assert first.timestamp == "2026-01-01T00:00:00+02:00"
    assert [event.sequence_number for event in (first, second, other)] == [1, 2, 1]
    assert (first.previous_hash, second.previous_hash, other.previous_hash) == (None, first.hash, None)
    assert all(event.hash == event_hash(event) for event in (first, second, other))


@pytest.mark.parametrize("version", [0, -1, 1.5, True, "1", None])
def test_e21_a_version_that_is_no_positive_integer_is_refused(version: object) -> None:
    with EventLog(":memory:") as log, pytest.raises(InvalidEvent) as caught:
        log.write_event("state_changed", "s", at(0), {}, version=version)  # type: ignore[arg-type]
    assert caught.value.field == "version"


@pytest.mark.parametrize("timestamp", ["", "yesterday", "Jan 1 2026", "2026-02-30T00:00:00Z", None, 5])
def test_e21_a_timestamp_that_is_no_iso_date_is_refused(timestamp: object) -> None:
    with EventLog(":memory:") as log, pytest.raises(InvalidEvent) as caught:
        log.write_event("state_changed", "s", timestamp, {})  # type: ignore[arg-type]
    assert caught.value.field == "timestamp"


@pytest.mark.parametrize(
    ("payload", "place"),
    [
        (None, "null"),
        ([1], "list"),
        ("text", "str"),
        ({"a": {"b": [0, float("nan")]}}, "payload.a.b[1]"),
        ({"a": float("inf")}, "payload.a"),
        ({"a": b"x"}, "payload.a"),
        ({"a": 2**53 + 1}, "payload.a"),
        ({"a": 10**400}, "payload.a"),
        ({"a": {1: 2}}, "payload.a"),
        ({"a": {"__proto__": 1}}, "payload.a"),
        ({"a": {"b": (1, {2})}}, "payload.a.b[1]"),
    ],
)
def test_e21_a_payload_that_would_not_verify_is_refused_with_its_place(payload: object, place: str) -> None:
    with EventLog(":memory:") as log:
        with pytest.raises(InvalidEvent, match=".") as caught:
            log.write_event("state_changed", "s", at(0), payload)  # type: ignore[arg-type]
        assert caught.value.field == "payload"
        assert place in str(caught.value)
        assert log.spaces() == ()


def test_e21_a_payload_that_holds_itself_is_refused() -> None:
    payload: dict[str, object] = {}
    payload["self"] = payload
    with EventLog(":memory:") as log, pytest.raises(InvalidEvent, match="holds itself"):
        log.write_event("state_changed", "s", at(0), payload)


@pytest.mark.parametrize("space_id", ["", "  ", None])
def test_e21_a_blank_space_is_refused(space_id: object) -> None:
    with EventLog(":memory:") as log, pytest.raises(InvalidEvent) as caught:
        log.write_event("state_changed", space_id, at(0), {})  # type: ignore[arg-type]
    assert caught.value.field == "spaceId"


def test_e21_integers_that_a_double_holds_and_deep_payloads_are_kept() -> None:
    deep: object = 1
    for _ in range(10_000):
        deep = [deep]
    with EventLog(":memory:") as log:
        event = log.write_event(
            "state_changed", "s", at(0), {"big": 2**60, "tiny": 5e-324, "deep": deep, "t": (1, 2)}
        )
        (stored,) = log.query_by_space("s").items
        assert stored.hash == event.hash
        assert (stored.payload["big"], stored.payload["tiny"], stored.payload["t"]) == (2**60, 5e-324, [1, 2])
        assert log.verify_integrity().valid


def test_e22_there_are_eleven_types_and_no_other(tmp_path: Path) -> None:
    names = [
        "space_created",
        "space_evolved",
        "space_forked",
        "space_deleted",
        "state_changed",
        "action_invoked",
        "intent_submitted",
        "intent_queued",
        "intent_resolved",
        "user_feedback",
        "system_event",
    ]
    assert [kind.value for kind in EventType] == names
    with EventLog(tmp_path / "log.db") as log:
        for name in names:
            assert log.write_event(name, "s", at(0), {}).type == name
        with pytest.raises(InvalidEvent, match="space_renamed") as caught:
            log.write_event("space_renamed", "s", at(0), {})
    assert caught.value.field == "type"


def test_e23_every_error_has_one_of_the_seven_codes() -> None:
    classes = [
        value for value in vars(records).values() if isinstance(value, type) and issubclass(value, EventLogError)
    ]
    codes = {vars(each)["code"] for each in classes if "code" in vars(each)}
    assert codes == set(EventLogErrorCode)
    assert len(EventLogErrorCode) == 7


def test_e23_storage_full_is_raised_when_the_budget_is_spent(tmp_path: Path) -> None:
    with EventLog(tmp_path / "log.db", steady_config(max_bytes=2000)) as log:
        fill(log, "s", 4)
        with pytest.raises(StorageFull) as caught:
            log.write_event("state_changed", "s", at(9), {"text": "x" * 2000})
        assert caught.value.code == "STORAGE_FULL"
        assert caught.value.max_bytes == 2000
        assert 0 < caught.value.used_bytes < 2000
        assert log.query_by_space("s").total == 4


def test_e23_no_new_space_is_opened_when_the_budget_is_nearly_spent(tmp_path: Path) -> None:
    with EventLog(tmp_path / "log.db") as log:
        fill(log, "s", 20)
        used = log.get_storage_usage().estimated_bytes
    with EventLog(tmp_path / "log.db", EventLogConfig(max_bytes=used + used // 12)) as log:
        with pytest.raises(StorageFull, match="no new space"):
            log.write_event("state_changed", "t", at(9), {})
        assert log.spaces() == ("s",)
        assert fill(log, "s", 1, start=20)[0].sequence_number == 21


def test_e24_settings_have_the_seeds_defaults_and_are_honoured(tmp_path: Path) -> None:
    config = EventLogConfig()
    assert (config.max_events_per_query, config.snapshot_interval) == (1000, 100)
    assert (config.hash_algorithm, config.schema_version) == ("SHA-256", 1)
    with EventLog(tmp_path / "log.db", steady_config(max_events_per_query=3, snapshot_interval=2)) as log:
        events = fill(log, "s", 5)
        assert len(log.query_by_space("s", limit=500).items) == 3
        assert [each.event_sequence_number for each in log.snapshots("s")] == [2, 4]
        # The id generator is injected; snapshots take ids from it too.
        assert events[0].id == "00000000-0000-4000-8000-000000000001"


@pytest.mark.parametrize(
    "setting",
    [{"hash_algorithm": "MD5"}, {"schema_version": 2}, {"max_events_per_query": 0}, {"snapshot_interval": -1}],
)
def test_e24_a_setting_that_cannot_be_honoured_is_refused(setting: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=next(iter(setting))):
        EventLogConfig(**setting)  # type: ignore[arg-type]


def test_e25_the_diff_helpers_take_the_log_and_its_id_generator() -> None:
    with EventLog(":memory:", steady_config()) as log:
        assert genesis(log, "s", "text").id == "00000000-0000-4000-8000-000000000001"
        assert reconstruct_source(log, "s").source == "text"


def test_an_id_that_is_taken_is_refused_and_nothing_is_written() -> None:
    with EventLog(":memory:", EventLogConfig(id_generator=lambda: "same")) as log:
        log.write_event("state_changed", "s", at(0), {})
        with pytest.raises(InvalidEvent, match="taken") as caught:
            log.write_event("state_changed", "t", at(1), {})
        assert caught.value.field == "id"
        assert log.spaces() == ("s",)


def test_a_batch_is_written_wholly_or_not_at_all() -> None:
    drafts = [EventDraft("state_changed", "s", at(index), {"i": index}) for index in range(3)]
    with EventLog(":memory:") as log:
        assert [event.sequence_number for event in log.write_events(drafts)] == [1, 2, 3]
        with pytest.raises(InvalidEvent):
            log.write_events([*drafts, EventDraft("state_changed", "s", "no date", {})])
        assert log.query_by_space("s").total == 3
        assert log.write_events([]) == []


@given(st.text(min_size=1), st.text(min_size=1))
def test_any_text_is_an_id(space_id: str, event_id: str) -> None:
    if not space_id.strip():
        return
    with EventLog(":memory:", EventLogConfig(id_generator=lambda: event_id)) as log:
        log.write_event("state_changed", space_id, at(0), {space_id.replace("__proto__", ""): event_id})
        (event,) = log.query_by_space(space_id).items
        assert (event.id, event.space_id) == (event_id, space_id)
        assert log.spaces() == (space_id,)
        assert log.verify_integrity().valid
        with EventLog(":memory:") as copy:
            assert copy.import_archive(log.export_archive(space_id)).imported_events == 1


@pytest.mark.parametrize("odd", ["\ud800", "a\udfffb", "\ud83c\udf89", "\x00", "'; DROP TABLE events; --"])
def test_half_characters_and_other_odd_ids_are_kept(odd: str) -> None:
    ids = iter([f"{odd}{odd}", f"{odd}2"])
    with EventLog(":memory:", EventLogConfig(id_generator=lambda: next(ids))) as log:
        log.write_event("state_changed", odd, at(0), {"text": odd})
        log.write_event("state_changed", odd, at(0), {"text": odd})
        page = log.query_by_space(odd, limit=1)
        assert page.next_cursor is not None
        (event,) = log.query_by_space(odd, limit=1, cursor=page.next_cursor).items
        assert event.id == join_surrogates(f"{odd}2")
        assert event.payload["text"] == join_surrogates(odd)
        assert log.verify_integrity(odd).valid
        archive = log.export_archive(odd)
        with EventLog(":memory:") as copy:
            assert copy.import_archive(archive).imported_events == 2
            assert copy.head(odd) == log.head(odd)


def test_e36_writing_refuses_to_continue_a_broken_chain(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    with EventLog(path) as log:
        fill(log, "s", 3)
    tamper(path, "DELETE FROM events WHERE sequence = 3")
    with EventLog(path) as log, pytest.raises(IntegrityViolation, match="end of space 's'") as caught:
        fill(log, "s", 1)
    assert caught.value.code == "INTEGRITY_VIOLATION"
    assert caught.value.expected != caught.value.actual


def test_e36_writing_refuses_to_follow_a_changed_event(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    with EventLog(path) as log:
        fill(log, "s", 2)
    tamper(path, "UPDATE events SET payload = '{\"index\":7}' WHERE sequence = 2")
    with EventLog(path) as log, pytest.raises(IntegrityViolation, match="does not match its hash"):
        fill(log, "s", 1)


def test_e36_threads_share_one_log(tmp_path: Path) -> None:
    with EventLog(tmp_path / "log.db", EventLogConfig(snapshot_interval=7)) as log:
        threads = [threading.Thread(target=fill, args=(log, "s", 20)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert log.query_by_space("s").total == 80
        assert log.verify_integrity().valid


@pytest.mark.slow
def test_e36_processes_append_to_one_chain(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    context = get_context("spawn")
    workers = [context.Process(target=write_from_elsewhere, args=(path, name)) for name in ("a", "b", "c")]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(timeout=120)
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    with EventLog(path) as log:
        events = log.query_by_space("shared", limit=1000).items
        assert [event.sequence_number for event in events] == list(range(1, 61))
        assert {event.payload["from"] for event in events} == {"a", "b", "c"}
        assert log.verify_integrity().valid


def write_from_elsewhere(path: Path, name: str) -> None:
    with EventLog(path) as log:
        for index in range(20):
            log.write_event("state_changed", "shared", at(index), {"from": name})


def test_many_openers_of_a_new_log_agree(tmp_path: Path) -> None:
    def open_and_write(path: Path) -> None:
        with EventLog(path) as log:
            fill(log, "s", 1)

    for number in range(5):
        path = tmp_path / f"{number}.db"
        threads = [threading.Thread(target=open_and_write, args=(path,)) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        with EventLog(path) as log:
            assert log.query_by_space("s").total == 6


def test_another_program_that_writes_is_named_when_waiting_ends(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    with EventLog(path, timeout=0.05) as log:
        fill(log, "s", 1)
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(DatabaseError, match="another process is writing") as caught:
            fill(log, "s", 1, start=1)
        other.close()
        assert caught.value.operation == "write"
        assert fill(log, "s", 1, start=1)[0].sequence_number == 2


def test_a_log_is_reopened_and_continued(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    with EventLog(path) as log:
        last = fill(log, "s", 2)[-1]
    with EventLog(path) as log:
        head = log.head("s")
        assert head is not None
        assert (head.sequence_number, head.hash) == (2, last.hash)
        assert fill(log, "s", 1, start=2)[0].previous_hash == last.hash
        assert log.head("other") is None


def test_a_file_that_is_no_event_log_is_refused_untouched(tmp_path: Path) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("not a database, but long enough to be taken for one\n" * 30)
    other = tmp_path / "other.db"
    with sqlite3.connect(other) as connection:
        connection.execute("CREATE TABLE notes (text)")
    connection.close()
    for path in (text, other):
        before = path.read_bytes()
        with pytest.raises(DatabaseError, match=path.name):
            EventLog(path)
        assert path.read_bytes() == before
    with pytest.raises(DatabaseError, match="missing"):
        EventLog(tmp_path / "missing" / "log.db", read_only=True)
    with pytest.raises(DatabaseError, match="check the path"):
        EventLog(tmp_path / "missing" / "log.db")


def test_a_newer_schema_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    EventLog(path).close()
    tamper(path, "PRAGMA user_version = 99")
    with pytest.raises(DatabaseError, match="newer unspool"):
        EventLog(path)


def test_a_log_opened_for_reading_refuses_to_write(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    with EventLog(path) as log:
        fill(log, "s", 3)
    with EventLog(path, read_only=True) as log:
        assert log.query_by_space("s").total == 3
        assert log.verify_integrity().valid
        with pytest.raises(DatabaseError, match="for reading only"):
            fill(log, "s", 1)
        with pytest.raises(DatabaseError, match="for reading only"):
            write_genesis_event(
                log, "t", at(0), "x", "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881", "w"
            )


def test_a_damaged_row_is_named_not_shown(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    with EventLog(path) as log:
        fill(log, "s", 2)
    tamper(path, "UPDATE events SET payload = x'28b52ffd2004' WHERE sequence = 1")
    with EventLog(path) as log, pytest.raises(DatabaseError, match="event 1 of space 's' is damaged"):
        log.query_by_space("s")


def tamper(path: Path, statement: str) -> None:
    """Change a closed log behind its back."""
    connection = sqlite3.connect(path)
    connection.execute(statement)
    connection.commit()
    connection.close()


def test_every_public_name_is_there_and_loading_the_room_loads_nothing_else() -> None:
    for name in events.__all__:
        assert getattr(events, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        events.nothing  # noqa: B018
    code = (
        "import sys, unspool.events; sys.exit(any(name in sys.modules for name in ('zstandard', 'sqlite3', 'ast')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
