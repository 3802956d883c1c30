"""Keys for an app that runs without a terminal, without Textual's pauses between them."""

from __future__ import annotations

from typing import Any

from textual import events
from textual.keys import _character_to_key
from textual.pilot import Pilot

_CHARACTERS = {"space": " ", "tab": "\t", "enter": "\r"}


async def press_keys(pilot: Pilot[Any], *keys: str) -> None:
    """Press keys, each by its name or character, and wait until every message they caused is handled."""
    for key in keys:
        character = _CHARACTERS.get(key, key if len(key) == 1 else None)
        event = events.Key(_character_to_key(key) if len(key) == 1 else key, character)
        event.set_sender(pilot.app)
        pilot.app.post_message(event)
        await pilot._wait_for_screen()
