"""The doctor: every chain, every checksum, every entry against the one before; what is wrong, and what to do."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from unspool.history.history import History
from unspool.history.stats import Health
from unspool.query.doctor_chains import ChainBook, ChainRow, ChainVerdict, ChecksumState, Limits
from unspool.query.doctor_checks import EntryChecks, ValueChecks
from unspool.query.doctor_file import FileWalk
from unspool.query.doctor_findings import Code, Finding, Ledger, Severity
from unspool.query.doctor_rules import ChainRules, RuleSource, given_rules, rules_in, rules_of, rules_of_history
from unspool.query.doctor_sources import add_source_findings, doubted
from unspool.query.doctor_steps import ChainedSource
from unspool.query.doctor_store import StoreWalk
from unspool.query.doctor_structure import check_facts, check_leftovers
from unspool.store.file import FileStore

Progress = Callable[[int, int], None]
"""Called with entries done and entries in all."""
Cancelled = Callable[[], bool]
"""Asked now and then; True ends the work early."""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What the doctor found.

    Attributes:
        source: what people call the history.
        verdict: healthy, degraded or broken.
        findings: what was found, worst first; at most 100 of one code.
        counts: entries by what was found of them, listed or not; 1 for each finding about the file.
        unlisted: findings by code beyond those listed.
        entries: entries there should be, without those that a bound on the recording dropped.
        readable: entries whose state reads.
        chains: a row for each chain, oldest first; of very many, the newest and those that need something done.
        chain_count: chains in all.
        strategy: whose rule chains were measured by.
        strategy_from: who said so: `given`, the `file` itself, or `usual` where it does not say.
        doubtful: entries, as first and last, whose states read but may not be what was recorded.
        complete: everything was looked at; False after a cancel.
        decoded: values that were decoded.
        undecoded: values that were not, as they are more than were to be decoded.
    """

    source: str
    verdict: Health
    findings: tuple[Finding, ...]
    counts: Mapping[str, int]
    unlisted: Mapping[str, int]
    entries: int
    readable: int
    chains: tuple[ChainRow, ...]
    chain_count: int
    strategy: str
    strategy_from: RuleSource
    doubtful: tuple[tuple[int, int], ...]
    complete: bool
    decoded: int = 0
    undecoded: int = 0


USUAL_VALUES: Final = 32 * 1024 * 1024
"""Bytes of values that are decoded unless more are asked for; about a second's worth."""


def diagnose(
    target: History | ChainedSource | str | os.PathLike[str],
    *,
    strategy: str | None = None,
    values: int | None = USUAL_VALUES,
    progress: Progress | None = None,
    cancelled: Cancelled | None = None,
) -> Diagnosis:
    """Examine a history. Reads every stored byte once, holds one block at a time, changes nothing.

    Args:
        target: an open history, the path of a native file, or any other source with chains.
        strategy: whose rule chains are measured by, as `strategy_from_name` reads it; when None the one that the file
            was recorded with, or the recorder's own where the file does not say.
        values: bytes of values that are decoded, from the first entry on; None for all. Of the others it is not known
            whether they decode.
        progress: told how far it is.
        cancelled: asked whether to stop; what was found so far is returned then.

    Raises:
        UnreadableSource, NewerSchema, CorruptHistory: a file cannot be opened at all.
        ConfigError: an unknown strategy.
    """
    rules = None if strategy is None else given_rules(strategy)
    is_foreign = isinstance(target, History) and target.is_foreign
    if rules is None and is_foreign:
        # What was read of it was recorded by a rule of ours, which is none of the source's.
        rules = rules_of(())
    elif rules is None and isinstance(target, History) and not isinstance(target.store, FileStore):
        rules = rules_of_history(target)
    ledger = Ledger()
    stop = cancelled or _never
    doubtful: tuple[tuple[int, int], ...] = ()
    if isinstance(target, History):
        doubtful = doubted(add_source_findings(target, ledger, stop))
    source = _source_of(target, ledger, stop)
    try:
        found = examine(source, ledger, rules or rules_for(source), values=values, progress=progress, cancelled=stop)
        moved = isinstance(source, FileWalk) and source.moved
    finally:
        source.close()
    if moved and found.verdict is Health.BROKEN:
        # A recorder began on the file meanwhile; opened anew, it is read as a live one.
        return diagnose(target, strategy=strategy, values=values, progress=progress, cancelled=cancelled)
    if isinstance(target, History) and is_foreign:
        return replace(found, source=target.source_name, doubtful=(*found.doubtful, *doubtful))
    return found


def _source_of(
    target: History | ChainedSource | str | os.PathLike[str], ledger: Ledger, cancelled: Cancelled
) -> ChainedSource:
    if isinstance(target, History):
        store = target.store
        return FileWalk(store.path, ledger.add, cancelled) if isinstance(store, FileStore) else StoreWalk(store)
    if isinstance(target, str | os.PathLike):
        return FileWalk(Path(target), ledger.add, cancelled)
    return target


def rules_for(source: ChainedSource) -> ChainRules:
    """Return the rules that a source's chains were recorded by."""
    return rules_in(source.connection) if isinstance(source, FileWalk) else rules_of(())


def examine(
    source: ChainedSource,
    ledger: Ledger,
    rules: ChainRules,
    *,
    values: int | None = USUAL_VALUES,
    progress: Progress | None,
    cancelled: Cancelled,
) -> Diagnosis:
    """Walk over an open source and return what was found; see `diagnose`."""
    if isinstance(source, FileWalk):
        check_facts(source.connection, ledger.add)
        check_leftovers(source.connection, source.keys, ledger.add)
    checks = EntryChecks(source, ledger)
    content = ValueChecks(ledger, values)
    book = ChainBook(ledger, rules)
    readable = seen = 0
    complete = True
    for step in source.steps():
        if cancelled():
            complete = False
            break
        if progress is not None:
            progress(step.seq, source.total)
        checks.see(step)
        content.see(step)
        book.see(step)
        readable += step.state is not None
        seen += step.last - step.seq + 1
    for number in sorted(source.names.unknown):
        ledger.add(Code.UNKNOWN_ATOM, None, None, f"the name of atom {number} is missing")
    chains = book.rows()
    if progress is not None and complete:
        progress(source.total, source.total)
    return Diagnosis(
        source.name, ledger.health(), ledger.findings(), _plain(ledger.counts), _plain(ledger.unlisted),
        seen if complete else source.total - source.first, readable, chains, book.count, rules.name, rules.source, tuple(checks.doubtful), complete,
        content.decoded, content.left_out,
    )  # fmt: skip


def _plain(counts: Mapping[Code, int]) -> dict[str, int]:
    return {code.value: counts[code] for code in Code if counts.get(code)}


def _never() -> bool:
    return False


__all__ = [
    "Cancelled", "ChainRow", "ChainVerdict", "ChainedSource", "ChecksumState", "Code", "Diagnosis", "Finding",
    "Health", "Limits", "Progress", "Severity", "diagnose", "examine",
]  # fmt: skip
