"""The place in the program that recorded an entry, kept among the entry's meta."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from unspool.model.values import Value

CALLER: Final = "caller"
"""The key of meta under which the place is kept."""


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
