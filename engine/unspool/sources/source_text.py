"""Files that are source code or prose rather than state: their text is the one atom of their history."""

from __future__ import annotations

from typing import Final

from unspool.model.limits import Limits
from unspool.model.values import State
from unspool.sources.documents import SUFFIXES, parse_document, suffix_of
from unspool.sources.json_exact import BrokenText, Parsed

SOURCE_ATOM: Final = "source"
"""The atom that holds a file's text, as in event logs."""
_TEXT_SUFFIXES: Final = frozenset((
    ".py", ".pyi", ".pyw", ".js", ".mjs", ".cjs", ".jsx", ".ts", ".tsx", ".vue", ".svelte", ".c", ".h", ".cc",
    ".cpp", ".hpp", ".cs", ".java", ".kt", ".scala", ".go", ".rs", ".rb", ".php", ".pl", ".lua", ".r", ".jl",
    ".swift", ".m", ".hs", ".ml", ".ex", ".exs", ".erl", ".clj", ".lisp", ".el", ".sh", ".bash", ".zsh",
    ".fish", ".ps1", ".bat", ".sql", ".html", ".htm", ".css", ".scss", ".less", ".xml", ".svg", ".md", ".rst",
    ".txt", ".tex", ".ini", ".cfg", ".conf", ".properties", ".env", ".tcss", ".proto",
    ".graphql", ".cmake", ".mk", ".diff", ".patch",
))  # fmt: skip
_BINARY_HEAD: Final = 8000
"""Bytes in which git itself looks for a zero to tell binary files."""


def is_text_by_name(name: str) -> bool:
    """Say whether a file's name promises text that only looks like a document by chance (`x = 1` is TOML too)."""
    return suffix_of(name) in _TEXT_SUFFIXES


def is_document_by_name(name: str) -> bool:
    """Say whether a file's name promises a document, so that one that does not parse is a broken one."""
    return suffix_of(name) in SUFFIXES


def guessed_document(data: bytes, kind: str, name: str, limits: Limits) -> Parsed | None:
    """Return a file as a document where its content leaves no doubt, though its name does not say so; else None.

    Much code reads as YAML (`def f():`) or as TOML (`x = 1`), so those are believed of lock files only.
    """
    if kind not in ("json", "msgpack") and not name.endswith(".lock"):
        return None
    try:
        parsed = parse_document(data, kind, limits)
    except BrokenText:
        return None
    return parsed if isinstance(parsed.value, dict | list) else None


def text_state(data: bytes) -> State:
    """Return a file's text as a state. Bytes that are no UTF-8 are kept as lone surrogates.

    Raises:
        BrokenText: the file is binary.
    """
    if b"\x00" in data[:_BINARY_HEAD]:
        raise BrokenText("neither a document nor text: it holds zero bytes")
    return {SOURCE_ATOM: data.decode("utf-8", "surrogateescape")}
