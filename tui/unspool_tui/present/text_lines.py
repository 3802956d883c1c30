"""Values as lines of text: JSON, and raw (a string as it reads, bytes as a hex dump)."""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from unspool.model.json_text import to_json
from unspool.model.values import MISSING, Value
from unspool_tui.present.line import Row, Spans, on_grid, wrap_text
from unspool_tui.present.values import number, shape
from unspool_tui.view.outline import whole_number

MOST_LINES: Final = 20_000
_MOST_CHARACTERS: Final = 4_000_000
_LINE: Final = 100
"""Characters a raw line holds before it continues on the next."""
_HEX_ROW: Final = 16


class TextLines(Struct, frozen=True):
    """Lines of text with one style, or told apart as JSON.

    Attributes:
        lines: the lines, not yet made inert.
        json: colour them as JSON.
        left_out: what is not shown; empty when all is.
    """

    lines: tuple[str, ...]
    json: bool = False
    left_out: str = ""

    def __len__(self) -> int:
        return len(self.lines) + bool(self.left_out)

    def row(self, index: int, width: int) -> Row:
        """Return a line as a row, numbered where it is JSON or text."""
        if index >= len(self.lines):
            return Row(((f"  … {self.left_out}", "dim"),))
        text = on_grid(self.lines[index][: 2 * width + 200])
        body: Spans = _json_spans(text) if self.json else ((text, "text"),)
        return Row(((f"{index + 1:>4} ", "faint"), *body))


def json_lines(value: Value) -> TextLines:
    """Return a value as indented JSON."""
    if value is MISSING:
        return TextLines(("",), left_out="nothing is here at this entry")
    return _cut(to_json(value, indent=2)[:_MOST_CHARACTERS].split("\n"), json=True)


def raw_lines(value: Value) -> TextLines:
    """Return a value as it is: text with its own line breaks, bytes as a hex dump, the rest as JSON in one piece."""
    if value is MISSING:
        return TextLines(("",), left_out="nothing is here at this entry")
    if isinstance(value, str):
        return _cut(_broken(value[:_MOST_CHARACTERS]))
    if isinstance(value, bytes | bytearray):
        return _cut(_hex(bytes(value)))
    if isinstance(value, float):
        return TextLines((number(value),))
    if isinstance(value, int) and not isinstance(value, bool):
        return TextLines((whole_number(value),))
    return _cut(_broken(to_json(value)[:_MOST_CHARACTERS]))


def _cut(lines: list[str], *, json: bool = False) -> TextLines:
    left = len(lines) - MOST_LINES
    return TextLines(
        tuple(lines[:MOST_LINES]), json, f"{left:,} more lines; E exports all of them" if left > 0 else ""
    )


def _broken(text: str) -> list[str]:
    lines: list[str] = []
    for line in text.split("\n"):
        lines.extend(wrap_text(line, _LINE, MOST_LINES) or ("",))
        if len(lines) > MOST_LINES:
            break
    return lines


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
