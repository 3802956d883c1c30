"""The rows of the list of results: entry, value before and after, who did it and when."""

from __future__ import annotations

import datetime as dt
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from unspool.errors import UnspoolError
from unspool.model.keys import Path, format_path
from unspool.model.paths import child_of
from unspool.model.wire import decode
from unspool_tui.panes.history import EntryBook, goes_over_days, knows
from unspool_tui.rendering import format_units
from unspool_tui.rendering.line import Glyphs, PaneFrame, Row, Span, Spans, crop, on_grid, pad, spans_width, width_of
from unspool_tui.rendering.values import preview_text
from unspool_tui.view.model import ListKind, Pane, ResultList, ResultRow, View
from unspool_tui.view.overview import EntryColumns

if TYPE_CHECKING:
    from unspool.history.history import History

_KEPT: Final = 4_096
_VALUE: Final = 40
_LARGEST: Final = 64 << 10
"""Wire bytes of a value that is decoded for a row; of a larger one the size is told."""
_ROOM_FOR_WHO: Final = 60
_LEAST_OF_WHO: Final = 6
"""Cells below which an action says nothing."""
_MOST_STEPS: Final = 20
_STYLES: Final[Mapping[str, str]] = {
    "+": "added",
    "~": "modified",
    "-": "removed",
    "holds": "good",
    "error": "error",
    "warning": "warning",
}
NO_RESULTS: Final = ResultList(ListKind.SEARCH, "")
"""The list before anything was asked."""


class SeenWrite(Struct, frozen=True):
    """What an entry did to a value.

    Attributes:
        mark: `+`, `~`, `-` or `=`.
        before: the value before, as text.
        after: the value there, as text.
    """

    mark: str
    before: str
    after: str


Wanted = tuple[int, Path]
"""An entry, and the address of a value there."""


def look_up(history: History, wanted: Iterable[Wanted]) -> dict[Wanted, SeenWrite]:
    """Return what entries did to values; safe in the worker."""
    return {(seq, address): _seen(history, seq, address) for seq, address in wanted}


def _seen(history: History, seq: int, address: Path) -> SeenWrite:
    try:
        change = next((one for one in history.changes(seq).changes if one.atom == address[0]), None)
        if change is None:
            form = history.view(seq).wire.get(str(address[0]))
            return SeenWrite("=", "", _told(_at(form, address)))
        old, new = _at(change.old_bytes, address), _at(change.new_bytes, address)
    except UnspoolError:
        return SeenWrite("!", "", "cannot be read")
    mark = "=" if old == new else "+" if old is None else "-" if new is None else "~"
    return SeenWrite(mark, "" if old == new else _told(old), _told(new))


def _at(form: bytes | None, address: Path) -> bytes | None:
    for step in address[1:]:
        found = None if form is None else child_of(form, step)
        form = None if found is None else found[1]
    return form


def _told(form: bytes | None) -> str:
    if form is None:
        return ""
    return preview_text(decode(form), _VALUE) if len(form) <= _LARGEST else format_units.size(len(form))


