"""What bisect finds."""

from __future__ import annotations

from dataclasses import dataclass

from unspool.history.verdict import Problem
from unspool.model.values import Value


@dataclass(frozen=True, slots=True)
class Flip:
    """An entry at which the answer changes.

    Attributes:
        seq: the entry.
        parent_seq: the entry it follows; None for the first one behind damage at the beginning.
        holds: whether the question holds from here on.
        old: the result before.
        new: the result here.
        certain: False when entries that cannot be read lie in between, so that one of them may be where it flips.
    """

    seq: int
    parent_seq: int | None
    holds: bool
    old: Value
    new: Value
    certain: bool = True


@dataclass(frozen=True, slots=True)
class Bisection:
    """Where an answer flips.

    Attributes:
        flips: in the order of entries.
        holds_first: whether the question holds at the first entry that is kept; None when no entry was asked.
        holds_last: whether it holds at the last one; None when no entry was asked or it ended early.
        asked: entries that were rebuilt and asked.
        avoided: entries that did not have to be rebuilt.
        complete: whether all entries in question were asked or could be left out.
        single: whether one flip was taken for granted.
        failures: entries at which the question could not be answered, which counts as not holding.
        failure: why, the first time.
        problems: entries that could not be read and were stepped over.
        doubts: parts of the expression that can hardly be meant: paths that no entry has, kinds that never compare.
    """

    flips: tuple[Flip, ...]
    holds_first: bool | None
    holds_last: bool | None
    asked: int
    avoided: int
    complete: bool
    single: bool = False
    failures: int = 0
    failure: str = ""
    problems: tuple[Problem, ...] = ()
    doubts: tuple[str, ...] = ()

    @property
    def first(self) -> Flip | None:
        """The first flip."""
        return self.flips[0] if self.flips else None

    @property
    def last(self) -> Flip | None:
        """The last flip."""
        return self.flips[-1] if self.flips else None
