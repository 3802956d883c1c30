"""The diagnosis of a history: one walk over its file or source, what it finds, and what reading the source found already."""

from __future__ import annotations

import os
from array import array
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Protocol

from unspool.codec.records import replay
from unspool.errors import EntryDropped, UnreadableSource, UnspoolError
from unspool.history.history import History
from unspool.history.stats import Health
from unspool.history.verdict import ChainFault, Verdict, VerdictStatus
from unspool.model.entries import Entry
from unspool.model.limits import Cancelled, Progress
from unspool.model.wire import EncodedState
from unspool.query.doctor.blocks import EntryChecks, Replayer, ValueChecks, check_facts, check_leftovers, reason
from unspool.query.doctor.chains import (
    ChainBook,
    ChainRow,
    ChainRules,
    ChainVerdict,
    ChecksumState,
    RuleSource,
    given_rules,
    rules_in,
    rules_of,
    rules_of_history,
)
from unspool.query.doctor.file import FileWalk
from unspool.query.doctor.findings import (
    ChainedSource,
    Code,
    ErrorWatch,
    Facts,
    Fault,
    Finding,
    FindingLog,
    Names,
    Severity,
    Step,
    usual_severity,
)
from unspool.store.blocks import posting
from unspool.store.file import FileStore
from unspool.store.keeping import first_of
from unspool.store.protocol import RecordRun, Store

Span = tuple[int, int]
"""Entries, as first and last."""


def add_source_findings(history: History, ledger: FindingLog, cancelled: Cancelled) -> tuple[ChainFault, ...]:
    """Report what is wrong with the source of a history, and return it in the source's own terms.

    Args:
        history: a history of any source; a native file has nothing to add.
        ledger: where findings go.
        cancelled: called to find out whether to stop.
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


def _add_verdict(verdict: Verdict, ledger: FindingLog, known: set[str]) -> None:
    """A source that could be read only in part is a finding too, where its chains did not tell the same."""
    if verdict.status is VerdictStatus.COMPLETE:
        return
    for problem in verdict.problems:
        if known.isdisjoint((problem.place, problem.message)):
            ledger.add(Code.SOURCE_PARTIAL, None, None, problem.message, where=problem.place)
    if verdict.dropped or not verdict.problems:
        ledger.add(Code.SOURCE_PARTIAL, None, None, f"{verdict.dropped} more problems of the source")


class StoreWalk:
    """An open store as a `ChainedSource`, read through the calls that every store has."""

    def __init__(self, store: Store) -> None:
        """Read a store; it is not closed with the walk."""
        self._store = store
        self.name = store.name
        self.first = first_of(store)
        self.total = len(store)
        self.names = Names({})
        self._numbers: dict[str, int] = {}

    def steps(self) -> Iterator[Step]:
        """See `ChainedSource.steps`."""
        replayer = Replayer(self._store.atom_name)
        seq = self.first
        while seq < self.total:
            try:
                run = self._store.run(seq)
                entries = self._store.entries(seq, min(run.stop, self.total))
                if run.first < seq:
                    replayer.resume(replay(run, seq - 1, self._store.atom_name))
            except EntryDropped as error:
                replayer.lose(seq)
                last = seq if error.last is None else error.last
                yield Step(seq, last, fault=Fault(Code.DROPPED, f"never arrived: {error.why}"))
                seq = last + 1
                continue
            except UnreadableSource:
                # The store cannot be asked now, which says nothing of what it holds.
                raise
            except UnspoolError as error:
                replayer.lose(seq)
                yield Step(seq, seq, fault=Fault(Code.MISSING_ENTRIES, reason(error)))
                seq += 1
                continue
            for entry in entries:
                yield self._step(entry, run, replayer)
            seq += max(len(entries), 1)

    def _step(self, entry: Entry, run: RecordRun, replayer: Replayer) -> Step:
        record = run.records[entry.seq - run.first]
        facts = Facts(
            entry.timestamp_ns, record.codec, entry.action, self._postings(entry.seq),
            _extra(entry), entry.stored_bytes, entry.full_bytes,
        )  # fmt: skip
        return replayer.step(entry.seq, facts, record)

    def _postings(self, seq: int) -> array[int]:
        found = array("I")
        for atom, kind in self._store.changed(seq):
            number = self._numbers.setdefault(atom, len(self._numbers))
            self.names.setdefault(number, atom)
            found.append(posting(number, kind))
        return found

    def state_at(self, seq: int) -> EncodedState | None:
        """See `ChainedSource.state_at`."""
        try:
            return replay(self._store.run(seq), seq, self._store.atom_name)
        except UnreadableSource:
            raise
        except UnspoolError:
            return None

    def close(self) -> None:
        """See `ChainedSource.close`; the store belongs to whoever opened it."""


def _extra(entry: Entry) -> dict[str, object]:
    extra: dict[str, object] = {}
    if entry.parent_seq is not None and entry.parent_seq != entry.seq - 1:
        extra["parent"] = entry.parent_seq
        if entry.part is not None:
            extra["part"] = list(entry.part)
    if entry.meta:
        extra["meta"] = dict(entry.meta)
    return extra


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


class ExaminationWatch(ErrorWatch, Protocol):
    """Follows an examination while it runs."""

    def begin_examination(self) -> None:
        """Forget what was reported before."""

    def examined(self, row: ChainRow) -> None:
        """Take a chain that the doctor looked at as a whole."""


USUAL_VALUES: Final = 32 * 1024 * 1024
"""Bytes of values that are decoded unless more are asked for; about a second's worth."""


