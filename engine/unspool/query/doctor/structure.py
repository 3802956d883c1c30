"""What the tables of a native file say for themselves: names, blocks, tail, and SQLite's own check."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from unspool.errors import CorruptHistory
from unspool.query.doctor.findings import Code, Report
from unspool.store.databases import BoundedConnection
from unspool.store.layout import HISTORY_ID, EndMark, FileConnection
from unspool.store.recordings import End, ending_of

_MOST_ENTRIES: Final = 1 << 20
"""A block of more entries than this is not ours."""
_FARTHEST: Final = 1 << 62
"""A number beyond this is none of an entry."""
_LEAP: Final = 1_000_000
"""Entries that may be missing before a number is taken for damaged."""
_CHECKED: Final = 100
"""Lines of SQLite's own check that are listed."""


@dataclass(frozen=True, slots=True)
class BlockKey:
    """Where a block starts, and how many entries it says it holds."""

    first: int
    count: int

    @property
    def stop(self) -> int:
        """One past its last entry."""
        return self.first + self.count


def check_tables(connection: FileConnection, path: Path) -> None:
    """See that the tables of a native file are there, with their columns.

    Raises:
        CorruptHistory: one is not, so that nothing can be read of it.
    """
    for table in connection.layout.tables:
        try:
            connection.execute(f"SELECT * FROM {table} LIMIT 0").fetchall()  # noqa: S608 - our own names
        except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
            raise CorruptHistory(
                f"{path}: the table {table!r} is missing or damaged ({error}); restore the file from a backup"
            ) from None


def check_database(connection: FileConnection, report: Report, cancelled: Callable[[], bool]) -> bool:
    """Run SQLite's own check of the file; every line of it is a finding.

    Returns:
        Whether it found nothing.
    """
    found: list[str] = []
    if isinstance(connection, BoundedConnection):
        connection.stops = cancelled
    try:
        for (line,) in connection.execute(f"PRAGMA integrity_check({_CHECKED})"):
            if line != "ok":
                found.append(f"SQLite's own check says: {' '.join(str(line).split())}")
    except sqlite3.DatabaseError as error:
        if not cancelled():
            found.append(f"SQLite cannot check the file ({error})")
    finally:
        if isinstance(connection, BoundedConnection):
            connection.stops = None
    for text in found:
        report(Code.SQLITE_DAMAGE, None, None, text)
    return not found


def check_facts(connection: FileConnection, report: Report) -> None:
    """See that the file says which history it is, since ids of entries are made of that, and that all it says is intact."""
    damage: list[str] = []
    try:
        facts = connection.layout.facts(connection, damage)
    except (sqlite3.DatabaseError, UnicodeDecodeError, TypeError) as error:
        report(Code.SQLITE_DAMAGE, None, None, f"what the file says of itself cannot be read ({error})")
        facts = {}
    for key in damage:
        report(Code.DAMAGED_FACT, None, None, f"what the file says of itself under {key!r} is damaged")
    if facts.get(HISTORY_ID) in (None, "", b""):
        report(Code.IDENTITY_LOST, None, None, "the file does not say which history it is")


_CONTRADICTED: Final = {"atom": Code.UNKNOWN_ATOM, "meta": Code.DAMAGED_FACT}


def check_end(connection: FileConnection, path: Path, report: Report) -> EndMark | None:
    """See that the file ends as it says, and tell of one that does not say it is complete.

    Returns:
        What it says.
    """
    try:
        mark = connection.layout.end_mark(connection)
        ending = ending_of(path, connection, mark)
    except (sqlite3.DatabaseError, CorruptHistory, TypeError, ValueError) as error:
        report(Code.WRONG_END, None, None, f"where the file ends is not certain ({error})")
        return None
    for table, told in ending.contradictions:
        report(_CONTRADICTED.get(table, Code.WRONG_END), None, None, told)
    if ending.end is End.NOT_CLOSED:
        report(Code.NOT_CLOSED, None, None, ending.message)
    return mark


def block_keys(connection: FileConnection, report: Report) -> list[BlockKey]:
    """Return all blocks that can be found, in order; what cannot be one is told and left out."""
    found: dict[int, BlockKey] = {}
    for first, count in read_both_ways(connection, "SELECT first, count FROM block ORDER BY first", "block", report):
        if type(count) is not int or not 0 <= first < _FARTHEST or not 0 < count <= _MOST_ENTRIES:
            report(Code.MALFORMED, None, None, f"a block says it starts at entry {first} and holds {count}")
            continue
        found[first] = BlockKey(first, count)
    kept: list[BlockKey] = []
    for key in (found[first] for first in sorted(found)):
        while kept and key.first < kept[-1].stop:
            last = min(kept[-1].stop, key.stop) - 1
            worse = _worse(connection, kept[-1], key)
            told = "" if worse is None else f", and the one from entry {worse.first} on is not what was written"
            report(Code.DUPLICATE, key.first, last, f"two blocks hold these entries{told}")
            if worse is not kept[-1]:
                break
            kept.pop()
        else:
            worse = None
        if worse is not key:
            kept.append(key)
    if kept:
        # What is behind the last block is in the tail, so that only the last one can reach too far.
        kept[-1] = _without_rows(connection, kept[-1], report)
    return kept


