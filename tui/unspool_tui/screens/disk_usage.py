"""The pages on bytes: where they are, and where other strategies and codecs would put them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from unspool_tui import questions
from unspool_tui.copying import copy_text
from unspool_tui.rendering import format_units
from unspool_tui.rendering.line import BLANK, Glyphs, Row, crop, on_grid, pad, width_of, wrap_words
from unspool_tui.screens.page import Page

if TYPE_CHECKING:
    from unspool.query.disk_usage import Footprint, Share, Spent
    from unspool.query.simulator import Candidate, Simulation
    from unspool_tui.screens.protocols import HistoryScreen

_LISTS = {"a": "atoms", "p": "paths", "w": "actions", "c": "codecs"}


class FootprintScreen(Page):
    """Atoms, kinds of paths, actions and codecs by the bytes that go to them, the largest first."""

    TITLE_OF_LIST = "Where the bytes are"
    KEYS = (("a", "atoms"), ("p", "paths"), ("w", "actions"), ("c", "codecs"))

    def __init__(self, main: HistoryScreen) -> None:
        super().__init__(main)
        self._found: Footprint | None = None
        self._list = "a"

    def on_mount(self) -> None:
        """Begin to count: that is what the page was opened for."""
        super().on_mount()
        history, withdrawn = self.main_screen.scene.history, self.main_screen.worker.withdrawn
        self.work(lambda tell: questions.bytes_of(history, tell, withdrawn), self._take)

    def _take(self, found: Footprint) -> None:
        self._found = found

    def count(self) -> int:
        """See `Page.count`."""
        return 0 if self._found is None else len(getattr(self._found, _LISTS[self._list]))

    def row(self, index: int, width: int) -> Row:
        """See `Page.row`."""
        found = self._found
        if found is None:
            return BLANK
        if self._list in "ap":
            shares = found.atoms if self._list == "a" else found.paths
            return share_row(shares[index], found.stored_bytes, width, self.pen.glyphs)
        spent = found.actions if self._list == "w" else found.codecs
        return spent_row(spent[index], found.stored_bytes, width, self.pen.glyphs)

    def heading(self, width: int) -> Row:
        """See `Page.heading`."""
        return footprint_heading(_LISTS[self._list], width, counts_changes=self._list in "ap")

    def told(self, width: int) -> list[Row]:
        """Return how much there is in all."""
        if self._found is None:
            return [Row(((" not counted to the end: Escape goes back", "dim"),))]
        return footprint_summary(self._found, self.main_screen.scene.sizes().on_disk)

    def letter(self, character: str) -> bool:
        """Show another list."""
        if character not in _LISTS:
            return False
        self._list, self.cursor = character, 0
        self.paint()
        return True


_BAR: Final = 6
_ROOM_FOR_BARS: Final = 100
_NUMBERS: Final = 42
"""Columns that the numbers take, to the left of the names."""


def footprint_summary(found: Footprint, on_disk: int) -> list[Row]:
    """Return what is told above the list; `on_disk` is what the history takes there, 0 for nothing."""
    entries = "1 entry" if found.entries == 1 else f"{found.entries:,} entries"
    held = f" {format_units.size(on_disk)} on disk," if on_disk else ""
    text = f" {format_units.size(found.stored_bytes)} in records of {entries}"
    whole = f", {format_units.size(found.full_bytes)} as whole states"
    rows = [Row(((held, "strong"), (text, "text"), (whole, "dim")))]
    if found.problems:
        first = found.problems[0].place
        rows.append(Row(((f" partial: {len(found.problems):,} could not be read, from {first} on", "warning"),)))
    return rows


def footprint_heading(name: str, width: int, *, counts_changes: bool) -> Row:
    """Return the names of the columns."""
    counts = f"{'changes':>9} {'alone':>9}" if counts_changes else f"{'entries':>9} {'':>9}"
    bar = f"{'':{_BAR + 1}}" if width >= _ROOM_FOR_BARS else ""
    return Row(((f" {'bytes':>10} {'share':>8} {counts}  {bar}{name}", "faint"),), ground="bar")


def share_row(share: Share, whole: int, width: int, glyphs: Glyphs) -> Row:
    """Return the line of an atom, or of a kind of path."""
    counts = f"{share.changes:>9,} {share.alone:>9,}"
    right = ""
    if share.rewritten:
        times = format_units.count(share.rewritten, "time")
        right = f"rewritten unchanged {times}, {format_units.size(share.rewritten_bytes)} "
    return _row(share.stored_bytes, whole, counts, share.name, right, width, glyphs)


def spent_row(spent: Spent, whole: int, width: int, glyphs: Glyphs) -> Row:
    """Return the line of an action, or of a codec."""
    counts = f"{spent.entries:>9,} {'':>9}"
    return _row(spent.stored_bytes, whole, counts, spent.name or "(none)", "", width, glyphs)


def _row(spent: int, whole: int, counts: str, name: str, right: str, width: int, glyphs: Glyphs) -> Row:
    share = spent / whole if whole else 0.0
    has_bars = width >= _ROOM_FOR_BARS
    bar = f"{pad(glyphs.bar_full * round(share * _BAR), _BAR)} " if has_bars else ""
    name = on_grid(name[:200])
    told = right if width - _NUMBERS - len(bar) - width_of(right) > width_of(name) else ""
    room = max(8, width - _NUMBERS - len(bar) - width_of(told))
    return Row(
        (
            (f" {format_units.size(spent):>10} {share:>8.1%} {counts}  ", "text"),
            (bar, "accent"),
            (crop(name, room, glyphs.ellipsis), "strong"),
        ),
        ((told, "faint"),) if told else (),
    )


_ROOM_FOR_SCATTER = 28
"""Lines of the terminal from which the scatter is drawn."""
_SCATTER_LINES = 9


class SimulatorScreen(Page):
    """Tries configurations and shows bytes against rebuild time."""

    TITLE_OF_LIST = "Configurations, smallest file first"
    KEYS = (("y", "copy the recommended line"), ("Y", "copy this row"), ("S", "simulate"))

    def __init__(self, main: HistoryScreen) -> None:
        super().__init__(main)
        self._found: Simulation | None = None

    def on_mount(self) -> None:
        """Begin at once: that is what the page was opened for."""
        super().on_mount()
        self.simulate()

    def count(self) -> int:
        """See `Page.count`."""
        return 0 if self._found is None else len(self._found.candidates)

    def row(self, index: int, width: int) -> Row:
        """See `Page.row`."""
        found = self._found
        if found is None:
            return Row()
        smallest = found.candidates[0].projected_bytes
        one = found.candidates[index]
        return candidate_row(one, smallest, width, self.pen.glyphs, recommended=one is found.recommended)

    def heading(self, width: int) -> Row:
        """See `Page.heading`."""
        return simulator_heading(width)

    def told(self, width: int) -> list[Row]:
        """Return the recommendation, and the scatter of bytes against rebuild time."""
        found = self._found
        if found is None:
            return [
                Row(((" stopped: ", "dim"), ("S", "key"), (" tries each strategy and codec on this history", "dim")))
            ]
        rows = advice_rows(found.line, found.reason, found.notes, width)
        if self.app.size.height >= _ROOM_FOR_SCATTER and len(found.candidates) > 1:
            chosen = found.candidates[self.cursor] if self.cursor < len(found.candidates) else None
            rows += scatter_rows(found.candidates, found.recommended, chosen, width, _SCATTER_LINES, self.pen.glyphs)
        return rows

    def letter(self, character: str) -> bool:
        """Simulate again, or copy a line."""
        found = self._found
        if character == "S":
            self.simulate()
        elif character == "y" and found is not None:
            self._copy(found.line)
        elif character == "Y" and found is not None and found.candidates:
            self._copy(found.candidates[self.cursor].line)
        else:
            return False
        return True

    def _copy(self, line: str) -> None:
        outcome = copy_text(self.app, line)
        self.main_screen.flash(f"{line} {outcome.said}", "good" if outcome.arrived else "warning")

    def simulate(self) -> None:
        """Try all configurations."""
        history, withdrawn = self.main_screen.scene.history, self.main_screen.worker.withdrawn
        self.work(lambda tell: questions.simulate_all(history, tell, withdrawn), self._simulated)

    def _simulated(self, found: Simulation) -> None:
        self._found = found
        best = found.recommended
        self.cursor = next((row for row, one in enumerate(found.candidates) if one is best), 0)


_AXIS = 11
_ROOM_FOR_ALL = 104
"""Width of the terminal from which every column is shown."""
_MOST_LINES = 3
"""Lines that one sentence may take."""


def simulator_heading(width: int) -> Row:
    """Return the names of the columns."""
    roomy = width >= _ROOM_FOR_ALL
    text = f"     {'configuration':<{_name_room(width)}} {'file':>10}  {'larger':>8}  {'rebuild p95':>12}  "
    text += f"{'record p50':>11}  {'chain':>6}" if roomy else f"{'chain':>6}"
    return Row(((text, "faint"),), ground="bar")


def _name_room(width: int) -> int:
    return 40 if width >= _ROOM_FOR_ALL else 22


def candidate_row(one: Candidate, smallest: int, width: int, glyphs: Glyphs, *, recommended: bool) -> Row:
    """Return the line of one configuration."""
    mark = (glyphs.tick, "good") if recommended else (glyphs.dot, "accent") if one.on_front else (" ", "text")
    style = "strong" if recommended else "text" if one.on_front else "dim"
    larger = one.projected_bytes / smallest if smallest else 1.0
    record = (
        ((f"{format_units.duration(one.record_us.p50 * 1e3):>11}  ", "dim"),) if width + 2 >= _ROOM_FOR_ALL else ()
    )
    return Row(
        (
            (f" {pad(mark[0], 3)}", mark[1]),
            (f"{pad(on_grid(one.name[:80]), _name_room(width + 2))} ", style),
            (f"{format_units.size(one.projected_bytes):>10}  ", style),
            (f"{f'{larger:.2f}x':>8}  ", "dim"),
            (f"{format_units.duration(one.rebuild_us.p95 * 1e3):>12}  ", style),
            *record,
            (f"{one.longest_chain:>6,}", "dim"),
        )
    )


def advice_rows(line: str, reason: str, notes: Sequence[str], width: int) -> list[Row]:
    """Return the recommended line, why it is recommended, and what was left out."""
    rows = [Row(((" use ", "dim"), (on_grid(line[:400]), "good")))]
    rows += [Row(((f"     {said}", "dim"),)) for said in wrap_words(on_grid(reason[:400]), width - 6, _MOST_LINES)]
    for note in notes:
        rows += [Row(((f" {said}", "faint"),)) for said in wrap_words(on_grid(note[:400]), width - 2, _MOST_LINES)]
    return rows


def scatter_rows(
    candidates: Sequence[Candidate],
    recommended: Candidate | None,
    chosen: Candidate | None,
    width: int,
    height: int,
    glyphs: Glyphs,
) -> list[Row]:
    """Return the scatter: bytes to the right, rebuild time upward, both on logarithmic scales."""
    room = max(20, width - _AXIS - 3)
    across = _scale([one.projected_bytes for one in candidates], room)
    upward = _scale([one.rebuild_us.p95 for one in candidates], height)
    marks: dict[tuple[int, int], tuple[str, str]] = {}
    for one, x, y in sorted(zip(candidates, across, upward, strict=True), key=lambda item: item[0].on_front):
        marks[x, y] = (glyphs.bookmark, "accent") if one.on_front else (glyphs.dot, "dim")
    for special, style in ((chosen, "head"), (recommended, "added.word")):
        for one, x, y in zip(candidates, across, upward, strict=True):
            if one is special:
                marks[x, y] = (marks[x, y][0], style)
    slow = max(one.rebuild_us.p95 for one in candidates)
    quick = min(one.rebuild_us.p95 for one in candidates)
    rows = []
    for line in range(height):
        level = height - 1 - line
        label = (
            format_units.duration(slow * 1e3)
            if line == 0
            else format_units.duration(quick * 1e3)
            if level == 0
            else ""
        )
        spans = [(f"{label:>{_AXIS - 1}} ", "faint"), (glyphs.vertical, "border")]
        spans += [marks.get((x, level), (" ", "text")) for x in range(room)]
        rows.append(Row(tuple(spans)))
    low = format_units.size(min(one.projected_bytes for one in candidates))
    high = format_units.size(max(one.projected_bytes for one in candidates))
    rows.append(Row(((" " * (_AXIS + 1), "text"), (low, "faint")), ((f"{high} ", "faint"),)))
    return rows


def _scale(values: Sequence[float], room: int) -> list[int]:
    low, high = math.log(max(1e-9, min(values))), math.log(max(1e-9, max(values)))
    reach = (high - low) or 1.0
    return [round((math.log(max(1e-9, value)) - low) / reach * (room - 1)) for value in values]
