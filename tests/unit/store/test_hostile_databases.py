"""Databases that anybody may have written: nothing in a schema is run, and no page keeps a reader busy for ever."""

from __future__ import annotations

import sqlite3
import struct
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from support.left_behind import FOREIGN, killed
from unspool import open_history
from unspool.errors import CorruptHistory, UnspoolError
from unspool.query.doctor.diagnosis import Health, diagnose
from unspool.store.databases import open_untouched
from unspool_tui.cli import run

PAGE = 1024
PATIENCE_S = 20.0
"""Seconds a hostile file of some KB may take, on a machine that does other things too."""
ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT "


def inner_page(child: int) -> bytes:
    """Return an inner page of a table that leads to one and the same page again and again."""
    cells = [struct.pack(">I", child) + bytes([number + 1]) for number in range(100)]
    content = b"".join(cells)
    start = PAGE - len(content)
    pointers = b"".join(struct.pack(">H", start + 5 * number) for number in range(100))
    header = struct.pack(">BHHHBI", 5, 0, len(cells), start, 0, child)
    return (header + pointers).ljust(start, b"\0") + content


def spread(path: Path, table: str, depth: int = 6) -> None:
    """Put pages above the root of a table that make its rows come billions of times."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        root = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (table,)).fetchone()[0]
        connection.execute("PRAGMA journal_mode = DELETE").fetchall()
    data = bytearray(path.read_bytes())
    pages = len(data) // PAGE
    old_root = bytes(data[(root - 1) * PAGE : root * PAGE])
    # The root leads to the pages behind the end of the file, each of those to the next, the last one to what was the root.
    data[(root - 1) * PAGE : root * PAGE] = inner_page(pages + 1)
    for level in range(1, depth):
        data += inner_page(pages + level + 1)
    data += old_root
    data[28:32] = struct.pack(">I", len(data) // PAGE)
    data[18:20] = b"\x02\x02"
    path.write_bytes(bytes(data))


@pytest.mark.one_in(5)
@pytest.mark.parametrize("table", ["segment", "tail", "block", "atom", "block_data"])
def test_pages_that_lead_to_one_row_for_ever_are_given_up(table: str, tmp_path: Path) -> None:
    path = tmp_path / "app.unspool"
    killed(path, 150)
    spread(path, table)
    began = time.monotonic()
    try:
        with open_history(path) as history:
            history.columns()
            history.stats()
            list(history.writes("stock"))
    except UnspoolError as error:
        assert isinstance(error, CorruptHistory)
    assert diagnose(path).verdict is Health.BROKEN
    assert time.monotonic() - began < PATIENCE_S
    assert run(["log", str(path)]) in {0, 1, 3}
    assert run(["doctor", str(path), "--repair", str(tmp_path / "out.unspool")]) == 1


def test_a_statement_without_end_is_broken_off(tmp_path: Path) -> None:
    path = tmp_path / "app.unspool"
    killed(path, 20)
    with closing(open_untouched(path).connection) as connection:
        for _ in range(2):
            with pytest.raises(sqlite3.OperationalError, match="interrupted"):
                connection.execute(f"{ENDLESS} count(*) FROM n").fetchall()
        # What came before does not count.
        assert connection.execute("SELECT count(*) FROM tail").fetchone()[0] == 20


def test_a_reading_connection_reads_defensively_and_cannot_write(tmp_path: Path) -> None:
    path = tmp_path / "app.unspool"
    killed(path, 20)
    with closing(open_untouched(path).connection) as connection:
        wanted = {"trusted_schema": 0, "cell_size_check": 1, "query_only": 1, "mmap_size": 0}
        found = {name: connection.execute(f"PRAGMA {name}").fetchone() for name in wanted}
        # A build without memory mapping does not tell its size.
        assert {name: 0 if row is None else row[0] for name, row in found.items()} == wanted
        with pytest.raises(sqlite3.OperationalError):
            connection.execute("DELETE FROM tail")


def view_for(path: Path, table: str, columns: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA foreign_keys = OFF")
        connection.execute(f"ALTER TABLE {table} RENAME TO hidden")
        connection.execute(f"CREATE VIEW {table} AS {ENDLESS} {columns} FROM n")


@pytest.mark.parametrize(
    ("kind", "table", "columns"),
    [
        (
            "graph closed",
            "checkpoints",
            "'t' AS thread_id, '' AS checkpoint_ns, i AS checkpoint_id, x'' AS checkpoint",
        ),
        ("home assistant", "states", "i AS state_id, 's' AS state, 'e' AS entity_id"),
    ],
)
def test_a_view_in_the_place_of_a_table_is_no_table(kind: str, table: str, columns: str, tmp_path: Path) -> None:
    path = tmp_path / "app.db"
    FOREIGN[kind](path)
    view_for(path, table, columns)
    began = time.monotonic()
    with pytest.raises(UnspoolError):
        open_history(path)
    assert time.monotonic() - began < PATIENCE_S


def endless_chain(path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("DROP VIEW chain")
        connection.execute(f"CREATE VIEW chain AS {ENDLESS} 'x' AS space_id, i AS sequence FROM n")


def trigger(path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("CREATE TRIGGER gone AFTER INSERT ON events BEGIN DELETE FROM events; END")


@pytest.mark.parametrize("damage", [endless_chain, trigger])
def test_an_event_log_with_a_view_or_trigger_of_its_own_is_refused(
    damage: Callable[[Path], None], tmp_path: Path
) -> None:
    path = tmp_path / "log.db"
    FOREIGN["event log"](path)
    damage(path)
    with pytest.raises(UnspoolError, match="is not unspool's"):
        open_history(path)
    assert run(["events", "verify", str(path)]) == 3
