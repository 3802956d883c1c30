"""The page on why: the chain of causes behind a value, and its rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from msgspec.structs import replace

from unspool.model.entries import SourceLine
from unspool.model.keys import Path, format_path
from unspool.model.values import MISSING
from unspool_tui import questions
from unspool_tui.rendering import format_units
from unspool_tui.rendering.labels import file_and_line
from unspool_tui.rendering.line import BLANK, Row, on_grid
from unspool_tui.rendering.values import preview_text
from unspool_tui.screens.page import Page
from unspool_tui.view import moves

if TYPE_CHECKING:
    from unspool.query.why import CauseLink, Guess, Why
    from unspool_tui.screens.protocols import HistoryScreen

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


def why_rows(found: Why) -> list[WhyRow]:
    """Return a row for each link, one for each guess about it, and one where its chain ends."""
    rows: list[WhyRow] = []
    for link in found.in_order():
        seq = None if link.write is None else link.write.seq
        rows.append(WhyRow(_link_row(link), seq, link.path, link.caller))
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


def _link_row(link: CauseLink) -> Row:
    is_older = link.write is not None and link.write.kind.value == "older"
    doubt = "" if link.write is None or link.write.certain or is_older else "?"
    seq = "unknown" if link.write is None else f"{'<=' if is_older else ''}#{link.write.seq:,}{doubt}"
    before = "" if link.old is MISSING else f"{preview_text(link.old, 30)} → "
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
        self._found, self._rows, self.cursor = found, why_rows(found), 0

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
