"""Sealing: turning tail rows into a compressed block, in one transaction that is safe at every step."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Final

import zstandard

from unspool.codec.records import PackedRecords, RecordCodec, encode_full
from unspool.codec.replay import Run, replay
from unspool.store import blocks, frames
from unspool.store.blocks import Row
from unspool.store.layout import FileConnection, Head, Layout
from unspool.store.protocol import RecordRun
from unspool.store.tally import Tally, save_tally

SEGMENT_BLOCKS: Final = 64
"""Blocks compressed against one keyframe before a new one is taken."""
_WORN_SHARE: Final = 0.35
"""Share of a stand-alone keyframe that a head against the segment's keyframe may take before a new one is due."""


@dataclass(slots=True)
class Segment:
    """The keyframe that blocks are being compressed against.

    Attributes:
        number: its id in the file.
        size: bytes it takes compressed on its own.
        prefix: its bytes, ready for zstd.
        blocks: blocks that use it so far.
    """

    number: int
    size: int
    prefix: zstandard.ZstdCompressionDict
    blocks: int


@dataclass(frozen=True, slots=True)
class SealedBlock:
    """A block ready to be written."""

    head: Head
    columns: bytes
    records: bytes
    segment: Segment
    keyframe: bytes | None


def load_segment(connection: FileConnection) -> Segment | None:
    """Return the newest segment of a file, or None for a file without one."""
    row = connection.execute("SELECT id FROM segment ORDER BY id DESC LIMIT 1").fetchone()
    if row is None:
        return None
    data = connection.layout.keyframe(connection, row[0], 0)
    used = connection.execute("SELECT count(*) FROM block WHERE segment = ?", (row[0],)).fetchone()[0]
    return Segment(row[0], len(data), frames.raw_prefix(frames.decompress(data, 0)), used)


def build_block(
    layout: Layout, rows: Sequence[Row], state: bytes, segment: Segment | None, level: int = frames.LEVEL
) -> SealedBlock:
    """Compress rows into a block.

    Args:
        layout: how blocks are laid out.
        rows: entries in a row.
        state: plain full record of the first one's state.
        segment: the current segment; a new one is begun when it is None, used up or worn.
        level: zstd level.
    """
    keyframe = None
    if segment is None or segment.blocks >= SEGMENT_BLOCKS or _is_worn(state, segment):
        keyframe = layout.pack_keyframe(state, level)
        number = 0 if segment is None else segment.number + 1
        segment = Segment(number, len(keyframe), frames.raw_prefix(state), 0)
    times = [row.time_ns for row in rows]
    atoms = blocks.atoms_bitmap(chain.from_iterable(row.changed for row in rows))
    head = Head(
        rows[0].seq, len(rows), segment.number, min(times), max(times), atoms, rows[0].before, rows[-1].crc, 0, 0
    )
    columns = layout.pack_columns(rows, level)
    return SealedBlock(head, columns, layout.pack_records(rows, state, segment.prefix, level), segment, keyframe)


def _is_worn(state: bytes, segment: Segment) -> bool:
    against_keyframe = len(frames.compress(state, segment.prefix))
    # Tiny states never justify a keyframe of their own by this rule alone.
    return against_keyframe > 256 and against_keyframe > _WORN_SHARE * segment.size


def write_block(connection: FileConnection, block: SealedBlock, tally: Tally | None = None) -> None:
    """Move rows from the tail into their block. One transaction: a crash leaves either the rows or the block.

    Args:
        connection: the file.
        block: what `build_block` made.
        tally: shares of all sealed entries, this block's included; kept with the file.
    """
    layout, head = connection.layout, block.head
    connection.execute("BEGIN IMMEDIATE")
    try:
        if block.keyframe is not None:
            layout.add_keyframe(connection, block.segment.number, block.keyframe)
        layout.add_block(connection, head, block.columns, block.records)
        connection.execute("DELETE FROM tail WHERE seq >= ? AND seq < ?", (head.first, head.stop))
        if tally is not None:
            save_tally(connection, tally)
        layout.mark_end(connection, count=head.stop, last=head.after, is_closed=False)
        connection.execute("COMMIT")
    except sqlite3.Error:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    block.segment.blocks += 1


def head_record(
    rows: Sequence[Row],
    name: Callable[[int], str],
    intern: Callable[[str], int],
    before: Callable[[int], Run],
) -> bytes:
    """Return the plain full record of the first row's state.

    Args:
        rows: the rows to be sealed.
        name: gives an atom's name.
        intern: gives an atom's number.
        before: gives a run that holds an earlier entry; asked only when the first row is a delta.

    Raises:
        CorruptHistory: an earlier entry cannot be read.
    """
    first = rows[0]
    if first.record.codec in (RecordCodec.NONE, RecordCodec.NOTE_FULL):
        return first.record.payload
    if first.record.codec is RecordCodec.COMPRESS:
        return encode_full(replay(RecordRun(first.seq, PackedRecords.of([first.record])), first.seq, name), intern)
    run = before(first.seq)
    return encode_full(replay(run, first.seq, name), intern)


def unsealed_runs(connection: FileConnection, run_rows: int) -> list[tuple[int, int]]:
    """Return how the rows now in the tail fall into blocks: (start, stop) pairs cut at full records."""
    codecs = connection.execute("SELECT seq, codec FROM tail ORDER BY seq").fetchall()
    runs: list[tuple[int, int]] = []
    if not codecs:
        return runs
    start = codecs[0][0]
    for seq, codec in codecs:
        if seq - start >= run_rows and RecordCodec(codec).is_full:
            runs.append((start, seq))
            start = seq
    runs.append((start, codecs[-1][0] + 1))
    return runs
