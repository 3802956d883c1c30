"""The difference of two trees, as edits of the old text in the order of the text."""

from __future__ import annotations

from bisect import bisect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Final

from unspool.events.diff_types import DiffOperationType
from unspool.events.syntax.align import common_blocks, gaps
from unspool.events.syntax.hunks import text_hunks
from unspool.events.syntax.tree import JSON, SourceNode, SourceTree, numbered_name

_SHORT_VALUE: Final = 200
"""A JSON value up to this length is told as a whole, not by the lines that changed in it."""


@dataclass(frozen=True, slots=True)
class Trail:
    """A path as a chain of names, so that deep trees share what their paths have in common."""

    parent: Trail | None
    name: str | None

    def path(self) -> str:
        """Spell the path; the root has no name in it."""
        names: list[str] = []
        trail: Trail | None = self
        while trail is not None:
            if trail.name is not None:
                names.append(trail.name)
            trail = trail.parent
        return ".".join(reversed(names))


@dataclass(frozen=True, slots=True)
class Edit:
    """A stretch of the old text and the stretch of the new one that takes its place.

    Attributes:
        kind: whether a node came, went or changed.
        trail: the path of that node.
        start: where the stretch begins in the old text.
        end: where it ends there.
        new_start: where its replacement begins in the new text.
        new_end: where it ends there.
        old: the node in the old tree; None for one that came.
        new: the node in the new tree; None for one that went.
        is_layout: only brackets, blanks, separators or a heading changed.
        is_whole: the stretch holds all of the node from its body on; otherwise it is a part of the node's text.
    """

    kind: DiffOperationType
    trail: Trail
    start: int
    end: int
    new_start: int
    new_end: int
    old: SourceNode | None
    new: SourceNode | None
    is_layout: bool = False
    is_whole: bool = True


def tree_edits(old: SourceTree, new: SourceTree) -> list[Edit]:
    """Compare two trees of one language.

    Returns:
        Edits that turn the old text into the new one, by their place in the text; none overlaps another.
    """
    found: list[Edit] = []
    pending: list[tuple[SourceNode, SourceNode, Trail]] = [(old.root, new.root, Trail(None, None))]
    while pending:
        one, other, trail = pending.pop()
        if old.text[one.start : one.body] != new.text[other.start : other.body]:
            span = (one.start, one.body, other.start, other.body)
            found.append(Edit(DiffOperationType.MODIFY, trail, *span, one, other, is_layout=True, is_whole=False))
        if old.text[one.body : one.end] == new.text[other.body : other.end]:
            continue
        if one.children and other.children and _open_alike(old, new, one, other):
            pending.extend(_pairs(old, new, one, other, trail, found))
        else:
            found.extend(_leaf_edits(old, new, one, other, trail))
    found.sort(key=lambda edit: (edit.start, edit.new_start))
    return list(_joined(found))


def _open_alike(old: SourceTree, new: SourceTree, one: SourceNode, other: SourceNode) -> bool:
    """Say whether two nodes begin alike before their first child: a JSON object never turns into a list by parts."""
    return old.text[one.body : one.children[0].start] == new.text[other.body : other.children[0].start]


