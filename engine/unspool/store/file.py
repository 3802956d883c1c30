"""`FileStore`: a history in one native file, with each atom's share of it, a check of every checksum, and its forks.

A block says in its metadata what is unusual about its entries; a parent is part of that only at a fork. So a block
without forks costs decompressing its metadata and one search in it, whatever else its entries carry.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

import msgspec

from unspool.errors import CorruptHistory, EntryNotKept, ReadOnlyHistory, UnspoolError
from unspool.files import PRIVATE
from unspool.model import wire
from unspool.model.entries import PASSED_OVER, ChangeKind, Entry, passed_over_in
from unspool.model.values import Value
from unspool.store.blocks import KIND_BITS, TailRow, damaged, part_of
from unspool.store.bulk_columns import decode_extras
from unspool.store.layout import FileConnection
from unspool.store.protocol import HOLE, Columns, Draft, RecordRun, Store
from unspool.store.reader import FileReader
from unspool.store.recordings import (
    IDENTITY_KEY,
    WRITTEN_NOTES,
    AtomTally,
    empty_tally,
    identity_in,
    load_tally,
    read_recordings,
)
from unspool.store.tail import readable_rows

if TYPE_CHECKING:
    from unspool.store.keeping import Keep
    from unspool.store.recordings import Ending, Recording, read_recordings
    from unspool.store.sealing import Sealer
    from unspool.store.writer import FileWriter

Block = tuple[int, int]
"""The first entry of a block, and their number."""
_AT_ONCE: Final = 64
"""Blocks verified in one view of the file; another thread waits no longer than for these."""


def shares_of(reader: FileReader, problems: list[str]) -> dict[str, tuple[int, int]]:
    """Return each atom's changes and record bytes by name.

    Args:
        reader: the file.
        problems: where damage is reported, a line each; all checksums are verified.
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


def write_counts_of(reader: FileReader) -> dict[str, int] | None:
    """Return how many entries changed each atom, by name, as the file has counted them; None where it has not."""
    tally, rows = reader.call(_counted, reader)
    if tally is None:
        return None
    changes = tally.changes
    for row in rows:
        for item in row.changed:
            number = item >> KIND_BITS
            changes[number] = changes.get(number, 0) + 1
    names = reader.names()
    return {names[number]: count for number, count in changes.items() if number < len(names)}


def _counted(connection: FileConnection, reader: FileReader) -> tuple[AtomTally | None, list[TailRow]]:
    """Return the tally, and the rows of the tail; of a million entries there are too many blocks to list them for that."""
    last = "SELECT first, count FROM block WHERE first < ? ORDER BY first DESC LIMIT 1"
    blocks = connection.execute(last, (reader.count,)).fetchall()
    if any(type(entries) is not int for _, entries in blocks):
        raise damaged(blocks[0][0], "its head makes no sense")
    return load_tally(connection), readable_rows(connection, _stop(blocks), reader.count)


def _parts(
    connection: FileConnection, reader: FileReader
) -> tuple[AtomTally | None, list[Block], list[TailRow], int]:
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


def _count_blocks(reader: FileReader, blocks: list[Block], stop: int, problems: list[str]) -> AtomTally:
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


Durability = Literal["default", "fast", "full"]
"""What `append` promises when it returns; see `FileStore.create`."""


class _Names(dict[int, str]):
    """The names of atoms asked for so far: a number never changes its name."""

    def __init__(self, ask: Callable[[int], str]) -> None:
        super().__init__()
        self._ask = ask

    def __missing__(self, number: int) -> str:
        name = self[number] = self._ask(number)
        return name


