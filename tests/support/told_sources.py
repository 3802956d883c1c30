"""Random histories, and the same history written in every format that can express it, by writers of their own.

A writer gets a folder and what is to be told; it returns what to open and what the file then tells, which may be other
entries (one a changed atom) or other atoms (`thread channel`), but never less.
"""

from __future__ import annotations

import copy
import csv
import datetime as dt
import decimal
import gzip
import hashlib
import json
import os
import random
import sqlite3
import subprocess
import uuid
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import jsonpatch
import msgpack
import yaml

from support.git_repo import ENVIRONMENT
from support.oracle import MISSING, State, Thing, Told, log_of, record_name, same
from unspool import History, open_history
from unspool.model.tags import Tagged
from unspool.recorder import Recorder
from unspool.store import MemoryStore

START = 1_700_000_000
WORDS = ("red", "green", "Blue", "a lamp", "line one\nline two", "", "12", "\u00e9t\u00e9", "x" * 70)
KEYS = ("k", "", "a.b", "x/y~z", "\u00fc", "0", "two words", "id")
LEAVES: tuple[Any, ...] = (0, 1, 12, -3, 1.0, 2.5, True, False, None, 10**20, "red", "12", [], {})
ODD: tuple[Any, ...] = (
    0.0, -0.0, float("nan"), float("inf"), 1, 1.0, True, decimal.Decimal("1.0"), decimal.Decimal("1.00"), b"\x00ff", (1, "a"), (1.0, "a"),
    {1, 2}, {1, True + 1.5}, frozenset({"x"}), dt.date(2024, 5, 1), dt.datetime(2024, 5, 1, 12), dt.datetime(2024, 5, 1, 12, fold=1),
    dt.datetime(2024, 5, 1, 12, tzinfo=dt.UTC), dt.datetime(2024, 5, 1, 14, tzinfo=dt.timezone(dt.timedelta(hours=2))),
    dt.timedelta(seconds=1), uuid.UUID(int=5), 1 + 2j, 2**70, -(2**70), "\ud800", "red", None, [], {}, (), set(),
)  # fmt: skip
"""Values that JSON lacks, some of which are alike but not the same."""
ODD_KEYS: tuple[Any, ...] = (1, "1", 2.5, None, (1, 2), b"k", dt.date(2024, 5, 1), -7)

Writer = Callable[[Path, Told], tuple[str, Told]]


def row(rng: random.Random, number: int) -> State:
    """A record of a list."""
    name = number if number % 3 else f"r-{number}"
    return {"id": name, "qty": rng.randrange(4), "note": rng.choice(WORDS), "lines": []}


def edit(rng: random.Random, state: State, *, odd: bool = False) -> None:
    """Change something in a state: a record added, taken, moved or edited, a key, a text, an atom."""
    kinds = [
        "add",
        "drop",
        "move",
        "field",
        "key",
        "nokey",
        "tag",
        "text",
        "atom",
        "noatom",
        "line",
        "inside",
        "pod",
        "resource",
    ]
    kind = rng.choice([*kinds, *(["odd"] * 6 if odd else [])])
    rows: list[State] = state.get("rows", [])
    if kind == "add":
        taken = {item["id"] for item in rows}
        fresh = [made for made in (row(rng, number) for number in range(8)) if made["id"] not in taken]
        if fresh:
            state.setdefault("rows", []).insert(rng.randrange(len(rows) + 1), rng.choice(fresh))
    elif kind in ("drop", "move") and rows:
        item = rows.pop(rng.randrange(len(rows)))
        if kind == "move":
            rows.insert(rng.randrange(len(rows) + 1), item)
    elif kind == "field" and rows:
        name, value = rng.choice(
            [("qty", rng.randrange(4)), ("note", rng.choice(WORDS)), ("seen", rng.choice(LEAVES))]
        )
        rng.choice(rows)[name] = copy.deepcopy(value)
    elif kind == "line" and rows:
        lines = rng.choice(rows)["lines"]
        sku = f"s{rng.randrange(4)}"
        found = [line for line in lines if line["sku"] == sku]
        if found:
            found[0]["n"] = rng.randrange(5)
        else:
            lines.append({"sku": sku, "n": rng.randrange(5)})
    elif kind in ("key", "nokey", "inside"):
        conf = state.setdefault("conf", {})
        if kind == "inside":
            inner = conf.get("inner")
            conf = conf["inner"] = inner if isinstance(inner, dict) else {}
        name = rng.choice(KEYS)
        if kind == "nokey":
            conf.pop(name, None)
        else:
            conf[name] = copy.deepcopy(rng.choice(LEAVES))
    elif kind == "tag":
        tags = state.setdefault("tags", [])
        tag = f"t{rng.randrange(6)}"
        tags.remove(tag) if tag in tags else tags.append(tag)
    elif kind == "pod":
        _turn(rng, state.setdefault("pods", []), _pod)
    elif kind == "resource":
        _turn(rng, state.setdefault("resources", []), _resource)
    elif kind == "text":
        state["text"] = "\n".join(rng.choice(WORDS) for _ in range(rng.randrange(4)))
    elif kind == "odd":
        things = state.setdefault("things", {})
        place = rng.choice(ODD_KEYS)
        things[place] = copy.deepcopy(rng.choice(ODD))
        state["thing"] = Thing(
            "shop.Cart", {"n": copy.deepcopy(rng.choice(ODD)), "rows": [{"id": 1, "v": rng.randrange(3)}]}
        )
    else:
        name = rng.choice(["n", "extra", "odd name"])
        if kind == "atom":
            state[name] = copy.deepcopy(rng.choice(LEAVES))
        else:
            state.pop(name, None)


