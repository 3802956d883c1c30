"""What checkers look at: each entry with what it changed, down to the values inside atoms."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from unspool.errors import EntryNotKept, UnspoolError
from unspool.history.diff import Diff
from unspool.history.history import History, StateView
from unspool.model.entries import Entry, EntryKind, OpKind
from unspool.model.paths import Path
from unspool.model.values import MISSING, Value
from unspool.query.checkers_patterns import RecordKeys, spell, spell_in

_TOLD: Final = 1000
"""Entries that do not read which are told; a doctor tells them all."""


@dataclass(frozen=True, slots=True)
class Touch:
    """One value that an entry set, changed or took away.

    Attributes:
        path: where, from the state's root.
        place: the same for people; records of lists by their key, so that it stays the same when they move.
        old: the value before; `MISSING` when there was none.
        new: the value after; `MISSING` when it went.
        is_certain: whether `place` names the same value at other entries, see `Spelled`.
        holder: the object or list it stands in; None for a whole atom.
    """

    path: Path
    place: str
    old: Value
    new: Value
    is_certain: bool = True
    holder: Value = None


class Moment:
    """One entry, and what it changed."""

    def __init__(self, entry: Entry, diff: Diff, history: History) -> None:
        """Describe an entry; nothing inside atoms is worked out before it is asked for."""
        self.entry = entry
        self.diff = diff
        self._history = history

    @cached_property
    def touches(self) -> tuple[Touch, ...]:
        """The values it set, changed or took away."""
        return tuple(self._touches())

    def _touches(self) -> Iterator[Touch]:
        for change in self.diff.changes:
            before, after = RecordKeys(), RecordKeys()
            root: Path = (change.atom,)
            if change.old_bytes is None or change.new_bytes is None:
                yield Touch(root, spell(root), change.old, change.new)
                continue
            for op in change.ops:
                if op.kind is OpKind.MOVE:
                    continue
                path = root + op.path
                is_gone = op.kind is OpKind.REMOVE
                atom, keys = (change.old, before) if is_gone else (change.new, after)
                spelled = spell_in(path, atom, keys)
                yield Touch(path, spelled.place, op.old, op.new, spelled.is_certain, spelled.holder)

    @cached_property
    def view(self) -> StateView:
        """The state at the entry."""
        return self._history.view(self.entry.seq)


def moments(history: History, problems: list[str]) -> Iterator[Moment]:
    """Yield every entry that reads, notes aside; what does not is told in `problems`, of very many the first ones.

    What an entry changed that follows a dropped one is not known, so it counts as having changed nothing.
    """
    for seq in range(history.first, len(history)):
        try:
            entry = history[seq]
            if entry.kind is EntryKind.NOTE:
                continue
            is_cut = entry.parent_seq is None and seq > 0
            yield Moment(entry, Diff(seq, seq, (), 0) if is_cut else history.changes(seq), history)
        except EntryNotKept:
            # A recorder dropped it meanwhile: it is none of the history any more.
            continue
        except UnspoolError as error:
            if len(problems) < _TOLD:
                problems.append(str(error))


__all__ = ["MISSING", "Moment", "Touch", "moments"]
