"""Whatever a reader does not know is kept in an entry or named: an input is never complete with a part of it passed over."""

from __future__ import annotations

import copy
import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.examples import examples
from support.foreign_sources import FILES, FIXTURES, MADE
from unspool import open_history
from unspool.errors import UnspoolError
from unspool.history.verdict import VerdictStatus

MARK = "foreignpart"
JSON_FILES = [
    path for path in (*FILES, *sorted((FIXTURES / "seeds").iterdir())) if path.suffix in (".json", ".jsonl")
]
DATABASES = [path for path in FILES if path.suffix in (".db", ".sqlite")]


def name_of(path: Path) -> str:
    return f"{path.parent.name}/{path.name}"


def accounted(path: Path, *named: str) -> bool:
    """Whether a mark is in a state or the meta of an entry, in what the verdict says, or the source is refused or partly read.

    Args:
        path: what to open.
        named: parts that hold the mark and which the verdict may name instead.
    """
    try:
        with open_history(path, follow=False) as history:
            verdict = history.verdict
            told = repr((verdict.notes, verdict.problems))
            if any(word in told for word in (MARK, *named)):
                return True
            entries = [(history.state(entry.seq), entry.meta, entry.action, entry.id) for entry in history]
            return MARK in repr(entries) or verdict.status is not VerdictStatus.COMPLETE
    except UnspoolError as error:
        return "\n" not in str(error)


def holders(document: Any) -> list[tuple[Any, ...]]:
    """The paths of all objects and lists of a document."""
    found: list[tuple[Any, ...]] = []
    pending: list[tuple[tuple[Any, ...], Any]] = [((), document)]
    while pending:
        path, value = pending.pop()
        if isinstance(value, dict | list):
            found.append(path)
            members = value.items() if isinstance(value, dict) else enumerate(value)
            pending.extend(((*path, step), member) for step, member in members)
    return found


