"""Metadata of blocks that cannot be true: told as damage or shown as holes, whatever the numbers in it say."""

from __future__ import annotations

import sqlite3
from array import array
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from unspool.errors import CorruptHistory
from unspool.history import History
from unspool.recorder import Recorder
from unspool.store import FileStore
from unspool.store.blocks import PackedColumns, compress, unpack_columns
from unspool.store.protocol import HOLE


def record(path: Path, count: int) -> Path:
    with Recorder(path, on_error="raise") as recorder:
        for number in range(count):
            recorder.record({"n": number})
    return path


def edit(path: Path, statement: str, *values: object) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(statement, values)


def test_a_claimed_size_makes_no_more_holes_than_there_are_entries(tmp_path: Path) -> None:
    path = record(tmp_path / "claims.unspool", 300)
    edit(path, "UPDATE block SET count = 1000000000 WHERE first = 0")
    with History(FileStore.open(path)) as history:
        codecs = history.columns().codec
        held = codecs.index(min(codecs))
        assert len(codecs) == len(history) == 300
        assert set(codecs[:held]) == {HOLE}
        assert HOLE not in codecs[held:]
        assert history.columns().timestamp_ns[-1] == history[299].timestamp_ns


def test_columns_go_on_with_holes_where_what_was_in_the_tail_got_damaged(tmp_path: Path) -> None:
    path = tmp_path / "sealed.unspool"
    with Recorder(path, on_error="raise") as recorder:
        for number in range(300):
            recorder.record({"n": number})
            if number == 40:
                history = History(FileStore.open(path))
                assert len(history.columns()) == 41
    edit(path, "UPDATE block SET columns = zeroblob(50) WHERE first = 0")
    with history:
        history.refresh()
        codecs = history.columns().codec
        assert len(codecs) == 300
        assert HOLE not in codecs[:41]
        assert codecs[41] == HOLE
        assert codecs[299] != HOLE


def unknown_codec(columns: PackedColumns) -> None:
    columns.codecs = bytes((columns.codecs[0], 77)) + columns.codecs[2:]


def nameless_action(columns: PackedColumns) -> None:
    columns.action_of = array("H", [900]).tobytes() + columns.action_of[2:]


def listed_extra(columns: PackedColumns) -> None:
    columns.extras = {1: msgspec.msgpack.encode([1])}


def short_sizes(columns: PackedColumns) -> None:
    columns.stored = columns.stored[4:]


@pytest.mark.parametrize("damage", [unknown_codec, nameless_action, listed_extra, short_sizes])
def test_metadata_that_makes_no_sense_is_damage(tmp_path: Path, damage: Callable[[PackedColumns], None]) -> None:
    path = record(tmp_path / "odd.unspool", 100)
    with closing(sqlite3.connect(path)) as connection:
        columns = unpack_columns(0, connection.execute("SELECT columns FROM block WHERE first = 0").fetchone()[0])
    damage(columns)
    edit(path, "UPDATE block SET columns = ? WHERE first = 0", compress(msgspec.msgpack.encode(columns)))
    with History(FileStore.open(path)) as history:
        assert len(history.columns()) == 100
        assert history.state(99) == {"n": 99}
        with pytest.raises(CorruptHistory, match="starts at entry 0 is damaged"):
            list(history)
