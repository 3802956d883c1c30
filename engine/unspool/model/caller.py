"""What an entry's meta says of the call that recorded it: its place, what surrounded it, what was passed over before it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from unspool.model.values import Value

CALLER: Final = "caller"
"""The key of meta under which the place is kept."""
CONTEXT: Final = "unspool.context"
"""The key of meta under which the surroundings are kept, or `SAME`."""
SAME: Final = True
"""Stands for the surroundings of the entry before."""
SAME_META: Final[Mapping[str, Value]] = MappingProxyType({CONTEXT: SAME})
"""The meta of an entry that tells nothing else; this very object, so that it need not be looked into."""
RESTATED: Final = 64
"""Entries after which surroundings are told again though they are the same, so that nobody looks far for them."""

EVENT: Final = "event"
"""The key of meta under which the payload of an action is kept: a reducer can make the entry's state of it once more."""
PASSED_OVER: Final = "unspool.passed_over"
"""The key of meta under which stands how many calls before an entry a recorder with a bound on its pace left out."""


def passed_over_in(meta: Mapping[str, Value]) -> int:
    """Return how many calls were passed over before an entry, and so may have made some of its changes."""
    count = meta.get(PASSED_OVER)
    return count if type(count) is int and count > 0 else 0


@dataclass(frozen=True, slots=True)
class Caller:
    """A line of source.

    Attributes:
        file: the file, as the program named it.
        line: counted from 1.
        function: its qualified name; may be empty.
    """

    file: str
    line: int
    function: str = ""

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" + (f" in {self.function}" if self.function else "")

    def to_meta(self) -> dict[str, Value]:
        """Return what is kept under `CALLER`."""
        return {"file": self.file, "line": self.line, "function": self.function}


def caller_of(meta: Mapping[str, Value]) -> Caller | None:
    """Return the place that an entry's meta names; None where it names none, or something else by that key."""
    kept = meta.get(CALLER)
    if not isinstance(kept, Mapping):
        return None
    file, line, function = kept.get("file"), kept.get("line"), kept.get("function", "")
    if not isinstance(file, str) or not isinstance(line, int) or not isinstance(function, str):
        return None
    return Caller(file, line, function)
