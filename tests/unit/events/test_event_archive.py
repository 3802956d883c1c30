"""The `.rblogs` archive, out and in."""

from __future__ import annotations

import hashlib
import json
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from event_samples import GOLDEN, SEEDS, at, fill, golden_body, steady_config
from hypothesis import given
from hypothesis import strategies as st

from unspool.events import (
    EventLog,
    EventLogConfig,
    ImportFailed,
    IntegrityViolation,
    InvalidQuery,
    archive_body,
    canonical_json,
    pack_archive,
    plain_json,
    sha256_hex,
    unpack_archive,
)
from unspool.model.json_exact import parse_doubles

RawEvent = dict[str, Any]


def archive_of(body: str | bytes, count: int | None = None) -> bytes:
    """Frame a body as an archive."""
    encoded = body.encode() if isinstance(body, str) else body
    if count is None:
        count = len(json.loads(encoded))
    footer = hashlib.sha256(encoded).hexdigest().encode()
    return struct.pack(">5sBI", b"RBLOG", 1, count) + zlib.compress(encoded) + footer


def resealed(events: list[RawEvent]) -> list[RawEvent]:
    """Give events the hashes and links that they should have."""
    previous = None
    for event in events:
        event["previousHash"] = previous
        event["hash"] = sha256_hex(canonical_json({key: value for key, value in event.items() if key != "hash"}))
        previous = event["hash"]
    return events


def golden_events() -> list[RawEvent]:
    """Return the events of the seed's archive as JSON objects."""
    return json.loads(golden_body())  # type: ignore[no-any-return]


def test_e70_an_archive_has_the_seeds_frame() -> None:
    with EventLog(":memory:") as log:
        fill(log, "s", 3)
        data = log.export_archive("s")
    assert data[:10] == b"RBLOG\x01\x00\x00\x00\x03"
    body = zlib.decompress(data[10:-64])
    assert data[10:11] == b"\x78"
    assert data[-64:].decode() == hashlib.sha256(body).hexdigest()


def test_e70_the_originals_archives_are_read() -> None:
    assert unpack_archive((SEEDS / "ri-empty.rblogs").read_bytes()) == {}
    (events,) = unpack_archive(GOLDEN.read_bytes()).values()
    expected = json.loads((SEEDS / "ri-source-space.expected.json").read_text())["events"]
    assert [
        (event.sequence_number, event.id, event.type.value, event.hash, event.previous_hash) for event in events
    ] == [tuple(each.values()) for each in expected]


def test_e70_an_empty_archive_is_written_as_the_original_wrote_it() -> None:
    assert archive_body(pack_archive(())) == archive_body((SEEDS / "ri-empty.rblogs").read_bytes()) == b"[]"
    with EventLog(":memory:") as log:
        assert unpack_archive(log.export_archive("unknown")) == {}
        assert log.import_archive(SEEDS / "ri-empty.rblogs").imported_events == 0


def test_e71_one_space_is_exported_before_a_date_in_field_order() -> None:
    with EventLog(":memory:") as log:
        fill(log, "s", 5)
        fill(log, "t", 2)
        data = log.export_archive("s", "2026-02-14T01:00:03.000+01:00")
        raw = json.loads(archive_body(data))
        assert [event["sequenceNumber"] for event in raw] == [1, 2, 3]
        assert list(raw[0]) == [
            "id",
            "type",
            "spaceId",
            "timestamp",
            "sequenceNumber",
            "hash",
            "previousHash",
            "version",
            "payload",
        ]
        assert b" " not in archive_body(data)
        assert len(json.loads(archive_body(log.export_archive("s")))) == 5
        with pytest.raises(InvalidQuery) as caught:
            log.export_archive("s", "tomorrow")
        assert caught.value.field == "beforeDate"


def test_e71_a_date_that_would_cut_a_hole_into_the_chain_is_refused() -> None:
    with EventLog(":memory:") as log:
        for second in (1, 9, 2):
            log.write_event("state_changed", "s", at(second), {})
        with pytest.raises(InvalidQuery, match="event 3 .* follows event 2") as caught:
            log.export_archive("s", at(5))
        assert caught.value.field == "beforeDate"
        assert len(unpack_archive(log.export_archive("s", at(2)))["s"]) == 1


def test_e72_a_changed_payload_is_not_exported(tmp_path: Path) -> None:
    with EventLog(tmp_path / "log.db") as log:
        fill(log, "s", 3)
        with log.database.writing() as connection:
            connection.execute("UPDATE events SET payload = '{\"index\":7}' WHERE sequence = 2")
        with pytest.raises(IntegrityViolation, match="event 2 of space 's'"):
            log.export_archive("s")


