"""Repair: a new file with all that is intact, its holes marked, and an exact account of what was lost."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path
from typing import Final

from unspool.errors import StorageFailed
from unspool.query.doctor import Cancelled, Diagnosis, Progress, diagnose, examine, rules_for
from unspool.query.doctor_file import FileWalk
from unspool.query.doctor_findings import Ledger
from unspool.query.repair_report import Hole, RepairRefused, RepairReport
from unspool.query.repair_writer import RepairWriter
from unspool.store.file import FileStore
from unspool.store.recordings import recordings_among, row_of

_STRIDE: Final = 256
_KEPT: Final = ("history_id", "created_ns")


def repair(
    path: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    progress: Progress | None = None,
    cancelled: Cancelled | None = None,
) -> RepairReport:
    """Write a new file with all that is intact in a damaged one; docs/health.md tells what stands for the rest.

    Args:
        path: the damaged file; never changed.
        out: the new file; must not exist.
        progress: told how far it is; entries are counted twice, once examined and once written.
        cancelled: asked whether to stop; the new file is not made then.

    Raises:
        RepairRefused: `out` exists, or its folder does not.
        UnreadableSource, NewerSchema, CorruptHistory: `path` cannot be opened at all.
        StorageFailed: the disk refused.
    """
    target = Path(out)
    if target.exists():
        raise RepairRefused(f"{target}: exists already; a repair writes a new file only, so give a free name")
    if not target.parent.is_dir():
        raise RepairRefused(f"{target}: its folder does not exist; make it first")
    stop = cancelled or _never
    ledger = Ledger()
    walk = FileWalk(Path(path), ledger.add)
    partial = target.with_name(target.name + ".partial")
    _remove(partial)
    try:
        before = examine(walk, ledger, rules_for(walk), progress=_half(progress, 0), cancelled=stop)
        report = _write(walk, before, partial, target, _half(progress, 1), stop)
        if report.complete:
            partial.replace(target)
    except (sqlite3.Error, OSError) as error:
        raise StorageFailed(f"{target}: could not be written ({error}); nothing was changed") from None
    finally:
        walk.close()
        _remove(partial)
    return report


def _write(
    walk: FileWalk, before: Diagnosis, partial: Path, out: Path, progress: Progress | None, cancelled: Cancelled
) -> RepairReport:
    facts = _facts(walk)
    store = FileStore.create(partial, durability="fast")
    complete = before.complete
    with closing(store):
        writer = RepairWriter(store, walk, before.doubtful, str(facts.get("history_id", "")))
        for place, step in enumerate(walk.steps() if complete else ()):
            if place % _STRIDE == 0:
                if cancelled():
                    complete = False
                    break
                if progress is not None:
                    progress(step.seq, walk.total)
            writer.take(step)
        entries = len(store)
    _take_over(partial, facts, walk.name, writer.number_of)
    after = diagnose(partial, cancelled=cancelled)
    return RepairReport(
        source=str(walk.path),
        out=str(out),
        entries=entries,
        kept=writer.kept,
        holes=tuple(writer.holes),
        doubtful=before.doubtful,
        reindexed=writer.reindexed,
        lost_names=tuple(sorted(walk.names.lost)),
        renumbered_from=writer.renumbered_from,
        before=before,
        health=after.verdict,
        complete=complete and after.complete,
    )


def _facts(walk: FileWalk) -> dict[str, object]:
    try:
        return dict(walk.connection.execute("SELECT key, value FROM meta"))
    except sqlite3.DatabaseError:
        return {}


def _take_over(path: Path, facts: dict[str, object], source: str, number_of: Callable[[int], int]) -> None:
    """The new file is the same history: ids of entries, and links to them, go on meaning the same."""
    kept = [(key, value) for key, value in facts.items() if key in _KEPT]
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        recordings = (replace(one, first=number_of(one.first)) for one in recordings_among(facts.items()))
        connection.executemany(
            "INSERT OR REPLACE INTO meta(key, value) VALUES (?, ?)",
            [*kept, *map(row_of, recordings), ("repaired_from", source)],
        )
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()


def _half(progress: Progress | None, half: int) -> Progress | None:
    """Return what tells one half of the work as such."""
    if progress is None:
        return None
    return lambda done, total: progress(half * total + done, 2 * total)


def _remove(path: Path) -> None:
    for suffix in ("", "-wal", "-shm", "-lock"):
        with suppress(FileNotFoundError):
            path.with_name(path.name + suffix).unlink()


def _never() -> bool:
    return False


__all__ = ["Hole", "RepairRefused", "RepairReport", "repair"]
