"""Histories made by a recorder and then damaged on purpose, as disks, bugs and people damage them."""

from __future__ import annotations

import sqlite3
from array import array
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from support.recording import shop_states
from unspool.codec.records import AtomWrite, Form, RecordCodec, encode_delta
from unspool.history import History
from unspool.model.encoding import encode
from unspool.model.entries import ChangeKind, Entry
from unspool.query.doctor.findings import Code
from unspool.recorder import Recorder
from unspool.store import FileStore
from unspool.store.blocks import pack_postings, posting
from unspool.store.layout import FileConnection, PackedDraft
from unspool.store.layout_2 import SecondLayout, seed_of
from unspool.store.schema import connect_writer

SECOND = 1_000_000_000
START = 1_700_000_000 * SECOND
ENTRIES = 300
LIVE_ENTRIES = 12


@dataclass
class Recorded:
    """A file, and what was recorded into it."""

    path: Path
    states: list[dict[str, Any]]
    entries: list[Entry]


def recorded(path: Path, count: int = ENTRIES, **options: Any) -> Recorded:
    """A file at rest: everything is in blocks. It is recorded once for all tests, each of which gets a copy to damage."""
    key = repr((count, sorted(options.items())))
    if key not in _made:
        states = list(shop_states(count))
        with Recorder(path, on_error="raise", **options) as recorder:
            for step, state in enumerate(states):
                recorder.record(state, f"step {step % 5}", timestamp_ns=START + step * SECOND, meta={"step": step})
        _made[key] = path.read_bytes(), states, _entries(path)
    content, states, entries = _made[key]
    path.touch(mode=0o600)
    path.write_bytes(content)
    return Recorded(path, list(states), list(entries))


_made: dict[str, tuple[bytes, list[dict[str, Any]], list[Entry]]] = {}


def live(path: Path, states: list[dict[str, Any]] | None = None, **options: Any) -> Recorded:
    """A file as a killed recorder leaves it: the newest entries are in the tail."""
    states = list(shop_states(LIVE_ENTRIES, atoms=4)) if states is None else states
    with Recorder(path.with_suffix(".live"), on_error="raise", **options) as recorder:
        for step, state in enumerate(states):
            recorder.record(state, f"step {step % 5}", timestamp_ns=START + step * SECOND)
        recorder.store._writer.sealer.finish()  # type: ignore[attr-defined]
        with closing(sqlite3.connect(path.with_suffix(".live"))) as source, closing(sqlite3.connect(path)) as target:
            source.backup(target)
    return Recorded(path, states, _entries(path))


def _entries(path: Path) -> list[Entry]:
    with History(FileStore.open(path)) as history:
        return history[:]


def change(path: Path, *statements: tuple[str, tuple[Any, ...]]) -> None:
    """Run SQL on a file."""
    with closing(sqlite3.connect(path)) as connection, connection:
        for statement, values in statements:
            connection.execute(statement, values)


def ask(path: Path, query: str, *values: Any) -> list[Any]:
    """Return the rows of a query."""
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(query, values).fetchall()


def flip(path: Path, table: str, column: str, where: str, at: float = 0.5) -> None:
    """Change one byte of a blob."""
    data = bytearray(ask(path, f"SELECT {column} FROM {table} WHERE {where}")[0][0])
    data[int(len(data) * at)] ^= 0x5A
    change(path, (f"UPDATE {table} SET {column} = ? WHERE {where}", (bytes(data),)))


def blocks_of(path: Path) -> list[tuple[int, int]]:
    """Return (first, count) of every block."""
    return ask(path, "SELECT first, count FROM block ORDER BY first")


@contextmanager
def writing(path: Path) -> Iterator[FileConnection]:
    """Open a file as a recorder does, and leave it as it was closed."""
    with closing(connect_writer(path, synchronous="OFF")) as connection:
        yield connection
        layout = connection.layout
        mark = layout.end_mark(connection)
        assert mark is not None
        layout.mark_end(connection, count=mark.entries, last=mark.last, is_closed=mark.is_closed)


def keep_fact(path: Path, key: str, value: str | None) -> None:
    """Change what a file says of itself, as a recorder would."""
    with writing(path) as connection:
        if value is None:
            connection.layout.drop_fact(connection, key)
        else:
            connection.layout.keep_fact(connection, key, value)


def move_block(path: Path, first: int, to: int) -> None:
    """Give the last block other numbers, as a bug in a writer would."""
    with writing(path) as connection:
        block = connection.layout.raw_block(connection, first)
        assert block is not None
        assert isinstance(block.columns, bytes)
        assert isinstance(block.records, bytes)
        connection.execute("DELETE FROM block WHERE first = ?", (first,))
        connection.execute("DELETE FROM block_data WHERE first = ?", (first,))
        connection.layout.add_block(connection, block.head._replace(first=to), block.columns, block.records)


