"""File names in the order people mean: `state-2` before `state-10`."""

from __future__ import annotations

import re
from typing import Final

_DIGITS: Final = re.compile(r"(\d+)", re.ASCII)


def natural_key(name: str) -> tuple[tuple[int, int, str], ...]:
    """Return a sort key in which runs of digits compare as numbers."""
    parts = _DIGITS.split(name)
    return tuple(
        (0, int(part), part) if index % 2 and len(part) < 1000 else (1, 0, part.casefold())
        for index, part in enumerate(parts)
        if part
    )
