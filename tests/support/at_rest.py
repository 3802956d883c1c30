"""Files that look as if nobody were writing them."""

from __future__ import annotations

import os
from pathlib import Path


def at_rest(path: Path) -> Path:
    """Give a file an old time, and return it: a broken one that is new might still be being written, and is waited for."""
    os.utime(path, (1, 1))
    return path
