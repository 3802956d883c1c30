"""Writing data to standard output: all of it, or after a failure nothing."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Container
from types import TracebackType
from typing import Final, Self

import click

from unspool.errors import StorageFailed
from unspool.model.values import Value
from unspool_tui.cli.options import Common, stdout_is_terminal
from unspool_tui.present.inert import visible, visible_json

_IN_MEMORY: Final = 16 * 1024 * 1024
"""Bytes of output kept in memory; longer output waits in a temporary file."""
_MOST_STEPS: Final = 3
"""Steps between two long values that are told."""
_COLORS: Final = {"+": "green", "~": "yellow", "-": "red", "dim": "bright_black", "name": "cyan", "head": None}


class Output:
    """Collects a command's output and hands it over when the command succeeded.

    A source may turn out to be damaged half-way; a script must then not see half a result and take it for all.
    """

    def __init__(self, common: Common | None = None) -> None:
        """Begin with nothing written."""
        self.is_terminal = stdout_is_terminal()
        self.ascii = common is not None and common.ascii
        self._has_color = self.is_terminal and common is not None and common.color
        self._spool = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY)  # noqa: SIM115 - closed by __exit__

    def json(self, value: Value, *, indent: int | None = None) -> None:
        """Write a value as JSON, on a line of its own."""
        from unspool.model.json_text import to_json

        text = to_json(value, indent=indent)
        self.raw(visible_json(text) if self.is_terminal else text)

    def line(self, text: str = "") -> None:
        """Write a line made of program words and text that is inert already."""
        self.raw(text.encode("ascii", "backslashreplace").decode() if self.ascii else text)

    def raw(self, text: str) -> None:
        """Write a line as it is."""
        self._spool.write(text.encode("utf-8", "backslashreplace") + b"\n")

    def paint(self, text: str, role: str) -> str:
        """Colour a text by its role, where colours may be used."""
        if not self._has_color:
            return text
        return click.style(text, fg=_COLORS[role], bold=role == "head")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None:
                self._spool.seek(0)
                sys.stdout.flush()
                shutil.copyfileobj(self._spool, sys.stdout.buffer, 1 << 20)
                sys.stdout.buffer.flush()
        except BrokenPipeError:
            raise
        except OSError as failed:
            reason = failed.strerror or failed
            raise StorageFailed(f"standard output: {reason}; free some space") from None
        finally:
            self._spool.close()


def brief(value: Value, limit: int = 60) -> str:
    """Return a value in a few characters, inert."""
    from unspool.model.json_text import in_one_line

    text = visible(in_one_line(value))
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def brief_change(old: Value, new: Value, limit: int = 60) -> str:
    """Return two values in a few characters each, inert; of two long ones only where they differ."""
    from unspool.delta.hunks import changed_part

    before, after = brief(old, limit), brief(new, limit)
    if isinstance(old, str) and isinstance(new, str) and max(len(before), len(after)) >= limit:
        old, new = changed_part(old, new)
        return f"{brief(old, limit)} -> {brief(new, limit)}"
    if before.endswith("…") and after.endswith("…") and isinstance(old, Container) and isinstance(new, Container):
        return _brief_steps(old, new, limit) or f"{before} -> {after}"
    return f"{before} -> {after}"


def _brief_steps(old: Value, new: Value, limit: int) -> str:
    """Return the first steps from one list or object to another, and how many more there are."""
    from unspool.delta.structural import diff_values
    from unspool.model.entries import OpKind
    from unspool.model.paths import format_path

    ops = diff_values(old, new)
    told: list[str] = []
    for op in ops[:_MOST_STEPS]:
        place = visible(format_path(op.path, root=""))
        if not op.path:
            return ""
        if op.kind is OpKind.ADD:
            told.append(f"+ {place} {brief(op.new, limit)}")
        elif op.kind is OpKind.REMOVE:
            told.append(f"- {place} {brief(op.old, limit)}")
        elif op.kind is OpKind.MOVE:
            told.append(f"~ {place} moved from {visible(format_path(op.source, root=''))}")
        else:
            told.append(f"~ {place} {brief_change(op.old, op.new, limit)}")
    more = f"; {len(ops) - _MOST_STEPS:,} more steps" if len(ops) > _MOST_STEPS else ""
    return "; ".join(told) + more
