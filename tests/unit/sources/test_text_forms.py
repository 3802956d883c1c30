"""JSON in the forms that programs and people write: spread over lines one after the other, in UTF-16, with comments."""

from __future__ import annotations

import gzip
import json
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.foreign_sources import standard_input
from support.git_repo import Repo
from support.values import json_states
from unspool import open_history
from unspool.model.json_exact import BrokenText
from unspool.sources.documents import parse_document
from unspool.sources.entries import Reading
from unspool.sources.foreign import open_foreign

OBJECTS: list[dict[str, Any]] = [
    {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "one", "labels": {}}, "data": {"text": 'a {"b": [', "n": n}}
    for n in range(3)
]  # fmt: skip


def spread(documents: list[Any], indent: int = 4) -> str:
    return "".join(json.dumps(document, indent=indent) + "\n" for document in documents)


def states_of(path: Path, **options: Any) -> list[Any]:
    with open_history(path, follow=False, **options) as history:
        assert history.verdict.status == "complete", history.verdict.problems
        return [history.state(entry.seq) for entry in history]


def test_documents_one_after_the_other_are_an_entry_each(tmp_path: Path) -> None:
    path = tmp_path / "watch.json"
    path.write_text(spread(OBJECTS))
    assert states_of(path) == OBJECTS
    with open_foreign(
        "-", Reading(stdin=standard_input(path.read_bytes()), follow=False), identity=None, wait=True
    ) as history:
        assert [history.state(entry.seq) for entry in history] == OBJECTS


def test_documents_that_come_later_become_entries_and_half_a_one_waits(tmp_path: Path) -> None:
    path = tmp_path / "watch.json"
    path.write_text(spread(OBJECTS[:2]))
    rest = spread(OBJECTS[2:])
    with open_history(path) as history:
        assert len(history) == 2
        with path.open("a") as stream:
            stream.write(rest[:40])
            stream.flush()
            assert history.refresh() == 0
            stream.write(rest[40:])
            stream.flush()
        assert history.refresh() == 1
        assert history.state(-1) == OBJECTS[2]


def test_one_document_is_one_state_however_it_is_written(tmp_path: Path) -> None:
    for number, text in enumerate((spread(OBJECTS[:1]), json.dumps(OBJECTS, indent=1), "[\n1,\n2\n]\n")):
        path = tmp_path / f"{number}.json"
        path.write_text(text)
        assert len(states_of(path)) == 1


def test_a_broken_first_line_costs_itself_only(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text('{"a": [1,\n{"a": 1}\n{"a": 2}\n')
    with open_history(path, follow=False) as history:
        assert [history.state(entry.seq) for entry in history] == [{"a": 1}, {"a": 2}]
        assert len(history.verdict.problems) == 1


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be", "utf-32", "utf-8-sig"])
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_lines_and_documents_in_other_encodings_are_read(tmp_path: Path, encoding: str, pack: Any) -> None:
    mark = "\ufeff" if encoding.endswith("-be") else ""
    states = [{"a": 1, "b": "é漢"}, {"a": 2, "b": "x\u2028"}]
    lines, document = tmp_path / "log.jsonl", tmp_path / "doc.json"
    lines.write_bytes(
        pack((mark + "".join(json.dumps(state, ensure_ascii=False) + "\r\n" for state in states)).encode(encoding))
    )
    document.write_bytes(pack((mark + json.dumps(states[0], indent=1, ensure_ascii=False)).encode(encoding)))
    assert states_of(lines) == states
    assert states_of(document) == states[:1]


def test_lines_in_utf_16_are_followed(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_bytes('{"a": 1}\n{"a": 2}\n'.encode("utf-16"))
    with open_history(path) as history:
        assert len(history) == 2
        with path.open("ab") as stream:
            stream.write('{"a": 3}\n'.encode("utf-16-le"))
        assert history.refresh() == 1
        assert history.state(-1) == {"a": 3}


@pytest.mark.parametrize(("text", "value"), [
    ('{\n // c\n "a": 2,\n}', {"a": 2}), ("// x\n[1, /* y */ 3,]", [1, 3]), ('{"a": "/* no */ // no, ]",}', {"a": "/* no */ // no, ]"}),
    ("{a: 'it\\'s', b: +1, c: .5, d: 5., e: 0xFF, $f_1: [1,], 'g': \"x\", h: -.5e3, i: 'say \"hi\"'}",
     {"a": "it's", "b": 1, "c": 0.5, "d": 5.0, "e": 255, "$f_1": [1], "g": "x", "h": -500.0, "i": 'say "hi"'}),
])  # fmt: skip
def test_json_with_comments_and_json5_are_read(text: str, value: Any, tmp_path: Path) -> None:
    assert parse_document(text.encode(), "json").value == value
    for name in ("settings.json", "settings.jsonc", "settings.json5"):
        path = tmp_path / name
        path.write_text(text)
        assert states_of(path) == [value if isinstance(value, dict) else {"value": value}]
        assert states_of(path, format="json") == states_of(path)


def test_versions_with_comments_are_read_at_every_commit(tmp_path: Path) -> None:
    repo = Repo(tmp_path / "repo")
    for number, text in enumerate(
        ('{"a": 0}', '{\n  // comment\n  "a": 1,\n}\n', '{\n  // comment\n  "a": 2, "b": 1\n}\n')
    ):
        repo.commit("settings.json", text, f"commit {number}")
    with open_history(f"git:{repo.folder}:settings.json", follow=False) as history:
        assert [history.state(entry.seq)["a"] for entry in history] == [0, 1, 2]
        assert history.verdict.status == "complete"


@pytest.mark.parametrize(
    "text", ['{"a": [1, 2', '{"a": 1, // half', "{'a': 'x", "{a: 1 b: 2}", '{"a": tru}', "/* open", "{a:}"]
)
def test_what_is_half_or_wrong_in_any_dialect_stays_broken(text: str) -> None:
    with pytest.raises(BrokenText):
        parse_document(text.encode(), "json")


@given(state=json_states, extra=st.sampled_from(["", "// end", "/* a */"]))
def test_plain_json_reads_the_same_with_comments_around(state: dict[str, Any], extra: str) -> None:
    text = json.dumps(state)
    try:
        expected = parse_document(text.encode(), "json").value
    except BrokenText:
        return
    assert parse_document(f"{extra}\n{text}\n{extra}".encode(), "json").value == expected


@pytest.mark.one_in(3)
@pytest.mark.parametrize("piece", [",/*", "a", "1", "' ", '"', "a ", ", ", "/*", "//", "a:", "-.", "0x"])
def test_no_text_takes_the_square_of_its_length(piece: str) -> None:
    started = time.process_time()
    with pytest.raises(BrokenText):
        parse_document(("{ ! " + piece * 150_000).encode(), "json")
    assert time.process_time() - started < 3
