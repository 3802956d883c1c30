"""What every store offers: the few calls that history and recorder stand on."""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from operator import eq
from typing import Final, Protocol, overload, runtime_checkable

import msgspec
from msgspec import Struct

from unspool.codec.records import PackedRecords, Record, RecordCodec
from unspool.model.cache import BoundedCache
from unspool.model.entries import DELTA, KINDS, ChangeKind, Entry, EntryKind
from unspool.model.values import Value
from unspool.store.blocks import compress, decompress, join_planes, split_planes


class Draft(msgspec.Struct, frozen=True):
    """An entry about to be stored; the store gives it its number.

    Attributes:
        kind: full, delta or note.
        record: its content; atoms are numbered by the same store's `intern`.
        changed: number and kind of each changed atom.
        timestamp_ns: nanoseconds since the Unix epoch.
        action: why it happened.
        full_bytes: bytes of the whole state in wire form.
        meta: free facts, or None.
        entry_id: the source's own id, or "" for one made by the store.
        parent_seq: the entry it follows in time where that is not the one before it.
        part: the atoms that `parent_seq` concerns; None for all of them.
    """

    kind: EntryKind
    record: Record
    changed: Sequence[tuple[int, ChangeKind]]
    timestamp_ns: int
    action: str
    full_bytes: int
    meta: Mapping[str, Value] | None = None
    entry_id: str = ""
    parent_seq: int | None = None
    part: Sequence[str] | None = None


class RecordRun(Struct, frozen=True):
    """Records in a row, the first of which is full.

    Attributes:
        first: number of the first entry.
        records: their records, in order.
    """

    first: int
    records: PackedRecords

    @property
    def stop(self) -> int:
        """One past the last entry's number."""
        return self.first + len(self.records)


KINDS_BY_CODEC: Final = bytes(
    KINDS[RecordCodec(code).kind] if code in set(RecordCodec) else DELTA for code in range(256)
)
"""The kind of an entry by how its record is written; unknown codecs, and holes, count as deltas."""
HOLE: Final = 255
"""Codec of an entry that cannot be read."""
HOLE_META: Final = "unspool.hole"
"""Key in the meta of an entry that stands for a lost one."""
DOUBT_META: Final = "unspool.doubtful"
"""Key in the meta of an entry whose state is not certain, in a repaired file."""


_PAGE: Final = 1024
"""Rows that are packed together: unpacking them takes some ten microseconds."""
_PAGES_HELD: Final = 8
"""Pages of a column that stay unpacked: a screen looks at a few places, and at their neighbours next."""
_FAST: Final = 1
"""zstd level of pages: columns are filled while somebody waits for the screen."""


