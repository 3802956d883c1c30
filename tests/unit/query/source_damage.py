"""Foreign histories with chains of their own, damaged on purpose: by the codes that the doctor must find in them."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgpack
import ormsgpack

from unspool.compression import DeltaCompressor, DeltaStrategy
from unspool.events import EventLog, write_source
from unspool.query.doctor.findings import Code
from unspool.regions import RegionDelta, RegionDeltaFile, encode_region, read_region_file

SEEDS = Path(__file__).parents[3] / "fixtures" / "seeds"
START_MS = 1_767_225_600_000
Damage = Callable[[Path], None]


@dataclass(frozen=True)
class SourceCase:
    """A damaged source.

    Attributes:
        name: what was done to it.
        build: writes the intact source and returns its path.
        damage: damages it.
        codes: what the doctor must find, each at a place of the source.
        places: how these places end.
        doubtful: entries of the history that was read which are not certain.
        holes: things lost that have a place among the entries.
    """

    name: str
    build: Callable[[Path], Path]
    damage: Damage
    codes: set[Code]
    places: tuple[str, ...]
    doubtful: set[int] = field(default_factory=set)
    holes: int = 0

    def __str__(self) -> str:
        return self.name


# --- nexus-state -----------------------------------------------------------------------------------------------------


def snapshot(place: int, atoms: dict[str, Any]) -> dict[str, Any]:
    """A full snapshot as nexus-state writes it."""
    state = {name: {"value": value, "type": "primitive", "name": name} for name, value in atoms.items()}
    return {"id": f"s{place}", "type": "full", "state": state, "metadata": metadata(place, atomCount=len(atoms))}


def delta(place: int, base: str, before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    """A delta as nexus-state writes it."""
    changes = {}
    for name in sorted(before.keys() | after.keys()):
        if before.get(name) == after.get(name):
            continue
        kind = "added" if name not in before else "deleted" if name not in after else "modified"
        changes[name] = {
            "atomName": name,
            "oldValue": before.get(name),
            "newValue": after.get(name),
            "changeType": kind,
        }
    return {"id": f"s{place}", "type": "delta", "baseSnapshotId": base, "changes": changes,
            "metadata": metadata(place, changeCount=len(changes))}  # fmt: skip


def metadata(place: int, **more: int) -> dict[str, Any]:
    """Metadata of a snapshot."""
    return {"timestamp": START_MS + place * 1000, "action": f"step {place}", **more}


def nexus_items(deltas: int = 4) -> list[dict[str, Any]]:
    """Two full snapshots, each with deltas that stand on it."""
    items = []
    for root in range(0, 2 * (deltas + 1), deltas + 1):
        atoms = {"count": root, "user": {"name": "Ada", "tags": [1, 2]}}
        items.append(snapshot(root, atoms))
        items += [delta(root + n, f"s{root}", atoms, {**atoms, "count": root + n}) for n in range(1, deltas + 1)]
    return items


def nexus_list(folder: Path, items: list[dict[str, Any]] | None = None) -> Path:
    """An export list."""
    path = folder / "export.json"
    path.write_text(json.dumps({"version": "1.0", "exportedAt": START_MS, "snapshots": items or nexus_items()}))
    return path


def nexus_lines(folder: Path) -> Path:
    """The same, a snapshot a line."""
    path = folder / "history.jsonl"
    path.write_text("".join(json.dumps(item) + "\n" for item in nexus_items()))
    return path


def long_nexus_list(folder: Path) -> Path:
    """Chains of more deltas than the package allows."""
    return nexus_list(folder, nexus_items(25))


def in_list(change: Callable[[list[dict[str, Any]]], None]) -> Damage:
    """Damage the items of an export list."""

    def damage(path: Path) -> None:
        document = json.loads(path.read_text())
        change(document["snapshots"])
        path.write_text(json.dumps(document))

    return damage


def lose_base(items: list[dict[str, Any]]) -> None:
    del items[5]


def base_after_deltas(items: list[dict[str, Any]]) -> None:
    items.append(items.pop(5))


def wrong_base(items: list[dict[str, Any]]) -> None:
    items[3]["baseSnapshotId"] = "nobody"


def same_id(items: list[dict[str, Any]]) -> None:
    items[7]["id"] = items[6]["id"]


def other_old_value(items: list[dict[str, Any]]) -> None:
    items[2]["changes"]["count"]["oldValue"] = 77


def lose_a_change(items: list[dict[str, Any]]) -> None:
    items[2]["changes"] = {}
    items[2]["metadata"]["changeCount"] = 0
    items[3]["metadata"]["changeCount"] = 2


def no_snapshot(items: list[dict[str, Any]]) -> None:
    items[22] = {"what": "is this"}


def nothing(path: Path) -> None:
    """Leave it as it is."""


def break_line(number: int) -> Damage:
    """Cut a line short."""

    def damage(path: Path) -> None:
        lines = path.read_text().splitlines(keepends=True)
        lines[number] = lines[number][:20] + "\n"
        path.write_text("".join(lines))

    return damage


# --- delta-compression records ---------------------------------------------------------------------------------------


def delta_chain(folder: Path) -> Path:
    """A base state and the records that follow it, written without compression so that checksums can be checked."""
    compressor = DeltaCompressor(DeltaStrategy.DICT, enable_compression=False)
    states: list[dict[str, Any]] = [{"n": 0, "name": "x", "only": 1}]
    states += [{"n": n, "name": "x" * n} for n in range(1, 6)]
    records = []
    for before, after in pairwise(states):
        changes = {name: value for name, value in after.items() if before.get(name) != value}
        removed = [name for name in before if name not in after]
        record = compressor.create_delta_record(changes, removed, 1_700_000_000.0 + after["n"])
        records.append(json.loads(compressor.serialize_delta(record)))
    path = folder / "chain.json"
    path.write_text(json.dumps({"base_state": states[0], "records": records}))
    return path


def in_chain(change: Callable[[dict[str, Any]], None]) -> Damage:
    """Damage a chain of records."""

    def damage(path: Path) -> None:
        document = json.loads(path.read_text())
        change(document)
        path.write_text(json.dumps(document))

    return damage


def lose_base_state(document: dict[str, Any]) -> None:
    del document["base_state"]


def alter_record(document: dict[str, Any]) -> None:
    document["records"][2]["changes"]["name"] = "forged"


def undecodable_record(document: dict[str, Any]) -> None:
    document["records"][2]["changes"] = "H4sIAAAA"


# --- event logs ------------------------------------------------------------------------------------------------------


def event_log(folder: Path) -> Path:
    """A space with a genesis and four diffs."""
    path = folder / "log.db"
    with EventLog(path) as log:
        for second in range(5):
            write_source(log, "b.json", f"2026-02-14T00:00:{second:02}.000Z", json.dumps({"n": second}), "json")
    return path


def by_sql(*statements: str) -> Damage:
    """Damage a database."""

    def damage(path: Path) -> None:
        with closing(sqlite3.connect(path)) as connection, connection:
            for statement in statements:
                connection.execute(statement)

    return damage


# --- LangGraph -------------------------------------------------------------------------------------------------------

IDS = [f"1ef4f797-8335-6428-800{number}-8a1503f9b875" for number in range(6)]
_TABLES = """
CREATE TABLE checkpoints (thread_id TEXT NOT NULL, checkpoint_ns TEXT NOT NULL DEFAULT '', checkpoint_id TEXT NOT NULL,
  parent_checkpoint_id TEXT, type TEXT, checkpoint BLOB, metadata BLOB,
  PRIMARY KEY (thread_id, checkpoint_ns, checkpoint_id));
