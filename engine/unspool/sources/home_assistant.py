"""Home Assistant's recorder database: one entry a state change, one atom an entity."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from unspool.errors import UnreadableSource
from unspool.model.values import State, Value
from unspool.sources.entries import TIME_FROM_FILE, Progress, Reader, SourceEntry
from unspool.sources.findings import Findings
from unspool.sources.json_exact import BrokenText, parse
from unspool.sources.probe import Probe, Shape
from unspool.sources.sqlite_files import columns_of, first_look, open_database, side_files
from unspool.sources.timestamps import to_ns

_KNOWN_SCHEMAS: Final = range(25, 60)
"""Versions whose `states` table has a layout read here; the newest read in full is 41."""
_BATCH: Final = 1000
_UNAVAILABLE: Final = ("", None)


class RecorderReader:
    """Reads state changes in the order in which the recorder wrote them."""

    def __init__(self, path: Path) -> None:
        """Open the database.

        Raises:
            UnreadableSource: it cannot be opened, or its layout is not known.
        """
        self.findings = Findings()
        self.watch_paths = side_files(path)
        self._path = path
        self._connection = open_database(path)
        with first_look(self._connection, path):
            self._query = _query(columns_of(self._connection), path)
            self._tell_schema()
        self._state: State = {}
        self._attributes: dict[int, Value] = {}
        self._last_id = 0
        self._done = 0
        self._is_finished = False

    def _tell_schema(self) -> None:
        try:
            version = self._connection.execute("SELECT max(schema_version) FROM schema_changes").fetchone()[0]
        except sqlite3.Error:
            version = None
        if version is not None and version not in _KNOWN_SCHEMAS:
            self.findings.notice(str(self._path), f"recorder schema {version} is newer than what was tried here")

    def read(self) -> Iterator[SourceEntry]:
        """Yield an entry for each state change since the last call."""
        self._is_finished = False
        while rows := self._connection.execute(self._query, (self._last_id, _BATCH)).fetchall():
            for row in rows:
                if type(row[0]) is not int or row[0] <= self._last_id:
                    # A damaged index can lead round in circles.
                    self.findings.loss(
                        f"{self._path}: state {row[0]}", "the database is damaged; reading stopped there"
                    )
                    self._is_finished = True
                    return
                self._last_id = row[0]
                self._done += 1
                yield self._entry(*row)
        self._is_finished = True

    def _entry(self, state_id: int, entity: Value, state: Value, updated: Value, attributes: Value) -> SourceEntry:
        # A damaged or foreign database may hold any type in any column.
        name = str(entity) if entity is not None else f"unknown entity of state {state_id}"
        if entity is None:
            self.findings.loss(f"{self._path}: state {state_id}", "its entity has no name in states_meta")
        if state in _UNAVAILABLE and attributes is None:
            self._state.pop(name, None)
            label = f"{name} removed"
        else:
            self._state[name] = {"state": state, "attributes": self._read_attributes(state_id, attributes)}
            label = f"{name} → {state}"
        timestamp_ns = to_ns(updated)
        if timestamp_ns is None:
            mtime_ns = self._path.stat().st_mtime_ns
            return SourceEntry(self._state, mtime_ns, label, TIME_FROM_FILE, str(state_id))
        return SourceEntry(self._state, timestamp_ns, label, entry_id=str(state_id))

    def _read_attributes(self, state_id: int, stored: Value) -> Value:
        if not stored:
            return {}
        data = stored if isinstance(stored, bytes) else str(stored).encode("utf-8", "surrogatepass")
        try:
            return parse(data).value
        except BrokenText as error:
            self.findings.loss(f"{self._path}: state {state_id}", f"its attributes are no JSON ({error})")
            return stored

    def progress(self) -> Progress:
        """Say how many state changes were read."""
        return Progress(self._done, self._done, self._is_finished)

    def close(self) -> None:
        """Close the database."""
        self._connection.close()


def _query(tables: dict[str, set[str]], path: Path) -> str:
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
    updated = f"coalesce({', '.join(times)})" if len(times) > 1 else times[0]
    return (
        f"SELECT states.state_id, {entity}, states.state, {updated}, {attributes} FROM states{joins} "  # noqa: S608
        "WHERE states.state_id > ? ORDER BY states.state_id LIMIT ?"
    )


def detect(probe: Probe) -> int:
    """Score a probe: an SQLite file with the recorder's tables."""
    if probe.shape is not Shape.SQLITE:
        return 0
    connection = open_database(probe.path)
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
