"""Spans: the metadata of many blocks in one row answers as the blocks did, and damage to it is noticed."""

from __future__ import annotations

import random
import shutil
import sqlite3
from array import array
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unspool.errors import CorruptHistory, UnspoolError
from unspool.history import History
from unspool.model.entries import ChangeKind
from unspool.query.doctor.diagnosis import Code, diagnose
from unspool.query.repair import repair
from unspool.recorder import Recorder
from unspool.store import FileStore, layout_2, sealing
from unspool.store.blocks import BlockColumns, posting
from unspool.store.bulk_columns import SPAN_ENTRIES, SpanColumns, pack_span, span_bitmap
from unspool.store.compacting import compact
from unspool.store.file import forks_of
from unspool.store.protocol import HOLE, Columns

ENTRIES = SPAN_ENTRIES + 700
ATOMS = ("often", "seldom", "comes and goes", "never mentioned")


def state(step: int) -> dict[str, Any]:
    made: dict[str, Any] = {"often": step, "seldom": step // 500}
    if step % 7 < 3:
        made["comes and goes"] = step % 7
    return made


def moment(step: int) -> int:
    return (2**62 if step % 1000 == 999 else -(2**62) if step % 1000 == 998 else step) * 1


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("spans") / "x.unspool"
    with Recorder(path, on_error="raise", durability="fast") as recorder:
        for step in range(ENTRIES):
            recorder.record(
                state(step), f"act {step % 40}", timestamp_ns=moment(step),
                meta={"step": step} if step % 100 == 1 else None, parent_seq=9 if step in (700, ENTRIES - 2) else None,
            )  # fmt: skip
    return path


def ask(path: Path, query: str) -> list[Any]:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        return connection.execute(query).fetchall()


def changes_of(atom: str) -> list[int]:
    before: list[dict[str, Any] | None] = [None, *map(state, range(ENTRIES - 1))]
    before[700] = before[ENTRIES - 2] = state(9)
    return [
        step for step in range(ENTRIES)
        if (before[step] or {}).get(atom, ...) != state(step).get(atom, ...)
    ]  # fmt: skip


def check(path: Path) -> None:
    with History(FileStore.open(path)) as history:
        store = history.store
        columns = history.columns()
        assert list(columns.timestamp_ns) == list(map(moment, range(ENTRIES)))
        assert HOLE not in columns.codec
        for atom in ATOMS:
            expected = changes_of(atom)
            assert list(history.writes(atom)) == expected, atom
            for seq in (0, 64, 1000, SPAN_ENTRIES - 1, SPAN_ENTRIES + 64, ENTRIES - 1):
                later = next((hit for hit in expected if hit > seq), None)
                assert history.next_write(atom, seq) == later
                assert history.previous_write(atom, seq) == max((hit for hit in expected if hit < seq), default=None)
        for seq in (0, 1, 3, 63, 64, 101, 700, SPAN_ENTRIES + 1, ENTRIES - 2):
            entry = history[seq]
            assert (entry.timestamp_ns, entry.action) == (moment(seq), f"act {seq % 40}")
            assert entry.meta == ({"step": seq} if seq % 100 == 1 else {})
            before = state(9) if seq in (700, ENTRIES - 2) else state(seq - 1) if seq else {}
            wanted = {atom for atom in ATOMS if before.get(atom, ...) != state(seq).get(atom, ...)}
            assert {atom for atom, _ in store.changed(seq)} == wanted
            assert history.state(seq) == state(seq)
        assert [(fork.seq, fork.parent) for fork in forks_of(store, 0, ENTRIES)] == [
            (0, None), (700, 9), (ENTRIES - 2, 9)
        ]  # fmt: skip


def test_a_recorder_folds_blocks_into_spans_that_answer_as_they_did(recorded: Path) -> None:
    ((first, count),) = ask(recorded, "SELECT first, count FROM span")
    assert first == 0
    assert count >= SPAN_ENTRIES
    assert ask(recorded, f"SELECT count(*) FROM block WHERE (columns IS NULL) != (first < {count})") == [(0,)]
    check(recorded)
    diagnosis = diagnose(recorded)
    assert diagnosis.readable == ENTRIES
    assert {found.code for found in diagnosis.findings} <= {Code.CLOCK_BACKWARDS}


def test_columns_go_on_in_the_middle_of_a_span(recorded: Path) -> None:
    with closing(FileStore.open(recorded)) as store:
        whole, parts = History(store).columns(), Columns()
        assert len(whole) == ENTRIES
        for column in ("timestamp_ns", "codec", "added", "modified", "deleted", "stored", "full_bytes", "kind"):
            getattr(parts, column).extend(getattr(whole, column)[:130])
        store.fill(parts)
        assert parts.timestamp_ns == whole.timestamp_ns
        assert parts.stored == whole.stored


def test_a_compacted_file_has_spans_too(recorded: Path, tmp_path: Path) -> None:
    compact(recorded, tmp_path / "small.unspool")
    assert ask(tmp_path / "small.unspool", "SELECT count(*) FROM span") == [(1,)]
    check(tmp_path / "small.unspool")


@pytest.mark.one_in(3)
@pytest.mark.parametrize(
    ("table", "column"), [("span", "atoms"), ("span", "sums"), ("span", "count"), ("span_data", "data")]
)
@pytest.mark.parametrize("part", range(3))
def test_a_damaged_span_is_noticed(recorded: Path, tmp_path: Path, table: str, column: str, part: int) -> None:
    path = tmp_path / "damaged.unspool"
    shutil.copy(recorded, path)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        (key,) = connection.execute(
            f"SELECT rowid FROM {table} LIMIT 1 OFFSET ?", (part % 3 if "_" in table else 0,)
        ).fetchone()
        (value,) = connection.execute(f"SELECT {column} FROM {table} WHERE rowid = ?", (key,)).fetchone()
        if isinstance(value, bytes):
            changed = bytearray(value)
            changed[len(value) * (part + 1) // 4] ^= 8
            connection.execute(f"UPDATE {table} SET {column} = ? WHERE rowid = ?", (bytes(changed), key))
        else:
            connection.execute(f"UPDATE {table} SET {column} = {column} + ? WHERE rowid = ?", (part + 1, key))
    assert diagnose(path).verdict == "broken"
    with History(FileStore.open(path)) as history:
        assert len(history) == ENTRIES
        assert history.state(500) == state(500)
        for atom in ATOMS[:3]:
            with suppress(UnspoolError):
                assert list(history.writes(atom)) == changes_of(atom)
        with suppress(CorruptHistory):
            assert [entry.timestamp_ns for entry in history] == list(map(moment, range(ENTRIES)))
        columns = history.columns()
        assert len(columns) == ENTRIES
        assert all(
            code == HOLE or time == moment(seq)
            for seq, (code, time) in enumerate(zip(columns.codec, columns.timestamp_ns, strict=True))
        )


def test_a_recorder_goes_on_behind_a_damaged_span(recorded: Path, tmp_path: Path) -> None:
    path = tmp_path / "damaged.unspool"
    shutil.copy(recorded, path)
    ask(path, "UPDATE span SET atoms = zeroblob(256)")
    with Recorder(path, on_error="raise") as recorder:
        for step in range(ENTRIES, ENTRIES + 150):
            recorder.record(state(step), timestamp_ns=step)
    with History(FileStore.open(path)) as history:
        assert history.state(ENTRIES + 149) == state(ENTRIES + 149)
        assert history.state(500) == state(500)
    assert ask(path, "SELECT count(*) FROM tail") == [(0,)]


def test_a_lost_span_is_noticed(recorded: Path, tmp_path: Path) -> None:
    path = tmp_path / "lost.unspool"
    shutil.copy(recorded, path)
    ask(path, "DELETE FROM span")
    assert diagnose(path).verdict == "broken"
    with History(FileStore.open(path)) as history:
        with pytest.raises(CorruptHistory):
            list(history.writes("often"))
        assert history.columns().codec[0] == HOLE
        assert history.state(500) == state(500)


@given(st.data())
def test_what_is_packed_comes_out_block_by_block(data: st.DataObject) -> None:
    rng = random.Random(data.draw(st.integers(0, 2**32)))
    blocks, first = [], rng.randrange(10_000)
    start = first
    for _ in range(rng.randrange(1, 5)):
        count = rng.randrange(1, 40)
        kinds = [[rng.randrange(3) for _ in range(rng.randrange(4))] for _ in range(count)]
        changed = array("I")
        for each in kinds:
            atoms = rng.sample(range(3000), len(each))
            changed.extend(posting(atom, list(ChangeKind)[kind]) for atom, kind in zip(atoms, each, strict=True))
        codes = [[item & 3 for item in changed[sum(map(len, kinds[:at])) :][: len(kinds[at])]] for at in range(count)]
        offsets = [sum(map(len, kinds[:at])) for at in range(count + 1)]
        blocks.append(
            BlockColumns(
                first,
                array("q", [rng.randrange(-(2**63), 2**63) for _ in range(count)]),
                array("B", [rng.randrange(4) for _ in range(count)]),
                *(array("I", [each.count(code) for each in codes]) for code in range(3)),
                array("I", [rng.randrange(2**32) for _ in range(count)]),
                array("I", [rng.randrange(2**32) for _ in range(count)]),
                ["a", "b"],
                array("H", [rng.randrange(2) for _ in range(count)]),
                changed,
                offsets,
                {rng.randrange(count): {"id": "x"}},
            )
        )
        first += count
    span = SpanColumns(start, first - start, pack_span(blocks, 3))
    for block in blocks:
        assert span.block(block.first, len(block.times)).facts == block.facts
    bits = span_bitmap(blocks)
    assert all(bits[item >> 2 >> 3 & 255] >> (item >> 2 & 7) & 1 for block in blocks for item in block.changed)


def small(path: Path, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Record a file whose metadata lies in spans of few entries, and some of it behind them."""
    monkeypatch.setattr(layout_2, "SPAN_ENTRIES", 128)
    monkeypatch.setattr(sealing, "SPAN_ENTRIES", 128)
    with Recorder(path, on_error="raise") as recorder:
        for seq in range(400):
            recorder.record(state(seq), f"act {seq % 40}", timestamp_ns=moment(seq))
    return [state(seq) for seq in range(400)]


def test_spans_are_found_on_the_pages_of_a_file_that_sqlite_cannot_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "broken.unspool"
    states = small(path, monkeypatch)
    assert ask(path, "SELECT count(*) > 1 FROM span") == [(1,)]
    whole = path.read_bytes()
    # The page that lists the tables is gone: rows are found by their shape.
    path.write_bytes(whole[:100] + bytes(924) + whole[1024:])
    report = repair(path, tmp_path / "out.unspool")
    assert (report.kept, report.holes, report.without_facts) == (400, (), 0)
    with History(FileStore.open(tmp_path / "out.unspool")) as history:
        assert [history.state(seq) for seq in range(400)] == states
        assert [entry.action for entry in history] == [f"act {seq % 40}" for seq in range(400)]


def test_a_damaged_span_costs_no_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "damaged.unspool"
    states = small(path, monkeypatch)
    (first, count) = ask(path, "SELECT first, count FROM span ORDER BY first LIMIT 1")[0]
    ask(path, "UPDATE span_data SET data = zeroblob(40) WHERE id = 0")
    report = repair(path, tmp_path / "out.unspool")
    assert (report.without_facts, report.kept, report.holes) == (count, 400 - count, ())
    with History(FileStore.open(tmp_path / "out.unspool")) as history:
        assert [history.state(seq) for seq in range(400)] == states
        assert {entry.action for entry in history[first : first + count]} == {"unknown"}


def test_neighbours_of_an_entry_at_rest_are_told_without_a_search_for_their_block(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "rest.unspool"
    small(path, monkeypatch)
    with History(FileStore.open(path)) as history:
        expected = [(history.changed_atoms(seq), history[seq].action) for seq in range(100, 140)]
    with closing(FileStore.open(path)) as store:
        store.changed(130)
        queries: list[str] = []
        reader = store._reader
        with reader._file.reading() as connection:
            connection.set_trace_callback(queries.append)
        found = [(store.changed(seq), store.entries(seq, seq + 1)[0].action) for seq in range(139, 99, -1)]
        assert found == expected[::-1]
        # One for each block that they lie in, and those that read it.
        assert sum("FROM block WHERE first <=" in query for query in queries) <= 2
