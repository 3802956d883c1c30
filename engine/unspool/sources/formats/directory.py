"""Folders as histories: of documents, logs or text, file by file; the text of source code or prose is one atom."""

from __future__ import annotations

import datetime as dt
import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from unspool.errors import LimitExceeded, MissingExtra, UnreadableSource
from unspool.history.verdict import Progress
from unspool.model.json_exact import BrokenText, Parsed
from unspool.model.limits import DEFAULT_LIMITS, Limits
from unspool.model.values import State, Value
from unspool.sources.bytestream import CutShort, read_whole, unreadable
from unspool.sources.detection import Probe, SourceShape, natural_key
from unspool.sources.documents import (
    COMPRESSED_SUFFIXES,
    LINE_SUFFIXES,
    SUFFIXES,
    kind_named,
    kind_of,
    parse_document,
    suffix_of,
)
from unspool.sources.entries import (
    PLAUSIBLE_NS,
    Findings,
    Interpreter,
    Reader,
    SourceEntry,
    UnusableRecord,
    find_time,
    to_ns,
)
from unspool.sources.formats import delta_records, nexus
from unspool.sources.formats.states import DocumentRecords
from unspool.sources.written_notes import is_notes_file

SOURCE_ATOM: Final = "source"
"""The atom that holds a file's text, as in event logs."""
_TEXT_SUFFIXES: Final = frozenset((
    ".py", ".pyi", ".pyw", ".js", ".mjs", ".cjs", ".jsx", ".ts", ".tsx", ".vue", ".svelte", ".c", ".h", ".cc",
    ".cpp", ".hpp", ".cs", ".java", ".kt", ".scala", ".go", ".rs", ".rb", ".php", ".pl", ".lua", ".r", ".jl",
    ".swift", ".m", ".hs", ".ml", ".ex", ".exs", ".erl", ".clj", ".lisp", ".el", ".sh", ".bash", ".zsh",
    ".fish", ".ps1", ".bat", ".sql", ".html", ".htm", ".css", ".scss", ".less", ".xml", ".svg", ".md", ".rst",
    ".txt", ".tex", ".ini", ".cfg", ".conf", ".env", ".tcss", ".proto",
    ".graphql", ".cmake", ".mk", ".diff", ".patch",
))  # fmt: skip
_BINARY_HEAD: Final = 8000
"""Bytes in which git itself looks for a zero to tell binary files."""


def is_text_by_name(name: str) -> bool:
    """Whether a file's name promises text that only looks like a document by chance (`x = 1` is TOML too)."""
    return suffix_of(name) in _TEXT_SUFFIXES and not is_document_by_name(name)


def is_document_by_name(name: str) -> bool:
    """Whether a file's name promises a document, so that one that does not parse is a broken one."""
    return suffix_of(name) in SUFFIXES


def guessed_document(data: bytes, kind: str, name: str, limits: Limits) -> Parsed | None:
    """Return a file as a document where its content leaves no doubt, though its name does not say so; else None.

    Kinds that are not distinct are believed of lock files only.
    """
    if not kind_named(kind).is_distinct and not name.endswith(".lock"):
        return None
    try:
        parsed = parse_document(data, kind, limits)
    except BrokenText:
        return None
    return parsed if isinstance(parsed.value, dict | list) else None


def text_state(data: bytes) -> State:
    """Return a file's text as a state. Bytes that are no UTF-8 are kept as lone surrogates.

    Raises:
        BrokenText: the file is binary.
    """
    if b"\x00" in data[:_BINARY_HEAD]:
        raise BrokenText("neither a document nor text: it holds zero bytes")
    return {SOURCE_ATOM: data.decode("utf-8", "surrogateescape")}


_DOCUMENTS: Final = "documents"
_SAMPLED: Final = 3
_LARGEST_INDEX: Final = 4 << 20
_FEW_NUMBERED: Final = 8
"""Files that differ in numbers only, at most, where one of them may list the others."""
_NUMBERS: Final = re.compile(r"\d+")
_ROTATED: Final = re.compile(r"^(.+\.[a-z][a-z-]*)[.-](\d{1,14})$", re.IGNORECASE)
_IN_NAME: Final = re.compile(
    r"(?<!\d)(?:(\d{4})[-_.]?([01]\d)[-_.]?([0-3]\d)(?:[T _-]*([0-2]\d)[-_.:h]?([0-5]\d)(?:[-_.:m]?([0-5]\d))?)?|(\d{10}|\d{13}))(?!\d)"
)


