"""Times under any usual name and in any usual spelling, and numbers with all their digits."""

from __future__ import annotations

import decimal
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unspool import open_history
from unspool.model.json_exact import exact_float, parse
from unspool.model.values import strict_equal
from unspool.sources.entries import find_time, iso_time, to_ns
from unspool_tui.cli import run

NOON = "2024-05-01T12:00:00.000000Z"


@pytest.mark.parametrize("value", [
    "2024-05-01T12:00:00Z", "2024-05-01T14:00:00+02:00", "2024-05-01 12:00:00", "2024/05/01 12:00:00", "2024/5/1 12:00:00 UTC",
    "Wed, 01 May 2024 12:00:00 +0000", "1 May 2024 14:00:00 +0200", "Wed, 01 May 2024 12:00:00 GMT", "Wed May  1 12:00:00 2024",
    "01/May/2024:14:00:00 +0200", "2024-05-01 05:00:00 PDT", "2024-05-01T14:00:00[Europe/Berlin]", "2024-05-01 14:00:00 CEST",
    1714564800, 1714564800000, "1714564800000000", 1714564800 * 10**9, {"$date": "2024-05-01T12:00:00Z"},
    {"$date": 1714564800000}, {"$date": {"$numberLong": "1714564800000"}}, {"$timestamp": {"t": 1714564800, "i": 1}},
    {"seconds": 1714564800, "nanos": 0},
])  # fmt: skip
def test_a_time_is_read_in_any_usual_spelling(value: Any) -> None:
    ns = to_ns(value)
    assert ns is not None
    assert iso_time(ns) == NOON


@pytest.mark.parametrize("value", [
    "pen", "12", "may", "2024-13-01", "1 May", "Europe/Berlin", "A B C", {}, {"$date": None}, {"seconds": "1", "nanos": 0},
    {"$timestamp": 3}, "9" * 400, "2024-05-01T12:00:00[No/Where]x", {"$date": {"$date": {"$date": 1}}} and {"$date": []},
])  # fmt: skip
def test_what_is_no_time_is_none(value: Any) -> None:
    assert to_ns(value) is None or value == "12"


@pytest.mark.parametrize("record", [
    {"__REALTIME_TIMESTAMP": "1714564800000000"}, {"_timestamp": NOON}, {"@t": NOON}, {"asctime": "2024-05-01 12:00:00,000"},
    {"timeUnixNano": "1714564800000000000"}, {"Timestamp": NOON}, {"TIME": NOON}, {"updated_at": NOON}, {"updatedAt": NOON},
    {"metadata": {"timestamp": NOON}}, {"event": {"ts": 1714564800}}, {"ts_ms": 1714564800000, "x": 1}, {"created-at": NOON},
])  # fmt: skip
def test_a_time_is_found_under_any_usual_name(record: dict[str, Any]) -> None:
    found = find_time(record)
    assert found is not None
    assert iso_time(found[1]) == NOON


def test_a_small_number_under_an_odd_name_is_no_time() -> None:
    assert find_time({"updated_at": 5}) is None
    assert find_time({"metadata": {"time": 5}}) is None
    assert find_time({"createdAt": NOON}, of_state=True) is None
    assert find_time({"time": 12.5}, of_state=True) is None


def test_the_journal_of_systemd_has_its_times_and_texts(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    records = [
        {"__CURSOR": "s=1;i=1", "__REALTIME_TIMESTAMP": "1714557600123456", "PRIORITY": "6", "MESSAGE": "start"},
        {
            "__CURSOR": "s=1;i=2",
            "__REALTIME_TIMESTAMP": "1714557601123456",
            "PRIORITY": "6",
            "MESSAGE": [27, 91, 255],
        },
        {"__CURSOR": "s=1;i=3", "__REALTIME_TIMESTAMP": "1714557602123456", "PRIORITY": ["6", "3"], "MESSAGE": None},
    ]
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    with open_history(path, follow=False) as history:
        assert [iso_time(entry.timestamp_ns)[11:] for entry in history] == [f"10:00:0{n}.123456Z" for n in range(3)]
        assert history.state(1)["MESSAGE"] == "\x1b[\udcff"
        assert not any(entry.meta for entry in history)


@pytest.mark.parametrize("text", [
    "0.123456789012345678", "12345678901234567.1", "-0.1234567890123456789e-5", "1e400", "123456789012345678901234567890.5",
    "0.1000000000000000055511151231257827",
])  # fmt: skip
def test_digits_that_a_double_loses_are_kept(text: str) -> None:
    value = parse(f'{{"a": [{text}]}}'.encode()).value["a"][0]
    assert value == decimal.Decimal(text)
    assert isinstance(value, decimal.Decimal)


@pytest.mark.parametrize(
    "text", ["0.1", "1.50", "62.0", "0.30000000000000004", "1e5", "1.7976931348623157e308", "-0.0"]
)
def test_what_a_double_gives_back_is_a_double(text: str) -> None:
    assert type(parse(text.encode()).value) is float


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False)))
def test_doubles_as_programs_write_them_stay_doubles(numbers: list[float]) -> None:
    read = parse(json.dumps(numbers).encode()).value
    assert all(type(number) is float for number in read)
    assert read == numbers


