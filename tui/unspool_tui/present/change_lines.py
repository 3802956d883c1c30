"""Lines of Changes: nested paths, old and new value, what differs inside a string, sizes."""

from __future__ import annotations

from msgspec import Struct

from unspool.model.entries import ChangeKind, Op, OpKind
from unspool.model.paths import Path, format_path
from unspool.model.values import MISSING, Value
from unspool_tui.present import humane
from unspool_tui.present.glyphs import Glyphs
from unspool_tui.present.grid import on_grid
from unspool_tui.present.line import Row, Span, Spans, crop, crop_spans, pad, spans_width, width_of
from unspool_tui.present.values import preview, quoted
from unspool_tui.present.wrapping import text_row
from unspool_tui.view.change_list import Item, Shown, whole_value_op
from unspool_tui.view.history_port import AtomChange
from unspool_tui.view.words import Part, Parts, word_diff

SPLIT_FROM = 110
"""Width from which old and new value stand side by side."""
_BEFORE_CHANGE = 12
"""Characters kept before the first difference of a long string, where there is room for as many."""
_SIZES = 18
"""Cells of the sizes at the right edge; side by side they are kept free on every line, so that columns align."""
_KINDS = {ChangeKind.ADDED: "added", ChangeKind.MODIFIED: "modified", ChangeKind.DELETED: "removed"}