def _worse(connection: FileConnection, one: BlockKey, other: BlockKey) -> BlockKey | None:
    """Return which of two blocks is not what was written, if only one of them is."""
    sound = [_is_sound(connection, key) for key in (one, other)]
    return None if sound[0] == sound[1] else other if sound[0] else one


def _is_sound(connection: FileConnection, key: BlockKey) -> bool:
    """Whether a block has records, and its head is what was written."""
    layout = connection.layout
    try:
        block = layout.raw_block(connection, key.first)
        return block is not None and block.records is not None and layout.is_certain(block)
    except (sqlite3.DatabaseError, TypeError):
        return False


def _without_rows(connection: FileConnection, key: BlockKey, report: Report) -> BlockKey:
    """Return a block without entries that the tail holds, where it is not certain how many the block does."""
    query = "SELECT min(seq) FROM tail WHERE seq > ? AND seq < ?"
    try:
        row = connection.execute(query, (key.first, key.stop)).fetchone()[0]
    except sqlite3.DatabaseError:
        return key
    if row is None or _is_sound(connection, key):
        return key
    claim = (
        f"a block says it starts at entry {key.first} and holds {key.count}, and the tail holds those from {row} on"
    )
    report(Code.MALFORMED, row, key.stop - 1, claim)
    return BlockKey(key.first, row - key.first)


def tail_seqs(connection: FileConnection, start: int, most: int, report: Report) -> list[int]:
    """Return the numbers of the first entries in the tail from `start` on."""
    query = f"SELECT seq FROM tail WHERE seq >= {start} ORDER BY seq"  # noqa: S608 - a number
    # A damaged tree may answer with rows that were not asked for.
    return sorted({seq for (seq,) in read_both_ways(connection, query, "tail", report, most) if seq >= start})[:most]


def last_entry(connection: FileConnection, keys: list[BlockKey], report: Report) -> int:
    """Return the number of the last entry that blocks and tail hold; -1 for none.

    One that is numbered far beyond all others is told, and not counted: its number is damaged.
    """
    sealed = max((key.first + key.count - 1 for key in keys), default=-1)
    try:
        rows = connection.execute("SELECT count(*) FROM tail").fetchone()[0]
        limit = sealed + rows + _LEAP
        live = connection.execute("SELECT max(seq) FROM tail WHERE seq <= ?", (limit,)).fetchone()[0]
        beyond = connection.execute("SELECT min(seq) FROM tail WHERE seq > ?", (limit,)).fetchone()[0]
    except sqlite3.DatabaseError:
        return sealed
    if beyond is not None:
        report(Code.MALFORMED, None, None, f"the tail holds an entry numbered {beyond}, far beyond all others")
    return max(sealed, live if type(live) is int else -1)


def check_leftovers(connection: FileConnection, keys: list[BlockKey], report: Report) -> None:
    """Report entries that are in the tail and in a block, and rows that nothing leads to."""
    try:
        for key in keys:
            query = "SELECT seq FROM tail WHERE seq >= ? AND seq < ? ORDER BY seq"
            for (seq,) in connection.execute(query, (key.first, key.first + key.count)):
                report(Code.DUPLICATE, seq, seq, "in a block and in the tail too")
        if connection.execute("SELECT 1 FROM tail WHERE seq < 0 LIMIT 1").fetchone():
            report(Code.UNREACHABLE, None, None, "the tail holds entries with negative numbers")
        orphans = "SELECT count(*) FROM block_data WHERE first NOT IN (SELECT first FROM block)"
        if lost := connection.execute(orphans).fetchone()[0]:
            report(Code.UNREACHABLE, None, None, f"records of {lost} blocks are there, but not the blocks")
        unused = "SELECT count(*) FROM segment WHERE id NOT IN (SELECT segment FROM block)"
        if spare := connection.execute(unused).fetchone()[0]:
            report(Code.UNREACHABLE, None, None, f"{spare} keyframes are used by no block")
    except sqlite3.DatabaseError as error:
        report(Code.SQLITE_DAMAGE, None, None, f"leftovers cannot be looked for ({error})")


def read_both_ways(
    connection: FileConnection, query: str, table: str, report: Report, most: int = -1
) -> list[tuple[Any, ...]]:
    """Run an ordered query; where a damaged page stops it, run it backwards too and return what both give."""
    rows: list[tuple[Any, ...]] = []
    try:
        for row in connection.execute(f"{query} LIMIT {most}"):
            if type(row[0]) is int:
                rows.append(row)
        return rows
    except sqlite3.DatabaseError as error:
        report(Code.SQLITE_DAMAGE, None, None, f"the table {table!r} cannot be read throughout ({error})")
    known = {row[0] for row in rows}
    try:
        for row in connection.execute(f"{query} DESC"):
            if type(row[0]) is int and row[0] not in known:
                rows.append(row)
    except sqlite3.DatabaseError:
        # Both ends are read as far as they go.
        return rows
    return rows
