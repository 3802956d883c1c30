"""Each atom's share of a history: how many entries changed it, and how many record bytes it took.

Kept with the file and brought up to date in the transaction that seals a block, so that statistics need not read
every record.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

import msgspec

from unspool.codec.records import WIDTHS, Record, raw_items
from unspool.errors import CorruptHistory
from unspool.store.blocks import KIND_BITS, TailRow
from unspool.store.layout import FileConnection

KEY: Final = "tally"
"""Where the file's `meta` table holds it."""


class AtomTally(msgspec.Struct, array_like=True):
    """Shares by atom number.

    Attributes:
        stop: one past the last entry that is counted.
        changes: entries that changed the atom.
        spent: record bytes the atom took.
    """

    stop: int
    changes: dict[int, int]
    spent: dict[int, int]

    def add(self, rows: Iterable[TailRow]) -> None:
        """Count entries in order.

        Raises:
            CorruptHistory: a record is malformed.
        """
        changes = self.changes
        for row in rows:
            for item in row.changed:
                number = item >> KIND_BITS
                changes[number] = changes.get(number, 0) + 1
            self.add_record(row.record)
            self.stop = row.seq + 1

    def add_record(self, record: Record) -> None:
        """Count the bytes of a record; a binary or compressed one has no parts to tell apart.

        Raises:
            CorruptHistory: it is malformed.
        """
        width = WIDTHS.get(record.codec)
        if width is None:
            return
        items = raw_items(record.payload, width)
        spent = self.spent
        for number, value in zip(items[::width], items[width - 1 :: width], strict=True):
            spent[number] = spent.get(number, 0) + len(value)


_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final[Callable[[bytes], AtomTally]] = msgspec.msgpack.Decoder(AtomTally).decode


def empty_tally() -> AtomTally:
    """Return the tally of no entries."""
    return AtomTally(0, {}, {})


def load_tally(connection: FileConnection) -> AtomTally | None:
    """Return the file's tally of its sealed entries, or None where it has none that can be trusted."""
    if not connection.layout.tells_end:
        # The format has no checksum that a damaged sum could be told by.
        return None
    try:
        value = connection.layout.fact(connection, KEY)
    except CorruptHistory:
        # It is only a sum of what the blocks say, and can be made again.
        return None
    sealed = connection.execute("SELECT first + count FROM block ORDER BY first DESC LIMIT 1").fetchone()
    if value is None:
        return empty_tally() if sealed is None else None
    try:
        tally = _decode(value)  # type: ignore[arg-type]
    except (msgspec.MsgspecError, TypeError):
        return None
    return tally if tally.stop == (sealed[0] if sealed else 0) else None


def save_tally(connection: FileConnection, tally: AtomTally) -> None:
    """Keep a tally in the file; part of the caller's transaction."""
    connection.layout.keep_fact(connection, KEY, _encode(tally))
