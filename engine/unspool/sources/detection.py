"""Detection: what shape a source has, which formats there are, and which of them it is in.

Parts of a source can be opened one by one: threads, namespaces, players, spaces. Names of files are in the order people
mean: `state-2` before `state-10`."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import Final, Protocol, cast

from unspool.errors import ConfigError, LimitExceeded, MissingExtra, UnreadableSource, UnspoolError, near_name
from unspool.model.json_exact import BrokenText, TooMuch, parse
from unspool.model.limits import Limits, in_force
from unspool.model.values import MISSING, Value
from unspool.sources.bytestream import CutShort, TailedFile, is_plain, open_bytes, read_whole, unreadable
from unspool.sources.documents import (
    DOCUMENT_KINDS,
    SUFFIXES,
    kind_named,
    kind_of,
    looks_like_lines,
    parse_document,
    suffix_of,
    titles_of_documents,
)
from unspool.sources.entries import Findings, Reader
from unspool.sources.lines import is_spread
from unspool.sources.sqlite_files import ForeignDatabase, columns_of
from unspool.store.databases import SQLITE_MAGIC

_BLANK: Final = b" \t\r\n\x1e\xef\xbb\xbf"
_HEAD_BYTES: Final = 1 << 16
_WHOLE_HISTORIES: Final = frozenset(("actionsById", "preloadedState", "snapshots", "events", "deltas"))
"""Keys of documents that hold a whole history, which may stand on one line."""
_SAMPLED_BYTES: Final = 32 << 20
"""Bytes of them beyond which it looks at no more."""
SAMPLED_LINES: Final = 20
"""Lines of a JSON Lines file that detection looks at."""


class SourceShape(Enum):
    """What a source looks like from outside."""

    DIRECTORY = "directory"
    SQLITE = "sqlite"
    LINES = "lines"
    DOCUMENT = "document"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class FirstLines:
    """The first lines of a file as far as they are JSON.

    Attributes:
        records: the parsed lines.
        broken: lines that are no JSON.
        first_is_broken: the first of all is one of them.
        first_is_oversized: the first of all is longer than a line may be.
        is_whole_file: there are no more lines.
        lines: lines looked at that are not blank, whether or not they are JSON.
    """

    records: tuple[Value, ...]
    broken: int
    first_is_broken: bool
    first_is_oversized: bool
    is_whole_file: bool
    lines: int


@dataclass
class Probe:
    """Everything detection may ask about a path; each answer is found out once, and only when asked.

    Attributes:
        path: the file or directory.
        limits: bounds of reading.
        follows: the source will be read on while it grows.
        folds: how channels that a file stores as writes are folded, by channel name.
        is_growing: more is known to come (standard input), so one complete line is the first of several.
        select: which part of a file that holds several is wanted, such as `{"player": "alice"}`.
        kind: the kind of document that was asked for by name, such as `toml`; "" where the content decides.
        is_several: the file holds several documents one after the other, once it was read: an entry each.
        broken: why the file is no document, once that was asked; "" where it is one, or nothing resembles one.
    """

    path: Path
    limits: Limits = field(default_factory=in_force)
    follows: bool = True
    folds: Mapping[str, str] = field(default_factory=dict)
    is_growing: bool = False
    select: Mapping[str, str] = field(default_factory=dict)
    kind: str = ""
    broken: str = ""
    is_several: bool = False

    @cached_property
    def status(self) -> os.stat_result:
        """The file's status.

        Raises:
            UnreadableSource: it is missing, or may not be looked at.
        """
        try:
            return self.path.stat()
        except OSError as error:
            raise unreadable(self.path, error) from None
        except ValueError as error:
            raise UnreadableSource(f"{str(self.path)!r}: is no path ({error}); check the spelling") from None

    @cached_property
    def head(self) -> bytes:
        """The first bytes as they are on disk."""
        try:
            with self.path.open("rb") as stream:
                return stream.read(_HEAD_BYTES)
        except OSError as error:
            raise unreadable(self.path, error) from None

    @cached_property
    def plain_head(self) -> bytes:
        """The first bytes, decompressed."""
        if is_plain(self.head):
            return self.head
        with open_bytes(self.path, self.limits) as stream:
            try:
                return stream.read(_HEAD_BYTES)
            except CutShort:
                raise UnreadableSource(
                    f"{self.path}: its compressed data ends at once; copy or compress the file again"
                ) from None

    @cached_property
    def shape(self) -> SourceShape:
        """What the source looks like.

        Raises:
            UnreadableSource: it is missing, unreadable or empty.
        """
        if stat.S_ISDIR(self.status.st_mode):
            return SourceShape.DIRECTORY
        self._refuse_odd_files()
        if self.head.startswith(SQLITE_MAGIC):
            return SourceShape.SQLITE
        if not self.plain_head.strip():
            raise UnreadableSource(f"{self.path}: is empty; open it again once something has been written to it")
        if self.kind:
            return SourceShape.DOCUMENT
        kind = kind_of(self.plain_head, self.path.name)
        if kind in ("json", None):
            return self._text_shape()
        return SourceShape.DOCUMENT if self._is_named(kind) or self.document is not MISSING else SourceShape.OTHER

    def _refuse_odd_files(self) -> None:
        mode = self.status.st_mode
        if not stat.S_ISREG(mode):
            raise UnreadableSource(
                f"{self.path}: is neither a file nor a directory; to read a pipe, use `-` and standard input"
            )

    def _text_shape(self) -> SourceShape:
        sample = self.sample
        several = len(sample.records) + sample.broken > 1 or not sample.is_whole_file or self._is_first_of_lines()
        begins_so = (
            all(isinstance(record, dict | list) for record in sample.records[:2]) and not sample.first_is_broken
        )
        containers = sum(isinstance(record, dict | list) for record in sample.records)
        if several and containers and begins_so and (len(sample.records) > 1 or not sample.broken):
            return SourceShape.LINES
        if self._is_spread:
            return SourceShape.LINES
        if self.document is not MISSING:
            return SourceShape.DOCUMENT
        if sample.first_is_oversized:
            raise LimitExceeded(
                f"{self.path}: its first line is longer than {self.limits.line_bytes:,} bytes; store one state a line, "
                f"or: {self.limits.remedy('line_bytes')}"
            )
        is_mostly_so = containers >= sample.broken or looks_like_lines(self.path.name)
        return SourceShape.LINES if several and containers and is_mostly_so else SourceShape.OTHER

    @cached_property
    def _is_spread(self) -> bool:
        """Whether the file holds several documents of several lines each."""
        return (
            self.sample.first_is_broken
            and self.plain_head.lstrip(_BLANK)[:1] in (b"{", b"[")
            and is_spread(self.path, self.limits)
        )

    @cached_property
    def _spread_records(self) -> tuple[Value, ...]:
        records: list[Value] = []
        with closing(TailedFile(self.path, Findings(), self.limits, is_spread=True)) as file:
            for line in file.lines():
                file.accept(line)
                with suppress(BrokenText):
                    records.append(parse(line.data, self.limits).value)
                if len(records) == SAMPLED_LINES or line.offset > _SAMPLED_BYTES:
                    break
        return tuple(records)

    def _is_first_of_lines(self) -> bool:
        """Whether one line is the first of several, as far as anybody can know."""
        records = self.sample.records
        if self.is_growing or not records:
            return self.is_growing
        first = records[0]
        return looks_like_lines(self.path.name) and isinstance(first, dict) and not first.keys() & _WHOLE_HISTORIES

    @cached_property
    def sample(self) -> FirstLines:
        """The first lines, parsed where they are JSON."""
        records: list[Value] = []
        broken = seen = lines = 0
        first_is_broken = first_is_oversized = ended = False
        with open_bytes(self.path, self.limits) as stream:
            try:
                while len(records) + broken < SAMPLED_LINES and not ended:
                    line = stream.readline(self.limits.line_bytes)
                    ended = not line
                    if len(line) == self.limits.line_bytes:
                        first_is_oversized = not records and not broken
                        break
                    if not line.strip(b" \t\r\n\x1e"):
                        continue
                    if records and seen + len(line) > _SAMPLED_BYTES:
                        # There is more, and what was seen must be enough: lines may be large.
                        break
                    seen, lines = seen + len(line), lines + 1
                    try:
                        records.append(parse(line.lstrip(b"\x1e"), self.limits).value)
                    except BrokenText:
                        # A last line without its end may still be being written.
                        broken += line.endswith(b"\n")
                        first_is_broken = first_is_broken or not records
            except (CutShort, OSError):
                ended = True
        return FirstLines(tuple(records), broken, first_is_broken, first_is_oversized, ended, lines)

    @cached_property
    def document(self) -> Value:
        """The whole file as one document, or MISSING where it is none."""
        if (only := self._only_line()) is not MISSING:
            return only
        if not self.kind and kind_of(self.plain_head, self.path.name) is None:
            return MISSING
        try:
            data = read_whole(self.path, self.limits)
            kind = self.kind or kind_of(data, self.path.name) or "json"
            parsed = parse_document(data, kind, self.limits)
            self.is_several = parsed.is_several
            return parsed.value
        except TooMuch as error:
            if kind == "yaml" and not self._is_named("yaml"):
                # Any text of lines with colons resembles YAML.
                return MISSING
            raise LimitExceeded(f"{self.path}: {error}") from None
        except LimitExceeded:
            raise
        except (BrokenText, CutShort, UnreadableSource) as error:
            self.broken = str(error) or "its compressed data ends early"
            return MISSING
        except MissingExtra:
            # Text that only resembles YAML must not be refused for want of a YAML reader.
            if self._is_named("yaml"):
                raise
            return MISSING

    def _is_named(self, kind: str) -> bool:
        return SUFFIXES.get(suffix_of(self.path.name)) == kind

    def _only_line(self) -> Value:
        """Return the record of a JSON file of one line, which need not be read twice, or MISSING."""
        if (self.kind or kind_of(self.plain_head, self.path.name)) != "json":
            return MISSING
        sample = self.sample
        return sample.records[0] if sample.is_whole_file and sample.records and sample.lines == 1 else MISSING

    @cached_property
    def records(self) -> tuple[Value, ...]:
        """Records to judge by: sampled lines, or the items of a document that is a list, or the document itself."""
        if self.shape is SourceShape.LINES:
            return self._spread_records if self._is_spread else self.sample.records
        if self.shape is SourceShape.DOCUMENT and self.document is not MISSING:
            document = self.document
            return tuple(document[:SAMPLED_LINES]) if isinstance(document, list) else (document,)
        return ()


MOST: Final = 1_000
"""Parts that are listed; a source with more of them is better asked by name."""
MANY: Final = 50
"""Parts above which all of them together tell little: they are listed before anything else is shown."""
_NO_NAME: Final = '""'
_NAMED: Final = 5
"""Parts that a message names; the rest are counted."""


@dataclass(frozen=True, slots=True)
class Choice:
    """One part of a source.

    Attributes:
        select: what shows it, as `open_history` takes it: `{"thread": "a"}`.
        entries: how many entries it has, where that is known without reading them.
    """

    select: Mapping[str, str]
    entries: int | None = None

    @property
    def title(self) -> str:
        """What it is called: `thread a, namespace sub`."""
        return ", ".join(f"{what} {name or _NO_NAME}" for what, name in self.select.items())


Choices = Callable[[Probe], tuple[Choice, ...]]
"""What the module of a format offers as `choices`, where its files can hold several parts."""


def by_thread(rows: Iterable[tuple[str, str, int]]) -> tuple[Choice, ...]:
    """Return the threads of a database of checkpoints, and their namespaces where a thread has several.

    Args:
        rows: thread, namespace and number of checkpoints, in order.
    """
    threads: dict[str, dict[str, int]] = {}
    for thread, namespace, count in rows:
        threads.setdefault(thread, {})[namespace] = count
    choices: list[Choice] = []
    for thread, namespaces in threads.items():
        if len(threads) > 1:
            choices.append(Choice({"thread": thread}, sum(namespaces.values())))
        if len(namespaces) > 1:
            found = namespaces.items()
            choices.extend(Choice({"thread": thread, "namespace": name}, count) for name, count in found)
    return tuple(choices[:MOST])


def several(what: str, parts: Iterable[tuple[str, int | None]]) -> tuple[Choice, ...]:
    """Return parts of one kind as choices; one alone is no choice."""
    found = tuple(Choice({what: name}, count) for name, count in parts)
    return found[:MOST] if len(found) > 1 else ()


def named(names: Iterable[str]) -> str:
    """Name the first few of what there is, for messages."""
    known = list(dict.fromkeys(names))
    listed = ", ".join(map(repr, known[:_NAMED])) or "none"
    return f"{listed} and {len(known) - _NAMED} more" if len(known) > _NAMED else listed


_DIGITS: Final = re.compile(r"(\d+)", re.ASCII)


def natural_key(name: str) -> tuple[tuple[int, int, str], ...]:
    """Return a sort key in which runs of digits compare as numbers."""
    parts = _DIGITS.split(name)
    return tuple(
        (0, int(part), part) if index % 2 and len(part) < 1000 else (1, 0, part.casefold())
        for index, part in enumerate(parts)
        if part
    )


class FormatModule(Protocol):
    """What each format's module offers."""

    detect: Callable[[Probe], int]
    open_reader: Callable[[Probe], Reader]


