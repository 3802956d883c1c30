"""Comparing two histories, and the check of our differences by DeepDiff, an independent judge.

The check samples steps, and DeepDiff must agree on each. It never explains a difference, and no answer rests on it: it
compares lists by position where ours follow records by identity, so only whether and where values differ is held against
it, not how that is put into words.
"""

from __future__ import annotations

import random
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from itertools import islice
from typing import Any, Final

from unspool.delta.apply import apply_ops
from unspool.delta.structural import Identity, same_value
from unspool.errors import CorruptHistory, EntryNotKept, UnspoolError
from unspool.history.diff import Change, Diff, fork_base
from unspool.history.history import History, StateView
from unspool.history.verdict import Problem
from unspool.model.entries import ChangeKind
from unspool.model.keys import Path
from unspool.model.limits import Cancelled, Progress, never, no_progress
from unspool.model.paths import PathPattern, covers
from unspool.model.values import MISSING, Value, strict_equal
from unspool.model.wire import decode
from unspool.query.findings import parse_pattern
from unspool.query.lineage import EMPTY_STATE, Places, StateReader, Wire, line_to
from unspool.query.path_writes import PathWrite, follow_back
from unspool.query.value_parts import Difference, differences


class HistoryRelation(StrEnum):
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

    relation: HistoryRelation | None
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


Ignored = tuple[PathPattern, ...]
_RENAMED: Final = 100
_LOOK_AHEAD: Final = 2_000
"""Entries behind the difference in which both are searched for a common state."""


class _Walk:
    """A place in the line of one history."""

    def __init__(self, history: History, at: int | None, ignored: Ignored, skip_damaged: bool, start: int) -> None:
        self._ignored = ignored
        self.reader = StateReader(history, skip_damaged=skip_damaged)
        self.history = history
        self._is_note = history.notes()
        tip = history.resolve(-1 if at is None else at) if len(history) or at is not None else None
        line: Sequence[int] = Places(line_to(history, tip)) if tip is not None else ()
        self.line = line[bisect_left(line, start) :] if start else line
        self.place = -1
        self.state = EMPTY_STATE
        self.unchanging = 0
        self.last_common: int | None = None
        self.advance()

    @property
    def seq(self) -> int | None:
        return self.line[self.place] if self.place < len(self.line) else None

    def action(self) -> str:
        return "" if self.seq is None else self.history.action(self.seq)

    def advance(self) -> None:
        """Go to the next entry that can be read and changes something."""
        before = self.state
        while True:
            self.place += 1
            seq = self.seq
            if seq is None:
                return
            if self._is_note(seq):
                continue
            state = self.reader.state(seq)
            if state is None:
                continue
            self.state = state
            if not _same(before, state, self._ignored):
                return
            self.unchanging += 1

    def side(self) -> Side:
        return Side(self.seq, self.action(), self.last_common, self.unchanging)


def compare(
    first: History,
    second: History,
    *,
    first_at: int | None = None,
    second_at: int | None = None,
    ignore: Iterable[str] = (),
    most: int = 20,
    skip_damaged: bool = False,
    cancelled: Cancelled = never,
    progress: Progress = no_progress,
) -> Divergence:
    """Find where two histories part.

    Args:
        first: one history.
        second: the other.
        first_at: the entry of the first to which the line to look along leads; the last one when None.
        second_at: the same for the second.
        ignore: patterns of paths whose differences do not count, such as `clock` or `rows[*].updated`.
        most: how many differing parts are looked into; the others are counted.
        skip_damaged: pass over entries that cannot be read instead of raising.
        cancelled: ends the comparison when it says yes; `complete` is then False.
        progress: called with how far it is.

    Raises:
        ExpressionError: an ignored path is no pattern.
        EntryNotFound: there is no such entry.
        CorruptHistory: an entry cannot be read.
    """
    ignored = tuple(parse_pattern(text) for text in ignore)
    # Of one history, entries that only one of two copies keeps are left out; what began differently is not known.
    start = max(first.first, second.first) if first.history_id == second.history_id else 0
    one = _Walk(first, first_at, ignored, skip_damaged, start)
    other = _Walk(second, second_at, ignored, skip_damaged, start)
    common, renamed, complete = _walk_together(one, other, ignored, cancelled, progress)
    problems = one.reader.problems + other.reader.problems
    found = Divergence(None, common, one.side(), other.side(), renamed, complete=False, problems=problems)
    if not complete:
        return found
    relation = _relation(one, other, common)
    parts, more = _differing(one, other, ignored, most)
    again = _meeting(one, other, ignored, cancelled) if relation is HistoryRelation.DIVERGED else None
    problems = one.reader.problems + other.reader.problems
    return replace(
        found,
        relation=relation,
        differences=parts,
        more=more,
        meet_again=again,
        complete=not problems,
        problems=problems,
    )


