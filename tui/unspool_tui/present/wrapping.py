"""Long values of Changes over as many lines as they need, with line breaks kept and changed lines told apart."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from typing import Final

from unspool.model.entries import ChangeKind, Op, OpKind
from unspool.model.values import MISSING, Value
from unspool_tui.present.line import Row, on_grid, width_of, wrap_text, wrap_words
from unspool_tui.present.values import preview_text
from unspool_tui.view.change_list import Item, Shown, whole_value_op

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