@dataclass(frozen=True, slots=True)
class Format:
    """A format.

    Attributes:
        name: what `--format` takes.
        title: what it is, in a line.
        module: its module in this room; None for the native file, which needs no reader.
        shapes: what a source must look like from outside for this format to be asked.
        is_live: a source in this format may grow while it is open.
        aliases: other names `--format` takes.
        parts: what its sources may hold several of, as `--select` takes it.
    """

    name: str
    title: str
    module: str | None
    shapes: frozenset[SourceShape]
    is_live: bool
    aliases: tuple[str, ...] = ()
    parts: tuple[str, ...] = ()

    def load(self) -> FormatModule:
        """Import the format's module; formats that are not asked for are never imported."""
        if self.module is None:
            raise ConfigError(f"the format {self.name!r} is read without a reader")
        return cast("FormatModule", import_module(f"unspool.sources.formats.{self.module}"))


def _shapes(*shapes: SourceShape) -> frozenset[SourceShape]:
    return frozenset(shapes)


_TEXT: Final = _shapes(SourceShape.LINES, SourceShape.DOCUMENT)
_BYTES_OR_JSON: Final = _shapes(SourceShape.DOCUMENT, SourceShape.OTHER)
_DATABASE_OR_BYTES: Final = _shapes(SourceShape.SQLITE, SourceShape.OTHER)
NATIVE: Final = Format(
    "unspool",
    "an unspool history file, or postgresql://USER@HOST/DATABASE?history=NAME",
    None,
    _shapes(SourceShape.SQLITE),
    True,
    ("native",),
)
GIT: Final = Format("git", "a file's history in git: git:REPO:PATH[@REV] or @A..B", None, _shapes(), True)
MERGED: Final = Format(
    "merge",
    "several files as one timeline: merge:PATH:PATH or merge:'run-*.unspool'",
    None,
    _shapes(),
    True,
    parts=("file",),
)
FORMATS: Final = (
    NATIVE,
    Format("jsonl", "JSON Lines of states, with or without {timestamp, action, state}", "states", _TEXT, True,
           ("ndjson", "json-lines")),
    Format("json-patch", "RFC 6902 patches, one or several a line", "patches", _TEXT, True, ("patch",)),
    Format("events", "JSON Lines of events with a payload; no state", "event_lines", _TEXT, True),
    Format("change-stream", "change streams of Debezium and MongoDB: each table an atom", "change_streams", _TEXT, True,
           ("debezium", "mongodb")),
    Format("document", f"one {titles_of_documents()} file that an app rewrites", "rewritten", _TEXT, True,
           DOCUMENT_KINDS),
    Format("directory", "a directory of snapshot files, in natural order", "directory", _shapes(SourceShape.DIRECTORY), True),
    GIT,
    MERGED,
    Format("redux", "Redux DevTools export, lifted or custom, or a log of actions", "redux", _TEXT, True),
    Format("nexus", "nexus-state snapshots, deltas and exports, plain or typed", "nexus", _TEXT, True),
    Format("delta-records", "delta-compression records, alone or as a chain", "delta_records", _TEXT, True),
    Format("region", "region files: JSON, binary, multiplayer, component or snapshot", "region_files", _BYTES_OR_JSON,
           True, parts=("player", "order")),
    Format("event-log", "event archives (.rblogs) and event-log databases", "event_archives", _DATABASE_OR_BYTES, True,
           ("rblogs",), ("space",)),
    Format("langgraph", "LangGraph checkpoints in SQLite, or at postgresql://USER@HOST/DATABASE", "langgraph", _shapes(SourceShape.SQLITE), True,
           parts=("thread", "namespace")),
    Format("home-assistant", "Home Assistant recorder database", "home_assistant", _shapes(SourceShape.SQLITE), True),
    Format("temporal", "Temporal workflow history; events, no state", "temporal", _TEXT, True),
    Format("xstate", "XState inspection events", "xstate", _TEXT, True),
    Format("rrweb", "rrweb session recording", "rrweb", _TEXT, True),
)  # fmt: skip


