"""How far a diff reaches: nodes changed, nodes in all, functions touched (E-05)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

from unspool.events.diff_types import ScopeMetadata
from unspool.events.object_paths import split_path
from unspool.events.syntax.edits import Edit
from unspool.events.syntax.tree import SourceNode, SourceTree, count_nodes


def scope_of_edits(new: SourceTree, edits: Sequence[Edit]) -> ScopeMetadata:
    """Count what edits touch.

    A node that came or went counts with all nodes in it, one that changed counts once. Functions are named as in
    Python (`Class.method`), in the order of the text; a JSON document's are the keys under `functions`.
    """
    changed = 0
    modified: set[str] = set()
    functions: dict[str, None] = {}
    for edit in edits:
        path = edit.trail.path()
        if edit.old is None or edit.new is None:
            node = edit.new or edit.old
            changed += max(1, count_nodes(node)) if node is not None else 0
            functions.update(dict.fromkeys(_functions_in(path, node)))
        elif path not in modified:
            modified.add(path)
            changed += 1
        functions.update(dict.fromkeys(filter(None, [function_of(path)])))
    return ScopeMetadata(changed, count_nodes(new.root), tuple(functions))


def function_of(path: str) -> str:
    """Return the innermost function that a path leads through, with its classes; empty where there is none."""
    steps = split_path(path)
    names: list[str] = []
    function = ""
    for kind, name in pairwise(steps):
        if kind in {"classes", "functions"} and not name.isdigit():
            names.append(name)
            if kind == "functions":
                function = ".".join(names)
    return function


def _functions_in(path: str, node: SourceNode | None) -> Iterator[str]:
    """Yield the functions inside a node that came or went."""
    pending = [(path, node)] if node is not None else []
    while pending:
        prefix, current = pending.pop()
        if (current.name or "").startswith("functions."):
            yield function_of(prefix)
        pending.extend(
            (f"{prefix}.{child.name}", child) for child in reversed(current.children) if child.name is not None
        )
