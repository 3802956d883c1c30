"""States of single entries for the doctor: read piece by piece, so that damage elsewhere does not matter."""

from __future__ import annotations

import sqlite3
from bisect import bisect_right
from collections import OrderedDict
from typing import Final

from unspool.codec.records import FULL_CODECS, PackedRecords, Record, RecordCodec, encode_full
from unspool.codec.replay import replay
from unspool.errors import UnspoolError
from unspool.query.doctor_blocks import BlockReader, ReadBlock
from unspool.query.doctor_findings import Code
from unspool.query.doctor_steps import EncodedState, Names
from unspool.query.doctor_structure import BlockKey, block_keys
from unspool.store.layout import FileConnection
from unspool.store.protocol import RecordRun
from unspool.store.tail import read_rows

_BLOCKS_KEPT: Final = 4


class StateLookup:
    """Rebuilds states of a native file over the doctor's own connection."""

    def __init__(self, connection: FileConnection, names: Names) -> None:
        """Prepare; nothing is read yet."""
        self._connection = connection
        self._names = names
        self._reader = BlockReader(connection, silent)
        self._keys: list[BlockKey] = []
        self._blocks: OrderedDict[int, ReadBlock] = OrderedDict()

    def state(self, seq: int) -> EncodedState | None:
        """Return the state at an entry, or None where it does not read."""
        try:
            return self._sealed(seq) if self._holding(seq) else self._live(seq)
        except (UnspoolError, sqlite3.DatabaseError, TypeError, ValueError):
            return None

    def _holding(self, seq: int) -> BlockKey | None:
        if not self._keys or seq >= self._keys[-1].first + self._keys[-1].count:
            self._keys = block_keys(self._connection, silent)
        place = bisect_right(self._keys, seq, key=lambda key: key.first) - 1
        if place < 0:
            return None
        key = self._keys[place]
        return key if seq < key.first + key.count else None

    def _sealed(self, seq: int) -> EncodedState | None:
        key = self._holding(seq)
        if key is None:
            return None
        block = self._blocks.get(key.first)
        if block is None:
            block = self._blocks[key.first] = self._reader.read(key, key.first + key.count)
            if len(self._blocks) > _BLOCKS_KEPT:
                self._blocks.popitem(last=False)
        if not block.records:
            return None
        return replay(RecordRun(key.first, PackedRecords.of(block.records)), seq, self._names.__getitem__)

    def _live(self, seq: int) -> EncodedState | None:
        full = self._connection.execute(
            f"SELECT max(seq) FROM tail WHERE seq <= ? AND codec IN {FULL_CODECS}",  # noqa: S608 - ours
            (seq,),
        ).fetchone()[0]
        first: int | None = full
        head: list[Record] = []
        if first is None:
            first = self._connection.execute("SELECT min(seq) FROM tail WHERE seq <= ?", (seq,)).fetchone()[0]
            # The chain began in the last block: its state stands in for the full snapshot.
            base = self._sealed(first - 1) if first else None
            if first is None or base is None:
                return None
            head = [Record(RecordCodec.NONE, encode_full(base, self._number_of(base).__getitem__))]
        rows = read_rows(self._connection, first, seq + 1)
        if [row.seq for row in rows] != list(range(first, seq + 1)):
            return None
        records = PackedRecords.of([*head, *(row.record for row in rows)])
        return replay(RecordRun(first - len(head), records), seq, self._names.__getitem__)

    def _number_of(self, state: EncodedState) -> dict[str, int]:
        return {name: number for number, name in self._names.items() if name in state}


def silent(code: Code, first: int | None, last: int | None, text: str) -> None:
    """Report nothing: what is found here was told when the file was walked over."""
    del code, first, last, text
