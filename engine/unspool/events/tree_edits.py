"""A source as a tree of slices, and the difference of two such trees as edits of the old text in the order of the text.

Each node is a stretch of the text, and its children tile it without a gap.
"""

from __future__ import annotations

import json
import re
from bisect import bisect, bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from difflib import SequenceMatcher
from itertools import accumulate
from typing import Final

from unspool.events.replay import DiffOperationType, join_path
from unspool.model.json_exact import container_of_doubles

PYTHON: Final = "python"
JSON: Final = "json"
TEXT: Final = "text"
"""The three rules that cut a source."""


@dataclass(frozen=True, slots=True)
class SourceNode:
    """A stretch of source text.

    Attributes:
        start: offset of its first code point, leading blanks, comments and separators included.
        body: where it begins in earnest: after the separator and key of a JSON member; `start` elsewhere.
        end: offset after its last code point.
        name: what a path calls it within its parent (`functions.hello`), dots within a name escaped; None for a
            node that is known by its number.
        series: what is counted, for a node known by its number (`body`): it is called `body.0`, `body.1` and so on.
        children: nodes that tile it from `body` to `end`; empty for a leaf.
        is_layout: it holds nothing that a diff could name, only brackets, blanks or a heading.
    """

    start: int
    body: int
    end: int
    name: str | None = None
    series: str = ""
    children: tuple[SourceNode, ...] = ()
    is_layout: bool = False


@dataclass(frozen=True, slots=True)
class SourceTree:
    """A text and the tree that tiles it; `language` names the rule that cut it."""

    text: str
    root: SourceNode
    language: str


def walk(root: SourceNode) -> Iterator[SourceNode]:
    """Yield a node and all nodes under it, in no particular order."""
    pending = [root]
    while pending:
        node = pending.pop()
        yield node
        pending.extend(node.children)


def count_nodes(root: SourceNode) -> int:
    """Count the nodes that mean something: layout is none."""
    return sum(1 for node in walk(root) if not node.is_layout)


def numbered_name(series: str, number: int) -> str:
    """Spell the name of a node known by its number."""
    return f"{series}.{number}" if series else str(number)


_MARK: Final = re.compile(r'[\[\]{},:]|"[^"\\]*(?:\\.[^"\\]*)*"|[^\s\[\]{},:"]+')


@dataclass(slots=True)
class _Open:
    """A container that is being read.

    Attributes:
        start: where its own node starts: after the item before it.
        body: where its bracket stands.
        key: its key in its parent; None for a list's item.
        is_object: whether it has keys.
        edge: where its next child starts: after the bracket or the child before.
        pending_key: a key whose value is still to come.
        children: the children so far.
    """

    start: int
    body: int
    key: str | None
    is_object: bool
    edge: int
    pending_key: str | None = None
    children: list[SourceNode] = field(default_factory=list)


def json_tree(text: str) -> SourceTree | None:
    """Cut a JSON object or list into its values; None where the text is no such document, or names a key twice."""
    if container_of_doubles(text) is None:
        return None
    stack: list[_Open] = []
    root: SourceNode | None = None
    for match in _MARK.finditer(text):
        mark = match[0]
        if mark in {"{", "["}:
            parent = stack[-1] if stack else None
            start, key = (parent.edge, parent.pending_key) if parent else (0, None)
            stack.append(_Open(start, match.start(), key, mark == "{", match.end()))
        elif mark in {"}", "]"}:
            done = stack.pop()
            if done.is_object and len({child.name for child in done.children}) < len(done.children):
                return None
            end = match.end() if stack else len(text)
            done.children.append(SourceNode(done.edge, done.edge, end, name="~end", is_layout=True))
            node = SourceNode(done.start, done.body, end, _name(done.key), "", tuple(done.children))
            root = _placed(node, stack)
        elif mark not in {",", ":"}:
            _scalar_or_key(stack[-1], mark, match.start(), match.end())
    return None if root is None else SourceTree(text, root, JSON)


def _placed(node: SourceNode, stack: list[_Open]) -> SourceNode:
    """Put a finished node into its parent, if it has one."""
    if stack:
        parent = stack[-1]
        parent.children.append(node)
        parent.edge, parent.pending_key = node.end, None
    return node


def _scalar_or_key(parent: _Open, mark: str, start: int, end: int) -> None:
    if parent.is_object and parent.pending_key is None:
        parent.pending_key = json.loads(mark)
        return
    _placed(SourceNode(parent.edge, start, end, _name(parent.pending_key)), [parent])


def _name(key: str | None) -> str | None:
    """Spell a key as a path's step."""
    return None if key is None else join_path([key])


Block = tuple[int, int, int]
"""Start in the old sequence, start in the new one, and length of a common run."""

_MAX_PRODUCT: Final = 100_000
"""Stretches without a unique common item are compared item by item only up to this many pairs."""


