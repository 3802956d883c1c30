"""The formats there are, and which of them a source is in."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib import import_module
from typing import Final, Protocol, cast

from unspool.errors import ConfigError, UnreadableSource, UnspoolError, near_name
from unspool.sources.documents import DOCUMENT_KINDS, kind_of, titles_of_documents
from unspool.sources.entries import Reader
from unspool.sources.probe import Probe, SourceShape
from unspool.sources.sqlite_files import ForeignDatabase, columns_of


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
_NAMED: Final = 6


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
        return f"meant as {kind.upper()}, but {probe.broken}", "mend that place"
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
    more = f" and {len(tables) - _NAMED} more" if len(tables) > _NAMED else ""
    listed = f"with the tables {', '.join(tables[:_NAMED])}{more}" if tables else "without tables"
    return f"an SQLite database {listed}, written by no program known here", "export a table as JSON Lines or CSV"
