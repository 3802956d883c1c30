"""A source in every format that opens: the fixtures, and those that are made on the spot."""

from __future__ import annotations

import csv
import gzip
import io
import json
import lzma
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgpack
import yaml
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
    lines: list[str] = []
    for key, value in sorted(state.items(), key=lambda item: isinstance(item[1], list)):
        if not isinstance(value, list):
            lines.append(f"{key} = {json.dumps(value)}")
            continue
        for row in value:
            lines += [f"[[{key}]]", *(f"{name} = {json.dumps(cell)}" for name, cell in row.items())]
    return ("\n".join(lines) + "\n").encode()


def _csv(state: dict[str, Any]) -> bytes:
    stream = io.StringIO(newline="")
    writer = csv.DictWriter(stream, list(state["value"][0]))
    writer.writeheader()
    writer.writerows(state["value"])
    return stream.getvalue().encode()


def _properties(state: dict[str, Any]) -> bytes:
    return "".join(f"{key}={str(value).replace(' ', chr(92) + ' ')}\n" for key, value in state.items()).encode()


Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class DocumentSample:
    """How documents of a kind are written by other hands than ours.

    Attributes:
        write: writes a state as a document.
        states: four states that documents of the kind can hold.
        of_rows: the state that holds records with the same fields, as far as the kind can tell it: the laws draw
            whole numbers and texts with blanks in front and inside.
        unnamed: where only the name of a file tells the kind, the kind that it is taken for without; None for none.
    """

    write: Callable[[dict[str, Any]], bytes]
    states: list[dict[str, Any]] = field(default_factory=lambda: STATES)
    of_rows: Callable[[Rows], dict[str, Any]] = lambda rows: {"rows": rows}
    unnamed: str | None = None


DOCUMENT_SAMPLES: dict[str, DocumentSample] = {
    "json": DocumentSample(lambda state: json.dumps(state, indent=1).encode()),
    "toml": DocumentSample(_toml),
    "yaml": DocumentSample(lambda state: yaml.safe_dump(state, sort_keys=False).encode()),
    "msgpack": DocumentSample(msgpack.packb),
    "csv": DocumentSample(_csv, TABLES, lambda rows: {"value": rows}),
    "properties": DocumentSample(
        _properties,
        PROPERTIES,
        lambda rows: {f"{number}.{key}": cell for number, row in enumerate(rows) for key, cell in row.items()},
        unnamed="toml",
    ),
}
"""A row for every `DocumentKind`, by its name; every law about documents goes over them."""


PACKED: dict[str, Callable[[bytes], bytes]] = {
    "gz": gzip.compress,
    "xz": lzma.compress,
    "zst": lambda data: zstandard.ZstdCompressor().compress(data),
}
"""How data is compressed, by the ending of its name."""


def _document(kind: str) -> Maker:
    def make(folder: Path) -> str:
        path = folder / f"state.{kind}"
        sample = DOCUMENT_SAMPLES[kind]
        path.write_bytes(sample.write(sample.states[-1]))
        return str(path)

    return make


def _directory(kind: str) -> Maker:
    def make(folder: Path) -> str:
        place = folder / f"snapshots-{kind}"
        place.mkdir()
        for number, state in enumerate(DOCUMENT_SAMPLES[kind].states):
            (place / f"state{number}.{kind}").write_bytes(DOCUMENT_SAMPLES[kind].write(state))
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
        for number, state in enumerate(DOCUMENT_SAMPLES[kind].states):
            repo.commit(f"data/state.{kind}", DOCUMENT_SAMPLES[kind].write(state), f"commit {number}")
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
    **{f"one {kind} file": _document(kind) for kind in DOCUMENT_SAMPLES},
    **{f"a directory of {kind}": _directory(kind) for kind in DOCUMENT_SAMPLES},
    **{f"lines in {kind}": _packed(kind) for kind in PACKED},
    **{f"git of {kind}": _git(kind) for kind in DOCUMENT_SAMPLES},
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
