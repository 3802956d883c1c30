"""The rows of Inspect: the state at the head, each value with the entry that set it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from time import perf_counter
from typing import TYPE_CHECKING, Final

from msgspec import Struct
from msgspec.structs import replace

from unspool.errors import UnspoolError
from unspool.model.keys import Path, format_path
from unspool.model.values import Value
from unspool_tui.panes.changes import PROBLEM_ROWS, problem_rows
from unspool_tui.panes.detail import NOTHING, Detail
from unspool_tui.panes.history import EntryBook
from unspool_tui.rendering import format_units
from unspool_tui.rendering.line import BLANK, Glyphs, PaneFrame, Row, Spans, on_grid
from unspool_tui.rendering.values import GUTTER, UNKNOWN, Origin, TextLines, inspect_row, json_lines, raw_lines, story
from unspool_tui.view.model import InspectMode, Pane, View
from unspool_tui.view.outline import Outline, OutlineNode, value_at

if TYPE_CHECKING:
    from unspool.history.diff import Change
    from unspool.history.history import History

_NEIGHBOURS: Final = 24
"""Entries before the head whose changes are looked at one by one."""


class _Stretch(Struct):
    set_by: int
    until: int


class OriginBook:
    """Answers "last set by" for atoms.

    That entry 12 set an atom and entry 40 still has that value answers for every head from 12 to 40; stepping on
    stretches it by what the step changed. So only far jumps ask the history.
    """

    __slots__ = ("_book", "_history", "_known")

    def __init__(self, history: History, book: EntryBook) -> None:
        """Ask a history; `book` remembers which atoms its entries changed."""
        self._history = history
        self._book = book
        self._known: dict[str, _Stretch] = {}

    def origin(self, atom: str, head: int) -> Origin:
        """Return who last set an atom as of a head, if it is known without asking."""
        stretch = self._known.get(atom)
        if stretch is None or not stretch.set_by <= head <= stretch.until:
            return UNKNOWN
        first = self._history.first
        return Origin(max(stretch.set_by, first), older=0 < first >= stretch.set_by)

    def stepped(self, head: int, changes: Sequence[Change]) -> None:
        """Learn from a diff between an entry and the one before it."""
        for change in changes:
            self._known[change.atom] = _Stretch(head, head)

    def extend(self, atoms: Iterable[str], head: int, changed: frozenset[str]) -> None:
        """Stretch what holds for the entry before `head` to `head`, except for the atoms that it changed."""
        for atom in atoms:
            stretch = self._known.get(atom)
            if stretch is not None and stretch.until == head - 1 and atom not in changed:
                stretch.until = head

    def look_back(self, atoms: Iterable[str], head: int, until: float) -> None:
        """Learn about atoms as long as there is time.

        Entries just before the head answer for most atoms in sight, and their lists of changes are cheap to read;
        then the history is asked atom by atom.

        Args:
            atoms: those whose origin is wanted.
            head: the entry to go back from.
            until: `perf_counter` time at which to give up.
        """
        wanted = set(atoms)
        for seq in range(head, max(-1, head - _NEIGHBOURS), -1):
            for atom in [atom for atom in wanted if self._holds_at(atom, seq)]:
                wanted.discard(atom)
                self._known[atom].until = head
            for atom in self._book.atoms(seq):
                if atom in wanted:
                    wanted.discard(atom)
                    self.learn({atom: seq}, head)
            if not wanted or perf_counter() > until:
                return
        for atom in atoms:
            if atom in wanted and perf_counter() < until:
                self.learn(self.look_up((atom,), head), head)

    def _holds_at(self, atom: str, seq: int) -> bool:
        stretch = self._known.get(atom)
        return stretch is not None and stretch.set_by <= seq <= stretch.until

    def look_up(self, atoms: Iterable[str], head: int) -> dict[str, int]:
        """Ask the history for atoms that are not known; safe in a worker."""
        found: dict[str, int] = {}
        first = self._history.first
        for atom in atoms:
            try:
                seq = self._history.previous_write(atom, head + 1)
            except UnspoolError:
                continue
            if seq is not None:
                found[atom] = seq
            elif first:
                # None of the entries that are kept set it.
                found[atom] = first
        return found

    def learn(self, found: dict[str, int], head: int) -> None:
        """Take over what `look_up` found."""
        for atom, seq in found.items():
            stretch = self._known.get(atom)
            if stretch is not None and stretch.set_by == seq:
                stretch.until = max(stretch.until, head)
            else:
                self._known[atom] = _Stretch(seq, head)

    def forget(self) -> None:
        """Ask anew: the history was cut or replaced."""
        self._known.clear()


_KEPT: Final = 48
"""Atoms whose leaves are remembered."""


class LeafBook:
    """Answers by atom and the entry that set the atom: until the next write of it, nothing inside can change."""

    __slots__ = ("_asked", "_known")

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[str, int], Mapping[Path, Origin]] = OrderedDict()
        self._asked: tuple[str, int] | None = None

    def writer(self, address: Path, atom_set_by: int | None) -> Origin | None:
        """Return who last set a leaf, if it is known."""
        if atom_set_by is None:
            return None
        known = self._known.get((str(address[0]), atom_set_by))
        return None if known is None else known.get(address)

    def knows(self, atom: str, atom_set_by: int) -> bool:
        """Whether an atom's leaves were looked up, or are being looked up."""
        return (atom, atom_set_by) in self._known or self._asked == (atom, atom_set_by)

    def asked(self, atom: str, atom_set_by: int) -> None:
        """Take note that an atom is being looked up."""
        self._asked = (atom, atom_set_by)

    def learn(self, atom: str, atom_set_by: int, writers: Mapping[Path, Origin]) -> None:
        """Take over an answer."""
        self._known[atom, atom_set_by] = writers
        if len(self._known) > _KEPT:
            self._known.popitem(last=False)

    def forget(self) -> None:
        """Ask anew: the history was cut or replaced."""
        self._known.clear()
        self._asked = None


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
        self._longest = self._width = 0
        self._made: dict[tuple[object, ...], tuple[Value, Row]] = {}
        self.story = NO_STORY

    def update(self, view: View, detail: Detail, width: int) -> None:
        """Lay out what the view wants to see of a state in lines of a width."""
        self._width = width
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
            key = (view.mode, view.selected, view.wrap_text and width)
            if detail is not self._detail or key != self._key or self._text is None:
                state = detail.state
                value = value_at(state, view.selected) if view.selected else {name: state[name] for name in state}
                make = json_lines if view.mode is InspectMode.JSON else raw_lines
                text = make(value)
                self._text = text.wrapped(width - GUTTER - 1) if view.wrap_text else text
                self._longest = self._text.longest
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

    def node(self, row: int) -> OutlineNode | None:
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
            return self._text.row(index, width, self._shift(view))
        rows = problem_rows(self._detail.problem, width, self._glyphs)
        return rows[index] if index < len(rows) else BLANK

    def _shift(self, view: View) -> int:
        """Return how far lines are scrolled to the left: at most to the end of the longest, also where it is in wide characters."""
        if self._text is None or view.wrap_text:
            return 0
        return max(0, min(view.sideways, self._longest - self._width // 3))

    def scrolled(self, view: View, direction: int) -> View:
        """Return the view with lines of text scrolled by a part of the width to the left (`+1`) or right (`-1`)."""
        moved = max(0, self._shift(view) + direction * (self._width // 4))
        return replace(view, sideways=self._shift(replace(view, sideways=moved)))

    def shown(self) -> int:
        """Return how many rows there are to show: those of the state, or of what is wrong with it."""
        return PROBLEM_ROWS if self._detail.problem else self.count()

    def _value_row(self, node: OutlineNode, view: View, width: int) -> Row:
        origin = self.origin(node, view)
        # While scrubbing, most values are the very objects they were at the entry before.
        at = view.notes.values.get(node.address)
        noted = None if at is None else view.head in at
        key = (node.address, node.unfolded, origin.seq, origin.older, origin.seq == view.head, width, noted)
        made = self._made.get(key)
        if made is not None and made[0] is node.value:
            return made[1]
        row = inspect_row(node, origin, view.head, width, self._glyphs, noted=noted)
        if len(self._made) >= _ROWS_KEPT:
            self._made.pop(next(iter(self._made)))
        self._made[key] = (node.value, row)
        return row

    def origin(self, node: OutlineNode, view: View) -> Origin:
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

    def frame(self, view: View, *, stale: bool) -> PaneFrame:
        """Return the frame: which entry, which mode, who last set the selected value."""
        detail, shift = self._detail, self._shift(view)
        modes: list[tuple[str, str]] = []
        for mode in InspectMode:
            modes.append(
                (f"[{mode}]" if mode is view.mode else f" {mode} ", "accent" if mode is view.mode else "faint")
            )
        what = on_grid(format_path(view.selected[-6:], root="")[-60:]) if view.selected and not self.is_tree else ""
        more: Spans = (
            (f"{what} " if what else "", "text"),
            (f"@ #{detail.request.head} " if view.total and detail.request.head >= 0 else "", "dim"),
            *modes,
            (f" from character {shift + 1:,}" if shift else "", "faint"),
            (f" {self._glyphs.ellipsis}" if stale else "", "warning"),
        )
        address, head, origin = self.story
        told = story(origin, self._glyphs) if address == view.selected and head == detail.request.head else ()
        size = self._size(view)
        return PaneFrame(
            Pane.INSPECT.value,
            "Inspect",
            more=more,
            left=told or (((f" {detail.lag} ", "warning"),) if detail.lag else ()),
            right=((size, "faint"),) if size else (),
            focused=view.focuses(Pane.INSPECT),
        )

    def _size(self, view: View) -> str:
        state, atom = self._detail.state, view.selected[:1]
        if atom and atom[0] in state:
            return format_units.size(len(state.encoded(str(atom[0]))))
        return format_units.count(len(state), "atom") if len(state) else ""
