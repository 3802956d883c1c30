"""How the rows of a native file are laid out: what the two formats share, and what each must offer.

A file says in `user_version` which format it is in. Everything that depends on the format is asked of the layout of the
connection, and nothing else looks at the number.
"""

from __future__ import annotations

import sqlite3
from abc import ABC, abstractmethod
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, Final, NamedTuple, Protocol

import zstandard

from unspool.codec.records import PackedRecords, Record, RecordCodec
from unspool.errors import CorruptHistory
from unspool.model import wire
from unspool.model.encoding import encode
from unspool.model.entries import SAME_META
from unspool.model.values import Value
from unspool.store.blocks import LEVEL, BlockColumns, TailRow, decode_columns, pack_postings, posting, unpack_postings
from unspool.store.bulk_columns import fill_from_blocks, packed_extras, writes_in_block
from unspool.store.protocol import Columns, Draft, RecordRun

FactValue = str | int | float | bytes | None
"""What the table `meta` may hold under a key."""
HISTORY_ID: Final = "history_id"
CREATED_NS: Final = "created_ns"
FORMAT: Final = "format"
"""Key of the fact that says what else a reader must understand: two masks of features, and the seed of checksums."""
END: Final = "end"
"""Key of the fact that says where the file ends."""
REPAIRED_FROM: Final = "repaired_from"
"""Key of the fact that names the damaged file which a repair made this one of."""
SELF_DESCRIBING: Final = frozenset((HISTORY_ID, FORMAT, END))
"""Facts that only the file they stand in can say; no copy of the history takes them over."""


class FileConnection(sqlite3.Connection):
    """A connection to a native file.

    Attributes:
        layout: how its rows are laid out.
    """

    layout: Layout


class BlockHead(NamedTuple):
    """What a block says of itself.

    Attributes:
        first: number of its first entry.
        entries: how many it holds.
        segment: the keyframe that its records are compressed against.
        start_ns: the earliest of its times.
        end_ns: the latest of its times.
        atoms: which atoms it names, as `blocks.atoms_bitmap` tells it.
        before: checksum of the entry before its first one; 0 where the format has none.
        after: checksum of its last entry.
        columns_sum: checksum of its packed metadata.
        records_sum: checksum of its packed records.
    """

    first: int
    entries: int
    segment: int
    start_ns: int
    end_ns: int
    atoms: bytes
    before: int
    after: int
    columns_sum: int
    records_sum: int

    @property
    def stop(self) -> int:
        """One past its last entry."""
        return self.first + self.entries


class Piece(NamedTuple):
    """Entries whose metadata lies together: a block's, or a span's.

    Attributes:
        first: the first of them.
        entries: how many they are.
        atoms: which atoms they name, as a set of bits.
        is_span: whether it is a span.
    """

    first: int
    entries: int
    atoms: bytes
    is_span: bool

    @property
    def stop(self) -> int:
        """One past its last entry."""
        return self.first + self.entries


class RawBlock(NamedTuple):
    """A block as it stands in the file, nothing of it verified; its parts may be values of any type.

    Attributes:
        head: what it says of itself.
        columns: its packed metadata.
        records: its packed records; None where there are none.
        crc: checksum of its head.
    """

    head: BlockHead
    columns: object
    records: object
    crc: int


class EndMark(NamedTuple):
    """What a file says about where it ends.

    Attributes:
        is_closed: a recorder finished it: nothing may be missing.
        entries: how many there were when the mark was made; at least as many there must be.
        last: checksum of the last of them.
        names: atoms there were by then.
        first: the first entry that is kept; those before it were dropped by `keep`.
    """

    is_closed: bool
    entries: int
    last: int
    names: int
    first: int = 0


class Contradiction(NamedTuple):
    """Something that is not as it was when the file was closed.

    Attributes:
        table: where.
        message: what, for people.
    """

    table: str
    message: str


class Prefixes(Protocol):
    """What gives the decompressor of a segment."""

    def __call__(self, connection: FileConnection, segment: int, first: int, /) -> zstandard.ZstdDecompressor:
        """Return it; `first` names the block for messages."""


