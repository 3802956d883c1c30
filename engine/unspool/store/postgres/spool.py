"""The spool of a history: what a recorder wrote on this machine and the server may not have yet.

    NNNNNNNN-LANE.unspool                 entries in a row, an ordinary file of unspool
    NNNNNNNN-LANE-FIRST-STOP.dropped      stands for such a file that the bound of the spool made room of
    refused-LANE-PLACE.unspool            an entry that the server refused for good
    address                               the history's address without any secret

Files are in the order of their numbers. A lane is what one recorder wrote; places in it count from 0 and are never
given again, so that the server can know what it has already. Whoever writes or ships holds the lock of the folder.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import secrets
import stat
import threading
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, Final

from unspool.codec.records import replay
from unspool.errors import ConfigError, CorruptHistory, HistoryLocked, StorageFailed, UnreadableSource, UnspoolError
from unspool.files import drop_lock, make_folder, take_lock, write_whole
from unspool.model.values import Value
from unspool.store.blocks import TailRow
from unspool.store.file import Durability, FileStore
from unspool.store.postgres.connection import Target
from unspool.store.protocol import Draft
from unspool.store.tail import missing_entry, read_rows
from unspool.store.writer import lock_path
from unspool.system import user_folder

LEAST_BYTES: Final = 1 << 20
NOTE: Final = "unspool.spool"
"""Key in the meta of spooled entries for what only the shipping needs; the server never sees it."""
_FILES: Final = 8
"""Files that a full spool has at least: as much of it is dropped at once."""
_FILE_BYTES: Final = 16 << 20
_SMALL_BYTES: Final = 1 << 20
"""Size from which a file is left for another one where most of it was shipped."""
_READ_ROWS: Final = 16
_LOOK_ROWS: Final = 32
_LOOK_BYTES: Final = 64 << 10
"""Entries, or bytes of records, after which a file's size is looked at."""
_FILE: Final = re.compile(r"(\d{8})-([0-9a-f]{12})\.unspool")
_SIDE_FILE: Final = re.compile(r"(\d{8}-[0-9a-f]{12}\.unspool)-(?:wal|shm|lock)")
_DROPPED: Final = re.compile(r"(\d{8})-([0-9a-f]{12})-(\d+)-(\d+)\.dropped")
_ADDRESS: Final = "address"
_PLACE_VARIABLES: Final = ("PGHOST", "PGHOSTADDR", "PGPORT", "PGDATABASE", "PGUSER", "PGSERVICE")
"""What libpq completes an address from: the same address may mean another server then."""


