"""A diff as a list of lines: atoms, the steps inside them, and what did not change."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import Enum
from typing import Final

from msgspec import Struct

from unspool.model.entries import ChangeKind, Op, OpKind
from unspool.model.paths import Path
from unspool.model.values import MISSING, Value
from unspool_tui.view.explain import Spell, explain_change
from unspool_tui.view.history_port import AtomChange, StateView
from unspool_tui.view.model import View
from unspool_tui.view.outline import container_of

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
    change: AtomChange | None = None
    op: Op | None = None
    value: Value = MISSING
    text: str = ""
    sign: str = ""
    count: int = 0
    open: bool = False


def change_list(changes: Sequence[AtomChange], state: StateView, view: View, spell: Spell) -> list[Item]:
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


def _atom_lines(change: AtomChange, view: View, *, room: int) -> Iterator[Item]:
    address: Path = (change.atom,)
    asked = address in view.opened
    wanted = asked or (room > 0 and address not in view.folded and change.kind is not ChangeKind.DELETED)
    inside = list(_inside(change, MOST_LINES if asked else max(1, room))) if wanted else []
    yield Item(Shown.ATOM, address, change, open=bool(inside))
    yield from inside


def _inside(change: AtomChange, most: int) -> Iterator[Item]:
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


def _unchanged(changes: Sequence[AtomChange], state: StateView, view: View) -> Iterator[Item]:
    changed = {change.atom for change in changes}
    count = len(state) - sum(1 for name in changed if name in state)
    if count <= 0:
        return
    yield Item(Shown.COUNT, count=count, open=view.unchanged)
    if view.unchanged:
        yield from (Item(Shown.UNCHANGED, (name,)) for name in state if name not in changed)


def whole_value_op(change: AtomChange) -> Op | None:
    """Return the op that replaces the whole atom, when that is all that happened; it is shown on the atom's line."""
    if change.kind is not ChangeKind.MODIFIED:
        return None
    ops = change.ops
    return ops[0] if len(ops) == 1 and not ops[0].path else None
