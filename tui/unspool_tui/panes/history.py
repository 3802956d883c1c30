"""Rows of entries: those of History, with the lanes of pinned atoms, and those of the list of results."""

from __future__ import annotations

import datetime as dt
from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Final, TypeVar, overload

from msgspec import Struct

from unspool.errors import UnspoolError
from unspool.model.entries import FULL, KINDS, NOTE, Entry
from unspool.model.keys import Path, format_path
from unspool.model.paths import child_of
from unspool.model.wire import decode
from unspool_tui.panes.answer import headline
from unspool_tui.rendering import format_units
from unspool_tui.rendering.labels import largest_change, record_names
from unspool_tui.rendering.line import (
    BLANK,
    Glyphs,
    PaneFrame,
    Row,
    Span,
    Spans,
    crop,
    on_grid,
    pad,
    spans_width,
    width_of,
    wrap_words,
)
from unspool_tui.rendering.values import preview_text
from unspool_tui.view.model import ListKind, Pane, ResultList, ResultRow, View
from unspool_tui.view.overview import EntryColumns, Rows

if TYPE_CHECKING:
    from unspool.history.history import History

T = TypeVar("T")
_KEPT: Final = 1024
_AT_ONCE: Final = 40
"""Entries read together; about a screenful."""

Facts = Mapping[int, tuple[str, tuple[str, ...]]]
"""By entry, its action and the atoms it changed."""


def always() -> bool:
    """Say that the history may be asked: nobody else reads it."""
    return True


