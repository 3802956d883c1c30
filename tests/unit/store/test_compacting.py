"""Compacting and vacuuming keep every entry and never touch the original before the result is verified."""

from __future__ import annotations

import math
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from support.recording import record_shop, shop_states
from unspool.errors import CorruptHistory, HistoryLocked, UnreadableSource
from unspool.history import History
from unspool.model.values import strict_equal
from unspool.recorder import Recorder
from unspool.store import FileStore
from unspool.store.compacting import compact, vacuum


def assert_same(path: Path, states: list[dict[str, Any]]) -> None:
    with History(FileStore.open(path)) as history:
        assert len(history) == len(states)
        for seq, state in enumerate(states):
            assert strict_equal(history.state(seq), state), seq


QUICK = (("auto", "auto"), ("auto", "none"), ("manual", "auto"))


@pytest.mark.one_in(4)
@pytest.mark.parametrize(
    ("strategy", "codec"),
    [
        pytest.param(strategy, codec, marks=() if (strategy, codec) in QUICK else pytest.mark.slow)
        for strategy in ("auto", "manual", "changes:10")
        for codec in ("auto", "compress", "binary", "none")
    ],
)
def test_a_compacted_history_is_the_same_history(tmp_path: Path, codec: str, strategy: str) -> None:
    path, out = tmp_path / "shop.unspool", tmp_path / "small.unspool"
    states = record_shop(path, 400, codec=codec, strategy=strategy)
    before = path.read_bytes()
    report = compact(path, out)
    assert path.read_bytes() == before
    assert report.entries == 400
    assert (report.before, report.after) == (path.stat().st_size, out.stat().st_size)
    assert_same(out, states)
    with History(FileStore.open(path)) as old, History(FileStore.open(out)) as new:
        assert old[0:400] == new[0:400]
        assert old.history_id == new.history_id
    assert sorted(item.name for item in tmp_path.iterdir()) == ["shop.unspool", "small.unspool"]


def test_compacting_makes_a_history_smaller(tmp_path: Path) -> None:
    path, out = tmp_path / "shop.unspool", tmp_path / "small.unspool"
    record_shop(path, 500, strategy="changes:20")
    assert compact(path, out).after < path.stat().st_size * 0.9


def test_meta_of_any_depth_and_with_numbers_that_differ_from_themselves_is_compacted_too(tmp_path: Path) -> None:
    path, out = tmp_path / "odd.unspool", tmp_path / "small.unspool"
    deep: Any = 1
    for _ in range(3_000):
        deep = [deep]
    with Recorder(path, on_error="raise") as recorder:
        recorder.record({"a": 1}, meta={"loss": math.nan})
        recorder.record({"a": 2}, meta={"deep": deep})
    assert compact(path, out).entries == 2
    assert vacuum(path).entries == 2
    with History(FileStore.open(out)) as history:
        assert strict_equal(dict(history[1].meta), {"deep": deep})


def test_a_compacted_history_can_be_continued(tmp_path: Path) -> None:
    path, out = tmp_path / "shop.unspool", tmp_path / "small.unspool"
    states = record_shop(path, 100)
    compact(path, out)
    more = list(shop_states(50, seed=9))
    with Recorder(out, on_error="raise") as recorder:
        for state in more:
            recorder.record(state)
    assert_same(out, [*states, *more])


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    path, out = tmp_path / "shop.unspool", tmp_path / "taken"
    record_shop(path, 3)
    out.write_text("precious")
    with pytest.raises(UnreadableSource, match="exists already"):
        compact(path, out)
    assert out.read_text() == "precious"


def test_a_damaged_history_is_not_compacted(tmp_path: Path) -> None:
    path, out = tmp_path / "shop.unspool", tmp_path / "small.unspool"
    record_shop(path, 300)
    connection = sqlite3.connect(path)
    connection.execute("UPDATE block_data SET data = zeroblob(100) WHERE first = 64")
    connection.commit()
    connection.close()
    with pytest.raises(CorruptHistory, match="entry 64"):
        compact(path, out)
    assert [item.name for item in tmp_path.iterdir()] == ["shop.unspool"]


def test_vacuum_gives_free_pages_back(tmp_path: Path) -> None:
    path = tmp_path / "shop.unspool"
    states = record_shop(path, 200)
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE junk AS SELECT randomblob(200000) AS data")
    connection.execute("DROP TABLE junk")
    connection.commit()
    connection.close()
    report = vacuum(path)
    assert report.entries == 200
    assert report.after < report.before
    assert_same(path, states)
    assert [item.name for item in tmp_path.iterdir()] == ["shop.unspool"]


def test_a_history_being_recorded_is_not_vacuumed(tmp_path: Path) -> None:
    path = tmp_path / "live.unspool"
    with Recorder(path, on_error="raise") as recorder:
        recorder.record({"n": 1})
        with pytest.raises(HistoryLocked):
            vacuum(path)
        recorder.record({"n": 2})
    assert_same(path, [{"n": 1}, {"n": 2}])
