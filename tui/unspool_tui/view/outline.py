"""A state as rows of a tree, of which only unfolded parts exist; any size, any depth."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Protocol

from msgspec import Struct

from unspool.model.keys import Key, Path, Step
from unspool.model.paths import content_of, step_of
from unspool.model.values import MISSING, Value

BIG_INT_BITS: Final = 4096
"""Integers beyond this are told by their size: Python refuses to spell out much longer ones."""
_MOST: Final = 80
_FIRST_ITEMS: Final = 6


def whole_number(value: int) -> str:
    """Spell an integer, or tell the size of a huge one."""
    bits = value.bit_length()
    if bits <= BIG_INT_BITS:
        return str(value)
    sign = "-" if value < 0 else ""
    return f"{sign}(integer of about {int(bits * math.log10(2)) + 1:,} digits)"


def spell(value: Value) -> str:
    """Return a short text for a value that can be an object key: never recursive, never longer than a line."""
    if isinstance(value, tuple | frozenset):
        inside = [_spell_leaf(item) for item, _ in zip(value, range(_FIRST_ITEMS), strict=False)]
        more = ", …" if len(value) > _FIRST_ITEMS else ""
        return f"({', '.join(inside)}{more})"
    return _spell_leaf(value)


def _spell_leaf(value: Value) -> str:
    if isinstance(value, tuple | frozenset):
        return f"({len(value)} items)"
    if isinstance(value, int) and not isinstance(value, bool):
        return whole_number(value)
    if isinstance(value, str):
        return value[:_MOST]
    if isinstance(value, bytes):
        return repr(value[:_MOST])
    return str(value)[:_MOST]


def in_order(items: Iterable[Value]) -> list[Value]:
    """Return the items of a set in an order that stays the same from entry to entry."""
    return sorted(
        items, key=lambda item: (type(item).__name__, len(spell(item)) if _is_count(item) else 0, spell(item))
    )


def _is_count(item: Value) -> bool:
    return isinstance(item, int) and item >= 0


MOST_RUNS: Final = 20_000
"""Unfolded containers looked at; far more than anyone unfolds by hand, few enough to build in an instant."""


class Container(Protocol):
    """A value with children, by position."""

    def __len__(self) -> int: ...

    def step(self, position: int) -> Step: ...

    def value(self, position: int) -> Value: ...

    def find(self, step: Step) -> int | None: ...


class _Keyed:
    """Children of a mapping."""

    __slots__ = ("_keys", "_mapping")

    def __init__(self, mapping: Mapping[Value, Value] | Mapping[str, Value]) -> None:
        self._mapping = mapping
        self._keys = list(mapping)

    def __len__(self) -> int:
        return len(self._keys)

    def step(self, position: int) -> Step:
        return step_of(self._keys[position])

    def value(self, position: int) -> Value:
        return self._mapping[self._keys[position]]

    def find(self, step: Step) -> int | None:
        if isinstance(step, Key):
            odd = ((place, key) for place, key in enumerate(self._keys) if type(key) not in (str, int))
            return next((place for place, key in odd if step_of(key) == step), None)
        kind = type(step)
        found = next((place for place, key in enumerate(self._keys) if type(key) is kind and key == step), None)
        # A number also stands for the text key of that name, where no key is that number.
        return self.find(str(step)) if found is None and isinstance(step, int) else found


class _Listed:
    """Children of a list, tuple or set."""

    __slots__ = ("_items",)

    def __init__(self, items: Sequence[Value]) -> None:
        self._items = items

    def __len__(self) -> int:
        return len(self._items)

    def step(self, position: int) -> Step:
        return position

    def value(self, position: int) -> Value:
        return self._items[position]

    def find(self, step: Step) -> int | None:
        return step if isinstance(step, int) and 0 <= step < len(self._items) else None


def container_of(value: Value) -> Container | None:
    """Return a value's children, or None for a value without any."""
    value = content_of(value)
    if isinstance(value, Mapping):
        return _Keyed(value) if value else None
    if isinstance(value, list | tuple):
        return _Listed(value) if value else None
    if isinstance(value, set | frozenset):
        return _Listed(in_order(value)) if value else None
    return None