def _turn(rng: random.Random, records: list[State], make: Callable[[int], State]) -> None:
    """Put a record into a list, take it out again, or change and move it."""
    made = make(rng.randrange(6))
    name = record_name(made)
    known = [place for place, record in enumerate(records) if same(record_name(record), name)]
    found = records.pop(known[0]) if known else made
    if not known or rng.random() < 0.7:
        found["ready"] = rng.randrange(3)
        records.insert(rng.randrange(len(records) + 1), found)


def _pod(number: int) -> State:
    return {"kind": "Pod", "metadata": {"uid": f"u{number}", "name": f"pod {number % 2}"}, "ready": 0}


def _resource(number: int) -> State:
    return {"mode": "managed", "type": f"type {number % 2}", "name": f"name {number // 2}", "ready": 0}


def tell(seed: int, count: int, *, forks: bool = False, odd: bool = False) -> Told:
    """Tell a random history."""
    rng = random.Random(seed)
    states: list[State] = []
    parents: list[int | None] = []
    for number in range(count):
        parent = number - 1 if number else None
        if forks and number > 1 and rng.random() < 0.2:
            parent = rng.randrange(number)
        state = {"n": 0, "rows": [row(rng, 1), row(rng, 2)]} if parent is None else copy.deepcopy(states[parent])
        for _ in range(rng.choice((0, 1, 1, 1, 2, 3))):
            edit(rng, state, odd=odd)
        states.append(state)
        parents.append(parent)
    return Told(states, parents, actions=[f"step {number % 3}" for number in range(count)])


def wrapped(value: Any) -> Any:
    """A value as it is recorded: objects of a class as the wire form has them."""
    if isinstance(value, Thing):
        return Tagged(value.type_name, wrapped(value.fields))
    if isinstance(value, dict):
        return {key: wrapped(item) for key, item in value.items()}
    return [wrapped(item) for item in value] if isinstance(value, list) else value


def unwrapped(value: Any) -> Any:
    """A value as the oracle knows it."""
    if isinstance(value, Tagged) and isinstance(value.value, dict):
        return Thing(value.type_name, unwrapped(value.value))
    if isinstance(value, dict):
        return {key: unwrapped(item) for key, item in value.items()}
    return [unwrapped(item) for item in value] if isinstance(value, list) else value


def recorded(target: Any, told: Told, **options: Any) -> None:
    """Record what is told."""
    with Recorder(target, on_error="raise", **options) as recorder:
        for seq, state in enumerate(told.states):
            parent = None if told.parents[seq] == seq - 1 else told.parents[seq]
            part = told.parts[seq]
            recorder.record(
                {atom: wrapped(value) for atom, value in state.items()},
                told.actions[seq] if told.actions else "",
                timestamp_ns=(START + seq) * 10**9,
                parent_seq=parent,
                part=None if part is None else tuple(part),
            )


