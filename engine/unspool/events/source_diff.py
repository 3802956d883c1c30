"""The changes between two versions of a source, as the operations of a diff event.

Python source is compared as a tree of statements. The standard library's parser finds the statements: it is quick and
gives up cleanly. Source in a newer grammar than the running Python's is parsed by libcst. Either decides only which
lines belong together; the text itself is never rewritten.
"""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import accumulate, pairwise
from typing import Any, Final

from unspool.errors import ConfigError
from unspool.events.canonical import canonical_parsed, plain_json
from unspool.events.records import InvalidEvent
from unspool.events.replay import (
    AstDiffOperation,
    DiffOperationType,
    ScopeMetadata,
    apply_operations,
    apply_text_operations,
    join_path,
    operations_of,
    split_path,
)
from unspool.events.tree_edits import (
    JSON,
    PYTHON,
    TEXT,
    Edit,
    SourceNode,
    SourceTree,
    TextEdit,
    count_nodes,
    json_tree,
    split_lines,
    text_hunks,
    tree_edits,
)
from unspool.model.json_exact import container_of_doubles, parse_doubles
from unspool.model.values import MISSING, Value

MAX_BRACKETS: Final = 60
MAX_RUN: Final = 300
"""Tokens between two commas: an upper bound of how deep operators, calls and attributes can nest there."""
MAX_CHAINED: Final = 100
"""`lambda`s and `for`s in one logical line; `elif`s of one `if`."""

# No possessive quantifiers: Python 3.11.2 misreads them around alternatives. Three quotes are never the empty text and
# a quote, or a long text without an end would be gone through again behind each of them.
_TOKEN: Final = re.compile(
    r'''(?P<newline>\r\n|\r|\n)
      | (?P<comment>\#[^\r\n]*)
      | (?P<string>[A-Za-z]{0,3}(?:"""[^"\\]*(?:(?:\\.|"(?!""))[^"\\]*)*"""|\'\'\'[^'\\]*(?:(?:\\.|'(?!''))[^'\\]*)*\'\'\'
            |"(?!"")[^"\\\r\n]*(?:\\.[^"\\\r\n]*)*"|'(?!\'\')[^'\\\r\n]*(?:\\.[^'\\\r\n]*)*'))
      | (?P<word>\w+)
      | (?P<open>[(\[{])
      | (?P<close>[)\]}])
      | (?P<comma>[,;])
      | (?P<other>[^\s\w])''',
    re.VERBOSE | re.DOTALL,
)
_FORMATTED: Final = re.compile(r"[A-Za-z]*[fFtT]")
_QUOTES: Final = frozenset({"'", '"'})
_CHAINING: Final = frozenset({"lambda", "for"})


def is_shallow(text: str) -> bool:
    """Whether nothing in Python source nests deeper than a recursive parser can follow. Errs to the safe side."""
    runs = [0]
    chained = 0
    line_start = 0
    first_word = ""
    elifs: dict[int, int] = {}
    for match in _TOKEN.finditer(text):
        kind = match.lastgroup
        if kind == "newline":
            if len(runs) == 1:
                runs, chained, first_word, line_start = [0], 0, "", match.end()
            continue
        if kind == "comment":
            continue
        if kind == "open":
            runs.append(0)
        elif kind == "close" and len(runs) > 1:
            runs.pop()
        elif kind == "comma":
            runs[-1] = -1
        elif kind == "word":
            chained += match[0] in _CHAINING
            if not first_word:
                first_word = match[0]
                _count_elif(elifs, first_word, match.start() - line_start)
        runs[-1] += 1
        # A quote of its own opens a text that never ends: no Python, and looking for its end again and again takes long.
        is_odd = match[0] in _QUOTES or (kind == "string" and not _is_shallow_string(match[0]))
        if is_odd or len(runs) > MAX_BRACKETS or runs[-1] > MAX_RUN or chained > MAX_CHAINED:
            return False
    return all(count <= MAX_CHAINED for count in elifs.values())


def _count_elif(elifs: dict[int, int], word: str, indent: int) -> None:
    """Keep the longest chain of `elif` at each indentation; chains there are added up, to be safe."""
    if word == "elif":
        elifs[indent] = elifs.get(indent, 0) + 1
    elif word == "if" and elifs.get(indent, 0) <= MAX_CHAINED:
        elifs[indent] = 0


