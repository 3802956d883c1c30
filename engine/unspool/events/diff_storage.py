"""AST diff storage: genesis, diff and fork events are checked before they are in the chain, and sources rebuilt at a time.

`record_file` and `write_source` record the saves of a file: the first as a genesis, each later one as the diff to the
one before.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from unspool.errors import UnreadableSource
from unspool.events.appending import append, check_draft, check_timestamp, find_space, query_moment
from unspool.events.canonical import sha256_hex
from unspool.events.log import EventLog
from unspool.events.records import BeforeGenesis, Event, EventDraft, EventType, InvalidEvent, InvalidQuery
from unspool.events.replay import (
    AstDiffOperation,
    ReplayManner,
    ScopeMetadata,
    SourceForm,
    SourceState,
    changed,
    genesis_state,
    operations_of,
    scope_of,
    source_hash,
)
from unspool.events.rows import moment
from unspool.events.source_diff import ast_diff
from unspool.events.source_states import find_state, remember
from unspool.events.tree_edits import JSON, PYTHON, TEXT
from unspool.model.values import Value

PAYLOAD_VERSION: Final = 1


def write_genesis_event(
    log: EventLog, space_id: str, timestamp: str, source: str, source_hash: str, compiled_wasm_hash: str
) -> Event:
    """Open a space with the full source (`space_created`).

    Args:
        log: the event log.
        space_id: the space; it must have no events yet.
        timestamp: ISO 8601.
        source: the full text; not empty.
        source_hash: SHA-256 of the text, lower-case hex.
        compiled_wasm_hash: hash of what was compiled from it; any text that is not empty.

    Raises:
        InvalidEvent: a field is empty or wrong, the hash is not the source's, or the space has events already.
    """
    for field, value in (("source", source), ("sourceHash", source_hash), ("compiledWasmHash", compiled_wasm_hash)):
        if not isinstance(value, str) or not value:
            raise InvalidEvent(f"{field} must be text that is not empty", field=field)
    actual = sha256_hex(source)
    if source_hash != actual:
        raise InvalidEvent(
            f"sourceHash is {source_hash[:64]!r}, the source's SHA-256 is {actual}", field="sourceHash"
        )
    payload = {"source": source, "sourceHash": source_hash, "compiledWasmHash": compiled_wasm_hash}
    event = _write_first(log, _draft(EventType.SPACE_CREATED, space_id, timestamp, payload))
    with log.database.reading():
        genesis = genesis_state(event)
        log.source_memory.put(event.hash, genesis, len(genesis.text))
    return event


def write_diff_event(
    log: EventLog,
    space_id: str,
    timestamp: str,
    ast_diff: Iterable[AstDiffOperation | Mapping[str, Value]],
    scope_metadata: ScopeMetadata | Mapping[str, Value],
    source_hash: str,
) -> Event:
    """Append the changes of a space's source (`space_evolved`).

    The diff is applied before it is written: every value before must be there, and the result must have the hash.

    Args:
        log: the event log.
        space_id: the space; its genesis (or fork) must be there.
        timestamp: ISO 8601.
        ast_diff: the operations, in order.
        scope_metadata: how far they reach.
        source_hash: SHA-256 over the canonical form of the result's model, see `replay.source_hash`.

    Raises:
        InvalidEvent: a field is wrong, the diff does not fit, or the hash is not the result's.
    """
    operations = operations_of(ast_diff)
    scope = scope_of(scope_metadata)
    if not isinstance(source_hash, str) or not source_hash:
        raise InvalidEvent("sourceHash must be text that is not empty", field="sourceHash")
    payload: dict[str, Value] = {
        "astDiff": [operation.to_wire() for operation in operations],
        "scopeMetadata": scope.to_wire(),
        "sourceHash": source_hash,
    }
    draft = _draft(EventType.SPACE_EVOLVED, space_id, timestamp, payload)
    check_draft(draft)
    with log.database.writing():
        before = find_state(log, space_id, None, "either")
        text, form, _ = changed(before, operations, source_hash, "exact")
        event = _append(log, draft)
        state = SourceState(text, form, source_hash, before.diffs + 1, event.sequence_number, before.damaged)
        space = find_space(log.database, space_id)
        if space is not None:
            remember(log, space, event, state)
    log.snapshot_if_due(space_id)
    return event


def write_fork_event(
    log: EventLog, space_id: str, timestamp: str, source_space_id: str, fork_timestamp: str
) -> Event:
    """Open a space with the source that another one had at a moment (`space_forked`).

    Raises:
        InvalidEvent: the space has events already, or the other had no source at that moment.
    """
    if not isinstance(source_space_id, str) or not source_space_id:
        raise InvalidEvent("sourceSpaceId must be text that is not empty", field="sourceSpaceId")
    check_timestamp(fork_timestamp, field="forkTimestamp")
    payload = {"sourceSpaceId": source_space_id, "forkTimestamp": fork_timestamp}
    draft = _draft(EventType.SPACE_FORKED, space_id, timestamp, payload)
    check_draft(draft)
    with log.database.writing():
        try:
            find_state(log, source_space_id, moment(fork_timestamp), "either")
        except (BeforeGenesis, InvalidQuery) as error:
            raise InvalidEvent(f"forkTimestamp {fork_timestamp}: {error}", field="forkTimestamp") from error
        return _write_first(log, draft)


def _write_first(log: EventLog, draft: EventDraft) -> Event:
    check_draft(draft)
    with log.database.writing():
        if find_space(log.database, draft.space_id) is not None:
            raise InvalidEvent(
                f"space {draft.space_id!r} has events already; a genesis must be the first and only one",
                field="spaceId",
            )
        return _append(log, draft)


def _append(log: EventLog, draft: EventDraft) -> Event:
    return append(log.database, log.column, [draft], log.config.id_generator, log.config.max_bytes)[0]


def _draft(event_type: EventType, space_id: str, timestamp: str, payload: Mapping[str, Value]) -> EventDraft:
    return EventDraft(event_type, space_id, timestamp, payload, PAYLOAD_VERSION)


@dataclass(frozen=True, slots=True)
class ReconstructedSource:
    """A source as it was.

    Attributes:
        source: the text. After diffs of values on a JSON document it is the document's canonical form.
        source_hash: the hash that the last event counted declares: over the text itself without diffs, else over
            the canonical form of the model (`{"source": text}` for plain text).
        diffs_applied: number of diffs from genesis on, those before a fork included.
        last_sequence_number: the last genesis, fork or diff event counted, in this space.
        form: whether the source is a JSON document or other text.
        manner: `original` where a diff had to be applied as the original did (lists turned into objects).
    """

    source: str
    source_hash: str
    diffs_applied: int
    last_sequence_number: int
    form: SourceForm
    manner: Literal["exact", "original"]


def reconstruct_source(
    log: EventLog, space_id: str, at_timestamp: str | None = None, *, manner: ReplayManner = "exact"
) -> ReconstructedSource:
    """Rebuild a space's source at its newest event, or at a moment (included).

    Args:
        log: the event log.
        space_id: the space.
        at_timestamp: ISO 8601; compared as a moment, however it is spelled.
        manner: `exact`; `original` to apply diffs of values as the original did, faults included; `either` to be
            exact and fall back to the original's manner only where a hash needs it.

    Raises:
        InvalidEvent: no genesis comes first, or not yet at that moment, a diff does not fit or has another hash; `field` says what is wrong,
            the message at which step.
        InvalidQuery: the timestamp is none.
    """
    until = None if at_timestamp is None else query_moment(at_timestamp, "atTimestamp")
    state = find_state(log, space_id, until, manner)
    return ReconstructedSource(
        state.text,
        state.source_hash,
        state.diffs,
        state.sequence,
        state.form,
        "original" if state.damaged else "exact",
    )


NO_COMPILED_OUTPUT: Final = "none"
"""What a genesis names as the hash of its compiled output where nothing was compiled."""
MAX_SOURCE_BYTES: Final = 16 * 1024 * 1024

_LANGUAGES: Final = {".py": PYTHON, ".pyi": PYTHON, ".pyw": PYTHON, ".json": JSON}


def record_file(
    log: EventLog,
    path: str | Path,
    *,
    space_id: str | None = None,
    timestamp: str | None = None,
    language: str | None = None,
    max_bytes: int = MAX_SOURCE_BYTES,
) -> Event | None:
    """Record what a file holds now, if that is new.

    Args:
        log: the event log.
        path: the file. Bytes that are no UTF-8 are kept as lone surrogates; `source_bytes` gives them back.
        space_id: the file's space; by default the path as given, with forward slashes.
        timestamp: ISO 8601; by default the log's clock.
        language: `python`, `json` or `text`; by default told by the file's suffix.
        max_bytes: a larger file is refused.

    Returns:
        The event that was written; None where nothing changed, or where the file is empty and has no genesis yet.

    Raises:
        UnreadableSource: the file cannot be read, or is too large.
        InvalidEvent: the space holds something that no source can follow.
    """
    path = Path(path)
    source = read_source(path, max_bytes=max_bytes)
    rule = language or _LANGUAGES.get(path.suffix.lower(), TEXT)
    return write_source(log, space_id or path.as_posix(), timestamp or log.config.clock(), source, rule)


def write_source(
    log: EventLog, space_id: str, timestamp: str, source: str, language: str | None = None
) -> Event | None:
    """Record a version of a source: a genesis for a new space, a diff for one that is there.

    Returns:
        The event; None where nothing changed, or where an empty source would be a genesis.

    Raises:
        InvalidEvent: the space holds something that no source can follow, or an argument is refused.
    """
    while True:
        head = log.head(space_id)
        if head is None:
            if not source:
                return None
            with log.database.writing():
                if log.head(space_id) is None:
                    digest = sha256_hex(source)
                    return write_genesis_event(log, space_id, timestamp, source, digest, NO_COMPILED_OUTPUT)
            continue
        state = find_state(log, space_id, None, "either")
        if state.text == source:
            return None
        operations, scope = ast_diff(state.text, source, language)
        # Finding the diff takes its time, so it is done without the lock; another writer means doing it again.
        with log.database.writing():
            space = find_space(log.database, space_id)
            if space is not None and space.head_hash == head.hash:
                return write_diff_event(log, space_id, timestamp, operations, scope, source_hash(source))


def read_source(path: Path, *, max_bytes: int = MAX_SOURCE_BYTES) -> str:
    """Read a file as source text, byte for byte: no line end is touched, a byte order mark stays.

    Raises:
        UnreadableSource: the file cannot be read, or is too large.
    """
    try:
        size = path.stat().st_size
        if size > max_bytes:
            raise UnreadableSource(f"{path}: {size} bytes are more than {max_bytes}; raise max_bytes to record it")
        return path.read_bytes().decode("utf-8", "surrogateescape")
    except OSError as error:
        raise UnreadableSource(f"{path}: {error.strerror}; check the path and its permissions") from error


def source_bytes(source: str) -> bytes:
    """Return the bytes of a file whose source was read with `read_source`."""
    return source.encode("utf-8", "surrogateescape")