def format_named(name: str) -> Format:
    """Return a format by its name or another name it goes by.

    Raises:
        ConfigError: there is none of that name.
    """
    for item in FORMATS:
        if name == item.name or name in item.aliases:
            return item
    meant = near_name(name, (spelt for item in FORMATS for spelt in (item.name, *item.aliases)))
    names = ", ".join(item.name for item in FORMATS)
    raise ConfigError(f"{name!r} is no format; {f'did you mean {meant}?' if meant else f'write one of {names}'}")


def check_parts(chosen: Format, select: Iterable[str]) -> None:
    """Refuse to select what no source in a format has: a misspelt word would be obeyed in silence.

    Raises:
        ConfigError: one of the words is unknown there.
    """
    for what in select:
        if what not in chosen.parts:
            remedy = f"write {'|'.join(chosen.parts)}=NAME" if chosen.parts else "leave it out"
            raise ConfigError(f"--select {what}: a source in the format {chosen.name} has no such parts; {remedy}")


def detect(probe: Probe) -> Format:
    """Say which format a source is in, judged by its content.

    Raises:
        UnreadableSource: it is missing, unreadable, empty, or in no format known here.
    """
    shape = probe.shape
    scores = [
        (item.load().detect(probe), item) for item in FORMATS if item.module is not None and shape in item.shapes
    ]
    best = max(scores, key=lambda scored: scored[0], default=(0, None))
    if best[1] is None or best[0] <= 0:
        raise UnreadableSource(f"{probe.path}: in no format that unspool knows; {_said_of(probe)}")
    return best[1]


