"""Tables as text (CSV, TSV) as lists of records, so that a row is compared with itself and not by its place."""

from __future__ import annotations

import csv
import io
import re
from typing import Final

from unspool.model.limits import Limits
from unspool.model.values import Value
from unspool.sources.json_exact import BrokenText, TooMuch, exact_float

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
        raise TooMuch(f"it holds about {cells:,} cells and names; {limits.told('nodes')}")
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
