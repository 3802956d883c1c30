"""Statements of Python source that the running Python cannot parse, told by libcst, which knows newer grammars."""

from __future__ import annotations

from typing import Any

from unspool.events.syntax.statements import Statement


def newer_statements(code: str) -> list[Statement] | None:
    """Parse with libcst; None where it does not parse either. The caller makes sure that nothing nests deep."""
    # Importing libcst takes longer than most diffs; only source in a newer grammar needs it.
    import libcst
    from libcst.metadata import MetadataWrapper, PositionProvider

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