class Sheet(Struct, frozen=True):
    """How the columns of Changes are laid out.

    Attributes:
        width: cells of a line.
        glyphs: characters to draw with.
    """

    width: int
    glyphs: Glyphs

    @property
    def split(self) -> bool:
        """Old and new stand side by side."""
        return self.width >= SPLIT_FROM

    @property
    def value_room(self) -> int:
        """Cells of the column of values."""
        return self.width - self.name_room - 5 - (_SIZES if self.split else 1)

    @property
    def name_room(self) -> int:
        """Cells of the column of names and paths."""
        return max(14, min(36, self.width * 36 // 100))


def change_row(item: Item, sheet: Sheet) -> Row:
    """Return the line of one item of a diff."""
    match item.shown:
        case Shown.ATOM if item.change is not None:
            return _atom_row(item, item.change, sheet)
        case Shown.OP if item.op is not None:
            return _op_row(item.address, item.op, sheet)
        case Shown.CHILD:
            return _child_row(item, sheet)
        case Shown.MORE:
            note = f"      {sheet.glyphs.ellipsis} {item.count:,} more {item.text}"
            return Row(((note, "dim"),), (("Enter opens all ", "faint"),))
        case Shown.SENTENCE:
            return Row(((f" {item.sign or sheet.glyphs.dot} ", "accent"), (on_grid(item.text[:400]), "text")))
        case Shown.TEXT:
            return text_row(item)
        case Shown.COUNT:
            hint = "hides them" if item.open else "shows them"
            return Row(((f"  {humane.count(item.count, 'atom')} unchanged  ", "dim"), (f"(u {hint})", "faint")))
        case _:
            return Row((("    ", "text"), (atom_name(str(item.address[0])), "dim")))


def atom_name(name: str) -> str:
    """Return an atom's name as it shows; one without any letter to see is put in quotes."""
    return on_grid(name[:200]) if name.strip() else f'"{on_grid(name[:40])}"'


def _sign(kind: ChangeKind, glyphs: Glyphs) -> Span:
    sign = {ChangeKind.ADDED: glyphs.added, ChangeKind.MODIFIED: glyphs.modified, ChangeKind.DELETED: glyphs.deleted}
    return sign[kind], _KINDS[kind]


def _atom_row(item: Item, change: AtomChange, sheet: Sheet) -> Row:
    glyphs = sheet.glyphs
    fold = glyphs.opened if item.open else glyphs.closed
    sign, style = _sign(change.kind, glyphs)
    name_style = {"added": "added.name", "removed": "removed.name"}.get(style, "strong")
    whole = whole_value_op(change)
    if whole is not None:
        fold = " "
    left: Spans = (
        (f"{fold} ", "dim"),
        (pad(atom_name(change.atom), sheet.name_room), name_style),
        (f" {sign} ", style),
    )
    right = _sizes(change, glyphs)
    if whole is not None:
        room = sheet.value_room if sheet.split else sheet.value_room - spans_width(right)
        return Row((*left, *_old_new(whole.old, whole.new, room, sheet)), right)
    said = str(change.kind)
    if change.kind is ChangeKind.MODIFIED:
        counted = f"{said}  {humane.count(len(change.ops), 'change')}"
        if spans_width(left) + len(counted) + spans_width(right) < sheet.width:
            said = counted
    elif not item.open:
        room = sheet.width - spans_width(left) - spans_width(right) - len(said) - 4
        return Row((*left, (f"{said}  ", style), *_held(change, room)), right)
    return Row((*left, (said, style)), right)


def _held(change: AtomChange, room: int) -> Spans:
    value = change.new if change.kind is ChangeKind.ADDED else change.old
    return crop_spans(tuple((text, "dim") for text, _ in preview(value, max(8, room))), max(0, room))[0]


def _sizes(change: AtomChange, glyphs: Glyphs) -> Spans:
    old, new = change.old_bytes, change.new_bytes
    if old is not None and new is not None:
        if len(old) == len(new):
            return ((f"{humane.size(len(new))} ", "faint"),)
        return ((f"{humane.size(len(old))} {glyphs.arrow} {humane.size(len(new))} ", "faint"),)
    known = new if new is not None else old
    return ((f"{humane.size(len(known))} ", "faint"),) if known is not None else ()


def _op_row(address: Path, op: Op, sheet: Sheet) -> Row:
    glyphs = sheet.glyphs
    signs: dict[OpKind, Span] = {
        OpKind.ADD: (glyphs.added, "added"),
        OpKind.REMOVE: (glyphs.deleted, "removed"),
        OpKind.MOVE: (glyphs.moved, "moved"),
    }
    sign, style = signs.get(op.kind, (glyphs.modified, "modified"))
    label = path_spans(address[1:], op.key, sheet.name_room - 2)
    left: Spans = (("    ", "text"), (f"{sign} ", style), *label, (" ", "text"))
    room = sheet.value_room
    match op.kind:
        case OpKind.ADD:
            return Row((*left, *_one_side(op.new, room, "new", sheet)))
        case OpKind.REMOVE:
            return Row((*left, *_one_side(op.old, room, "old", sheet)))
        case OpKind.MOVE:
            origin = format_path(op.source, root="") or "(value)"
            return Row((*left, ("moved from ", "dim"), (on_grid(origin[:200]), "moved")))
    return Row((*left, *_old_new(op.old, op.new, room, sheet)))


def path_spans(path: Path, key: str, room: int) -> Spans:
    """Return a path in a column of fixed width; a long one keeps its end, which tells more than its beginning."""
    # Only the last steps can be seen; spelling a path of ten thousand steps would be for nothing.
    text = on_grid(format_path(path[-24:], root="")[-400:]) or "(value)"
    named = on_grid(key[:40])
    if named and spans_width(((text, ""), (named, ""))) + 1 <= room:
        return ((text, "text"), (pad(f" {named}", room - spans_width(((text, ""),))), "faint"))
    if spans_width(((text, ""),)) > room:
        return (("…" + crop(text[::-1], room, "")[: room - 1][::-1], "text"),)
    return ((pad(text, room), "text"),)


def _one_side(value: Value, room: int, side: str, sheet: Sheet) -> Spans:
    spans = tuple((text, side if style != "dim" else style) for text, style in preview(value, max(8, room)))
    if not sheet.split:
        return spans
    half = max(8, (room - 3) // 2)
    shown, used = crop_spans(spans, half)
    filled = (*shown, (" " * (half - used), "text"))
    empty: Spans = ((" " * half, "text"),)
    middle: Span = (f" {sheet.glyphs.vertical} ", "border")
    return (*filled, middle, *empty) if side == "old" else (*empty, middle, *filled)


def _old_new(old: Value, new: Value, room: int, sheet: Sheet) -> Spans:
    half = max(8, (room - 3) // 2)
    if isinstance(old, str) and isinstance(new, str):
        left, right = _strings(old, new, half)
        # Whatever the old text is, the new one is seen beside it.
        left = crop_spans(left, half)[0]
    else:
        left = _toned(preview(old, half), "old") if old is not MISSING else ()
        right = _toned(preview(new, max(half, room - spans_width(left) - 3)), "new")
    if not sheet.split:
        return (*left, (f" {sheet.glyphs.arrow} ", "arrow"), *right)
    shown, used = crop_spans(left, half)
    return (*shown, (" " * (half - used), "text"), (f" {sheet.glyphs.vertical} ", "border"), *right)


def _toned(spans: Spans, style: str) -> Spans:
    return tuple((text, style) for text, _ in spans)


def _strings(old: str, new: str, room: int) -> tuple[Spans, Spans]:
    if not old or not new:
        return ((quoted(old, room), "old"),), ((quoted(new, room), "new"),)
    left, right = word_diff(old, new)
    return _word_spans(left, "removed", room), _word_spans(right, "added", room)


def _word_spans(parts: Parts, style: str, room: int) -> Spans:
    whole = all(part.changed for part in parts)
    spans: list[Span] = [('"', style)]
    for text, changed in _around_change(parts, room):
        clean = on_grid(text.replace("\n", "\\n").replace("\t", "\\t"))
        spans.append((clean, f"{style}.word" if changed and not whole else style))
    spans.append(('"', style))
    return tuple(spans)


def _around_change(parts: Parts, room: int) -> Parts:
    """Drop what is far before the first difference and after the last, when all of it would not fit."""
    if sum(width_of(part.text) for part in parts) + 2 <= room or len(parts) < 2:
        return tuple(Part(part.text[: room + 1], part.changed) for part in parts)
    near = max(3, min(_BEFORE_CHANGE, room // 4))
    first, *middle, last = parts
    if not first.changed and width_of(first.text) > near + 1:
        first = Part("…" + crop(first.text[: -near - 1 : -1], near, "")[::-1], False)
    if not last.changed and width_of(last.text) > near + 1:
        last = Part(crop(last.text[:near], near, "") + "…", False)
    return (first, *(Part(part.text[: room + 1], part.changed) for part in middle), last)


def _child_row(item: Item, sheet: Sheet) -> Row:
    kind = item.change.kind if item.change is not None else ChangeKind.ADDED
    sign, style = _sign(kind, sheet.glyphs)
    label = path_spans(item.address[1:], "", sheet.name_room - 2)
    left: Spans = (("    ", "text"), (f"{sign} ", style), *label, (" ", "text"))
    side = "old" if kind is ChangeKind.DELETED else "new"
    return Row((*left, *_one_side(item.value, sheet.value_room, side, sheet)))
