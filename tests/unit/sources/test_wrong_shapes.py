"""A valid sample of every format, spoilt at any place: opening it ends in states or a typed error, in time.

Unlike bytes drawn at random, these are files that a format recognises, with one or two things in them that are not what they
should be: another type, missing, one too many, far too large, nested deeply, not a number, half a letter.
"""

from __future__ import annotations

import copy
import hashlib
import json
import math
import shutil
import sqlite3
import struct
import time
import warnings
import zlib
from contextlib import closing
from pathlib import Path
from typing import Any

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.examples import examples
from support.foreign_sources import FILES, FIXTURES, STATES
from unspool import open_history
from unspool.errors import UnspoolError
from unspool.history.verdict import VerdictStatus
from unspool.sources.detection import FORMATS, Probe, detect

ALL_FILES = [*FILES, *sorted((FIXTURES / "seeds").iterdir())]
JSON_FILES = [path for path in ALL_FILES if path.suffix in (".json", ".jsonl")]
DATABASES = [path for path in ALL_FILES if path.suffix in (".db", ".sqlite")]
ARCHIVES = [path for path in ALL_FILES if path.suffix == ".rblogs" and path.stat().st_size > 200]
MOST_SECONDS = 5.0


def _deep(levels: int) -> Any:
    value: Any = 0
    for _ in range(levels):
        value = [value]
    return value


WRONG: list[Any] = [
    None, True, 0, -1, 3, 2**70, 10**400, 1.5, math.nan, math.inf, "", "x", "\ud800", "9" * 400, "a" * 3000, [], [[]], {}, ["a"],
    [None], [1, [2]], {"a": 1}, {"": None}, {"\ud800": 1}, {"__ref": "o1"}, {"$jsan": "$"}, {"$jsan": "$.x[999999999999999999999]"},
    {"$tuple": 1}, {"$int": "zz"}, {"__type": "Map", "__id": "a", "entries": [[1]]}, _deep(800),
]  # fmt: skip
CELLS: list[Any] = [
    None, 0, -1, 2**62, 1.5, math.inf, "", "x", "{", b"", b"\xc1", b"\x81", b"\xff\xfe", msgpack.packb({"v": 4}),
    msgpack.packb({"channel_values": [1]}), msgpack.packb(_deep(400)), b"\xdd\x7f\xff\xff\xff", b"[" * 2000, "9" * 5000,
]  # fmt: skip
"""What a cell of a database is replaced by."""
SPOILT = st.tuples(
    st.floats(0, 1, exclude_max=True), st.sampled_from(["put", "drop", "swap", "add"]), st.integers(0, 10**6)
)


def places(document: Any) -> list[tuple[Any, ...]]:
    """Return the path to every member of a document."""
    found: list[tuple[Any, ...]] = []
    pending: list[tuple[tuple[Any, ...], Any]] = [((), document)]
    while pending:
        path, value = pending.pop()
        members = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        for step, member in members:
            found.append((*path, step))
            pending.append(((*path, step), member))
    return found


def at(document: Any, path: tuple[Any, ...]) -> Any:
    for step in path:
        document = document[step]
    return document


def spoil(document: Any, edits: list[tuple[float, str, int]]) -> Any:
    """Return a copy of a document with edits: where (as a share of its places), what is done, and a number to choose by."""
    document = copy.deepcopy(document)
    for share, kind, number in edits:
        known = places(document)
        if not known:
            break
        path = known[int(share * len(known))]
        holder, wrong = at(document, path[:-1]), copy.deepcopy(WRONG[number % len(WRONG)])
        if kind == "drop":
            del holder[path[-1]]
        elif kind == "swap":
            holder[path[-1]] = copy.deepcopy(at(document, known[number % len(known)]))
        elif kind == "add" and isinstance(holder, list):
            holder.insert(path[-1], wrong)
        elif kind == "add":
            holder[f"{path[-1]}2"] = wrong
        else:
            holder[path[-1]] = wrong
    return document


def look_at_everything(path: Path, format_name: str | None = None) -> None:
    """Open a file and look at all of it; anything but states, a verdict and an error of one line fails."""
    started = time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            with open_history(path, format=format_name, follow=False) as history:
                for entry in history:
                    history.state(entry.seq)
                assert history.verdict.status is VerdictStatus.COMPLETE or history.verdict.problems
        except UnspoolError as error:
            assert "\n" not in str(error)
    assert time.process_time() - started < MOST_SECONDS


def name_of(path: Path) -> str:
    return f"{path.parent.name}/{path.name}"


@pytest.mark.one_in(6)
@pytest.mark.parametrize("fixture", JSON_FILES, ids=name_of)
@settings(max_examples=examples(12))
@given(edits=st.lists(SPOILT, min_size=1, max_size=3))
def test_json_of_a_wrong_shape(
    fixture: Path, edits: list[tuple[float, str, int]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    text = fixture.read_text()
    is_lines = fixture.suffix == ".jsonl"
    whole = [json.loads(line) for line in text.splitlines()] if is_lines else json.loads(text)
    spoilt = spoil(whole, edits)
    path = tmp_path_factory.mktemp("spoilt") / fixture.name
    written = "".join(json.dumps(record) + "\n" for record in spoilt) if is_lines else json.dumps(spoilt)
    path.write_text(written)
    look_at_everything(path)
    look_at_everything(path, detect(Probe(fixture)).name)


@pytest.mark.one_in(6)
@pytest.mark.parametrize("fixture", DATABASES, ids=name_of)
@settings(max_examples=examples(20))
@given(edits=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.floats(0, 1, exclude_max=True),
                                st.floats(0, 1, exclude_max=True), st.integers(0, 10**6)), min_size=1, max_size=3))  # fmt: skip
