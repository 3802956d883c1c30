"""Records: what one entry stores, as bytes, and their replay from a full one to the state at an entry.

A full record is a flat msgpack list `atom, value, atom, value, ...`; a delta record is `atom, form, payload, ...`.
Atoms are small integers that the store interns; values are wire forms kept as binary.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import IntEnum
from typing import Any, Final, Protocol, Self, overload

import msgspec

from unspool.codec import state_codec
from unspool.delta.patch import apply_patch, make_patch, patch_work
from unspool.errors import BrokenChain, CorruptHistory, DeltaCompressionError
from unspool.model.entries import ChangeKind, EntryKind


class Form(IntEnum):
    """How a changed atom is written."""

    ADDED = 0
    VALUE = 1
    PATCH = 2
    DELETED = 3


class AtomWrite(msgspec.Struct, frozen=True, gc=False):
    """One atom's part of a delta.

    Attributes:
        atom: its name.
        form: how it is written.
        payload: the wire form (`ADDED`, `VALUE`), a byte patch (`PATCH`), or nothing (`DELETED`).
    """

    atom: str
    form: Form
    payload: bytes = b""

    @property
    def kind(self) -> ChangeKind:
        """What happened to the atom."""
        return _KINDS[self.form]


_KINDS: Final = {
    Form.ADDED: ChangeKind.ADDED,
    Form.VALUE: ChangeKind.MODIFIED,
    Form.PATCH: ChangeKind.MODIFIED,
    Form.DELETED: ChangeKind.DELETED,
}

_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final[Callable[[bytes], list[Any]]] = msgspec.msgpack.Decoder(list[int | bytes]).decode
_decode_all: Final[Callable[[bytes], list[list[Any]]]] = msgspec.msgpack.Decoder(list[list[int | bytes]]).decode


def write_atoms(old: Mapping[str, bytes], new: Mapping[str, bytes]) -> list[AtomWrite]:
    """Return the writes that turn one state, given as wire forms by atom, into another.

    A modified atom is written as a patch where that is smaller than its value.
    """
    writes = [AtomWrite(atom, Form.DELETED) for atom in old if atom not in new]
    for atom, value in new.items():
        known = old.get(atom)
        if known is None:
            writes.append(AtomWrite(atom, Form.ADDED, value))
        elif known != value:
            writes.append(write_atom(atom, known, value))
    return writes


def write_atom(atom: str, old: bytes, new: bytes) -> AtomWrite:
    """Return the smaller way to write a modified atom."""
    return as_written(atom, new, make_patch(old, new))


def as_written(atom: str, new: bytes, patch: bytes | None) -> AtomWrite:
    """Return a modified atom written as a patch, or as its value where there is no patch."""
    return AtomWrite(atom, Form.VALUE, new) if patch is None else AtomWrite(atom, Form.PATCH, patch)


def apply_write(state: dict[str, bytes], write: AtomWrite) -> None:
    """Apply one write to a state in place.

    Raises:
        BrokenChain: the state has no such atom to change, or has one already.
        CorruptHistory: the patch does not fit.
    """
    known = state.get(write.atom)
    if (known is None) is not (write.form is Form.ADDED):
        raise _misfit(write.atom, known)
    if write.form is Form.DELETED:
        del state[write.atom]
    elif write.form is Form.PATCH and known is not None:
        state[write.atom] = apply_patch(known, write.payload)
    else:
        state[write.atom] = write.payload


def encode_delta(writes: Iterable[AtomWrite], intern: Callable[[str], int]) -> bytes:
    """Return the record of a delta.

    Args:
        writes: the atoms' parts.
        intern: gives an atom's number.
    """
    items: list[int | bytes] = []
    for write in writes:
        items += (intern(write.atom), int(write.form), write.payload)
    return _encode(items)


def decode_delta(record: bytes, name: Callable[[int], str]) -> list[AtomWrite]:
    """Read the record of a delta.

    Args:
        record: bytes as `encode_delta` wrote them.
        name: gives the name of an atom's number.

    Raises:
        CorruptHistory: the bytes are no delta record.
    """
    items = raw_items(record, 3)
    try:
        return [AtomWrite(name(items[at]), Form(items[at + 1]), items[at + 2]) for at in range(0, len(items), 3)]
    except (KeyError, IndexError, ValueError, TypeError) as error:
        raise CorruptHistory(f"a delta record is malformed ({error!r}); run `unspool doctor` on the file") from None


def replay_delta(
    state: dict[str, bytes], record: bytes, name: Callable[[int], str], undo: list[tuple[str, bytes | None]] | None
) -> None:
    """Apply the record of a delta to a state in place: `decode_delta` and `apply_write` without objects between.

    Args:
        state: the state the delta stands on, as wire forms by atom.
        record: bytes as `encode_delta` wrote them.
        name: gives the name of an atom's number.
        undo: where each atom's earlier wire form is noted, in order, if it is wanted.

    Raises:
        BrokenChain: the delta does not fit the state.
        CorruptHistory: the bytes are no delta record.
    """
    items = iter(raw_items(record, 3))
    try:
        for number, form, payload in zip(items, items, items, strict=False):
            atom = name(number)
            known = state.get(atom)
            if (known is None) is not (form == _ADDED):
                raise _misfit(atom, known)
            if undo is not None:
                undo.append((atom, known))
            if form == _PATCH:
                state[atom] = apply_patch(known, payload)  # type: ignore[arg-type]
            elif form == _DELETED:
                del state[atom]
            elif form in (_VALUE, _ADDED):
                state[atom] = payload
            else:
                raise CorruptHistory(f"a delta record has the unknown form {form}; run `unspool doctor` on the file")
    except (KeyError, TypeError) as error:
        raise CorruptHistory(f"a delta record is malformed ({error!r}); run `unspool doctor` on the file") from None


def apply_form(atom: str, known: bytes | None, form: int, payload: bytes) -> bytes | None:
    """Return an atom's wire form after one write of a delta record, or None where that deletes it.

    Args:
        atom: its name, for messages.
        known: its wire form before; None where the state has no such atom.
        form: how it is written, as `Form` numbers it.
        payload: what is written.

    Raises:
        BrokenChain: the write does not fit.
        CorruptHistory: the form is unknown, or the patch does not fit.
    """
    if (known is None) is not (form == _ADDED):
        raise _misfit(atom, known)
    if form == _PATCH and known is not None:
        return apply_patch(known, payload)
    if form == _DELETED:
        return None
    if form in (_VALUE, _ADDED):
        return payload
    raise CorruptHistory(f"a delta record has the unknown form {form}; run `unspool doctor` on the file")


_ADDED, _VALUE, _PATCH, _DELETED = int(Form.ADDED), int(Form.VALUE), int(Form.PATCH), int(Form.DELETED)


def _misfit(atom: str, known: bytes | None) -> BrokenChain:
    problem = "is missing from" if known is None else "is already in"
    return BrokenChain(f"atom {atom!r} {problem} the state that a delta stands on; run `unspool doctor`")


def items_of_chain(records: PackedRecords, start: int, place: int) -> tuple[list[Any], list[list[Any]]] | None:
    """Return the flat lists that a full record and the deltas after it are, decoded in one go.

    Args:
        records: the records of a run.
        start: place of the full one.
        place: place of the last delta.

    Returns:
        The list of the full record, and those of the deltas; None where they do not lie together, or one is damaged.
    """
    payloads, codecs = records.payloads, records.codecs
    if not isinstance(payloads, Slices) or not are_key_wise(codecs, start, place):
        return None
    count = place - start
    try:
        full = _decode(payloads[start])
        # Records are lists already: with a header before them they are a list of lists.
        header = b"\xdd" + count.to_bytes(4, "big")
        deltas = _decode_all(header + payloads.joined(start + 1, place + 1)) if count else []
    except msgspec.DecodeError:
        return None
    if len(full) % 2 or not {len(items) % 3 for items in deltas} <= {0}:
        return None
    return full, deltas


def replay_items(full: list[Any], deltas: list[list[Any]]) -> dict[int, bytes] | None:
    """Return the state that a full record and its deltas make, as wire forms by atom number; None where one does not fit.

    Args:
        full: the full record as a flat list.
        deltas: the deltas, in order.
    """
    state: dict[int, bytes] = dict(zip(full[0::2], full[1::2], strict=True))
    try:
        for items in deltas:
            steps = iter(items)
            for number, form, payload in zip(steps, steps, steps, strict=True):
                if form == _PATCH:
                    state[number] = apply_patch(state[number], payload)
                elif (number in state) is (form == _ADDED):
                    return None
                elif form == _DELETED:
                    del state[number]
                elif form in (_VALUE, _ADDED):
                    state[number] = payload
                else:
                    return None
    except (KeyError, TypeError, CorruptHistory):
        return None
    return state


def encode_full(state: Mapping[str, bytes | memoryview], intern: Callable[[str], int]) -> bytes:
    """Return the record of a full snapshot, given as wire forms by atom."""
    items: list[int | bytes | memoryview] = [0] * (2 * len(state))
    items[::2] = map(intern, state)
    items[1::2] = state.values()
    return _encode(items)


def decode_full(record: bytes, name: Callable[[int], str]) -> dict[str, bytes]:
    """Read the record of a full snapshot.

    Raises:
        CorruptHistory: the bytes are no full record.
    """
    items = raw_items(record, 2)
    try:
        return dict(zip(map(name, items[0::2]), items[1::2], strict=True))
    except (KeyError, IndexError, TypeError) as error:
        raise CorruptHistory(f"a full record is malformed ({error!r}); run `unspool doctor` on the file") from None


def raw_items(record: bytes, width: int) -> list[Any]:
    """Return the flat list a record is, checked for whole groups of `width` only.

    Raises:
        CorruptHistory: the bytes are no record.
    """
    try:
        items = _decode(record)
    except msgspec.DecodeError as error:
        raise CorruptHistory(f"a record does not decode ({error}); run `unspool doctor` on the file") from None
    if len(items) % width:
        raise CorruptHistory("a record ends early; run `unspool doctor` on the file")
    return items


class RecordCodec(IntEnum):
    """How a record's payload is to be read; a number never changes its meaning (files hold it).

    Attributes:
        kind: the kind of an entry that is recorded so.
        is_full: whether the record holds the whole state.
        is_note: whether the entry is a note.
    """

    # Plain attributes: properties of an enum cost more than all else that is read of an entry.
    kind: EntryKind
    is_full: bool
    is_note: bool

    def __new__(cls, number: int, kind: EntryKind = EntryKind.DELTA, is_full: bool = False) -> Self:
        """Make a member; a delta where nothing is said of it."""
        member = int.__new__(cls, number)
        member._value_ = number
        member.kind, member.is_full, member.is_note = kind, is_full, kind is EntryKind.NOTE
        return member

    DICT = 0
    NONE = 1, EntryKind.FULL, True
    COMPRESS = 2, EntryKind.FULL, True
    BINARY = 3
    NOTE = 4, EntryKind.NOTE
    """A note: its state is that of the entry before it; the payload is an empty list."""
    NOTE_FULL = 5, EntryKind.NOTE, True
    """A note that no entry stands before, so that it brings the state, as `NONE` writes it."""


class Record(msgspec.Struct, frozen=True, gc=False):
    """One entry's stored content.

    Attributes:
        codec: how the payload is read.
        payload: its bytes.
    """

    codec: RecordCodec
    payload: bytes


def note_record(state: Mapping[str, bytes] | None, intern: Callable[[str], int]) -> Record:
    """Return the record of a note.

    Args:
        state: the state at it, where no entry stands before it; None where that of the entry before is meant.
        intern: gives an atom's number.
    """
    if state is None:
        return Record(RecordCodec.NOTE, _NOTHING)
    return Record(RecordCodec.NOTE_FULL, encode_full(state, intern))


def are_key_wise(codecs: Sequence[int], start: int, place: int) -> bool:
    """Whether a record is a plain full one, and those after it up to a place deltas of atoms, or notes."""
    between = codecs[start + 1 : place + 1]
    return codecs[start] in _PLAIN_FULL and not (any(between) and any(map(_UNLIKE_DELTAS.__getitem__, between)))


def renumbered(record: Record, number: Callable[[int], int]) -> Record:
    """Return a record for a store that has other numbers for the same atoms.

    Args:
        record: the record.
        number: gives an atom's number there by its number here.

    Raises:
        CorruptHistory: the bytes are no record.
    """
    width = WIDTHS.get(record.codec)
    if width is None:
        return record
    items = raw_items(record.payload, width)
    ours = items[::width]
    theirs = list(map(number, ours))
    if theirs == ours:
        return record
    items[::width] = theirs
    return Record(record.codec, _encode(items))


class Slices(Sequence[bytes]):
    """Parts of one byte string, cut out when they are asked for: of a run, few records are ever looked at."""

    __slots__ = ("data", "ends")

    def __init__(self, data: bytes, ends: Sequence[int]) -> None:
        """Take where parts end in `data`; the first number is where the first one starts."""
        self.data = data
        self.ends = ends

    def __len__(self) -> int:
        return len(self.ends) - 1

    @overload
    def __getitem__(self, place: int) -> bytes: ...
    @overload
    def __getitem__(self, place: slice) -> list[bytes]: ...
    def __getitem__(self, place: int | slice) -> bytes | list[bytes]:
        if isinstance(place, slice):
            return [self[at] for at in range(*place.indices(len(self)))]
        if place < 0:
            place += len(self.ends) - 1
        return self.data[self.ends[place] : self.ends[place + 1]]

    def joined(self, start: int, stop: int) -> bytes:
        """Return parts `start` to `stop - 1` in a row."""
        return self.data[self.ends[start] : self.ends[stop]]


class PackedRecords(Sequence[Record]):
    """Records in a row as their two columns: a run is read far more often than each of its records is looked at.

    Attributes:
        codecs: how each payload is read, as `RecordCodec` numbers it.
        payloads: their bytes.
    """

    __slots__ = ("codecs", "payloads")

    def __init__(self, codecs: Sequence[int], payloads: Sequence[bytes]) -> None:
        """Take over two columns of the same length."""
        self.codecs = codecs
        self.payloads = payloads

    @classmethod
    def of(cls, records: Iterable[Record]) -> Self:
        """Pack records."""
        kept = list(records)
        return cls([record.codec for record in kept], [record.payload for record in kept])

    def __len__(self) -> int:
        return len(self.payloads)

    @overload
    def __getitem__(self, place: int) -> Record: ...
    @overload
    def __getitem__(self, place: slice) -> PackedRecords: ...
    def __getitem__(self, place: int | slice) -> Record | PackedRecords:
        if isinstance(place, slice):
            return PackedRecords(self.codecs[place], self.payloads[place])
        return Record(RecordCodec(self.codecs[place]), self.payloads[place])

    def full_at_or_before(self, place: int) -> int:
        """Return the place of the nearest full record at or before one, or -1 where there is none."""
        while place >= 0 and self.codecs[place] not in FULL_CODECS:
            place -= 1
        return place


_FEW_BYTES: Final = 256
"""Of a delta: it has too few steps to be worth counting."""


def patch_steps(record: Record) -> int:
    """Return how many steps the byte patches of a delta take when they are applied; 0 for a small one."""
    if record.codec is not RecordCodec.DICT or len(record.payload) <= _FEW_BYTES:
        return 0
    items = raw_items(record.payload, 3)
    return sum(patch_work(patch) for form, patch in zip(items[1::3], items[2::3], strict=True) if form == _PATCH)


_NOTHING: Final = _encode([])
WIDTHS: Final = {RecordCodec.DICT: 3, RecordCodec.NONE: 2, RecordCodec.NOTE_FULL: 2}
"""Items that a record spends on each atom, by codec; those of other codecs are no flat lists of atoms."""
_PLAIN_FULL: Final = (RecordCodec.NONE, RecordCodec.NOTE_FULL)
_UNLIKE_DELTAS: Final = bytes(code not in (RecordCodec.DICT, RecordCodec.NOTE) for code in range(256))
FULL_CODECS: Final = tuple(int(codec) for codec in RecordCodec if codec.is_full)
"""The codecs whose records hold the whole state."""


class RunOfRecords(Protocol):
    """Records in a row, the first of which is full."""

    @property
    def first(self) -> int:
        """Number of the first entry."""

    @property
    def records(self) -> PackedRecords:
        """Their records."""


def replay(run: RunOfRecords, seq: int, name: Callable[[int], str]) -> dict[str, bytes]:
    """Return the state at an entry of a run, as wire forms by atom.

    Args:
        run: records that hold the entry.
        seq: the entry's number.
        name: gives the name of an atom's number.

    Raises:
        CorruptHistory: a record on the way is damaged; names its entry.
    """
    place = seq - run.first
    start = run.records.full_at_or_before(place)
    if start < 0:
        raise BrokenChain(f"entry {run.first} starts a run but is not full; run `unspool doctor`", seq=run.first)
    chain = items_of_chain(run.records, start, place)
    numbered = None if chain is None else replay_items(*chain)
    if numbered is not None:
        try:
            return dict(zip(map(name, numbered), numbered.values(), strict=True))
        except (KeyError, TypeError):
            # Which entry names an unknown atom comes out below.
            pass
    state: dict[str, bytes] = {}
    for at in range(start, place + 1):
        state = apply_record(state, run.records[at], name, run.first + at)
    return state


def apply_record(state: dict[str, bytes], record: Record, name: Callable[[int], str], seq: int) -> dict[str, bytes]:
    """Return the state after a record; `state` itself may be changed and reused.

    Raises:
        CorruptHistory: the record is damaged or does not fit; names the entry.
    """
    try:
        match record.codec:
            case RecordCodec.DICT | RecordCodec.NOTE:
                replay_delta(state, record.payload, name, None)
                return state
            case RecordCodec.NONE | RecordCodec.NOTE_FULL:
                return decode_full(record.payload, name)
            case RecordCodec.COMPRESS:
                return state_codec.decode_full(record.payload)
            case RecordCodec.BINARY:
                return state_codec.apply_binary_delta(state, record.payload)
    except CorruptHistory as error:
        if error.seq is not None:
            raise
        raise type(error)(f"entry {seq}: {error}", seq=seq) from None
    except DeltaCompressionError as error:
        raise CorruptHistory(f"entry {seq}: {error}", seq=seq) from None


def stands_apart(run: RunOfRecords, seq: int) -> bool:
    """Whether an entry's atoms stand apart in its records; compressed and binary ones hold states whole."""
    place = seq - run.first
    start = run.records.full_at_or_before(place)
    return start >= 0 and are_key_wise(run.records.codecs, start, place)


