"""Questions over a history: who set this, where does it flip, where is it, where are the bytes.

`blame` and `path_writes`, `search`, `bisect`, `divergence`, `footprint`; `doctor` and `repair`, `simulator`, `checkers`.
Each module holds the function that asks; nothing is imported before it is asked for.
"""

from __future__ import annotations

from typing import Final

SEARCHED: Final = "actions, keys, values and paths"
"""What a text or pattern is looked for in, as commands, keys and tools call it. Here, for `--help` imports no question."""
