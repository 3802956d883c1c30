"""Copying: what there is to copy of a view, as text, and how it gets into the clipboard."""

from __future__ import annotations

import base64
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct

from unspool.delta.apply import state_patch
from unspool.model.entries import iso_time
from unspool.model.json_text import to_json
from unspool.model.keys import Path, Step, format_path, spell_key
from unspool.model.paths import MEMBER_FIELDS, step_of, value_parts
from unspool.model.values import MISSING, Tagged, Value
from unspool.query.entry_names import NoSuchPlace
from unspool_tui.copy_python import NoTest, change_test, opening_lines
from unspool_tui.panes.detail import Detail
from unspool_tui.rendering.sanitize import visible
from unspool_tui.view.model import View
from unspool_tui.view.outline import value_at

if TYPE_CHECKING:
    from textual.app import App

    from unspool.history.history import History


def _always(view: View) -> str:
    return ""


def _some_entries(view: View) -> str:
    return "" if view.total else "the history is still empty"


def _selected(view: View) -> str:
    return "" if view.selected else "select something in Changes or Inspect first"


class CopyKind(Struct, frozen=True):
    """One line of the menu of what to copy.

    Attributes:
        key: the key that chooses it.
        label: what it is called on the screen.
        text: returns what is copied; raises an UnspoolError where nothing stands at the selected address, or an entry
            cannot be rebuilt.
        why_not: why it does not apply now; empty when it does.
    """

    key: str
    label: str
    text: Callable[[History, View, Detail], str]
    why_not: Callable[[View], str]


def value_text(detail: Detail, address: Path) -> str:
    """Return the value at an address: text as it reads, anything else as JSON."""
    value = value_at(detail.state, address)
    if value is MISSING:
        raise NoSuchPlace(f"{format_path(address[:20])} is not there at #{detail.request.head}")
    return value if isinstance(value, str) else to_json(value, indent=2)


def jq_path(state: Mapping[str, Value], address: Path) -> str:
    """Spell an address for jq, as the JSON that is shown and exported holds it: plain keys with dots, others quoted."""
    steps: list[Step] = list(address[:1])
    value: Value = state[str(address[0])] if address and address[0] in state else None
    for step in address[1:]:
        while type(value) is Tagged and not value.is_member:
            steps.append("value")
            value = value.value
        if type(value) is Tagged:
            # A member of an enumeration is a list of name and value.
            steps.append("value")
            value, step = value.value, MEMBER_FIELDS.index(step) if step in MEMBER_FIELDS else step
        if isinstance(value, Mapping) and not all(type(key) is str for key in value):
            places = {step_of(key): place for place, key in enumerate(value)}
            steps += ["$pairs", places.get(step, -1), 1]
        else:
            steps += [*_JSON_TAGS.get(type(value), ()), step]
        parts = value_parts(value)
        if isinstance(parts, list):
            value = parts[step] if isinstance(step, int) and step < len(parts) else None
        else:
            value = None if parts is None else parts.get(step)
    text = format_path(tuple(steps), root="")
    return text if text.startswith("[") and not text.startswith('["') else "." + text.lstrip(".")


_JSON_TAGS: Final[dict[type, tuple[str]]] = {tuple: ("$tuple",), set: ("$set",), frozenset: ("$frozenset",)}


def python_text(history: History, view: View, detail: Detail) -> str:
    """Return the Python that opens the history and takes the selected value."""
    value: Value = detail.state
    for step in view.selected:
        if not isinstance(value, Mapping | list | tuple):
            raise NoTest("this value lies inside of an object; y p copies its path")
        value = value_at({"": value}, ("", step))
        if value is MISSING:
            raise NoSuchPlace(f"{format_path(view.selected[:20])} is not there at #{view.head}")
    return opening_lines(source_argument(history), view.head, view.selected, value)


def patch_text(history: History, detail: Detail) -> str:
    """Return the RFC 6902 JSON Patch that turns the compared state into that of the head."""
    old = {} if detail.from_seq < 0 else history.state(detail.from_seq)
    return to_json(state_patch(old, history.state(detail.request.head), history.identity), indent=2)


