"""Serving the screen to web browsers: the server, a visitor's process as the server sees it, and that process itself.

The server is this project's own, on aiohttp, and starts one process a visitor, which speaks the protocol of Textual's
web driver. From textual-serve comes the script that draws a terminal in the browser, with its style sheet and fonts;
its server is not used: it starts commands through a shell, waits without limit for them to end, and checks neither who
asks nor how much.
"""

from __future__ import annotations

from typing import Final

DRIVER: Final = "unspool_tui.serving.confined:VisitorDriver"
"""What `TEXTUAL_DRIVER` names in a visitor's process."""
SCRATCH: Final = "unspool-serve-"
"""How the name of the folder begins that the server makes for the temporary files of one visitor."""
MOST_COLUMNS: Final = 500
MOST_ROWS: Final = 200
"""The largest screen that is drawn, in cells; a page may ask for any."""


def clamped(width: int, height: int) -> tuple[int, int]:
    """Return a size in cells that a screen can have."""
    return max(1, min(width, MOST_COLUMNS)), max(1, min(height, MOST_ROWS))
