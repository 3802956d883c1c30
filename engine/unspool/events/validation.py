"""What the log takes as an event, and what it refuses (E-21)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

from unspool.events.canonical import PROTO_KEY
from unspool.events.errors import InvalidEvent
from unspool.events.javascript import MAX_EXACT_INTEGER
from unspool.events.moments import moment
from unspool.events.records import EventDraft, EventType
from unspool.model.paths import Path, format_path
from unspool.model.values import Value

MAX_VERSION: Final = MAX_EXACT_INTEGER
_SHOWN_STEPS: Final = 8
"""Only so many last steps of a path are kept: a document may be 10,000 levels deep."""


def checked_type(value: object) -> EventType:
    """Read an event type.

    Raises:
        InvalidEvent: it is none of the eleven.
    """
    try:
        return EventType(str(value))
    except ValueError:
        known = ", ".join(EventType)
        raise InvalidEvent(f"{value!r} is no event type; use one of {known}", field="type") from None


def check_draft(draft: EventDraft) -> None:
    """Refuse what could not be stored and verified as given.

    Raises:
        InvalidEvent: naming the field as the wire spells it, and the place inside a payload.
    """
    if not isinstance(draft.space_id, str) or not draft.space_id.strip():
        raise InvalidEvent("an event needs a spaceId: text that is not blank", field="spaceId")
    checked_type(draft.type)
    check_timestamp(draft.timestamp, field="timestamp")
    if not is_version(draft.version):
        raise InvalidEvent(f"version {draft.version!r} must be an integer from 1", field="version")
    check_payload(draft.payload)


def check_timestamp(timestamp: object, *, field: str) -> None:
    """Refuse what is no ISO 8601 timestamp.

    Raises:
        InvalidEvent: naming `field`.
    """
    if not isinstance(timestamp, str):
        raise InvalidEvent(f"{field} {timestamp!r} must be ISO 8601 text", field=field)
    try:
        moment(timestamp)
    except ValueError as error:
        raise InvalidEvent(f"{field} {error}", field=field) from None


def is_version(version: object) -> bool:
    """Say whether a version is a positive integer (1.5, booleans and text are not)."""
    return isinstance(version, int) and not isinstance(version, bool) and 1 <= version <= MAX_VERSION


def check_payload(payload: object) -> None:
    """Refuse a payload that is no JSON object, or holds what would read back as something else.

    Raises:
        InvalidEvent: naming the place, e.g. `payload.items[3]`.
    """
    if not isinstance(payload, Mapping):
        raise InvalidEvent(f"the payload is {_kind(payload)}; it must be a JSON object", field="payload")
    pending: list[tuple[Value, Path]] = [(payload, ())]
    seen: set[int] = set()
    while pending:
        value, path = pending.pop()
        if not isinstance(value, Mapping | list | tuple):
            _check_leaf(value, path)
        elif id(value) not in seen:
            # A part met before is checked already; whether it holds itself, the canonical form tells.
            seen.add(id(value))
            for step, child in value.items() if isinstance(value, Mapping) else enumerate(value):
                if isinstance(value, Mapping):
                    _check_key(step, path)
                pending.append((child, (*path[-_SHOWN_STEPS:], step)))


def _check_key(key: object, path: Path) -> None:
    if not isinstance(key, str):
        raise _refused(path, f"has the key {key!r}, which is no text")
    if key == PROTO_KEY:
        raise _refused(path, f"has the key {PROTO_KEY!r}, which no hash can cover; rename it")


def _check_leaf(value: Value, path: Path) -> None:
    if isinstance(value, str | bool) or value is None:
        return
    if isinstance(value, float):
        if not math.isfinite(value):
            raise _refused(path, f"is {value}, which JSON lacks; write null or text")
        return
    if not isinstance(value, int):
        raise _refused(path, f"is {_kind(value)}, which JSON lacks")
    if abs(value) > MAX_EXACT_INTEGER and not _is_exact_double(value):
        raise _refused(path, f"is {str(value)[:40]}, which no double holds exactly; write it as text")


def _is_exact_double(value: int) -> bool:
    try:
        return int(float(value)) == value
    except OverflowError:
        return False


def _kind(value: object) -> str:
    return "null" if value is None else f"of type {type(value).__name__}"


def _refused(path: Path, reason: str) -> InvalidEvent:
    return InvalidEvent(f"{format_path(path, root='payload')} {reason}", field="payload")
