"""Re-encoding a finished history for smallest size, and reclaiming free pages; both verify before they replace."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from unspool.codec import state_codec
from unspool.codec.records import Record, RecordCodec, encode_delta, encode_full, note_record, replay, write_atoms
from unspool.errors import CorruptHistory, StorageFailed
from unspool.files import whole_file
from unspool.model.entries import NO_META, Entry
from unspool.model.limits import Progress
from unspool.model.values import strict_equal
from unspool.store.blocks import TailRow
from unspool.store.bulk_columns import SPAN_ENTRIES
from unspool.store.file import FileStore
from unspool.store.layout import SELF_DESCRIBING
from unspool.store.protocol import RecordRun
from unspool.store.reader import FileReader
from unspool.store.schema import connect_writer
from unspool.store.sealing import SegmentKeyframe, build_block, write_block

COMPACT_ROWS: Final = 256
"""Entries of a compacted block: smaller files, slower random reads."""
COMPACT_BYTES: Final = 8 << 20
"""Record bytes of a compacted block, so that reading one entry stays bounded."""
COMPACT_LEVEL: Final = 19


@dataclass(frozen=True, slots=True)
class SizeReport:
    """What compacting or vacuuming came to.

    Attributes:
        entries: entries kept: all there were.
        before: bytes of the file before.
        after: bytes of the file after.
    """

    entries: int
    before: int
    after: int


def compact(path: Path, out: Path, progress: Progress | None = None) -> SizeReport:
    """Write a finished history anew, as small as it gets, and verify every entry of it.

    Args:
        path: the history; never changed.
        out: the new file; must not exist.
        progress: called with how far it is.

    Raises:
        UnreadableSource: `path` cannot be read, or `out` exists.
        CorruptHistory: an entry of `path` cannot be read, or the new file differs; `out` is not made then.
        StorageFailed: the disk refused.
    """
    try:
        with whole_file(out) as part, closing(FileReader(path)) as source:
            if source.damage:
                raise CorruptHistory(
                    f"{path}: {source.damage}; `unspool doctor {path} --repair OUT` keeps what is intact"
                )
            _write_compacted(source, part, progress)
            with closing(FileReader(part)) as copy:
                verify_same(source, copy)
            entries = source.count - source.first
        return SizeReport(entries, path.stat().st_size, out.stat().st_size)
    except (sqlite3.Error, OSError) as error:
        raise StorageFailed(f"{out}: could not be written ({error})") from None


def _write_compacted(source: FileReader, out: Path, progress: Progress | None) -> None:
    with closing(connect_writer(out, synchronous="OFF", history_id=source.history_id)) as connection:
        layout = connection.layout
        for key, value in source.call(lambda c: c.layout.facts(c)).items():
            if key not in SELF_DESCRIBING:
                layout.keep_fact(connection, key, value)
        names = [(number, name.encode("utf-8", "surrogatepass")) for number, name in enumerate(source.names())]
        layout.add_names(connection, names)
        segment: SegmentKeyframe | None = None
        before, folded = layout.last_sum(connection), source.first
        if source.first:
            layout.begin_at(connection, source.first)
        for rows, state in _batches(source):
            if any(row.record.codec.is_note for row in rows):
                layout.allow_notes(connection)
            after = layout.sum_over(rows, before)
            block = build_block(layout, rows, state, segment, COMPACT_LEVEL)
            block = replace(block, head=block.head._replace(before=before, after=after))
            write_block(connection, block)
            segment, before = block.segment, after
            if block.head.stop - folded >= SPAN_ENTRIES:
                folded = layout.fold(connection, folded, COMPACT_LEVEL)
            if progress is not None:
                progress(rows[-1].seq + 1, source.count)
        layout.mark_end(connection, count=source.count, last=before, is_closed=True)
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()


def _batches(source: FileReader) -> Iterator[tuple[list[TailRow], bytes]]:
    """Yield the rows of each new block with the full record of its first state.

    Raises:
        CorruptHistory: an entry cannot be read.
    """
    rows: list[TailRow] = []
    size = 0
    head = b""
    before: RecordRun | None = None
    seq = source.first
    while seq < source.count:
        run = source.run(seq)
        for row in source.rows(seq, run):
            if rows and (len(rows) >= COMPACT_ROWS or size > COMPACT_BYTES):
                yield rows, head
                rows, size = [], 0
            if not rows:
                head = encode_full(replay(run, row.seq, source.atom_name), source.number_of)
            elif row.seq == run.first and before is not None:
                row = _recorded_again(source, row, before, run)
            rows.append(row)
            size += len(row.record.payload)
        before, seq = run, run.stop
    if rows:
        yield rows, head


def _recorded_again(source: FileReader, row: TailRow, before: RecordRun, run: RecordRun) -> TailRow:
    """Return the first row of a block, of which only the state is kept, with the record its codec wants."""
    codec = row.record.codec
    if codec in (RecordCodec.NONE, RecordCodec.NOTE_FULL):
        return row
    state = replay(run, row.seq, source.atom_name)
    if codec is RecordCodec.COMPRESS:
        payload = state_codec.compress_full(state)
    elif codec is RecordCodec.NOTE:
        payload = note_record(None, source.number_of).payload
    else:
        earlier = replay(before, row.seq - 1, source.atom_name)
        if codec is RecordCodec.BINARY:
            payload = state_codec.binary_delta(earlier, state)
        else:
            payload = encode_delta(write_atoms(earlier, state), source.number_of)
    return TailRow(
        row.seq, row.time_ns, Record(codec, payload), row.full_bytes, row.action, row.changed, row.extra, row.stored
    )


def verify_same(source: FileReader, copy: FileReader) -> None:
    """Compare two files entry by entry.

    Raises:
        CorruptHistory: they differ; names the first entry that does.
    """
    if (source.first, source.count) != (copy.first, copy.count):
        raise CorruptHistory(
            f"the new file has {copy.count - copy.first} entries instead of {source.count - source.first}; "
            "the old one is kept"
        )
    seq = source.first
    while seq < source.count:
        old, new = source.run(seq), copy.run(seq)
        stop = min(old.stop, new.stop)
        for one, other in zip(source.entries(seq, stop), copy.entries(seq, stop), strict=True):
            if not _is_same(one, other):
                raise CorruptHistory(f"the new file differs at entry {one.seq}; the old one is kept", seq=one.seq)
        for at in range(seq, stop):
            if replay(old, at, source.atom_name) != replay(new, at, copy.atom_name):
                raise CorruptHistory(f"the new file differs at entry {at}; the old one is kept", seq=at)
        seq = stop


def _is_same(one: Entry, other: Entry) -> bool:
    """Compare two entries; Python's own comparison of what apps keep in meta recurses, and NaN differs from itself."""
    facts = (replace(entry, meta=NO_META) for entry in (one, other))
    return next(facts) == next(facts) and strict_equal(dict(one.meta), dict(other.meta))