def in_memory(told: Told, **options: Any) -> History:
    """Return a history of what is told, in memory."""
    store = MemoryStore("told.unspool")
    recorded(store, told, **options)
    return History(store)


def _native(folder: Path, told: Told) -> tuple[str, Told]:
    path = folder / "told.unspool"
    recorded(path, told)
    return str(path), told


def _compacted(folder: Path, told: Told) -> tuple[str, Told]:
    from unspool.store.compacting import compact

    source, _ = _native(folder, told)
    target = folder / "compacted.unspool"
    compact(Path(source), target)
    return str(target), told


def _converted(folder: Path, told: Told) -> tuple[str, Told]:
    from unspool.sources.copying import convert
    from unspool.sources.foreign import Reading

    source, _ = _native(folder, told)
    target = folder / "converted.unspool"
    convert(source, target, Reading())
    return str(target), told


def in_parts(folder: Path, told: Told) -> Told:
    """The same history told by several threads that take turns, each of which may go back alone."""
    (folder / "parts").mkdir()
    made = _langgraph(folder / "parts", told)[1]
    made.actions = told.actions
    return made


def _exported(folder: Path, told: Told) -> tuple[str, Told]:
    from unspool.sources.exports import export_lines

    path = folder / "told.jsonl"
    path.write_text("".join(f"{line}\n" for line in export_lines(in_memory(told), "jsonl")))
    return str(path), told


def _lines(folder: Path, records: list[Any], *, encoding: str = "utf-8", indent: int | None = None) -> str:
    path = folder / "told.jsonl"
    path.write_bytes("".join(json.dumps(record, indent=indent) + "\n" for record in records).encode(encoding))
    return str(path)


def _enveloped(told: Told) -> list[Any]:
    return [
        {"timestamp": START + seq, "action": told.actions[seq], "state": state}
        for seq, state in enumerate(told.states)
    ]


def _envelopes(folder: Path, told: Told) -> tuple[str, Told]:
    return _lines(folder, _enveloped(told)), told


def _utf_16(folder: Path, told: Told) -> tuple[str, Told]:
    return _lines(folder, _enveloped(told), encoding="utf-16"), told


def _packed(folder: Path, told: Told) -> tuple[str, Told]:
    path = Path(_lines(folder, _enveloped(told)))
    path.write_bytes(gzip.compress(path.read_bytes()))
    return str(path), told


def _pretty(folder: Path, told: Told) -> tuple[str, Told]:
    return _lines(folder, _enveloped(told), indent=2), told


def _patches(folder: Path, told: Told) -> tuple[str, Told]:
    records: list[Any] = [told.states[0]]
    for seq in range(1, len(told.states)):
        patch = jsonpatch.make_patch(told.states[seq - 1], told.states[seq]).patch
        records.append({"timestamp": START + seq, "action": told.actions[seq], "patch": _whole(patch, told, seq)})
    return _lines(folder, records), Told(told.states, actions=["", *told.actions[1:]])


def _whole(patch: list[Any], told: Told, seq: int) -> list[Any]:
    """The patch, or one that puts every atom anew: Python's 1 == True hides a change from the library."""
    led_to = jsonpatch.apply_patch(copy.deepcopy(told.states[seq - 1]), patch)
    if same(led_to, told.states[seq]):
        return patch
    return [{"op": "replace", "path": "", "value": told.states[seq]}]


def _immer(folder: Path, told: Told) -> tuple[str, Told]:
    records: list[Any] = []
    for seq in range(len(told.states)):
        old, new = (told.states[seq - 1] if seq else {}), told.states[seq]
        steps = []
        for atom, kind in log_of(told, seq).items():
            if kind == "deleted":
                steps.append({"op": "remove", "path": [atom]})
            elif isinstance(new[atom], dict) and isinstance(old.get(atom), dict):
                steps += _fields(atom, old[atom], new[atom])
            else:
                steps.append({"op": "add" if kind == "added" else "replace", "path": [atom], "value": new[atom]})
        records.append({"timestamp": START + seq, "action": told.actions[seq], "patches": steps})
    return _lines(folder, records), told


