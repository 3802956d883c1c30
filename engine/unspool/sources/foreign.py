"""Opening foreign sources: each is read into a temporary native file, and a thread reads on where there is more to come.

A source whose past is lost if it is not read in time is followed from a thread, and so is one that takes long to read.
Which parts a source has, each of which can be opened alone, stands here too.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from unspool.errors import UnreadableSource, UnspoolError
from unspool.files import ScratchFolder
from unspool.history.verdict import COMPLETE, Feeder
from unspool.model.addresses import is_postgres
from unspool.opened import OpenHistory
from unspool.recorder.recorder import Recorder
from unspool.sources.choices import MANY, Choice, Choices
from unspool.sources.entries import MERGE_PREFIX, Reading
from unspool.sources.feeder import SourceFeeder
from unspool.sources.formats.directory import DirectoryReader
from unspool.sources.formats.merged import merged_choices
from unspool.sources.formats.rewritten import SETTLE_NS, SavesReader
from unspool.sources.native import is_native, open_native
from unspool.sources.probe import Probe, SourceShape
from unspool.sources.selecting import format_of, is_file_like, read_at_rest, select_reader
from unspool.sources.sqlite_files import side_files
from unspool.sources.watch import FileWatcher
from unspool.store.file import FileStore

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
