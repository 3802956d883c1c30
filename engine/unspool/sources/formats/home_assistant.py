"""How a Home Assistant recorder database is asked: its layout moved names and attributes to tables of their own over time."""

from __future__ import annotations

import heapq
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from unspool.errors import UnreadableSource
from unspool.history.verdict import Progress
from unspool.model.json_exact import BrokenText, parse
from unspool.model.values import State, Value
from unspool.sources.detection import Probe, SourceShape
from unspool.sources.entries import TIME_FROM_FILE, Findings, Reader, SourceEntry, to_ns
from unspool.sources.sqlite_files import (
    ForeignDatabase,
    columns_of,
    first_look,
    report_log,
    report_other_tables,
    side_files,
)


def states_query(tables: dict[str, set[str]], path: Path) -> str:
    """Spell the query for the layout of this database: names and attributes moved to tables of their own over time."""
    states = tables.get("states", set())
    if "state_id" not in states or "state" not in states:
        raise UnreadableSource(f"{path}: no Home Assistant recorder database: its table `states` is missing columns")
    joins = ""
    entity = "states.entity_id"
    if "metadata_id" in states and "states_meta" in tables:
        joins += " LEFT JOIN states_meta ON states_meta.metadata_id = states.metadata_id"
        entity = (
            "coalesce(states_meta.entity_id, states.entity_id)" if "entity_id" in states else "states_meta.entity_id"
        )
    attributes = "states.attributes" if "attributes" in states else "NULL"
    if "attributes_id" in states and "state_attributes" in tables:
        joins += " LEFT JOIN state_attributes ON state_attributes.attributes_id = states.attributes_id"
        inline = ", states.attributes" if "attributes" in states else ""
        attributes = f"coalesce(state_attributes.shared_attrs{inline})" if inline else "state_attributes.shared_attrs"
    times = [f"states.{name}" for name in ("last_updated_ts", "last_updated", "last_changed_ts") if name in states]
    if not times:
        raise UnreadableSource(f"{path}: its table `states` names no time; this recorder layout is not known")
    updated = _first_of(times)
    return (
        f"SELECT states.state_id, {updated}, {entity}, states.state, {attributes} FROM states{joins} "  # noqa: S608
        "WHERE states.state_id > ? ORDER BY states.state_id LIMIT ?"
    )


def events_query(tables: dict[str, set[str]]) -> str | None:
    """Spell the query for the events of this database, or return None where it keeps none.

    Changes of states are left out: they stand in the table of states.
    """
    events = tables.get("events", set())
    if "event_id" not in events:
        return None
    joins = ""
    kinds = ["events.event_type"] if "event_type" in events else []
    if "event_type_id" in events and "event_type" in tables.get("event_types", set()):
        joins += " LEFT JOIN event_types ON event_types.event_type_id = events.event_type_id"
        kinds.insert(0, "event_types.event_type")
    contents = ["events.event_data"] if "event_data" in events else []
    if "data_id" in events and "shared_data" in tables.get("event_data", set()):
        joins += " LEFT JOIN event_data ON event_data.data_id = events.data_id"
        contents.insert(0, "event_data.shared_data")
    times = [f"events.{name}" for name in ("time_fired_ts", "time_fired") if name in events]
    if not kinds or not times:
        return None
    kind = _first_of(kinds)
    return (
        f"SELECT events.event_id, {_first_of(times)}, {kind}, {_first_of(contents)} FROM events{joins} "  # noqa: S608
        f"WHERE events.event_id > ? AND {kind} IS NOT 'state_changed' ORDER BY events.event_id LIMIT ?"
    )


def _first_of(columns: list[str]) -> str:
    """Spell the first of some columns that holds anything."""
    if not columns:
        return "NULL"
    return f"coalesce({', '.join(columns)})" if len(columns) > 1 else columns[0]


_KNOWN_SCHEMAS: Final = range(25, 60)
"""Versions whose `states` table has a layout read here; the newest read in full is 41."""
_BATCH: Final = 1000
_UNAVAILABLE: Final = ("", None)
_STATE, _EVENT = "state", "event"


_CONTEXT: Final = (
    "context_id", "context_user_id", "context_parent_id", "context_id_bin", "context_user_id_bin", "context_parent_id_bin", "origin",
    "origin_idx",
)  # fmt: skip
_TABLES: Final[dict[str, tuple[str, ...]]] = {
    "states": ("state_id", "entity_id", "domain", "state", "attributes", "event_id", "last_changed", "last_changed_ts", "last_reported_ts",
               "last_updated", "last_updated_ts", "created", "old_state_id", "attributes_id", "metadata_id", *_CONTEXT),
    "states_meta": ("metadata_id", "entity_id"),
    "state_attributes": ("attributes_id", "hash", "shared_attrs"),
    "events": ("event_id", "event_type", "event_data", "time_fired", "time_fired_ts", "created", "data_id", "event_type_id", *_CONTEXT),
    "event_types": ("event_type_id", "event_type"),
    "event_data": ("data_id", "hash", "shared_data"),
    "schema_changes": ("change_id", "schema_version", "changed"),
    "recorder_runs": (), "migration_changes": (), "statistics_runs": (),
}  # fmt: skip
"""Tables of the recorder; those without columns keep its own books."""


