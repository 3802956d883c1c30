"""Format 2: what is exchanged, missing or foreign is noticed, and a file says whether it was closed."""

from __future__ import annotations

import os
import shutil
import sqlite3
import struct
import subprocess
import sys
import textwrap
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from support.recording import record_shop, shop_states
from unspool.errors import CorruptHistory, NewerSchema, UnspoolError
from unspool.history import History
from unspool.query.doctor.diagnosis import Code, diagnose
from unspool.recorder import Recorder
from unspool.store import FileStore
from unspool.store.compacting import compact, vacuum
from unspool.store.layout import FORMAT
from unspool.store.layout_2 import fact_sum
from unspool.store.recordings import End
from unspool.store.schema import connect_writer


def change(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)


def end_of(path: Path) -> End:
    with closing(FileStore.open(path)) as store:
        return store.ending().end


def left_open(folder: Path, count: int = 20, **options: Any) -> Path:
    """A file as a killed recorder leaves it, with all rows in the tail."""
    live, path = folder / "live.unspool", folder / "open.unspool"
    with Recorder(live, on_error="raise", **options) as recorder:
        for state in shop_states(count):
            recorder.record(state)
        recorder.store._writer.sealer.finish()  # type: ignore[attr-defined]
        with closing(sqlite3.connect(live)) as source, closing(sqlite3.connect(path)) as target:
            source.backup(target)
    live.unlink()
    return path


def test_a_file_says_how_it_ends(tmp_path: Path) -> None:
    path = tmp_path / "x.unspool"
    with Recorder(path, on_error="raise") as recorder:
        assert end_of(path) is End.LIVE
        for state in shop_states(100):
            recorder.record(state)
        assert end_of(path) is End.LIVE
    assert end_of(path) is End.CLOSED
    killed = left_open(tmp_path)
    assert end_of(killed) is End.NOT_CLOSED
    assert {found.code for found in diagnose(killed).findings} == {Code.NOT_CLOSED}
    assert diagnose(killed).verdict == "degraded"
    with Recorder(killed, on_error="raise") as recorder:
        recorder.record({"n": 1})
    assert end_of(killed) is End.CLOSED
    assert diagnose(killed).verdict == "healthy"


PROGRAM = """
    import os, sys
    from unspool import Recorder
    recorder = Recorder(sys.argv[1], on_error="raise")
    for n in range(int(sys.argv[2])):
        recorder.record({"n": n})
    os.kill(os.getpid(), 9)
"""


@pytest.mark.one_in(2)
@pytest.mark.parametrize("entries", [0, 5, 200])
def test_a_killed_recorder_leaves_a_file_that_is_not_closed(tmp_path: Path, entries: int) -> None:
    path = tmp_path / "x.unspool"
    with Recorder(path, on_error="raise") as recorder:
        recorder.record({"n": -1})
    command = [sys.executable, "-c", textwrap.dedent(PROGRAM), str(path), str(entries)]
    subprocess.run(command, check=False, env=dict(os.environ))
    assert end_of(path) is End.NOT_CLOSED
    with History(FileStore.open(path)) as history:
        assert len(history) == entries + 1