def vacuum(path: Path) -> SizeReport:
    """Reclaim free pages of a file; it is replaced only by a copy that was verified.

    Raises:
        HistoryLocked: a recorder is writing to it.
        UnreadableSource, CorruptHistory: it cannot be read, or the copy differs.
        StorageFailed: the disk refused.
    """
    # What a link leads to is vacuumed, and the link stays.
    path = path.resolve()
    before = sum(part.stat().st_size for part in (path, path.with_name(path.name + "-wal")) if part.exists())
    # Opening for writing takes the lock, and seals what a crashed recorder left in the tail.
    store = FileStore.create(path)
    try:
        with ExitStack() as steps:
            part = steps.enter_context(whole_file(path, replace=True))
            store.vacuum_into(part)
            _make_wal(part)
            with closing(FileReader(part)) as copy:
                verify_same(store.reader, copy)
            entries = store.reader.count - store.reader.first
            # The copy takes the name while other writers are still locked out.
            store.close(before_unlock=steps.pop_all().close)
        return SizeReport(entries, before, path.stat().st_size)
    except (sqlite3.Error, OSError) as error:
        raise StorageFailed(f"{path}: could not be vacuumed ({error}); no entry is lost") from None
    finally:
        store.close()


def _make_wal(path: Path) -> None:
    """Make a copy a file like any other: SQLite copies it from one that is open, and in another mode."""
    with closing(connect_writer(path, synchronous="OFF")) as connection:
        connection.execute("PRAGMA journal_mode = WAL").fetchall()
        layout = connection.layout
        mark = layout.end_mark(connection)
        if mark is not None:
            layout.mark_end(connection, count=mark.entries, last=mark.last, is_closed=True)
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
