"""The hash that ties an event to the one before it (E-35, E-36)."""

from __future__ import annotations

from dataclasses import replace

from unspool.events.canonical import canonical_json, sha256_hex
from unspool.events.records import BrokenLink, Event


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
        return _link(event, "an event is missing or out of order", str(expected_number), str(event.sequence_number))
    expected_hash = previous.hash if previous else None
    if event.previous_hash != expected_hash:
        return _link(event, "it does not follow the event before it", expected_hash, event.previous_hash)
    recomputed = event_hash(event)
    if event.hash != recomputed:
        return _link(event, "its content does not match its hash", recomputed, event.hash)
    return None


def _link(event: Event, reason: str, expected: str | None, actual: str | None) -> BrokenLink:
    return BrokenLink(event.space_id, event.sequence_number, event.id, reason, expected, actual)
