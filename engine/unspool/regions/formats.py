"""Region files of every form: told apart by content, read whole or not at all."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Final

from unspool.model.values import Value
from unspool.regions.binary_form import MAGIC, ListPath, decode_binary, encode_binary
from unspool.regions.errors import InvalidRegionValue, RegionFileError, RegionStorageError
from unspool.regions.multiplayer import MultiplayerRegionDelta
from unspool.regions.records import RECORD_HEAD_SIZE, ByteOrder, HeaderlessRecords, dump_json, load_json, read_records
from unspool.regions.region_file import COMPONENT_SCHEMA, COMPONENT_TYPE, RegionDeltaComponent, RegionDeltaFile
from unspool.regions.state import SNAPSHOT_FORM, RegionSnapshot
from unspool.regions.storage import write_region
from unspool.regions.table import STANDARD_ACTIONS, ActionTable

RegionDocument = RegionDeltaFile | MultiplayerRegionDelta | RegionDeltaComponent | RegionSnapshot
"""What the JSON form and the binary form can hold."""


class FileForm(StrEnum):
    """How a region document is written."""

    JSON = "json"
    BINARY = "binary"


_JSON_STARTS: Final = (b"{", b"\xef\xbb\xbf")


def encode_region(document: RegionDocument, form: FileForm | str, byte_order: ByteOrder = "little") -> bytes:
    """Return a document in a form; both hold everything, and either can be turned into the other.

    Raises:
        OutOfRange: a number does not fit the binary form.
        ValueError: there is no such form.
    """
    if FileForm(form) is FileForm.JSON:
        return dump_json(document.to_json())
    return encode_binary(document.to_json(), _list_paths(document), byte_order)


def _list_paths(document: RegionDocument) -> tuple[ListPath, ...]:
    if isinstance(document, MultiplayerRegionDelta):
        return (("sharedDeltas",), *(("personalDeltas", player) for player in document.players))
    if isinstance(document, RegionDeltaComponent):
        return (("data", "deltas"),)
    return (("folded",),) if isinstance(document, RegionSnapshot) else (("deltas",),)


def decode_region(
    data: bytes,
    source: str = "region file",
    *,
    actions: ActionTable = STANDARD_ACTIONS,
    byte_order: ByteOrder | None = None,
) -> RegionDocument | HeaderlessRecords:
    """Read a region file of any form.

    Args:
        data: the whole file.
        source: what it is called in messages.
        actions: which actions may occur.
        byte_order: of records without a header, if it is known.

    Raises:
        RegionFileError: it is damaged, or no region file.
        InvalidRegionValue: a field is missing or malformed, or an action unknown; the message says where.
    """
    if not data:
        raise RegionFileError(f"{source}: empty; restore it from a backup, or delete it")
    if data.startswith(MAGIC):
        return _read_document(decode_binary(data, source), source, actions)
    # Text has no zero byte; the head of a record nearly always has one, whatever its first byte.
    head = data[:RECORD_HEAD_SIZE]
    if b"\0" not in head and data.lstrip(b" \t\r\n").startswith(_JSON_STARTS):
        return _read_document(load_json(data, source), source, actions)
    return read_records(data, byte_order, source)


def _read_document(raw: Value, source: str, actions: ActionTable) -> RegionDocument:
    if not isinstance(raw, dict):
        raise RegionFileError(f"{source}: no region file: its JSON is not an object")
    try:
        if raw.get("$schema") == COMPONENT_SCHEMA or raw.get("type") == COMPONENT_TYPE:
            return RegionDeltaComponent.from_json(raw, actions)
        if raw.get("form") == SNAPSHOT_FORM:
            return RegionSnapshot.from_json(raw, actions)
        if "sharedDeltas" in raw or "personalDeltas" in raw:
            return MultiplayerRegionDelta.from_json(raw, actions)
        if "deltas" in raw:
            return RegionDeltaFile.from_json(raw, actions)
    except InvalidRegionValue as error:
        raise type(error)(f"{source}: {error}") from None
    raise RegionFileError(f"{source}: no region file: it has neither deltas nor sharedDeltas")


def read_region_file(
    path: str | Path,
    *,
    actions: ActionTable = STANDARD_ACTIONS,
    byte_order: ByteOrder | None = None,
) -> RegionDocument | HeaderlessRecords:
    """Read a region file of any form from disk.

    Raises:
        RegionStorageError: it cannot be read.
        RegionFileError: it is damaged, or no region file.
        InvalidRegionValue: a field is missing or malformed, or an action unknown; the message says where.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise RegionStorageError(f"{path}: {error.strerror or error}; check the path and its permissions") from None
    return decode_region(data, str(path), actions=actions, byte_order=byte_order)


def write_region_file(path: str | Path, document: RegionDocument, form: FileForm | str = FileForm.JSON) -> None:
    """Write a region file in one step: a reader sees the old file or the new one, never a part.

    Raises:
        OutOfRange: a number does not fit the binary form.
        RegionStorageError: the disk refused; the old file is untouched.
    """
    write_region(Path(path), encode_region(document, form))