@dataclass(frozen=True, slots=True)
class FolderFile:
    """One file to read.

    Attributes:
        name: its name in the folder.
        signature: size and time (ns) on disk.
        timestamp_ns: the time from an index or its name; None where the file's own counts.
        label: what an index says of it.
    """

    name: str
    signature: tuple[int, int]
    timestamp_ns: int | None = None
    label: str = ""


@dataclass(slots=True)
class Survey:
    """What of a folder is read.

    Attributes:
        path: the folder.
        group: the kind of files that are snapshots, as `_group_of` names it.
        form: `document`, `lines` or `text`.
        index: times and labels by file name, in the index's order; empty without one.
        index_name: the index itself.
    """

    path: Path
    group: str = _DOCUMENTS
    form: str = "document"
    index: Mapping[str, tuple[int | None, str]] = field(default_factory=dict)
    index_name: str = ""

    def files(self, limits: Limits) -> tuple[list[FolderFile], list[str]]:
        """Return the files to read in their order, and the names of those left out.

        Raises:
            UnreadableSource: the folder cannot be read, or holds too many files.
        """
        listed = _listed(self.path, limits)
        if self.index_name in listed:
            listed.pop(self.index_name)
            # The app writes the index anew with each file.
            self.index = _index_of(self.path / self.index_name, listed, limits) or self.index
        if self.index:
            known = [name for name in self.index if name in listed]
            files = [FolderFile(name, listed[name], *self.index[name]) for name in known]
            return files, [name for name in listed if name not in self.index]
        chosen = [name for name in listed if _group_of(name) == self.group]
        chosen.sort(key=_log_key if self.form == "lines" else natural_key)
        files = [FolderFile(name, listed[name]) for name in chosen]
        return _timed(files), [name for name in listed if _group_of(name) != self.group]


def survey(path: Path, limits: Limits) -> Survey:
    """Look which files of a folder are its snapshots.

    Raises:
        UnreadableSource: the folder cannot be read, holds too many files, or none that reads.
    """
    listed = _listed(path, limits)
    like = Counter(map(_without_numbers, listed))
    for name in listed if len(listed) > 1 else ():
        # Of numbered files none is the index of the others.
        is_numbered = like[_without_numbers(name)] > _FEW_NUMBERED
        if suffix_of(name) == ".json" and listed[name][0] <= _LARGEST_INDEX and not is_numbered:
            index = _index_of(path / name, listed, limits)
            if index:
                form = "document" if _form_of(path, list(index), limits) == "document" else "text"
                return Survey(path, form=form, index=index, index_name=name)
    groups: dict[str, list[str]] = {}
    for name in sorted(listed, key=natural_key):
        groups.setdefault(_group_of(name), []).append(name)
    for group in sorted(groups, key=lambda group: (-len(groups[group]), group != _DOCUMENTS)):
        read_as = _form_of(path, groups[group], limits)
        if read_as is not None or (group == _DOCUMENTS and len(groups) == 1):
            return Survey(path, group, read_as or "document")
    if _DOCUMENTS in groups:
        return Survey(path)
    is_repository = (path / ".git").exists()
    remedy = f"for a file's history in git, write git:{path}:FILE" if is_repository else "name a file inside it"
    found = f"its {len(listed)} files are of no kind that reads" if listed else "it holds no files"
    raise UnreadableSource(f"{path}: holds no snapshot files ({', '.join(SUFFIXES)} and the like): {found}; {remedy}")


def _listed(path: Path, limits: Limits) -> dict[str, tuple[int, int]]:
    found: dict[str, tuple[int, int]] = {}
    try:
        with os.scandir(path) as entries:
            for entry in entries:
                if entry.name.startswith(".") or entry.name.endswith("~") or not entry.is_file():
                    continue
                if is_notes_file(path / entry.name):
                    # What a person wrote on one of the others is no state of the app.
                    continue
                status = entry.stat()
                found[entry.name] = (status.st_size, status.st_mtime_ns)
                if len(found) > limits.files:
                    raise LimitExceeded(f"{path}: more than {limits.files:,} files; {limits.remedy('files')}")
    except OSError as error:
        raise unreadable(path, error) from None
    return found


def _group_of(name: str) -> str:
    rotated = _ROTATED.match(_without_compression(name))
    suffix = suffix_of(rotated[1] if rotated else name)
    if suffix in SUFFIXES:
        return _DOCUMENTS
    return ".log" if suffix in LINE_SUFFIXES else suffix