class RowRun(Struct, frozen=True):
    """Neighbouring children of one container with no unfolded child between them."""

    first_row: int
    parent: Path
    container: Container
    start: int


class OutlineNode(Struct, frozen=True):
    """One row of the tree.

    Attributes:
        address: path from the state, atom first.
        value: what is there.
        unfolded: its children follow.
    """

    address: Path
    value: Value
    unfolded: bool

    @property
    def depth(self) -> int:
        """How far it is indented."""
        return len(self.address) - 1


class Outline:
    """The rows of a state under a set of unfolded addresses."""

    __slots__ = ("_count", "_firsts", "_inside", "_nodes", "_runs", "_unfolded")

    def __init__(self, state: Mapping[str, Value], unfolded: frozenset[Path]) -> None:
        """Lay out a state; only the unfolded containers are looked into."""
        self._unfolded = unfolded
        self._nodes: dict[int, OutlineNode] = {}
        """Nodes that were asked for: a paint asks for those in sight several times."""
        self._runs: list[RowRun] = []
        self._inside: dict[Path, list[RowRun]] = {}
        self._count = self._lay_out(_Keyed(state))
        self._firsts = [run.first_row for run in self._runs]

    def __len__(self) -> int:
        return self._count

    def node(self, row: int) -> OutlineNode:
        """Return the node on a row."""
        node = self._nodes.get(row)
        if node is None:
            node = self._nodes[row] = self._made(row)
        return node

    def _made(self, row: int) -> OutlineNode:
        run = self._runs[bisect_right(self._firsts, row) - 1]
        position = run.start + row - run.first_row
        address = (*run.parent, run.container.step(position))
        return OutlineNode(address, run.container.value(position), address in self._unfolded)

    def row_of(self, address: Path) -> int | None:
        """Return the row of an address, or of the nearest visible value around it; None when there is none."""
        best: int | None = None
        for depth in range(1, len(address) + 1):
            row = self._child_row(address[: depth - 1], address[depth - 1])
            if row is None:
                break
            best = row
            if address[:depth] not in self._unfolded:
                break
        return best

    def _child_row(self, parent: Path, step: Step) -> int | None:
        runs = self._inside.get(parent, [])
        position = runs[0].container.find(step) if runs else None
        if position is None:
            return None
        run = runs[bisect_right(runs, position, key=lambda run: run.start) - 1]
        return run.first_row + position - run.start

    def _lay_out(self, root: Container) -> int:
        steps: dict[Path, list[Step]] = {}
        for address in self._unfolded:
            if address:
                steps.setdefault(address[:-1], []).append(address[-1])
        row = 0
        # Each pending part: a container, its address, its unfolded children still to come, and where to go on.
        pending: list[tuple[Path, Container, list[int], int]] = []
        pending.append(((), root, self._positions(root, steps.get((), ())), 0))
        while pending:
            parent, container, positions, start = pending.pop()
            if start < len(container):
                self._add(RowRun(row, parent, container, start))
            if not positions or len(self._runs) > MOST_RUNS:
                row += len(container) - start
                continue
            position = positions[0]
            row += position + 1 - start
            pending.append((parent, container, positions[1:], position + 1))
            address = (*parent, container.step(position))
            child = container_of(container.value(position))
            if child is not None:
                pending.append((address, child, self._positions(child, steps.get(address, ())), 0))
        return row

    def _add(self, run: RowRun) -> None:
        self._runs.append(run)
        self._inside.setdefault(run.parent, []).append(run)

    @staticmethod
    def _positions(container: Container, steps: Sequence[Step]) -> list[int]:
        found = (container.find(step) for step in steps)
        return sorted(position for position in found if position is not None)


def value_at(state: Mapping[str, Value], address: Path) -> Value:
    """Return the value at an address of a state, or MISSING when nothing is there."""
    if not address or not isinstance(address[0], str) or address[0] not in state:
        return MISSING
    value: Value = state[address[0]]
    for step in address[1:]:
        container = container_of(value)
        position = container.find(step) if container is not None else None
        if container is None or position is None:
            return MISSING
        value = container.value(position)
    return value
