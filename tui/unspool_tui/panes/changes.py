"""The changes at the head, as lines that know which address they are about."""

from __future__ import annotations

import re
from collections.abc import Mapping
from difflib import SequenceMatcher
from typing import TYPE_CHECKING, Final, NamedTuple

from msgspec import Struct

from unspool.delta.identity import pattern_of
from unspool.delta.structural import identity_at
from unspool.model.entries import ChangeKind, Op, OpKind
from unspool.model.keys import Path, format_path
from unspool.model.values import MISSING, Value
from unspool_tui.panes.change_list import Item, Shown, change_list, text_row, whole_value_op, wrapped
from unspool_tui.panes.detail import NOTHING, Detail
from unspool_tui.rendering import format_units
from unspool_tui.rendering.labels import cut_front, record_name, record_names, told_path
from unspool_tui.rendering.line import (
    BLANK,
    Glyphs,
    PaneFrame,
    Row,
    Span,
    Spans,
    crop,
    crop_spans,
    on_grid,
    pad,
    spans_width,
    width_of,
    wrap_words,
)
from unspool_tui.rendering.values import preview, preview_text, quoted
from unspool_tui.view.model import Against, Pane, View

if TYPE_CHECKING:
    from unspool.history.diff import Change

_LONGEST_PATTERN = 40
"""Cells that the path of a list, and the key that tells its records apart, may take in the frame."""
PROBLEM_ROWS = 12
"""Rows that the story of what is wrong with an entry may take."""


class ChangesPane:
    """Lays the diff out once for each look at it and makes the rows that are seen."""

    def __init__(self, glyphs: Glyphs) -> None:
        self._glyphs = glyphs
        self._key: tuple[object, ...] = ()
        self._detail = NOTHING
        self._made: dict[tuple[int, int], Row] = {}
        self._total = 0
        self.items: list[Item] = []
        self.identity: Mapping[str, str] | None = None
        """Keys set by hand."""

    def update(self, view: View, detail: Detail, width: int) -> None:
        """Lay out what the view wants to see of a diff."""
        self._total = view.total
        key = (view.folded, view.opened, view.unchanged, view.words, view.wrap, (view.wrap or view.words) and width)
        if detail is self._detail and key == self._key:
            return
        self._detail, self._key = detail, key
        self._made.clear()
        is_quiet = detail.note is not None and not detail.changes and not view.unchanged
        is_quiet = is_quiet or bool(detail.unknown)
        self.items = (
            [] if detail.problem or is_quiet else change_list(detail.changes, detail.state, view, preview_text)
        )
        if view.wrap or view.words:
            self.items = wrapped(self.items, width)

    def cursor(self, view: View) -> int | None:
        """Return the line of the selected address: itself, or the nearest line around it."""
        items = self.items
        if not items:
            return None
        hint = min(view.change_row, len(items) - 1)
        if items[hint].address == view.selected or not view.selected:
            return hint if view.focus is Pane.CHANGES or view.selected else None
        best: int | None = None
        for row, item in enumerate(items):
            if item.address == view.selected:
                return row
            if item.address and item.address == view.selected[: len(item.address)]:
                best = row
        return best if best is not None or view.focus is not Pane.CHANGES else hint

    def row(self, index: int, width: int) -> Row:
        """Return a line as a row."""
        if self._detail.problem:
            return self._problem_row(index, width)
        if not self.items:
            rows = self._quiet(width)
            return rows[index] if index < len(rows) else BLANK
        key = (index, width)
        made = self._made.get(key)
        if made is None:
            made = self._made[key] = change_row(self.items[index], Sheet(width, self._glyphs, self._detail.state))
        return made

    def count(self) -> int:
        """Return how many rows there are, notices included."""
        if self._detail.problem:
            return PROBLEM_ROWS
        return len(self.items) or (2 if self._detail.note is None and not self._detail.unknown else PROBLEM_ROWS)

    def _quiet(self, width: int) -> list[Row]:
        """Return what stands there where nothing changed: what a note says, in its place."""
        note = self._detail.note
        if self._detail.unknown:
            lines = wrap_words(on_grid(self._detail.unknown), max(8, width - 4), PROBLEM_ROWS - 1)
            return [BLANK, *(Row(((f"  {line}", "dim"),)) for line in lines)]
        if note is None:
            said = "nothing changed" if self._total else "nothing is recorded yet"
            return [BLANK, Row(((f"  {said}", "dim"),))]
        return note_rows(*note, width, self._glyphs)

    def _problem_row(self, index: int, width: int) -> Row:
        rows = problem_rows(self._detail.problem, width, self._glyphs)
        return rows[index] if index < len(rows) else BLANK

    def frame(self, view: View, *, stale: bool) -> PaneFrame:
        """Return the frame: which two entries are compared, what is selected."""
        detail = self._detail
        arrow = self._glyphs.arrow
        kinds = {Against.PREVIOUS: "", Against.BASE: " base", Against.LIVE: " live"}
        title = ""
        if 0 <= detail.request.head < detail.request.total:
            title = f"#{detail.request.head}, {'after what was dropped' if detail.unknown else 'the beginning'}"
            if detail.from_seq >= 0:
                title = f"#{detail.from_seq}{kinds[view.against]} {arrow} #{detail.request.head}"
        selected = on_grid(format_path(view.selected[-12:])[:200]) if view.selected else ""
        left = ((format_units.count(len(detail.changes), "atom"), "faint"),) if detail.changes else ()
        return PaneFrame(
            Pane.CHANGES.value,
            "Changes",
            more=(
                (title, "accent"),
                (f" {self._glyphs.ellipsis}" if stale else "", "warning"),
                *((f"  {format_units.count(detail.passed_over, 'call')} passed over", "warning"),)
                * bool(detail.passed_over),
                *self._key_told(view),
            ),
            left=left,
            right=((selected, "dim"),) if selected else (),
            focused=view.focuses(Pane.CHANGES),
        )

    def aligned(self, view: View) -> tuple[Path, str]:
        """Return the list around the selected place, or else the first that changed, and the key that told its records
        apart; nothing where no list was compared by one.
        """
        first: tuple[Path, str] = ((), "")
        around: tuple[Path, str] = ((), "")
        for change in self._detail.changes:
            for path, key in change.list_keys.items():
                if view.selected[: len(path)] == path and len(path) > len(around[0]):
                    around = (path, key)
                if not first[0] and (not view.selected or path[: len(view.selected)] == view.selected):
                    first = (path, key)
        return around if around[0] else first

    def _key_told(self, view: View) -> Spans:
        path, key = self.aligned(view)
        if not path:
            return ()
        by_hand = " (set)" if identity_at(self.identity, path) == key else ""
        pattern = crop(on_grid(pattern_of(path[-12:])), _LONGEST_PATTERN, self._glyphs.ellipsis)
        return ((f"  {pattern}[*] by {on_grid(key[:_LONGEST_PATTERN])}{by_hand}", "faint"),)


