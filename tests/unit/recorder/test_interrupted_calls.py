"""Ctrl-C between any two lines of a call: what was acknowledged is kept, and the file is whole."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Final

import pytest

from support.interrupting import interrupted_after
from unspool import Recorder, open_history
from unspool.query.doctor.diagnosis import Health, diagnose
from unspool.store import writer

_MOST_LINES: Final = 400
_INTERRUPTED: Final = 9
"""The call that Ctrl-C ends: it asks for a block to be sealed."""


@pytest.mark.one_in(2)
@pytest.mark.parametrize(
    "first", [pytest.param(start, marks=() if start == 0 else pytest.mark.slow) for start in range(5)]
)
@pytest.mark.parametrize("goes_on", [True, False])
def test_a_file_is_whole_whatever_line_ctrl_c_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, first: int, goes_on: bool
) -> None:
    monkeypatch.setattr(writer, "RUN_ROWS", 4)
    for lines in range(first, _MOST_LINES, 5):
        path = tmp_path / f"{lines}.unspool"
        acknowledged = []
        with Recorder(path, strategy="changes:3") as recorder:
            for number in range(16 if goes_on else _INTERRUPTED + 1):
                state = {"count": number, f"atom{number % 7}": [number] * 5}
                if number != _INTERRUPTED:
                    recorder.record(state, f"step {number}")
                    acknowledged.append(state)
                elif not interrupted_after(lines, lambda state=state: recorder.record(state, "cut short")):  # type: ignore[misc]
                    return
        with open_history(path) as history:
            kept = [history.state(seq) for seq in range(len(history)) if history.action(seq) != "cut short"]
        assert kept == acknowledged, lines
        found = diagnose(path)
        assert found.verdict is Health.HEALTHY, (lines, found.findings)


@pytest.mark.parametrize("in_batch", [True, False])
def test_later_calls_are_kept_whatever_line_of_a_turn_ctrl_c_ends(tmp_path: Path, in_batch: bool) -> None:
    for lines in range(_MOST_LINES):
        path = tmp_path / f"{lines}.unspool"
        with Recorder(path) as recorder:
            recorder.record({"n": 0})

            def work(recorder: Recorder = recorder) -> None:
                with recorder.batch() if in_batch else nullcontext():
                    recorder.record({"n": 1}, "cut short")

            if not interrupted_after(lines, work, ("/unspool/recorder/writing.py",)):
                return
            recorder.record({"n": 2})
        with open_history(path) as history:
            kept = [history.state(seq) for seq in range(len(history)) if history.action(seq) != "cut short"]
        assert kept == [{"n": 0}, {"n": 2}], lines
    pytest.fail("the call was never done")