class Column(Sequence[int]):
    """A growing row of whole numbers, of which all but the newest are packed by the page once it grows row by row.

    What is read at once, as a file that is opened, stays an array until then: nobody waits for the packing, and a history
    that is followed for long does not grow by what its rows take unpacked.

    It may begin with the row `first`: those before it read as 0 and take no room. Iterating, counting and `tobytes` go over
    the rows that are there. One thread may extend it while others read.
    """

    __slots__ = ("_held", "_last", "_parts", "first", "typecode")

    def __init__(self, typecode: str, first: int = 0) -> None:
        """Begin without rows.

        Args:
            typecode: how wide the numbers are, as `array` says it.
            first: the number of the first row.
        """
        self.typecode = typecode
        self.first = first
        # Replaced as a whole where rows are packed, so that who reads meanwhile sees each row once.
        self._parts: tuple[list[int | bytes], int, array[int]] = ([], 0, array(typecode))
        self._last: tuple[int, array[int]] = (-1, array(typecode))
        self._held: BoundedCache[int, array[int]] = BoundedCache(_PAGES_HELD)

    def __len__(self) -> int:
        _, packed, rest = self._parts
        return self.first + packed + len(rest)

    @overload
    def __getitem__(self, index: int, /) -> int: ...
    @overload
    def __getitem__(self, index: slice, /) -> array[int]: ...
    def __getitem__(self, index: int | slice, /) -> int | array[int]:
        if isinstance(index, slice):
            return self._slice(*index.indices(len(self)))
        pages, packed, rest = self._parts
        at = index + self.first + packed + len(rest) if index < 0 else index
        at -= self.first
        if at >= packed:
            return rest[at - packed]
        if at < 0:
            if at + self.first < 0:
                raise IndexError("there is no such row")
            return 0
        last = self._last
        if last[0] != at // _PAGE:
            page = pages[at // _PAGE]
            if isinstance(page, int):
                return page
            last = self._look(at // _PAGE, page)
        return last[1][at % _PAGE]

    def _slice(self, start: int, stop: int, step: int) -> array[int]:
        if step != 1:
            return array(self.typecode, [self[at] for at in range(start, stop, step)])
        found = array(self.typecode, bytes(array(self.typecode).itemsize * max(min(stop, self.first) - start, 0)))
        start, stop = max(start - self.first, 0), max(stop - self.first, 0)
        pages, packed, rest = self._parts
        while start < min(stop, packed):
            number, low = divmod(start, _PAGE)
            high = min(stop - start + low, _PAGE)
            page = pages[number]
            if isinstance(page, int):
                found += array(self.typecode, (page,)) * (high - low)
            elif high - low == _PAGE:
                # Whoever wants whole pages goes over all of them, and comes back to none.
                found += self._unpack(page)
            else:
                found += self._look(number, page)[1][low:high]
            start += high - low
        if start < stop:
            found += rest[start - packed : stop - packed]
        return found

    def _look(self, number: int, packed: bytes) -> tuple[int, array[int]]:
        """Return a page with its number, and keep it unpacked for a while."""
        page = self._held.get(number)
        if page is None:
            page = self._unpack(packed)
            self._held.put(number, page)
        self._last = last = (number, page)
        return last

    def _unpack(self, page: int | bytes) -> array[int]:
        if isinstance(page, int):
            return array(self.typecode, (page,)) * _PAGE
        return join_planes(self.typecode, decompress(page, self.first))

    def _pack(self, rows: array[int]) -> int | bytes:
        """Return a page as the number that all of its rows are, or as compressed bytes."""
        data = rows.tobytes()
        if data == data[: rows.itemsize] * len(rows):
            return rows[0]
        # A copy: what the compressor returns keeps all the room that it might have needed.
        return bytes(memoryview(compress(split_planes(rows), level=_FAST, checksum=False)))

    def _settle(self) -> None:
        """Pack what is more than a page and the rows behind it."""
        pages, packed, rest = self._parts
        stop = (len(rest) // _PAGE - 1) * _PAGE
        if stop > 0:
            pages.extend([self._pack(rest[at : at + _PAGE]) for at in range(0, stop, _PAGE)])
            self._parts = (pages, packed + stop, rest[stop:])

    def append(self, number: int) -> None:
        """Add a row."""
        rest = self._parts[2]
        rest.append(number)
        if len(rest) >= 2 * _PAGE:
            self._settle()

    def extend(self, numbers: Iterable[int]) -> None:
        """Add rows that are read at once."""
        self._parts[2].extend(numbers)

    def frombytes(self, data: bytes) -> None:
        """Add rows that are read at once, given as the machine has them in memory."""
        self._parts[2].frombytes(data)

    def _arrays(self) -> Iterator[array[int]]:
        pages, packed, rest = self._parts
        for page in pages[: packed // _PAGE]:
            yield self._unpack(page)
        yield rest

    def __iter__(self) -> Iterator[int]:
        return chain.from_iterable(self._arrays())

    def tobytes(self) -> bytes:
        """Return the rows as the machine has them in memory."""
        return b"".join([part.tobytes() for part in self._arrays()])

    def count(self, value: int) -> int:
        """Return how many rows are a number."""
        return sum(part.count(value) for part in self._arrays())

    def tolist(self) -> list[int]:
        """Return the rows as a list."""
        return list(self)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Column):
            return NotImplemented
        return (self.first, len(self)) == (other.first, len(other)) and all(map(eq, self, other))

    __hash__ = None  # type: ignore[assignment]


class Columns:
    """What a screen needs of every entry, as flat columns: 30 bytes an entry, or 4 to 8 of those that arrive, and no object each.

    An entry that cannot be read has a row too: its codec is `HOLE`, its time that of the entry before. Entries that a bound
    on the recording dropped have none: see `Column`.

    Attributes:
        timestamp_ns: nanoseconds since the epoch (`q`).
        kind: `DELTA`, `FULL` or `NOTE` (`B`).
        codec: how the record is written, as `RecordCodec` numbers it (`B`).
        added: atoms added (`I`).
        modified: atoms modified (`I`).
        deleted: atoms deleted (`I`).
        stored: bytes of the record (`I`).
        full_bytes: bytes of the whole state (`I`).
    """

    __slots__ = ("added", "codec", "deleted", "full_bytes", "kind", "modified", "stored", "timestamp_ns")

    def __init__(self) -> None:
        self._begin(0)

    def _begin(self, first: int) -> None:
        self.timestamp_ns = Column("q", first)
        self.kind = Column("B", first)
        self.codec = Column("B", first)
        self.added = Column("I", first)
        self.modified = Column("I", first)
        self.deleted = Column("I", first)
        self.stored = Column("I", first)
        self.full_bytes = Column("I", first)

    def __len__(self) -> int:
        return len(self.kind)

    def begin_at(self, first: int) -> None:
        """Begin with the row of an entry; only where there are no rows yet."""
        self._begin(first)

    def since(self, first: int) -> Columns:
        """Return the rows from an entry on, counted from 0."""
        if not first:
            return self
        found = Columns()
        for name in self.__slots__:
            getattr(found, name).extend(getattr(self, name)[first:])
        return found

    def append(self, entry: Entry, codec: RecordCodec) -> None:
        """Add one entry's row."""
        self.codec.append(codec)
        self.timestamp_ns.append(entry.timestamp_ns)
        self.kind.append(KINDS[entry.kind])
        self.added.append(entry.added)
        self.modified.append(entry.modified)
        self.deleted.append(entry.deleted)
        self.stored.append(min(entry.stored_bytes, 0xFFFFFFFF))
        self.full_bytes.append(min(entry.full_bytes, 0xFFFFFFFF))

    def add_holes(self, stop: int) -> None:
        """Add rows of entries that cannot be read, up to `stop`."""
        missing = stop - len(self.kind)
        if missing <= 0:
            return
        self.timestamp_ns.extend([self.timestamp_ns[-1] if self.timestamp_ns else 0] * missing)
        self.codec.frombytes(bytes((HOLE,)) * missing)
        self.kind.frombytes(bytes(missing))
        for counts in (self.added, self.modified, self.deleted, self.stored, self.full_bytes):
            counts.extend([0] * missing)


class Sink(Protocol):
    """Where a recorder puts entries, and what it asks of those before them."""

    @property
    def name(self) -> str:
        """What people call it: a file name."""

    @property
    def history_id(self) -> str:
        """Distinguishes this history from all others."""

    @property
    def takes_frames(self) -> bool:
        """Whether patches that it keeps may be frames; see `unspool.delta.patch`."""

    def __len__(self) -> int:
        """Number of entries as of the last `refresh` or `append`."""

    def run(self, seq: int) -> RecordRun:
        """Return a run of records that holds entry `seq` and starts with a full one."""

    def intern(self, atom: str) -> int:
        """Return the number of an atom, giving it one if need be."""

    def atom_name(self, number: int, /) -> str:
        """Return an atom's name; raises KeyError for a number never given."""

    def append(self, draft: Draft) -> int:
        """Store an entry and return its number; it is then as durable as the store promises."""

    def close(self) -> None:
        """Let go of files and threads. Closing twice is fine."""


@runtime_checkable
class Forwards(Sink, Protocol):
    """A sink that keeps entries on this machine until a server has them.

    Attributes:
        confirms: whether every entry is to be confirmed by the server.
        news: what people should know, a line each; whoever reports it takes it out.
    """

    confirms: bool
    news: deque[str]

    @property
    def begins_anew(self) -> bool:
        """Whether the next entry must be a full one."""

    def holds(self, seq: int) -> bool:
        """Whether `run` can give an entry without asking the server."""

    def confirm(self, seq: int) -> None:
        """Return when the server has an entry; raises StorageFailed when that takes too long."""

    def settle(self) -> None:
        """Find out what an `append` stored that an exception of a signal handler ended anywhere."""


class Store(Sink, Protocol):
    """Entries at rest. Reading calls raise `CorruptHistory` for what cannot be read back."""

    def entries(self, start: int, stop: int) -> list[Entry]:
        """Return the entries `start` to `stop - 1`, clamped to what is there."""

    def fill(self, columns: Columns) -> None:
        """Append the rows that `columns` does not have yet; what cannot be read becomes holes, never an error."""

    def changed(self, seq: int) -> tuple[tuple[str, ChangeKind], ...]:
        """Return the atoms an entry changed, without reading its record."""

    def writes(self, atom: str, start: int, stop: int, *, backwards: bool = False) -> Iterator[int]:
        """Yield the entries from `start` to `stop - 1` that changed an atom, in order or backwards."""

    def atom_number(self, atom: str) -> int | None:
        """Return the number of an atom, or None where no entry has such an atom."""

    def shares(self, problems: list[str]) -> dict[str, tuple[int, int]]:
        """Return each atom's changes and record bytes by name; damage met on the way is reported in `problems`."""

    def refresh(self) -> int:
        """Look for entries that others appended; return how many are new."""

    def file_bytes(self) -> int:
        """Return the bytes the history takes at rest, side files included; 0 where it takes none."""


@runtime_checkable
class TellsNotes(Protocol):
    """A store that knows without looking at entries whether it has notes."""

    def may_hold_notes(self) -> bool:
        """Whether any entry may be a note; False is certain."""


@runtime_checkable
class CountsWrites(Protocol):
    """A store that may know how often each atom was changed without looking at every entry."""

    def write_counts(self) -> dict[str, int] | None:
        """Return how many entries changed each atom, by name; None where that is not known."""


@runtime_checkable
class MayBeCutShort(Protocol):
    """A store that may hold less than what was written to it."""

    @property
    def damage(self) -> str:
        """What cannot be read as it was left, besides damaged entries; "" for nothing."""

    @property
    def doubt(self) -> str:
        """Why entries may be missing though nothing is known to be damaged; "" for no reason."""
