"""Which entry last set each leaf inside an atom, as long as the atom stays what it is."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Final

from unspool.model.paths import Path

_KEPT: Final = 48
"""Atoms whose leaves are remembered."""


class LeafBook:
    """Answers by atom and the entry that set the atom: until the next write of it, nothing inside can change."""

    __slots__ = ("_asked", "_known")

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[str, int], Mapping[Path, int]] = OrderedDict()
        self._asked: tuple[str, int] | None = None

    def writer(self, address: Path, atom_set_by: int | None) -> int | None:
        """Return who last set a leaf, if it is known."""
        if atom_set_by is None:
            return None
        known = self._known.get((str(address[0]), atom_set_by))
        return None if known is None else known.get(address)

    def knows(self, atom: str, atom_set_by: int) -> bool:
        """Say whether an atom's leaves were looked up, or are being looked up."""
        return (atom, atom_set_by) in self._known or self._asked == (atom, atom_set_by)

    def asked(self, atom: str, atom_set_by: int) -> None:
        """Take note that an atom is being looked up."""
        self._asked = (atom, atom_set_by)

    def learn(self, atom: str, atom_set_by: int, writers: Mapping[Path, int]) -> None:
        """Take over an answer."""
        self._known[atom, atom_set_by] = writers
        if len(self._known) > _KEPT:
            self._known.popitem(last=False)

    def forget(self) -> None:
        """Ask anew: the history was cut or replaced."""
        self._known.clear()
        self._asked = None
