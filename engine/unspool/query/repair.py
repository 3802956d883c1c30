"""Repair: a new file with every entry that can be read, and a hole where one cannot."""

from __future__ import annotations

import os
import sqlite3
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, cast

import msgspec

from unspool.codec import state_codec
from unspool.codec.records import Record, RecordCodec, encode_delta, encode_full, note_record, replay, write_atoms
from unspool.codec.state_codec import binary_available
from unspool.errors import ConfigError, StorageFailed, UnreadableSource, UnspoolError
from unspool.files import check_new, whole_file
from unspool.history.diff import fork_base
from unspool.history.history import History
from unspool.history.stats import Health
from unspool.history.verdict import ChainFault, Verdict
from unspool.model.encoding import encode
from unspool.model.entries import HOLE_ATOM, usual_id
from unspool.model.limits import Cancelled, Progress
from unspool.model.values import Value
from unspool.model.wire import EncodedState
from unspool.query.doctor.blocks import ADDED, DELETED, MODIFIED, Changes, differing
from unspool.query.doctor.diagnosis import (
    Diagnosis,
    Span,
    add_source_findings,
    diagnose,
    doubted,
    examine,
    rules_for,
    told_by,
)
from unspool.query.doctor.file import FileWalk
from unspool.query.doctor.findings import PLACEHOLDER, ChainedSource, Code, Facts, Fault, FindingLog, Names, Step
from unspool.store.blocks import CHANGE_KINDS, KIND_BITS, part_of
from unspool.store.file import FileStore
from unspool.store.keeping import KEEP, bound_in
from unspool.store.layout import CREATED_NS, HISTORY_ID, REPAIRED_FROM, FactValue
from unspool.store.protocol import DOUBT_META, HOLE_META, Draft
from unspool.store.recordings import IDENTITY_KEY, WRITTEN_NOTES, recordings_among, row_of
from unspool.store.schema import connect_writer

_NAMED: Final = 1000
"""Changed atoms that a hole names."""


def with_mark(state: EncodedState, seq: int, fault: Fault) -> EncodedState:
    """Return the state that stands at a hole: the last known one, and an atom that says so."""
    return hole_in(state, seq, f"{fault.code.value}: {fault.text}")


def hole_in(state: Mapping[str, bytes], seq: int, why: str) -> dict[str, bytes]:
    """Return the state that stands for an entry that is missing, from the last one known before it."""
    return {**state, HOLE_ATOM: encode({"lost entry": seq, "why": why})}


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


class RepairRefused(ConfigError):
    """A repair that would overwrite something, or has nowhere to write; the message names the file."""


@dataclass(frozen=True, slots=True)
class Hole:
    """Entries that did not read, and stand as holes in the new file.

    Attributes:
        first: number of the first one, in the damaged file.
        last: number of the last one.
        code: what was the matter.
        why: the same in words.
        facts_kept: when they happened and what they changed is kept; only their states are lost.
    """

    first: int
    last: int
    code: str
    why: str
    facts_kept: bool


@dataclass(frozen=True, slots=True)
class RepairReport:
    """What became of a repair.

    Attributes:
        source: the damaged file.
        out: the new file.
        entries: entries of the new file, holes included.
        kept: entries that are as they were recorded.
        without_facts: entries of which only the state is as it was recorded: when and why they came about is lost.
        holes: what was lost, in order; complete, however much it is.
        doubtful: entries, as first and last, that read but may not be what was recorded; they are marked.
        left_out: what of a foreign source is lost without a place among the entries.
        reindexed: entries whose list of changed atoms was made anew.
        lost_names: numbers of atoms whose name was lost; they are called `atom#NUMBER`.
        renumbered_from: first entry with another number than before; None when all keep theirs.
        before: what the doctor found in the damaged file.
        health: what the doctor says of the new file: degraded where there are holes.
        complete: False when it was cancelled; no new file is there then.
    """

    source: str
    out: str
    entries: int
    kept: int
    without_facts: int
    holes: tuple[Hole, ...]
    doubtful: tuple[tuple[int, int], ...]
    left_out: tuple[str, ...]
    reindexed: int
    lost_names: tuple[int, ...]
    renumbered_from: int | None
    before: Diagnosis
    health: Health
    complete: bool


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
        """Whether an entry is to be marked; asked in the order of entries."""
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
            entry_id = usual_id(self._history_id, seq)
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


