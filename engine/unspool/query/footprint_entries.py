"""What one entry after the other writes: its record's bytes by atom and by kind of path."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from unspool.codec.records import Form, PackedRecords, Record, RecordCodec, decode_delta
from unspool.errors import CorruptHistory, EntryNotKept
from unspool.history.diff import fork_base
from unspool.history.history import History
from unspool.query.checkers_patterns import Pattern, covers
from unspool.query.footprint_kinds import Kind, Kinds, as_path
from unspool.query.footprint_tally import Tallies
from unspool.query.lineage import Stretch
from unspool.query.parts import Difference, differences
from unspool.query.reading import EMPTY_STATE, StateReader, Wire
from unspool.store.protocol import RecordRun

_PART_COST: Final = 6
"""Bytes a patch takes besides the part it writes: where it goes and how long it is."""

Sizes = dict[Kind, int]
"""Bytes by kind of path."""


class Records:
    """The records of a history, one decoded run at a time."""

    def __init__(self, history: History) -> None:
        """Read records of a history."""
        self._store = history.store
        self._run = RecordRun(0, PackedRecords((), ()))

    def writes(self, seq: int) -> dict[str, tuple[Form, int]] | None:
        """Return how a key-wise delta writes each atom and the bytes that takes; None for any other record.

        Raises:
            CorruptHistory: the record cannot be read.
        """
        if not self._run.first <= seq < self._run.stop:
            self._run = self._store.run(seq)
        record: Record = self._run.records[seq - self._run.first]
        if record.codec is not RecordCodec.DICT:
            return None
        writes = decode_delta(record.payload, self._store.atom_name)
        return {write.atom: (write.form, len(write.payload)) for write in writes}


@dataclass(slots=True)
class Left:
    """What leaving out a pattern would save.

    Attributes:
        pattern: what would be left out.
        now: bytes that it takes in the state at hand.
        full: bytes that it takes in all states so far.
        entries: entries that changed nothing else.
    """

    pattern: Pattern
    now: int = 0
    full: int = 0
    entries: int = 0
    covered: dict[Kind, bool] = field(default_factory=dict)

    def covers(self, kind: Kind) -> bool:
        """Say whether a kind would be left out."""
        known = self.covered.get(kind)
        if known is None:
            known = self.covered[kind] = covers(self.pattern, as_path(kind))
        return known


class Ledger:
    """Takes entries one by one, in the order they were recorded."""

    def __init__(self, reader: StateReader, patterns: Mapping[str, Pattern]) -> None:
        """Start before the first entry.

        Args:
            reader: where states come from.
            patterns: what might be left out, by the text it was asked for with.
        """
        self.kinds = Kinds()
        self.atoms: Tallies[str] = Tallies()
        self.paths: Tallies[Kind] = Tallies()
        self.left = {text: Left(pattern) for text, pattern in patterns.items()}
        self._reader = reader
        self._records = Records(reader.history)
        self._profile: dict[str, Sizes] = {}
        self._last: tuple[int, Wire] = (-1, EMPTY_STATE)

    def take(self, seq: int, stretch: Stretch, stored: int, *, full: bool) -> bool:
        """Take the next entry; say whether it could be read.

        Raises:
            CorruptHistory: it cannot be read, and damage is not to be skipped.
        """
        new = self._reader.state(seq)
        parent = stretch.parent_of(seq)
        old = self._last[1] if parent == self._last[0] else self._reader.state(parent)
        if old is not None and stretch.part is not None and seq == stretch.first:
            old = fork_base(self._last[1], old, stretch.part)
        if new is None:
            return False
        # Behind a gap, what was read last stands in for the state before.
        changed = self._follow(self._last[1] if old is None else old, new)
        self._last = (seq, new)
        try:
            writes = None if full else self._records.writes(seq)
        except EntryNotKept:
            # A recorder dropped it meanwhile: it is none of the history any more.
            return False
        except CorruptHistory as error:
            self._reader.note(seq, error)
            return False
        self._note_changes(changed)
        self._spend(stored, new, changed, writes, full=full)
        return True

    def _follow(self, old: Wire, new: Wire) -> dict[str, Sizes]:
        """Bring the profile to a new state, and return the changed parts against the state it follows."""
        last = self._last[1]
        changed: dict[str, Sizes] = {atom: {} for atom in _differing(old, new)}
        for atom, sizes in changed.items():
            for part in self._parts(atom, old, new):
                self._measure(part, sizes, self._profile if old is last else None)
        if old is not last:
            for atom in _differing(last, new):
                for part in self._parts(atom, last, new):
                    self._measure(part, {}, self._profile)
        return changed

    def _parts(self, atom: str, old: Wire, new: Wire) -> Iterator[Difference]:
        return differences(old.get(atom), new.get(atom), (atom,), self._reader.history.identity)

    def _measure(self, part: Difference, sizes: Sizes, profile: dict[str, Sizes] | None) -> None:
        """Count a changed part: what it costs to write, and what it makes of the profile."""
        for path, value, sign, cost in (
            (part.old_path, part.old_bytes, -1, 0),
            (part.new_path, part.new_bytes, 1, _PART_COST),
        ):
            for kind, size in self.kinds.sizes(value, path or ()) if value is not None else ():
                sizes[kind] = sizes.get(kind, 0) + (size + cost if sign > 0 else 1)
                if profile is not None:
                    self._weigh(kind, sign * size, profile.setdefault(str(kind[0]), {}))

    def _weigh(self, kind: Kind, size: int, profile: Sizes) -> None:
        now = profile.get(kind, 0) + size
        if now > 0:
            profile[kind] = now
        else:
            profile.pop(kind, None)
        for left in self.left.values():
            if left.covers(kind):
                left.now += size

    def _note_changes(self, changed: Mapping[str, Sizes]) -> None:
        kinds = {kind for sizes in changed.values() for kind in sizes}
        self.atoms.changed(set(changed))
        self.paths.changed(kinds)
        # An atom whose items only changed places has no changed parts, and counts by itself.
        parts = [kind for atom, sizes in changed.items() for kind in sizes or ((atom,),)]
        for left in self.left.values():
            left.full += left.now
            left.entries += bool(parts) and all(map(left.covers, parts))

    def _spend(
        self,
        stored: int,
        new: Wire,
        changed: Mapping[str, Sizes],
        writes: Mapping[str, tuple[Form, int]] | None,
        *,
        full: bool,
    ) -> None:
        """Share the bytes of a record out over atoms, and those of each atom over its kinds of paths."""
        if full:
            weights = {atom: len(value) for atom, value in new.items()}
        elif writes is not None:
            weights = {atom: max(size, 1) for atom, (_, size) in writes.items()}
        else:
            weights = {atom: max(sum(sizes.values()), 1) for atom, sizes in changed.items()}
        self.atoms.spent(stored, weights, changed)
        total = sum(weights.values())
        for atom, weight in weights.items():
            sizes = changed.get(atom, {})
            profile = self._profile.get(atom)
            whole = full or writes is None or writes[atom][0] in (Form.ADDED, Form.VALUE)
            parts = profile if profile and (whole or not sizes) else sizes
            self.paths.spent(stored * weight / total, parts, sizes)


def _differing(old: Wire, new: Wire) -> list[str]:
    return [atom for atom in (*old, *(atom for atom in new if atom not in old)) if old.get(atom) != new.get(atom)]
