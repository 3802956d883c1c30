"""A bound on a recording: which blocks are dropped, that the file stays small, and that it is sound at every moment."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.support.left_behind import killed
from tests.support.waiting import wait_until

from unspool import Recorder, open_history
from unspool.errors import ConfigError, EntryNotFound, EntryNotKept, NewerSchema
from unspool.history.history import Contexts
from unspool.history.stats import Health
from unspool.query.doctor.diagnosis import diagnose
from unspool.query.repair import repair
from unspool.sources.copying import convert
from unspool.sources.foreign import Reading
from unspool.store import layout_2
from unspool.store.compacting import compact, vacuum
from unspool.store.file import FileStore
from unspool.store.keeping import keep_of
from unspool.store.memory import MemoryStore

FORMAT_1 = sorted((Path(__file__).parents[3] / "fixtures" / "format_1").rglob("*.unspool"))


def record(path: Path, count: int, start: int = 0, **options: Any) -> None:
    with Recorder(path, on_error="raise", **options) as recorder:
        for number in range(start, start + count):
            state = {"n": number, "rows": [{"id": place, "at": number // 10} for place in range(5)], "old": "once"}
            recorder.record(state, f"step {number}", timestamp_ns=1_000_000_000 * (1 + number))


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("last 10_000", (10_000, None, None)),
        ("last 10,000", (10_000, None, None)),
        ("Last 5 entries", (5, None, None)),
        (250, (250, None, None)),
        ("100MB", (None, 100_000_000, None)),
        ("1.5 GiB", (None, 3 << 29, None)),
        ("7d", (None, None, 7 * 86_400 * 10**9)),
        ("90min", (None, None, 5400 * 10**9)),
        (timedelta(hours=2), (None, None, 7200 * 10**9)),
        ("last 1,000, 2MB,36h", (1000, 2_000_000, 36 * 3600 * 10**9)),
    ],
)
def test_bounds_are_read(given: Any, expected: tuple[int | None, ...]) -> None:
    keep = keep_of(given)
    assert (keep.entries, keep.size, keep.age_ns) == expected


@pytest.mark.parametrize(
    "given",
    ["", "all", "10_000", "last", "last 0", "last -3", 0, -1, True, 2.5, "5 MB 3", "7 days ago", "10KB", "0d", "1e999d",
     "9" * 400 + "d", "last 5, last 6", timedelta(0), timedelta(days=-1), b"7d", ["7d"]],
)  # fmt: skip
def test_a_bound_that_means_nothing_is_refused_with_the_forms(given: Any, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="keep is"):
        Recorder(tmp_path / "run.unspool", keep=given, on_error="raise")
    assert not (tmp_path / "run.unspool").exists()


def test_a_bound_is_refused_where_it_cannot_be_honoured(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="PostgreSQL"):
        Recorder("postgresql://someone@localhost/db?history=x", keep=5, on_error="raise", spool=tmp_path)
    with pytest.raises(ConfigError, match="store given"):
        Recorder(MemoryStore(), keep=5, on_error="raise")


def test_a_file_of_format_1_refuses_a_bound_and_stays_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "run.unspool"
    path.write_bytes(FORMAT_1[0].read_bytes())
    with pytest.raises(ConfigError, match="format 1.*compact"):
        Recorder(path, keep="last 5", on_error="raise")
    with open_history(path) as before, open_history(FORMAT_1[0]) as after:
        assert len(before) == len(after)
        assert before.first == 0


def test_whole_blocks_go_and_numbers_stay(tmp_path: Path) -> None:
    path = tmp_path / "run.unspool"
    record(path, 1000, keep="last 200")
    with open_history(path) as history:
        assert len(history) == 1000
        assert 1000 - 200 - 128 <= history.first <= 800
        assert [entry.seq for entry in history] == list(range(history.first, 1000))
        assert history[history.first].parent_seq is None
        assert history.state(-1)["n"] == 999
        assert history.state(history.first)["n"] == history.first
        with pytest.raises(
            EntryNotKept, match=f"no entry 5 any more: keep='last 200' dropped .*entry {history.first}"
        ):
            history.state(5)
        assert history.stats().health is Health.HEALTHY
        assert history.stats().entries == 1000 - history.first
        assert str(history.first) in history.verdict.notes[0]
    found = diagnose(path)
    assert found.verdict is Health.HEALTHY
    assert [finding.code for finding in found.findings] == ["not-kept"]
    assert found.entries == found.readable == 1000 - history.first


def test_a_recorder_goes_on_and_drops_further(tmp_path: Path) -> None:
    path = tmp_path / "run.unspool"
    record(path, 400)
    record(path, 400, 400, keep=100)
    with open_history(path) as history:
        first = history.first
        assert first > 550
    record(path, 300, 800)
    with open_history(path) as history:
        assert (history.first, len(history)) == (first, 1100)
        assert [history.state(seq)["n"] for seq in range(first, 1100)] == list(range(first, 1100))
    assert diagnose(path).verdict is Health.HEALTHY


def test_old_entries_go_by_age_and_a_leap_of_the_clock_takes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "run.unspool"
    record(path, 1000, keep="250s")
    with open_history(path) as history:
        assert 1000 - 250 - 2 * 128 <= history.first <= 750
        first = history.first
    with Recorder(path, keep="5000w", on_error="raise") as recorder:
        for number in range(200):
            recorder.record({"n": number}, timestamp_ns=9 * 10**18)
    with open_history(path) as history:
        assert history.first == first


@pytest.mark.slow
def test_a_file_bounded_by_bytes_stays_within_one_and_a_half_times_that(tmp_path: Path) -> None:
    path = tmp_path / "run.unspool"
    bound, number = 2_000_000, 0

    def is_small() -> bool:
        return sum(part.stat().st_size for part in tmp_path.iterdir()) <= 1.5 * bound

    with Recorder(path, keep="2MB", on_error="raise") as recorder:
        while number * 20_000 < 10 * bound:
            recorder.record({"n": number, "data": os.urandom(20_000)})
            number += 1
            if number % 25 == 0:
                # However slowly this machine compresses, it comes back to that.
                wait_until(is_small, "blocks are dropped, and the log is folded")
    assert path.stat().st_size <= 1.1 * bound
    with open_history(path) as history:
        assert history.first > 800
        assert history.state(-1)["n"] == number - 1


def test_pages_that_a_first_bound_frees_are_given_back(tmp_path: Path) -> None:
    path = tmp_path / "run.unspool"
    with Recorder(path, on_error="raise") as recorder:
        for number in range(300):
            recorder.record({"n": number, "data": os.urandom(20_000)})
    before = path.stat().st_size
    with Recorder(path, keep="1MB", on_error="raise"):
        pass
    assert path.stat().st_size < before / 4
    assert diagnose(path).verdict is Health.HEALTHY


@pytest.mark.slow
def test_metadata_spans_of_dropped_entries_go_and_those_that_are_cut_still_read(tmp_path: Path) -> None:
    path, whole = tmp_path / "run.unspool", tmp_path / "whole.unspool"
    record(whole, 9000)
    path.write_bytes(whole.read_bytes())
    record(path, 1, 9000, keep="last 3000")
    with open_history(path) as history, open_history(whole) as full:
        first = history.first
        assert 5800 < first <= 6001
        assert [history[seq].action for seq in range(first, 9000)] == [full[seq].action for seq in range(first, 9000)]
        assert list(history.writes("rows")) == [seq for seq in full.writes("rows") if seq >= first] + [9000]
        assert list(history.columns().timestamp_ns[first:9000]) == list(full.columns().timestamp_ns[first:])
    assert diagnose(path).verdict is Health.HEALTHY
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT first FROM span").fetchall() == [(4096,)]
        assert connection.execute("SELECT count(*) FROM span_data").fetchone() == (3,)


def test_a_live_reader_follows_while_blocks_go(tmp_path: Path) -> None:
    path = tmp_path / "run.unspool"
    with Recorder(path, keep="last 100", on_error="raise") as recorder:
        recorder.record({"n": 0})
        with open_history(path) as history:
            stale = history.columns()
            for number in range(1, 1500):
                recorder.record({"n": number, "rest": number // 7})
                if number % 50 == 0:
                    history.refresh()
                    assert history.state(-1)["n"] == number
                    assert [entry.seq for entry in history][-1] == number
                    assert list(history.writes("n", number - 5)) == list(range(number - 5, number + 1))
            recorder.close()
            for seq in (0, 700, 1000):
                with pytest.raises(EntryNotKept):
                    # The reader has not looked since these went.
                    history.state(seq)
            history.refresh()
            assert history.first > 1200
            assert len(history.columns()) == 1500
            assert history.columns() is stale


@pytest.mark.parametrize("how", ["compact", "vacuum", "repair", "convert"])
def test_a_copy_keeps_the_numbers_and_says_what_went(tmp_path: Path, how: str) -> None:
    path, out = tmp_path / "run.unspool", tmp_path / "out.unspool"
    record(path, 700, keep="last 150")
    with open_history(path) as history:
        expected = {seq: (history.state(seq), history[seq].action) for seq in range(history.first, 700)}
        first, note = history.first, history.verdict.notes
    if how == "compact":
        compact(path, out)
    elif how == "repair":
        assert repair(path, out).holes == ()
    elif how == "convert":
        assert convert(str(path), out, Reading()).entries == len(expected)
    else:
        vacuum(path)
        out = path
    with open_history(out) as copy:
        assert (copy.first, len(copy), copy.verdict.notes) == (first, 700, note)
        assert {seq: (copy.state(seq), copy[seq].action) for seq in range(first, 700)} == expected
        assert list(copy.writes("old")) == []
    assert diagnose(out).verdict is Health.HEALTHY
    record(out, 300, 700, keep="last 100")
    with open_history(out) as copy:
        assert copy.first > first
        assert copy.state(-1)["n"] == 999


def test_a_reader_that_does_not_know_of_it_refuses_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, whole = tmp_path / "run.unspool", tmp_path / "whole.unspool"
    record(path, 400, keep="last 100")
    record(whole, 60, keep="last 100")
    monkeypatch.setattr(layout_2, "MUST_UNDERSTAND", 1)
    with pytest.raises(NewerSchema):
        open_history(path)
    with open_history(whole) as history:
        assert len(history) == 60


def test_a_damaged_block_is_told_and_dropped_in_its_turn(tmp_path: Path) -> None:
    path = tmp_path / "run.unspool"
    record(path, 600, keep="last 300")
    with open_history(path) as history:
        first = history.first
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE block SET count = 'x', end_ns = 'y', sums = x'00' WHERE first = ?", (first,))
    connection.close()
    assert diagnose(path).verdict is Health.BROKEN
    record(path, 600, 600, keep="last 300")
    with open_history(path) as history:
        assert history.first > first
    assert diagnose(path).verdict is Health.HEALTHY


def test_a_damaged_mark_of_the_end_does_not_hide_where_the_file_begins(tmp_path: Path) -> None:
    path, out = tmp_path / "run.unspool", tmp_path / "out.unspool"
    record(path, 600, keep="last 150")
    with open_history(path) as history:
        first = history.first
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE meta SET value = x'0102' WHERE key = 'end'")
    connection.close()
    repair(path, out)
    with open_history(out) as history:
        assert (history.first, len(history)) == (first, 600)
        assert history.state(first)["n"] == first


def test_entries_that_were_dropped_take_no_room_where_the_others_are_listed(tmp_path: Path) -> None:
    path, first = tmp_path / "run.unspool", 3_000_000_000
    with Recorder(FileStore.create(path, first=first), on_error="raise") as recorder:
        for number in range(300):
            recorder.record({"n": number}, timestamp_ns=number)
    with open_history(path) as history:
        columns = history.columns()
        assert len(columns) == len(columns.kind) == first + 300
        assert len(columns.kind.tobytes()) == 300
        assert (columns.timestamp_ns[first + 7], columns.timestamp_ns[-1], columns.timestamp_ns[5]) == (7, 299, 0)
        assert list(columns.timestamp_ns[first - 2 : first + 2]) == [0, 0, 0, 1]
        assert list(columns.timestamp_ns[first + 298 :]) == [298, 299]
        with pytest.raises(IndexError):
            columns.kind[first + 300]
        assert list(columns.since(first).timestamp_ns) == list(range(300))
        stats = history.stats()
        assert (stats.entries, stats.full + stats.delta, stats.problems) == (300, 300, ())
        assert history.state(-1) == {"n": 299}
    found = diagnose(path)
    assert (found.verdict, found.readable) == (Health.HEALTHY, 300)


_KILLED = """
import sys
from unspool import Recorder
recorder = Recorder(sys.argv[1], keep="last 70", on_error="raise")
print(len(recorder.store), flush=True)
number = len(recorder.store)
while True:
    recorder.record({"n": number, "data": "x" * (number % 900)}, f"step {number}")
    number += 1
    if number % 16 == 0:
        print(number, flush=True)
