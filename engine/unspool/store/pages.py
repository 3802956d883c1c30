"""Reading the pages of an SQLite database without SQLite: rows of every leaf that can be found, whatever leads to it.

Neither the schema nor inner pages nor the list of free pages is trusted: each page that looks like a leaf is taken for one,
from the file itself and from every frame of its log. What a row is worth is for others to say.
"""

from __future__ import annotations

import os
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from struct import Struct
from typing import Final

from unspool import system
from unspool.store.databases import page_size_in
from unspool.store.wal import WalFrame, WalScan, log_of, scan_wal

Field = None | int | float | str | bytes
"""A value of a row."""
_TABLE_LEAF: Final = 0x0D
_INDEX_LEAF: Final = 0x0A
_INDEX_INNER: Final = 0x02
_PAGE_SIZES: Final = tuple(1 << bits for bits in range(9, 17))
_USUAL_PAGE_SIZE: Final = 1024
_FIRST_PAGE_HEADER: Final = 100
_TRIED: Final = 1 << 18
"""Bytes of the file that a size of its pages is tried on."""
_MOST_RESERVED: Final = 64
"""Bytes at the end of each page that are left to extensions; ours has none."""
_LARGEST_ROW: Final = 1 << 30
_INTEGER_BYTES: Final = (0, 1, 2, 3, 4, 6, 8)
_DOUBLE: Final = Struct(">d")
_MAIN: Final = -1
"""Where the pages of the file itself stand among those of its log: before all."""


@dataclass(frozen=True, slots=True)
class FoundRow:
    """One row of a leaf.

    Attributes:
        rowid: its number; None in an index, and in a table that is kept as one.
        fields: its values.
        is_certain: the page it stands on is what was written, as far as anybody can say.
        is_in_log: it stands on a page of the log.
    """

    rowid: int | None
    fields: tuple[Field, ...]
    is_certain: bool
    is_in_log: bool = False