def _fields(atom: str, old: State, new: State) -> list[Any]:
    steps: list[Any] = [{"op": "remove", "path": [atom, key]} for key in old if key not in new]
    for key, value in new.items():
        if not same(old.get(key, MISSING), value):
            steps.append({"op": "replace" if key in old else "add", "path": [atom, key], "value": value})
    return steps


def _redux(folder: Path, told: Told) -> tuple[str, Told]:
    count = len(told.states)
    actions = {
        str(seq): {"type": "PERFORM_ACTION", "action": {"type": told.actions[seq]}, "timestamp": (START + seq) * 1000}
        for seq in range(count)
    }
    lifted = {
        "actionsById": actions, "nextActionId": count, "stagedActionIds": list(range(count)), "skippedActionIds": [],
        "committedState": told.states[0], "currentStateIndex": count - 1,
        "computedStates": [{"state": state} for state in told.states],
    }  # fmt: skip
    return _document(folder, lifted), told


def _document(folder: Path, value: Any) -> str:
    path = folder / "told.json"
    path.write_text(json.dumps(value))
    return str(path)


def _nexus_atoms(state: State) -> State:
    return {atom: {"value": value, "type": "primitive", "name": atom} for atom, value in state.items()}


def _nexus(folder: Path, told: Told) -> tuple[str, Told]:
    snapshots = [
        {"id": f"s{seq}", "state": _nexus_atoms(state),
         "metadata": {"timestamp": (START + seq) * 1000, "action": told.actions[seq], "atomCount": len(state)}}
        for seq, state in enumerate(told.states)
    ]  # fmt: skip
    return _document(folder, snapshots), told


def _nexus_deltas(folder: Path, told: Told) -> tuple[str, Told]:
    records: list[Any] = []
    for seq, state in enumerate(told.states):
        facts = {"timestamp": (START + seq) * 1000, "action": told.actions[seq], "atomCount": len(state)}
        if seq % 5 == 0:
            base = seq
            records.append(
                {
                    "id": f"s{seq}",
                    "type": "full",
                    "state": _nexus_atoms(state),
                    "metadata": facts,
                    "baseSnapshotId": None,
                }
            )
            continue
        old = told.states[base]
        against = Told([old, state])
        changes = [
            [
                atom,
                {
                    "atomId": atom,
                    "atomName": atom,
                    "oldValue": old.get(atom),
                    "newValue": state.get(atom),
                    "changeType": kind,
                },
            ]
            for atom, kind in log_of(against, 1).items()
        ]
        facts |= {"baseTimestamp": (START + base) * 1000, "changeCount": len(changes)}
        records.append({"id": f"s{seq}", "type": "delta", "baseSnapshotId": f"s{base}", "state": {},
                        "changes": {"__type": "Map", "entries": changes}, "metadata": facts})  # fmt: skip
    names = sorted({atom for state in told.states for atom in state})
    summary = {"snapshotCount": len(records), "timeRange": {"from": 0, "to": 0}, "atomNames": names}
    return _document(folder, {"version": "1.0", "exportedAt": 0, "snapshots": records, "metadata": summary}), told


def _delta_records(folder: Path, told: Told) -> tuple[str, Told]:
    records: list[Any] = [told.states[0]]
    for seq in range(1, len(told.states)):
        kinds, state = log_of(told, seq), told.states[seq]
        changes = {atom: state[atom] for atom, kind in kinds.items() if kind != "deleted"}
        removed = [atom for atom, kind in kinds.items() if kind == "deleted"]
        payload = json.dumps({"changes": changes, "removed": removed}, sort_keys=True)
        records.append({
            "changes": changes, "removed_keys": removed, "timestamp": START + seq, "compression_ratio": 1.0, "size_bytes": len(payload),
            "checksum": hashlib.sha256(payload.encode()).hexdigest()[:16],
            "metadata": {"compression_level": 0, "original_size": 1, "compressed_size": 1},
        })  # fmt: skip
    return _lines(folder, records), Told(told.states)


def _folder(ending: str, write: Callable[[State], bytes]) -> Writer:
    def writer(folder: Path, told: Told) -> tuple[str, Told]:
        for seq, state in enumerate(told.states):
            (folder / f"state{seq}.{ending}").write_bytes(write(state))
        return str(folder), Told(told.states, actions=[f"state{seq}.{ending}" for seq in range(len(told.states))])

    return writer


