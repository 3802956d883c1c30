"""Flat documents, which write everything as text: tables (CSV, TSV) and property files of Java."""

from __future__ import annotations

import csv
import io
import re
from typing import Final

from unspool.model.json_exact import BrokenText, Parsed, TooMuch, exact_float
from unspool.model.limits import Limits
from unspool.model.values import Value

_DELIMITERS: Final = ",;\t|"
_INTEGER: Final = re.compile(r"-?(?:0|[1-9]\d{0,17})", re.ASCII)
_FLOAT: Final = re.compile(r"-?(?:0|[1-9]\d{0,17})\.\d{1,30}", re.ASCII)
_SAMPLE: Final = 1 << 16


def parse_table(data: bytes, limits: Limits) -> list[dict[str, Value]]:
    """Read a table: its first line names the columns, where its cells can be names; else columns are numbered.

    Cells that are written as numbers are numbers, where that gives their text back; all others are text. Cells that a
    row lacks are not there, and those it has too many of stand under the number of their column.

    Raises:
        BrokenText: it is no table in UTF-8.
        TooMuch: it has more cells than the limits allow.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BrokenText(f"not UTF-8 text: {error.reason}", error.start) from None
    delimiter = _delimiter_of(text[:_SAMPLE])
    cells = 2 * (text.count(delimiter) + text.count("\n"))
    if cells > limits.nodes:
        raise TooMuch(f"it holds about {cells:,} cells and names; {limits.remedy('nodes')}")
    csv.field_size_limit(max(csv.field_size_limit(), limits.document_bytes))
    try:
        rows = [row for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True) if row]
    except csv.Error as error:
        raise BrokenText(f"{error}", is_cut_short="unexpected end" in str(error)) from None
    if not rows:
        return []
    names = rows[0] if _can_name(rows[0]) else []
    return [
        {names[at] if at < len(names) else f"column {at + 1}": _value(cell) for at, cell in enumerate(row)}
        for row in rows[1 if names else 0 :]
    ]


def _delimiter_of(sample: str) -> str:
    """Return the sign that stands equally often in the first lines, and most often."""
    lines = [line for line in sample.splitlines()[:20] if line.strip()]
    counts = {sign: [line.count(sign) for line in lines] for sign in _DELIMITERS}
    if not lines:
        return ","
    return max(
        _DELIMITERS, key=lambda sign: (counts[sign].count(counts[sign][0]) * (counts[sign][0] > 0), counts[sign][0])
    )


def _can_name(row: list[str]) -> bool:
    return len(set(row)) == len(row) and all(cell.strip() and isinstance(_value(cell), str) for cell in row)


def _value(cell: str) -> Value:
    if _INTEGER.fullmatch(cell) and cell != "-0":
        return int(cell)
    if _FLOAT.fullmatch(cell):
        number = exact_float(cell)
        return number if str(number) == cell else cell
    return cell


_LINE: Final = re.compile(
    r"[ \t\f\r\n]*+(?:[#!][^\r\n]*+[ \t\f\r\n]*+)*+((?:[^\\\r\n]|\\(?:\r\n|.|\Z))*+)(?:\r\n|[\r\n]|\Z)", re.DOTALL
)
"""Blank lines and comments, and the line after them with those that continue it."""
_CONTINUED: Final = re.compile(r"((?:\\[^\r\n])++)|\\(?:\r\n|[\r\n]|\Z)[ \t\f]*+")
_PAIR: Final = re.compile(r"((?:[^\\=: \t\f]|\\.)*+)[ \t\f]*+[=:]?[ \t\f]*+(.*)", re.DOTALL)
_ESCAPE: Final = re.compile(r"\\(?:u([0-9A-Fa-f]{4})|(.))", re.DOTALL)
_CONTROL: Final = {"t": "\t", "n": "\n", "r": "\r", "f": "\f"}
_SURROGATES: Final = re.compile("[\ud800-\udbff][\udc00-\udfff]")


def parse_properties(data: bytes, limits: Limits) -> Parsed:
    """Read a property file as `java.util.Properties` does: a mapping of its keys, dots and all, to numbers or text.

    Values that are written as numbers are numbers, as in tables. A file that is not UTF-8 is ISO 8859-1.

    Raises:
        BrokenText: the four digits of an escape are not there.
        TooMuch: it has more pairs than the limits allow.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("latin-1")
    values: dict[str, Value] = {}
    repeated: str | None = None
    for line in _LINE.finditer(text):
        pair = _PAIR.fullmatch(_CONTINUED.sub(r"\1", line[1]))
        if pair is None or not pair[0]:
            continue
        try:
            key, value = _unescaped(pair[1]), _unescaped(pair[2])
        except ValueError as error:
            number = len(re.findall(r"\r\n|[\r\n]", text[: line.start(1)])) + 1
            cut = line.end() == len(text) and re.search(r"\\u[0-9A-Fa-f]{0,3}\Z", text) is not None
            raise BrokenText(f"{error} at line {number}", line.start(1), is_cut_short=cut) from None
        if key in values:
            repeated = key
        values[key] = _value(value)
        if 2 * len(values) > limits.nodes:
            raise TooMuch(f"it holds more than {limits.nodes:,} values and keys; {limits.remedy('nodes')}")
    return Parsed(values, repeated)


def _unescaped(text: str) -> str:
    """Return what a key or value stands for.

    Raises:
        ValueError: the four digits of an escape are not there.
    """
    if "\\" not in text:
        return text
    plain = _ESCAPE.sub(_sign, text)
    return _SURROGATES.sub(lambda pair: pair[0].encode("utf-16-le", "surrogatepass").decode("utf-16-le"), plain)


def _sign(escape: re.Match[str]) -> str:
    if escape[1]:
        return chr(int(escape[1], 16))
    if escape[2] == "u":
        raise ValueError(r"\u is not followed by four hexadecimal digits")
    return _CONTROL.get(escape[2], escape[2])
