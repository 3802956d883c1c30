"""Several recordings as one timeline: entries by their times, the atoms of each recording under its name.

`merge:PATH:PATH…` names them, with patterns where there are many: `merge:run-*.unspool`. Each recording is a part of the
timeline as a thread of a database is: what it does leaves the atoms of the others where they are, and where it goes back
only its own atoms do.
"""

from __future__ import annotations

import glob
import heapq
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from unspool.errors import ConfigError, UnreadableSource, UnspoolError
from unspool.history.history import History
from unspool.history.verdict import Progress
from unspool.model.entries import Entry, EntryKind
from unspool.model.values import MISSING, State, Value
from unspool.model.wire import decode
from unspool.sources.detection import Choice, natural_key, several
from unspool.sources.entries import MERGE_PREFIX, Findings, Reader, Reading, SourceEntry

_SELECTABLE: Final = "file"
OpenPart = Callable[[str, Reading], History]
"""Opens one of the recordings; whoever opens sources gives it, because a part may be any source."""


def merged_name(paths: Sequence[str]) -> str:
    """Return how several files are named as one source.

    Raises:
        ConfigError: a name holds what separates names.
    """
    for path in paths:
        if os.pathsep in path:
            raise ConfigError(
                f"{path}: files to be merged are separated by {os.pathsep!r}; give this one another name"
            )
        if path.startswith(MERGE_PREFIX) or path == "-":
            raise ConfigError(f"{path}: only files can be merged; name a file")
    return MERGE_PREFIX + os.pathsep.join(paths)


def files_of(source: str) -> list[str]:
    """Return the files that a source names, patterns unfolded, each once.

    Raises:
        UnreadableSource: a pattern fits nothing, or nothing is named.
    """
    found: dict[str, None] = {}
    for piece in filter(None, source.removeprefix(MERGE_PREFIX).split(os.pathsep)):
        # A file may be called like a pattern.
        is_pattern = glob.has_magic(piece) and not os.path.lexists(piece)
        # Names stay as they are written, which paths do not.
        paths = sorted(glob.glob(piece), key=natural_key) if is_pattern else [piece]  # noqa: PTH207
        if not paths:
            raise UnreadableSource(f"{piece}: no file is called like that; check the pattern")
        found |= dict.fromkeys(paths)
    if not found:
        raise UnreadableSource(f"{source}: names no file; write {MERGE_PREFIX}PATH{os.pathsep}PATH, or a pattern")
    return list(found)


def part_names(paths: Sequence[str]) -> list[str]:
    """Return short names of files that distinguish them: without folders and endings, as far as that goes."""
    for shorten in (lambda path: Path(path).stem, lambda path: Path(path).name, lambda path: path):
        # A blank ends a name where atoms begin.
        names = [shorten(path).replace(" ", "_") for path in paths]
        if len(set(names)) == len(names):
            return names
    return [os.path.realpath(path) for path in paths]


class MergedReader:
    """Reads several histories by the times of their entries, and later what each has grown by."""

    def __init__(self, source: str, reading: Reading, open_part: OpenPart) -> None:
        """Open them.

        Args:
            source: `merge:PATH:PATH…`.
            reading: how to read each.
            open_part: opens each.

        Raises:
            UnreadableSource: none can be opened, or none is called as selected.
        """
        self.findings = Findings()
        self._open_part = open_part
        paths = files_of(source)
        chosen = reading.select.get(_SELECTABLE)
        named = dict(zip(part_names(paths), paths, strict=True))
        if chosen is not None:
            wanted = {name: path for name, path in named.items() if chosen in (name, path)}
            if not wanted:
                raise UnreadableSource(f"{source}: has no file {chosen!r}; it has {', '.join(named)}")
            named = wanted
        self.name = MERGE_PREFIX + os.pathsep.join(named.values())
        self._parts: list[_Part] = []
        self._resources = ExitStack()
        with ExitStack() as undo:
            undo.enter_context(self._resources)
            refusals = [self._open(name, path, reading) for name, path in named.items()]
            if not self._parts:
                raise next(error for error in refusals if error is not None)
            undo.pop_all()
        self._done = 0

    def _open(self, name: str, path: str, reading: Reading) -> UnspoolError | None:
        try:
            history = self._open_part(path, Reading(follow=False, limits=reading.limits, folds=reading.folds))
        except UnspoolError as error:
            self.findings.loss(path, f"{error}; it was left out")
            return error
        self._resources.enter_context(history)
        self._parts.append(_Part(name, path, history, self.findings))
        return None

    @property
    def watch_paths(self) -> tuple[Path, ...]:
        """The files, and what lies beside them."""
        return tuple(path for part in self._parts for path in part.history.watch_paths)

    @property
    def source_paths(self) -> tuple[Path, ...]:
        """See `NamesItsSource`."""
        return tuple(path for part in self._parts for path in part.history.source_paths)

    def read(self) -> Iterator[SourceEntry]:
        """Yield the entries that are new since the last call, by their times."""
        for part in self._parts:
            part.history.refresh()
        streams = [part.timed(number) for number, part in enumerate(self._parts)]
        for _, number, entry in heapq.merge(*streams, key=lambda timed: timed[:2]):
            self._done += 1
            made = self._parts[number].read(entry)
            if made is not None:
                yield made
        for part in self._parts:
            part.report_verdict()

    def progress(self) -> Progress:
        """Say how many entries were read."""
        total = sum(len(part.history) - part.history.first for part in self._parts)
        return Progress(self._done, max(self._done, total), self._done >= total)

    def close(self) -> None:
        """Close all histories."""
        self._resources.close()


