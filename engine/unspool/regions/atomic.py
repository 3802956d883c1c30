"""Whole files or nothing."""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path
from typing import Final

from unspool.regions.errors import RegionStorageError

TEMPORARY_SUFFIX: Final = ".unfinished"
"""Ends the name of a file that is still being written; one left by a crash may be deleted."""


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file beside its place, force it to disk, and put it in place in one step.

    Raises:
        RegionStorageError: the disk refused; what was there before is untouched.
    """
    unfinished = path.with_name(f".{path.name}.{secrets.token_hex(6)}{TEMPORARY_SUFFIX}")
    try:
        with unfinished.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            unfinished.unlink()
        raise _refused(path, error) from None
    sync_directory(path.parent)


def sync_directory(directory: Path) -> None:
    """Force the names in a directory to disk, where the system can do that."""
    # Some file systems refuse to open or sync a directory; the file itself is safe by then.
    with contextlib.suppress(OSError):
        handle = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _refused(path: Path, error: OSError) -> RegionStorageError:
    return RegionStorageError(f"{path}: {error.strerror or error}; nothing was changed, free the disk and try again")
