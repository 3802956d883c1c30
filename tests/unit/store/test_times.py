"""Times of any size: two entries may lie farther apart than 64 signed bits hold."""

from __future__ import annotations

import warnings
from array import array
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unspool.errors import ConfigError, StorageFailed
from unspool.history import History
from unspool.query.doctor.diagnosis import diagnose
from unspool.recorder import Recorder
from unspool.recorder.troubles import EntrySkipped, RecordingWarning
from unspool.store import FileStore
from unspool.store.blocks import pack_times, unpack_times
from unspool.store.compacting import compact
from unspool.store.sealing import Sealer

FARTHEST = 2**63 - 1
WILD = (2**62, -(2**62), FARTHEST, -FARTHEST, 0, FARTHEST, -1)


@given(st.lists(st.integers(-FARTHEST, FARTHEST), min_size=1, max_size=20))
def test_times_read_back_whatever_lies_between_them(times: list[int]) -> None:
    assert unpack_times(pack_times(times)) == array("q", times)


def test_a_history_of_times_hundreds_of_years_apart_reads_everywhere(tmp_path: Path) -> None:
    path = tmp_path / "wild.unspool"
    times = [WILD[number % len(WILD)] for number in range(300)]
    for start in (0, 200):
        with Recorder(path, on_error="raise") as recorder:
            for number in range(start, start + 200 if start == 0 else 300):
                recorder.record({"n": number}, timestamp_ns=times[number])
    compact(path, tmp_path / "small.unspool")
    for file in (path, tmp_path / "small.unspool"):
        with History(FileStore.open(file)) as history:
            assert [entry.timestamp_ns for entry in history] == times
            assert list(history.columns().timestamp_ns) == times
            assert list(history.writes("n")) == list(range(300))
            assert history.state(299) == {"n": 299}
        assert diagnose(file).readable == 300


@pytest.mark.parametrize("moment", [2**63, -(2**63), 2**70, 1.5])
def test_a_time_beyond_64_bits_costs_that_entry_only(tmp_path: Path, moment: Any) -> None:
    path = tmp_path / "beyond.unspool"
    with Recorder(path) as recorder:
        recorder.record({"n": 0}, timestamp_ns=1)
        with pytest.warns(EntrySkipped, match="left an entry out: timestamp_ns"):
            assert recorder.record({"n": 1}, timestamp_ns=moment) is None
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert recorder.record({"n": 2}, timestamp_ns=moment) is None
            assert recorder.record({"n": 3}, timestamp_ns=2) == 1
        assert recorder.recording
    with Recorder(path, on_error="raise") as recorder, pytest.raises(ConfigError, match="timestamp_ns"):
        recorder.record({"n": 4}, timestamp_ns=moment)
    with History(FileStore.open(path)) as history:
        assert [history.state(seq) for seq in range(len(history))] == [{"n": 0}, {"n": 3}]


@pytest.mark.parametrize("failure", [OverflowError("too far"), MemoryError(), KeyError("x")])
def test_sealing_that_fails_is_told_once_and_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failure: Exception
) -> None:
    def fails(*_: object) -> None:
        raise failure

    for on_error in ("ignore", "warn", "raise"):
        path = tmp_path / f"{on_error}.unspool"
        with monkeypatch.context() as patched:
            patched.setattr(Sealer, "_seal", fails)
            recorder = Recorder(path, on_error=on_error)  # type: ignore[arg-type]
            kept, told = [], []
            with warnings.catch_warnings(record=True) as warned:
                warnings.simplefilter("always")
                for number in range(200):
                    try:
                        if recorder.record({"n": number}) is not None:
                            kept.append(number)
                    except StorageFailed as error:
                        told.append(str(error))
                try:
                    recorder.close()
                except StorageFailed as error:
                    told.append(str(error))
        told += [str(item.message) for item in warned if issubclass(item.category, RecordingWarning)]
        # By a call after it, or by closing; a call that raises records nothing.
        assert len(told) == (on_error != "ignore")
        assert all("could not be sealed" in text and "every entry is kept" in text for text in told)
        assert len(kept) >= 200 - (on_error == "raise")
        with History(FileStore.open(path)) as history:
            assert [history.state(seq)["n"] for seq in range(len(history))] == kept
        with Recorder(path, on_error="raise") as again:
            assert again.record({"n": 200}) == len(kept)
