"""Keeping what was read of foreign sources, so that one that did not change is not read again.

What is kept is the native file that a source was read into, once it was read to its end. It lies in
`XDG_CACHE_HOME/unspool/sources`, which only its owner may enter, under a name made of what the source looks like from outside
(`fingerprints.py`): a source that changed has another name. Beside it stands a record of how it came about, which vouches for
it by a checksum. Whatever does not hold is as good as not there, and whatever cannot be written costs nothing but time.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec
import platformdirs

from unspool.errors import UnspoolError
from unspool.files.private import drop_lock, make_folder, take_lock
from unspool.history.history import History
from unspool.history.verdict import FINISHED, Cancelled, ChainFault, Progress, Verdict
from unspool.sources.entries import Reading
from unspool.sources.fingerprints import Fingerprint, fingerprint
from unspool.store.file import FileStore

if TYPE_CHECKING:
    from unspool.recorder.recorder import Recorder
    from unspool.sources.feeder import SourceFeeder

OFF: Final = "UNSPOOL_NO_CACHE"
"""The environment variable that switches the cache off, whatever it says."""
SMALLEST: Final = 16 * 1024
"""Bytes of a source below which it is read as quickly as it is looked up; files of the kernel that change unseen have none."""
_RESTED_NS: Final = 2_000_000_000
"""How old the newest change of a source must be: a file system that counts in two seconds tells no two changes apart."""
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


def open_through_cache(source: str, reading: Reading, *, identity: Mapping[str, str] | None) -> History:
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
        """Tell of a source that was read.

        Args:
            name: what people call it.
            verdict: how much of it could be read.
            watched: files whose change means that there may be more.
            examine: yields what is wrong with its chains.
            close: lets go of what is still held.
        """
        self.source_name = name
        self.verdict = verdict
        self.watch_paths = watched
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
) -> History:
    record, store = kept

    def examine(cancelled: Cancelled) -> Iterator[ChainFault]:
        if record.has_chains:
            # Chains are examined where they are.
            from unspool.sources.foreign import open_foreign

            with open_foreign(source, reading, identity=identity, wait=True) as history:
                yield from history.chain_faults(cancelled)

    feeder = KeptFeeder(record.name, record.verdict, tuple(map(Path, record.watched)), examine, lambda: None)
    return History(store, feeder, identity=identity)


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
            # What is missing in a repository may be fetched, and no commit tells of that.
            return None
        # An error of the disk leaves entries in the tail, where they can be read as well.
        with suppress(UnspoolError):
            recorder.close()
        verdict, watched = feeder.verdict, feeder.watch_paths
        # Anything may go wrong with a disk, or with a folder that somebody removes meanwhile; the answer is there.
        with suppress(OSError, UnspoolError):
            # What changed while it was read may be half old and half new.
            if fingerprint(self.source, self.reading) == self.seen:
                self._keep(feeder, verdict, watched, file)
        return KeptFeeder(feeder.source_name, verdict, watched, feeder.chain_faults, feeder.close)

    def _keep(self, feeder: SourceFeeder, verdict: Verdict, watched: tuple[Path, ...], file: Path) -> None:
        from unspool.files.whole import write_whole
        from unspool.sources.chains import ChainedReader

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
                _VERSION, self.seen.asked, _digest(self.seen.state), feeder.source_name, verdict,
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
        if record is None or (record.asked, record.state) != (seen.asked, _digest(seen.state)):
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


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def cache_folder() -> Path:
    """Return where histories of foreign sources are kept."""
    return platformdirs.user_cache_path("unspool") / "sources"


def _folder() -> Path | None:
    """Return the folder of the cache if nobody else can put anything there or look into it; make it where it is missing."""
    try:
        folder = cache_folder()
        if not folder.is_absolute():
            return None
        make_folder(folder)
        status = folder.stat()
    except (OSError, RuntimeError):
        # No home, or a read-only one.
        return None
    is_private = status.st_uid == os.geteuid() and not stat.S_IMODE(status.st_mode) & 0o077
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


__all__ = ["OFF", "KeptFeeder", "cache_folder", "open_through_cache"]
