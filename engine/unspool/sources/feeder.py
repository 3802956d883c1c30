"""Feeding a foreign source into a native file: the one way foreign entries enter a history."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path
from typing import Final

from unspool.errors import UnspoolError, UnsupportedValue
from unspool.history.verdict import ChainFault, Problem, Progress, Verdict, VerdictStatus
from unspool.model.limits import Cancelled
from unspool.recorder.recorder import Recorder
from unspool.sources.entries import ChainedReader, Findings, NamesItsSource, Reader, SourceEntry
from unspool.sources.sqlite_files import one_line

_REMEMBERED_IDS: Final = 100_000
"""Ids of the source that can be named as parents; older ones are forgotten."""


class SourceFeeder:
    """Reads a source into a recorder. Safe to call from several threads."""

    def __init__(self, name: str, reader: Reader, recorder: Recorder, hidden_path: Path | None = None) -> None:
        """Connect a reader to a recorder. Whoever opened them hands them over in `resources`.

        Args:
            name: what people call the source.
            reader: where entries come from.
            recorder: where they go.
            hidden_path: a temporary file that people must not see in messages; the source's name stands for it.
        """
        self.resources = ExitStack()
        """Everything to let go of when the feeder is closed."""
        self.target_paths: tuple[Path, ...] = ()
        """Set when a thread reads in the background: the native files that grow meanwhile."""
        self.has_begun = threading.Event()
        """Set once there is an entry, or there is none to be had."""
        self.failure: UnspoolError | None = None
        self.source_name = name
        self.reader = reader
        self.entries = 0
        self._recorder = recorder
        self._hidden = None if hidden_path is None else str(hidden_path)
        self._lock = threading.RLock()
        self._entries: Iterator[SourceEntry] | None = None
        self._seqs: dict[str, int] = {}
        self._previous: str | None = None
        self._is_cancelled = False
        self._is_closed = False
        self.tell: Callable[[int, int], None] | None = None
        """Told how far reading has come, as often as an entry comes."""

    @property
    def verdict(self) -> Verdict:
        """How much could be read so far."""
        verdict = verdict_of(self.reader.findings, is_cancelled=self._is_cancelled)
        if self._hidden is None:
            return verdict
        problems = tuple(Problem(self.shown(item.place), self.shown(item.message)) for item in verdict.problems)
        return replace(verdict, problems=problems, notes=tuple(map(self.shown, verdict.notes)))

    def shown(self, text: str) -> str:
        """Return a message as people may see it: without the name of a temporary file."""
        return text if self._hidden is None else text.replace(self._hidden, self.source_name)

    def chain_faults(self, cancelled: Cancelled) -> Iterator[ChainFault]:
        """See `ChainExaminer.chain_faults`."""
        if not isinstance(self.reader, ChainedReader):
            return
        with self._lock:
            try:
                for fault in self.reader.chain_faults(self._seqs.get, self.entries, cancelled):
                    yield replace(fault, place=self.shown(fault.place), message=self.shown(fault.message))
            except (UnspoolError, sqlite3.Error, UnicodeDecodeError) as error:
                yield ChainFault(
                    "sqlite-damage", self.source_name, f"cannot be examined: {' '.join(str(error).split())}"
                )

    @property
    def watch_paths(self) -> tuple[Path, ...]:
        """Files whose change means that there may be more."""
        return self.target_paths or self.reader.watch_paths

    @property
    def source_paths(self) -> tuple[Path, ...]:
        """See `Feeder.source_paths`."""
        if self._hidden is not None:
            return ()
        return self.reader.source_paths if isinstance(self.reader, NamesItsSource) else self.reader.watch_paths

    @property
    def progress(self) -> Progress:
        """How far reading has come."""
        progress = self.reader.progress()
        is_finished = self._entries is None and (progress.is_finished or self._is_cancelled)
        return Progress(progress.done, progress.total, is_finished)

    def cancel(self) -> None:
        """Read no further; what has arrived stays."""
        self._is_cancelled = self._entries is not None

    def nudge(self) -> None:
        """Have whoever watches the target look again: what cannot be read changed, although no entry came."""
        # The log beside the database: to close the database itself would take SQLite's locks away.
        for path in self.target_paths[1:]:
            with suppress(OSError):
                os.close(os.open(path, os.O_WRONLY))
                os.utime(path)

    def pump(self) -> None:
        """Read what is new, unless a thread does so in the background.

        Raises:
            UnspoolError: the source became unreadable, or the history cannot be written.
        """
        if not self.target_paths:
            self.read_on()

    def read_on(self) -> None:
        """Read everything that is there; see `pump`."""
        with self._lock:
            if self._is_closed or self._is_cancelled:
                return
            self._entries = self.reader.read()
            try:
                self._take(self._entries)
            finally:
                self._entries = None
                self.has_begun.set()

    def _take(self, entries: Iterator[SourceEntry]) -> None:
        try:
            for entry in entries:
                self._record(entry)
                self.has_begun.set()
                if self.tell is not None:
                    come = self.reader.progress()
                    self.tell(come.done, come.total)
                if self._is_cancelled:
                    return
        except (sqlite3.Error, UnicodeDecodeError) as error:
            # SQLite's own message may quote damaged text, and Python cannot read it then.
            self.reader.findings.loss(
                self.source_name, f"the database is damaged ({one_line(error)}); reading stopped there"
            )

    def _record(self, entry: SourceEntry) -> None:
        parent = None
        if entry.parent_id is not None and entry.parent_id != self._previous:
            parent = self._seqs.get(entry.parent_id)
        try:
            seq = self._written(entry, parent)
        except UnsupportedValue as error:
            self.reader.findings.loss(f"{self.source_name}: entry {self.entries}", f"{error}; it was left out")
            return
        self.entries += 1
        if entry.entry_id is not None and seq is not None:
            self._previous = entry.entry_id
            self._seqs[entry.entry_id] = seq
            if len(self._seqs) > _REMEMBERED_IDS:
                del self._seqs[next(iter(self._seqs))]

    def _written(self, entry: SourceEntry, parent: int | None) -> int | None:
        if entry.is_note:
            return self._recorder.put_note(
                entry.action,
                entry.meta,
                None,
                timestamp_ns=entry.timestamp_ns,
                entry_id=entry.entry_id or "",
                is_short=False,
            )
        if entry.is_part:
            return self._recorder.update(
                entry.state,
                entry.action,
                timestamp_ns=entry.timestamp_ns,
                meta=entry.meta or None,
                entry_id=entry.entry_id or "",
                parent_seq=parent,
                part=entry.part,
            )
        return self._recorder.record(
            entry.state,
            entry.action,
            timestamp_ns=entry.timestamp_ns,
            meta=entry.meta or None,
            entry_id=entry.entry_id or "",
            parent_seq=parent,
            part=entry.part,
            full=entry.is_full,
        )

    def close(self) -> None:
        """Let go of the source and of temporary files; closing twice is fine."""
        self._is_cancelled = self._is_cancelled or self._entries is not None
        with self._lock:
            self._is_closed = True
            self._entries = None
        # Not under the lock: a thread that is to end may be waiting for it.
        self.resources.close()


def verdict_of(findings: Findings, *, is_cancelled: bool = False) -> Verdict:
    """Return findings as a verdict."""
    problems = [Problem(item.place, item.message) for item in findings.listed() if item.is_loss]
    notes = tuple(f"{item.place}: {item.message}" for item in findings.listed() if not item.is_loss)
    if is_cancelled:
        problems.append(Problem("…", "reading was cancelled; the rest of the source is not here"))
    is_partial = bool(problems) or not findings.is_complete
    status = VerdictStatus.PARTIAL if is_partial else VerdictStatus.COMPLETE
    return Verdict(status, tuple(problems), findings.unlisted, notes)
