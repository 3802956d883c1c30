"""Questions over a history: who set this, where does it flip, where is it, where are the bytes.

`blame` and `path_writes`, `search`, `bisect`, `divergence`, `footprint`; `doctor` and `repair`, `simulator`, `checkers`.
Each module holds the function that asks; nothing is imported before it is asked for.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class HitKind(StrEnum):
    """What a search matches: facts of an entry (`FACTS` in `unspool.query.search`), then parts of its state.

    It stands here since `--help` names the kinds and imports no question.
    """

    ACTION = "action"
    CALLER = "caller"
    KEY = "key"
    VALUE = "value"
    PATH = "path"
    RESULT = "result"
    """What an expression gave; nothing that a text is looked for in."""


_IN_TEXT: Final = [f"{kind}s" for kind in HitKind if kind is not HitKind.RESULT]
SEARCHED: Final = f"{', '.join(_IN_TEXT[:-1])} and {_IN_TEXT[-1]}"
"""What a text or pattern is looked for in, as commands, keys and tools call it."""
