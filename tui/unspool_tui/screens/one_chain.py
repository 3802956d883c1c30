"""The page of one chain: a line an entry, from the full snapshot on, with what each costs to store and to rebuild."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from typing import TYPE_CHECKING, Final

from unspool.model.entries import FULL, NOTE
from unspool_tui import questions
from unspool_tui.rendering.chain_lines import Link, link_heading, link_row, path_row
from unspool_tui.rendering.chain_wall import Wall, figures_row, lay_out, verdict_row
from unspool_tui.rendering.line import Row
from unspool_tui.screens.page import Page
from unspool_tui.view import moves
from unspool_tui.worker import QuestionKind, Reply

if TYPE_CHECKING:
    from unspool.query.chain_table import ChainTable
    from unspool_tui.screens.protocols import HistoryScreen

_ROOM_FOR_STRIP: Final = 20
"""Lines of the terminal from which the chain is drawn as a strip too."""
_STRIP_LINES: Final = 4
_MOST_TIMED: Final = 2_000
"""Entries whose rebuilding is timed; of a longer chain the first ones, the cursor's and those after it."""


class ChainScreen(Page):
    """One chain: base, delta, delta; Enter goes to an entry."""

    TITLE_OF_LIST = "Chain"
    KEYS = (("Enter", "go there"), ("h l", "other chain"))
    went = False
    """Left for an entry, so that the wall behind is to be left too."""

    def __init__(self, main: HistoryScreen, table: ChainTable, place: int) -> None:
        """Show the chain at a place of a table, with the cursor on the head where that is in it."""
        super().__init__(main)
        self._table = table
        self._place = place
        self._times: dict[int, float] = {}
        self._read: Sequence[int] = ()
        self._largest = 1
        self._turn_to(place)

    def on_mount(self) -> None:
        """Measure what rebuilding takes while the rest is shown."""
        super().on_mount()
        self._measure()

    def _turn_to(self, place: int) -> None:
        self._place = place
        first, last = self._table.bounds(place)
        columns, head = self._table.columns, self.main_screen.view.head
        self.cursor = head - first if first <= head <= last else 0
        kinds, stored = columns.kind[first : last + 1], columns.stored[first : last + 1]
        self._read = list(accumulate(size if kind != NOTE else 0 for size, kind in zip(stored, kinds, strict=True)))
        self._largest = max(stored, default=1)
        self._holes = self._table.holes_in(first, last)
        self._forks = set(self._table.forks_in(first, last))
        self._notes = [first + at for at, kind in enumerate(kinds) if kind == NOTE]

    def _measure(self) -> None:
        first, last = self._table.bounds(self._place)
        history = self.main_screen.scene.history
        last = min(last, first + _MOST_TIMED - 1)
        self.main_screen.ask(
            QuestionKind.CHAINS, lambda: questions.rebuild_times(history, first, last), self._take_time
        )

    def _take_time(self, reply: Reply) -> None:
        if reply.value is not None:
            self._times.update(reply.value)
        if self.is_current:
            self.paint()

    def count(self) -> int:
        """See `Page.count`."""
        first, last = self._table.bounds(self._place)
        return last - first + 1

    def row(self, index: int, width: int) -> Row:
        """See `Page.row`."""
        return link_row(self._link(index), self._largest, self._table[self._place].health, width, self.pen.glyphs)

    def _link(self, index: int) -> Link:
        first, last = self._table.bounds(self._place)
        main, seq, columns = self.main_screen, first + index, self._table.columns
        kind, follows = "delta", None
        if seq in self._holes:
            kind = "hole"
        elif columns.kind[seq] == FULL:
            kind = "base"
        elif columns.kind[seq] == NOTE:
            kind = "note"
        elif seq in self._forks:
            kind = "fork"
        if seq in self._forks:
            follows = self._followed(seq)
        depth = index + 1 - (columns.kind[first] == FULL) - bisect_right(self._notes, seq)
        return Link(
            seq,
            kind,
            columns.timestamp_ns[seq] - columns.timestamp_ns[first],
            columns.stored[seq],
            self._read[index],
            depth,
            self._times.get(seq),
            main.scene.book.action(seq),
            follows,
            seq == last,
            seq == main.view.head,
        )

    def _followed(self, seq: int) -> int | None:
        return self.main_screen.scene.history[seq].parent_seq if self.main_screen.scene.may_ask() else None

    def heading(self, width: int) -> Row:
        """See `Page.heading`."""
        return link_heading(width)

    def title_of_list(self) -> str:
        """Name the chain."""
        return f"Chain {self._place + 1:,} of {len(self._table):,}"

    def told(self, width: int) -> list[Row]:
        """Return the chain's figures, and its strip where there is room."""
        chain, glyphs = self._table[self._place], self.pen.glyphs
        rows = [path_row(chain, self.main_screen.view.head, glyphs), figures_row(chain), verdict_row(chain, glyphs)]
        if self.app.size.height >= _ROOM_FOR_STRIP:
            layout = lay_out(1, width - 2, _STRIP_LINES)
            wall = Wall(self._table, self._table.columns, layout, glyphs, range(self._place, self._place + 1))
            rows += wall.rows(-1, self._place)
        return rows if self.app.size.height > len(rows) + 5 else rows[-1:]

    def press(self, key: str, character: str | None) -> bool:
        """Turn to the chain before or after; all else as on every page."""
        if key in ("left", "h", "right", "l"):
            place = self._place + (1 if key in ("right", "l") else -1)
            if 0 <= place < len(self._table):
                self._turn_to(place)
                self.paint()
                self._measure()
            return True
        return super().press(key, character)

    def choose(self) -> None:
        """Go to the entry, and leave the wall too."""
        seq = self._table.bounds(self._place)[0] + self.cursor
        self.main_screen.apply(moves.jump_to(self.main_screen.view, seq))
        self.went = True
        self.dismiss(None)

    def on_unmount(self) -> None:
        """Measure no further."""
        self.main_screen.worker.cancel(QuestionKind.CHAINS)