def common_blocks(old: Sequence[str], new: Sequence[str]) -> list[Block]:
    """Find common runs, in order and without crossing.

    What is alike at both ends is taken first, then items that occur once on either side hold the rest together
    (the patience rule); only small stretches between them are searched exhaustively.
    """
    blocks: list[Block] = []
    pending = [(0, len(old), 0, len(new))]
    while pending:
        old_start, old_end, new_start, new_end = pending.pop()
        head = _alike(old, new, range(old_start, old_end), range(new_start, new_end))
        if head:
            blocks.append((old_start, new_start, head))
        old_start, new_start = old_start + head, new_start + head
        tail = _alike(old, new, range(old_end - 1, old_start - 1, -1), range(new_end - 1, new_start - 1, -1))
        if tail:
            blocks.append((old_end - tail, new_end - tail, tail))
        old_end, new_end = old_end - tail, new_end - tail
        if old_start == old_end or new_start == new_end:
            continue
        anchors = _anchors(old, new, old_start, old_end, new_start, new_end)
        if anchors:
            pending.extend(_between(anchors, old_start, old_end, new_start, new_end))
        elif (old_end - old_start) * (new_end - new_start) <= _MAX_PRODUCT:
            matcher = SequenceMatcher(None, old[old_start:old_end], new[new_start:new_end], autojunk=False)
            blocks.extend(
                (old_start + block.a, new_start + block.b, block.size)
                for block in matcher.get_matching_blocks()
                if block.size
            )
    blocks.sort()
    return blocks


def _alike(old: Sequence[str], new: Sequence[str], lefts: range, rights: range) -> int:
    """Count how far two stretches are alike, walking them in the given direction."""
    count = 0
    for left, right in zip(lefts, rights, strict=False):
        if old[left] != new[right]:
            break
        count += 1
    return count


def gaps(blocks: Sequence[Block], old_length: int, new_length: int) -> list[tuple[int, int, int, int]]:
    """Return the stretches between common runs: old start and end, new start and end."""
    found: list[tuple[int, int, int, int]] = []
    old_start = new_start = 0
    for old_block, new_block, size in (*blocks, (old_length, new_length, 0)):
        if old_start < old_block or new_start < new_block:
            found.append((old_start, old_block, new_start, new_block))
        old_start, new_start = old_block + size, new_block + size
    return found


def _anchors(
    old: Sequence[str], new: Sequence[str], old_start: int, old_end: int, new_start: int, new_end: int
) -> list[tuple[int, int]]:
    """Find the longest run, in order on both sides, of items that occur once on each."""
    old_counts = Counter(old[old_start:old_end])
    new_counts = Counter(new[new_start:new_end])
    old_places = {old[index]: index for index in range(old_start, old_end) if old_counts[old[index]] == 1}
    pairs = [
        (old_places[new[index]], index)
        for index in range(new_start, new_end)
        if new_counts[new[index]] == 1 and new[index] in old_places
    ]
    return _longest_rising(pairs)


def _longest_rising(pairs: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Keep the longest subsequence whose first numbers rise; the second ones do already."""
    tails: list[int] = []
    tail_indices: list[int] = []
    before: list[int] = []
    for index, (old_place, _) in enumerate(pairs):
        rank = bisect_left(tails, old_place)
        before.append(tail_indices[rank - 1] if rank else -1)
        if rank == len(tails):
            tails.append(old_place)
            tail_indices.append(index)
        else:
            tails[rank] = old_place
            tail_indices[rank] = index
    chosen: list[tuple[int, int]] = []
    index = tail_indices[-1] if tail_indices else -1
    while index >= 0:
        chosen.append(pairs[index])
        index = before[index]
    chosen.reverse()
    return chosen


def _between(
    anchors: Sequence[tuple[int, int]], old_start: int, old_end: int, new_start: int, new_end: int
) -> list[tuple[int, int, int, int]]:
    """Cut a stretch at its anchors: each piece starts with one, so that the common head takes it."""
    cuts = [(old_start, new_start), *anchors, (old_end, new_end)]
    return [
        (cuts[index][0], cuts[index + 1][0], cuts[index][1], cuts[index + 1][1])
        for index in range(len(cuts) - 1)
        if cuts[index] != cuts[index + 1]
    ]


_LINE: Final = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+")
_LONG: Final = 200
"""A changed stretch longer than this is cut down to what differs in it."""


@dataclass(frozen=True, slots=True)
class TextEdit:
    """A stretch of the old text and what takes its place, as offsets into both; `line` is the old line's number."""

    start: int
    end: int
    new_start: int
    new_end: int
    line: int


def split_lines(text: str) -> list[str]:
    """Cut text into lines, ends included; only line feeds and carriage returns end one, as in Python's grammar."""
    return _LINE.findall(text)


def text_hunks(old: str, new: str) -> list[TextEdit]:
    """Find what differs between two texts, in order."""
    old_lines, new_lines = split_lines(old), split_lines(new)
    old_offsets = [0, *accumulate(map(len, old_lines))]
    new_offsets = [0, *accumulate(map(len, new_lines))]
    found: list[TextEdit] = []
    for old_start, old_end, new_start, new_end in gaps(
        common_blocks(old_lines, new_lines), len(old_lines), len(new_lines)
    ):
        hunk = TextEdit(
            old_offsets[old_start], old_offsets[old_end], new_offsets[new_start], new_offsets[new_end], old_start
        )
        found.append(_trimmed(hunk, old, new))
    return found


def _trimmed(hunk: TextEdit, old: str, new: str) -> TextEdit:
    if min(hunk.end - hunk.start, hunk.new_end - hunk.new_start) <= _LONG:
        return hunk
    before, after = old[hunk.start : hunk.end], new[hunk.new_start : hunk.new_end]
    head = _common_head(before, after)
    tail = _common_head(before[head:][::-1], after[head:][::-1])
    return TextEdit(hunk.start + head, hunk.end - tail, hunk.new_start + head, hunk.new_end - tail, hunk.line)


def _common_head(one: str, other: str) -> int:
    """Return the length of the common start, by comparing ever smaller slices."""
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


_SHORT_VALUE: Final = 200
"""A JSON value up to this length is reported as a whole, not by the lines that changed in it."""


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
    """Whether two nodes begin alike before their first child: a JSON object never turns into a list by parts."""
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
