"""The view: everything that decides what the main screen shows, as one frozen value; and the list of results in its dock.

Rows are added to a list of results while it is read, so it is the one part that grows; it knows how far a search has come.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from enum import Enum, StrEnum
from time import monotonic
from typing import TYPE_CHECKING, Final, NamedTuple

from msgspec import Struct, field

from unspool.model.keys import Path
from unspool_tui.permits import EVERYTHING, Permits

if TYPE_CHECKING:
    from unspool.sources.written_notes import PlacedNote


class Pane(Enum):
    """The panes, by the digit that focuses them; results are a strip or take the place of another."""

    HISTORY = 1
    CHANGES = 2
    INSPECT = 3
    STATS = 4
    RESULTS = 5


class Against(StrEnum):
    """What the entry under the head is compared with."""

    PREVIOUS = "previous"
    BASE = "base"
    LIVE = "live"


class InspectMode(StrEnum):
    """How Inspect shows the state."""

    TREE = "tree"
    JSON = "json"
    RAW = "raw"


class Width(Enum):
    """The layouts by terminal width."""

    NARROW = "narrow"
    WIDE = "wide"
    ULTRA = "ultra"


class Jumps(Struct, frozen=True):
    """Where the head came from (`back`, newest last) and where it can return to (`forward`, next last)."""

    back: tuple[int, ...] = ()
    forward: tuple[int, ...] = ()


class Filter(Struct, frozen=True):
    """Which entries the history list shows.

    Attributes:
        text: the filter as typed; empty shows all.
        count: how many entries match so far.
        running: entries are still being looked at.
    """

    text: str = ""
    count: int = 0
    running: bool = False


class SearchState(Struct, frozen=True):
    """A search through time.

    Attributes:
        text: what is looked for; empty when there is no search.
        hits: entries that match, ascending; a growing list, of which the first `found` belong to this view.
        found: how many hits there are.
        running: the search is still under way.
        looked_at: entries looked at so far.
    """

    text: str = ""
    hits: Sequence[int] = ()
    found: int = 0
    running: bool = False
    looked_at: int = 0


class StartPlace(Struct, frozen=True):
    """Where somebody was before going through results; see `View` for the attributes."""

    head: int
    follow: bool
    paused_total: int
    selected: Path
    unfolded: frozenset[Path]
    jumps: Jumps
    focus: Pane


class Dock(Struct, frozen=True):
    """The list of results on the screen; its rows are in a `ResultList`.

    Attributes:
        open: it is shown.
        cursor: the selected row.
        count: rows of the list that belong to this view.
        running: it is still being filled.
        start: where going through it began; None while it has no focus.
    """

    open: bool = False
    cursor: int = 0
    count: int = 0
    running: bool = False
    start: StartPlace | None = None


class PaneSize(Struct, frozen=True):
    """A pane that was made wider or narrower, the list of results higher or lower.

    Attributes:
        layout: in which layout.
        pane: which pane; those beside it take what is left.
        cells: columns, or of the results lines.
    """

    layout: Width
    pane: Pane
    cells: int


class RecordingProgram(Struct, frozen=True):
    """A program that records into the source and can be asked to go back.

    Attributes:
        id: its name in messages.
        name: what people call it.
        can: what it can be asked for: `jump`, `look`, `pause`, `resume`.
        at: the entry that it was put back to, while it recorded nothing after that; None: it runs its newest state.
        looking: it was put there only to be looked at.
        paused: its recording is paused.
        follows: it shows each entry that the head goes to.
    """

    id: str
    name: str
    can: frozenset[str] = frozenset()
    at: int | None = None
    looking: bool = False
    paused: bool = False
    follows: bool = False


class NoteMarks(Struct, frozen=True):
    """Where people wrote notes; bookmarks are none of them.

    Attributes:
        entries: the entries with notes, ascending.
        texts: what is said on each of them, in one line.
        values: the values with notes, and at which entries.
        all: the notes themselves, for what writes them out.
    """

    entries: tuple[int, ...] = ()
    texts: Mapping[int, str] = {}
    values: Mapping[Path, tuple[int, ...]] = {}
    all: tuple[PlacedNote, ...] = ()


SPEEDS: tuple[float, ...] = (1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 0.0)
"""Entries a second while playing; 0 keeps the real gaps between entries."""


class View(Struct, frozen=True):
    """What is looked at, marked, filtered and unfolded.

    Attributes:
        total: one past the newest entry.
        first: the oldest entry: 0, unless a bound on the recording dropped those before it.
        head: the entry being looked at; the list's cursor and the diff's title are always this one.
        follow: the head moves to each new entry.
        paused_total: how many entries there were when following stopped; counts "+N".
        base: the entry marked as base.
        against: what the head is compared with.
        bookmarks: marked entries, ascending.
        notes: where people wrote notes.
        parting: the first entry that a linked tab has not; None where that is not known, or there is none.
        jumps: the jump list.
        focus: the pane that takes movement keys.
        zoomed: only the focused pane is shown.
        side: what the lower right pane of the middle layouts holds (Changes too when narrow).
        selected: address (atom first) selected in Changes and Inspect.
        change_row: line of Changes that the cursor was on; decides where the address alone does not.
        inspect_row: the same for Inspect.
        folded: addresses folded in Changes although they would be open.
        opened: addresses opened in Changes although they would be folded.
        unfolded: addresses opened in Inspect.
        unchanged: unchanged atoms are listed in Changes.
        words: Changes explains itself in sentences.
        wrap: long values in Changes take as many lines as they need.
        wrap_text: so do long lines in Inspect, as JSON and raw.
        sideways: characters that these are scrolled to the left by, where they are not wrapped.
        mode: how Inspect shows the state.
        filter: which entries the list shows.
        search: the running or last search.
        dock: the list of results.
        sizes: panes that were given a size of their own.
        playing: the head moves by itself.
        speed: index into `SPEEDS`.
        gaps: the list shows the time since the entry before instead of the clock.
        watches: paths (`$.a.b`) and expressions whose value is told all the time.
        flips: entries at which watches began or ceased to hold, ascending: ticks in the timeline.
        pinned: atoms that have a lane of their own in the timeline, before all others.
        hidden_parts: parts of the source, such as threads or merged recordings, whose lanes are not shown.
        timeline_zoom: how many times the timeline shows half as many entries as before; 0 shows all.
        timeline_by_time: its columns are equal parts of time; else equal numbers of entries.
        timeline_focused: it takes the keys to the left and right, in place of the pane.
        tabs: sources that are open side by side.
        permits: what whoever looks may do beyond looking.
        program: the program that records into the source; None where none can be asked for anything.
    """

    total: int = 0
    first: int = 0
    head: int = 0
    follow: bool = True
    paused_total: int = 0
    base: int | None = None
    against: Against = Against.PREVIOUS
    bookmarks: tuple[int, ...] = ()
    parting: int | None = None
    notes: NoteMarks = field(default_factory=NoteMarks)
    jumps: Jumps = field(default_factory=Jumps)
    focus: Pane = Pane.HISTORY
    zoomed: bool = False
    side: Pane = Pane.CHANGES
    selected: Path = ()
    change_row: int = 0
    inspect_row: int = 0
    folded: frozenset[Path] = frozenset()
    opened: frozenset[Path] = frozenset()
    unfolded: frozenset[Path] = frozenset()
    unchanged: bool = False
    words: bool = False
    wrap: bool = False
    wrap_text: bool = False
    sideways: int = 0
    mode: InspectMode = InspectMode.TREE
    filter: Filter = field(default_factory=Filter)
    search: SearchState = field(default_factory=SearchState)
    dock: Dock = field(default_factory=Dock)
    sizes: tuple[PaneSize, ...] = ()
    playing: bool = False
    speed: int = 3
    gaps: bool = False
    watches: tuple[str, ...] = ()
    flips: tuple[int, ...] = ()
    pinned: tuple[str, ...] = ()
    hidden_parts: frozenset[str] = frozenset()
    timeline_zoom: int = 0
    timeline_by_time: bool = False
    timeline_focused: bool = False
    tabs: int = 1
    permits: Permits = EVERYTHING
    program: RecordingProgram | None = None

    @property
    def tip(self) -> int:
        """The newest entry; -1 when there is none."""
        return self.total - 1

    @property
    def count(self) -> int:
        """Entries there are."""
        return self.total - self.first

    def focuses(self, pane: Pane) -> bool:
        """Whether a pane takes movement keys."""
        return self.focus is pane and not self.timeline_focused

    @property
    def missed(self) -> int:
        """Entries that arrived since following stopped."""
        return 0 if self.follow else max(0, self.total - self.paused_total)

    @property
    def other(self) -> int | None:
        """The entry that the head is compared with; None for the one it follows in time."""
        if self.against is Against.BASE:
            return self.base
        return self.tip if self.against is Against.LIVE else None


class ListKind(StrEnum):
    """What the results are of."""

    SEARCH = "search"
    QUESTION = "question"
    WRITES = "writes"
    CHECKS = "checks"
    BOOKMARKS = "bookmarks"
    NOTES = "notes"


class ResultRow(NamedTuple):
    """A row of the list.

    Attributes:
        seq: the entry.
        address: the value there; empty for the entry as such.
        mark: a word or sign in front, such as `+` or `holds`.
        before: the value before, as text.
        after: the value there, or what is said of the entry; None: it is looked up when the row is seen.
        who: why it happened; None: the entry's action.
        place: the line of code that did it, as `shop.py:19`; never cut.
    """

    seq: int
    address: Path = ()
    mark: str = ""
    before: str = ""
    after: str | None = None
    who: str | None = None
    place: str = ""


_FIRST_GUESS: Final = 0.5
"""Seconds after which enough was seen to say how long the rest will take."""


class ResultList:
    """Results in the order in which they are listed; a million of them take some tens of megabytes."""

    __slots__ = (
        "_addresses",
        "_clock",
        "_said",
        "_seqs",
        "_shared",
        "_started",
        "kind",
        "looked_at",
        "said",
        "title",
        "total",
        "wanted",
    )

    def __init__(self, kind: ListKind, title: str, *, total: int = 0, clock: Callable[[], float] = monotonic) -> None:
        """Make an empty list.

        Args:
            kind: what its rows are of.
            title: what was asked, in a few words.
            total: entries that are looked at for it; 0 where that is not known.
            clock: seconds that pass.
        """
        self.kind = kind
        self.title = title
        self.total = total
        self.looked_at = 0
        self.said = ""
        self.wanted = False
        """Somebody wants to go where the first row leads, as soon as there is one."""
        self._clock = clock
        self._started = clock()
        self._seqs = array("q")
        self._addresses: list[Path] = []
        self._shared: dict[Path, Path] = {}
        self._said: dict[int, ResultRow] = {}

    def __len__(self) -> int:
        return len(self._seqs)

    def __getitem__(self, row: int) -> ResultRow:
        said = self._said.get(row)
        return said if said is not None else ResultRow(self._seqs[row], self._addresses[row])

    def add(self, result: ResultRow) -> None:
        """Add a row at the end."""
        if result[2:] != ResultRow(0)[2:]:
            self._said[len(self._seqs)] = result
        self._seqs.append(result.seq)
        # Hits mostly lie at the same few places.
        self._addresses.append(self._shared.setdefault(result.address, result.address))

    def row_of(self, seq: int) -> int | None:
        """Return the row of an entry in a list in the order of entries; None where it is in none."""
        row = bisect_left(self._seqs, seq)
        return row if row < len(self._seqs) and self._seqs[row] == seq else None

    def progress(self) -> str:
        """Return how far the looking has come, and how long the rest will take as far as that can be said."""
        if not self.total:
            return "looking"
        share = f"{min(99, self.looked_at * 100 // self.total)}% of {self.total:,} entries"
        left = seconds_left(self.looked_at, self.total, self._clock() - self._started)
        return f"{share}, {left}" if left else share


def seconds_left(done: int, total: int, seconds: float) -> str:
    """Return how long the rest of some work will take, in words; empty while nothing can be said.

    Args:
        done: how much is done.
        total: how much there is.
        seconds: how long that took.
    """
    if seconds < _FIRST_GUESS or not 0 < done < total:
        return ""
    left = seconds * (total - done) / done
    if left < 90:
        return f"about {max(1, round(left))} s left"
    return f"about {round(left / 60)} min left" if left < 5400 else f"about {left / 3600:.1f} h left"
