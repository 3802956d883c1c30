"""The write-ahead log of a recording begins anew seldom, and it ends somewhere however fast states come."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from support.waiting import wait_until
from unspool import Recorder
from unspool.store import sealing
from unspool.store.layout import FileConnection
from unspool.store.wal import bytes_in_use, log_of

LIMIT = 256 << 10


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sealing, "_WAL_BYTES", LIMIT)


def state(number: int) -> dict[str, object]:
    return {"n": number, "pad": "x" * 300}


def generation(log: Path) -> int:
    """Return a number that grows when the log begins anew."""
    return int.from_bytes(log.read_bytes()[12:16])


def test_a_log_begins_anew_when_it_is_full_and_not_with_every_block_from_then_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.unspool"
    log = log_of(path)
    asked = looks = written = size = 0
    checkpoint, request = sealing.Sealer._checkpoint, sealing.Sealer.request

    def look(of: sealing.Sealer, connection: FileConnection) -> None:
        nonlocal looks
        checkpoint(of, connection)
        looks += 1

    def ask(of: sealing.Sealer, start: int, stop: int) -> None:
        nonlocal asked
        asked += 1
        request(of, start, stop)

    monkeypatch.setattr(sealing.Sealer, "_checkpoint", look)
    monkeypatch.setattr(sealing.Sealer, "request", ask)
    with Recorder(path) as recorder:
        recorder.record(state(-1))
        first = generation(log)
        for number in range(4_000):
            recorder.record(state(number))
            before, size = size, bytes_in_use(log)
            written += size - before if size > before else size
            # States that come slowly leave the background thread time to seal and checkpoint.
            wait_until(lambda: looks == asked)
        began = generation(log) - first
    assert written > 8 * LIMIT
    assert 2 <= began <= written // LIMIT < asked // 2


@pytest.mark.one_in(2)
@pytest.mark.parametrize("how", ["with a reader", "alone"])
def test_a_log_ends_somewhere_however_fast_states_come(tmp_path: Path, how: str) -> None:
    path = tmp_path / "a.unspool"
    with Recorder(path) as recorder:
        recorder.record(state(-1))
        with closing(sqlite3.connect(path, isolation_level=None)) as reader:
            if how == "with a reader":
                # A reader keeps a log from beginning anew; nobody waits for it, and all is caught up with behind it.
                reader.execute("BEGIN")
                reader.execute("SELECT count(*) FROM tail").fetchone()
            for number in range(3_000):
                recorder.record(state(number))
            if how == "with a reader":
                assert log_of(path).stat().st_size > 8 * LIMIT
        for number in range(3_000, 11_000):
            recorder.record(state(number))
        assert bytes_in_use(log_of(path)) < 20 * LIMIT