def _said_of(probe: Probe) -> str:
    """Say what a file that no format claims is, and what to do."""
    # Only refusals need it.

    what, remedy = recognised(probe)
    asked = "`unspool formats` lists them, and --format names one"
    return f"it is {what}; {remedy}" if remedy else f"it is {what}; {asked}" if what else asked


_TABULAR: Final = "export it as JSON Lines or CSV"
_UNPACK: Final = "unpack it, and open what is inside"
_MAGIC: Final = (
    (b"PAR1", "a Parquet file", _TABULAR), (b"ARROW1", "an Arrow file", _TABULAR), (b"Obj\x01", "an Avro file", _TABULAR),
    (b"ORC", "an ORC file", _TABULAR), (b"\x89HDF", "an HDF5 file", _TABULAR), (b"PK\x03\x04", "a ZIP archive", _UNPACK),
    (b"BZh", "compressed with bzip2, which is not read", "decompress it with bunzip2"),
    (b"\x04\x22\x4d\x18", "compressed with lz4, which is not read", "decompress it with unlz4"),
    (b"7z\xbc\xaf", "a 7-Zip archive", _UNPACK), (b"Rar!", "a RAR archive", _UNPACK), (b"\x89PNG", "a PNG picture", ""),
    (b"\xff\xd8\xff", "a JPEG picture", ""), (b"GIF8", "a GIF picture", ""), (b"%PDF", "a PDF document", ""),
    (b"\x7fELF", "a program", ""), (b"MZ", "a program", ""), (b"\xca\xfe\xba\xbe", "a program", ""), (b"RIFF", "audio or video", ""),
    (b"bplist00", "a binary property list", "convert it with plutil -convert json"),
    (b"-----BEGIN", "a key or certificate", ""),
)  # fmt: skip
_PICKLE: Final = re.compile(rb"\x80[\x02-\x05](?:\x95|[\x28-\x7d\]])")
# An object whose first key is text, alone or first in a list. One byte of a container begins much binary data by chance.
_MSGPACK: Final = re.compile(
    rb"(?:[\x91-\x9f]|\xdc..|\xdd....)?(?:[\x81-\x8f]|\xde..|\xdf....)(?:[\xa1-\xbf]|\xd9.|\xda..)[\w$@./-]",
    re.DOTALL,
)
_TAR_AT: Final = slice(257, 262)
_NAMED_PARTS: Final = 6


