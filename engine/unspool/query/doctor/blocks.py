"""The tables, blocks and records of a native file as the doctor reads them: what does not fit becomes a fault, never an exception.

Tables are examined for names, blocks and the tail, and by SQLite's own check; records are replayed one by one.
"""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import zstandard

from unspool.codec import state_codec
from unspool.codec.records import Record, RecordCodec, decode_full, replay_delta
from unspool.codec.state_codec import MissingBinaryCodec
from unspool.delta.structural import same_value
from unspool.errors import CorruptHistory, DeltaCompressionError
from unspool.history.diff import fork_base
from unspool.model.cache import BoundedCache
from unspool.model.wire import EncodedState, decode
from unspool.query.doctor.findings import ChainedSource, Code, Facts, Fault, FindingLog, Report, Step, Touched
from unspool.store import blocks
from unspool.store.blocks import KIND_BITS, BlockColumns, part_of
from unspool.store.bulk_columns import KIND_MASK
from unspool.store.databases import BoundedConnection
from unspool.store.layout import HISTORY_ID, BlockHead, EndMark, FileConnection, RawBlock
from unspool.store.protocol import DOUBT_META, HOLE_META
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
    """See that the file ends as it says, and report one that does not say it is complete.

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
    """Return all blocks that can be found, in order; what cannot be one is reported and left out."""
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

    One that is numbered far beyond all others is reported, and not counted: its number is damaged.
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


_BYTES: Final = frozenset((bytes,))


class Replayer:
    """The state while walking forward, and where it was lost."""

    def __init__(self, name: Callable[[int], str]) -> None:
        """Start before the first entry.

        Args:
            name: gives the name of an atom's number.
        """
        self._name = name
        self.state: EncodedState | None = {}
        self._lost: Fault = Fault(Code.SEVERED_BASE, "no full snapshot stands before it")
        self._begun = False

    def resume(self, state: EncodedState) -> None:
        """Go on from a state that was rebuilt elsewhere."""
        self.state = state
        self._begun = True

    def lose(self, seq: int) -> None:
        """Forget the state: an entry does not read, so deltas after it have no base."""
        self.state = None
        self._lost = Fault(Code.SEVERED_BASE, f"a delta stands on entry {seq}, which does not read")

    def step(self, seq: int, facts: Facts | None, record: Record) -> Step:
        """Take the next entry; `facts` is None where they are lost.

        Raises:
            MissingExtra: a binary patch cannot be read without bsdiff4.
        """
        step = Step(seq, seq, facts, record=record)
        before = self.state
        if not record.codec.is_full and (before is None or not self._begun):
            # The fault of the entry that broke the chain goes for all that stand on it.
            self.state = None
            step.fault = self._lost
            return step
        try:
            touched = self._apply(record)
        except MissingBinaryCodec:
            raise
        except (CorruptHistory, DeltaCompressionError) as error:
            self.lose(seq)
            step.fault = Fault(Code.MALFORMED, f"its record does not apply ({reason(error)})")
            return step
        self._begun = True
        step.state, step.touched = self.state, touched
        step.before = before if touched is None else None
        return step

    def _apply(self, record: Record) -> Touched | None:
        """Bring the state forward; return what a key-wise delta wrote."""
        state = {} if self.state is None else self.state
        name = self._name
        match record.codec:
            case RecordCodec.DICT | RecordCodec.NOTE:
                touched: Touched = []
                replay_delta(state, record.payload, name, touched)
                for atom, _ in touched:
                    if type(state.get(atom, b"")) is not bytes:
                        raise CorruptHistory("a value is no wire form")
                if touched and record.codec is RecordCodec.NOTE:
                    raise CorruptHistory("a note writes to atoms")
                return touched
            case RecordCodec.NONE | RecordCodec.NOTE_FULL:
                self.state = decode_full(record.payload, name)
            case RecordCodec.COMPRESS:
                self.state = state_codec.decode_full(record.payload)
            case RecordCodec.BINARY:
                self.state = state_codec.apply_binary_delta(state, record.payload)
        if self.state is None or not _BYTES.issuperset(map(type, self.state.values())):
            raise CorruptHistory("a value is no wire form")
        return None


def reason(error: Exception) -> str:
    """Return what an error says, without its advice."""
    text = str(error).split("; ")[0].removesuffix("; run `unspool doctor` on the file")
    return text.removesuffix(" run `unspool doctor` on the file").strip()


ADDED, MODIFIED, DELETED = 0, 1, 2

Changes = dict[str, int]
"""What happened to each atom: `ADDED`, `MODIFIED` or `DELETED`."""


def _has_time_of_file(facts: Facts) -> bool:
    """Whether an entry of a foreign source carries the modification time of its file, for its record names none."""
    meta = facts.extra.get("meta")
    return isinstance(meta, Mapping) and meta.get("time_from") == "file"


class EntryChecks:
    """Looks at entries one after the other and notes what is out of order."""

    def __init__(self, source: ChainedSource, ledger: FindingLog) -> None:
        """Prepare.

        Args:
            source: where states of earlier entries come from.
            ledger: where findings go.
        """
        self._source = source
        self._ledger = ledger
        self._time: int | None = None
        self._certain_from = 0
        self.doubtful: list[tuple[int, int]] = []
        """Entries, as first and last, that a full snapshot after them or their own parent puts in doubt."""

    def visit(self, step: Step) -> None:
        """Check the next entry."""
        if step.fault is not None:
            self._ledger.add(step.fault.code, step.seq, step.last, step.fault.text)
        facts = step.facts
        if facts is None:
            return
        # The time of a file says when it was written last, which no clock of the app has to agree with.
        if not _has_time_of_file(facts):
            if self._time is not None and facts.time_ns < self._time:
                self._ledger.add(Code.CLOCK_BACKWARDS, step.seq, step.seq, "older than the entry before it")
            self._time = facts.time_ns
        self._look_at_marks(step, facts)
        if not facts.changed and step.seq > self._source.first and step.fault is None and not facts.codec.is_note:
            self._ledger.add(Code.NO_OP, step.seq, step.seq, "changed nothing")
        if step.state is not None:
            self._check_content(step, facts)

    def _look_at_marks(self, step: Step, facts: Facts) -> None:
        """Report what an earlier repair left in the meta."""
        meta = facts.extra.get("meta")
        if not isinstance(meta, Mapping):
            return
        if HOLE_META in meta:
            self._ledger.add(Code.HOLE, step.seq, step.seq, "lost before the file was repaired")
        if DOUBT_META in meta:
            self._ledger.add(Code.DOUBTFUL, step.seq, step.seq, "put in doubt when the file was repaired")

    def _check_content(self, step: Step, facts: Facts) -> None:
        seq = step.seq
        told = self._told(step, facts)
        if told is None:
            return
        parent = facts.extra.get("parent", seq - 1)
        if seq and type(parent) is int and 0 <= parent < self._source.first:
            # What it followed was dropped by a bound on the recording, so what it changed cannot be compared.
            self._certain_from = seq
        elif parent == seq - 1:
            self._check_against_previous(step, told)
        elif type(parent) is not int or not 0 <= parent < seq:
            text = f"follows entry {parent!r}, which is no earlier entry"
            self._ledger.add(Code.FORK_WITHOUT_PARENT, seq, seq, text)
            self._mark(seq, seq)
        else:
            self._check_fork(step, told, parent, part_of(facts.extra))

    def _told(self, step: Step, facts: Facts) -> Changes | None:
        """Return what the entry says it changed."""
        names = self._source.names
        try:
            told = {names[item >> KIND_BITS]: item & KIND_MASK for item in facts.changed}
        except KeyError:
            told = {"": KIND_MASK}
        if KIND_MASK in told.values():
            text = "the list of what it changed names an impossible atom or kind"
            self._ledger.add(Code.UNKNOWN_ATOM, step.seq, step.seq, text)
            return None
        return told

    def _check_against_previous(self, step: Step, told: Changes) -> None:
        if step.touched is not None and step.state is not None:
            if told != _written(step.touched, step.state) and not _all_same(told, step.touched, step.state):
                text = "the list of changed atoms differs from what its delta changes"
                self._ledger.add(Code.WRONG_INDEX, step.seq, step.seq, text)
            return
        if step.before is not None and step.state is not None:
            wrong = differing(told, step.before, step.state)
            if wrong:
                self._doubt(step.seq, wrong)
        self._certain_from = step.seq

    def _doubt(self, seq: int, wrong: list[str]) -> None:
        """Between the last full snapshot that fits and this one, something is not as it was recorded."""
        first = min(self._certain_from + 1, seq)
        more = f" and {len(wrong) - 1} more" if len(wrong) > 1 else ""
        text = f"the full snapshot at entry {seq} does not follow from the deltas before it: atom {wrong[0]!r}{more}"
        self._ledger.add(Code.REPLAY_DIFFERS, first, seq, text)
        self._mark(first, seq)

    def _mark(self, first: int, last: int) -> None:
        """Remember entries as doubtful; neighbours are one span, so that many take no room."""
        if self.doubtful and first <= self.doubtful[-1][1] + 1:
            known = self.doubtful[-1]
            self.doubtful[-1] = (min(first, known[0]), max(last, known[1]))
        else:
            self.doubtful.append((first, last))

    def _check_fork(self, step: Step, told: Changes, parent: int, part: tuple[str, ...] | None) -> None:
        seq = step.seq
        if part is None:
            # A fork of all atoms is stored whole.
            self._certain_from = seq
        origin = self._source.state_at(parent)
        before = self._source.state_at(seq - 1) if step.before is None else step.before
        if origin is not None and part is not None:
            origin = None if before is None else fork_base(before, origin, part)
        if origin is None:
            self._ledger.add(Code.FORK_WITHOUT_PARENT, seq, seq, f"follows entry {parent}, which does not read")
        elif step.state is not None and differing(told, origin, step.state):
            fits = before is not None and not differing(told, before, step.state)
            hint = f"it fits entry {seq - 1}" if fits else "it fits neither that nor the one before it"
            text = f"says it follows entry {parent}, but what it changed does not fit: {hint}"
            self._ledger.add(Code.FORK_WRONG_BRANCH, seq, seq, text)
            self._mark(seq, seq)


class ValueChecks:
    """Decodes the values that entries store, each once, as far as a number of bytes goes."""

    def __init__(self, ledger: FindingLog, most: int | None) -> None:
        """Prepare.

        Args:
            ledger: where findings go.
            most: bytes that are decoded in all; None for no bound.
        """
        self._ledger = ledger
        self._left = sys.maxsize if most is None else most
        self.decoded = 0
        """Values that were decoded, or failed to."""
        self.left_out = 0
        """Values that were not looked at."""

    def visit(self, step: Step) -> None:
        """Decode what the next entry stores."""
        state = step.state
        if state is None:
            return
        if step.touched is not None:
            stored = [atom for atom, _ in step.touched if atom in state]
        else:
            before = step.before or {}
            stored = [atom for atom, form in state.items() if before.get(atom) != form]
        for atom in stored:
            form = state[atom]
            if len(form) > self._left:
                self.left_out += 1
                continue
            self._left -= len(form)
            self.decoded += 1
            try:
                decode(form)
            except CorruptHistory as error:
                text = f"the value of atom {atom!r} does not decode ({reason(error)})"
                self._ledger.add(Code.MALFORMED, step.seq, step.seq, text, still_reads="every other value")


def differing(told: Changes, old: EncodedState, new: EncodedState) -> list[str]:
    """Return the atoms for which a list of changes does not say what the two states say."""
    get = old.get
    changed = {atom: MODIFIED if atom in old else ADDED for atom, value in new.items() if get(atom) != value}
    if len(new) - len(old) != sum(kind == ADDED for kind in changed.values()):
        changed.update((atom, DELETED) for atom in old.keys() - new.keys())
    if changed == told:
        return []
    wrong = [atom for atom, kind in changed.items() if told.get(atom) != kind and not _is_same(atom, told, old, new)]
    wrong.extend(atom for atom in told if atom not in changed)
    return wrong


def _is_same(atom: str, told: Changes, old: EncodedState, new: EncodedState) -> bool:
    """Whether an atom that nothing is told of holds the same value in other bytes."""
    return atom not in told and atom in old and atom in new and same_value(old[atom], new[atom])


def _written(touched: Touched, state: EncodedState) -> Changes:
    return {atom: ADDED if old is None else MODIFIED if atom in state else DELETED for atom, old in touched}


def _all_same(told: Changes, touched: Touched, state: EncodedState) -> bool:
    """Whether a delta and its list of changes differ only in atoms whose value stayed the same."""
    written = _written(touched, state)
    old = dict(touched)
    odd = {atom for atom in written.keys() | told.keys() if written.get(atom) != told.get(atom)}
    return all(
        written.get(atom) == MODIFIED and atom not in told and same_value(old[atom] or b"", state[atom])
        for atom in odd
    )


_CODECS: Final = tuple(RecordCodec)
"""Codecs by number; looked up for every entry, and a call of the enumeration takes its time."""
_PREFIXES_KEPT: Final = 2
"""Keyframes held: a block uses the one before it or the next."""


@dataclass(frozen=True, slots=True)
class ReadBlock:
    """What came of reading a block.

    Attributes:
        facts: facts of its entries; None when its metadata does not read.
        records: its records; empty when they do not read.
        fault: why one of them does not read; where it is the metadata, there may be records all the same.
        before: checksum of the entry before its first one; None where its head is damaged.
        after: checksum of its last entry.
    """

    facts: list[Facts] | None = None
    records: tuple[Record, ...] = ()
    fault: Fault | None = None
    before: int | None = None
    after: int | None = None


class BlockReader:
    """Reads blocks of one file."""

    def __init__(self, connection: FileConnection, report: Report) -> None:
        """Prepare; damage that costs no entry is told to `report`."""
        self._connection = connection
        self._report = report
        self._prefixes: BoundedCache[int, zstandard.ZstdDecompressor | Fault] = BoundedCache(_PREFIXES_KEPT)
        self.bytes_read = 0
        """Stored bytes read so far."""

    def read(self, key: BlockKey, stop: int) -> ReadBlock:
        """Read the block that starts at `key.first`; entries from `stop` on belong to the next one."""
        layout = self._connection.layout
        try:
            block = layout.raw_block(self._connection, key.first)
        except sqlite3.DatabaseError as error:
            return ReadBlock(fault=Fault(Code.SQLITE_DAMAGE, f"their block cannot be fetched ({error})"))
        if block is None:
            return ReadBlock(fault=Fault(Code.MISSING_ENTRIES, "in no block and not in the tail"))
        try:
            columns = self._columns_of(key, block)
            facts = [_facts(columns, at) for at in range(min(key.count, stop - key.first))]
        except (CorruptHistory, IndexError, ValueError, TypeError, AttributeError) as error:
            text = f"the metadata of their block is damaged ({reason(error)})"
            return self._without_facts(key, stop, block, Fault(Code.CHECKSUM, _without_place(text)))
        self.bytes_read += sum(len(part) for part in (block.columns, block.records) if isinstance(part, bytes))
        head = self._checked_head(block, columns)
        if head is None:
            return ReadBlock(facts, fault=Fault(Code.CHECKSUM, "the head of their block is damaged"))
        if block.records is None:
            fault = Fault(Code.MISSING_RECORDS, "the records of their block are missing")
            return ReadBlock(facts, (), fault, head.before, head.after)
        read = self._records_of(block, columns.codecs)
        if isinstance(read, Fault):
            return ReadBlock(facts, (), read, head.before, head.after)
        return ReadBlock(facts, read, None, head.before, head.after)

    def _without_facts(self, key: BlockKey, stop: int, block: RawBlock, fault: Fault) -> ReadBlock:
        """Return what there is of a block without its metadata: records that tell by themselves how they are read."""
        head = block.head
        if not self._connection.layout.is_sound(block, head) or head.entries != key.count:
            return ReadBlock(fault=fault)
        records = self._records_of(block, None)
        if isinstance(records, Fault):
            return ReadBlock(None, (), fault, head.before, head.after)
        told = Fault(fault.code, f"{fault.text}; the states read, when and why they came about is lost")
        return ReadBlock(None, records[: stop - key.first], told, head.before, head.after)

    def _columns_of(self, key: BlockKey, block: RawBlock) -> BlockColumns:
        """Return the metadata of a block, from its span where that holds it.

        Raises:
            CorruptHistory: it is damaged.
        """
        layout, connection = self._connection.layout, self._connection
        if block.columns is None:
            return layout.columns(connection, key.first, key.count)
        layout.check_parts(block, records=False)
        own = blocks.decode_columns(key.first, key.count, _blob(block.columns))
        try:
            folded = layout.folded_columns(connection, key.first, key.count)
        except CorruptHistory as error:
            last = key.first + key.count - 1
            self._report(
                Code.WRONG_INDEX, key.first, last, f"their span is damaged ({reason(error)}), and they are not"
            )
            return own
        if folded is not None and folded.facts != own.facts:
            last = key.first + key.count - 1
            self._report(Code.WRONG_INDEX, key.first, last, "their block and its span tell different things")
        return own if folded is None else folded

    def _checked_head(self, block: RawBlock, columns: BlockColumns) -> BlockHead | None:
        """Return what the head of a block should be; None where what it says of its records is not certain."""
        first, last = block.head.first, block.head.first + len(columns.times) - 1
        start_ns, end_ns, atoms = min(columns.times), max(columns.times), blocks.atoms_bitmap(columns.changed)
        if (block.head.start_ns, block.head.end_ns) != (start_ns, end_ns):
            self._report(Code.WRONG_INDEX, first, last, "their block tells a wrong range of times")
        if block.head.atoms != atoms:
            self._report(Code.WRONG_INDEX, first, last, "their block tells wrongly which atoms it names")
        head = block.head._replace(entries=len(columns.times), start_ns=start_ns, end_ns=end_ns, atoms=atoms)
        return head if self._connection.layout.is_sound(block, head) else None

    def _records_of(self, block: RawBlock, codecs: Sequence[int] | None) -> tuple[Record, ...] | Fault:
        """Return the records of a block, or why they do not read; `codecs` are those of its metadata, where it reads."""
        layout, first = self._connection.layout, block.head.first
        prefix = self._prefix(block.head.segment)
        if isinstance(prefix, Fault):
            return prefix
        count = block.head.entries if codecs is None else len(codecs)
        try:
            layout.check_parts(block, records=True)
            plain = blocks.decompress(_blob(block.records), first, prefix)
            packed = layout.unpack_records(first, count, codecs, plain)
            return tuple(map(Record, map(_CODECS.__getitem__, packed.codecs), packed.payloads))
        except (CorruptHistory, IndexError, ValueError, TypeError) as error:
            text = f"the records of their block are damaged ({reason(error)})"
            return Fault(Code.CHECKSUM, _without_place(text))

    def _prefix(self, segment: object) -> zstandard.ZstdDecompressor | Fault:
        if type(segment) is not int:
            return Fault(Code.MISSING_KEYFRAME, "their block names no segment")
        known = self._prefixes.get(segment)
        if known is None:
            known = self._load_prefix(segment)
            self._prefixes.put(segment, known)
        return known

    def _load_prefix(self, segment: int) -> zstandard.ZstdDecompressor | Fault:
        try:
            size = self._connection.execute("SELECT size FROM segment WHERE id = ?", (segment,)).fetchone()
            if size is None:
                return Fault(Code.MISSING_KEYFRAME, f"the keyframe of segment {segment} is missing")
            data = _blob(self._connection.layout.keyframe(self._connection, segment, 0))
            plain = blocks.decompress(data, 0)
        except (sqlite3.DatabaseError, CorruptHistory, TypeError) as error:
            return Fault(Code.CHECKSUM, _without_place(f"the keyframe of segment {segment} is damaged ({error})"))
        self.bytes_read += len(data)
        if size[0] != len(data):
            self._report(Code.WRONG_INDEX, None, None, f"segment {segment} tells a wrong size of its keyframe")
        return blocks.decompressor(blocks.raw_prefix(plain))


def _blob(value: object) -> bytes:
    if not isinstance(value, bytes):
        raise TypeError(f"a {type(value).__name__} stands where bytes belong")
    return value


def _facts(columns: BlockColumns, at: int) -> Facts:
    return Facts(
        columns.times[at], _CODECS[columns.codecs[at]], columns.actions[columns.action_of[at]],
        columns.postings(at), columns.extras.get(at, {}), columns.stored[at], columns.full[at],
    )  # fmt: skip


def _without_place(text: str) -> str:
    """Drop the name of the block, so that neighbours can be reported as one."""
    return text.split("; `unspool")[0] if "; `unspool" in text else text
