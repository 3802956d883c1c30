"""Where another rule would begin the chains of a history, and what that would change: strips, bytes, time.

Where chains would begin is worked out over all entries from the sizes of their records. What that does to the file and to rebuilding is
not worked out but tried, on a sample: see `unspool.query.simulator`.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from unspool.codec.strategies import ChainState
from unspool.history.history import History
from unspool.model.entries import FULL, NOTE
from unspool.model.limits import Cancelled, never
from unspool.query.doctor.chains import rule_named
from unspool.query.lineage import forks
from unspool.query.simulator import Candidate, simulate
from unspool.store.protocol import Columns

ALTERNATIVES: Final = (
    "changes:20",
    "changes:50",
    "changes:100",
    "changes:10",
    "adaptive",
    "size:65536",
    "auto",
    "manual",
)
"""Rules to compare with the one that a history was recorded by, the usual ones first."""
_ASKED_EVERY: Final = 4096
"""Entries between two questions whether to stop."""


@dataclass(frozen=True, slots=True)
class Alternative:
    """What another rule would come to.

    Attributes:
        rule: its name.
        starts: the entries at which chains would begin, in order.
        chains: how many chains there are now.
        sampled: entries that it was tried on; 0 where it was not.
        rebuild_us: how much longer the slowest of 20 rebuilds takes than now, in microseconds; negative where it is quicker.
        file_bytes: how many bytes more the file would take, projected from the sample; negative where it is fewer.
        complete: nothing was left out after a cancel.
    """

    rule: str
    starts: array[int]
    chains: int
    sampled: int = 0
    rebuild_us: float = 0.0
    file_bytes: int = 0
    complete: bool = True

    @property
    def more(self) -> int:
        """How many chains there would be more; negative for fewer."""
        return len(self.starts) - self.chains

    def begins(self, seq: int) -> bool:
        """Whether a chain would begin at an entry."""
        at = bisect_left(self.starts, seq)
        return at < len(self.starts) and self.starts[at] == seq

    def between(self, first: int, last: int) -> list[int]:
        """Return the entries from one to another at which chains would begin."""
        return list(self.starts[bisect_left(self.starts, first) : bisect_left(self.starts, last + 1)])


def starts_by(
    columns: Columns, rule: str, *, first: int = 0, apart: Collection[int] = (), cancelled: Cancelled = never
) -> tuple[array[int], bool]:
    """Return where a rule would begin chains, and whether all entries were looked at.

    What an entry that is stored whole would take as a delta is not known; it is taken to be as large as the delta before it.

    Args:
        columns: the columns of the history.
        rule: the rule's name, as `Recorder` reads it.
        first: the first entry.
        apart: entries that do not follow the one before them: those are stored whole whatever the rule.
        cancelled: asked whether to stop.

    Raises:
        ConfigError: an unknown rule.
    """
    wants_full, whole = rule_named(rule).wants_full, frozenset(apart)
    times, starts = columns.timestamp_ns, array("q")
    length = delta_bytes = full_bytes = start_ns = usual = 0
    for seq in range(first, len(columns)):
        if seq % _ASKED_EVERY == 0 and cancelled():
            return starts, False
        kind = columns.kind[seq]
        if kind == NOTE:
            continue
        size = usual if kind == FULL else columns.stored[seq]
        changed = columns.added[seq] + columns.modified[seq] + columns.deleted[seq]
        state = ChainState(length, (times[seq] - start_ns) / 1e6, delta_bytes, full_bytes, changed, size)
        if not starts or seq in whole or wants_full(state):
            starts.append(seq)
            length = delta_bytes = 0
            full_bytes, start_ns = columns.full_bytes[seq], times[seq]
        else:
            length, delta_bytes, usual = length + 1, delta_bytes + size, size
    return starts, True


def alternative(history: History, rule: str, *, now: str, chains: int, cancelled: Cancelled = never) -> Alternative:
    """Return what another rule would come to, tried on a sample beside the one of now.

    Args:
        history: what it is tried on; it is only read.
        rule: the other rule.
        now: the rule of now.
        chains: how many chains there are now.
        cancelled: asked whether to stop.

    Raises:
        ConfigError: an unknown rule.
    """
    apart = [fork.seq for fork in forks(history, history.first, len(history))]
    starts, complete = starts_by(history.columns(), rule, first=history.first, apart=apart, cancelled=cancelled)
    tried = simulate(history, strategies=[now, rule], codecs=["dict"], cancelled=cancelled)
    by_rule: dict[str, Candidate] = {one.strategy: one for one in tried.candidates}
    if rule not in by_rule or now not in by_rule:
        return Alternative(rule, starts, chains, complete=False)
    other, mine = by_rule[rule], by_rule[now]
    return Alternative(
        rule,
        starts,
        chains,
        tried.sampled,
        other.rebuild_us.p95 - mine.rebuild_us.p95,
        other.projected_bytes - mine.projected_bytes,
        complete and tried.complete,
    )
