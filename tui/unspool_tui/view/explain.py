"""A diff told in sentences."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from unspool.delta.hunks import changed_part, is_long_text, is_told_by_lines, text_hunks
from unspool.model.entries import ChangeKind, Op, OpKind
from unspool.model.paths import format_path
from unspool.model.values import MISSING, Value
from unspool_tui.view.history_port import AtomChange

MOST_SENTENCES = 12
"""Sentences about one atom; what is left is counted."""

Spell = Callable[[Value], str]
"""Writes a value in a few words."""


def explain_change(change: AtomChange, spell: Spell) -> tuple[str, ...]:
    """Return what happened to one atom as sentences without the final full stop."""
    if change.kind is ChangeKind.ADDED:
        return (f"{change.atom} appeared: {spell(change.new)}",)
    if change.kind is ChangeKind.DELETED:
        return (f"{change.atom} is gone; it was {spell(change.old)}",)
    ops = change.ops
    said = tuple(explain_op(change.atom, op, spell) for op in ops[:MOST_SENTENCES])
    rest = len(ops) - MOST_SENTENCES
    return (*said, f"{change.atom}: {rest:,} more changes") if rest > 0 else said


def explain_op(atom: str, op: Op, spell: Spell) -> str:
    """Return one step inside an atom as a sentence."""
    name = _name(atom, op)
    match op.kind:
        case OpKind.ADD:
            return f"{name} was added: {spell(op.new)}"
        case OpKind.REMOVE:
            gone = "" if op.old is MISSING else f"; it was {spell(op.old)}"
            return f"{name} was removed{gone}"
        case OpKind.MOVE:
            return f"{name} moved here from {format_path((atom, *op.source), root='')}"
        case OpKind.SPLICE:
            return f"{name}: {spell(op.old)} became {spell(op.new)} at character {op.index}"
        case OpKind.REPLACE:
            return _replaced(name, op.old, op.new, spell)


def _name(atom: str, op: Op) -> str:
    path = format_path((atom, *op.path), root="")
    return f"{path} ({op.key})" if op.key else path


def _replaced(name: str, old: Value, new: Value, spell: Spell) -> str:
    numbers = _is_number(old) and _is_number(new)
    if numbers and new != old and new == new and old == old:
        verb = "rose" if new > old else "fell"
        return f"{name} {verb} from {spell(old)} to {spell(new)}{_by(old, new, spell)}"
    if old is True and new is False:
        return f"{name} was switched off"
    if old is False and new is True:
        return f"{name} was switched on"
    if old is None:
        return f"{name} was set to {spell(new)}"
    if new is None:
        return f"{name} was cleared; it was {spell(old)}"
    if type(old) is not type(new) and old is not MISSING:
        return f"{name} turned from {spell(old)} into {spell(new)} of another type"
    if isinstance(old, str) and isinstance(new, str) and (is_long_text(old, new) or is_told_by_lines(old, new)):
        return _rewritten(name, old, new, spell)
    return f"{name} became {spell(new)} instead of {spell(old)}"


def _rewritten(name: str, old: str, new: str, spell: Spell) -> str:
    """Tell of two texts what differs: of long ones the beginnings may be the same."""
    if "\n" not in old and "\n" not in new:
        before, after = changed_part(old, new)
        return f"{name} became {spell(after)} instead of {spell(before)}"
    first, *others = text_hunks(old, new)
    line = f"{name}, line {first.new_line:,}"
    if not first.removed:
        said = f"{line}: {_lines(len(first.added))} added, {spell(first.added[0])}"
    elif not first.added:
        said = f"{line}: {_lines(len(first.removed))} removed, {spell(first.removed[0])}"
    else:
        before, after = changed_part(first.removed[0], first.added[0])
        said = f"{line} became {spell(after)} instead of {spell(before)}"
    more = "1 more place" if len(others) == 1 else f"{len(others):,} more places"
    return f"{said}; {more} changed" if others else said


def _lines(count: int) -> str:
    return "a line was" if count == 1 else f"{count:,} lines were"


def _is_number(value: Value) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _by(old: Value, new: Value, spell: Spell) -> str:
    if isinstance(old, int) and isinstance(new, int):
        return f", by {spell(abs(new - old))}"
    return ""


def explain(changes: Sequence[AtomChange], spell: Spell) -> tuple[str, ...]:
    """Return a whole diff as sentences."""
    return tuple(sentence for change in changes for sentence in explain_change(change, spell))
