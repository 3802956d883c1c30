"""The database of an event log: what its file is marked with, and its tables.

Everything is in one SQLite file. Events are the log; snapshots and source states are kept for speed alone and can be
made again. A source state is a zstd frame; where `base` is a place, the source in that event is its dictionary.

`place` is a space's number and the event's own number in one integer, so that a
space's events lie together in the order of their chain. Ids and texts are packed as `rows` says.
"""

from __future__ import annotations

from typing import Final

APPLICATION_ID: Final = 0x55_53_45_4C
"""`USEL` in the file's header (SQLite's `application_id`)."""
SCHEMA_VERSION: Final = 1
PAGE_BYTES: Final = 1024
"""Small pages: a log of ten small events would otherwise be mostly empty pages."""
PLACES_PER_SPACE: Final = 2**32

TABLES: Final = """
CREATE TABLE spaces (
    space INTEGER PRIMARY KEY,
    space_id NOT NULL UNIQUE,
    head_sequence INTEGER NOT NULL,
    head_hash BLOB NOT NULL,
    latest_moment BLOB NOT NULL,
    bytes INTEGER NOT NULL
);
CREATE TABLE events (
    place INTEGER PRIMARY KEY,
    space INTEGER NOT NULL,
    sequence INTEGER NOT NULL CHECK (place = space * 4294967296 + sequence),
    id NOT NULL UNIQUE,
    type TEXT NOT NULL,
    timestamp TEXT NOT NULL,
    moment BLOB NOT NULL,
    version INTEGER NOT NULL,
    previous_hash BLOB,
    hash BLOB NOT NULL,
    payload NOT NULL
);
CREATE INDEX events_by_type ON events (type, sequence, space);
CREATE INDEX events_by_moment ON events (moment);
CREATE VIEW chain AS
    SELECT spaces.space_id, events.sequence, events.id, events.type, events.timestamp, events.version,
        events.previous_hash, events.hash, events.payload, events.place, events.space, events.moment
    FROM events CROSS JOIN spaces USING (space);
CREATE TABLE snapshots (
    place INTEGER PRIMARY KEY,
    id NOT NULL,
    timestamp TEXT NOT NULL,
    event_hash BLOB NOT NULL,
    latest_moment BLOB NOT NULL,
    reducer TEXT NOT NULL,
    hash BLOB NOT NULL,
    bytes INTEGER NOT NULL,
    state NOT NULL
);
CREATE TABLE source_states (
    place INTEGER PRIMARY KEY,
    event_hash BLOB NOT NULL,
    source_hash BLOB NOT NULL,
    diffs INTEGER NOT NULL,
    form TEXT NOT NULL,
    base INTEGER,
    content BLOB NOT NULL
);
"""

PAYLOAD_WORDS: Final = (
    b'{"sourceSpaceId":"","forkTimestamp":"2025-01-01T00:00:00.000Z"}'
    b'{"source":"","sourceHash":"","compiledWasmHash":"none"}'
    b'"operation":"remove","before":"","operation":"add","after":"","cut":"","put":""'
    b'{"astDiff":[{"path":"functions.classes.body.","operation":"modify","before":"    ","after":"    ","at":1'
    b'}],"scopeMetadata":{"changedNodes":1,"totalNodes":1,"affectedFunctions":[""]},"sourceHash":""}'
)
"""What payloads have in common: the dictionary their compression starts from. Part of the file format: never change it."""


def place_of(space: int, sequence: int) -> int:
    """Return the place of an event."""
    return space * PLACES_PER_SPACE + sequence


def sequence_at(place: int) -> int:
    """Return the sequence number of the event at a place."""
    return place % PLACES_PER_SPACE
