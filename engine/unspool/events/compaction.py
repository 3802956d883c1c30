"""Compaction: a snapshot at the newest event, fewer caches, and a file without free pages (E-63)."""

from __future__ import annotations

from unspool.events.appending import find_space
from unspool.events.config import EventLogConfig
from unspool.events.database import Database
from unspool.events.records import CompactionReport
from unspool.events.rows import JsonColumn
from unspool.events.schema import place_of
from unspool.events.snapshots import create_snapshot, list_snapshots

_KEPT_EVERY = 10
"""Of the source states kept for fast rebuilding, the newest and one in so many survive."""


def compact(database: Database, column: JsonColumn, space_id: str, config: EventLogConfig) -> CompactionReport:
    """Snapshot a space and rewrite the file as small as it gets. No event is deleted.

    Raises:
        SnapshotFailed: the space has no events, or none since its last snapshot.
    """
    before = database.file_bytes()
    earlier = list_snapshots(database, column, space_id)
    snapshot = create_snapshot(database, column, space_id, config)
    with database.writing() as connection:
        space = find_space(database, space_id)
        if space is not None:
            low, high = place_of(space.space, 0), place_of(space.space + 1, 0)
            places = [
                row[0]
                for row in connection.execute(
                    "SELECT place FROM source_states WHERE place > ? AND place < ? ORDER BY place DESC", (low, high)
                )
            ]
            connection.executemany(
                "DELETE FROM source_states WHERE place = ?",
                [(place,) for rank, place in enumerate(places) if rank % _KEPT_EVERY],
            )
    database.vacuum()
    covered = max((each.event_sequence_number for each in earlier), default=0)
    return CompactionReport(
        space_id, snapshot.event_sequence_number - covered, before - database.file_bytes(), snapshot.id
    )
