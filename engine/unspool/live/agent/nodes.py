"""What the walker keeps of the state: a node a container, its last row, and the cells that rows are told by."""

from __future__ import annotations

import weakref
from typing import Any

from unspool.live.agent.redaction import Cursor, Redaction
from unspool.live.agent.shapes import Shape, Shapes
from unspool.live.agent.wire import PLAIN, Cell


class Odd:
    """Something in a row that is no container and no plain leaf, with its cell; it is never held on to."""

    __slots__ = ("cell", "is_cut", "oid")

    def __init__(self, oid: int, cell: Cell, *, is_cut: bool = False) -> None:
        self.oid = oid
        self.cell = cell
        self.is_cut = is_cut


class WeakTarget(weakref.ref[Any]):
    """A weak reference that knows its node."""

    __slots__ = ("node",)
    node: Node


class Node:
    """One container that the state reaches.

    Attributes:
        id: its number on the wire.
        oid: the identity of the object.
        shape: how its rows are read.
        keys: keys or names of the last row, None where there are none.
        key_ids: their identities.
        held: per item of the last row a node, a leaf, or an `Odd`.
        ids: identities of the items.
        more: items that the row leaves out.
        refs: rows that hold it.
        twin: the next node of the same object, reached by a path that redaction treats otherwise.
        has_odd: the row holds what may differ although its identity is the same.
        has_weak: the row holds objects that may die, whose identities are given to others then.
        deaths: how many objects had died when the row was last compared.
        index: of a long dict, the place of each key.
        attrs: the node of an instance's own attributes, where the row is that of a list, dict or the like.
    """

    __slots__ = (
        "attrs", "cursor", "deaths", "depth", "has_odd", "has_weak", "held", "id", "ids", "index", "is_dead",
        "is_read", "key_ids", "keys", "more", "oid", "refs", "shape", "strong", "twin", "weak",
    )  # fmt: skip

    def __init__(self, number: int, oid: int, shape: Shape, depth: int, cursor: Cursor) -> None:
        self.id = number
        self.oid = oid
        self.shape = shape
        self.depth = depth
        self.cursor = cursor
        self.strong: Any = None
        self.weak: WeakTarget | None = None
        self.keys: list[Any] | None = None
        self.key_ids: list[int] | None = None
        self.held: list[Any] = []
        self.ids: list[int] = []
        self.more = 0
        self.refs = 0
        self.has_odd = self.has_weak = self.is_dead = self.is_read = False
        self.deaths = 0
        self.index: dict[Any, int] | None = None
        self.twin: Node | None = None
        self.attrs: Node | None = None


class Patch:
    """What one look found, as the wire has it."""

    __slots__ = ("gone", "is_cut", "rows", "splices")

    def __init__(self) -> None:
        self.rows: list[list[Any]] = []
        self.splices: list[list[Any]] = []
        self.gone: list[int] = []
        self.is_cut = False

    def __bool__(self) -> bool:
        return bool(self.rows or self.splices)

    def add(self, later: Patch) -> None:
        """Take over what a later look found."""
        self.rows += later.rows
        self.splices += later.splices
        self.gone += later.gone
        self.is_cut = self.is_cut or later.is_cut


class Cells:
    """Makes cells of what rows hold, within a bound on texts."""

    def __init__(self, shapes: Shapes, redaction: Redaction, limits: dict[str, int]) -> None:
        """Take what cells are made by.

        Args:
            shapes: knows what is a leaf.
            redaction: takes secrets out of texts.
            limits: `text` letters and `items`.
        """
        self._shapes = shapes
        self._redaction = redaction
        self._limits = limits

    def of(self, held: Any) -> Cell:
        """Return the cell of what a row holds."""
        kind = type(held)
        if kind is Node:
            return [held.id]
        if kind is Odd:
            return held.cell
        if kind is str:
            return self._of_text(held)
        if kind is bytes and len(held) > self._limits["text"]:
            return ["cut", "text", repr(held[:100]), len(held)]
        if kind is tuple:
            return ["tuple", [self.of(item) for item in held]]
        maker = PLAIN.get(kind) or self._shapes.leaf(kind)
        assert maker is not None
        return maker(held)

    def _of_text(self, text: str) -> Cell:
        if self._redaction.is_active:
            text = self._redaction.clean(text)
        if len(text) > self._limits["text"]:
            return ["cut", "text", text[: self._limits["text"]], len(text)]
        return text

    def of_key(self, key: Any) -> Cell:
        """Return the cell of a key."""
        kind = type(key)
        if kind is str:
            return self._of_text(key)
        if kind is tuple or kind is frozenset:
            inner = sorted(key, key=repr) if kind is frozenset and self.is_flat(tuple(key)) else list(key)
            return [kind.__name__, [self.of_key(item) for item in inner[: self._limits["items"]]]]
        maker = self._shapes.leaf(kind)
        return maker(key) if maker is not None else ["other", self._shapes.name(kind), ""]

    def is_same(self, before: Any, after: Any) -> bool:
        """Whether what two rows hold has one cell, without asking objects of the program."""
        if before is after:
            return True
        kind = type(before)
        if kind is not type(after) or kind is Node:
            return False
        if kind is int or kind is str or kind is bool or kind is bytes:
            return bool(before == after)
        return repr(self.of(before)) == repr(self.of(after))

    def is_flat(self, value: tuple[Any, ...]) -> bool:
        """Whether a tuple holds short plain leaves alone, so that it is one itself."""
        return all(type(item) in PLAIN and (type(item) is not str or len(item) < 100) for item in value)
