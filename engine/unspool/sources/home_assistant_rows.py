"""How a Home Assistant recorder database is asked: its layout moved names and attributes to tables of their own over time."""

from __future__ import annotations

from pathlib import Path

from unspool.errors import UnreadableSource


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
