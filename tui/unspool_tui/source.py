"""A source as a person named it, and how it is opened: what a tab needs to open it later, or once more."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

from msgspec import Struct, field

from unspool.model.addresses import is_postgres, without_password

if TYPE_CHECKING:
    from unspool.history.history import History

STANDARD_INPUT: Final = "-"
_GIT: Final = "git:"
_MERGE: Final = "merge:"
UNASKED_BYTES: Final = 16 * 1024 * 1024
"""Size up to which a file is read before anyone looks at it; a larger one that needs reading waits for that."""


class Source(Struct, frozen=True):
    """What to open and how.

    Attributes:
        name: a path, `-`, `git:REPO:PATH[@REV]`, or `merge:PATH:PATH…`.
        format: name of its format; None to detect it.
        identity: keys that tell the records of lists apart, by path pattern.
        folds: how channels stored as writes are folded (LangGraph).
        select: which part of a file that holds several is wanted.
        time: path to the time of each record; None looks under the usual names.
        poll: seconds between looks; None waits for events.
        follow: keep up with it.
        cache: what is read of it may be kept for the next time, where it is waited for and not followed.
    """

    name: str
    format: str | None = None
    identity: Mapping[str, str] = field(default_factory=dict)
    folds: Mapping[str, str] = field(default_factory=dict)
    select: Mapping[str, str] = field(default_factory=dict)
    time: str | None = None
    poll: float | None = None
    follow: bool = True
    cache: bool = False

    @property
    def key(self) -> str:
        """What it is remembered under: the same wherever it is named from; empty for what has no name to return to."""
        if self.name == STANDARD_INPUT:
            return ""
        if self.name.startswith((_GIT, _MERGE)):
            # Repositories and files are named by paths too, which mean others in another folder.
            return f"{self.name}\n{Path.cwd()}"
        if is_postgres(self.name):
            return without_password(self.name)
        return os.path.realpath(self.name)

    @property
    def place_key(self) -> str:
        """What the place in it is remembered under: each part that can be chosen has entries of its own."""
        chosen = "".join(f"\n{what}={name}" for what, name in sorted(self.select.items()))
        return f"{self.key}{chosen}" if self.key else ""

    def open(self, *, wait: bool, progress: Callable[[int, int], None] | None = None) -> History:
        """Open it.

        Args:
            wait: return when all that is there has been read; otherwise a thread reads on after the first entry.
            progress: told how far reading is while this waits.

        Raises:
            UnspoolError: it cannot be opened.
        """
        from unspool.sources.opening import open_history

        return open_history(
            self.name,
            format=self.format,
            identity=self.identity or None,
            poll=self.poll,
            follow=self.follow,
            wait=wait,
            folds=self.folds,
            time=self.time,
            select=self.select,
            progress=progress,
            cache=self.cache,
        )

    def is_cheap(self) -> bool:
        """Say whether it may be opened before anyone looks at it: it is small, or what is missed would be lost."""
        from unspool.sources.opening import is_native

        if self.name.startswith((_GIT, _MERGE)) or is_postgres(self.name):
            return False
        try:
            status = os.stat(self.name)  # noqa: PTH116 - a name that is no path must not raise anything else
        except (OSError, ValueError):
            # Standard input, or something that is refused at once.
            return True
        return status.st_size <= UNASKED_BYTES or is_native(self.name, self.format)