OVERLAPPING: Final = (
    # The first condition finds the place in the index; without it every block from the beginning on is looked at.
    "WHERE first >= ifnull((SELECT max(first) FROM block WHERE first <= :after), :after) AND first + count > :after "
    "AND first < :before ORDER BY first {order} LIMIT :most"
)
"""Of `block`: those that hold entries from `after` to `before - 1`, at most `most`."""


class Layout(ABC):
    """The rows of one format. Whatever is read is verified as far as the format allows."""

    version: ClassVar[int]
    tables: ClassVar[Mapping[str, str]]
    """The statement that makes each table, by its name, as SQLite keeps it."""
    tells_end: ClassVar[bool]
    """Whether the format has checksums of facts and a mark of the end."""
    takes_frames: ClassVar[bool]
    """Whether readers of the format know patches that are frames."""
    first_sum: int
    """What stands for the checksum of an entry before the first one."""
    _head_columns: ClassVar[str]

    # --- facts: the table `meta` -------------------------------------------------------------------------------------

    @abstractmethod
    def fact(self, connection: FileConnection, key: str) -> FactValue:
        """Return a fact about the file; None where it says nothing.

        Raises:
            CorruptHistory: what it says is damaged.
        """

    @abstractmethod
    def facts(self, connection: FileConnection, damage: list[str] | None = None) -> dict[str, FactValue]:
        """Return all facts about the file.

        Args:
            connection: the file.
            damage: where keys of damaged facts are put, which are left out then.

        Raises:
            CorruptHistory: one is damaged, and `damage` is None.
        """

    @abstractmethod
    def keep_fact(self, connection: FileConnection, key: str, value: FactValue) -> None:
        """Keep a fact in place of the one under that key."""

    @abstractmethod
    def allow_notes(self, connection: FileConnection) -> None:
        """Say in the file that entries may be notes, so that a reader that does not know them refuses it.

        Raises:
            NotesNotKept: the format has no place for them.
        """

    @abstractmethod
    def begin_at(self, connection: FileConnection, first: int) -> None:
        """Say in the file that the entries before `first` are not kept, so that a reader that does not know of that refuses it.

        Raises:
            ConfigError: the format has no place for it.
        """

    @abstractmethod
    def may_hold_notes(self, connection: FileConnection) -> bool:
        """Whether any entry may be a note; False is certain."""

    @staticmethod
    def drop_fact(connection: FileConnection, key: str) -> None:
        """Forget a fact."""
        connection.execute("DELETE FROM meta WHERE key = ?", (key,))

    # --- names of atoms ----------------------------------------------------------------------------------------------

    @abstractmethod
    def names(self, connection: FileConnection, start: int) -> list[str]:
        """Return the names of atoms from number `start` on.

        Raises:
            CorruptHistory: one is damaged or missing.
        """

    @abstractmethod
    def damaged_names(self, connection: FileConnection) -> set[int]:
        """Return the numbers of atoms whose names are not what was written."""

    @abstractmethod
    def add_names(self, connection: FileConnection, fresh: Sequence[tuple[int, bytes]]) -> None:
        """Add names by number, which follow the last ones."""

    # --- the tail ----------------------------------------------------------------------------------------------------

    insert_row: ClassVar[str]
    select_row: ClassVar[str]

    @abstractmethod
    def row_values(self, draft: Draft, seq: int, before: int) -> tuple[tuple[object, ...], int]:
        """Return what `insert_row` binds for a draft, and the row's checksum.

        Args:
            draft: the entry.
            seq: its number.
            before: checksum of the entry before it.
        """

    @abstractmethod
    def checked_row(self, values: tuple[Any, ...]) -> TailRow:
        """Return one row as `select_row` gives it, verified.

        Raises:
            CorruptHistory: it is damaged; names the entry.
        """

    @abstractmethod
    def follows(self, before: int, row: TailRow) -> bool:
        """Whether a row was written after the entry with the checksum `before`."""

    @abstractmethod
    def last_sum(self, connection: FileConnection) -> int:
        """Return the checksum of the newest entry, or what stands for it in an empty file."""

    @abstractmethod
    def sum_over(self, rows: Iterable[TailRow], before: int) -> int:
        """Return the checksum of the last of some rows that follow the entry with the checksum `before`."""

    # --- blocks ------------------------------------------------------------------------------------------------------

    @abstractmethod
    def head(self, values: tuple[Any, ...]) -> BlockHead:
        """Return a block's head from the columns that `_head_columns` names, verified.

        Raises:
            CorruptHistory: it is damaged.
        """

    def block_at(self, connection: FileConnection, seq: int) -> BlockHead | None:
        """Return the block that holds an entry, or None where none does.

        Raises:
            CorruptHistory: its head is damaged.
        """
        query = f"SELECT {self._head_columns} FROM block WHERE first <= ? ORDER BY first DESC LIMIT 1"  # noqa: S608 - ours
        row = connection.execute(query, (seq,)).fetchone()
        if row is None:
            return None
        head = self.head(row)
        return head if seq < head.stop else None

    def heads(
        self, connection: FileConnection, after: int, before: int, *, backwards: bool = False, most: int = -1
    ) -> list[BlockHead]:
        """Return the blocks that hold entries from `after` to `before - 1`, in order or backwards, at most `most`.

        Raises:
            CorruptHistory: the head of one is damaged.
        """
        order = OVERLAPPING.format(order="DESC" if backwards else "ASC")
        query = f"SELECT {self._head_columns} FROM block {order}"  # noqa: S608 - ours
        return [self.head(row) for row in connection.execute(query, {"after": after, "before": before, "most": most})]

    @abstractmethod
    def packed_at(self, connection: FileConnection, first: int) -> bytes:
        """Return the packed metadata of the block that starts at an entry.

        Raises:
            CorruptHistory: it is damaged.
        """

    @abstractmethod
    def packed(
        self, connection: FileConnection, after: int, before: int
    ) -> Iterator[tuple[int, int, bytes | CorruptHistory]]:
        """Yield the blocks that hold entries from `after` to `before - 1`, in order.

        Yields:
            Each one's first entry, number of entries and packed metadata, or what is wrong with it; that of a damaged
            one may be another number.
        """

    def columns(self, connection: FileConnection, first: int, count: int) -> BlockColumns:
        """Return the metadata of a block.

        Raises:
            CorruptHistory: it is damaged.
        """
        return decode_columns(first, count, self.packed_at(connection, first))

    def fill(self, connection: FileConnection, columns: Columns, stop: int) -> None:
        """Append sealed entries up to `stop - 1` to a screen's columns; see `fill_from_blocks` for what is damaged.

        Args:
            connection: the file.
            columns: what is extended; it ends where a block does.
            stop: one past the last entry wanted.
        """
        fill_from_blocks(columns, self.packed(connection, len(columns), stop))

    def pieces(
        self, connection: FileConnection, after: int, before: int, *, backwards: bool = False, most: int = -1
    ) -> list[Piece]:
        """Return what holds the metadata of sealed entries from `after` to `before - 1`; see `heads`."""
        found = self.heads(connection, after, before, backwards=backwards, most=most)
        return [Piece(head.first, head.entries, head.atoms, is_span=False) for head in found]

    def writes_in(self, connection: FileConnection, piece: Piece, number: int) -> list[int]:
        """Return the entries of a piece that changed an atom, in order.

        Raises:
            CorruptHistory: it is damaged.
        """
        return writes_in_block(piece.first, piece.entries, self.packed_at(connection, piece.first), number)

    def unusual(
        self, connection: FileConnection, after: int, before: int
    ) -> Iterator[tuple[int, bytes | CorruptHistory]]:
        """Yield what is unusual about sealed entries from `after` to `before - 1`, block by block or span by span.

        Yields:
            The first entry, and a msgpack map from places behind it to wire forms, or why it does not read.
        """
        for first, count, data in self.packed(connection, after, before):
            yield first, data if isinstance(data, CorruptHistory) else packed_extras(first, count, data)

    def fold(self, connection: FileConnection, start: int, level: int = LEVEL) -> int:
        """Fold the metadata of blocks into a span where enough have come together.

        Args:
            connection: the file, written to.
            start: where the span before ended.
            level: zstd level.

        Returns:
            Where the last span ends now.
        """
        return start

    def drop_spans(self, connection: FileConnection, stop: int) -> None:
        """Delete the spans that hold nothing from entry `stop` on; part of the caller's transaction."""
        return

    def folded(self, connection: FileConnection) -> int:
        """Return where the last span ends."""
        return 0

    def folded_columns(self, connection: FileConnection, first: int, count: int) -> BlockColumns | None:
        """Return the metadata of a block as its span tells it, or None where no span holds it.

        Raises:
            CorruptHistory: the span is damaged.
        """
        return None

    def stored_bytes(self, connection: FileConnection) -> float:
        """Return the bytes of all sealed entries."""
        query = (
            "SELECT (SELECT total(length(data)) FROM block_data) + (SELECT total(length(data)) FROM segment)"
            " + (SELECT total(ifnull(length(columns), 0) + length(atoms)) FROM block)"
        )
        return float(connection.execute(query).fetchone()[0])

    @abstractmethod
    def run_at(self, connection: FileConnection, seq: int, prefixes: Prefixes) -> RecordRun | None:
        """Return the records of the block that holds an entry, or None where no block does.

        Raises:
            CorruptHistory: they are damaged.
        """

    @abstractmethod
    def unpack_records(self, first: int, count: int, codecs: Sequence[int] | None, plain: bytes) -> PackedRecords:
        """Return the records of a block from what its packed records decompress to.

        Args:
            first: its first entry, for messages.
            count: how many there must be.
            codecs: how its records are read, as its metadata tells; None where that is lost.
            plain: the bytes.

        Raises:
            CorruptHistory: they are damaged, or how they are read stands in the metadata only.
        """

    @abstractmethod
    def raw_block(self, connection: FileConnection, first: int) -> RawBlock | None:
        """Return the block that starts at an entry as it stands, for whoever looks for damage."""

    @abstractmethod
    def is_sound(self, block: RawBlock, head: BlockHead) -> bool:
        """Whether a head is what was written; `head` is the block's own, or what it should be."""

    def is_certain(self, block: RawBlock) -> bool:
        """Whether the head of a block is what was written, as far as the format lets that be known."""
        return self.is_sound(block, block.head)

    @abstractmethod
    def check_parts(self, block: RawBlock, *, records: bool) -> None:
        """Verify the packed records of a block, or its packed metadata.

        Raises:
            CorruptHistory: they are damaged.
        """

    @abstractmethod
    def pack_columns(self, rows: Sequence[TailRow], level: int = LEVEL) -> bytes:
        """Return the packed metadata of entries in a row."""

    @abstractmethod
    def pack_records(
        self, rows: Sequence[TailRow], head: bytes, prefix: zstandard.ZstdCompressionDict, level: int = LEVEL
    ) -> bytes:
        """Return the packed records of a block.

        Args:
            rows: its entries.
            head: plain full record that stands in for the first one's.
            prefix: its segment's keyframe.
            level: zstd level.
        """

    @abstractmethod
    def add_block(self, connection: FileConnection, head: BlockHead, columns: bytes, records: bytes) -> None:
        """Add a block; the checksums of `columns` and `records` are worked out here."""

    # --- keyframes ---------------------------------------------------------------------------------------------------

    @abstractmethod
    def keyframe(self, connection: FileConnection, segment: int, first: int) -> bytes:
        """Return the compressed keyframe of a segment.

        Args:
            connection: the file.
            segment: its number.
            first: entry of the block that needs it, for messages.

        Raises:
            CorruptHistory: it is missing or damaged.
        """

    @abstractmethod
    def pack_keyframe(self, state: bytes, level: int = LEVEL) -> bytes:
        """Return a keyframe compressed."""

    @abstractmethod
    def add_keyframe(self, connection: FileConnection, segment: int, data: bytes) -> None:
        """Add a compressed keyframe."""

    # --- where the file ends -----------------------------------------------------------------------------------------

    @abstractmethod
    def end_mark(self, connection: FileConnection) -> EndMark | None:
        """Return what the file says about its end; None where its format says nothing.

        Raises:
            CorruptHistory: it should say something, and that is missing or damaged.
        """

    @abstractmethod
    def mark_end(self, connection: FileConnection, *, count: int, last: int, is_closed: bool) -> None:
        """Say where the file ends, and leave where it begins as it is; see `EndMark`."""

    def lowest(self, connection: FileConnection) -> int:
        """Return the first entry that there is, in a file of which entries may have been dropped and which does not say it."""
        return 0

    @abstractmethod
    def check_closed(self, connection: FileConnection) -> list[Contradiction]:
        """Return what of a closed file is not as it was when it was closed, besides its entries."""