def note_rows(message: str, meta: Mapping[str, Value], width: int, glyphs: Glyphs) -> list[Row]:
    """Return what a note says: its message, and what is known besides, a line each."""
    lines = wrap_words(on_grid(message[:1000]), max(8, width - 6), PROBLEM_ROWS - 4)
    signs = [glyphs.note, *" " * len(lines)]
    rows = [Row(((f"  {sign} ", "note"), (line, "text"))) for sign, line in zip(signs, lines, strict=False)]
    facts = [(on_grid(name[:40]), preview_text(value)) for name, value in meta.items()]
    told = [
        Row(
            (
                (f"    {name} ", "dim"),
                (crop(on_grid(text[:200]), max(8, width - width_of(name) - 7), glyphs.ellipsis), "text"),
            )
        )
        for name, text in facts
    ]
    return [BLANK, *rows, *told, Row((("    a note holds no state: it is that of the entry before", "faint"),))][
        :PROBLEM_ROWS
    ]


def problem_rows(problem: str, width: int, glyphs: Glyphs) -> list[Row]:
    """Return the story of what is wrong with an entry."""
    lines = wrap_words(on_grid(problem[:1000]), max(8, width - 6), PROBLEM_ROWS - 1)
    signs = [glyphs.cross, *" " * len(lines)]
    rows = [Row(((f"  {sign} ", "error"), (line, "error"))) for sign, line in zip(signs, lines, strict=False)]
    return [BLANK, *rows]


