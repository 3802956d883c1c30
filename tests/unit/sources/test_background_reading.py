"""Opening at once: a thread reads on, tells how far it is, and can be stopped."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import zstandard

from support.waiting import wait_until
from unspool import open_history
from unspool.errors import UnreadableSource
from unspool.sources.lines import LinesReader


def lines(count: int) -> bytes:
    return b"".join(json.dumps({"n": number, "pad": "x" * 50}).encode() + b"\n" for number in range(count))


@pytest.mark.parametrize("is_compressed", [False, True])
def test_a_history_is_there_before_it_is_complete_and_fills_up(tmp_path: Path, is_compressed: bool) -> None:
    path = tmp_path / "log"
    data = lines(3000)
    path.write_bytes(zstandard.ZstdCompressor().compress(data) if is_compressed else data)
    with open_history(path, wait=False) as history:
        assert len(history) >= 1
        assert all(watched.name.startswith("history.unspool") for watched in history.watch_paths)
        wait_until(lambda: history.progress.is_finished)
        history.refresh()
        assert len(history) == 3000
        assert history.source_paths == (path,)
        assert history.file_bytes() == path.stat().st_size
        assert history.progress.done == history.progress.total == path.stat().st_size
        with path.open("ab") as stream:
            stream.write(zstandard.ZstdCompressor().compress(lines(1)) if is_compressed else lines(1))
        wait_until(lambda: bool(history.refresh() or len(history) == 3001))
        assert history.verdict.status == "complete"


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Hold reading back after the first entry until the gate opens."""
    gate = threading.Event()
    original = LinesReader.read

    def read(self: LinesReader) -> Iterator[object]:
        for number, entry in enumerate(original(self)):
            if number == 1:
                gate.wait(20)
            yield entry

    monkeypatch.setattr(LinesReader, "read", read)
    return gate


def test_reading_can_be_cancelled_and_what_arrived_stays(tmp_path: Path, gate: threading.Event) -> None:
    path = tmp_path / "log.jsonl"
    path.write_bytes(lines(500))
    with open_history(path, wait=False) as history:
        assert not history.progress.is_finished
        history.cancel_reading()
        gate.set()
        wait_until(lambda: history.progress.is_finished)
        history.refresh()
        assert 1 <= len(history) < 500
        assert history.verdict.status == "partial"
        assert "cancelled" in history.verdict.problems[-1].message


def test_closing_does_not_wait_for_the_rest_of_a_large_source(tmp_path: Path, gate: threading.Event) -> None:
    path = tmp_path / "log.jsonl"
    path.write_bytes(lines(5000))
    history = open_history(path, wait=False)
    closing = threading.Thread(target=history.close)
    closing.start()
    gate.set()
    closing.join(20)
    assert not closing.is_alive()


def test_what_cannot_be_opened_is_refused_from_the_thread_too(tmp_path: Path) -> None:
    path = tmp_path / "noise"
    path.write_text("noise\n" * 10)
    with pytest.raises(UnreadableSource, match="no entry could be read"):
        open_history(path, format="jsonl", wait=False)
    with pytest.raises(UnreadableSource, match="no such file"):
        open_history(tmp_path / "missing", wait=False)


def test_a_native_history_has_nothing_left_to_read(tmp_path: Path) -> None:
    from unspool import Recorder

    path = tmp_path / "app.unspool"
    with Recorder(path) as recorder:
        recorder.record({"n": 1})
    with open_history(path) as history:
        assert history.progress.is_finished
        history.cancel_reading()
        assert history.verdict.status == "complete"
