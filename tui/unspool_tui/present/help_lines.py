"""The help screen, made from the registry: what applies here first, then everything else."""

from __future__ import annotations

from unspool_tui.actions import ACTIONS, GROUPS
from unspool_tui.keymap import Keymap, show_key
from unspool_tui.present.glyphs import Glyphs
from unspool_tui.present.line import BLANK, Row, pad
from unspool_tui.view.model import Pane, View

_KEYS = 16
_PANES = {
    Pane.HISTORY: "one row an entry: number, full or delta, time, what was added, changed and deleted, bytes",
    Pane.CHANGES: "what differs from the entry before, from the base, or from live",
    Pane.INSPECT: "the whole state at the head, each value with the entry that last set it",
    Pane.STATS: "what the history costs, measured: bytes, chains, rebuild times, cache",
}


def help_rows(view: View, keymap: Keymap, glyphs: Glyphs) -> list[Row]:
    """Return the help for a view; what does not apply now says why."""
    rows = [
        Row(((f" {view.focus.name.capitalize()}: ", "strong"), (_PANES[view.focus], "dim"))),
        BLANK,
        Row(
            (
                (f" {glyphs.full} ", "full"),
                ("full snapshot  ", "dim"),
                (f"{glyphs.delta} ", "delta"),
                ("delta  ", "dim"),
                (f" {glyphs.head} ", "head"),
                (" head  ", "dim"),
                (f" {glyphs.base} ", "base"),
                (" base  ", "dim"),
                (f"{glyphs.bookmark} ", "bookmark"),
                ("bookmark  ", "dim"),
                (f"{glyphs.hit} ", "hit"),
                ("search hit", "dim"),
            )
        ),
        BLANK,
        Row(((" : ", "key"), ("goes to 838, +5, -5, 12:04:32, 50%, first, last, and runs every action", "dim"))),
    ]
    for group in GROUPS:
        rows += [BLANK, Row(((f" {group}", "title.focus"),))]
        for action in ACTIONS:
            if action.group != group:
                continue
            keys = " ".join(show_key(key) for key in keymap.keys(action.id)) or "(no key)"
            why = action.why_not(view)
            said = (action.help, "faint" if why else "text")
            right = ((f"{why} ", "warning"),) if why else ()
            rows.append(Row(((f"  {pad(keys, _KEYS)} ", "key"), said), right))
    return rows
