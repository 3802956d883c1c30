"""The checker of references: ids used in one place that another place does not have."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from unspool.model.values import Value
from unspool.query.checkers_findings import CheckFinding, Scope
from unspool.query.checkers_moments import Moment
from unspool.query.checkers_patterns import Pattern, covers, found, spell, spell_pattern
from unspool.query.checkers_words import brief

_IDS: Final = (str, int, bytes)
"""What is taken for an id; null refers to nothing."""


class Orphan:
    """Finds ids at one pattern that are at no place of another."""

    def __init__(self, scope: Scope, *, source: Pattern, target: Pattern) -> None:
        """Prepare.

        Args:
            scope: what findings are called by.
            source: where ids are used.
            target: where they must be.
        """
        self._scope, self._source, self._target = scope, source, target
        self._lost: set[tuple[type, Value]] = set()

    def see(self, moment: Moment) -> Iterator[CheckFinding]:
        """See `Checker.see`."""
        if not any(self._concerns(change.atom) for change in moment.diff.changes):
            return
        seq = moment.entry.seq
        there = {(type(value), value) for _, value in found(self._target, moment.view) if isinstance(value, _IDS)}
        lost: set[tuple[type, Value]] = set()
        for path, value in found(self._source, moment.view):
            key = (type(value), value)
            if not isinstance(value, _IDS) or key in there or key in lost:
                continue
            lost.add(key)
            if key not in self._lost:
                text = f"refers to {brief(value)}, which {spell_pattern(self._target)} does not have"
                yield CheckFinding(self._scope.name, seq, spell(path), text, seq)
        # A reference that stays broken is told once.
        self._lost = lost

    def _concerns(self, atom: str) -> bool:
        return covers(self._source[:1], (atom,)) or covers(self._target[:1], (atom,))

    def finish(self) -> Iterator[CheckFinding]:
        """See `Checker.finish`."""
        return iter(())
