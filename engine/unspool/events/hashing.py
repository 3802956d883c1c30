"""The hash that ties an event to the one before it (E-35, E-36)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from unspool.events.canonical import PROTO_KEY, canonical_json, sha256_hex
from unspool.events.records import BrokenLink, Event
from unspool.model.values import Value

GAP: Final = "an event is missing or out of order"
"""What the reason of a broken link begins with where numbers do not follow each other."""


def event_hash(event: Event) -> str:
    """Hash an event: SHA-256 over the canonical form of all its fields but the hash itself."""
    return sha256_hex(
        canonical_json(
            {
                "id": event.id,
                "payload": event.payload,
                "previousHash": event.previous_hash,
                "sequenceNumber": event.sequence_number,
                "spaceId": event.space_id,
                "timestamp": event.timestamp,
                "type": event.type.value,
                "version": event.version,
            }
        )
    )


def sealed(event: Event) -> Event:
    """Return the event with its hash filled in."""
    return replace(event, hash=event_hash(event))


def broken_link(event: Event, previous: Event | None) -> BrokenLink | None:
    """Say what is wrong with an event as the follower of `previous` (None: as the first of its space)."""
    expected_number = previous.sequence_number + 1 if previous else 1
    if event.sequence_number != expected_number:
        reason = f"{GAP}: number {event.sequence_number} stands where {expected_number} is due"
        return _link(event, reason, previous.hash if previous else None, event.previous_hash)
    expected_hash = previous.hash if previous else None
    if event.previous_hash != expected_hash:
        return _link(event, "it does not follow the event before it", expected_hash, event.previous_hash)
    recomputed = event_hash(event)
    if event.hash != recomputed:
        return _link(event, "its content does not match its hash", recomputed, event.hash)
    if _holds_uncovered(event.payload):
        return _link(event, f"its payload has a key {PROTO_KEY!r}, whose content no hash covers", None, event.hash)
    return None


def _holds_uncovered(payload: Value) -> bool:
    """Whether a payload holds what the canonical form leaves out: anybody could have put it there afterwards."""
    pending = [payload]
    while pending:
        value = pending.pop()
        if isinstance(value, Mapping):
            if PROTO_KEY in value:
                return True
            pending.extend(value.values())
        elif isinstance(value, list | tuple):
            pending.extend(value)
    return False


def _link(event: Event, reason: str, expected: str | None, actual: str | None) -> BrokenLink:
    return BrokenLink(event.space_id, event.sequence_number, event.id, reason, expected, actual)