class WithGaps:
    """A `ChainedSource` with a gap before each entry that something is lost before; what follows is renumbered."""

    def __init__(self, source: ChainedSource, faults: Sequence[ChainFault]) -> None:
        """Prepare.

        Args:
            source: the entries that were read.
            faults: what is wrong with the chains they come from.
        """
        lost = [(fault.first, fault) for fault in faults if fault.is_lost and fault.first is not None]
        lost.sort(key=lambda item: item[0])
        self._source = source
        self._lost = [fault for _, fault in lost]
        self._at = [min(first, source.total) for first, _ in lost]
        self._holes = [first + place for place, first in enumerate(self._at)]

    @property
    def name(self) -> str:
        """See `ChainedSource.name`."""
        return self._source.name

    @property
    def first(self) -> int:
        """See `ChainedSource.first`."""
        return self._source.first

    @property
    def total(self) -> int:
        """See `ChainedSource.total`."""
        return self._source.total + len(self._lost)

    @property
    def names(self) -> Names:
        """See `ChainedSource.names`."""
        return self._source.names

    def number_of(self, seq: int) -> int:
        """Return the number of an entry among the gaps."""
        return seq + bisect_right(self._at, seq)

    def spans(self, spans: Sequence[Span]) -> tuple[Span, ...]:
        """Return spans of entries by their new numbers."""
        return tuple((self.number_of(first), self.number_of(last)) for first, last in spans)

    def steps(self) -> Iterator[Step]:
        """See `ChainedSource.steps`."""
        place = 0
        for step in self._source.steps():
            while place < len(self._at) and self._at[place] <= step.seq:
                yield self._gap(place)
                place += 1
            facts = None if step.facts is None else self._renumbered(step.facts)
            yield replace(step, seq=self.number_of(step.seq), last=self.number_of(step.last), facts=facts)
        yield from map(self._gap, range(place, len(self._at)))

    def _gap(self, place: int) -> Step:
        fault, seq = self._lost[place], self._holes[place]
        return Step(seq, seq, fault=Fault(Code(fault.code), f"{fault.place}: {fault.message}"))

    def _renumbered(self, facts: Facts) -> Facts:
        parent = facts.extra.get("parent")
        if not self._at or type(parent) is not int or parent < 0:
            return facts
        return msgspec.structs.replace(facts, extra={**facts.extra, "parent": self.number_of(parent)})

    def state_at(self, seq: int) -> EncodedState | None:
        """See `ChainedSource.state_at`."""
        place = bisect_left(self._holes, seq)
        if place < len(self._holes) and self._holes[place] == seq:
            return None
        return self._source.state_at(seq - place)

    def close(self) -> None:
        """See `ChainedSource.close`."""
        self._source.close()


def left_out(verdict: Verdict, faults: Sequence[ChainFault]) -> tuple[str, ...]:
    """Return what of a source is not in its history, and at which entry it would stand is not known."""
    told = [f"{fault.place}: {fault.message}" for fault in faults if fault.is_lost and fault.first is None]
    known = told_by(faults)
    told += [
        f"{problem.place}: {problem.message}"
        for problem in verdict.problems
        if known.isdisjoint((problem.place, problem.message))
    ]
    return (*told, f"{verdict.dropped} more problems of the source") if verdict.dropped else tuple(told)


_KEPT: Final = (CREATED_NS, IDENTITY_KEY, WRITTEN_NOTES)


def repair(
    target: History | str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    progress: Progress | None = None,
    cancelled: Cancelled | None = None,
) -> RepairReport:
    """Write a new file with all that is intact in a damaged one; docs/health.md describes what takes the place of the rest.

    Args:
        target: the damaged file, or an open history of any source; never changed.
        out: the new file; must not exist.
        progress: called with how far it is; entries are counted twice, once examined and once written.
        cancelled: called to find out whether to stop; the new file is not made then.

    Raises:
        RepairRefused: `out` exists, or its folder does not, or the history is in memory only.
        UnreadableSource, NewerSchema, CorruptHistory: the file cannot be opened at all.
        StorageFailed: the disk refused.
    """
    place = Path(out)
    try:
        check_new(place)
    except UnreadableSource as error:
        raise RepairRefused(f"{error} (a repair writes a new file only)") from None
    stop = cancelled or _never
    patient = _examined(target, _half(progress, 0), stop)
    report = None
    try:
        with whole_file(place) as part:
            report = _write(patient, part, place, _half(progress, 1), stop)
            _check_complete(report)
    except _Stopped:
        pass
    except (sqlite3.Error, OSError) as error:
        raise StorageFailed(f"{place}: could not be written ({error}); nothing was changed") from None
    finally:
        patient.walk.close()
    return cast("RepairReport", report)


