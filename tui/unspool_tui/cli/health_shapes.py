"""The JSON shapes of `doctor`, `simulate` and `check`; docs/health.md and docs/simulator.md describe them."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from unspool.model.values import Value
from unspool.sources.timestamps import iso_time
from unspool_tui.cli.asking import caller_shape

if TYPE_CHECKING:
    from unspool.query.checkers import CheckFinding, CheckReport
    from unspool.query.doctor import Diagnosis
    from unspool.query.repair import RepairReport
    from unspool.query.simulator import Candidate, Simulation


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
