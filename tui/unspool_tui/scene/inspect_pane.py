"""The state at the head: a tree that is looked into only where it is unfolded, JSON, or the raw value."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from msgspec.structs import replace

from unspool.model.paths import Path, format_path
from unspool.model.values import Value
from unspool_tui.present import humane
from unspool_tui.present.glyphs import Glyphs
from unspool_tui.present.inspect_lines import UNKNOWN, Origin, inspect_row, story
from unspool_tui.present.line import BLANK, Frame, Row, Spans, on_grid
from unspool_tui.present.text_lines import TextLines, json_lines, raw_lines
from unspool_tui.scene.changes_pane import PROBLEM_ROWS, problem_rows
from unspool_tui.scene.detail import NOTHING, Detail
from unspool_tui.scene.origins import LeafBook, OriginBook
from unspool_tui.view.model import InspectMode, Pane, View
from unspool_tui.view.outline import Node, Outline, value_at

_ROWS_KEPT: Final = 512

NO_STORY: Final[tuple[Path, int, Origin]] = ((), -1, UNKNOWN)
"""Nobody was asked about."""


class InspectPane:
    """Lays the state out for each look at it and makes the rows that are seen."""

    def __init__(self, origins: OriginBook, leaves: LeafBook, glyphs: Glyphs) -> None:
        self._origins = origins
        self._leaves = leaves
        self._glyphs = glyphs
        self._detail = NOTHING
        self._key: tuple[object, ...] = ()
        self._outline: Outline | None = None
        self._unfolded: frozenset[Path] = frozenset()
        self._text: TextLines | None = None
        self._made: dict[tuple[object, ...], tuple[Value, Row]] = {}
        self.story = NO_STORY

    def update(self, view: View, detail: Detail) -> None:
        """Lay out what the view wants to see of a state."""
        if detail.problem:
            self._detail, self._outline, self._text = detail, None, None
            return
        if view.mode is InspectMode.TREE:
            key: tuple[object, ...] = (view.unfolded,)
            if detail is not self._detail or key != self._key or self._outline is None:
                self._outline = Outline(detail.state, view.unfolded)
                self._unfolded = view.unfolded
                self._text = None
        else:
            key = (view.mode, view.selected)
            if detail is not self._detail or key != self._key or self._text is None:
                state = detail.state
                value = value_at(state, view.selected) if view.selected else {name: state[name] for name in state}
                make = json_lines if view.mode is InspectMode.JSON else raw_lines
                self._text = make(value)
                self._outline = None
        self._detail, self._key = detail, key

    @property
    def is_tree(self) -> bool:
        """Rows are values with an address."""
        return self._outline is not None

    def count(self) -> int:
        """Return how many rows there are."""
        if self._outline is not None:
            return len(self._outline)
        return 0 if self._text is None else len(self._text)

    def node(self, row: int) -> Node | None:
        """Return the value on a row of the tree."""
        return self._outline.node(row) if self._outline is not None and 0 <= row < len(self._outline) else None

    def cursor(self, view: View) -> int | None:
        """Return the selected row: that of the address, or of what is around it."""
        if not self.count():
            return None
        if self._outline is None:
            return min(view.inspect_row, self.count() - 1)
        row = self._outline.row_of(view.selected) if view.selected else None
        if row is not None:
            return row
        return min(view.inspect_row, self.count() - 1) if view.focus is Pane.INSPECT else None

    def row(self, view: View, index: int, width: int) -> Row:
        """Return a row."""
        if self._outline is not None:
            return self._value_row(self._outline.node(index), view, width)
        if self._text is not None:
            return self._text.row(index, width)
        rows = problem_rows(self._detail.problem, width, self._glyphs)
        return rows[index] if index < len(rows) else BLANK

    def shown(self) -> int:
        """Return how many rows there are to show: those of the state, or of what is wrong with it."""
        return PROBLEM_ROWS if self._detail.problem else self.count()

    def _value_row(self, node: Node, view: View, width: int) -> Row:
        origin = self.origin(node, view)
        # While scrubbing, most values are the very objects they were at the entry before.
        key = (node.address, node.unfolded, origin.seq, origin.older, origin.seq == view.head, width)
        made = self._made.get(key)
        if made is not None and made[0] is node.value:
            return made[1]
        row = inspect_row(node, origin, view.head, width, self._glyphs)
        if len(self._made) >= _ROWS_KEPT:
            self._made.pop(next(iter(self._made)))
        self._made[key] = (node.value, row)
        return row

    def origin(self, node: Node, view: View) -> Origin:
        """Return who last set a value, as far as that is known."""
        address, head, origin = self.story
        if address == node.address and head == self._detail.request.head:
            return origin
        atom = self._origins.origin(str(node.address[0]), self._detail.request.head)
        if node.depth == 0:
            return atom
        writer = self._leaves.writer(node.address, atom.seq)
        return UNKNOWN if writer is None else writer

    def keep_story(self, selected: Path, head: int, times: Sequence[int]) -> None:
        """Let the story of the selected value hold at another head, where its atom was not set in between."""
        address, told, origin = self.story
        if not address or address != selected or told == head:
            return
        now, then = (self._origins.origin(str(address[0]), seq).seq for seq in (head, told))
        if now is not None and now == then:
            self.story = (address, head, replace(origin, age_ns=origin.age_ns + times[head] - times[told]))

    def seen_atoms(self, top: int, page: int) -> list[str]:
        """Return the atoms whose rows are in sight and whose origin is not known yet."""
        if self._outline is None:
            return []
        head = self._detail.request.head
        return [name for name in self._in_sight(top, page) if self._origins.origin(name, head).seq is None]

    def unexplained(self, top: int, page: int) -> tuple[str, int] | None:
        """Return an unfolded atom in sight whose leaves' origins are not known, with the entry that set the atom."""
        head = self._detail.request.head
        for name in self._in_sight(top, page):
            seq = self._origins.origin(name, head).seq
            if (name,) in self._unfolded and seq is not None and not self._leaves.knows(name, seq):
                return name, seq
        return None

    def _in_sight(self, top: int, page: int) -> list[str]:
        """Return the atoms that have a row in sight."""
        if self._outline is None:
            return []
        rows = range(top, min(top + page, len(self._outline)))
        return list(dict.fromkeys(str(self._outline.node(row).address[0]) for row in rows))

    def frame(self, view: View, *, stale: bool) -> Frame:
        """Return the frame: which entry, which mode, who last set the selected value."""
        detail = self._detail
        modes: list[tuple[str, str]] = []
        for mode in InspectMode:
            modes.append(
                (f"[{mode}]" if mode is view.mode else f" {mode} ", "accent" if mode is view.mode else "faint")
            )
        what = on_grid(format_path(view.selected[-6:], root="")[-60:]) if view.selected and not self.is_tree else ""
        more: Spans = (
            (f"{what} " if what else "", "text"),
            (f"@ #{detail.request.head} " if detail.request.head >= 0 else "", "dim"),
            *modes,
            (f" {self._glyphs.ellipsis}" if stale else "", "warning"),
        )
        address, head, origin = self.story
        told = story(origin, self._glyphs) if address == view.selected and head == detail.request.head else ()
        size = self._size(view)
        return Frame(
            Pane.INSPECT.value,
            "Inspect",
            more=more,
            left=told,
            right=((size, "faint"),) if size else (),
            focused=view.focus is Pane.INSPECT,
        )

    def _size(self, view: View) -> str:
        state, atom = self._detail.state, view.selected[:1]
        if atom and atom[0] in state:
            return humane.size(len(state.encoded(str(atom[0]))))
        return humane.count(len(state), "atom") if len(state) else ""
