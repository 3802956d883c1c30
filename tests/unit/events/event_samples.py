"""What the event tests share: logs with a still clock, sources, and the seed's own files."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from pathlib import Path

from unspool.events import (
    AstDiffOperation,
    DiffOperationType,
    Event,
    EventLog,
    EventLogConfig,
    ScopeMetadata,
    sha256_hex,
    source_hash,
    write_diff_event,
    write_genesis_event,
)
from unspool.events.archive import archive_body
from unspool.model.values import Value

SEEDS = Path(__file__).parents[3] / "fixtures" / "seeds"
GOLDEN = SEEDS / "ri-source-space.rblogs"
GOLDEN_SPACE = "demo-space"
NO_SCOPE = ScopeMetadata(1, 1)
PROGRAM = 'import os\n\n\ndef hello(name):\n    """Greet."""\n    return "hello " + name\n'


def at(second: int) -> str:
    """Spell a moment so many seconds into a fixed day."""
    return f"2026-02-14T{second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}.000Z"


def counting_ids() -> Iterator[str]:
    """Yield UUID-shaped ids in order, as the seed's files have them."""
    return (f"00000000-0000-4000-8000-{number:012}" for number in count(1))


def steady_config(**changes: Value) -> EventLogConfig:
    """Return a configuration whose ids and clock do not vary."""
    ids = counting_ids()
    defaults: dict[str, Value] = {"id_generator": lambda: next(ids), "clock": lambda: at(0)}
    return EventLogConfig(**{**defaults, **changes})


def fill(log: EventLog, space_id: str, number: int, start: int = 0) -> list[Event]:
    """Write so many plain events, one a second."""
    return [
        log.write_event("state_changed", space_id, at(start + index), {"index": start + index})
        for index in range(number)
    ]


def genesis(log: EventLog, space_id: str, source: str, second: int = 0) -> Event:
    """Write a genesis with the right hash."""
    return write_genesis_event(log, space_id, at(second), source, sha256_hex(source), "none")


def evolve(log: EventLog, space_id: str, operations: list[AstDiffOperation], result: str, second: int = 1) -> Event:
    """Write a diff whose result is known."""
    return write_diff_event(log, space_id, at(second), operations, NO_SCOPE, source_hash(result))


def modify(path: str, before: Value, after: Value) -> AstDiffOperation:
    """Spell a change of value."""
    return AstDiffOperation(path, DiffOperationType.MODIFY, before, after)


def add(path: str, after: Value) -> AstDiffOperation:
    """Spell an addition of a value."""
    return AstDiffOperation(path, DiffOperationType.ADD, after=after)


def remove(path: str, before: Value) -> AstDiffOperation:
    """Spell a removal of a value."""
    return AstDiffOperation(path, DiffOperationType.REMOVE, before=before)


def golden_body() -> str:
    """Return the JSON in the seed's archive."""
    return archive_body(GOLDEN.read_bytes()).decode()
