"""The lanes of the timeline: which ones there are, and what each shows in a cell."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from enum import Enum
from heapq import nsmallest
from typing import Final

from msgspec import Struct

from unspool.model.values import Value
from unspool_tui.view.model import View

MOST_RANKED: Final = 64
"""Atoms that are kept in the order of their activity; no screen has room for more lanes."""


class LaneKind(Enum):
    """What a lane is about."""

    ATOM = "atom"
    PART = "part"
    NOTES = "notes"


class Lane(Struct, frozen=True):
    """A lane.

    Attributes:
        kind: what it is about.
        name: the atom, or the part; `notes` for the lane of notes.
        atoms: the atoms whose writes it counts.
    """

    kind: LaneKind
    name: str
    atoms: tuple[str, ...] = ()


NOTES: Final = Lane(LaneKind.NOTES, "notes")
"""Notes and log lines, and errors among them."""


def atom_lane(atom: str) -> Lane:
    """Return the lane of an atom."""
    return Lane(LaneKind.ATOM, atom, (atom,))


class CellFigures(Struct, frozen=True):
    """What a lane knows of the entries of a cell.

    Attributes:
        writes: how many of them wrote an atom of it; of the lane of notes, how many are notes.
        last: the last one that did; -1 for none.
        valued: `value` was worked out.
        value: the number that stood at the end of the cell; None where that was no number, or nothing was written.
    """

    writes: int
    last: int = -1
    valued: bool = False
    value: float | None = None


class LaneRow(Struct, frozen=True):
    """A lane along an axis.

    Attributes:
        lane: which one.
        cells: by cell; None where it is not known yet.
        errors: cells with errors among their notes.
    """

    lane: Lane
    cells: Sequence[CellFigures | None]
    errors: frozenset[int] = frozenset()

    def numbers(self) -> list[float | None]:
        """Return the number that stood at the end of each cell, as far as it is known; all None where it is no number."""
        standing: float | None = None
        found: list[float | None] = []
        for cell in self.cells:
            if cell is not None and cell.valued and (cell.writes or cell.value is not None):
                standing = cell.value
            found.append(standing)
        return found


class Ranking(Struct, frozen=True):
    """The atoms of a history, those that change most first.

    Attributes:
        atoms: up to `MOST_RANKED` of them.
        parts: the atoms of each part, by its name; empty where the history has none.
        total: one past the newest entry when they were ranked.
    """

    atoms: tuple[str, ...] = ()
    parts: Mapping[str, tuple[str, ...]] = {}
    total: int = 0


def ranked(changes: Mapping[str, int], together: Iterable[Sequence[str]], total: int) -> Ranking:
    """Rank atoms.

    Args:
        changes: how often each atom changed.
        together: atoms that changed in one entry, of some entries.
        total: one past the newest entry.
    """
    atoms = nsmallest(MOST_RANKED, changes, key=lambda atom: (-changes[atom], atom))
    return Ranking(tuple(atoms), parts_of(atoms, together), total)


def part_of(atom: str) -> str:
    """Return the part that an atom would be of: what stands before the first blank of its name."""
    part, blank, rest = atom.partition(" ")
    return part if blank and rest else ""


def parts_of(atoms: Sequence[str], together: Iterable[Sequence[str]]) -> dict[str, tuple[str, ...]]:
    """Return the atoms of each part of a history of several: recordings merged into one, threads, players.

    Their readers put the part before the name of an atom, and no entry changes two parts. Names that merely hold blanks
    are told apart by that.
    """
    parts: dict[str, list[str]] = {}
    for atom in atoms:
        parts.setdefault(part_of(atom), []).append(atom)
    if len(parts) < 2 or "" in parts or len(parts) == len(atoms):
        return {}
    if any(len({part_of(atom) for atom in changed}) > 1 for changed in together):
        return {}
    return {name: tuple(held) for name, held in parts.items()}


def lanes_of(view: View, ranking: Ranking, *, notes: bool, most: int) -> tuple[Lane, ...]:
    """Return the lanes that are shown, from above.

    Pinned atoms come first, then notes, then parts, then atoms by their activity; an atom of a part that is hidden has no
    lane, unless it is pinned.

    Args:
        view: says what is pinned and hidden.
        ranking: the atoms.
        notes: there are notes or errors.
        most: lanes there is room for.
    """
    lanes = [atom_lane(atom) for atom in view.pinned]
    lanes += [NOTES] * notes
    shown = [part for part in ranking.parts if part not in view.hidden_parts]
    lanes += [Lane(LaneKind.PART, part, ranking.parts[part]) for part in shown]
    pinned = set(view.pinned)
    for atom in ranking.atoms:
        if atom not in pinned and not (ranking.parts and part_of(atom) in view.hidden_parts):
            lanes.append(atom_lane(atom))
    return tuple(lanes[:most])


def number_of(value: Value) -> float | None:
    """Return a value as a number that can be drawn; None for all that is none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None
