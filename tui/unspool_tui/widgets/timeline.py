"""The timeline above the panes: which part of history it shows, scrubbing, zooming and pointing."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from textual import events
from textual.message import Message

from unspool_tui.rendering.line import Row
from unspool_tui.rendering.timeline_lines import (
    Line,
    axis_line,
    changes_line,
    ground_of,
    lane_label,
    lane_line,
    tick_line,
    told,
    with_words,
)
from unspool_tui.view.axis import (
    Axis,
    Lane,
    LaneRow,
    Moments,
    entry_axis,
    long_gaps,
    shown_count,
    time_axis,
    window_start,
)
from unspool_tui.view.model import View
from unspool_tui.view.overview import EntryLedger
from unspool_tui.widgets.lines import LinesView

_ROOM_FOR_LABELS: Final = 100
"""Width from which the lines are named."""
LABEL: Final = 12
_ROOM_FOR_LONG_LABELS: Final = 160
_LONG_LABEL: Final = 20
ROOM_FOR_PINNED: Final = 30
"""Lines of the terminal from which the axis is drawn, and lanes of pinned atoms."""
_ROOM_FOR_LANES: Final = 40
"""Lines from which there are lanes whatever is pinned."""
_WITHOUT_LANES: Final = 3
_FEW_LANES: Final = 2
_MOST_LANES: Final = 12
_MOST_GAPS: Final = 6
_LINES_KEPT: Final = 64
_GAP_COLUMNS: Final = 20
"""Columns that a gap takes on an axis of time where there is room for its words."""
_NARROW_GAP: Final = 5


def margin(width: int, height: int = 2) -> int:
    """Return the column at which the timeline itself begins, where it has so many lines."""
    if width >= _ROOM_FOR_LONG_LABELS and height > _WITHOUT_LANES:
        return _LONG_LABEL
    return LABEL if width >= _ROOM_FOR_LABELS or height > _WITHOUT_LANES else 1


def span(width: int, height: int = 2) -> int:
    """Return how many columns the timeline itself has."""
    return max(1, width - margin(width, height) - 1)


def height_for(lines: int, lanes: int) -> int:
    """Return the lines of the timeline on a terminal of so many lines."""
    return 2 if lines < ROOM_FOR_PINNED else _WITHOUT_LANES + lanes


def lane_room(lines: int, pinned: int) -> int:
    """Return how many lanes there is room for on a terminal of so many lines, where so many atoms are pinned."""
    if lines < ROOM_FOR_PINNED:
        return 0
    return min(_FEW_LANES, pinned) if lines < _ROOM_FOR_LANES else min(_MOST_LANES, lines // 5 - _WITHOUT_LANES)


def waiting_row(text: str, width: int) -> Row:
    """Return a line that tells what is being waited for."""
    return Row(((" " * margin(width), "text"), (text, "dim")))


class TimelineView(LinesView):
    """Where in history: the axis, the changes along it, and how they are stored."""

    DEFAULT_CSS = "TimelineView { height: 2; width: 1fr; }"

    class Scrubbed(Message):
        """The head shall go to an entry."""

        def __init__(self, seq: int, *, jump: bool, lane: tuple[Lane, Axis, int] | None = None) -> None:
            """Tell where to go.

            Args:
                seq: the entry.
                jump: it is no part of a drag.
                lane: the lane that was hit, on which axis and at which column; the entry is then the one that changed it.
            """
            self.seq = seq
            self.jump = jump
            self.lane = lane
            super().__init__()

        def can_replace(self, message: Message) -> bool:
            """Only the newest place of a drag matters."""
            return isinstance(message, TimelineView.Scrubbed) and not message.jump

    class Turned(Message):
        """The wheel turned over the timeline."""

        def __init__(self, by: int) -> None:
            self.by = by
            super().__init__()

    class Zoomed(Message):
        """The wheel turned over the timeline to show more or less of it."""

        def __init__(self, by: int) -> None:
            self.by = by
            super().__init__()

    class Pointed(Message):
        """The mouse came to another place of the timeline, or left it."""

        def can_replace(self, message: Message) -> bool:
            """Only where it is now matters."""
            return isinstance(message, TimelineView.Pointed)

    def __init__(self, height: int, *, id: str | None = None) -> None:  # noqa: A002 - Textual's own name for it
        """Take so many lines of the screen."""
        super().__init__(id=id)
        self.axis = entry_axis(0, 0, 1)
        self.height = 0
        self.take_lines(height)
        self._moments: Moments | None = None
        self._lines: dict[str | Lane, tuple[tuple[object, ...], Line]] = {}
        self._start = 0
        self._shown = 0
        self._anchor: tuple[int, float] | None = None
        self._axis_of: tuple[int, ...] = ()
        self.is_dragged = False
        """The button is held, and the head goes wherever the pointer does."""
        self._pointer: tuple[int, int] | None = None
        self.lanes: tuple[Lane, ...] = ()
        self._lane_rows: Sequence[LaneRow] = ()

    def take_lines(self, height: int) -> None:
        """Take so many lines of the screen."""
        if height != self.height:
            self.height = height
            self.styles.height = height

    def show(
        self,
        view: View,
        ledger: EntryLedger,
        zone: dt.tzinfo | None,
        lanes: tuple[Lane, ...],
        known: Callable[[Axis], Sequence[LaneRow]],
        *,
        is_refused: bool = False,
    ) -> None:
        """Show a view.

        Args:
            view: what is looked at.
            ledger: sums over the entries.
            zone: time zone of the axis.
            lanes: the lanes, from above.
            known: gives what is known of them along an axis.
            is_refused: nothing is waited for where there is no entry: the source cannot be shown.
        """
        width, glyphs = self.columns, self.pen.glyphs
        self.lanes, self._lane_rows = lanes, ()
        if not view.total:
            self.axis = entry_axis(0, 0, 1)
            told = "this source cannot be shown" if is_refused else "waiting for the first entry"
            self.show_rows([waiting_row(told, width)])
            return
        if not ledger.ready:
            self.axis = entry_axis(view.first, view.total, span(width, self.height))
            self.show_rows([waiting_row(f"reading {view.count:,} entries", width)])
            return
        self._lay_out(view, ledger, span(width, self.height))
        ground = ground_of(view, self.axis, glyphs, margin(width, self.height))
        rows = [ground.row(line) for line in self._history_lines(view, ledger, zone)]
        if lanes:
            self._lane_rows = known(self.axis)
            for lane, row in zip(lanes, self._lane_rows, strict=True):
                line = self._kept(lane, (row,), partial(lane_line, self.axis, row, glyphs))
                rows.append(ground.row(line, lane_label(lane, view)))
        elif self.height > _WITHOUT_LANES:
            # Room is kept for lanes of which it is not known yet which they are.
            rows.append(ground.row(Line("", ((f"reading{glyphs.ellipsis}", "faint"),))))
        self.show_rows(self._with_pointer(rows, ledger, zone))

    def _history_lines(self, view: View, ledger: EntryLedger, zone: dt.tzinfo | None) -> list[Line]:
        """Return the lines that every history has."""
        axis, glyphs = self.axis, self.pen.glyphs
        dates = partial(axis_line, axis, ledger.columns.timestamp_ns, zone, glyphs)
        bars = partial(changes_line, axis, ledger, glyphs)
        ticks = partial(tick_line, view, axis, ledger, glyphs)
        search, marked = view.search, (view.base, view.parting, view.bookmarks, view.flips, view.notes.entries)
        lines = [
            self._kept("changes", (), bars),
            self._kept("chain", (ledger.longest(), search.text, search.found, marked), ticks),
        ]
        return [self._kept("axis", (), dates), *lines] if self.height >= _WITHOUT_LANES else lines

    def _kept(self, name: str | Lane, told: tuple[object, ...], make: Callable[[], Line]) -> Line:
        """Return a line, made anew only where the axis or what it tells is another: a step moves nothing but the head."""
        key = (self.axis, self.pen.glyphs, *told)
        known = self._lines.get(name)
        if known is None or not _same(known[0], key):
            if len(self._lines) >= _LINES_KEPT:
                self._lines.clear()
            known = self._lines[name] = key, make()
        return known[1]

    def _lay_out(self, view: View, ledger: EntryLedger, columns: int) -> None:
        """Choose the part that is shown, and its cells."""
        shown = shown_count(view.count, view.timeline_zoom)
        if shown != self._shown:
            kept, share = self._anchor or (view.head, 0.5)
            self._shown, self._start = shown, max(view.first, min(kept - int(shown * share), view.total - shown))
        self._anchor = None
        self._start = window_start(self._start, view.head, shown, view.total, view.first)
        start, stop = self._start, self._start + shown
        key = (start, stop, columns, view.timeline_by_time)
        if key == self._axis_of and self._moments is ledger.moments:
            return
        self._axis_of, self._moments = key, ledger.moments
        if view.timeline_by_time:
            gap_columns = _GAP_COLUMNS if columns >= _ROOM_FOR_LABELS - LABEL - 1 else _NARROW_GAP
            self.axis = time_axis(ledger.moments, start, stop, columns, gap_columns)
        else:
            self.axis = entry_axis(start, stop, columns, long_gaps(ledger.moments, start, stop, _MOST_GAPS))

    def _with_pointer(self, rows: list[Row], ledger: EntryLedger, zone: dt.tzinfo | None) -> list[Row]:
        """Say on a line that the pointer is not on what is under it."""
        if self._pointer is None:
            return rows
        x, y = self._pointer
        column = x - margin(self.columns, self.height)
        lane = self._lane_rows[y - _WITHOUT_LANES] if 0 <= y - _WITHOUT_LANES < len(self._lane_rows) else None
        line = 1 if y == 0 else 0
        words = told(ledger, self.axis, column, zone, self.pen.glyphs, lane)
        rows[line] = with_words(rows[line], words, x, self.columns)
        return rows

    def entry_under(self, x: int) -> int | None:
        """Return the entry at a column; columns beside the timeline mean its ends."""
        if not self.axis.stop:
            return None
        return self.axis.entry_at(x - margin(self.columns, self.height))

    def _lane_under(self, x: int, y: int) -> tuple[Lane, Axis, int] | None:
        place = y - _WITHOUT_LANES
        if not 0 <= place < len(self._lane_rows):
            return None
        return self._lane_rows[place].lane, self.axis, x - margin(self.columns, self.height)

    def on_mouse_down(self, event: events.MouseDown) -> None:
        """Begin to scrub."""
        seq = self.entry_under(event.x)
        if seq is None or event.button != 1:
            return
        event.stop()
        self.is_dragged = True
        self.capture_mouse()
        self.post_message(self.Scrubbed(seq, jump=True, lane=self._lane_under(event.x, event.y)))

    def on_mouse_move(self, event: events.MouseMove) -> None:
        """Scrub while the button is held, and tell what is under the pointer."""
        event.stop()
        seq = self.entry_under(event.x)
        if self.is_dragged and seq is not None:
            self.post_message(self.Scrubbed(seq, jump=False))
        self._point((event.x, event.y))

    def on_leave(self, event: events.Leave) -> None:
        """Tell nothing any more."""
        self._point(None)

    def _point(self, pointer: tuple[int, int] | None) -> None:
        if pointer != self._pointer:
            self._pointer = pointer
            self.post_message(self.Pointed())

    def on_mouse_up(self, event: events.MouseUp) -> None:
        """End scrubbing."""
        if self.is_dragged:
            self.is_dragged = False
            self.release_mouse()

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        """Go forward with the wheel, or show more."""
        self._turn(event, 1)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        """Go back with the wheel, or show less."""
        self._turn(event, -1)

    def _turn(self, event: events.MouseEvent, by: int) -> None:
        event.stop()
        if not event.ctrl:
            self.post_message(self.Turned(by * 10 if event.shift else by))
            return
        seq = self.entry_under(event.x)
        if seq is not None and self._shown:
            # What is under the pointer stays there.
            self._anchor = seq, (seq - self._start) / self._shown
            self.post_message(self.Zoomed(-by))


def _same(one: tuple[object, ...], other: tuple[object, ...]) -> bool:
    """Whether two keys are the same; what is the same object is not gone through."""
    return len(one) == len(other) and all(a is b or a == b for a, b in zip(one, other, strict=True))
