"""How much of a source could be read: shown to people and in `--json`."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class VerdictStatus(StrEnum):
    """Complete, partial (something is missing) or refused."""

    COMPLETE = "complete"
    PARTIAL = "partial"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that could not be read.

    Attributes:
        place: file and offset, line or entry.
        message: what is wrong and what was done about it.
    """

    place: str
    message: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What opening a source came to.

    Attributes:
        status: complete, partial or refused.
        problems: what is missing and why, at most a few hundred.
        dropped: problems beyond those listed.
        notes: things worth knowing that lose nothing.
        is_damaged: what is missing was there: the source itself is damaged.
    """

    status: VerdictStatus = VerdictStatus.COMPLETE
    problems: tuple[Problem, ...] = ()
    dropped: int = 0
    notes: tuple[str, ...] = ()
    is_damaged: bool = False


COMPLETE = Verdict()
"""Everything was read."""


def cut_short(name: str, told: str, *, is_damaged: bool) -> Verdict:
    """Return what opening a native file came to that holds less than what was written to it, or may do so.

    Args:
        name: the file's name.
        told: what is the matter.
        is_damaged: something is missing for certain.
    """
    remedy = "; `unspool doctor FILE --repair OUT` brings back what can be read" if is_damaged else ""
    return Verdict(VerdictStatus.PARTIAL, (Problem(name, told + remedy),), is_damaged=is_damaged)