class SpoolFile:
    """One file of a spool, or what stands for one that was dropped.

    Attributes:
        ordinal: place among the files.
        lane: whose entries it holds.
        first: place in the lane of its first entry.
        size: bytes on the disk, as last looked at.
        lock: held while somebody reads it or lets go of it.
    """

    def __init__(
        self, path: Path, ordinal: int, lane: str, first: int, store: FileStore | None, stop: int = 0
    ) -> None:
        """Take over an open file; None where it was dropped."""
        self.path = path
        self.ordinal = ordinal
        self.lane = lane
        self.first = first
        self.size = 0
        self.lock = threading.RLock()
        self._store = store
        self._stop = stop
        self._is_folded = False

    @property
    def stop(self) -> int:
        """One past the place of its last entry."""
        return self._stop if self._store is None else self.first + len(self._store)

    @property
    def is_dropped(self) -> bool:
        """Whether its entries are gone."""
        return self._store is None

    @property
    def store(self) -> FileStore:
        """The open file.

        Raises:
            StorageFailed: it was dropped.
        """
        if self._store is None:
            raise StorageFailed(f"{self.path}: was dropped to make room in the spool")
        return self._store

    def look(self) -> int:
        """Look how many bytes it takes."""
        self.size = 0 if self._store is None else self._store.file_bytes()
        return self.size

    def rows(self, place: int) -> list[TailRow]:
        """Read a few entries from a place on.

        Raises:
            CorruptHistory: an entry is damaged, or missing.
            StorageFailed: the file was dropped meanwhile.
        """
        with self.lock:
            start = place - self.first
            # These files are never sealed, so that all their entries are rows.
            rows = self.store.reader.call(read_rows, start, min(start + _READ_ROWS, len(self.store)))
        for at, row in enumerate(rows):
            if row.seq != start + at:
                raise missing_entry(start + at)
        if not rows:
            raise missing_entry(start)
        return rows

    def state(self, place: int) -> dict[str, bytes]:
        """Return the state at an entry, as wire forms by atom.

        Raises:
            CorruptHistory: it cannot be rebuilt.
        """
        with self.lock:
            seq = place - self.first
            return replay(self.store.run(seq), seq, self.store.atom_name)

    def fold(self) -> None:
        """Take the room that a finished file needs while it is written to, most of it a log, off the disk.

        Raises:
            StorageFailed, UnreadableSource: the disk refused; the file is kept as it is.
        """
        with self.lock:
            if self._store is None or self._is_folded:
                return
            self._store.close()
            self._store, self._is_folded = FileStore.open(self.path), True
            self.look()

    def give_up(self) -> None:
        """Remove the file: all in it is shipped, or the room is needed."""
        with self.lock:
            store, self._store, self._stop = self._store, None, self.stop
            if store is not None and self._is_folded:
                store.close()
            elif store is not None:
                store.discard()
            self.path.unlink(missing_ok=True)

    def drop(self, before: SpoolFile | None) -> None:
        """Give the file up, and leave a mark that says how many entries it held.

        Args:
            before: what stands for dropped entries right before these, whose mark this one takes over.
        """
        first, stop = self.first if before is None else before.first, self.stop
        marker = self.path.with_name(f"{self.ordinal:08d}-{self.lane}-{first}-{stop}.dropped")
        with suppress(OSError):
            # Without the mark the hole is seen all the same, only not its reason.
            marker.touch(mode=0o600)
        self.give_up()
        if before is not None:
            before.give_up()
        self.path, self.first, self._stop, self.size = marker, first, stop, 0

    def close(self) -> None:
        """Let go of the file and leave it where it is.

        Raises:
            StorageFailed: it could not be folded; no entry is lost.
        """
        with self.lock:
            store, self._stop = self._store, self.stop
            if store is not None:
                store.close()


def spool_folder(base: str | os.PathLike[str] | None, target: Target) -> Path:
    """Return the folder of a history's spool.

    Args:
        base: the folder that all spools lie in; the user's state folder when None.
        target: the history.
    """
    named = [*target.place, *(f"{name}={os.environ.get(name, '')}" for name in _PLACE_VARIABLES)]
    digest = hashlib.sha256("\0".join(named).encode("utf-8", "surrogateescape")).hexdigest()[:16]
    label = re.sub(r"[^A-Za-z0-9_.-]+", "-", target.history or "")[:40].strip("-.") or "history"
    return spools_folder(base) / f"{label}-{digest}"


def spools_folder(base: str | os.PathLike[str] | None) -> Path:
    """Return the folder that spools lie in."""
    if base is not None:
        return Path(base)
    return user_folder("state") / "spool"


