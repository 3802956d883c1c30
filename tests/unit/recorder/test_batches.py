"""Entries of a batch: stored together, all of them or none that wait, and in the same file as if they had come one by one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.interrupting import interrupted_after
from unspool import MISSING, Recorder, open_history
from unspool.errors import StorageFailed, UnspoolError
from unspool.model.encoding import encode
from unspool.query.doctor.diagnosis import Health, diagnose
from unspool.recorder import RecordingStopped
from unspool.store import writer


def count_in(path: Path) -> int:
    with open_history(path, follow=False) as history:
        return len(history)


def states_in(path: Path) -> list[dict[str, Any]]:
    with open_history(path, follow=False) as history:
        return [history.state(seq) for seq in range(len(history))]


def full_disk(recorder: Recorder, pages: int) -> None:
    """Let the file have no more pages than it has, and a few."""
    connection = recorder.store._writer._connection  # type: ignore[attr-defined]
    size = connection.execute("PRAGMA page_count").fetchone()[0]
    connection.execute(f"PRAGMA max_page_count = {size + pages}")


def test_readers_of_the_file_see_a_batch_when_it_has_ended_or_is_flushed(tmp_path: Path) -> None:
    path = tmp_path / "app.unspool"
    with Recorder(path, on_error="raise") as recorder:
        recorder.record({"n": 0})
        with recorder.batch():
            assert [recorder.record({"n": number}) for number in (1, 2)] == [1, 2]
            assert count_in(path) == 1
            recorder.flush()
            assert count_in(path) == 3
            recorder.note("between")
            recorder.record({"n": 3})
        assert count_in(path) == 5
    assert states_in(path) == [{"n": 0}, {"n": 1}, {"n": 2}, {"n": 2}, {"n": 3}]
    assert diagnose(path).verdict is Health.HEALTHY


def test_what_asks_the_store_itself_finds_entries_that_wait(tmp_path: Path) -> None:
    with Recorder(tmp_path / "app.unspool", on_error="raise") as recorder, recorder.batch():
        for number in range(5):
            recorder.update({"n": number, "same": 1})
        # A fork is compared with an entry of the same batch.
        fork = recorder.record({"n": 1, "same": 1}, parent_seq=1)
        recorder.follow(0)
        assert recorder.last() == {"n": 0, "same": 1}
        store = recorder.store
        assert len(store) == 6
        assert fork == 5
        assert [entry.seq for entry in store.entries(0, 6)] == [*range(6)]  # type: ignore[attr-defined]


def test_a_batch_of_any_length_is_stored_and_sealed_as_it_goes(tmp_path: Path) -> None:
    path = tmp_path / "app.unspool"
    states = [{"n": number, "even": number % 2 == 0} for number in range(3 * writer._MOST_WAITING)]
    with Recorder(path, on_error="raise") as recorder, recorder.batch():
        for state in states:
            recorder.record(state)
        assert count_in(path) == 3 * writer._MOST_WAITING
    assert states_in(path) == states
    assert diagnose(path).verdict is Health.HEALTHY


def test_entries_of_many_bytes_do_not_wait_for_others(tmp_path: Path) -> None:
    path = tmp_path / "app.unspool"
    with Recorder(path, on_error="raise") as recorder, recorder.batch():
        recorder.record({"text": os.urandom(writer._MOST_WAITING_BYTES).hex()})
        assert count_in(path) == 1


def test_batches_stand_in_each_other_and_other_threads_records_wait_too(tmp_path: Path) -> None:
    path = tmp_path / "app.unspool"
    with Recorder(path, on_error="raise") as recorder:
        with recorder.batch():
            with recorder.batch():
                recorder.record({"n": 0})
            thread = threading.Thread(target=recorder.record, args=({"n": 1},))
            thread.start()
            thread.join()
            assert count_in(path) == 0
        assert count_in(path) == 2


def test_a_batch_that_the_disk_refuses_is_lost_as_a_whole_and_recording_goes_on_from_what_is_there(
    tmp_path: Path,
) -> None:
    path = tmp_path / "app.unspool"
    with Recorder(path, on_error="raise") as recorder:
        recorder.record({"n": 0, "text": ""})
        full_disk(recorder, 8)
        with pytest.raises(StorageFailed, match="entries 1 to 20 could not be written"), recorder.batch():
            for number in range(1, 21):
                recorder.update({"n": number, f"text {number}": os.urandom(2000).hex()})
        assert (len(recorder.store), recorder.skipped) == (1, 20)
        full_disk(recorder, 1000)
        assert recorder.update({"n": 21}) == 1
        with recorder.batch():
            assert recorder.update({"n": 22, "more": 1}) == 2
    assert states_in(path) == [{"n": 0, "text": ""}, {"n": 21, "text": ""}, {"n": 22, "text": "", "more": 1}]
    assert diagnose(path).verdict is Health.HEALTHY


def test_a_disk_that_refuses_in_the_middle_of_a_batch_stops_a_recorder_that_does_not_raise(tmp_path: Path) -> None:
    path = tmp_path / "app.unspool"
    with Recorder(path) as recorder:
        recorder.record({"n": 0})
        full_disk(recorder, 8)

        def record() -> None:
            with recorder.batch():
                for number in range(1, 6):
                    recorder.record({"n": number, "text": os.urandom(300_000).hex()})

        with pytest.warns(RecordingStopped, match="could not be written"):
            record()
        assert not recorder.recording
        assert recorder.skipped == 5
    assert states_in(path) == [{"n": 0}]


def test_a_file_that_is_gone_when_the_batch_ends_is_told(tmp_path: Path) -> None:
    path = tmp_path / "app.unspool"
    recorder = Recorder(path, on_error="raise")
    recorder.record({"n": 0})
    with pytest.raises(StorageFailed, match="was deleted or moved away"), recorder.batch():
        recorder.record({"n": 1})
        path.rename(tmp_path / "away.unspool")
    with pytest.raises(UnspoolError, match="was deleted or moved away"):
        recorder.close()


def test_an_error_of_the_app_in_a_batch_loses_nothing(tmp_path: Path) -> None:
    path = tmp_path / "app.unspool"
    with Recorder(path, on_error="raise") as recorder:
        with pytest.raises(ZeroDivisionError), recorder.batch():
            recorder.record({"n": 0})
            raise ZeroDivisionError
        assert count_in(path) == 1


def test_a_batch_is_stored_when_the_recorder_is_closed_in_it(tmp_path: Path) -> None:
    path = tmp_path / "app.unspool"
    recorder = Recorder(path, on_error="raise")
    with recorder.batch():
        recorder.record({"n": 0})
        recorder.close()
    assert states_in(path) == [{"n": 0}]
    assert diagnose(path).verdict is Health.HEALTHY


@pytest.mark.parametrize(
    "first", [pytest.param(start, marks=() if start == 0 else pytest.mark.slow) for start in range(0, 97, 16)]
)
@pytest.mark.parametrize("goes_on", [True, False])
def test_a_file_is_whole_whatever_line_ctrl_c_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, first: int, goes_on: bool
) -> None:
    monkeypatch.setattr(writer, "RUN_ROWS", 4)
    monkeypatch.setattr(writer, "_MOST_WAITING", 3)

    def batch(recorder: Recorder) -> None:
        with recorder.batch():
            for number in range(8):
                recorder.record({"n": number, f"atom{number}": [number]}, f"batch {number}")

    for lines in range(first, 6000, 97):
        path = tmp_path / f"{lines}.unspool"
        before = {"n": -1}
        with Recorder(path, strategy="changes:3", on_error="raise") as recorder:
            recorder.record(before)
            if not interrupted_after(lines, lambda recorder=recorder: batch(recorder)):  # type: ignore[misc]
                return
            if goes_on:
                recorder.record({"n": 99})
        kept = states_in(path)
        done = kept[1:-1] if goes_on else kept[1:]
        assert kept[0] == before
        assert not goes_on or kept[-1] == {"n": 99}
        assert done == [{"n": number, f"atom{number}": [number]} for number in range(len(done))], lines
        found = diagnose(path)
        assert found.verdict is Health.HEALTHY, (lines, found.findings)
    pytest.fail("the batch was never done")


KILLED = """
import os, signal, sys
from unspool import Recorder
recorder = Recorder(sys.argv[1], on_error="raise")
recorder.record({"n": 0})
with recorder.batch():
    for number in range(1, 601):
        recorder.record({"n": number})
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_process_that_is_killed_in_a_batch_leaves_a_sound_file(tmp_path: Path) -> None:
    path = tmp_path / "app.unspool"
    done = subprocess.run([sys.executable, "-c", KILLED, str(path)], check=False, timeout=60)
    assert done.returncode == -signal.SIGKILL
    states = states_in(path)
    assert states == [{"n": number} for number in range(len(states))]
    # What was stored while it went on is there.
    assert len(states) == 1 + 2 * writer._MOST_WAITING


