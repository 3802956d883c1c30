"""The help screen, made from the registry: what applies here first, then everything else."""

from __future__ import annotations

from unspool.query.entry_names import SHAPES
from unspool_tui.actions import ACTIONS, GROUPS, Action, Keymap, show_key
from unspool_tui.rendering.line import BLANK, Glyphs, Row, pad, width_of, wrap_words
from unspool_tui.view.model import Pane, View

_KEYS = 10
_MARGIN = _KEYS + 4
_PANES = {
    Pane.HISTORY: "one row an entry: number, full, delta or note, time, what was added, changed and deleted, bytes",
    Pane.CHANGES: "what differs from the entry before, from the base, or from live",
    Pane.INSPECT: "the whole state at the head, each value with the entry that last set it",
    Pane.STATS: "what the history costs, measured: bytes, chains, rebuild times, cache",
}


def help_rows(view: View, keymap: Keymap, glyphs: Glyphs, width: int) -> list[Row]:
    """Return the help for a view in lines of a width; what does not apply now says why."""
    rows = [
        *_told(view.focus.name.capitalize() + ":", "strong", _PANES[view.focus], width),
        BLANK,
        _legend(glyphs),
        BLANK,
        *_told(":", "key", f"goes to {SHAPES}, and runs every action", width),
    ]
    for group in GROUPS:
        rows += [BLANK, Row(((f" {group}", "title.focus"),))]
        for action in ACTIONS:
            if action.group == group:
                rows += _action_rows(action, keymap, action.refusal(view), width)
    return rows


def _told(name: str, style: str, text: str, width: int) -> list[Row]:
    margin = len(name) + 2
    first, *rest = wrap_words(text, width - margin - 1, 9)
    indent = " " * margin
    return [Row(((f" {name} ", style), (first, "dim"))), *(Row(((indent, "text"), (line, "dim"))) for line in rest)]


def _legend(glyphs: Glyphs) -> Row:
    return Row(
        (
            (f" {glyphs.full} ", "full"),
            ("full  ", "dim"),
            (f"{glyphs.delta} ", "delta"),
            ("delta  ", "dim"),
            (f"{glyphs.note} ", "note"),
            ("note  ", "dim"),
            (f" {glyphs.head} ", "head"),
            (" head  ", "dim"),
            (f" {glyphs.base} ", "base"),
            (" base  ", "dim"),
            (f"{glyphs.bookmark} ", "bookmark"),
            ("bookmark  ", "dim"),
            (f"{glyphs.hit} ", "hit"),
            ("search hit", "dim"),
        )
    )


def _action_rows(action: Action, keymap: Keymap, why: str, width: int) -> list[Row]:
    """Return what an action does, and at the right end of its last line why it does not apply."""
    keys = " ".join(show_key(key) for key in keymap.keys(action.id)) or "(no key)"
    style = "faint" if why else "text"
    lines = list(wrap_words(action.help, width - _MARGIN - 1, 9))
    right = ((f"{why} ", "warning"),) if why else ()
    if why and _MARGIN + width_of(lines[-1]) + width_of(why) + 3 > width:
        lines.append("")
    label = pad(keys, max(_KEYS, width_of(keys)))
    rows = [Row(((f"  {label}  ", "key"), (lines[0], style)))]
    rows += [Row(((" " * _MARGIN, "text"), (line, style))) for line in lines[1:]]
    return [*rows[:-1], rows[-1]._replace(right=right)]
