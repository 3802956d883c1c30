"""A diff as a list of lines: atoms, the steps inside them, and what did not change."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from difflib import SequenceMatcher
from enum import Enum
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from unspool.delta.structural import changed_part, is_long_text, is_told_by_lines, text_hunks
from unspool.model.entries import ChangeKind, Op, OpKind
from unspool.model.keys import Path, format_path
from unspool.model.values import MISSING, Value
from unspool_tui.rendering.line import Row, on_grid, width_of, wrap_text, wrap_words
from unspool_tui.rendering.values import preview_text
from unspool_tui.view.model import View
from unspool_tui.view.outline import container_of

if TYPE_CHECKING:
    from unspool.history.diff import Change

OPEN_BY_ITSELF: Final = 300
"""Lines up to which atoms are open without being asked; beyond, the reader opens what is wanted."""
MOST_LINES: Final = 5_000
"""Lines of one open atom; a note counts the rest."""
CHILDREN_SHOWN: Final = 50
"""First children listed of an added or deleted container; Inspect shows all of them."""


class Shown(Enum):
    """What a line of Changes is about."""

    ATOM = "atom"
    OP = "op"
    CHILD = "child"
    MORE = "more"
    SENTENCE = "sentence"
    COUNT = "count"
    UNCHANGED = "unchanged"
    TEXT = "text"


class Item(Struct, frozen=True, eq=False):
    """One line of Changes.

    Attributes:
        shown: what it is about.
        address: where, atom first; empty for notes.
        change: the atom's change.
        op: the step (`OP`).
        value: the child (`CHILD`).
        text: the words (`SENTENCE`, `MORE`), or a line of a long value (`TEXT`).
        sign: side of a line of a long value: `-`, `+` or blank (`TEXT`); blank where a sentence goes on (`SENTENCE`).
        count: how many are left out (`MORE`) or unchanged (`COUNT`).
        open: the lines inside follow (`ATOM`).
    """

    shown: Shown
    address: Path = ()
    change: Change | None = None
    op: Op | None = None
    value: Value = MISSING
    text: str = ""
    sign: str = ""
    count: int = 0
    open: bool = False


def change_list(changes: Sequence[Change], state: Mapping[str, Value], view: View, spell: Spell) -> list[Item]:
    """Return the lines of a diff as the view wants them: folded, open, in words, with or without unchanged atoms."""
    lines: list[Item] = []
    if view.words:
        for change in changes:
            lines.extend(
                Item(Shown.SENTENCE, (change.atom,), change, text=f"{text}.")
                for text in explain_change(change, spell)
            )
    else:
        for change in changes:
            lines.extend(_atom_lines(change, view, room=OPEN_BY_ITSELF - len(lines)))
    return [*lines, *_unchanged(changes, state, view)]


def _atom_lines(change: Change, view: View, *, room: int) -> Iterator[Item]:
    address: Path = (change.atom,)
    asked = address in view.opened
    wanted = asked or (room > 0 and address not in view.folded and change.kind is not ChangeKind.DELETED)
    inside = list(_inside(change, MOST_LINES if asked else max(1, room))) if wanted else []
    yield Item(Shown.ATOM, address, change, open=bool(inside))
    yield from inside


def _inside(change: Change, most: int) -> Iterator[Item]:
    if change.kind is ChangeKind.MODIFIED:
        ops = change.ops
        if len(ops) == 1 and not ops[0].path:
            return
        for op in reading_order(ops[:most]):
            yield Item(Shown.OP, (change.atom, *op.path), change, op)
        if len(ops) > most:
            yield Item(Shown.MORE, (change.atom,), change, count=len(ops) - most, text="changes")
        return
    container = container_of(change.new if change.kind is ChangeKind.ADDED else change.old)
    if container is None:
        return
    shown = min(len(container), CHILDREN_SHOWN, most)
    for position in range(shown):
        yield Item(Shown.CHILD, (change.atom, container.step(position)), change, value=container.value(position))
    if len(container) > shown:
        yield Item(Shown.MORE, (change.atom,), change, count=len(container) - shown, text="values")


def reading_order(ops: Sequence[Op]) -> list[Op]:
    """Return steps as a reader expects them: removals from one list stand last to first, turn them round."""
    ordered: list[Op] = []
    run: list[Op] = []
    for op in ops:
        if op.kind is OpKind.REMOVE and (not run or run[-1].path[:-1] == op.path[:-1]):
            run.append(op)
            continue
        ordered += reversed(run)
        run = [op] if op.kind is OpKind.REMOVE else []
        if not run:
            ordered.append(op)
    return [*ordered, *reversed(run)]


def _unchanged(changes: Sequence[Change], state: Mapping[str, Value], view: View) -> Iterator[Item]:
    changed = {change.atom for change in changes}
    count = len(state) - sum(1 for name in changed if name in state)
    if count <= 0:
        return
    yield Item(Shown.COUNT, count=count, open=view.unchanged)
    if view.unchanged:
        yield from (Item(Shown.UNCHANGED, (name,)) for name in state if name not in changed)


def whole_value_op(change: Change) -> Op | None:
    """Return the op that replaces the whole atom, when that is all that happened; it is shown on the atom's line."""
    if change.kind is not ChangeKind.MODIFIED:
        return None
    ops = change.ops
    return ops[0] if len(ops) == 1 and not ops[0].path else None


