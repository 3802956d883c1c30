"""The changes at the head, as lines that know which address they are about."""

from __future__ import annotations

from collections.abc import Mapping

from unspool.delta.identity import pattern_of
from unspool.delta.structural import identity_at
from unspool.model.paths import Path, format_path
from unspool.model.values import Value
from unspool_tui.present import humane
from unspool_tui.present.change_lines import Sheet, change_row
from unspool_tui.present.frame import Frame
from unspool_tui.present.glyphs import Glyphs
from unspool_tui.present.grid import on_grid
from unspool_tui.present.line import BLANK, Row, Spans, crop, wrap_words
from unspool_tui.present.values import preview_text
from unspool_tui.present.wrapping import wrapped
from unspool_tui.scene.detail import NOTHING, Detail
from unspool_tui.view.change_list import Item, change_list
from unspool_tui.view.model import Against, Pane, View

_LONGEST_PATTERN = 40
"""Cells that the path of a list, and the key that tells its records apart, may take in the frame."""
PROBLEM_ROWS = 12
"""Rows that the story of what is wrong with an entry may take."""


class ChangesPane:
    """Lays the diff out once for each look at it and makes the rows that are seen."""

    def __init__(self, glyphs: Glyphs) -> None:
        self._glyphs = glyphs
        self._key: tuple[object, ...] = ()
        self._detail = NOTHING
        self._made: dict[tuple[int, int], Row] = {}
        self.items: list[Item] = []
        self.identity: Mapping[str, str] | None = None
        """Keys set by hand."""

    def update(self, view: View, detail: Detail, width: int) -> None:
        """Lay out what the view wants to see of a diff."""
        key = (view.folded, view.opened, view.unchanged, view.words, view.wrap, (view.wrap or view.words) and width)
        if detail is self._detail and key == self._key:
            return
        self._detail, self._key = detail, key
        self._made.clear()
        is_quiet = detail.note is not None and not detail.changes and not view.unchanged
        self.items = (
            [] if detail.problem or is_quiet else change_list(detail.changes, detail.state, view, preview_text)
        )
        if view.wrap or view.words:
            self.items = wrapped(self.items, width)

    def cursor(self, view: View) -> int | None:
        """Return the line of the selected address: itself, or the nearest line around it."""
        items = self.items
        if not items:
            return None
        hint = min(view.change_row, len(items) - 1)
        if items[hint].address == view.selected or not view.selected:
            return hint if view.focus is Pane.CHANGES or view.selected else None
        best: int | None = None
        for row, item in enumerate(items):
            if item.address == view.selected:
                return row
            if item.address and item.address == view.selected[: len(item.address)]:
                best = row
        return best if best is not None or view.focus is not Pane.CHANGES else hint

    def row(self, index: int, width: int) -> Row:
        """Return a line as a row."""
        if self._detail.problem:
            return self._problem_row(index, width)
        if not self.items:
            rows = self._quiet(width)
            return rows[index] if index < len(rows) else BLANK
        key = (index, width)
        made = self._made.get(key)
        if made is None:
            made = self._made[key] = change_row(self.items[index], Sheet(width, self._glyphs))
        return made

    def count(self) -> int:
        """Return how many rows there are, notices included."""
        if self._detail.problem:
            return PROBLEM_ROWS
        return len(self.items) or (2 if self._detail.note is None else PROBLEM_ROWS)

    def _quiet(self, width: int) -> list[Row]:
        """Return what stands there where nothing changed: what a note says, in its place."""
        note = self._detail.note
        if note is None:
            return [BLANK, Row((("  nothing changed", "dim"),))]
        return note_rows(*note, width, self._glyphs)

    def _problem_row(self, index: int, width: int) -> Row:
        rows = problem_rows(self._detail.problem, width, self._glyphs)
        return rows[index] if index < len(rows) else BLANK

    def frame(self, view: View, *, stale: bool) -> Frame:
        """Return the frame: which two entries are compared, what is selected."""
        detail = self._detail
        arrow = self._glyphs.arrow
        kinds = {Against.PREVIOUS: "", Against.BASE: " base", Against.LIVE: " live"}
        title = ""
        if detail.request.head >= 0:
            title = f"#{detail.request.head}, the beginning"
            if detail.from_seq >= 0:
                title = f"#{detail.from_seq}{kinds[view.against]} {arrow} #{detail.request.head}"
        selected = on_grid(format_path(view.selected[-12:])[:200]) if view.selected else ""
        left = ((humane.count(len(detail.changes), "atom"), "faint"),) if detail.changes else ()
        return Frame(
            Pane.CHANGES.value,
            "Changes",
            more=(
                (title, "accent"),
                (f" {self._glyphs.ellipsis}" if stale else "", "warning"),
                *((f"  {humane.count(detail.passed_over, 'call')} passed over", "warning"),)
                * bool(detail.passed_over),
                *self._key_told(view),
            ),
            left=left,
            right=((selected, "dim"),) if selected else (),
            focused=view.focus is Pane.CHANGES,
        )

    def aligned(self, view: View) -> tuple[Path, str]:
        """Return the list around the selected place, or else the first that changed, and the key that told its records
        apart; nothing where no list was compared by one.
        """
        first: tuple[Path, str] = ((), "")
        around: tuple[Path, str] = ((), "")
        for change in self._detail.changes:
            for path, key in change.list_keys.items():
                if view.selected[: len(path)] == path and len(path) > len(around[0]):
                    around = (path, key)
                if not first[0] and (not view.selected or path[: len(view.selected)] == view.selected):
                    first = (path, key)
        return around if around[0] else first

    def _key_told(self, view: View) -> Spans:
        path, key = self.aligned(view)
        if not path:
            return ()
        by_hand = " (set)" if identity_at(self.identity, path) == key else ""
        pattern = crop(on_grid(pattern_of(path[-12:])), _LONGEST_PATTERN, self._glyphs.ellipsis)
        return ((f"  {pattern}[*] by {on_grid(key[:_LONGEST_PATTERN])}{by_hand}", "faint"),)


def note_rows(message: str, meta: Mapping[str, Value], width: int, glyphs: Glyphs) -> list[Row]:
    """Return what a note says: its message, and what is known besides, a line each."""
    lines = wrap_words(on_grid(message[:1000]), max(8, width - 6), PROBLEM_ROWS - 4)
    signs = [glyphs.note, *" " * len(lines)]
    rows = [Row(((f"  {sign} ", "note"), (line, "text"))) for sign, line in zip(signs, lines, strict=False)]
    facts = [(on_grid(name[:40]), preview_text(value)) for name, value in meta.items()]
    told = [
        Row(
            (
                (f"    {name} ", "dim"),
                (crop(on_grid(text[:200]), max(8, width - len(name) - 7), glyphs.ellipsis), "text"),
            )
        )
        for name, text in facts
    ]
    return [BLANK, *rows, *told, Row((("    a note holds no state: it is that of the entry before", "faint"),))][
        :PROBLEM_ROWS
    ]


def problem_rows(problem: str, width: int, glyphs: Glyphs) -> list[Row]:
    """Return the story of what is wrong with an entry."""
    lines = wrap_words(on_grid(problem[:1000]), max(8, width - 6), PROBLEM_ROWS - 1)
    signs = [glyphs.cross, *" " * len(lines)]
    rows = [Row(((f"  {sign} ", "error"), (line, "error"))) for sign, line in zip(signs, lines, strict=False)]
    return [BLANK, *rows]


def address_of(items: list[Item], row: int) -> Path:
    """Return the address of a line, or nothing for notes."""
    return items[row].address if 0 <= row < len(items) else ()
