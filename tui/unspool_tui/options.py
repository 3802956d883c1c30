"""What a caller can ask of the terminal app."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

from msgspec import Struct

from unspool.model.paths import Path as Address
from unspool_tui.permits import EVERYTHING, Permits


class UiOptions(Struct, frozen=True):
    """Options of the terminal app; what is left None is taken from the settings file.

    Attributes:
        ascii: draw with plain ASCII only.
        no_color: draw without colour; also when the variable `NO_COLOR` is set.
        no_mouse: leave the mouse to the terminal.
        poll: seconds between looks at the source, where the file system tells of no changes; None looks only when told.
        config: settings file to read instead of the usual one.
        remember: keep and restore the place in each source.
        zone: time zone of clock times; None is the machine's.
        select: address (atom first) to show in Inspect at first; empty leaves what was selected.
        permits: what the person at the screen may do; a visitor's place is never remembered.
    """

    ascii: bool | None = None
    no_color: bool | None = None
    no_mouse: bool | None = None
    poll: float | None = None
    config: Path | None = None
    remember: bool = True
    zone: dt.tzinfo | None = None
    select: Address = ()
    permits: Permits = EVERYTHING