class _Stopped(Exception):
    """Somebody cancelled the repair: the new file is not made."""


def _check_complete(report: RepairReport) -> None:
    if not report.complete:
        raise _Stopped


@dataclass(frozen=True, slots=True)
class _Patient:
    """What is to be repaired.

    Attributes:
        name: what people call it.
        walk: the native file that its entries are read from.
        source: the same with gaps for what a foreign source lost.
        before: what the doctor found.
        doubtful: entries to be marked, by their numbers in `source`.
        left_out: what is lost without a place among the entries.
    """

    name: str
    walk: FileWalk
    source: ChainedSource
    before: Diagnosis
    doubtful: tuple[tuple[int, int], ...]
    left_out: tuple[str, ...] = ()


def _examined(target: History | str | os.PathLike[str], progress: Progress | None, cancelled: Cancelled) -> _Patient:
    ledger = FindingLog()
    if isinstance(target, History) and not isinstance(target.store, FileStore):
        raise RepairRefused(f"{target.source_name}: has no file to repair; record it into one first")
    path = target.store.path if isinstance(target, History) and isinstance(target.store, FileStore) else Path(target)  # type: ignore[arg-type]
    faults = add_source_findings(target, ledger, cancelled) if isinstance(target, History) else ()
    walk = FileWalk(path, ledger.add, cancelled)
    try:
        before = examine(walk, ledger, rules_for(walk), progress=progress, cancelled=cancelled)
    except (sqlite3.Error, UnspoolError):
        walk.close()
        raise
    if not isinstance(target, History) or not target.is_foreign:
        return _Patient(str(path), walk, walk, before, before.doubtful)
    before = replace(before, source=target.source_name, doubtful=(*before.doubtful, *doubted(faults)))
    source = WithGaps(walk, faults)
    return _Patient(
        target.source_name, walk, source, before, source.spans(before.doubtful), left_out(target.verdict, faults)
    )


def _write(
    patient: _Patient, partial: Path, out: Path, progress: Progress | None, cancelled: Cancelled
) -> RepairReport:
    before, source = patient.before, patient.source
    facts = _facts(patient.walk)
    history_id = str(facts.get(HISTORY_ID) or "")
    bound = bound_in(facts.get(KEEP))
    store = FileStore.create(partial, durability="fast", history_id=history_id, first=source.first, bound=bound)
    complete = before.complete
    with closing(store):
        writer = RepairWriter(store, source, patient.doubtful, history_id)
        for step in source.steps() if complete else ():
            if cancelled():
                complete = False
                break
            if progress is not None:
                progress(step.seq, source.total)
            writer.take(step)
        entries = len(store) - source.first
    _take_over(partial, facts, Path(patient.name).name, writer.number_of)
    after = diagnose(partial, cancelled=cancelled)
    return RepairReport(
        source=patient.name,
        out=str(out),
        entries=entries,
        kept=writer.kept,
        without_facts=writer.without_facts,
        holes=tuple(writer.holes),
        doubtful=patient.doubtful,
        left_out=patient.left_out,
        reindexed=writer.reindexed,
        lost_names=tuple(sorted(source.names.lost)),
        renumbered_from=writer.renumbered_from,
        before=before,
        health=after.verdict,
        complete=complete and after.complete,
    )


def _facts(walk: FileWalk) -> dict[str, FactValue]:
    try:
        return walk.connection.layout.facts(walk.connection, [])
    except sqlite3.DatabaseError:
        return {}


def _take_over(path: Path, facts: dict[str, FactValue], source: str, number_of: Callable[[int], int]) -> None:
    """The new file is the same history: ids of entries, and links to them, go on meaning the same."""
    recordings = (msgspec.structs.replace(one, first=number_of(one.first)) for one in recordings_among(facts.items()))
    kept = {key: facts[key] for key in _KEPT if key in facts} | dict(map(row_of, recordings))
    with closing(connect_writer(path, synchronous="OFF")) as connection:
        layout = connection.layout
        for key, value in (*kept.items(), (REPAIRED_FROM, source)):
            layout.keep_fact(connection, key, value)
        mark = layout.end_mark(connection)
        if mark is not None:
            layout.mark_end(connection, count=mark.entries, last=mark.last, is_closed=True)
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()


def _half(progress: Progress | None, half: int) -> Progress | None:
    """Return the progress callable of one half of the work."""
    if progress is None:
        return None
    return lambda done, total: progress(half * total + done, 2 * total)


def _never() -> bool:
    return False


__all__ = ["Hole", "RepairRefused", "RepairReport", "repair"]
