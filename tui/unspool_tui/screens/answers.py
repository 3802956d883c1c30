"""Pages that answer a question about the whole history: why a value is what it is, where two sources part, which actions there are."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING, Final, NamedTuple

from msgspec.structs import replace

from unspool.model.entries import SourceLine
from unspool.model.keys import Path, format_path
from unspool.model.values import MISSING, Value
from unspool_tui import questions
from unspool_tui.panes.names import ActionCount, count_actions
from unspool_tui.rendering import format_units
from unspool_tui.rendering.labels import file_and_line
from unspool_tui.rendering.line import BLANK, Glyphs, Row, Span, Spans, crop, on_grid, pad
from unspool_tui.rendering.values import preview_text
from unspool_tui.screens.page import Page, Tell
from unspool_tui.view import moves
from unspool_tui.view.model import seconds_left
from unspool_tui.view.overview import filter_of_action
from unspool_tui.worker import QuestionKind, Reply

if TYPE_CHECKING:
    from unspool.query.compare import Divergence, PathDifference, Side
    from unspool.query.why import CauseLink, Guess, Why
    from unspool_tui.screens.protocols import HistoryScreen
    from unspool_tui.tabs import Tabs

_INDENT: Final = 2
_DEEPEST: Final = 12
_LONGEST: Final = 400


class WhyRow(NamedTuple):
    """A row, and where Enter goes from it.

    Attributes:
        row: what it shows.
        seq: the entry; None where there is nowhere to go.
        address: the value.
        place: the line of code that wrote it; None where that is not known.
    """

    row: Row
    seq: int | None
    address: Path
    place: SourceLine | None = None


def why_heading() -> Row:
    """Return the names of the columns."""
    return Row(
        ((f" {'written at':>10}  value, what was written, why; ? what may explain it, a guess", "faint"),),
        ground="bar",
    )


def why_summary(found: Why) -> list[Row]:
    """Return what is told above the list."""
    many = format_units.count(len(found.links), "value")
    rows = [
        Row(((f" {many}", "strong"), (f" in the chain of entry {found.at}; writes are facts, ? are guesses", "dim")))
    ]
    if found.stopped:
        rows.append(Row(((f" the chain may go on: {on_grid(found.stopped)}", "warning"),)))
    if found.problems:
        first = found.problems[0].place
        rows.append(Row(((f" partial: {len(found.problems):,} could not be read, from {first} on", "warning"),)))
    return rows


def why_rows(found: Why, glyphs: Glyphs) -> list[WhyRow]:
    """Return a row for each link, one for each guess about it, and one where its chain ends."""
    rows: list[WhyRow] = []
    for link in found.in_order():
        seq = None if link.write is None else link.write.seq
        rows.append(WhyRow(_link_row(link, glyphs), seq, link.path, link.caller))
        for guess in link.guesses:
            led = next((found.links[s.link] for s in guess.sources if s.link is not None), None)
            goes = led is not None and led.write is not None
            rows.append(
                WhyRow(
                    _guess_row(guess, link.depth),
                    led.write.seq if led is not None and led.write is not None and goes else seq,
                    led.path if led is not None and goes else link.path,
                )
            )
        if link.end:
            rows.append(WhyRow(_dim(link.depth, f"ends here: {link.end}"), seq, link.path))
    return rows


def _link_row(link: CauseLink, glyphs: Glyphs) -> Row:
    is_older = link.write is not None and link.write.kind.value == "older"
    doubt = "" if link.write is None or link.certain or is_older else "?"
    seq = "unknown" if link.write is None else f"{'<=' if is_older else ''}#{link.write.seq:,}{doubt}"
    before = "" if link.old is MISSING else f"{preview_text(link.old, 30)} {glyphs.arrow} "
    why = link.action
    if link.caller is not None:
        why += f"  {file_and_line(link.caller)}"
    return Row(
        (
            (f" {seq:>10}  {_indent(link.depth)}", "text"),
            (f"{on_grid(format_path(link.path, root='')[:_LONGEST])} ", "key"),
            (on_grid(f"{before}{preview_text(link.value, 60)}"), "strong"),
            (f"  {on_grid(why[:_LONGEST])}", "dim"),
        )
    )


def _guess_row(guess: Guess, depth: int) -> Row:
    reasons = f"  ({'; '.join(guess.reasons)})" if guess.reasons else ""
    return Row(
        (
            (f" {'':>10}  {_indent(depth)}? ", "warning"),
            (f"{guess.word}, {guess.sureness:.0%}: ", "warning"),
            (on_grid(guess.formula.spelled()[:_LONGEST]), "text"),
            (on_grid(reasons[:_LONGEST]), "dim"),
        )
    )


def _dim(depth: int, text: str) -> Row:
    return Row(((f" {'':>10}  {_indent(depth)}{on_grid(text[:_LONGEST])}", "dim"),))


def _indent(depth: int) -> str:
    return " " * _INDENT * min(depth, _DEEPEST)


class WhyScreen(Page):
    """Follows the causes of a value back, and lists them with what is guessed of them."""

    KEYS = (("Enter", "go there"), ("Y", "why that"), ("$", "open the line"))

    def __init__(self, main: HistoryScreen, address: Path, head: int) -> None:
        """Ask for the value at an address as of an entry."""
        super().__init__(main)
        self._address = address
        self._head = head
        self._found: Why | None = None
        self._rows: list[WhyRow] = []

    def on_mount(self) -> None:
        """Begin at once: that is what the page was opened for."""
        super().on_mount()
        self._ask(self._address, self._head)

    def _ask(self, address: Path, head: int) -> None:
        history, withdrawn = self.main_screen.scene.history, self.main_screen.worker.withdrawn
        self._address, self._head = address, head
        self.work(lambda tell: questions.causes(history, address, head, tell, withdrawn), self._take)

    def _take(self, found: Why) -> None:
        self._found, self._rows, self.cursor = found, why_rows(found, self.pen.glyphs), 0

    def title_of_list(self) -> str:
        """See `Page.title_of_list`."""
        return f"Why {on_grid(format_path(self._address, root='')[-60:])} at #{self._head:,}"

    def count(self) -> int:
        """See `Page.count`."""
        return len(self._rows)

    def row(self, index: int, width: int) -> Row:
        """See `Page.row`."""
        return self._rows[index].row if index < len(self._rows) else BLANK

    def heading(self, width: int) -> Row:
        """See `Page.heading`."""
        return why_heading()

    def told(self, width: int) -> list[Row]:
        """Return how many causes there are, and why they may not be all."""
        if self._found is None:
            return [Row(((f" {on_grid(self.failure) or 'nothing was found'}: Escape goes back", "dim"),))]
        gone = self._found.at != self._head
        where = f" it does not stand at #{self._head:,}: these are the causes as of #{self._found.at:,}, where it stood last"
        return [*why_summary(self._found), *((Row(((where, "warning"),)),) if gone else ())]

    def letter(self, character: str) -> bool:
        """Ask for the causes of the value under the cursor, as of the entry that wrote it."""
        if character == "$":
            self._open_line()
            return True
        if character != "Y":
            return False
        if self._rows:
            chosen = self._rows[self.cursor]
            if chosen.seq is not None:
                self._ask(chosen.address, chosen.seq)
        return True

    def _open_line(self) -> None:
        """Open the line of code of the row in the person's editor."""
        main = self.main_screen
        place = self._rows[self.cursor].place if self._rows else None
        if place is not None:
            main.open_line(place)
        else:
            main.flash("no line of code is known of this row", "warning")

    def choose(self) -> None:
        """Go to the entry that wrote the value of a row, and select the value."""
        if self._rows and (chosen := self._rows[self.cursor]).seq is not None:
            main = self.main_screen
            main.apply(replace(moves.jump_to(main.view, chosen.seq), selected=chosen.address))
            self.dismiss(None)


