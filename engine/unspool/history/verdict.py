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
    """

    status: VerdictStatus = VerdictStatus.COMPLETE
    problems: tuple[Problem, ...] = ()
    dropped: int = 0
    notes: tuple[str, ...] = ()


COMPLETE = Verdict()
"""Everything was read."""