def replay_atom(run: RunOfRecords, seq: int, number: int, atom: str) -> bytes | None:
    """Return an atom's wire form at an entry of a run, or None where the state has no such atom.

    Args:
        run: records that hold the entry, whose atoms stand apart.
        seq: the entry's number.
        number: the atom's number.
        atom: its name, for messages.

    Raises:
        CorruptHistory: a record on the way is damaged; names its entry.
    """
    place = seq - run.first
    start = at = run.records.full_at_or_before(place)
    chain = items_of_chain(run.records, start, place)
    if chain is not None:
        kept = [
            [number, *items[3 * at + 1 : 3 * at + 3]]
            for items in chain[1]
            if number in (numbers := items[0::3])
            for at in (numbers.index(number),)
        ]
        numbers = chain[0][0::2]
        full = [number, chain[0][2 * numbers.index(number) + 1]] if number in numbers else []
        found = replay_items(full, kept)
        if found is not None:
            return found.get(number)
    payloads = run.records.payloads
    try:
        items = raw_items(payloads[start], 2)
        numbers = items[0::2]
        value: bytes | None = items[2 * numbers.index(number) + 1] if number in numbers else None
        for at in range(start + 1, place + 1):
            items = raw_items(payloads[at], 3)
            numbers = items[0::3]
            if number in numbers:
                where = 3 * numbers.index(number)
                value = apply_form(atom, value, items[where + 1], items[where + 2])
    except TypeError as error:
        text = f"entry {run.first + at}: a record is malformed ({error!r}); run `unspool doctor` on the file"
        raise CorruptHistory(text, seq=run.first + at) from None
    except CorruptHistory as error:
        raise type(error)(f"entry {run.first + at}: {error}", seq=run.first + at) from None
    return value
