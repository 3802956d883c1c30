"""What comparing two histories tells."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from unspool.history.verdict import Problem
from unspool.model.paths import Path
from unspool.model.values import MISSING, Value
from unspool.model.wire import decode
from unspool.query.path_writes import PathWrite


class Relation(StrEnum):
    """How two histories relate."""

    SAME = "same"
    """They go through the same states."""
    FIRST_ENDS = "first ends"
    """The first one is a beginning of the second."""
    SECOND_ENDS = "second ends"
    """The second one is a beginning of the first."""
    DIVERGED = "diverged"
    """They have states in common, and then differ."""
    DIFFERENT = "different"
    """They differ from the first entry on."""
    UNRELATED = "unrelated"
    """Their first states do not even share the name of an atom."""


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two histories where they differ first.

    Attributes:
        seq: its first entry that the other one does not have; None where it ends before.
        action: why that entry happened.
        last_common: its last entry that both have; None when there is none.
        unchanging: its entries up to there that changed nothing, which were passed over.
    """

    seq: int | None
    action: str
    last_common: int | None
    unchanging: int


@dataclass(frozen=True, slots=True)
class PathDifference:
    """A part of the state that differs where two histories part.

    Attributes:
        first_path: where it stands in the first history; None when it is not there.
        second_path: where it stands in the second one.
        first_bytes: its wire form in the first history.
        second_bytes: its wire form in the second one.
        first_write: who last set it in the first history; None when it is not there.
        second_write: who last set it in the second one.
    """

    first_path: Path | None
    second_path: Path | None
    first_bytes: bytes | None
    second_bytes: bytes | None
    first_write: PathWrite | None
    second_write: PathWrite | None

    @property
    def first(self) -> Value:
        """Its value in the first history, or `MISSING`."""
        return MISSING if self.first_bytes is None else decode(self.first_bytes)

    @property
    def second(self) -> Value:
        """Its value in the second history, or `MISSING`."""
        return MISSING if self.second_bytes is None else decode(self.second_bytes)


@dataclass(frozen=True, slots=True)
class Divergence:
    """Where two histories part.

    Attributes:
        relation: how they relate; None when the comparison was cancelled before that was known.
        common: entries that both have before they part.
        first: the first history there.
        second: the second one.
        renamed: common entries whose actions differ, as pairs of numbers; at most a hundred.
        differences: what differs where they part, the first ones.
        more: how many further parts differ.
        meet_again: the first entries behind that with the same state, in both.
        complete: False when cancelled, or when entries that cannot be read were passed over.
        problems: those entries.
    """

    relation: Relation | None
    common: int
    first: Side
    second: Side
    renamed: tuple[tuple[int, int], ...] = ()
    differences: tuple[PathDifference, ...] = ()
    more: int = 0
    meet_again: tuple[int, int] | None = None
    complete: bool = True
    problems: tuple[Problem, ...] = ()

    @property
    def same_action(self) -> bool:
        """Whether the same action led to different states; False where one of them has no such entry."""
        return None not in (self.first.seq, self.second.seq) and self.first.action == self.second.action
