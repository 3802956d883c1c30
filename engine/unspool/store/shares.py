"""Each atom's share of a file, and a look at every checksum on the way."""

from __future__ import annotations

from typing import Final

from unspool.errors import CorruptHistory, EntryNotKept
from unspool.store.blocks import Row
from unspool.store.frames import damaged
from unspool.store.layout import FileConnection
from unspool.store.reader import FileReader
from unspool.store.tail import readable_rows
from unspool.store.tally import Tally, empty_tally, load_tally

Block = tuple[int, int]
"""The first entry of a block, and their number."""
_AT_ONCE: Final = 64
"""Blocks verified in one view of the file; another thread waits no longer than for these."""


def shares_of(reader: FileReader, problems: list[str]) -> dict[str, tuple[int, int]]:
    """Return each atom's changes and record bytes by name.

    Args:
        reader: the file.
        problems: where damage is told, a line each; all checksums are verified.
    """
    # One view of all three: what a recorder seals later is in the tail here, and in no block.
    tally, blocks, rows, first = reader.call(_parts, reader)
    sealed = _stop(blocks)
    if tally is None:
        tally = _count_blocks(reader, blocks, first, problems)
    else:
        _verify_blocks(reader, blocks, first, problems)
    if len(rows) < reader.count - sealed:
        problems.append(
            f"{reader.count - sealed - len(rows)} of the newest entries are damaged; run `unspool doctor`"
        )
    tally.add(rows)
    names = reader.names()
    numbers = {**tally.spent, **tally.changes}
    known = [number for number in numbers if number < len(names)]
    if len(known) < len(numbers):
        problems.append(f"the names of {len(numbers) - len(known)} atoms are missing; run `unspool doctor`")
    return {names[number]: (tally.changes.get(number, 0), tally.spent.get(number, 0)) for number in known}


def _parts(connection: FileConnection, reader: FileReader) -> tuple[Tally | None, list[Block], list[Row], int]:
    """Return the tally, the blocks, the rows of the tail as far as the reader counts, and the first entry that is kept."""
    count = reader.count
    mark = connection.layout.end_mark(connection)
    first_kept = reader.first if mark is None else mark.first
    blocks = connection.execute("SELECT first, count FROM block WHERE first < ? ORDER BY first", (count,)).fetchall()
    for first, entries in blocks:
        if type(entries) is not int:
            raise damaged(first, "its head makes no sense")
    return load_tally(connection), blocks, readable_rows(connection, _stop(blocks), count), first_kept


def _stop(blocks: list[Block]) -> int:
    return sum(blocks[-1]) if blocks else 0


def _verify_blocks(reader: FileReader, blocks: list[Block], expected: int, problems: list[str]) -> None:
    for start in range(0, len(blocks), _AT_ONCE):
        # One view of the file serves many blocks: each new one has to look whether a writer has come.
        expected = reader.call(_verify_some, reader, blocks[start : start + _AT_ONCE], expected, problems)


def _verify_some(_: FileConnection, reader: FileReader, some: list[Block], expected: int, problems: list[str]) -> int:
    for first, count in some:
        if first != expected:
            problems.append(f"entries {expected} to {first - 1} are missing; run `unspool doctor`")
        expected = first + count
        try:
            reader.verify(first, count)
        except EntryNotKept:
            # A recorder dropped it since the blocks were listed.
            continue
        except CorruptHistory as error:
            problems.append(str(error))
    return expected


def _count_blocks(reader: FileReader, blocks: list[Block], stop: int, problems: list[str]) -> Tally:
    """Read every record: for a file that was never tallied, or whose tally is out of step."""
    tally = empty_tally()
    for first, count in blocks:
        if first != stop:
            problems.append(f"entries {stop} to {first - 1} are missing; run `unspool doctor`")
        stop = first + count
        try:
            run = reader.run(first)
            rows = list(reader.rows(first, run))
            if len(rows) != len(run.records):
                raise damaged(first, f"it has {len(run.records)} records for {len(rows)} entries")
            for row, record in zip(rows, run.records, strict=True):
                tally.add_record(record)
                for item in row.changed:
                    tally.changes[item >> 2] = tally.changes.get(item >> 2, 0) + 1
        except EntryNotKept:
            # A recorder dropped it since the blocks were listed.
            continue
        except CorruptHistory as error:
            problems.append(str(error))
    return tally
