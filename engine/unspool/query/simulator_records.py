"""The records a codec would write for a sample, each made once and timed."""

from __future__ import annotations

import time
from collections.abc import Sequence

from unspool.codec import state_codec
from unspool.codec.records import AtomWrite, Form, Record, RecordCodec, encode_delta, encode_full, write_atom
from unspool.codec.strategies import DeltaStrategy
from unspool.model.entries import ChangeKind
from unspool.query.simulator_sample import EncodedState, SampleEntry

Changed = list[tuple[int, ChangeKind]]


class Differences:
    """What changed from each sampled entry to the next; the same for every codec."""

    def __init__(self, entries: Sequence[SampleEntry]) -> None:
        """Compare neighbours."""
        self.entries = entries
        self.names = list(dict.fromkeys(atom for entry in entries for atom in entry.state))
        self.numbers = {name: number for number, name in enumerate(self.names)}
        self._changed: list[list[tuple[str, ChangeKind]]] = []
        before: EncodedState = {}
        for entry in entries:
            self._changed.append(_changes({} if entry.begins else before, entry.state))
            before = entry.state

    def before(self, place: int) -> EncodedState | None:
        """Return the state that an entry's delta stands on; None where it begins a window."""
        return None if self.entries[place].begins else self.entries[place - 1].state

    def atoms(self, place: int) -> list[tuple[str, ChangeKind]]:
        """Return the atoms an entry changed."""
        return self._changed[place]


class RecordMaker:
    """Makes the records of one codec."""

    def __init__(self, codec: DeltaStrategy, differences: Differences) -> None:
        """Prepare; deltas are made when they are asked for first and kept."""
        self._codec = codec
        self._differences = differences
        self._deltas: dict[int, tuple[Record | None, float]] = {}

    @property
    def names(self) -> list[str]:
        """All atoms, in the order of their numbers."""
        return self._differences.names

    def changed(self, place: int) -> Changed:
        """Return number and kind of each atom that an entry changed."""
        numbers = self._differences.numbers
        return [(numbers[atom], kind) for atom, kind in self._differences.atoms(place)]

    def delta(self, place: int) -> tuple[Record | None, float]:
        """Return the delta of an entry and the microseconds it took; None where the codec stores states whole."""
        known = self._deltas.get(place)
        if known is None:
            started = time.perf_counter_ns()
            record = self._make_delta(place)
            known = self._deltas[place] = record, (time.perf_counter_ns() - started) / 1000
        return known

    def _make_delta(self, place: int) -> Record | None:
        before, after = self._differences.before(place), self._differences.entries[place]
        if before is None or self._codec in (DeltaStrategy.COMPRESS, DeltaStrategy.NONE):
            return None
        if self._codec is DeltaStrategy.BINARY:
            return Record(RecordCodec.BINARY, state_codec.binary_delta(before, after.state))
        writes = [_write(atom, before, after.state) for atom, _ in self._differences.atoms(place)]
        record = Record(RecordCodec.DICT, encode_delta(writes, self._differences.numbers.__getitem__))
        # As the recorder's own choice of codec does: a delta no smaller than its state only makes reading slower.
        is_larger = self._codec is DeltaStrategy.AUTO and len(record.payload) >= after.size
        return None if is_larger else record

    def full(self, place: int) -> tuple[Record, float]:
        """Return an entry's whole state as a record, and the microseconds it took."""
        state = self._differences.entries[place].state
        started = time.perf_counter_ns()
        if self._codec is DeltaStrategy.COMPRESS:
            record = Record(RecordCodec.COMPRESS, state_codec.compress_full(state))
        else:
            record = Record(RecordCodec.NONE, encode_full(state, self._differences.numbers.__getitem__))
        return record, (time.perf_counter_ns() - started) / 1000


def _write(atom: str, old: EncodedState, new: EncodedState) -> AtomWrite:
    before, after = old.get(atom), new.get(atom)
    if after is None:
        return AtomWrite(atom, Form.DELETED)
    return AtomWrite(atom, Form.ADDED, after) if before is None else write_atom(atom, before, after)


def _changes(old: EncodedState, new: EncodedState) -> list[tuple[str, ChangeKind]]:
    found = [(atom, ChangeKind.DELETED) for atom in old if atom not in new]
    for atom, value in new.items():
        known = old.get(atom)
        if known is None:
            found.append((atom, ChangeKind.ADDED))
        elif known is not value and known != value:
            found.append((atom, ChangeKind.MODIFIED))
    return found