class Spool:
    """The folder of one history, held by one process.

    Attributes:
        folder: where it is.
        lane: name of what is written now.
        dropped: entries that were dropped since it was opened.
        damaged: files that earlier recorders left and that do not read; they are kept under another name.
    """

    def __init__(self, folder: Path, target: Target, limit_bytes: int, durability: Durability) -> None:
        """Take the folder over with all that others left in it.

        Raises:
            HistoryLocked: another recorder of this history runs on this machine.
            StorageFailed, UnreadableSource: the folder cannot be used.
            ConfigError: the bound is too small.
        """
        if limit_bytes < LEAST_BYTES:
            raise ConfigError(f"spool_bytes is {limit_bytes}; give {LEAST_BYTES} or more")
        self.folder = folder
        self.lane = secrets.token_hex(6)
        self.dropped = 0
        self._limit = limit_bytes
        self._file_limit = min(limit_bytes // _FILES, _FILE_BYTES)
        self._durability: Durability = "fast" if durability == "fast" else "default"
        self.lock = threading.RLock()
        """Held while the list of segments changes."""
        self._unlooked_rows = self._unlooked_bytes = 0
        self._is_current_shipped = False
        self._shipped: dict[str, int] = {}
        self._spare: SpoolFile | None = None
        self._descriptor = _hold(folder, target)
        try:
            _write_address(folder, target)
            self._segments, self.damaged = _left_by_others(folder)
            self._ordinal = max((segment.ordinal for segment in self._segments), default=-1)
            self._current: SpoolFile | None = None
        except (OSError, UnreadableSource) as error:
            self._release()
            raise _unusable(folder, error) from None
        except BaseException:
            self._release()
            raise

    def begin(self) -> None:
        """Make the file that the first entry goes to.

        Raises:
            StorageFailed, UnreadableSource: the disk refused.
        """
        with self.lock:
            self._current = self._made(0)
            self._segments.append(self._current)

    @property
    def current(self) -> SpoolFile:
        """The segment that is written to; `begin` must have been called."""
        assert self._current is not None
        return self._current

    def segments(self) -> Sequence[SpoolFile]:
        """Return all segments in order."""
        with self.lock:
            return tuple(self._segments)

    def holder(self, lane: str, place: int) -> SpoolFile | None:
        """Return the segment that holds an entry, or None."""
        for segment in self.segments():
            if segment.lane == lane and segment.first <= place < segment.stop and not segment.is_dropped:
                return segment
        return None

    def append(self, draft: Draft) -> int:
        """Write an entry and return its place in the lane; it survives a kill of this process then.

        Raises:
            StorageFailed: the disk refused; nothing of the entry was kept.
        """
        with self.lock:
            current = self.current
            place = current.first + current.store.append(draft)
            self._unlooked_rows += 1
            self._unlooked_bytes += len(draft.record.payload)
            if self._unlooked_rows >= _LOOK_ROWS or self._unlooked_bytes >= _LOOK_BYTES:
                self._look()
        return place

    def _look(self) -> None:
        """Go on in another file where this one is large; make room where the spool is full."""
        self._unlooked_rows = self._unlooked_bytes = 0
        was_shipped, self._is_current_shipped = self._is_current_shipped, False
        if self.current.look() >= (_SMALL_BYTES if was_shipped else self._file_limit):
            try:
                self._turn()
            except UnspoolError:
                # There is no room for another file, so this one grows on until the disk refuses an entry itself.
                return
        while sum(segment.size for segment in self._segments) > self._limit:
            at = next((at for at, one in enumerate(self._segments) if not one.is_dropped), None)
            if at is None or self._segments[at] is self._current:
                return
            oldest = self._segments[at]
            self.dropped += max(oldest.stop - max(oldest.first, self._shipped.get(oldest.lane, 0)), 0)
            before = self._segments[at - 1] if at else None
            if before is not None and (before.lane, before.stop) != (oldest.lane, oldest.first):
                before = None
            oldest.drop(before)
            if before is not None:
                self._segments.remove(before)

    def _turn(self) -> None:
        spare, self._spare = self._spare, None
        fresh = self._made(self.current.stop) if spare is None else spare
        fresh.first = self.current.stop
        self._segments.append(fresh)
        self._current = fresh

    def prepare(self) -> None:
        """Make the next file before it is needed: `append` must not wait for that.

        Raises:
            StorageFailed, UnreadableSource: the disk refused.
        """
        with self.lock:
            is_early = self._current is None or self._current.size < min(_SMALL_BYTES, self._file_limit) // 2
            if self._spare is not None or is_early:
                return
            ordinal = self._next_ordinal()
        made = self._made(0, ordinal)
        with self.lock:
            if self._spare is None and self._current is not None and ordinal > self._current.ordinal:
                self._spare = made
                return
        made.give_up()

    def fold(self) -> None:
        """Let finished files take less room: they may have to wait here for long.

        Raises:
            StorageFailed, UnreadableSource: the disk refused.
        """
        for segment in self.segments():
            if segment is not self._current:
                segment.fold()

    def _next_ordinal(self) -> int:
        self._ordinal += 1
        return self._ordinal

    def _made(self, first: int, ordinal: int | None = None) -> SpoolFile:
        number = self._next_ordinal() if ordinal is None else ordinal
        path = self.folder / f"{number:08d}-{self.lane}.unspool"
        try:
            store = FileStore.create(path, durability=self._durability, seals=False)
        except UnreadableSource as error:
            raise _unusable(self.folder, error) from None
        return SpoolFile(path, number, self.lane, first, store)

    def settle(self) -> None:
        """Find out what an `append` stored that an exception of a signal handler ended anywhere."""
        with self.lock:
            self.current.store.settle()

    def remove_shipped(self, lane: str, stop: int) -> None:
        """Remove files of which the server has everything; the one that is written to follows when it is left."""
        with self.lock:
            self._shipped[lane] = stop
            shipped = [one for one in self._segments if one.lane == lane and one.stop <= stop]
            if self._current in shipped:
                shipped.remove(self._current)
                self._is_current_shipped = True
            self._segments = [one for one in self._segments if one not in shipped]
        for segment in shipped:
            segment.give_up()

    def keep_refused(self, lane: str, place: int, draft: Draft, names: Sequence[str]) -> Path:
        """Keep an entry that the server refuses in a file of its own, and return where.

        Args:
            lane: its lane.
            place: its place there.
            draft: the entry, as a full one; atoms are numbered by their place in `names`.
            names: its atoms.

        Raises:
            StorageFailed, UnreadableSource: the disk refused.
        """
        path = self.folder / f"refused-{lane}-{place}.unspool"
        path.unlink(missing_ok=True)
        store = FileStore.create(path, seals=False)
        try:
            for name in names:
                store.intern(name)
            store.append(draft)
        finally:
            store.close()
        return path

    def give_up(self) -> None:
        """Remove all files of entries: the server has them."""
        with self.lock:
            segments, self._segments = self._segments, []
            self._current = None
        for segment in segments:
            segment.give_up()

    def close(self) -> None:
        """Let go of the folder; it is removed when nothing in it is wanted any more.

        Raises:
            StorageFailed: a file could not be folded; no entry is lost.
        """
        with self.lock:
            segments, self._segments = self._segments, []
            spare, self._spare, self._current = self._spare, None, None
        try:
            if spare is not None:
                spare.give_up()
            for segment in segments:
                if segment.first == segment.stop:
                    segment.give_up()
                else:
                    segment.close()
        finally:
            self._release()

    def abandon(self) -> None:
        """Let go of everything without touching a file: for a forked child, whose parent goes on."""
        for segment in self._segments:
            if not segment.is_dropped:
                segment.store.abandon()
        os.close(self._descriptor)

    def _release(self) -> None:
        names = {entry.name for entry in os.scandir(self.folder)} if self.folder.is_dir() else set()
        if names <= {_ADDRESS}:
            with suppress(OSError):
                (self.folder / _ADDRESS).unlink(missing_ok=True)
                self.folder.rmdir()
        drop_lock(lock_path(self.folder), self._descriptor)


def _hold(folder: Path, target: Target) -> int:
    """Take the lock of a folder, which is made where it is missing; the kernel drops it however a process dies."""
    try:
        make_folder(folder.parent)
        descriptor = take_lock(lock_path(folder))
    except OSError as error:
        raise _unusable(folder, error) from None
    if descriptor is None:
        raise HistoryLocked(
            f"{target.shown}: another recorder on this machine writes to it; close that one, or name another history"
        )
    try:
        make_folder(folder)
        status = folder.lstat()
        if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid():
            # Whoever owns the folder could put other files in the place of these.
            raise PermissionError(errno.EPERM, "it is a link, or belongs to another user")
    except OSError as error:
        drop_lock(lock_path(folder), descriptor)
        raise _unusable(folder, error) from None
    return descriptor


def _unusable(folder: Path, error: Exception) -> StorageFailed:
    reason = (error.strerror if isinstance(error, OSError) else None) or error
    return StorageFailed(
        f"{folder}: cannot hold the spool ({reason}); free some space, or name a folder with `spool`"
    )


def _write_address(folder: Path, target: Target) -> None:
    write_whole(folder / _ADDRESS, (target.public.encode("utf-8", "surrogateescape"),))


def is_spool(folder: Path) -> bool:
    """Whether a folder is the spool of a history."""
    return (folder / _ADDRESS).is_file()


def address_of(folder: Path) -> str:
    """Return the address of the history that a spool belongs to, without any secret.

    Raises:
        UnreadableSource: the folder is no spool.
    """
    try:
        return (folder / _ADDRESS).read_bytes().decode("utf-8", "surrogateescape")
    except OSError as error:
        raise UnreadableSource(f"{folder}: is no spool ({error.strerror}); name a folder, or an address") from None


def _left_by_others(folder: Path) -> tuple[list[SpoolFile], list[Path]]:
    """Open what earlier recorders left, in order; files without an entry are removed, damaged ones are put aside."""
    names = sorted(entry.name for entry in folder.iterdir())
    dropped = [
        SpoolFile(folder / name, int(match[1]), match[2], int(match[3]), None, int(match[4]))
        for name in names
        if (match := _DROPPED.fullmatch(name)) is not None
    ]
    gone = {segment.ordinal for segment in dropped}
    found: list[SpoolFile] = []
    damaged: list[Path] = []
    with ExitStack() as undo:
        for match in filter(None, map(_FILE.fullmatch, names)):
            path, store = folder / match[0], None
            try:
                store = FileStore.create(path, seals=False)
                undo.callback(store.close)
                if int(match[1]) in gone or not len(store):
                    # Its mark was made, and then the process was killed before the file was removed.
                    store.discard()
                    continue
                segment = SpoolFile(path, int(match[1]), match[2], _first_place(store), store)
            except (CorruptHistory, UnreadableSource):
                if store is not None:
                    with suppress(UnspoolError):
                        store.close()
                damaged.append(put_aside(path))
                continue
            segment.look()
            found.append(segment)
        undo.pop_all()
    for match in filter(None, map(_SIDE_FILE.fullmatch, names)):
        if not (folder / match[1]).exists():
            # Its file was being removed when the process was killed.
            (folder / match[0]).unlink(missing_ok=True)
    return sorted((*dropped, *found), key=lambda segment: segment.ordinal), damaged


def put_aside(path: Path) -> Path:
    """Give a damaged file, with its side file, a name that no spool takes for its own; `unspool doctor` reads it."""
    aside = path.with_suffix(".damaged.unspool")
    for suffix in ("-wal", ""):
        with suppress(FileNotFoundError):
            path.with_name(path.name + suffix).replace(aside.with_name(aside.name + suffix))
    return aside


def _first_place(store: FileStore) -> int:
    note = note_in(store.entries(0, 1)[0].meta)
    place = note.get("at")
    if type(place) is not int or place < 0:
        raise CorruptHistory(f"{store.path}: is no file of a spool; move it elsewhere", seq=0)
    return place


def note_in(meta: Mapping[str, Value]) -> Mapping[str, Any]:
    """Return what a spooled entry's meta says to the shipping; nothing where it says nothing."""
    note = meta.get(NOTE)
    return note if isinstance(note, dict) else {}
