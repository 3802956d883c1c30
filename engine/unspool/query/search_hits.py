"""What of an entry matches: looking at the parts that differ from the entry before."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from itertools import islice
from typing import Final, Protocol

from unspool.delta.structural import Identity
from unspool.model.encoded import shared_ends
from unspool.model.json_text import in_one_line
from unspool.model.keys import spell_key
from unspool.model.parts import DEEPEST, parts_inside
from unspool.model.paths import Path, Step, format_path
from unspool.model.values import Value
from unspool.model.wire import decode, encode
from unspool.query.expressions import Predicate
from unspool.query.parts import children, differences
from unspool.query.reading import Wire
from unspool.query.search_queries import Query, Span

MOST_HITS: Final = 100_000
"""Hits of one entry that are told; nobody reads more, and each takes memory until the entry is done."""
_EXCERPT: Final = 80
"""Code points of a long text that are told round a match."""


class HitKind(StrEnum):
    """What matched; a `result` is what an expression gave."""

    KEY = "key"
    VALUE = "value"
    PATH = "path"
    RESULT = "result"


@dataclass(frozen=True, slots=True)
class Hit:
    """One place that matches.

    Attributes:
        seq: the entry at which it appears or changes.
        atom: its atom; empty for a result that more than one atom went into.
        path: where it stands, from the atom on; empty for a result.
        kind: what matched.
        text: the key, the path, or the value as text, cut round the match where it is long.
        span: where in `text` the match starts and ends.
        older: it appeared at that entry or before it: older entries were dropped by a bound on the recording.
    """

    seq: int
    atom: str
    path: Path
    kind: HitKind
    text: str
    span: Span
    older: bool = False


class Look(Protocol):
    """Tells what of an entry matches.

    Attributes:
        needs_before: it says nothing of an entry of which the state before is not known.
    """

    @property
    def needs_before(self) -> bool: ...

    def hits(self, seq: int, old: Wire, new: Wire) -> list[Hit]:
        """Return what matches in an entry's state and is not so in the state before."""


@dataclass(frozen=True, slots=True)
class _Place:
    """A part of a state on the way to what changed."""

    path: Path
    text: str
    named: bool
    """Whether its path, or that of a part that holds it, matches."""


_TOP: Final = _Place((), "$", False)


class TextLook:
    """Looks for a query in keys, values and paths of what changed."""

    needs_before = False

    def __init__(self, query: Query, identity: Identity | None = None) -> None:
        """Look for a query; `identity` are identity keys of lists set by hand."""
        self._query = query
        self._identity = identity
        self._free_of_it: dict[str, bytes] = {}
        """Values of atoms that hold nothing of what is looked for."""

    def hits(self, seq: int, old: Wire, new: Wire) -> list[Hit]:
        """See `Look.hits`; a key or path on the way to several changes is told once."""
        found: list[Hit] = []
        places: dict[Path, _Place] = {(): _TOP}
        for atom, value in new.items():
            before = old.get(atom)
            if before == value or not self._may_be_in(atom, before, value):
                continue
            for part in differences(before, value, (atom,), self._identity):
                if part.new_path is not None and part.new_bytes is not None:
                    place = self._reach(seq, part.new_path, places, found)
                    found.extend(islice(self._inside(seq, place, part.new_bytes), MOST_HITS - len(found)))
                if len(found) >= MOST_HITS:
                    return found[:MOST_HITS]
        return found

    def _may_be_in(self, atom: str, before: bytes | None, value: bytes) -> bool:
        """Say whether to take an atom apart: what was not in it before must be where the two values differ."""
        piece = value
        if before is not None and self._free_of_it.get(atom) == before:
            start, end = shared_ends(before, 0, value, 0)
            margin = self._query.size - 1
            piece = value[max(0, start - margin) : len(value) - end + margin]
        may_be = self._query.may_be_in(atom, piece)
        if not may_be:
            self._free_of_it[atom] = value
        return may_be

    def _reach(self, seq: int, path: Path, places: dict[Path, _Place], found: list[Hit]) -> _Place:
        """Walk down to a changed part, looking at the names on the way."""
        place = _TOP
        for size, step in enumerate(path, 1):
            known = places.get(path[:size])
            if known is None:
                known, hit = self._name(seq, place, step)
                places[known.path] = known
                if hit is not None:
                    found.append(hit)
            place = known
        return place

    def _name(self, seq: int, holder: _Place, step: Step) -> tuple[_Place, Hit | None]:
        """Look at the key and the path of a part."""
        path = (*holder.path, step)
        if not self._query.looks_at_names:
            return _Place(path, "", False), None
        text = holder.text + _spelled(step)
        # A number may be an index, which is no key.
        name = "" if isinstance(step, int) else spell_key(step)
        key = self._query.find(name) if name else None
        if key is not None:
            return _Place(path, text, True), _hit(seq, path, HitKind.KEY, name, key)
        if holder.named:
            return _Place(path, text, True), None
        span = self._query.find(text)
        if span is None:
            return _Place(path, text, False), None
        return _Place(path, text, True), _hit(seq, path, HitKind.PATH, text, span)

    def _inside(self, seq: int, place: _Place, value: bytes) -> Iterator[Hit]:
        """Yield what matches in a part that is new or another one."""
        pending = [(place, value)]
        while pending:
            place, value = pending.pop()
            parts = parts_inside(value) if len(place.path) < DEEPEST else None
            if not parts:
                decoded = decode(value)
                text = leaf_text(decoded)
                span = self._query.find_value(place.path, decoded, text)
                if span is not None:
                    yield _hit(seq, place.path, HitKind.VALUE, text, span)
                continue
            inner: list[tuple[_Place, bytes]] = []
            for step, part in children(parts):
                child, hit = self._name(seq, place, step)
                inner.append((child, part))
                if hit is not None:
                    yield hit
            pending.extend(reversed(inner))