class RecorderReader:
    """Reads state changes and events in the order of their times, each kind in the order it was written."""

    def __init__(self, path: Path) -> None:
        """Open the database.

        Raises:
            UnreadableSource: it cannot be opened, or its layout is not known.
        """
        self.findings = Findings()
        self.watch_paths = side_files(path)
        report_log(path, self.findings)
        self._path = path
        self._connection = ForeignDatabase(path)
        with first_look(self._connection, path):
            tables = columns_of(self._connection)
            report_other_tables(self._connection, path, tables, _TABLES, self.findings)
            self._queries = {_STATE: states_query(tables, path)}
            events = events_query(tables)
            if events is not None:
                self._queries[_EVENT] = events
            self._report_schema()
        self._state: State = {}
        self._last = dict.fromkeys(self._queries, 0)
        self._done = 0
        self._is_finished = False

    def _report_schema(self) -> None:
        try:
            version = self._connection.execute("SELECT max(schema_version) FROM schema_changes").fetchone()[0]
        except sqlite3.Error:
            version = None
        if version is not None and version not in _KNOWN_SCHEMAS:
            self.findings.notice(str(self._path), f"recorder schema {version} is newer than what was tried here")

    def read(self) -> Iterator[SourceEntry]:
        """Yield an entry for each state change and event since the last call."""
        self._is_finished = False
        rows = heapq.merge(*map(self._rows, self._queries), key=lambda row: row[0])
        for moment, kind, columns in rows:
            self._done += 1
            identity, _, *values = columns
            yield (
                self._change(moment, identity, *values) if kind == _STATE else self._event(moment, identity, *values)
            )
        self._is_finished = True

    def _rows(self, kind: str) -> Iterator[tuple[int, str, tuple[Any, ...]]]:
        """Yield the new rows of a table with their times; one without a time goes with the one before."""
        moment = 0
        while rows := self._connection.execute(self._queries[kind], (self._last[kind], _BATCH)).fetchall():
            for columns in rows:
                if type(columns[0]) is not int or columns[0] <= self._last[kind]:
                    # A damaged index can lead round in circles.
                    place = f"{self._path}: {kind} {columns[0]}"
                    self.findings.loss(place, f"the database is damaged; reading of {kind}s stopped there")
                    return
                self._last[kind] = columns[0]
                moment = to_ns(columns[1]) or moment
                yield moment, kind, columns

    def _change(self, moment: int, state_id: int, entity: Value, state: Value, attributes: Value) -> SourceEntry:
        # A damaged or foreign database may hold any type in any column.
        name = str(entity) if entity is not None else f"unknown entity of state {state_id}"
        if entity is None:
            self.findings.loss(f"{self._path}: state {state_id}", "its entity has no name in states_meta")
        if state in _UNAVAILABLE and attributes is None:
            self._state.pop(name, None)
            label = f"{name} removed"
        else:
            self._state[name] = {
                "state": state,
                "attributes": self._json(f"state {state_id}", "attributes", attributes),
            }
            label = f"{name} → {state}"
        return self._entry(moment, label, {}, str(state_id))

    def _event(self, moment: int, event_id: int, kind: Value, data: Value) -> SourceEntry:
        content = self._json(f"event {event_id}", "data", data)
        return self._entry(moment, str(kind or "event"), {"data": content} if content else {}, f"event {event_id}")

    def _entry(self, moment: int, label: str, meta: dict[str, Value], identity: str) -> SourceEntry:
        if moment:
            return SourceEntry(self._state, moment, label, meta, identity)
        mtime_ns = self._path.stat().st_mtime_ns
        return SourceEntry(self._state, mtime_ns, label, {**meta, **TIME_FROM_FILE}, identity)

    def _json(self, place: str, what: str, stored: Value) -> Value:
        if not stored:
            return {}
        data = stored if isinstance(stored, bytes) else str(stored).encode("utf-8", "surrogatepass")
        try:
            return parse(data).value
        except BrokenText as error:
            self.findings.loss(f"{self._path}: {place}", f"its {what} are no JSON ({error})")
            return stored

    def progress(self) -> Progress:
        """Say how many rows were read."""
        return Progress(self._done, self._done, self._is_finished)

    def close(self) -> None:
        """Close the database."""
        self._connection.close()


def detect(probe: Probe) -> int:
    """Score a probe: an SQLite file with the recorder's tables."""
    if probe.shape is not SourceShape.SQLITE:
        return 0
    connection = ForeignDatabase(probe.path)
    try:
        tables = columns_of(connection)
    except sqlite3.Error:
        return 0
    finally:
        connection.close()
    is_recorder = "state_id" in tables.get("states", set()) and bool(
        tables.keys() & {"schema_changes", "states_meta", "recorder_runs", "state_attributes"}
    )
    return 90 if is_recorder else 0


def open_reader(probe: Probe) -> Reader:
    """Read a recorder database."""
    return RecorderReader(probe.path)