class EntryBook:
    """What the history list shows besides the columns; entries never change, so an answer holds for ever.

    While the worker reads, asking the history would wait for its lock, and no key would do anything meanwhile. Then
    what is not known is left out, and remembered as `missing` for the worker to look up.
    """

    __slots__ = ("_actions", "_atoms", "_headlines", "_history", "_sample", "common", "may_ask", "missing", "untold")

    def __init__(self, history: History) -> None:
        """Ask a history."""
        self._history = history
        self._actions: OrderedDict[int, str] = OrderedDict()
        self._atoms: OrderedDict[int, tuple[str, ...]] = OrderedDict()
        self._headlines: OrderedDict[int, str] = OrderedDict()
        self._sample: dict[int, str] = {}
        self.common = ""
        """What the actions begin with, where they all begin alike: it tells nothing of any of them."""
        self.may_ask: Callable[[], bool] = always
        self.missing: set[int] = set()
        self.untold: set[int] = set()
        """Entries whose action says nothing, and whose largest change is not known yet."""

    def action(self, seq: int) -> str:
        """Return why an entry happened; damage reads as nothing, the panes that need the entry tell it."""
        known = self._actions.get(seq)
        if known is None:
            if not self.may_ask():
                self.missing.add(seq)
                return ""
            self._read_actions(seq)
            known = self._actions.get(seq, "")
        return known

    def _read_actions(self, start: int) -> None:
        """Read a run of entries at once: rows are asked for in order, and one question costs what forty do."""
        stop = start + 1
        while stop < start + _AT_ONCE and stop not in self._actions:
            stop += 1
        for seq, action in self._actions_of(start, stop).items():
            _keep(self._actions, seq, action)
            self._compare(seq, action)

    def _compare(self, seq: int, action: str) -> None:
        """Find out from the first actions that are seen what all of them begin with."""
        if len(self._sample) >= _SAMPLE or not action:
            return
        self._sample[seq] = action
        if len(self._sample) == _SAMPLE:
            self.common = common_beginning(list(self._sample.values()))

    def said(self, seq: int) -> str:
        """Return what the action of an entry says that those of all others do not; empty where that is nothing."""
        action = self.action(seq)
        if not self.common or not action.startswith(self.common):
            return action
        rest = action[len(self.common) :].strip()
        # Only another number or date says no more.
        return rest if any(character.isalpha() for character in rest) else ""

    def headline(self, seq: int) -> str | None:
        """Return the largest change of an entry in a few words; None where that is not known yet."""
        known = self._headlines.get(seq)
        if known is None:
            self.untold.add(seq)
        return known

    def take_untold(self) -> tuple[int, ...]:
        """Return the entries whose largest change is wanted, and forget that it was."""
        untold, self.untold = self.untold, set()
        return tuple(sorted(untold))

    def tell(self, seqs: Iterable[int], glyphs: Glyphs) -> Iterator[dict[int, str]]:
        """Yield the largest changes of entries, one after the other; safe in the worker."""
        for seq in seqs:
            yield {seq: self._largest(seq, glyphs)}

    def _largest(self, seq: int, glyphs: Glyphs) -> str:
        try:
            change = largest_change(self._history.changes(seq).changes)
            if change is None:
                return ""
            state = self._history.view(seq)
            atom = str(change.address[0])
            # The atom is decoded for the names of its records only where that is quick.
            is_small = atom in state and len(state.encoded(atom)) <= _LARGEST_NAMED
            return headline(change, record_names(change.address, state) if is_small else {}, glyphs)
        except UnspoolError:
            return ""

    def learn_headlines(self, told: Mapping[int, str]) -> None:
        """Take over what `tell` found."""
        for seq, text in told.items():
            _keep(self._headlines, seq, text)

    def _actions_of(self, start: int, stop: int) -> dict[int, str]:
        try:
            entries = self._history[start:stop]
        except UnspoolError:
            entries = []
        return {start: "", **{entry.seq: entry.action for entry in entries}}

    def atoms(self, seq: int) -> tuple[str, ...]:
        """Return the atoms an entry changed."""
        known = self._atoms.get(seq)
        if known is None:
            if not self.may_ask():
                self.missing.add(seq)
                return ()
            known = self._atoms_of(seq)
            _keep(self._atoms, seq, known)
        return known

    def _atoms_of(self, seq: int) -> tuple[str, ...]:
        try:
            return tuple(atom for atom, _ in self._history.changed_atoms(seq))
        except UnspoolError:
            return ()

    def take_missing(self) -> tuple[int, ...]:
        """Return the entries that could not be asked about, and forget that they were wanted."""
        missing, self.missing = self.missing, set()
        return tuple(sorted(missing))

    def look_up(self, seqs: Iterable[int]) -> Facts:
        """Ask the history about entries; safe in the worker."""
        return {seq: (self._actions_of(seq, seq + 1)[seq], self._atoms_of(seq)) for seq in seqs}

    def learn(self, facts: Facts) -> None:
        """Take over what `look_up` found."""
        for seq, (action, atoms) in facts.items():
            _keep(self._actions, seq, action)
            _keep(self._atoms, seq, atoms)
            self._compare(seq, action)

    def forget(self) -> None:
        """Ask anew: the history was cut or replaced."""
        self._actions.clear()
        self._atoms.clear()
        self._headlines.clear()
        self._sample.clear()
        self.common = ""


_SAMPLE: Final = 16
"""Actions that are compared to find out what all of them begin with."""
_LEAST_COMMON: Final = 6
"""Characters that they must begin with alike."""
_LARGEST_NAMED: Final = 1 << 20
"""Wire bytes of an atom that is decoded for the names of its records."""


def common_beginning(actions: Sequence[str]) -> str:
    """Return the words that all of some actions begin with; empty where those are few."""
    first, last = min(actions), max(actions)
    if first == last:
        return first
    length = next(
        (place for place, pair in enumerate(zip(first, last, strict=False)) if pair[0] != pair[1]), len(first)
    )
    while length and (first[length - 1].isalnum() or first[length - 1] in "_-."):
        length -= 1
    return first[:length] if length >= _LEAST_COMMON else ""


def _keep(book: OrderedDict[int, T], seq: int, answer: T) -> None:
    book[seq] = answer
    if len(book) > _KEPT:
        book.popitem(last=False)