def missing_keyframe(segment: int, first: int) -> CorruptHistory:
    """Return the error that names a keyframe which is not there."""
    return CorruptHistory(f"the keyframe of segment {segment} is missing", seq=first)


def missing_records(first: int) -> CorruptHistory:
    """Return the error that names a block without records."""
    return CorruptHistory(f"the records of the block that starts at entry {first} are missing", seq=first)


def missing_block(first: int) -> CorruptHistory:
    """Return the error that names a block which is not there."""
    return CorruptHistory(f"the block that starts at entry {first} is missing", seq=first)


def missing_name(number: int) -> CorruptHistory:
    """Return the error that names an atom without a name."""
    return CorruptHistory(f"atom {number} is missing from the table of names; run `unspool doctor`")


def damaged_fact(key: object) -> CorruptHistory:
    """Return the error that names a fact which is not what was written."""
    return CorruptHistory(
        f"what the file says about itself under {key!r} is damaged; `unspool doctor FILE --repair OUT` keeps the rest"
    )


def damaged_row(seq: object) -> CorruptHistory:
    """Return the error that names a damaged entry."""
    return CorruptHistory(
        f"entry {seq} is damaged (its checksum differs); `unspool doctor FILE --repair OUT` keeps what is intact",
        seq=seq if isinstance(seq, int) else None,
    )


