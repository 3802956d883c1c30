"""The timeline: the overview and the chain strip; click, drag and wheel move the head."""

from __future__ import annotations

from collections.abc import Sequence

from textual import events
from textual.message import Message

from unspool_tui.present.line import Row
from unspool_tui.present.timeline import Strip, chain_row, lane_row, margin, overview_row, span, waiting_row
from unspool_tui.view.model import View
from unspool_tui.view.overview import Ledger, entry_at, window_start
from unspool_tui.widgets.lines import Lines

_OVERVIEW_LINE = 0


class Timeline(Lines):
    """Where in history: all of it above, the entries around the head below, a lane a pinned atom under them."""

    DEFAULT_CSS = "Timeline { height: 2; width: 1fr; }"

    class Scrubbed(Message):
        """The head shall go to an entry."""

        def __init__(self, seq: int, *, jump: bool) -> None:
            self.seq = seq
            self.jump = jump
            super().__init__()

        def can_replace(self, message: Message) -> bool:
            """Only the newest place of a drag matters."""
            return isinstance(message, Timeline.Scrubbed) and not message.jump

    class Turned(Message):
        """The wheel turned over the timeline."""

        def __init__(self, by: int) -> None:
            self.by = by
            super().__init__()

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's own name for it
        super().__init__(id=id)
        self._start = 0
        self._room = 0
        self._total = self._first = 0
        self._dragged: int | None = None
        self.lanes = 0

    def show(self, view: View, ledger: Ledger, lanes: Sequence[tuple[str, Sequence[int]]]) -> None:
        """Show a view."""
        width, glyphs = self.columns, self.pen.glyphs
        self._total, self._first = view.total, view.first
        if not view.total:
            self.show_rows([waiting_row("waiting for the first entry", width)])
            return
        room = span(width)
        if room != self._room:
            self._room, self._start = room, view.head - room // 2
        self._start = window_start(self._start, view.head, room, view.total, view.first)
        strip = Strip(self._start, ledger.columns.kind[self._start : min(view.total, self._start + room)])
        rows: list[Row] = [
            overview_row(view, ledger.overview.bins(room), strip, width, glyphs)
            if ledger.ready
            else waiting_row(f"reading {view.count:,} entries", width),
            chain_row(view, strip, width, glyphs),
        ]
        rows.extend(lane_row(name, counts, width, glyphs) for name, counts in lanes)
        self.show_rows(rows)

    def entry_under(self, x: int, line: int) -> int | None:
        """Return the entry at a place of the timeline; places beside it mean its ends."""
        if not self._total:
            return None
        width = self.columns
        column = x - margin(width)
        if line == 1:
            return max(self._first, min(self._start + column, self._total - 1))
        return entry_at(column, self._total, span(width), self._first)

    def on_mouse_down(self, event: events.MouseDown) -> None:
        """Begin to scrub on the line that was hit."""
        seq = self.entry_under(event.x, event.y)
        if seq is None or event.button != 1:
            return
        event.stop()
        self._dragged = event.y
        self.capture_mouse()
        self.post_message(self.Scrubbed(seq, jump=True))

    def on_mouse_move(self, event: events.MouseMove) -> None:
        """Scrub while the button is held."""
        if self._dragged is None:
            return
        event.stop()
        seq = self.entry_under(event.x, self._dragged)
        if seq is not None:
            self.post_message(self.Scrubbed(seq, jump=False))

    def on_mouse_up(self, event: events.MouseUp) -> None:
        """End scrubbing."""
        if self._dragged is not None:
            self._dragged = None
            self.release_mouse()

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        """Go forward with the wheel."""
        event.stop()
        self.post_message(self.Turned(10 if event.shift or event.ctrl else 1))

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        """Go back with the wheel."""
        event.stop()
        self.post_message(self.Turned(-10 if event.shift or event.ctrl else -1))
