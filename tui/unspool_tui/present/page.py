"""A diff as a page of HTML that stands alone: no script, no link, every value escaped."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from unspool.model.entries import ChangeKind
from unspool.model.paths import format_path
from unspool.model.values import MISSING
from unspool_tui.present.inert import visible
from unspool_tui.present.values import preview_text
from unspool_tui.view.history_port import AtomChange

_STYLE = """
body{font:14px/1.5 ui-monospace,monospace;background:#10141b;color:#d6dce6;margin:2rem auto;max-width:70rem}
table{border-collapse:collapse;width:100%}td{padding:.15rem .8rem .15rem 0;vertical-align:top;word-break:break-word}
.added{color:#7fd99a}.deleted{color:#f27d8d}.modified{color:#e6c76a}h1{font-size:1.1rem}h2{font-size:1rem;margin:1.4rem 0 .2rem}
"""
_MOST_ROWS = 2_000
_MOST_TEXT = 2_000


def html_page(source: str, from_seq: int, to_seq: int, changes: Sequence[AtomChange]) -> str:
    """Return the page of a diff; `from_seq` is -1 for the empty state before the first entry."""
    start = "empty" if from_seq < 0 else f"#{from_seq}"
    title = escape(f"{source} {start} → #{to_seq}")
    parts = [
        "<!doctype html><html lang=en><meta charset=utf-8>",
        f"<title>{title}</title><style>{_STYLE}</style><h1>{title}</h1>",
    ]
    for change in changes:
        parts.append(f"<h2 class={change.kind}>{_text(change.atom)} {change.kind}</h2><table>")
        parts.extend(_rows(change))
        parts.append("</table>")
    return "\n".join([*parts, "</html>", ""])


def _rows(change: AtomChange) -> list[str]:
    if change.kind is not ChangeKind.MODIFIED:
        value = change.new if change.kind is ChangeKind.ADDED else change.old
        return [f"<tr><td class={change.kind}>{_text(preview_text(value, _MOST_TEXT))}</td></tr>"]
    rows = []
    for op in change.ops[:_MOST_ROWS]:
        path = format_path(op.path, root="") or "(value)"
        old = "" if op.old is MISSING else preview_text(op.old, _MOST_TEXT)
        new = "" if op.new is MISSING else preview_text(op.new, _MOST_TEXT)
        rows.append(
            f"<tr><td>{_text(str(op.kind))}</td><td>{_text(path)}</td>"
            f"<td class=deleted>{_text(old)}</td><td class=added>{_text(new)}</td></tr>"
        )
    left = len(change.ops) - _MOST_ROWS
    return [*rows, f"<tr><td>{left:,} more</td></tr>"] if left > 0 else rows


def _text(text: str) -> str:
    return escape(visible(text))
