"""Python functions as questions: what they read is watched, so that entries that change nothing of it are left out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from unspool.history.history import StateView
from unspool.model.values import Value
from unspool.query.expressions import Answer
from unspool.query.reading import Wire

Function = Callable[[Mapping[str, Value]], object]
"""Takes a state, to be looked at and not changed; its answer counts as Python's `bool` says."""


class _Watched(Mapping[str, Value]):
    """A state that remembers which atoms were looked at."""

    def __init__(self, state: Wire) -> None:
        self._view = StateView(0, dict(state))
        self.looked_at: set[str] | None = set()

    def __getitem__(self, atom: str) -> Value:
        if self.looked_at is not None:
            self.looked_at.add(atom)
        return self._view[atom]

    def __contains__(self, atom: object) -> bool:
        if self.looked_at is not None:
            self.looked_at.add(str(atom))
        return atom in self._view

    def __iter__(self) -> Iterator[str]:
        self.looked_at = None
        return iter(self._view)

    def __len__(self) -> int:
        self.looked_at = None
        return len(self._view)


class FunctionPredicate:
    """A Python function as a `Predicate`; it must answer the same for the same state."""

    reads = None

    def __init__(self, function: Function) -> None:
        """Ask a function; what it raises is raised."""
        self._function = function

    def ask(self, state: Wire) -> Answer:
        """See `Predicate.ask`."""
        watched = _Watched(state)
        value = self._function(watched)
        reads = None if watched.looked_at is None else frozenset(watched.looked_at)
        return Answer(value, bool(value), reads)
