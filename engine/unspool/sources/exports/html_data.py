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
from unspool.query.lineage import forks
from unspool.sources.exports.html_text import script_json
from unspool.sources.exports.options import Holes
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
        patches: the RFC 6902 patch to each from the one it follows; an empty one for the first.
        follows: which of the entries shown each one follows, by its place: its nearest ancestor among them.
        left_out: changes of values that are too large to be shown.
    """

    seqs: tuple[int, ...]
    base: str
    patches: tuple[str, ...]
    follows: tuple[int, ...] = ()
    left_out: int = 0


def report_data(history: History, max_bytes: int, holes: Holes) -> ReportData:
    """Return the data of a report of about a size at most.

    All entries are shown if they fit; otherwise every second, every third and so on, always the first and the last.
    Values are left out only where two states alone would be too large.
    """
    total, origin = len(history), history.first
    parents = {fork.seq: fork.parent for fork in forks(history, origin, total)}
    step = max(1, math.ceil((total - origin) / MOST_ENTRIES))
    limit = max(_SMALLEST_LIMIT, max_bytes // _LARGEST_SHARE)
    while True:
        seqs = tuple(sorted({*range(origin, total, step), *((total - 1,) if total else ())}))
        follows = _ancestors(seqs, parents)
        collector = _Collector(history, limit, max_bytes, holes)
        reached = collector.collect(seqs, follows)
        if reached == len(seqs) or (len(seqs) <= 2 and limit <= _SMALLEST_LIMIT):
            patches = tuple(collector.patches)
            return ReportData(seqs[:reached], collector.base, patches, follows[:reached], collector.left_out)
        if len(seqs) > 2:
            step *= 2
        else:
            limit = max(_SMALLEST_LIMIT, limit // _LARGEST_SHARE)


def _ancestors(seqs: tuple[int, ...], parents: Mapping[int, int | None]) -> tuple[int, ...]:
    """Return for each entry shown the place of its nearest ancestor that is shown too; its own for the first."""
    places = {seq: place for place, seq in enumerate(seqs)}
    follows = []
    for seq in seqs:
        parent = parents.get(seq, seq - 1)
        while parent is not None and parent not in places:
            parent = parents.get(parent, parent - 1)
        follows.append(0 if parent is None else places[parent])
    return tuple(follows)


class _Collector:
    """Collects base and patches until they are too large."""

    def __init__(self, history: History, limit: int, max_bytes: int, holes: Holes) -> None:
        self.base = "{}"
        self.patches: list[str] = []
        self.left_out = 0
        self._history = history
        self._holes = holes
        self._limit = limit
        self._room = max_bytes

    def collect(self, seqs: tuple[int, ...], follows: tuple[int, ...]) -> int:
        """Take the entries, each with the place of the one it follows; return how many found room."""
        last: Mapping[str, bytes] = {}
        for number, seq in enumerate(seqs):
            before = last if follows[number] == number - 1 else self._trimmed(seqs[follows[number]])
            after = last = self._trimmed(seq)
            self.left_out += sum(
                after[atom] is not data for atom, data in self._holes.view(self._history, seq).wire.items()
            )
            if number == 0:
                text = self.base = page_json({atom: decode(data) for atom, data in after.items()})
                self.patches.append("[]")
            else:
                text = page_json(encoded_patch(before, after, self._history.identity))
                self.patches.append(text)
            self._room -= len(text)
            if self._room < 0 and number < len(seqs) - 1:
                return number
        return len(seqs) if self._room >= 0 or self._limit <= _SMALLEST_LIMIT else 0

    def _trimmed(self, seq: int) -> dict[str, bytes]:
        kept: dict[str, bytes] = {}
        for atom, data in self._holes.view(self._history, seq).wire.items():
            if len(data) > self._limit:
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