def _json(state: State) -> bytes:
    return json.dumps(state, indent=1).encode()


def _yaml(state: State) -> bytes:
    return yaml.safe_dump(state, allow_unicode=True).encode("utf-8", "surrogatepass")


def _jsonc(state: State) -> bytes:
    return b"// settings\n" + json.dumps(state, indent=1).encode() + b"\n/* end */\n"


def _git(name: str, write: Callable[[State], bytes]) -> Writer:
    def writer(folder: Path, told: Told) -> tuple[str, Told]:
        subprocess.run(
            ["git", "init", "-q", "-b", "main", str(folder)], check=True, env={**os.environ, **ENVIRONMENT}
        )
        stream, kept, versions = [], [], [write(state) for state in told.states]
        for seq, data in enumerate(versions):
            if seq and data == versions[seq - 1]:
                continue
            kept.append(seq)
            stream.append(
                f"commit refs/heads/main\ncommitter Ada <ada@example.org> {START + seq} +0000\ndata <<END\n{told.actions[seq]}\nEND\n"
                f"M 100644 inline {name}\ndata {len(data)}\n".encode()
                + data
                + b"\n"
            )
        subprocess.run(["git", "fast-import", "--quiet"], cwd=folder, check=True, input=b"".join(stream))
        # What is written as the same bytes is the same file to git, which tells of no commit.
        return f"git:{folder}:{name}", Told(
            [told.states[seq] for seq in kept], actions=[told.actions[seq] for seq in kept]
        )

    return writer


def _rewritten(folder: Path, told: Told) -> tuple[str, Told]:
    """A document as it stands at first; `grown` saves it again and again."""
    return _document(folder, told.states[0]), told


def grown(target: str, history: History, told: Told) -> None:
    """Save a document anew for every state after the first."""
    path = Path(target)
    for state in told.states[1:]:
        path.with_suffix(".new").write_text(json.dumps(state))
        path.with_suffix(".new").rename(path)
        history.refresh()


def _debezium(folder: Path, told: Told) -> tuple[str, Told]:
    """Rows of a table as they are created, updated and deleted; what is told has an entry a changed row."""
    table: dict[str, State] = {}
    states, actions, records = [], [], []
    for seq, state in enumerate(told.states):
        rows = {repr(item["id"]): {**item, "id": item["id"]} for item in state.get("rows", [])}
        for name in [*table, *(name for name in rows if name not in table)]:
            old, new = table.get(name), rows.get(name)
            if same(old, new):
                continue
            operation = "c" if old is None else "d" if new is None else "u"
            if new is None:
                del table[name]
            else:
                table[name] = copy.deepcopy(new)
            at = (START + seq) * 1000
            records.append({"payload": {"before": old, "after": new, "op": operation, "ts_ms": at,
                                        "source": {"db": "d", "table": "rows", "ts_ms": at}}})  # fmt: skip
            states.append({"d.rows": copy.deepcopy(list(table.values()))})
            actions.append({"c": "create d.rows", "u": "update d.rows", "d": "delete d.rows"}[operation])
    return _lines(folder, records), Told(states, actions=actions)