class FileStore:
    """Entries in an SQLite file; see `unspool.store.schema` for what is in it."""

    def __init__(self, path: Path, reader: FileReader, writer: FileWriter | None) -> None:
        """Use `open` or `create` instead."""
        self._path = path
        self._reader = reader
        self._writer = writer
        self.atom_name: Callable[[int], str] = _Names(
            reader.atom_name if writer is None else writer.atom_name
        ).__getitem__
        """See `Store.atom_name`; asked for every atom of every record that is replayed."""
        self.intern: Callable[[str], int] = self._refuse_name if writer is None else writer.intern
        """See `Store.intern`; only a file opened with `create` gives new numbers."""
        self._closed = False

    @classmethod
    def open(cls, path: str | Path) -> FileStore:
        """Open a file for reading. Needs no writer's help and disturbs none.

        Raises:
            UnreadableSource: it is missing or no unspool file.
            NewerSchema: a newer unspool wrote it.
            CorruptHistory: it is damaged.
        """
        place = Path(path)
        return cls(place, FileReader(place), None)

    @classmethod
    def create(
        cls,
        path: str | Path,
        *,
        durability: Durability = "default",
        mode: int = PRIVATE,
        seals: bool = True,
        seals_below: int | None = None,
        history_id: str = "",
        keep: Keep | None = None,
        first: int = 0,
        bound: str = "",
    ) -> FileStore:
        """Open a file for appending, creating it where it is missing.

        Args:
            path: the file.
            durability: `default`: an entry whose `append` returned survives a kill of the process, and a power cut
                leaves a consistent file. `fast`: the same without any fsync, so a power cut may damage the file.
                `full`: an entry whose `append` returned survives a power cut.
            mode: permissions of a new file and of what lies beside it, whatever the umask; a file that is there keeps
                its own.
            seals: compress entries into blocks; not worth it where they do not stay for long.
            seals_below: compress no more from the first state on that has this many bytes: each block takes in one.
            history_id: which history a new file holds; one of its own where "".
            keep: how much of the recording is kept; older blocks are dropped as entries are added. None for all of it.
            first: the number of a new file's first entry, where those before it are not kept.
            bound: by which bound they were dropped; see `MayBegin`.

        Raises:
            HistoryLocked: another writer holds the file.
            UnreadableSource: it cannot be opened, or is no unspool file.
            StorageFailed: the disk refused.
            ConfigError: an unknown durability, or a mode or a bound that cannot be honoured.
        """
        # Readers, which are started far more often, do without what only writers need.
        from unspool.store.writer import FileWriter

        place = Path(path)
        writer = FileWriter(
            place, durability, mode, seals=seals, seals_below=seals_below, history_id=history_id, keep=keep,
            beginning=(first, bound),
        )  # fmt: skip
        return cls(place, writer.reader, writer)

    @property
    def name(self) -> str:
        """See `Store.name`."""
        return self._path.name

    @property
    def path(self) -> Path:
        """Where the file is."""
        return self._path

    @property
    def history_id(self) -> str:
        """See `Store.history_id`."""
        return self._reader.history_id

    @property
    def takes_frames(self) -> bool:
        """See `Sink.takes_frames`; the format of the file decides."""
        return self._reader.call(lambda connection: connection.layout.takes_frames)

    @property
    def first(self) -> int:
        """See `MayBegin.first`."""
        return self._reader.first

    @property
    def bound(self) -> str:
        """See `MayBegin.bound`."""
        return self._reader.bound

    @property
    def reader(self) -> FileReader:
        """The reading half, for rooms that ask more of a file than of other stores; what waits is stored first.

        Raises:
            StorageFailed: it cannot be.
        """
        if self._writer is not None:
            self._writer.store_waiting()
        return self._reader

    @property
    def damage(self) -> str:
        """What of the file cannot be read as it was left, besides damaged entries; "" for nothing."""
        return "" if self._writer is not None else self._reader.damage

    @property
    def doubt(self) -> str:
        """Why entries may be missing though nothing is known to be damaged; "" for no reason."""
        return "" if self._writer is not None else self._reader.doubt

    @property
    def kept_log(self) -> Path | None:
        """Where a damaged log was kept that an earlier recorder left; None where there was none, or nothing is recorded."""
        known = None if self._writer is None else self._writer.kept_log
        return None if known is None else known.path

    @property
    def sealing_failure(self) -> UnspoolError | None:
        """Why background sealing stopped, if it did."""
        return None if self._writer is None else self._writer.sealer.failure

    def __len__(self) -> int:
        return self._reader.count

    def entries(self, start: int, stop: int) -> list[Entry]:
        """See `Store.entries`."""
        return self.reader.entries(start, stop)

    def fill(self, columns: Columns) -> None:
        """See `Store.fill`."""
        self.reader.fill(columns)

    def run(self, seq: int) -> RecordRun:
        """See `Store.run`."""
        return self.reader.run(seq)

    def changed(self, seq: int) -> tuple[tuple[str, ChangeKind], ...]:
        """See `Store.changed`."""
        return self.reader.changed(seq)

    def writes(self, atom: str, start: int, stop: int, *, backwards: bool = False) -> Iterator[int]:
        """See `Store.writes`."""
        return self.reader.writes(atom, start, stop, backwards=backwards)

    def shares(self, problems: list[str]) -> dict[str, tuple[int, int]]:
        """See `Store.shares`."""
        return shares_of(self.reader, problems)

    def write_counts(self) -> dict[str, int] | None:
        """See `CountsWrites.write_counts`."""
        return write_counts_of(self.reader)

    def atom_number(self, atom: str) -> int | None:
        """See `Store.atom_number`."""
        return (self._writer or self._reader).atom_number(atom)

    def append(self, draft: Draft) -> int:
        """See `Store.append`.

        Raises:
            ReadOnlyHistory: the file was opened for reading.
            StorageFailed: the disk or the database refused.
            NotesNotKept: the entry is a note, and the file's format has no place for it.
        """
        return self._writing().append(draft)

    def begin_batch(self) -> None:
        """Store what is appended from here on together, which costs a fraction of storing it entry by entry.

        What `durability` promises of an entry it promises when the batch has ended. Up to some hundred entries wait at once.
        This store itself knows them; readers of the file do once they are stored. Batches may stand in each other.

        Raises:
            ReadOnlyHistory: the file was opened for reading.
        """
        self._writing().begin_batch()

    def end_batch(self) -> None:
        """Store what waits, unless another batch goes on.

        Raises:
            ReadOnlyHistory: the file was opened for reading.
            StorageFailed: the disk or the database refused. What waited is lost, and `settle` finds out what is there.
        """
        self._writing().end_batch()

    def store_batch(self) -> None:
        """Store what waits; the batch goes on.

        Raises:
            ReadOnlyHistory, StorageFailed: see `end_batch`.
        """
        self._writing().store_waiting()

    def may_hold_notes(self) -> bool:
        """Whether any entry may be a note; False is certain."""
        return self.reader.call(lambda connection: connection.layout.may_hold_notes(connection))

    def settle(self) -> None:
        """Find out what an interrupted `append` stored.

        Raises:
            ReadOnlyHistory, StorageFailed: see `append`.
        """
        self._writing().settle()

    def note_recording(self, strategy: str, codec: str) -> None:
        """Keep the settings that entries from here on are written with; see `Recording`.

        Raises:
            ReadOnlyHistory, StorageFailed: see `append`.
        """
        self._writing().note_recording(strategy, codec)

    def recordings(self) -> tuple[Recording, ...]:
        """Return with which settings the file was recorded; nothing where it does not say."""
        return self.reader.call(read_recordings)

    def note_identity(self, identity: Mapping[str, str]) -> None:
        """Keep the identity keys of lists that were set by hand, in place of those kept before.

        Raises:
            ReadOnlyHistory, StorageFailed: see `append`.
        """
        self._writing().note_identity(identity)

    def identity(self) -> dict[str, str]:
        """Return the identity keys that the file was told to compare its lists by; nothing where it does not say."""
        return identity_in(self._reader.fact(IDENTITY_KEY))

    def keep_written_notes(self, text: str) -> None:
        """Keep the notes that people wrote on the source that the file is made of, in place of those kept before.

        Raises:
            ReadOnlyHistory, StorageFailed: see `append`.
        """
        self._writing().keep_written_notes(text)

    def written_notes(self) -> str:
        """Return those notes as JSON text, unchecked; "" where there are none."""
        return str(self._reader.fact(WRITTEN_NOTES) or "")

    def ending(self) -> Ending:
        """Return whether all that was recorded is known to be in the file.

        Raises:
            UnreadableSource, CorruptHistory: the file cannot be read.
        """
        return self.reader.ending()

    def discard(self) -> None:
        """Close and remove the file; only for one opened with `create`. What is not sealed yet is not sealed any more."""
        if not self._closed:
            self._closed = True
            self._writing().discard()

    def vacuum_into(self, path: Path) -> None:
        """Write a copy of the file without free pages; only for a file opened with `create`.

        Raises:
            sqlite3.Error: the disk refused.
        """
        self._writing().vacuum_into(path)

    def _refuse_name(self, atom: str) -> int:
        raise self._read_only()

    def _read_only(self) -> ReadOnlyHistory:
        return ReadOnlyHistory(f"{self._path}: opened for reading; use Recorder or FileStore.create to append")

    def _writing(self) -> FileWriter:
        if self._writer is None:
            raise self._read_only()
        return self._writer

    @property
    def sealer(self) -> Sealer | None:
        """What packs entries beside the recording; None where nothing is written."""
        return None if self._writer is None else self._writer.sealer

    def abandon(self) -> None:
        """Let go of the file without touching it: for a forked child, whose parent goes on writing."""
        self._closed = True
        if self._writer is not None:
            self._writer.abandon()

    def refresh(self) -> int:
        """See `Store.refresh`."""
        return self.reader.refresh()

    def file_bytes(self) -> int:
        """See `Store.file_bytes`."""
        total = 0
        for suffix in ("", "-wal"):
            # A link's log lies beside the file that it leads to.
            side = Path(f"{os.path.realpath(self._path)}{suffix}")
            if side.exists():
                total += side.stat().st_size
        return total

    def close(self, before_unlock: Callable[[], None] | None = None) -> None:
        """See `Store.close`; a writer seals what is in the tail first.

        Args:
            before_unlock: what a writer does when all connections are closed and other writers are still locked out.
        """
        if self._closed:
            return
        self._closed = True
        if self._writer is not None:
            self._writer.close(before_unlock)
        self._reader.close()


