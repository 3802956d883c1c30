"""A history that lives in memory only."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator

from unspool.codec.records import PackedRecords, Record
from unspool.errors import EntryNotFound
from unspool.model.entries import NO_META, ChangeKind, Entry, usual_id
from unspool.store.protocol import Columns, Draft, RecordRun
from unspool.store.recordings import empty_tally


class MemoryStore:
    """Entries in lists; for tests, for looking at small foreign histories, and as the model of `FileStore`."""

    def __init__(self, name: str = "memory", history_id: str | None = None) -> None:
        """Make an empty store.

        Args:
            name: what people call it.
            history_id: its identity; random when None.
        """
        self.name = name
        self.takes_frames = True
        self.history_id = os.urandom(4).hex() if history_id is None else history_id
        self._entries: list[Entry] = []
        self._records: list[Record] = []
        self._changed: list[tuple[tuple[str, ChangeKind], ...]] = []
        self._numbers: dict[str, int] = {}
        self._names: list[str] = []

    def __len__(self) -> int:
        return len(self._entries)

    def entries(self, start: int, stop: int) -> list[Entry]:
        """See `Store.entries`."""
        return self._entries[max(start, 0) : max(stop, 0)]

    def fill(self, columns: Columns) -> None:
        """See `Store.fill`."""
        for seq in range(len(columns), len(self._entries)):
            columns.append(self._entries[seq], self._records[seq].codec)

    def run(self, seq: int) -> RecordRun:
        """See `Store.run`."""
        if not 0 <= seq < len(self._entries):
            raise EntryNotFound(f"{self.name} has no entry {seq}: it has {len(self._entries)}")
        first = seq
        while not self._records[first].codec.is_full:
            first -= 1
        stop = seq + 1
        while stop < len(self._entries) and not self._records[stop].codec.is_full:
            stop += 1
        return RecordRun(first, PackedRecords.of(self._records[first:stop]))

    def changed(self, seq: int) -> tuple[tuple[str, ChangeKind], ...]:
        """See `Store.changed`."""
        return self._changed[seq]

    def writes(self, atom: str, start: int, stop: int, *, backwards: bool = False) -> Iterator[int]:
        """See `Store.writes`."""
        seqs = range(max(start, 0), min(stop, len(self._entries)))
        for seq in reversed(seqs) if backwards else seqs:
            if any(name == atom for name, _ in self._changed[seq]):
                yield seq

    def shares(self, problems: list[str]) -> dict[str, tuple[int, int]]:
        """See `Store.shares`."""
        changes = self.write_counts()
        tally = empty_tally()
        for record in self._records:
            tally.add_record(record)
        spent = {self._names[number]: size for number, size in tally.spent.items()}
        return {atom: (changes.get(atom, 0), spent.get(atom, 0)) for atom in {**spent, **changes}}

    def write_counts(self) -> dict[str, int]:
        """See `CountsWrites.write_counts`."""
        return Counter(atom for changed in self._changed for atom, _ in changed)

    def intern(self, atom: str) -> int:
        """See `Store.intern`."""
        number = self._numbers.get(atom)
        if number is None:
            number = self._numbers[atom] = len(self._names)
            self._names.append(atom)
        return number

    def atom_number(self, atom: str) -> int | None:
        """See `Store.atom_number`."""
        return self._numbers.get(atom)

    def atom_name(self, number: int) -> str:
        """See `Store.atom_name`."""
        if not 0 <= number < len(self._names):
            raise KeyError(number)
        return self._names[number]

    def append(self, draft: Draft) -> int:
        """See `Store.append`."""
        entry = entry_of(draft, len(self._entries), self.history_id)
        self._entries.append(entry)
        self._records.append(draft.record)
        self._changed.append(tuple((self._names[number], kind) for number, kind in draft.changed))
        return entry.seq

    def refresh(self) -> int:
        """See `Store.refresh`."""
        return 0

    def file_bytes(self) -> int:
        """See `Store.file_bytes`."""
        return 0

    def close(self) -> None:
        """See `Store.close`."""


def entry_of(draft: Draft, seq: int, history_id: str) -> Entry:
    """Return the entry that a draft becomes under a number."""
    kinds = [kind for _, kind in draft.changed]
    before = seq - 1 if seq else None
    return Entry(
        seq=seq,
        id=draft.entry_id or usual_id(history_id, seq),
        kind=draft.kind,
        base_seq=None if draft.record.codec.is_full else before,
        timestamp_ns=draft.timestamp_ns,
        action=draft.action,
        added=kinds.count(ChangeKind.ADDED),
        modified=kinds.count(ChangeKind.MODIFIED),
        deleted=kinds.count(ChangeKind.DELETED),
        stored_bytes=len(draft.record.payload),
        full_bytes=draft.full_bytes,
        meta=NO_META if draft.meta is None else draft.meta,
        parent_seq=before if draft.parent_seq is None else draft.parent_seq,
        part=None if draft.part is None or draft.parent_seq in (None, before) else tuple(draft.part),
    )