def _without_numbers(name: str) -> str:
    return _NUMBERS.sub("0", name)


def _without_compression(name: str) -> str:
    return next((name[: -len(end)] for end in COMPRESSED_SUFFIXES if name.lower().endswith(end)), name)


def _log_key(name: str) -> tuple[object, ...]:
    """Order rotated logs by age: `app.log.2` is older than `app.log.1`, and `app.log` is the newest; dates go upwards."""
    rotated = _ROTATED.match(_without_compression(name))
    if rotated is None:
        return natural_key(name), 1, 0
    number = int(rotated[2])
    return natural_key(rotated[1]), 0, number if len(rotated[2]) >= 8 else -number


def _form_of(path: Path, names: list[str], limits: Limits) -> str | None:
    """Return how the files of a group are read, by looking at the first few; None where none of them reads."""
    for name in names[:_SAMPLED]:
        try:
            if is_text_by_name(name):
                # Prose and code resemble YAML now and then.
                return None
            if suffix_of(name) in SUFFIXES and _parsed(path / name, limits):
                return "document"
            shape = Probe(path / name, limits).shape
        except (UnreadableSource, MissingExtra):
            continue
        if shape is SourceShape.DOCUMENT and _parsed(path / name, limits):
            return "document"
        if shape is SourceShape.LINES:
            return "lines"
    return None


def _parsed(path: Path, limits: Limits) -> bool:
    try:
        return isinstance(document_of(path, limits), dict | list)
    except (BrokenText, CutShort, UnreadableSource):
        return False


def document_of(path: Path, limits: Limits) -> Value:
    """Read a file as one document.

    Raises:
        BrokenText: it is empty, or no document.
        CutShort: its compressed data ends early.
        UnreadableSource: it cannot be read.
    """
    data = read_whole(path, limits)
    if not data.strip():
        # A file is empty for a moment before its first bytes are written, and an empty text is valid TOML.
        raise BrokenText("it is empty")
    return parse_document(data, kind_of(data, path.name) or "json", limits).value


def _index_of(
    path: Path, listed: Mapping[str, tuple[int, int]], limits: Limits
) -> dict[str, tuple[int | None, str]] | None:
    """Read a file as an index: a list of objects that each name another file, most of which are there.

    Args:
        path: the file.
        listed: all files of the folder, this one among them.
        limits: bounds of reading.
    """
    try:
        document = document_of(path, limits)
    except (BrokenText, CutShort, UnreadableSource, MissingExtra):
        return None
    lists = (
        [document] if isinstance(document, list) else list(document.values()) if isinstance(document, dict) else []
    )
    for items in lists:
        if not isinstance(items, list) or not items or not all(isinstance(item, dict) for item in items):
            continue
        found: dict[str, tuple[int | None, str]] = {}
        for item in items:
            name = next(
                (
                    value
                    for value in item.values()
                    if isinstance(value, str) and value in listed and value != path.name
                ),
                None,
            )
            if name is not None:
                time = find_time(item)
                label = next(
                    (item[key] for key in ("source", "action", "label") if isinstance(item.get(key), str)), ""
                )
                found[name] = (None if time is None else time[1], label)
        if found and 2 * len(found) >= len(items):
            return found
    return None


def _timed(files: list[FolderFile]) -> list[FolderFile]:
    """Give files the times in their names, and the order of those, where every name has one and no two are the same."""
    times = [_time_in(file.name) for file in files]
    if len(files) < 2 or None in times or len(set(times)) < len(times):
        return files
    timed = [FolderFile(file.name, file.signature, time) for file, time in zip(files, times, strict=True)]
    return sorted(timed, key=lambda file: file.timestamp_ns or 0)


def _time_in(name: str) -> int | None:
    match = _IN_NAME.search(name)
    if match is None:
        return None
    if match[7]:
        ns = to_ns(int(match[7]))
        return ns if ns is not None and ns in PLAUSIBLE_NS else None
    try:
        moment = dt.datetime(*(int(part or 0) for part in match.groups()[:6]), tzinfo=dt.UTC)  # type: ignore[arg-type, misc]
    except ValueError:
        return None
    ns = to_ns(moment)
    return ns if ns is not None and ns in PLAUSIBLE_NS else None


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
        self._report_left_out(left_out)
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

    def _report_left_out(self, names: list[str]) -> None:
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
        from unspool.sources.detection import detect as detect_format  # which loads this module for folders

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
    return 50 if probe.shape is SourceShape.DIRECTORY else 0


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
