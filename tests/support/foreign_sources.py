"""A source in every format that opens: the fixtures, and those that are made on the spot."""

from __future__ import annotations

import gzip
import io
import json
import lzma
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgpack
import zstandard

from support.git_repo import Repo

FIXTURES = Path(__file__).parents[2] / "fixtures"
_FOLDERS = (
    "changes",
    "events",
    "home_assistant",
    "langgraph",
    "nexus",
    "patches",
    "redux",
    "rrweb",
    "states",
    "temporal",
    "xstate",
)
FILES = sorted(
    path for folder in _FOLDERS for path in (FIXTURES / folder).iterdir() if not path.name.endswith(".expected.json")
)
STATES: list[dict[str, Any]] = [
    {"n": n, "cart": [{"sku": f"a{k}", "qty": n} for k in range(n + 1)]} for n in range(4)
]
TABLES: list[dict[str, Any]] = [{"value": state["cart"]} for state in STATES]
"""What is told of the same as tables: a list at the top is one atom."""
PROPERTIES: list[dict[str, Any]] = [
    {"n": n, "title": f"shop no. {n}", **{f"cart.{k}.qty": n for k in range(n + 1)}} for n in range(4)
]
"""What is told of the same as properties: no level but the top."""
Maker = Callable[[Path], str]


def _lines(states: list[dict[str, Any]]) -> bytes:
    return "".join(json.dumps(state) + "\n" for state in states).encode()


def _toml(state: dict[str, Any]) -> bytes:
    rows = "".join(f'[[cart]]\nsku = "{row["sku"]}"\nqty = {row["qty"]}\n' for row in state["cart"])
    return f"n = {state['n']}\n{rows}".encode()


def _yaml(state: dict[str, Any]) -> bytes:
    rows = "".join(f"- sku: {row['sku']}\n  qty: {row['qty']}\n" for row in state["cart"])
    return f"n: {state['n']}\ncart:\n{rows}".encode()


def _csv(state: dict[str, Any]) -> bytes:
    return "".join(f"{row['sku']},{row['qty']}\n" for row in [{"sku": "sku", "qty": "qty"}, *state["value"]]).encode()


def _properties(state: dict[str, Any]) -> bytes:
    return "".join(f"{key}={value}\n" for key, value in state.items()).encode()


WRITTEN: dict[str, Callable[[dict[str, Any]], bytes]] = {
    "json": lambda state: json.dumps(state, indent=1).encode(),
    "toml": _toml,
    "yaml": _yaml,
    "msgpack": msgpack.packb,
    "csv": _csv,
    "properties": _properties,
}
"""How a state is written as a document, by the ending of its name."""


def states_of(kind: str) -> list[dict[str, Any]]:
    """Return states that documents of a kind can hold: flat ones hold less than others."""
    return {"csv": TABLES, "properties": PROPERTIES}.get(kind, STATES)


PACKED: dict[str, Callable[[bytes], bytes]] = {
    "gz": gzip.compress,
    "xz": lzma.compress,
    "zst": lambda data: zstandard.ZstdCompressor().compress(data),
}
"""How data is compressed, by the ending of its name."""


def _document(kind: str) -> Maker:
    def make(folder: Path) -> str:
        path = folder / f"state.{kind}"
        path.write_bytes(WRITTEN[kind](states_of(kind)[-1]))
        return str(path)

    return make


def _directory(kind: str) -> Maker:
    def make(folder: Path) -> str:
        place = folder / f"snapshots-{kind}"
        place.mkdir()
        for number, state in enumerate(states_of(kind)):
            (place / f"state{number}.{kind}").write_bytes(WRITTEN[kind](state))
        return str(place)

    return make


def _packed(kind: str) -> Maker:
    def make(folder: Path) -> str:
        path = folder / f"states.jsonl.{kind}"
        path.write_bytes(PACKED[kind](_lines(STATES)))
        return str(path)

    return make


def _git(kind: str) -> Maker:
    def make(folder: Path) -> str:
        repo = Repo(folder / f"repo-{kind}")
        for number, state in enumerate(states_of(kind)):
            repo.commit(f"data/state.{kind}", WRITTEN[kind](state).decode(), f"commit {number}")
        return f"git:{repo.folder}:data/state.{kind}"

    return make


def _git_text(folder: Path) -> str:
    repo = Repo(folder / "repo-text")
    for number in range(4):
        repo.commit("notes.md", "\n".join(f"line {line}" for line in range(number + 1)), f"commit {number}")
    return f"git:{repo.folder}:notes.md"


def _event_log(folder: Path) -> str:
    from unspool.events import EventLog, write_source

    path = folder / "log.db"
    with EventLog(path) as log:
        for number in range(4):
            write_source(log, "main.py", f"2024-01-01T00:00:0{number}.000Z", f"a = {number}\n", "python")
    return str(path)


MADE: dict[str, Maker] = {
    **{f"one {kind} file": _document(kind) for kind in WRITTEN},
    **{f"a directory of {kind}": _directory(kind) for kind in WRITTEN},
    **{f"lines in {kind}": _packed(kind) for kind in PACKED},
    **{f"git of {kind}": _git(kind) for kind in WRITTEN if kind != "msgpack"},
    "git of text": _git_text,
    "an event log": _event_log,
}
"""Sources that are made in a folder, by what they are; each returns what to open."""


def records_of(path: Path) -> list[Any]:
    """Return the records of a fixture that is JSON Lines, or a list of what may as well stand a line each."""
    text = path.read_text()
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in text.splitlines()]
    document = json.loads(text)
    records: list[Any] = document if isinstance(document, list) else document.get("snapshots", [document])
    return records


def standard_input(data: bytes) -> io.BytesIO:
    """Return what stands in for a pipe."""
    return io.BytesIO(data)


def rows_of(path: Path, table: str) -> tuple[list[str], list[tuple[Any, ...]]]:
    """Return the columns and rows of a database's table."""
    connection = sqlite3.connect(path)
    try:
        cursor = connection.execute(f"SELECT * FROM {table} ORDER BY rowid")
        return [item[0] for item in cursor.description], cursor.fetchall()
    finally:
        connection.close()
