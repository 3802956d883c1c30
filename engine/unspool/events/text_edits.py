"""Operations that change a source's text at an offset: replayed without a parser, checked byte for byte."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from unspool.events.diff_types import AstDiffOperation
from unspool.events.errors import InvalidEvent


def apply_text_operations(text: str, operations: Sequence[AstDiffOperation]) -> str:
    """Apply changes of text, each to what the one before has left.

    Raises:
        InvalidEvent: the text at an offset is not the one to be taken out.
    """
    if not _run_backwards(operations):
        for index, operation in enumerate(operations):
            _check(text, operation, index)
            at = operation.at or 0
            text = text[:at] + operation.put_text + text[at + len(operation.cut_text) :]
        return text
    # From the end to the start no change moves the next one's offset: one pass joins all pieces.
    pieces: list[str] = []
    end = len(text)
    for index, operation in enumerate(operations):
        _check(text, operation, index)
        at = operation.at or 0
        pieces.append(text[at + len(operation.cut_text) : end])
        pieces.append(operation.put_text)
        end = at
    pieces.append(text[:end])
    return "".join(reversed(pieces))


def _run_backwards(operations: Sequence[AstDiffOperation]) -> bool:
    return all((later.at or 0) + len(later.cut_text) <= (earlier.at or 0) for earlier, later in pairwise(operations))


def _check(text: str, operation: AstDiffOperation, index: int) -> None:
    at = operation.at or 0
    if at > len(text) or not text.startswith(operation.cut_text, at):
        raise InvalidEvent(
            f"astDiff operation {index} ({operation.operation} {operation.path[:200]!r}) does not fit the source: the"
            f" text at {at} is not the one to be taken out",
            field="astDiff",
        )