class CompareScreen(Page):
    """The first entries at which this tab's history and another's differ, and the values that do."""

    TITLE_OF_LIST = "What differs there"
    KEYS = (("Enter", "go there"), ("o", "go there in the other tab"))

    def __init__(self, main: HistoryScreen, tabs: Tabs, other: int) -> None:
        super().__init__(main)
        self._tabs = tabs
        self._other = other
        self._names = (tabs.name(tabs.front), tabs.name(other))
        self._found: Divergence | None = None

    def on_mount(self) -> None:
        """Begin to compare."""
        super().on_mount()
        first, second = self.main_screen.scene.history, self._tabs.all[self._other].history
        withdrawn, total = self.main_screen.worker.withdrawn, self.main_screen.view.total

        def compare(tell: Tell) -> Divergence | None:
            return None if second is None else questions.part(first, second, lambda n: tell(n, total), withdrawn)

        self.work(compare, self._take)

    def _take(self, found: Divergence | None) -> None:
        self._found = found

    def count(self) -> int:
        """See `Page.count`."""
        return 0 if self._found is None else len(self._found.differences)

    def row(self, index: int, width: int) -> Row:
        """See `Page.row`."""
        return BLANK if self._found is None else compare_row(self._found.differences[index], width, self.pen.glyphs)

    def heading(self, width: int) -> Row:
        """See `Page.heading`."""
        return compare_heading(self._names, width)

    def told(self, width: int) -> list[Row]:
        """Return how the two relate."""
        if self._found is None:
            return [Row(((" not compared: Escape goes back", "dim"),))]
        return compare_summary(self._found, self._names, width, self.pen.glyphs)

    def letter(self, character: str) -> bool:
        """Go to where the other history parts."""
        if character != "o":
            return False
        seq = None if self._found is None else self._found.second.seq
        self.dismiss(None)
        self.unspool_app.tab_screens.show(self._other, at=seq)
        return True

    def choose(self) -> None:
        """Go to where this history parts."""
        if self._found is not None and self._found.first.seq is not None:
            self.main_screen.apply(moves.jump_to(self.main_screen.view, self._found.first.seq))
            self.dismiss(None)