def rewrite_tail(path: Path, seq: int, *, chains: bool = True, **columns: Any) -> None:
    """Change columns of a tail row and give it a checksum that fits, as a bug in a writer would."""
    names = ("time_ns", "codec", "full_bytes", "action", "changed", "extra", "record")
    row = dict(zip(names, ask(path, f"SELECT {', '.join(names)} FROM tail WHERE seq = ?", seq)[0], strict=True))
    row.update(columns)
    settings = ", ".join(f"{name} = ?" for name in names)
    layout = layout_of(path)
    (before,) = ask(path, "SELECT before FROM tail WHERE seq = ?", seq)[0]
    crc = layout.row_sum(seq, PackedDraft(**row), before)
    change(path, (f"UPDATE tail SET {settings}, crc = ? WHERE seq = ?", (*row.values(), crc, seq)))
    if chains:
        _chain_on(path, layout, seq + 1, crc)


def layout_of(path: Path) -> SecondLayout:
    return SecondLayout(seed_of(ask(path, "SELECT value FROM meta WHERE key = 'history_id'")[0][0]))


def _chain_on(path: Path, layout: SecondLayout, seq: int, before: int) -> None:
    """Give the rows behind a changed one checksums that fit, as the same writer would."""
    columns = "time_ns, codec, full_bytes, action, changed, extra, record"
    for number, *facts in ask(path, f"SELECT seq, {columns} FROM tail WHERE seq >= ? ORDER BY seq", seq):
        crc = layout.row_sum(number, PackedDraft(*facts), before)
        change(path, ("UPDATE tail SET before = ?, crc = ? WHERE seq = ?", (before, crc, number)))
        before = crc


# --- the damages -----------------------------------------------------------------------------------------------------


def span(path: Path, place: int) -> range:
    first, count = blocks_of(path)[place]
    return range(first, first + count)


def flip_records(path: Path) -> set[int]:
    lost = span(path, 2)
    flip(path, "block_data", "data", f"first = {lost.start}")
    return set(lost)


def flip_columns(path: Path) -> set[int]:
    lost = span(path, 1)
    flip(path, "block", "columns", f"first = {lost.start}")
    flip(path, "block_data", "data", f"first = {lost.start}")
    return set(lost)


def flip_first_columns(path: Path) -> set[int]:
    lost = span(path, 0)
    flip(path, "block", "columns", f"first = {lost.start}")
    flip(path, "block_data", "data", f"first = {lost.start}")
    return set(lost)


def flip_keyframe(path: Path) -> set[int]:
    flip(path, "segment", "data", "id = 0")
    return {
        seq
        for first, count in ask(path, "SELECT first, count FROM block WHERE segment = 0")
        for seq in range(first, first + count)
    }


def lose_keyframe(path: Path) -> set[int]:
    lost = flip_keyframe(path)
    change(path, ("DELETE FROM segment WHERE id = 0", ()))
    return lost


def lose_records(path: Path) -> set[int]:
    lost = span(path, 1)
    change(path, ("DELETE FROM block_data WHERE first = ?", (lost.start,)))
    return set(lost)


def lose_block(path: Path) -> set[int]:
    lost = lose_records(path)
    change(path, ("DELETE FROM block WHERE first = ?", (min(lost),)))
    return lost


def empty_records(path: Path) -> set[int]:
    lost = span(path, 1)
    change(path, ("UPDATE block_data SET data = x'' WHERE first = ?", (lost.start,)))
    return set(lost)


def text_records(path: Path) -> set[int]:
    lost = span(path, 1)
    change(path, ("UPDATE block_data SET data = 'text' WHERE first = ?", (lost.start,)))
    return set(lost)


def swap_records(path: Path) -> set[int]:
    (a, _), (b, _) = blocks_of(path)[1:3]
    left, right = (ask(path, "SELECT data FROM block_data WHERE first = ?", first)[0][0] for first in (a, b))
    change(
        path,
        ("UPDATE block_data SET data = ? WHERE first = ?", (right, a)),
        ("UPDATE block_data SET data = ? WHERE first = ?", (left, b)),
    )
    return set(span(path, 1)) | set(span(path, 2))


def alter_tail_time(path: Path) -> set[int]:
    change(path, ("UPDATE tail SET time_ns = time_ns + 1 WHERE seq = 5", ()))
    return set(range(5, LIVE_ENTRIES))


def flip_tail(path: Path) -> set[int]:
    flip(path, "tail", "record", "seq = 5")
    return set(range(5, LIVE_ENTRIES))


def lose_tail_row(path: Path) -> set[int]:
    change(path, ("DELETE FROM tail WHERE seq = 4", ()))
    return set(range(4, LIVE_ENTRIES))


def lose_tail_base(path: Path) -> set[int]:
    firsts = [seq for (seq,) in ask(path, "SELECT seq FROM tail WHERE codec = 1")]
    change(path, ("DELETE FROM tail WHERE seq <= ?", (firsts[-1],)))
    return set(range(LIVE_ENTRIES))


def unknown_codec(path: Path) -> set[int]:
    rewrite_tail(path, 6, codec=77)
    return set(range(6, LIVE_ENTRIES))