def _pairs(
    old: SourceTree, new: SourceTree, one: SourceNode, other: SourceNode, trail: Trail, found: list[Edit]
) -> list[tuple[SourceNode, SourceNode, Trail]]:
    """Pair the children of two nodes: what came and went is added to `found`, the pairs are to be compared."""
    numbers = [0, *accumulate(int(child.name is None) for child in one.children)]
    old_keys = [_key(old, child) for child in one.children]
    new_keys = [_key(new, child) for child in other.children]
    blocks = common_blocks(old_keys, new_keys)
    pairs = [(left + step, right + step) for left, right, size in blocks for step in range(size)]
    for old_start, old_end, new_start, new_end in gaps(blocks, len(old_keys), len(new_keys)):
        likes = _likes(one.children, other.children, (old_start, old_end, new_start, new_end))
        pairs.extend(likes)
        lefts, rights = [left for left, _ in likes], [right for _, right in likes]
        for left in sorted(set(range(old_start, old_end)).difference(lefts)):
            after = bisect(lefts, left)
            offset = _offset(other, rights[after] if after < len(rights) else new_end)
            child = one.children[left]
            span = (child.start, child.end, offset, offset)
            found.append(Edit(DiffOperationType.REMOVE, _step(trail, child, numbers[left]), *span, child, None))
        for right in sorted(set(range(new_start, new_end)).difference(rights)):
            after = bisect(rights, right)
            place = lefts[after] if after < len(lefts) else old_end
            offset = _offset(one, place)
            child = other.children[right]
            span = (offset, offset, child.start, child.end)
            found.append(Edit(DiffOperationType.ADD, _step(trail, child, numbers[place]), *span, None, child))
    return [
        (one.children[left], other.children[right], _step(trail, one.children[left], numbers[left]))
        for left, right in pairs
    ]


def _step(trail: Trail, node: SourceNode, number: int) -> Trail:
    return Trail(trail, numbered_name(node.series, number) if node.name is None else node.name)


def _key(tree: SourceTree, node: SourceNode) -> str:
    """Return what makes a node the same node: its name, or for a numbered one its text."""
    return f"name {node.name}" if node.name is not None else f"text {tree.text[node.body : node.end]}"


def _likes(
    old: Sequence[SourceNode], new: Sequence[SourceNode], gap: tuple[int, int, int, int]
) -> list[tuple[int, int]]:
    """Pair nodes of a gap that are not the same but may be one that changed, in order and without crossing."""
    old_start, old_end, new_start, new_end = gap
    lefts, rights = range(old_start, old_end), range(new_start, new_end)
    if len(lefts) == len(rights) and all(
        _kind(old[left]) == _kind(new[right]) for left, right in zip(lefts, rights, strict=True)
    ):
        return list(zip(lefts, rights, strict=True))
    numbered_left = (left for left in lefts if old[left].name is None)
    numbered_right = (right for right in rights if new[right].name is None)
    return list(zip(numbered_left, numbered_right, strict=False))


def _kind(node: SourceNode) -> str:
    """Tell functions from classes and statements, so that a renamed function stays one."""
    return f"numbered {node.series}" if node.name is None else node.name.partition(".")[0]


def _offset(parent: SourceNode, place: int) -> int:
    return parent.children[place].start if place < len(parent.children) else parent.end


def _leaf_edits(old: SourceTree, new: SourceTree, one: SourceNode, other: SourceNode, trail: Trail) -> Iterator[Edit]:
    """Compare two nodes by their text alone: short JSON values as a whole, all else by its lines."""
    whole = (one.body, one.end, other.body, other.end)
    is_layout = one.is_layout and other.is_layout
    if old.language == JSON and min(one.end - one.body, other.end - other.body) <= _SHORT_VALUE:
        yield Edit(DiffOperationType.MODIFY, trail, *whole, one, other, is_layout=is_layout)
        return
    for hunk in text_hunks(old.text[one.body : one.end], new.text[other.body : other.end]):
        span = (one.body + hunk.start, one.body + hunk.end, other.body + hunk.new_start, other.body + hunk.new_end)
        yield Edit(DiffOperationType.MODIFY, trail, *span, one, other, is_layout=is_layout, is_whole=span == whole)


def _joined(edits: Sequence[Edit]) -> Iterator[Edit]:
    """Join a change of layout to a neighbour that touches it: a comma comes and goes with its item."""
    waiting: Edit | None = None
    for edit in edits:
        if waiting is None:
            waiting = edit
            continue
        touches = waiting.end == edit.start and waiting.new_end == edit.new_start
        if touches and (waiting.is_layout or edit.is_layout):
            keeper = edit if waiting.is_layout else waiting
            waiting = replace(
                keeper, start=waiting.start, end=edit.end, new_start=waiting.new_start, new_end=edit.new_end
            )
        else:
            yield waiting
            waiting = edit
    if waiting is not None:
        yield waiting
