"""Copying to the clipboard: the terminal's own way (OSC 52) first over SSH, a native tool first on the machine itself."""

from __future__ import annotations

import base64
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct

if TYPE_CHECKING:
    from textual.app import App

MOST_ENCODED: Final = 74_994
"""Base64 characters that terminals take in one OSC 52 sequence (the cap that k9s uses)."""
_TOOLS: Final = (
    (("WAYLAND_DISPLAY",), ("wl-copy",)),
    (("DISPLAY",), ("xclip", "-selection", "clipboard")),
    (("DISPLAY",), ("xsel", "--clipboard", "--input")),
)
_TOOL_SECONDS: Final = 2.0


class Outcome(Struct, frozen=True):
    """What became of a copy.

    Attributes:
        arrived: it was handed over.
        said: where it went, or why it did not.
    """

    arrived: bool
    said: str


def copy_text(app: App[Any], text: str, env: Mapping[str, str] | None = None) -> Outcome:
    """Copy a text, by a native tool or through the terminal."""
    env = os.environ if env is None else env
    # In a browser, this machine's clipboard is somebody else's.
    elsewhere = app.is_web or env.get("SSH_TTY") or env.get("SSH_CONNECTION")
    tool = None if elsewhere else native_tool(env)
    if tool is not None and _run(tool, text):
        return Outcome(True, f"copied with {tool[0]}")
    encoded = len(base64.b64encode(text.encode("utf-8", "replace")))
    if encoded > MOST_ENCODED:
        return Outcome(
            False, f"is too much for a terminal to copy ({encoded:,} of {MOST_ENCODED:,} characters); export it (E)"
        )
    app.copy_to_clipboard(text.encode("utf-8", "replace").decode())
    return Outcome(True, "sent to the terminal's clipboard (OSC 52)")


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
