"""An append-only event log with a hash chain, and AST diffs of source text (seed 004)."""

from unspool.events.archive import archive_body, pack_archive, unpack_archive
from unspool.events.canonical import canonical_json, plain_json, sha256_hex
from unspool.events.config import EventLogConfig, StateReducer, last_write_wins
from unspool.events.diff_reconstructor import ReconstructedSource, reconstruct_source
from unspool.events.diff_storage import write_diff_event, write_fork_event, write_genesis_event
from unspool.events.diff_types import AstDiffOperation, DiffOperationType, ScopeMetadata
from unspool.events.errors import (
    DatabaseError,
    EventLogErrorCode,
    ImportFailed,
    IntegrityViolation,
    InvalidEvent,
    InvalidQuery,
    SnapshotFailed,
    StorageFull,
)
from unspool.events.hashing import event_hash
from unspool.events.histories import EventMetadata, archive_history, archive_spaces, source_history
from unspool.events.log import EventLog
from unspool.events.recording import record_file, source_bytes, write_source
from unspool.events.records import (
    BrokenLink,
    CompactionReport,
    Event,
    EventDraft,
    EventPage,
    EventType,
    Head,
    ImportReport,
    IntegrityReport,
    Snapshot,
    SpaceStorage,
    StorageReport,
)
from unspool.events.replay import SourceForm, source_hash
from unspool.events.storage import StoragePressure, StoragePressureLevel, get_storage_pressure
from unspool.events.syntax.ast_diff import apply_ast_diff, ast_diff

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
