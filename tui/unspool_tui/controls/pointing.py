"""What a click on something written means: keys of the footer, words of the header and of titles, numbers of entries."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from unspool_tui.actions import BY_ID, key_of_shown
from unspool_tui.rendering.line import Pointed
from unspool_tui.view import moves
from unspool_tui.view.model import InspectMode, Pane

if TYPE_CHECKING:
    from unspool_tui.screens.protocols import HistoryScreen

_ENTRY: Final = re.compile(r"#(\d[\d,]*)\+?")
_OWN_STYLES: Final = frozenset(
    ("accent", "dim", "faint", "good", "key", "modified", "title", "title.focus", "warning")
)
"""Styles of what the app itself says; what was recorded may look like a number of an entry and be none."""
_CHIPS: Final[tuple[tuple[str, str], ...]] = (
    ("LIVE", "follow"),
    ("POLL", "follow"),
    ("FOLLOW", "follow"),
    ("PAUSED", "follow"),
    ("FILTER", "filter"),
    ("/", "pane.results"),
    ("vs", "against"),
    ("APP", "program.back"),
    ("RECORDING", "program.pause"),
)
"""How chips of the header begin, and the action that a click on one does."""
_HEADER_WORDS: Final[Mapping[str, str]] = {"unspool": "help", "!": "log", "stored": "bytes", "chain": "chains"}


def word_clicked(main: HistoryScreen, where: str, pointed: Pointed) -> None:
    """Do what a click on something written means; most of what is written means nothing."""
    if where == "footer" and main.flash_text is None:
        if pointed.key:
            key = key_of_shown(pointed.key)
            main.take_key(key, key if len(key) == 1 else None)
    elif where == "header":
        _header_clicked(main, pointed)
    elif where == "inspect" and _mode_clicked(main, pointed):
        return
    elif where == "footer" or (where in _NUMBERED and pointed.style in _OWN_STYLES):
        named = _ENTRY.search(pointed.word)
        if named is not None:
            _go(main, named[1].replace(",", ""))


_NUMBERED: Final = frozenset(("changes", "inspect", "strip"))
"""Where the numbers of entries are words of the app, besides the line that tells something for a moment."""


def _go(main: HistoryScreen, digits: str) -> None:
    view = main.view
    seq = int(digits) if len(digits) < 19 else view.total
    if not view.first <= seq < view.total:
        main.flash(f"there is no entry #{digits[:20]} in this history", "warning")
    elif seq != view.head:
        main.apply(moves.jump_to(view, seq))


def _header_clicked(main: HistoryScreen, pointed: Pointed) -> None:
    said = pointed.span.strip()
    if pointed.style.startswith(("chip.", "base")):
        name = next((name for start, name in _CHIPS if said.startswith(start)), _HEADER_WORDS.get(said))
    elif pointed.style == "accent":
        name = "palette"
    else:
        name = _HEADER_WORDS.get(pointed.word) or _HEADER_WORDS.get(said.partition(" ")[0])
    if name is not None:
        main.run(BY_ID[name])


def _mode_clicked(main: HistoryScreen, pointed: Pointed) -> bool:
    """Show the state in the way whose name in the title was clicked; return whether one was."""
    word = pointed.span.strip("[] ")
    if pointed.style not in ("accent", "faint") or word not in set(InspectMode):
        return False
    main.apply(replace(moves.focus(main.view, Pane.INSPECT), mode=InspectMode(word), inspect_row=0))
    return True