class DatabasePages:
    """All page images of a database and its log."""

    def __init__(self, path: Path, log: Path | None = None) -> None:
        """Open both.

        Args:
            path: the database itself, not a link to it; one that is gone has no pages where a log is named.
            log: the log; the one beside the database where None.

        Raises:
            OSError: it cannot be read.
            UnreadableSource: its log cannot be read.
        """
        is_gone = log is not None and not path.exists()
        self._main = os.open(os.devnull if is_gone else path, system.TO_READ)
        self._log = -1
        log = log_of(path) if log is None else log
        self.page_size = self._usable = _USUAL_PAGE_SIZE
        self.size = os.fstat(self._main).st_size
        head = system.read_at(self._main, _FIRST_PAGE_HEADER, 0)
        claimed = page_size_in(head)
        self.log: WalScan | None = scan_wal(log, claimed)
        if self.log is not None:
            with suppress(OSError):
                self._log = os.open(log, system.TO_READ)
        self._frames: Sequence[WalFrame] = () if self.log is None or self._log < 0 else self.log.frames
        self._versions: dict[int, list[int]] = {}
        for place, frame in enumerate(self._frames):
            if frame.holds:
                self._versions.setdefault(frame.page, []).append(place)
        self._commits = [place for place, frame in enumerate(self._frames) if frame.commit and frame.holds]
        self._use(self._page_size(claimed))
        reserved = int.from_bytes(head[20:21])
        if claimed == self.page_size and reserved <= _MOST_RESERVED:
            self._usable = self.page_size - reserved
        self.claimed_count = int.from_bytes(head[28:32]) if claimed == self.page_size else 0
        """Pages that the file says it has; 0 where it does not say."""

    def _use(self, page_size: int) -> None:
        """Take pages to be of some size."""
        self.page_size = self._usable = page_size
        self.count = -(-self.size // page_size)
        self._budget = 4 * (self.size + len(self._frames) * page_size) + (64 << 20)

    def _page_size(self, claimed: int) -> int:
        if self.log is not None and self.log.frames:
            return self.log.page_size
        # Among sizes that fit as well, the one that the file names, and then the usual one.
        sizes = sorted(_PAGE_SIZES, key=lambda size: (size != claimed, size != _USUAL_PAGE_SIZE))
        return max(sizes, key=self._rows_by)

    def _rows_by(self, page_size: int) -> int:
        """Return how many rows the beginning of the file holds if pages are of some size."""
        self._use(page_size)
        numbers = range(1, min(self.count, _TRIED // page_size) + 1)
        seen: set[int] = set()
        return sum(
            sum(1 for _ in self._rows_of(number, self._main_page(number), _MAIN, seen, is_certain=True))
            for number in numbers
        )

    def rows(self) -> Iterator[FoundRow]:
        """Yield the rows of all leaves: those of damaged frames first, then the file's, then those of the log in order.

        Rows of pages that are the same twice come once, and once more where only the first page is damaged.
        """
        seen: set[int] = set()
        for place, frame in enumerate(self._frames):
            if not frame.holds:
                yield from self._rows_of(frame.page, self._log_page(place), place, seen, is_certain=False)
        seen = set()
        for number in range(1, self.count + 1):
            yield from self._rows_of(number, self._main_page(number), _MAIN, seen, is_certain=True)
        for place, frame in enumerate(self._frames):
            if frame.holds:
                yield from self._rows_of(frame.page, self._log_page(place), place, seen, is_certain=True)

    def _main_page(self, number: int) -> bytes:
        """Return a page of the file: less of the last one where the file ends in it."""
        return system.read_at(self._main, self.page_size, (number - 1) * self.page_size)

    def _log_page(self, place: int) -> bytes:
        data = system.read_at(self._log, self.page_size, self._frames[place].offset)
        return data if len(data) == self.page_size else b""

    def _page_as_of(self, number: int, place: int) -> bytes:
        """Return a page as it was when the transaction ended that a frame belongs to."""
        versions = self._versions.get(number)
        if versions and place != _MAIN:
            at = bisect_right(self._commits, place - 1)
            end = self._commits[at] if at < len(self._commits) else len(self._frames)
            found = bisect_right(versions, end)
            if found:
                return self._log_page(versions[found - 1])
        data = self._main_page(number)
        if not data and versions:
            return self._log_page(versions[0])
        return data

    def _rows_of(
        self, number: int, page: bytes, place: int, seen: set[int], *, is_certain: bool
    ) -> Iterator[FoundRow]:
        start = _FIRST_PAGE_HEADER if number == 1 else 0
        if len(page) <= start + 8 or page[start] not in (_TABLE_LEAF, _INDEX_LEAF, _INDEX_INNER):
            return
        kind = page[start]
        pointers = start + (12 if kind == _INDEX_INNER else 8)
        cells = min(int.from_bytes(page[start + 3 : start + 5]), (self._usable - pointers) // 2)
        for cell in range(cells):
            # SQLite leaves out the bits that no place on a page has, so a row is reached though one of them is damaged.
            at = int.from_bytes(page[pointers + 2 * cell : pointers + 2 * cell + 2]) & (self.page_size - 1)
            if not pointers + 2 * cells <= at < self._usable:
                continue
            with suppress(IndexError, ValueError, OverflowError):
                # What runs over its bounds is no row; the others of the page may be.
                row = self._cell(page, at, kind, place, seen, is_certain=is_certain)
                if row is not None:
                    yield row

    def _cell(
        self, page: bytes, at: int, kind: int, place: int, seen: set[int], *, is_certain: bool
    ) -> FoundRow | None:
        start = at
        at += 4 if kind == _INDEX_INNER else 0
        size, at = _varint(page, at)
        rowid: int | None = None
        if kind == _TABLE_LEAF:
            rowid, at = _varint(page, at)
            rowid -= 1 << 64 if rowid >= 1 << 63 else 0
        local = self._local_size(size, is_table=kind == _TABLE_LEAF)
        stop = at + local + (4 if local < size else 0)
        if not 0 < size <= _LARGEST_ROW or stop > min(self._usable, len(page)):
            return None
        mark = hash((rowid, page[start:stop]))
        if mark in seen:
            return None
        seen.add(mark)
        payload = page[at : at + local]
        if local < size:
            payload = self._with_overflow(payload, int.from_bytes(page[at + local : stop]), size, place)
        return FoundRow(rowid, _fields(payload), is_certain, place != _MAIN)

    def _local_size(self, size: int, *, is_table: bool) -> int:
        """Return how many bytes of a row stand on its leaf."""
        usable = self._usable
        most = usable - 35 if is_table else (usable - 12) * 64 // 255 - 23
        if size <= most:
            return size
        least = (usable - 12) * 32 // 255 - 23
        fitting = least + (size - least) % (usable - 4)
        return fitting if fitting <= most else least

    def _with_overflow(self, payload: bytes, number: int, size: int, place: int) -> bytes:
        """Return a row with what stands on its further pages.

        Raises:
            ValueError: one of them is missing, or leads nowhere.
        """
        parts, length = [payload], len(payload)
        while length < size:
            page = self._page_as_of(number, place) if number else b""
            self._budget -= len(page)
            if not page or self._budget < 0:
                raise ValueError("a page of the row is missing")
            wanted = min(self._usable - 4, size - length)
            number, part = int.from_bytes(page[:4]), page[4 : 4 + wanted]
            if len(part) < wanted:
                raise ValueError("a page of the row ends early")
            parts.append(part)
            length += len(part)
        return b"".join(parts)

    def close(self) -> None:
        """Close both files."""
        for descriptor in (self._main, self._log):
            if descriptor >= 0:
                os.close(descriptor)


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """Return the number that begins at a place, and where it ends; raises IndexError beyond the end."""
    value = 0
    for place in range(at, at + 8):
        byte = data[place]
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, place + 1
    return value << 8 | data[at + 8], at + 9


def _fields(payload: bytes) -> tuple[Field, ...]:
    """Return the values of a row.

    Raises:
        IndexError, ValueError: it is no row.
    """
    end, at = _varint(payload, 0)
    if end > len(payload):
        raise ValueError("its header is longer than the row")
    found: list[Field] = []
    place = end
    while at < end:
        kind, at = _varint(payload, at)
        size = _INTEGER_BYTES[kind] if kind <= 6 else 8 if kind == 7 else (kind - 12) // 2 if kind >= 12 else 0
        data = payload[place : place + size]
        if len(data) != size or kind in (10, 11):
            raise ValueError("a value runs over the end of the row")
        found.append(_field(kind, data))
        place += size
    if place != len(payload):
        raise ValueError("the row is longer than its values")
    return tuple(found)


def _field(kind: int, data: bytes) -> Field:
    if kind == 0:
        return None
    if kind <= 6:
        return int.from_bytes(data, signed=True)
    if kind == 7:
        value: float = _DOUBLE.unpack(data)[0]
        return value
    if kind <= 9:
        return kind - 8
    return data if kind % 2 == 0 else data.decode("utf-8")


__all__ = ["DatabasePages", "Field", "FoundRow"]
