"""Writing the new file of a repair: intact entries as they are, a hole for each that is lost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from unspool.codec.records import Record
from unspool.codec.replay import replay
from unspool.history.diff import fork_base
from unspool.model.values import Value
from unspool.query.doctor_checks import DOUBT_META, Changes, differing
from unspool.query.doctor_findings import Code
from unspool.query.doctor_steps import PLACEHOLDER, ChainedSource, EncodedState, Facts, Fault, Step
from unspool.query.repair_records import changes_of, hole_record, kept_record, lost_changes, told_changes, with_mark
from unspool.query.repair_report import Hole
from unspool.store.blocks import CHANGE_KINDS, part_of
from unspool.store.file import FileStore
from unspool.store.protocol import HOLE_META, Draft

LONGEST_HOLE: Final = 10_000
"""Missing entries in a row that get a hole each; more become a single one, and what follows is renumbered."""
_UNKNOWN: Final = "unknown"
"""The action of an entry of which only the state is known."""
_LOST: Final = Fault(Code.MISSING_ENTRIES, "not there")


class RepairWriter:
    """Appends what a walk yields to a new file."""

    def __init__(
        self, store: FileStore, source: ChainedSource, doubtful: Sequence[tuple[int, int]], history_id: str
    ) -> None:
        """Give every atom the number it has in the damaged file, so that records can be copied as they are.

        Args:
            store: the new file.
            source: the damaged one, walked over once already, so that all its atoms are known.
            doubtful: entries to be marked.
            history_id: the damaged file's.
        """
        self._store = store
        self._source = source
        self._doubtful = sorted(doubtful)
        self._doubt = 0
        self._history_id = history_id
        for number in range(max(source.names, default=-1) + 1):
            store.intern(source.names.get(number, PLACEHOLDER.format(number=number)))
        self._state: EncodedState | None = None
        self._in_hole = False
        self._time_ns = self._full_bytes = 0
        self._shifts: list[tuple[int, int]] = []
        self.holes: list[Hole] = []
        self.kept = self.reindexed = self.without_facts = 0

    @property
    def renumbered_from(self) -> int | None:
        """The first entry with another number than before, if there is one."""
        return self._shifts[0][0] if self._shifts else None

    def take(self, step: Step) -> None:
        """Append an entry, or what stands for those that are lost."""
        if step.state is not None and step.facts is not None and step.record is not None:
            self._keep(step.seq, step.facts, step.record, step.state)
            return
        if step.state is not None and step.record is not None:
            self._keep_bare(step.seq, step.record, step.state, step.fault or _LOST)
            return
        fault = step.fault or _LOST
        self._note(Hole(step.seq, step.last, fault.code.value, fault.text, step.facts is not None))
        count = step.last - step.seq + 1
        if count > LONGEST_HOLE:
            self._hole(step.seq, None, fault, count)
            self._shifts.append((step.last + 1, self._shift(step.seq) + count - 1))
            return
        for seq in range(step.seq, step.last + 1):
            self._hole(seq, step.facts, fault, 1)

    def _note(self, hole: Hole) -> None:
        """Neighbours that are lost for one reason are one hole of the report."""
        if self.holes:
            known = self.holes[-1]
            same = (known.code, known.why, known.facts_kept) == (hole.code, hole.why, hole.facts_kept)
            if same and known.last + 1 == hole.first:
                self.holes[-1] = Hole(known.first, hole.last, hole.code, hole.why, hole.facts_kept)
                return
        self.holes.append(hole)

    def _keep(self, seq: int, facts: Facts, record: Record, state: EncodedState) -> None:
        meta = dict(facts.extra.get("meta") or {})
        parent = facts.extra.get("parent", seq - 1)
        if parent != seq - 1 and (type(parent) is not int or not 0 <= parent < seq):
            meta[DOUBT_META] = f"followed entry {parent!r}, which never was"
            parent = seq - 1
        if self._is_doubtful(seq):
            meta.setdefault(DOUBT_META, "this state, or one near it, does not follow from what it is said to follow")
        before = self._state
        part = part_of(facts.extra) if parent != seq - 1 else None
        told = told_changes(facts, self._source.names)
        if not seq or parent >= self._source.first:
            origin = (before or {}) if parent == seq - 1 else self._state_in_new_file(parent)
            if part is not None:
                origin = fork_base(before or {}, origin, part)
            if differing(told, origin, state):
                told = changes_of(origin, state)
                self.reindexed += not self._in_hole
        base = None if self._in_hole else before
        kept = kept_record(record, facts.codec, base, state, self._store.intern)
        self._append(seq, facts, kept, told, meta, parent, facts.full_bytes, part)
        self._state, self._in_hole = state.copy(), False
        self.kept += 1

    def _keep_bare(self, seq: int, record: Record, state: EncodedState, fault: Fault) -> None:
        """Keep an entry of which nothing but its state is known, and say so in its meta."""
        before = None if self._in_hole else self._state
        size = sum(map(len, state.values()))
        told = changes_of(self._state or {}, state)
        kept = kept_record(record, record.codec, before, state, self._store.intern)
        meta: dict[str, Value] = {DOUBT_META: f"only its state is known: {fault.text}"}
        self._append(seq, None, kept, told, meta, seq - 1, size)
        self._state, self._in_hole = state.copy(), False
        self.without_facts += 1

    def _is_doubtful(self, seq: int) -> bool:
        """Say whether an entry is to be marked; asked in the order of entries."""
        while self._doubt < len(self._doubtful) and self._doubtful[self._doubt][1] < seq:
            self._doubt += 1
        return self._doubt < len(self._doubtful) and self._doubtful[self._doubt][0] <= seq

    def _hole(self, seq: int, facts: Facts | None, fault: Fault, count: int) -> None:
        before = self._state
        state = with_mark(before or {}, seq, fault)
        told: dict[str, Value] = {"entries": count, "code": fault.code.value, "why": fault.text}
        meta: dict[str, Value] = {}
        if facts is not None:
            meta.update(facts.extra.get("meta") or {})
            told["changed"] = lost_changes(facts, self._source.names)
        meta[HOLE_META] = told
        record = hole_record(before, state, self._store.intern)
        self._append(seq, facts, record, changes_of(before or {}, state), meta, seq - 1, self._full_bytes)
        self._state, self._in_hole = state, True

    def _append(
        self, seq: int, facts: Facts | None, record: Record, changed: Changes, meta: Mapping[str, Value],
        parent: int, full_bytes: int, part: tuple[str, ...] | None = None,
    ) -> None:  # fmt: skip
        action = "hole" if HOLE_META in meta else _UNKNOWN
        if facts is not None:
            self._time_ns, action = facts.time_ns, facts.action
        self._full_bytes = full_bytes
        entry_id = "" if facts is None else str(facts.extra.get("id", ""))
        if not entry_id and self._shifts:
            entry_id = f"{self._history_id}-{seq}"
        self._store.append(
            Draft(
                kind=record.codec.kind,
                record=record,
                changed=[(self._store.intern(atom), CHANGE_KINDS[kind]) for atom, kind in changed.items()],
                timestamp_ns=self._time_ns,
                action=action,
                full_bytes=full_bytes,
                meta=meta or None,
                entry_id=entry_id,
                parent_seq=None if parent == seq - 1 else parent - self._shift(parent),
                part=part,
            )
        )

    def number_of(self, seq: int) -> int:
        """Return the number that an entry has in the new file."""
        return max(seq - self._shift(seq), 0)

    def _shift(self, seq: int) -> int:
        """Return by how much an entry's number is smaller in the new file."""
        return next((by for first, by in reversed(self._shifts) if first <= seq), 0)

    def _state_in_new_file(self, seq: int) -> EncodedState:
        """Return the state that the new file has at an earlier entry, itself or the hole in its place."""
        state = self._source.state_at(seq)
        return self._store_state(seq) if state is None else state

    def _store_state(self, seq: int) -> EncodedState:
        run = self._store.run(seq - self._shift(seq))
        return replay(run, seq - self._shift(seq), self._store.atom_name)
