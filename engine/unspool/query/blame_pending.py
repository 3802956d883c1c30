"""What of an atom has not been explained yet, while blame walks back through its versions.

A tree that is only as deep as changes have gone: a part nobody changed yet is one node, however much it holds, and
what differs between two versions is found by comparing wire forms along the tree.
"""

from __future__ import annotations

from collections.abc import Iterator

from unspool.delta.align import GONE, align
from unspool.delta.structural import Identity, identity_at
from unspool.history.diff import same_value
from unspool.model.parts import DEEPEST, Parts, parts_inside, parts_of
from unspool.model.paths import Path, Step
from unspool.query.parts import children, leaves


class Pending:
    """A part of a value whose last write is not known yet.

    Attributes:
        step: the step that led to it in the version asked about.
        value: its wire form in the version walked back to.
        inner: the parts of it that are not explained yet, by their step in that version; None while nothing in it
            changed, so that all of it is unexplained.
    """

    __slots__ = ("depth", "inner", "parent", "parts", "step", "value")

    def __init__(self, step: Step, value: bytes, parent: Pending | None = None) -> None:
        """Start with a part nothing is known of."""
        self.step = step
        self.value = value
        self.parent = parent
        self.depth: int = 1 if parent is None else parent.depth + 1
        self.parts: Parts | None = None
        self.inner: dict[Step, Pending] | None = None

    @classmethod
    def along(cls, value: bytes, path: Path) -> Pending:
        """Start with one part of an atom only.

        Args:
            value: the atom's wire form.
            path: the atom, and steps inside it that are there.
        """
        root = node = cls(path[0], value)
        for step in path[1:]:
            node.parts = parts_of(node.value)
            part = node.parts[step]  # type: ignore[index]
            node.inner = {step: cls(step, part, node)}
            node = node.inner[step]
        return root

    @property
    def done(self) -> bool:
        """Whether everything in it is explained."""
        return self.inner is not None and not self.inner

    def path(self) -> Path:
        """Return where the part stands in the version asked about."""
        steps: list[Step] = []
        node: Pending | None = self
        while node is not None:
            steps.append(node.step)
            node = node.parent
        return tuple(reversed(steps))

    def all_leaves(self) -> Iterator[Path]:
        """Yield where the unexplained leaves stand in the version asked about."""
        pending = [self]
        while pending:
            node = pending.pop()
            if node.inner is None:
                yield from (path for path, _ in leaves(node.value, node.path()))
            else:
                pending.extend(node.inner.values())


def step_back(root: Pending, old: bytes | None, identity: Identity | None = None) -> Iterator[Path]:
    """Go back to an older version of an atom, and yield the leaves that it does not have or has otherwise.

    What is yielded is explained: it is taken out of the tree.

    Args:
        root: what is unexplained in the version before.
        old: the atom's wire form in the older version; None where it had none.
        identity: identity keys of lists set by hand.
    """
    visited: list[Pending] = []
    pending: list[tuple[Pending, bytes | None]] = [(root, old)]
    while pending:
        node, before = pending.pop()
        if before == node.value:
            continue
        parts = None if before is None else parts_of(before)
        inner = None if before is None else _descend(node, parts, identity)
        if inner is None:
            if before is not None and same_value(before, node.value):
                node.value, node.parts = before, parts
                continue
            yield from node.all_leaves()
            node.inner = {}
        elif before is not None:
            node.value, node.parts = before, parts
            pending.extend(inner)
        visited.append(node)
    # Inner ones were visited after those that hold them, so this takes out whole branches from their ends.
    for node in reversed(visited):
        if node.inner is not None:
            node.inner = {step: part for step, part in node.inner.items() if not part.done}


def _descend(
    node: Pending, old: Parts | None, identity: Identity | None
) -> list[tuple[Pending, bytes | None]] | None:
    """Pair the unexplained parts of a node with those of its older version; None where the two have no parts alike."""
    if node.parts is None:
        node.parts = parts_inside(node.value) if node.depth < DEEPEST else None
    new = node.parts
    if not new or type(new) is not type(old):
        return None
    if node.inner is None:
        node.inner = {step: Pending(step, part, node) for step, part in children(new)}
    if isinstance(old, dict):
        return [(part, old.get(step)) for step, part in node.inner.items()]
    if not isinstance(old, list) or not isinstance(new, list):
        return None
    sources = align(old, new, identity_at(identity, node.path())).sources
    found: list[tuple[Pending, bytes | None]] = []
    moved: dict[Step, Pending] = {}
    for step, part in node.inner.items():
        source = sources[step] if isinstance(step, int) else GONE
        # A part that goes gets a step of its own, so that it takes no place of one that stays.
        moved[source if source != GONE else -2 - len(moved)] = part
        found.append((part, None if source == GONE else old[source]))
    node.inner = moved
    return found
