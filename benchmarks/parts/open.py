"""Opening histories of very many entries, each time in a fresh process."""

from __future__ import annotations

from benchmarks import many
from benchmarks.context import Context, ManyEntries, run_module
from benchmarks.measure import median
from benchmarks.peers import sqlite_entries
from benchmarks.report import Row, against, alone

TITLE = "Opening a history: fresh process, file in the page cache"

_RUNS = 5
_NEWEST_MS, _OVERVIEW_MS, _COLUMNS_MS, _WHEN_MS = 5.0, 50.0, 150.0, 50.0
_RESIDENT_MB = 200.0
_LOOKS = (
    ("newest", "open and read the newest 200 rows", _NEWEST_MS),
    ("overview", "overview of all entries for a timeline", _OVERVIEW_MS),
    ("columns", "metadata of all entries", _COLUMNS_MS),
)


def run(context: Context) -> list[Row]:
    """Measure each number of entries; goals hold for the largest."""
    rows: list[Row] = []
    for count in context.sizes:
        rows.extend(_one_size(context, context.many(count), has_goals=count == context.sizes[-1]))
    return rows


def _one_size(context: Context, history: ManyEntries, *, has_goals: bool) -> list[Row]:
    table = context.folder / f"entries-{history.count}.sqlite"
    sqlite_entries.build(table, history.count)
    ours: dict[str, list[float]] = {}
    peer: dict[str, list[float]] = {}
    for _ in range(_RUNS):
        facts = run_module("benchmarks.opening", str(history.path), many.HOT, many.COLD)
        # The app's timeline is made from the columns, so an overview costs reading them.
        facts["overview"] = facts["columns"] + facts["bins"]
        for found, into in ((facts, ours), (sqlite_entries.look(table), peer)):
            for name, value in found.items():
                into.setdefault(name, []).append(value)
    name = f"{history.count:,} entries"
    rows = []
    for look, what, goal in _LOOKS:
        row = against(f"{name}: {what}", median(ours[look]), median(peer[look]), "ms", "SQLite row each")
        rows.append(_with_goal(row, goal) if has_goals else row)
    for look, what in (("when_hot", "when did the busiest atom change"), ("when_cold", "when did a quiet atom change"),
                       ("next_cold", "next change of a quiet atom")):  # fmt: skip
        rows.append(alone(f"{name}: {what}", median(ours[look]), "ms", most=_WHEN_MS if has_goals else None))
    most = _RESIDENT_MB if has_goals else None
    return [
        *rows,
        alone(f"{name}: a state far away", median(ours["far_state"]), "ms"),
        alone(f"{name}: resident memory, all metadata read", median(ours["resident_mb"]), "MB", most=most,
              note=f"{median(ours['base_mb']):.0f} MB of it the interpreter and imports"),
        alone(f"{name}: peak memory of recording them", history.peak_mb, "MB", most=most,
              note=f"{history.count / history.seconds:,.0f} entries/s"),
        alone(f"{name}: file", history.path.stat().st_size / history.count, "B/entry"),
    ]  # fmt: skip


def _with_goal(row: Row, most: float) -> Row:
    met = row.ours is not None and row.ours <= most
    return Row(row.what, row.ours, row.unit, row.peer_name, row.peer, row.ratio, f"≤ {most:g} {row.unit}", met)
