"""AST diff storage: genesis, diff and fork events are checked before they are in the chain, and sources rebuilt at a time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from unspool.events.appending import append, check_draft, check_timestamp, find_space
from unspool.events.canonical import sha256_hex
from unspool.events.diff_types import AstDiffOperation, ScopeMetadata, operations_of, scope_of
from unspool.events.errors import BeforeGenesis, InvalidEvent, InvalidQuery
from unspool.events.log import EventLog
from unspool.events.moments import moment
from unspool.events.queries import query_moment
from unspool.events.records import Event, EventDraft, EventType
from unspool.events.replay import ReplayManner, SourceForm, SourceState, changed, genesis_state
from unspool.events.source_states import find_state, remember
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
    """Append what changed in a space's source (`space_evolved`).

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