EARLY_FROM: Final = 20_000
"""Entries from which the screen does not wait for all columns before it shows anything."""
_PAGE: Final = 128
_PAGES_KEPT: Final = 64


class _Column(Sequence[int]):
    """One column, read where it is looked at."""

    __slots__ = ("_pages", "_read")

    def __init__(self, pages: _Pages, read: Callable[[Entry], int]) -> None:
        self._pages = pages
        self._read = read

    def __len__(self) -> int:
        return self._pages.total

    @overload
    def __getitem__(self, index: int) -> int: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[int]: ...
    def __getitem__(self, index: int | slice) -> int | Sequence[int]:
        if isinstance(index, slice):
            return [self[seq] for seq in range(*index.indices(len(self)))]
        return self._read(self._pages.entry(index))


class _Pages:
    """Entries by page, the last few kept."""

    def __init__(self, history: History) -> None:
        self._history = history
        self._kept: OrderedDict[int, list[Entry]] = OrderedDict()
        self.total = len(history)
        self.may_ask: Callable[[], bool] = always

    def knows(self, seq: int) -> bool:
        """Whether an entry is known, or may be read."""
        page = self._kept.get(seq // _PAGE)
        return (page is not None and seq % _PAGE < len(page)) or self.may_ask()

    def entry(self, seq: int) -> Entry:
        """Return an entry, reading its page if need be; one of another page while nothing may be read."""
        number = seq // _PAGE
        page = self._kept.get(number)
        if page is None or seq - number * _PAGE >= len(page):
            if self._kept and not self.may_ask():
                return next(reversed(self._kept.values()))[0]
            page = self._kept[number] = self._history[number * _PAGE : (number + 1) * _PAGE]
            if len(self._kept) > _PAGES_KEPT:
                self._kept.popitem(last=False)
        return page[seq - number * _PAGE]


class EarlyColumns:
    """Stands in for `History.columns()` while that is being read."""

    def __init__(self, history: History) -> None:
        """Read from a history, a page where a row is looked at."""
        self.pages = pages = _Pages(history)
        self.timestamp_ns: Sequence[int] = _Column(pages, lambda entry: entry.timestamp_ns)
        self.kind: Sequence[int] = _Column(pages, lambda entry: KINDS[entry.kind])
        self.added: Sequence[int] = _Column(pages, lambda entry: entry.added)
        self.modified: Sequence[int] = _Column(pages, lambda entry: entry.modified)
        self.deleted: Sequence[int] = _Column(pages, lambda entry: entry.deleted)
        self.stored: Sequence[int] = _Column(pages, lambda entry: entry.stored_bytes)
        self.full_bytes: Sequence[int] = _Column(pages, lambda entry: entry.full_bytes)


def knows(columns: EntryColumns, seq: int) -> bool:
    """Whether a row of columns can be looked at without waiting for whoever reads the history just now."""
    return not isinstance(columns, EarlyColumns) or columns.pages.knows(seq)


_ROWS_KEPT: Final = 512
_ONE_DAY: Final = 20 * 3600 * 10**9
"""Nanoseconds from which a history goes over days; less than a day, so that one over midnight counts."""
_FOOTING: Final = 10
"""Cells of the footing that its frame takes."""


def goes_over_days(view: View, columns: EntryColumns) -> bool:
    """Whether the clock alone would not tell when an entry was."""
    return knows(columns, view.tip) and columns.timestamp_ns[view.tip] - columns.timestamp_ns[view.first] > _ONE_DAY


class HistoryPane:
    """Makes rows of the history list; a row that was made stays until what it shows changes."""

    def __init__(self, book: EntryBook, glyphs: Glyphs, zone: dt.tzinfo | None) -> None:
        self._book = book
        self._glyphs = glyphs
        self._zone = zone
        self._made: dict[tuple[object, ...], Row] = {}
        self._view: View | None = None
        self._columns: EntryColumns | None = None
        self._alike: tuple[object, ...] = ()
        """What all rows of a view have in common."""

    def row(self, view: View, rows: Rows, columns: EntryColumns, index: int, width: int) -> Row:
        """Return the row at a place of the list."""
        if self._view is not view or self._columns is not columns:
            self._view, self._columns = view, columns
            self._alike = (view.gaps, goes_over_days(view, columns), len(str(view.tip)))
        seq = rows[index]
        above = rows[index - 1] if index else None
        written = view.notes.texts.get(seq, "")
        key = (seq, above, self._book.common, seq == view.head, self._mark(view, seq), written, width, self._alike)
        made = self._made.get(key)
        if made is None:
            made = self._make(view, columns, seq, above, width)
            if seq in self._book.missing or seq in self._book.untold or not _is_known(columns, seq, above):
                # The worker looks up what this row lacks.
                return made
            if len(self._made) >= _ROWS_KEPT:
                self._made.pop(next(iter(self._made)))
            self._made[key] = made
        return made

    def forget(self) -> None:
        """Make all rows anew: the history was cut or replaced."""
        self._made.clear()

    def _make(self, view: View, columns: EntryColumns, seq: int, above: int | None, width: int) -> Row:
        if not _is_known(columns, seq, above):
            return Row(((f" {seq:>{len(str(view.tip))}} {self._glyphs.ellipsis}", "faint"),))
        facts = EntryFacts(
            seq,
            above=above,
            action=self._book.said(seq) or self._told(columns, seq),
            atoms=self._book.atoms(seq) if wants_atoms(width) else (),
            mark=self._mark(view, seq),
            head=seq == view.head,
            gaps=view.gaps,
            days=goes_over_days(view, columns),
            is_first=seq == view.first,
            written=view.notes.texts.get(seq, ""),
        )
        return history_row(facts, columns, view.total, width, self._glyphs, self._zone)

    def _told(self, columns: EntryColumns, seq: int) -> str:
        """Return the largest change of an entry whose action says nothing."""
        if seq in self._book.missing or columns.kind[seq] == NOTE:
            return ""
        return self._book.headline(seq) or ""

    def _mark(self, view: View, seq: int) -> Span:
        glyphs = self._glyphs
        if seq == view.base:
            return glyphs.base, "base"
        if seq == view.parting:
            return glyphs.parting, "parting"
        if view.bookmarks and _holds(view.bookmarks, seq, len(view.bookmarks)):
            return glyphs.bookmark, "bookmark"
        if seq in view.notes.texts:
            return glyphs.written, "written"
        if view.search.found and _holds(view.search.hits, seq, view.search.found):
            return glyphs.hit, "hit"
        return " ", "text"

    def frame(self, view: View, rows: Rows, columns: EntryColumns, width: int) -> PaneFrame:
        """Return the frame: the day of the head where there is room, its place, and the filter."""
        position = rows.position(view.head)
        shown = position < len(rows) and rows[position] == view.head
        place = f"{f'{position + 1:,}' if shown else '–'} of {len(rows):,}" if len(rows) else "none"
        when = (
            self._head_time(columns.timestamp_ns[view.head], width - len(place) - _FOOTING)
            if (view.total and knows(columns, view.head))
            else ""
        )
        more = ((f"{view.filter.text[:40]}", "accent"),) if view.filter.text else ()
        return PaneFrame(
            Pane.HISTORY.value,
            "History",
            more=more,
            left=((when, "faint"),) if when else (),
            right=((place, "dim"),),
            focused=view.focuses(Pane.HISTORY),
        )

    def _head_time(self, time: int, room: int) -> str:
        """Return all of when the head was that there is room for: the rows tell no more than what differs."""
        day = format_units.day(time, self._zone)
        told = (f"{day} {format_units.clock(time, self._zone)}", format_units.day_and_clock(time, self._zone), day)
        return next((text for text in told if len(text) <= room), "")


def nothing_rows(key: str, width: int) -> list[Row]:
    """Return what the list says where a filter lets no entry through.

    Args:
        key: the key that changes the filter; empty where none does.
        width: cells there are.
    """
    words = "no entry matches the filter" + (f"; {key} changes it, and empty shows all" if key else "")
    return [BLANK, *(Row(((f"  {line}", "dim"),)) for line in wrap_words(words, max(8, width - 4), 6))]


def _is_known(columns: EntryColumns, seq: int, above: int | None) -> bool:
    # A gap is told from the entry before, and a short time from the row above, which may lie on other pages.
    return knows(columns, seq) and knows(columns, max(0, seq - 1)) and (above is None or knows(columns, above))


def _holds(ascending: Sequence[int], seq: int, count: int) -> bool:
    place = bisect_left(ascending, seq, 0, count)
    return place < count and ascending[place] == seq


_ROOM_FOR_TIME = 32
_ROOM_FOR_BYTES = 44
_ROOM_FOR_ATOMS = 56
_ROOM_FOR_CLOCK = 72
_COUNTS = 3
"""Cells of the counts at least, so that most rows have them in one column."""


class EntryFacts(Struct, frozen=True):
    """What a history row shows besides its columns.

    Attributes:
        seq: its number.
        above: the entry of the row above; None for the first row.
        action: why it happened, or else its largest change.
        atoms: atoms it changed; empty where there is no room for them.
        mark: base, parting entry, bookmark, note or hit, as glyph and style.
        head: it is the entry being looked at.
        gaps: show the time since the entry before.
        days: the history goes over days, so the clock alone would not tell when.
        is_first: no entry is kept before it.
        written: the notes that people wrote on it; empty where there are none.
    """

    seq: int
    above: int | None = None
    action: str = ""
    atoms: tuple[str, ...] = ()
    mark: Span = (" ", "text")
    head: bool = False
    gaps: bool = False
    days: bool = False
    is_first: bool = False
    written: str = ""


def wants_atoms(width: int) -> bool:
    """Whether rows of this width name the atoms that changed."""
    return width >= _ROOM_FOR_ATOMS


def history_row(
    facts: EntryFacts, columns: EntryColumns, total: int, width: int, glyphs: Glyphs, zone: dt.tzinfo | None
) -> Row:
    """Return the row of one entry: what happened first, then as much of when and how much as there is room for."""
    seq, kind = facts.seq, columns.kind[facts.seq]
    full, note = kind == FULL, kind == NOTE
    digits = max(3, len(str(total - 1)))
    # Neighbours share a style where they can: each change of style costs forty bytes on the way to the terminal.
    plain = "text" if facts.head else "dim"
    left: Spans = (
        (glyphs.cursor if facts.head else " ", "accent" if facts.head else plain),
        (f"{seq:>{digits}}", "strong" if facts.head else plain),
        facts.mark if facts.mark[0] != " " else (" ", plain),
        (glyphs.note, "note") if note else (glyphs.full if full else glyphs.delta, "full" if full else plain),
        (f" {on_grid(facts.action[:80])}", "text"),
        *(((f"  {on_grid(facts.written[:80])}", "written"),) if facts.written else ()),
        *_atoms(facts, glyphs),
    )
    right: Spans = ((" " * _COUNTS, "faint"),) if note else _counts(columns, seq, glyphs)
    if width >= _ROOM_FOR_TIME:
        # Counts take more cells in some rows than in others; the time behind them stands in one column.
        right = (*right, (f" {_when(facts, columns, zone, width)}", plain))
    if width >= _ROOM_FOR_BYTES:
        stored = "" if note else format_units.size(columns.stored[seq])
        right = (*right, (f"{stored:>9} ", "full" if full else "faint"))
    else:
        right = (*right, (" ", "text"))
    return Row(left, right)


def _when(facts: EntryFacts, columns: EntryColumns, zone: dt.tzinfo | None, width: int) -> str:
    time = columns.timestamp_ns[facts.seq]
    if facts.gaps:
        before = time if facts.is_first else columns.timestamp_ns[facts.seq - 1]
        gap = f"{'+' if time >= before else ''}{format_units.duration(time - before)}"
        return f"{gap:>7}"
    if width < _ROOM_FOR_CLOCK:
        return format_units.short_clock(
            time, None if facts.above is None else columns.timestamp_ns[facts.above], zone
        )
    return format_units.day_and_clock(time, zone) if facts.days else format_units.clock(time, zone)


def _atoms(facts: EntryFacts, glyphs: Glyphs) -> Spans:
    if not facts.atoms:
        return ()
    names = " ".join(on_grid(atom[:40]) for atom in facts.atoms[:12])
    return ((f"  {names}{glyphs.ellipsis if len(facts.atoms) > 12 else ''}", "faint"),)


def _counts(columns: EntryColumns, seq: int, glyphs: Glyphs) -> Spans:
    parts = (
        (glyphs.added, columns.added[seq], "added"),
        (glyphs.modified, columns.modified[seq], "modified"),
        (glyphs.deleted, columns.deleted[seq], "removed"),
    )
    shown = tuple((f"{glyph}{_short(number)}", style) for glyph, number, style in parts if number) or (
        ("=", "faint"),
    )
    return (" " * max(1, _COUNTS - spans_width(shown)), "text"), *shown


def _short(number: int) -> str:
    return str(number) if number < 1000 else f"{number // 1000}k" if number < 1_000_000 else f"{number // 1_000_000}M"


_VALUE: Final = 40
_LARGEST: Final = 64 << 10
"""Wire bytes of a value that is decoded for a row; of a larger one the size is told."""
_ROOM_FOR_WHO: Final = 60
_LEAST_OF_WHO: Final = 6
"""Cells below which an action says nothing."""
_MOST_STEPS: Final = 20
_MOST_LINES: Final = 3
"""Lines that a finding may take above the panes."""
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
        place: Spans = (("  ", "text"), (on_grid(result.place), "place")) if result.place else ()
        if place and not roomy:
            return (*place, (" ", "text"))
        if knows(columns, result.seq):
            time = columns.timestamp_ns[result.seq]
            days = goes_over_days(view, columns)
            when = format_units.day_and_clock(time, self._zone) if days else format_units.clock(time, self._zone)
            when = when if roomy else when.partition(".")[0][-8:]
        who = on_grid((self._book.action(result.seq) if result.who is None else result.who)[:200])
        if not roomy and room < len(when) + 1:
            # The list beside it tells the time of each entry; the value stands here alone.
            return ()
        room = max(width // 3 if roomy else 0, room - len(when) - 5) - spans_width(place)
        return (*place, (f"  {crop(who, room)}  " if room >= _LEAST_OF_WHO else "  ", "dim"), (f"{when} ", "faint"))

    def told(self, view: View, columns: EntryColumns, room: int, width: int) -> list[Row]:
        """Return the finding under the cursor in whole, where its row of the list has no room for it.

        It stays while the head is where the finding led to.

        Args:
            view: what is looked at.
            columns: what is known of entries.
            room: cells of a row of the list.
            width: cells of the lines returned.
        """
        dock = view.dock
        if not dock.open or not dock.count or self.list.kind is not ListKind.CHECKS:
            return []
        row, found = self.row(view, columns, dock.cursor, room), self.list[dock.cursor]
        is_meant = view.focus is Pane.RESULTS or view.head == found.seq
        if not is_meant or spans_width((*row.left, *row.right)) <= room:
            return []
        lines = wrap_words(on_grid(f"#{found.seq:,} {found.after}"), width - 2, _MOST_LINES)
        return [Row(((f" {line}", _STYLES.get(found.mark, "text")),)) for line in lines]

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
