"""Capturing a state: private wire forms of its atoms, and which of them changed."""

from __future__ import annotations

from collections.abc import Mapping

from unspool.errors import UnsupportedValue
from unspool.history.diff import same_value
from unspool.model.tags import Unrepresentable
from unspool.model.values import Value
from unspool.model.wire import encode


class Capture:
    """Remembers the last captured state and tells what changed since.

    Comparing encoded bytes makes mutable state safe: what was captured shares nothing with the app.
    """

    def __init__(self, *, immutable: bool = False) -> None:
        """Start without a state.

        Args:
            immutable: the app never changes a value in place, so an atom that is the same object is unchanged.
        """
        self._immutable = immutable
        self._objects: dict[str, Value] = {}
        self.state: dict[str, bytes] = {}
        """Wire forms of the last captured state."""
        self.size = 0
        """Their bytes in all."""

    def take(self, state: Mapping[str, Value], *, strict: bool) -> tuple[dict[str, bytes], list[str]]:
        """Encode a state.

        Args:
            state: atoms by name.
            strict: raise for a value that cannot be kept; otherwise a marker stands in its place.

        Returns:
            Wire forms by atom, and problems: one line for each value that a marker stands for.

        Raises:
            UnsupportedValue: names the atom and the path inside it.
        """
        taken: dict[str, bytes] = {}
        problems: list[str] = []
        known = self.state
        objects = self._objects
        for atom, value in state.items():
            if self._immutable and atom in known and objects.get(atom, self) is value:
                taken[atom] = known[atom]
                continue
            try:
                data = encode(value)
            except UnsupportedValue as error:
                text = f"atom {atom!r}: {error}"
                if strict:
                    raise UnsupportedValue(text) from None
                problems.append(text)
                data = encode(Unrepresentable(type(value).__name__, str(error)))
            before = known.get(atom)
            if before is None or before == data:
                taken[atom] = data if before is None else before
            else:
                # An object whose keys only changed their order has not changed.
                taken[atom] = before if same_value(before, data) else data
        if self._immutable:
            self._objects = dict(state)
        return taken, problems

    def keep(self, taken: dict[str, bytes]) -> None:
        """Make a captured state the one that the next is compared with."""
        self.state = taken
        self.size = sum(map(len, taken.values())) + sum(map(len, taken))
