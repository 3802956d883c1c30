"""What cannot be opened is refused in one line that names the place and a remedy."""

from __future__ import annotations

import os
import pickle
import re
import sqlite3
from pathlib import Path

import msgpack
import pytest

from support.at_rest import at_rest
from unspool import open_history
from unspool.errors import ConfigError, CorruptHistory, NewerSchema, UnreadableSource, UnspoolError
from unspool.model.limits import Limits
from unspool.sources.detection import Probe, detect
from unspool.sources.documents import kind_named


def refused(path: Path, **options: str) -> str:
    with pytest.raises(UnspoolError) as caught:
        open_history(path, **options)  # type: ignore[arg-type]
    message = str(caught.value)
    assert "\n" not in message
    assert str(path) in message
    return message


def test_a_missing_file(tmp_path: Path) -> None:
    assert "no such file" in refused(tmp_path / "nothing.json")


@pytest.mark.parametrize("content", [b"", b"  \n\n \n"])
def test_an_empty_file(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "empty.jsonl"
    path.write_bytes(content)
    assert "is empty" in refused(path)


@pytest.mark.parametrize(("content", "says"), [
    (b"\xf1\xc4\x07\x99" * 16 + b"\x00" * 64, "binary data; `unspool formats`"), (b"\x89PNG\r\n\x1a\n" + bytes(100), "a PNG picture"),
    (b"hello world\n" * 40, "plain text"), (b"PAR1" + bytes(40), "a Parquet file; export it as JSON Lines or CSV"),
    (b"<?xml version='1.0'?><a/>", "XML; convert it to JSON"), (b"<svg xmlns='x'/>", "XML"), (b"<!DOCTYPE html><html>", "HTML"),
    (pickle.dumps({"a": [1, 2]}), "a Python pickle, and loading one would run code"), (b"PK\x03\x04" + bytes(30), "ZIP"),
    (b"BZh9" + bytes(30), "bunzip2"), (b'{"a": 1, "b": }', "meant as JSON, but Expecting value at line 1 column 15"),
    (bytes(257) + b"ustar" + bytes(300), "tar"),
])  # fmt: skip
def test_what_is_in_no_known_format_is_called_what_it_is(tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "thing"
    path.write_bytes(content)
    assert says in refused(path)


@pytest.mark.parametrize("first", [*range(0x80, 0xA0), *range(0xDC, 0xE0)])
def test_binary_data_that_begins_as_a_container_of_msgpack_by_chance_is_not_called_msgpack(
    tmp_path: Path, first: int
) -> None:
    path = tmp_path / "thing"
    path.write_bytes(bytes([first]) + b"\xf1\xc4\x07\x99" * 16 + bytes(64))
    assert "binary data; `unspool formats`" in refused(path)


@pytest.mark.parametrize(
    ("name", "value"), [("thing", {"title": [1, 2]}), ("thing", [{"title": 1}]), ("thing.msgpack", [1, 2])]
)
def test_msgpack_that_ends_too_early_is_called_what_it_is(tmp_path: Path, name: str, value: object) -> None:
    path = tmp_path / name
    path.write_bytes(msgpack.packb(value)[:-1])
    assert re.search("(meant as|no) msgpack", refused(path))
    assert "the msgpack data ends too early" in refused(path)


STATE = '{"a": {"b": 1}}'


@pytest.mark.parametrize(("name", "text"), [
    ("json", STATE), ("yaml", STATE), ("toml", "[a]\nb = 1\n"), ("yaml", "a:\n  b: 1\n"),
])  # fmt: skip
def test_a_format_that_is_named_is_obeyed(tmp_path: Path, name: str, text: str) -> None:
    path = tmp_path / "thing.state"
    path.write_text(text)
    with open_history(path, format=name, follow=False) as history:
        assert history.state(0) == {"a": {"b": 1}}


@pytest.mark.parametrize(("name", "text"), [
    ("toml", "a:\n  b: 1\n"), ("json", "a:\n  b: 1\n"), ("json", "[a]\nb = 1\n"), ("toml", STATE), ("msgpack", STATE), ("yaml", "a: [1\n"),
])  # fmt: skip
def test_a_format_that_is_named_and_does_not_fit_is_refused_with_a_reason(
    tmp_path: Path, name: str, text: str
) -> None:
    path = tmp_path / "thing.yaml"
    path.write_text(text)
    said = refused(at_rest(path), format=name)
    assert f"no {kind_named(name).title}" in said
    assert "leave --format out" in said


def test_a_pipe_or_device(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    assert "standard input" in refused(path)
    assert "neither a file" in refused(Path("/dev/null"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission(tmp_path: Path) -> None:
    path = tmp_path / "secret.json"
    path.write_text("{}")
    path.chmod(0)
    assert "permission denied" in refused(path)
    path.chmod(0o600)
    tmp_path.chmod(0)
    try:
        assert "permission denied" in refused(path)
    finally:
        tmp_path.chmod(0o700)


def test_a_permission_error_names_the_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "secret.json"
    path.write_text("{}")
    original = Path.open

    def refuse(self: Path, *arguments: object, **options: object) -> object:
        if self == path:
            raise PermissionError(13, "Permission denied")
        return original(self, *arguments, **options)  # type: ignore[call-overload]

    monkeypatch.setattr(Path, "open", refuse)
    assert "ask its owner" in refused(path)


def test_a_first_line_that_is_too_long(tmp_path: Path) -> None:
    path = tmp_path / "huge"
    path.write_bytes(b'{"a": "' + b"x" * 5000)
    with pytest.raises(UnreadableSource, match="more than 1,000 bytes"):
        detect(Probe(path, Limits(line_bytes=1000, document_bytes=1000)))


def test_a_name_that_no_file_can_have() -> None:
    with pytest.raises(UnreadableSource, match="is no path"):
        open_history("a\0b")
    with pytest.raises(UnreadableSource, match="name too long"):
        open_history("x" * 5000)


@pytest.mark.parametrize(
    ("place", "what", "remedy"),
    [
        ("states/bare.jsonl", "thread", "leave it out"),
        ("seeds/ringworld-7-23.json", "space", "write player|order=NAME"),
        ("langgraph/threads.sqlite", "player", "write thread|namespace=NAME"),
    ],
)
def test_selecting_what_no_source_of_its_kind_has(place: str, what: str, remedy: str) -> None:
    with pytest.raises(ConfigError) as caught:
        open_history(Path(__file__).parents[3] / "fixtures" / place, follow=False, select={what: "a"})
    assert str(caught.value).startswith(f"--select {what}: ")
    assert str(caught.value).endswith(remedy)


def test_selecting_in_a_native_file(tmp_path: Path) -> None:
    from unspool import Recorder

    path = tmp_path / "x.unspool"
    with Recorder(path) as recorder:
        recorder.record({"n": 1})
    with pytest.raises(ConfigError, match="has no such parts; leave it out"):
        open_history(path, select={"thread": "a"})


def test_a_database_of_another_program(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE users(name)")
    assert "an SQLite database with the tables users, written by no program known here" in refused(path)


def test_a_damaged_database(tmp_path: Path) -> None:
    path = tmp_path / "damaged.db"
    path.write_bytes(b"SQLite format 3\x00" + bytes(2000))
    refused(path)


def test_a_database_whose_schema_is_damaged_is_refused_in_one_line(tmp_path: Path) -> None:
    source = Path(__file__).parents[3] / "fixtures" / "langgraph" / "written.sqlite"
    data = source.read_bytes()
    place = int(len(data) * 0.1875)
    path = tmp_path / "damaged.sqlite"
    path.write_bytes(data[:place] + b"[" + data[place + 1 :])
    refused(path)


def test_a_native_file_of_a_newer_version(tmp_path: Path) -> None:
    from unspool import Recorder

    path = tmp_path / "new.unspool"
    with Recorder(path) as recorder:
        recorder.record({"n": 1})
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")
    with pytest.raises(NewerSchema, match="upgrade"):
        open_history(path)


def test_a_document_that_is_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    path.write_text('{\n "a": [1, 2')
    os.utime(path, (1, 1))
    refused(path)


def test_lines_of_which_none_reads(tmp_path: Path) -> None:
    path = tmp_path / "noise.txt"
    path.write_text("alpha beta\n" * 5)
    assert "no entry could be read" in refused(path, format="jsonl")


def test_a_format_that_does_not_exist_is_wrong_usage(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    path.write_text("{}")
    with pytest.raises(ConfigError, match="'nope' is no format"):
        open_history(path, format="nope")
    with pytest.raises(ConfigError, match="no way to fold"):
        open_history(Path(__file__).parents[3] / "fixtures/langgraph/written.sqlite", folds={"log": "sum"})


def test_a_directory_is_not_a_file_format(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("{}")
    assert "is a directory" in refused(tmp_path, format="jsonl")


def test_nothing_is_left_behind_by_a_refusal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import tempfile

    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    path = tmp_path / "noise.txt"
    path.write_text("alpha beta\n" * 5)
    refused(path, format="jsonl")
    assert list(scratch.iterdir()) == []
    path.write_text('{"a": 1}\n{"a": 2}\n')
    with open_history(path):
        assert list(scratch.iterdir()) != []
    assert list(scratch.iterdir()) == []


def test_a_damaged_native_file_is_corrupt_not_empty(tmp_path: Path) -> None:
    from unspool import Recorder

    path = tmp_path / "app.unspool"
    with Recorder(path) as recorder:
        for number in range(200):
            recorder.record({"n": number, "text": "x" * 200})
    data = bytearray(path.read_bytes())
    for place in range(4096, len(data), 512):
        data[place : place + 64] = bytes(64)
    path.write_bytes(data)
    with pytest.raises(CorruptHistory), open_history(path) as history:
        list(history)
        for seq in range(len(history)):
            history.state(seq)


def test_what_a_source_holds_is_spelled_in_the_error_that_names_it(tmp_path: Path) -> None:
    path = tmp_path / "graph.sqlite"
    connection = sqlite3.connect(path)
    connection.execute(
        "CREATE TABLE checkpoints (thread_id TEXT, checkpoint_ns TEXT, checkpoint_id TEXT, parent_checkpoint_id TEXT,"
        " type TEXT, checkpoint BLOB, metadata BLOB)"
    )
    connection.execute(
        "CREATE TABLE writes (thread_id TEXT, checkpoint_ns TEXT, checkpoint_id TEXT, task_id TEXT, idx INTEGER,"
        " channel TEXT, type TEXT, value BLOB)"
    )
    connection.execute("INSERT INTO checkpoints VALUES ('1', '', 'a\x1b[31m\u202eb\nc', NULL, 'msgpack', x'c1', x'')")
    connection.commit()
    connection.close()
    said = refused(path)
    assert "checkpoint a\\x1b[31m\\u202eb\\nc: its msgpack does not read" in said
    assert said.isprintable()
