"""Replaying one atom of a run: what was asked is read, the rest of the state stays as bytes."""

from __future__ import annotations

from unspool.codec.records import apply_form, are_key_wise, items_of_chain, raw_items, replay_items
from unspool.codec.replay import Run
from unspool.errors import CorruptHistory


def stands_apart(run: Run, seq: int) -> bool:
    """Say whether an entry's atoms stand apart in its records; compressed and binary ones hold states whole."""
    place = seq - run.first
    start = run.records.full_at_or_before(place)
    return start >= 0 and are_key_wise(run.records.codecs, start, place)


def replay_atom(run: Run, seq: int, number: int, atom: str) -> bytes | None:
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
