"""Statements of a Python module as two parsers tell them: which lines they take, and what they hold."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate

from unspool.events.object_paths import join_path
from unspool.events.syntax.hunks import split_lines
from unspool.events.syntax.tree import PYTHON, SourceNode, SourceTree


@dataclass(slots=True)
class Statement:
    """One statement; lines are numbered from 1.

    Attributes:
        first: its first line, decorators included.
        last: its last line.
        kind: `functions`, `classes`, or empty for any other statement.
        name: the function's or class's name.
        nested: the statements of all its blocks, in order.
    """

    first: int
    last: int
    kind: str = ""
    name: str = ""
    nested: list[Statement] = field(default_factory=list)


@dataclass(slots=True)
class _Draft:
    """A node while its children are still being cut."""

    start: int
    end: int
    name: str | None
    children: list[_Draft | SourceNode]


def statement_tree(text: str, statements: Sequence[Statement]) -> SourceTree:
    """Tile a text by its statements.

    A statement owns the blank lines and comments above it; a function, class or other compound statement starts with
    a `head` (all up to its first inner statement). Statements that share a line are one node.
    """
    offsets = [0, *accumulate(map(len, split_lines(text)))]
    root = _Draft(0, len(text), None, [])
    pending: list[tuple[_Draft, Sequence[Statement], int]] = [(root, statements, 0)]
    drafts: list[_Draft] = [root]
    while pending:
        parent, inner, start = pending.pop()
        names: dict[str, int] = {}
        for group in _groups(inner):
            first, last = group[0], group[-1]
            end = offsets[min(last.last, len(offsets) - 1)]
            draft = _Draft(start, end, _name(group, names), [])
            parent.children.append(draft)
            drafts.append(draft)
            head_end = offsets[first.nested[0].first - 1] if len(group) == 1 and first.nested else start
            if start < head_end < end and first.nested[0].first > first.first:
                draft.children.append(SourceNode(start, start, head_end, name="head"))
                pending.append((draft, first.nested, head_end))
            start = end
        if start < parent.end:
            parent.children.append(SourceNode(start, start, parent.end, name="tail"))
    return SourceTree(text, _finished(drafts), PYTHON)


def _groups(statements: Sequence[Statement]) -> Iterator[list[Statement]]:
    """Put statements that share a line together."""
    group: list[Statement] = []
    for statement in statements:
        if group and statement.first > group[-1].last:
            yield group
            group = []
        group.append(statement)
    if group:
        yield group


def _name(group: Sequence[Statement], names: dict[str, int]) -> str | None:
    """Name a function or class; a second one of that name in the same block is `name#2`."""
    statement = group[0]
    if len(group) > 1 or not statement.kind:
        return None
    name = f"{statement.kind}.{join_path([statement.name])}"
    names[name] = names.get(name, 0) + 1
    return name if names[name] == 1 else f"{name}#{names[name]}"


def _finished(drafts: Sequence[_Draft]) -> SourceNode:
    """Freeze drafts, inner ones first: a draft stands behind its parent in the list."""
    done: dict[int, SourceNode] = {}
    for draft in reversed(drafts):
        children = tuple(done[id(child)] if isinstance(child, _Draft) else child for child in draft.children)
        series = "body" if draft.name is None else ""
        done[id(draft)] = SourceNode(draft.start, draft.start, draft.end, draft.name, series, children)
    return done[id(drafts[0])]