class ResultLook:
    """Looks for results of an expression that hold and were not there before."""

    needs_before = False

    def __init__(self, expression: Predicate) -> None:
        """Look for what an expression gives; of a list each item counts by itself."""
        self._expression = expression
        reads = expression.reads
        self._atom = next(iter(reads)) if reads is not None and len(reads) == 1 else ""

    def hits(self, seq: int, old: Wire, new: Wire) -> list[Hit]:
        """See `Look.hits`."""
        reads = self._expression.reads
        if old and reads is not None and all(old.get(atom) == new.get(atom) for atom in reads):
            return []
        before = self._expression.ask(old) if old else None
        answer = self._expression.ask(new)
        if not answer.holds:
            return []
        known = {encode(item) for item in _items(before.value)} if before is not None and before.holds else set()
        items = (item for item in _items(answer.value) if encode(item) not in known)
        texts = [leaf_text(item) for item in islice(items, MOST_HITS)]
        path = (self._atom,) if self._atom else ()
        return [_hit(seq, path, HitKind.RESULT, text, (0, len(text))) for text in texts]


def result_hit(seq: int, value: Value) -> Hit:
    """Return what a question about an entry gave there, as a hit."""
    text = leaf_text(value)
    return _hit(seq, (), HitKind.RESULT, text, (0, len(text)))


def _items(value: Value) -> list[Value]:
    return value if isinstance(value, list) else [value]


def leaf_text(value: Value) -> str:
    """Return a value as the text that is searched: texts as they are, bytes read as text, everything else as JSON, behind the
    name of its class where it is an object of one.
    """
    if isinstance(value, bytes | bytearray):
        return value.decode(errors="replace")
    return value if isinstance(value, str) else in_one_line(value, in_full=True)


@lru_cache(maxsize=4096)
def _spelled(step: Step) -> str:
    return format_path((step,), root="$")[1:]


def _hit(seq: int, path: Path, kind: HitKind, text: str, span: Span) -> Hit:
    start, end = span
    if len(text) > _EXCERPT:
        begin = max(0, min(start - _EXCERPT // 4, len(text) - _EXCERPT))
        text = text[begin : begin + _EXCERPT]
        start, end = start - begin, min(end - begin, _EXCERPT)
    return Hit(seq, str(path[0]) if path else "", path, kind, text, (start, end))
