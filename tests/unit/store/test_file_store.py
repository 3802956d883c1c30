"""The file keeps every entry, whatever is appended, sealed, reopened or read meanwhile."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from support.recording import record_shop, same_state, shop_states
from support.waiting import wait_until
from unspool.errors import (
    CorruptHistory,
    EntryNotFound,
    HistoryLocked,
    NewerSchema,
    ReadOnlyHistory,
    UnreadableSource,
    UnspoolError,
)
from unspool.history import History
from unspool.model.values import strict_equal
from unspool.recorder import Recorder
from unspool.store import Draft, FileStore


def read_all(path: Path) -> list[dict[str, Any]]:
    with History(FileStore.open(path)) as history:
        return [history.state(seq) for seq in range(len(history))]


def test_every_entry_reads_back_in_any_order(tmp_path: Path) -> None:
    path = tmp_path / "shop.unspool"
    states = record_shop(path, 400)
    with History(FileStore.open(path)) as history:
        for seq in [*range(400), *range(399, -1, -1), *range(0, 400, 37), 399, 0, 200]:
            assert same_state(history.state(seq), states[seq]), seq


def test_a_closed_file_stands_alone(tmp_path: Path) -> None:
    path = tmp_path / "shop.unspool"
    record_shop(path, 150)
    assert sorted(item.name for item in tmp_path.iterdir()) == ["shop.unspool"]


def test_a_reader_sees_the_live_tail_at_once(tmp_path: Path) -> None:
    path = tmp_path / "live.unspool"
    states = list(shop_states(300))
    with Recorder(path, on_error="raise") as recorder:
        recorder.record(states[0])
        with History(FileStore.open(path)) as history:
            for seq, state in enumerate(states[1:], start=1):
                recorder.record(state)
                assert history.refresh() == 1
                assert same_state(history.state(seq), state)
            assert history.refresh() == 0


def test_a_reader_keeps_its_view_until_it_refreshes(tmp_path: Path) -> None:
    path = tmp_path / "live.unspool"
    with Recorder(path, on_error="raise") as recorder:
        recorder.record({"n": 0})
        history = History(FileStore.open(path))
        recorder.record({"n": 1})
        assert len(history) == 1
        with pytest.raises(EntryNotFound, match="no entry 1: it has 1"):
            history.state(1)
        assert history.refresh() == 1
        history.close()


def test_reopening_continues_the_history(tmp_path: Path) -> None:
    path = tmp_path / "shop.unspool"
    states = list(shop_states(90))
    for start in range(0, 90, 15):
        with Recorder(path, on_error="raise") as recorder:
            for state in states[start : start + 15]:
                recorder.record(state)
    assert all(map(same_state, read_all(path), states))


def test_a_second_writer_is_refused_and_the_first_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "one.unspool"
    with Recorder(path, on_error="raise") as recorder:
        recorder.record({"n": 0})
        with pytest.raises(HistoryLocked, match="another recorder"):
            Recorder(path, on_error="raise")
        recorder.record({"n": 1})
    with Recorder(path, on_error="raise") as recorder:
        assert recorder.record({"n": 2}) == 2
    assert read_all(path) == [{"n": 0}, {"n": 1}, {"n": 2}]


def test_reading_never_writes(tmp_path: Path) -> None:
    path = tmp_path / "shop.unspool"
    states = record_shop(path, 80)
    before = path.read_bytes()
    path.chmod(0o444)
    assert all(map(same_state, read_all(path), states))
    assert path.read_bytes() == before
    with closing(FileStore.open(path)) as store, pytest.raises(ReadOnlyHistory, match="opened for reading"):
        store.intern("x")


def test_forks_keep_both_futures(tmp_path: Path) -> None:
    path = tmp_path / "fork.unspool"
    with Recorder(path, on_error="raise") as recorder:
        for n in range(5):
            recorder.record({"n": n, "same": 1})
        recorder.record({"n": 100, "same": 1}, "fork", parent_seq=1)
        recorder.record({"n": 101, "same": 1})
    with History(FileStore.open(path)) as history:
        assert history[5].parent_seq == 1
        assert [change.old for change in history.changes(5).changes] == [1]
        assert [history.state(seq)["n"] for seq in range(7)] == [0, 1, 2, 3, 4, 100, 101]
        assert history[6].parent_seq == 5


def test_atoms_tell_when_they_changed(tmp_path: Path) -> None:
    path = tmp_path / "shop.unspool"
    states = record_shop(path, 300)
    with History(FileStore.open(path)) as history:
        for atom in ("cart3", "stock", "cart11", "never"):
            expected = [
                seq
                for seq in range(300)
                if not strict_equal(states[seq].get(atom, ...), states[seq - 1].get(atom, ...) if seq else ...)
            ]
            assert list(history.writes(atom)) == expected
            for seq in (0, 5, 64, 128, 299):
                assert history.next_write(atom, seq) == next((hit for hit in expected if hit > seq), None)
                assert history.previous_write(atom, seq) == next(
                    (hit for hit in reversed(expected) if hit < seq), None
                )


@pytest.mark.parametrize("backwards", [True, False])
def test_writes_are_told_once_each_while_a_recorder_seals_them(tmp_path: Path, backwards: bool) -> None:
    path = tmp_path / "live.unspool"
    with Recorder(path, on_error="raise") as recorder:
        record_numbers(recorder, 300)
        with closing(FileStore.open(path)) as reader:
            total = len(reader)
            wait_until(lambda: sealed_entries(reader) >= 192, "sealing")
            sealed = sealed_entries(reader)
            found = []
            for seq in reader.writes("n", 0, total, backwards=backwards):
                found.append(seq)
                if seq in (total - 1, sealed - 1) and sealed_entries(reader) < total:
                    record_numbers(recorder, 300)
                    wait_until(lambda: sealed_entries(reader) >= total, "sealing")
            assert found == sorted(range(total), reverse=backwards)


def test_entries_sealed_while_shares_are_counted_are_no_damage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Recorder(tmp_path / "live.unspool", on_error="raise") as recorder:
        record_numbers(recorder, 300)
        with closing(FileStore.open(tmp_path / "live.unspool")) as store:
            wait_until(lambda: sealed_entries(store) >= 192, "sealing")
            verify = store.reader.verify

            def seal_meanwhile(first: int, count: int) -> None:
                if sealed_entries(recorded) < 300:
                    record_numbers(recorder, 300)
                    wait_until(lambda: sealed_entries(recorded) >= 300, "sealing")
                verify(first, count)

            monkeypatch.setattr(store.reader, "verify", seal_meanwhile)
            with closing(FileStore.open(tmp_path / "live.unspool")) as recorded:
                problems: list[str] = []
                assert store.shares(problems)["n"][0] == 300
            assert problems == []


def record_numbers(recorder: Recorder, count: int) -> None:
    for number in range(count):
        recorder.record({"n": number})


def sealed_entries(store: FileStore) -> int:
    query = "SELECT ifnull(max(first + count), 0) FROM block"
    return int(store.reader.call(lambda connection: connection.execute(query).fetchone()[0]))


def test_columns_agree_with_entries(tmp_path: Path) -> None:
    path = tmp_path / "shop.unspool"
    states = list(shop_states(200))
    with Recorder(path, on_error="raise") as recorder:
        history = History(FileStore.open(path))
        for count, state in enumerate(states, start=1):
            recorder.record(state)
            if count % 13 == 0:
                history.refresh()
                columns = history.columns()
                assert len(columns) == count
        history.refresh()
        columns = history.columns()
        for entry in history:
            assert columns.timestamp_ns[entry.seq] == entry.timestamp_ns
            assert columns.kind[entry.seq] == (entry.kind == "full")
            row = (columns.added[entry.seq], columns.modified[entry.seq], columns.deleted[entry.seq])
            assert row == (entry.added, entry.modified, entry.deleted)
            assert (columns.stored[entry.seq], columns.full_bytes[entry.seq]) == (
                entry.stored_bytes,
                entry.full_bytes,
            )
        history.close()


@pytest.mark.one_in(4)
@pytest.mark.parametrize("codec", ["auto", "dict", "binary", "compress", "none"])
@pytest.mark.parametrize("strategy", ["auto", "changes:10", "manual", "significance:1", "adaptive"])
def test_every_strategy_and_codec_keeps_every_state(tmp_path: Path, codec: str, strategy: str) -> None:
    path = tmp_path / "shop.unspool"
    states = record_shop(path, 160, codec=codec, strategy=strategy)
    assert all(map(same_state, read_all(path), states))
    with History(FileStore.open(path)) as history:
        stats = history.stats()
        assert stats.health == "healthy"
        assert stats.full + stats.delta == stats.entries == 160
        expected = {"auto": {"dict", "none"}, "dict": {"dict", "none"}, "binary": {"binary", "none"}}
        assert set(stats.codecs) <= expected.get(codec, {codec})


# --- bad input -------------------------------------------------------------------------------------------------------


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnreadableSource, match="no such file"):
        FileStore.open(tmp_path / "none.unspool")


@pytest.mark.parametrize("content", [b"", b"hello", b"\x00" * 5000], ids=["empty", "text", "zeros"])
def test_files_of_other_kinds_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.unspool"
    path.write_bytes(content)
    with pytest.raises(UnreadableSource, match=r"x\.unspool: "):
        FileStore.open(path)


def test_another_programs_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE t(x)")
    connection.close()
    before = path.read_bytes()
    for attempt in (FileStore.open, FileStore.create):
        with pytest.raises(UnreadableSource, match="not unspool's"):
            attempt(path)
    assert path.read_bytes() == before


def test_a_newer_schema_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "new.unspool"
    record_shop(path, 3)
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    for attempt in (FileStore.open, FileStore.create):
        with pytest.raises(NewerSchema, match="newer unspool"):
            attempt(path)


def test_a_file_copied_without_its_wal_reads_as_of_its_last_checkpoint(tmp_path: Path) -> None:
    path, copy = tmp_path / "live.unspool", tmp_path / "copy.unspool"
    with Recorder(path, on_error="raise") as recorder:
        for n in range(10):
            recorder.record({"n": n})
        shutil.copy(path, copy)
    assert read_all(copy) == [{"n": n} for n in range(len(read_all(copy)))]


def damage(path: Path, table: str, column: str, where: str) -> None:
    connection = sqlite3.connect(path)
    data = bytearray(connection.execute(f"SELECT {column} FROM {table} WHERE {where}").fetchone()[0])
    data[len(data) // 2] ^= 0x5A
    connection.execute(f"UPDATE {table} SET {column} = ? WHERE {where}", (bytes(data),))
    connection.commit()
    connection.close()


@pytest.mark.parametrize(("table", "column"), [("block_data", "data"), ("block", "sums"), ("block", "columns")])
def test_a_flipped_byte_in_a_block_is_named_and_the_rest_reads(tmp_path: Path, table: str, column: str) -> None:
    path = tmp_path / "shop.unspool"
    states = record_shop(path, 300)
    connection = sqlite3.connect(path)
    firsts = [row[0] for row in connection.execute("SELECT first FROM block ORDER BY first")]
    connection.close()
    assert len(firsts) >= 4
    damage(path, table, column, f"first = {firsts[2]}")
    with History(FileStore.open(path)) as history:
        for seq in range(300):
            if firsts[2] <= seq < firsts[3]:
                with pytest.raises(CorruptHistory, match=f"entry {firsts[2]}") as caught:
                    # States need no metadata, and entries no records.
                    history[seq] if column == "columns" else history.state(seq)
                assert caught.value.seq == firsts[2]
            else:
                assert same_state(history.state(seq), states[seq])


def test_a_flipped_byte_in_the_tail_is_named(tmp_path: Path) -> None:
    path, copy = tmp_path / "live.unspool", tmp_path / "copy.unspool"
    with Recorder(path, on_error="raise") as recorder:
        for n in range(6):
            recorder.record({"n": n, "text": "x" * 100})
        source = sqlite3.connect(path)
        target = sqlite3.connect(copy)
        source.backup(target)
        source.close()
        target.close()
    damage(copy, "tail", "record", "seq = 3")
    with History(FileStore.open(copy)) as history:
        assert history.state(2)["n"] == 2
        with pytest.raises(CorruptHistory, match="entry 3"):
            history.state(3)


def test_a_missing_block_is_reported_never_empty(tmp_path: Path) -> None:
    path = tmp_path / "shop.unspool"
    record_shop(path, 300)
    connection = sqlite3.connect(path)
    first, count = connection.execute("SELECT first, count FROM block ORDER BY first LIMIT 1 OFFSET 1").fetchone()
    connection.execute("DELETE FROM block_data WHERE first = ?", (first,))
    connection.execute("DELETE FROM block WHERE first = ?", (first,))
    connection.commit()
    connection.close()
    with History(FileStore.open(path)) as history:
        assert history.state(first - 1)
        with pytest.raises(CorruptHistory, match="missing"):
            history.state(first)
        assert history.state(first + count)
        assert history.stats().health == "broken"


@pytest.mark.one_in(2)
@pytest.mark.parametrize("keep", [0.3, 0.6, 0.95])
def test_a_truncated_file_is_a_typed_error_and_intact_parts_read(tmp_path: Path, keep: float) -> None:
    path = tmp_path / "shop.unspool"
    states = record_shop(path, 600)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * keep)])
    try:
        history = History(FileStore.open(path))
    except UnspoolError as error:
        assert str(path) in str(error)
        return
    read = 0
    for seq in range(len(history)):
        try:
            assert same_state(history.state(seq), states[seq])
            read += 1
        except UnspoolError as error:
            assert str(path) in str(error)
    assert read < 600
    history.close()


def test_a_draft_of_a_reader_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "shop.unspool"
    record_shop(path, 2)
    store = FileStore.open(path)
    record = store.run(0).records[0]
    with pytest.raises(ReadOnlyHistory):
        store.append(Draft("full", record, [], 0, "", 0))  # type: ignore[arg-type]
    store.close()


def test_a_block_that_claims_to_be_far_behind_the_end_of_a_closed_file_is_not_there(tmp_path: Path) -> None:
    path = tmp_path / "shop.unspool"
    states = record_shop(path, 300)
    first = blocks_of(path)[-1]
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE block SET first = 9000000000000000 WHERE first = ?", (first,))
    with History(FileStore.open(path)) as history:
        assert len(history) == 300
        assert history.state(first - 1) == states[first - 1]
        with pytest.raises(CorruptHistory, match=f"entry {first} is missing|entry 299 is missing"):
            history.state(299)


def blocks_of(path: Path) -> list[int]:
    with closing(sqlite3.connect(path)) as connection:
        return [first for (first,) in connection.execute("SELECT first FROM block ORDER BY first")]


def test_a_file_that_claims_absurdly_many_entries_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "shop.unspool"
    shutil.copyfile(Path(__file__).parents[3] / "fixtures" / "format_1" / "closed.unspool", path)
    connection = sqlite3.connect(path)
    connection.execute("UPDATE block SET first = 9000000000000000 WHERE first = (SELECT max(first) FROM block)")
    connection.commit()
    connection.close()
    with pytest.raises(CorruptHistory, match="claims 9"):
        FileStore.open(path)