def recognised(probe: Probe) -> tuple[str, str]:
    """Return what a file is, as the end of a sentence, and what can be done; both are "" where it shows nothing.

    Args:
        probe: a file that no format claims.
    """
    head = probe.plain_head
    if probe.shape is SourceShape.SQLITE:
        return _database(probe)
    if head[_TAR_AT] == b"ustar":
        return "a tar archive", _UNPACK
    for magic, what, remedy in _MAGIC:
        if head.startswith(magic):
            return what, remedy
    if _PICKLE.match(head):
        return "a Python pickle, and loading one would run code", "write the states as JSON Lines instead"
    start = head.lstrip()[:200].lower()
    if start.startswith((b"<!doctype html", b"<html")):
        return "an HTML page", "save the data behind it"
    if start.startswith(b"<?xml") or re.match(rb"<[a-z_][\w:.-]*[\s>/]", start):
        return "XML", "convert it to JSON; as a history in git it is read as text"
    kind = kind_of(head, probe.path.name) or "json"
    if probe.broken and (kind != "msgpack" or _MSGPACK.match(head)):
        return f"meant as {kind_named(kind).title}, but {probe.broken}", "mend that place"
    if b"\x00" in head:
        return "binary data", ""
    return "plain text", "as a history in git it is read as text; events and states are read a JSON object a line"


def _database(probe: Probe) -> tuple[str, str]:
    try:
        database = ForeignDatabase(probe.path)
        try:
            tables = sorted(columns_of(database))
        finally:
            database.close()
    except UnspoolError:
        return "an SQLite database", ""
    more = f" and {len(tables) - _NAMED_PARTS} more" if len(tables) > _NAMED_PARTS else ""
    listed = f"with the tables {', '.join(tables[:_NAMED_PARTS])}{more}" if tables else "without tables"
    return f"an SQLite database {listed}, written by no program known here", "export a table as JSON Lines or CSV"