class Fork(NamedTuple):
    """An entry that does not follow the one before it.

    Attributes:
        seq: the entry.
        parent: the entry it follows; None for the first one, and where that entry was dropped.
        part: the atoms for which that is so, where the others follow the entry before; None for all atoms.
    """

    seq: int
    parent: int | None
    part: frozenset[str] | None = None

    @classmethod
    def of(cls, seq: int, extra: Mapping[str, Value]) -> Fork:
        """Return the fork that an entry's unusual facts describe."""
        part = part_of(extra)
        return cls(seq, extra["parent"], None if part is None else frozenset(part))


_BATCH: Final = 1024
"""Entries that are asked for at once where a store tells nothing but whole entries."""


_Piece = tuple[int, bytes | CorruptHistory]
"""The first entry of a block or span, and what is unusual about its entries, or why that does not read."""
_PARENT: Final = b"parent"
_FAR: Final = 1 << 62


def forks_of(store: Store, start: int, stop: int) -> list[Fork]:
    """Return each entry from `start` to `stop - 1` that does not follow the one before it, with its parent.

    The first entry counts as one; an entry that cannot be read does not.

    Args:
        store: where the entries are.
        start: the first entry to look at.
        stop: one past the last one.
    """
    if isinstance(store, FileStore):
        return store.reader.call(_forks_in_file, start, min(stop, len(store)), store.first)
    start, stop = max(start, 0), min(stop, len(store))
    return [fork for first in range(start, stop, _BATCH) for fork in _in_entries(store, first, stop)]


