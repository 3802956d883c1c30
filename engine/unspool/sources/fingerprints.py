"""What a foreign source looks like from outside, so that one that changed is told from one that did not without reading it.

A file is told by inode, size and both of its times, to the nanosecond, and by its first and last bytes; a database by its
`-wal` and journal too, and a folder by all of its files. `ctime` is among them because `mtime` is what tools set back. A
history in git is told by what its revisions mean, which nothing but another commit can change.
"""

from __future__ import annotations

import hashlib
import os
import stat
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import msgspec

import unspool
from unspool.errors import UnreadableSource
from unspool.model.addresses import is_postgres
from unspool.sources.entries import GIT_PREFIX, STANDARD_INPUT, Reading

_SIDES: Final = ("-wal", "-journal")
_END_BYTES: Final = 4096
_MOST_READ: Final = 16 << 20
"""Bytes of a file beside a database that is told by what it holds; SQLite folds logs away at a quarter of that."""
_GIT_FILES: Final = ("config", "config.worktree", "packed-refs", "shallow", "info/grafts", "refs/replace",
                     "objects/info/alternates")  # fmt: skip
"""What of a repository changes how its history reads, although no revision means another commit."""
_GIT_SETTINGS: Final = ("/etc/gitconfig", "~/.gitconfig", "~/.config/git/config")
_OPTIONAL: Final = ("yaml", "ruamel.yaml")
"""Packages without which some sources read in another way, or not at all."""
_NOT_READING: Final = frozenset(("cache_bytes",))
"""Limits that have nothing to do with what is read."""


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """A source as it was opened, and as it lay there.

    Attributes:
        asked: which source, and how it was to be read; the same as long as the call is.
        state: what changes whenever the source does, or the program that reads it.
        newest_ns: when it changed last, as far as that says anything (ns since the epoch); 0 where it need not be old.
        size: bytes of it; None where that is not known.
    """

    asked: str
    state: str
    newest_ns: int
    size: int | None

    @property
    def names(self) -> tuple[str, str]:
        """Digests of both parts, for names of files."""
        return _digest(self.asked)[:24], _digest(f"{self.asked}\0{self.state}")[:40]


def fingerprint(source: str, reading: Reading) -> Fingerprint | None:
    """Look at a source from outside.

    Args:
        source: any source.
        reading: how it is to be read.

    Returns:
        None where it can only be known by reading it: standard input, servers, pipes, or what is not there.
    """
    if source == STANDARD_INPUT or is_postgres(source) or "\0" in source:
        return None
    try:
        if source.startswith(GIT_PREFIX):
            return _of_git(source, reading)
        return _of_path(source, reading)
    except (OSError, UnreadableSource):
        # Whoever reads it tells why it cannot be read.
        return None


def _of_path(source: str, reading: Reading) -> Fingerprint | None:
    real = os.path.realpath(source)
    status = os.stat(real)  # noqa: PTH116 - of a path that was just resolved
    asked = _asked(source, real, reading)
    if stat.S_ISDIR(status.st_mode):
        return _of_folder(asked, real, status)
    if not stat.S_ISREG(status.st_mode):
        return None
    stamps = [_Stamp.of(status)]
    pieces = [_ends(real)]
    for side in _SIDES:
        with suppress(FileNotFoundError):
            stamp = _Stamp.of(os.stat(real + side), side)  # noqa: PTH116
            if stamp.size <= _MOST_READ:
                # SQLite sets the owner of a log anew when it opens it, where it may, and its time of change with that.
                stamp = replace(stamp, changed_ns=0)
                pieces.append(Path(real + side).read_bytes())
            stamps.append(stamp)
    return _of_stamps(asked, stamps, _digest_of(pieces))


def _of_folder(asked: str, real: str, status: os.stat_result) -> Fingerprint:
    with os.scandir(real) as entries:
        stamps = [_Stamp.of(entry.stat(), entry.name) for entry in entries if _may_be_read(entry)]
    # When names come and go the folder itself changes, which alone says nothing of what is read.
    return _of_stamps(asked, sorted(stamps, key=lambda stamp: stamp.name), f"folder {status.st_ino}")


def _may_be_read(entry: os.DirEntry[str]) -> bool:
    return not entry.name.startswith(".") and not entry.name.endswith("~") and entry.is_file()