class ResultsPane:
    """Makes rows of a list of results; what a row tells beyond its list is looked up once it is seen."""

    def __init__(self, book: EntryBook, glyphs: Glyphs, zone: dt.tzinfo | None) -> None:
        self.list = NO_RESULTS
        self._book = book
        self._glyphs = glyphs
        self._zone = zone
        self._seen: OrderedDict[Wanted, SeenWrite] = OrderedDict()

    def show(self, results: ResultList) -> None:
        """Show another list."""
        self.list = results

    def forget(self) -> None:
        """Show nothing any more: the history was cut or replaced."""
        self.list = NO_RESULTS
        self._seen.clear()

    def learn(self, found: Mapping[Wanted, SeenWrite]) -> None:
        """Take over what `look_up` found."""
        self._seen.update(found)
        while len(self._seen) > _KEPT:
            self._seen.popitem(last=False)

    def unknown(self, view: View, top: int, page: int) -> list[Wanted]:
        """Return what is not known yet of the rows in sight."""
        rows = (self.list[row] for row in range(top, min(top + page, view.dock.count)))
        wanted = ((row.seq, row.address) for row in rows if row.after is None and row.address)
        return [one for one in wanted if one not in self._seen]

    def row(self, view: View, columns: EntryColumns, index: int, width: int) -> Row:
        """Return a row."""
        result = self.list[index]
        seen = self._seen.get((result.seq, result.address)) if result.after is None else None
        mark = result.mark or (seen.mark if seen is not None else "")
        digits = len(f"{view.tip:,}") + 1
        left: list[Span] = [
            (f" {f'#{result.seq:,}':>{digits}} ", "text"),
            (f"{pad(on_grid(mark), _mark_room(self.list.kind))} ", _STYLES.get(mark, "dim")),
        ]
        if result.address and self.list.kind is not ListKind.WRITES:
            left.append(
                (f"{on_grid(_tail(result.address, max(12, width // (3 if width >= _ROOM_FOR_WHO else 4))))} ", "key")
            )
        left += self._values(result, seen)
        return Row(tuple(left), self._who_and_when(result, view, columns, width, width - spans_width(left)))

    def _values(self, result: ResultRow, seen: SeenWrite | None) -> list[Span]:
        if result.after is None and not result.address:
            return [(on_grid(" ".join(atom[:40] for atom in self._book.atoms(result.seq)[:12])), "dim")]
        before = result.before if result.after is not None else seen.before if seen is not None else ""
        after = (
            result.after if result.after is not None else seen.after if seen is not None else self._glyphs.ellipsis
        )
        said: list[Span] = [(on_grid(before), "old")] if before else []
        if before and after:
            said.append((f" {self._glyphs.arrow} ", "arrow"))
        return [*said, (on_grid(after), "new" if before else "strong")]

    def _who_and_when(self, result: ResultRow, view: View, columns: EntryColumns, width: int, room: int) -> Spans:
        """Return line, action and clock; where there is little room, the line alone, else of the action what the value leaves."""
        when, roomy = "", width >= _ROOM_FOR_WHO
        place: Spans = ((f"  {on_grid(result.place)}", "place"),) if result.place else ()
        if place and not roomy:
            return (*place, (" ", "text"))
        if knows(columns, result.seq):
            time = columns.timestamp_ns[result.seq]
            days = goes_over_days(view, columns)
            when = format_units.day_and_clock(time, self._zone) if days else format_units.clock(time, self._zone)
            when = when if roomy else when.partition(".")[0][-8:]
        who = on_grid((self._book.action(result.seq) if result.who is None else result.who)[:200])
        room = max(width // 3 if roomy else 0, room - len(when) - 5) - spans_width(place)
        return (*place, (f"  {crop(who, room)}  " if room >= _LEAST_OF_WHO else "  ", "dim"), (f"{when} ", "faint"))

    def frame(self, view: View) -> PaneFrame:
        """Return the frame: what was asked, how far the looking is, and where the cursor stands."""
        dock, results = view.dock, self.list
        said = f"{results.progress()}; Esc stops" if dock.running else results.said
        count = dock.count
        place = f"{dock.cursor + 1:,} of {count:,}" if count else "none yet" if dock.running else "none"
        return PaneFrame(
            Pane.RESULTS.value,
            "Results",
            more=((on_grid(results.title[:80]), "accent"),),
            left=((on_grid(said[:200]), "dim"),) if said else (),
            right=((place, "dim"),),
            focused=view.focus is Pane.RESULTS,
        )


def _tail(address: Path, room: int) -> str:
    """Return as many of the last steps of an address as there is room for."""
    for depth in range(min(len(address), _MOST_STEPS), 0, -1):
        name = format_path(address[-depth:], root="")
        if width_of(name) <= room:
            return name
    return crop(format_path(address[-1:], root="")[:200], room)


def _mark_room(kind: ListKind) -> int:
    words = {ListKind.QUESTION: "no longer", ListKind.CHECKS: "warning"}
    return width_of(words.get(kind, " "))
