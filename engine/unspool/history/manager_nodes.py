"""The tree of entries behind a history manager: who follows whom, and what stands on which full snapshot."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from unspool.history.manager_records import Record
from unspool.model.snapshot_metadata import Milliseconds, SnapshotMetadata


@dataclass(slots=True, eq=False)
class Node:
    """One entry.

    Attributes:
        serial: counts up in the order of writing; never reused while the entry is kept.
        id: the caller's id.
        metadata: time, action, count.
        record: what is kept of it.
        full_bytes: bytes of its full snapshot before compressing.
        atom_bytes: the part of these that its atoms take.
        parent: the entry it follows; None for the first, and once that one was evicted.
        chain: what it stands on; shared by all entries on one full snapshot.
        depth: entries before it in its line, evicted ones too.
        bytes_before: bytes of all deltas in its line up to and including it.
        children: entries that follow it.
        redo: the child that redo goes to.
    """

    serial: int
    id: str
    metadata: SnapshotMetadata
    record: Record
    full_bytes: int
    atom_bytes: int
    parent: Node | None
    chain: ChainRoot
    depth: int
    bytes_before: int
    children: list[Node] = field(default_factory=list)
    redo: Node | None = None

    @property
    def run(self) -> int:
        """Deltas between its full snapshot and it, itself included; 0 for a full one."""
        return self.depth - self.chain.full.depth

    @property
    def run_bytes(self) -> int:
        """Bytes of these deltas."""
        return self.bytes_before - self.chain.full.bytes_before


@dataclass(slots=True, eq=False)
class ChainRoot:
    """The full snapshot a chain stands on.

    Attributes:
        taken_at: when it was stored, by the clock.
        full: the entry stored whole.
    """

    taken_at: Milliseconds
    full: Node = field(init=False)


class Timeline:
    """The entries kept, by place in writing order and by id."""

    def __init__(self) -> None:
        self._nodes: dict[int, Node] = {}
        self._by_id: dict[str, Node] = {}
        self._first = 0
        self._next = 0

    def __len__(self) -> int:
        return len(self._nodes)

    def __iter__(self) -> Iterator[Node]:
        return iter(tuple(self._nodes.values()))

    def at(self, index: int) -> Node | None:
        """Return the entry at a place; negative places count from the end."""
        return self._nodes.get(index + (self._next if index < 0 else self._first))

    def get(self, identity: str) -> Node | None:
        """Return the entry of an id."""
        return self._by_id.get(identity)

    def index(self, node: Node) -> int:
        """Return the place of an entry."""
        return node.serial - self._first

    def of_serial(self, serial: int) -> Node | None:
        """Return the entry of a serial."""
        return self._nodes.get(serial)

    @property
    def first_serial(self) -> int:
        """The serial of the oldest entry kept."""
        return self._first

    @property
    def next_serial(self) -> int:
        """The serial of the next entry."""
        return self._next

    def append(self, node: Node) -> None:
        """Add an entry behind all others."""
        self._nodes[node.serial] = node
        self._by_id[node.id] = node
        self._next = node.serial + 1
        if node.parent is not None:
            node.parent.children.append(node)
            node.parent.redo = node

    def drop_oldest(self) -> Node:
        """Take out the first entry, and cut its children loose."""
        node = self._nodes.pop(self._first)
        del self._by_id[node.id]
        self._first += 1
        for child in node.children:
            child.parent = None
        return node

    def drop_after(self, node: Node) -> list[Node]:
        """Take out all entries written after one, and return them."""
        dropped = [self._nodes.pop(serial) for serial in range(node.serial + 1, self._next)]
        for gone in dropped:
            del self._by_id[gone.id]
        node.children.clear()
        node.redo = None
        self._next = node.serial + 1
        return dropped


def stand_on(node: Node, chain: ChainRoot) -> None:
    """Let an entry and the deltas that follow it stand on another full snapshot: the entry itself."""
    chain.full = node
    pending = [node]
    while pending:
        current = pending.pop()
        current.chain = chain
        pending.extend(child for child in current.children if not child.record.is_full)
