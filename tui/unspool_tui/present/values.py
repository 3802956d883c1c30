"""Values in one line: what they are, cut to what can be read, inert whatever they hold."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Final

from unspool.model.keys import spell_key, step_of
from unspool.model.tags import Tagged, Unrepresentable
from unspool.model.values import MISSING, Value
from unspool_tui.present.line import Span, Spans, on_grid
from unspool_tui.view.outline import in_order, whole_number

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
        used += len(text)
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
