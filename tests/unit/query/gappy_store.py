"""A history some entries of which cannot be read, at random: the states in memory, with holes put over them."""

from __future__ import annotations

from collections.abc import Iterator

from question_histories import Told

from unspool.codec.records import PackedRecords
from unspool.errors import CorruptHistory
from unspool.history import History
from unspool.model.entries import ChangeKind, Entry
from unspool.recorder import Recorder
from unspool.store import MemoryStore
from unspool.store.protocol import RecordRun


class GappyStore(MemoryStore):
    """A store whose holes raise, as a damaged block does; every entry is stored whole, so that no other one suffers.

    Attributes:
        holes: entries whose states cannot be read.
        deep: what they changed cannot be read either.
    """

    def __init__(self) -> None:
        super().__init__("gappy.unspool")
        self.holes: frozenset[int] = frozenset()
        self.deep = False

    def run(self, seq: int) -> RecordRun:
        self._check(seq)
        run = super().run(seq)
        return RecordRun(seq, PackedRecords.of([run.records[seq - run.first]]))

    def entries(self, start: int, stop: int) -> list[Entry]:
        return super().entries(start, stop)

    def changed(self, seq: int) -> tuple[tuple[str, ChangeKind], ...]:
        if self.deep:
            self._check(seq)
        return super().changed(seq)

    def writes(self, atom: str, start: int, stop: int, *, backwards: bool = False) -> Iterator[int]:
        if self.deep:
            for seq in range(max(start, 0), min(stop, len(self))):
                self._check(seq)
        return super().writes(atom, start, stop, backwards=backwards)

    def _check(self, seq: int) -> None:
        if seq in self.holes:
            raise CorruptHistory(f"entry {seq} is damaged", seq=seq)


def with_holes(told: Told, holes: frozenset[int], *, deep: bool) -> Told:
    """Record the same states again, with holes."""
    store = GappyStore()
    with Recorder(store, on_error="raise", codec="none") as recorder:
        for seq, (state, parent) in enumerate(zip(told.states, told.parents, strict=True)):
            recorder.record(
                state, told.actions[seq], timestamp_ns=seq, parent_seq=None if parent == seq - 1 else parent
            )
    store.holes, store.deep = holes, deep
    return Told(History(store), told.states, told.parents, told.actions)
