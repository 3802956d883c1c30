"""What is wrong with a foreign source itself: its own chains, and what of it could not be read."""

from __future__ import annotations

from collections.abc import Iterable

from unspool.history.history import History
from unspool.history.verdict import Cancelled, ChainFault, Verdict, VerdictStatus
from unspool.query.doctor_findings import Code, Ledger, Severity, usual_severity

Span = tuple[int, int]
"""Entries, as first and last."""


def add_source_findings(history: History, ledger: Ledger, cancelled: Cancelled) -> tuple[ChainFault, ...]:
    """Tell what is wrong with the source of a history, and return it in the source's own terms.

    Args:
        history: a history of any source; a native file has nothing to add.
        ledger: where findings go.
        cancelled: asked whether to stop.
    """
    faults = tuple(history.chain_faults(cancelled))
    for fault in faults:
        first, last = span_of(fault) or (None, None)
        severity = None if fault.severity is None else Severity(fault.severity)
        ledger.add(
            Code(fault.code), first, last, fault.message, severity, where=fault.place, still_reads=_still_reads(fault)
        )
    _add_verdict(history.verdict, ledger, told_by(faults))
    return faults


def _still_reads(fault: ChainFault) -> str:
    """Return what of the source can be read all the same; "" for what the code usually means."""
    if not _is_error(fault):
        return ""
    return (
        "every other entry"
        if fault.is_lost
        else "every entry that is there; of these it is not certain what they held"
    )


def told_by(faults: Iterable[ChainFault]) -> set[str]:
    """Return the places and the messages of what reading the source told too."""
    return {text for fault in faults for text in (fault.place, fault.told_as)}


def span_of(fault: ChainFault) -> Span | None:
    """Return the entries of the history that a fault concerns; None where what it concerns is not in it."""
    if fault.first is None or fault.is_lost:
        return None
    return fault.first, fault.first if fault.last is None else max(fault.first, fault.last)


def doubted(faults: Iterable[ChainFault]) -> tuple[Span, ...]:
    """Return the entries whose states may not be what was recorded, joined where they touch."""
    spans = sorted(span for fault in faults if _is_error(fault) and (span := span_of(fault)) is not None)
    joined: list[Span] = []
    for first, last in spans:
        if joined and first <= joined[-1][1] + 1:
            joined[-1] = (joined[-1][0], max(last, joined[-1][1]))
        else:
            joined.append((first, last))
    return tuple(joined)


def _is_error(fault: ChainFault) -> bool:
    severity = usual_severity(Code(fault.code)) if fault.severity is None else Severity(fault.severity)
    return severity is Severity.ERROR


def _add_verdict(verdict: Verdict, ledger: Ledger, known: set[str]) -> None:
    """A source that could be read only in part is a finding too, where its chains did not tell the same."""
    if verdict.status is VerdictStatus.COMPLETE:
        return
    for problem in verdict.problems:
        if known.isdisjoint((problem.place, problem.message)):
            ledger.add(Code.SOURCE_PARTIAL, None, None, problem.message, where=problem.place)
    if verdict.dropped or not verdict.problems:
        ledger.add(Code.SOURCE_PARTIAL, None, None, f"{verdict.dropped} more problems of the source")