def address_of(items: list[Item], row: int) -> Path:
    """Return the address of a line, or nothing for notes."""
    return items[row].address if 0 <= row < len(items) else ()


SPLIT_FROM = 110
"""Width from which old and new value stand side by side."""
_BEFORE_CHANGE = 12
"""Cells kept before the first difference of a long text, where there is room for as many."""
_LEAST_NAME = 6
"""Cells of a name beside a long text, which takes the rest of its column."""
_SIZES = 18
"""Cells of the sizes at the right edge; side by side they are kept free on every line, so that columns align."""
_KINDS = {ChangeKind.ADDED: "added", ChangeKind.MODIFIED: "modified", ChangeKind.DELETED: "removed"}


class Sheet(Struct, frozen=True):
    """How the columns of Changes are laid out.

    Attributes:
        width: cells of a line.
        glyphs: characters to draw with.
        state: what the entry left: it tells the names of records.
    """

    width: int
    glyphs: Glyphs
    state: Mapping[str, Value] = {}

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
            return Row(((f"  {format_units.count(item.count, 'atom')} unchanged  ", "dim"), (f"(u {hint})", "faint")))
        case _:
            return Row((("    ", "text"), (atom_name(str(item.address[0])), "dim")))


def atom_name(name: str) -> str:
    """Return an atom's name as it shows; one without any letter to see is put in quotes."""
    return on_grid(name[:200]) if name.strip() else f'"{on_grid(name[:40])}"'


def _sign(kind: ChangeKind, glyphs: Glyphs) -> Span:
    sign = {ChangeKind.ADDED: glyphs.added, ChangeKind.MODIFIED: glyphs.modified, ChangeKind.DELETED: glyphs.deleted}
    return sign[kind], _KINDS[kind]


def _atom_row(item: Item, change: Change, sheet: Sheet) -> Row:
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
        if not sheet.split and _are_wide(whole.old, whole.new, room):
            name = pad(
                atom_name(change.atom), min(sheet.name_room, max(_LEAST_NAME, width_of(atom_name(change.atom))))
            )
            left, right = (left[0], (name, name_style), left[2]), ()
            room = sheet.width - spans_width(left) - 1
        return Row((*left, *_old_new(whole.old, whole.new, room, sheet)), right)
    said = str(change.kind)
    if change.kind is ChangeKind.MODIFIED:
        counted = f"{said}  {format_units.count(len(change.ops), 'change')}"
        if spans_width(left) + len(counted) + spans_width(right) < sheet.width:
            said = counted
    elif not item.open:
        room = sheet.width - spans_width(left) - spans_width(right) - len(said) - 4
        return Row((*left, (f"{said}  ", style), *_held(change, room)), right)
    return Row((*left, (said, style)), right)


def _held(change: Change, room: int) -> Spans:
    value = change.new if change.kind is ChangeKind.ADDED else change.old
    return crop_spans(tuple((text, "dim") for text, _ in preview(value, max(8, room))), max(0, room))[0]


def _sizes(change: Change, glyphs: Glyphs) -> Spans:
    old, new = change.old_bytes, change.new_bytes
    if old is not None and new is not None:
        if len(old) == len(new):
            return ((f"{format_units.size(len(new))} ", "faint"),)
        return ((f"{format_units.size(len(old))} {glyphs.arrow} {format_units.size(len(new))} ", "faint"),)
    known = new if new is not None else old
    return ((f"{format_units.size(len(known))} ", "faint"),) if known is not None else ()


def _op_row(address: Path, op: Op, sheet: Sheet) -> Row:
    glyphs = sheet.glyphs
    signs: dict[OpKind, Span] = {
        OpKind.ADD: (glyphs.added, "added"),
        OpKind.REMOVE: (glyphs.deleted, "removed"),
        OpKind.MOVE: (glyphs.moved, "moved"),
    }
    sign, style = signs.get(op.kind, (glyphs.modified, "modified"))
    label = path_spans(address[1:], op.key, sheet.name_room - 2, _names(address, op, sheet.state))
    room = sheet.value_room
    if not sheet.split and _are_wide(op.old, op.new, room):
        # Names stand in a column where there is room for it.
        label = tuple(
            (name if place else pad(name, max(_LEAST_NAME, width_of(name))), style)
            for place, (name, style) in enumerate((text.rstrip(), style) for text, style in label)
        )
        room = sheet.width - 6 - spans_width(label) - 2
    left: Spans = (("    ", "text"), (f"{sign} ", style), *label, (" ", "text"))
    match op.kind:
        case OpKind.ADD:
            return Row((*left, *_one_side(op.new, room, "new", sheet)))
        case OpKind.REMOVE:
            return Row((*left, *_one_side(op.old, room, "old", sheet)))
        case OpKind.MOVE:
            origin = format_path(op.source, root="") or "(value)"
            return Row((*left, ("moved from ", "dim"), (on_grid(origin[:200]), "moved")))
    return Row((*left, *_old_new(op.old, op.new, room, sheet)))


