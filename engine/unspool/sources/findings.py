"""What a reader could not read, counted in full and listed as far as a person can use it; what it does not know is kept in the meta."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from unspool.model.paths import Path, format_path
from unspool.model.values import Value

LISTED: Final = 200
"""Findings that are listed one by one; the rest are only counted."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing a person must know about what was read.

    Attributes:
        place: file, and line, byte offset, commit or row in it.
        message: what is wrong there and what was done about it.
        is_loss: something of the source is not in the history because of it.
    """

    place: str
    message: str
    is_loss: bool = True


@dataclass(slots=True)
class Findings:
    """The findings of one reader.

    `lasting` ones stay for good. A `pending` one stands for something that may still come right (a file caught
    half-written) and goes away when it does. A `growing` one counts something and is told anew each time.
    """

    lasting: list[Finding] = field(default_factory=list)
    pending: dict[str, Finding] = field(default_factory=dict)
    count: int = 0
    has_loss: bool = False
    growing: dict[str, Finding] = field(default_factory=dict)

    def growing_loss(self, key: str, place: str, message: str) -> None:
        """Remember a loss that becomes more and more; the newest message of a key stands for those before it."""
        self.has_loss = True
        self.growing[key] = Finding(place, message)

    def loss(self, place: str, message: str) -> None:
        """Remember something that could not be read."""
        self._add(Finding(place, message))

    def notice(self, place: str, message: str) -> None:
        """Remember something worth knowing that cost nothing."""
        self._add(Finding(place, message, is_loss=False))

    def _add(self, finding: Finding) -> None:
        self.count += 1
        self.has_loss = self.has_loss or finding.is_loss
        if len(self.lasting) < LISTED:
            self.lasting.append(finding)

    def wait_for(self, key: str, place: str, message: str) -> None:
        """Remember something that may still come right."""
        self.pending[key] = Finding(place, message)

    def came_right(self, key: str) -> None:
        """Forget what was waited for."""
        self.pending.pop(key, None)

    @property
    def is_complete(self) -> bool:
        """Whether everything in the source is in the history."""
        return not self.has_loss and not self.pending

    @property
    def unlisted(self) -> int:
        """How many findings are counted but not listed."""
        return self.count - len(self.lasting)

    def listed(self) -> list[Finding]:
        """Return the findings to show."""
        return [*self.lasting, *self.growing.values(), *self.pending.values()]


Known = Mapping[str, "Known"] | list["Known"] | None | tuple[()]
"""What a format knows of a part of its records: fields by name (`*` for any), items of a list, `SCALAR`, or None: all of it."""
_NOTHING: Final[tuple[Value, ...]] = (None, "", [], {}, False, 0)
SCALAR: Final = ()
"""A text, a number, true, false or null."""
OTHER: Final = "other"
"""In the meta of an entry: parts of its record that the format does not know, by their paths."""


def unknown_parts(record: Value, known: Known) -> dict[str, Value]:
    """Return the parts of a record that its format does not know, by their paths: kept in the meta, none is passed over.

    Args:
        record: the parsed record.
        known: what the format knows of it.
    """
    found: dict[str, Value] = {}
    pending: list[tuple[Path, Value, Known]] = [((), record, known)]
    while pending:
        path, value, shape = pending.pop()
        if shape is None:
            continue
        if isinstance(shape, Mapping) and isinstance(value, dict):
            for key, part in value.items():
                if key in shape or "*" in shape:
                    inner = shape[key] if key in shape else shape["*"]
                    if inner is not None:
                        pending.append(((*path, key), part, inner))
                else:
                    found[format_path((*path, key), root="")] = part
        elif isinstance(shape, list) and isinstance(value, list):
            pending.extend(((*path, place), part, shape[0]) for place, part in enumerate(value))
        elif value not in _NOTHING and (shape != SCALAR or isinstance(value, dict | list)):
            found[format_path(path, root="")] = value
    return found


def with_others(meta: Mapping[str, Value], record: Value, known: Known) -> Mapping[str, Value]:
    """Return the meta of an entry with what its format does not know of its record."""
    others = unknown_parts(record, known)
    return {**meta, OTHER: others} if others else meta