def _event_log(folder: Path, told: Told) -> tuple[str, Told]:
    from unspool.events import EventLog, write_source

    path = folder / "log.db"
    states: list[State] = []
    with EventLog(path) as log:
        for seq, state in enumerate(told.states):
            if not states or not same(states[-1], state):
                at = dt.datetime.fromtimestamp(START + seq, dt.UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
                write_source(log, "told", at, json.dumps(state), "json")
                states.append(state)
    return str(path), Told(states)


def _langgraph(folder: Path, told: Told) -> tuple[str, Told]:
    """Threads that take turns, of which each may go back to one of its own checkpoints."""
    rng = random.Random(len(told.states) * 1000 + len(json.dumps(told.states)))
    path = folder / "threads.sqlite"
    names = ("ann", "bob", "cy")
    last: dict[str, int] = {}
    own: dict[str, list[tuple[int, State]]] = {name: [] for name in names}
    states: list[State] = []
    parents: list[int | None] = []
    parts: list[frozenset[str] | None] = []
    rows = []
    for seq, state in enumerate(told.states):
        name = rng.choice(names)
        before, goes_back = own[name][-1:], len(own[name]) > 1 and rng.random() < 0.4
        if goes_back:
            before = [rng.choice(own[name][:-1])]
        parent = before[0][0] if before else None
        values = {f"{name} {atom}": value for atom, value in state.items()}
        others = {
            atom: value for atom, value in (states[-1] if states else {}).items() if not atom.startswith(f"{name} ")
        }
        states.append({**others, **values})
        parents.append(parent if goes_back else seq - 1 if seq else None)
        concerned = {atom for known in states for atom in known if atom.startswith(f"{name} ")}
        parts.append(frozenset(concerned) if goes_back else None)
        own[name].append((seq, values))
        last[name] = seq
        packed = msgpack.packb(
            {"id": f"c{seq:04}", "ts": f"2024-05-01T10:00:{seq:02}+00:00", "channel_values": _small(state)}
        )
        above = None if parent is None else f"c{parent:04}"
        rows.append((name, "", f"c{seq:04}", above, "msgpack", packed, b'{"source":"loop","step":%d}' % seq))
    states = [{atom: _small(value) for atom, value in state.items()} for state in states]
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(
            "CREATE TABLE checkpoints (thread_id TEXT, checkpoint_ns TEXT, checkpoint_id TEXT, parent_checkpoint_id TEXT, "
            "type TEXT, checkpoint BLOB, metadata BLOB)"
        )
        connection.executemany("INSERT INTO checkpoints VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
        connection.commit()
    if len(last) == 1:
        (name,) = last
        states = [{atom.removeprefix(f"{name} "): value for atom, value in state.items()} for state in states]
        parts = [None] * len(states)
    return str(path), Told(states, parents, parts)


def _small(value: Any) -> Any:
    """A value whose integers msgpack can hold."""
    if isinstance(value, dict):
        return {key: _small(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_small(item) for item in value]
    return str(value) if type(value) is int and abs(value) >= 2**63 else value


def _home_assistant(folder: Path, told: Told) -> tuple[str, Told]:
    path = folder / "home.db"
    states: list[State] = []
    actions = []
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(
            "CREATE TABLE schema_changes (change_id INTEGER PRIMARY KEY, schema_version INTEGER, changed DATETIME);"
            "CREATE TABLE states_meta (metadata_id INTEGER PRIMARY KEY, entity_id VARCHAR(255));"
            "CREATE TABLE state_attributes (attributes_id INTEGER PRIMARY KEY, hash BIGINT, shared_attrs TEXT);"
            "CREATE TABLE states (state_id INTEGER PRIMARY KEY, metadata_id INTEGER, state VARCHAR(255), attributes_id INTEGER,"
            " last_changed_ts FLOAT, last_updated_ts FLOAT, old_state_id INTEGER, context_id_bin BLOB);"
        )
        names: dict[str, int] = {}
        for seq in range(len(told.states)):
            for atom, kind in log_of(told, seq).items():
                if atom not in names:
                    names[atom] = len(names) + 1
                    connection.execute("INSERT INTO states_meta VALUES (?, ?)", (names[atom], f"sensor.{atom}"))
                number = len(states) + 1
                state = dict(states[-1]) if states else {}
                if kind == "deleted":
                    state.pop(f"sensor.{atom}", None)
                    text, attributes = "", None
                else:
                    text, attributes = str(seq % 2), number
                    content = {"held": told.states[seq][atom]}
                    state[f"sensor.{atom}"] = {"state": text, "attributes": content}
                    connection.execute("INSERT INTO state_attributes VALUES (?, 0, ?)", (number, json.dumps(content)))
                row_of = (number, names[atom], text, attributes, None, float(START + number), None, None)
                connection.execute("INSERT INTO states VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row_of)
                states.append(state)
                actions.append(f"sensor.{atom} removed" if kind == "deleted" else f"sensor.{atom} \u2192 {text}")
        connection.commit()
    return str(path), Told(states, actions=actions)


def _xstate(folder: Path, told: Told) -> tuple[str, Told]:
    states: list[State] = []
    actions, records = [], []
    for seq in range(len(told.states)):
        for atom, kind in log_of(told, seq).items():
            if kind == "deleted":
                continue
            snapshot = {
                "status": "active",
                "value": "on",
                "context": {"held": told.states[seq][atom]},
                "children": {},
            }
            records.append({"type": "@xstate.snapshot", "sessionId": f"x:{atom}", "createdAt": str((START + seq) * 1000),
                            "event": {"type": told.actions[seq]}, "snapshot": snapshot})  # fmt: skip
            plain = {"status": "active", "value": "on", "context": {"held": told.states[seq][atom]}}
            states.append({**(states[-1] if states else {}), f"x:{atom}": plain})
            actions.append(told.actions[seq])
    return _lines(folder, records), Told(states, actions=actions)


def _events(folder: Path, told: Told) -> tuple[str, Told]:
    records = [
        {"ts": START + seq, "event": told.actions[seq], "payload": state} for seq, state in enumerate(told.states)
    ]
    return _lines(folder, records), Told(
        [{"event": {key: record[key] for key in ("event", "payload")}} for record in records], actions=told.actions
    )


def _mongo(folder: Path, told: Told) -> tuple[str, Told]:
    """Documents of a collection as they are inserted, replaced and deleted, an entry each."""
    table: dict[str, State] = {}
    states, actions, records = [], [], []
    for state in told.states:
        rows = {repr(item["id"]): {"_id": item["id"], **item} for item in state.get("rows", [])}
        for name in [*table, *(name for name in rows if name not in table)]:
            old, new = table.get(name), rows.get(name)
            if same(old, new):
                continue
            kind = "insert" if old is None else "delete" if new is None else "replace"
            at = {"$timestamp": {"t": START + len(records), "i": 1}}
            record = {"_id": {"_data": str(len(records))}, "operationType": kind, "clusterTime": at,
                      "ns": {"db": "d", "coll": "rows"}, "documentKey": {"_id": (old or new or {})["_id"]}}  # fmt: skip
            if new is None:
                del table[name]
            else:
                table[name] = record["fullDocument"] = copy.deepcopy(new)
            records.append(record)
            states.append({"d.rows": copy.deepcopy(list(table.values()))})
            actions.append(f"{kind} d.rows")
    return _lines(folder, records), Told(states, actions=actions)


def _temporal(folder: Path, told: Told) -> tuple[str, Told]:
    events: list[Any] = []
    states: list[State] = []
    for seq, state in enumerate(told.states):
        moment = dt.datetime.fromtimestamp(START + seq, dt.UTC).isoformat()
        attributes = {"held": state}
        events.append(
            {
                "eventId": str(seq + 1),
                "eventTime": moment,
                "eventType": "MarkerRecorded",
                "markerRecordedEventAttributes": attributes,
            }
        )
        states.append({"event": {"eventType": "MarkerRecorded", "attributes": attributes}})
    return _document(folder, {"events": events}), Told(states, actions=["MarkerRecorded"] * len(states))


def _archive(folder: Path, told: Told) -> tuple[str, Told]:
    from unspool.events import EventLog

    source, told = _event_log(folder, told)
    path = folder / "told.rblogs"
    with EventLog(source) as log:
        path.write_bytes(log.export_archive("told"))
    return str(path), told


def _rrweb(folder: Path, told: Told) -> tuple[str, Told]:
    """A page of which one element's attributes follow the keys of `conf`."""
    body = {"type": 2, "id": 2, "tagName": "body", "attributes": {}, "childNodes": []}
    events: list[Any] = [
        {"type": 2, "timestamp": START * 1000, "data": {"node": {"type": 0, "id": 1, "childNodes": [body]}}}
    ]
    shown: dict[str, str] = {}

    def page() -> State:
        nodes = {"1": {"type": 0, "children": ["2"]}, "2": {"type": 2, "tagName": "body", "attributes": dict(shown)}}
        return {"page": {}, "nodes": nodes, "inputs": {}, "scroll": {}}

    states, actions = [page()], ["FullSnapshot"]
    for seq, state in enumerate(told.states, start=1):
        wanted = {key: repr(value) for key, value in state.get("conf", {}).items() if key}
        changed: dict[str, str | None] = {key: value for key, value in wanted.items() if shown.get(key) != value}
        changed |= dict.fromkeys(shown.keys() - wanted.keys())
        data = {"source": 0, "texts": [], "removes": [], "adds": [], "attributes": [{"id": 2, "attributes": changed}]}
        events.append({"type": 3, "timestamp": (START + seq) * 1000, "data": data})
        shown = wanted
        states.append(page())
        actions.append("Mutation")
    return _document(folder, events), Told(states, actions=actions)


def _spelled_in_toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {_spelled_in_toml(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_spelled_in_toml, value)) + "]"
    return json.dumps(value)


def _without_null(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_null(item) for key, item in value.items() if item is not None}
    return [_without_null(item) for item in value] if isinstance(value, list) else value


def _toml_folder(folder: Path, told: Told) -> tuple[str, Told]:
    told = Told([_small(_without_null(state)) for state in told.states])
    return _folder(
        "toml", lambda state: "".join(f"{json.dumps(k)} = {_spelled_in_toml(v)}\n" for k, v in state.items()).encode()
    )(folder, told)


def _msgpack_folder(folder: Path, told: Told) -> tuple[str, Told]:
    return _folder("msgpack", msgpack.packb)(folder, Told([_small(state) for state in told.states]))


def _cell(text: str) -> Any:
    return int(text) if text.isdigit() else text


def _tables(folder: Path, told: Told) -> tuple[str, Told]:
    """Tables of the records, whose cells are numbers where their text is one."""
    states = []
    for seq, state in enumerate(told.states):
        rows = [[str(item[name]) for name in ("id", "qty", "note")] for item in state.get("rows", [])]
        with (folder / f"table{seq}.csv").open("w", newline="") as stream:
            csv.writer(stream).writerows([["id", "qty", "note"], *rows])
        states.append({"value": [dict(zip(("id", "qty", "note"), map(_cell, row), strict=True)) for row in rows]})
    return str(folder), Told(states, actions=[f"table{seq}.csv" for seq in range(len(states))])


def _with_keys_by_hand(folder: Path, told: Told) -> tuple[str, Told]:
    """Records known by a field that nothing would detect, and a file that remembers it."""

    def turned(row: State) -> State:
        rest = {key: value for key, value in row.items() if key != "id"}
        return {"of": {"mark": row["id"]}, **rest}

    states = [
        {**state, "rows": [turned(row) for row in state["rows"]]} if "rows" in state else state
        for state in told.states
    ]
    told = Told(states, told.parents, told.parts, told.actions)
    path = folder / "told.unspool"
    recorded(path, told, identity={"rows": "of.mark"})
    return str(path), told


LINES: dict[str, Writer] = {
    "envelopes": _envelopes, "lines in UTF-16": _utf_16, "packed lines": _packed, "documents in a row": _pretty,
    "JSON Patch": _patches, "patches of Immer": _immer, "a lifted state": _redux, "nexus snapshots": _nexus,
    "nexus deltas": _nexus_deltas, "delta records": _delta_records, "Debezium": _debezium, "XState": _xstate, "events": _events,
    "Home Assistant": _home_assistant, "an event log": _event_log, "LangGraph": _langgraph,
    "a folder of JSON": _folder("json", _json), "a folder of JSONC": _folder("jsonc", _jsonc),
    "a folder of YAML": _folder("yaml", _yaml),
    "JSON in git": _git("d.json", _json), "YAML in git": _git("d.yaml", _yaml),
    "a rewritten document": _rewritten, "MongoDB": _mongo, "Temporal": _temporal, "an archive": _archive, "rrweb": _rrweb,
    "a folder of TOML": _toml_folder, "a folder of msgpack": _msgpack_folder, "a folder of tables": _tables,
}  # fmt: skip
"""Writers of histories without forks of their own, by what they write."""
NATIVE: dict[str, Writer] = {
    "a native file": _native, "a compacted file": _compacted, "a converted file": _converted, "an export": _exported,
    "keys by hand": _with_keys_by_hand,
}  # fmt: skip
"""Writers of histories with forks, and with values that JSON lacks."""


def opened(target: str) -> History:
    """Open what a writer wrote."""
    return open_history(target, follow=target.endswith("told.json"))