def test_a_database_with_wrong_cells(
    fixture: Path, edits: list[tuple[float, float, float, int]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("spoilt") / fixture.name
    shutil.copy(fixture, path)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        tables = [row[0] for row in connection.execute(
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%' ORDER BY name")]  # fmt: skip
        for which, column_share, row_share, number in edits:
            table = tables[int(which * len(tables))]
            columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
            rows = [row[0] for row in connection.execute(f"SELECT rowid FROM {table}")]
            if rows:
                put_cell(
                    connection,
                    table,
                    columns[int(column_share * len(columns))],
                    rows[int(row_share * len(rows))],
                    number,
                )
    look_at_everything(path)
    look_at_everything(path, detect(Probe(fixture)).name)


def put_cell(connection: sqlite3.Connection, table: str, column: str, row: int, number: int) -> None:
    """Put something wrong into a cell; every other text is no UTF-8."""
    value = CELLS[number % len(CELLS)]
    cell = "CAST(? AS TEXT)" if isinstance(value, bytes) and number // len(CELLS) % 2 else "?"
    try:
        connection.execute(f"UPDATE {table} SET {column} = {cell} WHERE rowid = ?", (value, row))
    except sqlite3.Error:
        # Some cells may not be empty, or hold an integer only.
        pass


@pytest.mark.parametrize("fixture", ARCHIVES, ids=name_of)
@settings(max_examples=examples(20))
@given(edits=st.lists(SPOILT, min_size=1, max_size=2))
def test_an_archive_of_wrong_events(
    fixture: Path, edits: list[tuple[float, str, int]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    data = fixture.read_bytes()
    head = struct.Struct(">5sBI")
    events = spoil(json.loads(zlib.decompress(data[head.size : -64])), edits)
    body = json.dumps(events).encode()
    path = tmp_path_factory.mktemp("spoilt") / fixture.name
    footer = hashlib.sha256(body).hexdigest().encode()
    path.write_bytes(head.pack(b"RBLOG", 1, len(events)) + zlib.compress(body) + footer)
    look_at_everything(path)


def yaml_of(document: Any) -> bytes:
    return json.dumps(document).encode()


def toml_of(document: Any) -> bytes:
    lines = (f"{json.dumps(str(key))} = {toml_value(value)}\n" for key, value in document.items())
    return "".join(lines).encode(errors="surrogatepass")


def toml_value(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(str(key))} = {toml_value(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return f"[{', '.join(map(toml_value, value))}]"
    return {None: '"none"', True: "true", False: "false"}.get(value, "nan") if value is None or isinstance(value, bool) else (
        json.dumps(value) if isinstance(value, str) else str(value))  # fmt: skip


def msgpack_of(document: Any) -> bytes:
    packed: bytes = msgpack.packb(document, unicode_errors="surrogatepass", default=str)
    return packed


@pytest.mark.parametrize(("name", "written"), [("s.yaml", yaml_of), ("s.toml", toml_of), ("s.msgpack", msgpack_of)])
@settings(max_examples=examples(20))
@given(edits=st.lists(SPOILT, min_size=1, max_size=3))
def test_a_document_of_a_wrong_shape(
    name: str, written: Any, edits: list[tuple[float, str, int]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("spoilt")
    try:
        data = written(spoil(STATES[-1], edits))
    except (OverflowError, ValueError, RecursionError):
        # msgpack has no integers of 400 digits.
        return
    (folder / name).write_bytes(data)
    look_at_everything(folder / name)
    look_at_everything(folder)


def test_every_format_has_a_sample_here() -> None:
    seen = {detect(Probe(path)).name for path in (*JSON_FILES, *DATABASES, *ARCHIVES)}
    # Documents and directories are written above; bytes of region records, native files, several of them and git have no JSON to spoil.
    assert seen | {"document", "directory", "git", "merge", "unspool"} == {item.name for item in FORMATS}


@pytest.mark.parametrize("fixture", JSON_FILES, ids=name_of)
def test_a_part_that_no_reader_knows_is_in_a_state_or_told(fixture: Path, tmp_path: Path) -> None:
    strange = {"zzStrange": {"zzInner": "zzValue"}}
    text = fixture.read_text()
    format_name = detect(Probe(fixture)).name
    path = tmp_path / fixture.name
    if fixture.suffix == ".jsonl":
        path.write_text(text.rstrip("\n") + "\n" + json.dumps(strange) + "\n")
    else:
        document = json.loads(text)
        path.write_text(json.dumps([*document, strange] if isinstance(document, list) else {**document, **strange}))
    try:
        history = open_history(path, format=format_name, follow=False)
    except UnspoolError:
        # Some samples hold nothing that reads, and say so.
        return
    with history:
        held = any("zz" in repr(history.state(entry.seq)) or "zz" in repr(dict(entry.meta)) for entry in history)
        told = [*history.verdict.notes, *(problem.message for problem in history.verdict.problems)]
        assert held or any("zz" in note for note in told) or history.verdict.status is VerdictStatus.PARTIAL
