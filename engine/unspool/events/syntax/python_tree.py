"""Python source as a tree of statements.

The standard library's parser tells the statements: it is quick and gives up cleanly. Source in a newer grammar than the
running Python's goes to libcst. Either tells only which lines belong together; the text itself is never rewritten.
"""

from __future__ import annotations

import ast
import re
import warnings
from typing import Final

from unspool.events.syntax.newer_python import newer_statements
from unspool.events.syntax.shallow import is_shallow
from unspool.events.syntax.statements import Statement, statement_tree
from unspool.events.syntax.tree import SourceTree

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
        for node in _inner(parent):
            statement = _statement(node)
            siblings.append(statement)
            pending.append((node, statement.nested))
    return found


def _inner(node: ast.AST) -> list[ast.stmt]:
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
