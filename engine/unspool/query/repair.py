"""Repair: a new file with all that is intact, its holes marked, and an exact account of what was lost."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, cast

from unspool.errors import StorageFailed, UnreadableSource, UnspoolError
from unspool.files.whole import check_new, whole_file
from unspool.history.history import History
from unspool.query.doctor import Cancelled, Diagnosis, Progress, diagnose, examine, rules_for
from unspool.query.doctor_file import FileWalk
from unspool.query.doctor_findings import Ledger
from unspool.query.doctor_sources import add_source_findings, doubted
from unspool.query.doctor_steps import ChainedSource
from unspool.query.repair_report import Hole, RepairRefused, RepairReport
from unspool.query.repair_sources import WithGaps, left_out
from unspool.query.repair_writer import RepairWriter
from unspool.store.file import FileStore
from unspool.store.file_identity import KEY as IDENTITY
from unspool.store.keeping import KEEP, bound_in
from unspool.store.layout import CREATED_NS, HISTORY_ID, REPAIRED_FROM, FactValue
from unspool.store.recordings import recordings_among, row_of
from unspool.store.schema import connect_writer

_KEPT: Final = (CREATED_NS, IDENTITY)


def repair(
    target: History | str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    progress: Progress | None = None,
    cancelled: Cancelled | None = None,
) -> RepairReport:
    """Write a new file with all that is intact in a damaged one; docs/health.md tells what stands for the rest.

    Args:
        target: the damaged file, or an open history of any source; never changed.
        out: the new file; must not exist.
        progress: told how far it is; entries are counted twice, once examined and once written.
        cancelled: asked whether to stop; the new file is not made then.

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
    ledger = Ledger()
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
    recordings = (replace(one, first=number_of(one.first)) for one in recordings_among(facts.items()))
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
    """Return what tells one half of the work as such."""
    if progress is None:
        return None
    return lambda done, total: progress(half * total + done, 2 * total)


def _never() -> bool:
    return False


__all__ = ["Hole", "RepairRefused", "RepairReport", "repair"]