CREATE TABLE writes (thread_id TEXT NOT NULL, checkpoint_ns TEXT NOT NULL DEFAULT '', checkpoint_id TEXT NOT NULL,
  task_id TEXT NOT NULL, idx INTEGER NOT NULL, channel TEXT NOT NULL, type TEXT, value BLOB,
  PRIMARY KEY (thread_id, checkpoint_ns, checkpoint_id, task_id, idx));
"""


def checkpoints(folder: Path) -> Path:
    """A thread whose channel `log` is a snapshot first and writes from then on."""
    path = folder / "agent.sqlite"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.executescript(_TABLES)
        for number, identity in enumerate(IDS):
            values: dict[str, Any] = {"n": number}
            if number == 0:
                values["log"] = ormsgpack.Ext(7, ormsgpack.packb(["a"]))
            body = {"v": 4, "ts": f"2024-05-04T06:32:4{number}.235444+00:00", "id": identity,
                    "channel_values": values, "channel_versions": {"n": number, "log": number}}  # fmt: skip
            facts = {"source": "loop", "step": number - 1, "counters_since_delta_snapshot": {"log": [number, number]}}
            parent = IDS[number - 1] if number else None
            row = ("t", "", identity, parent, "msgpack", ormsgpack.packb(body), json.dumps(facts).encode())
            connection.execute("INSERT INTO checkpoints VALUES (?, ?, ?, ?, ?, ?, ?)", row)
            write = ("t", "", identity, "task", 0, "log", "msgpack", msgpack.packb([f"w{number}"]))
            connection.execute("INSERT INTO writes VALUES (?, ?, ?, ?, ?, ?, ?, ?)", write)
    return path


# --- regions ---------------------------------------------------------------------------------------------------------


def region(folder: Path) -> Path:
    """The seed's region file."""
    path = folder / "region.json"
    document = read_region_file(SEEDS / "ringworld-7-23.json")
    path.write_bytes(encode_region(document, "json"))
    return path


