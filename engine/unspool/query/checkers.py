"""Checkers: rules run over a history in one pass, built in, of a rules file or of an installed package, and their report."""

from __future__ import annotations

import re
import tomllib
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import entry_points
from operator import itemgetter
from pathlib import Path
from typing import Any, Final

from unspool.errors import ConfigError, ExpressionError, UnreadableSource, UnspoolError
from unspool.history.history import History
from unspool.model.entries import caller_of
from unspool.model.paths import PathPattern
from unspool.query.expression_text import refuse_unknown
from unspool.query.expressions import Expression, StateAnswer
from unspool.query.findings import (
    SEVERITIES,
    Checker,
    CheckFinding,
    Moment,
    PatternWatch,
    Scope,
    moments,
    parse_pattern,
    together,
)
from unspool.query.mining import Mined
from unspool.query.record_rules import Duplicate, LeakFloor, Orphan
from unspool.query.value_rules import Drift, Leak, Oscillation, Overwrite, Thrash


class Invariant:
    """Asks an expression at every entry that changes an atom it reads, and reports once where and how long it is broken.

    It is asked from the first entry on that has all atoms it reads. What cannot be worked out there, as the length of null,
    does not hold.
    """

    def __init__(self, scope: Scope, *, expression: str, when: str = "", message: str = "") -> None:
        """Prepare.

        Args:
            scope: what its finding is called by.
            expression: what must hold.
            when: asked first; where it does not hold, the other is not asked. Empty for everywhere.
            message: what to say where it is broken; empty for the expression.

        Raises:
            ExpressionError: one of the two does not parse.
        """
        self._scope = scope
        self._asked = Expression(expression)
        self._guard = Expression(when) if when else None
        self._message = " ".join(message.split())
        guard_reads = self._guard.reads if self._guard is not None else frozenset()
        known = self._asked.reads is not None and guard_reads is not None
        self._reads = (self._asked.reads or frozenset()) | (guard_reads or frozenset()) if known else None
        self._has_begun = False
        self._changes: list[tuple[int, bool | None]] = []
        self._broken = 0
        self._stretches = 0
        self._first: tuple[int, str] | None = None

    @property
    def name(self) -> str:
        """What the rule is called."""
        return self._scope.name

    def refuse_unknown(self, history: History) -> None:
        """Refuse to be asked of a history in which no entry has an atom that is read.

        Raises:
            ExpressionError: names the rule, the atom and the nearest name.
        """
        for expression in filter(None, (self._guard, self._asked)):
            try:
                refuse_unknown(expression.watch, expression.reads, history)
            except ExpressionError as error:
                raise ExpressionError(f"rule {self.name!r}: {error}") from None

    def visit(self, moment: Moment) -> Iterator[CheckFinding]:
        """See `Checker.visit`.

        Raises:
            EvaluationStopped: it takes longer than the limits allow.
        """
        seq = moment.entry.seq
        follows = moment.entry.parent_seq in (None, seq - 1)
        before = self._at(seq - 1 if follows else moment.entry.parent_seq)
        is_touched = self._reads is None or any(change.atom in self._reads for change in moment.diff.changes)
        if self._has_begun and follows and not is_touched:
            self._broken += before is False
            return iter(())
        wire = moment.view.wire
        if not self._has_begun:
            self._has_begun = self._reads is None or all(atom in wire for atom in self._reads)
        answer: StateAnswer | None = None
        if self._has_begun and (self._guard is None or self._guard.ask(wire).holds):
            answer = self._asked.ask(wire)
        self._note(seq, before, answer)
        return iter(())

    def _at(self, seq: int | None) -> bool | None:
        """Return whether it held at an entry; None where it was not asked."""
        place = bisect_right(self._changes, -1 if seq is None else seq, key=itemgetter(0))
        return self._changes[place - 1][1] if place else None

    def _note(self, seq: int, before: bool | None, answer: StateAnswer | None) -> None:
        holds = None if answer is None else answer.holds
        if not self._changes or self._changes[-1][1] is not holds:
            self._changes.append((seq, holds))
        if answer is None or holds:
            return
        self._broken += 1
        self._stretches += before is not False
        if self._first is None:
            self._first = (seq, answer.failure)

    def finish(self) -> Iterator[CheckFinding]:
        """See `Checker.finish`: how long it was broken is known then."""
        if self._first is None:
            return
        seq, failure = self._first
        entries = "1 entry" if self._broken == 1 else f"{self._broken:,} entries"
        often = "" if self._stretches == 1 else f" in {self._stretches:,} stretches"
        last = max(place for place, (_, holds) in enumerate(self._changes) if holds is False)
        recovered = self._changes[last + 1][0] if last + 1 < len(self._changes) else None
        ended = "to the end" if recovered is None else f"and no longer from entry {recovered} on"
        told = self._message or "does not hold"
        why = f" ({failure})" if failure else ""
        text = f"{told}{why}: broken at {entries}{often}, {ended}"
        yield CheckFinding(
            self.name, seq, self._asked.text, text, seq,
            severity="error", entries=self._broken, recovered_at=recovered,
        )  # fmt: skip

    def doubts(self) -> tuple[str, ...]:
        """Return why what the rule says can hardly be meant, or why it was never asked; nothing where it is broken."""
        if self._first is not None:
            return ()
        watched = [expression.watch for expression in (self._guard, self._asked) if expression is not None]
        doubts = [f"rule {self.name!r}: {doubt}" for watch in watched for doubt in watch.doubts()]
        if not doubts and all(holds is None for _, holds in self._changes):
            why = "no entry has all that it reads" if not self._has_begun else "its `when` never holds"
            doubts = [f"rule {self.name!r} was never asked: {why}"]
        return tuple(doubts)


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule: a checker, and how it is to look.

    Attributes:
        check: the checker's name.
        name: what findings are called by.
        options: everything else that was said.
        severity: how much its findings matter; None leaves it to the checker.
    """

    check: str
    name: str
    options: Mapping[str, Any]
    severity: str | None = None


_KNOWN: Final[Mapping[str, tuple[Callable[..., Checker], Mapping[str, type]]]] = {
    "oscillation": (Oscillation, {"within": int, "times": int, "booleans": bool}),
    "thrash": (Thrash, {"writes": int, "within": int}),
    "leak": (Leak, {"growths": int, "factor": float}),
    "overwrite": (Overwrite, {"within_ms": float}),
    "drift": (Drift, {}),
    "duplicate": (Duplicate, {}),
    "leak-floor": (LeakFloor, {"windows": int, "releases": int}),
    "orphan": (Orphan, {"from": str, "to": str}),
    "mined": (Mined, {"seconds": float}),
    "invariant": (Invariant, {"expression": str, "when": str, "message": str}),
}
MINED: Final = Rule("mined", "mined", {})
"""The rule that looks for relations nobody wrote down."""
BUILT_IN: Final = tuple(_KNOWN)
"""Names of the checkers that are always there."""
DEFAULT_RULES: Final = tuple(Rule(name, name, {}) for name in BUILT_IN if name not in ("orphan", "invariant"))
"""What is checked without a rules file; references and invariants have to be written down."""
_MOST_BYTES: Final = 1024 * 1024
"""Bytes of a rules file; nobody writes more by hand."""
_MOST_RULES: Final = 1000
_HEADER: Final = re.compile(r"^[ \t]*\[\[[ \t]*[\"']?rule[\"']?[ \t]*\]\]", re.MULTILINE)


def read_rules(path: Path) -> tuple[Rule, ...]:
    """Read a rules file.

    Raises:
        UnreadableSource: it is missing, cannot be read or is too large.
        ConfigError: it is no TOML, or a rule is not valid; the message names the line, the rule and the key.
    """
    text = _text_of(path)
    try:
        content = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        line = re.search(r"at line (\d+)", str(error))
        where = f"{path}:{line[1]}" if line else f"{path}"
        raise ConfigError(f"{where}: no valid TOML ({error}); write its rules as [[rule]] tables") from None
    known = {"rule", "defaults"}
    if unknown := sorted(content.keys() - known):
        raise ConfigError(f"{path}: unknown key {unknown[0]!r}; write [[rule]] tables, or defaults = true")
    if not isinstance(content.get("defaults", False), bool):
        raise ConfigError(f"{path}: defaults is {content['defaults']!r}; give true or false")
    tables = content.get("rule", [])
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise ConfigError(f"{path}: rules are written as [[rule]] tables")
    if len(tables) > _MOST_RULES:
        raise ConfigError(f"{path}: {len(tables):,} rules; at most {_MOST_RULES:,} are asked, so split the file")
    lines = [text.count("\n", 0, found.start()) + 1 for found in _HEADER.finditer(text)]
    places = [f"{path}:{line}" for line in lines] if len(lines) == len(tables) else [f"{path}"] * len(tables)
    rules = tuple(
        _rule(table, f"{place}: rule {number}")
        for number, (table, place) in enumerate(zip(tables, places, strict=True), start=1)
    )
    if not rules and content.get("defaults") is not True:
        raise ConfigError(
            f"{path}: has no rule, so nothing would be checked; write [[rule]] tables, or defaults = true"
        )
    return (*DEFAULT_RULES, *rules) if content.get("defaults") is True else rules


def _text_of(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(_MOST_BYTES + 1)
        if len(content) > _MOST_BYTES:
            raise UnreadableSource(f"{path}: a rules file has at most {_MOST_BYTES:,} bytes; split it")
        # TOML knows both ways to end a line, and is read as its parser's own `load` would.
        return content.decode("utf-8-sig").replace("\r\n", "\n")
    except OSError as error:
        raise UnreadableSource(f"{path}: cannot be read ({error.strerror}); check the name") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: no valid TOML ({error}); write its rules as [[rule]] tables") from None


def _rule(table: Mapping[str, Any], where: str) -> Rule:
    options = dict(table)
    check, name = options.pop("check", None), options.pop("name", None)
    severity = options.pop("severity", None)
    if check is None and "expression" in options:
        check = "invariant"
    if not isinstance(check, str):
        told = f"name one of {', '.join(BUILT_IN)} or an installed checker, or give an expression that must hold"
        raise ConfigError(f"{where}: check is missing; {told}")
    if name is not None and not isinstance(name, str):
        raise ConfigError(f"{where}: name is text")
    if severity is not None and severity not in SEVERITIES:
        raise ConfigError(f"{where}: severity is {severity!r}; give one of {', '.join(SEVERITIES)}")
    if name is None and check == "invariant" and isinstance(options.get("expression"), str):
        name = options["expression"]
    rule = Rule(check, name or check, options, severity)
    if check in _KNOWN:
        try:
            checker_of(rule)
        except (ConfigError, ExpressionError) as error:
            raise ConfigError(f"{where}: {error}") from None
    return rule


def checker_of(rule: Rule) -> Checker:
    """Return the built-in checker that a rule asks for.

    Raises:
        ConfigError: an option is unknown, of the wrong type or missing.
        ExpressionError: the expression of an invariant does not parse.
    """
    build, kinds = _KNOWN[rule.check]
    options = dict(rule.options)
    scope = Scope(rule.name, _pattern(options.pop("path", None), "path"))
    for key, value in options.items():
        if key not in kinds:
            valid = ", ".join((*kinds, "path", "name", "severity"))
            raise ConfigError(f"{rule.check} has no option {key!r}; it has {valid}")
        _check_option(key, value, kinds[key])
    if rule.check == "orphan":
        source, target = _pattern(options.get("from"), "from"), _pattern(options.get("to"), "to")
        if not source or not target:
            raise ConfigError("orphan needs from and to, such as from = 'cart.items[*].sku' and to = 'stock[*].sku'")
        return Orphan(scope, source=source, target=target)
    if rule.check == "invariant" and "expression" not in options:
        raise ConfigError(
            "an invariant needs the expression that must hold, such as expression = 'till.revenue >= 0'"
        )
    return build(scope, **options)


def patterns_of(rule: Rule) -> list[tuple[str, PathPattern]]:
    """Return the patterns of a built-in checker's rule, with what they are called."""
    keys = ("path", "from", "to") if rule.check in _KNOWN else ()
    found = [(key, _pattern(rule.options.get(key), key)) for key in keys]
    return [(key, pattern) for key, pattern in found if pattern]


