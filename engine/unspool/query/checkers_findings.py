"""What a checker found, and what a checker is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, Protocol

from unspool.model.caller import Caller
from unspool.model.paths import Path
from unspool.query.checkers_moments import Moment
from unspool.query.checkers_patterns import Pattern, covers

SEVERITIES: Final = ("error", "warning", "info")
"""How much a finding matters, the most first."""


@dataclass(frozen=True, slots=True)
class CheckFinding:
    """One thing a checker found.

    Attributes:
        checker: the checker's name, or the rule's where it has one.
        seq: the entry it shows at.
        path: the value it concerns.
        message: what is the matter, in one line.
        since: the entry it began at.
        severity: one of `SEVERITIES`.
        entries: at how many entries it shows, where that was counted.
        recovered_at: from which entry on it no longer shows, where that was looked for; None when it shows to the end.
        action: the action of the entry it shows at; filled in by `check`.
        timestamp_ns: the time of that entry; filled in by `check`.
        caller: the line of code behind that entry, where the recording kept it; filled in by `check`.
    """

    checker: str
    seq: int
    path: str
    message: str
    since: int
    severity: str = "warning"
    entries: int | None = None
    recovered_at: int | None = None
    action: str = ""
    timestamp_ns: int = 0
    caller: Caller | None = None

    def matters(self, least: str) -> bool:
        """Say whether this is at least of a severity."""
        return SEVERITIES.index(self.severity) <= SEVERITIES.index(least)


def together(findings: Iterable[CheckFinding]) -> list[list[CheckFinding]]:
    """Return findings in groups of one checker at one entry, in order: what happens at once is often one fault."""
    groups: dict[tuple[int, str], list[CheckFinding]] = {}
    for finding in findings:
        groups.setdefault((finding.seq, finding.checker), []).append(finding)
    return list(groups.values())


@dataclass(frozen=True, slots=True)
class Scope:
    """What a rule looks at.

    Attributes:
        name: what its findings are called by.
        path: only values here and below; None for all.
    """

    name: str
    path: Pattern | None = None

    def holds(self, path: Path) -> bool:
        """Say whether a value is looked at."""
        return self.path is None or covers(self.path, path)

    def holds_atom(self, atom: str) -> bool:
        """Say whether something of an atom may be looked at."""
        return self.path is None or covers(self.path[:1], (atom,))


class Checker(Protocol):
    """Looks at the entries of a history in order."""

    def see(self, moment: Moment) -> Iterator[CheckFinding]:
        """Take the next entry and yield what shows at it."""

    def finish(self) -> Iterator[CheckFinding]:
        """Yield what shows only at the end."""
