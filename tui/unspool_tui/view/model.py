"""The view: everything that decides what the main screen shows, as one frozen value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum, StrEnum
from typing import TYPE_CHECKING

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