def with_part(document: Any, path: tuple[Any, ...], part: Any) -> Any:
    """A copy of a document with a foreign part in one of its objects or lists."""
    document = copy.deepcopy(document)
    holder = document
    for step in path:
        holder = holder[step]
    if isinstance(holder, dict):
        holder[MARK] = part
    else:
        holder.insert(len(holder) // 2, {MARK: part})
    return document


def kinds_of_holders(document: Any) -> list[tuple[Any, ...]]:
    """One path of each kind of object and list: those of items of a list and of named members are of one kind."""
    kinds = {
        tuple("*" if isinstance(step, int) or step.isdigit() else step for step in path): path
        for path in holders(document)
    }
    return list(kinds.values())


@pytest.mark.one_in(3)
@pytest.mark.parametrize("fixture", JSON_FILES, ids=name_of)
@settings(max_examples=examples(40))
@given(share=st.floats(0, 1, exclude_max=True), part=st.sampled_from(["text", 7, [1], {"a": 1}]))
def test_keys_and_items_that_no_reader_knows(
    fixture: Path, share: float, part: Any, tmp_path_factory: pytest.TempPathFactory
) -> None:
    text, is_lines = fixture.read_text(), fixture.suffix == ".jsonl"
    document = [json.loads(line) for line in text.splitlines()] if is_lines else json.loads(text)
    known = kinds_of_holders(document)
    path = known[int(share * len(known))]
    spoilt = with_part(document, path, part)
    place = tmp_path_factory.mktemp("foreign") / fixture.name
    place.write_text("".join(json.dumps(record) + "\n" for record in spoilt) if is_lines else json.dumps(spoilt))
    assert accounted(place, *(step for step in path if step in ("metadata", "children"))), path


@pytest.mark.parametrize("fixture", [path for path in JSON_FILES if path.suffix == ".jsonl"], ids=name_of)
@pytest.mark.parametrize(
    "junk", [MARK, f'{{"{MARK}": 1', f'{{"kind": "{MARK}"}}', f'["{MARK}"]', f'"{MARK}"', f"<{MARK}/>"]
)
def test_lines_that_are_no_records(fixture: Path, junk: str, tmp_path: Path) -> None:
    lines = fixture.read_text().splitlines()
    lines.insert(max(2, len(lines) // 2), junk)
    path = tmp_path / fixture.name
    path.write_text("\n".join(lines) + "\n")
    assert accounted(path)


def spoilt_database(source: Path, folder: Path, statements: list[str]) -> Path:
    path = folder / source.name
    shutil.copy(source, path)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)
    return path


def tables_of(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as connection:
        query = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%' ORDER BY name"
        return [row[0] for row in connection.execute(query)]


@pytest.mark.parametrize("name", [*map(name_of, DATABASES), "an event log"])
def test_tables_and_columns_that_no_reader_knows(name: str, tmp_path: Path) -> None:
    (tmp_path / "made").mkdir()
    source = Path(MADE[name](tmp_path / "made")) if name in MADE else FIXTURES / name
    more = spoilt_database(
        source, tmp_path, [f'CREATE TABLE "{MARK} ""1" (a)', f'INSERT INTO "{MARK} ""1" VALUES (1)']
    )
    assert accounted(more)
    with open_history(more, follow=False) as history, open_history(source, follow=False) as expected:
        assert f'in no state, for they are no tables and columns of this format: {MARK} "1 (1 rows)' in "".join(
            history.verdict.notes
        )
        assert len(history) == len(expected)
    for table in tables_of(source):
        assert accounted(spoilt_database(source, tmp_path, [f"ALTER TABLE {table} ADD COLUMN {MARK} TEXT"])), table


def test_tables_without_rows_and_the_books_of_a_recorder_are_not_named(tmp_path: Path) -> None:
    source = FIXTURES / "home_assistant" / "home.db"
    statements = [
        "CREATE TABLE empty_one (a)",
        "CREATE TABLE recorder_runs (a)",
        "INSERT INTO recorder_runs VALUES (1)",
    ]
    with open_history(spoilt_database(source, tmp_path, statements), follow=False) as history:
        assert not history.verdict.notes


@pytest.mark.parametrize(
    ("column", "value"), [("type", MARK), ("metadata", f"x'{MARK.encode().hex()}'"), ("checkpoint", "5")]
)
def test_rows_of_unknown_types(column: str, value: str, tmp_path: Path) -> None:
    source = FIXTURES / "langgraph" / "graph.sqlite"
    written = value if value.startswith("x") else f"'{value}'"
    path = spoilt_database(source, tmp_path, [f"UPDATE checkpoints SET {column} = {written} WHERE rowid = 2"])
    with open_history(path, follow=False) as history:
        if column == "metadata":
            assert history[1].meta["metadata"] == MARK.encode()
        else:
            assert history.verdict.status is VerdictStatus.PARTIAL
            assert len(history.verdict.problems) == 1


def test_a_change_that_tells_another_row_before_it_is_told(tmp_path: Path) -> None:
    def change(before: Any, after: Any, operation: str) -> dict[str, Any]:
        return {"before": before, "after": after, "op": operation, "ts_ms": 1714557600000, "source": {"table": "t"}}

    path = tmp_path / "changes.jsonl"
    records = [
        change(None, {"id": 1, "n": 1}, "c"),
        change({"id": 1}, {"id": 1, "n": 2}, "u"),
        change({"id": 1, "n": "__debezium_unavailable_value"}, {"id": 1, "n": 3}, "u"),
    ]
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    with open_history(path, follow=False) as history:
        assert history.verdict.status is VerdictStatus.COMPLETE
    path.write_text(
        "".join(
            json.dumps(record) + "\n" for record in [*records, change({"id": 1, "n": 9}, {"id": 1, "n": 10}, "u")]
        )
    )
    with open_history(path, follow=False) as history:
        assert "1 changes tell of the row before them" in history.verdict.problems[0].message


def test_what_a_record_has_besides_is_in_its_meta(tmp_path: Path) -> None:
    path = tmp_path / "patches.jsonl"
    patch = {
        "patch": [{"op": "add", "path": "/a", "value": 1, "why": "x"}],
        "user": {"name": "ann"},
        "timestamp": 1714557600,
    }
    path.write_text(json.dumps(patch) + "\n")
    with open_history(path, follow=False) as history:
        assert history[0].meta["other"] == {"patch[0].why": "x", "user": {"name": "ann"}}


def test_writes_of_tasks_that_no_step_followed_are_told(tmp_path: Path) -> None:
    source = FIXTURES / "langgraph" / "threads.sqlite"
    tip = "(SELECT max(checkpoint_id) FROM checkpoints WHERE thread_id = (SELECT min(thread_id) FROM checkpoints))"
    values = f"(SELECT min(thread_id) FROM checkpoints), '', {tip}, 'task', 0, '__error__', 'msgpack', x'a4626f6f6d'"
    columns = "thread_id, checkpoint_ns, checkpoint_id, task_id, idx, channel, type, value"
    path = spoilt_database(source, tmp_path, [f"INSERT INTO writes ({columns}) VALUES ({values})"])
    with open_history(path, follow=False) as history:
        assert "in no state: 1 writes on last checkpoints, which no step followed; the first is __error__" in "".join(
            history.verdict.notes
        )
    with open_history(source, follow=False) as history:
        assert "in no state" not in "".join(history.verdict.notes)


@pytest.mark.parametrize("source", [[], {}, "0", None, 1.5, True])
def test_an_event_of_a_page_whose_source_is_no_number_is_read_all_the_same(tmp_path: Path, source: object) -> None:
    path = tmp_path / "page.json"
    node = {"type": 0, "id": 1, "childNodes": []}
    events = [
        {"type": 4, "data": {"href": "x", "width": 1, "height": 1}, "timestamp": 1_700_000_000_000},
        {"type": 2, "data": {"node": node, "initialOffset": {"top": 0, "left": 0}}, "timestamp": 1_700_000_000_001},
        {"type": 3, "data": {"source": source}, "timestamp": 1_700_000_000_002},
    ]
    path.write_text(json.dumps(events))
    with open_history(path, follow=False) as history:
        assert len(history) == 3
        assert "1" in history.state(-1)["nodes"]