def diagnose(
    target: History | ChainedSource | str | os.PathLike[str],
    *,
    strategy: str | None = None,
    values: int | None = USUAL_VALUES,
    progress: Progress | None = None,
    cancelled: Cancelled | None = None,
    watch: ExaminationWatch | None = None,
) -> Diagnosis:
    """Examine a history. Reads every stored byte once, holds one block at a time, changes nothing.

    Args:
        target: an open history, the path of a native file, or any other source with chains.
        strategy: whose rule chains are measured by, as `strategy_from_name` reads it; when None the one that the file
            was recorded with, or the recorder's own where the file does not say.
        values: bytes of values that are decoded, from the first entry on; None for all. Of the others it is not known
            whether they decode.
        progress: called with how far it is.
        cancelled: called to find out whether to stop; what was found so far is returned then.
        watch: told chains and errors as they are found; told to begin anew where the history changed meanwhile.

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
    ledger = FindingLog(watch)
    if watch is not None:
        watch.begin_examination()
    stop = cancelled or _never
    doubtful: tuple[tuple[int, int], ...] = ()
    if isinstance(target, History):
        doubtful = doubted(add_source_findings(target, ledger, stop))
    source = _source_of(target, ledger, stop)
    try:
        found = examine(
            source, ledger, rules or rules_for(source), values=values, progress=progress, cancelled=stop, watch=watch
        )
        moved = isinstance(source, FileWalk) and source.moved
    finally:
        source.close()
    if moved and found.verdict is Health.BROKEN:
        # A recorder began on the file meanwhile; opened anew, it is read as a live one.
        return diagnose(target, strategy=strategy, values=values, progress=progress, cancelled=cancelled, watch=watch)
    if isinstance(target, History) and is_foreign:
        return replace(found, source=target.source_name, doubtful=(*found.doubtful, *doubtful))
    return found


def _source_of(
    target: History | ChainedSource | str | os.PathLike[str], ledger: FindingLog, cancelled: Cancelled
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
    ledger: FindingLog,
    rules: ChainRules,
    *,
    values: int | None = USUAL_VALUES,
    progress: Progress | None,
    cancelled: Cancelled,
    watch: ExaminationWatch | None = None,
) -> Diagnosis:
    """Walk over an open source and return what was found; see `diagnose`."""
    if isinstance(source, FileWalk):
        check_facts(source.connection, ledger.add)
        check_leftovers(source.connection, source.keys, ledger.add)
    checks = EntryChecks(source, ledger)
    content = ValueChecks(ledger, values)
    book = ChainBook(ledger, rules, None if watch is None else watch.examined)
    readable = seen = 0
    complete = True
    for step in source.steps():
        if cancelled():
            complete = False
            break
        if progress is not None:
            progress(step.seq, source.total)
        checks.visit(step)
        content.visit(step)
        book.visit(step)
        readable += step.state is not None
        seen += step.last - step.seq + 1
    for number in sorted(source.names.unknown):
        ledger.add(Code.UNKNOWN_ATOM, None, None, f"the name of atom {number} is missing")
    chains = book.rows(complete=complete)
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
    "Cancelled",
    "ChainRow",
    "ChainVerdict",
    "ChainedSource",
    "ChecksumState",
    "Code",
    "Diagnosis",
    "Finding",
    "Health",
    "Progress",
    "Severity",
    "diagnose",
    "examine",
]
