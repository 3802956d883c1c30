"""A directory of snapshot files: one entry a file, in natural order; new files become entries."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

from unspool.errors import UnreadableSource
from unspool.model.limits import DEFAULT_LIMITS, Limits
from unspool.model.values import Value
from unspool.sources import delta_records, nexus
from unspool.sources.bytestream import CutShort, read_whole
from unspool.sources.document_states import DocumentRecords
from unspool.sources.entries import Interpreter, Progress, Reader, SourceEntry, UnusableRecord
from unspool.sources.findings import Findings
from unspool.sources.folder_files import FolderFile, Survey, document_of, survey
from unspool.sources.json_exact import BrokenText
from unspool.sources.probe import Probe, Shape
from unspool.sources.source_text import text_state

_SAMPLED_FILES: Final = 5
_NAMED: Final = 5
"""Files left out that are named; the rest are counted."""


class DirectoryReader:
    """Reads the snapshot files of a directory, and on later calls those that came after."""

    def __init__(self, found: Survey, interpreter: Interpreter, limits: Limits = DEFAULT_LIMITS) -> None:
        path = found.path
        self._survey = found
        self.findings = Findings()
        self.watch_paths: tuple[Path, ...] = (path,)
        self._path = path
        self._interpreter = interpreter
        self._limits = limits
        self._read: dict[str, tuple[int, int]] = {}
        self._broken: dict[str, tuple[int, int]] = {}
        self._total = 0
        self._said: set[str] = set()
        self._has_told_others = False

    def read(self) -> Iterator[SourceEntry]:
        """Yield an entry for each file that is new or has become readable."""
        found, left_out = self._survey.files(self._limits)
        self._tell_left_out(left_out)
        self._total = len(found)
        for file in found:
            name, signature = file.name, file.signature
            known = self._read.get(name)
            if known is not None:
                if known != signature:
                    self._read[name] = signature
                    self.findings.notice(
                        str(self._path / name), "changed after it was read; the entry shows it as it was"
                    )
            elif self._broken.get(name) != signature:
                yield from self._entries(file)
        for message, is_loss in self._interpreter.notices():
            if message not in self._said:
                self._said.add(message)
                (self.findings.loss if is_loss else self.findings.notice)(str(self._path), message)

    def _tell_left_out(self, names: list[str]) -> None:
        if names and not self._has_told_others:
            self._has_told_others = True
            more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
            self.findings.notice(
                str(self._path), f"files of other kinds are no entries: {', '.join(sorted(names)[:_NAMED])}{more}"
            )

    def _entries(self, file: FolderFile) -> Iterator[SourceEntry]:
        name, signature = file.name, file.signature
        place = self._path / name
        at = signature[1] if file.timestamp_ns is None else file.timestamp_ns
        try:
            if self._survey.form == "text":
                made = [SourceEntry(text_state(read_whole(place, self._limits)), at)]
            else:
                made = list(self._interpreter.read(document_of(place, self._limits), at))
        except (BrokenText, CutShort, UnreadableSource) as error:
            self._broken[name] = signature
            reason = str(error) or "its compressed data ends early"
            self.findings.wait_for(name, str(place), f"not readable ({reason}); it is tried again when it changes")
            return
        except UnusableRecord as error:
            self._read[name] = signature
            self.findings.loss(str(place), f"{error}; it was left out")
            return
        self._read[name] = signature
        self._broken.pop(name, None)
        self.findings.came_right(name)
        for entry in made:
            yield replace(entry, action=entry.action or file.label or name, entry_id=entry.entry_id or name)

    def progress(self) -> Progress:
        """Say how many files were read."""
        done = len(self._read) + len(self._broken)
        return Progress(done, max(done, self._total), is_finished=done >= self._total)

    def close(self) -> None:
        """Nothing is held open."""


class LogsReader:
    """Reads the files of a folder that hold lines one after the other, each as if it were opened alone."""

    def __init__(self, found: Survey, probe: Probe) -> None:
        self.findings = Findings()
        self.watch_paths: tuple[Path, ...] = (probe.path,)
        self._survey = found
        self._probe = probe
        self._readers: dict[str, Reader] = {}
        self._told: dict[str, int] = {}

    def read(self) -> Iterator[SourceEntry]:
        """Yield the entries that are new since the last call."""
        files, left_out = self._survey.files(self._probe.limits)
        if left_out and not self._readers:
            self.findings.notice(
                str(self._probe.path), f"files of other kinds are no entries: {', '.join(left_out[:_NAMED])}"
            )
        for file in files:
            place = self._probe.path / file.name
            try:
                reader = self._readers.get(file.name) or self._opened(place, file.name)
                yield from reader.read()
            except UnreadableSource as error:
                self.findings.wait_for(file.name, str(place), f"not readable ({error})")
                continue
            self.findings.came_right(file.name)
            self._take_findings(file.name, reader.findings)

    def _opened(self, place: Path, name: str) -> Reader:
        from unspool.sources.registry import detect as detect_format

        probe = Probe(place, self._probe.limits, self._probe.follows)
        reader = detect_format(probe).load().open_reader(probe)
        self._readers[name] = reader
        return reader

    def _take_findings(self, name: str, findings: Findings) -> None:
        done = self._told.get(name, 0)
        for finding in findings.lasting[done:]:
            (self.findings.loss if finding.is_loss else self.findings.notice)(finding.place, finding.message)
        self._told[name] = len(findings.lasting)
        for key, finding in findings.pending.items():
            self.findings.wait_for(f"{name} {key}", finding.place, finding.message)

    def progress(self) -> Progress:
        """Say how many files were read."""
        done = len(self._readers)
        return Progress(
            done, done, is_finished=all(reader.progress().is_finished for reader in self._readers.values())
        )

    def close(self) -> None:
        """Close the files."""
        for reader in self._readers.values():
            reader.close()


def detect(probe: Probe) -> int:
    """Score a probe: a directory."""
    return 50 if probe.shape is Shape.DIRECTORY else 0


def _interpreter(path: Path, names: list[str], limits: Limits) -> Interpreter:
    sampled: list[Value] = []
    for name in names[:_SAMPLED_FILES]:
        try:
            sampled.append(document_of(path / name, limits))
        except (BrokenText, CutShort, UnreadableSource):
            continue
    if sampled and all(map(nexus.is_snapshot, sampled)):
        return nexus.SnapshotRecords()
    if (
        sampled
        and delta_records.is_delta_record(sampled[-1])
        and all(map(delta_records.is_delta_record, sampled[1:]))
    ):
        return delta_records.DeltaRecords()
    return DocumentRecords()


def open_reader(probe: Probe) -> Reader:
    """Read a directory.

    Raises:
        UnreadableSource: it cannot be read or holds no snapshot files.
    """
    found = survey(probe.path, probe.limits)
    if found.form == "lines":
        return LogsReader(found, probe)
    names = [file.name for file in found.files(probe.limits)[0]]
    interpreter = DocumentRecords() if found.form == "text" else _interpreter(probe.path, names, probe.limits)
    return DirectoryReader(found, interpreter, probe.limits)