_RELATIONS: Final = {
    "same": "both go through the same states",
    "first ends": "the first is a beginning of the second",
    "second ends": "the second is a beginning of the first",
    "diverged": "they part after what they have in common",
    "different": "they differ from the first entry on",
    "unrelated": "they have nothing in common, not even the name of an atom",
}
_VALUE: Final = 200


def compare_summary(found: Divergence, names: tuple[str, str], width: int, glyphs: Glyphs) -> list[Row]:
    """Return what is told above the list: the relation, and each history where they part."""
    relation = "stopped before that was known" if found.relation is None else _RELATIONS[str(found.relation)]
    again = "" if found.meet_again is None else "  the same again at #{:,} and #{:,}".format(*found.meet_again)
    rows = [
        Row(
            (
                (f" {relation}", "strong"),
                (f"  {_entries(found.common)} in common{again}", "dim"),
            )
        )
    ]
    for name, side, style in ((names[0], found.first, "removed"), (names[1], found.second, "added")):
        rows.append(Row(((f"   {pad(on_grid(name), min(28, width // 3))}  ", style), *_side(side))))
    if found.problems:
        rows.append(Row(((f" {_entries(len(found.problems))} could not be read", "warning"),)))
    return rows


def _entries(number: int) -> str:
    return f"{number:,} entry" if number == 1 else f"{number:,} entries"


def _side(side: Side) -> Spans:
    after = "" if side.last_common is None else f"  after #{side.last_common:,}"
    told: Span = ("ends", "dim") if side.seq is None else (f"#{side.seq:,} {on_grid(side.action[:_VALUE])}", "text")
    return told, (after, "faint")


def compare_heading(names: tuple[str, str], width: int) -> Row:
    """Return the names of the columns."""
    path, value = _columns(width)
    first, second = (on_grid(name) for name in names)
    return Row(((f" {pad('where', path)} {pad(first, value)}  {pad(second, value)}", "faint"),), ground="bar")


def compare_row(part: PathDifference, width: int, glyphs: Glyphs) -> Row:
    """Return the line of one value that differs."""
    path, value = _columns(width)
    at = part.first_path if part.second_path is None else part.second_path
    name = crop(on_grid(format_path((at or ())[-12:], root="")), path, glyphs.ellipsis)
    writers = [write.seq for write in (part.first_write, part.second_write) if write is not None]
    return Row(
        (
            (f" {pad(name, path)} ", "text"),
            (pad(_told(part.first, value, glyphs), value), "removed"),
            ("  ", "text"),
            (pad(_told(part.second, value, glyphs), value), "added"),
        ),
        ((f" set at {' / '.join(f'#{seq:,}' for seq in writers)} ", "faint"),) if writers else (),
    )


def _columns(width: int) -> tuple[int, int]:
    room = max(30, width - 26)
    path = room * 2 // 5
    return path, (room - path) // 2


def _told(value: Value, width: int, glyphs: Glyphs) -> str:
    text = "not there" if value is MISSING else preview_text(value, min(width, _VALUE))
    return crop(text, width, glyphs.ellipsis)


