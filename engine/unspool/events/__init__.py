"""An append-only event log with a hash chain, and AST diffs of source text (seed 004).

`EventLog` keeps events of many spaces in one SQLite file; `write_genesis_event`, `write_diff_event` and
`reconstruct_source` keep a source in it as a text and the changes since; `ast_diff` finds the changes.
`replay` describes the model of a source, `database` the file, `archive` the `.rblogs` format.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from unspool.errors import EventLogError
    from unspool.events.archive import archive_body, pack_archive, unpack_archive
    from unspool.events.canonical import canonical_json, plain_json, sha256_hex
    from unspool.events.diff_storage import (
        ReconstructedSource,
        reconstruct_source,
        record_file,
        source_bytes,
        write_diff_event,
        write_fork_event,
        write_genesis_event,
        write_source,
    )
    from unspool.events.log import EventLog
    from unspool.events.records import (
        BrokenLink,
        CompactionReport,
        DatabaseError,
        Event,
        EventDraft,
        EventLogErrorCode,
        EventPage,
        EventType,
        Head,
        ImportFailed,
        ImportReport,
        IntegrityReport,
        IntegrityViolation,
        InvalidEvent,
        InvalidQuery,
        Snapshot,
        SnapshotFailed,
        SpaceStorage,
        StorageFull,
        StorageReport,
    )
    from unspool.events.replay import AstDiffOperation, DiffOperationType, ScopeMetadata, SourceForm, source_hash
    from unspool.events.rows import (
        EventLogConfig,
        StateReducer,
        StoragePressure,
        StoragePressureLevel,
        event_hash,
        get_storage_pressure,
        last_write_wins,
    )
    from unspool.events.source_diff import apply_ast_diff, ast_diff
    from unspool.events.source_states import EventMetadata, archive_history, archive_spaces, source_history

_MODULES = {
    "archive": "archive_body pack_archive unpack_archive",
    "canonical": "canonical_json plain_json sha256_hex",
    "diff_storage": (
        "ReconstructedSource reconstruct_source record_file source_bytes write_diff_event write_fork_event "
        "write_genesis_event write_source"
    ),
    "source_states": "EventMetadata archive_history archive_spaces source_history",
    "log": "EventLog",
    "records": (
        "BrokenLink CompactionReport DatabaseError Event EventDraft EventLogError EventLogErrorCode EventPage EventType "
        "Head ImportFailed ImportReport IntegrityReport IntegrityViolation InvalidEvent InvalidQuery Snapshot "
        "SnapshotFailed SpaceStorage StorageFull StorageReport"
    ),
    "replay": "AstDiffOperation DiffOperationType ScopeMetadata SourceForm source_hash",
    "rows": (
        "EventLogConfig StateReducer StoragePressure StoragePressureLevel event_hash get_storage_pressure last_write_wins"
    ),
    "source_diff": "apply_ast_diff ast_diff",
}
_HOMES = {name: module for module, names in _MODULES.items() for name in names.split()}


def __getattr__(name: str) -> object:
    """Import the public names when they are first used: a command that needs one does not load them all."""
    if name not in _HOMES:
        raise AttributeError(f"module 'unspool.events' has no attribute {name!r}")
    value = getattr(import_module(f"unspool.events.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


__all__ = [
    "AstDiffOperation",
    "BrokenLink",
    "CompactionReport",
    "DatabaseError",
    "DiffOperationType",
    "Event",
    "EventDraft",
    "EventLog",
    "EventLogConfig",
    "EventLogError",
    "EventLogErrorCode",
    "EventMetadata",
    "EventPage",
    "EventType",
    "Head",
    "ImportFailed",
    "ImportReport",
    "IntegrityReport",
    "IntegrityViolation",
    "InvalidEvent",
    "InvalidQuery",
    "ReconstructedSource",
    "ScopeMetadata",
    "Snapshot",
    "SnapshotFailed",
    "SourceForm",
    "SpaceStorage",
    "StateReducer",
    "StorageFull",
    "StoragePressure",
    "StoragePressureLevel",
    "StorageReport",
    "apply_ast_diff",
    "archive_body",
    "archive_history",
    "archive_spaces",
    "ast_diff",
    "canonical_json",
    "event_hash",
    "get_storage_pressure",
    "last_write_wins",
    "pack_archive",
    "plain_json",
    "reconstruct_source",
    "record_file",
    "sha256_hex",
    "source_bytes",
    "source_hash",
    "source_history",
    "unpack_archive",
    "write_diff_event",
    "write_fork_event",
    "write_genesis_event",
    "write_source",
]