def _names(address: Path, op: Op, state: Mapping[str, Value]) -> dict[int, str]:
    """Return the names of the records around a step, by their place inside of the atom."""
    if op.kind is OpKind.MOVE:
        # While things move, an index is that of no record in the end.
        return {}
    names = record_names(address[:-1] if op.kind is OpKind.REMOVE else address, state)
    if op.kind is OpKind.REMOVE and address and isinstance(address[-1], int) and (name := record_name(op.old)):
        names[len(address) - 1] = name
    return {place - 1: name for place, name in names.items()}


def path_spans(path: Path, key: str, room: int, names: Mapping[int, str] | None = None) -> Spans:
    """Return a path in a column of fixed width; a long one keeps its end, which tells more than its beginning.

    Args:
        path: the steps inside of the atom.
        key: how the record around it is identified; told where it has no name.
        room: cells of the column.
        names: names of the records that the path leads through, by the place of their step.
    """
    if names:
        text = told_path(path, names)
        place = max(names)
        if width_of(text) > room:
            inside = format_path(path[place + 1 :], root="$")[1:]
            kept = crop(on_grid(inside[:200]), max(6, room * 3 // 5))
            text = crop(names[place], max(4, room - width_of(kept))) + kept
        return ((pad(text, room), "text"),)
    # Only the last steps can be seen; spelling a path of ten thousand steps would be for nothing.
    text = on_grid(format_path(path[-24:], root="")[-400:]) or "(value)"
    named = on_grid(key[:40])
    if named and spans_width(((text, ""), (named, ""))) + 1 <= room:
        return ((text, "text"), (pad(f" {named}", room - spans_width(((text, ""),))), "faint"))
    if spans_width(((text, ""),)) > room:
        return ((pad(cut_front(text, room), room), "text"),)
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


def _are_wide(old: Value, new: Value, room: int) -> bool:
    """Whether two texts beside each other need more than a room."""
    if not isinstance(old, str) or not isinstance(new, str):
        return False
    return len(old) + len(new) > room or width_of(old) + width_of(new) + 7 > room


def _toned(spans: Spans, style: str) -> Spans:
    return tuple((text, style) for text, _ in spans)


def _strings(old: str, new: str, room: int) -> tuple[Spans, Spans]:
    if not old or not new:
        return ((quoted(old, room), "old"),), ((quoted(new, room), "new"),)
    left, right = word_diff(old, new)
    # Where one side only has words more, the other is shown around the place where they are missing.
    at_end = (right if len(left) == 1 else left)[-1].changed
    return _word_spans(left, "removed", room, at_end=at_end), _word_spans(right, "added", room, at_end=at_end)


def _word_spans(parts: Parts, style: str, room: int, *, at_end: bool) -> Spans:
    whole = all(part.changed for part in parts)
    spans: list[Span] = [('"', style)]
    for text, changed in _around_change(parts, room - 2, at_end=at_end):
        clean = on_grid(text.replace("\n", "\\n").replace("\t", "\\t"))
        spans.append((clean, f"{style}.word" if changed and not whole else style))
    spans.append(('"', style))
    return tuple(spans)


def _around_change(parts: Parts, room: int, *, at_end: bool) -> Parts:
    """Return what fits of a text with its change in the middle; the beginning where all of it is new.

    Args:
        parts: the text.
        room: cells there are.
        at_end: where nothing of it changed, words are missing at its end and not at its beginning.
    """
    if sum(width_of(part.text) for part in parts) <= room:
        return parts
    first = next((place for place, part in enumerate(parts) if part.changed), 1 if len(parts) > 1 or at_end else 0)
    last = max((place for place, part in enumerate(parts) if part.changed), default=first - 1)
    before = "".join(part.text for part in parts[:first])
    spare = max(0, room - sum(width_of(part.text) for part in parts[first : last + 1]))
    behind = sum(width_of(part.text) for part in parts[last + 1 :])
    near = max(spare // 2, spare - behind, min(_BEFORE_CHANGE, room // 4))
    if width_of(before) > near:
        before = cut_front(before, near)
    return _cropped((TextPart(before, False), *parts[first:]), room)


def _cropped(parts: Parts, room: int) -> Parts:
    kept: list[TextPart] = []
    for place, part in enumerate(parts):
        size = width_of(part.text) if len(part.text) <= room else room + 1
        if size < room or (size == room and place == len(parts) - 1):
            kept.append(part)
            room -= size
            continue
        kept.append(TextPart(crop(part.text[:room] + " " * (room + 1), room), part.changed))
        break
    return tuple(kept)


def _child_row(item: Item, sheet: Sheet) -> Row:
    kind = item.change.kind if item.change is not None else ChangeKind.ADDED
    sign, style = _sign(kind, sheet.glyphs)
    label = path_spans(item.address[1:], "", sheet.name_room - 2)
    left: Spans = (("    ", "text"), (f"{sign} ", style), *label, (" ", "text"))
    side = "old" if kind is ChangeKind.DELETED else "new"
    return Row((*left, *_one_side(item.value, sheet.value_room, side, sheet)))


_UNSPACED: Final = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
"""Chinese and Japanese characters: they stand without spaces, so each is a word here."""
_WORD: Final = rf"[{_UNSPACED}]|[^\W{_UNSPACED}]+|\s+|[^\w\s]"
"""Compiled with the first text that changed: that takes as long as drawing a panel, and the first paint would wait for it."""
MOST_WORDS: Final = 400
"""Words compared; a longer text is compared by its common beginning and end only, in linear time."""
LEAST_ALIKE: Final = 0.3
"""Below this share of common words the whole text counts as new: scattered highlights would not read."""


class TextPart(NamedTuple):
    """A piece of a text; `changed` when the other side does not have it."""

    text: str
    changed: bool


Parts = tuple[TextPart, ...]


def word_diff(old: str, new: str) -> tuple[Parts, Parts]:
    """Split two texts into kept and changed pieces.

    Returns:
        The pieces of the old and of the new text; joined they are the texts again.
    """
    old_words, new_words = (re.findall(_WORD, text[: MOST_WORDS * 20]) for text in (old, new))
    if max(len(old_words), len(new_words)) > MOST_WORDS or len(old) + len(new) > MOST_WORDS * 20:
        return _edges(old, new)
    matcher = SequenceMatcher(None, old_words, new_words, autojunk=False)
    if matcher.ratio() < LEAST_ALIKE:
        return _all(old), _all(new)
    left: list[TextPart] = []
    right: list[TextPart] = []
    for tag, old_start, old_end, new_start, new_end in matcher.get_opcodes():
        _push(left, "".join(old_words[old_start:old_end]), tag != "equal")
        _push(right, "".join(new_words[new_start:new_end]), tag != "equal")
    return tuple(left), tuple(right)


def _push(parts: list[TextPart], text: str, changed: bool) -> None:
    if text:
        parts.append(TextPart(text, changed))


def _all(text: str) -> Parts:
    return (TextPart(text, True),) if text else ()


def _edges(old: str, new: str) -> tuple[Parts, Parts]:
    shorter = min(len(old), len(new))
    start = _common(old, new, shorter)
    end = _common(old[::-1], new[::-1], shorter - start)
    return _cut(old, start, end), _cut(new, start, end)


def _common(left: str, right: str, limit: int) -> int:
    low, high = 0, limit
    while low < high:
        middle = (low + high + 1) // 2
        if left[:middle] == right[:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def _cut(text: str, start: int, end: int) -> Parts:
    parts: list[TextPart] = []
    _push(parts, text[:start], False)
    _push(parts, text[start : len(text) - end], True)
    _push(parts, text[len(text) - end :] if end else "", False)
    return tuple(parts)
