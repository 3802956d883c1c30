"""The one registry of actions: keys, footer, palette, help, docs and the cheat sheet are made from it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from msgspec import Struct

from unspool.query import SEARCHED
from unspool_tui.view.model import SPEEDS, Against, InspectMode, Pane, View

Reason = Callable[[View], str]
"""Says why an action does not apply now; empty when it does."""


def always(view: View) -> str:
    """Apply whatever the view."""
    return ""


class Action(Struct, frozen=True):
    """Something a person can do.

    Attributes:
        id: the name that settings remap it by.
        keys: the keys that do it, the one shown first.
        label: two or three words, for footer and palette.
        help: one sentence.
        group: heading in help and docs.
        why_not: why it does not apply now.
    """

    id: str
    keys: tuple[str, ...]
    label: str
    help: str
    group: str
    why_not: Reason = always

    def refusal(self, view: View) -> str:
        """Return why it cannot be done: it is not permitted, or it does not apply now; empty when it can."""
        return view.permits.why_not(self.id) or self.why_not(view)


class Hint(Struct, frozen=True):
    """A place in the footer.

    Attributes:
        ids: the actions whose first keys it shows.
        label: what they do, in a word or two.
        panes: panes whose focus it belongs to; empty for all.
    """

    ids: tuple[str, ...]
    label: str
    panes: tuple[Pane, ...] = ()


def _some_entries(view: View) -> str:
    return "" if view.total else "the history is still empty"


def _a_selection(view: View) -> str:
    return "" if view.selected else "select a value first"


def _wraps(view: View) -> str:
    if view.focus is Pane.INSPECT and view.mode is InspectMode.TREE:
        return "the tree shows a value a line; v shows JSON and raw text, which wrap"
    return ""


def _a_base(view: View) -> str:
    return "" if view.base is not None else "mark a base first (m)"


def _a_search(view: View) -> str:
    if not view.search.text:
        return "search for something first (/)"
    return "" if view.search.found else "nothing found yet"


def _jumped(view: View) -> str:
    return "" if view.jumps.back else "no jump to go back from yet"


def _returned(view: View) -> str:
    return "" if view.jumps.forward else "go back first (ctrl+o)"


def _bookmarked(view: View) -> str:
    return "" if view.bookmarks else "no bookmark yet (b sets one)"


def _listed(view: View) -> str:
    return "" if view.dock.open or view.dock.count else "nothing is listed yet: / B W K and ' list what they find"


def _other_tabs(view: View) -> str:
    return "" if view.tabs > 1 else "only one source is open (unspool open A B)"


def _faster(view: View) -> str:
    return "" if view.speed < len(SPEEDS) - 1 else "the last speed: real gaps"


def _slower(view: View) -> str:
    return "" if view.speed else "the slowest speed"


def _closer(view: View) -> str:
    return "" if view.timeline_zoom else "the timeline shows all entries"


def _can(ability: str) -> Reason:
    def why_not(view: View) -> str:
        if view.program is None:
            return "no program that can go back records into this source"
        return "" if ability in view.program.can else f"{view.program.name} cannot do that"

    return why_not


def _put_back(view: View) -> str:
    program = view.program
    if program is None or program.at is not None or program.looking:
        return _can("look")(view)
    return f"{program.name} runs its newest state"


def _go_on_from_head(view: View) -> str:
    return _can("jump")(view) or _some_entries(view)


def _look_at_head(view: View) -> str:
    return _can("look")(view) or _some_entries(view)


def _skip_head(view: View) -> str:
    return _can("skip")(view) or _some_entries(view)


MOVE: Final = "Move"
TRAVEL: Final = "Travel in time"
LOOK: Final = "Look"
COMPARE: Final = "Compare"
FIND: Final = "Find"
SHARE: Final = "Take along"
PROGRAM: Final = "The program that records"
SOURCES: Final = "Sources"
APP: Final = "The app"
GROUPS: Final = (TRAVEL, MOVE, LOOK, COMPARE, FIND, SHARE, PROGRAM, SOURCES, APP)
_DETAILS: Final = (Pane.CHANGES, Pane.INSPECT)

ACTIONS: Final[tuple[Action, ...]] = (
    Action("step.prev", (",", "shift+left"), "previous", "Go to the entry before.", TRAVEL, _some_entries),
    Action("step.next", (".", "shift+right"), "next", "Go to the entry after.", TRAVEL, _some_entries),
    Action(
        "atom.prev",
        ("[", "("),
        "changed before",
        "Go to the last entry before that changed the selected atom or path.",
        TRAVEL,
        _a_selection,
    ),
    Action(
        "atom.next",
        ("]", ")"),
        "changed next",
        "Go to the next entry that changes the selected atom or path.",
        TRAVEL,
        _a_selection,
    ),
    Action(
        "writes",
        ("W",),
        "all writes",
        "List the entries that wrote the selected value, and those that left it as it was.",
        TRAVEL,
        _a_selection,
    ),
    Action(
        "why",
        ("Y",),
        "why",
        "Tell the causes behind the selected value: who wrote it, what may explain it, who wrote that.",
        TRAVEL,
        _a_selection,
    ),
    Action(
        "line.open",
        ("$",),
        "open the line",
        "Open the line of code that wrote the selected value, else that of the entry, in $VISUAL or $EDITOR.",
        TRAVEL,
        _some_entries,
    ),
    Action("full.prev", ("<",), "full before", "Go to the full snapshot before.", TRAVEL, _some_entries),
    Action("full.next", (">",), "full after", "Go to the full snapshot after.", TRAVEL, _some_entries),
    Action("go.first", ("{",), "first entry", "Go to the first entry.", TRAVEL, _some_entries),
    Action("go.last", ("}",), "newest entry", "Go to the newest entry and follow.", TRAVEL, _some_entries),
    Action(
        "jump.back", ("ctrl+o", "backspace"), "jump back", "Return to where the last jump began.", TRAVEL, _jumped
    ),
    Action("jump.forward", ("ctrl+i", "o"), "jump forward", "Undo a jump back.", TRAVEL, _returned),
    Action("follow", ("f",), "follow", "Follow the newest entry, or stop; moving up stops too.", TRAVEL),
    Action("play", ("p",), "play", "Let the head move by itself, or stop it.", TRAVEL, _some_entries),
    Action(
        "play.faster",
        ("shift+up",),
        "faster",
        "Play faster; beyond the fastest, with the real gaps.",
        TRAVEL,
        _faster,
    ),
    Action("play.slower", ("shift+down",), "slower", "Play slower.", TRAVEL, _slower),
    Action("move.up", ("k", "up"), "up", "Move up in the focused pane.", MOVE),
    Action("move.down", ("j", "down"), "down", "Move down in the focused pane.", MOVE),
    Action("move.page_up", ("ctrl+u", "pageup"), "half page up", "Move half a page up.", MOVE),
    Action("move.page_down", ("ctrl+d", "pagedown"), "half page down", "Move half a page down.", MOVE),
    Action("move.top", ("g", "home"), "top", "Move to the first row of the focused pane.", MOVE),
    Action("move.bottom", ("G", "end"), "bottom", "Move to the last row of the focused pane.", MOVE),
    Action(
        "fold", ("h", "left"), "fold", "Fold the row, or move to what is around it; JSON and raw text scroll.", MOVE
    ),
    Action("unfold", ("l", "right"), "unfold", "Unfold the row, or move into it; JSON and raw text scroll.", MOVE),
    Action(
        "open",
        ("enter",),
        "open",
        "Open the row: an entry's changes, a change in Inspect, a value's last write (again, the write before), "
        "the line that a text such as shop.py:19 names.",
        MOVE,
        _some_entries,
    ),
    Action("toggle", ("space",), "fold or unfold", "Fold or unfold the row.", MOVE),
    Action(
        "jump.row",
        (";",),
        "jump to row",
        "Put letters beside the rows of the focused pane; one goes to its row.",
        MOVE,
    ),
    Action("pane.next", ("tab",), "next pane", "Focus the next pane.", MOVE),
    Action("pane.prev", ("shift+tab",), "previous pane", "Focus the pane before.", MOVE),
    Action("pane.history", ("1",), "History", "Focus History.", MOVE),
    Action("pane.changes", ("2",), "Changes", "Focus Changes.", MOVE),
    Action("pane.inspect", ("3",), "Inspect", "Focus Inspect.", MOVE),
    Action("pane.stats", ("4",), "Stats", "Focus Stats.", MOVE),
    Action("pane.results", ("5",), "Results", "Focus the list of results.", MOVE, _listed),
    Action(
        "timeline",
        ("6",),
        "timeline",
        "Focus the timeline: left and right move by a cell of it; again, give the keys back.",
        MOVE,
        _some_entries,
    ),
    Action(
        "timeline.in", ("+",), "timeline closer", "Show half as many entries in the timeline.", LOOK, _some_entries
    ),
    Action("timeline.out", ("-",), "timeline wider", "Show twice as many entries in the timeline.", LOOK, _closer),
    Action("timeline.whole", ("0",), "whole timeline", "Show all entries in the timeline.", LOOK, _closer),
    Action(
        "timeline.axis",
        ("Z",),
        "timeline by time",
        "Have the timeline's columns be equal parts of time, or equal numbers of entries.",
        LOOK,
        _some_entries,
    ),
    Action(
        "timeline.part",
        ("#",),
        "lanes of a part",
        "Show the lanes of one part of the source only, such as a thread; chosen again, all but those.",
        LOOK,
        _some_entries,
    ),
    Action("pane.zoom", ("z",), "zoom", "Give the focused pane the whole screen, or take it back.", LOOK),
    Action("pane.wider", ("|",), "wider", "Make the focused pane wider, the list of results higher.", LOOK),
    Action("pane.narrower", ("_",), "narrower", "Make the focused pane narrower, the list of results lower.", LOOK),
    Action("inspect.mode", ("v",), "tree, JSON, raw", "Show the state as a tree, as JSON or raw.", LOOK),
    Action("changes.unchanged", ("u",), "unchanged", "List the atoms that did not change, or hide them.", LOOK),
    Action("changes.words", ("e",), "in words", "Explain the changes in sentences.", LOOK),
    Action(
        "wrap",
        ("w",),
        "wrap",
        "Give long lines as many lines as they need: JSON and raw text in Inspect, else values in Changes.",
        LOOK,
        _wraps,
    ),
    Action("history.gaps", ("T",), "gaps", "Show the time since the entry before instead of the clock.", LOOK),
    Action("base.mark", ("m",), "base", "Mark the head as base and compare against it.", COMPARE, _some_entries),
    Action("base.clear", ("M",), "clear base", "Forget the base.", COMPARE, _a_base),
    Action("base.swap", ("x",), "swap base", "Let head and base change places.", COMPARE, _a_base),
    Action(
        "against",
        ("d",),
        "diff against",
        "Compare with the previous entry, the base, or live.",
        COMPARE,
        _some_entries,
    ),
    Action("search", ("/",), "find", f"Search {SEARCHED} through all entries.", FIND, _some_entries),
    Action("search.next", ("n",), "next hit", "Go to the next hit.", FIND, _a_search),
    Action("search.prev", ("N",), "previous hit", "Go to the hit before.", FIND, _a_search),
    Action(
        "filter",
        ("\\",),
        "filter",
        "Show only some entries; ! in front of a word turns it round.",
        FIND,
        _some_entries,
    ),
    Action(
        "actions", ("a",), "actions", "Count the actions; Enter shows only the entries of one.", FIND, _some_entries
    ),
    Action(
        "bisect", ("B",), "bisect", "Find the entries at which the answer to a question changes.", FIND, _some_entries
    ),
    Action(
        "check", ("K",), "check", "Have the checkers look for faults: leaks, thrashing, drift.", FIND, _some_entries
    ),
    Action(
        "watch",
        ("=",),
        "watch",
        "Tell the selected path or an expression all the time, and mark where its truth changes; again takes it away.",
        FIND,
        _some_entries,
    ),
    Action("bookmark", ("b",), "bookmark", "Set or remove a bookmark on the head.", FIND, _some_entries),
    Action("bookmark.go", ("'",), "bookmarks", "Choose a bookmark to go to.", FIND, _bookmarked),
    Action(
        "note",
        ("i",),
        "note",
        "Write a note on the selected value (Changes, Inspect) or on the entry (History), kept beside the history.",
        FIND,
        _some_entries,
    ),
    Action("note.list", ('"',), "notes", "List the notes; `i` there changes one.", FIND, _some_entries),
    Action(
        "bookmark.keep",
        ("ctrl+b",),
        "keep bookmarks",
        "Put the bookmarks among the notes, so that they go where the history goes.",
        FIND,
        _bookmarked,
    ),
    Action(
        "yank",
        ("y",),
        "copy",
        "Copy the selected value, its path, the entry, or Python and commands made of them.",
        SHARE,
        _some_entries,
    ),
    Action("export", ("E",), "export", "Write the state, the patch or a picture to a file.", SHARE, _some_entries),
    Action("plot", ("s",), "plot", "Draw the selected number over the whole history.", LOOK, _a_selection),
    Action(
        "pin",
        ("P",),
        "pin",
        "Give the selected atom a lane above all others in the timeline, or take it away.",
        LOOK,
        _a_selection,
    ),
    Action(
        "bytes",
        ("U",),
        "bytes",
        "Tell which atoms, paths, actions and codecs the bytes go to.",
        LOOK,
        _some_entries,
    ),
    Action("simulate", ("S",), "simulate", "Try every strategy and codec on this history.", LOOK, _some_entries),
    Action(
        "chains", ("c",), "chains", "Look at every chain, have the doctor examine them, repair.", LOOK, _some_entries
    ),
    Action(
        "program.jump",
        ("J",),
        "put back",
        "Have the running program go on from the head, after asking; what it records next follows that entry.",
        PROGRAM,
        _go_on_from_head,
    ),
    Action(
        "program.look",
        ("V",),
        "show in it",
        "Have the running program show the head, wherever it goes, until R.",
        PROGRAM,
        _look_at_head,
    ),
    Action(
        "program.back", ("R",), "return it", "Have the program go on from where it was before.", PROGRAM, _put_back
    ),
    Action(
        "program.skip",
        ("X",),
        "skip action",
        "Have the program's store work its state out without the head's action, or with it again; the result is a fork.",
        PROGRAM,
        _skip_head,
    ),
    Action(
        "program.pause",
        ("F",),
        "pause recording",
        "Have the program record nothing, or record again; the program itself runs on.",
        PROGRAM,
        _can("pause"),
    ),
    Action(
        "program.list",
        ("A",),
        "live programs",
        "List the programs that are recorded, with how they are, and the Python processes that can be attached to.",
        PROGRAM,
    ),
    Action(
        "tab.next", ("L", "ctrl+pagedown"), "next tab", "Bring the next source to the front.", SOURCES, _other_tabs
    ),
    Action(
        "tab.prev",
        ("H", "ctrl+pageup"),
        "previous tab",
        "Bring the source before to the front.",
        SOURCES,
        _other_tabs,
    ),
    Action("tab.go", ("`",), "tabs", "Choose a source; digits go to the first nine.", SOURCES, _other_tabs),
    Action(
        "choose",
        ("O",),
        "choose part",
        "Choose which thread, player or space of the source is shown; it is remembered.",
        SOURCES,
    ),
    Action(
        "identity",
        ("I",),
        "identity key",
        "Say which key tells the records of a list apart; it is remembered for the source.",
        SOURCES,
        _some_entries,
    ),
    Action(
        "tab.compare",
        ("C",),
        "compare tabs",
        "Find where this history and that of the next tab part.",
        SOURCES,
        _other_tabs,
    ),
    Action(
        "tab.link",
        ("&",),
        "link tabs",
        "Scrub this tab and another together, by time, entry or action; where they part is marked in both.",
        SOURCES,
        _other_tabs,
    ),
    Action(
        "palette",
        (":", "ctrl+p"),
        "command",
        "Go to an entry, an atom, a path, an action, a bookmark or a source by name, or run any command.",
        APP,
    ),
    Action("help", ("?", "f1"), "help", "What can be done here.", APP),
    Action("theme", ("t",), "theme", "Choose the colours; they show at once.", APP),
    Action("log", ("!",), "messages", "Read what the app told, warnings and problems included.", APP),
    Action("reread", ("r",), "re-read", "Look for new entries now.", APP),
    Action("copy", ("ctrl+c",), "copy value", "Copy the selected value.", APP),
    Action("escape", ("escape",), "leave", "Stop a search or playing, leave zoom, clear search, then filter.", APP),
    Action("quit", ("q",), "quit", "Leave; the place is remembered.", APP),
)
"""Every action of the main screen."""

BY_ID: Final[Mapping[str, Action]] = {action.id: action for action in ACTIONS}


def against_name(view: View) -> str:
    """Return what the head is compared with, for menus."""
    return {Against.PREVIOUS: "previous", Against.BASE: f"base #{view.base}", Against.LIVE: "live"}[view.against]


HINTS: Final[tuple[Hint, ...]] = (
    Hint(("move.down", "move.up"), "preview", (Pane.RESULTS,)),
    Hint(("open",), "go there", (Pane.RESULTS,)),
    Hint(("escape",), "back", (Pane.RESULTS,)),
    Hint(("step.prev", "step.next"), "step"),
    Hint(("atom.prev", "atom.next"), "value", _DETAILS),
    Hint(("full.prev", "full.next"), "full", (Pane.HISTORY,)),
    Hint(("tab.prev", "tab.next"), "tab"),
    Hint(("search.prev", "search.next"), "hits"),
    Hint(("inspect.mode",), "mode", (Pane.INSPECT,)),
    Hint(("why",), "why", (Pane.INSPECT,)),
    Hint(("line.open",), "line", _DETAILS),
    Hint(("base.mark",), "base"),
    Hint(("search",), "find"),
    Hint(("yank",), "copy"),
    Hint(("program.back",), "return"),
    Hint(("program.jump",), "put back"),
    Hint(("follow",), "follow"),
    Hint(("changes.unchanged",), "unchanged", (Pane.CHANGES,)),
    Hint(("changes.words",), "in words", (Pane.CHANGES,)),
    Hint(("against",), "against", (Pane.HISTORY, Pane.CHANGES)),
    Hint(("filter",), "filter", (Pane.HISTORY,)),
    Hint(("play",), "play", (Pane.HISTORY,)),
    Hint(("pane.zoom",), "zoom"),
    Hint(("palette",), "command"),
    Hint(("help",), "help"),
    Hint(("quit",), "quit"),
)
"""The footer, most useful first; the last two always find room."""


def hints(view: View) -> list[Hint]:
    """Return what the footer offers: what applies here and now."""
    return [
        hint
        for hint in HINTS
        if (not hint.panes or view.focus in hint.panes) and not any(BY_ID[name].refusal(view) for name in hint.ids)
    ]


_NAMES: Final[Mapping[str, str]] = {
    "comma": ",",
    "full_stop": ".",
    "left_square_bracket": "[",
    "right_square_bracket": "]",
    "left_parenthesis": "(",
    "right_parenthesis": ")",
    "less_than_sign": "<",
    "greater_than_sign": ">",
    "left_curly_bracket": "{",
    "right_curly_bracket": "}",
    "slash": "/",
    "backslash": "\\",
    "apostrophe": "'",
    "colon": ":",
    "question_mark": "?",
    "exclamation_mark": "!",
    "plus": "+",
    "minus": "-",
    "equals_sign": "=",
    "dollar_sign": "$",
    "grave_accent": "`",
    "quotation_mark": '"',
    "ampersand": "&",
    "vertical_line": "|",
    "underscore": "_",
    "semicolon": ";",
    "number_sign": "#",
}
_SHOWN: Final[Mapping[str, str]] = {
    "up": "↑",
    "down": "↓",
    "left": "←",
    "right": "→",
    "shift+left": "S-←",
    "shift+right": "S-→",
    "shift+up": "S-↑",
    "shift+down": "S-↓",
    "enter": "Enter",
    "space": "Space",
    "tab": "Tab",
    "shift+tab": "S-Tab",
    "escape": "Esc",
    "backspace": "Bksp",
    "pageup": "PgUp",
    "pagedown": "PgDn",
    "home": "Home",
    "end": "End",
    "f1": "F1",
    "ctrl+pageup": "^PgUp",
    "ctrl+pagedown": "^PgDn",
}


_ARROWS: Final = str.maketrans({"↑": "up", "↓": "down", "←": "left", "→": "right"})


class KeyConflict(Struct, frozen=True):
    """A key that the settings gave to one action while another has it from the registry.

    Attributes:
        key: the key.
        loser: the action that it belonged to, and that the settings do not speak of.
        winner: the action that it does now.
    """

    key: str
    loser: Action
    winner: Action


class Keymap:
    """Keys to actions and back."""

    __slots__ = ("_actions", "_keys", "conflicts", "plain")

    def __init__(self, changed: Mapping[str, Sequence[str]] | None = None, *, plain: bool = False) -> None:
        """Use the registry's keys, except for actions that the settings give other keys.

        Args:
            changed: keys of the settings, by action.
            plain: show keys in ASCII.
        """
        changed = changed or {}
        self.plain = plain
        self._keys: dict[str, tuple[str, ...]] = {
            action.id: tuple(changed.get(action.id, action.keys)) for action in ACTIONS
        }
        self._actions: dict[str, Action] = {}
        for action in ACTIONS:
            for key in self._keys[action.id]:
                self._actions.setdefault(key, action)
        conflicts = []
        # A key that the settings gave away belongs to its new action alone.
        for name, keys in changed.items():
            for key in keys:
                losers = [action for action in ACTIONS if key in action.keys and action.id not in changed]
                conflicts += [KeyConflict(key, loser, BY_ID[name]) for loser in losers]
                self._actions[key] = BY_ID[name]
        self.conflicts = tuple(conflicts)

    def action(self, key: str, character: str | None) -> Action | None:
        """Return what a key press does, or None."""
        found = self._actions.get(_NAMES.get(key, key))
        if found is None and character is not None:
            found = self._actions.get(character)
        return found

    def keys(self, action_id: str) -> tuple[str, ...]:
        """Return the keys of an action that really do it, the one shown first."""
        return tuple(key for key in self._keys[action_id] if self._actions[key].id == action_id)

    def told_conflicts(self) -> list[str]:
        """Return a sentence for each key that the settings took from an action in passing."""
        told = []
        for key, loser, winner in ((item.key, item.loser, item.winner) for item in self.conflicts):
            left = self.all_shown(loser.id)
            has = f"which still has {left}" if left else f'which has no key now; give it one: "{loser.id}" = ...'
            told.append(f"[keys] {winner.id} took {show_key(key, plain=self.plain)} from {loser.id}, {has}")
        return told

    def shown(self, action_id: str) -> str:
        """Return the first key of an action as people read it; empty when it has none."""
        keys = self.keys(action_id)
        return show_key(keys[0], plain=self.plain) if keys else ""

    def all_shown(self, action_id: str) -> str:
        """Return all keys of an action as people read them; empty when it has none."""
        return " ".join(show_key(key, plain=self.plain) for key in self.keys(action_id))


_MODIFIED: Final = re.compile(r"(?:(?:ctrl|shift|alt|super|hyper|meta)\+)+")
_KEY_NAMES: Final = frozenset(
    (
        *("up", "down", "left", "right", "home", "end", "pageup", "pagedown", "enter", "space", "tab", "escape"),
        *("backspace", "delete", "insert"),
        *(f"f{number}" for number in range(1, 25)),
    )
)


def known_key(text: str) -> str:
    """Return a key as the keymap names it: `full_stop` is `.`, `shift+n` is `N`, `Ctrl+D` is `ctrl+d`; empty for none."""
    if len(text) == 1:
        return text if text.isprintable() and text != " " else ""
    name = text.lower()
    modified = _MODIFIED.match(name)
    prefix, base = (modified[0], name[modified.end() :]) if modified else ("", name)
    base = _NAMES.get(base, base)
    if base not in _KEY_NAMES and not (len(base) == 1 and base.isprintable() and base != " "):
        return ""
    if prefix == "shift+" and base.isalpha() and len(base) == 1:
        return base.upper()
    return prefix + base


def key_names() -> tuple[str, ...]:
    """Return the names of keys that are more than a letter or sign."""
    return tuple(sorted(_KEY_NAMES))


def show_key(key: str, *, plain: bool = False) -> str:
    """Return a key as people read it: `^d`, `S-←`, `Enter`; `S-left` where it is to be plain ASCII."""
    if key in _SHOWN:
        return _SHOWN[key].translate(_ARROWS) if plain else _SHOWN[key]
    return key.replace("ctrl+", "^")


def key_of_shown(shown: str) -> str:
    """Return the key that people read so; the inverse of `show_key`."""
    known = next((key for key, text in _SHOWN.items() if shown in (text, text.translate(_ARROWS))), None)
    if known is not None:
        return known
    return f"ctrl+{shown[1:]}" if shown.startswith("^") and len(shown) > 1 else shown
