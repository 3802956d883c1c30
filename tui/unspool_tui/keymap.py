"""Which key does what: the registry's keys, with what the settings change."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from msgspec import Struct

from unspool_tui.actions import ACTIONS, BY_ID, Action

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
    "grave_accent": "`",
}
_SHOWN: Final[Mapping[str, str]] = {
    "up": "↑",
    "down": "↓",
    "left": "←",
    "right": "→",
    "shift+left": "S-←",
    "shift+right": "S-→",
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


class Conflict(Struct, frozen=True):
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

    __slots__ = ("_actions", "_keys", "conflicts")

    def __init__(self, changed: Mapping[str, Sequence[str]] | None = None) -> None:
        """Use the registry's keys, except for actions that the settings give other keys."""
        changed = changed or {}
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
                conflicts += [Conflict(key, loser, BY_ID[name]) for loser in losers]
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
            left = " ".join(map(show_key, self.keys(loser.id)))
            has = f"which still has {left}" if left else f'which has no key now; give it one: "{loser.id}" = ...'
            told.append(f"[keys] {winner.id} took {show_key(key)} from {loser.id}, {has}")
        return told

    def shown(self, action_id: str) -> str:
        """Return the first key of an action as people read it; empty when it has none."""
        keys = self.keys(action_id)
        return show_key(keys[0]) if keys else ""


def show_key(key: str) -> str:
    """Return a key as people read it: `^d`, `S-←`, `Enter`."""
    if key in _SHOWN:
        return _SHOWN[key]
    return key.replace("ctrl+", "^")
