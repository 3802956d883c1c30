"""The watched objects of a program as the agent tells of them, and their wire form: each node is encoded once.

The agent tells of containers by rows and splices; here each node keeps the wire forms of its items, so that a change costs
the node it is in and joining the bytes of those above. What stands inside itself is written as a `$ref` to where it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from unspool.live.cells import (
    CUTS,
    MORE,
    Cell,
    NotOfTheAgent,
    bytes_form,
    cell_form,
    is_unset,
    marker_form,
    node_of,
    reference_form,
    tagged_form,
)
from unspool.model.encoding import encode
from unspool.model.keys import Key, Step
from unspool.model.tags import Tag, array_header, extension_header, map_header
from unspool.model.values import MISSING, Missing, Value
from unspool.model.wire import decode

_MOST_NODES: Final = 1_000_000
_DEEPEST: Final = 150
"""Levels below an atom; the agent follows far fewer."""
_LARGEST: Final = 64 * 1024 * 1024
"""Bytes of a node in wire form: what stands in many places is written in each, and may come to any size."""
_CHUNK: Final = 256
"""Items whose bytes are joined once and kept."""
_STATE: Final = 0
"""The node whose items are the atoms."""
_ROW_PARTS, _MOST_ROW_PARTS = 5, 7
_NO_SPLICE_PARTS: Final = (None,) * 6
_KEYED: Final = ("state", "dict", "object")
_KINDS: Final = frozenset((*_KEYED, "list", "tuple", "set", "frozenset", "deque", "bytes", "cut"))
_TAGS: Final = {"tuple": Tag.TUPLE, "set": Tag.SET, "frozenset": Tag.FROZENSET}
_ITEMS: Final = "items"
_NAMES: Final = {"deque": "collections.deque", "object": "object"}
"""Of kinds that are always of a class: its name, where the agent tells none."""

Path = tuple[Step, ...]
Place = tuple[tuple[int, ...], Path]
"""Where a form was made: the nodes above, outermost first, and the path."""
_NOWHERE: Final[Place] = ((), ())


class _Node:
    """A container: what the agent said of it, the wire forms of its items, and its own.

    Attributes:
        kind, type, keys, cells, more, attributes: see the agent's rows.
        form: its wire form; None where something in it changed since.
        place: where the form was made.
        loose: nodes among the items whose forms hold a reference to something above, or were cut for their depth: they are
            right in one place only, and so is this one's.
        stale: nodes among the items that changed since.
        are_keys_new: its keys are others since somebody set this to False.
    """

    __slots__ = (
        "_chunks", "_forms", "_key_forms", "_many", "_odd", "_todo", "_where", "are_keys_new", "attributes", "cells", "form", "keys",
        "kind", "loose", "more", "place", "stale", "type",
    )  # fmt: skip

    def __init__(self, row: Cell) -> None:
        """Take a row over.

        Raises:
            NotOfTheAgent: it does not hold together.
        """
        if not _ROW_PARTS <= len(row) <= _MOST_ROW_PARTS:
            raise NotOfTheAgent("a row of another length")
        parts: list[Cell] = [*list(row), *[None] * (_MOST_ROW_PARTS - len(row))]
        number, kind, type_name, keys, cells, more, attributes = parts
        if kind not in _KINDS or (kind == "state") != (number == _STATE) or type(cells) is not list:
            raise NotOfTheAgent("a row of no kind that is known")
        self.kind: str = kind
        self.type = None if type_name is None else str(type_name)
        self.keys: list[Cell] | None = keys if kind in _KEYED or kind == "tuple" else None
        if (kind in _KEYED and type(keys) is not list) or (self.keys is not None and len(self.keys) != len(cells)):
            raise NotOfTheAgent("a row whose keys are none of its items")
        self.are_keys_new = True
        self.cells: list[Cell] = cells
        self.more: int = more or 0
        self.attributes: int | None = attributes
        self.form: bytes | None = None
        self.place = _NOWHERE
        self.loose: set[int] = set()
        self.stale: set[int] = set()
        self._forms: list[bytes] = [b""] * len(cells)
        self._key_forms: list[bytes] = [] if self.keys is None else [b""] * len(cells)
        self._todo = set(range(len(cells)))
        self._chunks: list[bytes | None] = []
        self._odd = sum(map(_is_odd, self.keys or ()))
        self._where: dict[int, int] = {}
        self._many: set[int] = set()
        self._find(0, len(cells))

    @property
    def children(self) -> list[Cell]:
        """The cells of all nodes that it holds, and others."""
        return self.cells if self.attributes is None else [*self.cells, [self.attributes]]

    def splice(self, at: int, drop: int, cells: list[Cell], keys: list[Cell] | None, more: int | None) -> list[Cell]:
        """Replace some items, and return the cells that were there.

        Raises:
            NotOfTheAgent: it does not fit.
        """
        end, count = at + drop, len(cells)
        if not 0 <= at <= end <= len(self.cells) or (self.keys is not None and len(keys or ()) != count):
            raise NotOfTheAgent("a splice that does not fit its node")
        removed = self.cells[at:end]
        if self.keys is not None and keys is not None and not _are_same_texts(self.keys[at:end], keys):
            self._odd += sum(map(_is_odd, keys)) - sum(map(_is_odd, self.keys[at:end]))
            self.keys[at:end] = keys
            self.are_keys_new = True
        is_last = end == len(self.cells)
        self.cells[at:end] = cells
        self._forms[at:end] = [b""] * count
        if self.keys is not None:
            self._key_forms[at:end] = [b""] * count
        if self._todo and count != drop:
            self._todo = {
                place if place < at else place + count - drop for place in self._todo if not at <= place < end
            }
        self._todo.update(range(at, at + count))
        if more is not None:
            self.more = more
        if count == drop:
            self._find(at, at + count)
            return removed
        del self._chunks[at // _CHUNK :]
        # What stands behind it has other paths now.
        self.place = _NOWHERE
        if is_last:
            self._find(at, at + count)
        else:
            self._where.clear()
            self._many.clear()
            self._find(0, len(self.cells))
        return removed

    def _find(self, start: int, end: int) -> None:
        """Take note where nodes among some items stand."""
        for place in range(start, end):
            child = node_of(self.cells[place])
            if child is not None:
                known = self._where.get(child, place)
                if known != place and known < len(self.cells) and node_of(self.cells[known]) == child:
                    self._many.add(child)
                self._where[child] = place

    def to_encode(self, place: Place) -> Iterable[int]:
        """Return the places of items whose forms are missing or wrong, and take them for done.

        Args:
            place: where this node is to be written.
        """
        wrong, self.stale = self.stale, set()
        if self.loose and self.place != place:
            wrong |= self.loose
        todo, self._todo = self._todo, set()
        if not self._many.isdisjoint(wrong):
            todo.update(number for number, cell in enumerate(self.cells) if node_of(cell) in wrong)
        for child in wrong:
            number = self._where.get(child, len(self.cells))
            if number < len(self.cells) and node_of(self.cells[number]) == child:
                todo.add(number)
        return sorted(todo)

    def step(self, number: int) -> Step:
        """Return the step that leads to an item."""
        if self.keys is None:
            return number
        key = self.keys[number]
        return key if type(key) in (str, int) else Key(cell_form(key))

    def set_form(self, number: int, form: bytes) -> None:
        """Keep the wire form of an item; b"" where nothing is there."""
        self._forms[number] = form
        if self.keys is not None:
            self._key_forms[number] = cell_form(self.keys[number]) if form else b""
        if number // _CHUNK < len(self._chunks):
            self._chunks[number // _CHUNK] = None

    def content(self) -> list[bytes]:
        """Return all items as a list or map in wire form, in parts that are to be joined: each join is a copy of all."""
        is_set = self.kind in ("set", "frozenset")
        count = len(self._forms)
        more = b""
        if self.more:
            more = marker_form(
                self.type or self.kind, f"{self.more:,} more left out: more items than the agent keeps"
            )
            count += 1
        if self.keys is None:
            return [array_header(count), *(sorted(self._forms) if is_set else self._parts()), more]
        count -= self._forms.count(b"")
        if more:
            more = encode(MORE) + more
        if self._odd:
            return _tagged_parts(Tag.PAIRS, [array_header(2 * count), *self._parts(), more])
        return [map_header(count), *self._parts(), more]

    def _parts(self) -> list[bytes]:
        """Return the wire forms of all items in order, joined by the chunk where they are many."""
        if len(self._forms) <= 2 * _CHUNK:
            return self._parts_between(0, len(self._forms))
        count = -(-len(self._forms) // _CHUNK)
        self._chunks += [None] * (count - len(self._chunks))
        chunks = [
            b"".join(self._parts_between(number * _CHUNK, (number + 1) * _CHUNK)) if chunk is None else chunk
            for number, chunk in enumerate(self._chunks)
        ]
        self._chunks[:] = chunks
        return chunks

    def _parts_between(self, start: int, stop: int) -> list[bytes]:
        forms = self._forms[start:stop]
        if self.keys is None:
            return forms
        parts = [b""] * (2 * len(forms))
        parts[::2], parts[1::2] = self._key_forms[start:stop], forms
        return parts


def _tagged_parts(tag: int, parts: list[bytes]) -> list[bytes]:
    """Return the parts of a tagged value's wire form, given those of its payload."""
    return [extension_header(tag, sum(map(len, parts))), *parts]


