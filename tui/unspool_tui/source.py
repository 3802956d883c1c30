"""A source as a person named it: how it is opened, what it is called, what is remembered of it."""

from __future__ import annotations

import os
import zlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import Struct, field
from msgspec.structs import replace

from unspool.errors import ConfigError, StorageFailed, UnspoolError, is_postgres, without_password
from unspool.files import make_folder, write_whole
from unspool.system import user_folder

if TYPE_CHECKING:
    from unspool.history.history import History


def distinct_names(sources: Sequence[str]) -> list[str]:
    """Return a short name for each source; two that end alike get the folders that differ, the same one a number."""
    parts = [_parts(source) for source in sources]
    lengths = [1] * len(parts)
    while True:
        names = ["/".join(part[-length:]) for part, length in zip(parts, lengths, strict=True)]
        counts = Counter(names)
        longer = [counts[name] > 1 and length < len(part)
                  for name, length, part in zip(names, lengths, parts, strict=True)]  # fmt: skip
        if not any(longer):
            return _numbered(names)
        lengths = [length + more for length, more in zip(lengths, longer, strict=True)]


def _parts(source: str) -> list[str]:
    if source == "-":
        return ["stdin"]
    if source.startswith("git:"):
        return [source]
    if "://" in source:
        # What stands before an @ may be a password.
        source = source.partition("://")[2].rpartition("@")[2]
    if is_postgres(source):
        return [without_password(source)]
    return [part for part in source.split("/") if part not in ("", ".")] or [source]


def _numbered(names: Sequence[str]) -> list[str]:
    met: Counter[str] = Counter()
    numbered = []
    for name in names:
        met[name] += 1
        numbered.append(name if met[name] == 1 else f"{name} ({met[name]})")
    return numbered


STANDARD_INPUT: Final = "-"
_GIT: Final = "git:"
_MERGE: Final = "merge:"
UNASKED_BYTES: Final = 16 * 1024 * 1024
"""Size up to which a file is read before anyone looks at it; a larger one that needs reading waits for that."""


class NamedSource(Struct, frozen=True):
    """What to open and how.

    Attributes:
        name: a path, `-`, `git:REPO:PATH[@REV]`, or `merge:PATH:PATH…`.
        format: name of its format; None to detect it.
        identity: keys that distinguish the records of lists, by path pattern.
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
        from unspool.sources.opening import open_history  # the command line names sources before it opens any

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

    def is_blank(self) -> bool:
        """Whether it is a file to which nothing has been written yet."""
        with suppress(OSError, ValueError):
            path = Path(self.name)
            return path.is_file() and path.stat().st_size == 0
        return False

    def is_cheap(self) -> bool:
        """Whether it may be opened before anyone looks at it: it is small, or what is missed would be lost."""
        from unspool.opened import is_native  # the command line names sources before it opens any

        if self.name.startswith((_GIT, _MERGE)) or is_postgres(self.name):
            return False
        try:
            status = os.stat(self.name)  # noqa: PTH116 - a name that is no path must not raise anything else
        except (OSError, ValueError):
            # Standard input, or something that is refused at once.
            return True
        return status.st_size <= UNASKED_BYTES or is_native(self.name, self.format)


_FOLDER: Final = "sources"


class SourceMemory(Struct, omit_defaults=True):
    """What holds whenever a source is opened.

    Attributes:
        source: the source, for whoever looks into the file.
        identity: keys that distinguish the records of lists, by path pattern; an empty one leaves it to detection.
        select: which part of it was chosen in the app.
    """

    source: str = ""
    identity: dict[str, str] = field(default_factory=dict)
    select: dict[str, str] = field(default_factory=dict)


def recall(source: NamedSource) -> SourceMemory:
    """Return what is remembered of a source; damage means nothing is."""
    path = _file_of(source)
    if path is None or not path.exists() or not _may_remember():
        return SourceMemory()
    with suppress(OSError, msgspec.MsgspecError):
        return msgspec.json.decode(path.read_bytes(), type=SourceMemory)
    return SourceMemory()


def keep_identity(source: NamedSource, identity: Mapping[str, str]) -> None:
    """Remember identity keys of a source, beside those that are remembered already."""
    known = recall(source)
    _write(source, replace(known, identity={**known.identity, **identity}))


def keep_choice(source: NamedSource, select: Mapping[str, str]) -> None:
    """Remember which part of a source was chosen, in place of what was."""
    _write(source, replace(recall(source), select=dict(select)))


def with_identity(source: NamedSource) -> NamedSource:
    """Return a source with the identity keys that are remembered of it; those given with it go first."""
    known = recall(source).identity
    return replace(source, identity={**known, **source.identity}) if known else source


def with_choice(source: NamedSource) -> NamedSource:
    """Return a source with the part that was chosen when it was last looked at, unless one is named with it."""
    known = {} if source.select else recall(source).select
    return replace(source, select=known) if known else source


def _file_of(source: NamedSource) -> Path | None:
    key = source.key
    return state_folder() / _FOLDER / f"{file_name(key)}.json" if key else None


def _may_remember() -> bool:
    """Whether the person lets the app remember; settings that are not valid are told where they matter."""
    from unspool_tui.settings import load_settings  # only where something is remembered

    with suppress(ConfigError):
        return load_settings().remember
    return True


def _write(source: NamedSource, remembered: SourceMemory) -> None:
    path = _file_of(source)
    if path is None or not _may_remember():
        return
    content = msgspec.json.encode(replace(remembered, source=source.key))
    with suppress(UnspoolError):
        keep(path, content)


def state_folder() -> Path:
    """Return the folder of remembered places."""
    return user_folder("state")


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
