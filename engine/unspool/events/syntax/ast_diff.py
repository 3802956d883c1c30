"""What changed between two versions of a source, as the operations of a diff event."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Final

from unspool.errors import ConfigError
from unspool.events.canonical import canonical_parsed, plain_json
from unspool.events.diff_types import AstDiffOperation, DiffOperationType, ScopeMetadata, operations_of
from unspool.events.errors import InvalidEvent
from unspool.events.replay import apply_operations, apply_text_operations, split_path
from unspool.events.syntax.edits import Edit, TextEdit, split_lines, text_hunks, tree_edits
from unspool.events.syntax.python_tree import python_tree
from unspool.events.syntax.tree import JSON, PYTHON, TEXT, SourceNode, SourceTree, count_nodes, json_tree
from unspool.model.json_exact import container_of_doubles, parse_doubles
from unspool.model.values import MISSING, Value


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


LANGUAGES: Final = (PYTHON, JSON, TEXT)
MAX_TREE_CHARACTERS: Final = 1_000_000
"""A longer source is compared by lines."""
_MANY: Final = 8
"""Operations from which on it is asked whether all of them together are longer than the text they change."""
_TREES_KEPT: Final = 4
_SHORT_VALUE: Final = 200
"""A JSON value up to this length is told as a value besides its text; a longer one as text alone."""


def ast_diff(
    old_source: str, new_source: str, language: str | None = None
) -> tuple[tuple[AstDiffOperation, ...], ScopeMetadata]:
    """Find the operations that turn one version of a source into another.

    Python is compared by functions, classes and statements (`functions.hello.body.0`, `classes.A.functions.f.head`),
    a JSON object or list by its keys and items, any other text, and what does not parse, by lines (`lines.12`).
    Between two JSON documents in canonical form the operations are values alone, as the seed's; else they carry the
    text too, so that comments, layout and line ends come back byte for byte.

    Args:
        old_source: the version before.
        new_source: the version after.
        language: `python`, `json` or `text`; None to find out.

    Returns:
        The operations, to be applied in order (none where nothing changed), and how far they reach.

    Raises:
        ConfigError: an unknown language.
    """
    if language is not None and language not in LANGUAGES:
        raise ConfigError(f"language {language!r} is unknown; use {', '.join(LANGUAGES)} or None to find out")
    for rule in _rules(old_source, new_source, language):
        old, new = _tree(old_source, rule), _tree(new_source, rule)
        if old is None or new is None:
            continue
        edits = tree_edits(old, new)
        operations = _operations(old, new, edits)
        if operations is not None:
            shorter = _replaced(old_source, new_source, operations, rule)
            return shorter or operations, scope_of_edits(new, edits)
    hunks = text_hunks(old_source, new_source)
    changed = sum(max(1, len(split_lines(old_source[hunk.start : hunk.end]))) for hunk in hunks)
    operations = tuple(_line_operation(old_source, new_source, hunk) for hunk in reversed(hunks))
    shorter = _replaced(old_source, new_source, operations, None)
    return shorter or operations, ScopeMetadata(changed, len(split_lines(new_source)))


def _replaced(
    old: str, new: str, operations: Sequence[AstDiffOperation], rule: str | None
) -> tuple[AstDiffOperation, ...] | None:
    """Return one operation that replaces all the text from the first change to the last, where that is shorter than many."""
    places = [operation.at for operation in operations if operation.at is not None]
    if len(places) < max(len(operations), _MANY):
        return None
    start = min(places)
    end = max(operation.at + len(operation.cut_text) for operation in operations if operation.at is not None)
    cut, put = old[start:end], new[start : len(new) - (len(old) - end)]
    kind = DiffOperationType.MODIFY if cut and put else DiffOperationType.REMOVE if cut else DiffOperationType.ADD
    path = rule or f"lines.{old.count(chr(10), 0, start) + 1}"
    whole = (_slices(path, kind, start, cut, put),)
    return whole if _spelled_size(whole) < _spelled_size(operations) else None


def _spelled_size(operations: Sequence[AstDiffOperation]) -> int:
    return sum(len(plain_json(operation.to_wire())) for operation in operations)


def apply_ast_diff(old_source: str, operations: Iterable[AstDiffOperation | Mapping[str, Value]]) -> str:
    """Apply the operations of a diff: `apply_ast_diff(old, ast_diff(old, new)[0]) == new`, byte for byte.

    Raises:
        InvalidEvent: an operation is not whole, or does not fit the source.
    """
    listed = list(operations)
    if not listed:
        return old_source
    checked = operations_of(listed)
    if checked[0].at is not None:
        return apply_text_operations(old_source, checked)
    model = container_of_doubles(old_source)
    if model is None:
        model = {"source": old_source}
        apply_operations(model, checked)
        is_text = list(model) == ["source"] and isinstance(model["source"], str)
        return model["source"] if is_text else canonical_parsed(model)
    apply_operations(model, checked)
    return canonical_parsed(model)


def _rules(old: str, new: str, language: str | None) -> Sequence[str]:
    if max(len(old), len(new)) > MAX_TREE_CHARACTERS or language == TEXT:
        return ()
    return (JSON, PYTHON) if language is None else (language,)


@lru_cache(maxsize=_TREES_KEPT)
def _tree(source: str, rule: str) -> SourceTree | None:
    """Cut a source; the trees of the last ones are kept, for the new version of one diff is the old one of the next."""
    return json_tree(source) if rule == JSON else python_tree(source)


def _operations(old: SourceTree, new: SourceTree, edits: Sequence[Edit]) -> tuple[AstDiffOperation, ...] | None:
    """Spell edits as operations, last ones first so that no offset moves; None where they would not be exact."""
    if old.language == JSON:
        values = _value_operations(old, new, edits)
        if values is not None:
            return values
    operations = tuple(_text_operation(old, new, edit) for edit in reversed(edits))
    return operations if apply_text_operations(old.text, operations) == new.text else None


def _value_operations(old: SourceTree, new: SourceTree, edits: Sequence[Edit]) -> tuple[AstDiffOperation, ...] | None:
    """Spell edits of a JSON document as values alone, where both versions are in canonical form and no value is long."""
    if not _may_be_canonical(new):
        return None
    if any(
        max(edit.end - edit.start, edit.new_end - edit.new_start) > _SHORT_VALUE and not edit.is_whole
        for edit in edits
    ):
        return None
    operations = tuple(
        AstDiffOperation(edit.trail.path(), edit.kind, *_values(old, new, edit))
        for edit in reversed(edits)
        if not edit.is_layout
    )
    try:
        checked = operations_of(operations)
        is_exact = apply_ast_diff(old.text, checked) == new.text
    except InvalidEvent:
        return None
    return checked if is_exact else None


def _may_be_canonical(tree: SourceTree) -> bool:
    """Whether a document's first lines look like canonical form; the full check costs as much as writing it."""
    first = tree.root.children[0]
    return "\n" not in tree.text and not tree.text[first.start : first.body].endswith((" ", "\t"))