def _forks_in_file(connection: FileConnection, start: int, stop: int, origin: int) -> list[Fork]:
    """Return the forks of a file; what follows an entry before `origin`, the first one kept, follows nothing that is known."""
    start = max(start, origin)
    if start >= stop:
        return []
    pieces = connection.layout.unusual(connection, start, stop)
    ahead = list(islice(pieces, 1))
    is_told = start == origin and _reads_first(connection, origin, ahead)
    unusual = _unusual(connection, start, stop, _PARENT, chain(ahead, pieces))
    found = [Fork.of(seq, extra) for seq, extra in unusual if "parent" in extra and (seq > origin or not is_told)]
    rebased = [fork if fork.parent is None or fork.parent >= origin else fork._replace(parent=None) for fork in found]
    return [Fork(origin, None), *rebased] if is_told else rebased


def passed_over_by(store: Store) -> int:
    """Return how many calls the recorders of a history passed over, as its entries say; those that do not read say nothing."""
    if isinstance(store, FileStore):
        metas = (extra.get("meta") for _, extra in store.reader.call(_all_unusual, store.first, PASSED_OVER.encode()))
        return sum(passed_over_in(meta) for meta in metas if isinstance(meta, Mapping))
    entries = chain.from_iterable(_readable(store, first) for first in range(0, len(store), _BATCH))
    return sum(passed_over_in(entry.meta) for entry in entries)


