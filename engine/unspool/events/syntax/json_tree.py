"""A JSON document as a tree: members by key, items by number, with the text between them kept."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Final

from unspool.events.json_text import parse_json_container
from unspool.events.object_paths import join_path
from unspool.events.syntax.tree import JSON, SourceNode, SourceTree

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
    if parse_json_container(text) is None:
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
