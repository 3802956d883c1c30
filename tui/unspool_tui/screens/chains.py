"""The chains screen and the page of one chain: a chain a line with what the doctor finds; an entry a line with what it costs."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from enum import StrEnum
from itertools import accumulate
from pathlib import Path
from time import monotonic, perf_counter
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct, field
from msgspec.structs import replace
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical

from unspool.errors import UnspoolError
from unspool.model.entries import FULL, NOTE
from unspool_tui import questions
from unspool_tui.panes.stats import atom_rows
from unspool_tui.rendering.chain_lines import (
    Link,
    around,
    bytes_row,
    cache_row,
    cache_words,
    chain_heading,
    chain_row,
    finding_heading,
    finding_line,
    finding_rows,
    link_heading,
    link_row,
    path_row,
    summary_row,
)
from unspool_tui.rendering.chain_wall import (
    Wall,
    WallLayout,
    figures_row,
    group_rows,
    group_title,
    lay_out,
    legend_rows,
    other_row,
    verdict_row,
)
from unspool_tui.rendering.header import footer
from unspool_tui.rendering.line import BLANK, PaneFrame, Row, Spans, on_grid
from unspool_tui.screens.exporting import check_target, target
from unspool_tui.screens.follower import LEAST_WAIT, after
from unspool_tui.screens.modal import Prompt
from unspool_tui.screens.page import Page, Tell
from unspool_tui.view import moves
from unspool_tui.view.model import SearchState
from unspool_tui.widgets.lines import LinesView
from unspool_tui.widgets.panel import Framed, Listed
from unspool_tui.worker import QuestionKind, Reply

if TYPE_CHECKING:
    from unspool.query.chain_table import ChainTable
    from unspool.query.doctor.chains import ChainRow
    from unspool.query.doctor.diagnosis import Diagnosis, Finding
    from unspool.query.repair import RepairReport
    from unspool.query.simulator import Alternative
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


def mark_entries(main: HistoryScreen, text: str, seqs: Iterable[int]) -> int:
    """Mark entries in the timeline, where `n` and `N` travel between them; return how many there are.

    Args:
        main: the main screen.
        text: what the marks are of; shown where a search is.
        seqs: the entries, in any order.
    """
    hits = array("q", sorted({seq for seq in seqs if 0 <= seq < main.view.total}))
    if hits:
        main.hit_paths = {}
        main.apply(replace(main.view, search=SearchState(text, hits, len(hits))))
    return len(hits)


_MOST_FINDINGS: Final = 6
_AT_ONCE: Final = 1 << 12
"""Entries that are taken in between two looks at the clock."""
_TURN_SECONDS: Final = 0.012
"""How long entries are taken in between two looks at the keys."""
_REBUILD_SECONDS: Final = 0.25
"""Seconds between two drawings of the wall while chains are taken in or examined: each goes over all that are shown."""
_ROOM_BESIDE: Final = 100
"""Columns from which memory is told beside the wall; it is told in two lines below otherwise."""
_ROOM_BELOW: Final = 20
"""Lines from which it is told below."""
_ROOM_FOR_LEGEND: Final = 9
"""Lines from which the shapes are explained, and chains told, in more than a line."""
_ROOM_FOR_ALL_LINES: Final = 14
"""Lines from which all is told above the wall."""
_LEAST_WALL: Final = 6
"""Lines of the wall with its frame that the lines below must leave."""


class Examination(Struct):
    """What the doctor found so far, on its way from the worker to the screen."""

    told: deque[Callable[[ChainTable], None]] = field(default_factory=deque)

    def begin_examination(self) -> None:
        """See `ExaminationWatch`."""
        self.told.append(lambda table: table.begin_examination())

    def examined(self, row: ChainRow) -> None:
        """See `ExaminationWatch`."""
        self.told.append(lambda table: table.examined(row))

    def doubted(self, first: int | None, last: int | None, meaning: str) -> None:
        """See `ExaminationWatch`."""
        self.told.append(lambda table: table.doubted(first, last, meaning))

    def hand_over(self, table: ChainTable) -> bool:
        """Write into the table what was told since the last time; return whether anything was."""
        count = len(self.told)
        for _ in range(count):
            self.told.popleft()(table)
        return count > 0


class Listing(StrEnum):
    """What the chains screen lists."""

    WALL = "Chains"
    TABLE = "Chains, one a line"
    FINDINGS = "Findings"


class ChainsScreen(Page):
    """All chains as a wall, their limits, and what the doctor says of them."""

    KEYS = (
        ("Enter", "open"), ("D", "doctor"), ("S", "other rule"), ("v", "as a list"), ("F", "findings"), ("R", "repair"),
    )  # fmt: skip

    def __init__(self, main: HistoryScreen) -> None:
        super().__init__(main)
        self.table = questions.chain_table(main.scene.history)
        self._listing = Listing.WALL
        self._takes_in = self._moved = False
        self._built = 0.0
        """When the wall was drawn last."""
        self._place = 0
        """The chosen chain; the cursor counts findings while those are listed."""
        self._part: list[range] = []
        """The chains that are shown, where not all of them are; the narrowest part last."""
        self._examination = Examination()
        self._diagnosis: Diagnosis | None = None
        self._other: Alternative | None = None
        self._trying = ""
        """The rule that is being tried; empty while the doctor is at work, or nobody."""
        self._refused = ""
        self._atoms: Sequence[tuple[str, int, int]] = main.scene.stats.atoms
        self._forks_until, self._has_extras = self.table.first, False
        self._wall: tuple[object, Wall] | None = None
        self._version = 0
        """Counts what was learned of the chains."""

    def compose(self) -> ComposeResult:
        """Lay out what is told, the wall with memory beside it, what the shapes mean, and the keys."""
        with Vertical(classes="page"):
            yield LinesView(id="told")
            yield LinesView(id="heading")
            with Horizontal(id="beside"):
                yield Framed(id="list")
                yield Framed(id="memory")
            yield LinesView(id="whole")
            yield LinesView(id="legend")
            yield LinesView(id="keys")

    def on_mount(self) -> None:
        """Take in the chains, a part at a time, and ask for what only the store knows of them."""
        self._take_in()
        super().on_mount()
        self._ask_extras()

    def on_screen_resume(self) -> None:
        """Go on with what the page in front took the turn of."""
        if not self._has_extras:
            self._ask_extras()

    def _ask_extras(self) -> None:
        main, start, wanted = self.main_screen, self._forks_until, not self._atoms
        main.ask(
            QuestionKind.CHAINS,
            lambda: questions.chain_extras(main.scene.history, start, with_atoms=wanted),
            self._take_extras,
        )

    def _take_in(self) -> None:
        """Take in entries for as long as no key waits for it, and go on in the next turn."""
        total, until = self.main_screen.view.total, perf_counter() + _TURN_SECONDS
        self._takes_in = True
        while self.table.total < total:
            self._version += self.table.extend(min(self.table.total + _AT_ONCE, total))
            if perf_counter() >= until:
                break
        if not self._moved:
            self._place = self.cursor = self.table.place(self.main_screen.view.head)
        self._takes_in = self.table.total < total
        if self._takes_in:
            after(self, LEAST_WAIT, self._take_in_more)

    def _take_in_more(self) -> None:
        if not self.is_attached:
            return
        self._take_in()
        if self.is_current and (not self._takes_in or monotonic() - self._built > _REBUILD_SECONDS):
            self.paint()

    def _take_extras(self, reply: Reply) -> None:
        if isinstance(reply.value, questions.ChainExtras):
            self.table.add_forks(reply.value.forks)
            self._forks_until = reply.value.stop
            self._version += bool(reply.value.forks)
            self._atoms = reply.value.atoms or self._atoms
        self._has_extras = reply.done
        if reply.done and self.is_current:
            self.paint()

    @property
    def _findings(self) -> Sequence[Finding]:
        return () if self._diagnosis is None else self._diagnosis.findings

    def title_of_list(self) -> str:
        """Name what is listed."""
        return self._listing

    def count(self) -> int:
        """See `Page.count`."""
        return len(self._findings) if self._listing is Listing.FINDINGS else len(self.table)

    def row(self, index: int, width: int) -> Row:
        """See `Page.row`."""
        if self._listing is not Listing.FINDINGS:
            return chain_row(self.table[index], width, self.pen.glyphs)
        found = self._findings[index]
        return finding_line(str(found.severity), found.place, found.meaning, found.where, self.pen.glyphs)

    def heading(self, width: int) -> Row:
        """See `Page.heading`."""
        return finding_heading() if self._listing is Listing.FINDINGS else chain_heading(width)

    def paint(self) -> None:
        """Show what is known so far."""
        self._version += self._examination.hand_over(self.table)
        if self.table.total < self.main_screen.view.total and not self._takes_in:
            self._take_in()
        size = self.app.size
        is_wall = self._listing is Listing.WALL
        told = self.told(size.width)
        if size.height < _ROOM_FOR_ALL_LINES:
            told = [told[0], told[-1]] if len(told) > 1 and size.height >= _ROOM_FOR_LEGEND else told[-1:]
        self._show_above(told)
        heading, memory = self.query_one("#heading", LinesView), self.query_one("#memory", Framed)
        heading.display = not is_wall
        memory.display = is_wall and size.width >= _ROOM_BESIDE
        self.query_one("#keys", LinesView).show_rows(
            [footer([("arrows" if is_wall else "j k", "move"), *self._keys(), ("Esc", "back")], size.width)]
        )
        if is_wall:
            self.query_one("#whole", LinesView).display = False
            self._paint_wall(len(told))
        else:
            self.query_one("#legend", LinesView).display = False
            heading.show_rows([self.heading(size.width)])
            self.paint_list()

    def _keys(self) -> list[tuple[str, str]]:
        return [
            (key, "as a wall" if key == "v" and self._listing is not Listing.WALL else told)
            for key, told in self.KEYS
        ]

    def _show_above(self, rows: list[Row]) -> None:
        above = self.query_one("#told", LinesView)
        above.styles.height = len(rows)
        above.show_rows(rows)

    def _paint_wall(self, above: int) -> None:
        framed, size, glyphs = self.query_one("#list", Framed), self.app.size, self.pen.glyphs
        part = self._part[-1] if self._part else range(len(self.table))
        layout = lay_out(len(part), framed.inner_width, framed.page)
        legend = self.query_one("#legend", LinesView)
        below = legend_rows(self.table, layout, size.width, glyphs)
        if size.width < _ROOM_BESIDE and size.height >= _ROOM_BELOW:
            below = [*self._memory_below(size.width), *below]
        below = below[: max(0, size.height - above - 1 - _LEAST_WALL)]
        legend.display = size.height >= _ROOM_FOR_LEGEND and bool(below)
        legend.styles.height = len(below)
        legend.show_rows(below)
        if not len(part):
            framed.show(Listed([Row(((" nothing was recorded yet", "dim"),))]), self._wall_frame(part), None)
            return
        key = (layout, self._version, part, id(glyphs), None if self._other is None else self._other.rule)
        busy = self._takes_in or self._progress is not None
        if self._wall is None or (self._wall[0] != key and not (busy and self._is_fresh(layout, part))):
            self._built = monotonic()
            self._wall = (key, Wall(self.table, self.table.columns, layout, glyphs, part, self._other))
        wall = self._wall[1]
        item, head = wall.item_of(self._place), self.table.place(self.main_screen.view.head)
        rows = wall.rows(item, head, self._swept())
        framed.show(Listed(rows), self._wall_frame(part), None, top=0)
        memory = self.query_one("#memory", Framed)
        if memory.display:
            memory.show(Listed(self._memory_beside(memory.inner_width)), PaneFrame(0, "Memory"), None, top=0)

    def _is_fresh(self, layout: WallLayout, part: range) -> bool:
        """Whether the wall at hand is laid out as wanted, and too new to be drawn again while work goes on."""
        wall = None if self._wall is None else self._wall[1]
        is_same = wall is not None and (wall.layout, wall.part) == (layout, part)
        return is_same and monotonic() - self._built < _REBUILD_SECONDS

    def _swept(self) -> int:
        """Return the chain that the doctor is at, -1 while it is not at work."""
        return -1 if self._progress is None or self._trying else self.table.place(self._progress[0])

    def _wall_frame(self, part: range) -> PaneFrame:
        more: Spans = ()
        if self.table.total < self.main_screen.view.total:
            more = ((f"{self.table.total:,} of {self.main_screen.view.total:,} entries so far", "warning"),)
        elif self._part:
            more = ((f"{part.start + 1:,} to {part.stop:,} of {len(self.table):,}  - shows more", "accent"),)
        place = f"{self._place + 1:,} of {len(self.table):,}" if len(self.table) else "none"
        return PaneFrame(0, self.title_of_list(), more=more, right=((place, "dim"),), focused=True)

    def _memory_below(self, width: int) -> list[Row]:
        return [bytes_row(self._atoms, width, self.pen.glyphs), self._cache(width - 8, 1)]

    def _memory_beside(self, width: int) -> list[Row]:
        stats = self.main_screen.scene.history.cache_stats()
        rows = [Row(((" states around the head", "title"),)), self._cache(width - 8, 1), *cache_words(stats), BLANK]
        if not self._atoms:
            return [*rows, Row(((" values by atom: not measured yet", "faint"),))]
        return [*rows, Row(((" values by atom", "title"),)), *atom_rows(self._atoms, width, self.pen.glyphs)]

    def _cache(self, cells: int, least: int) -> Row:
        main = self.main_screen
        view, history = main.view, main.scene.history
        seqs = around(view.head, view.first, view.total, max(least, cells))
        return cache_row([history.holds_state(seq) for seq in seqs], seqs, view.head, self.pen.glyphs)

    def told(self, width: int) -> list[Row]:
        """Return the doctor's verdict, or how to ask for it, and the chosen chain."""
        if self._refused:
            return [Row(((f" {self._refused}", "warning"),))]
        found, glyphs = self._diagnosis, self.pen.glyphs
        if self._progress is not None:
            rows = [self.progress_row(width)]
            if self._trying:
                rows = [Row(((f" trying {self._trying} on a sample", "text"),), (("Esc stops ", "faint"),))]
        elif self._other is not None:
            rows = [other_row(self._other, width)]
        elif found is None:
            rows = [Row(((" not examined yet: ", "dim"), ("D", "key"), (" has the doctor check every entry", "dim")))]
        else:
            rows = [
                summary_row(
                    str(found.verdict), found.entries, found.readable, len(self.table), complete=found.complete
                )
            ]
        if self._listing is Listing.FINDINGS:
            return [*rows, Row(((f" {on_grid(self._findings[self.cursor].remedy[:400])}", "dim"),))]
        if self._listing is Listing.WALL:
            return rows + self._told_of_chosen()
        # Notes are about single chains, whose lines tell them already.
        serious = [finding for finding in self._findings if str(finding.severity) != "note"]
        for finding in serious[:_MOST_FINDINGS]:
            rows += finding_rows(str(finding.severity), finding.place, finding.meaning, finding.remedy, width, glyphs)
        left = len(serious) - _MOST_FINDINGS
        return [*rows, Row(((f" {left:,} more findings; F lists them", "dim"),))] if left > 0 else rows

    def _told_of_chosen(self) -> list[Row]:
        if not len(self.table) or self._wall is None:
            return []
        wall = self._wall[1]
        group = self.table.group(*wall.chains_of(wall.item_of(self._place)))
        title = (
            (f" {group_title(self.table, group)}", "strong"),
            (f"   rule {on_grid(self.table.rule[:60])}", "dim"),
        )
        if group.stop - group.start == 1:
            chain = self.table[group.start]
            return [Row(title), figures_row(chain), verdict_row(chain, self.pen.glyphs)]
        return [Row(title), *group_rows(group, self.pen.glyphs)]

    def press(self, key: str, character: str | None) -> bool:
        """Move over the wall in two directions; all else as on every page. What was refused before is told no longer."""
        self._refused = ""
        if self._listing is not Listing.WALL or self._wall is None:
            return super().press(key, character)
        layout = self._wall[1].layout
        band = layout.per_band
        steps = {
            "left": -1, "h": -1, "right": 1, "l": 1, "up": -band, "k": -band, "down": band, "j": band,
            "pageup": -band * 3, "pagedown": band * 3, "ctrl+u": -band * 2, "ctrl+d": band * 2,
        }  # fmt: skip
        if key in steps:
            self.move(steps[key] * layout.group)
            return True
        return super().press(key, character)

    def move(self, by: int) -> None:
        """Move the cursor, within the chains that are shown."""
        if self._listing is Listing.FINDINGS:
            super().move(by)
            return
        part = self._part[-1] if self._part else range(len(self.table))
        self._moved = True
        self._place = self.cursor = max(part.start, min(self._place + by, part.stop - 1))
        self.paint()

    def letter(self, character: str) -> bool:
        """Examine, repair, or show the chains otherwise."""
        if character == "D":
            self.examine()
        elif character == "R":
            self._ask_repair()
        elif character == "F":
            self._turn_to_findings()
        elif character == "S":
            self._try_other()
        elif character == "v":
            self._list(Listing.TABLE if self._listing is Listing.WALL else Listing.WALL)
        elif character == "+":
            self._zoom_in()
        elif character == "-":
            self._zoom_out()
        else:
            return False
        return True

    def _try_other(self) -> None:
        """Lay the next other rule over the wall; after the last one, none."""
        rules = questions.other_rules(self.table)
        at = 0 if self._other is None else rules.index(self._other.rule) + 1
        if at == len(rules):
            self._other = None
            self.paint()
            return
        if self.table.total < self.main_screen.view.total:
            self._refuse("other rule: the chains are still being read")
            return
        main = self.main_screen
        tried = questions.other_rule(main.scene.history, rules[at], self.table, main.worker.withdrawn)
        self._trying = rules[at]
        self._listing = Listing.WALL
        self.work(lambda tell: tried(), self._tried)

    def _tried(self, other: Alternative) -> None:
        self._trying = ""
        self._other = other

    def _list(self, listing: Listing) -> None:
        self._listing = listing
        self.cursor = 0 if listing is Listing.FINDINGS else self._place
        self.paint()

    def _zoom_in(self) -> None:
        """Show half of the chains that are shown, those around the chosen one."""
        part = self._part[-1] if self._part else range(len(self.table))
        many = len(part) // 2
        if self._listing is not Listing.WALL or many < 1:
            self._refuse("zoom: there is no smaller part of the wall")
            return
        start = max(part.start, min(self._place - many // 2, part.stop - many))
        self._show_part(range(start, start + many))

    def _zoom_out(self) -> None:
        if not self._part:
            self._refuse("zoom: the whole history is shown")
            return
        self._part.pop()
        self.paint()

    def _show_part(self, part: range) -> None:
        self._part.append(part)
        self._place = max(part.start, min(self._place, part.stop - 1))
        self.paint()

    def _refuse(self, why: str) -> None:
        self._refused = why
        self.paint()

    def leave(self) -> None:
        """Stop the work, show the chains as they are, show all of them again, or go back."""
        self._trying = ""
        if self._progress is None and self._other is not None:
            self._other = None
            self.paint()
        elif self._progress is None and self._part and self._listing is Listing.WALL:
            self._part.clear()
            self.paint()
        else:
            super().leave()

    def choose(self) -> None:
        """Open the chosen chain, of several show just those; go to the entry that a finding is about."""
        if not self.count():
            return
        if self._listing is Listing.WALL and self._wall is not None and self._wall[1].layout.group > 1:
            wall = self._wall[1]
            self._show_part(range(*wall.chains_of(wall.item_of(self._place))))
            return
        if self._listing is not Listing.FINDINGS:
            self._open_chain()
            return
        seq = self._findings[self.cursor].first
        if seq is None:
            self._refuse("this finding is about no entry")
            return
        self.main_screen.apply(moves.jump_to(self.main_screen.view, seq))
        self.dismiss(None)

    def _open_chain(self) -> None:
        page = ChainScreen(self.main_screen, self.table, self._place)

        def left(_: None) -> None:
            if page.went:
                self.dismiss(None)

        self.main_screen.open(page, left)

    def point_at(self, row: int, column: int) -> bool:
        """See `Page.point_at`."""
        if self._listing is Listing.FINDINGS:
            return super().point_at(row, column)
        place = row
        if self._listing is Listing.WALL:
            item = None if self._wall is None else self._wall[1].layout.item_at(column, row)
            place = -1 if item is None or self._wall is None else self._wall[1].chains_of(item)[0]
        if row >= 0 and place >= 0:
            self.move(place - self._place)
        return row >= 0 and place >= 0

    def _turn_to_findings(self) -> None:
        """List what the doctor found, or the chains again; whoever did not ask the doctor yet does so now."""
        if self._diagnosis is None:
            self.examine(then_list=True)
        elif self._findings:
            self._list(Listing.WALL if self._listing is Listing.FINDINGS else Listing.FINDINGS)
        else:
            self._refuse("findings: the doctor found nothing")

    def examine(self, *, then_list: bool = False) -> None:
        """Have the doctor look at every entry, and list what it found where that is wanted."""
        history, withdrawn = self.main_screen.scene.history, self.main_screen.worker.withdrawn
        self._examination = watch = Examination()
        self._other, self._trying = None, ""
        self.work(
            lambda tell: questions.examine(history, tell, withdrawn, watch),
            lambda found: self._examined(found, then_list),
        )

    def _examined(self, found: Diagnosis, then_list: bool) -> None:
        self._diagnosis = found
        self._listing = Listing.FINDINGS if then_list and found.findings else self._listing
        self.cursor = 0 if self._listing is Listing.FINDINGS else self._place
        serious = [one.first for one in found.findings if str(one.severity) != "note" and one.first is not None]
        mark_entries(self.main_screen, f"doctor: {found.verdict}", serious)

    def _ask_repair(self) -> None:
        main = self.main_screen
        history, permits = main.scene.history, main.view.permits
        refused = permits.why_not("chains.repair")
        if refused:
            self._refuse(f"repair: {refused}")
            return

        def typed(name: str | None) -> None:
            if name is None or not name.strip():
                return
            try:
                withdrawn, out = main.worker.withdrawn, str(target(name, permits))
            except UnspoolError as error:
                main.flash(str(error), "warning")
                return
            desk = main.notes

            def work(tell: Tell) -> RepairReport:
                report = questions.repair_into(history, out, tell, withdrawn)
                if report.complete and desk is not None:
                    desk.copy_to(out)
                return report

            self.work(work, self._repaired)

        hint = "repair writes a new file with all that is intact; the old one is never changed"
        proposal = f"{Path(history.source_name).stem or 'history'}-repaired.unspool"
        main.open(Prompt("R", hint, text=proposal, check=lambda name: check_target(name, permits)), typed)

    def _repaired(self, report: Any) -> None:
        kept = f"{report.kept:,} of {report.entries:,} entries as recorded, {len(report.holes):,} holes"
        self.main_screen.flash(f"{report.out}: {kept}", "good")