def _check_option(key: str, value: object, kind: type) -> None:
    accepted: tuple[type, ...] = (int, float) if kind is float else (kind,)
    is_right = type(value) in accepted
    if not is_right or (isinstance(value, int | float) and not isinstance(value, bool) and not value > 0):
        raise ConfigError(f"{key} is {value!r}; give {_WANTED[kind]}")


_WANTED: Final = {int: "a whole number above 0", float: "a number above 0", bool: "true or false", str: "text"}


def _pattern(text: object, key: str) -> PathPattern | None:
    if text is None:
        return None
    if not isinstance(text, str):
        raise ConfigError(f"{key} is {text!r}; give a path")
    try:
        return parse_pattern(text)
    except ExpressionError as error:
        raise ConfigError(f"{key}: {error}") from None


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
    found: Callable[[CheckFinding], object] | None = None,
) -> CheckReport:
    """Run checkers over a history; one pass serves them all.

    Args:
        history: what is looked at.
        rules: which checkers, and how; the built-in ones and all installed ones when None.
        plugins: checkers besides the built-in ones, by name; those that are installed when None.
        progress: called with how far it is.
        cancelled: called to find out whether to stop; what was found so far is returned then.
        found: gets each finding that is listed as soon as it is there, in the order in which they are found.

    Raises:
        ConfigError: a rule names an unknown checker or option.
        ExpressionError: a rule reads an atom that no entry has.
    """
    own = installed_checkers() if plugins is None else plugins
    wanted = (*DEFAULT_RULES, *(Rule(name, name, {}) for name in own)) if rules is None else tuple(rules)
    _refuse_unknown(wanted, own)
    book = _Book(history, found)
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

    def __init__(self, history: History, found: Callable[[CheckFinding], object] | None) -> None:
        self._history = history
        self._tell = found
        self._findings: list[CheckFinding] = []
        self.counts: Counter[str] = Counter()
        self.problems: list[str] = []

    def take(self, findings: Iterable[CheckFinding], severity: str | None) -> None:
        for finding in findings:
            self.counts[finding.checker] += 1
            if self.counts[finding.checker] <= LISTED:
                told = self._with_lead(finding)
                if severity is not None:
                    told = replace(told, severity=severity)
                self._findings.append(told)
                if self._tell is not None:
                    self._tell(told)

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
                book.take(checker.visit(moment), rule.severity)
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
            watch.visit(moment.view, changed)
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
    """A checker that cannot be imported is reported like one that fails."""

    def call(history: History, options: Mapping[str, Any]) -> Iterable[CheckFinding]:
        (point,) = entry_points(group=PLUGIN_GROUP, name=name)
        plugin: Plugin = point.load()
        return plugin(history, options)

    return call


__all__ = [
    "BUILT_IN",
    "DEFAULT_RULES",
    "MINED",
    "CheckFinding",
    "CheckReport",
    "Plugin",
    "Rule",
    "check",
    "installed_checkers",
    "read_rules",
    "together",
]
