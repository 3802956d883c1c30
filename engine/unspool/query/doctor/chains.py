"""The rules that chains are measured by: one that was given, that of the recording, or the usual one; and chains that break them."""

from __future__ import annotations

import sqlite3
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from unspool.codec.strategies import (
    BlockStrategy,
    ChainAction,
    ChainCheck,
    ChainLimits,
    ChainState,
    FullSnapshotStrategy,
    limits_of,
    strategy_from_name,
)
from unspool.errors import ConfigError, CorruptHistory, UnspoolError
from unspool.history.history import History
from unspool.query.doctor.findings import Code, Facts, FindingLog, Severity, Step
from unspool.store.file import FileStore
from unspool.store.layout import REPAIRED_FROM, FileConnection
from unspool.store.recordings import Recording, TellsSettings, read_recordings

USUAL: Final = "auto"
"""The recorder's own rule, where nobody says another."""


class RuleSource(StrEnum):
    """Who says by which rule chains are measured."""

    GIVEN = "given"
    FILE = "file"
    USUAL = "usual"


@dataclass(frozen=True, slots=True)
class ChainRules:
    """The rules that chains were, or should have been, ended by.

    Attributes:
        source: who says so.
        firsts: the entry from which on each rule applies, in order.
        rules: the rules themselves.
        is_repaired: a repair wrote the file, and what stands for lost entries follows no rule.
    """

    source: RuleSource
    firsts: tuple[int, ...]
    rules: tuple[FullSnapshotStrategy, ...]
    is_repaired: bool = False

    @property
    def name(self) -> str:
        """The rules by name, in the order of entries."""
        return ", then ".join(dict.fromkeys(rule.name for rule in self.rules))

    @property
    def is_binding(self) -> bool:
        """Whether a chain that breaks its rule is out of order, and not only longer than usual."""
        return self.source is not RuleSource.USUAL and not self.is_repaired

    def at(self, seq: int) -> FullSnapshotStrategy:
        """Return the rule for a chain that begins at an entry."""
        return self.rules[max(bisect_right(self.firsts, seq) - 1, 0)]


def given_rules(name: str) -> ChainRules:
    """Return the one rule that somebody asked for.

    Raises:
        ConfigError: an unknown name.
    """
    return ChainRules(RuleSource.GIVEN, (0,), (rule_named(name),))


def rule_named(name: str) -> FullSnapshotStrategy:
    """Return the rule that `Recorder` follows for a strategy's name.

    Raises:
        ConfigError: an unknown name.
    """
    return BlockStrategy() if name == USUAL else strategy_from_name(name)


def rules_of(recordings: Iterable[Recording], *, is_repaired: bool = False) -> ChainRules:
    """Return the rules a file was recorded with; the usual one where it does not say, or says what nobody knows."""
    firsts: list[int] = []
    rules: list[FullSnapshotStrategy] = []
    for recording in recordings:
        try:
            rule = rule_named(recording.strategy)
        except ConfigError:
            return _USUAL_RULES
        firsts.append(recording.first)
        rules.append(rule)
    return ChainRules(RuleSource.FILE, tuple(firsts), tuple(rules), is_repaired) if rules else _USUAL_RULES


def rules_in(connection: FileConnection) -> ChainRules:
    """Return the rules that a native file names."""
    try:
        repaired = connection.layout.fact(connection, REPAIRED_FROM)
        return rules_of(read_recordings(connection), is_repaired=repaired is not None)
    except (sqlite3.DatabaseError, UnicodeDecodeError, CorruptHistory):
        # That the table is damaged is reported where its other rows are read.
        return _USUAL_RULES


def rules_of_history(history: History) -> ChainRules:
    """Return the rules that the chains of an open history were recorded by."""
    store = history.store
    try:
        if isinstance(store, FileStore):
            return store.reader.call(rules_in)
        return rules_of(store.recordings()) if isinstance(store, TellsSettings) else _USUAL_RULES
    except UnspoolError:
        return _USUAL_RULES


_USUAL_RULES: Final = ChainRules(RuleSource.USUAL, (0,), (BlockStrategy(),))


CHAINS_LISTED: Final = 10_000
"""Chains that are listed: the newest ones, and as many of those that need something done."""


class ChainVerdict(StrEnum):
    """What should become of a chain."""

    KEEP = "keep"
    CREATE_BASE = "create base"
    BROKEN = "broken"


_VERDICTS: Final[Mapping[ChainAction, ChainVerdict]] = {
    "keep": ChainVerdict.KEEP,
    "create_base": ChainVerdict.CREATE_BASE,
    "reconstruct": ChainVerdict.BROKEN,
}