def test_e73_an_import_is_idempotent_and_skips_what_is_there(tmp_path: Path) -> None:
    with EventLog(tmp_path / "log.db") as log:
        first = log.import_archive(str(GOLDEN))
        again = log.import_archive(GOLDEN.read_bytes())
        assert (first.imported_events, first.skipped_duplicates) == (4, 0)
        assert (again.imported_events, again.skipped_duplicates) == (0, 4)
        assert log.verify_integrity().valid
        assert log.get_storage_usage().estimated_bytes == len(golden_body()) - 5 + len(golden_body().encode()) - len(
            golden_body()
        )


def test_e73_a_longer_archive_continues_a_stored_chain() -> None:
    with (
        EventLog(":memory:", EventLogConfig(snapshot_interval=3)) as source,
        EventLog(":memory:", EventLogConfig(snapshot_interval=3)) as copy,
    ):
        fill(source, "s", 2)
        copy.import_archive(source.export_archive("s"))
        fill(source, "s", 2, start=2)
        report = copy.import_archive(source.export_archive("s"))
        assert (report.imported_events, report.skipped_duplicates) == (2, 2)
        assert copy.head("s") == source.head("s")
        assert len(copy.snapshots("s")) == 1
        short = copy.import_archive(source.export_archive("s", at(1)))
        assert (short.imported_events, short.skipped_duplicates) == (0, 1)
        assert fill(copy, "s", 1, start=4)[0].sequence_number == 5


def test_e73_an_archive_may_hold_several_spaces() -> None:
    with EventLog(":memory:") as source, EventLog(":memory:") as copy:
        fill(source, "s", 2)
        fill(source, "t", 1)
        events = [event for space in ("t", "s") for event in reversed(source.query_by_space(space).items)]
        assert copy.import_archive(pack_archive(events)).imported_events == 3
        assert copy.spaces() == ("t", "s")
        assert copy.head("s") == source.head("s")


@pytest.mark.parametrize("name", ["ri-source-space.rblogs", "ri-node-written.rblogs", "ri-empty.rblogs"])
def test_e74_export_after_import_has_the_same_body(name: str) -> None:
    data = (SEEDS / name).read_bytes()
    with EventLog(":memory:") as log:
        log.import_archive(data)
        space = next(iter(log.spaces()), "none")
        assert archive_body(log.export_archive(space)) == archive_body(data)


@given(
    st.dictionaries(
        st.text(max_size=5), st.integers() | st.text() | st.floats(allow_nan=False, allow_infinity=False), max_size=5
    )
)
def test_e74_any_payload_survives_the_way_out_and_in(payload: dict[str, Any]) -> None:
    payload = {key: value for key, value in payload.items() if key != "__proto__" and canonical_json(value) != "null"}
    payload = parse_doubles(plain_json(payload))
    with EventLog(":memory:") as source, EventLog(":memory:") as copy:
        source.write_event("state_changed", "s", at(0), payload)
        data = source.export_archive("s")
        copy.import_archive(data)
        assert copy.export_archive("s") == data


def forge_payload(events: list[RawEvent]) -> None:
    events[1]["payload"]["sourceHash"] = "0" * 64


def drop_second(events: list[RawEvent]) -> None:
    del events[1]


def repeat_second(events: list[RawEvent]) -> None:
    events.append(events[1])


def start_late(events: list[RawEvent]) -> None:
    del events[0]


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (forge_payload, "does not match its hash"),
        (drop_second, "missing or out of order"),
        (repeat_second, "missing or out of order"),
        (start_late, "missing or out of order"),
        (lambda events: events[0].update(id=""), "id must be text"),
        (lambda events: events[0].pop("previousHash"), "previousHash is missing"),
        (lambda events: events[0].update(hash="ABC"), "no SHA-256"),
        (lambda events: events[0].update(previousHash="x" * 64), "no SHA-256"),
        (lambda events: events[2].update(type="unknown"), "no event type"),
        (lambda events: events[2].update(version=1.5), "version must be an integer"),
        (lambda events: events[2].update(version=True), "version must be an integer"),
        (lambda events: events[2].update(sequenceNumber=0), "sequenceNumber must be an integer"),
        (lambda events: events[2].update(payload=[1]), "payload must be a JSON object"),
        (lambda events: events[2].update(payload=None), "payload must be a JSON object"),
        (lambda events: events[2].update(spaceId="  "), "spaceId must be text"),
        (lambda events: events[2].update(timestamp="Feb 14 2026"), "timestamp"),
        (lambda events: events.insert(0, "text"), "no JSON object"),
        (lambda events: events[1].update(note="more"), "the field 'note'"),
    ],
)
def test_e75_a_forged_or_broken_event_refuses_the_whole_archive(
    damage: Callable[[list[RawEvent]], None], reason: str
) -> None:
    events = golden_events()
    damage(events)
    with EventLog(":memory:") as log:
        with pytest.raises(ImportFailed, match=reason) as caught:
            log.import_archive(archive_of(json.dumps(events)))
        assert caught.value.code == "IMPORT_FAILED"
        assert log.spaces() == ()