@pytest.mark.parametrize("make", ["compact", "vacuum"])
def test_copies_are_closed_and_of_the_newest_format(tmp_path: Path, make: str) -> None:
    path, out = tmp_path / "x.unspool", tmp_path / "y.unspool"
    record_shop(path, 300)
    if make == "compact":
        compact(path, out)
    else:
        shutil.copy(path, out)
        vacuum(out)
    assert end_of(out) is End.CLOSED
    assert diagnose(out).verdict == "healthy"
    with closing(sqlite3.connect(out)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (2,)


def exchange_rows(path: Path, _: Path) -> None:
    change(
        path, "UPDATE tail SET seq = -1 WHERE seq = 5", "UPDATE tail SET seq = 5 WHERE seq = 6",
        "UPDATE tail SET seq = 6 WHERE seq = -1",
    )  # fmt: skip


def lose_row(path: Path, _: Path) -> None:
    change(path, "DELETE FROM tail WHERE seq = 7")


def foreign_row(path: Path, other: Path) -> None:
    change(
        path, f"ATTACH '{other}' AS other", "DELETE FROM main.tail WHERE seq = 5",
        "INSERT INTO main.tail SELECT * FROM other.tail WHERE seq = 5",
    )  # fmt: skip


@pytest.mark.parametrize("damage", [exchange_rows, lose_row, foreign_row])
def test_rows_of_the_tail_that_are_not_what_was_written_are_noticed(
    tmp_path: Path, damage: Callable[[Path, Path], None]
) -> None:
    path = left_open(tmp_path, strategy="manual")
    (tmp_path / "other").mkdir()
    damage(path, left_open(tmp_path / "other", strategy="manual"))
    assert diagnose(path).verdict == "broken"
    with History(FileStore.open(path)) as history:
        with pytest.raises(CorruptHistory):
            history.state(8)
        with pytest.raises(CorruptHistory):
            list(history)
        assert history.state(4) == list(shop_states(20))[4]


def exchange_blocks(path: Path) -> None:
    firsts = "(SELECT first FROM block ORDER BY first LIMIT 1 OFFSET {})"
    for table in ("block", "block_data"):
        change(
            path, f"CREATE TEMP TABLE place AS SELECT {firsts.format(1)} AS a, {firsts.format(2)} AS b",
            f"UPDATE {table} SET first = -1 WHERE first = (SELECT a FROM place)",
            f"UPDATE {table} SET first = (SELECT a FROM place) WHERE first = (SELECT b FROM place)",
            f"UPDATE {table} SET first = (SELECT b FROM place) WHERE first = -1",
        )  # fmt: skip
        if table == "block":
            return


def lose_last_block(path: Path) -> None:
    last = "(SELECT max(first) FROM block)"
    change(path, f"DELETE FROM block_data WHERE first = {last}", f"DELETE FROM block WHERE first = {last}")


def lose_all_blocks(path: Path) -> None:
    change(path, "DELETE FROM block_data", "DELETE FROM block")


def lose_all_names(path: Path) -> None:
    change(path, "DELETE FROM atom WHERE id > 3")


def rename_atom(path: Path) -> None:
    change(path, "UPDATE atom SET name = CAST('other' AS BLOB) WHERE id = 2")


def lose_identity(path: Path) -> None:
    change(path, "DELETE FROM meta WHERE key = 'identity'")


def change_index(path: Path) -> None:
    change(path, "UPDATE block SET atoms = zeroblob(64)")


@pytest.mark.parametrize(
    "damage",
    [exchange_blocks, lose_last_block, lose_all_blocks, lose_all_names, rename_atom, lose_identity, change_index],
)
def test_what_is_not_what_was_closed_is_noticed(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    path = tmp_path / "x.unspool"
    states = record_shop(path, 300, identity={"stock": "sku"})
    damage(path)
    assert diagnose(path).verdict != "healthy"
    try:
        with History(FileStore.open(path)) as history:
            assert len(history) == 300
            read = _read(lambda: [history.state(seq) for seq in range(300)])
            assert read in (None, states)
            expected = [seq for seq in range(300) if seq == 0 or states[seq]["stock"] != states[seq - 1]["stock"]]
            assert _read(lambda: list(history.writes("stock"))) in (None, expected)
            assert isinstance(history.store, FileStore)
            assert _read(history.store.identity) in (None, {"stock": "sku"})
    except CorruptHistory:
        return


def _read(ask: Callable[[], Any]) -> Any:
    try:
        return ask()
    except UnspoolError:
        return None


def test_a_reader_refuses_features_it_must_understand_and_ignores_the_others(tmp_path: Path) -> None:
    path = tmp_path / "x.unspool"
    states = record_shop(path, 80)
    for must, may in ((0, 1 << 40), (1 << 40, 0)):
        with closing(connect_writer(path, synchronous="OFF")) as connection:
            layout = connection.layout
            features = struct.pack("<QQI", must, may, layout.first_sum)
            row = (features, fact_sum(FORMAT, features, 0), FORMAT)
            connection.execute("UPDATE meta SET value = ?, crc = ? WHERE key = ?", row)
        if must:
            with pytest.raises(NewerSchema, match="upgrade"):
                FileStore.open(path)
            with pytest.raises(NewerSchema, match="upgrade"):
                Recorder(path, on_error="raise")
        else:
            with History(FileStore.open(path)) as history:
                assert history.state(79) == states[79]


TABLE_TRICKS = [
    ("DROP TABLE span", "CREATE VIEW span AS SELECT 1"),
    ("CREATE VIEW more AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n",),
    ("CREATE TRIGGER steal AFTER INSERT ON tail BEGIN DELETE FROM tail; END",),
    ("DROP TABLE block_data",),
    ("ALTER TABLE meta ADD COLUMN more",),
    ("CREATE INDEX times ON tail(time_ns)",),
    ("CREATE TABLE more(x)",),
]


@pytest.mark.parametrize("statements", TABLE_TRICKS, ids=[str(number) for number in range(len(TABLE_TRICKS))])
def test_only_our_tables_are_read(tmp_path: Path, statements: tuple[str, ...]) -> None:
    path = tmp_path / "x.unspool"
    record_shop(path, 20)
    change(path, *statements)
    for ask in (FileStore.open, lambda path: Recorder(path, on_error="raise")):
        with pytest.raises(CorruptHistory, match=r"x\.unspool: damaged"):
            ask(path)
    # The doctor reads the rows without the tables.
    assert diagnose(path).verdict == "broken"


def test_what_analyze_leaves_is_no_damage(tmp_path: Path) -> None:
    path = tmp_path / "x.unspool"
    states = record_shop(path, 100)
    change(path, "ANALYZE")
    with History(FileStore.open(path)) as history:
        assert history.state(99) == states[99]
