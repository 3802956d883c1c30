"""What a file is that no reader here takes: a message that says so is worth more than "no known format"."""

from __future__ import annotations

import re
from typing import Final

from unspool.errors import UnspoolError
from unspool.sources.documents import kind_of
from unspool.sources.probe import Probe, Shape

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
    if probe.shape is Shape.SQLITE:
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
    from unspool.sources.sqlite_files import ForeignDatabase, columns_of

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
