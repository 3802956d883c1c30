"""What a log holds, and how hard it presses against a budget (E-65, E-66)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from unspool.events.database import Database
from unspool.events.records import SpaceStorage, StorageReport
from unspool.events.rows import unpack_text


class StoragePressureLevel(StrEnum):
    """How full the budget is."""

    NORMAL = "NORMAL"
    COMPACT = "COMPACT"
    EXPORT_PROMPT = "EXPORT_PROMPT"
    AGGRESSIVE = "AGGRESSIVE"
    BLOCKED = "BLOCKED"


@dataclass(frozen=True, slots=True)
class StoragePressure:
    """A level, the part of the budget in use (at most 1), and what to do."""

    level: StoragePressureLevel
    usage_ratio: float
    recommendation: str


BLOCKED_RATIO: Final = 0.9
_LEVELS: Final = (
    (
        BLOCKED_RATIO,
        StoragePressureLevel.BLOCKED,
        "open no new space; export old ones to archives or raise the budget",
    ),
    (0.8, StoragePressureLevel.AGGRESSIVE, "export old spaces to archives now"),
    (0.7, StoragePressureLevel.EXPORT_PROMPT, "offer to export old spaces to archives"),
    (0.5, StoragePressureLevel.COMPACT, "compact spaces that are seldom read"),
    (0.0, StoragePressureLevel.NORMAL, "nothing to do"),
)


def get_storage_pressure(report: StorageReport, available_bytes: int) -> StoragePressure:
    """Weigh a report against a budget.

    Args:
        report: what the log holds; its `estimated_bytes` count.
        available_bytes: the budget; zero or less is no budget at all, and blocks.
    """
    if available_bytes <= 0:
        return StoragePressure(StoragePressureLevel.BLOCKED, 1.0, "there is no budget; give the log some room")
    ratio = min(report.estimated_bytes / available_bytes, 1.0)
    level, advice = next((level, advice) for floor, level, advice in _LEVELS if ratio >= floor)
    return StoragePressure(level, ratio, advice)


def used_bytes(database: Database) -> int:
    """Return the UTF-8 bytes of all events and snapshots as JSON."""
    with database.reading():
        return int(
            database.value(
                "SELECT (SELECT coalesce(sum(bytes), 0) FROM spaces) + (SELECT coalesce(sum(bytes), 0) FROM snapshots)"
            )
        )


def storage_report(database: Database) -> StorageReport:
    """Count what the log holds, in all and by space; bytes are counted, not guessed."""
    with database.reading() as connection:
        spaces = connection.execute(
            "SELECT space_id, (SELECT count(*) FROM events WHERE place > spaces.space * 4294967296"
            " AND place < (spaces.space + 1) * 4294967296), bytes FROM spaces ORDER BY space"
        ).fetchall()
        oldest = database.value("SELECT timestamp FROM events ORDER BY moment, place LIMIT 1")
        newest = database.value("SELECT timestamp FROM events ORDER BY moment DESC, place DESC LIMIT 1")
        return StorageReport(
            total_events=sum(row[1] for row in spaces),
            total_snapshots=database.value("SELECT count(*) FROM snapshots"),
            estimated_bytes=used_bytes(database),
            oldest_event=oldest,
            newest_event=newest,
            spaces=tuple(SpaceStorage(unpack_text(space_id), count, size) for space_id, count, size in spaces),
            file_bytes=database.file_bytes(),
        )