"""


def test_a_kill_at_any_moment_leaves_a_sound_file_with_all_that_was_said(tmp_path: Path) -> None:
    path = tmp_path / "run.unspool"
    for attempt in (0, 2, 5):
        process = subprocess.Popen([sys.executable, "-c", _KILLED, str(path)], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        said = 0
        for _ in range(14 + 9 * attempt):
            said = int(process.stdout.readline())
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        found = diagnose(path)
        assert found.verdict in (Health.HEALTHY, Health.DEGRADED)
        assert {finding.code for finding in found.findings} <= {"not-kept", "not-closed", "log-torn"}
        assert found.entries == found.readable
        with open_history(path) as history:
            assert len(history) >= said
            assert [history.state(seq)["n"] for seq in range(history.first, len(history))] == list(
                range(history.first, len(history))
            )
    assert history.first > 0


def test_a_bound_leaves_no_trace_where_nothing_was_dropped(tmp_path: Path) -> None:
    states = killed(tmp_path / "run.unspool", 30, keep="last 1000")
    with open_history(tmp_path / "run.unspool") as history:
        assert (history.first, len(history), history.verdict.notes) == (0, len(states), ())


def test_a_new_file_may_begin_with_a_later_entry(tmp_path: Path) -> None:
    store = FileStore.create(tmp_path / "run.unspool", first=500, bound="last 9")
    with Recorder(store, on_error="raise") as recorder:
        assert recorder.record({"a": 1}, "first") == 500
    with open_history(tmp_path / "run.unspool") as history:
        assert (history.first, len(history), history.bound) == (500, 501, "last 9")
        assert history.state(500) == {"a": 1}
        assert diagnose(history).verdict is Health.HEALTHY


def test_a_fork_from_a_dropped_entry_is_left_out_and_the_next_call_records(tmp_path: Path) -> None:
    path = tmp_path / "run.unspool"
    with Recorder(path, keep="last 100", context=True, on_error="raise") as recorder:
        for number in range(600):
            recorder.record({"n": number})
        wait_until(lambda: recorder.store.first > 0, "blocks are dropped")  # type: ignore[attr-defined]
        with pytest.raises(EntryNotFound, match=r"no entry 3: .* dropped by keep='last 100'"):
            recorder.record({"n": -1}, parent_seq=3)
        assert recorder.record({"n": -2}, parent_seq=595) == 600
        assert recorder.last() == {"n": -2}
    with open_history(path) as history:
        assert history[-1].parent_seq == 595
        contexts = Contexts(history)
        assert sum(contexts.of(entry) is None for entry in history) < 64
