"""Where settings and remembered places are kept: the XDG folders, on every Unix alike."""

from __future__ import annotations

import zlib
from pathlib import Path

from platformdirs.unix import Unix

from unspool.errors import StorageFailed
from unspool.files import make_folder, write_whole


def config_folder() -> Path:
    """Return the folder of the settings file and the themes."""
    return Unix("unspool").user_config_path


def state_folder() -> Path:
    """Return the folder of remembered places."""
    return Unix("unspool").user_state_path


def file_name(key: str) -> str:
    """Return the file name for what a source is remembered under."""
    # No secret: two sums together tell sources apart, and cost no import.
    text = key.encode("utf-8", "surrogateescape")
    return f"{zlib.crc32(text):08x}{zlib.adler32(text):08x}-{len(text)}"


def keep(path: Path, content: bytes) -> None:
    """Write a file in one go: a crash leaves the old one or the new one, never half of it.

    Raises:
        UnspoolError: the disk or the folder refused it; the old file is as it was.
    """
    try:
        make_folder(path.parent)
        write_whole(path, (content,))
    except OSError as error:
        raise StorageFailed(
            f"{path}: cannot be written ({error.strerror or error}); free some space, or check its folder"
        ) from None