def malformed_record(path: Path) -> set[int]:
    rewrite_tail(path, 7, record=b"\x93\x00\x05\x01")
    return set(range(7, LIVE_ENTRIES))


def clear_index(path: Path) -> set[int]:
    change(path, ("UPDATE block SET atoms = ? WHERE first = ?", (bytes(64), span(path, 1).start)))
    return set()


def wrong_times(path: Path) -> set[int]:
    change(path, ("UPDATE block SET start_ns = 1 WHERE first = ?", (span(path, 1).start,)))
    return set()


def wrong_keyframe_size(path: Path) -> set[int]:
    change(path, ("UPDATE segment SET size = 3 WHERE id = 0", ()))
    return set()


def wrong_postings(path: Path) -> set[int]:
    rewrite_tail(path, 6, changed=pack_postings(array("I", [posting(0, ChangeKind.DELETED)])))
    return set()


def orphan_records(path: Path) -> set[int]:
    change(path, ("INSERT INTO block_data(first, data) VALUES (7777, x'00')", ()))
    return set()


def unused_keyframe(path: Path) -> set[int]:
    change(path, ("INSERT INTO segment(id, size, crc, data) VALUES (9, 1, 0, x'00')", ()))
    return set()


def tail_over_block(path: Path) -> set[int]:
    seq = span(path, 1).start + 2
    row = PackedDraft(START, int(RecordCodec.NONE), 1, "twice", b"", None, b"\x90")
    layout = layout_of(path)
    insert = layout.insert_row
    change(path, (insert, (seq, *row, 0, layout.row_sum(seq, row, 0))))
    return set()


def impossible_block(path: Path) -> set[int]:
    change(
        path,
        ("INSERT INTO block VALUES (-5, 3, 0, 0, 0, x'', x'', x'')", ()),
        ("INSERT INTO block_data VALUES (-5, x'')", ()),
    )
    return set()


@dataclass(frozen=True)
class Case:
    """One kind of damage, what the doctor must say of it, and what is lost."""

    make: Callable[..., Recorded]
    damage: Callable[[Path], set[int]]
    codes: set[Code]
    options: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.damage.__name__


CASES = [
    Case(recorded, flip_records, {Code.CHECKSUM}),
    Case(recorded, flip_columns, {Code.CHECKSUM}),
    Case(recorded, flip_first_columns, {Code.CHECKSUM}),
    Case(recorded, flip_keyframe, {Code.CHECKSUM}),
    Case(recorded, lose_keyframe, {Code.MISSING_KEYFRAME}),
    Case(recorded, lose_records, {Code.MISSING_RECORDS}),
    Case(recorded, lose_block, {Code.MISSING_ENTRIES}),
    Case(recorded, empty_records, {Code.CHECKSUM}),
    Case(recorded, text_records, {Code.CHECKSUM}),
    Case(live, flip_tail, {Code.NOT_CLOSED, Code.CHECKSUM, Code.SEVERED_BASE}, {"strategy": "manual"}),
    Case(live, alter_tail_time, {Code.NOT_CLOSED, Code.CHECKSUM, Code.SEVERED_BASE}, {"strategy": "manual"}),
    Case(live, lose_tail_row, {Code.NOT_CLOSED, Code.MISSING_ENTRIES, Code.SEVERED_BASE}, {"strategy": "manual"}),
    Case(live, lose_tail_base, {Code.NOT_CLOSED, Code.MISSING_ENTRIES, Code.SEVERED_BASE}, {"strategy": "manual"}),
    Case(live, unknown_codec, {Code.NOT_CLOSED, Code.MALFORMED, Code.SEVERED_BASE}, {"strategy": "manual"}),
    Case(live, malformed_record, {Code.NOT_CLOSED, Code.MALFORMED, Code.SEVERED_BASE}, {"strategy": "manual"}),
    Case(recorded, clear_index, {Code.WRONG_INDEX}),
    Case(recorded, wrong_times, {Code.WRONG_INDEX}),
    Case(recorded, wrong_keyframe_size, {Code.WRONG_INDEX}),
    Case(live, wrong_postings, {Code.NOT_CLOSED, Code.WRONG_INDEX}, {"strategy": "manual"}),
    Case(recorded, orphan_records, {Code.UNREACHABLE}),
    Case(recorded, unused_keyframe, {Code.UNREACHABLE}),
    Case(recorded, tail_over_block, {Code.DUPLICATE}),
    Case(recorded, impossible_block, {Code.MALFORMED}),
]


def altered_delta(path: Path) -> Recorded:
    """A file whose entry 6 holds another value than was recorded, with a checksum that fits."""
    states = [{"tick": n, "rare": "new" if n >= 6 else "old"} for n in range(LIVE_ENTRIES)]
    file = live(path, states, strategy="changes:8")
    names = [name.decode() for _, name in ask(path, "SELECT id, name FROM atom ORDER BY id")]
    writes = [AtomWrite("tick", Form.VALUE, encode(6)), AtomWrite("rare", Form.VALUE, encode("forged"))]
    rewrite_tail(path, 6, record=encode_delta(writes, names.index))
    return file
