"""The newest entries, one row each: written by the recorder, read by everyone, sealed into blocks later."""

from __future__ import annotations

from typing import Any, Final

from unspool.errors import CorruptHistory
from unspool.model.entries import NO_META, Entry, usual_id
from unspool.store.blocks import TailRow, part_of
from unspool.store.layout import EndMark, FileConnection

_BETWEEN: Final = "WHERE seq >= ? AND seq < ? ORDER BY seq"


def read_rows(connection: FileConnection, start: int, stop: int) -> list[TailRow]:
    """Read tail rows `start` to `stop - 1` and verify each.

    Raises:
        CorruptHistory: a row is damaged; names the entry.
    """
    layout = connection.layout
    return [layout.checked_row(values) for values in connection.execute(layout.select_row + _BETWEEN, (start, stop))]


def readable_rows(connection: FileConnection, start: int, stop: int) -> list[TailRow]:
    """Read tail rows `start` to `stop - 1`, leaving out damaged ones."""
    layout = connection.layout
    rows = []
    for values in connection.execute(layout.select_row + _BETWEEN, (start, stop)):
        try:
            rows.append(layout.checked_row(values))
        except CorruptHistory:
            continue
    return rows


def rows_without_gap(
    connection: FileConnection, start: int, seq: int, stop: int, before: int | None = None
) -> list[TailRow]:
    """Read the rows that lead to an entry, and those behind it up to the first that cannot be read.

    Args:
        connection: the file.
        start: the first row.
        seq: the entry.
        stop: one past the last row wanted.
        before: checksum of the entry that the first row must follow, if it must follow a certain one.

    Raises:
        CorruptHistory: a row up to the entry is damaged, missing or another one; names it.
    """
    layout = connection.layout
    rows = read_rows(connection, start, seq + 1)
    for place, row in enumerate(rows):
        if row.seq != start + place:
            raise missing_entry(start + place)
        if before is not None and not layout.follows(before, row):
            raise CorruptHistory(
                f"entry {row.seq} does not follow the one before it as it was recorded; `unspool doctor` tells more",
                seq=row.seq,
            )
        before = row.crc
    if len(rows) <= max(seq - start, 0):
        # A damaged tree may lead to a row behind the one that was asked for.
        raise missing_entry(min(start + len(rows), seq))
    try:
        behind = read_rows(connection, seq + 1, stop)
    except CorruptHistory:
        # Damage behind the entry is reported when somebody goes there.
        return rows
    for row in behind:
        if row.seq != start + len(rows) or not layout.follows(rows[-1].crc, row):
            break
        rows.append(row)
    return rows


def newest_entry(connection: FileConnection, mark: EndMark | None) -> int:
    """Return the number of the newest entry that a file is certain to have had, or -1.

    Entries that were there once and are nowhere now are missing, not fewer. What only damaged numbers claim is not there.

    Args:
        connection: the file.
        mark: what it says about its end, if it does.
    """
    if mark is not None and mark.is_closed:
        return mark.entries - 1
    if not connection.layout.tells_end:
        return _last_in_row(connection)
    query = connection.layout.select_row + "ORDER BY seq DESC LIMIT 1"
    row = connection.execute(query).fetchone()
    last = -1 if row is None else int(row[0])
    if mark is None:
        return max(last, _sealed(connection) - 1)
    if last > mark.entries:
        before = connection.execute("SELECT max(seq) FROM tail WHERE seq < ?", (last,)).fetchone()[0]
        if before != last - 1 and not _is_intact(connection, row):
            last = -1 if before is None else before
    return max(last, mark.entries - 1)


def rows_behind_gap(connection: FileConnection) -> int:
    """Return how many rows of the tail stand behind a gap in a file whose format numbers them by their order alone."""
    if connection.layout.tells_end:
        return 0
    stop = _last_in_row(connection) + 1
    return int(connection.execute("SELECT count(*) FROM tail WHERE seq >= ?", (stop,)).fetchone()[0])


def _sealed(connection: FileConnection) -> int:
    row = connection.execute("SELECT first + count FROM block ORDER BY first DESC LIMIT 1").fetchone()
    return 0 if row is None else int(row[0])


def _last_in_row(connection: FileConnection) -> int:
    """Return the number of the last row that follows the blocks and the rows before it without a gap."""
    stop = _sealed(connection)
    query = "SELECT count(*), min(seq), max(seq) FROM tail WHERE seq >= ?"
    count, first, last = connection.execute(query, (stop,)).fetchone()
    if count and (first, last) == (stop, stop + count - 1):
        return int(last)
    for (seq,) in connection.execute("SELECT seq FROM tail WHERE seq >= ? ORDER BY seq", (stop,)):
        if seq != stop:
            break
        stop += 1
    return stop - 1


def _is_intact(connection: FileConnection, values: tuple[Any, ...]) -> bool:
    try:
        connection.layout.checked_row(values)
    except CorruptHistory:
        return False
    return True


def missing_entry(seq: int) -> CorruptHistory:
    """Return the error that names an entry which is nowhere in the file."""
    return CorruptHistory(
        f"entry {seq} is missing: neither in a block nor in the tail; `unspool doctor` tells what still reads",
        seq=seq,
    )


def row_entry(row: TailRow, history_id: str) -> Entry:
    """Return the entry that a row holds."""
    kinds = [item & 3 for item in row.changed]
    before = row.seq - 1 if row.seq else None
    return Entry(
        seq=row.seq,
        id=row.extra.get("id") or usual_id(history_id, row.seq),
        kind=row.record.codec.kind,
        base_seq=None if row.record.codec.is_full else before,
        timestamp_ns=row.time_ns,
        action=row.action,
        added=kinds.count(0),
        modified=kinds.count(1),
        deleted=kinds.count(2),
        stored_bytes=row.stored,
        full_bytes=row.full_bytes,
        meta=row.extra.get("meta", NO_META),
        parent_seq=row.extra.get("parent", before),
        part=part_of(row.extra),
    )


_LEAP: Final = 1_000_000
"""New entries at once from which their number is checked: a damaged page may claim any."""


def check_leap(connection: FileConnection, known: int, last: int) -> None:
    """Refuse a file that claims far more entries than it can hold.

    Args:
        connection: the file.
        known: entries known before.
        last: number of the last entry it claims.

    Raises:
        CorruptHistory: it claims too many.
    """
    if last - known < _LEAP:
        return
    # What a block claims to hold may be damaged as well as its number.
    held = connection.execute(
        "SELECT ifnull((SELECT sum(min(count, ?)) FROM block), 0) + (SELECT count(*) FROM tail)", (_LEAP,)
    )
    count = held.fetchone()[0]
    if last > 2 * count + _LEAP:
        raise CorruptHistory(f"it claims {last + 1} entries but holds {count}; run `unspool doctor`")