class ChecksumState(StrEnum):
    """What checking a chain's stored bytes came to."""

    INTACT = "intact"
    DAMAGED = "damaged"


@dataclass(frozen=True, slots=True)
class ChainRow:
    """One chain: a full snapshot and the deltas that follow it.

    Attributes:
        first: number of the full snapshot, or of the first entry where that is lost.
        last: number of the last delta.
        length: deltas.
        age_ms: milliseconds from the full snapshot to the last delta.
        full_bytes: bytes of the full snapshot's state.
        delta_bytes: bytes of the deltas' records as recorded.
        limits: where its strategy would have ended it.
        checksums: what checking its stored bytes came to.
        verdict: what should become of it.
        reason: why.
    """

    first: int
    last: int
    length: int
    age_ms: float
    full_bytes: int
    delta_bytes: int
    limits: ChainLimits
    checksums: ChecksumState
    verdict: ChainVerdict
    reason: str


class ChainBook:
    """Follows the entries and keeps one row for each chain."""

    def __init__(
        self, ledger: FindingLog, rules: ChainRules, done: Callable[[ChainRow], object] | None = None
    ) -> None:
        """Start before the first entry.

        Args:
            ledger: where findings go.
            rules: what chains are measured by.
            done: told each chain as soon as its last entry was seen.
        """
        self._ledger = ledger
        self._done = done
        self._rules = rules
        self._severity = Severity.WARNING if rules.is_binding else Severity.NOTE
        self._open: _Open | None = None
        self._healthy: deque[ChainRow] = deque(maxlen=CHAINS_LISTED)
        self._others: deque[ChainRow] = deque(maxlen=CHAINS_LISTED)
        self.count = 0
        """Chains seen, listed or not."""

    def visit(self, step: Step) -> None:
        """Take the next entry."""
        facts = step.facts
        if step.fault is None and facts is not None and facts.codec.is_note:
            # It belongs to no chain: nothing stands on it but other notes.
            return
        if self._open is None or facts is None or facts.codec.is_full:
            self._close()
            self._open = _Open(step, facts, self._rules.at(step.seq))
        else:
            self._measure(self._open, step, facts)
        if step.fault is not None:
            self._open.check.fail(step.seq, f"entry {step.seq}: {step.fault.text}")

    def _measure(self, chain: _Open, step: Step, facts: Facts) -> None:
        state = ChainState(
            length=chain.length,
            age_ms=(facts.time_ns - chain.start_ns) / 1e6,
            delta_bytes=chain.delta_bytes,
            full_bytes=chain.full_bytes,
            changed_atoms=len(facts.changed),
            candidate_bytes=facts.stored,
        )
        if not chain.check.is_over and chain.rule.wants_full(state):
            chain.check.exceed(f"{chain.rule.name} wants a full snapshot at entry {step.seq}")
        chain.last = step.last
        chain.length += 1
        chain.delta_bytes += facts.stored
        chain.age_ms = state.age_ms

    def _close(self) -> None:
        if self._open is None:
            return
        row = self._row(self._open)
        self.count += 1
        if row.verdict is ChainVerdict.CREATE_BASE:
            self._ledger.add(Code.OVER_LIMIT, row.first, row.last, row.reason, self._severity)
        (self._healthy if row.verdict is ChainVerdict.KEEP else self._others).append(row)
        if self._done is not None:
            self._done(row)

    def _row(self, chain: _Open) -> ChainRow:
        found = chain.check.result()
        verdict = _VERDICTS[found.action]
        return ChainRow(
            chain.first, chain.last, chain.length, chain.age_ms, chain.full_bytes, chain.delta_bytes,
            limits_of(chain.rule, chain.full_bytes),
            ChecksumState.DAMAGED if verdict is ChainVerdict.BROKEN else ChecksumState.INTACT,
            verdict, found.reason or "within its limits",
        )  # fmt: skip

    def rows(self, *, complete: bool) -> tuple[ChainRow, ...]:
        """Return the rows in order; the last chain is one of them only where all of it was seen."""
        if complete:
            self._close()
        self._open = None
        return tuple(sorted((*self._healthy, *self._others), key=lambda row: row.first))


class _Open:
    """A chain that may still grow."""

    __slots__ = (
        "age_ms", "check", "delta_bytes", "first", "full_bytes", "last", "length", "rule", "start_ns",
    )  # fmt: skip

    def __init__(self, step: Step, facts: Facts | None, rule: FullSnapshotStrategy) -> None:
        self.rule = rule
        self.first, self.last = step.seq, step.last
        self.start_ns = 0 if facts is None else facts.time_ns
        self.full_bytes = 0 if facts is None else facts.full_bytes
        self.length = self.delta_bytes = 0
        self.age_ms = 0.0
        self.check = ChainCheck()