class _Part:
    """One of the recordings.

    Attributes:
        history: the recording.
    """

    def __init__(self, name: str, path: str, history: History, findings: Findings) -> None:
        self.history = history
        self._name = name
        self._path = path
        self._findings = findings
        self._next = history.first
        self._latest_ns = -(1 << 63)
        self._last: dict[str, bytes] = {}
        self._ever: dict[str, None] = {}
        self._told: set[tuple[str, str]] = set()

    def timed(self, number: int) -> Iterator[tuple[int, int, Entry]]:
        """Yield what is new with what it is ordered by: its time, but never before an entry that stands before it here."""
        while self._next < len(self.history):
            for entry in self.history[self._next : min(self._next + 256, len(self.history))]:
                self._next = entry.seq + 1
                self._latest_ns = max(self._latest_ns, entry.timestamp_ns)
                yield self._latest_ns, number, entry

    def read(self, entry: Entry) -> SourceEntry | None:
        """Return an entry as one of the whole; None where it cannot be read."""
        meta: dict[str, Value] = {**entry.meta, "file": self._path, "entry": entry.seq}
        if entry.kind is EntryKind.NOTE:
            return SourceEntry({}, entry.timestamp_ns, entry.action, meta, self._id(entry.seq), is_note=True)
        try:
            wire = dict(self.history.view(entry.seq).wire)
        except UnspoolError as error:
            self._findings.loss(f"{self._path}: entry {entry.seq}", f"{error}; it was left out")
            return None
        prefix = f"{self._name} "
        touched: State = {prefix + atom: MISSING for atom in self._last if atom not in wire}
        for atom, form in wire.items():
            before = self._last.get(atom)
            if before is not form and before != form:
                touched[prefix + atom] = decode(form)
        self._last = wire
        self._ever |= dict.fromkeys(prefix + atom for atom in wire)
        goes_back = entry.parent_seq is not None and entry.parent_seq != entry.seq - 1
        parent = self._id(entry.parent_seq) if goes_back and entry.parent_seq is not None else None
        return SourceEntry(
            touched, entry.timestamp_ns, entry.action, meta, self._id(entry.seq), parent,
            tuple(self._ever) if goes_back else None, is_part=True,
        )  # fmt: skip

    def _id(self, seq: int) -> str:
        return f"{self._name}#{seq}"

    def report_verdict(self) -> None:
        """Say what of the recording could not be read."""
        verdict = self.history.verdict
        for place, message in [(problem.place, problem.message) for problem in verdict.problems]:
            if (place, message) not in self._told:
                self._told.add((place, message))
                self._findings.loss(place if self._path in place else f"{self._path}: {place}", message)


def merged_choices(source: str) -> tuple[Choice, ...]:
    """Return the files that can be shown one by one."""
    return several(_SELECTABLE, ((name, None) for name in part_names(files_of(source))))


def open_merged(source: str, reading: Reading, open_part: OpenPart) -> tuple[str, Reader]:
    """Return what people call several recordings, and their reader.

    Raises:
        UnreadableSource, ConfigError: see `MergedReader`.
    """
    reader = MergedReader(source, reading, open_part)
    return reader.name, reader


__all__ = ["OpenPart", "files_of", "merged_choices", "merged_name", "open_merged"]
