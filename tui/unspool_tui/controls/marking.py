"""Marking what was found in the timeline: the entries become hits to travel between."""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from typing import TYPE_CHECKING

from msgspec.structs import replace

from unspool_tui.view.model import Search

if TYPE_CHECKING:
    from unspool_tui.screens.main import MainScreen


def mark_entries(main: MainScreen, text: str, seqs: Iterable[int]) -> int:
    """Mark entries in the timeline, where `n` and `N` travel between them; return how many there are.

    Args:
        main: the main screen.
        text: what the marks are of; shown where a search is.
        seqs: the entries, in any order.
    """
    hits = array("q", sorted({seq for seq in seqs if 0 <= seq < main.view.total}))
    if hits:
        main.hit_paths = {}
        main.apply(replace(main.view, search=Search(text, hits, len(hits))))
    return len(hits)