def _text_operation(old: SourceTree, new: SourceTree, edit: Edit) -> AstDiffOperation:
    """Spell one edit with its place in the text."""
    cut, put = old.text[edit.start : edit.end], new.text[edit.new_start : edit.new_end]
    path = edit.trail.path()
    is_value = edit.is_whole and not edit.is_layout and max(len(cut), len(put)) <= _SHORT_VALUE
    if old.language == JSON and is_value and path:
        return AstDiffOperation(path, edit.kind, *_values(old, new, edit), edit.start, cut, put)
    return _slices(path or old.language, edit.kind, edit.start, cut, put)


def _line_operation(old: str, new: str, hunk: TextEdit) -> AstDiffOperation:
    cut, put = old[hunk.start : hunk.end], new[hunk.new_start : hunk.new_end]
    gone_or_changed = DiffOperationType.MODIFY if put else DiffOperationType.REMOVE
    kind = gone_or_changed if cut else DiffOperationType.ADD
    return _slices(f"lines.{hunk.line}", kind, hunk.start, cut, put)


def _slices(path: str, kind: DiffOperationType, at: int, cut: str, put: str) -> AstDiffOperation:
    """Spell a change of text whose values are the text itself; what the kind has no value for goes to cut or put."""
    if kind is DiffOperationType.ADD:
        return AstDiffOperation(path, kind, after=put, at=at, cut=cut or None)
    if kind is DiffOperationType.REMOVE:
        return AstDiffOperation(path, kind, before=cut, at=at, put=put or None)
    return AstDiffOperation(path, kind, cut, put, at)


def _values(old: SourceTree, new: SourceTree, edit: Edit) -> tuple[Value, Value]:
    before = MISSING if edit.old is None else parse_doubles(old.text[edit.old.body : edit.old.end])
    after = MISSING if edit.new is None else parse_doubles(new.text[edit.new.body : edit.new.end])
    return before, after
