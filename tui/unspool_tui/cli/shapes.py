"""The JSON shapes that scripts rely on; `docs/cli.md` describes them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING

from unspool.model.paths import Key, format_path, to_pointer
from unspool.model.values import MISSING, Value
from unspool.sources.timestamps import iso_time
from unspool_tui.cli.asking import caller_shape

if TYPE_CHECKING:
    from unspool.history.diff import Change, Diff
    from unspool.history.stats import HistoryStats
    from unspool.history.verdict import Verdict
    from unspool.model.entries import Entry, Op
    from unspool.query.checkers import CheckFinding, CheckReport
    from unspool.query.doctor import Diagnosis
    from unspool.query.repair import RepairReport
    from unspool.query.simulator import Candidate, Simulation


def entry_shape(entry: Entry, context: Mapping[str, Value] | None = None) -> dict[str, Value]:
    """Return one line of `log --json`; `context` is what surrounded the call that recorded it, where that is known."""
    # Only what lists entries waits for the room that holds histories.
    from unspool.history.contexts import without_context

    shape: dict[str, Value] = {
        "seq": entry.seq,
        "id": entry.id,
        "kind": entry.kind.value,
        "base_seq": entry.base_seq,
        "timestamp": iso_time(entry.timestamp_ns),
        "action": entry.action,
        "added": entry.added,
        "modified": entry.modified,
        "deleted": entry.deleted,
        "stored_bytes": entry.stored_bytes,
        "full_bytes": entry.full_bytes,
        "meta": without_context(entry.meta),
    }
    if context is not None:
        shape["context"] = dict(context)
    return shape


def show_shape(entry: Entry, state: dict[str, Value]) -> dict[str, Value]:
    """Return what `show --json` prints."""
    return {"seq": entry.seq, "timestamp": iso_time(entry.timestamp_ns), "action": entry.action, "state": state}


def _op_shape(op: Op) -> dict[str, Value]:
    shape: dict[str, Value] = {"op": op.kind.value, "path": to_pointer(op.path)}
    if any(isinstance(step, Key) for step in (*op.path, *op.source)):
        # A pointer cannot tell a key that is no text from its spelling.
        shape["at"] = format_path(op.path)
    if op.source:
        shape["from"] = to_pointer(op.source)
    if op.old is not MISSING:
        shape["old"] = op.old
    if op.new is not MISSING:
        shape["new"] = op.new
    return shape


def _change_shape(change: Change) -> dict[str, Value]:
    shape: dict[str, Value] = {"atom": change.atom, "kind": change.kind.value}
    if change.old is not MISSING:
        shape["old"] = change.old
    if change.new is not MISSING:
        shape["new"] = change.new
    shape["ops"] = [_op_shape(op) for op in change.ops]
    if change.key_changes:
        shape["key_changes"] = [
            {"list": format_path(changed.path), "old": changed.old, "new": changed.new}
            for changed in change.key_changes
        ]
    return shape


def diff_shape(diff: Diff) -> dict[str, Value]:
    """Return what `diff --json` prints."""
    return {"from": diff.from_seq, "to": diff.to_seq, "changes": [_change_shape(change) for change in diff.changes]}


def verdict_shape(verdict: Verdict) -> dict[str, Value]:
    """Return a verdict: how much of the source could be read."""
    return {
        "status": verdict.status.value,
        "problems": [{"place": problem.place, "message": problem.message} for problem in verdict.problems],
        "dropped": verdict.dropped,
        "notes": list(verdict.notes),
    }


def stats_shape(stats: HistoryStats) -> dict[str, Value]:
    """Return what `stats --json` prints."""
    cache = stats.cache
    return {
        "entries": stats.entries,
        "first": stats.first,
        "full": stats.full,
        "delta": stats.delta,
        "notes": stats.notes,
        "passed_over": stats.passed_over,
        "chains": stats.chains,
        "longest_chain": stats.longest_chain,
        "stored_bytes": stats.stored_bytes,
        "full_bytes": stats.full_bytes,
        "ratio": stats.ratio,
        "file_bytes": stats.file_bytes,
        "codecs": dict(stats.codecs),
        "atoms": {
            name: {"changes": atom.changes, "stored_bytes": atom.stored_bytes} for name, atom in stats.atoms.items()
        },
        "rebuild_us": {"p50": stats.rebuild_us.p50, "p95": stats.rebuild_us.p95, "max": stats.rebuild_us.max},
        "cache": {
            "size": cache.size,
            "max_size": cache.max_size,
            "hits": cache.hits,
            "misses": cache.misses,
            "evictions": cache.evictions,
        },
        "health": stats.health.value,
        "problems": list(stats.problems),
        "verdict": verdict_shape(stats.verdict),
    }


def diagnosis_shape(diagnosis: Diagnosis) -> dict[str, Value]:
    """Return what `doctor --json` prints."""
    return {
        "source": diagnosis.source,
        "verdict": diagnosis.verdict.value,
        "entries": diagnosis.entries,
        "readable": diagnosis.readable,
        "findings": [_plain(asdict(finding)) for finding in diagnosis.findings],
        "counts": dict(diagnosis.counts),
        "unlisted": dict(diagnosis.unlisted),
        "doubtful": [list(pair) for pair in diagnosis.doubtful],
        "chains": [_plain(asdict(row)) for row in diagnosis.chains],
        "chain_count": diagnosis.chain_count,
        "strategy": diagnosis.strategy,
        "strategy_from": diagnosis.strategy_from.value,
        "complete": diagnosis.complete,
        "decoded": diagnosis.decoded,
        "undecoded": diagnosis.undecoded,
    }


def repair_shape(report: RepairReport) -> dict[str, Value]:
    """Return what `doctor --repair --json` prints of the repair."""
    return {
        "out": report.out,
        "health": report.health.value,
        "entries": report.entries,
        "kept": report.kept,
        "without_facts": report.without_facts,
        "holes": [_plain(asdict(hole)) for hole in report.holes],
        "doubtful": [list(pair) for pair in report.doubtful],
        "left_out": list(report.left_out),
        "reindexed": report.reindexed,
        "lost_names": list(report.lost_names),
        "renumbered_from": report.renumbered_from,
        "complete": report.complete,
    }


def simulation_shape(simulation: Simulation) -> dict[str, Value]:
    """Return what `simulate --json` prints."""
    best = simulation.recommended
    return {
        "source": simulation.source,
        "entries": simulation.entries,
        "sampled": simulation.sampled,
        "windows": [list(window) for window in simulation.windows],
        "candidates": [_candidate_shape(candidate) for candidate in simulation.candidates],
        "recommended": None if best is None else _candidate_shape(best),
        "reason": simulation.reason,
        "line": simulation.line,
        "notes": list(simulation.notes),
        "complete": simulation.complete,
    }


def check_shape(report: CheckReport) -> dict[str, Value]:
    """Return what `check --json` prints."""
    return {
        "source": report.source,
        "entries": report.entries,
        "findings": [_finding_shape(finding) for finding in report.findings],
        "counts": dict(report.counts),
        "problems": list(report.problems),
        "doubts": list(report.doubts),
        "complete": report.complete,
    }


def _finding_shape(finding: CheckFinding) -> dict[str, Value]:
    return {
        "checker": finding.checker,
        "severity": finding.severity,
        "seq": finding.seq,
        "since": finding.since,
        "path": finding.path,
        "message": finding.message,
        "timestamp": iso_time(finding.timestamp_ns),
        "action": finding.action,
        "caller": caller_shape(finding.caller),
        "entries": finding.entries,
        "recovered_at": finding.recovered_at,
    }


def _candidate_shape(candidate: Candidate) -> dict[str, Value]:
    return {**asdict(candidate), "line": candidate.line}


def _plain(fields: dict[str, Value]) -> dict[str, Value]:
    """Spell enums as their values."""
    return {name: str(value) if isinstance(value, str) else value for name, value in fields.items()}
