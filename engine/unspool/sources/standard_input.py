"""Standard input as a source: kept in a temporary file, so that it reads like any other that grows."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import IO, Final

from unspool.errors import UnreadableSource
from unspool.files.private import create_private

NAME: Final = "standard input"
_CHUNK: Final = 1 << 16


class Spool:
    """Copies a stream into a file from a thread of its own."""

    def __init__(self, stream: IO[bytes], path: Path) -> None:
        """Begin copying.

        Args:
            stream: where bytes come from.
            path: the file to make.
        """
        self.path = path
        self._stream = stream
        self._out = os.fdopen(create_private(path), "wb", buffering=0)
        self._has_ended = threading.Event()
        self._has_line = threading.Event()
        self._is_stopping = False
        self._thread = threading.Thread(target=self._copy, name="unspool-stdin", daemon=True)
        self._thread.start()

    @property
    def has_ended(self) -> bool:
        """Whether the stream came to its end."""
        return self._has_ended.is_set()

    def wait_for_end(self) -> None:
        """Return when everything has been copied."""
        self._has_ended.wait()

    def wait_for_line(self) -> None:
        """Return when a whole line, or everything, has been copied."""
        self._has_line.wait()

    def _copy(self) -> None:
        read = _reader(self._stream)
        try:
            while not self._is_stopping and (chunk := read(_CHUNK)):
                self._out.write(chunk)
                if b"\n" in chunk:
                    self._has_line.set()
        except (OSError, ValueError):
            # The stream was closed under our hands; what was copied stays.
            pass
        finally:
            self._out.close()
            self._has_ended.set()
            self._has_line.set()

    def stop(self) -> None:
        """Copy no more; a read that is under way is left to end with the process."""
        self._is_stopping = True


def _reader(stream: IO[bytes]) -> Callable[[int], bytes]:
    """Return what reads a stream, past its buffer where it has a descriptor.

    A thread that waits inside a buffered stream holds its lock, and an interpreter that ends meanwhile aborts.
    """
    try:
        descriptor = stream.fileno()
    except OSError:
        return stream.read
    return lambda size: os.read(descriptor, size)


def standard_input() -> IO[bytes]:
    """Return standard input as bytes.

    Raises:
        UnreadableSource: it is a terminal, or closed.
    """
    stream = sys.stdin
    if stream is None or stream.closed:
        raise UnreadableSource(f"{NAME}: is closed; pipe a history into it, or name a file")
    if stream.isatty():
        raise UnreadableSource(f"{NAME}: is a terminal; pipe a history into it, or name a file")
    return stream.buffer