def _is_shallow_string(token: str) -> bool:
    """Look into a formatted string, whose fields are code."""
    if not _FORMATTED.match(token):
        return True
    depth = run = 0
    for character in token.replace("{{", "").replace("}}", ""):
        if character == "{" or (depth and character in "(["):
            depth += 1
        elif character in ")]}":
            depth = max(0, depth - 1)
        run = run + 1 if depth else 0
        if depth > MAX_BRACKETS or run > MAX_RUN:
            return False
    return True


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


def newer_statements(code: str) -> list[Statement] | None:
    """Parse with libcst, the extra `unspool[ast]`; None where it is not installed or does not parse either.

    The caller makes sure that nothing nests deep.
    """
    # Importing libcst takes longer than most diffs; only source in a newer grammar needs it.
    try:
        import libcst  # see above
        from libcst.metadata import MetadataWrapper, PositionProvider
    except ImportError:
        return None

    try:
        wrapper = MetadataWrapper(libcst.parse_module(code), unsafe_skip_copy=True)
        positions = wrapper.resolve(PositionProvider)
    except (libcst.ParserSyntaxError, libcst.CSTValidationError, libcst.CSTLogicError, RecursionError, UnicodeError):
        return None
    found: list[Statement] = []
    pending: list[tuple[Any, list[Statement]]] = [(wrapper.module, found)]
    while pending:
        parent, siblings = pending.pop()
        for node in _inner(parent):
            place = positions[node]
            statement = Statement(place.start.line, place.end.line, *_named(node, libcst))
            siblings.append(statement)
            pending.append((node, statement.nested))
    return found


def _inner(node: Any) -> list[Any]:
    """Return the statements of all blocks of a node, in the order of the text."""
    inner: list[Any] = []
    holders = [node, *getattr(node, "handlers", ()), *getattr(node, "cases", ())]
    holders.extend(filter(None, (getattr(node, name, None) for name in ("orelse", "finalbody"))))
    for holder in holders:
        if type(holder).__name__ == "If" and holder is not node:
            inner.append(holder)
            continue
        body = getattr(holder, "body", None)
        # A module holds its statements itself, a block in an IndentedBlock; `if a: b` has no lines of its own.
        statements = body if isinstance(body, list | tuple) else getattr(body, "body", ())
        if (
            type(body).__name__ in {"IndentedBlock", "list", "tuple"}
            and type(holder).__name__ != "SimpleStatementLine"
        ):
            inner.extend(statements)
    return inner


def _named(node: Any, libcst: Any) -> tuple[str, str]:
    if isinstance(node, libcst.FunctionDef):
        return "functions", node.name.value
    if isinstance(node, libcst.ClassDef):
        return "classes", node.name.value
    return "", ""


_BYTE_ORDER_MARK: Final = "\ufeff"
_LOOKS_LIKE_PYTHON: Final = re.compile(
    r"^[ \t]*(?:async def|def|class|import|from|type|match|try|with) ?\b", re.MULTILINE
)
"""Any other text that does not parse is spared a second parser."""


def python_tree(text: str) -> SourceTree | None:
    """Cut Python source into its statements; None where it does not parse or nests too deep."""
    code = text.removeprefix(_BYTE_ORDER_MARK)
    if not is_shallow(code):
        return None
    statements = _statements(code)
    if statements is None and _LOOKS_LIKE_PYTHON.search(code):
        statements = newer_statements(code)
    return None if statements is None else statement_tree(text, statements)


def _statements(code: str) -> list[Statement] | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            module = ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    found: list[Statement] = []
    pending: list[tuple[ast.AST, list[Statement]]] = [(module, found)]
    while pending:
        parent, siblings = pending.pop()
        for node in _inner_python_tree(parent):
            statement = _statement(node)
            siblings.append(statement)
            pending.append((node, statement.nested))
    return found


def _inner_python_tree(node: ast.AST) -> list[ast.stmt]:
    """Return the statements of all blocks of a statement, in the order of the text."""
    inner: list[ast.stmt] = []
    for block in ("body", "handlers", "cases", "orelse", "finalbody"):
        parts = getattr(node, block, None)
        for part in parts if isinstance(parts, list) else ():
            if isinstance(part, ast.stmt):
                inner.append(part)
            elif isinstance(part, ast.ExceptHandler | ast.match_case):
                inner.extend(part.body)
    return inner


def _statement(node: ast.stmt) -> Statement:
    first, last = node.lineno, node.end_lineno or node.lineno
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        kind = "classes" if isinstance(node, ast.ClassDef) else "functions"
        first = min([first, *(decorator.lineno for decorator in node.decorator_list)])
        return Statement(first, last, kind, node.name)
    return Statement(first, last)


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
"""A JSON value up to this length is reported as a value besides its text; a longer one as text alone."""


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