_COUNT_ROOM: Final = 9
_BAR_ROOM: Final = 24
_NARROW: Final = 72
"""Cells of a page below which bars are short, so that actions can be told apart by their names."""
UNNAMED: Final = "(no action)"


def _bar_room(width: int) -> int:
    return _BAR_ROOM if width >= _NARROW else _BAR_ROOM // 4


class ActionsPage(Page):
    """Lists the actions while they are counted, the most frequent first."""

    TITLE_OF_LIST = "Actions"
    KEYS = (("Enter", "show only these"), ("!", "hide these"), ("n", "newest"))

    def __init__(self, main: HistoryScreen, start_filter: Callable[[str], None], go: Callable[[int], None]) -> None:
        """Count the actions of a history.

        Args:
            main: the main screen.
            start_filter: shows only the entries that pass a filter.
            go: goes to an entry.
        """
        super().__init__(main)
        self._start_filter = start_filter
        self._go = go
        self._total = main.view.total
        self._started = monotonic()
        self._listed: list[tuple[str, ActionCount]] = []

    def on_mount(self) -> None:
        """Go on counting where the last count ended; what is counted already is there at once."""
        main, counts = self.main_screen, self.main_screen.scene.actions
        if counts.missing(main.view.first, self._total):
            history, start, stop = main.scene.history, counts.until, self._total
            main.ask(QuestionKind.ACTIONS, lambda: count_actions(history, start, stop), self._take)
        self._listed = counts.in_order()
        super().on_mount()

    def _take(self, reply: Reply) -> None:
        counts = self.main_screen.scene.actions
        if reply.value is not None:
            counts.learn(reply.value)
        at = self._listed[self.cursor][0] if self.cursor else None
        self._listed = counts.in_order()
        # The cursor stays on its action while others overtake it; nobody has chosen the first row yet.
        self.cursor = next((row for row, (name, _) in enumerate(self._listed) if name == at), 0)
        if self.is_current:
            self.paint()

    def count(self) -> int:
        """See `Page.count`."""
        return len(self._listed)

    def row(self, index: int, width: int) -> Row:
        """See `Page.row`."""
        if index >= len(self._listed):
            return BLANK
        action, counted = self._listed[index]
        most, glyphs, room = self._listed[0][1].count, self.pen.glyphs, _bar_room(width)
        filled = max(1, counted.count * room // most)
        named = on_grid(action[:200]) if action else UNNAMED
        left = (
            (f"{counted.count:>{_COUNT_ROOM},} ", "strong"),
            (glyphs.block * filled, "heat"),
            (" " * (room - filled + 1), "text"),
            (crop(named, max(10, width - _COUNT_ROOM - room - 20)), "text" if action else "faint"),
        )
        return Row(left, ((f" {self._share(counted.count)}  newest #{counted.newest:,} ", "dim"),))

    def _share(self, count: int) -> str:
        share = count * 100 / max(1, self.main_screen.scene.actions.until - self.main_screen.view.first)
        return f"{share:.0f}%" if share >= 1 else "<1%"

    def heading(self, width: int) -> Row:
        """See `Page.heading`."""
        return Row(((f" {'entries':>{_COUNT_ROOM}} {'':<{_bar_room(width)}} action", "faint"),), ground="bar")

    def told(self, width: int) -> list[Row]:
        """Return how many actions there are, and how far the count is."""
        counts, first = self.main_screen.scene.actions, self.main_screen.view.first
        done, total = counts.until - first, self._total - first
        words = f"{format_units.count(len(self._listed), 'action')} in {done:,} entries"
        more = f", {counts.others:,} entries of further ones" if counts.others else ""
        rest = ""
        if done < total:
            left = seconds_left(done, total, monotonic() - self._started)
            rest = f"; counting, {done * 100 // max(1, total)}%{f', {left}' if left else ''}"
        return [Row(((f" {words}{more}{rest}", "text"),))]

    def letter(self, character: str) -> bool:
        """Hide the entries of an action, or go to its newest one."""
        if character not in ("!", "n"):
            return False
        if self._listed:
            action, counted = self._listed[self.cursor]
            self.dismiss(None)
            if character == "n":
                self._go(counted.newest)
            else:
                self._start_filter(filter_of_action(action, inverted=True))
        return True

    def choose(self) -> None:
        """Show only the entries of the action under the cursor."""
        if self._listed:
            action, _ = self._listed[self.cursor]
            self.dismiss(None)
            self._start_filter(filter_of_action(action))
