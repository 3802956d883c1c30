"""Settings of an event log (E-24), and the parts that are handed in: clock, ids, reducer."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from unspool.errors import ConfigError
from unspool.events.moments import utc_now
from unspool.events.records import Event
from unspool.events.schema import SCHEMA_VERSION
from unspool.model.values import Value

StateReducer = Callable[[Value, Event], Value]
"""Folds one event into a state; the first call gets None. It must not change the state it is given."""
Clock = Callable[[], str]
"""Tells the present moment as an ISO 8601 timestamp."""

DEFAULT_LIMIT: Final = 100
MAX_LIMIT: Final = 1000
DEFAULT_SNAPSHOT_INTERVAL: Final = 100
HASH_ALGORITHM: Final = "SHA-256"


def last_write_wins(_state: Value, event: Event) -> Value:
    """Reduce a space to the payload of its last event (the seed's default)."""
    return dict(event.payload)


def new_uuid() -> str:
    """Make a UUID v4."""
    return str(uuid.uuid4())


@dataclass(frozen=True, slots=True)
class EventLogConfig:
    """How a log behaves.

    Attributes:
        max_events_per_query: the largest page; bigger limits are cut down to it.
        snapshot_interval: a snapshot is made by itself after so many new events of a space; 0 for never.
        state_reducer: folds events into states.
        reducer_name: tells snapshots of one reducer from another's; by default the function's own full name.
        id_generator: makes ids of events and snapshots.
        clock: tells the time where a function is not given one.
        max_bytes: budget for `estimated_bytes`; None for none. From 90 % on no new space is opened, at 100 %
            nothing is written.
        schema_version: of the database; this program knows one.
        hash_algorithm: SHA-256 is the only one there is.

    Raises:
        ConfigError: a setting that cannot be honoured.
    """

    max_events_per_query: int = MAX_LIMIT
    snapshot_interval: int = DEFAULT_SNAPSHOT_INTERVAL
    state_reducer: StateReducer = last_write_wins
    reducer_name: str = ""
    id_generator: Callable[[], str] = new_uuid
    clock: Clock = utc_now
    max_bytes: int | None = None
    schema_version: int = SCHEMA_VERSION
    hash_algorithm: str = HASH_ALGORITHM

    def __post_init__(self) -> None:
        if self.max_events_per_query < 1:
            raise ConfigError(f"max_events_per_query {self.max_events_per_query} must be at least 1")
        if self.snapshot_interval < 0:
            raise ConfigError(f"snapshot_interval {self.snapshot_interval} must be 0 (never) or more")
        if self.schema_version != SCHEMA_VERSION:
            raise ConfigError(f"schema_version {self.schema_version} is unknown; only {SCHEMA_VERSION} exists")
        if self.hash_algorithm != HASH_ALGORITHM:
            raise ConfigError(f"hash_algorithm {self.hash_algorithm!r} is unknown; only {HASH_ALGORITHM} exists")
        if not self.reducer_name:
            name = f"{self.state_reducer.__module__}.{getattr(self.state_reducer, '__qualname__', 'reducer')}"
            object.__setattr__(self, "reducer_name", name)