@dataclass(frozen=True, slots=True)
class _Stamp:
    """A file as the file system tells of it; which device it lies on is left out, for that may change with every start."""

    name: str
    inode: int
    size: int
    mode: int
    modified_ns: int
    changed_ns: int

    @classmethod
    def of(cls, status: os.stat_result, name: str = "") -> _Stamp:
        return cls(name, status.st_ino, status.st_size, status.st_mode, status.st_mtime_ns, status.st_ctime_ns)

    def __str__(self) -> str:
        return f"{self.name}\0{self.inode} {self.size} {self.mode} {self.modified_ns} {self.changed_ns}"


def _of_stamps(asked: str, stamps: list[_Stamp], more: str) -> Fingerprint:
    newest = max((max(stamp.modified_ns, stamp.changed_ns) for stamp in stamps), default=0)
    state = "\n".join((*map(str, stamps), more, program()))
    return Fingerprint(asked, state, newest, sum(stamp.size for stamp in stamps))


def _ends(path: str) -> bytes:
    """Return the first and last bytes of a file: what is written through memory need not change its times at once."""
    with open(path, "rb") as stream:  # noqa: PTH123
        head = stream.read(_END_BYTES)
        stream.seek(0, os.SEEK_END)
        stream.seek(max(0, stream.tell() - _END_BYTES))
        return head + stream.read(_END_BYTES)


def _of_git(source: str, reading: Reading) -> Fingerprint | None:
    from shutil import which

    # Starting git takes time that only this format needs.
    from unspool.sources.git_commands import Repository
    from unspool.sources.git_target import folder_and_rest, revisions_in

    folder, rest = folder_and_rest(source)
    repository = Repository(folder)
    meant = repository.meanings(revisions_in(rest))
    if meant is None or any(map(_is_partial, repository.git_dirs)):
        # What is not there yet may be fetched at any time.
        return None
    files = [str(directory / name) for directory in repository.git_dirs for name in _GIT_FILES]
    files += [os.environ.get("GIT_CONFIG_GLOBAL", ""), which("git") or "", *map(os.path.expanduser, _GIT_SETTINGS)]
    settings = [f"{name}={value}" for name, value in sorted(os.environ.items()) if name.startswith("GIT_")]
    where = [os.path.realpath(folder), os.path.realpath(rest), *map(str, repository.git_dirs)]
    state = [*meant, *_stamps_of(files), *settings, program()]
    return Fingerprint(_asked(source, "\0".join(where), reading), "\n".join(state), 0, None)


def _is_partial(directory: Path) -> bool:
    return any((directory / "objects/pack").glob("*.promisor"))


def _stamps_of(paths: Iterable[str]) -> Iterator[str]:
    for path in paths:
        try:
            yield str(_Stamp.of(os.stat(path), path))  # noqa: PTH116
        except OSError:
            yield f"{path}\0"


def _asked(source: str, where: str, reading: Reading) -> str:
    limits = {name: value for name, value in asdict(reading.limits).items() if name not in _NOT_READING}
    options = [reading.format, reading.folds, reading.select, list(map(repr, reading.time)), limits]
    spelled = msgspec.json.encode(options, order="sorted").decode()
    return "\n".join((source, where, spelled))


@lru_cache(maxsize=1)
def program() -> str:
    """Return what differs as soon as another version of the program, or of what it reads with, would read."""
    folder = os.path.dirname(unspool.__file__)  # noqa: PTH120
    stamps = sorted(str(stamp) for stamp in _code(folder))
    packages = [name for name in _OPTIONAL if _is_there(name)]
    if not stamps:
        # It runs from an archive.
        from importlib.metadata import version

        stamps = [version("unspool")]
    said = _digest("\n".join(stamps))
    return " ".join((said, sys.version, *packages))


def _is_there(package: str) -> bool:
    try:
        return find_spec(package) is not None
    except ModuleNotFoundError:
        return False


def _code(folder: str) -> Iterator[_Stamp]:
    # A checkout that is worked on has one version all the time.
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.endswith(".py"):
                yield _Stamp.of(entry.stat(), entry.path)
            elif "." not in entry.name and entry.name != "__pycache__" and entry.is_dir():
                yield from _code(entry.path)


def _digest(text: str) -> str:
    return _digest_of([text.encode("utf-8", "surrogatepass")])


def _digest_of(pieces: Iterable[bytes]) -> str:
    found = hashlib.sha256()
    for piece in pieces:
        found.update(piece)
    return found.hexdigest()


__all__ = ["Fingerprint", "fingerprint", "program"]