def link(history: History, view: View) -> str:
    """Return the command that opens the history at the head, with the selected value in Inspect."""
    chosen = f" --atom {shlex.quote(format_path(view.selected, root=''))}" if view.selected else ""
    return f"unspool open {shlex.quote(source_argument(history))} --at {view.head}{chosen}"


def entry_line(history: History, view: View) -> str:
    """Return the head in one line, as people name an entry to each other: number, time and action."""
    entry = history[view.head]
    return f"#{entry.seq} {iso_time(entry.timestamp_ns)} {visible(entry.action)}".rstrip()


def source_argument(history: History) -> str:
    """Return what to call the source on a command line: its file where it has one."""
    files = [path for path in history.watch_paths if not path.name.endswith(("-wal", "-shm"))]
    return str(files[0]) if len(files) == 1 else history.source_name


COPY_VALUE: Final = CopyKind("v", "value", lambda history, view, detail: value_text(detail, view.selected), _selected)
COPY_ENTRY: Final = CopyKind(
    "e", "entry in one line", lambda history, view, detail: entry_line(history, view), _some_entries
)
COPY_KINDS: Final = (
    COPY_VALUE,
    CopyKind("k", "key", lambda history, view, detail: spell_key(view.selected[-1]), _selected),
    CopyKind("p", "path ($.a.b[0])", lambda history, view, detail: format_path(view.selected), _selected),
    CopyKind("q", "jq path (.a.b[0])", lambda history, view, detail: jq_path(detail.state, view.selected), _selected),
    CopyKind("d", "JSON Patch of this diff", lambda history, view, detail: patch_text(history, detail), _always),
    CopyKind(
        "s", "whole state as JSON", lambda history, view, detail: to_json(dict(detail.state), indent=2), _always
    ),
    COPY_ENTRY,
    CopyKind("t", "test of this change (pytest)", change_test, _some_entries),
    CopyKind(
        "c",
        "Python that opens it",
        lambda history, view, detail: python_text(history, view, detail),
        _selected,
    ),
    CopyKind("l", "command that opens this place", lambda history, view, detail: link(history, view), _always),
)


MOST_ENCODED: Final = 74_994
"""Base64 characters that terminals take in one OSC 52 sequence (the cap that k9s uses)."""
_TOOLS: Final = (
    (("WAYLAND_DISPLAY",), ("wl-copy",)),
    (("DISPLAY",), ("xclip", "-selection", "clipboard")),
    (("DISPLAY",), ("xsel", "--clipboard", "--input")),
)
_TOOL_SECONDS: Final = 2.0


class CopyOutcome(Struct, frozen=True):
    """What became of a copy.

    Attributes:
        arrived: it was handed over.
        said: where it went, or why it did not.
    """

    arrived: bool
    said: str


def copy_text(app: App[Any], text: str, env: Mapping[str, str] | None = None) -> CopyOutcome:
    """Copy a text, by a native tool or through the terminal."""
    env = os.environ if env is None else env
    # In a browser, this machine's clipboard is somebody else's.
    elsewhere = app.is_web or env.get("SSH_TTY") or env.get("SSH_CONNECTION")
    tool = None if elsewhere else native_tool(env)
    if tool is not None and _run(tool, text):
        return CopyOutcome(True, f"copied with {tool[0]}")
    encoded = len(base64.b64encode(text.encode("utf-8", "replace")))
    if encoded > MOST_ENCODED:
        return CopyOutcome(
            False, f"is too much for a terminal to copy ({encoded:,} of {MOST_ENCODED:,} characters); export it (E)"
        )
    app.copy_to_clipboard(text.encode("utf-8", "replace").decode())
    return CopyOutcome(True, "sent to the terminal's clipboard (OSC 52)")


def native_tool(env: Mapping[str, str]) -> tuple[str, ...] | None:
    """Return the command that fills the clipboard of this machine, if there is one."""
    if sys.platform == "darwin":
        return ("pbcopy",)
    for variables, command in _TOOLS:
        if all(env.get(name) for name in variables) and shutil.which(command[0]):
            return command
    return None


def _run(command: tuple[str, ...], text: str) -> bool:
    try:
        done = subprocess.run(
            command, input=text.encode("utf-8", "replace"), timeout=_TOOL_SECONDS, check=False, capture_output=True
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0
