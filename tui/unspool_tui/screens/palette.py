"""The palette: one line that finds entries, atoms, paths, actions, bookmarks, sources and commands."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Final

from msgspec import Struct
from textual import on
from textual.app import ComposeResult
from textual.await_complete import AwaitComplete
from textual.containers import Horizontal, Vertical
from textual.widgets import Input

from unspool.errors import UnspoolError
from unspool.model.keys import Path
from unspool.query.entry_names import find_place, looks_like_place
from unspool_tui.actions import ACTIONS
from unspool_tui.panes.names import Closeness, Match, NameIndex, StateNames, count_actions, other_names, state_names
from unspool_tui.rendering import format_units
from unspool_tui.rendering.line import PaneFrame, Row, crop, on_grid, pad, width_of
from unspool_tui.screens.modal import Modal
from unspool_tui.widgets.lines import LinesView
from unspool_tui.widgets.panel import Framed, Made
from unspool_tui.worker import QuestionKind, Reply

if TYPE_CHECKING:
    from unspool_tui.screens.protocols import HistoryScreen

_MOST_ROWS: Final = 200
"""Rows that are listed; whoever looks for more types another letter."""
_MOST_OF_ONE: Final = 100
_HELP: Final = 2
"""Which part of the names of commands is what they do; before it come labels and ids."""
_CLOSEST: Final = (Closeness.EXACT, Closeness.PART, Closeness.WORDS)
"""How well a label, an id and a help fit at most, unless they are what was typed."""
_LEAST_OF_HELP: Final = 4
"""Letters from which what a command does is looked through."""
_KIND_ROOM: Final = 9
_LABEL_ROOM: Final = 18
_VALUE: Final = 60
_BY_ACTION: Final = ":/"
"""What stands before words of an action in the names of entries."""


class TargetKind(StrEnum):
    """What there is to find."""

    ENTRY = "entry"
    COMMAND = "command"
    ATOM = "atom"
    PATH = "path"
    BOOKMARK = "bookmark"
    SOURCE = "source"
    ACTION = "action"


class PaletteTarget(Struct, frozen=True):
    """Something that the palette leads to.

    Attributes:
        kind: what it is.
        name: how it is called; of an entry, as it was typed; of a command, its id.
        seq: the entry to go to, or the number of a source; None where there is nowhere to go.
        address: the value to select.
        row: its place among the names of the state; -1 where it is none of them.
    """

    kind: TargetKind
    name: str
    seq: int | None = None
    address: Path = ()
    row: int = -1


_BY_INITIALS: Final = (Closeness.LAST_STEPS, Closeness.INITIALS, Closeness.STEPS)
_OF_STATES: Final = (TargetKind.ATOM, TargetKind.PATH)
_PRIORITY: Final = list(TargetKind)
"""Of two names that fit alike, the one whose kind comes first stands above."""
_PRIORITY_OF_LETTERS: Final = sorted(TargetKind, key=lambda kind: kind is TargetKind.COMMAND)
"""The same where letters are only in order: commands have keys, and are hardly meant."""


class CommandPalette(Modal[PaletteTarget]):
    """Returns what was chosen.

    Names are looked up by the worker while somebody types; an Enter that comes before they are known waits for them, unless it
    names an entry or a command.
    """

    AUTO_FOCUS = "Input"

    def __init__(self, main: HistoryScreen) -> None:
        super().__init__()
        self._main = main
        self._typed = ""
        self._cursor = 0
        self._moved = False
        self._entered = False
        self._names: StateNames | None = None
        self._known = self._counted = False
        self._sought = self._seeks = False
        """Whether names of other entries were looked for, and are being looked for: only where the state has none like it."""
        self._refused = ""
        self._small = _small_targets(main)
        self._commands = NameIndex(
            [action.label for action in ACTIONS]
            + [action.id for action in ACTIONS]
            + [action.help for action in ACTIONS]
        )
        self._small_index = NameIndex(target.name for target in self._small)
        self._actions: list[PaletteTarget] = []
        self._action_index = NameIndex(())
        self._found: list[PaletteTarget] = []
        self._look("")

    def compose(self) -> ComposeResult:
        """Lay out the line and the list."""
        with Vertical(id="palette"):
            with Horizontal(id="palette-row"):
                yield LinesView(id="sign")
                yield self.line(
                    placeholder="an atom, a path, an action, a command, 838, 12:04:32, 50%", id="palette-line"
                )
            yield Framed(id="palette-list")

    def on_mount(self) -> None:
        """Have the names looked up."""
        main, history, view = self._main, self._main.scene.history, self._main.view
        if view.total:
            main.ask(QuestionKind.PATHS, lambda: state_names(history, view.head, view.tip), self._take_names)
            self._count_actions()
        else:
            self._known = self._counted = True
        super().on_mount()

    def _take_names(self, reply: Reply) -> None:
        if reply.error is None and reply.value is not None:
            self._names = reply.value
        self._known = reply.done
        self._look_again()
        self._enter_now()

    def _seek(self) -> None:
        """Look for names that only other entries have, where nothing of the state is called like what is typed."""
        main, names = self._main, self._names
        alike = any(
            match.closeness <= Closeness.WORDS and target.kind in _OF_STATES for match, target in self._ranking
        )
        if names is None or alike or self._sought or self._seeks or not self._known or len(self._typed.strip()) < 2:
            return
        history, tip = main.scene.history, main.view.tip
        self._seeks = True
        main.ask(QuestionKind.PATHS, lambda: other_names(history, names, tip), self._take_others)

    def _take_others(self, reply: Reply) -> None:
        if reply.error is None and reply.value is not None:
            self._names = reply.value
        self._seeks, self._sought = not reply.done, reply.done
        self._look_again()
        self._enter_now()

    def _enter_now(self) -> None:
        """Do the Enter that came before everything was known that it may have meant."""
        if self._entered and not self.over and self._knows_enough():
            self._choose(self._cursor)

    def _knows_enough(self) -> bool:
        if self._typed.strip().startswith(_BY_ACTION):
            return self._counted
        # What only has the letters somewhere inside is hardly meant where something better may still be found.
        return self._known and (
            not self._seeks or (bool(self._ranking) and self._ranking[0][0].closeness < Closeness.PART)
        )

    def _count_actions(self) -> None:
        main, counts = self._main, self._main.scene.actions
        history, first, total = main.scene.history, main.view.first, main.view.total

        def take(reply: Reply) -> None:
            if reply.value is not None:
                counts.learn(reply.value)
            if reply.done:
                self._counted = True
                self._list_actions()
                self._look_again()
                self._enter_now()

        self._counted = not counts.missing(first, total)
        if not self._counted:
            start = counts.until
            main.ask(QuestionKind.ACTIONS, lambda: count_actions(history, start, total), take)
        self._list_actions()

    def _list_actions(self) -> None:
        in_order = self._main.scene.actions.in_order()
        self._actions = [
            PaletteTarget(TargetKind.ACTION, action, counted.newest) for action, counted in in_order if action
        ]
        self._action_index = NameIndex(target.name for target in self._actions)

    def paint(self) -> None:
        """Show what fits."""
        self.query_one("#sign", LinesView).show_rows([Row(((" : ", "key"),), ground="bar")])
        count = len(self._found)
        many = f"{count}" if count < _MOST_ROWS else f"the first {count}"
        title = "Find" if self._typed.strip() else "Commands"
        frame = PaneFrame(0, title, left=self._footing(), right=((many, "dim"),), focused=True)
        self.query_one(Framed).show(Made(count, self._row), frame, self._cursor if count else None)

    def _footing(self) -> tuple[tuple[str, str], ...]:
        if self._refused:
            return ((on_grid(self._refused[:200]), "warning"),)
        if not self._known:
            return (("names are still being read", "dim"),)
        left_out = "" if self._names is None else self._names.left_out
        return ((on_grid(left_out), "dim"),) if left_out else ()

    def _row(self, index: int, width: int) -> Row:
        target = self._found[index]
        if target.kind is TargetKind.COMMAND:
            return self._command_row(target)
        left = (
            (f" {pad(target.kind, _KIND_ROOM)}", "key" if target.kind is TargetKind.ENTRY else "faint"),
            (on_grid(crop(target.name, max(_LABEL_ROOM, width * 2 // 3))), "strong"),
            (f"  {on_grid(self._value(target))}", "dim"),
        )
        told = self._told(target)
        return Row(left, ((f"{told} ", "faint"),) if told else ())

    def _command_row(self, target: PaletteTarget) -> Row:
        action = next(action for action in ACTIONS if action.id == target.name)
        why = action.refusal(self._main.view)
        return Row(
            (
                (f" {pad(self._main.keymap.shown(action.id), _KIND_ROOM)}", "key"),
                (pad(action.label, max(_LABEL_ROOM, width_of(action.label))), "faint" if why else "strong"),
                (f" {why or action.help}", "warning" if why else "dim"),
            )
        )

    def _value(self, target: PaletteTarget) -> str:
        if target.kind in (TargetKind.ATOM, TargetKind.PATH) and self._names is not None:
            return self._names.names[target.row].value(_VALUE)
        if target.kind in (TargetKind.ENTRY, TargetKind.BOOKMARK) and target.seq is not None:
            return self._main.scene.book.action(target.seq)[:_VALUE]
        return ""

    def _told(self, target: PaletteTarget) -> str:
        main, seq = self._main, target.seq
        if seq is None or target.kind is TargetKind.SOURCE:
            return ""
        if target.kind is TargetKind.ACTION:
            return f"{main.scene.actions.by_action[target.name].count:,} times, last #{seq:,}"
        if target.kind in (TargetKind.ATOM, TargetKind.PATH):
            here = main.view.head
            return (
                "" if seq == here else f"not here, last at #{seq:,}" if seq < here else f"not here yet, at #{seq:,}"
            )
        return f"#{seq:,}  {format_units.clock(main.scene.ledger.columns.timestamp_ns[seq], main.scene.look.zone)}"

    @on(Input.Changed)
    def _changed(self, event: Input.Changed) -> None:
        # Word of earlier letters may come after an Enter that took all of them.
        if event.value == event.input.value:
            self._look(event.value)
            self.paint()

    def _look(self, text: str) -> None:
        """Find what fits what is typed; also when Enter comes before the change was told."""
        if text.strip() != self._typed.strip():
            self._cursor, self._moved, self._entered = 0, False, False
        self._typed = text
        self._ranking: list[tuple[Match, PaletteTarget]] = []
        query = text.strip()
        self._refused = ""
        if not query:
            self._found = [PaletteTarget(TargetKind.COMMAND, action.id) for action in ACTIONS]
            return
        place = self._place(query)
        if query.startswith(_BY_ACTION):
            words = query.removeprefix(_BY_ACTION).strip()
            ranked = [(match, self._actions[match.row]) for match in self._action_index.find(words, _MOST_OF_ONE)]
        else:
            ranked = self._ranked(query)
            self._ranking = ranked
            if place is None:
                self._seek()
        self._found = ([place] if place is not None else []) + [target for _, target in ranked[:_MOST_ROWS]]

    def _look_again(self) -> None:
        """Find anew, now that more is known; the cursor stays on what it was moved to."""
        at = self._found[self._cursor] if self._moved and self._cursor < len(self._found) else None
        self._look(self._typed)
        self._cursor = self._found.index(at) if at in self._found else min(self._cursor, max(0, len(self._found) - 1))
        if self.up and not self.over:
            self.paint()

    def _place(self, query: str) -> PaletteTarget | None:
        """Return the entry that is named; None where none is, and then why is said."""
        if not looks_like_place(query):
            return None
        main = self._main
        try:
            seq = place_named(main, query)
        except UnspoolError as error:
            self._refused = str(error)
            return None
        return PaletteTarget(TargetKind.ENTRY, query, seq)

    def _ranked(self, query: str) -> list[tuple[Match, PaletteTarget]]:
        found = [(match, self._small[match.row]) for match in self._small_index.find(query, _MOST_OF_ONE)]
        found += [(match, self._actions[match.row]) for match in self._action_index.find(query, _MOST_OF_ONE)]
        found += self._fitting_commands(query)
        if self._names is not None:
            names, matches = self._names, self._names.index.find(query, _MOST_OF_ONE)
            means_now = any(names.names[m.row].seq == names.head for m in matches if m.closeness in _BY_INITIALS)
            for match in matches:
                name = names.names[match.row]
                kind = TargetKind.ATOM if len(name.address) == 1 else TargetKind.PATH
                if means_now and name.seq != names.head and match.closeness in _BY_INITIALS:
                    # A few letters mean what is there now before what was.
                    match = match._replace(closeness=Closeness.WORDS, age=0)
                found.append((match, PaletteTarget(kind, name.name, name.seq, name.address, match.row)))
        return sorted(found, key=_standing)

    def _fitting_commands(self, query: str) -> list[tuple[Match, PaletteTarget]]:
        best: dict[int, Match] = {}
        for match in self._commands.find(query, len(self._commands)):
            part, row = divmod(match.row, len(ACTIONS))
            if (part and match.closeness is Closeness.LETTERS) or (part == _HELP and len(query) < _LEAST_OF_HELP):
                # A few letters are somewhere in every sentence.
                continue
            if row not in best:
                # Nobody types the beginning of an id, and words of a sentence are in others too.
                closest = match.closeness if match.closeness is Closeness.EXACT else _CLOSEST[part]
                best[row] = match._replace(row=row, closeness=max(match.closeness, closest))
        return [(match, PaletteTarget(TargetKind.COMMAND, ACTIONS[row].id)) for row, match in best.items()]

    def enter(self, text: str) -> None:
        """Choose what is under the cursor, as soon as all names are known that may stand there."""
        typed = text.strip()
        if typed != self._typed.strip():
            self._look(typed)
        at = self._found[self._cursor] if self._cursor < len(self._found) else None
        named = at is not None and (
            at.kind is TargetKind.ENTRY
            or (at.kind is TargetKind.COMMAND and typed.lower() in _COMMAND_NAMES)
            or not typed
            or self._moved
            or self._names_dropped()
        )
        if named or self._knows_enough():
            self._choose(self._cursor)
        else:
            self._entered = True

    def _names_dropped(self) -> bool:
        """Whether the number of an entry is typed that is not kept: that is refused, and no name that is like it is meant."""
        typed = self._typed.strip()
        return typed.isdecimal() and len(typed) < 19 and int(typed) < self._main.view.first and not self._moved

    def _choose(self, row: int) -> None:
        if row < len(self._found) and not self._names_dropped():
            self.dismiss(self._found[row])
        else:
            self.dismiss(PaletteTarget(TargetKind.ENTRY, self._typed.strip()))

    def dismiss(self, result: PaletteTarget | None = None) -> AwaitComplete:
        """Close, and look for nothing any more."""
        if self._seeks:
            self._main.worker.cancel(QuestionKind.PATHS)
        return super().dismiss(result)

    def press(self, key: str, character: str | None) -> bool:
        """Move through the list."""
        steps = {"down": 1, "up": -1, "pagedown": 10, "pageup": -10, "tab": 1, "shift+tab": -1}
        if key not in steps:
            return False
        self._moved = True
        self._cursor = max(0, min(self._cursor + steps[key], len(self._found) - 1))
        self.paint()
        return True

    @on(Framed.Clicked)
    def _clicked(self, message: Framed.Clicked) -> None:
        if message.row >= 0:
            self._moved = True
            self._choose(message.row)

    @on(Framed.Wheeled)
    def _wheeled(self, message: Framed.Wheeled) -> None:
        self.press("down" if message.by > 0 else "up", None)


def _standing(one: tuple[Match, PaletteTarget]) -> tuple[int, ...]:
    match, target = one
    kinds = _PRIORITY_OF_LETTERS if match.closeness is Closeness.LETTERS else _PRIORITY
    return (match.closeness, kinds.index(target.kind), *match[1:])


_COMMAND_NAMES: Final = frozenset(name.lower() for action in ACTIONS for name in (action.label, action.id))


def _small_targets(main: HistoryScreen) -> list[PaletteTarget]:
    """Return what is few: bookmarks by their entry, and the other sources."""
    targets = [PaletteTarget(TargetKind.BOOKMARK, f"bookmark #{seq}", seq) for seq in main.view.bookmarks]
    if main.view.tabs > 1:
        labels = main.unspool_app.tabs.labels()
        targets += [PaletteTarget(TargetKind.SOURCE, label.name, number) for number, label in enumerate(labels)]
    return targets


def place_named(main: HistoryScreen, text: str) -> int:
    """Return the entry that a text names: number, offset, share, time or bookmark.

    Raises:
        UnspoolError: it names none; the message says what would.
    """
    view, scene = main.view, main.scene
    return find_place(
        text,
        head=view.head,
        times=scene.ledger.columns.timestamp_ns,
        total=view.total,
        zone=scene.look.zone,
        first=view.first,
        bookmarks=view.bookmarks,
    )
