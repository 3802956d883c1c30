"""Values as text: previews, the tree of Inspect, JSON and raw text in lines."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Final, NamedTuple

from msgspec import Struct

from unspool.model.entries import SourceLine
from unspool.model.json_text import to_json
from unspool.model.keys import spell_key
from unspool.model.paths import step_of
from unspool.model.tags import Tagged, Unrepresentable
from unspool.model.values import MISSING, Value
from unspool_tui.rendering import format_units
from unspool_tui.rendering.labels import file_and_line, record_name
from unspool_tui.rendering.line import Glyphs, Row, Span, Spans, on_grid, pad, spans_width, width_of, wrap_text
from unspool_tui.view.outline import OutlineNode, container_of, in_order, whole_number

PREVIEW: Final = 160
"""Characters of a preview at most; a line of the widest layout shows no more."""
_STRING: Final = 120
_MOST_ITEMS: Final = 24

_Piece = tuple[str, str]


def leaf(value: Value) -> Span:
    """Return the text and style of a value that has no children."""
    match value:
        case None:
            return "null", "json.null"
        case bool():
            return ("true" if value else "false"), "json.bool"
        case int():
            return whole_number(value), "json.number"
        case float():
            return number(value), "json.number"
        case str():
            return quoted(value), "json.string"
        case bytes() | bytearray():
            return blob(bytes(value[:32]), len(value)), "json.string"
        case Unrepresentable():
            return f"<{on_grid(value.type_name[:60])}: {on_grid(value.reason[:60])}>", "json.type"
    if value is MISSING:
        return "(nothing)", "json.null"
    return on_grid(str(value)[:_STRING]), "json.number"


def number(value: float) -> str:
    """Spell a float; the special ones as JavaScript names them."""
    if value != value:
        return "NaN"
    if value in (math.inf, -math.inf):
        return "Infinity" if value > 0 else "-Infinity"
    return repr(value)


def quoted(text: str, most: int = _STRING) -> str:
    """Quote a string, cut to `most` characters."""
    if len(text) <= most:
        return f'"{_escaped(text)}"'
    return f'"{_escaped(text[:most])}… {len(text):,} characters"'


def _escaped(text: str) -> str:
    return on_grid(text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t"))


def blob(start: bytes, length: int) -> str:
    """Tell binary data by its first bytes and its length."""
    dots = "…" if length > len(start) else ""
    return f"<{start.hex(' ')}{dots} {length:,} bytes>"


def shape(value: Value) -> str:
    """Return the brackets and size of a container (`{3}`, `[100]`), or nothing for a leaf."""
    match value:
        case Tagged() if value.is_member:
            return on_grid(value.type_name[:60])
        case Tagged():
            inner = shape(value.value)
            return f"{on_grid(value.type_name[:60])}{inner and ' ' + inner}"
        case Mapping():
            return f"{{{len(value):,}}}"
        case list():
            return f"[{len(value):,}]"
        case tuple():
            return f"({len(value):,})"
        case set() | frozenset():
            return f"set {{{len(value):,}}}"
    return ""


def preview(value: Value, most: int = PREVIEW) -> Spans:
    """Return a value in one line of at most about `most` characters, nested parts included as far as they fit."""
    spans: list[Span] = []
    used = 0
    for text, style in _walk(value):
        spans.append((text, style))
        used += width_of(text)
        if used >= most:
            spans.append(("…", "faint"))
            break
    return tuple(spans)


def preview_text(value: Value, most: int = 60) -> str:
    """Return a preview as plain text."""
    return "".join(text for text, _ in preview(value, most))


def _walk(value: Value) -> Iterator[_Piece]:
    """Yield the pieces of a value from left to right; a stack stands for nesting, so depth costs no recursion."""
    pending: list[Iterator[_Piece | Value]] = [iter(((_Nested, value),))]
    while pending:
        item = next(pending[-1], None)
        if item is None:
            pending.pop()
        elif item[0] is _Nested:
            children = _parts(item[1])
            if children is None:
                yield leaf(item[1])
            else:
                pending.append(children)
        else:
            yield item


class _Nested:
    """Marks a value among pieces of text."""


def _parts(value: Value) -> Iterator[_Piece | Value] | None:
    match value:
        case Tagged() if value.is_member:
            name, held = value.value
            shown = on_grid(f"{value.short_name}.{name}"[:PREVIEW])
            return iter(((shown, "json.type"), (" (", "dim"), (_Nested, held), (")", "dim")))
        case Tagged():
            return iter(((f"{on_grid(value.type_name[:60])} ", "json.type"), (_Nested, value.value)))
        case Mapping():
            return _mapping_parts(value)
        case list():
            return _list_parts(value, "[", "]")
        case tuple():
            return _list_parts(value, "(", ")")
        case set() | frozenset():
            return _list_parts(in_order(value), "set{", "}")
    return None


def _mapping_parts(value: Mapping[Value, Value]) -> Iterator[_Piece | Value]:
    yield "{", "dim"
    for index, key in enumerate(islice(value, _MOST_ITEMS)):
        if index:
            yield ", ", "dim"
        yield f"{key_text(key)}: ", "json.key"
        yield _Nested, value[key]
    yield _tail(len(value), "}")


def _list_parts(value: list[Value] | tuple[Value, ...], start: str, end: str) -> Iterator[_Piece | Value]:
    yield start, "dim"
    for index, item in enumerate(islice(value, _MOST_ITEMS)):
        if index:
            yield ", ", "dim"
        yield _Nested, item
    yield _tail(len(value), end)


def _tail(length: int, end: str) -> _Piece:
    more = length - _MOST_ITEMS
    return (f", … {more:,} more{end}" if more > 0 else end), "dim"


def key_text(key: Value, most: int = 60) -> str:
    """Return an object key as text; long and odd keys stay harmless."""
    if isinstance(key, str):
        return on_grid(key if len(key) <= most else key[:most] + "…") or '""'
    return on_grid(spell_key(step_of(key))[:most])


_INDENT = 2
_KEY_ROOM = 14


class Origin(Struct, frozen=True):
    """Who last set a value.

    Attributes:
        seq: the entry; None while unknown.
        action: why.
        earlier: entries that set it before, newest first; only looked up for the selected value.
        more: there are still earlier ones.
        before: the value before, as text; only looked up for the selected value.
        caller: the line of code that recorded the entry, where the recording kept it; likewise.
        age_ns: how long before the head it was set; likewise.
        older: it was set at that entry or in what was dropped before it.
        by: how much a number changed by then, `+12.50`; likewise.
        later: the next entry that sets it; None while that is not known, -1 where none does.
        numbers: what it was from write to write around there, where it is a number; the last ones may be later writes.
    """

    seq: int | None = None
    action: str = ""
    earlier: tuple[int, ...] = ()
    more: bool = False
    before: str = ""
    caller: SourceLine | None = None
    age_ns: int = 0
    older: bool = False
    by: str = ""
    later: int | None = None
    numbers: tuple[float, ...] = ()


UNKNOWN = Origin()


def inspect_row(
    node: OutlineNode, origin: Origin, head: int, width: int, glyphs: Glyphs, *, noted: bool | None = None
) -> Row:
    """Return the row of one value.

    Args:
        node: the value.
        origin: who last set it.
        head: the entry looked at.
        width: cells there are.
        glyphs: the characters.
        noted: people wrote notes on it, at this entry (True) or at others (False); None where nobody did.
    """
    container = container_of(node.value)
    fold = " " if container is None else glyphs.opened if node.unfolded else glyphs.closed
    fresh = origin.seq == head and node.depth == 0 and not origin.older
    indent, deep = _indent(node.depth, width)
    step = node.address[-1]
    key = on_grid(spell_key(step)[:200]) or '""'
    left: tuple[Span, ...] = (
        (" " * indent, "text"),
        *deep,
        (f"{fold} ", "dim"),
        *(((glyphs.modified if fresh else " ", "modified"),) if node.depth == 0 else ()),
        (pad(key, max(_key_room(width), len(key[:24]))), "json.index" if isinstance(step, int) else _key_style(node)),
        (" ", "text"),
    )
    right = _origin(origin, head)
    if noted is not None:
        right = ((f"{glyphs.written} ", "written" if noted else "faint"), *right)
    if container is None:
        room = width - spans_width(left) - spans_width(right) - 1
        return Row((*left, *preview(node.value, max(8, room))), right)
    name = record_name(node.value) if isinstance(step, int) and node.depth else ""
    named: Spans = ((f"  {name}", "strong"),) if name else ()
    held: Spans = (
        () if node.unfolded else (("  ", "text"), *_dimmed(preview(node.value, max(8, width - indent - 24))))
    )
    return Row((*left, (shape(node.value), "json.type"), *named, *held), right)


def _key_room(width: int) -> int:
    return max(_KEY_ROOM, min(24, width * 3 // 10))


def _key_style(node: OutlineNode) -> str:
    return "strong" if node.depth == 0 else "json.key"


def _indent(depth: int, width: int) -> tuple[int, Spans]:
    most = max(2, width // 3)
    if depth * _INDENT <= most:
        return depth * _INDENT, ()
    return most, ((f"{depth} deep ", "faint"),)


def _dimmed(spans: Spans) -> Spans:
    return tuple((text, "faint") for text, _ in spans)


def _origin(origin: Origin, head: int) -> Spans:
    if origin.seq is None:
        return ()
    if origin.older:
        return ((f"<=#{origin.seq} ", "faint"),)
    if origin.seq == head:
        return ((f"set here #{origin.seq} ", "modified"),)
    return ((f"#{origin.seq} ", "faint"),)


def story(origin: Origin, glyphs: Glyphs) -> Spans:
    """Return the whole story of the selected value: what it was, and when it was set before."""
    if origin.seq is None:
        return ()
    if origin.older:
        return (("set at or before ", "faint"), (f"#{origin.seq}", "accent"), (" older entries were dropped", "dim"))
    spans: list[Span] = [("set ", "faint"), (f"#{origin.seq}", "accent")]
    if origin.action:
        spans.append((f" {on_grid(origin.action[:40])}", "dim"))
    if origin.age_ns:
        spans.append((f" {format_units.duration(origin.age_ns)} ago", "faint"))
    if origin.caller:
        spans.append((f"  {file_and_line(origin.caller)}", "accent"))
    if origin.before:
        spans += [("  was ", "faint"), (origin.before, "old")]
    if origin.earlier:
        earlier = " ".join(f"#{seq}" for seq in origin.earlier)
        spans += [("  earlier ", "faint"), (earlier + (glyphs.ellipsis if origin.more else ""), "dim")]
    return tuple(spans)


def plain_value(value: object) -> Spans:
    """Return a leaf as it stands in the tree."""
    return (leaf(value),)


MOST_LINES: Final = 20_000
_MOST_CHARACTERS: Final = 4_000_000
_LINE: Final = 100
"""Cells of a raw line before it continues on the next, where it is not wrapped to the pane."""
_MOST_WRAPPED: Final = 1_000_000
"""Characters that are looked at to wrap lines."""
_HEX_ROW: Final = 16
GUTTER: Final = 5
"""Cells of the line number in front of each line."""


class LinePart(NamedTuple):
    """A part of a line that is shown as a line of its own.

    Attributes:
        line: number of the line.
        start: its first character there.
        stop: one past its last.
    """

    line: int
    start: int
    stop: int


class TextLines(Struct, frozen=True):
    """Lines of text with one style, or told apart as JSON.

    Attributes:
        lines: the lines, not yet made inert.
        json: colour them as JSON.
        left_out: what is not shown; empty when all is.
        pieces: where long lines go on below, of lines that are inert already; empty where each is one line.
    """

    lines: tuple[str, ...]
    json: bool = False
    left_out: str = ""
    pieces: tuple[LinePart, ...] = ()

    def __len__(self) -> int:
        return len(self.pieces or self.lines) + bool(self.left_out)

    @property
    def longest(self) -> int:
        """Characters of the longest line."""
        if self.pieces:
            return max(piece.stop - piece.start for piece in self.pieces)
        return max(map(len, self.lines), default=0)

    def row(self, index: int, width: int, shift: int = 0) -> Row:
        """Return a line as a row, numbered where a line begins.

        Args:
            index: which.
            width: cells of the row.
            shift: characters that it is scrolled to the left by.
        """
        if index >= len(self.pieces or self.lines):
            return Row(((f"  … {self.left_out}", "dim"),))
        number, start, stop = self.pieces[index] if self.pieces else (index, 0, shift + 2 * width + 200)
        text = on_grid(self.lines[number][:stop])
        spans: Spans = _json_spans(text) if self.json else ((text, "text"),)
        told = f"{number + 1:>{GUTTER - 1}}" if start == 0 else " " * (GUTTER - 1)
        before = "…" if shift and text else " "
        return Row(((told + before, "faint"), *_from_character(spans, start + shift)))

    def wrapped(self, room: int) -> TextLines:
        """Return the lines with those longer than `room` cells going on below."""
        lines: list[str] = []
        pieces: list[LinePart] = []
        left = _MOST_WRAPPED
        for number, raw in enumerate(self.lines):
            line = on_grid(raw[:left])
            lines.append(line)
            left -= len(raw)
            place = 0
            for part in wrap_text(line, room, MOST_LINES) or ("",):
                pieces.append(LinePart(number, place, place + len(part)))
                place += len(part)
            if len(pieces) > MOST_LINES or left < 0:
                return TextLines(tuple(lines), self.json, _MORE, tuple(pieces[:MOST_LINES]))
        return TextLines(tuple(lines), self.json, self.left_out, tuple(pieces))


_MORE: Final = "more lines; E exports all of them"


def _from_character(spans: Spans, start: int) -> Spans:
    """Drop characters from the front of spans."""
    kept: list[Span] = []
    for text, style in spans:
        if start < len(text):
            kept.append((text[start:], style))
        start = max(0, start - len(text))
    return tuple(kept)


def json_lines(value: Value) -> TextLines:
    """Return a value as indented JSON."""
    if value is MISSING:
        return TextLines(("",), left_out="nothing is here at this entry")
    return _cut(to_json(value, indent=2)[:_MOST_CHARACTERS].split("\n"), json=True)


def raw_lines(value: Value) -> TextLines:
    """Return a value as it is: text with its own line breaks, bytes as a hex dump, the rest as JSON in one piece.

    Long lines go on below, so that a text is read without scrolling to the side.
    """
    if value is MISSING:
        return TextLines(("",), left_out="nothing is here at this entry")
    if isinstance(value, str):
        return _cut(value[:_MOST_CHARACTERS].split("\n")).wrapped(_LINE)
    if isinstance(value, bytes | bytearray):
        return _cut(_hex(bytes(value)))
    if isinstance(value, float):
        return TextLines((number(value),))
    if isinstance(value, int) and not isinstance(value, bool):
        return TextLines((whole_number(value),)).wrapped(_LINE)
    return _cut([to_json(value)[:_MOST_CHARACTERS]]).wrapped(_LINE)


def _cut(lines: list[str], *, json: bool = False) -> TextLines:
    left = len(lines) - MOST_LINES
    return TextLines(tuple(lines[:MOST_LINES]), json, f"{left:,} {_MORE}" if left > 0 else "")


def _hex(data: bytes) -> list[str]:
    shown = data[: MOST_LINES * _HEX_ROW]
    rows = (shown[start : start + _HEX_ROW] for start in range(0, len(shown), _HEX_ROW))
    return [
        f"{place * _HEX_ROW:08x}  {row.hex(' '):<{_HEX_ROW * 3}} {''.join(_printable(byte) for byte in row)}"
        for place, row in enumerate(rows)
    ] or [shape(data)]


def _printable(byte: int) -> str:
    return chr(byte) if 32 <= byte < 127 else "."


def _json_spans(line: str) -> Spans:
    body = line.lstrip(" ")
    indent = line[: len(line) - len(body)]
    end = _key_end(body)
    if end:
        return ((indent, "text"), (body[: end - 1], "json.key"), (":", "dim"), _json_value(body[end:]))
    return ((indent, "text"), _json_value(body))


def _key_end(body: str) -> int:
    """Return where the key of a JSON line ends, its colon included; 0 when the line has no key."""
    if not body.startswith('"'):
        return 0
    place = 1
    while place < len(body) and body[place] != '"':
        place += 2 if body[place] == "\\" else 1
    return place + 2 if body[place + 1 : place + 2] == ":" else 0


def _json_value(text: str) -> tuple[str, str]:
    first = text.strip()[:1]
    if first == '"':
        return text, "json.string"
    if first in "tf":
        return text, "json.bool" if first else "text"
    if first == "n":
        return text, "json.null"
    return text, "json.number" if first in "-0123456789" and first else "dim"
