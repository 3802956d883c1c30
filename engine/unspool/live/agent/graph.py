"""The walker: the containers that watched names reach, as numbered nodes, and what became of their rows.

A node is one container. Its row is compared by the identity of what it holds, so nothing of the program is called: no
`__eq__`, no property, no `__iter__`. Objects that allow it are held weakly, so that looking never keeps one alive.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from itertools import compress, count
from operator import ne
from typing import Any

from unspool.live.agent.following import LOST, stored_attribute, stored_item
from unspool.live.agent.nodes import Cells, Node, Odd, Patch, WeakTarget
from unspool.live.agent.redaction import Cursor, Redaction
from unspool.live.agent.shapes import Shape, Shapes
from unspool.live.agent.wire import PLAIN, Cell, short_name

_FEW_SPLICES = 16
"""Places of a row up to which each change is a splice of its own."""
_SHORT_TUPLE = 8
_TRIES = 4
_CLOCK_EVERY = 32
_LONG = 32
"""Items of a row from which only those are compared that a store names."""
END = object()
"""Stands for the place after the last item."""
ANY = object()
"""Stands for any item of a row that was compared just before."""
_MOST_GROWING = 64


Stored = tuple[Any, Any, int]
"""The key of a store, the key or position of what it left, and the identity of that."""


def _is_confined_row(before: list[int], after: list[int], stored: Sequence[Any]) -> bool | None:
    """See `Graph.is_confined`, of a row without keys, given as the identities of its items."""
    size, grown = len(before), len(after) - len(before)
    if all(key is END for key in stored):
        return after[:size] == before and grown <= len(stored)
    if len(stored) != 1 or type(stored[0]) is not int:
        return None
    place = stored[0] % size if size else 0
    # It was stored to, or deleted.
    return grown in (0, -1) and after[:place] == before[:place] and after[place + 1 + grown :] == before[place + 1 :]


class Graph:
    """All nodes of the watched state.

    Attributes:
        by_oid: the first node of each object.
        new_kinds: types of objects that became nodes since somebody cleared it.
        unread: nodes that time was too short for.
        readable_growth: nodes of dicts that reading may add keys to.
    """

    def __init__(
        self,
        limits: dict[str, int],
        redaction: Redaction,
        read_roots: Callable[[], list[tuple[str, Any]]],
        first: int = 1,
    ) -> None:
        """Begin with the empty state.

        Args:
            limits: `nodes`, `items`, `depth`, `text`, and `walk` in milliseconds.
            redaction: what is left out.
            read_roots: gives the atoms by name, where there are several roots.
            first: the number of the first node.
        """
        self.limits = limits
        self._redaction = redaction
        self._read_roots = read_roots
        self._shapes = Shapes()
        self._cells = Cells(self._shapes, redaction, limits)
        self._numbers = count(first)
        self._deaths: list[WeakTarget] = []
        self._death_count = 0
        self._lost: list[Node] = []
        self._fresh: list[Node] = []
        self._size = 0
        self._sweeping: list[Node] = []
        self._swept: set[int] = set()
        self._may_be_unreached = False
        """A row let go of a node that others hold: it may stand in a cycle that nothing else holds."""
        self.by_oid: dict[int, Node] = {}
        self.new_kinds: set[type] = set()
        self.unread: list[Node] = []
        self.readable_growth: list[Node] = []
        self.state = Node(0, 0, Shape("state", None, self._read_many, weak=False), 0, redaction.start())
        self.state.strong = self
        self.state.refs = 1

    @property
    def size(self) -> int:
        """How many nodes there are."""
        return self._size

    def bind(self, root: Any, *, alone: bool) -> None:
        """Make an object the one root, whose fields are the atoms; `alone=False` goes back to an atom a root."""
        state = self.state
        if self.by_oid.get(state.oid) is state:
            del self.by_oid[state.oid]
        state.strong = state.weak = None
        if not alone:
            state.shape = Shape("state", None, self._read_many, weak=False)
            state.oid, state.strong = 0, self
            return
        shape = self._shapes.of(root)
        assert shape is not None
        state.shape = Shape("state", None, _named_rows(shape), weak=shape.weak)
        self._hold_target(state, root)
        state.oid = id(root)
        state.twin = self.by_oid.get(state.oid)
        self.by_oid[state.oid] = state
        self.new_kinds.add(type(root))

    def let_go(self) -> None:
        """Hold no object of the program any more."""
        todo = [self.state, *self.by_oid.values(), *self._lost, *self._fresh, *self.unread]
        for node in todo:
            todo += self._children(node)
            node.strong = node.weak = node.keys = node.index = node.twin = node.attrs = None
            node.held = []
        self.by_oid.clear()
        self.readable_growth.clear()

    def next_number(self) -> int:
        """Return the number that the next node would have."""
        return next(self._numbers)

    def is_bound_to(self, root: Any) -> bool:
        """Whether an object is the one root."""
        state = self.state
        return state.oid == id(root) and (state.strong is root if state.weak is None else state.weak() is root)

    def shape_of_fields(self, value: Any) -> Shape | None:
        """Return how the fields of an object are read, also where its row is that of its items."""
        shape = self._shapes.of(value)
        return shape if shape is None or shape.kind == "object" else shape.fields

    def is_machinery(self, kind: type) -> bool:
        """Whether objects of a class are only named in a recording."""
        return not self._shapes.has(kind)

    def can_be_alone(self, root: Any) -> bool:
        """Whether an object has named fields or keys, so that they can be the atoms."""
        shape = self._shapes.of(root)
        return shape is not None and shape.kind in ("dict", "object")

    def _read_many(self, _: Any, limit: int) -> tuple[list[Any], list[Any], int]:
        pairs = self._read_roots()
        return [name for name, _ in pairs], [value for _, value in pairs], 0

    def differs(self, node: Node) -> bool:
        """Whether a row is no longer what it was; nothing is taken note of."""
        target = node.strong if node.weak is None else node.weak()
        if target is None:
            return False
        keys, values, more = node.shape.read(target, self.limits["items"])
        return (
            node.has_odd
            or (node.has_weak and bool(self._deaths))
            or more != node.more
            or list(map(id, values)) != node.ids
            or (keys is not None and list(map(id, keys)) != node.key_ids)
        )

    def look(self, nodes: Iterable[Node]) -> Patch:
        """Compare rows of nodes with what they were, and read what has become reachable."""
        patch = Patch()
        if self._deaths:
            self._drain()
        for node in nodes:
            at: Node | None = node
            while at is not None:
                self._compare(at, patch)
                if at.attrs is not None:
                    self._compare(at.attrs, patch)
                at = at.twin
        self._grow(patch)
        self._release(patch)
        return patch

    def look_at(self, node: Node, key: Any) -> tuple[Patch, bool | None]:
        """Compare the one item of a long row that a store names, or a whole short row.

        Args:
            node: the row.
            key: its key or position; `END` is a new last item, `ANY` any item.

        Returns:
            what was found, and whether that is no more than such a store changes; None where nobody can tell.
        """
        if key is ANY:
            return self.look((node,)), True
        is_plain = node.twin is None and node.attrs is None and node.is_read
        patch = Patch()
        if self._deaths:
            self._drain()
        if not is_plain or len(node.ids) < _LONG:
            if not is_plain or not self._took_one(node, key, patch):
                is_confined = self.is_confined(node, (key,))
                return self.look((node,)), is_confined
            self._grow(patch)
            self._release(patch)
            return patch, True
        target: Any = node.strong if node.weak is None else node.weak()
        kind = type(target)
        is_done = kind is list and self._look_in_list(node, target, key, patch)
        if not is_done and not (kind is dict and self._look_in_dict(node, target, key, patch)):
            is_confined = self.is_confined(node, (key,))
            return self.look((node,)), is_confined
        self._grow(patch)
        self._release(patch)
        return patch, True

    def _took_one(self, node: Node, key: Any, patch: Patch) -> bool:
        """Take over the item of a short row that a store names, if a row differs by that one only; return whether it does.

        Most stores are so, and `is_confined` and `look` would read the row twice to find the same.
        """
        target = node.strong if node.weak is None else node.weak()
        if target is None or node.has_odd or node.has_weak or type(key) not in PLAIN:
            return False
        try:
            keys, values, more = node.shape.read(target, self.limits["items"])
        except RuntimeError:
            return False
        ids = list(map(id, values))
        if more or node.more or len(ids) != len(node.ids) or (node.id == 0 and type(key) is not str):
            return False
        if keys is not None and list(map(id, keys)) != node.key_ids:
            return False
        places = list(compress(count(), map(ne, node.ids, ids)))
        if len(places) != 1:
            return False
        place = places[0]
        if keys is None:
            is_named = type(key) is int and place == key % len(ids)
        else:
            is_named = keys[place] is key or (type(keys[place]) in PLAIN and keys[place] == key)
        if is_named:
            self._replace(node, place, values[place], patch)
        return bool(is_named)

    def is_confined(self, node: Node, stored: Sequence[Any]) -> bool | None:
        """Whether a row differs from what it was in no other items than those that were stored to; None where nobody can tell.

        Args:
            node: the row.
            stored: the key or position of each store, `END` for a new last item.
        """
        target = node.strong if node.weak is None else node.weak()
        is_plain = node.twin is None and node.attrs is None and node.is_read
        if not is_plain or target is None or (node.id == 0 and any(type(key) is not str for key in stored)):
            return None
        try:
            keys, values, more = node.shape.read(target, self.limits["items"])
        except RuntimeError:
            return False
        ids = list(map(id, values))
        if more or node.more:
            return None
        if keys is None or node.keys is None or node.key_ids is None:
            return _is_confined_row(node.ids, ids, stored)
        if any(type(key) not in PLAIN for key in stored):
            return None
        before = dict(zip(node.key_ids, zip(node.ids, node.keys, strict=True), strict=True))
        after = dict(zip(map(id, keys), zip(ids, keys, strict=True), strict=True))
        changed = [pair[1] for number, pair in before.items() if after.get(number, (-1,))[0] != pair[0]]
        changed += [pair[1] for number, pair in after.items() if number not in before]
        return all(
            any(found is key or (type(found) in PLAIN and found == key) for key in stored) for found in changed
        )

    def tells_apart(self, node: Node, key: Any) -> bool:
        """Whether a row that differs by a key alone was changed by nothing else: positions move with what others take away."""
        return key is END or (key is not ANY and node.keys is not None)

    def stored_at(self, node: Node, key: Any) -> Stored | None:
        """Return what a store by a key left in a row just now; None where nobody can tell."""
        target: Any = node.strong if node.weak is None else node.weak()
        place = len(target) - 1 if key is END and type(target) is list else key
        value = stored_item(target, place)
        if value is LOST and type(place) is str:
            value = stored_attribute(target, place)
        return None if value is LOST else (key, place, id(value))

    def is_as_stored(self, node: Node, stored: Sequence[Stored]) -> bool:
        """Whether a row differs from what it was by stores alone, and by what they left there: nobody stored to the same since."""
        keys = [key for key, _, _ in stored]
        if not all(self.tells_apart(node, key) for key in keys) or self.is_confined(node, keys) is not True:
            return False
        last = {place: number for _, place, number in stored}
        return all(self.stored_at(node, place) == (place, place, number) for place, number in last.items())

    def has_changed(self, node: Node, *, is_thorough: bool) -> bool:
        """Whether a row has other items than it had; of a long one only their number counts, unless it is looked at thoroughly."""
        target = node.strong if node.weak is None else node.weak()
        if target is None or not node.is_read:
            return False
        if len(node.ids) >= _LONG and not is_thorough:
            kind = type(target)
            return (kind is list or kind is dict) and len(target) != len(node.ids) + node.more
        keys, values, more = node.shape.read(target, self.limits["items"])
        is_same = more == node.more and list(map(id, values)) == node.ids
        return not is_same or (keys is not None and node.id != 0 and list(map(id, keys)) != node.key_ids)

    def _look_in_list(self, node: Node, target: list[Any], key: Any, patch: Patch) -> bool:
        known, size = len(node.ids), len(target)
        if key is END:
            if size != known + node.more + 1:
                return False
            if size > self.limits["items"]:
                self._set_more(node, node.more + 1, patch)
                return True
            self._append(node, None, target[-1], patch)
            return True
        if type(key) is not int or size != known + node.more or not -size <= key < size:
            return False
        place = key % size
        if place < known and id(target[place]) != node.ids[place]:
            self._replace(node, place, target[place], patch)
        return True

    def _look_in_dict(self, node: Node, target: dict[Any, Any], key: Any, patch: Patch) -> bool:
        known, size = len(node.ids), len(target)
        if type(key) not in (str, int) or key not in target:
            return False
        if node.index is None:
            keys = node.keys or []
            if not all(type(item) in (str, int) for item in keys):
                return False
            node.index = {item: place for place, item in enumerate(keys)}
        place = node.index.get(key)
        value = target[key]
        if place is not None:
            if size != known + node.more:
                return False
            if id(value) != node.ids[place]:
                self._replace(node, place, value, patch)
            return True
        if size == known + node.more + 1 and next(reversed(target)) == key:
            if size > self.limits["items"]:
                self._set_more(node, node.more + 1, patch)
            else:
                own_key = next(reversed(target))
                node.index[own_key] = known
                self._append(node, own_key, value, patch)
            return True
        return bool(node.more) and size == known + node.more

    def _set_more(self, node: Node, more: int, patch: Patch) -> None:
        node.more = more
        patch.splices.append([node.id, len(node.ids), 0, [], None, more])

    def _append(self, node: Node, key: Any, value: Any, patch: Patch) -> None:
        place = len(node.ids)
        if node.keys is not None and node.key_ids is not None:
            node.keys.append(key)
            node.key_ids.append(id(key))
        node.ids.append(id(value))
        held = self._hold(node, place, value)
        node.held.append(held)
        if type(held) is Node:
            held.refs += 1
        told = None if node.keys is None else [self._cells.of_key(key)]
        patch.splices.append([node.id, place, 0, [self._cells.of(held)], told])

    def look_below(self, nodes: Iterable[Node], most: int) -> tuple[Patch, bool]:
        """Compare nodes and all that they reach; also return whether that was all, within the most nodes."""
        todo = list(nodes)
        seen = {node.id for node in todo}
        found: list[Node] = []
        while todo and len(found) < most:
            node = todo.pop()
            found.append(node)
            for child in self._children(node):
                if child.id not in seen:
                    seen.add(child.id)
                    todo.append(child)
        return self.look(found), not todo

    def sweep(self, seconds: float | None, skip: frozenset[int] = frozenset()) -> tuple[Patch, bool]:
        """Compare all nodes, or as many as time allows and the rest next time.

        Args:
            seconds: how long that may take; None for as long as it takes.
            skip: numbers of nodes that are not compared.

        Returns:
            what was found, and whether the round through all nodes is complete.
        """
        end = None if seconds is None else time.monotonic() + seconds
        patch = Patch()
        self._drain()
        if not self._sweeping:
            self._sweeping, self._swept = [self.state], {0}
        pending, swept = self._sweeping, self._swept
        for turn in count(1):
            if not pending:
                break
            if end is not None and turn % _CLOCK_EVERY == 0 and time.monotonic() > end:
                break
            node = pending.pop()
            if not node.is_dead and node.id not in skip:
                self._compare(node, patch)
                if node.has_odd:
                    self._retry_cuts(node, patch)
            for child in node.held:
                if type(child) is Node and child.id not in swept:
                    swept.add(child.id)
                    pending.append(child)
            for beside in (node.attrs, node.twin):
                if beside is not None and beside.id not in swept:
                    swept.add(beside.id)
                    pending.append(beside)
        self._grow(patch)
        is_complete = not self._sweeping
        if is_complete and not patch.is_cut and self._may_be_unreached:
            self._may_be_unreached = False
            self._drop_unreached(patch)
        self._release(patch)
        return patch, is_complete

    def _children(self, node: Node) -> list[Node]:
        found = [held for held in node.held if type(held) is Node]
        if node.attrs is not None:
            found.append(node.attrs)
        if node.twin is not None:
            found.append(node.twin)
        return found

    def _drop_unreached(self, patch: Patch) -> None:
        """Forget cycles that nothing holds any more."""
        reached = {0}
        todo = [self.state]
        while todo:
            node = todo.pop()
            for held in (*node.held, node.attrs):
                if type(held) is Node and held.id not in reached:
                    reached.add(held.id)
                    todo.append(held)
        if len(reached) - 1 >= self._size:
            return
        for first in list(self.by_oid.values()):
            at: Node | None = first
            while at is not None:
                following = at.twin
                if at.id not in reached:
                    self._forget(at, patch)
                at = following

    def _drain(self) -> None:
        """Take note of objects that are gone: their identities are given to others."""
        while self._deaths:
            node = self._deaths.pop().node
            if node.weak is not None and node.weak() is None:
                node.is_dead = True
                self._death_count += 1
                self._unlist(node)

    def _unlist(self, node: Node) -> None:
        first = self.by_oid.get(node.oid)
        if first is node:
            if node.twin is None:
                del self.by_oid[node.oid]
            else:
                self.by_oid[node.oid] = node.twin
            return
        while first is not None:
            if first.twin is node:
                first.twin = node.twin
                return
            first = first.twin

    def _compare(self, node: Node, patch: Patch) -> None:
        target = node.strong if node.weak is None else node.weak()
        if target is None:
            return
        for attempt in range(_TRIES):
            try:
                keys, values, more = node.shape.read(target, self.limits["items"])
                break
            except RuntimeError:
                # Another thread changed its size while it was read.
                if attempt == _TRIES - 1:
                    raise
        if not node.is_read:
            self._whole_row(node, keys, values, more, patch)
            return
        ids = list(map(id, values))
        key_ids = None if keys is None else list(map(id, keys))
        if ids == node.ids and key_ids == node.key_ids:
            if more != node.more:
                self._set_more(node, more, patch)
            if node.has_odd or (node.has_weak and node.deaths != self._death_count):
                self._compare_odd(node, values, patch)
            return
        node.index = None
        self._splice(node, keys, key_ids, values, ids, patch)
        if more != node.more:
            self._set_more(node, more, patch)

    def _compare_odd(self, node: Node, values: list[Any], patch: Patch) -> None:
        """Compare what has a row's identities but may differ all the same: things told by a text, objects that died."""
        node.deaths = self._death_count
        for place, held in enumerate(node.held):
            if type(held) is Node:
                if held.is_dead:
                    self._replace(node, place, values[place], patch)
            elif type(held) is Odd and not held.is_cut and held.cell[0] == "other":
                self._replace(node, place, values[place], patch)

    def _retry_cuts(self, node: Node, patch: Patch) -> None:
        """Read on where limits cut a row, should there be room now."""
        if not node.has_odd or self._size >= self.limits["nodes"]:
            return
        target = node.strong if node.weak is None else node.weak()
        if target is None or not any(type(held) is Odd and held.is_cut for held in node.held):
            return
        _, values, _ = node.shape.read(target, self.limits["items"])
        for place, held in enumerate(node.held):
            if type(held) is Odd and held.is_cut and place < len(values):
                self._replace(node, place, values[place], patch)

    def _replace(self, node: Node, place: int, value: Any, patch: Patch) -> None:
        """Put a value into a row, and tell of it where its cell differs."""
        before = node.held[place]
        after = self._hold(node, place, value)
        if not self._cells.is_same(before, after):
            keys = None if node.keys is None else [self._cells.of_key(node.keys[place])]
            patch.splices.append([node.id, place, 1, [self._cells.of(after)], keys])
        self._set_held(node, place, after)
        node.ids[place] = id(value)

    def _set_held(self, node: Node, place: int, after: Any) -> None:
        before = node.held[place]
        node.held[place] = after
        if type(after) is Node:
            after.refs += 1
        if type(before) is Node:
            self._let_go(before)

    def _let_go(self, node: Node) -> None:
        node.refs -= 1
        if node.refs <= 0:
            self._lost.append(node)
        else:
            self._may_be_unreached = True

    def _splice(
        self,
        node: Node,
        keys: list[Any] | None,
        key_ids: list[int] | None,
        values: list[Any],
        ids: list[int],
        patch: Patch,
    ) -> None:
        old_ids, old_key_ids = node.ids, node.key_ids
        if key_ids == old_key_ids and len(ids) == len(old_ids):
            places = list(compress(count(), map(ne, old_ids, ids)))
            if len(places) <= _FEW_SPLICES:
                for place in places:
                    self._replace(node, place, values[place], patch)
                if node.has_odd or node.has_weak:
                    self._compare_odd(node, values, patch)
                return
        if node.has_weak:
            # A dead object's identity may have been given to what stands in its place now.
            old_ids = [
                -1 if type(held) is Node and held.is_dead else oid
                for held, oid in zip(node.held, old_ids, strict=True)
            ]
        shared = min(len(old_ids), len(ids))
        start = next(compress(count(), map(ne, old_ids, ids)), shared)
        if key_ids is not None and old_key_ids is not None:
            start = min(start, next(compress(count(), map(ne, old_key_ids, key_ids)), shared))
        shared -= start
        back = next(compress(count(), map(ne, reversed(old_ids), reversed(ids))), shared)
        if key_ids is not None and old_key_ids is not None:
            back = min(back, next(compress(count(), map(ne, reversed(old_key_ids), reversed(key_ids))), shared))
        back = min(back, shared)
        stop, old_stop = len(ids) - back, len(old_ids) - back
        before = node.held[start:old_stop]
        old_keys = None if node.keys is None else node.keys[start:old_stop]
        node.keys, node.key_ids, node.ids = keys, key_ids, ids
        after = [self._hold(node, place, values[place]) for place in range(start, stop)]
        node.held[start:old_stop] = after
        for held in after:
            if type(held) is Node:
                held.refs += 1
        for held in before:
            if type(held) is Node:
                self._let_go(held)
        told = None if keys is None else [self._cells.of_key(key) for key in keys[start:stop]]
        same_keys = old_keys is None or repr([self._cells.of_key(key) for key in old_keys]) == repr(told)
        if same_keys and len(before) == len(after) and all(map(self._cells.is_same, before, after)):
            # Other objects, but equal ones.
            return
        patch.splices.append([node.id, start, old_stop - start, [self._cells.of(held) for held in after], told])

    def _whole_row(self, node: Node, keys: list[Any] | None, values: list[Any], more: int, patch: Patch) -> None:
        before = node.held
        node.is_read, node.has_odd, node.has_weak, node.index = True, False, False, None
        node.keys = keys
        node.key_ids = None if keys is None else list(map(id, keys))
        node.ids = list(map(id, values))
        node.more = more
        node.held = [self._hold(node, place, value) for place, value in enumerate(values)]
        for held in node.held:
            if type(held) is Node:
                held.refs += 1
        for held in before:
            if type(held) is Node:
                self._let_go(held)
        patch.rows.append(self._row(node))

    def _row(self, node: Node) -> list[Any]:
        keys = None if node.keys is None else [self._cells.of_key(key) for key in node.keys]
        row: list[Any] = [
            node.id,
            node.shape.kind,
            node.shape.type_name,
            keys,
            [self._cells.of(held) for held in node.held],
        ]
        if node.attrs is not None:
            return [*row, node.more, node.attrs.id]
        return [*row, node.more] if node.more else row

    def _grow(self, patch: Patch) -> None:
        """Read the nodes that a look came upon, while there is time."""
        if not self._fresh and not self.unread:
            return
        end = time.monotonic() + self.limits["walk"] / 1000
        if self.unread:
            self._fresh[:0] = [node for node in self.unread if node.refs > 0 and not node.is_read]
            self.unread = []
        for turn in count(1):
            if not self._fresh:
                return
            if turn % _CLOCK_EVERY == 0 and time.monotonic() > end:
                break
            node = self._fresh.pop()
            if not node.is_read:
                self._compare(node, patch)
        # A sweep reads what it comes upon itself, and has told of it.
        self.unread, self._fresh = [node for node in self._fresh if not node.is_read], []
        patch.is_cut = patch.is_cut or bool(self.unread)
        patch.rows += [[node.id, "cut", "time", None, []] for node in self.unread]

    def _release(self, patch: Patch) -> None:
        while self._lost:
            node = self._lost.pop()
            if node.refs <= 0 and node.id > 0:
                self._forget(node, patch)

    def _forget(self, node: Node, patch: Patch) -> None:
        if node.strong is None and node.weak is None:
            return
        if not node.is_dead:
            self._unlist(node)
        patch.gone.append(node.id)
        if node in self.readable_growth:
            self.readable_growth.remove(node)
        self._size -= 1
        node.strong = node.weak = None
        node.is_dead = True
        held, node.held = node.held, []
        for child in held:
            if type(child) is Node:
                self._let_go(child)
        if node.attrs is not None:
            attrs, node.attrs = node.attrs, None
            self._let_go(attrs)

    def _hold(self, node: Node, place: int, value: Any) -> Any:
        """Return what a row keeps of an item: a node, the leaf itself, or an `Odd`."""
        kind = type(value)
        redaction = self._redaction
        cursor = node.cursor
        if redaction.is_active:
            key = place if node.keys is None else node.keys[place]
            found = redaction.step(cursor, key, is_key=node.keys is not None)
            if found is None:
                redaction.learn(value)
                node.has_odd = True
                return Odd(id(value), ["redacted"])
            cursor = found
        if kind in PLAIN:
            return value
        if kind is tuple and len(value) <= _SHORT_TUPLE and self._cells.is_flat(value):
            return value
        maker = self._shapes.leaf(kind)
        if maker is not None:
            cell = maker(value)
            if cell[0] == "other":
                node.has_odd = True
                return Odd(id(value), cell)
            return value
        shape = self._shapes.of(value)
        if shape is None:
            node.has_odd = True
            return Odd(id(value), ["other", self._shapes.name(kind), self._shapes.text(value)])
        return self._node(node, value, shape, cursor)

    def _node(self, parent: Node, value: Any, shape: Shape, cursor: Cursor) -> Any:
        oid = id(value)
        known = self.by_oid.get(oid)
        while known is not None:
            if known.cursor == cursor or known.id == 0:
                if known.weak is not None:
                    parent.has_weak = True
                return known
            if known.twin is None:
                break
            known = known.twin
        why = (
            "depth" if parent.depth >= self.limits["depth"] else "nodes" if self._size >= self.limits["nodes"] else ""
        )
        if why:
            parent.has_odd = True
            return Odd(oid, ["cut", why, shape.type_name or shape.kind], is_cut=True)
        node = Node(next(self._numbers), oid, shape, parent.depth + 1, cursor)
        if known is not None:
            known.twin = node
        else:
            self.by_oid[oid] = node
            self.new_kinds.add(type(value))
        self._hold_target(node, value)
        if node.weak is not None:
            parent.has_weak = True
        self._size += 1
        if shape.kind == "dict" and shape.type_name is not None and len(self.readable_growth) < _MOST_GROWING:
            self.readable_growth.append(node)
        if shape.fields is not None:
            attrs = node.attrs = Node(next(self._numbers), oid, shape.fields, parent.depth + 1, cursor)
            self._hold_target(attrs, value)
            attrs.refs = 1
            self._size += 1
            self._fresh.append(attrs)
        self._fresh.append(node)
        return node

    def _hold_target(self, node: Node, value: Any) -> None:
        if node.shape.weak:
            node.weak = WeakTarget(value, self._deaths.append)
            node.weak.node = node
        else:
            node.strong = value

    def cell_of(self, value: Any) -> Cell:
        """Return a cell of a value that is no part of the state: a leaf as it is, of containers only the type."""
        kind = type(value)
        maker = self._shapes.leaf(kind)
        if kind is str:
            return self._cells.of(value)
        if maker is not None:
            return maker(value)
        known = self.by_oid.get(id(value))
        return [known.id] if known is not None else ["other", self._shapes.name(kind), self._shapes.text(value)]


def _named_rows(shape: Shape) -> Callable[[Any, int], tuple[list[Any] | None, list[Any], int]]:
    """Return a reader whose keys are texts: the names of atoms."""

    def read(target: Any, limit: int) -> tuple[list[Any] | None, list[Any], int]:
        keys, values, more = shape.read(target, limit)
        if shape.kind == "object" or keys is None or all(type(key) is str for key in keys):
            return keys, values, more
        used: dict[str, int] = {}
        names = []
        for key in keys:
            name = key if type(key) is str else repr(key) if type(key) in PLAIN else f"[{short_name(type(key))}]"
            number = used[name] = used.get(name, 0) + 1
            names.append(name if number == 1 else f"{name} {number}")
        return names, values, more

    return read
