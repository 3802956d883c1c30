"""New files: whether one can be made, before hours go into what it shall hold."""

from __future__ import annotations

from pathlib import Path

from unspool.errors import UnreadableSource


def is_taken(out: Path, beside: Path) -> bool:
    """Say whether a file that is to be made is there already.

    Args:
        out: the file.
        beside: what it is called in the same folder until it is complete.

    Raises:
        UnreadableSource: there is no such folder, or nothing can be made in it under such a name.
    """
    try:
        if out.exists():
            return True
        if not out.parent.is_dir():
            raise UnreadableSource(f"{out}: its folder does not exist; make it first")
        beside.touch()
        beside.unlink()
    except OSError as error:
        raise UnreadableSource(
            f"{out}: cannot be written ({error.strerror}); choose another name or folder"
        ) from None
    return False