class Mirror:
    """The graph of a program's watched objects."""

    def __init__(self) -> None:
        """Begin with no atoms."""
        self._nodes: dict[int, _Node] = {}
        self._parents: dict[int, dict[int, int]] = {}
        """By node: those it stands in, and how often."""
        self._sent: dict[str, bytes] = {}
        # The state itself may stand in one of its atoms.
        self._above: dict[int, Path] = {_STATE: ()}
        """Nodes that are being encoded, with their paths, outermost first."""

    def __len__(self) -> int:
        return len(self._nodes)

    def apply(self, message: Mapping[str, Value]) -> None:
        """Take the rows and splices of an entry over, and forget nodes that are gone.

        Raises:
            NotOfTheAgent: they do not fit what was told before.
        """
        try:
            for row in message.get("rows") or ():
                self._put(row)
            for splice in message.get("splices") or ():
                parts: list[Cell] = [*splice, *_NO_SPLICE_PARTS[len(splice) :]]
                number, at, drop, cells, keys, more = parts
                self._let_go(number, self._nodes[number].splice(at, drop, cells, keys, more))
                self._hold(number, cells)
                self._mark(number)
            for gone in message.get("gone") or ():
                node = self._nodes.pop(gone, None)
                if node is not None:
                    self._let_go(gone, node.children)
                    self._mark(gone)
        except (TypeError, ValueError, IndexError, AttributeError, KeyError) as error:
            raise NotOfTheAgent(f"an entry that does not read ({type(error).__name__})") from None

    def changes(self) -> dict[str, bytes | Missing]:
        """Return the wire forms of the atoms that changed since this was asked last; MISSING for those that are gone.

        Raises:
            NotOfTheAgent: a node means nothing.
        """
        state = self._nodes.get(_STATE)
        if state is None or state.keys is None:
            return {}
        found: dict[str, bytes | Missing] = {}
        if state.are_keys_new:
            found.update(dict.fromkeys(self._sent.keys() - set(state.keys), MISSING))
            state.are_keys_new = False
        for number in state.to_encode(_NOWHERE):
            name = state.keys[number]
            if type(name) is not str:
                raise NotOfTheAgent("an atom whose name is no text")
            cell = state.cells[number]
            if not is_unset(cell):
                found[name], _ = self._form_of(cell, (name,))
            elif name in self._sent:
                found[name] = MISSING
        found = {name: form for name, form in found.items() if self._sent.get(name) != form}
        for name, form in found.items():
            if isinstance(form, Missing):
                del self._sent[name]
            else:
                self._sent[name] = form
        return found

    def value(self, cell: Cell, most: int) -> Value:
        """Return what a cell stands for that is no part of the state, such as an argument of a call.

        Args:
            cell: a value, or a node.
            most: bytes that it may take; a marker stands for more.

        Raises:
            NotOfTheAgent: it means nothing.
        """
        form, _ = self._form_of(cell, ("$",))
        return decode(form if len(form) <= most else marker_form("", f"{len(form):,} bytes, more than is kept here"))

    def _put(self, row: Cell) -> None:
        number = row[0]
        if type(number) is not int or (number not in self._nodes and len(self._nodes) >= _MOST_NODES):
            raise NotOfTheAgent(f"a node without a number, or more than {_MOST_NODES:,} of them")
        node, old = _Node(row), self._nodes.get(number)
        if old is not None:
            self._let_go(number, old.children)
        self._nodes[number] = node
        self._hold(number, node.children)
        self._mark(number)

    def _hold(self, number: int, cells: list[Cell]) -> None:
        for cell in cells:
            child = node_of(cell)
            if child is not None:
                parents = self._parents.setdefault(child, {})
                parents[number] = parents.get(number, 0) + 1

    def _let_go(self, number: int, cells: list[Cell]) -> None:
        for cell in cells:
            child = node_of(cell)
            if child is None:
                continue
            parents = self._parents[child]
            if parents[number] > 1:
                parents[number] -= 1
                continue
            del parents[number]
            if not parents:
                del self._parents[child]

    def _mark(self, number: int) -> None:
        """Take note that a node changed, in all that it stands in."""
        node = self._nodes.get(number)
        if node is not None:
            node.form = None
        pending = [number]
        while pending:
            child = pending.pop()
            for parent in self._parents.get(child, ()):
                above = self._nodes.get(parent)
                if above is None or child in above.stale:
                    continue
                above.stale.add(child)
                # One without a form is marked in all that it stands in already.
                if above.form is not None:
                    above.form = None
                    pending.append(parent)

    def _form_of(self, cell: Cell, path: Path) -> tuple[bytes, bool]:
        """Return the wire form of a cell, and whether it is right in this place only."""
        number = node_of(cell)
        if number is None:
            return cell_form(cell), False
        above = self._above.get(number)
        if above is not None:
            return reference_form(above), True
        node = self._nodes.get(number)
        if node is None:
            return marker_form("", "the agent did not say what this is"), False
        place = (tuple(self._above), path)
        if node.form is not None and (not node.loose or node.place == place):
            return node.form, bool(node.loose)
        if len(self._above) > _DEEPEST:
            return marker_form(node.type or node.kind, f"more than {_DEEPEST} levels deep"), True
        self._above[number] = path
        try:
            form = self._encoded(node, place)
        finally:
            del self._above[number]
        if len(form) > _LARGEST:
            form = marker_form(node.type or node.kind, f"{len(form):,} bytes, more than there is room for")
        node.form, node.place = form, place
        return form, bool(node.loose)

    def _encoded(self, node: _Node, place: Place) -> bytes:
        if node.kind == "bytes":
            return bytes_form(node.cells, node.type)
        if node.kind == "cut":
            return marker_form("", CUTS.get(node.type or "", "left out by the agent"))
        for number in node.to_encode(place):
            cell = node.cells[number]
            if node.keys is not None and is_unset(cell):
                node.set_form(number, b"")
                continue
            child = node_of(cell)
            if child is None:
                node.set_form(number, cell_form(cell))
                continue
            form, is_loose = self._form_of(cell, (*place[1], node.step(number)))
            node.set_form(number, form)
            (node.loose.add if is_loose else node.loose.discard)(child)
        parts = node.content()
        tag = _TAGS.get(node.kind) if node.keys is None else None
        if tag is not None:
            parts = _tagged_parts(tag, parts)
        name = node.type or _NAMES.get(node.kind)
        if name is None:
            return b"".join(parts)
        if node.attributes is not None:
            return tagged_form(name, self._beside(node, b"".join(parts), place[1]))
        return b"".join(_tagged_parts(Tag.TAGGED, [array_header(2), encode(name), *parts]))

    def _beside(self, node: _Node, content: bytes, path: Path) -> bytes:
        """Return what a list or the like of a class of the program's own holds, among its attributes."""
        attributes = None if node.attributes is None else self._nodes.get(node.attributes)
        fields: dict[str, bytes] = {}
        if attributes is not None:
            for key, cell in zip(attributes.keys or (), attributes.cells, strict=True):
                if not is_unset(cell):
                    fields[str(key)], is_loose = self._form_of(cell, (*path, str(key)))
                    if is_loose and node.attributes is not None:
                        node.loose.add(node.attributes)
        if not fields:
            return content
        name = _ITEMS
        while name in fields:
            name += "_"
        fields[name] = content
        return map_header(len(fields)) + b"".join(
            part for key, form in fields.items() for part in (encode(key), form)
        )


def _are_same_texts(keys: list[Cell], others: list[Cell]) -> bool:
    """Whether keys are texts, and the same ones."""
    # 1 equals True, but is another key.
    return keys == others and {*map(type, keys)} == {str}


def _is_odd(key: Cell) -> bool:
    """Whether a key has no place in a map of the wire form: it is no text, or one with lone surrogates."""
    if type(key) is not str:
        return True
    try:
        key.encode()
    except UnicodeEncodeError:
        return True
    return False


__all__ = ["Mirror"]
