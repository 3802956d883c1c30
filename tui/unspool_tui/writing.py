"""Files that the app writes: each appears under its name when it is complete, and never in the place of another."""

from __future__ import annotations

import atexit
import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from unspool.errors import UnspoolError

PIECE_BYTES: Final = 1 << 16
"""Bytes gathered before they are written."""


class ExportRefused(UnspoolError, ValueError):
    """A file name that cannot be written to; the message says why."""


def target(name: str) -> Path:
    """Return the file that a typed name means."""
    try:
        return Path(name.strip()).expanduser()
    except RuntimeError:
        raise ExportRefused(f"{name.strip()}: there is no such home folder; write the whole path") from None


def check_target(name: str) -> str:
    """Say where a typed name would be written.

    Raises:
        ExportRefused: it is there already, its folder is not, or it is no file name.
    """
    path = target(name)
    try:
        if path.exists():
            raise ExportRefused(f"{path} is there already: choose another name")
        if not path.parent.is_dir():
            raise ExportRefused(f"there is no folder {path.parent}: choose another place")
        return f"writes {_homely(path.resolve())}"
    except (OSError, ValueError) as error:
        if isinstance(error, ExportRefused):
            raise
        raise ExportRefused(f"{name.strip()[:80]} is no file name here ({error}): choose another") from None


def _homely(path: Path) -> str:
    with suppress(ValueError, RuntimeError):
        return f"~/{path.relative_to(Path.home())}"
    return str(path)


def write_new(path: Path, texts: Iterable[str]) -> Iterator[int]:
    """Write a file piece by piece; closing the iterator early leaves nothing behind.

    Args:
        path: the file; one that is there already is never replaced.
        texts: what it holds, line ends included.

    Yields:
        The bytes written so far.

    Raises:
        ExportRefused: the file is there already or cannot be written.
    """
    part: Path | None = None
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:80]}.", suffix=".part")
        part = Path(name)
        # Leaving the app in the middle of a file waits for no worker.
        atexit.register(part.unlink, missing_ok=True)
        with os.fdopen(handle, "wb") as file:
            for piece in _pieces(texts):
                file.write(piece)
                yield file.tell()
        # A file that `open` makes may be read by others; one that `mkstemp` makes may not.
        part.chmod(0o666 & ~_umask())
        _put(part, path)
    except ExportRefused:
        raise
    except (OSError, ValueError) as error:
        said = error.strerror if isinstance(error, OSError) else error
        raise ExportRefused(f"{path} cannot be written: {said or error}") from None
    finally:
        if part is not None:
            atexit.unregister(part.unlink)
            with suppress(OSError):
                part.unlink(missing_ok=True)


def _pieces(texts: Iterable[str]) -> Iterator[bytes]:
    gathered = bytearray()
    for text in texts:
        gathered += text.encode("utf-8", "backslashreplace")
        if len(gathered) >= PIECE_BYTES:
            yield bytes(gathered)
            gathered.clear()
    yield bytes(gathered)


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def _put(part: Path, path: Path) -> None:
    """Give a complete file its name, unless something has that name by now."""
    try:
        os.link(part, path)
    except FileExistsError:
        raise
    except OSError:
        # File systems without hard links, such as those of memory cards.
        if path.exists():
            raise ExportRefused(f"{path} is there already: choose another name") from None
        part.rename(path)