MOST_SENTENCES = 12
"""Sentences about one atom; what is left is counted."""

Spell = Callable[[Value], str]
"""Writes a value in a few words."""


def explain_change(change: Change, spell: Spell) -> tuple[str, ...]:
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


def explain(changes: Sequence[Change], spell: Spell) -> tuple[str, ...]:
    """Return a whole diff as sentences."""
    return tuple(sentence for change in changes for sentence in explain_change(change, spell))


_INDENT: Final = 8
_CONTEXT: Final = 2
"""Unchanged lines kept around changed ones."""
_MOST_PIECES: Final = 200
_MOST_CHARACTERS: Final = 200_000
_MOST_LINES: Final = 2_000


def wrapped(items: Sequence[Item], width: int) -> list[Item]:
    """Return the lines of a diff with those of long values after the line they belong to."""
    room = max(16, width - _INDENT - 2)
    spread: list[Item] = []
    for item in items:
        if item.shown is Shown.SENTENCE:
            spread.extend(_sentence(item, max(16, width - 4)))
            continue
        spread.append(item)
        spread.extend(_below(item, room))
    return spread


def _sentence(item: Item, room: int) -> Iterator[Item]:
    first, *rest = wrap_words(on_grid(item.text[:400]), room, 12)
    yield Item(Shown.SENTENCE, item.address, item.change, text=first)
    for line in rest:
        yield Item(Shown.SENTENCE, item.address, item.change, text=line, sign=" ")


def text_row(item: Item) -> Row:
    """Return one line of a long value."""
    signs = {"-": ("removed", "removed"), "+": ("added", "added")}
    style, ground = signs.get(item.sign, ("dim", ""))
    return Row(((" " * (_INDENT - 2), "text"), (f"{item.sign} ", style), (item.text, style)), ground=ground)


def _below(item: Item, room: int) -> Iterator[Item]:
    change = item.change
    if item.shown is Shown.OP and item.op is not None:
        yield from _op_lines(item, item.op, room)
    elif item.shown is Shown.CHILD and change is not None:
        yield from _side(item, item.value, "-" if change.kind is ChangeKind.DELETED else "+", room)
    elif item.shown is Shown.ATOM and change is not None and not item.open:
        whole = whole_value_op(change)
        if whole is not None:
            yield from _op_lines(item, whole, room)
        elif change.kind is ChangeKind.ADDED:
            yield from _side(item, change.new, "+", room)


def _op_lines(item: Item, op: Op, room: int) -> Iterator[Item]:
    if isinstance(op.old, str) and isinstance(op.new, str) and op.kind is OpKind.REPLACE:
        old, new = op.old[:_MOST_CHARACTERS], op.new[:_MOST_CHARACTERS]
        if "\n" in old or "\n" in new:
            yield from _line_diff(item, old, new, room)
            return
        if width_of(old) + width_of(new) + 5 <= room:
            return
    for value, sign in ((op.old, "-"), (op.new, "+")):
        if value is not MISSING:
            yield from _side(item, value, sign, room)


def _side(item: Item, value: Value, sign: str, room: int) -> Iterator[Item]:
    text = value[:_MOST_CHARACTERS] if isinstance(value, str) else preview_text(value, room * 8)
    lines = text.split("\n")
    if len(lines) == 1 and width_of(text) < room // 2:
        return
    for line in lines[:_MOST_PIECES]:
        yield from _pieces(item, line, sign, room)


def _pieces(item: Item, line: str, sign: str, room: int) -> Iterator[Item]:
    for piece in wrap_text(on_grid(line), room, _MOST_PIECES) or ("",):
        yield Item(Shown.TEXT, item.address, item.change, text=piece, sign=sign)


def _line_diff(item: Item, old: str, new: str, room: int) -> Iterator[Item]:
    old_lines, new_lines = old.split("\n")[:_MOST_LINES], new.split("\n")[:_MOST_LINES]
    matcher = SequenceMatcher(None, old_lines, new_lines, autojunk=True)
    for group in matcher.get_grouped_opcodes(_CONTEXT):
        start = group[0][1]
        if start:
            yield Item(Shown.TEXT, item.address, item.change, text=f"line {start + 1}", sign=" ")
        for tag, old_start, old_end, new_start, new_end in group:
            if tag == "equal":
                for line in old_lines[old_start:old_end]:
                    yield from _pieces(item, line, " ", room)
                continue
            for line in old_lines[old_start:old_end]:
                yield from _pieces(item, line, "-", room)
            for line in new_lines[new_start:new_end]:
                yield from _pieces(item, line, "+", room)
