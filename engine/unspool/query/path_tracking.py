"""Following one value from version to version of its atom, wherever list identity takes it.

A list item is followed to what `unspool.delta.align` pairs it with. When the value goes away, what identified the
list items on its path is kept, so that a record that comes back is known again.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import NamedTuple

from unspool.delta.align import GONE, align
from unspool.delta.identity import identity_of, own_keys, record_of
from unspool.delta.structural import Identity, identity_at
from unspool.history.diff import same_value
from unspool.model.encoded import Shape, header_size, shape_of
from unspool.model.parts import Parts, parts_of
from unspool.model.paths import Path, Step


class Outcome(Enum):
    """What becomes of a followed value from one version to the next one looked at."""

    SAME = "same"
    DIFFERENT = "different"
    GONE = "gone"
    FOUND = "found"
    ABSENT = "absent"


class Mark(NamedTuple):
    """What tells a record of a list from the others.

    Attributes:
        key: the identity key.
        value: its value in wire form.
    """

    key: str
    value: bytes


class _Level:
    """A value on the followed path; taken apart when first needed."""

    __slots__ = ("_parts", "end", "value")

    def __init__(self, value: bytes) -> None:
        self.value = value
        self.end = 0
        """Where in a list the item ends that the path goes on to; 0 where that is not known."""
        self._parts: Parts | bool | None = False

    @property
    def parts(self) -> Parts | None:
        if isinstance(self._parts, bool):
            self._parts = parts_of(self.value)
        return self._parts


class Tracker:
    """Where a value stands in the version last looked at."""

    def __init__(self, path: Path, value: bytes | None, identity: Identity | None = None) -> None:
        """Start from one version.

        Args:
            path: the atom, and the steps inside it.
            value: the atom's wire form; None where there is none.
            identity: identity keys of lists set by hand.
        """
        self._atom = path[0]
        self._steps: list[Step] = list(path[1:])
        self._identity = identity
        self._levels: list[_Level] = []
        self._marks: dict[int, Mark] = {}
        self.lost = False
        """Whether the value is gone for good: it was an item of a list and nothing would tell that it came back."""
        self._levels = self._walk(value, back=True)[0]

    @property
    def path(self) -> Path:
        """Where the value stands, or stood last."""
        return (self._atom, *self._steps)

    @property
    def value(self) -> bytes | None:
        """The value's wire form; None while it is not there."""
        return self._levels[-1].value if len(self._levels) == len(self._steps) + 1 else None

    def move(self, atom_value: bytes | None, *, back: bool) -> Outcome:
        """Go on to another version of the atom.

        Args:
            atom_value: the atom's wire form there; None where there is none.
            back: that version is older than the last one.
        """
        here = self.value
        levels, steps = self._walk(atom_value, back=back)
        self._keep_marks(levels)
        self._levels, self._steps = levels, steps
        there = self.value
        if here is None or there is None:
            if here is there:
                return Outcome.ABSENT
            return Outcome.FOUND if here is None else Outcome.GONE
        return Outcome.SAME if here == there or same_value(here, there) else Outcome.DIFFERENT

    def _walk(self, value: bytes | None, *, back: bool) -> tuple[list[_Level], list[Step]]:
        """Go down the path in another version as far as it leads."""
        levels: list[_Level] = []
        steps = self._steps.copy()
        while value is not None:
            depth = len(levels)
            if depth < len(self._levels) and self._levels[depth].value == value:
                # The same bytes hold the same parts: the rest of the path stays.
                levels += self._levels[depth:]
            else:
                levels.append(_Level(value))
            depth = len(levels) - 1
            if depth == len(steps):
                break
            value = self._child(depth, levels[depth], steps, back)
        return levels, steps

    def _child(self, depth: int, level: _Level, steps: list[Step], back: bool) -> bytes | None:
        """Return the part that the path goes on to, and correct its step where it is a list item."""
        if depth + 1 < len(self._levels):
            here = self._levels[depth]
            # Lists of one length with the same bytes up to the end of an item have the same items up to there.
            if here.end and level.value.startswith(here.value[: here.end]):
                level.end = here.end
                return self._levels[depth + 1].value
        step, parts = steps[depth], level.parts
        if isinstance(parts, dict):
            return parts.get(step)
        if parts is None or not isinstance(step, int):
            return None
        known = self._levels[depth].parts if depth + 1 < len(self._levels) else None
        if isinstance(known, list):
            index = _paired(known, step, parts, identity_at(self._identity, self.path[: depth + 1]), back)
        else:
            index = self._sought(depth, step, parts)
        if index is None:
            return None
        steps[depth] = index
        if shape_of(level.value) is Shape.LIST:
            level.end = header_size(level.value) + sum(map(len, parts[: index + 1]))
        return parts[index]

    def _sought(self, depth: int, step: int, parts: Sequence[bytes]) -> int | None:
        """Return where an item that is not in the list looked at last stands in another one."""
        mark = self._marks.get(depth)
        if self.lost:
            return None
        if mark is None:
            return step if step < len(parts) else None
        return next((at for at, item in enumerate(parts) if _field(item, mark.key) == mark.value), None)

    def _keep_marks(self, levels: list[_Level]) -> None:
        """Remember what tells the list items apart that are there now and will not be in the next version."""
        ends = len(levels) - 1
        for depth in range(max(ends, 0), len(self._levels) - 1):
            parts, step = self._levels[depth].parts, self._steps[depth]
            if not isinstance(parts, list) or not isinstance(step, int):
                continue
            mark = _mark(parts, step, identity_at(self._identity, self.path[: depth + 1]))
            if mark is not None:
                self._marks[depth] = mark
                continue
            self._marks.pop(depth, None)
            if depth == ends and isinstance(levels[depth].parts, list):
                self.lost = True


def _paired(here: Sequence[bytes], index: int, there: Sequence[bytes], key: str | None, back: bool) -> int | None:
    """Return the index in another version of a list of the item that stands at an index in this one."""
    item = here[index]
    # What is the only one of its kind on both sides pairs with itself; that is so for nearly all entries.
    if there.count(item) == 1 and here.count(item) == 1:
        return there.index(item)
    if back:
        source = align(there, here, key).sources[index]
        return None if source == GONE else source
    sources = align(here, there, key).sources
    return sources.index(index) if index in sources else None


def _mark(items: Sequence[bytes], index: int, key: str | None) -> Mark | None:
    """Return what tells a record of a list from the others, if anything does."""
    fields = record_of(items[index])
    if fields is None:
        return None
    for name in (key,) if key is not None else own_keys(fields):
        value = identity_of(fields, name)
        if value is not None and shape_of(value) in (Shape.TEXT, Shape.LEAF):
            same = sum(_field(item, name) == value for item in items)
            if same == 1:
                return Mark(name, value)
    return None


def _field(item: bytes, key: str) -> bytes | None:
    fields = record_of(item)
    return None if fields is None else identity_of(fields, key)
