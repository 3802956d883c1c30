"""A source as a tree of slices: each node is a stretch of the text, and its children tile it without a gap."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

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