def _walk_together(
    one: _Walk, other: _Walk, ignored: Ignored, cancelled: Cancelled, progress: Progress
) -> tuple[int, tuple[tuple[int, int], ...], bool]:
    """Advance both walks to the first states that differ.

    Returns:
        How many states they share, the entries of those whose actions differ, and whether it was not cancelled.
    """
    common = 0
    renamed: list[tuple[int, int]] = []
    while one.seq is not None and other.seq is not None and _same(one.state, other.state, ignored):
        if cancelled():
            return common, tuple(renamed), False
        progress(one.place, len(one.line))
        common += 1
        if len(renamed) < _RENAMED and one.action() != other.action():
            renamed.append((one.seq, other.seq))
        one.last_common, other.last_common = one.seq, other.seq
        one.advance()
        other.advance()
    return common, tuple(renamed), True


def _relation(one: _Walk, other: _Walk, common: int) -> HistoryRelation:
    if one.seq is None or other.seq is None:
        if one.seq is other.seq:
            return HistoryRelation.SAME
        return HistoryRelation.FIRST_ENDS if one.seq is None else HistoryRelation.SECOND_ENDS
    if common:
        return HistoryRelation.DIVERGED
    return HistoryRelation.UNRELATED if one.state.keys().isdisjoint(other.state) else HistoryRelation.DIFFERENT


def _same(left: Wire, right: Wire, ignored: Ignored) -> bool:
    """Whether two states hold the same, leaving out what is ignored."""
    if left == right:
        return True
    if not ignored:
        return left.keys() == right.keys() and all(
            value == right[atom] or same_value(value, right[atom]) for atom, value in left.items()
        )
    return next(_parts(left, right, ignored, None), None) is None


def _parts(left: Wire, right: Wire, ignored: Ignored, identity: Identity | None) -> Iterator[Difference]:
    """Yield the parts that differ between two states, leaving out what is ignored."""
    for atom in (*left, *(atom for atom in right if atom not in left)):
        for part in differences(left.get(atom), right.get(atom), (atom,), identity):
            path = part.new_path or part.old_path or ()
            if not any(covers(pattern, path) for pattern in ignored):
                yield part


def _differing(one: _Walk, other: _Walk, ignored: Ignored, most: int) -> tuple[tuple[PathDifference, ...], int]:
    """Return the parts that differ, the first ones with who set them, and how many more there are."""
    parts = _parts(one.state, other.state, ignored, one.history.identity)
    shown = [
        PathDifference(
            part.old_path,
            part.new_path,
            part.old_bytes,
            part.new_bytes,
            _writer(one, part.old_path),
            _writer(other, part.new_path),
        )
        for part in islice(parts, most)
    ]
    return tuple(shown), sum(1 for _ in parts)


def _writer(walk: _Walk, path: Path | None) -> PathWrite | None:
    """Return who last set a value where two histories part, or where the one that ends has ended."""
    seq = walk.last_common if walk.seq is None else walk.seq
    if path is None or seq is None:
        return None
    return next(follow_back(walk.reader, path, seq), None)


def _meeting(one: _Walk, other: _Walk, ignored: Ignored, cancelled: Cancelled) -> tuple[int, int] | None:
    """Return the first entries behind the difference that hold the same, as numbers in both histories."""
    seen: tuple[dict[int, int], dict[int, int]] = ({}, {})
    walks = (one, other)
    for step in range(_LOOK_AHEAD):
        if cancelled() or all(walk.place + step >= len(walk.line) for walk in walks):
            return None
        for here, walk in enumerate(walks):
            seq = walk.line[walk.place + step] if walk.place + step < len(walk.line) else None
            state = None if seq is None else walk.reader.state(seq)
            if seq is None or state is None:
                continue
            key = _key(state, ignored)
            seen[here].setdefault(key, seq)
            if key in seen[0] and key in seen[1]:
                found = seen[0][key], seen[1][key]
                states = [walk.reader.state(at) for walk, at in zip(walks, found, strict=True)]
                if None not in states and _same(states[0] or {}, states[1] or {}, ignored):
                    return found
    return None


def _key(state: Wire, ignored: Ignored) -> int:
    """Return a number that is the same for states that are, leaving out atoms in which anything is ignored."""
    kept = (item for item in state.items() if not any(covers(pattern[:1], item[:1]) for pattern in ignored))
    return hash(frozenset(kept))


MOST_BYTES: Final = 2_000_000
"""Bytes of a state up to which all its atoms are compared; of a larger one only those that one side calls changed."""
_SEED: Final = 20_260_301


