"""DeepDiff as an independent judge of our differences: sampled steps are compared by it too, and must agree.

It never explains a difference, and no answer rests on it: it compares lists by position where ours follow records by
identity, so only whether and where values differ is held against it, not how that is put into words.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from unspool.delta.apply import apply_ops
from unspool.errors import CorruptHistory, EntryNotKept, UnspoolError
from unspool.history.diff import Change, Diff, fork_base
from unspool.history.history import History, StateView
from unspool.model.entries import ChangeKind
from unspool.model.limits import Cancelled, Progress, never, no_progress
from unspool.model.values import Value, strict_equal
from unspool.model.wire import decode

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
