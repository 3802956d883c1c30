"""Checkers: what a history tells about its app's own faults, without knowing the app."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import entry_points
from typing import Any, Final

from unspool.errors import ConfigError, UnspoolError
from unspool.history.history import History
from unspool.model.caller import caller_of
from unspool.query.checkers_findings import Checker, CheckFinding, together
from unspool.query.checkers_invariants import Invariant
from unspool.query.checkers_moments import Moment, moments
from unspool.query.checkers_patterns import PatternWatch
from unspool.query.mining.miner import Mined
from unspool.query.rules import BUILT_IN, DEFAULT_RULES, MINED, Rule, checker_of, patterns_of, read_rules

Plugin = Callable[[History, Mapping[str, Any]], Iterable[CheckFinding]]
"""A checker of a user's own: takes the history and the rule's options, gives findings."""
PLUGIN_GROUP: Final = "unspool.checkers"
"""Entry point group under which packages offer checkers."""
LISTED: Final = 1000
"""Findings of one rule that are listed; the others are counted."""


@dataclass(frozen=True, slots=True)
class CheckReport:
    """What checking came to.

    Attributes:
        source: what people call the history.
        entries: entries looked at.
        findings: what was found, in the order of entries; at most 1000 of one rule.
        counts: findings by rule, listed or not.
        problems: what could not be looked at, and why.
        doubts: rules that can hardly be meant as they are written, or that nothing was there for, and why.
        complete: everything was looked at; False after a cancel, and where entries do not read or a checker failed.
    """

    source: str
    entries: int
    findings: tuple[CheckFinding, ...]
    counts: Mapping[str, int]
    problems: tuple[str, ...]
    complete: bool
    doubts: tuple[str, ...] = ()

    def matters(self, least: str) -> bool:
        """Whether something was found that is at least of a severity."""
        return any(finding.matters(least) for finding in self.findings)


def check(
    history: History,
    rules: Sequence[Rule] | None = None,
    *,
    plugins: Mapping[str, Plugin] | None = None,
    progress: Callable[[int, int], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> CheckReport:
    """Run checkers over a history; one pass serves them all.

    Args:
        history: what is looked at.
        rules: which checkers, and how; the built-in ones and all installed ones when None.
        plugins: checkers besides the built-in ones, by name; those that are installed when None.
        progress: told how far it is.
        cancelled: asked whether to stop; what was found so far is returned then.

    Raises:
        ConfigError: a rule names an unknown checker or option.
        ExpressionError: a rule reads an atom that no entry has.
    """
    own = installed_checkers() if plugins is None else plugins
    wanted = (*DEFAULT_RULES, *(Rule(name, name, {}) for name in own)) if rules is None else tuple(rules)
    _refuse_unknown(wanted, own)
    book = _Book(history)
    checkers = [(rule, checker_of(rule)) for rule in wanted if rule.check in BUILT_IN]
    invariants = [checker for _, checker in checkers if isinstance(checker, Invariant)]
    for invariant in invariants:
        invariant.refuse_unknown(history)
    watches = [(rule, key, PatternWatch(pattern)) for rule in wanted for key, pattern in patterns_of(rule)]
    seen, complete = _run_built_in(history, checkers, [watch for *_, watch in watches], book, progress, cancelled)
    for rule in wanted:
        if complete and rule.check not in BUILT_IN:
            book.take(_from_plugin(rule, own[rule.check], history, book.problems), rule.severity)
    doubts = [doubt for invariant in invariants for doubt in invariant.doubts()]
    doubts += [f"rule {rule.name!r}, {key}: {doubt}" for rule, key, watch in watches if (doubt := watch.doubt())]
    told = tuple(doubts) if complete and seen else ()
    complete = complete and not book.problems
    for _, checker in checkers:
        if isinstance(checker, Mined):
            book.problems.extend(checker.left_out())
    problems = tuple(dict.fromkeys(book.problems))
    return CheckReport(history.source_name, seen, book.findings(), dict(book.counts), problems, complete, told)


def _refuse_unknown(rules: Iterable[Rule], plugins: Mapping[str, Plugin]) -> None:
    for rule in rules:
        if rule.check not in BUILT_IN and rule.check not in plugins:
            known = ", ".join((*BUILT_IN, *plugins))
            raise ConfigError(f"there is no checker {rule.check!r}; there are {known}")


class _Book:
    """Findings as they come."""

    def __init__(self, history: History) -> None:
        self._history = history
        self._findings: list[CheckFinding] = []
        self.counts: Counter[str] = Counter()
        self.problems: list[str] = []

    def take(self, findings: Iterable[CheckFinding], severity: str | None) -> None:
        for finding in findings:
            self.counts[finding.checker] += 1
            if self.counts[finding.checker] <= LISTED:
                told = self._with_lead(finding)
                self._findings.append(told if severity is None else replace(told, severity=severity))

    def _with_lead(self, finding: CheckFinding) -> CheckFinding:
        """Return a finding with the action, time and line of code of its entry, as far as that entry reads."""
        try:
            entry = self._history[finding.seq]
        except UnspoolError:
            return finding
        return replace(finding, action=entry.action, timestamp_ns=entry.timestamp_ns, caller=caller_of(entry.meta))

    def findings(self) -> tuple[CheckFinding, ...]:
        return tuple(sorted(self._findings, key=lambda finding: finding.seq))


def _run_built_in(
    history: History,
    checkers: Sequence[tuple[Rule, Checker]],
    watches: Sequence[PatternWatch],
    book: _Book,
    progress: Callable[[int, int], None] | None,
    cancelled: Callable[[], bool] | None,
) -> tuple[int, bool]:
    """Return how many entries were looked at, and whether that was all."""
    seen = 0
    total = len(history)
    for moment in moments(history, book.problems) if checkers else ():
        if cancelled is not None and cancelled():
            return seen, False
        if progress is not None:
            progress(moment.entry.seq, total)
        _watch(watches, moment, book.problems)
        for rule, checker in checkers:
            try:
                book.take(checker.see(moment), rule.severity)
            except UnspoolError as error:
                book.problems.append(str(error))
        seen += 1
    for rule, checker in checkers:
        book.take(checker.finish(), rule.severity)
    if progress is not None:
        progress(len(history), len(history))
    return seen, cancelled is None or not cancelled()


def _watch(watches: Sequence[PatternWatch], moment: Moment, problems: list[str]) -> None:
    changed = [change.atom for change in moment.diff.changes]
    try:
        for watch in watches:
            watch.see(moment.view, changed)
    except UnspoolError as error:
        problems.append(str(error))


def _from_plugin(rule: Rule, plugin: Plugin, history: History, problems: list[str]) -> Iterator[CheckFinding]:
    try:
        yield from plugin(history, rule.options)
    except Exception as error:  # noqa: BLE001 - a user's own checker may fail in any way; the others go on
        problems.append(f"the checker {rule.check!r} failed: {type(error).__name__}: {error}")


def installed_checkers() -> dict[str, Plugin]:
    """Return the checkers that installed packages offer in the entry point group `unspool.checkers`."""
    return {point.name: _load_when_called(point.name) for point in entry_points(group=PLUGIN_GROUP)}


def _load_when_called(name: str) -> Plugin:
    """A checker that cannot be imported is told like one that fails."""

    def call(history: History, options: Mapping[str, Any]) -> Iterable[CheckFinding]:
        (point,) = entry_points(group=PLUGIN_GROUP, name=name)
        plugin: Plugin = point.load()
        return plugin(history, options)

    return call


__all__ = [
    "BUILT_IN", "DEFAULT_RULES", "MINED", "CheckFinding", "CheckReport", "Plugin", "Rule", "check", "installed_checkers",
    "read_rules", "together",
]  # fmt: skip
