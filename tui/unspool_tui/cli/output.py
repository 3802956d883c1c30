"""Writing data to standard output: all of it, or after a failure nothing."""

from __future__ import annotations

import shutil
import sys
import tempfile
from types import TracebackType
from typing import Final, Self

import click

from unspool.errors import StorageFailed
from unspool.model.values import Value
from unspool_tui.cli.options import Common, stdout_is_terminal
from unspool_tui.present.inert import visible, visible_json

_IN_MEMORY: Final = 16 * 1024 * 1024
"""Bytes of output kept in memory; longer output waits in a temporary file."""
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
    """Return two values in a few characters each, inert; of two long texts the parts in which they differ."""
    from unspool.delta.hunks import changed_part, is_long_text

    if isinstance(old, str) and isinstance(new, str) and is_long_text(old, new):
        old, new = changed_part(old, new)
    return f"{brief(old, limit)} -> {brief(new, limit)}"
