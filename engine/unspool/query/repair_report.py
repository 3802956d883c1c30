"""What a repair kept and what it lost."""

from __future__ import annotations

from dataclasses import dataclass

from unspool.errors import ConfigError
from unspool.history.stats import Health
from unspool.query.doctor import Diagnosis


class RepairRefused(ConfigError):
    """A repair that would overwrite something, or has nowhere to write; the message names the file."""


@dataclass(frozen=True, slots=True)
class Hole:
    """Entries that did not read, and stand as holes in the new file.

    Attributes:
        first: number of the first one, in the damaged file.
        last: number of the last one.
        code: what was the matter.
        why: the same in words.
        facts_kept: when they happened and what they changed is kept; only their states are lost.
    """

    first: int
    last: int
    code: str
    why: str
    facts_kept: bool


@dataclass(frozen=True, slots=True)
class RepairReport:
    """What became of a repair.

    Attributes:
        source: the damaged file.
        out: the new file.
        entries: entries of the new file, holes included.
        kept: entries that are as they were recorded.
        without_facts: entries of which only the state is as it was recorded: when and why they came about is lost.
        holes: what was lost, in order; complete, however much it is.
        doubtful: entries, as first and last, that read but may not be what was recorded; they are marked.
        left_out: what of a foreign source is lost without a place among the entries.
        reindexed: entries whose list of changed atoms was made anew.
        lost_names: numbers of atoms whose name was lost; they are called `atom#NUMBER`.
        renumbered_from: first entry with another number than before; None when all keep theirs.
        before: what the doctor found in the damaged file.
        health: what the doctor says of the new file: degraded where there are holes.
        complete: False when it was cancelled; no new file is there then.
    """

    source: str
    out: str
    entries: int
    kept: int
    without_facts: int
    holes: tuple[Hole, ...]
    doubtful: tuple[tuple[int, int], ...]
    left_out: tuple[str, ...]
    reindexed: int
    lost_names: tuple[int, ...]
    renumbered_from: int | None
    before: Diagnosis
    health: Health
    complete: bool
