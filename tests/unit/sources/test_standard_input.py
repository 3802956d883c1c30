"""Standard input as a source."""

from __future__ import annotations

import io
import json
import os
from contextlib import ExitStack
from pathlib import Path

import pytest

from support.waiting import wait_until
from unspool import History, Recorder, open_history
from unspool.errors import UnreadableSource
from unspool.sources.entries import Reading
from unspool.sources.foreign import feed
from unspool.sources.sqlite_files import side_files


def lines(*numbers: int) -> bytes:
    return b"".join(json.dumps({"n": number}).encode() + b"\n" for number in numbers)


def test_lines_from_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(lines(1, 2) + b"broken\n")))
    with open_history("-", follow=False) as history:
        assert [history.state(seq) for seq in range(2)] == [{"n": 1}, {"n": 2}]
        assert history.source_name == "standard input"
        assert history.verdict.problems[0].place.startswith("standard input:3")


def test_a_document_from_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b'{\n "n": 1\n}\n')))
    with open_history("-", follow=False) as history:
        assert history.state(0) == {"n": 1}


def test_empty_standard_input_is_refused_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"")))
    with pytest.raises(UnreadableSource, match="^standard input: is empty"):
        open_history("-")


def test_a_stream_that_goes_on_fills_the_history_while_it_is_open(tmp_path: Path) -> None:
    reading_end, writing_end = os.pipe()
    file = tmp_path / "h.unspool"
    with ExitStack() as resources, os.fdopen(reading_end, "rb") as stream, os.fdopen(writing_end, "wb", 0) as pipe:
        pipe.write(lines(1))
        recorder = Recorder(file, on_error="raise")
        resources.callback(recorder.close)
        feeder = feed("-", recorder, Reading(stdin=stream), resources, grows=side_files(file))
        assert feeder.watch_paths == side_files(file)
        pipe.write(lines(2, 3))
        wait_until(lambda: feeder.entries == 3)
        pipe.close()
        resources.close()
    with open_history(file) as history:
        assert isinstance(history, History)
        assert [history.state(seq)["n"] for seq in range(3)] == [1, 2, 3]