def contradicting_region(folder: Path) -> Path:
    """A region in which something is built where something stands."""
    path = folder / "region.json"
    known = read_region_file(SEEDS / "ringworld-7-23.json")
    assert isinstance(known, RegionDeltaFile)
    built = [{"tick": tick, "action": "building_built", "position": {"x": 3, "y": 4}, "data": {"buildingType": kind, "rotation": 0, "owner": "ada"}}
             for tick, kind in ((1, "inn"), (2, "mill"))]  # fmt: skip
    deltas = tuple(map(RegionDelta.from_json, built))
    path.write_bytes(encode_region(RegionDeltaFile(known.address, "town", 7, deltas), "json"))
    return path


def in_region(change: Callable[[list[dict[str, Any]]], None]) -> Damage:
    """Damage the deltas of a region file."""

    def damage(path: Path) -> None:
        document = json.loads(path.read_text())
        change(document["deltas"])
        path.write_text(json.dumps(document))

    return damage


def malformed_delta(deltas: list[dict[str, Any]]) -> None:
    deltas[1]["tick"] = "soon"


def swapped_deltas(deltas: list[dict[str, Any]]) -> None:
    deltas.reverse()


SOURCE_CASES = [
    SourceCase("nexus: a base is missing", nexus_list, in_list(lose_base), {Code.SEVERED_BASE},
               ("snapshot 5", "snapshot 6", "snapshot 7", "snapshot 8"), holes=4),
    SourceCase("nexus: a base stands after its deltas", nexus_list, in_list(base_after_deltas), {Code.SEVERED_BASE},
               ("snapshot 5", "snapshot 8"), holes=4),
    SourceCase("nexus: a base names nothing", nexus_list, in_list(wrong_base), {Code.SEVERED_BASE},
               ("snapshot 3",), holes=1),
    SourceCase("nexus: an id twice", nexus_list, in_list(same_id), {Code.DUPLICATE}, ("snapshot 7",)),
    SourceCase("nexus: an old value of its own", nexus_list, in_list(other_old_value), {Code.CONTRADICTS},
               ("snapshot 2",), {2}),
    SourceCase("nexus: fewer changes than said", nexus_list, in_list(lose_a_change), {Code.MALFORMED},
               ("snapshot 3",), {3}),
    SourceCase("nexus: an item that is none", long_nexus_list, in_list(no_snapshot), {Code.MALFORMED, Code.OVER_LIMIT},
               ("snapshot 22",), holes=1),
    SourceCase("nexus: chains too long", long_nexus_list, nothing, {Code.OVER_LIMIT}, ("snapshot 0", "snapshot 26")),
    SourceCase("nexus lines: a base is cut", nexus_lines, break_line(5), {Code.MALFORMED, Code.SEVERED_BASE},
               ("history.jsonl:6 ", "history.jsonl:7 "), holes=5),
    SourceCase("delta records: no base state", delta_chain, in_chain(lose_base_state), {Code.SEVERED_BASE},
               ("record 0",), set(range(5))),
    SourceCase("delta records: a checksum does not fit", delta_chain, in_chain(alter_record), {Code.CHECKSUM},
               ("record 3",), {3, 4, 5}),
    SourceCase("delta records: one does not decode", delta_chain, in_chain(undecodable_record),
               {Code.MALFORMED, Code.SEVERED_BASE}, ("record 3",), {3, 4}, holes=1),
    SourceCase("events: a payload was changed", event_log,
               by_sql("UPDATE events SET payload = '{\"astDiff\":[]}' WHERE sequence = 3"),
               {Code.HASH_CHAIN, Code.MALFORMED}, ("event 3 of space 'b.json'",), {2, 3, 4}),
    SourceCase("events: one is missing", event_log, by_sql("DELETE FROM events WHERE sequence = 3"),
               {Code.MISSING_ENTRIES, Code.SEVERED_BASE, Code.MALFORMED}, ("event 4 of space 'b.json'",), {2, 3}, holes=1),
    SourceCase("events: the genesis is missing", event_log, by_sql("DELETE FROM events WHERE sequence = 1"),
               {Code.MISSING_ENTRIES, Code.SEVERED_BASE}, ("event 2 of space 'b.json'",), {0, 1, 2, 3}, holes=1),
    SourceCase("events: the last is missing", event_log, by_sql("DELETE FROM events WHERE sequence = 5"),
               {Code.MISSING_ENTRIES}, ("event 5 of space 'b.json'",), holes=1),
    SourceCase("events: one does not read", event_log,
               by_sql("UPDATE events SET payload = x'00ff' WHERE sequence = 3"),
               {Code.MALFORMED, Code.SEVERED_BASE}, ("event 3 of space 'b.json'",), {2, 3}, holes=1),
    SourceCase("langgraph: the seed is missing", checkpoints,
               by_sql(f"DELETE FROM checkpoints WHERE checkpoint_id = '{IDS[0]}'"),
               {Code.SEVERED_BASE, Code.FORK_WITHOUT_PARENT, Code.UNREACHABLE},
               (f"checkpoint {IDS[1]}", f"checkpoint {IDS[4]}", f"checkpoint {IDS[0]}"), set(range(5))),
    SourceCase("langgraph: a checkpoint does not read", checkpoints,
               by_sql(f"UPDATE checkpoints SET checkpoint = x'c1' WHERE checkpoint_id = '{IDS[2]}'"),
               {Code.MALFORMED, Code.SEVERED_BASE}, (f"checkpoint {IDS[2]}", f"checkpoint {IDS[3]}"), {2, 3, 4}, holes=1),
    SourceCase("langgraph: parents go round", checkpoints,
               by_sql(f"UPDATE checkpoints SET parent_checkpoint_id = '{IDS[3]}' WHERE checkpoint_id = '{IDS[1]}'"),
               {Code.CYCLE, Code.SEVERED_BASE}, (f"checkpoint {IDS[1]}",), {1, 2, 3, 4, 5}),
    SourceCase("region: a delta does not read", region, in_region(malformed_delta),
               {Code.MALFORMED, Code.SEVERED_BASE}, ("deltas[1]",), {1}, holes=1),
    SourceCase("region: deltas out of order", region, in_region(swapped_deltas), {Code.CLOCK_BACKWARDS}, ("delta 1",)),
    SourceCase("region: built where something stands", contradicting_region, nothing, {Code.CONTRADICTS},
               ("tick 2, building_built",)),
]  # fmt: skip