def test_a_forked_child_stores_nothing_of_a_batch(tmp_path: Path) -> None:
    path = tmp_path / "app.unspool"
    with Recorder(path, on_error="raise") as recorder:
        with recorder.batch():
            recorder.record({"n": 0})
            pid = os.fork()
            if pid:
                assert os.waitpid(pid, 0)[1] == 0
                recorder.record({"n": 1})
        if not pid:
            os._exit(0 if not recorder.recording else 3)
    assert states_in(path) == [{"n": 0}, {"n": 1}]


CALLS = st.lists(
    st.one_of(
        st.tuples(st.just("record"), st.dictionaries(st.sampled_from("abcd"), st.integers(0, 3))),
        st.tuples(st.just("update"), st.dictionaries(st.sampled_from("abcd"), st.integers(0, 3))),
        st.tuples(st.just("encoded"), st.dictionaries(st.sampled_from("abcd"), st.just(MISSING) | st.integers(0, 3))),
        st.tuples(st.just("note"), st.just({})),
        st.tuples(st.just("follow"), st.integers(0, 30)),
    ),
    max_size=25,
)


def made(path: Path, calls: list[tuple[str, Any]], cuts: set[int]) -> list[tuple[Any, ...]]:
    """Make calls, those between two cuts in a batch, and return all that the history says."""
    with Recorder(path, on_error="raise", clock=lambda: 1) as recorder:
        for start, stop in zip([0, *sorted(cuts)], [*sorted(cuts), len(calls)], strict=True):
            with recorder.batch() if cuts else open(os.devnull):  # noqa: PTH123 - anything that may be entered
                for kind, given in calls[start:stop]:
                    if kind == "note":
                        recorder.note("a word")
                    elif kind == "follow":
                        if given < len(recorder.store):
                            recorder.follow(given)
                    elif kind == "encoded":
                        forms = {name: value if value is MISSING else encode(value) for name, value in given.items()}
                        recorder.record_encoded(forms)
                    else:
                        getattr(recorder, kind)(given)
    with open_history(path, follow=False) as history:
        return [
            (entry.action, entry.parent_seq, entry.kind, entry.meta, history.state(seq))
            for seq, entry in ((seq, history[seq]) for seq in range(len(history)))
        ]


@settings(max_examples=25, deadline=None)
@given(CALLS, st.sets(st.integers(0, 25), min_size=1, max_size=3))
def test_a_history_recorded_in_batches_says_the_same(
    tmp_path_factory: pytest.TempPathFactory, calls: list[tuple[str, Any]], cuts: set[int]
) -> None:
    folder = tmp_path_factory.mktemp("batches")
    bounds = {min(cut, len(calls)) for cut in cuts}
    assert made(folder / "batches.unspool", calls, bounds) == made(folder / "single.unspool", calls, set())
