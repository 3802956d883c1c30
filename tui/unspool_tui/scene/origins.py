"""Which entry last set each atom, remembered with the stretch of history for which it holds."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from time import perf_counter
from typing import Final

from msgspec import Struct

from unspool.errors import UnspoolError
from unspool.model.paths import Path
from unspool_tui.present.inspect_lines import UNKNOWN, Origin
from unspool_tui.scene.entries import EntryBook
from unspool_tui.view.history_port import AtomChange, HistoryPort

_NEIGHBOURS: Final = 24
"""Entries before the head whose changes are looked at one by one."""


class _Stretch(Struct):
    set_by: int
    until: int


class OriginBook:
    """Answers "last set by" for atoms.

    That entry 12 set an atom and entry 40 still has that value answers for every head from 12 to 40; stepping on
    stretches it by what the step changed. So only far jumps ask the history.
    """

    __slots__ = ("_book", "_history", "_known")

    def __init__(self, history: HistoryPort, book: EntryBook) -> None:
        """Ask a history; `book` remembers which atoms its entries changed."""
        self._history = history
        self._book = book
        self._known: dict[str, _Stretch] = {}

    def origin(self, atom: str, head: int) -> Origin:
        """Return who last set an atom as of a head, if it is known without asking."""
        stretch = self._known.get(atom)
        if stretch is None or not stretch.set_by <= head <= stretch.until:
            return UNKNOWN
        first = self._history.first
        return Origin(max(stretch.set_by, first), older=0 < first >= stretch.set_by)

    def stepped(self, head: int, changes: Sequence[AtomChange]) -> None:
        """Learn from a diff between an entry and the one before it."""
        for change in changes:
            self._known[change.atom] = _Stretch(head, head)

    def extend(self, atoms: Iterable[str], head: int, changed: frozenset[str]) -> None:
        """Stretch what holds for the entry before `head` to `head`, except for the atoms that it changed."""
        for atom in atoms:
            stretch = self._known.get(atom)
            if stretch is not None and stretch.until == head - 1 and atom not in changed:
                stretch.until = head

    def look_back(self, atoms: Iterable[str], head: int, until: float) -> None:
        """Learn about atoms as long as there is time.

        Entries just before the head answer for most atoms in sight, and their lists of changes are cheap to read;
        then the history is asked atom by atom.

        Args:
            atoms: those whose origin is wanted.
            head: the entry to go back from.
            until: `perf_counter` time at which to give up.
        """
        wanted = set(atoms)
        for seq in range(head, max(-1, head - _NEIGHBOURS), -1):
            for atom in [atom for atom in wanted if self._holds_at(atom, seq)]:
                wanted.discard(atom)
                self._known[atom].until = head
            for atom in self._book.atoms(seq):
                if atom in wanted:
                    wanted.discard(atom)
                    self.learn({atom: seq}, head)
            if not wanted or perf_counter() > until:
                return
        for atom in atoms:
            if atom in wanted and perf_counter() < until:
                self.learn(self.look_up((atom,), head), head)

    def _holds_at(self, atom: str, seq: int) -> bool:
        stretch = self._known.get(atom)
        return stretch is not None and stretch.set_by <= seq <= stretch.until

    def look_up(self, atoms: Iterable[str], head: int) -> dict[str, int]:
        """Ask the history for atoms that are not known; safe in a worker."""
        found: dict[str, int] = {}
        first = self._history.first
        for atom in atoms:
            try:
                seq = self._history.previous_write(atom, head + 1)
            except UnspoolError:
                continue
            if seq is not None:
                found[atom] = seq
            elif first:
                # None of the entries that are kept set it.
                found[atom] = first
        return found

    def learn(self, found: dict[str, int], head: int) -> None:
        """Take over what `look_up` found."""
        for atom, seq in found.items():
            stretch = self._known.get(atom)
            if stretch is not None and stretch.set_by == seq:
                stretch.until = max(stretch.until, head)
            else:
                self._known[atom] = _Stretch(seq, head)

    def forget(self) -> None:
        """Ask anew: the history was cut or replaced."""
        self._known.clear()


_KEPT: Final = 48
"""Atoms whose leaves are remembered."""


class LeafBook:
    """Answers by atom and the entry that set the atom: until the next write of it, nothing inside can change."""

    __slots__ = ("_asked", "_known")

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[str, int], Mapping[Path, Origin]] = OrderedDict()
        self._asked: tuple[str, int] | None = None

    def writer(self, address: Path, atom_set_by: int | None) -> Origin | None:
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

    def learn(self, atom: str, atom_set_by: int, writers: Mapping[Path, Origin]) -> None:
        """Take over an answer."""
        self._known[atom, atom_set_by] = writers
        if len(self._known) > _KEPT:
            self._known.popitem(last=False)

    def forget(self) -> None:
        """Ask anew: the history was cut or replaced."""
        self._known.clear()
        self._asked = None
