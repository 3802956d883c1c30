"""What a report holds of a history: a first state and the patches from there on, kept to a size."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from unspool.delta.json_patch import encoded_patch
from unspool.history.history import History
from unspool.model.json_text import to_json
from unspool.model.tags import Unrepresentable
from unspool.model.values import Value
from unspool.model.wire import decode, encode
from unspool.sources.exports.html_text import script_json
from unspool.sources.exports.rewriting import Part, list_part, object_part, rewritten

MOST_ENTRIES: Final = 2_000
"""Rows that a page scrolls through with ease."""
_LARGEST_SHARE: Final = 4
"""The part of a report that one value may take."""
_SMALLEST_LIMIT: Final = 256
_LONGEST_TEXT: Final = 100_000
_EXACT_INTEGERS: Final = range(-(2**53) + 1, 2**53)


@dataclass(frozen=True, slots=True)
class ReportData:
    """The data of a report; all texts are JSON that is safe inside a script block.

    Attributes:
        seqs: the entries shown.
        base: the state at the first of them.
        patches: the RFC 6902 patch to each from the one shown before it; an empty one for the first.
        left_out: changes of values that are too large to be shown.
    """

    seqs: tuple[int, ...]
    base: str
    patches: tuple[str, ...]
    left_out: int = 0


def report_data(history: History, max_bytes: int) -> ReportData:
    """Return the data of a report of about a size at most.

    All entries are shown if they fit; otherwise every second, every third and so on, always the first and the last.
    Values are left out only where two states alone would be too large.
    """
    total = len(history)
    step = max(1, math.ceil(total / MOST_ENTRIES))
    limit = max(_SMALLEST_LIMIT, max_bytes // _LARGEST_SHARE)
    while True:
        seqs = tuple(sorted({*range(0, total, step), *((total - 1,) if total else ())}))
        collector = _Collector(history, limit, max_bytes)
        reached = collector.collect(seqs)
        if reached == len(seqs) or (len(seqs) <= 2 and limit <= _SMALLEST_LIMIT):
            return ReportData(seqs[:reached], collector.base, tuple(collector.patches), collector.left_out)
        if len(seqs) > 2:
            step *= 2
        else:
            limit = max(_SMALLEST_LIMIT, limit // _LARGEST_SHARE)


class _Collector:
    """Collects base and patches until they are too large."""

    def __init__(self, history: History, limit: int, max_bytes: int) -> None:
        self.base = "{}"
        self.patches: list[str] = []
        self.left_out = 0
        self._history = history
        self._limit = limit
        self._room = max_bytes

    def collect(self, seqs: tuple[int, ...]) -> int:
        """Take the entries; return how many found room."""
        before: Mapping[str, bytes] = {}
        for number, seq in enumerate(seqs):
            after = self._trimmed(self._history.view(seq).wire)
            if number == 0:
                text = self.base = page_json({atom: decode(data) for atom, data in after.items()})
                self.patches.append("[]")
            else:
                text = page_json(encoded_patch(before, after, self._history.identity))
                self.patches.append(text)
            self._room -= len(text)
            if self._room < 0 and number < len(seqs) - 1:
                return number
            before = after
        return len(seqs) if self._room >= 0 or self._limit <= _SMALLEST_LIMIT else 0

    def _trimmed(self, wire: Mapping[str, bytes]) -> dict[str, bytes]:
        kept: dict[str, bytes] = {}
        for atom, data in wire.items():
            if len(data) > self._limit:
                self.left_out += 1
                data = encode(Unrepresentable("left out", f"{len(data)} bytes are too many for this report"))
            kept[atom] = data
        return kept


def page_json(value: Value) -> str:
    """Return a value as JSON for the page: numbers that JavaScript would change are kept as text."""
    return script_json(to_json(rewritten(value, _part)))


def _part(value: Value) -> Part | Value:
    match value:
        case dict() if all(type(key) is str for key in value):
            return object_part(list(value), iter(value.values()))
        case list():
            return list_part(value)
        case bool():
            return value
        case int() if value not in _EXACT_INTEGERS:
            return {"$int": to_json(value)}
        case float() if math.isfinite(value) and value.is_integer():
            return {"$float": repr(value)}
        case str() if len(value) > _LONGEST_TEXT:
            return {"$cut": value[:_LONGEST_TEXT], "length": len(value)}
    return value
