"""What a repaired file holds for an entry: its record, what it changed, or the hole in its place."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from unspool.codec import state_codec
from unspool.codec.binary_patch import binary_available
from unspool.codec.records import Record, RecordCodec, encode_delta, encode_full, note_record, write_atoms
from unspool.model import wire
from unspool.model.entries import HOLE_ATOM
from unspool.model.values import Value
from unspool.query.doctor_checks import ADDED, DELETED, MODIFIED, Changes
from unspool.query.doctor_steps import EncodedState, Facts, Fault, Names
from unspool.store.blocks import CHANGE_KINDS, KIND_BITS

_NAMED: Final = 1000
"""Changed atoms that a hole names."""


def with_mark(state: EncodedState, seq: int, fault: Fault) -> EncodedState:
    """Return the state that stands at a hole: the last known one, and an atom that says so."""
    return hole_in(state, seq, f"{fault.code.value}: {fault.text}")


def hole_in(state: Mapping[str, bytes], seq: int, why: str) -> dict[str, bytes]:
    """Return the state that stands for an entry that is missing, from the last one known before it."""
    return {**state, HOLE_ATOM: wire.encode({"lost entry": seq, "why": why})}


def told_changes(facts: Facts, names: Names) -> Changes:
    """Return what an entry says it changed."""
    return {names.get(item >> KIND_BITS, ""): item & 3 for item in facts.changed}


def changes_of(old: EncodedState, new: EncodedState) -> Changes:
    """Return what turns one state into another, in the order a recorder would list it."""
    changes = {atom: DELETED for atom in old if atom not in new}
    for atom, value in new.items():
        known = old.get(atom)
        if known is None:
            changes[atom] = ADDED
        elif known != value:
            changes[atom] = MODIFIED
    return changes


def lost_changes(facts: Facts, names: Names) -> dict[str, Value]:
    """Return, for the meta of a hole, what is known of the lost entry's changes."""
    found: dict[str, Value] = {kind.value: [] for kind in CHANGE_KINDS}
    for item in facts.changed[:_NAMED]:
        if item & 3 < len(CHANGE_KINDS):
            found[CHANGE_KINDS[item & 3].value].append(names.get(item >> KIND_BITS, ""))
    return found


def kept_record(
    record: Record, codec: RecordCodec, old: EncodedState | None, new: EncodedState, intern: Callable[[str], int]
) -> Record:
    """Return the record of an intact entry as it was recorded.

    Args:
        record: as the damaged file holds it: the first of a block stands whole there, whatever it was recorded as.
        codec: how it was recorded.
        old: the state before it in the new file; None when there is none to stand on.
        new: its state.
        intern: gives an atom's number.
    """
    if record.codec is codec and (codec.is_full or old is not None):
        return record
    if codec.is_note:
        return note_record(new if codec.is_full or old is None else None, intern)
    if codec is RecordCodec.COMPRESS:
        return Record(codec, state_codec.compress_full(new))
    if codec.is_full or old is None:
        return Record(RecordCodec.NONE, encode_full(new, intern))
    if codec is RecordCodec.BINARY and binary_available():
        return Record(codec, state_codec.binary_delta(old, new))
    return Record(RecordCodec.DICT, encode_delta(write_atoms(old, new), intern))


def hole_record(old: EncodedState | None, new: EncodedState, intern: Callable[[str], int]) -> Record:
    """Return the record of a hole."""
    if old is None:
        return Record(RecordCodec.NONE, encode_full(new, intern))
    return Record(RecordCodec.DICT, encode_delta(write_atoms(old, new), intern))
