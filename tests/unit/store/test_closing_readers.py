"""Closing a file while another thread reads it."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

from unspool.errors import UnspoolError
from unspool.recorder.recorder import Recorder
from unspool.store.reader import FileReader

ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"


def test_closing_breaks_off_a_reading_instead_of_waiting_for_it(tmp_path: Path) -> None:
    with Recorder(tmp_path / "one.unspool") as recorder:
        recorder.record({"a": 1})
    reader = FileReader(tmp_path / "one.unspool")
    begun, errors = threading.Event(), []

    def endless(connection: sqlite3.Connection) -> None:
        connection.set_progress_handler(begun.set, 1000)
        connection.execute(ENDLESS).fetchall()

    def read() -> None:
        try:
            reader.call(endless)
        except UnspoolError as error:
            errors.append(error)

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    assert begun.wait(20)
    reader.close()
    thread.join(20)
    assert not thread.is_alive()
    assert len(errors) == 1