@dataclass(frozen=True, slots=True)
class Disagreement:
    """One step about which the two disagree.

    Attributes:
        seq: the entry whose change it is.
        atom: where they disagree.
        message: what each says, in one line.
    """

    seq: int
    atom: str
    message: str


@dataclass(slots=True)
class CrossCheck:
    """What a judgement found.

    Attributes:
        asked: steps that were to be judged.
        judged: steps that were.
        atoms: atoms compared in all.
        disagreements: where the two disagree.
        partly: steps of states so large that only the changed atoms were compared.
        unjudged: entries that could not be judged, with the reason.
        complete: nobody cancelled it.
    """

    asked: int
    judged: int = 0
    atoms: int = 0
    disagreements: list[Disagreement] = field(default_factory=list)
    partly: int = 0
    unjudged: list[tuple[int, str]] = field(default_factory=list)
    complete: bool = True

    @property
    def agrees(self) -> bool:
        """Whether every step was judged and none disputed."""
        return self.complete and not self.disagreements and not self.unjudged


def cross_check(
    history: History, count: int, *, cancelled: Cancelled = never, progress: Progress = no_progress
) -> CrossCheck:
    """Hold the differences of sampled steps against DeepDiff.

    Args:
        history: whose steps are judged.
        count: how many; all of them where it has no more. The same history gives the same sample.
        cancelled: asked between steps.
        progress: called with how many of how many are done.
    """
    numbers: list[int] = list(range(history.first, len(history)))
    if len(numbers) > count:
        # No secret: the sample is to be the same each time.
        numbers = sorted(random.Random(_SEED).sample(numbers, count))  # noqa: S311
    found = CrossCheck(len(numbers))
    for done, seq in enumerate(numbers):
        if cancelled():
            found.complete = False
            break
        progress(done, len(numbers))
        try:
            diff = history.changes(seq)
            old: Mapping[str, bytes] = history.view(diff.from_seq).wire if diff.from_seq >= 0 else {}
            part = history[seq].part
            if part is not None:
                old = fork_base(history.view(seq - 1).wire, old, frozenset(part))
            _judge(found, diff, old, history.view(seq))
        except (CorruptHistory, EntryNotKept) as error:
            found.unjudged.append((seq, str(error)))
    return found


def _judge(found: CrossCheck, diff: Diff, old: Mapping[str, bytes], new: StateView) -> None:
    ours = {change.atom: change for change in diff.changes}
    names = set(old) | set(new.wire)
    if sum(map(len, old.values())) + sum(map(len, new.wire.values())) > MOST_BYTES:
        names &= set(ours)
        found.partly += 1
    found.judged += 1
    for atom in sorted(names):
        found.atoms += 1
        before, after = old.get(atom), new.wire.get(atom)
        message = _dispute(ours.get(atom), before, after)
        if message:
            found.disagreements.append(Disagreement(diff.to_seq, atom, message))


def _dispute(change: Change | None, before: bytes | None, after: bytes | None) -> str:
    """Return in what the two disagree about an atom; "" where they agree."""
    if before is None or after is None:
        if change is None:
            return "it came or went, and no change says so"
        wanted = ChangeKind.ADDED if before is None else ChangeKind.DELETED
        return "" if change.kind is wanted else f"it was {wanted.value}, and the change says {change.kind.value}"
    old, new = decode(before), decode(after)
    differs = bool(_difference(old, new))
    if change is None:
        return "DeepDiff finds a difference, and no change says so" if differs else ""
    if not differs and strict_equal(old, new):
        return "a change says that it differs, and DeepDiff finds nothing"
    try:
        applied = apply_ops(old, change.ops)
    except UnspoolError as error:
        return f"its change does not apply ({error})"
    return "its change, applied, gives something else by DeepDiff" if _difference(applied, new) else ""


def _difference(old: Value, new: Value) -> Any:
    # It takes a tenth of a second to import, and only this judgement needs it.
    from deepdiff import DeepDiff

    # By position: whether two lists differ does not depend on how their items are paired, and pairing is quadratic.
    return DeepDiff(old, new, ignore_nan_inequality=True, zip_ordered_iterables=True, verbose_level=0)


def deepdiff_delta(old: Mapping[str, Value], new: Mapping[str, Value]) -> str:
    """Return DeepDiff's Delta from one state to another as JSON, for programs that read that form.

    Args:
        old: the state before, as values by atom.
        new: the state after.
    """
    # Only who asks for this form waits for its import.
    from deepdiff import DeepDiff, Delta
    from deepdiff.serialization import json_dumps

    delta: Any = Delta(DeepDiff(dict(old), dict(new), ignore_nan_inequality=True), serializer=json_dumps)
    return str(delta.dumps())
