"""A directory of snapshot files: one entry a file, in natural order; new files become entries."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

from unspool.errors import UnreadableSource
from unspool.model.limits import DEFAULT_LIMITS, Limits
from unspool.model.values import Value
from unspool.sources import delta_records, nexus
from unspool.sources.bytestream import CutShort, read_whole, unreadable
from unspool.sources.document_states import DocumentRecords
from unspool.sources.documents import SUFFIXES, kind_of, parse_document, suffix_of
from unspool.sources.entries import Interpreter, Progress, Reader, SourceEntry, UnusableRecord
from unspool.sources.findings import Findings
from unspool.sources.json_exact import BrokenText
from unspool.sources.natural_order import natural_key
from unspool.sources.probe import Probe, Shape

_SAMPLED_FILES: Final = 5


class DirectoryReader:
    """Reads the snapshot files of a directory, and on later calls those that came after."""

    def __init__(self, path: Path, interpreter: Interpreter, limits: Limits = DEFAULT_LIMITS) -> None:
        self.findings = Findings()
        self.watch_paths: tuple[Path, ...] = (path,)
        self._path = path
        self._interpreter = interpreter
        self._limits = limits
        self._read: dict[str, tuple[int, int]] = {}
        self._broken: dict[str, tuple[int, int]] = {}
        self._total = 0
        self._said: set[str] = set()

    def read(self) -> Iterator[SourceEntry]:
        """Yield an entry for each file that is new or has become readable."""
        found = snapshot_files(self._path, self._limits)
        self._total = len(found)
        for name, signature in found:
            known = self._read.get(name)
            if known is not None:
                if known != signature:
                    self._read[name] = signature
                    self.findings.notice(
                        str(self._path / name), "changed after it was read; the entry shows it as it was"
                    )
            elif self._broken.get(name) != signature:
                yield from self._entries(name, signature)
        for message, is_loss in self._interpreter.notices():
            if message not in self._said:
                self._said.add(message)
                (self.findings.loss if is_loss else self.findings.notice)(str(self._path), message)

    def _entries(self, name: str, signature: tuple[int, int]) -> Iterator[SourceEntry]:
        place = self._path / name
        try:
            document = _document(place, self._limits)
            made = list(self._interpreter.read(document, signature[1]))
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
            yield replace(entry, action=entry.action or name, entry_id=entry.entry_id or name)

    def progress(self) -> Progress:
        """Say how many files were read."""
        done = len(self._read) + len(self._broken)
        return Progress(done, max(done, self._total), is_finished=done >= self._total)

    def close(self) -> None:
        """Nothing is held open."""


def _document(path: Path, limits: Limits) -> Value:
    data = read_whole(path, limits)
    if not data.strip():
        # A file is empty for a moment before its first bytes are written, and an empty text is valid TOML.
        raise BrokenText("it is empty")
    kind = SUFFIXES.get(suffix_of(path.name)) or kind_of(data, path.name) or "json"
    return parse_document(data, kind, limits).value


def snapshot_files(path: Path, limits: Limits = DEFAULT_LIMITS) -> list[tuple[str, tuple[int, int]]]:
    """Return the names of a directory's snapshot files in natural order, each with its size and time (ns).

    Raises:
        UnreadableSource: the directory cannot be read, or holds too many files.
    """
    found: list[tuple[str, tuple[int, int]]] = []
    try:
        with os.scandir(path) as entries:
            for entry in entries:
                if suffix_of(entry.name) in SUFFIXES and not entry.name.startswith(".") and entry.is_file():
                    status = entry.stat()
                    found.append((entry.name, (status.st_size, status.st_mtime_ns)))
                    if len(found) > limits.files:
                        raise UnreadableSource(
                            f"{path}: more than {limits.files} snapshot files; open a part of them"
                        )
    except OSError as error:
        raise unreadable(path, error) from None
    return sorted(found, key=lambda item: natural_key(item[0]))


def detect(probe: Probe) -> int:
    """Score a probe: a directory."""
    return 50 if probe.shape is Shape.DIRECTORY else 0


def _interpreter(path: Path, names: list[str], limits: Limits) -> Interpreter:
    sampled: list[Value] = []
    for name in names[:_SAMPLED_FILES]:
        try:
            sampled.append(_document(path / name, limits))
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
    path = probe.path
    names = [name for name, _ in snapshot_files(path, probe.limits)]
    if not names:
        is_repository = (path / ".git").exists()
        remedy = f"for a file's history in git, write git:{path}:FILE" if is_repository else "name a file inside it"
        raise UnreadableSource(f"{path}: holds no snapshot files ({', '.join(SUFFIXES)}); {remedy}")
    return DirectoryReader(path, _interpreter(path, names, probe.limits), probe.limits)
