"""What whoever sits at the screen may do beyond looking: the person at this machine everything, a visitor little.

A screen that `unspool serve` shows to a browser belongs to the person who started the server, and is driven by someone
else. Every action says here what it reaches; one that does not say so is refused to a visitor. `serving.confined` holds
the whole process to the same rule, whatever an action says.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Final

from msgspec import Struct

from unspool.errors import UnspoolError


class Reach(StrEnum):
    """What an action reaches beside the screen.

    Attributes:
        SCREEN: nothing; what it shows, marks or copies ends with the session.
        KEPT: it holds now, and the app keeps it for the next time where it remembers at all.
        HISTORY: it writes beside the history, for all who look at it.
        FILES: it writes files that the person names.
        SOURCES: it opens something that was not named when the app was started.
        MACHINE: it runs a program, or reaches into one that runs.
    """

    SCREEN = "screen"
    KEPT = "kept"
    HISTORY = "history"
    FILES = "files"
    SOURCES = "sources"
    MACHINE = "machine"


class WriteRefused(UnspoolError):
    """A visitor may not write there; the message says where, if anywhere."""


def _each(reach: Reach, ids: str) -> dict[str, Reach]:
    return dict.fromkeys(ids.split(), reach)


REACHES: Final[Mapping[str, Reach]] = {
    **_each(
        Reach.SCREEN,
        """
        step.prev step.next atom.prev atom.next writes why full.prev full.next go.first go.last jump.back
        jump.forward follow play play.faster play.slower move.up move.down move.page_up move.page_down move.top move.bottom
        fold unfold open toggle pane.next pane.prev pane.history pane.changes pane.inspect pane.stats pane.zoom
        inspect.mode changes.unchanged changes.words wrap history.gaps base.mark base.clear base.swap against
        search search.next search.prev filter bisect watch check bookmark bookmark.go note.list yank plot pin bytes simulate chains
        tab.next tab.prev tab.go tab.compare tab.link palette help log reread copy escape jump.row pane.results pane.wider pane.narrower
        timeline timeline.in timeline.out timeline.whole timeline.axis timeline.part actions
        """,
    ),
    **_each(
        Reach.MACHINE, "line.open program.jump program.look program.back program.skip program.pause program.list"
    ),
    **_each(Reach.HISTORY, "note bookmark.keep"),
    **_each(Reach.KEPT, "choose identity theme quit"),
    **_each(Reach.FILES, "export chains.repair"),
}
"""What each action reaches; `chains.repair` is a key of the chains' page, which itself only looks."""


class Permits(Struct, frozen=True):
    """What is permitted at a screen.

    Attributes:
        visitor: whoever sits there came through a web page.
        below: the one folder below which a visitor may write, links resolved; None permits no writing.
    """

    visitor: bool = False
    below: Path | None = None

    def why_not(self, action_id: str) -> str:
        """Return why an action is refused; empty when it is not."""
        if not self.visitor:
            return ""
        reach = REACHES.get(action_id)
        if reach in (Reach.SCREEN, Reach.KEPT):
            return ""
        if reach is Reach.FILES:
            return "" if self.below is not None else "a served screen writes no files (serve --allow-write DIR)"
        if reach is Reach.SOURCES:
            return "a served screen opens only the sources that were named to serve"
        return "not from a served screen"

    def place_of(self, path: Path) -> Path:
        """Return where a file may be written, with every link on the way to it resolved.

        Args:
            path: the file that is meant; a visitor's relative path begins at the permitted folder.

        Raises:
            WriteRefused: it is outside of what is permitted, whether there is such a place or not.
        """
        if not self.visitor:
            return path
        if self.below is None:
            raise WriteRefused("a served screen writes no files; `serve --allow-write DIR` permits it below DIR")
        try:
            place = (self.below / path).resolve()
        except (OSError, ValueError, RuntimeError):
            # A name with a zero byte, one that is too long, or links that lead in a circle.
            place = None
        if place is None or not place.is_relative_to(self.below) or place == self.below:
            raise WriteRefused(
                "a served screen writes only into the folder named to --allow-write; choose a name there"
            )
        return place


EVERYTHING: Final = Permits()
"""What the person at this machine may do."""
