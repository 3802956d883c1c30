"""The message log: what is wrong with the source, then what the app told."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from unspool_tui.present.line import BLANK, Row, on_grid, wrap_words
from unspool_tui.view.history_port import Verdict

if TYPE_CHECKING:
    from unspool_tui.screens.messages import Told

_STAMP = 10
_MOST_PROBLEMS = 200


def log_rows(told: Sequence[Told], verdict: Verdict, width: int) -> list[Row]:
    """Return all lines of the log."""
    rows: list[Row] = [Row(((" source: ", "dim"), (str(verdict.status), _status_style(str(verdict.status)))))]
    for problem in verdict.problems[:_MOST_PROBLEMS]:
        rows += _lines(f"{problem.place}: {problem.message}", "warning", "   ", width)
    for note in verdict.notes:
        rows += _lines(note, "dim", "   ", width)
    rows.append(BLANK)
    for message in told:
        first, *rest = _lines(message.text, message.style, " " * _STAMP, width)
        stamp = f" {message.at:%H:%M:%S} "
        rows += [Row(((stamp, "faint"), *first.left[1:])), *rest]
    if not told:
        rows.append(Row(((" nothing was told yet", "dim"),)))
    return rows


def _status_style(status: str) -> str:
    return {"complete": "good", "partial": "warning"}.get(status, "error")


def _lines(text: str, style: str, indent: str, width: int) -> list[Row]:
    pieces = wrap_words(on_grid(text[:4000]), width - len(indent) - 1, 40)
    return [Row(((indent, "text"), (piece, style))) for piece in pieces]
