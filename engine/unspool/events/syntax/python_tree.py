"""Python source as a tree of statements.

The standard library's parser tells the statements: it is quick and gives up cleanly. Source in a newer grammar than the
running Python's goes to libcst. Either tells only which lines belong together; the text itself is never rewritten.
"""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any, Final

from unspool.events.replay import join_path
from unspool.events.syntax.edits import split_lines
from unspool.events.syntax.tree import PYTHON, SourceNode, SourceTree

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