def text_of(data: object, number: int) -> str:
    """Return the name that a row of the table of names holds.

    Raises:
        CorruptHistory: it holds none.
    """
    try:
        if isinstance(data, bytes):
            return data.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        # Said below, as for a value of another type.
        pass
    raise CorruptHistory(f"the name of atom {number} is damaged; `unspool doctor FILE --repair OUT` keeps the rest")


_SAME_EXTRA: Final = encode({"meta": dict(SAME_META)})


class PackedDraft(NamedTuple):
    """A draft as a row of the tail holds it, its number and checksums aside."""

    time_ns: int
    codec: int
    full_bytes: int
    action: str
    changed: bytes
    extra: bytes | None
    record: bytes


def pack_draft(draft: Draft, seq: int) -> PackedDraft:
    """Return a draft as a row holds it."""
    extra: dict[str, Value] = {}
    if draft.entry_id:
        extra["id"] = draft.entry_id
    if draft.parent_seq is not None and draft.parent_seq != seq - 1:
        extra["parent"] = draft.parent_seq
        if draft.part is not None:
            extra["part"] = list(draft.part)
    if draft.meta is SAME_META and not extra:
        packed: bytes | None = _SAME_EXTRA
    else:
        if draft.meta:
            extra["meta"] = draft.meta if type(draft.meta) is dict else dict(draft.meta)
        packed = encode(extra) if extra else None
    return PackedDraft(
        draft.timestamp_ns,
        int(draft.record.codec),
        draft.full_bytes,
        draft.action,
        pack_postings(array("I", [posting(number, kind) for number, kind in draft.changed])),
        packed,
        draft.record.payload,
    )


def unpack_row(seq: int, packed: PackedDraft, before: int, crc: int) -> TailRow:
    """Return the entry that a verified row holds.

    Raises:
        CorruptHistory: its codec is unknown.
    """
    try:
        codec = RecordCodec(packed.codec)
    except ValueError:
        raise CorruptHistory(
            f"entry {seq} has the unknown codec {packed.codec}; a newer unspool wrote it", seq=seq
        ) from None
    record = Record(codec, packed.record)
    extras = wire.decode(packed.extra) if packed.extra else {}
    return TailRow(
        seq, packed.time_ns, record, packed.full_bytes, packed.action, unpack_postings(packed.changed), extras,
        len(packed.record), before, crc,
    )  # fmt: skip
