"""Opening foreign sources: each is read into a temporary native file, and a thread reads on where there is more to come.

A source whose past is lost if it is not read in time is followed from a thread, and so is one that takes long to read.
Standard input is kept in a temporary file, so that it reads like any other that grows. Selecting the parts of a source,
each of which can be opened alone, is here too.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from unspool.errors import ConfigError, LimitExceeded, UnreadableSource, UnspoolError, is_postgres
from unspool.files import ScratchFolder, create_private
from unspool.history.verdict import COMPLETE, Feeder
from unspool.opened import OpenHistory, is_native, open_native
from unspool.recorder.recorder import Recorder
from unspool.sources.detection import (
    GIT,
    MANY,
    MERGED,
    NATIVE,
    Choice,
    Choices,
    Format,
    Probe,
    SourceShape,
    check_parts,
    detect,
    format_named,
)
from unspool.sources.documents import DOCUMENT_KINDS
from unspool.sources.entries import GIT_PREFIX, MERGE_PREFIX, STANDARD_INPUT, Reader, Reading
from unspool.sources.feeder import SourceFeeder
from unspool.sources.formats.directory import DirectoryReader
from unspool.sources.formats.merged import OpenPart, merged_choices, open_merged
from unspool.sources.formats.rewritten import SETTLE_NS, SavesReader
from unspool.sources.lines import ItemsReader, LinesReader
from unspool.sources.sqlite_files import side_files
from unspool.sources.watch import FileWatcher
from unspool.store.file import FileStore

NAME: Final = "standard input"
_CHUNK: Final = 1 << 16


class InputCopy:
    """Copies a stream into a file from a thread of its own."""

    def __init__(self, stream: IO[bytes], path: Path) -> None:
        """Begin copying.

        Args:
            stream: where bytes come from.
            path: the file to make.
        """
        self.path = path
        self._stream = stream
        self._out = os.fdopen(create_private(path), "wb", buffering=0)
        self._has_ended = threading.Event()
        self._has_line = threading.Event()
        self._is_stopping = False
        self._thread = threading.Thread(target=self._copy, name="unspool-stdin", daemon=True)
        self._thread.start()

    @property
    def has_ended(self) -> bool:
        """Whether the stream came to its end."""
        return self._has_ended.is_set()

    def wait_for_end(self) -> None:
        """Return when everything has been copied."""
        self._has_ended.wait()

    def wait_for_line(self) -> None:
        """Return when a whole line, or everything, has been copied."""
        self._has_line.wait()

    def _copy(self) -> None:
        read = _reader(self._stream)
        try:
            while not self._is_stopping and (chunk := read(_CHUNK)):
                self._out.write(chunk)
                if b"\n" in chunk:
                    self._has_line.set()
        except (OSError, ValueError):
            # The stream was closed under our hands; what was copied stays.
            pass
        finally:
            self._out.close()
            self._has_ended.set()
            self._has_line.set()

    def stop(self) -> None:
        """Copy no more; a read that is under way is left to end with the process."""
        self._is_stopping = True


def _reader(stream: IO[bytes]) -> Callable[[int], bytes]:
    """Return what reads a stream, past its buffer where it has a descriptor.

    A thread that waits inside a buffered stream holds its lock, and an interpreter that ends meanwhile aborts.
    """
    try:
        descriptor = stream.fileno()
    except OSError:
        return stream.read
    return lambda size: os.read(descriptor, size)


def standard_input() -> IO[bytes]:
    """Return standard input as bytes.

    Raises:
        UnreadableSource: it is a terminal, or closed.
    """
    stream = sys.stdin
    if stream is None or stream.closed:
        raise UnreadableSource(f"{NAME}: is closed; pipe a history into it, or name a file")
    if stream.isatty():
        raise UnreadableSource(f"{NAME}: is a terminal; pipe a history into it, or name a file")
    return stream.buffer


_LONGEST_WAIT_S: Final = 3.0
"""How long a file that is being rewritten is waited for at most."""
_FRESH_NS: Final = 100_000_000
"""How long ago a file may have changed that might be being written right now."""
_PAUSE_S: Final = 0.02
_RESTED_LOOKS: Final = 3
"""Looks in a row that find a file unchanged, until it counts as written."""


@dataclass(frozen=True, slots=True)
class Selected:
    """A reader, and what to call its source.

    Attributes:
        name: what people call it.
        reader: its reader.
        hidden_path: a temporary file whose name must not show; None where the name is the path.
    """

    name: str
    reader: Reader
    hidden_path: Path | None = None


def select_reader(source: str, reading: Reading, undo: ExitStack, *, wait: bool, open_part: OpenPart) -> Selected:
    """Return the reader for a source.

    Args:
        source: a path, `-`, `git:REPO:PATH[@REV]`, or a PostgreSQL address.
        reading: how to read.
        undo: takes what must be let go of besides the reader.
        wait: standard input is read to its end first.
        open_part: opens one of several files that the source names.

    Raises:
        UnreadableSource: it is missing, unreadable, or of no known format.
        ConfigError: the user named a format that there is not, or that cannot be read that way.
    """
    if source.startswith(GIT_PREFIX):
        return _git(source, reading)
    if source.startswith(MERGE_PREFIX):
        return _merged(source, reading, open_part)
    if is_postgres(source):
        # Its driver is an extra, and only such addresses need it.
        from unspool.sources.formats.langgraph_postgres import open_checkpoints

        return Selected(*open_checkpoints(source, reading.format, reading.folds, reading.select))
    if source == STANDARD_INPUT:
        return _standard_input(reading, undo, wait=wait)
    return Selected(source, _opened_at_rest(Path(source), reading))


def read_at_rest(source: str, read: Callable[[], object], is_read: Callable[[], bool]) -> None:
    """Read a source again that an app began to rewrite after it was recognised, until it is read or it is too late.

    Args:
        source: as for `select_reader`; only a file of its own is waited for.
        read: reads what is there.
        is_read: whether that gave anything.
    """
    end = time.monotonic() + _LONGEST_WAIT_S
    path = Path(source)
    while not is_read() and time.monotonic() < end:
        seen = _stamp(path)
        if seen is None or not _is_being_written(path, seen):
            return
        _wait_for_rest(path, end)
        read()


def _opened_at_rest(path: Path, reading: Reading) -> Reader:
    """Open a file; one that an app is rewriting at this very moment, and is empty or cut short now, is waited for."""
    end = time.monotonic() + _LONGEST_WAIT_S
    while True:
        seen = _stamp(path)
        try:
            return _opened(_probe(path, reading), reading)
        except LimitExceeded:
            raise
        except UnreadableSource:
            if seen is None or time.monotonic() >= end or not _is_being_written(path, seen):
                raise
            _wait_for_rest(path, end)


_Stamp = tuple[int, int, int]


def _stamp(path: Path) -> _Stamp | None:
    try:
        status = path.stat()
    except (OSError, ValueError):
        # Missing, or no path at all: why is reported where it is opened.
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns


def _is_being_written(path: Path, seen: _Stamp) -> bool:
    if _stamp(path) == seen and 0 <= time.time_ns() - seen[2] < _FRESH_NS:
        time.sleep(_PAUSE_S)
    return _stamp(path) != seen


def _wait_for_rest(path: Path, end: float) -> None:
    """Return when a file has not changed for a while, or it is too late to wait."""
    rested, before = 0, _stamp(path)
    while rested < _RESTED_LOOKS and time.monotonic() < end:
        time.sleep(_PAUSE_S)
        now = _stamp(path)
        rested, before = (rested + 1, now) if now == before else (0, now)


def _opened(probe: Probe, reading: Reading) -> Reader:
    chosen = _chosen(probe, reading)
    check_parts(chosen, reading.select)
    reader = chosen.load().open_reader(probe)
    if reading.time:
        if not isinstance(reader, LinesReader | ItemsReader):
            raise ConfigError(
                f"--time is for records in lines or in a list; a source in the format {chosen.name} has none"
            )
        reader.take_times_from(reading.time)
    return reader


def is_file_like(source: str) -> bool:
    """Whether a source is a path, whose format is detected by looking at it."""
    return source != STANDARD_INPUT and not source.startswith((GIT_PREFIX, MERGE_PREFIX))


def format_of(path: Path, reading: Reading) -> tuple[Probe, Format]:
    """Return a first look at a file or directory, and its format.

    Raises:
        UnreadableSource, ConfigError: see `select_reader`.
    """
    probe = _probe(path, reading)
    return probe, NATIVE if is_native(str(probe.path), reading.format) else _chosen(probe, reading)


def _probe(path: Path, reading: Reading, *, is_growing: bool = False) -> Probe:
    return Probe(path, reading.limits, reading.follow, reading.folds, is_growing, reading.select)


def _chosen(probe: Probe, reading: Reading) -> Format:
    if reading.format is None:
        return detect(probe)
    chosen = format_named(reading.format)
    if reading.format in DOCUMENT_KINDS:
        # Asked for by name, and so obeyed: the content is not asked what else it might be.
        probe.kind = reading.format
    if chosen is GIT:
        raise ConfigError("--format git is for sources written as git:REPO:PATH")
    if chosen is MERGED:
        raise ConfigError(f"--format merge is for sources written as {MERGE_PREFIX}PATH:PATH")
    if chosen is NATIVE:
        raise UnreadableSource(f"{probe.path}: no unspool file; leave --format out, or name the format it is in")
    # Text that looks like nothing may still be read as a text format: its broken lines are then counted.
    fits = probe.shape in chosen.shapes or (probe.shape is SourceShape.OTHER and SourceShape.LINES in chosen.shapes)
    if not fits:
        raise UnreadableSource(
            f"{probe.path}: is {_described(probe.shape)}, which cannot be read as {chosen.name}; leave --format out"
        )
    return chosen


def _described(shape: SourceShape) -> str:
    names = {
        SourceShape.DIRECTORY: "a directory",
        SourceShape.SQLITE: "an SQLite database",
        SourceShape.OTHER: "neither text nor JSON",
    }
    return names.get(shape, "a text file")


def _git(source: str, reading: Reading) -> Selected:
    if reading.format is not None and format_named(reading.format) is not GIT:
        raise ConfigError(f"a git history is read as git; leave --format {reading.format} out")
    check_parts(GIT, reading.select)
    # Starting git takes time that only this format needs.
    from unspool.sources.formats.git import open_git, parse_git_target

    target = parse_git_target(source)
    return Selected(target.name, open_git(target, reading.limits))


def _merged(source: str, reading: Reading, open_part: OpenPart) -> Selected:
    if reading.format is not None and format_named(reading.format) is not MERGED:
        raise ConfigError(
            f"files that are merged are each of a format of their own; leave --format {reading.format} out"
        )
    if reading.time:
        raise ConfigError("files that are merged name their own times; leave --time out")
    check_parts(MERGED, reading.select)
    return Selected(*open_merged(source, reading, open_part))


def _standard_input(reading: Reading, undo: ExitStack, *, wait: bool) -> Selected:
    stream = reading.stdin if reading.stdin is not None else standard_input()
    spool = InputCopy(stream, undo.enter_context(ScratchFolder()) / "stdin")
    undo.callback(spool.stop)
    if wait or not reading.follow:
        spool.wait_for_end()
    else:
        spool.wait_for_line()
    probe = _probe(spool.path, reading, is_growing=not spool.has_ended)
    try:
        if probe.shape is SourceShape.OTHER and not spool.has_ended:
            # A document that spans lines, or compressed data, shows what it is only when it is all there.
            spool.wait_for_end()
            probe = _probe(spool.path, reading)
        reader = _opened(probe, reading)
    except UnreadableSource as error:
        raise UnreadableSource(str(error).replace(str(spool.path), NAME)) from None
    return Selected(NAME, reader, spool.path)


_SETTLE_S: Final = SETTLE_NS / 1e9


class Follower:
    """Reads a source whenever it changes, from a thread of its own.

    Where an app rewrites the file, a second thread takes each save the moment it happens: taking (one read of the
    file) must never wait for recording, or the next save would replace what was not yet taken.
    """

    def __init__(self, feeder: SourceFeeder, *, poll: float | None = None, watches: bool = True) -> None:
        """Prepare to follow.

        Args:
            feeder: what reads.
            poll: see `FileWatcher`.
            watches: read again when the source changes; otherwise read what is there and end.
        """
        self._feeder = feeder
        self._capture: Callable[[], None] | None = None
        if isinstance(feeder.reader, SavesReader):
            self._capture = feeder.reader.capture
        self._watches = watches
        self._watcher = FileWatcher(feeder.reader.watch_paths if watches else (), self._changed, poll=poll)
        self._wake = threading.Event()
        self._is_stopping = False
        self._told_trouble = ""
        self._told_verdict = COMPLETE
        self._thread = threading.Thread(target=self._work, name="unspool-follow", daemon=True)

    @staticmethod
    def is_needed(feeder: SourceFeeder) -> bool:
        """Whether a source loses its past when it is not followed."""
        return isinstance(feeder.reader, SavesReader | DirectoryReader)

    def start(self, *, reads_at_once: bool = False) -> None:
        """Begin to follow.

        Args:
            reads_at_once: read what is there now from the thread too.
        """
        self._watcher.start()
        self._report_trouble()
        if reads_at_once:
            self._wake.set()
        self._thread.start()

    def stop(self) -> None:
        """End; when this returns, nothing more is recorded."""
        self._is_stopping = True
        self._watcher.stop()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join()

    def _changed(self) -> None:
        if self._capture is not None:
            self._capture()
        self._wake.set()

    def _report_trouble(self) -> None:
        """Say once that changes are looked for, where that was not asked for: between two looks, saves may be missed."""
        trouble = self._watcher.trouble
        if trouble != self._told_trouble:
            self._told_trouble = trouble
            self._feeder.reader.findings.notice(self._feeder.source_name, trouble)

    def _work(self) -> None:
        while True:
            reader = self._feeder.reader
            settles = isinstance(reader, SavesReader) and reader.is_settling
            self._wake.wait(_SETTLE_S if settles else None)
            self._wake.clear()
            if self._is_stopping:
                return
            self._report_trouble()
            try:
                self._feeder.read_on()
                verdict = self._feeder.verdict
                # Not compared with the one just before: taking a save may have found something out already.
                if verdict != self._told_verdict:
                    self._told_verdict = verdict
                    self._feeder.nudge()
            except UnspoolError as error:
                self._feeder.failure = error
                reader.findings.loss(self._feeder.source_name, f"reading stopped: {error}")
                self._feeder.nudge()
                return
            if not self._watches:
                return


_MOST_SEALED: Final = 4 << 20
"""Bytes of a state from which on compressing it again and again takes longer than reading the source."""
Keep = Callable[[SourceFeeder, Recorder, Path], Feeder | None]
"""Given a source that was read, and the native file, may finish that one and return what stands for the feeder then."""


def open_foreign(
    source: str, reading: Reading, *, identity: Mapping[str, str] | None, wait: bool, keep: Keep | None = None
) -> OpenHistory:
    """Open a source that is no native file; see `open_history`.

    Args:
        source: anything but a native file.
        reading: how to read it.
        identity: see `open_history`.
        wait: see `open_history`.
        keep: what to do with a source that was waited for and is not followed.

    Raises:
        UnreadableSource, ConfigError: see `open_history`.
    """
    with ExitStack() as resources:
        file = resources.enter_context(ScratchFolder()) / "history.unspool"
        store = FileStore.create(file, durability="fast", seals_below=_MOST_SEALED)
        resources.callback(store.discard)
        recorder = Recorder(store, on_error="raise", max_bytes=None)
        resources.callback(recorder.close)
        # Before the recorder would finish a file that nobody reads later.
        resources.callback(store.discard)
        feeder = feed(source, recorder, reading, resources, grows=() if wait else side_files(file))
        kept = keep(feeder, recorder, file) if keep is not None else None
        history = OpenHistory(FileStore.open(file), kept or feeder, identity=identity)
        # From here on closing the history closes the feeder, and the feeder lets go of everything.
        feeder.resources = resources.pop_all()
    return history


def feed(
    source: str, recorder: Recorder, reading: Reading, resources: ExitStack, *, grows: tuple[Path, ...] = ()
) -> SourceFeeder:
    """Read a foreign source into a recorder.

    Args:
        source: anything but a native file.
        recorder: where entries go.
        reading: how to read.
        resources: takes what must be let go of in the end: files, threads, processes.
        grows: the files that the recorder makes grow; when named, a thread reads on after the first entry.

    Raises:
        UnreadableSource, ConfigError: see `open_history`.
    """
    selected = select_reader(source, reading, resources, wait=not grows, open_part=_open_part)
    resources.callback(selected.reader.close)
    feeder = SourceFeeder(selected.name, selected.reader, recorder, selected.hidden_path)
    feeder.tell = reading.progress
    try:
        _begin(feeder, reading, resources, grows)
    except UnreadableSource as error:
        raise UnreadableSource(feeder.shown(str(error))) from None
    return feeder


def _open_part(source: str, reading: Reading) -> OpenHistory:
    """Open one of several recordings that are merged; see `MergedReader`."""
    if is_native(source, None):
        return open_native(Path(source), {})
    return open_foreign(source, reading, identity=None, wait=True)


def _begin(feeder: SourceFeeder, reading: Reading, resources: ExitStack, target: tuple[Path, ...]) -> None:
    """Read what is there, here or (where a target is named) from a thread, and see to what comes later."""
    feeder.target_paths = target
    if target or reading.follow:
        _follow(feeder, reading, resources)
    if not target:
        feeder.read_on()
        read_at_rest(feeder.source_name, feeder.read_on, lambda: feeder.entries > 0 or not feeder.verdict.problems)
    feeder.has_begun.wait()
    if feeder.failure is not None:
        raise feeder.failure
    problems = feeder.verdict.problems
    if feeder.entries == 0 and problems:
        said = f"{problems[0].place}: {problems[0].message}"
        # A place may be named by what the source holds.
        spelled = "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in said)
        raise UnreadableSource(f"{spelled} (no entry could be read)")


def _follow(feeder: SourceFeeder, reading: Reading, resources: ExitStack) -> None:
    if feeder.target_paths or Follower.is_needed(feeder):
        follower = Follower(feeder, poll=reading.poll, watches=reading.follow)
        resources.callback(follower.stop)
        # A thread that reads a large source must end before it is waited for.
        resources.callback(feeder.cancel)
        follower.start(reads_at_once=bool(feeder.target_paths))


def choices_of(source: str, format_name: str | None = None) -> tuple[Choice, ...]:
    """Return the parts of a source that can be shown one by one; nothing where there is only one.

    Args:
        source: as for `open_history`.
        format_name: its format, when the content does not tell.

    Raises:
        UnreadableSource: it is missing, unreadable, or of no known format.
    """
    if is_postgres(source):
        # Its driver is an extra, and only such addresses need it.
        from unspool.sources.formats.langgraph_postgres import checkpoint_choices

        return checkpoint_choices(source)
    if source.startswith(MERGE_PREFIX):
        return merged_choices(source)
    if not is_file_like(source):
        return ()
    probe, chosen = format_of(Path(source), Reading(format=format_name, follow=False))
    if chosen.module is None:
        return ()
    parts: Choices | None = getattr(chosen.load(), "choices", None)
    return () if parts is None else parts(probe)


def very_many(source: str, format_name: str | None = None) -> tuple[Choice, ...]:
    """Return the parts of a source that has more of them than `MANY`; nothing for any other.

    Only databases are looked at, which tell without being read.

    Raises:
        UnreadableSource: see `choices_of`.
    """
    if not is_postgres(source) and (not is_file_like(source) or Probe(Path(source)).shape is not SourceShape.SQLITE):
        return ()
    found = choices_of(source, format_name)
    return found if len(found) > MANY else ()
