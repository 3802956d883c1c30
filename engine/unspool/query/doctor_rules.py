"""By whose rule chains are measured: the one somebody asked for, the one the file was recorded with, or the usual one."""

from __future__ import annotations

import sqlite3
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from unspool.codec.strategies import BlockStrategy, FullSnapshotStrategy, strategy_from_name
from unspool.errors import ConfigError, CorruptHistory, UnspoolError
from unspool.history.history import History
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
    """Return the rules that a native file tells."""
    try:
        repaired = connection.layout.fact(connection, REPAIRED_FROM)
        return rules_of(read_recordings(connection), is_repaired=repaired is not None)
    except (sqlite3.DatabaseError, UnicodeDecodeError, CorruptHistory):
        # That the table is damaged is told where its other rows are read.
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
