"""A source as a tree of slices: each node is a stretch of the text, and its children tile it without a gap."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from unspool.events.replay import join_path
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
