"""Rebuilding a source from its genesis and its diffs (E-14..E-19)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from unspool.events.log import EventLog
from unspool.events.queries import query_moment
from unspool.events.replay import ReplayManner, SourceForm
from unspool.events.source_states import find_state


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
        InvalidEvent: no genesis comes first, a diff does not fit or has another hash; `field` says what is wrong,
            the message at which step.
        InvalidQuery: the timestamp is none, or before the genesis.
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
