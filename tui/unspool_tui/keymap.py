"""Which key does what: the registry's keys, with what the settings change."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

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


class Keymap:
    """Keys to actions and back."""

    __slots__ = ("_actions", "_keys")

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
        # A key that the settings gave away belongs to its new action alone.
        for name, keys in changed.items():
            for key in keys:
                self._actions[key] = BY_ID[name]

    def action(self, key: str, character: str | None) -> Action | None:
        """Return what a key press does, or None."""
        found = self._actions.get(_NAMES.get(key, key))
        if found is None and character is not None:
            found = self._actions.get(character)
        return found

    def keys(self, action_id: str) -> tuple[str, ...]:
        """Return the keys of an action that really do it, the one shown first."""
        return tuple(key for key in self._keys[action_id] if self._actions[key].id == action_id)

    def shown(self, action_id: str) -> str:
        """Return the first key of an action as people read it; empty when it has none."""
        keys = self.keys(action_id)
        return show_key(keys[0]) if keys else ""


def show_key(key: str) -> str:
    """Return a key as people read it: `^d`, `S-←`, `Enter`."""
    if key in _SHOWN:
        return _SHOWN[key]
    return key.replace("ctrl+", "^")
