"""A table of chosen values over time, for spreadsheets and plots (RFC 4180)."""

from __future__ import annotations

import csv
import io
import unicodedata
from collections import deque
from collections.abc import Iterator
from typing import Final

from unspool.errors import ConfigError
from unspool.history.history import History, StateView
from unspool.model.json_text import to_json
from unspool.model.keys import Path, format_path
from unspool.model.paths import parse_path, value_parts
from unspool.model.values import MISSING, Value
from unspool.model.wire import decode
from unspool.query.errors import PathNotFound
from unspool.query.value_parts import find
from unspool.sources.exports.options import ExportOptions, entries_of, exact_time

_FORMULA: Final = frozenset("=+-@|%\u2212")
"""Signs that begin a formula in a spreadsheet; some are taken for those of ASCII in their full width."""
_HINTS: Final = 4
_LOOKED_AT: Final = 10_000
"""Values looked at to find numbers worth naming."""


def lines(history: History, options: ExportOptions) -> Iterator[str]:
    """Yield a header and a row an entry: `seq,timestamp,action`, then a column a path.

    Numbers are written as they are, text as it is (with an apostrophe before what a spreadsheet would take for a
    formula), true and false as such, containers as JSON; a cell is empty where the path leads nowhere.

    Raises:
        ConfigError: no path was chosen; the message names some that hold numbers.
        PathSyntaxError: a path does not parse.
    """
    if not options.paths:
        raise ConfigError(f"a table needs paths: --path {_hint(history)}")
    paths = [parse_path(text) for text in options.paths]
    return _rows(history, paths, options)


def _rows(history: History, paths: list[Path], options: ExportOptions) -> Iterator[str]:
    yield _row(["seq", "timestamp", "action", *(_safe(format_path(path, root="")) for path in paths)])
    for entry in entries_of(history, len(history)):
        view = options.holes.view(history, entry.seq)
        cells = [_cell(_value_at(view, path)) for path in paths]
        yield _row([str(entry.seq), exact_time(entry.timestamp_ns), _safe(entry.action), *cells])


def _row(cells: list[str]) -> str:
    buffer = io.StringIO()
    # Before Python 3.13 a line break is put in quotes only where it is part of the terminator.
    csv.writer(buffer, lineterminator="\r\n").writerow(cells)
    return buffer.getvalue().removesuffix("\r\n")


def _value_at(view: StateView, path: Path) -> Value:
    """Return the value a path leads to, or MISSING."""
    if not path:
        return view.to_dict()
    try:
        return decode(find(view.wire, path, "the state")[1])
    except PathNotFound:
        return MISSING


def _cell(value: Value) -> str:
    if value is MISSING or value is None:
        return ""
    return _safe(value) if isinstance(value, str) else to_json(value)


def _safe(text: str) -> str:
    """Return text as a cell that no spreadsheet runs: what stands before a sign may be trimmed, or be of no width."""
    first = next((letter for letter in text if not _is_skipped(letter)), "")
    is_formula = unicodedata.normalize("NFKC", first)[:1] in _FORMULA if first else False
    return f"'{text}" if is_formula or text.startswith(("\t", "\r", "\n")) else text


def _is_skipped(letter: str) -> bool:
    """Whether a spreadsheet may leave a letter out at the start: blanks, control characters, marks of no width."""
    return letter.isspace() or unicodedata.category(letter) in ("Cc", "Cf", "Mn", "Zs")


def _hint(history: History) -> str:
    """Name some paths that hold numbers in the last state."""
    found: list[str] = []
    pending: deque[tuple[Path, Value]] = deque()
    if len(history):
        view = history.view(-1)
        pending.extend(((name,), view[name]) for name in view)
    for _ in range(_LOOKED_AT):
        if not pending or len(found) == _HINTS:
            break
        path, value = pending.popleft()
        parts = value_parts(value)
        if isinstance(parts, dict):
            pending.extend(((*path, step), item) for step, item in parts.items())
        elif parts is not None:
            pending.extend(((*path, index), item) for index, item in enumerate(parts[:_HINTS]))
        elif isinstance(value, int | float) and not isinstance(value, bool):
            found.append(format_path(path, root=""))
    return " or --path ".join(found) or "cart.total"
