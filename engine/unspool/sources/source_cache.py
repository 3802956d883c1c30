"""Foreign sources that were read before: kept as native files, and recognised by a fingerprint without reading them.

A file is identified by inode, size and both of its times, to the nanosecond, and by its first and last bytes; a database by its
`-wal` and journal too, and a folder by all of its files. `ctime` is among them because `mtime` is what tools set back. A
history in git is identified by what its revisions mean, which nothing but another commit can change.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
import sys
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from unspool import system
from unspool.errors import UnreadableSource, UnspoolError, is_postgres
from unspool.files import drop_lock, make_folder, take_lock, write_whole
from unspool.history.verdict import FINISHED, ChainFault, Progress, Verdict
from unspool.model.limits import Cancelled
from unspool.opened import OpenHistory
from unspool.sources.entries import GIT_PREFIX, STANDARD_INPUT, ChainedReader, Reading
from unspool.store.file import FileStore

if TYPE_CHECKING:
    from unspool.recorder.recorder import Recorder
    from unspool.sources.feeder import SourceFeeder

_SIDES: Final = ("-wal", "-journal")
_END_BYTES: Final = 4096
_MOST_READ: Final = 16 << 20
"""Bytes of a file beside a database that is identified by what it holds; SQLite folds logs away at a quarter of that."""
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
        # Whoever reads it reports why it cannot be read.
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
    """A file as the file system describes it; which device it lies on is left out, for that may change with every start."""

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
    from unspool.sources.formats.git import Repository, folder_and_rest, revisions_in

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
    stamps = sorted(str(stamp) for stamp in _code(str(Path(__file__).parents[1])))
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


OFF: Final = "UNSPOOL_NO_CACHE"
"""The environment variable that switches the cache off, whatever it says."""
SMALLEST: Final = 16 * 1024
"""Bytes of a source below which it is read as quickly as it is looked up; files of the kernel that change unseen have none."""
_RESTED_NS: Final = 2_000_000_000
"""How old the newest change of a source must be: a file system that counts in two seconds gives two changes the same time."""
_CHUNK: Final = 1 << 20
_MOST_OF_IT: Final = 2
"""Part of the cache that one source may take: half of it."""
_LOCK: Final = "lock"
_RECORD: Final = ".json"
_HISTORY: Final = ".unspool"
_VERSION: Final = 1


class _Kept(msgspec.Struct, frozen=True):
    """What is known of a history that was kept.

    Attributes:
        version: of this record.
        asked: see `Fingerprint.asked`.
        state: digest of `Fingerprint.state`.
        name: what people call the source.
        verdict: how much of it could be read.
        watched: files whose change means that there may be more.
        has_chains: its format has chains of its own.
        size: bytes of the native file.
        checksum: CRC-32 of it.
    """

    version: int
    asked: str
    state: str
    name: str
    verdict: Verdict
    watched: tuple[str, ...]
    has_chains: bool
    size: int
    checksum: int


def open_through_cache(source: str, reading: Reading, *, identity: Mapping[str, str] | None) -> OpenHistory:
    """Open a foreign source that is looked at once, from the cache where it did not change since it was read.

    Args:
        source: anything but a native file.
        reading: how to read it; it must not be followed.
        identity: see `open_history`.

    Raises:
        UnreadableSource, ConfigError: see `open_history`.
    """
    seen = None if os.environ.get(OFF) else fingerprint(source, reading)
    folder = None if seen is None or (seen.size is not None and seen.size < SMALLEST) else _folder()
    kept = None if seen is None or folder is None else _found(folder, seen)
    if kept is not None:
        return _opened(kept, source, reading, identity)
    # All that reading needs takes longer to import than what is kept takes to open.
    from unspool.sources.foreign import open_foreign

    if seen is None or folder is None:
        return open_foreign(source, reading, identity=identity, wait=True)
    is_rested = seen.newest_ns < time.time_ns() - _RESTED_NS
    keep = _Keeper(folder, source, reading, seen) if is_rested else None
    return open_foreign(source, reading, identity=identity, wait=True, keep=keep)


class KeptFeeder:
    """Stands for the reader of a source that is not read any more: all of it is in the history already."""

    def __init__(
        self,
        name: str,
        verdict: Verdict,
        watched: tuple[Path, ...],
        examine: Callable[[Cancelled], Iterator[ChainFault]],
        close: Callable[[], None],
    ) -> None:
        """Report a source that was read.

        Args:
            name: what people call it.
            verdict: how much of it could be read.
            watched: the files and folders that it consists of.
            examine: yields what is wrong with its chains.
            close: lets go of what is still held.
        """
        self.source_name = name
        self.verdict = verdict
        self.watch_paths = self.source_paths = watched
        self.chain_faults = examine
        self.close = close

    @property
    def progress(self) -> Progress:
        """See `Feeder.progress`."""
        return FINISHED

    def pump(self) -> None:
        """Read nothing: whoever wants to see what comes later follows the source, which is never kept."""

    def cancel(self) -> None:
        """There is nothing to break off."""


def _opened(
    kept: tuple[_Kept, FileStore], source: str, reading: Reading, identity: Mapping[str, str] | None
) -> OpenHistory:
    record, store = kept

    def examine(cancelled: Cancelled) -> Iterator[ChainFault]:
        if record.has_chains:
            # Chains are examined where they are.
            from unspool.sources.foreign import open_foreign

            with open_foreign(source, reading, identity=identity, wait=True) as history:
                yield from history.chain_faults(cancelled)

    feeder = KeptFeeder(record.name, record.verdict, tuple(map(Path, record.watched)), examine, lambda: None)
    return OpenHistory(store, feeder, identity=identity)


@dataclass(frozen=True, slots=True)
class _Keeper:
    """Keeps what a source was read into, where that can be done; see `open_foreign`."""

    folder: Path
    source: str
    reading: Reading
    seen: Fingerprint

    def __call__(self, feeder: SourceFeeder, recorder: Recorder, file: Path) -> KeptFeeder | None:
        """Finish the native file and keep a copy of it.

        Returns:
            What stands for the feeder from now on; None where nothing was done, and it goes on reading.
        """
        most = self.reading.limits.cache_bytes // _MOST_OF_IT
        if feeder.reader.findings.pending or not feeder.progress.is_finished or _size_of(file) > most:
            return None
        if self.seen.size is None and feeder.verdict.problems:
            # What is missing in a repository may be fetched, and no commit shows that.
            return None
        # An error of the disk leaves entries in the tail, where they can be read as well.
        with suppress(UnspoolError):
            recorder.close()
        verdict, watched = feeder.verdict, feeder.source_paths
        # Anything may go wrong with a disk, or with a folder that somebody removes meanwhile; the answer is there.
        with suppress(OSError, UnspoolError):
            # A file that changed while it was read may be half old and half new.
            if fingerprint(self.source, self.reading) == self.seen:
                self._keep(feeder, verdict, watched, file)
        return KeptFeeder(feeder.source_name, verdict, watched, feeder.chain_faults, feeder.close)

    def _keep(self, feeder: SourceFeeder, verdict: Verdict, watched: tuple[Path, ...], file: Path) -> None:
        with _locked(self.folder) as is_ours:
            if not is_ours:
                return
            family, name = self.seen.names
            place = self.folder / f"{family}-{name}"
            for other in self.folder.glob(f"{family}-*"):
                # The same source as it was before.
                other.unlink(missing_ok=True)
            copied = _Copied(file)
            write_whole(place.with_suffix(_HISTORY), copied)
            record = _Kept(
                _VERSION, self.seen.asked, _digest_source_cache(self.seen.state), feeder.source_name, verdict,
                tuple(map(str, watched)), isinstance(feeder.reader, ChainedReader), copied.size, copied.checksum,
            )  # fmt: skip
            write_whole(place.with_suffix(_RECORD), [_written(record)])
            _make_room(self.folder, self.reading.limits.cache_bytes)


class _Copied:
    """The bytes of a file, counted and summed up as they pass."""

    def __init__(self, file: Path) -> None:
        self.size = self.checksum = 0
        self._file = file

    def __iter__(self) -> Iterator[bytes]:
        with self._file.open("rb") as stream:
            while piece := stream.read(_CHUNK):
                self.size += len(piece)
                self.checksum = zlib.crc32(piece, self.checksum)
                yield piece


def _found(folder: Path, seen: Fingerprint) -> tuple[_Kept, FileStore] | None:
    """Return what was kept of a source as it is now, if it is whole."""
    place = folder / "-".join(seen.names)
    file, record_file = place.with_suffix(_HISTORY), place.with_suffix(_RECORD)
    try:
        record = _read(record_file.read_bytes())
        if record is None or (record.asked, record.state) != (seen.asked, _digest_source_cache(seen.state)):
            return None
        copied = _Copied(file)
        for _ in copied:
            pass
        if (copied.size, copied.checksum) != (record.size, record.checksum):
            return None
        store = FileStore.open(file)
    except (OSError, UnspoolError):
        # Not there, not ours, or damaged: it is read anew and written over.
        return None
    with suppress(OSError):
        # What was asked for last is kept longest.
        os.utime(record_file)
    return record, store


def _written(record: _Kept) -> bytes:
    # Names of files may hold bytes that are no text.
    told = json.dumps(msgspec.to_builtins(record), ensure_ascii=True).encode()
    return hashlib.sha256(told).hexdigest().encode() + b"\n" + told


def _read(data: bytes) -> _Kept | None:
    checksum, _, told = data.partition(b"\n")
    if hashlib.sha256(told).hexdigest().encode() != checksum:
        return None
    try:
        return msgspec.convert(json.loads(told), _Kept)
    except (msgspec.ValidationError, ValueError, RecursionError):
        # Another version wrote it.
        return None


def _digest_source_cache(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def cache_folder() -> Path:
    """Return where histories of foreign sources are kept."""
    return system.user_folder("cache") / "sources"


def _folder() -> Path | None:
    """Return the folder of the cache if nobody else can put anything there or look into it; make it where it is missing."""
    try:
        folder = cache_folder()
        make_folder(folder)
        status = folder.stat()
    except OSError:
        # No home, or a read-only one.
        return None
    is_private = system.is_mine(status) and (os.name == "nt" or not stat.S_IMODE(status.st_mode) & 0o077)
    return folder if is_private else None


@contextmanager
def _locked(folder: Path) -> Iterator[bool]:
    """Let one process at a time change the cache; whoever comes meanwhile keeps nothing."""
    place = folder / _LOCK
    descriptor = take_lock(place)
    try:
        yield descriptor is not None
    finally:
        if descriptor is not None:
            drop_lock(place, descriptor)


class _Item(NamedTuple):
    used_ns: int
    size: int
    name: str


def _make_room(folder: Path, most: int) -> None:
    """Remove what was not asked for longest until the rest fits; also what nothing vouches for."""
    items: list[_Item] = []
    for record in folder.glob(f"*{_RECORD}"):
        with suppress(OSError):
            items.append(_Item(record.stat().st_mtime_ns, _size_of(record.with_suffix(_HISTORY)), record.stem))
    known = {item.name for item in items}
    for file in folder.glob(f"*{_HISTORY}"):
        if file.stem not in known:
            file.unlink(missing_ok=True)
    total = sum(item.size for item in items)
    for item in sorted(items):
        if total <= most:
            break
        for ending in (_RECORD, _HISTORY):
            (folder / f"{item.name}{ending}").unlink(missing_ok=True)
        total -= item.size


def _size_of(file: Path) -> int:
    try:
        return file.stat().st_size
    except OSError:
        return 0


__all__ = ["OFF", "Fingerprint", "KeptFeeder", "cache_folder", "fingerprint", "open_through_cache", "program"]