def flip(data: bytes, position: int) -> bytes:
    """Change one bit of a byte."""
    return data[:position] + bytes([data[position] ^ 1]) + data[position + 1 :]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda data: b"", "too few"),
        (lambda data: data[:73], "too few"),
        (lambda data: flip(data, 0), "no event archive"),
        (lambda data: flip(data, 5), "version 0 is unknown"),
        (lambda data: flip(data, 9), "declares 5 events and holds 4"),
        (lambda data: flip(data, 40), "damaged|checksum"),
        (lambda data: data[:-70] + data[-64:], "damaged|too early"),
        (lambda data: data[:-64] + b"junk" + data[-64:], "4 bytes stand after"),
        (lambda data: flip(data, len(data) - 1), "checksum"),
        (lambda data: data[:-64] + data[-64:].upper(), "checksum"),
        (lambda data: archive_of(b"{}", 0), "no JSON list"),
        (lambda data: archive_of(b"[", 0), "its body is"),
        (lambda data: archive_of(b"[NaN]", 1), "NaN"),
        (lambda data: archive_of(b"\xff", 0), "its body is"),
    ],
)
def test_e75_a_damaged_archive_is_refused_with_the_reason(
    change: Callable[[bytes], bytes], reason: str, tmp_path: Path
) -> None:
    path = tmp_path / "damaged.rblogs"
    path.write_bytes(change(GOLDEN.read_bytes()))
    with EventLog(":memory:") as log:
        with pytest.raises(ImportFailed, match=reason) as caught:
            log.import_archive(path)
        assert str(caught.value).startswith(str(path))
        assert "\n" not in str(caught.value)
        assert log.spaces() == ()


def test_e75_a_decompression_bomb_is_refused_before_it_is_held() -> None:
    body = b"[" + b" " * 3_000_000 + b"]"
    with EventLog(":memory:") as log:
        with pytest.raises(ImportFailed, match="more than 1000000 bytes"):
            log.import_archive(archive_of(body, 0), max_bytes=1_000_000)
        assert log.import_archive(archive_of(body, 0)).imported_events == 0


def test_e75_an_archive_that_contradicts_the_log_changes_nothing() -> None:
    with EventLog(":memory:") as log, EventLog(":memory:") as other:
        fill(log, "s", 2)
        fill(other, "a", 1)
        fill(other, "s", 3)
        both = [*other.query_by_space("a").items, *other.query_by_space("s").items]
        with pytest.raises(ImportFailed, match="event 1 of space 's' is not the one in the log") as caught:
            log.import_archive(pack_archive(both))
        assert caught.value.event_id == both[1].id
        assert log.spaces() == ("s",)
        assert log.query_by_space("s").total == 2


def test_e75_an_id_that_another_event_has_is_refused() -> None:
    with EventLog(":memory:", steady_config()) as log, EventLog(":memory:", steady_config()) as other:
        fill(log, "s", 1)
        fill(other, "t", 1)
        with pytest.raises(ImportFailed, match="is taken"):
            log.import_archive(other.export_archive("t"))
        assert log.spaces() == ("s",)


def test_e75_whole_numbers_may_be_spelled_with_a_point() -> None:
    events = resealed(golden_events())
    text = (
        json.dumps(events)
        .replace('"version": 1,', '"version": 1.0,')
        .replace('"sequenceNumber": 2,', '"sequenceNumber": 2.0,')
    )
    with EventLog(":memory:") as log:
        assert log.import_archive(archive_of(text)).imported_events == 4


def test_e75_a_missing_file_is_named(tmp_path: Path) -> None:
    with EventLog(":memory:") as log, pytest.raises(ImportFailed, match="nowhere"):
        log.import_archive(tmp_path / "nowhere.rblogs")


@given(st.binary(max_size=300))
def test_e75_no_bytes_crash_the_reader(junk: bytes) -> None:
    for data in (junk, b"RBLOG\x01" + junk, GOLDEN.read_bytes()[:100] + junk):
        with pytest.raises(ImportFailed):
            unpack_archive(data)


def test_a_key_that_hashes_leave_out_is_refused_for_anybody_could_have_put_it_there() -> None:
    events = golden_events()[:1]
    events[0]["payload"]["deep"] = [{"__proto__": {"x": 1}}]
    data = archive_of(plain_json(resealed(events)))
    with EventLog(":memory:") as log, pytest.raises(ImportFailed, match="no hash covers"):
        log.import_archive(data)
