"""Checkers of whole atoms: written again and again for nothing, growing without end."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from unspool.delta.identity import names_identity
from unspool.model.parts import parts_inside
from unspool.model.paths import Path
from unspool.query.checkers_findings import CheckFinding, Scope
from unspool.query.checkers_moments import Moment
from unspool.query.checkers_patterns import spell
from unspool.query.parts import children

_SMALL: Final = 256
"""Bytes by which a value must have grown at least to be worth telling."""
_ROW: Final = 2
"""Entries for each write of a named action within which writes are in a row."""
_MOSTLY: Final = 0.6
"""Share of a value's bytes that a part must hold for the value to be mostly that."""


class Thrash:
    """Finds atoms that one action writes many times in a short while and that end up as they began."""

    def __init__(self, scope: Scope, *, writes: int = 8, within: int = 50) -> None:
        """Prepare.

        Args:
            scope: what is looked at.
            writes: how many writes it takes.
            within: entries within which they must come.
        """
        self._scope, self._writes, self._within = scope, writes, within
        self._recent: dict[str, deque[tuple[int, int, str]]] = {}
        self._told: dict[str, int] = {}

    def see(self, moment: Moment) -> Iterator[CheckFinding]:
        """See `Checker.see`."""
        seq, action = moment.entry.seq, moment.entry.action
        for change in moment.diff.changes:
            if change.old_bytes is None or change.new_bytes is None or not self._scope.holds_atom(change.atom):
                self._recent.pop(change.atom, None)
                continue
            recent = self._recent.setdefault(change.atom, deque(maxlen=self._writes))
            if recent and recent[-1][2] != action:
                recent.clear()
            recent.append((seq, hash(change.old_bytes), action))
            since, before, _ = recent[0]
            # What a named action does now and then among others is no work for nothing; what it does in a row is.
            within = min(self._within, _ROW * self._writes) if action else self._within
            if len(recent) == self._writes and seq - since < within and before == hash(change.new_bytes):
                # An atom that goes on like that is told once, until it has been quiet for a while.
                if seq - self._told.get(change.atom, -self._within) >= self._within:
                    text = f"written {self._writes} times and the same as before"
                    yield CheckFinding(self._scope.name, seq, spell((change.atom,)), text, since)
                self._told[change.atom] = seq
                recent.clear()

    def finish(self) -> Iterator[CheckFinding]:
        """See `Checker.finish`."""
        return iter(())


@dataclass(slots=True)
class _Growth:
    since: int
    seq: int
    first: int
    value: bytes
    times: int = 0
    shrank: bool = False


class Leak:
    """Finds atoms that only ever grow."""

    def __init__(self, scope: Scope, *, growths: int = 20, factor: float = 2.0) -> None:
        """Prepare.

        Args:
            scope: what is looked at.
            growths: how often an atom must have grown.
            factor: how many times its first size it must have reached.
        """
        self._scope, self._growths, self._factor = scope, growths, factor
        self._atoms: dict[str, _Growth] = {}

    def see(self, moment: Moment) -> Iterator[CheckFinding]:
        """See `Checker.see`."""
        seq = moment.entry.seq
        for change in moment.diff.changes:
            if change.new_bytes is None:
                self._atoms.pop(change.atom, None)
                continue
            if not self._scope.holds_atom(change.atom):
                continue
            growth = self._atoms.get(change.atom)
            if growth is None:
                self._atoms[change.atom] = _Growth(seq, seq, len(change.new_bytes), change.new_bytes)
                continue
            growth.shrank = growth.shrank or len(change.new_bytes) < len(growth.value)
            growth.times += len(change.new_bytes) > len(growth.value)
            growth.seq, growth.value = seq, change.new_bytes
        return iter(())

    def finish(self) -> Iterator[CheckFinding]:
        """See `Checker.finish`."""
        for atom, growth in self._atoms.items():
            size = len(growth.value)
            grew = size >= self._factor * growth.first and size - growth.first >= _SMALL
            if growth.times >= self._growths and not growth.shrank and grew:
                text = f"grew {growth.times} times from {growth.first} to {size} bytes and never shrank"
                path, part = largest_part((atom,), growth.value)
                # A list of records with ids grows as what it keeps record of does; whether it should end is for people.
                severity = "info" if _is_kept_record(part) else "warning"
                yield CheckFinding(self._scope.name, growth.seq, spell(path), text, growth.since, severity)


def _is_kept_record(part: bytes) -> bool:
    """Whether a part is a list of records that are told apart by ids, such as orders or postings."""
    items = parts_inside(part)
    fields = parts_inside(items[-1]) if isinstance(items, list) and items else None
    return isinstance(fields, dict) and any(isinstance(name, str) and names_identity(name) for name in fields)


def largest_part(path: Path, value: bytes) -> tuple[Path, bytes]:
    """Return the deepest part that a value, given in wire form, mostly consists of: where it stands, and its wire form."""
    while True:
        parts = parts_inside(value)
        if not parts:
            return path, value
        step, part = max(children(parts), key=lambda item: len(item[1]))
        if len(part) < _MOSTLY * len(value):
            return path, value
        path, value = (*path, step), part
