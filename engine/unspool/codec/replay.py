"""Replaying records: from a run that starts with a full one to the state at an entry."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from unspool.codec import state_codec
from unspool.codec.records import (
    PackedRecords,
    Record,
    RecordCodec,
    apply_form,
    are_key_wise,
    decode_full,
    items_of_chain,
    raw_items,
    replay_delta,
    replay_items,
)
from unspool.errors import BrokenChain, CorruptHistory, DeltaCompressionError


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
            return {name(number): value for number, value in numbered.items()}
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
