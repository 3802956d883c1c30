"""Files that the app writes: each appears under its name when it is complete, and never in the place of another."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from unspool.errors import UnspoolError
from unspool.files.whole import whole_file
from unspool_tui.permits import EVERYTHING, Permits

PIECE_BYTES: Final = 1 << 16
"""Bytes gathered before they are written."""


class ExportRefused(UnspoolError, ValueError):
    """A file name that cannot be written to; the message says why."""


def target(name: str, permits: Permits = EVERYTHING) -> Path:
    """Return the file that a typed name means.

    Raises:
        ExportRefused: it begins with a home folder that there is not.
        WriteRefused: it is outside of where the person may write.
    """
    if permits.visitor:
        # Whose home folders there are is nothing that a visitor should learn.
        return permits.place_of(Path(name.strip()))
    try:
        return Path(name.strip()).expanduser()
    except RuntimeError:
        raise ExportRefused(f"{name.strip()}: there is no such home folder; write the whole path") from None


def check_target(name: str, permits: Permits = EVERYTHING) -> str:
    """Say where a typed name would be written.

    Raises:
        ExportRefused: it is there already, its folder is not, or it is no file name.
        WriteRefused: it is outside of where the person may write.
    """
    path = target(name, permits)
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
    try:
        with whole_file(path) as part, part.open("wb") as file:
            for piece in _pieces(texts):
                file.write(piece)
                yield file.tell()
    except ExportRefused:
        raise
    except UnspoolError as error:
        raise ExportRefused(str(error)) from None
    except (OSError, ValueError) as error:
        said = error.strerror if isinstance(error, OSError) else error
        raise ExportRefused(f"{path} cannot be written: {said or error}") from None


def _pieces(texts: Iterable[str]) -> Iterator[bytes]:
    gathered = bytearray()
    for text in texts:
        gathered += text.encode("utf-8", "backslashreplace")
        if len(gathered) >= PIECE_BYTES:
            yield bytes(gathered)
            gathered.clear()
    yield bytes(gathered)