def _all_unusual(connection: FileConnection, first: int, word: bytes) -> list[tuple[int, Mapping[str, Value]]]:
    return list(_unusual(connection, first, _FAR, word, connection.layout.unusual(connection, first, _FAR)))


def _unusual(
    connection: FileConnection, start: int, stop: int, word: bytes, pieces: Iterable[_Piece]
) -> Iterator[tuple[int, Mapping[str, Value]]]:
    """Yield the unusual facts of entries from `start` to `stop - 1` that hold a word, as far as they read."""
    sealed = connection.execute("SELECT first + count FROM block ORDER BY first DESC LIMIT 1").fetchone()
    for first, extras in pieces:
        if not isinstance(extras, CorruptHistory):
            yield from ((seq, extra) for seq, extra in _in_extras(first, extras, word) if start <= seq < stop)
    tail = start if sealed is None else max(start, sealed[0])
    if tail < stop:
        yield from ((row.seq, row.extra) for row in readable_rows(connection, tail, stop) if row.extra)


def _reads_first(connection: FileConnection, origin: int, pieces: Sequence[_Piece]) -> bool:
    """Whether the first entry can be read; the first of the pieces holds it, where one does."""
    if pieces and pieces[0][0] <= origin:
        return not isinstance(pieces[0][1], CorruptHistory)
    return bool(readable_rows(connection, origin, origin + 1))


def _in_extras(first: int, extras: bytes, word: bytes) -> Iterator[tuple[int, Mapping[str, Value]]]:
    if word not in extras:
        return
    try:
        unusual = {at: wire.decode(extra) for at, extra in decode_extras(extras).items() if word in extra}
    except (CorruptHistory, msgspec.MsgspecError, ValueError):
        return
    for at, extra in sorted(unusual.items()):
        yield first + at, extra


def _readable(store: Store, start: int) -> list[Entry]:
    """Return a batch of entries without those that cannot be read."""
    stop = min(start + _BATCH, len(store))
    try:
        return store.entries(start, stop)
    except CorruptHistory:
        columns = Columns()
        store.fill(columns)
        return [store.entries(seq, seq + 1)[0] for seq in range(start, stop) if columns.codec[seq] != HOLE]


def _in_entries(store: Store, start: int, stop: int) -> Iterator[Fork]:
    for entry in _readable(store, start):
        if entry.seq < stop and (entry.parent_seq is None or entry.parent_seq != entry.seq - 1):
            yield Fork(entry.seq, entry.parent_seq, None if entry.part is None else frozenset(entry.part))