LOSING = "0.12345678901234567890123"


@given(
    st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=90, max_size=220),
    st.lists(st.sampled_from([LOSING, f'"{LOSING}"', '"\\u0030.12345678901234567890123"', "1e-07", "1.50", '"a b"', "12345678901234567890",
                              "100000000000000000000.0", "1.0E5", '{"k": 1, "k": 2}', "-0.0"]), max_size=4),
    st.sampled_from(["", " ", "\n  "]),
)  # fmt: skip
def test_among_many_numbers_of_many_digits_none_loses_one(numbers: list[float], odd: list[str], blank: str) -> None:
    items = [repr(number) for number in numbers] + odd
    text = "[" + f",{blank}".join(items[::-1]) + "]"
    parsed = parse(text.encode())
    assert strict_equal(parsed.value, json.loads(text, parse_float=exact_float))
    assert parsed.repeated_key == ("k" if any("k" in item for item in odd) else None)


def test_states_that_differ_behind_the_digits_of_a_double_differ(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "wei.jsonl"
    path.write_text(
        '{"timestamp":1714557600,"state":{"wei":0.123456789012345678}}\n'
        '{"timestamp":1714557601,"state":{"wei":0.123456789012345679}}\n'
    )
    assert run(["diff", str(path), "0", "1"]) == 0
    told = capfd.readouterr().out
    assert "0.123456789012345678" in told
    assert "0.123456789012345679" in told
    assert run(["show", str(path), "1"]) == 0
    assert "0.123456789012345679" in capfd.readouterr().out


RECORDS = [
    {"n": number, "sent": f"2024-05-01T10:00:0{number}Z", "head": {"when": 1714557600 + number}}
    for number in range(3)
]


@pytest.mark.parametrize("path", ["sent", "head.when", "/head/when"])
@pytest.mark.parametrize("as_list", [False, True])
def test_a_time_is_taken_from_where_a_person_says(
    path: str, as_list: bool, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / ("states.json" if as_list else "states.jsonl")
    records: list[dict[str, Any]] = [{"action": "a", "state": record} for record in RECORDS] if as_list else RECORDS
    source.write_text(json.dumps(records) if as_list else "".join(json.dumps(record) + "\n" for record in records))
    where = f"state.{path}" if as_list else path
    where = "/state" + path if as_list and path.startswith("/") else where
    with open_history(source, follow=False, time=where) as history:
        assert [iso_time(entry.timestamp_ns)[11:19] for entry in history] == ["10:00:00", "10:00:01", "10:00:02"]
        assert not any("time_from" in entry.meta for entry in history)
    assert run(["log", str(source), "--time", where, "--json"]) == 0
    assert "10:00:02" in capfd.readouterr().out


def test_a_field_that_reads_as_a_time_is_named_where_all_took_the_file_s(tmp_path: Path) -> None:
    path = tmp_path / "states.jsonl"
    path.write_text("".join(json.dumps(record) + "\n" for record in RECORDS))
    with open_history(path, follow=False) as history:
        assert any("--time sent takes it" in note for note in history.verdict.notes)
        assert history.verdict.status == "complete"
    with open_history(path, follow=False, time="nowhere") as history:
        assert any("3 of 3 records have no time at nowhere" in note for note in history.verdict.notes)


def test_a_time_by_path_is_refused_where_there_are_no_records(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    path.write_text('{"a": 1}')
    assert run(["log", str(path), "--time", "a"]) == 2
    assert run(["log", str(path), "--time", "a[["]) == 2
