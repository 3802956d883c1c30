"""Foreign sources as histories: read into a temporary native file, at once or from a thread."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from unspool.errors import UnreadableSource
from unspool.files.leftovers import ScratchFolder
from unspool.history.history import History
from unspool.history.verdict import Feeder
from unspool.recorder.recorder import Recorder
from unspool.sources.entries import Reading
from unspool.sources.feeder import SourceFeeder
from unspool.sources.selecting import select_reader
from unspool.sources.sqlite_files import side_files
from unspool.store.file import FileStore

_MOST_SEALED: Final = 4 << 20
"""Bytes of a state from which on compressing it again and again takes longer than reading the source."""
Keep = Callable[[SourceFeeder, Recorder, Path], Feeder | None]
"""Given a source that was read, and the native file, may finish that one and return what stands for the feeder then."""


def open_foreign(
    source: str, reading: Reading, *, identity: Mapping[str, str] | None, wait: bool, keep: Keep | None = None
) -> History:
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
        history = History(FileStore.open(file), kept or feeder, identity=identity)
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
    selected = select_reader(source, reading, resources, wait=not grows)
    resources.callback(selected.reader.close)
    feeder = SourceFeeder(selected.name, selected.reader, recorder, selected.hidden_path)
    feeder.tell = reading.progress
    try:
        _begin(feeder, reading, resources, grows)
    except UnreadableSource as error:
        raise UnreadableSource(feeder.shown(str(error))) from None
    return feeder


def _begin(feeder: SourceFeeder, reading: Reading, resources: ExitStack, target: tuple[Path, ...]) -> None:
    """Read what is there, here or (where a target is named) from a thread, and see to what comes later."""
    feeder.target_paths = target
    if target or reading.follow:
        _follow(feeder, reading, resources)
    if not target:
        feeder.read_on()
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
    # Commands that look once never need threads and watches.
    from unspool.sources.following import Follower

    if feeder.target_paths or Follower.is_needed(feeder):
        follower = Follower(feeder, poll=reading.poll, watches=reading.follow)
        resources.callback(follower.stop)
        # A thread that reads a large source must end before it is waited for.
        resources.callback(feeder.cancel)
        follower.start(reads_at_once=bool(feeder.target_paths))
